package app_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"nacre/internal/scenario"
	"nacre/internal/testcloud"
	"nacre/internal/work"
)

// A host dies, or is cut off, in the middle of a move of one of its servers, and
// comes back before the move is over. The guest never runs twice, but for the one
// that nobody could reach while another was made in its place; and in the end the
// server is in one place.
func TestHostComesBack(t *testing.T) {
	dead, cut := scenario.Condition{Down: true}, scenario.Condition{Cut: true}
	evacuation := []string{"move to another host", "wait", "finish"}
	migration := []string{"wait until the host is ready", "send the guest", "wait until one of the hosts has it",
		"clear the host that has it not", "be at home where it is", "wait until both hosts know", "finish"}
	for name, r := range map[string]reunion{
		"evacuation of a dead host":               {plan: "server.evacuate", steps: evacuation, suffers: dead, evacuate: true},
		"evacuation of a host that is cut off":    {plan: "server.evacuate", steps: evacuation, suffers: cut, evacuate: true},
		"migration, its source dies":              {plan: "server.live_migrate", steps: migration, suffers: dead},
		"migration, its source dies, evacuated":   {plan: "server.live_migrate", steps: migration, suffers: dead, evacuate: true},
		"migration, its source is cut, evacuated": {plan: "server.live_migrate", steps: migration, suffers: cut, evacuate: true},
		"migration, its destination dies":         {plan: "server.live_migrate", steps: migration, suffers: dead, there: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.cloud = staged(t, 3, "speed: 20\nhosts: [{count: 3}]\n", testcloud.MayFail())
			for _, step := range r.steps {
				t.Run(step, func(t *testing.T) { r.at(t, step) })
			}
		})
	}
}

// reunion is a host that goes away and comes back while a plan stands at a step.
type reunion struct {
	cloud    *testcloud.Cloud
	plan     string
	steps    []string
	suffers  scenario.Condition
	there    bool // it is the host that a guest goes to
	evacuate bool // somebody wants the server evacuated while its host is away
}

func (r reunion) at(t *testing.T, step string) {
	cloud, admin := r.cloud, r.cloud.Admin()
	s := &stage{cloud: cloud, demo: cloud.Demo(), server: cloud.Demo().MustCreateServer(t, "web")}
	home, _ := shownTo(t, admin, s.server)["OS-EXT-SRV-ATTR:host"].(string)
	var held, free atomic.Bool
	cloud.App.Engine.Interfere(func(p work.Point) error {
		if r.suffers.Down {
			r.once(t, s.server, p)
		}
		if p.Plan != r.plan || p.Step != step || p.After || free.Load() {
			return nil
		}
		held.Store(true)
		return work.NotYet("the test holds it")
	})
	hold := func() { cloud.Until(t, "the plan to come to "+step, held.Load) }
	gone := home
	away := func() {
		cloud.App.Befall(gone, r.suffers)
		cloud.Until(t, gone+" to count as down", func() bool { return !hostUp(t, cloud, gone) })
	}
	t.Cleanup(func() {
		cloud.App.Engine.Interfere(nil)
		cloud.App.Befall(gone, scenario.Condition{})
		cloud.Demo().RemoveAll(t)
	})
	if r.plan == "server.live_migrate" {
		actAs(t, admin, s, map[string]any{"os-migrateLive": map[string]any{"host": nil, "block_migration": "auto"}})
		hold()
		if r.there {
			gone = admin.Must(t, 200, "GET", "/compute/v2.1/os-migrations?instance_uuid="+s.server, nil).
				Map(t)["migrations"].([]any)[0].(map[string]any)["dest_compute"].(string)
		}
		away()
		if r.evacuate {
			r.evacuated(t, s, gone)
		}
	} else {
		away()
		r.evacuated(t, s, gone)
		hold()
	}
	cloud.App.Befall(gone, scenario.Condition{})
	cloud.Until(t, gone+" to be back", func() bool { return hostUp(t, cloud, gone) })
	free.Store(true)
	cloud.Settle(t)
	inOnePlace(t, s)
}

// evacuated asks for it as soon as all of the cloud has noticed, unless the server has
// gone from the host.
func (r reunion) evacuated(t *testing.T, s *stage, from string) {
	t.Helper()
	admin := r.cloud.Admin()
	r.cloud.Until(t, "the server to be evacuated", func() bool {
		reply := admin.Do(t, "POST", "/compute/v2.1/servers/"+s.server+"/action", map[string]any{"evacuate": map[string]any{}},
			"OpenStack-API-Version", "compute latest")
		if reply.Status != 200 && (reply.Status != 400 || !strings.Contains(string(reply.Body), "still in use")) {
			t.Fatalf("evacuate: %d %s", reply.Status, reply.Body)
		}
		return reply.Status == 200 || shownTo(t, admin, s.server)["OS-EXT-SRV-ATTR:host"] != from
	})
}

// once checks that a guest runs once at most.
func (r reunion) once(t *testing.T, server string, p work.Point) {
	var on []string
	for name, machines := range r.cloud.App.Simulated.Machines {
		if machines.Run(server) > 0 {
			on = append(on, name)
		}
	}
	if len(on) > 1 {
		t.Errorf("at %s the guest runs on %s", fmt.Sprint(p), on)
	}
}
