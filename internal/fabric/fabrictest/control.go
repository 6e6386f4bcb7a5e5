package fabrictest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"nacre/internal/fabric"
)

// objects checks Ensure, Remove and List.
func objects(t *testing.T, rig Rig) {
	before := list(t, rig.Cluster)
	a, b := newLAN(11), newLAN(12)
	port := a.port("", 5)
	router := fabric.Router{ID: uuid.NewString(), Name: "r", Enabled: true, Ports: []fabric.RouterPort{
		{ID: uuid.NewString(), Network: a.ID, MAC: "fa:16:3e:00:00:01", CIDRs: []string{a.prefix + "1/24"}},
		{ID: uuid.NewString(), Network: b.ID, MAC: "fa:16:3e:00:00:02", CIDRs: []string{b.prefix + "1/24"}},
	}}
	topology := fabric.Topology{
		Networks: []fabric.Network{a.Network, b.Network},
		Groups:   []fabric.Group{a.group, b.group},
		Ports:    []fabric.Port{port},
		Routers:  []fabric.Router{router},

		AddressGroups: []fabric.AddressGroup{{ID: uuid.NewString(), CIDRs: []string{"192.0.2.0/24", "fd00::/48"}}},
	}
	refs := refsOf(topology)
	for range 2 { // the second time there is nothing to do
		ensure(t, rig.Cluster, topology)
		expect(t, rig.Cluster, before, refs)
	}

	// Everything changes, and afterwards there is as much as before.
	topology.Ports[0].Groups = []string{b.group.ID}
	topology.Ports[0].AllowedPairs = []fabric.Pair{{IP: "10.200.0.0/16"}, {MAC: "fa:16:3e:00:00:09", IP: "10.11.0.77"}}
	topology.Groups[0] = with(a.group, allow(22), fabric.Rule{ID: uuid.NewString(), RemoteGroup: b.group.ID, PortMin: -1, PortMax: -1})
	topology.Groups[1] = with(b.group, fabric.Rule{ID: uuid.NewString(), RemoteAddresses: topology.AddressGroups[0].ID, PortMin: -1, PortMax: -1})
	topology.AddressGroups[0].CIDRs = nil
	topology.Ports[0].Names = []string{"web"}
	topology.Ports[0].Options = []fabric.Option{{Name: "bootfile-name", Value: "pxelinux.0", Version: 4}}
	topology.Networks[1].Subnets = nil
	topology.Routers[0].Ports = router.Ports[:1]
	topology.Routers[0].Routes = []fabric.Route{{Destination: "10.50.0.0/16", NextHop: a.prefix + "50"}}
	ensure(t, rig.Cluster, topology)
	expect(t, rig.Cluster, before, refs)

	for range 2 { // missing ones are a success
		remove(t, rig.Cluster, refs...)
		expect(t, rig.Cluster, before, nil)
	}
}

// refusals checks that what cannot be is refused whole.
func refusals(t *testing.T, rig Rig) {
	before := list(t, rig.Cluster)
	l := newLAN(13)
	stranger := newLAN(14)
	orphan, outsider, scrawl := l.port("", 5), l.port("", 6), l.port("", 7)
	scrawl.MAC = "fa:16"
	orphan.Network = stranger.ID
	outsider.Groups = []string{stranger.group.ID}
	for name, topology := range map[string]fabric.Topology{
		"port on a missing network":   l.topology(orphan),
		"port in a missing group":     l.topology(outsider),
		"port with half a MAC":        l.topology(scrawl),
		"router on a missing network": {Routers: []fabric.Router{{ID: uuid.NewString(), Ports: []fabric.RouterPort{{ID: uuid.NewString(), Network: stranger.ID, MAC: "fa:16:3e:00:00:01", CIDRs: []string{"10.14.0.1/24"}}}}}},
	} {
		err := rig.Cluster.Ensure(timeout(t), topology)
		if err == nil {
			t.Errorf("%s: accepted, want an error", name)
			remove(t, rig.Cluster, refsOf(topology)...)
		}
		expect(t, rig.Cluster, before, nil)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	err := rig.Cluster.Ensure(ended, l.topology())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ensure with an ended context: %v, want %v", err, context.Canceled)
	}
}

// together checks concurrent calls, one of which is bad.
func together(t *testing.T, rig Rig) {
	l := newLAN(15)
	ensure(t, rig.Cluster, l.topology())
	before := list(t, rig.Cluster)
	const count = 50
	var ports []fabric.Port
	for i := range count {
		ports = append(ports, l.port("", 10+i))
	}
	errs := make([]error, count)
	var calls sync.WaitGroup
	for i, p := range ports {
		if i == count/2 {
			p.Network = uuid.NewString()
		}
		calls.Go(func() { errs[i] = rig.Cluster.Ensure(timeout(t), fabric.Topology{Ports: []fabric.Port{p}}) })
	}
	calls.Wait()
	var refs []fabric.Ref
	for i, err := range errs {
		bad := i == count/2
		if bad != (err != nil) {
			t.Errorf("call %d: error %v, want one: %v", i, err, bad)
		}
		if !bad {
			refs = append(refs, fabric.Ref{Kind: fabric.KindPort, ID: ports[i].ID})
		}
	}
	expect(t, rig.Cluster, before, refs)
	for _, ref := range refs {
		calls.Go(func() { remove(t, rig.Cluster, ref) })
	}
	calls.Wait()
	expect(t, rig.Cluster, before, nil)
}

