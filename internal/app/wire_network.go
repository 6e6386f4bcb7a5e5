package app

import (
	"context"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/hosts"
	"nacre/internal/network"
)

// computeNetworks are networks and ports as compute needs them.
type computeNetworks struct{ *network.Service }

func scopeOf(caller auth.Caller) network.Scope {
	return network.Scope{All: caller.Admin(), Project: caller.Project}
}

// Network returns a network that the caller may attach a server to.
func (a computeNetworks) Network(ctx context.Context, caller auth.Caller, id string) (compute.Network, error) {
	n, err := a.ServerNetwork(ctx, scopeOf(caller), id)
	return compute.Network{ID: n.ID, Name: n.Name}, err
}

// Available returns the networks that a server may use without naming one.
func (a computeNetworks) Available(ctx context.Context, caller auth.Caller) ([]compute.Network, error) {
	list, err := a.ServerNetworks(ctx, caller.Project)
	out := make([]compute.Network, len(list))
	for i, n := range list {
		out[i] = compute.Network{ID: n.ID, Name: n.Name}
	}
	return out, err
}

// FreePort returns a port of the caller's project that no device has.
func (a computeNetworks) FreePort(ctx context.Context, caller auth.Caller, id string) (compute.Port, error) {
	p, err := a.Service.FreePort(ctx, scopeOf(caller), id)
	return compute.Port{ID: p.ID, Project: p.Project, Network: p.Network, MAC: p.MAC, Status: p.Status}, err
}

// SecurityGroups finds the project's groups by name or id.
func (a computeNetworks) SecurityGroups(ctx context.Context, caller auth.Caller, names []string) ([]string, error) {
	return a.GroupIDs(ctx, caller.Project, names)
}

// CreatePort makes a port that belongs to a server.
func (a computeNetworks) CreatePort(ctx context.Context, tx *db.Tx, p compute.NewPort) error {
	return a.CreateServerPort(ctx, tx, network.ServerPort(p))
}

// LimitPort has the port let pass no more than that.
func (a computeNetworks) LimitPort(ctx context.Context, tx *db.Tx, port string, limits compute.PortLimits) error {
	return a.Service.LimitPort(ctx, tx, port, network.CardLimits(limits))
}

// DeletePort removes the port.
func (a computeNetworks) DeletePort(ctx context.Context, tx *db.Tx, port string) error {
	return a.DeleteServerPort(ctx, tx, port)
}

// PortsOf returns the ports of the servers, by server.
func (a computeNetworks) PortsOf(ctx context.Context, tx *db.Tx, servers ...string) (map[string][]compute.Port, error) {
	cards, err := a.Cards(ctx, tx, servers...)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]compute.Port, len(cards))
	for server, list := range cards {
		out[server] = portsOf(list)
	}
	return out, nil
}

// NetworkInfo returns the ports of a server with all that its guest is told.
func (a computeNetworks) NetworkInfo(ctx context.Context, tx *db.Tx, server string) ([]compute.Port, error) {
	cards, err := a.Service.NetworkInfo(ctx, tx, server)
	return portsOf(cards), err
}

func portsOf(cards []network.Card) []compute.Port {
	out := make([]compute.Port, len(cards))
	for i, card := range cards {
		out[i] = portOf(card)
	}
	return out
}

func portOf(c network.Card) compute.Port {
	p := compute.Port{
		ID: c.ID, Project: c.Project, Server: c.Server, Network: c.Network, NetworkName: c.NetworkName,
		MAC: c.MAC, MTU: c.MTU, Status: c.Status,
	}
	p.Addresses = slices.Grow(p.Addresses, len(c.Addresses))
	for _, address := range c.Addresses {
		p.Addresses = append(p.Addresses, addressOf(address))
	}
	p.Groups = slices.Grow(p.Groups, len(c.Groups))
	for _, g := range c.Groups {
		p.Groups = append(p.Groups, compute.SecurityGroup(g))
	}
	if c.Door != nil {
		p.Metadata = &compute.MetadataDoor{Port: c.Door.Port, MAC: c.Door.MAC, CIDRs: c.Door.CIDRs}
	}
	return p
}

func addressOf(c network.CardAddress) compute.Address {
	out := compute.Address{IP: c.IP, Subnet: c.Subnet, Floating: c.Floating}
	if c.On == nil {
		return out
	}
	out.CIDR, out.Gateway, out.DNS, out.DHCP = c.On.CIDR, c.On.Gateway, c.On.DNS.V, c.On.DHCP
	for _, r := range c.On.Routes.V {
		out.Routes = append(out.Routes, compute.Route(r))
	}
	return out
}

// networkHosts lists the hosts as the network service knows them.
func networkHosts(from *hosts.Service) func(ctx context.Context) ([]network.Host, error) {
	return func(ctx context.Context) ([]network.Host, error) {
		list, err := from.List(ctx)
		out := make([]network.Host, len(list))
		for i, h := range list {
			out[i] = network.Host{ID: h.ID, Name: h.Name, Up: h.Up, CreatedAt: h.CreatedAt, SeenAt: h.SeenAt}
		}
		return out, err
	}
}
