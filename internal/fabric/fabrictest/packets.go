package fabrictest

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nacre/internal/fabric"
)

// packetSuite is what drivers pass that carry packets.
var packetSuite = []struct {
	name string
	run  func(*testing.T, Rig)
}{
	{"DHCP", dhcp},
	{"SecurityGroups", securityGroups},
	{"RemoteGroup", remoteGroup},
	{"RemoteAddresses", remoteAddresses},
	{"Names", names},
	{"Spoofing", spoofing},
	{"AdminState", adminState},
	{"DHCPv6", dhcpv6},
	{"IPv6", ipv6},
	{"Routing", routing},
	{"External", external},
	{"Forwarding", forwarding},
	{"Limits", limits},
	{"Marking", marking},
	{"Trunk", trunk},
	{"Provider", provider},
	{"Routing6", routing6},
	{"Stateless", stateless},
	{"PacketSize", packetSize},
	{"Metadata6", metadata6},
}

// boot plugs a port and puts a guest with the port's address behind it.
func boot(t *testing.T, rig Rig, l lan, p fabric.Port) *Guest {
	t.Helper()
	began := time.Now()
	tap := plug(t, rig.Host, p)
	plugged := time.Since(began)
	awaitUp(t, rig.Cluster, p.ID, true)
	t.Logf("port plugged after %v, up after %v", plugged, time.Since(began))
	g := NewGuest(t, tap, p.MAC)
	g.Address(p.IPs[0] + "/24")
	g.Route("0.0.0.0/0", l.prefix+"1")
	return g
}

func settle(t *testing.T, rig Rig) {
	t.Helper()
	err := rig.Packets.Sync(timeout(t))
	if err != nil {
		t.Fatalf("sync: %v", err)
	}
}

func dhcp(t *testing.T, rig Rig) {
	l := newLAN(21)
	p := l.port(rig.Name, 5)
	l.group.Rules = nil // an address is given even to who may do nothing
	ensure(t, rig.Cluster, l.topology(p))
	g := NewGuest(t, plug(t, rig.Host, p), p.MAC)
	awaitUp(t, rig.Cluster, p.ID, true)
	lease, err := g.DHCP(timeout(t), p.MAC)
	if err != nil {
		t.Fatalf("DHCP: %v", err)
	}
	got := fmt.Sprint(lease.IP, "/", lease.Bits, lease.Router, lease.MTU, lease.DNS)
	want := fmt.Sprint(l.prefix+"5", "/", 24, netip.MustParseAddr(l.prefix+"1"), l.MTU, l.Subnets[0].DNS)
	if got != want {
		t.Errorf("lease is %s, want %s", got, want)
	}
	routes := map[string]string{
		"169.254.169.254/32": l.prefix + "2",
		"10.99.0.0/16":       l.prefix + "9",
		"0.0.0.0/0":          l.prefix + "1",
	}
	if !maps.Equal(lease.Routes, routes) {
		t.Errorf("routes are %v, want %v", lease.Routes, routes)
	}
}

func dhcpv6(t *testing.T, rig Rig) {
	l := newLAN(31)
	l.Subnets = append(l.Subnets, fabric.Subnet{ID: uuid.NewString(), CIDR: "fd00:31::/64", DHCP: true, DNS: []string{"fd00:31::53"}})
	p := l.port(rig.Name, 5)
	p.IPs = append(p.IPs, "fd00:31::5")
	l.group.Rules = nil
	ensure(t, rig.Cluster, l.topology(p))
	g := NewGuest(t, plug(t, rig.Host, p), p.MAC)
	awaitUp(t, rig.Cluster, p.ID, true)
	lease, err := g.DHCP6(timeout(t), p.MAC)
	if err != nil {
		t.Fatalf("DHCPv6: %v", err)
	}
	if got, want := fmt.Sprint(lease.IP, lease.DNS), "fd00:31::5 [fd00:31::53]"; got != want {
		t.Errorf("lease is %s, want %s", got, want)
	}
}

