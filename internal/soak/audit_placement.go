package soak

import "testing"

type resources struct {
	Resources map[string]int64
}

// auditPlacement compares what placement says is in use with the servers that
// there are, and with the moves that wait for their confirmation.
func auditPlacement(t *testing.T, admin *Client, servers map[string]ServerRow) {
	t.Helper()
	moves := map[string]moveRow{}
	var list []moveRow
	admin.List(t, "/compute/v2.1/os-migrations?limit=1000", "migrations", &list)
	for _, m := range list {
		moves[m.UUID] = m
	}
	var providers []struct{ UUID, Name string }
	admin.List(t, "/placement/resource_providers", "resource_providers", &providers)
	holds := map[string]bool{} // servers
	for _, p := range providers {
		var used map[string]int64
		admin.List(t, "/placement/resource_providers/"+p.UUID+"/usages", "usages", &used)
		var by map[string]resources
		admin.List(t, "/placement/resource_providers/"+p.UUID+"/allocations", "allocations", &by)
		for id, has := range by {
			for class, n := range has.Resources {
				used[class] -= n
			}
			s, known := servers[id]
			switch {
			case known && s.Host == p.Name:
				holds[id] = true
				checkHolds(t, s, has.Resources)
			case known:
				t.Errorf("server %s, which is on host %q, holds %v on %s", id, s.Host, has.Resources, p.Name)
			default:
				m := moves[id]
				if m.Status != "finished" || m.Source != p.Name || servers[m.Server].Status != "VERIFY_RESIZE" {
					t.Errorf("%s holds %v on %s, and is neither a server nor a move that waits: %+v of a server that is %q; the moves are %+v",
						id, has.Resources, p.Name, m, servers[m.Server].Status, of(list, m.Server))
				}
			}
		}
		for class, n := range used {
			if n != 0 {
				t.Errorf("%s has %d %s more in use than its consumers hold", p.Name, n, class)
			}
		}
	}
	for id, s := range servers {
		if s.Host != "" && !holds[id] {
			t.Errorf("server %s is on host %s and holds nothing there", id, s.Host)
		}
	}
}

// moveRow is a migration.
type moveRow struct {
	UUID, Status string
	Kind         string `json:"migration_type"`
	Server       string `json:"instance_uuid"`
	Source       string `json:"source_compute"`
	Dest         string `json:"dest_compute"`
	Updated      string `json:"updated_at"`
}

// of are the moves of a server.
func of(list []moveRow, server string) (its []moveRow) {
	for _, m := range list {
		if m.Server == server {
			its = append(its, m)
		}
	}
	return its
}

// checkHolds compares what a server holds with its flavor: all of that, and no more
// unless it has another one until it is settled.
func checkHolds(t *testing.T, s ServerRow, has map[string]int64) {
	t.Helper()
	for class, want := range map[string]int64{"VCPU": s.Flavor.VCPUs, "MEMORY_MB": s.Flavor.RAM, "DISK_GB": s.Flavor.Disk} {
		got := has[class]
		if got < want || got > want && s.Status != "VERIFY_RESIZE" {
			t.Errorf("server %s, which is %s, holds %d %s, want %d", s.ID, s.Status, got, class, want)
		}
	}
}
