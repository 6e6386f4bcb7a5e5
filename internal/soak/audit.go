package soak

import (
	"testing"
	"time"

	"nacre/internal/await"
)

// ServerRow is a server as its operator sees it.
type ServerRow struct {
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

type plan struct{ Name, Resource, Status, Step, Reason, Since, Deadline string }

type portRow struct {
	ID, Status  string
	DeviceID    string `json:"device_id"`
	DeviceOwner string `json:"device_owner"`
}

// Audit waits until the cloud is at rest and then compares what the APIs say with
// what was acknowledged and with each other. It returns the servers that there
// are. A server may have failed if there is an excuse for its fault.
func Audit(t *testing.T, admin *Client, d *Day, excuse func(fault string) bool) map[string]ServerRow {
	t.Helper()
	var plans []plan
	var machines []ServerRow
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("at the end, plans: %+v; servers: %+v", plans, machines)
		}
	})
	await.Until(t, "the plans to end", 4*time.Minute, func() bool {
		admin.List(t, "/nacre/v1/plans?unfinished=true", "plans", &plans)
		return len(plans) == 0
	})
	admin.List(t, "/compute/v2.1/servers/detail?all_tenants=1", "servers", &machines)
	byID := map[string]ServerRow{}
	for _, s := range machines {
		byID[s.ID] = s
		_, rests := acts[s.Status]
		if s.TaskState != nil || !rests {
			t.Errorf("server %s is stuck: %s, task %v", s.ID, s.Status, s.TaskState)
		}
		if s.Status == "ERROR" {
			if s.Fault == nil || !excuse(s.Fault.Message) {
				t.Errorf("server %s failed without need: %+v", s.ID, s.Fault)
			}
			continue
		}
		if len(s.Addresses) == 0 {
			t.Errorf("server %s has no address", s.ID)
		}
	}
	d.Servers.Check(t, "server", func(id string) bool { _, exists := byID[id]; return exists })
	auditVolumes(t, admin, byID, d.Volumes)
	auditImages(t, admin, d.Images)
	auditRules(t, admin, d.Rules)
	auditPorts(t, admin, byID)
	auditNetwork(t, admin, d)
	auditPlacement(t, admin, byID)
	d.History.Check(t)
	return byID
}

// NoExcuse is for runs in which nothing but the cloud's own processes is hurt.
func NoExcuse(string) bool { return false }

func auditVolumes(t *testing.T, admin *Client, servers map[string]ServerRow, acknowledged *Ledger) {
	t.Helper()
	var disks []volumeRow
	admin.List(t, "/volume/v3/volumes/detail?all_tenants=1", "volumes", &disks)
	known, away := map[string]bool{}, map[string]bool{}
	for _, s := range servers {
		for _, a := range s.Volumes {
			away[a.ID] = s.Status == "SHELVED_OFFLOADED"
		}
	}
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
		case "reserved":
			if !away[d.ID] {
				t.Errorf("volume %s is reserved for no server that is shelved", d.ID)
			}
		default:
			t.Errorf("volume %s is stuck: %s", d.ID, d.Status)
		}
	}
	acknowledged.Check(t, "volume", func(id string) bool { return known[id] })
}

func auditImages(t *testing.T, admin *Client, acknowledged *Ledger) {
	t.Helper()
	var images []struct {
		ID, Status string
		Task       string `json:"os_glance_import_task"`
	}
	admin.List(t, "/image/v2/images?limit=1000", "images", &images)
	known := map[string]bool{}
	for _, i := range images {
		known[i.ID] = true
		if i.Task != "" || (i.Status != "queued" && i.Status != "active") {
			t.Errorf("image %s is stuck: %s, task %q", i.ID, i.Status, i.Task)
		}
	}
	acknowledged.Check(t, "image", func(id string) bool { return known[id] })
}

func auditRules(t *testing.T, admin *Client, acknowledged *Ledger) {
	t.Helper()
	var rules []struct{ ID string }
	admin.List(t, "/network/v2.0/security-group-rules", "security_group_rules", &rules)
	known := map[string]bool{}
	for _, r := range rules {
		known[r.ID] = true
	}
	acknowledged.Check(t, "rule", func(id string) bool { return known[id] })
}

func auditPorts(t *testing.T, admin *Client, servers map[string]ServerRow) {
	t.Helper()
	var ports []portRow
	admin.List(t, "/network/v2.0/ports", "ports", &ports)
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
	for id, s := range servers {
		if has[id] != 1 && s.Status != "ERROR" {
			t.Errorf("server %s has %d ports, want 1", id, has[id])
		}
	}
}
