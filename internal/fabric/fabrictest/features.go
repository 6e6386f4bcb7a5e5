package fabrictest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"nacre/internal/await"
	"nacre/internal/fabric"
)

// edge is a LAN behind a router to the outside.
type edge struct {
	lan
	outside, own, floating string
	router                 fabric.Router
	port                   fabric.Port
}

func newEdge(rig Rig, n int) (edge, fabric.Topology) {
	l := newLAN(n)
	l.group.Rules = append(l.group.Rules, allow(80), allow(81), allow(82))
	prefix := rig.Packets.Outside[:strings.LastIndex(rig.Packets.Outside, ".")+1]
	e := edge{lan: l, outside: rig.Packets.Outside, own: prefix + "98", floating: prefix + "151", port: l.port(rig.Name, 5)}
	public := fabric.Network{ID: uuid.NewString(), Name: "public", MTU: 1500, Physical: rig.Packets.Physical}
	id := uuid.NewString()
	e.router = fabric.Router{
		ID: uuid.NewString(), Enabled: true, Ports: []fabric.RouterPort{legOf(l)},
		Gateway: &fabric.Gateway{
			RouterPort: fabric.RouterPort{ID: id, Network: public.ID, MAC: macOf(id), CIDRs: []string{e.own + "/24"}},
			NextHops:   []string{e.outside}, SNAT: true,
		},
	}
	topology := l.topology(e.port)
	topology.Networks = append(topology.Networks, public)
	topology.Routers = []fabric.Router{e.router}
	return e, topology
}

// forwarding checks that ports of an external address lead to ports of a guest.
func forwarding(t *testing.T, rig Rig) {
	e, topology := newEdge(rig, 41)
	ensure(t, rig.Cluster, topology)
	g := boot(t, rig, e.lan, e.port)
	for _, port := range []int{80, 81, 82} {
		g.Serve(port)
	}
	single := fabric.Forwarding{ID: uuid.NewString(), Floating: uuid.NewString(), Protocol: "tcp", External: e.floating, Internal: e.port.IPs[0],
		ExternalMin: 8080, ExternalMax: 8080, InternalMin: 80, InternalMax: 80}
	ranged := single
	ranged.ID, ranged.ExternalMin, ranged.ExternalMax, ranged.InternalMin, ranged.InternalMax = uuid.NewString(), 9001, 9002, 81, 82
	e.router.Forwardings = []fabric.Forwarding{single, ranged}
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{e.router}})
	for _, port := range []int{8080, 9001, 9002} {
		err := reaches(fmt.Sprint(e.floating, ":", port), e.outside)
		if err != nil {
			t.Errorf("port %d: %v", port, err)
		}
	}
	err := misses(e.floating+":9003", "")
	if err != nil {
		t.Errorf("a port that is not forwarded: %v", err)
	}
	e.router.Forwardings = e.router.Forwardings[1:]
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{e.router}})
	settle(t, rig)
	err = errors.Join(misses(e.floating+":8080", ""), reaches(e.floating+":9001", e.outside))
	if err != nil {
		t.Errorf("after one was taken away: %v", err)
	}
}

// rate is the limit that is measured, in kbit/s.
const rate = 8000

