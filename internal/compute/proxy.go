package compute

import (
	"context"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/vif"
)

// This file is what compute passes on to the network service: the calls that
// came before there was one, which end with microversion 2.35 or 2.43, and the
// actions that change the security groups and addresses of a server's cards.

// GroupDetails is a security group with the rules for what comes in, which are
// all that these calls know.
type GroupDetails struct {
	ID, Name, Description, Project string
	Rules                          []GroupRule
}

// GroupRule lets something in.
type GroupRule struct {
	ID       string
	Group    string
	Protocol string // "" for any
	From, To *int   // ports, or type and code; nil for any
	CIDR     string // where from
	Remote   string // or from the members of this group, by id
	// RemoteName and RemoteProject describe that group.
	RemoteName, RemoteProject string
}

// FloatingIP is an address of an external network.
type FloatingIP struct {
	ID, Project, Address, Pool string
	Port, Server, FixedIP      string // where it leads; "" for nowhere
}

// NetworkProxy is what these calls need from the network service. All of them
// find what the caller may see.
type NetworkProxy interface {
	Networks(ctx context.Context, caller auth.Caller) ([]Network, error)
	Network(ctx context.Context, caller auth.Caller, id string) (Network, error)

	Groups(ctx context.Context, caller auth.Caller, all bool) ([]GroupDetails, error)
	Group(ctx context.Context, caller auth.Caller, id string) (GroupDetails, error)
	CreateGroup(ctx context.Context, caller auth.Caller, name, description string) (GroupDetails, error)
	UpdateGroup(ctx context.Context, caller auth.Caller, id, name, description string) (GroupDetails, error)
	DeleteGroup(ctx context.Context, caller auth.Caller, id string) error
	Rule(ctx context.Context, caller auth.Caller, id string) (rule GroupRule, project string, err error)
	CreateRule(ctx context.Context, caller auth.Caller, rule GroupRule) (GroupRule, error)
	DeleteRule(ctx context.Context, id string) error

	FloatingIPs(ctx context.Context, caller auth.Caller) ([]FloatingIP, error)
	FloatingIP(ctx context.Context, caller auth.Caller, id string) (FloatingIP, error)
	CreateFloatingIP(ctx context.Context, caller auth.Caller, network string) (FloatingIP, error)
	DeleteFloatingIP(ctx context.Context, id string) error
	// LeadFloatingIP has it lead to a port's address, with "" to nowhere.
	LeadFloatingIP(ctx context.Context, caller auth.Caller, id, port, fixed string) error
	// Pools are the external networks.
	Pools(ctx context.Context, caller auth.Caller) ([]Network, error)

	SetGroups(ctx context.Context, caller auth.Caller, port string, groups []string) error
	// AddAddress gives a port one more address of its network, by any of its subnets.
	AddAddress(ctx context.Context, caller auth.Caller, port string) error
	RemoveAddress(ctx context.Context, caller auth.Caller, port, ip string) error
}

// Proxy is the network service as the deprecated calls pass it on.
func (s *Service) Proxy() NetworkProxy { return s.proxy }

