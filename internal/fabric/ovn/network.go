package ovn

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A network is a logical switch. A provider network has a localnet port, which
// ends in the bridge that is mapped to the physical network. Each subnet with
// DHCP has a row of DHCP options, one table for both IP versions.

func switchID(network string) string   { return rowID("network", network) }
func dhcpID(subnet string) string      { return rowID("dhcp", subnet) }
func localnetID(network string) string { return rowID("localnet", network) }

// lease is how long an address is promised, in seconds. Guests renew at half.
const lease = "86400"

func (p *plan) ensureNetwork(n fabric.Network) {
	id := switchID(n.ID)
	was := p.get(switches, id).Map("external_ids")[keyDHCP]
	var offered []string
	for _, s := range n.Subnets {
		if s.DHCP {
			offered = append(offered, s.ID)
			p.put(dhcpOptions, dhcpID(s.ID), ovsdb.Row{
				"cidr":         s.CIDR,
				"options":      dhcpFor(n, s),
				"external_ids": ovsdb.Map{keyNetwork: n.ID},
			})
		}
	}
	is := strings.Join(offered, " ")
	for _, subnet := range strings.Fields(was) {
		if !slices.Contains(offered, subnet) {
			p.remove(dhcpOptions, dhcpID(subnet))
		}
	}
	p.put(switches, id, ovsdb.Row{
		"name":         "nacre-" + n.ID,
		"other_config": ovsdb.Map{"mcast_snoop": "false", "vlan-passthru": "false"},
		"external_ids": ovsdb.Map{keyKind: string(fabric.KindNetwork), keyID: n.ID, keyName: n.Name, keyDHCP: is},
	})
	p.ensureLocalnet(n)
	if was != is {
		p.offerDHCP(id)
	}
}

func (p *plan) ensureLocalnet(n fabric.Network) {
	id := localnetID(n.ID)
	if n.Physical == "" {
		p.unlink(switches, switchID(n.ID), "ports", id)
		p.remove(switchPorts, id)
		return
	}
	tag := ovsdb.Set{}
	if n.VLAN != 0 {
		tag = ovsdb.SetOf(strconv.Itoa(n.VLAN))
	}
	p.put(switchPorts, id, ovsdb.Row{
		"name":         "localnet-" + n.ID,
		"type":         "localnet",
		"addresses":    ovsdb.SetOf("unknown"),
		"options":      ovsdb.Map{"network_name": n.Physical},
		"tag":          tag,
		"external_ids": ovsdb.Map{keyNetwork: n.ID},
	})
	p.link(switches, switchID(n.ID), "ports", id)
}

// offerDHCP tells the network's ports which options are theirs now.
func (p *plan) offerDHCP(network string) {
	for port := range p.get(switches, network).Set("ports") {
		row := p.get(switchPorts, port)
		if row.Map("external_ids")[keyOptions] != "" {
			continue // whoever changes the subnet ensures such ports again
		}
		if row.Map("external_ids")[keyKind] != string(fabric.KindPort) || row.String("type") != "" {
			continue
		}
		var ips []string
		for entry := range row.Set("addresses") {
			ips = append(ips, strings.Fields(entry)...)
		}
		p.put(switchPorts, port, p.dhcpColumns(network, ips))
	}
}

// dhcpColumns refers to the options for the first address of each IP version that
// lies in a subnet with DHCP.
func (p *plan) dhcpColumns(network string, ips []string) ovsdb.Row {
	v4, v6 := ovsdb.Set{}, ovsdb.Set{}
	for _, subnet := range strings.Fields(p.get(switches, network).Map("external_ids")[keyDHCP]) {
		prefix, err := netip.ParsePrefix(p.get(dhcpOptions, dhcpID(subnet)).String("cidr"))
		if err != nil {
			continue
		}
		for _, ip := range ips {
			address, err := netip.ParseAddr(ip)
			if err != nil || !prefix.Contains(address) {
				continue
			}
			if prefix.Addr().Is4() && len(v4) == 0 {
				v4 = ovsdb.SetOf(dhcpID(subnet))
			}
			if prefix.Addr().Is6() && len(v6) == 0 {
				v6 = ovsdb.SetOf(dhcpID(subnet))
			}
		}
	}
	return ovsdb.Row{"dhcpv4_options": v4, "dhcpv6_options": v6}
}

func (p *plan) removeNetwork(network string) {
	id := switchID(network)
	row := p.get(switches, id)
	for _, subnet := range strings.Fields(row.Map("external_ids")[keyDHCP]) {
		p.remove(dhcpOptions, dhcpID(subnet))
	}
	for port := range row.Set("ports") {
		p.remove(switchPorts, port)
	}
	for record := range row.Set("dns_records") {
		p.remove(dnsRecords, record)
	}
	for rule := range row.Set("qos_rules") {
		p.remove(qos, rule)
	}
	p.remove(switches, id)
}

// dhcpFor is what the DHCP server answers in the subnet.
func dhcpFor(n fabric.Network, s fabric.Subnet) ovsdb.Map {
	prefix := netip.MustParsePrefix(s.CIDR).Masked()
	options := ovsdb.Map{}
	if len(s.DNS) > 0 {
		options["dns_server"] = "{" + strings.Join(s.DNS, ", ") + "}"
	}
	if prefix.Addr().Is6() {
		options["server_id"] = serverMAC(s.ID)
		if s.Stateless {
			options["dhcpv6_stateless"] = "true"
		}
		return options
	}
	options["lease_time"] = lease
	options["server_mac"] = serverMAC(s.ID)
	options["server_id"] = prefix.Addr().Next().String()
	if s.MetadataIP != "" {
		options["server_id"] = s.MetadataIP
	}
	if s.Gateway != "" {
		options["server_id"] = s.Gateway
		options["router"] = s.Gateway
	}
	if n.MTU > 0 {
		options["mtu"] = strconv.Itoa(n.MTU)
	}
	// A client that gets classless routes ignores the router option, so the
	// default route is among them (RFC 3442).
	var static []string
	if s.MetadataIP != "" {
		static = append(static, "169.254.169.254/32,"+s.MetadataIP)
	}
	for _, r := range s.Routes {
		static = append(static, r.Destination+","+r.NextHop)
	}
	if len(static) > 0 && s.Gateway != "" {
		static = append(static, "0.0.0.0/0,"+s.Gateway)
	}
	if len(static) > 0 {
		options["classless_static_route"] = "{" + strings.Join(static, ", ") + "}"
	}
	return options
}

// serverMAC is the DHCP server's own address in the subnet, always the same.
func serverMAC(subnet string) string {
	sum := sha256.Sum256([]byte(subnet))
	return fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}
