package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Subnet is a range of addresses on a network.
type Subnet struct {
	bun.BaseModel `bun:"table:subnets,alias:subnets"`
	Common

	Name         string            `bun:"name"`
	Network      string            `bun:"network_id"`
	IPVersion    int               `bun:"ip_version"`
	CIDR         string            `bun:"cidr"`
	Gateway      string            `bun:"gateway_ip"`
	DHCP         bool              `bun:"enable_dhcp"`
	DNS          db.JSON[[]string] `bun:"dns_nameservers"`
	Routes       db.JSON[[]Route]  `bun:"host_routes"`
	Pools        db.JSON[[]Pool]   `bun:"allocation_pools"`
	AddressMode  string            `bun:"ipv6_address_mode"`
	RAMode       string            `bun:"ipv6_ra_mode"`
	ServiceTypes db.JSON[[]string] `bun:"service_types"`
	Pool         string            `bun:"subnetpool_id"` // "" for none
}

// Route leads to a destination.
type Route struct {
	Destination string `json:"destination"`
	NextHop     string `json:"nexthop"`
}

// Pool is a range of addresses to give to ports, ends included.
type Pool struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// NewSubnet is a subnet to be made. Nil and empty fields get defaults.
type NewSubnet struct {
	Project, Network, Name, Description string
	Tags                                []string
	IPVersion                           int
	CIDR                                string  // "" for one of the pool
	Pool                                string  // id; "" for none
	DefaultPool                         bool    // the default pool of the IP version
	Prefixlen                           *int    // with a pool; nil for its default
	Gateway                             *string // "" for none
	DHCP                                *bool
	DNS                                 []string
	Routes                              []Route
	Pools                               []Pool
	AddressMode, RAMode                 string
	ServiceTypes                        []string
}

// SubnetChange says what to change. Nil stays as it is.
type SubnetChange struct {
	Name, Description *string
	Gateway           *string
	DHCP              *bool
	DNS               *[]string
	Routes            *[]Route
	Pools             *[]Pool
	ServiceTypes      *[]string
}

func subnetNotFound(id string) error {
	return errs.NotFoundf("Subnet %s could not be found.", id).Typed("SubnetNotFound")
}

// visibleSubnets are those of networks that the project owns or shares. A network
// that is external and nothing else shows its addresses to nobody.
func visibleSubnets(q *bun.SelectQuery, s Scope) *bun.SelectQuery {
	return q.Where(`(subnets.project_id = ? OR subnets.network_id IN (SELECT id FROM networks WHERE project_id = ?) OR
		subnets.network_id IN (SELECT object_id FROM rbac_policies WHERE object_type = 'network' AND action = ? AND target IN ('*', ?)))`,
		s.Project, s.Project, AsShared, s.Project)
}

var subnetKind = kind{name: "subnet", table: "subnets", missing: subnetNotFound, visible: visibleSubnets, onNetwork: true}

// Subnet finds a subnet that the scope may see, with its network.
func (s *Service) Subnet(ctx context.Context, scope Scope, id string) (sub Subnet, on Network, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		sub, err = one[Subnet](ctx, tx, subnetKind, scope, id)
		if err != nil {
			return err
		}
		on, err = networkFor(ctx, tx, scope, sub.Network)
		return err
	})
	return sub, on, err
}

// Subnets lists subnets.
func (s *Service) Subnets(ctx context.Context, q Query) (list []Subnet, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = rows[Subnet](ctx, tx, subnetKind, q)
		return err
	})
	return list, err
}

func readSubnet(ctx context.Context, tx *db.Tx, id string) (Subnet, error) {
	var sub Subnet
	err := tx.Get(ctx, &sub, "SELECT * FROM subnets WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Subnet{}, subnetNotFound(id)
	}
	if err != nil {
		return Subnet{}, fmt.Errorf("read subnet %s: %w", id, err)
	}
	return sub, nil
}

// subnetsOf reads a network's subnets, oldest first.
func subnetsOf(ctx context.Context, tx *db.Tx, network string) ([]Subnet, error) {
	list, err := rowsOf[Subnet](ctx, tx, "network_id", []string{network})
	if err != nil {
		return nil, fmt.Errorf("list subnets of network %s: %w", network, err)
	}
	return list, nil
}

// CreateSubnets makes subnets, all or none.
func (s *Service) CreateSubnets(ctx context.Context, scope Scope, list ...NewSubnet) ([]Subnet, error) {
	var made []Subnet
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			sub, err := s.createSubnet(ctx, tx, scope, in)
			if err != nil {
				return err
			}
			made = append(made, sub)
		}
		return nil
	})
	return made, err
}

