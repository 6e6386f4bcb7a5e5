package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/testcloud"
)

func scenarioFile(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "scenario.yaml")
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// staged is a cloud in a scenario.
func staged(t *testing.T, hosts int, text string, more ...testcloud.Option) *testcloud.Cloud {
	t.Helper()
	if os.Getenv("NACRE_TEST_SERVERS") != "" {
		more = append(more, testcloud.OwnDB())
	}
	return testcloud.Start(t, append(more, testcloud.Scenario(scenarioFile(t, text)), testcloud.Nodes(hosts))...)
}

// hostUp tells what the cloud thinks of a host.
func hostUp(t *testing.T, cloud *testcloud.Cloud, host string) bool {
	var reply struct {
		Services []struct{ Host, State string }
	}
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/os-services?binary=nova-compute&host="+host, nil).JSON(t, &reply)
	return len(reply.Services) == 1 && reply.Services[0].State == "up"
}

// Hosts have what the file gives them, and a boot that fails by it is the server's
// fault to read.
func TestScenarioOfHosts(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 2, `
hosts:
  - {vcpus: 3, memory_mb: 4096, disk_gb: 50, fails: {boot: 100%}}
  - fails: {boot: 100%}
`)
	var reply struct {
		Hypervisors []struct {
			Host   string `json:"hypervisor_hostname"`
			VCPUs  int
			Memory int `json:"memory_mb"`
			Disk   int `json:"local_gb"`
		}
	}
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/os-hypervisors/detail", nil, "OpenStack-API-Version", "compute 2.50").JSON(t, &reply)
	for _, h := range reply.Hypervisors {
		if h.Host == "node-1" && (h.VCPUs != 3 || h.Memory != 4096 || h.Disk != 50) || h.Host == "node-2" && h.VCPUs != 16 {
			t.Errorf("got %+v", h)
		}
	}
	demo := cloud.Demo()
	id := demo.CreateServer(t, "web")
	cloud.Settle(t)
	var shown struct {
		Server struct {
			Status string
			Fault  struct{ Message string }
		}
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+id, nil).JSON(t, &shown)
	if shown.Server.Status != "ERROR" || !strings.Contains(shown.Server.Fault.Message, "The scenario has this boot fail") {
		t.Errorf("got %+v, want an error that names the scenario", shown.Server)
	}
}

// Hosts of a scenario divide their processors by the settings, as all others do.
func TestScenarioOfDividedHosts(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 1, "hosts: [{vcpus: 8, memory_mb: 4096, disk_gb: 50}]\n", testcloud.CPUs("4-7", "0-3"))
	cloud.Until(t, "the host to have told of its processors", func() bool {
		var list struct {
			Providers []struct{ UUID string } `json:"resource_providers"`
		}
		cloud.Admin().Must(t, 200, "GET", "/placement/resource_providers?name=node-1", nil).JSON(t, &list)
		var has struct {
			Inventories map[string]struct{ Total int }
		}
		cloud.Admin().Must(t, 200, "GET", "/placement/resource_providers/"+list.Providers[0].UUID+"/inventories", nil).JSON(t, &has)
		return has.Inventories["VCPU"].Total == 4 && has.Inventories["PCPU"].Total == 4
	})
}

// A host that dies takes its guests with it. Both come back.
func TestScenarioOfDeath(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 1, `
speed: 20
hosts: [{}]
events:
  - {at: 200s, for: 60s, host: node-1, fault: down}
`)
	demo := cloud.Demo()
	id := demo.MustCreateServer(t, "web")
	run := func() int { return cloud.App.Simulated.Machines["node-1"].Run(id) }
	if !hostUp(t, cloud, "node-1") || run() != 1 {
		t.Fatalf("the guest was booted %d times, want once, on a host that is up", run())
	}
	cloud.Until(t, "the guest to die", func() bool { return run() == 0 })
	cloud.Until(t, "the host to count as down", func() bool { return !hostUp(t, cloud, "node-1") })
	cloud.Until(t, "both to come back", func() bool { return hostUp(t, cloud, "node-1") && run() == 2 })
	cloud.Until(t, "the port to be up again", func() bool {
		var reply struct{ Port struct{ Status string } }
		demo.Must(t, 200, "GET", "/network/v2.0/ports/"+demo.PortOf(t, id), nil).JSON(t, &reply)
		return reply.Port.Status == "ACTIVE"
	})
	if got := demo.ServerStatus(t, id); got != "ACTIVE" {
		t.Errorf("the server is %s, want ACTIVE", got)
	}
}

