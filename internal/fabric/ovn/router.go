package ovn

import (
	"hash/fnv"
	"net/netip"
	"strconv"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A router is a logical router. Each of its interfaces is a pair: a router port,
// and a switch port that leads to it. Traffic to and from an external network is
// translated on the chassis that currently holds the gateway port; within the
// cloud, every host routes by itself.

func routerID(router string) string   { return rowID("router", router) }
func routerPortID(port string) string { return rowID("router-port", port) }
func peerID(port string) string       { return rowID("router-peer", port) }

// routerParts are the tables whose rows are parts of routers, and where those
// refer to them.
var routerParts = map[string]string{routes: "static_routes", nats: "nat", balancers: "load_balancer"}

func (p *plan) ensureRouter(r fabric.Router, chassis []string) {
	id := routerID(r.ID)
	was := p.get(routers, id)

	ports := ovsdb.Set{}
	for _, rp := range r.Ports {
		ports[p.ensureRouterPort(r, rp, nil, nil)] = struct{}{}
	}
	if r.Gateway != nil {
		ports[p.ensureRouterPort(r, r.Gateway.RouterPort, rotate(r.ID, chassis), gatewayQuality(r))] = struct{}{}
	}
	for port := range was.Set("ports") {
		if !ports.Has(port) {
			p.removeRouterPort(port)
		}
	}

	columns := ovsdb.Row{
		"name":          "nacre-" + r.ID,
		"enabled":       ovsdb.SetOf(strconv.FormatBool(r.Enabled)),
		"options":       ovsdb.Map{"always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"},
		"ports":         ports,
		"static_routes": p.ensureRoutes(r),
		"nat":           p.ensureNATs(r),
		"load_balancer": p.ensureForwardings(r),
		"external_ids":  ovsdb.Map{keyKind: string(fabric.KindRouter), keyID: r.ID, keyName: r.Name},
	}
	for table, column := range routerParts {
		for part := range was.Set(column) {
			if !columns.Set(column).Has(part) {
				p.remove(table, part)
			}
		}
	}
	p.put(routers, id, columns)
}

// ensureRouterPort makes both ends of an interface and returns the router's.
// chassis and limits are given for a gateway port.
func (p *plan) ensureRouterPort(r fabric.Router, rp fabric.RouterPort, chassis []string, limits []quality) string {
	id, peer := routerPortID(rp.ID), peerID(rp.ID)
	was := p.get(routerPorts, id)
	ids := was.Map("external_ids")
	if ids[keyRouter] != "" && ids[keyRouter] != r.ID {
		p.unlink(routers, routerID(ids[keyRouter]), "ports", id)
	}
	if ids[keyNetwork] != "" && ids[keyNetwork] != rp.Network {
		p.unlink(switches, switchID(ids[keyNetwork]), "ports", peer)
		p.ensureQoS(ids[keyNetwork], ids[keyQoS])
	}

	held := ovsdb.Set{}
	for i, name := range chassis {
		part := rowID("gateway", rp.ID, name)
		held[part] = struct{}{}
		p.put(gateways, part, ovsdb.Row{
			"name":         "lrp-" + rp.ID + "_" + name,
			"chassis_name": name,
			"priority":     strconv.Itoa(len(chassis) - i),
			"external_ids": ovsdb.Map{},
		})
	}
	for part := range was.Set("gateway_chassis") {
		if !held.Has(part) {
			p.remove(gateways, part)
		}
	}
	mine := ovsdb.Map{keyRouter: r.ID, keyNetwork: rp.Network, keyQoS: p.ensureQoS(rp.Network, ids[keyQoS], limits...)}
	lrp := ovsdb.Map{}
	if rp.MTU > 0 {
		lrp["gateway_mtu"] = strconv.Itoa(rp.MTU)
	}
	p.put(routerPorts, id, ovsdb.Row{
		"name":            "lrp-" + rp.ID,
		"mac":             rp.MAC,
		"networks":        ovsdb.SetOf(rp.CIDRs...),
		"gateway_chassis": held,
		"options":         lrp,
		"ipv6_ra_configs": advertisement(rp),
		"external_ids":    mine,
	})
	options := ovsdb.Map{"router-port": "lrp-" + rp.ID}
	if len(chassis) > 0 {
		options["nat-addresses"] = "router" // announce them when the gateway moves
	}
	p.put(switchPorts, peer, ovsdb.Row{
		"name":         rp.ID,
		"type":         "router",
		"addresses":    ovsdb.SetOf("router"),
		"options":      options,
		"external_ids": mine,
	})
	p.link(switches, switchID(rp.Network), "ports", peer)
	return id
}

// advertisement configures router advertisements on an interface with IPv6.
func advertisement(rp fabric.RouterPort) ovsdb.Map {
	if rp.Advertise == "" {
		return ovsdb.Map{}
	}
	config := ovsdb.Map{"address_mode": rp.Advertise, "send_periodic": "true"}
	if rp.MTU > 0 {
		config["mtu"] = strconv.Itoa(rp.MTU)
	}
	return config
}

func (p *plan) removeRouterPort(id string) {
	row := p.get(routerPorts, id)
	for part := range row.Set("gateway_chassis") {
		p.remove(gateways, part)
	}
	ids := row.Map("external_ids")
	p.ensureQoS(ids[keyNetwork], ids[keyQoS])
	peer := peerID(row.String("name")[len("lrp-"):])
	p.unlink(switches, switchID(ids[keyNetwork]), "ports", peer)
	p.remove(switchPorts, peer)
	p.remove(routerPorts, id)
}

func (p *plan) ensureRoutes(r fabric.Router) ovsdb.Set {
	set := ovsdb.Set{}
	put := func(destination, hop string) {
		id := rowID("route", r.ID, destination, hop)
		set[id] = struct{}{}
		p.put(routes, id, ovsdb.Row{
			"ip_prefix": destination, "nexthop": hop, "policy": ovsdb.SetOf("dst-ip"), "external_ids": ovsdb.Map{},
		})
	}
	if r.Gateway != nil {
		for _, hop := range r.Gateway.NextHops {
			if hop == "" {
				continue
			}
			everywhere := "0.0.0.0/0"
			if netip.MustParseAddr(hop).Is6() {
				everywhere = "::/0"
			}
			put(everywhere, hop)
		}
	}
	for _, route := range r.Routes {
		put(route.Destination, route.NextHop)
	}
	return set
}

func (p *plan) ensureNATs(r fabric.Router) ovsdb.Set {
	set := ovsdb.Set{}
	if r.Gateway == nil {
		return set
	}
	put := func(id, kind, external, internal string, ids ovsdb.Map) {
		set[id] = struct{}{}
		p.put(nats, id, ovsdb.Row{
			"type": kind, "external_ip": external, "logical_ip": internal, "external_ids": ids,
		})
	}
	own := firstIPv4(r.Gateway.CIDRs)
	if r.Gateway.SNAT && own != "" {
		for _, rp := range r.Ports {
			for _, cidr := range rp.CIDRs {
				inner := netip.MustParsePrefix(cidr).Masked()
				if inner.Addr().Is4() {
					put(rowID("snat", r.ID, inner.String()), "snat", own, inner.String(), ovsdb.Map{})
				}
			}
		}
	}
	for _, f := range r.NATs {
		put(rowID("floating", r.ID, f.ID), "dnat_and_snat", f.External, f.Internal, ovsdb.Map{"nacre-floating-ip": f.ID})
	}
	return set
}

func (p *plan) removeRouter(router string) {
	id := routerID(router)
	row := p.get(routers, id)
	for port := range row.Set("ports") {
		p.removeRouterPort(port)
	}
	for table, column := range routerParts {
		for part := range row.Set(column) {
			p.remove(table, part)
		}
	}
	p.remove(routers, id)
}

func firstIPv4(cidrs []string) string {
	for _, cidr := range cidrs {
		address := netip.MustParsePrefix(cidr).Addr()
		if address.Is4() {
			return address.String()
		}
	}
	return ""
}

// rotate spreads the gateways of different routers over the chassis.
func rotate(router string, chassis []string) []string {
	if len(chassis) == 0 {
		return nil
	}
	h := fnv.New32a()
	h.Write([]byte(router))
	first := int(h.Sum32() % uint32(len(chassis)))
	return append(append([]string(nil), chassis[first:]...), chassis[:first]...)
}
