package soak

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nacre/internal/await"
)

type serverRow struct {
	ID        string
	Status    string
	TaskState *string                   `json:"OS-EXT-STS:task_state"`
	Host      string                    `json:"OS-EXT-SRV-ATTR:host"`
	Volumes   []struct{ ID string }     `json:"os-extended-volumes:volumes_attached"`
	Addresses map[string][]any          `json:"addresses"`
	Fault     *struct{ Message string } `json:"fault"`
	Flavor    struct{ VCPUs, RAM, Disk int64 }
}

type volumeRow struct {
	ID          string
	Status      string
	Attachments []struct {
		ServerID string `json:"server_id"`
	}
}

type portRow struct {
	ID, Status  string
	DeviceID    string `json:"device_id"`
	DeviceOwner string `json:"device_owner"`
}

// audit waits until the cloud is at rest and then compares everything with
// everything.
//
// The folder has the data folders of the processes that simulate hosts.
func audit(t *testing.T, folder string, admin *client, servers, volumes, images *ledger) {
	t.Helper()
	await.Until(t, "the plans to end", 90*time.Second, func() bool {
		var plans []struct{ Name, Status, Step, Reason string }
		admin.list(t, "/nacre/v1/plans", "plans", &plans)
		for _, p := range plans {
			if p.Status != "done" && p.Status != "undone" {
				return false
			}
		}
		return true
	})
	var machines []serverRow
	admin.list(t, "/compute/v2.1/servers/detail?all_tenants=1", "servers", &machines)
	byID := map[string]serverRow{}
	for _, s := range machines {
		byID[s.ID] = s
		if s.TaskState != nil || (s.Status != "ACTIVE" && s.Status != "SHUTOFF" && s.Status != "ERROR") {
			t.Errorf("server %s is stuck: %s, task %v", s.ID, s.Status, s.TaskState)
		}
		if s.Status == "ERROR" {
			t.Errorf("server %s failed though nothing but the cloud's process did: %+v", s.ID, s.Fault)
		}
		if len(s.Addresses) == 0 {
			t.Errorf("server %s has no address", s.ID)
		}
	}
	servers.check(t, "server", func(id string) bool { _, exists := byID[id]; return exists })
	auditVolumes(t, admin, byID, volumes)
	auditImages(t, admin, images)
	auditPorts(t, admin, byID)
	auditPlacement(t, admin, machines)
	auditHosts(t, folder, byID)
}

func auditVolumes(t *testing.T, admin *client, servers map[string]serverRow, acknowledged *ledger) {
	t.Helper()
	var disks []volumeRow
	admin.list(t, "/volume/v3/volumes/detail?all_tenants=1", "volumes", &disks)
	known := map[string]bool{}
	for _, d := range disks {
		known[d.ID] = true
		switch d.Status {
		case "available":
			if len(d.Attachments) > 0 {
				t.Errorf("volume %s is available and attached", d.ID)
			}
		case "in-use":
			if len(d.Attachments) != 1 {
				t.Errorf("volume %s is in use by %d servers", d.ID, len(d.Attachments))
				continue
			}
			s, exists := servers[d.Attachments[0].ServerID]
			has := false
			for _, a := range s.Volumes {
				has = has || a.ID == d.ID
			}
			if !exists || !has {
				t.Errorf("volume %s is in use by server %s, which has it not (it exists: %v)", d.ID, d.Attachments[0].ServerID, exists)
			}
		default:
			t.Errorf("volume %s is stuck: %s", d.ID, d.Status)
		}
	}
	acknowledged.check(t, "volume", func(id string) bool { return known[id] })
}

func auditImages(t *testing.T, admin *client, acknowledged *ledger) {
	t.Helper()
	var images []struct {
		ID, Status string
		Task       string `json:"os_glance_import_task"`
	}
	admin.list(t, "/image/v2/images?limit=1000", "images", &images)
	known := map[string]bool{}
	for _, i := range images {
		known[i.ID] = true
		if i.Task != "" || (i.Status != "queued" && i.Status != "active") {
			t.Errorf("image %s is stuck: %s, task %q", i.ID, i.Status, i.Task)
		}
	}
	acknowledged.check(t, "image", func(id string) bool { return known[id] })
}

func auditPorts(t *testing.T, admin *client, servers map[string]serverRow) {
	t.Helper()
	var ports []portRow
	admin.list(t, "/network/v2.0/ports", "ports", &ports)
	has := map[string]int{}
	for _, p := range ports {
		if p.DeviceOwner != "compute:nova" {
			continue
		}
		has[p.DeviceID]++
		if _, exists := servers[p.DeviceID]; !exists {
			t.Errorf("port %s belongs to server %s, which is gone", p.ID, p.DeviceID)
		}
	}
	for id := range servers {
		if has[id] != 1 {
			t.Errorf("server %s has %d ports, want 1", id, has[id])
		}
	}
}

func auditPlacement(t *testing.T, admin *client, servers []serverRow) {
	t.Helper()
	want := map[string]int64{}
	for _, s := range servers {
		want["VCPU"] += s.Flavor.VCPUs
		want["MEMORY_MB"] += s.Flavor.RAM
		want["DISK_GB"] += s.Flavor.Disk
	}
	got := map[string]int64{}
	var providers []struct{ UUID string }
	admin.list(t, "/placement/resource_providers", "resource_providers", &providers)
	for _, p := range providers {
		var used map[string]int64
		admin.list(t, "/placement/resource_providers/"+p.UUID+"/usages", "usages", &used)
		for class, n := range used {
			got[class] += n
		}
	}
	for class, n := range want {
		if got[class] != n {
			t.Errorf("placement has %d %s in use, the servers have %d", got[class], class, n)
		}
	}
}

// auditHosts looks at what the simulated hosts have on their disks.
func auditHosts(t *testing.T, folder string, servers map[string]serverRow) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "hosts", "*", "machines.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no host has a state file: %v", err)
	}
	at := map[string]int{}
	for _, path := range files {
		for _, id := range stateIDs(t, path) {
			at[id]++
			if _, wanted := servers[id]; !wanted {
				t.Errorf("%s has guest %s, which nobody asked for", path, id)
			}
		}
	}
	for id := range servers {
		if at[id] != 1 {
			t.Errorf("server %s runs on %d hosts, want 1", id, at[id])
		}
	}
}

// stateIDs are the ids of what a simulated host has on its disk.
func stateIDs(t *testing.T, path string) (ids []string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	err = json.Unmarshal(content, &all)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return slices.Collect(maps.Keys(all))
}
