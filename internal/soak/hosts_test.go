package soak

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// auditHosts looks at what the simulated hosts have on their disks.
func auditHosts(t *testing.T, folder string, servers map[string]ServerRow) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "hosts", "*", "machines.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no host has a state file: %v", err)
	}
	at := map[string]int{}
	for _, path := range files {
		for _, id := range stateIDs(t, path) {
			s, known := servers[id]
			switch host := filepath.Base(filepath.Dir(path)); {
			case known && s.Host == host:
				at[id]++
			case !known || s.Status != "VERIFY_RESIZE": // which keeps its disk where it was
				t.Errorf("%s has guest %s, which nobody asked for", path, id)
			}
		}
	}
	for id, s := range servers {
		if want := min(1, len(s.Host)); at[id] != want {
			t.Errorf("server %s, which is %s on host %q, is on %d hosts, want %d", id, s.Status, s.Host, at[id], want)
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
