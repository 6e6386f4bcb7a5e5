package app

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/hosts"
	"nacre/internal/network"
	"nacre/internal/vif"
)

// computeNetworks are networks and ports as compute needs them.
type computeNetworks struct{ *network.Service }

func scopeOf(caller auth.Caller) network.Scope {
	return network.Scope{All: caller.Admin(), Project: caller.Project}
}

// Network returns a network that the caller may have the card on.
func (a computeNetworks) Network(ctx context.Context, caller auth.Caller, card compute.NewCard) (compute.Network, error) {
	n, err := a.ServerNetwork(ctx, scopeOf(caller), card.Network, card.FixedIP, card.Outside)
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
func (a computeNetworks) FreePort(ctx context.Context, caller auth.Caller, id string) (vif.Port, error) {
	p, err := a.Service.FreePort(ctx, scopeOf(caller), id)
	return vif.Port{ID: p.ID, Project: p.Project, Network: p.Network, MAC: p.MAC, Status: p.Status}, err
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
