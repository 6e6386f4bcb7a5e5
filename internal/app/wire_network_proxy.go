package app

import (
	"context"
	"slices"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
	"nacre/internal/network"
)

// networkProxy is the network service as compute's deprecated calls pass it on.
type networkProxy struct{ *network.Service }

// Networks lists the networks that the caller sees.
func (a networkProxy) Networks(ctx context.Context, caller auth.Caller) ([]compute.Network, error) {
	list, err := a.Service.Networks(ctx, network.Query{Scope: scopeOf(caller)})
	var out []compute.Network
	for _, n := range list {
		out = append(out, compute.Network{ID: n.ID, Name: n.Name})
	}
	return out, err
}

// Network finds a network that the caller sees.
func (a networkProxy) Network(ctx context.Context, caller auth.Caller, id string) (compute.Network, error) {
	n, err := a.Service.Network(ctx, scopeOf(caller), id)
	return compute.Network{ID: n.ID, Name: n.Name}, err
}

func (a networkProxy) groupOf(ctx context.Context, caller auth.Caller, g network.Group) (compute.GroupDetails, error) {
	out := compute.GroupDetails{ID: g.ID, Name: g.Name, Description: g.Description, Project: g.Project}
	for _, r := range g.Rules {
		if r.Direction != "ingress" {
			continue
		}
		rule, err := a.ruleOf(ctx, caller, r)
		if err != nil {
			return out, err
		}
		out.Rules = append(out.Rules, rule)
	}
	return out, nil
}

func (a networkProxy) ruleOf(ctx context.Context, caller auth.Caller, r network.Rule) (compute.GroupRule, error) {
	out := compute.GroupRule{ID: r.ID, Group: r.Group, Protocol: r.Protocol, CIDR: r.RemotePrefix, Remote: r.RemoteGroup}
	from, to := r.PortMin, r.PortMax
	switch {
	case from == -1 && to == -1 && (r.Protocol == "tcp" || r.Protocol == "udp"):
		from, to = 1, 65535
		out.From, out.To = &from, &to
	case r.Protocol != "":
		out.From, out.To = &from, &to
	}
	if r.RemoteGroup != "" {
		remote, err := a.Service.Group(ctx, network.Scope{All: true}, r.RemoteGroup)
		out.RemoteName, out.RemoteProject = remote.Name, remote.Project
		return out, err
	}
	if out.CIDR == "" {
		out.CIDR = map[string]string{"IPv4": "0.0.0.0/0", "IPv6": "::/0"}[r.Ethertype]
	}
	return out, nil
}

