// Package fabrictest is the suite that every network driver passes.
//
// It asks of a driver what the comments of fabric.Cluster and fabric.Host
// promise. Where the driver carries packets, guests made of network namespaces
// send some: a Guest sits behind the tap that the driver made, where QEMU would
// sit. What it measures is logged.
package fabrictest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"nacre/internal/fabric"
)

// Rig is a driver under test.
type Rig struct {
	Cluster fabric.Cluster
	Host    fabric.Host
	Name    string // of the host, as fabric.Port.Host has it

	// Dial connects to 169.254.169.254:80 as the guest on the port does, whose
	// card is on the tap.
	Dial func(t *testing.T, n fabric.Network, p fabric.Port, tap string) net.Conn

	// Packets is nil for a driver that carries none.
	Packets *Packets
}

// Packets is what the suite needs to know about a driver that carries some.
type Packets struct {
	// Sync returns when what was ensured is in force on every host.
	Sync func(ctx context.Context) error
	// Physical is a provider network on which the namespace that the test runs in
	// has the address Outside, in a range of 24 bits.
	Physical string
	Outside  string
	// Wired is a provider network whose wire, on every host, is Wire.
	Wired string
	Wire  *Cable
}

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// Run runs the suite. start is called once.
func Run(t *testing.T, start func(t *testing.T) Rig) {
	rig := start(t)
	suite := []struct {
		name string
		run  func(*testing.T, Rig)
	}{
		{"Objects", objects},
		{"Refusals", refusals},
		{"Together", together},
		{"Plugging", plugging},
		{"Up", up},
		{"Metadata", metadata},
	}
	if rig.Packets != nil {
		suite = append(suite, packetSuite...)
	}
	for _, part := range suite {
		t.Run(part.name, func(t *testing.T) { part.run(t, rig) })
	}
}

// lan is a network with one subnet, 10.N.0.0/24, and a group that allows only
// what goes out.
type lan struct {
	fabric.Network
	prefix string // "10.N.0."
	group  fabric.Group
}

func newLAN(n int) lan {
	id := uuid.NewString()
	prefix := fmt.Sprintf("10.%d.0.", n)
	return lan{
		Network: fabric.Network{
			ID: id, Name: "lan", MTU: 1400,
			Subnets: []fabric.Subnet{{
				ID: uuid.NewString(), CIDR: prefix + "0/24", Gateway: prefix + "1", DHCP: true,
				DNS:        []string{"9.9.9.9", "149.112.112.112"},
				Routes:     []fabric.Route{{Destination: "10.99.0.0/16", NextHop: prefix + "9"}},
				MetadataIP: prefix + "2",
			}},
		},
		prefix: prefix,
		group: fabric.Group{ID: uuid.NewString(), Rules: []fabric.Rule{
			{ID: uuid.NewString(), Egress: true, PortMin: -1, PortMax: -1},
			{ID: uuid.NewString(), Egress: true, IPv6: true, PortMin: -1, PortMax: -1},
		}},
	}
}

// port makes a bound port with the address prefix+last.
func (l lan) port(host string, last int) fabric.Port {
	id := uuid.NewString()
	return fabric.Port{
		ID: id, Network: l.ID, MAC: macOf(id), IPs: []string{fmt.Sprint(l.prefix, last)},
		Groups: []string{l.group.ID}, PortSecurity: true, Enabled: true, Host: host,
	}
}

// metadataPort is the network's port for metadata, and its door.
func (l lan) metadataPort() (fabric.Port, fabric.Metadata) {
	id := uuid.NewString()
	ip := l.prefix + "2"
	return fabric.Port{ID: id, Network: l.ID, MAC: macOf(id), IPs: []string{ip}, Enabled: true, Metadata: true},
		fabric.Metadata{Network: l.ID, Port: id, MAC: macOf(id), CIDRs: []string{ip + "/24"}, MTU: l.MTU}
}

func (l lan) topology(ports ...fabric.Port) fabric.Topology {
	return fabric.Topology{Networks: []fabric.Network{l.Network}, Groups: []fabric.Group{l.group}, Ports: ports}
}

// allow is a rule that lets TCP in.
func allow(port int) fabric.Rule {
	return fabric.Rule{ID: uuid.NewString(), Protocol: "tcp", PortMin: port, PortMax: port}
}

// with returns a copy of the group with further rules.
func with(g fabric.Group, rules ...fabric.Rule) fabric.Group {
	g.Rules = append(slices.Clip(g.Rules), rules...)
	return g
}

func macOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}

func plugOf(p fabric.Port) fabric.Plug {
	return fabric.Plug{Port: p.ID, Network: p.Network, MAC: p.MAC, MTU: 1400}
}

// ensure makes the objects, and removes them when the test ends.
func ensure(t *testing.T, c fabric.Cluster, topology fabric.Topology) {
	t.Helper()
	ctx := timeout(t)
	t.Cleanup(func() { remove(t, c, refsOf(topology)...) })
	err := c.Ensure(ctx, topology)
	if err != nil {
		t.Fatalf("ensure: %v", err)
	}
}

func remove(t *testing.T, c fabric.Cluster, refs ...fabric.Ref) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.Remove(ctx, refs...)
	if err != nil {
		t.Errorf("remove %v: %v", refs, err)
	}
}

// refsOf names the objects of a topology, those first that others refer to last.
func refsOf(topology fabric.Topology) []fabric.Ref {
	var refs []fabric.Ref
	for _, r := range topology.Routers {
		refs = append(refs, fabric.Ref{Kind: fabric.KindRouter, ID: r.ID})
	}
	for _, p := range topology.Ports {
		refs = append(refs, fabric.Ref{Kind: fabric.KindPort, ID: p.ID})
	}
	for _, g := range topology.Groups {
		refs = append(refs, fabric.Ref{Kind: fabric.KindGroup, ID: g.ID})
	}
	for _, g := range topology.AddressGroups {
		refs = append(refs, fabric.Ref{Kind: fabric.KindAddressGroup, ID: g.ID})
	}
	for _, n := range topology.Networks {
		refs = append(refs, fabric.Ref{Kind: fabric.KindNetwork, ID: n.ID})
	}
	return refs
}

// plug plugs a port, and unplugs it when the test ends.
func plug(t *testing.T, h fabric.Host, p fabric.Port) string {
	t.Helper()
	t.Cleanup(func() { unplug(t, h, p.ID) })
	tap, err := h.Plug(timeout(t), plugOf(p))
	if err != nil {
		t.Fatalf("plug: %v", err)
	}
	return tap
}

func unplug(t *testing.T, h fabric.Host, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := h.Unplug(ctx, port)
	if err != nil {
		t.Errorf("unplug: %v", err)
	}
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// awaitUp waits until the port is up or not, woken by the driver's hints.
func awaitUp(t *testing.T, c fabric.Cluster, port string, want bool) {
	t.Helper()
	late := time.After(patience)
	for {
		ids, err := c.Up(timeout(t))
		if err != nil {
			t.Fatalf("up: %v", err)
		}
		if slices.Contains(ids, port) == want {
			break
		}
		select {
		case <-c.Changed():
		case <-late:
			t.Fatalf("port %s: up is %v, want %v, and no hint came within %v", port, !want, want, patience)
		}
	}
	ids, err := c.Up(timeout(t), "no such port", port)
	if err != nil || len(ids) > 1 || slices.Contains(ids, port) != want {
		t.Errorf("asked for port %s and one that is not there: got %q, %v, want that it is up: %v", port, ids, err, want)
	}
}
