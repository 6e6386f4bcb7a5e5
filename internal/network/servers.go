package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
)

// This file is what compute needs for the cards of servers. Methods that take
// a transaction are parts of compute's use cases and plans.

// ServerNetwork finds a network on which the scope may put a server, at the address unless
// that is "": with outside, also an external one that is not shared.
func (s *Service) ServerNetwork(ctx context.Context, scope Scope, id, address string, outside bool) (Network, error) {
	n, err := s.Network(ctx, scope, id)
	switch {
	case err != nil:
		return Network{}, err
	case n.External && !n.Shared && !outside:
		return Network{}, errs.Forbiddenf("It is not allowed to create an interface on external network %s", id).Typed("ExternalNetworkAttachForbidden")
	case len(n.Subnets) == 0:
		return Network{}, errs.BadRequestf("Network %s requires a subnet in order to boot instances on.", id)
	case address == "":
		return n, nil
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return Network{}, errs.BadRequestf("'%s' is not an IP address.", address)
	}
	var ports []Port
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &ports, `
			SELECT p.device_id, p.project_id FROM port_ips AS i JOIN ports AS p ON p.id = i.port_id
			WHERE p.network_id = ? AND i.ip_address = ?`, id, ip.String())
	})
	if err != nil {
		return Network{}, fmt.Errorf("find who has address %s: %w", address, err)
	}
	switch {
	case len(ports) == 0:
		return n, nil
	case !scope.All && ports[0].Project != scope.Project: // on a network that is shared
		return Network{}, errs.Conflictf("Fixed IP address %s is already in use.", address)
	}
	return Network{}, errs.Conflictf("Fixed IP address %s is already in use on instance %s.", address, ports[0].Device)
}

// ServerNetworks lists the networks that a project's servers may use without
// naming one: its own and shared ones with a subnet, none that is external.
func (s *Service) ServerNetworks(ctx context.Context, project string) ([]Network, error) {
	var list []Network
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.NewSelect().Model(&list).
			Where("external = 0 AND (project_id = ? OR id IN (SELECT object_id FROM rbac_policies WHERE object_type = 'network' AND action = ? AND target IN ('*', ?)))",
				project, AsShared, project).
			Where("EXISTS (SELECT 1 FROM subnets AS s WHERE s.network_id = networks.id)").
			Order("created_at", "id").Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list networks for servers: %w", err)
	}
	return list, nil
}

// FreePort finds a port of the scope's project that no device has.
func (s *Service) FreePort(ctx context.Context, scope Scope, id string) (Port, error) {
	p, _, err := s.Port(ctx, scope, id)
	if err != nil {
		return Port{}, err
	}
	if !scope.All && p.Project != scope.Project {
		return Port{}, portNotFound(id)
	}
	if p.Device != "" || p.Owner == OwnerSubport {
		return Port{}, portInUse(id)
	}
	return p, nil
}

func portInUse(id string) error {
	return errs.Conflictf("Port %s is still in use.", id).Typed("PortInUse")
}

// GroupIDs finds the project's security groups by name or id.
func (s *Service) GroupIDs(ctx context.Context, project string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	err := s.haveDefaultGroup(ctx, project)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID   string `bun:"id"`
		Name string `bun:"name"`
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, `
			SELECT id, name FROM security_groups WHERE (id IN (?) OR name IN (?)) AND
			(project_id = ? OR id IN (SELECT object_id FROM rbac_policies WHERE object_type = 'security_group' AND target IN ('*', ?)))
			ORDER BY created_at, id`, db.In(names), db.In(names), project, project)
	})
	if err != nil {
		return nil, fmt.Errorf("look up security groups: %w", err)
	}
	var ids []string
	for _, name := range names {
		var matches []string
		for _, r := range rows {
			if r.ID == name {
				matches = []string{r.ID}
				break
			}
			if r.Name == name {
				matches = append(matches, r.ID)
			}
		}
		switch {
		case len(matches) == 0:
			return nil, errs.BadRequestf("Security group %s not found for project %s.", name, project)
		case len(matches) > 1:
			return nil, errs.Conflictf("Multiple security groups found matching '%s'. Use an ID to be more specific.", name)
		case !slices.Contains(ids, matches[0]):
			ids = append(ids, matches[0])
		}
	}
	return ids, nil
}