// AddGroup makes the server's cards members of a security group, also those of one that
// is locked.
func (s *Service) AddGroup(ctx context.Context, act Act, caller auth.Caller, group string) error {
	server, ports, _, err := s.Cards(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	id, err := s.groupID(ctx, server, group)
	if err != nil {
		return err
	}
	if len(ports) == 0 {
		return errs.BadRequestf("Instance %s has no ports to add the security group to.", server.ID)
	}
	for _, p := range ports {
		ids := groupIDs(p)
		if slices.Contains(ids, id) {
			continue
		}
		err = s.proxy.SetGroups(ctx, caller, p.ID, append(ids, id))
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveGroup takes the server's cards out of a security group.
func (s *Service) RemoveGroup(ctx context.Context, act Act, caller auth.Caller, group string) error {
	server, ports, _, err := s.Cards(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	id, err := s.groupID(ctx, server, group)
	if err != nil {
		return err
	}
	found := false
	for _, p := range ports {
		ids := groupIDs(p)
		at := slices.Index(ids, id)
		if at < 0 {
			continue
		}
		found = true
		err = s.proxy.SetGroups(ctx, caller, p.ID, slices.Delete(ids, at, at+1))
		if err != nil {
			return err
		}
	}
	if !found {
		return errs.NotFoundf("Security group %s not associated with the instance %s", group, server.ID)
	}
	return nil
}

func (s *Service) groupID(ctx context.Context, server Server, group string) (string, error) {
	ids, err := s.networks.SecurityGroups(ctx, auth.Caller{Project: server.Project}, []string{group})
	e, classified := errs.As(err)
	if classified && e.Kind == errs.BadRequest {
		return "", errs.NotFoundf("%s", e.Message)
	}
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// freeCards are a server and its ports, for who may change them.
func (s *Service) freeCards(ctx context.Context, act Act) (Server, []vif.Port, error) {
	server, ports, _, err := s.Cards(ctx, act.Project, act.Server)
	if err != nil {
		return server, nil, err
	}
	return server, ports, act.unlocked(server)
}

func groupIDs(p vif.Port) []string {
	ids := make([]string, len(p.Groups))
	for i, g := range p.Groups {
		ids[i] = g.ID
	}
	return ids
}

// AddAddress gives the server's card on a network one more fixed address.
func (s *Service) AddAddress(ctx context.Context, act Act, caller auth.Caller, network string) error {
	server, ports, err := s.freeCards(ctx, act)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if p.Network == network {
			return s.proxy.AddAddress(ctx, caller, p.ID)
		}
	}
	return errs.BadRequestf("Network %s has no port of instance %s.", network, server.ID)
}

// RemoveAddress takes a fixed address from the server.
func (s *Service) RemoveAddress(ctx context.Context, act Act, caller auth.Caller, ip string) error {
	server, ports, err := s.freeCards(ctx, act)
	if err != nil {
		return err
	}
	p, has := portWith(ports, ip)
	if !has {
		return errs.BadRequestf("Fixed IP %s is not found for instance %s.", ip, server.ID)
	}
	return s.proxy.RemoveAddress(ctx, caller, p.ID, ip)
}

func portWith(ports []vif.Port, ip string) (vif.Port, bool) {
	for _, p := range ports {
		if slices.ContainsFunc(p.Addresses, func(a vif.Address) bool { return a.IP == ip }) {
			return p, true
		}
	}
	return vif.Port{}, false
}

// AddFloatingIP has a floating IP lead to the server: to the fixed address, or
// with "" to its first.
func (s *Service) AddFloatingIP(ctx context.Context, act Act, caller auth.Caller, address, fixed string) error {
	server, ports, err := s.freeCards(ctx, act)
	if err != nil {
		return err
	}
	f, err := s.floatingIP(ctx, caller, address)
	if err != nil {
		return err
	}
	if fixed == "" {
		for _, p := range ports {
			for _, a := range p.Addresses {
				if fixed == "" && ipVersion(a.IP) == 4 {
					fixed = a.IP
				}
			}
		}
		if fixed == "" {
			return errs.BadRequestf("No fixed IPs associated to instance %s", server.ID)
		}
	}
	p, has := portWith(ports, fixed)
	if !has {
		return errs.BadRequestf("Specified fixed address not assigned to instance %s", server.ID)
	}
	return s.proxy.LeadFloatingIP(ctx, caller, f.ID, p.ID, fixed)
}

// RemoveFloatingIP has a floating IP of the server lead nowhere.
func (s *Service) RemoveFloatingIP(ctx context.Context, act Act, caller auth.Caller, address string) error {
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	err = act.unlocked(server)
	if err != nil {
		return err
	}
	f, err := s.floatingIP(ctx, caller, address)
	if err != nil {
		return err
	}
	if f.Server != server.ID {
		return errs.Conflictf("Floating IP %s is not associated with instance %s.", address, server.ID)
	}
	return s.proxy.LeadFloatingIP(ctx, caller, f.ID, "", "")
}

func (s *Service) floatingIP(ctx context.Context, caller auth.Caller, address string) (FloatingIP, error) {
	list, err := s.proxy.FloatingIPs(ctx, caller)
	if err != nil {
		return FloatingIP{}, err
	}
	for _, f := range list {
		if f.Address == address {
			return f, nil
		}
	}
	return FloatingIP{}, errs.NotFoundf("floating IP %s not found", address)
}
