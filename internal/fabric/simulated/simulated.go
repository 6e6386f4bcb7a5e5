// Package simulated is the network of the imagination: it keeps what it is told
// and moves no packets.
//
// It promises what the other drivers promise, so that nothing above can tell the
// difference: topologies are taken whole or refused whole, a port is up once it
// is bound to a host and plugged in there, and hints follow each change.
// It is product code: `nacre dev` runs on it, with up to 10,000 hosts, each of
// which costs a few words until something is plugged in. Fail makes it misbehave.
//
// Several servers of one process share a Cluster by a View each; servers and
// nodes in processes of their own by a socket that Serve listens on (remote.go).
package simulated

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"nacre/internal/fabric"
)

// Cluster is a fabric.Cluster in memory. Its zero value is not ready: use New.
type Cluster struct {
	changed chan string

	// mu guards what follows, and the hosts' own state.
	mu       sync.Mutex
	networks map[string]fabric.Network
	ports    map[string]fabric.Port
	groups   map[string]fabric.Group
	routers  map[string]fabric.Router
	ranges   map[string]fabric.AddressGroup
	plugged  map[string]map[string]bool   // port: hosts on which it is plugged in
	vlans    map[string]map[string]bool   // trunk: ports on it
	hosts    map[string]*Host             // by name
	views    map[*View]struct{}           // who hears of changes, besides the reader of changed
	byIP     map[string]map[string]string // network: address: port
	fail     func(call, id string) error
}

var _ fabric.Cluster = (*Cluster)(nil)

// New makes a network without anything in it.
func New() *Cluster {
	return &Cluster{
		changed:  make(chan string, 1024),
		networks: map[string]fabric.Network{},
		ports:    map[string]fabric.Port{},
		groups:   map[string]fabric.Group{},
		routers:  map[string]fabric.Router{},
		ranges:   map[string]fabric.AddressGroup{},
		plugged:  map[string]map[string]bool{},
		vlans:    map[string]map[string]bool{},
		hosts:    map[string]*Host{},
		views:    map[*View]struct{}{},
		byIP:     map[string]map[string]string{},
	}
}

// Fail has f decide which calls fail from now on, those of the hosts included. It
// is asked before a call has any effect, with the method's name and the id of the
// port or network, where there is one. Nil ends it.
func (c *Cluster) Fail(f func(call, id string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = f
}

// begin is the start of every call. The caller holds mu.
func (c *Cluster) begin(ctx context.Context, call, id string) error {
	err := ctx.Err()
	if err == nil && c.fail != nil {
		err = c.fail(call, id)
	}
	return err
}

// Ensure implements fabric.Cluster.
func (c *Cluster) Ensure(ctx context.Context, t fabric.Topology) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Ensure", "")
	if err != nil {
		return err
	}
	err = t.Check()
	if err == nil {
		err = c.check(t)
	}
	if err != nil {
		return err
	}
	for _, n := range t.Networks {
		c.networks[n.ID] = n
	}
	for _, g := range t.AddressGroups {
		c.ranges[g.ID] = g
	}
	for _, g := range t.Groups {
		c.groups[g.ID] = g
	}
	for _, r := range t.Routers {
		c.routers[r.ID] = r
	}
	for _, p := range t.Ports {
		before := c.ups(p.ID)
		c.forgetIPs(p.ID)
		c.leaveTrunk(p.ID)
		c.ports[p.ID] = p
		c.rememberIPs(p)
		if p.Trunk != "" {
			if c.vlans[p.Trunk] == nil {
				c.vlans[p.Trunk] = map[string]bool{}
			}
			c.vlans[p.Trunk][p.ID] = true
		}
		c.hints(p.ID, before)
	}
	return nil
}

// check refuses references to what is not there.
func (c *Cluster) check(t fabric.Topology) error {
	network := func(id string) error {
		_, ok := c.networks[id]
		if ok || slices.ContainsFunc(t.Networks, func(n fabric.Network) bool { return n.ID == id }) {
			return nil
		}
		return fmt.Errorf("network %s does not exist", id)
	}
	for _, p := range t.Ports {
		err := network(p.Network)
		if err != nil {
			return fmt.Errorf("port %s: %w", p.ID, err)
		}
		for _, id := range p.Groups {
			_, ok := c.groups[id]
			if !ok && !slices.ContainsFunc(t.Groups, func(g fabric.Group) bool { return g.ID == id }) {
				return fmt.Errorf("port %s: group %s does not exist", p.ID, id)
			}
		}
	}
	for _, r := range t.Routers {
		for _, p := range r.AllPorts() {
			err := network(p.Network)
			if err != nil {
				return fmt.Errorf("router %s: %w", r.ID, err)
			}
		}
	}
	return nil
}