// securityGroups checks that what no rule allows is dropped, that replies pass,
// and that rules come and go while guests run.
func securityGroups(t *testing.T, rig Rig) {
	l := newLAN(22)
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	b.Serve(81)
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")
	if a.Pings(l.prefix+"6", silence) {
		t.Errorf("ping passed without a rule")
	}

	opened := with(l.group, allow(80))
	began := time.Now()
	ensure(t, rig.Cluster, fabric.Topology{Groups: []fabric.Group{opened}})
	stored := time.Since(began)
	settle(t, rig)
	t.Logf("one more rule: stored after %v, in force after %v", stored, time.Since(began))
	a.Reaches(l.prefix+"6:80", l.prefix+"5") // the replies are not allowed by any rule of a's
	a.Misses(l.prefix+"6:81", "")

	ranged := with(l.group, fabric.Rule{ID: uuid.NewString(), Protocol: "6", PortMin: 81, PortMax: 90, RemoteCIDR: l.prefix + "5/32"},
		fabric.Rule{ID: uuid.NewString(), Protocol: "icmp", PortMin: 8, PortMax: 0})
	ensure(t, rig.Cluster, fabric.Topology{Groups: []fabric.Group{ranged}})
	settle(t, rig)
	a.Reaches(l.prefix+"6:81", l.prefix+"5")
	a.Misses(l.prefix+"6:80", "")
	if !a.Pings(l.prefix+"6", patience) {
		t.Errorf("ping is dropped in spite of its rule")
	}

	closed := l.group
	closed.Rules = []fabric.Rule{allow(80)}
	ensure(t, rig.Cluster, fabric.Topology{Groups: []fabric.Group{closed}})
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "") // in is allowed, out no longer
}

// remoteGroup checks a rule that names a group instead of addresses.
func remoteGroup(t *testing.T, rig Rig) {
	l := newLAN(23)
	friends := fabric.Group{ID: uuid.NewString()}
	l.group.Rules = append(l.group.Rules, fabric.Rule{ID: uuid.NewString(), Protocol: "tcp", PortMin: 80, PortMax: 80, RemoteGroup: friends.ID})
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	topology := l.topology(pa, pb)
	topology.Groups = append(topology.Groups, friends)
	ensure(t, rig.Cluster, topology)
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")

	pa.Groups = append(pa.Groups, friends.ID)
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	settle(t, rig)
	a.Reaches(l.prefix+"6:80", l.prefix+"5")

	pa.Groups = pa.Groups[:1]
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")
}

// spoofing checks that a guest has the addresses of its port, and allowed ones.
func spoofing(t *testing.T, rig Rig) {
	l := newLAN(24)
	l.group.Rules = append(l.group.Rules, allow(80))
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	a.Address(l.prefix + "77/24")
	a.Reaches(l.prefix+"6:80", l.prefix+"5")
	a.Misses(l.prefix+"6:80", l.prefix+"77")

	reachesAs77 := func() {
		t.Helper()
		settle(t, rig)
		a.ReachesFrom(l.prefix+"6:80", l.prefix+"77")
	}
	pa.AllowedPairs = []fabric.Pair{{IP: l.prefix + "77"}}
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	reachesAs77()

	pa.AllowedPairs = nil
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	settle(t, rig)
	a.Misses(l.prefix+"6:80", l.prefix+"77")

	pa.PortSecurity, pa.Groups = false, nil
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	reachesAs77()
}

// adminState checks that a disabled port is cut off.
func adminState(t *testing.T, rig Rig) {
	l := newLAN(25)
	l.group.Rules = append(l.group.Rules, allow(80))
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	a.Reaches(l.prefix+"6:80", l.prefix+"5")
	pb.Enabled = false
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pb}})
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")
}

func ipv6(t *testing.T, rig Rig) {
	l := newLAN(26)
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	pa.IPs, pb.IPs = append(pa.IPs, "fd00:26::5"), append(pb.IPs, "fd00:26::6")
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	a.Address("fd00:26::5/64")
	b.Address("fd00:26::6/64")
	b.Serve(80)
	settle(t, rig)
	a.Misses("[fd00:26::6]:80", "")
	rule := allow(80)
	rule.IPv6, rule.RemoteCIDR = true, "fd00:26::/64"
	ensure(t, rig.Cluster, fabric.Topology{Groups: []fabric.Group{with(l.group, rule)}})
	a.Reaches("[fd00:26::6]:80", "fd00:26::5")
	a.Misses(l.prefix+"6:80", "") // the rule is for IPv6 alone

	// A router tells guests its prefix and that it is the way out.
	leg := legOf(l)
	leg.CIDRs, leg.Advertise = append(leg.CIDRs, "fd00:26::1/64"), "slaac"
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{{ID: uuid.NewString(), Enabled: true, Ports: []fabric.RouterPort{leg}}}})
	a.Learns("fd00:26::/64")
}