// limits checks that limits slow down what a port sends and receives, and what
// passes under a floating IP.
func limits(t *testing.T, rig Rig) {
	e, topology := newEdge(rig, 42)
	other := e.lan.port(rig.Name, 6)
	topology.Ports = append(topology.Ports, other)
	e.router.NATs = []fabric.FloatingIP{{ID: uuid.NewString(), External: e.floating, Internal: e.port.IPs[0], Port: e.port.ID}}
	topology.Routers = []fabric.Router{e.router}
	ensure(t, rig.Cluster, topology)
	a, b := boot(t, rig, e.lan, e.port), boot(t, rig, e.lan, other)
	b.Sink(80)
	a.Sink(81)
	settle(t, rig)
	inside, outside := e.prefix+"6:80", e.floating+":81"
	upload := func(what, to string, from *Guest) time.Duration {
		t.Helper()
		var took time.Duration
		pour := func() (err error) {
			took, err = pour(to)
			return err
		}
		err := error(nil)
		if from != nil {
			err = from.Do(pour)
		} else {
			err = pour()
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %d KiB in %v, %.1f Mbit/s", what, Load>>10, took.Round(time.Millisecond), Load*8/took.Seconds()/1e6)
		return took
	}
	free := upload("without a limit", inside, a)
	slow := func(what string, took time.Duration) {
		t.Helper()
		least := time.Duration(float64(Load*8-rate*1000) / (rate * 1000) * float64(time.Second)) // less what passes as a burst
		if took < least || took < free {
			t.Errorf("%s: %v, want at least %v, and more than %v", what, took, least, free)
		}
	}
	limited := fabric.Limit{Rate: rate, Burst: rate / 10}
	e.port.QoS = fabric.QoS{Egress: limited}
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{e.port}})
	settle(t, rig)
	slow("egress", upload("limited on the way out", inside, a))

	e.port.QoS, other.QoS = fabric.QoS{}, fabric.QoS{Ingress: limited}
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{e.port, other}})
	settle(t, rig)
	slow("ingress", upload("limited on the way in", inside, a))

	e.router.NATs[0].QoS = fabric.QoS{Ingress: limited}
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{e.router}})
	settle(t, rig)
	slow("floating IP", upload("limited at the floating IP", outside, nil))
}

// marking checks the DSCP of what arrives.
func marking(t *testing.T, rig Rig) {
	l := newLAN(43)
	l.group.Rules = append(l.group.Rules, fabric.Rule{ID: uuid.NewString(), Protocol: "udp", PortMin: -1, PortMax: -1})
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	pa.QoS = fabric.QoS{Marks: true, DSCP: 26}
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	settle(t, rig)
	seen := func() int {
		t.Helper()
		got := 0
		b.must(b.Do(func() error {
			conn, err := net.ListenPacket("ip4:udp", "0.0.0.0")
			if err != nil {
				return err
			}
			defer conn.Close()
			raw, err := ipv4.NewRawConn(conn)
			if err != nil {
				return err
			}
			err = a.Do(func() error { return send(pb.IPs[0] + ":7") })
			if err != nil {
				return err
			}
			err = raw.SetReadDeadline(time.Now().Add(patience))
			if err != nil {
				return err
			}
			for {
				header, _, _, err := raw.ReadFrom(make([]byte, 1500))
				if err != nil {
					return err
				}
				if header.Src.String() == pa.IPs[0] {
					got = header.TOS >> 2
					return nil
				}
			}
		}))
		return got
	}
	// The switch may be a moment behind.
	expect := func(dscp int) {
		t.Helper()
		got := -1
		await.Until(t, fmt.Sprintf("packets with DSCP %d", dscp), patience, func() bool {
			got = seen()
			return got == dscp
		})
	}
	expect(26)
	pa.QoS = fabric.QoS{}
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	settle(t, rig)
	expect(0)
}

func send(to string) error {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("nacre"))
	return err
}

// trunk checks that tagged frames of one card are the traffic of several ports.
func trunk(t *testing.T, rig Rig) {
	x, y := newLAN(44), newLAN(45)
	x.group.Rules = append(x.group.Rules, allow(80))
	y.group = x.group
	parent, peer := x.port(rig.Name, 5), y.port(rig.Name, 6)
	sub := y.port(rig.Name, 5)
	topology := x.topology(parent, peer, sub)
	topology.Networks = append(topology.Networks, y.Network)
	ensure(t, rig.Cluster, topology)
	cable := NewCable(t, plug(t, rig.Host, parent))
	card, vlan := cable.Guest(0, parent.MAC), cable.Guest(101, sub.MAC)
	card.Address(parent.IPs[0] + "/24")
	vlan.Address(sub.IPs[0] + "/24")
	vlan.Serve(80)
	other := boot(t, rig, y, peer)
	other.Serve(80)
	settle(t, rig)
	vlan.Misses(peer.IPs[0]+":80", "") // the port has a card of its own, as far as anybody knows

	sub.Trunk, sub.VLAN = parent.ID, 101
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{sub}})
	awaitUp(t, rig.Cluster, sub.ID, true)
	vlan.Reaches(peer.IPs[0]+":80", sub.IPs[0])
	other.Reaches(sub.IPs[0]+":80", peer.IPs[0])

	sub.VLAN = 102
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{sub}})
	settle(t, rig)
	vlan.Misses(peer.IPs[0]+":80", "")
	sub.Trunk, sub.VLAN = "", 0
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{sub}})
	awaitUp(t, rig.Cluster, sub.ID, false)
}

