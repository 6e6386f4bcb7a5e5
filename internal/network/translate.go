package network

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/fabric"
)

// translation is what the fabric has to be told about some objects: those that
// exist as they should be, and those that are gone.
type translation struct {
	want fabric.Topology
	gone []fabric.Ref
}

// translate reads the objects, with one query per table however many they are.
func translate(ctx context.Context, tx *db.Tx, rows []dirtyRow) (translation, error) {
	ids := map[fabric.Kind][]string{}
	for _, r := range rows {
		ids[r.Kind] = append(ids[r.Kind], r.ID)
	}
	var t translation
	for _, part := range []struct {
		kind fabric.Kind
		read func(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (found map[string]bool, err error)
	}{
		{fabric.KindNetwork, translateNetworks},
		{fabric.KindAddressGroup, translateAddressGroups},
		{fabric.KindGroup, translateGroups},
		{fabric.KindPort, translatePorts},
		{fabric.KindRouter, translateRouters},
	} {
		wanted := ids[part.kind]
		if len(wanted) == 0 {
			continue
		}
		found, err := part.read(ctx, tx, wanted, &t.want)
		if err != nil {
			return translation{}, fmt.Errorf("translate %ss: %w", part.kind, err)
		}
		for _, id := range wanted {
			if !found[id] {
				t.gone = append(t.gone, fabric.Ref{Kind: part.kind, ID: id})
			}
		}
	}
	return t, nil
}

// rowsOf reads rows by a column; none is no error.
func rowsOf[R any](ctx context.Context, tx *db.Tx, column string, ids []string) ([]R, error) {
	return rowsOfOrdered[R](ctx, tx, column, ids, "created_at, id")
}

func rowsOfOrdered[R any](ctx context.Context, tx *db.Tx, column string, ids []string, order string) (rows []R, err error) {
	err = tx.All(ctx, &rows, fmt.Sprintf("SELECT * FROM %s WHERE %s IN (?) ORDER BY %s", db.TableOf[R](tx), column, order), db.In(ids))
	return rows, err
}

func translateNetworks(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (map[string]bool, error) {
	networks, err := rowsOf[Network](ctx, tx, "id", ids)
	if err != nil {
		return nil, err
	}
	subnets, err := rowsOf[Subnet](ctx, tx, "network_id", ids)
	if err != nil {
		return nil, err
	}
	devices := make([]string, len(ids))
	for i, id := range ids {
		devices[i] = metadataDevice(id)
	}
	doors, err := rowsOf[Port](ctx, tx, "device_id", devices)
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{}
	for _, p := range doors {
		for _, f := range p.FixedIPs.V {
			metadata[f.Subnet] = f.IP
		}
	}
	byNetwork := map[string][]fabric.Subnet{}
	for _, sub := range subnets {
		byNetwork[sub.Network] = append(byNetwork[sub.Network], fabric.Subnet{
			ID: sub.ID, CIDR: sub.CIDR, Gateway: sub.Gateway, DHCP: sub.DHCP && !sub.speechless(), DNS: sub.DNS.V,
			Stateless: sub.automatic(),
			Routes:    fabricRoutes(sub.Routes.V), MetadataIP: metadata[sub.ID],
		})
	}
	found := map[string]bool{}
	for _, n := range networks {
		found[n.ID] = true
		vlan := 0
		if n.Type == VLAN {
			vlan = n.Segment
		}
		t.Networks = append(t.Networks, fabric.Network{
			ID: n.ID, Name: n.Name, MTU: n.MTU, Physical: n.Physical, VLAN: vlan, Subnets: byNetwork[n.ID],
		})
	}
	return found, nil
}

// speechless tells whether guests learn all that they are told from router
// advertisements.
func (sub *Subnet) speechless() bool { return sub.AddressMode == "slaac" || sub.RAMode == "slaac" }

func fabricRoutes(routes []Route) []fabric.Route {
	var out []fabric.Route
	for _, r := range routes {
		out = append(out, fabric.Route(r))
	}
	return out
}

func translateGroups(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (map[string]bool, error) {
	groups, err := rowsOf[Group](ctx, tx, "id", ids)
	if err != nil {
		return nil, err
	}
	rules, err := rowsOf[Rule](ctx, tx, "group_id", ids)
	if err != nil {
		return nil, err
	}
	byGroup := map[string][]fabric.Rule{}
	for _, r := range rules {
		byGroup[r.Group] = append(byGroup[r.Group], fabric.Rule{
			ID: r.ID, Egress: r.Direction == Egress, IPv6: r.Ethertype == IPv6, Protocol: fabricProtocol(r.Protocol),
			PortMin: r.PortMin, PortMax: r.PortMax, RemoteCIDR: r.NormalPrefix(), RemoteGroup: r.RemoteGroup,
			RemoteAddresses: r.RemoteAddresses,
		})
	}
	found := map[string]bool{}
	for _, g := range groups {
		found[g.ID] = true
		t.Groups = append(t.Groups, fabric.Group{ID: g.ID, Rules: byGroup[g.ID], Stateless: !g.Stateful})
	}
	return found, nil
}

func translateAddressGroups(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (map[string]bool, error) {
	groups, err := rowsOf[AddressGroup](ctx, tx, "id", ids)
	found := map[string]bool{}
	for _, g := range groups {
		found[g.ID] = true
		t.AddressGroups = append(t.AddressGroups, fabric.AddressGroup{ID: g.ID, CIDRs: g.Addresses.V})
	}
	return found, err
}

func fabricProtocol(protocol string) string {
	switch n := number(protocol); n {
	case -1:
		return ""
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "icmpv6"
	default:
		return strconv.Itoa(n)
	}
}

func translatePorts(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (map[string]bool, error) {
	ports, err := rowsOf[Port](ctx, tx, "id", ids)
	if err != nil {
		return nil, err
	}
	var special []struct {
		ID      string `bun:"id"`
		AdminUp bool   `bun:"admin_up"`
		QoS     string `bun:"qos_policy_id"`
	}
	err = tx.All(ctx, &special, `SELECT id, admin_up, qos_policy_id FROM networks WHERE admin_up = 0 OR qos_policy_id <> ''`)
	if err != nil {
		return nil, err
	}
	off, policies := map[string]bool{}, map[string]string{}
	var wanted []string
	for _, n := range special {
		off[n.ID], policies[n.ID] = !n.AdminUp, n.QoS
		wanted = append(wanted, n.QoS)
	}
	for _, p := range ports {
		wanted = append(wanted, p.QoS)
	}
	limits, err := readQualities(ctx, tx, wanted...)
	if err != nil {
		return nil, err
	}
	vlans, err := vlansOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	waiting, err := waitingBindings(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	next := map[string]string{}
	for _, b := range waiting {
		next[b.Port] = b.Host
	}
	found := map[string]bool{}
	for _, p := range ports {
		switch p.Owner {
		case OwnerRouterInterface, OwnerGateway, OwnerFloating:
			continue // became part of a router
		}
		found[p.ID] = true
		port := fabric.Port{
			ID: p.ID, Network: p.Network, MAC: p.MAC, Groups: p.Groups.V, PortSecurity: p.PortSecurity,
			Enabled: p.AdminUp && !off[p.Network], Metadata: p.Owner == OwnerDistributed, Host: p.Host,
			NextHost: next[p.ID], Trunk: vlans[p.ID].Trunk, VLAN: vlans[p.ID].VLAN,
		}
		if !isService(p.Owner) {
			port.QoS = p.Limits.V.within(limits.of(p.QoS, policies[p.Network]))
		}
		for _, f := range p.FixedIPs.V {
			port.IPs = append(port.IPs, f.IP)
		}
		port.Names = p.names()
		for _, o := range p.DHCPOptions.V {
			port.Options = append(port.Options, fabric.Option(o))
		}
		for _, pair := range p.Pairs.V {
			port.AllowedPairs = append(port.AllowedPairs, fabric.Pair(pair))
		}
		t.Ports = append(t.Ports, port)
	}
	return found, nil
}

func translateRouters(ctx context.Context, tx *db.Tx, ids []string, t *fabric.Topology) (map[string]bool, error) {
	routers, err := rowsOf[Router](ctx, tx, "id", ids)
	if err != nil {
		return nil, err
	}
	ports, err := rowsOf[Port](ctx, tx, "device_id", ids)
	if err != nil {
		return nil, err
	}
	subnets, err := subnetsByID(ctx, tx, ports)
	if err != nil {
		return nil, err
	}
	floating, err := rowsOf[FloatingIP](ctx, tx, "router_id", ids)
	if err != nil {
		return nil, err
	}
	mtus, err := mtusOf(ctx, tx, ports)
	if err != nil {
		return nil, err
	}
	limits, policies, err := routerQualities(ctx, tx, routers, floating)
	if err != nil {
		return nil, err
	}
	forwardings, err := forwardingsOf(ctx, tx, floating, func(f FloatingIP) fabric.QoS { return limits.of(f.QoS, policies[f.Network]) })
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, r := range routers {
		found[r.ID] = true
		router := fabric.Router{ID: r.ID, Name: r.Name, Enabled: r.AdminUp, Routes: fabricRoutes(r.Routes.V)}
		for _, p := range ports {
			switch {
			case p.Device != r.ID:
			case p.Owner == OwnerRouterInterface:
				router.Ports = append(router.Ports, routerPort(p, subnets, mtus))
			case p.Owner == OwnerGateway:
				router.Gateway = &fabric.Gateway{RouterPort: routerPort(p, subnets, mtus), SNAT: r.SNAT, QoS: limits.of(r.GatewayQoS, policies[p.Network])}
				for _, f := range p.FixedIPs.V {
					if hop := subnets[f.Subnet].Gateway; hop != "" {
						router.Gateway.NextHops = append(router.Gateway.NextHops, hop)
					}
				}
			}
		}
		for _, f := range floating {
			if f.Router == r.ID {
				router.Forwardings = append(router.Forwardings, forwardings[f.ID]...)
			}
			if f.Router == r.ID && f.FixedPort != "" {
				router.NATs = append(router.NATs, fabric.FloatingIP{
					ID: f.ID, External: f.Address, Internal: f.FixedIP, Port: f.FixedPort, MAC: f.MAC,
					QoS: limits.of(f.QoS, policies[f.Network]),
				})
			}
		}
		t.Routers = append(t.Routers, router)
	}
	return found, nil
}

// routerQualities are the policies of gateways, floating IPs and their networks.
func routerQualities(ctx context.Context, tx *db.Tx, routers []Router, floating []FloatingIP) (qualities, map[string]string, error) {
	var own, networks []string
	for _, r := range routers {
		own, networks = append(own, r.GatewayQoS), append(networks, r.GatewayNetwork)
	}
	for _, f := range floating {
		own = append(own, f.QoS) // its network is its router's gateway's
	}
	policies, err := networkPolicies(ctx, tx, distinct(networks))
	if err != nil {
		return nil, nil, err
	}
	for _, id := range policies {
		own = append(own, id)
	}
	limits, err := readQualities(ctx, tx, own...)
	return limits, policies, err
}

// forwardingsOf are the ports of floating IPs that lead to others, by floating IP.
func forwardingsOf(ctx context.Context, tx *db.Tx, list []FloatingIP, limits func(FloatingIP) fabric.QoS) (map[string][]fabric.Forwarding, error) {
	ids := make([]string, len(list))
	byID := map[string]FloatingIP{}
	for i, f := range list {
		ids[i] = f.ID
		byID[f.ID] = f
	}
	rows, err := forwardingsBy(ctx, tx, "floating_ip", ids...)
	if err != nil {
		return nil, err
	}
	out := map[string][]fabric.Forwarding{}
	for _, r := range rows {
		out[r.Floating] = append(out[r.Floating], fabric.Forwarding{
			ID: r.ID, Floating: r.Floating, Protocol: r.Protocol, External: byID[r.Floating].Address, Internal: r.FixedIP,
			ExternalMin: r.External.Min, ExternalMax: r.External.Max, InternalMin: r.Internal.Min, InternalMax: r.Internal.Max,
			QoS: limits(byID[r.Floating]),
		})
	}
	return out, nil
}

// mtusOf are the MTUs of the ports' networks, by network.
func mtusOf(ctx context.Context, tx *db.Tx, ports []Port) (map[string]int, error) {
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.Network)
	}
	byID := map[string]int{}
	if len(ids) == 0 {
		return byID, nil
	}
	var rows []struct {
		ID  string `bun:"id"`
		MTU int    `bun:"mtu"`
	}
	err := tx.All(ctx, &rows, `SELECT id, mtu FROM networks WHERE id IN (?)`, db.In(distinct(ids)))
	if err != nil {
		return nil, fmt.Errorf("read MTUs of networks: %w", err)
	}
	for _, r := range rows {
		byID[r.ID] = r.MTU
	}
	return byID, nil
}

func routerPort(p Port, subnets map[string]Subnet, mtus map[string]int) fabric.RouterPort {
	out := fabric.RouterPort{ID: p.ID, Network: p.Network, MAC: p.MAC, MTU: mtus[p.Network]}
	for _, f := range p.FixedIPs.V {
		sub := subnets[f.Subnet]
		prefix := netip.MustParsePrefix(sub.CIDR)
		out.CIDRs = append(out.CIDRs, netip.PrefixFrom(netip.MustParseAddr(f.IP), prefix.Bits()).String())
		if sub.RAMode != "" && p.Owner == OwnerRouterInterface {
			out.Advertise = strings.ReplaceAll(sub.RAMode, "-", "_")
		}
	}
	return out
}
