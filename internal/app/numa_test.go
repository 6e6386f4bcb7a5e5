package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/testcloud"
)

// pinned makes a flavor whose servers have cores of their own.
func pinned(t *testing.T, admin testcloud.User, name string, vcpus, ram int, specs map[string]string) string {
	t.Helper()
	if specs == nil {
		specs = map[string]string{}
	}
	id := admin.Must(t, 200, "POST", "/compute/v2.1/flavors", map[string]any{"flavor": map[string]any{
		"name": name, "vcpus": vcpus, "ram": ram, "disk": 1,
	}}).Map(t)["flavor"].(map[string]any)["id"].(string)
	admin.Must(t, 200, "POST", "/compute/v2.1/flavors/"+id+"/os-extra_specs", map[string]any{"extra_specs": specs})
	return id
}

type topology struct {
	Nodes []struct {
		CPUs     []int       `json:"vcpu_set"`
		MemoryMB int         `json:"memory_mb"`
		Host     *int        `json:"host_node"`
		Pins     map[int]int `json:"cpu_pinning"`
	}
	PageSize *int `json:"pagesize_kb"`
}

func topologyOf(t *testing.T, u testcloud.User, server string) topology {
	t.Helper()
	var seen topology
	u.Must(t, 200, "GET", "/compute/v2.1/servers/"+server+"/topology", nil, "OpenStack-API-Version", "compute 2.78").JSON(t, &seen)
	return seen
}

// start asks for a server of a flavor and returns its id.
func start(t *testing.T, u testcloud.User, name, flavor string) string {
	t.Helper()
	return u.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": name, "flavorRef": flavor, "imageRef": u.Image(t, "cirros"), "networks": "none",
	}}, "OpenStack-API-Version", "compute 2.37").Map(t)["server"].(map[string]any)["id"].(string)
}

// coresOf are the host and the cores that a server has alone.
func coresOf(t *testing.T, cloud *testcloud.Cloud, server string) (host string, cores []int) {
	t.Helper()
	admin := cloud.Admin()
	host, _ = admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+server, nil).Map(t)["server"].(map[string]any)["OS-EXT-SRV-ATTR:host"].(string)
	for _, node := range topologyOf(t, admin, server).Nodes {
		for _, core := range node.Pins {
			cores = append(cores, core)
		}
	}
	return host, cores
}

// Creates run side by side against the last cores: as many servers as fit get some,
// and no core has two of them.
func TestDedicatedCoresAreNobodyElses(t *testing.T) {
	t.Parallel()
	// Each host has four dedicated cores in cell 0 and eight in cell 1.
	cloud := testcloud.Start(t, testcloud.Nodes(2), testcloud.CPUs("4-7,12-15,0-3", "8-11"))
	admin := cloud.Admin()
	demo := cloud.Demo()
	admin.Must(t, 200, "PUT", "/compute/v2.1/os-quota-sets/"+demo.Project(t), map[string]any{"quota_set": map[string]any{"cores": 100}})
	flavor := pinned(t, admin, "pinned", 3, 256, map[string]string{"hw:cpu_policy": "dedicated"})
	const fit, asked = 2 * (1 + 2), 10 // of servers with three
	var servers [asked]string
	var all sync.WaitGroup
	for i := range asked {
		all.Go(func() { servers[i] = start(t, demo, fmt.Sprint("s", i), flavor) })
	}
	all.Wait()
	cloud.Settle(t)
	taken := map[string]bool{}
	active := 0
	for _, server := range servers {
		status := demo.ServerStatus(t, server)
		if status == "ERROR" {
			fault := demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+server, nil).Map(t)["server"].(map[string]any)["fault"].(map[string]any)["message"].(string)
			if !strings.Contains(fault, "free dedicated cores, 3 are needed") && !strings.Contains(fault, "PCPU: 3 asked for") {
				t.Errorf("a server without cores says %q", fault)
			}
			continue
		}
		active++
		host, cores := coresOf(t, cloud, server)
		if len(cores) != 3 {
			t.Errorf("server %s has cores %v, want three", server, cores)
		}
		for _, core := range cores {
			at := fmt.Sprint(host, " ", core)
			if taken[at] {
				t.Errorf("core %s has two servers", at)
			}
			taken[at] = true
		}
	}
	if active != fit {
		t.Errorf("%d servers are active, want %d", active, fit)
	}
	// What one gives back the next one gets.
	for _, server := range servers {
		if demo.ServerStatus(t, server) == "ACTIVE" {
			demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+server, nil)
			break
		}
	}
	cloud.Settle(t)
	again := start(t, demo, "again", flavor)
	cloud.Settle(t)
	if status := demo.ServerStatus(t, again); status != "ACTIVE" {
		t.Errorf("a server for cores that were given back is %s", status)
	}
	// Its guest hears which of its processors have a core alone.
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+again, nil)
	cloud.Settle(t)
	told := demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": "told", "flavorRef": flavor, "imageRef": demo.Image(t, "cirros"), "networks": "none", "config_drive": true,
	}}, "OpenStack-API-Version", "compute 2.37").Map(t)["server"].(map[string]any)["id"].(string)
	cloud.Settle(t)
	if drive := configDrive(t, cloud, told); !bytes.Contains(drive, []byte(`"dedicated_cpus":[0,1,2]`)) {
		t.Errorf("the config drive does not tell of the cores: %d bytes", len(drive))
	}
}

