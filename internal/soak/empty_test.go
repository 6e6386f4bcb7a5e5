package soak

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/fabric/simulated"
)

func decode(t *testing.T, body []byte, err error, into any) {
	t.Helper()
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatalf("read reply %s: %v", body, err)
	}
}

// empty removes every server and volume, and waits until nothing is left of them:
// on the hosts, in the network, in placement, in the quotas.
func (l *lab) empty(admin *client) {
	l.t.Helper()
	l.removeAll(admin, "/compute/v2.1/servers?all_tenants=1", "servers", "/compute/v2.1/servers/", 204)
	l.removeAll(admin, "/volume/v3/volumes?all_tenants=1", "volumes", "/volume/v3/volumes/", 202)
	var left []string
	deadline := time.Now().Add(time.Minute)
	for {
		left = l.left(admin)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("left over: %q", left)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// removeAll removes all of a list and waits until the list is empty.
func (l *lab) removeAll(admin *client, list, key, path string, acknowledged int) {
	l.t.Helper()
	var rows []struct{ ID string }
	admin.list(l.t, list, key, &rows)
	for _, row := range rows {
		admin.must(l.t, "DELETE", path+row.ID, nil, acknowledged, nil)
	}
	await.Until(l.t, "all "+key+" to be gone", time.Minute, func() bool {
		admin.list(l.t, list, key, &rows)
		return len(rows) == 0
	})
}

// left is what an empty cloud should not have.
func (l *lab) left(admin *client) (list []string) {
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
	var ports []portRow
	admin.list(l.t, "/network/v2.0/ports", "ports", &ports)
	for _, p := range topology.Ports {
		if !slices.ContainsFunc(ports, func(known portRow) bool { return known.ID == p.ID }) {
			list = append(list, "the network has port "+p.ID)
		}
	}
	for _, p := range ports {
		if p.DeviceOwner == "compute:nova" || p.DeviceOwner == "" {
			list = append(list, "port "+p.ID)
		}
	}
	var providers []struct{ UUID, Name string }
	admin.list(l.t, "/placement/resource_providers", "resource_providers", &providers)
	for _, p := range providers {
		var used map[string]int64
		admin.list(l.t, "/placement/resource_providers/"+p.UUID+"/usages", "usages", &used)
		for class, n := range used {
			if n != 0 {
				list = append(list, fmt.Sprintf("%s has %d %s in use", p.Name, n, class))
			}
		}
	}
	return append(list, l.quotas()...)
}

// quotas are what the demo project's quotas say is in use.
func (l *lab) quotas() (list []string) {
	l.t.Helper()
	demo := l.client("demo")
	var compute, volume map[string]float64
	demo.list(l.t, "/compute/v2.1/limits", "limits", &struct{ Absolute *map[string]float64 }{&compute})
	demo.list(l.t, "/volume/v3/limits", "limits", &struct{ Absolute *map[string]float64 }{&volume})
	for name, n := range compute {
		if (name == "totalInstancesUsed" || name == "totalCoresUsed" || name == "totalRAMUsed") && n != 0 {
			list = append(list, fmt.Sprintf("%s is %v", name, n))
		}
	}
	for name, n := range volume {
		if (name == "totalVolumesUsed" || name == "totalGigabytesUsed") && n != 0 {
			list = append(list, fmt.Sprintf("%s is %v", name, n))
		}
	}
	return list
}