// ServerPort is a port to be made for a server.
type ServerPort struct {
	ID, Project, Network, FixedIP string // FixedIP "" for any
	Groups                        []string
	Server, Zone, DNSName         string
	Host                          string // where it is made ready, "" for nowhere yet
}

// CreateServerPort makes a port that belongs to a server. Making it again is a
// success.
func (s *Service) CreateServerPort(ctx context.Context, tx *db.Tx, in ServerPort) error {
	had, err := readPort(ctx, tx, in.ID)
	switch {
	case err == nil && in.Host != "":
		return bindPort(ctx, tx, had, in.Host)
	case err == nil || !errs.Is(err, errs.NotFound):
		return err
	}
	n, err := readNetwork(ctx, tx, in.Network)
	if err != nil {
		return err
	}
	p := NewPort{ID: in.ID, Project: in.Project, Network: in.Network, Device: in.Server, Owner: "compute:" + in.Zone, Host: in.Host,
		DNSName: in.DNSName, server: in.Server}
	if in.FixedIP != "" {
		p.FixedIPs = &[]FixedIP{{IP: in.FixedIP}}
	}
	if in.Groups != nil && n.PortSecurity {
		p.Groups = &in.Groups
	}
	if in.Host != "" {
		recheckAfter(tx, in.ID)
	}
	_, err = s.createPort(ctx, tx, Scope{Project: in.Project}, n, p)
	return err
}

// TakePort gives a free port to a server. Taking it again is a success.
func (s *Service) TakePort(ctx context.Context, tx *db.Tx, port, server, zone string) error {
	p, err := readPort(ctx, tx, port)
	if err != nil {
		return err
	}
	if p.Device != "" && p.Server != server || p.Owner == OwnerSubport {
		return portInUse(port)
	}
	p.Server, p.Device, p.Owner = server, server, "compute:"+zone
	return savePort(ctx, tx, &p)
}

// BindPort makes the port ready on the host. Binding it again is a success.
func (s *Service) BindPort(ctx context.Context, tx *db.Tx, port, host string) error {
	p, err := readPort(ctx, tx, port)
	if err != nil {
		return err
	}
	return bindPort(ctx, tx, p, host)
}

func bindPort(ctx context.Context, tx *db.Tx, p Port, host string) error {
	if p.Host == host {
		return nil
	}
	err := forgetBindings(ctx, tx, p.ID, host)
	if err != nil {
		return err
	}
	p.Host, p.Status = host, "DOWN"
	recheckAfter(tx, p.ID)
	return savePort(ctx, tx, &p)
}

// PreparePort makes the port ready on a further host, to which its machine is about
// to move. Preparing it again is a success.
func (s *Service) PreparePort(ctx context.Context, tx *db.Tx, port, host string) error {
	p, err := readPort(ctx, tx, port)
	if err != nil || p.Host == host {
		return err
	}
	waiting, err := waitingBindings(ctx, tx, port)
	if err != nil || slices.ContainsFunc(waiting, func(b Binding) bool { return b.Host == host }) {
		return err
	}
	b := p.binding()
	b.Host, b.Active, b.CreatedAt = host, false, db.At(tx.Now())
	err = tx.Insert(ctx, &b)
	if err != nil {
		return fmt.Errorf("prepare port %s for host %s: %w", port, host, err)
	}
	return dirty(ctx, tx, fabric.KindPort, port)
}

