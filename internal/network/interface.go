package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
)

// Interface is a router's connection to an inner network.
type Interface struct {
	Router, Project, Network, Port string
	Subnets                        []string
	Tags                           []string
}

// routerPorts reads a router's interfaces and gateway, oldest first.
func routerPorts(ctx context.Context, tx *db.Tx, router string) ([]Port, error) {
	var ports []Port
	err := tx.NewSelect().Model(&ports).Where("device_id = ?", router).
		Where("device_owner IN (?, ?)", OwnerRouterInterface, OwnerGateway).Order("created_at", "id").Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("list ports of router %s: %w", router, err)
	}
	return ports, nil
}

// subnetsByID reads the subnets that the ports have addresses in.
func subnetsByID(ctx context.Context, tx *db.Tx, ports []Port) (map[string]Subnet, error) {
	var ids []string
	for _, p := range ports {
		for _, f := range p.FixedIPs.V {
			ids = append(ids, f.Subnet)
		}
	}
	return readSubnets(ctx, tx, ids)
}

// readSubnets reads subnets, by id.
func readSubnets(ctx context.Context, tx *db.Tx, ids []string) (map[string]Subnet, error) {
	byID := map[string]Subnet{}
	if len(ids) == 0 {
		return byID, nil
	}
	rows, err := rowsOf[Subnet](ctx, tx, "id", ids)
	if err != nil {
		return nil, fmt.Errorf("read subnets: %w", err)
	}
	for _, sub := range rows {
		byID[sub.ID] = sub
	}
	return byID, nil
}

func badRouter(format string, args ...any) error {
	return errs.BadRequestf("Bad router request: %s.", fmt.Sprintf(format, args...)).Typed("BadRequest")
}

// AddInterface connects a router to a subnet, as its gateway, or by a port that
// exists already.
func (s *Service) AddInterface(ctx context.Context, scope Scope, id, subnet, port string) (Interface, error) {
	var made Interface
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		r, err := readRouter(ctx, tx, id)
		if err != nil {
			return err
		}
		var p Port
		if port != "" {
			p, err = s.interfaceByPort(ctx, tx, scope, r, port)
		} else {
			p, err = s.interfaceBySubnet(ctx, tx, scope, r, subnet)
		}
		if err != nil {
			return err
		}
		made = interfaceOf(r, p)
		err = tellInterface(ctx, tx, created, made)
		if err != nil {
			return err
		}
		return bumpRouter(ctx, tx, r)
	})
	return made, err
}

func interfaceOf(r Router, p Port) Interface {
	i := Interface{Router: r.ID, Project: r.Project, Network: p.Network, Port: p.ID, Tags: r.Tags.V}
	for _, f := range p.FixedIPs.V {
		i.Subnets = append(i.Subnets, f.Subnet)
	}
	return i
}

// bumpRouter raises the router's revision, since its interfaces are part of it.
func bumpRouter(ctx context.Context, tx *db.Tx, r Router) error {
	_, err := tx.Exec(ctx, `UPDATE routers SET revision = revision + 1, updated_at = ? WHERE id = ?`, db.At(tx.Now()), r.ID)
	if err != nil {
		return fmt.Errorf("update router %s: %w", r.ID, err)
	}
	return dirty(ctx, tx, fabric.KindRouter, r.ID)
}

func (s *Service) interfaceByPort(ctx context.Context, tx *db.Tx, scope Scope, r Router, id string) (Port, error) {
	p, err := readPort(ctx, tx, id)
	if err != nil {
		return Port{}, err
	}
	if !scope.All && p.Project != scope.Project {
		return Port{}, portNotFound(id)
	}
	if p.Device != "" || p.Owner == OwnerSubport {
		return Port{}, attached(p)
	}
	if len(p.FixedIPs.V) == 0 {
		return Port{}, badRouter("Router port must have at least one fixed IP")
	}
	subnets, err := subnetsByID(ctx, tx, []Port{p})
	if err != nil {
		return Port{}, err
	}
	for _, f := range p.FixedIPs.V {
		err = s.joinable(ctx, tx, r, subnets[f.Subnet])
		if err != nil {
			return Port{}, err
		}
	}
	err = dirty(ctx, tx, fabric.KindPort, p.ID) // it is a port no longer, but part of the router
	if err != nil {
		return Port{}, err
	}
	owner, device, off, none := OwnerRouterInterface, r.ID, false, []string{}
	return p, s.changePort(ctx, tx, scope, &p, PortChange{Owner: &owner, Device: &device, PortSecurity: &off, Groups: &none, Pairs: &[]AddressPair{}})
}

