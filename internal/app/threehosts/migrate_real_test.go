package threehosts

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	guest := l.addMover(demo, key, false)
	t.Run("live", func(t *testing.T) { liveMove(t, l, admin, &guest) })
	t.Run("back", func(t *testing.T) { liveMove(t, l, admin, &guest) })
	for _, what := range []string{"source", "target", "servers"} {
		t.Run(what, func(t *testing.T) { moveWithout(t, l, admin, guest, what) })
	}
	t.Run("cold", func(t *testing.T) { coldMove(t, l, admin, &guest, key) })
	l.removeGuests(nil)
	onVolume := l.addMover(demo, key, true)
	t.Run("volume", func(t *testing.T) { liveMove(t, l, admin, &onVolume) })
	t.Run("volume back", func(t *testing.T) { liveMove(t, l, admin, &onVolume) })
	l.removeGuests(nil)
}

// addMover makes a guest that can be reached from outside, with a disk of its host
// or one that is a volume.
func (l *lab) addMover(demo user, key string, onVolume bool) instance {
	l.t.Helper()
	group := l.sshGroup(demo)
	pages, err := images.List(demo.image, images.ListOpts{Name: "cirros"}).AllPages(context.Background())
	l.must(err)
	all, err := images.ExtractImages(pages)
	l.must(err)
	opts := servers.CreateOpts{
		Name: "mover", FlavorRef: "1", ImageRef: all[0].ID, Networks: []servers.Network{{UUID: demo.networkID(l.t, "private")}},
		SecurityGroups: []string{group},
	}
	if onVolume {
		opts.ImageRef = ""
		opts.BlockDevice = []servers.BlockDevice{{
			SourceType: servers.SourceImage, DestinationType: servers.DestinationVolume, UUID: all[0].ID, VolumeSize: 1, DeleteOnTermination: true,
		}}
	}
	made, err := servers.Create(context.Background(), demo.compute, keypairs.CreateOptsExt{KeyName: "mover", CreateOptsBuilder: opts}, nil).Extract()
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

type move struct {
	Status string
	Dest   string `json:"dest_compute"`
}

// lastMove is the newest migration of the server.
func lastMove(t *testing.T, admin user, id string) move {
	t.Helper()
	var reply struct{ Migrations []move }
	_, err := admin.compute.Get(context.Background(), admin.compute.ServiceURL("os-migrations?instance_uuid="+id), &reply, nil)
	if err != nil || len(reply.Migrations) == 0 {
		t.Fatalf("the server has %d migrations: %v", len(reply.Migrations), err)
	}
	return reply.Migrations[0]
}

// migrated waits until the newest migration of the server is as it is to be.
func (l *lab) migrated(t *testing.T, admin user, id, want string) {
	t.Helper()
	await.Until(t, "migration to be "+want, 3*time.Minute, func() bool {
		status := lastMove(t, admin, id).Status
		if status == "error" && want != status {
			t.Fatalf("the migration has failed: %s", l.said())
		}
		return status == want
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

var stoodStill = regexp.MustCompile(`gone to another host.* server_id=(\S+) downtime_ms=(\d+)`)

// downtimes is what a host has said of the server's moves away from it.
func (l *lab) downtimes(name, id string) (ms []string) {
	for _, said := range stoodStill.FindAllStringSubmatch(l.named(name).node.Tail(1<<20), -1) {
		if said[1] == id {
			ms = append(ms, said[2])
		}
	}
	return ms
}

func (l *lab) named(name string) *host {
	return l.hosts[slices.IndexFunc(l.hosts, func(h *host) bool { return h.Name == name })]
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
		felt := beat(in, bufio.NewReader(out), p.done)
		in.Close()
		if felt.err == nil {
			felt.err = session.Wait() // what is closed while it runs may take the next session along
		}
		p.end <- felt
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
	before, told := g.shell.uptime(t), len(l.downtimes(from, g.id))
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
	var still []string
	await.Until(t, "the host to say how long the guest stood still", time.Minute, func() bool {
		still = l.downtimes(from, g.id)
		return len(still) > told
	})
	t.Logf("from %s to %s: the guest stood still for %s ms; the longest time without an answer was %d ms, over %d answers on one TCP connection",
		from, to, still[told], felt.longest.Milliseconds(), felt.beats)
	if now := g.shell.uptime(t); now < before {
		t.Errorf("the guest was started anew: its uptime went from %.1f s to %.1f s", before, now)
	}
	if got := g.shell.run(t, "cat kept; sudo dd if=/dev/vda of=/dev/null bs=1M count=32 2>&1 | tail -1"); !strings.HasPrefix(got, "kept") {
		t.Errorf("on its disk the guest finds %q", got)
	}
}

// moveWithout kills the node of the host that the guest leaves, that of the one it
// goes to, or all servers, while it is on its way. It goes on, on one of the hosts,
// and nothing is left of the move.
func moveWithout(t *testing.T, l *lab, admin user, g instance, what string) {
	from, _ := home(t, admin, g.id)
	before := g.shell.uptime(t)
	admin.act(t, g.id, `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
	var last move
	await.Until(t, "the guest to be on its way", time.Minute, func() bool {
		last = lastMove(t, admin, g.id)
		return last.Status != "accepted" && last.Status != "preparing"
	})
	killed := []*soak.Process{l.servers[0].Process, l.servers[1].Process}
	if what != "servers" {
		killed = []*soak.Process{l.named(map[string]string{"source": from, "target": last.Dest}[what]).node}
	}
	for _, p := range killed {
		p.Kill()
	}
	for _, p := range killed {
		p.Start()
	}
	for _, s := range l.servers {
		s.Ready(s.url)
	}
	l.waitUp(l.servers[0])
	to, status := from, ""
	await.Until(t, "the server to be ACTIVE", 2*time.Minute, func() bool {
		to, status = home(t, admin, g.id)
		return status == "ACTIVE"
	})
	last = lastMove(t, admin, g.id)
	if last.Status != "completed" && last.Status != "error" || (last.Status == "completed") != (to != from) {
		t.Errorf("the migration to %s is %s, and the server is on %s", last.Dest, last.Status, to)
	}
	await.Until(t, "one guest to be left", time.Minute, func() bool { return running(t, g.id) == 1 })
	if now := g.shell.uptime(t); now < before {
		t.Errorf("the guest was started anew: its uptime went from %.1f s to %.1f s", before, now)
	}
	t.Logf("without its %s the guest went from %s to %s: %s", what, from, to, last.Status)
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