// routing checks a router between two networks.
func routing(t *testing.T, rig Rig) {
	x, y := newLAN(27), newLAN(28)
	x.group.Rules = append(x.group.Rules, allow(80))
	y.group = x.group
	px, py := x.port(rig.Name, 5), y.port(rig.Name, 5)
	router := fabric.Router{ID: uuid.NewString(), Enabled: true, Ports: []fabric.RouterPort{legOf(x), legOf(y)}}
	ensure(t, rig.Cluster, fabric.Topology{
		Networks: []fabric.Network{x.Network, y.Network}, Groups: []fabric.Group{x.group},
		Ports: []fabric.Port{px, py}, Routers: []fabric.Router{router},
	})
	a, b := boot(t, rig, x, px), boot(t, rig, y, py)
	b.Serve(80)
	a.Reaches(y.prefix+"5:80", x.prefix+"5")

	router.Enabled = false
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{router}})
	settle(t, rig)
	a.Misses(y.prefix+"5:80", "")

	router.Enabled, router.Ports = true, router.Ports[:1]
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{router}})
	settle(t, rig)
	a.Misses(y.prefix+"5:80", "") // a network that the router has left
}

func legOf(l lan) fabric.RouterPort {
	id := uuid.NewString()
	return fabric.RouterPort{ID: id, Network: l.ID, MAC: macOf(id), CIDRs: []string{l.prefix + "1/24"}}
}

// external checks the way out and, with a floating IP, in.
func external(t *testing.T, rig Rig) {
	prefix := rig.Packets.Outside[:strings.LastIndex(rig.Packets.Outside, ".")+1]
	outside, floating, own := rig.Packets.Outside, prefix+"150", prefix+"99"
	public := fabric.Network{ID: uuid.NewString(), Name: "public", MTU: 1500, Physical: rig.Packets.Physical}
	l := newLAN(29)
	l.group.Rules = append(l.group.Rules, allow(80))
	p, other := l.port(rig.Name, 5), l.port(rig.Name, 6)
	gatewayPort := uuid.NewString()
	router := fabric.Router{
		ID: uuid.NewString(), Enabled: true, Ports: []fabric.RouterPort{legOf(l)},
		Gateway: &fabric.Gateway{
			RouterPort: fabric.RouterPort{ID: gatewayPort, Network: public.ID, MAC: macOf(gatewayPort), CIDRs: []string{own + "/24"}},
			NextHops:   []string{outside}, SNAT: true,
		},
	}
	topology := l.topology(p, other)
	topology.Networks = append(topology.Networks, public)
	topology.Routers = []fabric.Router{router}
	ensure(t, rig.Cluster, topology)
	g, second := boot(t, rig, l, p), boot(t, rig, l, other)
	g.Serve(80)
	g.Serve(81)
	err := Serve(t, outside+":8099")
	if err != nil {
		t.Fatalf("serve outside: %v", err)
	}
	g.Reaches(outside+":8099", own)

	// A floating IP works in both directions, and for its port alone.
	router.NATs = []fabric.FloatingIP{{ID: uuid.NewString(), External: floating, Internal: l.prefix + "5", Port: p.ID, MAC: "fa:16:3e:00:00:77"}}
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{router}})
	err = reaches(floating+":80", outside)
	if err != nil {
		t.Errorf("floating IP: %v", err)
	}
	g.Reaches(outside+":8099", floating)
	second.Reaches(outside+":8099", own)
	second.Reaches(floating+":80", own) // also from within the cloud
	err = misses(floating+":81", "")
	if err != nil {
		t.Errorf("security group: %v", err)
	}

	router.NATs = nil
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{router}})
	settle(t, rig)
	err = misses(floating+":80", "")
	if err != nil {
		t.Errorf("floating IP after it was taken away: %v", err)
	}

	router.Gateway.SNAT = false
	ensure(t, rig.Cluster, fabric.Topology{Routers: []fabric.Router{router}})
	settle(t, rig)
	g.Misses(outside+":8099", "")
}