func (s *Service) interfaceBySubnet(ctx context.Context, tx *db.Tx, scope Scope, r Router, id string) (Port, error) {
	sub, err := readSubnet(ctx, tx, id)
	if err != nil {
		return Port{}, err
	}
	n, err := readNetwork(ctx, tx, sub.Network)
	if err != nil {
		return Port{}, err
	}
	may, err := networkKind.usable(ctx, tx, scope, n.ID, n.Project)
	if err != nil {
		return Port{}, err
	}
	if !may && sub.Project != scope.Project {
		return Port{}, subnetNotFound(id)
	}
	if sub.Gateway == "" {
		return Port{}, badRouter("Subnet for router interface must have a gateway IP")
	}
	err = s.joinable(ctx, tx, r, sub)
	if err != nil {
		return Port{}, err
	}
	return s.createPort(ctx, tx, Scope{All: true}, n, NewPort{
		Project: r.Project, Network: n.ID, Device: r.ID, Owner: OwnerRouterInterface,
		FixedIPs: &[]FixedIP{{Subnet: sub.ID, IP: sub.Gateway}},
	})
}

// joinable refuses a subnet that the router has, or that overlaps one.
func (s *Service) joinable(ctx context.Context, tx *db.Tx, r Router, sub Subnet) error {
	ports, err := routerPorts(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	subnets, err := subnetsByID(ctx, tx, ports)
	if err != nil {
		return err
	}
	prefix := netip.MustParsePrefix(sub.CIDR)
	for _, other := range subnets {
		if other.ID == sub.ID {
			return badRouter("Router already has a port on subnet %s", sub.ID)
		}
		if netip.MustParsePrefix(other.CIDR).Overlaps(prefix) {
			return badRouter("Cidr %s of subnet %s overlaps with cidr %s of subnet %s", sub.CIDR, sub.ID, other.CIDR, other.ID)
		}
	}
	return nil
}

// RemoveInterface disconnects a router from a subnet, named by the subnet, the
// port, or both.
func (s *Service) RemoveInterface(ctx context.Context, id, subnet, port string) (Interface, error) {
	var gone Interface
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		r, err := readRouter(ctx, tx, id)
		if err != nil {
			return err
		}
		ports, err := routerPorts(ctx, tx, id)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(ports, func(p Port) bool {
			on := slices.ContainsFunc(p.FixedIPs.V, func(f FixedIP) bool { return f.Subnet == subnet })
			return p.Owner == OwnerRouterInterface && (port == "" || p.ID == port) && (subnet == "" || on)
		})
		switch {
		case at < 0 && port != "" && subnet != "" && slices.ContainsFunc(ports, func(p Port) bool { return p.ID == port }):
			return errs.Conflictf("Router %s has no interface on subnet %s with port %s.", id, subnet, port).Typed("SubnetMismatchForPort")
		case at < 0 && port != "":
			return errs.NotFoundf("Router %s does not have an interface with id %s", id, port).Typed("RouterInterfaceNotFound")
		case at < 0:
			_, err := readSubnet(ctx, tx, subnet)
			if err != nil {
				return err
			}
			return errs.NotFoundf("Router %s has no interface on subnet %s", id, subnet).Typed("RouterInterfaceNotFoundForSubnet")
		}
		p := ports[at]
		gone = interfaceOf(r, p)
		err = needed(ctx, tx, r, p)
		if err != nil {
			return err
		}
		err = removePort(ctx, tx, p)
		if err != nil {
			return err
		}
		err = tellInterface(ctx, tx, deleted, gone)
		if err != nil {
			return err
		}
		return bumpRouter(ctx, tx, r)
	})
	return gone, err
}

// needed refuses to take an interface away that floating IPs or routes need.
func needed(ctx context.Context, tx *db.Tx, r Router, p Port) error {
	err := lockFloating(ctx, tx)
	if err != nil {
		return err
	}
	subnets, err := subnetsByID(ctx, tx, []Port{p})
	if err != nil {
		return err
	}
	for id, sub := range subnets {
		prefix := netip.MustParsePrefix(sub.CIDR)
		var used int
		err := tx.Get(ctx, &used, `
			SELECT COUNT(*) FROM floating_ips AS f
			LEFT JOIN port_forwardings AS w ON w.floating_ip = f.id
			JOIN port_ips AS i ON i.port_id = COALESCE(w.fixed_port, f.fixed_port) AND i.ip_address = COALESCE(w.fixed_ip, f.fixed_ip)
			WHERE f.router_id = ? AND i.subnet_id = ?`, r.ID, id)
		if err != nil {
			return fmt.Errorf("count floating IPs behind subnet %s: %w", id, err)
		}
		if used > 0 {
			return errs.Conflictf("Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more floating IPs.", id, r.ID).
				Typed("RouterInterfaceInUseByFloatingIP")
		}
		for _, route := range r.Routes.V {
			if prefix.Contains(netip.MustParseAddr(route.NextHop)) {
				return errs.Conflictf("Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more routes.", id, r.ID).
					Typed("RouterInterfaceInUseByRoute")
			}
		}
	}
	return nil
}
