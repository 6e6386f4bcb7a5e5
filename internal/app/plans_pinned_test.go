package app_test

import (
	"testing"

	"nacre/internal/testcloud"
)

// pinnedCases are the lines of the plans by which a server with cores of its own, in
// two NUMA cells, moves and is resized.
var pinnedCases = map[string]planCase{
	"server.create: pinned": {plan: "server.create", pinned: true,
		begin: func(t *testing.T, s *stage) { s.server = start(t, s.demo, "web", s.demo.Flavor(t, "pinned")) },
		givenUp: left{kind: "servers", quota: map[string]int{"instances": 1, "cores": 2, "ram": 256},
			rows: secretsLeft},
	},
	"server.live_migrate: pinned": {plan: "server.live_migrate", hosts: 2, pinned: true, prepare: atHome(withPinned),
		begin: adminDoes("os-migrateLive", map[string]any{"host": nil, "block_migration": "auto"})},
	"server.evacuate: pinned": {plan: "server.evacuate", hosts: 2, pinned: true,
		prepare: func(t *testing.T, s *stage) {
			atHome(withPinned)(t, s)
			lose(t, s, "node-1", true)
			t.Cleanup(func() { lose(t, s, "node-1", false) })
		},
		begin: adminDoes("evacuate", map[string]any{}),
	},
	"server.unshelve: pinned": {plan: "server.unshelve", pinned: true, prepare: then(withPinned, shelve), begin: does("unshelve", nil)},

	"server.resize: pinned, here":         {plan: "server.resize", pinned: true, prepare: withPinned, begin: resizePinned},
	"server.confirm_resize: pinned, here": {plan: "server.confirm_resize", pinned: true, prepare: then(withPinned, resizePinned), begin: does("confirmResize", nil)},
	"server.revert_resize: pinned, here":  {plan: "server.revert_resize", pinned: true, prepare: then(withPinned, resizePinned), begin: does("revertResize", nil)},
	"server.resize: pinned, away": {plan: "server.resize", hosts: 2, pinned: true,
		prepare: then(atHome(withPinned), fillHost), begin: resizePinned},
	"server.confirm_resize: pinned, away": {plan: "server.confirm_resize", hosts: 2, pinned: true,
		prepare: then(atHome(withPinned), migrate), begin: does("confirmResize", nil)},
	"server.revert_resize: pinned, away": {plan: "server.revert_resize", hosts: 2, pinned: true,
		prepare: then(atHome(withPinned), migrate), begin: does("revertResize", nil)},
}

// addPinned makes the flavors.
func addPinned(t *testing.T, cloud *testcloud.Cloud) {
	t.Helper()
	for name, size := range map[string]struct{ vcpus, ram int }{"pinned": {2, 256}, "more": {4, 2048}} {
		pinned(t, cloud.Admin(), name, size.vcpus, size.ram, map[string]string{"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2"})
	}
}

func withPinned(t *testing.T, s *stage) {
	s.server = start(t, s.demo, "web", s.demo.Flavor(t, "pinned"))
	s.cloud.Settle(t)
}

func resizePinned(t *testing.T, s *stage) {
	act(t, s, map[string]any{"resize": map[string]any{"flavorRef": s.demo.Flavor(t, "more")}})
}
