package threehosts

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"nacre/internal/await"
)

// evacuation loses two hosts, one after the other: one altogether, with its guest,
// and one that only nobody hears of any more, while its guest goes on. Each guest
// is built anew on another host, under its addresses; when the lost host is back,
// the guest runs once in the whole cloud.
func evacuation(t *testing.T, l *lab, guests []instance) {
	slices.SortFunc(guests, func(a, b instance) int { // the way out of the cloud is only unheard of
		if a.host == gateway {
			return 1
		}
		if b.host == gateway {
			return -1
		}
		return 0
	})
	for i, g := range guests {
		at := slices.IndexFunc(l.hosts, func(h *host) bool { return h.Name == g.host })
		lost := l.hosts[at]
		lost.node.Kill()
		want := 1
		if i == 0 {
			l.must(lost.KillAll())
			want = 0
		}
		await.Until(t, fmt.Sprintf("guest %s to be %d processes", g.id, want), time.Minute, func() bool { return running(t, g.id) == want })
		await.Until(t, g.host+" to be missed", time.Minute, func() bool { return !l.nodes(l.servers[0])[g.host].Up })

		admin := l.servers[0].user(t, "nacre")
		admin.compute.Microversion = "2.13" // gophercloud sends what later ones refuse
		await.Until(t, "the server's host to count as down", time.Minute, func() bool {
			return servers.Evacuate(context.Background(), admin.compute, g.id, servers.EvacuateOpts{}).Err == nil
		})
		l.servers[0].user(t, "nacre-demo").active(t, g.id)
		seen, err := servers.Get(context.Background(), admin.compute, g.id).Extract()
		l.must(err)
		if seen.Host == g.host {
			t.Fatalf("guest %s is on %s still", g.id, g.host)
		}
		again := signIn(t, filepath.Join(l.servers[1].dir, "demo-key"), g.outer)
		t.Logf("guest %s went from %s to %s and has run for %.0f s", g.id, g.host, seen.Host, again.uptime(t))

		lost.node.Start()
		l.waitUp(l.servers[0])
		await.Until(t, "the guest to run once", time.Minute, func() bool { return running(t, g.id) == 1 })
		if now := again.uptime(t); now <= 0 {
			t.Errorf("the guest's uptime is %.0f s", now)
		}
	}
}
