package threehosts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"

	"nacre/internal/await"
	"nacre/internal/db/dbtest"
)

// A cluster of real hosts, from nothing to nothing: the story of make demo while a
// server is killed, guests on different hosts that talk, and a node that is
// killed and finds its guest again.
func TestThreeHosts(t *testing.T) {
	l := newLab(t, 3, setting{db: dbtest.PostgresSource(t)})
	l.addImage()
	l.waitUp(l.servers[1])
	l.story()
	guests := l.addGuests()
	t.Run("packets", func(t *testing.T) { packets(t, l, guests) })
	t.Run("metadata", func(t *testing.T) { metadata(t, guests) })
	t.Run("console", func(t *testing.T) { consoleLog(t, l, guests) })
	t.Run("screens", func(t *testing.T) { screens(t, l, guests) })
	t.Run("node", func(t *testing.T) { nodeIsKilled(t, l, guests[1]) })
	t.Run("evacuation", func(t *testing.T) { evacuation(t, l, guests) })
	l.removeGuests(guests)
}

// addImage gives the cloud the image that guests boot.
func (l *lab) addImage() {
	l.t.Helper()
	admin, ctx := l.servers[0].user(l.t, "nacre"), context.Background()
	public := images.ImageVisibilityPublic
	made, err := images.Create(ctx, admin.image, images.CreateOpts{
		Name: "cirros", DiskFormat: "qcow2", ContainerFormat: "bare", Visibility: &public,
	}).Extract()
	l.must(err)
	path, err := buildGuest()
	l.must(err)
	content, err := os.Open(path)
	l.must(err)
	defer content.Close()
	l.must(imagedata.Upload(ctx, admin.image, made.ID, content).ExtractErr())
}

// story runs the demo on the second server. The first is killed as soon as the
// demo's guest is on its way, and comes back when the story has ended.
func (l *lab) story() {
	l.t.Helper()
	program := filepath.Join(l.dir, "demo")
	out, err := exec.Command("go", "build", "-o", program, "nacre/cmd/demo").CombinedOutput()
	if err != nil {
		l.t.Fatalf("build the demo: %v: %s", err, out)
	}
	var said bytes.Buffer
	demo := exec.Command(program, "--data-dir", l.servers[1].dir)
	demo.Stdout, demo.Stderr = &said, &said
	l.must(demo.Start())
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	user := l.servers[1].user(l.t, "nacre-demo")
	await.Until(l.t, "the demo to make its server", time.Minute, func() bool { return len(user.servers(l.t)) > 0 })
	l.servers[0].Kill()
	select {
	case err = <-ended:
	case <-time.After(4 * time.Minute):
		_ = demo.Process.Kill()
		err = fmt.Errorf("it did not end in time: %w", <-ended)
	}
	l.t.Logf("%s", said.String())
	if err != nil || !regexp.MustCompile(`cirros@172\.24\.4\.`).Match(said.Bytes()) || !strings.Contains(said.String(), "/mnt/volume") {
		l.t.Fatalf("the story has not ended well: %v", err)
	}
	l.servers[0].Start()
	l.servers[0].Ready(l.servers[0].url)
}

// instance is a server that the test has made.
type instance struct {
	id, host, inner, outer, group string
	shell                         shell
}

// sshGroup makes a security group that lets ssh in.
func (l *lab) sshGroup(demo user) string {
	l.t.Helper()
	group, err := groups.Create(context.Background(), demo.network, groups.CreateOpts{Name: "ssh"}).Extract()
	l.must(err)
	_, err = rules.Create(context.Background(), demo.network, rules.CreateOpts{
		Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: group.ID, Protocol: rules.ProtocolTCP, PortRangeMin: 22, PortRangeMax: 22,
	}).Extract()
	l.must(err)
	return group.ID
}

