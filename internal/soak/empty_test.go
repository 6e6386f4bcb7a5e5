package soak

import (
	"path/filepath"

	"nacre/internal/fabric/simulated"
)

// left is what simulated hosts and their network should not have when the cloud
// is empty.
func (l *lab) left(ports map[string]bool) (list []string) {
	l.t.Helper()
	for _, file := range []string{"machines.json", "volumes.json"} {
		found, err := filepath.Glob(filepath.Join(l.dir, "*", "hosts", "*", file))
		if err != nil || len(found) == 0 {
			l.t.Fatalf("no host has a file %s: %v", file, err)
		}
		for _, path := range found {
			for _, id := range stateIDs(l.t, path) {
				list = append(list, filepath.Base(filepath.Dir(path))+" has "+id)
			}
		}
	}
	network := simulated.Dial("unix:" + filepath.Join(l.dir, "fabric"))
	defer network.Close()
	topology, err := network.Topology(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range topology.Ports {
		if !ports[p.ID] {
			list = append(list, "the network has port "+p.ID)
		}
		if p.Trunk != "" {
			list = append(list, "the network has a VLAN of trunk "+p.Trunk)
		}
	}
	for _, r := range topology.Routers {
		for _, f := range r.Forwardings {
			list = append(list, "the network has port forwarding "+f.ID)
		}
	}
	return list
}