// plugging checks Plug, Unplug and Plugged.
func plugging(t *testing.T, rig Rig) {
	l := newLAN(16)
	port := l.port(rig.Name, 5)
	ensure(t, rig.Cluster, l.topology(port))
	first := plug(t, rig.Host, port)
	again := plug(t, rig.Host, port)
	if first == "" || first != again {
		t.Errorf("taps are %q and %q, want one and the same", first, again)
	}
	if !slices.Contains(plugged(t, rig.Host), port.ID) {
		t.Errorf("plugged port %s is not listed", port.ID)
	}
	for range 2 {
		unplug(t, rig.Host, port.ID)
		if slices.Contains(plugged(t, rig.Host), port.ID) {
			t.Errorf("unplugged port %s is listed", port.ID)
		}
	}
}

// up checks Up and Changed.
func up(t *testing.T, rig Rig) {
	l := newLAN(17)
	free, bound := l.port("", 5), l.port("another-host", 6)
	port := l.port(rig.Name, 7)
	ensure(t, rig.Cluster, l.topology(free, bound, port))
	plug(t, rig.Host, bound) // here, where it should not be
	plug(t, rig.Host, port)
	awaitUp(t, rig.Cluster, port.ID, true)
	awaitUp(t, rig.Cluster, bound.ID, false)
	awaitUp(t, rig.Cluster, free.ID, false)

	unplug(t, rig.Host, port.ID)
	awaitUp(t, rig.Cluster, port.ID, false)

	plug(t, rig.Host, port)
	awaitUp(t, rig.Cluster, port.ID, true)
	remove(t, rig.Cluster, fabric.Ref{Kind: fabric.KindPort, ID: port.ID})
	awaitUp(t, rig.Cluster, port.ID, false)
}

// metadata checks the metadata door from a guest's side.
func metadata(t *testing.T, rig Rig) {
	l := newLAN(18)
	guest := l.port(rig.Name, 5)
	door, m := l.metadataPort()
	ensure(t, rig.Cluster, l.topology(guest, door))
	tap := plug(t, rig.Host, guest)
	awaitUp(t, rig.Cluster, guest.ID, true)
	closeDoor := func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := rig.Host.CloseMetadata(ctx, l.ID)
		if err != nil {
			t.Errorf("close metadata: %v", err)
		}
	}
	t.Cleanup(closeDoor)

	for range 2 { // the second listener follows the first, on the same door
		listener, err := rig.Host.OpenMetadata(timeout(t), m)
		if err != nil {
			t.Fatalf("open metadata: %v", err)
		}
		visit(t, rig, l, guest, tap, listener)
		err = listener.Close()
		if err != nil {
			t.Errorf("close listener: %v", err)
		}
	}
	_, err := rig.Host.MAC(timeout(t), l.ID, l.prefix+"250")
	if err == nil {
		t.Errorf("an address that nobody has belongs to somebody")
	}
	closeDoor()
	closeDoor() // a missing one is a success
	_, err = rig.Host.MAC(timeout(t), l.ID, guest.IPs[0])
	if err == nil {
		t.Errorf("a closed door still knows its guests")
	}
}

// visit has the guest say hello at the door.
func visit(t *testing.T, rig Rig, l lan, guest fabric.Port, tap string, listener net.Listener) {
	t.Helper()
	seen := make(chan string, 1)
	var door sync.WaitGroup
	door.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			seen <- fmt.Sprint("accept: ", err)
			return
		}
		defer conn.Close()
		ip, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		mac, err := rig.Host.MAC(context.Background(), l.ID, ip)
		seen <- fmt.Sprint(ip, " ", mac, " ", err)
		fmt.Fprint(conn, "welcome")
	})
	conn := rig.Dial(t, l.Network, guest, tap)
	defer conn.Close()
	text, err := io.ReadAll(conn)
	door.Wait()
	if err != nil || string(text) != "welcome" {
		t.Errorf("guest read %q, %v, want %q", text, err, "welcome")
	}
	got, want := <-seen, fmt.Sprint(guest.IPs[0], " ", guest.MAC, " ", nil)
	if !strings.EqualFold(got, want) {
		t.Errorf("door saw %q, want %q", got, want)
	}
}

func plugged(t *testing.T, h fabric.Host) []string {
	t.Helper()
	ids, err := h.Plugged(timeout(t))
	if err != nil {
		t.Fatalf("plugged: %v", err)
	}
	return ids
}

func list(t *testing.T, c fabric.Cluster) []fabric.Ref {
	t.Helper()
	refs, err := c.List(timeout(t))
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return refs
}

// expect compares the list with what was there before and what came.
func expect(t *testing.T, c fabric.Cluster, before, added []fabric.Ref) {
	t.Helper()
	want := map[fabric.Ref]int{}
	for _, ref := range slices.Concat(before, added) {
		want[ref]++
	}
	for _, ref := range list(t, c) {
		want[ref]--
	}
	for ref, n := range want {
		if n != 0 {
			t.Errorf("%s %s: listed %+d times, relative to what it should be", ref.Kind, ref.ID, -n)
		}
	}
}