func (s *Service) createSubnet(ctx context.Context, tx *db.Tx, scope Scope, in NewSubnet) (Subnet, error) {
	n, err := holdNetwork(ctx, tx, in.Network)
	if err != nil {
		return Subnet{}, err
	}
	sub := Subnet{
		Common: s.common(tx, in.Project, in.Description, in.Tags),
		Name:   in.Name, Network: n.ID, IPVersion: in.IPVersion, CIDR: in.CIDR, DHCP: or(in.DHCP, true),
		DNS: db.Of(list(in.DNS)), Routes: db.Of(list(in.Routes)), Pools: db.Of(list(in.Pools)),
		AddressMode: in.AddressMode, RAMode: in.RAMode, ServiceTypes: db.Of(list(in.ServiceTypes)), Pool: in.Pool,
	}
	err = s.rangeOf(ctx, tx, scope, &sub, in)
	if err != nil {
		return Subnet{}, err
	}
	err = sub.complete(in)
	if err != nil {
		return Subnet{}, err
	}
	err = n.carries(sub.IPVersion)
	if err != nil {
		return Subnet{}, err
	}
	siblings, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return Subnet{}, err
	}
	err = s.alike(ctx, tx, n, sub, siblings)
	if err != nil {
		return Subnet{}, err
	}
	for _, other := range siblings {
		if netip.MustParsePrefix(other.CIDR).Overlaps(netip.MustParsePrefix(sub.CIDR)) {
			return Subnet{}, invalid("Requested subnet with cidr: %s for network: %s overlaps with another subnet", sub.CIDR, n.ID)
		}
	}
	err = reserve(ctx, tx, in.Project, quota.Subnets(1))
	if err != nil {
		return Subnet{}, err
	}
	err = tx.Insert(ctx, &sub)
	if err != nil {
		return Subnet{}, fmt.Errorf("insert subnet: %w", err)
	}
	err = s.ensureMetadataPort(ctx, tx, n)
	if err != nil {
		return Subnet{}, err
	}
	err = spread(ctx, tx, sub)
	if err != nil {
		return Subnet{}, err
	}
	return sub, subnetDirty(ctx, tx, created, sub)
}

// rangeOf gives a new subnet its range from a pool, unless it brings its own.
func (s *Service) rangeOf(ctx context.Context, tx *db.Tx, scope Scope, sub *Subnet, in NewSubnet) error {
	if in.DefaultPool {
		p, found, err := defaultPool(ctx, tx, sub.IPVersion)
		if err != nil {
			return err
		}
		if !found {
			return errs.BadRequestf("Bad subnets request: No default subnetpool found for IPv%d.", sub.IPVersion).Typed("BadRequest")
		}
		sub.Pool = p.ID
	}
	switch {
	case sub.Pool == "" && sub.CIDR == "":
		return errs.BadRequestf("Bad subnets request: a subnetpool must be specified in the absence of a cidr.").Typed("BadRequest")
	case sub.Pool == "" && in.Prefixlen != nil:
		return errs.BadRequestf("Bad subnets request: prefixlen needs a subnetpool.").Typed("BadRequest")
	case sub.CIDR != "" && in.Prefixlen != nil:
		return errs.BadRequestf("Bad subnets request: cidr and prefixlen must not be supplied together.").Typed("BadRequest")
	case sub.CIDR == "" && (in.Pools != nil || in.Gateway != nil && *in.Gateway != ""):
		return errs.BadRequestf("Bad subnets request: allocation_pools and gateway_ip need a cidr.").Typed("BadRequest")
	case sub.Pool == "":
		return nil
	}
	return s.allocate(ctx, tx, scope, sub, in.Prefixlen)
}

// UpdateSubnet changes a subnet, provided it has the revision.
func (s *Service) UpdateSubnet(ctx context.Context, id string, revision int64, in SubnetChange) (Subnet, error) {
	var sub Subnet
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		sub, err = readSubnet(ctx, tx, id)
		if err != nil {
			return err
		}
		err = sub.revised(revision)
		if err != nil {
			return err
		}
		if in.Gateway != nil && *in.Gateway != sub.Gateway {
			err = gatewayFree(ctx, tx, sub)
			if err != nil {
				return err
			}
		}
		set(&sub.Name, in.Name)
		set(&sub.Description, in.Description)
		set(&sub.Gateway, in.Gateway)
		set(&sub.DHCP, in.DHCP)
		set(&sub.DNS.V, in.DNS)
		sub.DNS.V = list(sub.DNS.V)
		set(&sub.Routes.V, in.Routes)
		set(&sub.Pools.V, in.Pools)
		set(&sub.ServiceTypes.V, in.ServiceTypes)
		prefix := netip.MustParsePrefix(sub.CIDR)
		err = sub.checkGateway(prefix)
		if err != nil {
			return err
		}
		err = sub.checkRest(prefix)
		if err != nil {
			return err
		}
		if !sub.DHCP && (sub.AddressMode != "" || sub.RAMode != "") {
			return invalid("Cannot disable enable_dhcp with ipv6 attributes set")
		}
		sub.touch(tx)
		_, err = tx.Update(ctx, &sub, "name", "description", "gateway_ip", "enable_dhcp", "dns_nameservers", "host_routes",
			"allocation_pools", "service_types", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update subnet %s: %w", id, err)
		}
		if in.DHCP != nil {
			err = s.dhcpChanged(ctx, tx, sub.Network)
			if err != nil {
				return err
			}
		}
		return subnetDirty(ctx, tx, updated, sub)
	})
	return sub, err
}

