package threehosts

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"nacre/internal/await"
	"nacre/internal/db/dbtest"
	"nacre/internal/soak"
)

// A guest goes from host to host, while it runs and while it does not, with its
// disk and its addresses. Whoever talks with it over TCP meanwhile goes on.
func TestMigration(t *testing.T) {
	l := newLab(t, 3, setting{db: dbtest.PostgresSource(t)})
	l.addImage()
	l.waitUp(l.servers[0])
	demo, admin := l.servers[0].user(t, "nacre-demo"), l.servers[0].user(t, "nacre")
	admin.compute.Microversion = "2.80"
	key := filepath.Join(l.dir, "key")
	made, err := keypairs.Create(context.Background(), demo.compute, keypairs.CreateOpts{Name: "mover"}).Extract()
	l.must(err)
	l.must(os.WriteFile(key, []byte(made.PrivateKey), 0o600))
	guest := l.addMover(demo, key)
	t.Run("live", func(t *testing.T) { liveMove(t, l, admin, &guest) })
	t.Run("back", func(t *testing.T) { liveMove(t, l, admin, &guest) })
	t.Run("agent", func(t *testing.T) { moveWithoutAgent(t, l, admin, guest) })
	t.Run("cold", func(t *testing.T) { coldMove(t, l, admin, &guest, key) })
	l.removeGuests(nil)
}

// addMover makes a guest that can be reached from outside.
func (l *lab) addMover(demo user, key string) instance {
	l.t.Helper()
	group := l.sshGroup(demo)
	pages, err := images.List(demo.image, images.ListOpts{Name: "cirros"}).AllPages(context.Background())
	l.must(err)
	all, err := images.ExtractImages(pages)
	l.must(err)
	made, err := servers.Create(context.Background(), demo.compute, keypairs.CreateOptsExt{KeyName: "mover", CreateOptsBuilder: servers.CreateOpts{
		Name: "mover", FlavorRef: "1", ImageRef: all[0].ID, Networks: []servers.Network{{UUID: demo.networkID(l.t, "private")}},
		SecurityGroups: []string{group},
	}}, nil).Extract()
	l.must(err)
	demo.active(l.t, made.ID)
	g := instance{id: made.ID, group: group}
	g.inner, g.outer = demo.addAddress(l.t, made.ID)
	g.shell = signIn(l.t, key, g.outer)
	return g
}

// home is where a server is, and what is being done to it.
func home(t *testing.T, admin user, id string) (host, status string) {
	t.Helper()
	seen, err := servers.Get(context.Background(), admin.compute, id).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return seen.Host, seen.Status
}

// migrated waits until the newest migration of the server is as it is to be.
func (l *lab) migrated(t *testing.T, admin user, id, want string) {
	t.Helper()
	await.Until(t, "migration to be "+want, 3*time.Minute, func() bool {
		var reply struct{ Migrations []struct{ Status string } }
		_, err := admin.compute.Get(context.Background(), admin.compute.ServiceURL("os-migrations?instance_uuid="+id), &reply, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(reply.Migrations) > 0 && want != "error" && reply.Migrations[0].Status == "error" {
			t.Fatalf("the migration has failed: %s", l.said())
		}
		return len(reply.Migrations) > 0 && reply.Migrations[0].Status == want
	})
}

// said is what servers and nodes have said about moves.
func (l *lab) said() string {
	var out []string
	processes := []*soak.Process{l.servers[0].Process, l.servers[1].Process}
	for _, h := range l.hosts {
		processes = append(processes, h.node)
	}
	for _, p := range processes {
		for line := range strings.Lines(p.Tail(20000)) {
			if strings.Contains(line, "guest") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") {
				out = append(out, p.Name+": "+line)
			}
		}
	}
	return strings.Join(out, "")
}

func (u user) act(t *testing.T, id, body string) {
	t.Helper()
	_, err := u.compute.Post(context.Background(), u.compute.ServiceURL("servers", id, "action"), json.RawMessage(body), nil,
		&gophercloud.RequestOpts{OkCodes: []int{202, 204}})
	if err != nil {
		t.Fatal(err)
	}
}

// pulse has the guest repeat numbers over one TCP connection, that of ssh, and
// measures the longest time without an answer.
type pulse struct {
	done chan struct{}
	end  chan pulsed
}

type pulsed struct {
	longest time.Duration
	beats   int
	err     error
}

func startPulse(t *testing.T, g instance) pulse {
	t.Helper()
	session, err := g.shell.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := session.StdinPipe()
	if err == nil {
		err = session.Start("cat")
	}
	if err != nil {
		t.Fatal(err)
	}
	p := pulse{make(chan struct{}), make(chan pulsed, 1)}
	go func() {
		defer session.Close()
		p.end <- beat(in, bufio.NewReader(out), p.done)
	}()
	return p
}