// A host that is cut off counts as down, and its guests run on.
func TestScenarioOfCutLink(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 1, `
speed: 20
hosts: [{}]
events:
  - {at: 200s, for: 60s, host: node-1, fault: cut}
`)
	id := cloud.Demo().MustCreateServer(t, "web")
	cloud.Until(t, "the host to count as down", func() bool { return !hostUp(t, cloud, "node-1") })
	late := cloud.Demo().CreateServer(t, "late")
	cloud.Until(t, "the host to come back", func() bool { return hostUp(t, cloud, "node-1") })
	if run := cloud.App.Simulated.Machines["node-1"].Run(id); run != 1 {
		t.Errorf("the guest was booted %d times, want once", run)
	}
	cloud.Until(t, "what was asked for meanwhile to have ended", func() bool {
		status := cloud.Demo().ServerStatus(t, late)
		return status == "ACTIVE" || status == "ERROR"
	})
}

// A server can be deleted, and restored, while its host is cut off. Nobody moves it
// elsewhere meanwhile.
func TestScenarioOfSoftDelete(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 1, `
speed: 20
hosts: [{}]
events:
  - {at: 200s, for: 100s, host: node-1, fault: cut}
`, testcloud.Reclaimed(3600))
	demo := cloud.Demo()
	id := demo.MustCreateServer(t, "web")
	act := func(want int, body map[string]any) {
		t.Helper()
		cloud.Admin().Must(t, want, "POST", "/compute/v2.1/servers/"+id+"/action", body)
	}
	running := func() int { return cloud.App.Simulated.Machines["node-1"].Run(id) }
	cloud.Until(t, "the host to count as down", func() bool { return !hostUp(t, cloud, "node-1") })
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+id, nil)
	act(409, map[string]any{"evacuate": map[string]any{}})
	cloud.Until(t, "the server to be deleted", func() bool { return cloud.Admin().ServerStatus(t, id) == "SOFT_DELETED" })
	act(409, map[string]any{"evacuate": map[string]any{}})
	if hostUp(t, cloud, "node-1") || running() != 1 {
		t.Errorf("its guest has run %d times, want once, on a host that is down", running())
	}
	cloud.Until(t, "its guest to stop, as the host is back", func() bool { return running() == 0 })
	act(202, map[string]any{"restore": nil})
	cloud.Until(t, "the server to be back", func() bool { return demo.ServerStatus(t, id) == "ACTIVE" && running() > 0 })
}

// On a full disk no guest begins, until there is room again; a slow host is slow.
func TestScenarioOfFullAndSlow(t *testing.T) {
	t.Parallel()
	cloud := staged(t, 1, `
speed: 20
hosts: [{takes: {boot: 1s}}]
events:
  - {host: node-1, fault: full, for: 120s}
  - {host: node-1, fault: slow, by: 3}
`)
	demo := cloud.Demo()
	id := demo.CreateServer(t, "web")
	cloud.Until(t, "the reason to be told", func() bool {
		var reply struct {
			Plans []struct{ Resource, Reason string }
		}
		cloud.Admin().Must(t, 200, "GET", "/nacre/v1/plans?unfinished=true", nil).JSON(t, &reply)
		for _, p := range reply.Plans {
			if p.Resource == id && strings.Contains(p.Reason, "no space left") {
				return true
			}
		}
		return false
	})
	cloud.Until(t, "the server to be ACTIVE", func() bool { return demo.ServerStatus(t, id) == "ACTIVE" })
}

