package app_test

import (
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// A volume that is to be local to a server is made on the server's host, or not at
// all.
func TestVolumesAreMadeBesideServers(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(3))
	demo, admin := cloud.Demo(), cloud.Admin()
	type made struct {
		Volume struct {
			ID, Status string
			Host       string `json:"os-vol-host-attr:host"`
		}
	}
	create := func(server string, what map[string]any) (m made) {
		t.Helper()
		demo.Must(t, 202, "POST", "/volume/v3/volumes", map[string]any{
			"volume": what, "OS-SCH-HNT:scheduler_hints": map[string]any{"local_to_instance": server},
		}).JSON(t, &m)
		cloud.Settle(t)
		admin.Must(t, 200, "GET", "/volume/v3/volumes/"+m.Volume.ID, nil).JSON(t, &m)
		return m
	}
	var servers []string
	hosts := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		id := demo.MustCreateServer(t, name)
		var s struct {
			Server struct {
				Host string `json:"OS-EXT-SRV-ATTR:host"`
			}
		}
		admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+id, nil).JSON(t, &s)
		servers, hosts[id] = append(servers, id), s.Server.Host
	}
	var of made
	for range 2 {
		for _, id := range servers {
			of = create(id, map[string]any{"size": 1})
			if of.Volume.Status != "available" || hostOf(of.Volume.Host) != hosts[id] {
				t.Errorf("the volume is %s on %s, want available on %s, where the server is", of.Volume.Status, of.Volume.Host, hosts[id])
			}
		}
	}
	// A copy is where its source is.
	copied := create(servers[2], map[string]any{"source_volid": of.Volume.ID})
	if copied.Volume.Status != "available" {
		t.Errorf("a copy on the host of its source is %s, want available", copied.Volume.Status)
	}
	for _, id := range servers {
		if hosts[id] == hosts[servers[2]] {
			continue
		}
		copied = create(id, map[string]any{"source_volid": of.Volume.ID})
		if copied.Volume.Status != "error" {
			t.Errorf("a copy that cannot be beside the server is %s, want error", copied.Volume.Status)
		}
	}
	for what, hint := range map[string]any{"no server": "11111111-2222-4333-8444-555555555555", "no text": 1} {
		reply := demo.Do(t, "POST", "/volume/v3/volumes", map[string]any{
			"volume": map[string]any{"size": 1}, "OS-SCH-HNT:scheduler_hints": map[string]any{"local_to_instance": hint},
		})
		if reply.Status != 400 {
			t.Errorf("local to %s: got %d, want 400", what, reply.Status)
		}
	}
}

// hostOf is the host in the name of a volume's backend, HOST@BACKEND#POOL.
func hostOf(backend string) string {
	host, _, _ := strings.Cut(backend, "@")
	return host
}