// configDrive is the image of a server's config drive, as its host gets it.
func configDrive(t *testing.T, cloud *testcloud.Cloud, server string) []byte {
	t.Helper()
	var machine nodeapi.Machine
	err := cloud.App.DB.Read(t.Context(), func(tx *db.Tx) error {
		documents, err := cloud.App.Hosts.Documents(t.Context(), tx, server)
		for _, d := range documents {
			if err == nil && d.Kind == nodeapi.KindMachine {
				err = json.Unmarshal(d.Desired, &machine)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return machine.ConfigDrive
}

// The topology of a server, as users and as operators see it; and where it is after
// it has been moved, resized and brought back.
func TestTopologiesMove(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2), testcloud.CPUs("2-7,10-15", "0-1,8-9"))
	admin, demo := cloud.Admin(), cloud.Demo()
	two := pinned(t, admin, "two", 4, 256, map[string]string{"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2", "hw:mem_page_size": "large"})
	one := pinned(t, admin, "one", 2, 256, map[string]string{"hw:cpu_policy": "dedicated"})
	free := pinned(t, admin, "free", 1, 256, nil)
	server := start(t, demo, "s", two)
	cloud.Settle(t)
	seen := topologyOf(t, demo, server)
	if len(seen.Nodes) != 2 || seen.Nodes[0].Host != nil || seen.Nodes[0].Pins != nil || seen.Nodes[0].MemoryMB != 128 ||
		seen.PageSize == nil || *seen.PageSize != 2048 || fmt.Sprint(seen.Nodes[0].CPUs, seen.Nodes[1].CPUs) != "[0 1] [2 3]" {
		t.Errorf("a user sees %+v", seen)
	}
	first, cores := coresOf(t, cloud, server)
	if len(cores) != 4 {
		t.Errorf("the server has cores %v, want four", cores)
	}
	// usage is what placement says and what is claimed, which must be the same.
	pcpus := func() map[string]int {
		out := map[string]int{}
		for _, p := range admin.Must(t, 200, "GET", "/placement/resource_providers", nil).Map(t)["resource_providers"].([]any) {
			p := p.(map[string]any)
			used := admin.Must(t, 200, "GET", fmt.Sprintf("/placement/resource_providers/%v/usages", p["uuid"]), nil).Map(t)["usages"].(map[string]any)
			if n, has := used["PCPU"].(float64); has && n > 0 {
				out[p["name"].(string)] = int(n)
			}
		}
		return out
	}
	expect := func(when string, want map[string]int) {
		t.Helper()
		cloud.Settle(t)
		if got := pcpus(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: cores in use are %v, want %v", when, got, want)
		}
	}
	expect("made", map[string]int{first: 4})

	demo.Must(t, 202, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"resize": map[string]any{"flavorRef": one}})
	expect("resized", map[string]int{first: 6})
	if host, now := coresOf(t, cloud, server); host != first || len(now) != 2 || overlaps(now, cores) {
		t.Errorf("resized, the server is on %s with cores %v, want others than %v on %s", host, now, cores, first)
	}
	demo.Must(t, 202, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"revertResize": nil})
	expect("reverted", map[string]int{first: 4})
	if _, now := coresOf(t, cloud, server); fmt.Sprint(len(now)) != "4" || !overlaps(now, cores) {
		t.Errorf("reverted, the server has cores %v, want %v", now, cores)
	}

	admin.Must(t, 202, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"migrate": nil})
	cloud.Settle(t)
	second, _ := coresOf(t, cloud, server)
	if second == first {
		t.Fatalf("the server was not migrated from %s", first)
	}
	expect("migrated", map[string]int{first: 4, second: 4})
	demo.Must(t, 204, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"confirmResize": nil})
	expect("confirmed", map[string]int{second: 4})

	demo.Must(t, 202, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"resize": map[string]any{"flavorRef": free}})
	expect("resized to no cores of its own", map[string]int{second: 4})
	if seen = topologyOf(t, admin, server); len(seen.Nodes) != 0 {
		t.Errorf("a server that floats shows %+v", seen)
	}
	demo.Must(t, 204, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"confirmResize": nil})
	expect("floating", map[string]int{})

	// Of the dedicated cores of each host, four are in cell 0 and eight in cell 1.
	pinned(t, admin, "wide", 9, 256, map[string]string{"hw:cpu_policy": "dedicated"})
	for flavor, want := range map[string]struct {
		fits    int
		because string
	}{
		"two":  {4, "cell 0 has 0 free dedicated cores, 2 are needed"},
		"one":  {12, "2 by capacity"},
		"wide": {0, "2 by NUMA topology (node-1: cell 0 has 4 free dedicated cores, 9 are needed; cell 1 has 8 free dedicated cores, 9 are needed)"},
	} {
		var dry compute.DryResult
		admin.Must(t, 200, "GET", "/nacre/v1/schedule/dry-run?count=100&flavor="+flavor, nil).JSON(t, &dry)
		if dry.Fits != want.fits || !strings.Contains(dry.Summary, want.because) {
			t.Errorf("a dry run of flavor %s: %d fit: %s, want %d and %q", flavor, dry.Fits, dry.Summary, want.fits, want.because)
		}
	}
}