// provider checks networks on a wire outside the cloud, plain and tagged.
func provider(t *testing.T, rig Rig) {
	const tag = 100
	for _, vlan := range []int{0, tag} {
		l := newLAN(46)
		l.Physical, l.VLAN, l.Subnets = rig.Packets.Wired, vlan, nil
		l.group.Rules = append(l.group.Rules, allow(80))
		p := l.port(rig.Name, 5)
		ensure(t, rig.Cluster, l.topology(p))
		g := boot(t, rig, l, p)
		g.Serve(80)
		mac := func(n int) string { return fmt.Sprintf("fa:16:3e:46:%02x:%02x", vlan, n) }
		station := rig.Packets.Wire.Guest(vlan, mac(1))
		station.Address(l.prefix + "200/24")
		station.Serve(80)
		g.Reaches(l.prefix+"200:80", p.IPs[0])
		station.Reaches(p.IPs[0]+":80", l.prefix+"200")
		elsewhere := rig.Packets.Wire.Guest(tag+1+vlan, mac(2))
		elsewhere.Address(l.prefix + "201/24")
		elsewhere.Misses(p.IPs[0]+":80", "")
		remove(t, rig.Cluster, refsOf(l.topology(p))...)
	}
}

// eui64 is the address in the range that a guest makes of its MAC.
func eui64(t *testing.T, prefix, mac string) string {
	t.Helper()
	m, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	b := netip.MustParsePrefix(prefix).Addr().As16()
	copy(b[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(b).String()
}

// routing6 has guests find their addresses and their router by themselves, and
// talk through it; what else they want to know, DHCPv6 tells them.
func routing6(t *testing.T, rig Rig) {
	x, y := newLAN(47), newLAN(48)
	rule := allow(80)
	rule.IPv6 = true
	x.group.Rules = append(x.group.Rules, rule)
	y.group = x.group
	router := fabric.Router{ID: uuid.NewString(), Enabled: true}
	topology := fabric.Topology{Groups: []fabric.Group{x.group}}
	var ports []fabric.Port
	for i, l := range []lan{x, y} {
		cidr := fmt.Sprintf("fd00:%d::/64", 47+i)
		l.Subnets = []fabric.Subnet{{ID: uuid.NewString(), CIDR: cidr, DHCP: true, Stateless: true, DNS: []string{"fd00:47::53"}}}
		p := l.port(rig.Name, 5)
		p.IPs = []string{eui64(t, cidr, p.MAC)}
		leg := legOf(l)
		leg.CIDRs, leg.Advertise, leg.MTU = []string{strings.Replace(cidr, "/", "1/", 1)}, "dhcpv6_stateless", 1380
		ports = append(ports, p)
		router.Ports = append(router.Ports, leg)
		topology.Networks = append(topology.Networks, l.Network)
	}
	topology.Ports, topology.Routers = ports, []fabric.Router{router}
	ensure(t, rig.Cluster, topology)
	var guests []*Guest
	for i, p := range ports {
		g := NewGuest(t, plug(t, rig.Host, p), p.MAC)
		awaitUp(t, rig.Cluster, p.ID, true)
		g.Learns(fmt.Sprintf("fd00:%d::/64", 47+i))
		guests = append(guests, g)
	}
	guests[1].Serve(80)
	guests[0].Reaches("["+ports[1].IPs[0]+"]:80", ports[0].IPs[0])
	told, err := guests[0].Inform6(timeout(t), ports[0].MAC)
	if got, want := fmt.Sprint(told.DNS), "[fd00:47::53]"; err != nil || got != want {
		t.Errorf("DHCPv6 tells of name servers %s, %v, want %s", got, err, want)
	}
	if got := guests[0].linkMTU6(); got != 1380 {
		t.Errorf("the router's advertisement made the MTU %d, want 1380", got)
	}
}

// stateless checks that a stateless group judges each packet by itself.
func stateless(t *testing.T, rig Rig) {
	l := newLAN(49)
	l.group.Stateless = true
	l.group.Rules = append(l.group.Rules, allow(80))
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "") // no rule lets the reply in
	anything := fabric.Rule{ID: uuid.NewString(), Protocol: "tcp", PortMin: 1024, PortMax: 65535}
	ensure(t, rig.Cluster, fabric.Topology{Groups: []fabric.Group{with(l.group, anything)}})
	a.Reaches(l.prefix+"6:80", l.prefix+"5")
}

// packetSize checks that a router tells senders what is too large for the next
// network.
func packetSize(t *testing.T, rig Rig) {
	x, y := newLAN(50), newLAN(51)
	x.group.Rules = append(x.group.Rules, allow(80), fabric.Rule{ID: uuid.NewString(), Protocol: "udp", PortMin: -1, PortMax: -1})
	y.group = x.group
	px, py := x.port(rig.Name, 5), y.port(rig.Name, 5)
	wide, narrow := legOf(x), legOf(y)
	wide.MTU, narrow.MTU = 1400, 1300
	ensure(t, rig.Cluster, fabric.Topology{
		Networks: []fabric.Network{x.Network, y.Network}, Groups: []fabric.Group{x.group}, Ports: []fabric.Port{px, py},
		Routers: []fabric.Router{{ID: uuid.NewString(), Enabled: true, Ports: []fabric.RouterPort{wide, narrow}}},
	})
	a, b := boot(t, rig, x, px), boot(t, rig, y, py)
	b.Serve(80)
	a.Reaches(py.IPs[0]+":80", px.IPs[0])
	a.must(a.Do(func() error {
		mtu, err := pathMTU(py.IPs[0] + ":7")
		if err == nil && mtu != narrow.MTU {
			err = fmt.Errorf("path MTU is %d, want %d", mtu, narrow.MTU)
		}
		return err
	}))
}

// pathMTU sends packets that nobody may split until it is told that they are too
// large, and of what size they may be.
func pathMTU(to string) (int, error) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	mtu := 0
	late, again := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	err = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	for err == nil {
		_, sent := conn.Write(make([]byte, 1350))
		if errors.Is(sent, unix.EMSGSIZE) {
			break
		}
		select {
		case <-again.C:
		case <-late:
			return 0, errors.New("nobody says that the packets are too large")
		}
	}
	if err == nil {
		controlled := raw.Control(func(fd uintptr) { mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU) })
		err = errors.Join(err, controlled)
	}
	return mtu, err
}

