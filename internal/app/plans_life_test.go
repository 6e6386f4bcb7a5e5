package app_test

import "testing"

// then puts parts of a preparation one behind the other, and waits after each.
func then(parts ...func(t *testing.T, s *stage)) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) {
		for _, do := range parts {
			do(t, s)
			s.cloud.Settle(t)
		}
	}
}

// atHome has the server made on node-1, so that runs can be compared.
func atHome(prepare func(t *testing.T, s *stage)) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) {
		lose(t, s, "node-2", true)
		prepare(t, s)
		lose(t, s, "node-2", false)
	}
}

// does is an action of the owner on the server.
func does(action string, with any) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) { actAs(t, s.demo, s, map[string]any{action: with}) }
}

// adminDoes is an action of the admin on it.
func adminDoes(action string, with any) func(t *testing.T, s *stage) {
	return func(t *testing.T, s *stage) { actAs(t, s.cloud.Admin(), s, map[string]any{action: with}) }
}

var (
	migrate = adminDoes("migrate", nil)
	reboot  = does("reboot", map[string]any{"type": "HARD"})
)

// withAnother is a server with a volume, and another volume that may take its place.
func withAnother(t *testing.T, s *stage) {
	withAttached(t, s)
	s.other = s.demo.CreateVolume(t, "next", 1)
	s.cloud.Settle(t)
}

func swapVolume(t *testing.T, s *stage) {
	s.cloud.Admin().Must(t, 202, "PUT", s.path("/compute/v2.1/servers/%s/os-volume_attachments/%s", s.server, s.volume),
		map[string]any{"volumeAttachment": map[string]any{"volumeId": s.other}})
}

// fillHost leaves no room on the host of the server until the run ends.
func fillHost(t *testing.T, s *stage) {
	admin := s.cloud.Admin()
	var shown struct {
		Server struct {
			Host string `json:"OS-EXT-SRV-ATTR:host"`
		}
	}
	admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+s.server, nil).JSON(t, &shown)
	var found struct {
		Providers []struct{ UUID string } `json:"resource_providers"`
	}
	admin.Must(t, 200, "GET", "/placement/resource_providers?name="+shown.Server.Host, nil).JSON(t, &found)
	path := "/placement/resource_providers/" + found.Providers[0].UUID + "/inventories/MEMORY_MB"
	var before map[string]any
	admin.Must(t, 200, "GET", path, nil).JSON(t, &before)
	reserve := func(reserved any) {
		var now map[string]any
		admin.Must(t, 200, "GET", path, nil).JSON(t, &now)
		now["reserved"] = reserved
		admin.Must(t, 200, "PUT", path, now)
	}
	reserve(before["total"].(float64) - 1024)
	t.Cleanup(func() { reserve(before["reserved"]) })
}

// lifeCases are more lines of plans that servers go through in several ways.
var lifeCases = map[string]planCase{
	"server.power: pause": {plan: "server.power", prepare: withServer, begin: does("pause", nil)},
	"server.power: resume": {plan: "server.power",
		prepare: then(withServer, does("suspend", nil)), begin: does("resume", nil)},
	"server.power: suspend": {plan: "server.power", prepare: withAttached, begin: does("suspend", nil)},
	"server.power: rescue":  {plan: "server.power", prepare: withAttached, begin: does("rescue", map[string]any{})},
	"server.power: unrescue": {plan: "server.power",
		prepare: then(withServer, does("rescue", map[string]any{})), begin: does("unrescue", nil)},
	"server.power: reboot": {plan: "server.power", prepare: then(withServer, reboot), begin: reboot},

	"server.shelve_offload: on demand": {plan: "server.shelve_offload", shelved: -1,
		prepare: then(withAttached, shelve), begin: adminDoes("shelveOffload", nil)},
	"server.unshelve: on its host": {plan: "server.unshelve", shelved: -1,
		prepare: then(withAttached, shelve), begin: does("unshelve", nil)},
	"server.unshelve: from a volume": {plan: "server.unshelve",
		prepare: then(withBootVolume, shelve), begin: does("unshelve", nil)},

	"server.resize: to another host": {plan: "server.resize", hosts: 2, prepare: then(atHome(withAttached), fillHost), begin: resize},
	"server.resize: migrate":         {plan: "server.resize", hosts: 2, prepare: atHome(withAttached), begin: migrate},
	"server.confirm_resize: migrate": {plan: "server.confirm_resize", hosts: 2,
		prepare: then(atHome(withAttached), migrate), begin: does("confirmResize", nil)},
	"server.revert_resize: migrate": {plan: "server.revert_resize", hosts: 2,
		prepare: then(atHome(withAttached), migrate), begin: does("revertResize", nil)},
	"server.evacuate: stopped": {plan: "server.evacuate", hosts: 2,
		prepare: func(t *testing.T, s *stage) {
			atHome(then(withServer, does("os-stop", nil)))(t, s)
			lose(t, s, "node-1", true)
			t.Cleanup(func() { lose(t, s, "node-1", false) })
		},
		begin: adminDoes("evacuate", map[string]any{}),
	},
}