// Groups lists the security groups of the caller's project, or of all.
func (a networkProxy) Groups(ctx context.Context, caller auth.Caller, all bool) ([]compute.GroupDetails, error) {
	list, err := a.Service.Groups(ctx, network.Query{Scope: network.Scope{All: all, Project: caller.Project}}, caller.Project)
	if err != nil {
		return nil, err
	}
	var out []compute.GroupDetails
	for _, g := range list {
		one, err := a.groupOf(ctx, caller, g)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Group finds a security group that the caller sees.
func (a networkProxy) Group(ctx context.Context, caller auth.Caller, id string) (compute.GroupDetails, error) {
	g, err := a.Service.Group(ctx, scopeOf(caller), id)
	if err != nil {
		return compute.GroupDetails{}, err
	}
	return a.groupOf(ctx, caller, g)
}

// CreateGroup makes a security group.
func (a networkProxy) CreateGroup(ctx context.Context, caller auth.Caller, name, description string) (compute.GroupDetails, error) {
	made, err := a.Service.CreateGroups(ctx, network.NewGroup{Project: caller.Project, Name: name, Description: description})
	if err != nil {
		return compute.GroupDetails{}, err
	}
	return a.groupOf(ctx, caller, made[0])
}

// UpdateGroup renames a security group.
func (a networkProxy) UpdateGroup(ctx context.Context, caller auth.Caller, id, name, description string) (compute.GroupDetails, error) {
	g, err := a.Service.UpdateGroup(ctx, scopeOf(caller), id, network.AnyRevision, network.GroupChange{Name: &name, Description: &description})
	if err != nil {
		return compute.GroupDetails{}, err
	}
	return a.groupOf(ctx, caller, g)
}

// DeleteGroup removes a security group without members.
func (a networkProxy) DeleteGroup(ctx context.Context, caller auth.Caller, id string) error {
	return a.Service.DeleteGroup(ctx, id, network.AnyRevision, caller.Admin())
}

// Rule finds a rule that the caller sees.
func (a networkProxy) Rule(ctx context.Context, caller auth.Caller, id string) (compute.GroupRule, string, error) {
	r, err := a.Service.Rule(ctx, scopeOf(caller), id)
	if err != nil {
		return compute.GroupRule{}, "", err
	}
	rule, err := a.ruleOf(ctx, caller, r)
	return rule, r.Project, err
}

// CreateRule lets something in.
func (a networkProxy) CreateRule(ctx context.Context, caller auth.Caller, in compute.GroupRule) (compute.GroupRule, error) {
	rule := network.Rule{Group: in.Group, Traffic: network.Traffic{
		Direction: "ingress", Ethertype: "IPv4", Protocol: in.Protocol, PortMin: -1, PortMax: -1, RemotePrefix: in.CIDR, RemoteGroup: in.Remote,
	}}
	rule.Common.Project = caller.Project
	if strings.Contains(in.CIDR, ":") {
		rule.Ethertype = "IPv6"
	}
	if in.From != nil {
		rule.PortMin = *in.From
	}
	if in.To != nil {
		rule.PortMax = *in.To
	}
	made, err := a.CreateRules(ctx, scopeOf(caller), rule)
	if err != nil {
		return compute.GroupRule{}, err
	}
	return a.ruleOf(ctx, caller, made[0])
}

func (a networkProxy) floatingOf(ctx context.Context, f network.FloatingIP) (compute.FloatingIP, error) {
	n, err := a.Service.Network(ctx, network.Scope{All: true}, f.Network)
	out := compute.FloatingIP{ID: f.ID, Project: f.Project, Address: f.Address, Pool: n.Name, Port: f.FixedPort, FixedIP: f.FixedIP}
	if f.Details != nil {
		out.Server = f.Details.Device
	}
	return out, err
}

// FloatingIPs lists those of the caller's project.
func (a networkProxy) FloatingIPs(ctx context.Context, caller auth.Caller) ([]compute.FloatingIP, error) {
	list, err := a.Service.FloatingIPs(ctx, network.Query{Scope: network.Scope{Project: caller.Project}})
	if err != nil {
		return nil, err
	}
	var out []compute.FloatingIP
	for _, f := range list {
		one, err := a.floatingOf(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// FloatingIP finds one that the caller sees.
func (a networkProxy) FloatingIP(ctx context.Context, caller auth.Caller, id string) (compute.FloatingIP, error) {
	f, err := a.Service.FloatingIP(ctx, scopeOf(caller), id)
	if err != nil {
		return compute.FloatingIP{}, err
	}
	return a.floatingOf(ctx, f)
}

// CreateFloatingIP takes an address of an external network.
func (a networkProxy) CreateFloatingIP(ctx context.Context, caller auth.Caller, id string) (compute.FloatingIP, error) {
	f, err := a.Service.CreateFloatingIP(ctx, scopeOf(caller), network.NewFloatingIP{Project: caller.Project, Network: id})
	if err != nil {
		return compute.FloatingIP{}, err
	}
	return a.floatingOf(ctx, f)
}

// DeleteFloatingIP gives the address back.
func (a networkProxy) DeleteFloatingIP(ctx context.Context, id string) error {
	return a.Service.DeleteFloatingIP(ctx, id, network.AnyRevision)
}

// LeadFloatingIP has it lead to a port's address, with "" to nowhere.
func (a networkProxy) LeadFloatingIP(ctx context.Context, caller auth.Caller, id, port, fixed string) error {
	_, err := a.UpdateFloatingIP(ctx, scopeOf(caller), id, network.AnyRevision, network.FloatingIPChange{FixedPort: &port, FixedIP: fixed})
	return err
}

// Pools are the external networks that the caller sees.
func (a networkProxy) Pools(ctx context.Context, caller auth.Caller) ([]compute.Network, error) {
	list, err := a.Service.Networks(ctx, network.Query{Scope: scopeOf(caller)})
	var out []compute.Network
	for _, n := range list {
		if n.External {
			out = append(out, compute.Network{ID: n.ID, Name: n.Name})
		}
	}
	return out, err
}

// SetGroups says which security groups a port is in.
func (a networkProxy) SetGroups(ctx context.Context, caller auth.Caller, port string, groups []string) error {
	_, err := a.UpdatePort(ctx, scopeOf(caller), port, network.AnyRevision, network.PortChange{Groups: &groups})
	return err
}

// AddAddress gives a port one more address, of the subnet of its first.
func (a networkProxy) AddAddress(ctx context.Context, caller auth.Caller, port string) error {
	return a.changeAddresses(ctx, caller, port, func(has []network.FixedIP) []network.FixedIP {
		more := network.FixedIP{}
		if len(has) > 0 {
			more.Subnet = has[0].Subnet
		}
		return append(has, more)
	})
}

// RemoveAddress takes an address from a port.
func (a networkProxy) RemoveAddress(ctx context.Context, caller auth.Caller, port, ip string) error {
	return a.changeAddresses(ctx, caller, port, func(has []network.FixedIP) []network.FixedIP {
		return slices.DeleteFunc(has, func(f network.FixedIP) bool { return f.IP == ip })
	})
}

// changeAddresses makes others of the addresses that a port has, and begins again
// when the port has changed meanwhile: users of this API know of no revisions.
func (a networkProxy) changeAddresses(ctx context.Context, caller auth.Caller, port string, change func(has []network.FixedIP) []network.FixedIP) error {
	for {
		p, _, err := a.Service.Port(ctx, scopeOf(caller), port)
		if err != nil {
			return err
		}
		addresses := change(append([]network.FixedIP{}, p.FixedIPs.V...))
		_, err = a.UpdatePort(ctx, scopeOf(caller), port, p.Revision, network.PortChange{FixedIPs: &addresses})
		if !errs.Is(err, errs.Precondition) {
			return err
		}
	}
}