// metadata6 checks the door by its IPv6 address, on a network without any other.
func metadata6(t *testing.T, rig Rig) {
	l := newLAN(52)
	l.Subnets = nil
	p := l.port(rig.Name, 5)
	p.IPs = []string{eui64(t, "fd00:52::/64", p.MAC)}
	door, opening := l.metadataPort()
	door.IPs, opening.CIDRs = nil, nil
	ensure(t, rig.Cluster, l.topology(p, door))
	g := NewGuest(t, plug(t, rig.Host, p), p.MAC)
	awaitUp(t, rig.Cluster, p.ID, true)
	listener, err := rig.Host.OpenMetadata(timeout(t), opening)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		listener.Close()
		err := rig.Host.CloseMetadata(context.Background(), l.ID)
		if err != nil {
			t.Errorf("close: %v", err)
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			caller, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			io.WriteString(conn, caller)
			conn.Close()
		}
	}()
	caller := ""
	g.must(g.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		address := fmt.Sprintf("[fe80::a9fe:a9fe%%%d]:80", link.Attrs().Index)
		late, again := time.After(patience), time.NewTicker(50*time.Millisecond)
		defer again.Stop()
		for {
			caller, err = Reach(address, "", 2*time.Second)
			if err == nil {
				return nil
			}
			select {
			case <-again.C:
			case <-late:
				return err
			}
		}
	}))
	caller, _, _ = strings.Cut(caller, "%")
	if own := eui64(t, "fe80::/64", p.MAC); caller != own {
		t.Errorf("the door takes the guest for %s, want %s", caller, own)
	}
	mac, err := rig.Host.MAC(timeout(t), l.ID, caller)
	if err != nil || mac != p.MAC {
		t.Errorf("who has %s is %s, %v, want %s", caller, mac, err, p.MAC)
	}
}