// addGuests makes two guests that have to be on different hosts. The server that
// was asked for them is killed before it can have made them.
func (l *lab) addGuests() []instance {
	l.t.Helper()
	ctx, demo := context.Background(), l.servers[0].user(l.t, "nacre-demo")
	demo.compute.Microversion = "2.64"
	apart, err := servergroups.Create(ctx, demo.compute, servergroups.CreateOpts{Name: "apart", Policy: "anti-affinity"}).Extract()
	l.must(err)
	group := l.sshGroup(demo)
	image := demo.servers(l.t)[0].Image["id"].(string)
	network := demo.networkID(l.t, "private")
	guests := make([]instance, 2)
	for i := range guests {
		made, err := servers.Create(ctx, demo.compute, keypairs.CreateOptsExt{KeyName: "nacre-demo", CreateOptsBuilder: servers.CreateOpts{
			Name: fmt.Sprintf("guest-%d", i+1), FlavorRef: "1", ImageRef: image, Networks: []servers.Network{{UUID: network}},
			SecurityGroups: []string{group},
		}}, servers.SchedulerHintOpts{Group: apart.ID}).Extract()
		l.must(err)
		guests[i].id, guests[i].group = made.ID, group
	}
	l.servers[0].Kill()
	left, admin := l.servers[1].user(l.t, "nacre-demo"), l.servers[1].user(l.t, "nacre")
	for i := range guests {
		g := &guests[i]
		left.active(l.t, g.id)
		seen, err := servers.Get(ctx, admin.compute, g.id).Extract()
		l.must(err)
		g.host = seen.Host
		g.inner, g.outer = left.addAddress(l.t, g.id)
		l.t.Logf("guest %s is on %s as %s and %s", g.id, g.host, g.inner, g.outer)
	}
	if guests[0].host == guests[1].host {
		l.t.Fatalf("both guests are on %s", guests[0].host)
	}
	l.servers[0].Start()
	l.servers[0].Ready(l.servers[0].url)
	for i := range guests {
		guests[i].shell = signIn(l.t, filepath.Join(l.servers[1].dir, "demo-key"), guests[i].outer)
	}
	return guests
}

// packets has the guests talk as far as their security group lets them.
func packets(t *testing.T, l *lab, guests []instance) {
	ctx, demo, from, to := context.Background(), l.servers[0].user(l.t, "nacre-demo"), guests[0].shell, guests[1].inner
	conn, err := from.Dial("tcp", to+":22")
	if err != nil {
		t.Fatalf("tcp from guest to guest: %v", err)
	}
	greeting := make([]byte, 4)
	_, err = conn.Read(greeting)
	if err != nil || string(greeting) != "SSH-" {
		t.Errorf("the other guest says %q, %v; want ssh", greeting, err)
	}
	conn.Close()
	answers := func() bool {
		out, err := from.try(t, "ping -c 1 -W 1 "+to)
		if err != nil && !strings.Contains(out, "100% packet loss") {
			t.Fatalf("ping does not work in the guest: %v: %s", err, out)
		}
		return err == nil
	}
	if answers() {
		t.Errorf("ping is answered, and no rule allows it")
	}
	rule, err := rules.Create(ctx, demo.network, rules.CreateOpts{
		Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: guests[1].group, Protocol: rules.ProtocolICMP,
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "ping to be allowed", 20*time.Second, answers)
	err = rules.Delete(ctx, demo.network, rule.ID).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "ping to be dropped", 20*time.Second, func() bool { return !answers() })
}

// metadata looks at what each guest hears about itself. One of them is not on the
// first host.
func metadata(t *testing.T, guests []instance) {
	for _, g := range guests {
		meta := g.shell.run(t, "curl -s http://169.254.169.254/openstack/latest/meta_data.json")
		if !strings.Contains(meta, g.id) {
			t.Errorf("metadata on %s: %s, want that of %s", g.host, meta, g.id)
		}
		g.shell.run(t, "sudo kill -USR1 $(cat /var/run/udhcpc.eth0.pid)") // its lease is renewed
	}
}

// consoleLog reads the console log through both servers, of which one has no
// connection to the host.
func consoleLog(t *testing.T, l *lab, guests []instance) {
	for _, s := range l.servers {
		for _, g := range guests {
			log, err := servers.ShowConsoleOutput(context.Background(), s.user(l.t, "nacre-demo").compute, g.id, servers.ShowConsoleOutputOpts{Length: 50}).Extract()
			if err != nil || !strings.Contains(log, "login:") {
				t.Errorf("console log of the guest on %s through %s: %v: %s", g.host, s.Name, err, log)
			}
		}
	}
}

// nodeIsKilled kills a guest's node and starts it again. The guest goes on, and the
// node knows it.
func nodeIsKilled(t *testing.T, l *lab, g instance) {
	at := slices.IndexFunc(l.hosts, func(h *host) bool { return h.Name == g.host })
	node := l.hosts[at].node
	before := g.shell.uptime(t)
	node.Kill()
	await.Until(t, g.host+" to be missed", time.Minute, func() bool { return !l.nodes(l.servers[0])[g.host].Up })
	node.Start()
	l.waitUp(l.servers[0])
	if now := g.shell.uptime(t); now < before {
		t.Errorf("the guest was restarted: its uptime went from %.0f s to %.0f s", before, now)
	}
	consoleLog(t, l, []instance{g})
}

// removeGuests deletes all guests, from their hosts as well.
func (l *lab) removeGuests(guests []instance) {
	l.t.Helper()
	demo := l.servers[0].user(l.t, "nacre-demo")
	for _, s := range demo.servers(l.t) {
		l.must(servers.Delete(context.Background(), demo.compute, s.ID).ExtractErr())
	}
	await.Until(l.t, "all guests to be gone", time.Minute, func() bool { return len(demo.servers(l.t)) == 0 && running(l.t, "qemu-system") == 0 })
}