// beat counts until it is done, or the guest does not answer.
func beat(in io.Writer, out *bufio.Reader, done chan struct{}) (felt pulsed) {
	last := time.Now()
	for ; felt.err == nil; felt.beats++ {
		select {
		case <-done:
			return felt
		default:
		}
		_, felt.err = fmt.Fprintln(in, felt.beats)
		var line string
		if felt.err == nil {
			line, felt.err = out.ReadString('\n')
		}
		if felt.err == nil && strings.TrimSpace(line) != fmt.Sprint(felt.beats) {
			felt.err = fmt.Errorf("got %q for %d", line, felt.beats)
		}
		now := time.Now()
		felt.longest, last = max(felt.longest, now.Sub(last)), now
	}
	return felt
}

func (p pulse) stop(t *testing.T) pulsed {
	t.Helper()
	close(p.done)
	select {
	case out := <-p.end:
		return out
	case <-time.After(time.Minute):
		t.Fatal("the guest does not answer any more")
		return pulsed{}
	}
}

func liveMove(t *testing.T, l *lab, admin user, g *instance) {
	from, _ := home(t, admin, g.id)
	before := g.shell.uptime(t)
	g.shell.run(t, "echo kept > kept; sync")
	p := startPulse(t, *g)
	admin.act(t, g.id, `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
	l.migrated(t, admin, g.id, "completed")
	felt := p.stop(t)
	if felt.err != nil {
		t.Fatalf("after %d answers the connection was lost: %v", felt.beats, felt.err)
	}
	to, status := home(t, admin, g.id)
	if to == from || status != "ACTIVE" {
		t.Errorf("the server is %s on %s, and was on %s", status, to, from)
	}
	t.Logf("from %s to %s: the longest time without an answer was %d ms, over %d answers on one TCP connection", from, to, felt.longest.Milliseconds(), felt.beats)
	if now := g.shell.uptime(t); now < before {
		t.Errorf("the guest was started anew: its uptime went from %.1f s to %.1f s", before, now)
	}
	if got := g.shell.run(t, "cat kept; sudo dd if=/dev/vda of=/dev/null bs=1M count=32 2>&1 | tail -1"); !strings.HasPrefix(got, "kept") {
		t.Errorf("on its disk the guest finds %q", got)
	}
}

// moveWithoutAgent kills the agent of the host that the guest leaves while it is on
// its way. It goes on, on one of the hosts.
func moveWithoutAgent(t *testing.T, l *lab, admin user, g instance) {
	from, _ := home(t, admin, g.id)
	before := g.shell.uptime(t)
	admin.act(t, g.id, `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
	var node *host
	for _, h := range l.hosts {
		if h.Name == from {
			node = h
		}
	}
	await.Until(t, "the guest to be on its way", time.Minute, func() bool {
		var reply struct{ Migrations []struct{ Status string } }
		_, err := admin.compute.Get(context.Background(), admin.compute.ServiceURL("os-migrations?instance_uuid="+g.id), &reply, nil)
		return err == nil && reply.Migrations[0].Status != "accepted" && reply.Migrations[0].Status != "preparing"
	})
	node.node.Kill()
	node.node.Start()
	l.waitUp(l.servers[0])
	await.Until(t, "the server to be ACTIVE", 2*time.Minute, func() bool {
		_, status := home(t, admin, g.id)
		return status == "ACTIVE"
	})
	await.Until(t, "one guest to be left", time.Minute, func() bool { return running(t, "qemu-system") == 1 })
	if now := g.shell.uptime(t); now < before {
		t.Errorf("the guest was started anew: its uptime went from %.1f s to %.1f s", before, now)
	}
	to, _ := home(t, admin, g.id)
	t.Logf("killed on its way, the guest is on %s, and was on %s", to, from)
}

// coldMove migrates the server while it does not run, and back.
func coldMove(t *testing.T, l *lab, admin user, g *instance, key string) {
	from, _ := home(t, admin, g.id)
	g.shell.run(t, "echo cold > cold; sync")
	admin.act(t, g.id, `{"migrate":{}}`)
	l.migrated(t, admin, g.id, "finished")
	there, _ := home(t, admin, g.id)
	g.shell.Close()
	g.shell = signIn(t, key, g.outer)
	if got := g.shell.run(t, "cat cold"); got != "cold" || there == from {
		t.Errorf("on %s, having been on %s, the guest finds %q on its disk", there, from, got)
	}
	admin.act(t, g.id, `{"revertResize":null}`)
	l.migrated(t, admin, g.id, "reverted")
	back, _ := home(t, admin, g.id)
	g.shell.Close()
	g.shell = signIn(t, key, g.outer)
	if got := g.shell.run(t, "cat cold"); got != "cold" || back != from {
		t.Errorf("back on %s the guest finds %q on its disk", back, got)
	}
	await.Until(t, "one guest to be left", time.Minute, func() bool { return running(t, "qemu-system") == 1 })
}
