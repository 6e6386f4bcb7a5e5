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
	CIDR                                string
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

// visibleSubnets are those of networks that the project owns or that are shared.
// A network that is external and nothing else shows its addresses to nobody.
func visibleSubnets(q *bun.SelectQuery, s Scope) *bun.SelectQuery {
	if s.All {
		return q
	}
	return q.Where(`(subnets.project_id = ? OR EXISTS (SELECT 1 FROM networks AS n WHERE n.id = subnets.network_id
		AND (n.project_id = ? OR n.shared = 1)))`, s.Project, s.Project)
}

// Subnet finds a subnet that the scope may see, with its network.
func (s *Service) Subnet(ctx context.Context, scope Scope, id string) (sub Subnet, on Network, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err := visibleSubnets(tx.NewSelect().Model(&sub), scope).Where("subnets.id = ?", id).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return subnetNotFound(id)
		}
		if err != nil {
			return fmt.Errorf("read subnet %s: %w", id, err)
		}
		on, err = readNetwork(ctx, tx, sub.Network)
		return err
	})
	return sub, on, err
}

// Subnets lists subnets.
func (s *Service) Subnets(ctx context.Context, q Query) (list []Subnet, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		more, err = page(ctx, tx, visibleSubnets(tx.NewSelect().Model(&list), q.Scope), "subnets", q, &list, subnetNotFound)
		return err
	})
	return list, more, err
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
	var list []Subnet
	err := tx.NewSelect().Model(&list).Where("network_id = ?", network).Order("created_at", "id").Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("list subnets of network %s: %w", network, err)
	}
	return list, nil
}

// CreateSubnets makes subnets, all or none.
func (s *Service) CreateSubnets(ctx context.Context, list ...NewSubnet) ([]Subnet, error) {
	var made []Subnet
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			sub, err := s.createSubnet(ctx, tx, in)
			if err != nil {
				return err
			}
			made = append(made, sub)
		}
		return nil
	})
	return made, err
}

