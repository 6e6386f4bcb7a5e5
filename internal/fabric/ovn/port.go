package ovn

import (
	"slices"
	"strconv"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A port is a logical switch port. Its addresses answer ARP, its port security
// stops spoofing, and its groups are the port groups it is in. Whoever has port
// security is also in the drop group, whose rules apply when no other does. A
// VLAN of a trunk is a port whose frames come tagged by another port's card.

func portID(port string) string { return rowID("port", port) }

func (p *plan) ensurePort(port fabric.Port) {
	id, network := portID(port.ID), switchID(port.Network)
	was := p.get(switchPorts, id).Map("external_ids")
	if was[keyNetwork] != "" && was[keyNetwork] != port.Network {
		p.unlink(switches, switchID(was[keyNetwork]), "ports", id)
		p.removeNames(port.ID, was[keyNetwork])
		p.ensureQoS(was[keyNetwork], was[keyQoS])
	}

	addresses, security := addressing(port)
	options := ovsdb.Map{}
	if port.Host != "" {
		options["requested-chassis"] = port.Host
	}
	if port.Host != "" && port.NextHost != "" {
		// The next host stays silent until its guest announces itself.
		options["requested-chassis"] += "," + port.NextHost
		options["activation-strategy"] = "rarp"
	}
	parent, tag := ovsdb.Set{}, ovsdb.Set{}
	if port.Trunk != "" {
		parent, tag = ovsdb.SetOf(port.Trunk), ovsdb.SetOf(strconv.Itoa(port.VLAN))
	}
	kind, dhcp := "", p.dhcpColumns(network, port.IPs)
	if port.Metadata {
		kind, dhcp = "localport", p.dhcpColumns(network, nil)
	}
	p.ensureOptions(port, dhcp)
	own := ""
	if len(port.Options) > 0 {
		own = "true"
	}
	groups := slices.Sorted(slices.Values(port.Groups))
	if !port.PortSecurity {
		groups = nil
	}
	p.put(switchPorts, id, ovsdb.Row{
		"name":           port.ID,
		"type":           kind,
		"parent_name":    parent,
		"tag":            tag,
		"addresses":      addresses,
		"port_security":  security,
		"enabled":        ovsdb.SetOf(strconv.FormatBool(port.Enabled)),
		"options":        options,
		"dhcpv4_options": dhcp["dhcpv4_options"],
		"dhcpv6_options": dhcp["dhcpv6_options"],
		"external_ids": ovsdb.Map{
			keyKind:    string(fabric.KindPort),
			keyID:      port.ID,
			keyNetwork: port.Network,
			keyGroups:  strings.Join(groups, " "),
			keyOptions: own,
			keyQoS:     p.ensureQoS(port.Network, was[keyQoS], quality{port.QoS, port.ID, port.ID, "", qosPriority}),
		},
	})
	p.link(switches, network, "ports", id)
	p.ensureNames(port)

	for _, g := range strings.Fields(was[keyGroups]) {
		if !slices.Contains(groups, g) {
			p.unlink(portGroups, groupID(g), "ports", id)
		}
	}
	for _, g := range groups {
		p.link(portGroups, groupID(g), "ports", id)
	}
	if port.PortSecurity {
		p.link(portGroups, dropID, "ports", id)
	} else {
		p.unlink(portGroups, dropID, "ports", id)
	}
}

// addressing returns the columns addresses and port_security.
func addressing(port fabric.Port) (addresses, security ovsdb.Set) {
	byMAC := map[string][]string{port.MAC: port.IPs}
	for _, pair := range port.AllowedPairs {
		mac := pair.MAC
		if mac == "" {
			mac = port.MAC
		}
		byMAC[mac] = append(slices.Clip(byMAC[mac]), pair.IP)
	}
	addresses, security = ovsdb.SetOf(words(port.MAC, port.IPs)), ovsdb.Set{}
	for mac, ips := range byMAC {
		if mac != port.MAC {
			addresses[mac] = struct{}{}
		}
		if port.PortSecurity {
			security[words(mac, ips)] = struct{}{}
		}
	}
	if !port.PortSecurity {
		addresses["unknown"] = struct{}{}
	}
	return addresses, security
}

func words(mac string, ips []string) string {
	return strings.Join(append([]string{mac}, ips...), " ")
}

func (p *plan) removePort(port string) {
	id := portID(port)
	was := p.get(switchPorts, id).Map("external_ids")
	p.unlink(switches, switchID(was[keyNetwork]), "ports", id)
	p.ensureQoS(was[keyNetwork], was[keyQoS])
	for _, g := range strings.Fields(was[keyGroups]) {
		p.unlink(portGroups, groupID(g), "ports", id)
	}
	p.unlink(portGroups, dropID, "ports", id)
	p.removeNames(port, was[keyNetwork])
	p.remove(dhcpOptions, ownOptionsID(port, "4"))
	p.remove(dhcpOptions, ownOptionsID(port, "6"))
	p.remove(switchPorts, id)
}