// dhcpChanged brings what depends on a network's DHCP up to date: its metadata
// port, and its ports, which the fabric gives the options of their subnets.
func (s *Service) dhcpChanged(ctx context.Context, tx *db.Tx, network string) error {
	n, err := holdNetwork(ctx, tx, network)
	if err != nil {
		return err
	}
	err = s.ensureMetadataPort(ctx, tx, n)
	if err != nil {
		return err
	}
	return portsDirty(ctx, tx, network)
}

// gatewayFree refuses to move a gateway address that a router has.
func gatewayFree(ctx context.Context, tx *db.Tx, sub Subnet) error {
	if sub.Gateway == "" {
		return nil
	}
	var ports []string
	err := tx.All(ctx, &ports, `
		SELECT p.id FROM ports AS p JOIN port_ips AS i ON i.port_id = p.id
		WHERE i.subnet_id = ? AND i.ip_address = ? AND p.device_owner = ?`, sub.ID, sub.Gateway, OwnerRouterInterface)
	if err != nil {
		return fmt.Errorf("look for the gateway of subnet %s: %w", sub.ID, err)
	}
	if len(ports) > 0 {
		return errs.Conflictf("Current gateway ip %s already in use by port %s. Unable to update.", sub.Gateway, ports[0]).Typed("GatewayIpInUse")
	}
	return nil
}

// DeleteSubnet removes a subnet of which no port has an address, besides the
// network's metadata port.
func (s *Service) DeleteSubnet(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		sub, err := readSubnet(ctx, tx, id)
		if err != nil {
			return err
		}
		err = sub.revised(revision)
		if err != nil {
			return err
		}
		if sub.automatic() {
			err = gather(ctx, tx, sub)
			if err != nil {
				return err
			}
		}
		var used int
		err = tx.Get(ctx, &used, `
			SELECT COUNT(*) FROM port_ips AS i JOIN ports AS p ON p.id = i.port_id
			WHERE i.subnet_id = ? AND p.device_owner <> ?`, id, OwnerDistributed)
		if err != nil {
			return fmt.Errorf("count addresses of subnet %s: %w", id, err)
		}
		if used > 0 {
			return errs.Conflictf("Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", id).Typed("SubnetInUse")
		}
		n, err := holdNetwork(ctx, tx, sub.Network)
		if err != nil {
			return err
		}
		err = s.leaveMetadataPort(ctx, tx, n, sub)
		if err != nil {
			return err
		}
		err = removeSubnet(ctx, tx, sub)
		if err != nil {
			return err
		}
		return s.ensureMetadataPort(ctx, tx, n) // which goes with the last subnet
	})
}

// removeSubnet deletes the row of a subnet without addresses.
func removeSubnet(ctx context.Context, tx *db.Tx, sub Subnet) error {
	_, err := tx.Exec(ctx, `DELETE FROM subnets WHERE id = ?`, sub.ID)
	if err != nil {
		return fmt.Errorf("delete subnet %s: %w", sub.ID, err)
	}
	err = quota.Release(ctx, tx, sub.Project, quota.Subnets(1))
	if err != nil {
		return err
	}
	return subnetDirty(ctx, tx, deleted, sub)
}

// subnetDirty tells of a change and notes what depends on a subnet: its network,
// which has a new revision, and the routers on it.
func subnetDirty(ctx context.Context, tx *db.Tx, change string, sub Subnet) error {
	err := tell(ctx, tx, change, sub)
	if err != nil {
		return err
	}
	err = bumpNetwork(ctx, tx, sub.Network)
	if err != nil {
		return err
	}
	err = dirty(ctx, tx, fabric.KindNetwork, sub.Network)
	if err != nil {
		return err
	}
	var own []string // whose options begin with those of the subnet
	err = tx.All(ctx, &own, `SELECT id FROM ports WHERE network_id = ? AND dhcp_options <> '[]'`, sub.Network)
	if err != nil {
		return fmt.Errorf("list ports of network %s with DHCP options: %w", sub.Network, err)
	}
	err = dirty(ctx, tx, fabric.KindPort, own...)
	if err != nil {
		return err
	}
	return routersDirty(ctx, tx, sub.Network)
}

// list is the slice, never nil.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func join(ids []string) string { return strings.Join(ids, ", ") }