// A cloud that is started again goes on in the middle of its scenario, and its
// clock with it, also without the scenario.
func TestScenarioGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := scenarioFile(t, "speed: 100\nevents: [{host: node-1, fault: down, at: 10m}]")
	began := time.Now()
	start := func(scenario string) time.Time {
		cloud, err := app.Start(t.Context(), app.Config{DataDir: dir, DB: filepath.Join(dir, "nacre.db"), Listen: testcloud.FreeAddress(t), Scenario: scenario, LogLevel: "error"})
		if err != nil {
			t.Fatal(err)
		}
		defer cloud.Close()
		return cloud.Config.Clock.Now()
	}
	first := start(file)
	second := start(file)
	third := start("")
	if !first.Before(second) || !second.Before(third) {
		t.Errorf("the clock showed %s, %s and %s, want it to go on", first, second, third)
	}
	if time.Since(began) > time.Second/2 && third.Sub(began) < 10*time.Second {
		t.Errorf("after %s the clock is %s ahead, want it to have run fast", time.Since(began), third.Sub(began))
	}
	var state struct{ Scenario time.Time }
	text, err := os.ReadFile(filepath.Join(dir, "clock.json"))
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil || state.Scenario.Sub(began) > time.Minute {
		t.Errorf("the scenario counts from %s, %v, want its first start at %s", state.Scenario, err, began)
	}
}

// A file that is wrong is refused before anything runs.
func TestScenarioIsRefused(t *testing.T) {
	t.Parallel()
	file := scenarioFile(t, "hosts:\n  - {}\nevents:\n  - {host: node-2, fault: down}\n")
	for want, change := range map[string]func(c *app.Config){
		"line 4: there is no host node-2; the only one is node-1": func(*app.Config) {},
		"only simulated hosts have a scenario":                    func(c *app.Config) { c.Server, c.SimFabric = true, "127.0.0.1:1" },
	} {
		dir := t.TempDir()
		config := app.Config{DataDir: dir, DB: filepath.Join(dir, "nacre.db"), Listen: testcloud.FreeAddress(t), Scenario: file}
		change(&config)
		_, err := app.Start(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Hosts that join a cluster have what the same file gives them, lose their guests
// with their power, and come back with them.
func TestScenarioOfNodes(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Servers(1), testcloud.Nodes(1), testcloud.Scenario(scenarioFile(t, `
hosts: [{vcpus: 3, takes: {boot: 100ms}}]
events:
  - {host: node-1, fault: down, at: 2s, for: 1s, every: 4s}
  - {host: any, fault: slow, by: 2}
`)))
	var reply struct{ Hypervisors []struct{ VCPUs int } }
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/os-hypervisors/detail", nil, "OpenStack-API-Version", "compute 2.50").JSON(t, &reply)
	if len(reply.Hypervisors) != 1 || reply.Hypervisors[0].VCPUs != 3 {
		t.Errorf("got %+v, want one host with 3 processors", reply.Hypervisors)
	}
	id := cloud.Demo().CreateServer(t, "web")
	cloud.Until(t, "the guest to be booted again", func() bool { return cloud.App.Simulated.Machines["node-1"].Run(id) >= 2 })
}

// What hosts that join cannot have is refused before they do.
func TestScenarioOfNodesIsRefused(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]app.NodeConfig{
		"line 1: there is no host node-1; there are rack-1 to rack-2": {Simulated: 2, Scenario: scenarioFile(t, "events: [{host: node-1, fault: down}]")},
		"the speed is that of the servers' clock":                     {Simulated: 1, Scenario: scenarioFile(t, "speed: 2")},
		"only simulated hosts have a scenario":                        {Scenario: scenarioFile(t, "seed: 2")},
	} {
		c.Name, c.DataDir, c.LogLevel = "rack", t.TempDir(), "error"
		err := app.RunNode(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
