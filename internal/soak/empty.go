package soak

import (
	"fmt"
	"testing"
	"time"

	"nacre/internal/await"
)

// Empty removes every server and volume, and waits until nothing is left of them:
// in the network, in placement, in the quotas, and in whatever else the caller
// looks at.
func Empty(t *testing.T, admin, demo *Client, besides func(ports map[string]bool) []string) {
	t.Helper()
	removeAll(t, admin, "/compute/v2.1/servers?all_tenants=1", "servers", "/compute/v2.1/servers/", 204)
	removeAll(t, admin, "/volume/v3/volumes?all_tenants=1", "volumes", "/volume/v3/volumes/", 202)
	var left []string
	deadline := time.Now().Add(time.Minute)
	for {
		var ports map[string]bool
		left, ports = leftOver(t, admin, demo)
		left = append(left, besides(ports)...)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left over: %q", left)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// removeAll removes all of a list and waits until the list is empty.
func removeAll(t *testing.T, admin *Client, list, key, path string, acknowledged int) {
	t.Helper()
	var rows []struct{ ID string }
	admin.List(t, list, key, &rows)
	for _, row := range rows {
		admin.Must(t, "DELETE", path+row.ID, nil, acknowledged, nil)
	}
	await.Until(t, "all "+key+" to be gone", time.Minute, func() bool {
		admin.List(t, list, key, &rows)
		return len(rows) == 0
	})
}

// leftOver is what the APIs of an empty cloud should not say, and the ports that
// there are.
func leftOver(t *testing.T, admin, demo *Client) (list []string, known map[string]bool) {
	t.Helper()
	var ports []portRow
	admin.List(t, "/network/v2.0/ports", "ports", &ports)
	known = map[string]bool{}
	for _, p := range ports {
		known[p.ID] = true
		if p.DeviceOwner == "compute:nova" || p.DeviceOwner == "" {
			list = append(list, "port "+p.ID)
		}
	}
	var providers []struct{ UUID, Name string }
	admin.List(t, "/placement/resource_providers", "resource_providers", &providers)
	for _, p := range providers {
		var used map[string]int64
		admin.List(t, "/placement/resource_providers/"+p.UUID+"/usages", "usages", &used)
		for class, n := range used {
			if n != 0 {
				list = append(list, fmt.Sprintf("%s has %d %s in use", p.Name, n, class))
			}
		}
	}
	return append(list, quotas(t, demo)...), known
}

// quotas are what the demo project's quotas say is in use.
func quotas(t *testing.T, demo *Client) (list []string) {
	t.Helper()
	var compute, volume map[string]float64
	demo.List(t, "/compute/v2.1/limits", "limits", &struct{ Absolute *map[string]float64 }{&compute})
	demo.List(t, "/volume/v3/limits", "limits", &struct{ Absolute *map[string]float64 }{&volume})
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