// UnpreparePort forgets a host that the port was made ready on. Nothing to forget
// is a success.
func (s *Service) UnpreparePort(ctx context.Context, tx *db.Tx, port, host string) error {
	err := forgetBindings(ctx, tx, port, host)
	if err != nil {
		return err
	}
	return dirty(ctx, tx, fabric.KindPort, port)
}

// CardLimits are what may pass through a server's card, in kbit a second; 0 is as much
// as can.
type CardLimits struct{ In, InBurst, Out, OutBurst int }

// within is a quality that lets pass no more than a card may.
func (l CardLimits) within(q fabric.QoS) fabric.QoS {
	lower := func(limit fabric.Limit, rate, burst int) fabric.Limit {
		if rate > 0 && (limit.Rate == 0 || rate < limit.Rate) {
			return fabric.Limit{Rate: rate, Burst: burst}
		}
		return limit
	}
	q.Ingress, q.Egress = lower(q.Ingress, l.In, l.InBurst), lower(q.Egress, l.Out, l.OutBurst)
	return q
}

// LimitPort has the port let pass no more than that. A missing port is a success.
func (s *Service) LimitPort(ctx context.Context, tx *db.Tx, port string, limits CardLimits) error {
	p, err := readPort(ctx, tx, port)
	if errs.Is(err, errs.NotFound) || err == nil && p.Limits.V == limits {
		return nil
	}
	if err != nil {
		return err
	}
	p.Limits = db.Of(limits)
	_, err = tx.Update(ctx, &p, "card_limits")
	if err != nil {
		return fmt.Errorf("limit port %s: %w", port, err)
	}
	return dirty(ctx, tx, fabric.KindPort, port)
}

// UnbindPort forgets the host. A missing port is a success.
func (s *Service) UnbindPort(ctx context.Context, tx *db.Tx, port string) error {
	p, err := readPort(ctx, tx, port)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil || p.Host == "" {
		return err
	}
	err = forgetBindings(ctx, tx, port, "")
	if err != nil {
		return err
	}
	p.Host, p.Status = "", "DOWN"
	return savePort(ctx, tx, &p)
}

// ReturnPort takes a port from its server and leaves it free and unbound. A
// missing one is a success.
func (s *Service) ReturnPort(ctx context.Context, tx *db.Tx, port string) error {
	p, err := readPort(ctx, tx, port)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = forgetBindings(ctx, tx, port, "")
	if err != nil {
		return err
	}
	p.Server, p.Device, p.Owner, p.Host, p.Status, p.Limits = "", "", "", "", "DOWN", db.Of(CardLimits{})
	return savePort(ctx, tx, &p)
}

// DeleteServerPort removes the port. A missing one is a success.
func (s *Service) DeleteServerPort(ctx context.Context, tx *db.Tx, port string) error {
	p, err := readPort(ctx, tx, port)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return removePort(ctx, tx, p)
}

// ServerAt finds the server whose card has the address on the network. The MAC
// must be the card's, or the caller is somebody else. A link-local address is one
// that a card makes of its MAC.
func (s *Service) ServerAt(ctx context.Context, network, ip, mac string) (string, error) {
	var rows []Port
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		sel := tx.NewSelect().Model(&rows).Where("network_id = ?", network)
		if isLinkLocal(ip, mac) {
			sel = sel.Where("mac_address = ?", strings.ToLower(mac))
		} else {
			sel = sel.Where("id IN (SELECT port_id FROM port_ips WHERE ip_address = ?)", ip)
		}
		err := sel.Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("find who has address %s: %w", ip, err)
	}
	for _, p := range rows {
		if strings.EqualFold(p.MAC, mac) && p.Server != "" {
			return p.Server, nil
		}
	}
	return "", errs.NotFoundf("No server has address %s on network %s.", ip, network)
}

// isLinkLocal tells whether the address is what a card with the MAC calls itself
// on its link.
func isLinkLocal(ip, mac string) bool {
	address, err := netip.ParseAddr(ip)
	return err == nil && address == eui64(netip.MustParsePrefix("fe80::/64"), mac)
}