// Remove implements fabric.Cluster. With a network go its ports.
func (c *Cluster) Remove(ctx context.Context, refs ...fabric.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Remove", "")
	if err != nil {
		return err
	}
	for _, ref := range refs {
		switch ref.Kind {
		case fabric.KindNetwork, fabric.KindPort, fabric.KindGroup, fabric.KindRouter, fabric.KindAddressGroup:
		default:
			return fmt.Errorf("remove %s: unknown kind %q", ref.ID, ref.Kind)
		}
	}
	for _, ref := range refs {
		switch ref.Kind {
		case fabric.KindNetwork:
			delete(c.networks, ref.ID)
			for id, p := range c.ports {
				if p.Network == ref.ID {
					c.removePort(id)
				}
			}
		case fabric.KindPort:
			c.removePort(ref.ID)
		case fabric.KindGroup:
			delete(c.groups, ref.ID)
		case fabric.KindRouter:
			delete(c.routers, ref.ID)
		case fabric.KindAddressGroup:
			delete(c.ranges, ref.ID)
		}
	}
	return nil
}

func (c *Cluster) removePort(id string) {
	before := c.ups(id)
	c.forgetIPs(id)
	c.leaveTrunk(id)
	delete(c.ports, id)
	c.hints(id, before)
}

func (c *Cluster) leaveTrunk(id string) {
	trunk := c.ports[id].Trunk
	delete(c.vlans[trunk], id)
	if len(c.vlans[trunk]) == 0 {
		delete(c.vlans, trunk)
	}
}

// List implements fabric.Cluster.
func (c *Cluster) List(ctx context.Context) ([]fabric.Ref, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "List", "")
	if err != nil {
		return nil, err
	}
	var refs []fabric.Ref
	for id := range c.networks {
		refs = append(refs, fabric.Ref{Kind: fabric.KindNetwork, ID: id})
	}
	for id := range c.ports {
		refs = append(refs, fabric.Ref{Kind: fabric.KindPort, ID: id})
	}
	for id := range c.groups {
		refs = append(refs, fabric.Ref{Kind: fabric.KindGroup, ID: id})
	}
	for id := range c.routers {
		refs = append(refs, fabric.Ref{Kind: fabric.KindRouter, ID: id})
	}
	for id := range c.ranges {
		refs = append(refs, fabric.Ref{Kind: fabric.KindAddressGroup, ID: id})
	}
	return refs, nil
}

// Up implements fabric.Cluster.
func (c *Cluster) Up(ctx context.Context, ports ...string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Up", "")
	if err != nil {
		return nil, err
	}
	var up []string
	for _, id := range ports {
		if c.up(id) {
			up = append(up, id)
		}
	}
	if len(ports) > 0 {
		return up, nil
	}
	for id := range c.plugged {
		for port, isUp := range c.ups(id) {
			if isUp {
				up = append(up, port)
			}
		}
	}
	return up, nil
}

// Changed implements fabric.Cluster.
func (c *Cluster) Changed() <-chan string { return c.changed }

// Topology returns everything that was ensured, for tests and explanations.
func (c *Cluster) Topology() fabric.Topology {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fabric.Topology{
		Networks: slices.Collect(maps.Values(c.networks)),
		Ports:    slices.Collect(maps.Values(c.ports)),
		Groups:   slices.Collect(maps.Values(c.groups)),
		Routers:  slices.Collect(maps.Values(c.routers)),

		AddressGroups: slices.Collect(maps.Values(c.ranges)),
	}
}

// up says whether the port is bound to a host on which it, or its trunk, is
// plugged in.
func (c *Cluster) up(port string) bool {
	p, ok := c.ports[port]
	card := port
	if p.Trunk != "" {
		card = p.Trunk
	}
	return ok && p.Host != "" && c.plugged[card][p.Host]
}

// ups says which are up of a port and the VLANs on it.
func (c *Cluster) ups(port string) map[string]bool {
	state := map[string]bool{port: c.up(port)}
	for vlan := range c.vlans[port] {
		state[vlan] = c.up(vlan)
	}
	return state
}

// hints tells about a port and the VLANs on it, where their state is no longer
// what it was.
func (c *Cluster) hints(port string, before map[string]bool) {
	for id, up := range c.ups(port) {
		if up == before[id] {
			continue
		}
		fabric.Hint(c.changed, id)
		for v := range c.views {
			fabric.Hint(v.changed, id)
		}
	}
}

// View is a Cluster with hints of its own, for one of several servers.
type View struct {
	*Cluster
	changed chan string
}

// View makes a view. Close it when its reader is gone.
func (c *Cluster) View() *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &View{Cluster: c, changed: make(chan string, cap(c.changed))}
	c.views[v] = struct{}{}
	return v
}

// Changed implements fabric.Cluster.
func (v *View) Changed() <-chan string { return v.changed }

// Close ends the hints.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.views, v)
}

func (c *Cluster) rememberIPs(p fabric.Port) {
	for _, ip := range p.IPs {
		if c.byIP[p.Network] == nil {
			c.byIP[p.Network] = map[string]string{}
		}
		c.byIP[p.Network][ip] = p.ID
	}
}

func (c *Cluster) forgetIPs(port string) {
	p := c.ports[port]
	for _, ip := range p.IPs {
		if c.byIP[p.Network][ip] == port {
			delete(c.byIP[p.Network], ip)
		}
	}
	if len(c.byIP[p.Network]) == 0 {
		delete(c.byIP, p.Network)
	}
}