func (s *Service) createSubnet(ctx context.Context, tx *db.Tx, in NewSubnet) (Subnet, error) {
	n, err := holdNetwork(ctx, tx, in.Network)
	if err != nil {
		return Subnet{}, err
	}
	sub := Subnet{
		Common: s.common(tx, in.Project, in.Description, in.Tags),
		Name:   in.Name, Network: n.ID, IPVersion: in.IPVersion, CIDR: in.CIDR, DHCP: or(in.DHCP, true),
		DNS: db.Of(list(in.DNS)), Routes: db.Of(list(in.Routes)), Pools: db.Of(list(in.Pools)),
		AddressMode: in.AddressMode, RAMode: in.RAMode, ServiceTypes: db.Of(list(in.ServiceTypes)),
	}
	err = sub.complete(in)
	if err != nil {
		return Subnet{}, err
	}
	siblings, err := subnetsOf(ctx, tx, n.ID)
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

// complete checks a new subnet and fills in gateway and pools.
func (sub *Subnet) complete(in NewSubnet) error {
	prefix, err := sub.checkCIDR()
	if err != nil {
		return err
	}
	if !sub.DHCP && (sub.AddressMode != "" || sub.RAMode != "") {
		return invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	}
	if sub.AddressMode != "" && sub.RAMode != "" && sub.AddressMode != sub.RAMode {
		return invalid("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. If both attributes are set, they must be the same value",
			sub.RAMode, sub.AddressMode)
	}
	switch {
	case in.Gateway != nil:
		sub.Gateway = *in.Gateway
	case prefix.Bits() < prefix.Addr().BitLen()-1:
		sub.Gateway = prefix.Addr().Next().String()
	}
	err = sub.checkGateway(prefix)
	if err != nil {
		return err
	}
	if in.Pools == nil {
		sub.Pools = db.Of(sub.defaultPools(prefix))
	}
	return sub.checkRest(prefix)
}

func (sub *Subnet) checkCIDR() (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(sub.CIDR)
	if err != nil {
		return netip.Prefix{}, badField("cidr", "'%s' is not a valid IP subnet", sub.CIDR)
	}
	if prefix.Masked() != prefix {
		return netip.Prefix{}, badField("cidr", "'%s' isn't a recognized IP subnet cidr, '%s' is recommended", sub.CIDR, prefix.Masked())
	}
	sub.CIDR = prefix.String()
	version := 6
	if prefix.Addr().Is4() {
		version = 4
	}
	if sub.IPVersion == 0 {
		sub.IPVersion = version
	}
	if sub.IPVersion != version {
		return netip.Prefix{}, invalid("cidr: '%s' is not a valid IPv%d subnet", sub.CIDR, sub.IPVersion)
	}
	if sub.IPVersion == 4 && (sub.AddressMode != "" || sub.RAMode != "") {
		return netip.Prefix{}, invalid("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
	}
	if prefix.Bits() == 0 {
		return netip.Prefix{}, invalid("0 is not allowed as CIDR prefix length")
	}
	if sub.DHCP && prefix.Bits() == prefix.Addr().BitLen() {
		return netip.Prefix{}, invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
	}
	if prefix.Addr().IsMulticast() || prefix.Addr().IsLoopback() {
		return netip.Prefix{}, invalid("%s is not a range for hosts", sub.CIDR)
	}
	if sub.automatic() && prefix.Bits() != 64 {
		return netip.Prefix{}, invalid("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64", sub.CIDR)
	}
	return prefix, nil
}

// automatic tells whether ports get their address from their MAC, be it from us
// or from advertisements.
func (sub *Subnet) automatic() bool {
	for _, mode := range []string{sub.AddressMode, sub.RAMode} {
		if mode == "slaac" || mode == "dhcpv6-stateless" {
			return true
		}
	}
	return false
}

// badField is Neutron's answer to an attribute with a wrong value.
func badField(field, format string, args ...any) error {
	return errs.BadRequestf("Invalid input for %s. Reason: %s.", field, fmt.Sprintf(format, args...)).Typed("HTTPBadRequest")
}

func (sub *Subnet) checkGateway(prefix netip.Prefix) error {
	if sub.Gateway == "" {
		return nil
	}
	ip, err := netip.ParseAddr(sub.Gateway)
	if err != nil || ip.Zone() != "" {
		return badField("gateway_ip", "'%s' is not a valid IP address", sub.Gateway)
	}
	if ip.Is6() && ip.IsLinkLocalUnicast() && sub.IPVersion == 6 {
		sub.Gateway = ip.String()
		return nil
	}
	if !usable(prefix, ip) {
		return invalid("Gateway is not valid on subnet")
	}
	sub.Gateway = ip.String()
	return nil
}

// usable tells whether a host can have the address.
func usable(prefix netip.Prefix, ip netip.Addr) bool {
	if !prefix.Contains(ip) {
		return false
	}
	if prefix.Bits() >= ip.BitLen()-1 {
		return true
	}
	return ip != prefix.Addr() && (ip.Is6() || ip != last(prefix))
}

// last is the highest address of a prefix.
func last(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := prefix.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// defaultPools are all usable addresses but the gateway.
func (sub *Subnet) defaultPools(prefix netip.Prefix) []Pool {
	first, end := prefix.Addr(), last(prefix)
	if prefix.Bits() < prefix.Addr().BitLen()-1 {
		first = first.Next()
		if prefix.Addr().Is4() {
			end = end.Prev()
		}
	}
	gateway, err := netip.ParseAddr(sub.Gateway)
	if err != nil || gateway.Less(first) || end.Less(gateway) {
		return []Pool{{first.String(), end.String()}}
	}
	pools := []Pool{}
	if first.Less(gateway) {
		pools = append(pools, Pool{first.String(), gateway.Prev().String()})
	}
	if gateway.Less(end) {
		pools = append(pools, Pool{gateway.Next().String(), end.String()})
	}
	return pools
}

// checkRest checks pools, name servers and host routes.
func (sub *Subnet) checkRest(prefix netip.Prefix) error {
	type span struct{ from, to netip.Addr }
	var spans []span
	gateway, gatewayErr := netip.ParseAddr(sub.Gateway)
	for i, p := range sub.Pools.V {
		from, err1 := netip.ParseAddr(p.Start)
		to, err2 := netip.ParseAddr(p.End)
		if err1 != nil || err2 != nil || from.Is4() != prefix.Addr().Is4() || to.Is4() != prefix.Addr().Is4() || to.Less(from) {
			return errs.BadRequestf("The allocation pool %s-%s is not valid.", p.Start, p.End).Typed("InvalidAllocationPool")
		}
		if !usable(prefix, from) || !usable(prefix, to) {
			return errs.BadRequestf("The allocation pool %s-%s spans beyond the subnet cidr %s.", p.Start, p.End, sub.CIDR).Typed("OutOfBoundsAllocationPool")
		}
		for _, s := range spans {
			if !to.Less(s.from) && !s.to.Less(from) {
				return errs.Conflictf("Found overlapping allocation pools: %s-%s %s-%s for subnet %s.", s.from, s.to, from, to, sub.CIDR).Typed("OverlappingAllocationPools")
			}
		}
		if gatewayErr == nil && !gateway.Less(from) && !to.Less(gateway) {
			return errs.Conflictf("Gateway ip %s conflicts with allocation pool %s-%s.", sub.Gateway, p.Start, p.End).Typed("GatewayConflictWithAllocationPools")
		}
		spans = append(spans, span{from, to})
		sub.Pools.V[i] = Pool{from.String(), to.String()}
	}
	const mostServers, mostRoutes = 5, 20 // Neutron's defaults
	if len(sub.DNS.V) > mostServers {
		return errs.BadRequestf("Unable to complete operation for %s. The number of DNS nameservers exceeds the limit %d.", sub.ID, mostServers).Typed("DNSNameServersExhausted")
	}
	for _, server := range sub.DNS.V {
		_, err := netip.ParseAddr(server)
		if err != nil {
			return badField("dns_nameservers", "'%s' is not a valid nameserver", server)
		}
	}
	if len(sub.Routes.V) > mostRoutes {
		return errs.BadRequestf("Unable to complete operation for %s. The number of host routes exceeds the limit %d.", sub.ID, mostRoutes).Typed("HostRoutesExhausted")
	}
	return checkRoutes("host_routes", sub.Routes.V)
}

func checkRoutes(field string, routes []Route) error {
	for _, r := range routes {
		destination, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			return badField(field, "'%s' is not a valid IP subnet", r.Destination)
		}
		hop, err := netip.ParseAddr(r.NextHop)
		if err != nil || hop.Is4() != destination.Addr().Is4() {
			return badField(field, "'%s' is not a valid IP address", r.NextHop)
		}
	}
	return nil
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
		return removeSubnet(ctx, tx, sub)
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

// subnetDirty tells of a change and notes what of the fabric depends on a
// subnet: its network, and the routers on it.
func subnetDirty(ctx context.Context, tx *db.Tx, change string, sub Subnet) error {
	err := tell(ctx, tx, change, sub)
	if err != nil {
		return err
	}
	err = dirty(ctx, tx, fabric.KindNetwork, sub.Network)
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
