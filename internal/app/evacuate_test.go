package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// The host of a server is lost while each of its moves stands at each of its steps,
// on the way forth and on the way back, and somebody wants the server evacuated: which
// is refused where it has arrived and waits to be confirmed. When the host is back,
// the server is in one place.
func TestEvacuateAtEveryStep(t *testing.T) {
	interrupted(t, []string{"server.live_migrate", "server.resize", "server.evacuate"}, func(t *testing.T, s *stage) {
		host, _ := shownTo(t, s.cloud.Admin(), s.server)["OS-EXT-SRV-ATTR:host"].(string)
		lose(t, s, host, true)
		t.Cleanup(func() { lose(t, s, host, false) })
		reply := s.cloud.Admin().Do(t, "POST", "/compute/v2.1/servers/"+s.server+"/action", map[string]any{"evacuate": map[string]any{}},
			"OpenStack-API-Version", "compute latest")
		if reply.Status != 200 && reply.Status != 409 {
			t.Errorf("evacuate: %d %s", reply.Status, reply.Body)
		}
	})
}

// A guest that is on its way is called back at each of the steps.
func TestAbortAtEveryStep(t *testing.T) {
	interrupted(t, []string{"server.live_migrate"}, func(t *testing.T, s *stage) {
		admin := s.cloud.Admin()
		path := "/compute/v2.1/servers/" + s.server + "/migrations"
		under := admin.Must(t, 200, "GET", path, nil, "OpenStack-API-Version", "compute latest").Map(t)["migrations"].([]any)
		if len(under) == 0 {
			return
		}
		reply := admin.Do(t, "DELETE", fmt.Sprintf("%s/%v", path, under[0].(map[string]any)["id"]), nil, "OpenStack-API-Version", "compute latest")
		if reply.Status != 202 && reply.Status != 400 {
			t.Errorf("abort: %d %s", reply.Status, reply.Body)
		}
	})
}

// interrupted holds each of the plans, on two hosts, at each of its points, while
// something happens.
func interrupted(t *testing.T, plans []string, happens func(t *testing.T, s *stage)) {
	for name, line := range lines() {
		if line.hosts < 2 || !slices.Contains(plans, line.plan) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deletion{theatre: newTheatre(t, line)}
			d.learn(t)
			for _, p := range d.points {
				t.Run(nameOf(p), func(t *testing.T) {
					s := d.stage(t)
					d.hold(t, s, p)
					t.Run("meanwhile", func(t *testing.T) {
						happens(t, s)
						d.turn(t)
						d.cloud.App.Engine.Interfere(nil)
						d.turn(t)
					})
					d.cloud.Settle(t)
					inOnePlace(t, s)
				})
			}
		})
	}
}

func shownTo(t *testing.T, u testcloud.User, server string) map[string]any {
	t.Helper()
	return u.Must(t, 200, "GET", "/compute/v2.1/servers/"+server, nil).Map(t)["server"].(map[string]any)
}

// inOnePlace checks that a server rests, that its guest is on its host and nowhere
// else, and that what it holds is there, and nobody's but its own: unless its move
// waits to be confirmed.
func inOnePlace(t *testing.T, s *stage) {
	t.Helper()
	admin := s.cloud.Admin()
	shown := shownTo(t, admin, s.server)
	host, waits := shown["OS-EXT-SRV-ATTR:host"], shown["status"] == "VERIFY_RESIZE"
	if shown["OS-EXT-STS:task_state"] != nil || shown["status"] == "ERROR" {
		t.Errorf("the server is %v, task %v, fault %v", shown["status"], shown["OS-EXT-STS:task_state"], shown["fault"])
	}
	w := s.cloud.Snapshot(t)
	for _, guest := range w["guests"] {
		at, _, _ := strings.Cut(guest, " ")
		if at != host && (strings.Contains(guest, "running=true") || !waits) {
			t.Errorf("the server, which is %v on %v, has guest %s", shown["status"], host, guest)
		}
	}
	runs := fmt.Sprintf("%s %s running=true ", host, s.server)
	if shown["status"] == "ACTIVE" && !slices.ContainsFunc(w["guests"], func(l string) bool { return strings.HasPrefix(l, runs) }) {
		t.Errorf("the server, which is ACTIVE on %v, has only guests %q", host, w["guests"])
	}
	own := fmt.Sprintf("consumer=%s host=%s ", s.server, host)
	held, laid, want := w["consumers"], w["numa_claims"], 1
	if waits {
		want = 2
	}
	if len(held) != want || len(laid) > 0 && (len(laid) != want || !slices.ContainsFunc(laid, func(l string) bool { return strings.HasPrefix(l, own) })) {
		t.Errorf("the server, which is %v on %v, has %q and %q, want %d of it", shown["status"], host, held, laid, want)
	}
	for provider := range admin.Must(t, 200, "GET", "/placement/allocations/"+s.server, nil).Map(t)["allocations"].(map[string]any) {
		name := admin.Must(t, 200, "GET", "/placement/resource_providers/"+provider, nil).Map(t)["name"]
		if name != host {
			t.Errorf("the server, which is on %v, holds something on %v", host, name)
		}
	}
}