func overlaps(a, b []int) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// What flavor and image must not say together is refused when it is asked for.
func TestTopologiesThatAreRefused(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t)
	admin, demo := cloud.Admin(), cloud.Demo()
	odd := pinned(t, admin, "odd", 3, 256, map[string]string{"hw:numa_nodes": "2"})
	body := func(flavor string) map[string]any {
		return map[string]any{"server": map[string]any{"name": "s", "flavorRef": flavor, "imageRef": demo.Image(t, "cirros"), "networks": "none"}}
	}
	reply := demo.Must(t, 400, "POST", "/compute/v2.1/servers", body(odd), "OpenStack-API-Version", "compute 2.37")
	if !strings.Contains(string(reply.Body), "cannot be evenly distributed") {
		t.Errorf("three processors in two cells: %s", reply.Body)
	}
	server := start(t, demo, "s", "1")
	cloud.Settle(t)
	demo.Must(t, 400, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{"resize": map[string]any{"flavorRef": odd}})
	// The cloud's hosts have no dedicated cores.
	lonely := pinned(t, admin, "lonely", 1, 256, map[string]string{"hw:cpu_policy": "dedicated"})
	alone := start(t, demo, "alone", lonely)
	cloud.Settle(t)
	fault := demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+alone, nil).Map(t)["server"].(map[string]any)["fault"].(map[string]any)["message"].(string)
	if !strings.Contains(fault, "PCPU: 1 asked for, 0 of 0 free") {
		t.Errorf("a server with a core of its own where there is none: %s", fault)
	}
}
