package ovn

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A security group is a port group whose access rules allow. OVN keeps an address
// set of the members of each port group, which is what a rule with a remote
// group matches. Rules that allow stand one priority above those of the drop
// group; neighbour discovery and router advertisements pass without any rule,
// and the drop group itself lets guests ask for their address.

// Priorities of access rules.
const (
	dropPriority  = "1001"
	allowPriority = "1002"
)

const dropName = "nacre_drop"

var dropID = rowID("drop")

func groupID(group string) string { return rowID("group", group) }

// groupName is a word that can stand in a match.
func groupName(group string) string {
	return "pg_" + strings.ReplaceAll(group, "-", "_")
}

// ensureDrop makes the group whose members get nothing but what others allow.
func (p *plan) ensureDrop() {
	if p.get(portGroups, dropID) != nil {
		return
	}
	rules := ovsdb.Set{}
	for _, r := range []struct{ direction, priority, action, match string }{
		{"from-lport", dropPriority, "drop", "inport == @" + dropName + " && ip"},
		{"to-lport", dropPriority, "drop", "outport == @" + dropName + " && ip"},
		{"from-lport", allowPriority, "allow", "inport == @" + dropName + " && ip4 && udp.src == 68 && udp.dst == 67"},
		{"from-lport", allowPriority, "allow", "inport == @" + dropName + " && ip6 && udp.src == 546 && udp.dst == 547"},
	} {
		id := rowID("drop-rule", r.match)
		rules[id] = struct{}{}
		p.put(acls, id, ovsdb.Row{
			"direction": r.direction, "priority": r.priority, "match": r.match, "action": r.action,
			"external_ids": ovsdb.Map{},
		})
	}
	p.put(portGroups, dropID, ovsdb.Row{
		"name": dropName, "acls": rules, "ports": ovsdb.Set{}, "external_ids": ovsdb.Map{},
	})
}

func (p *plan) ensureGroup(g fabric.Group) {
	id := groupID(g.ID)
	was := p.get(portGroups, id).Set("acls")
	rules := make(ovsdb.Set, len(g.Rules))
	action := "allow-related"
	if g.Stateless {
		action = "allow-stateless"
	}
	for _, r := range g.Rules {
		direction := "to-lport"
		if r.Egress {
			direction = "from-lport"
		}
		rule := rowID("rule", g.ID, r.ID)
		rules[rule] = struct{}{}
		p.put(acls, rule, ovsdb.Row{
			"direction": direction, "priority": allowPriority, "match": match(g.ID, r), "action": action,
			"external_ids": ovsdb.Map{"nacre-rule": r.ID},
		})
	}
	for rule := range was {
		if !rules.Has(rule) {
			p.remove(acls, rule)
		}
	}
	columns := ovsdb.Row{
		"name":         groupName(g.ID),
		"acls":         rules,
		"external_ids": ovsdb.Map{keyKind: string(fabric.KindGroup), keyID: g.ID},
	}
	if p.get(portGroups, id) == nil {
		columns["ports"] = ovsdb.Set{}
	}
	p.put(portGroups, id, columns)
}

func (p *plan) removeGroup(group string) {
	id := groupID(group)
	for rule := range p.get(portGroups, id).Set("acls") {
		p.remove(acls, rule)
	}
	p.remove(portGroups, id)
}

// match is the rule, which was checked, in OVN's expression language.
func match(group string, r fabric.Rule) string {
	port, ip, remote := "outport", "ip4", "src"
	if r.Egress {
		port, remote = "inport", "dst"
	}
	if r.IPv6 {
		ip = "ip6"
	}
	terms := []string{port + " == @" + groupName(group), ip}
	if r.RemoteCIDR != "" {
		prefix := netip.MustParsePrefix(r.RemoteCIDR).Masked()
		if prefix.Bits() > 0 {
			terms = append(terms, fmt.Sprintf("%s.%s == %s", ip, remote, prefix))
		}
	}
	if r.RemoteGroup != "" {
		terms = append(terms, fmt.Sprintf("%s.%s == $%s_%s", ip, remote, groupName(r.RemoteGroup), ip))
	}
	if r.RemoteAddresses != "" {
		terms = append(terms, fmt.Sprintf("%s.%s == $%s", ip, remote, addressSetName(r.RemoteAddresses, ip)))
	}
	return strings.Join(append(terms, matchProtocol(r)...), " && ")
}

func matchProtocol(r fabric.Rule) []string {
	switch r.Protocol {
	case "":
		return nil
	case "tcp", "6":
		return matchPorts("tcp", r)
	case "udp", "17":
		return matchPorts("udp", r)
	case "sctp", "132":
		return matchPorts("sctp", r)
	case "icmp", "icmpv6", "ipv6-icmp", "1", "58":
		return matchType(r)
	}
	return []string{"ip.proto == " + r.Protocol}
}

// matchType matches ICMP. Its type and code stand where others have ports.
func matchType(r fabric.Rule) []string {
	name := "icmp4"
	if r.IPv6 {
		name = "icmp6"
	}
	terms := []string{name}
	if r.PortMin >= 0 {
		terms = append(terms, name+".type == "+strconv.Itoa(r.PortMin))
	}
	if r.PortMin >= 0 && r.PortMax >= 0 {
		terms = append(terms, name+".code == "+strconv.Itoa(r.PortMax))
	}
	return terms
}

func matchPorts(protocol string, r fabric.Rule) []string {
	terms := []string{protocol}
	switch {
	case r.PortMin < 0 && r.PortMax < 0:
	case r.PortMin == r.PortMax:
		terms = append(terms, fmt.Sprintf("%s.dst == %d", protocol, r.PortMin))
	default:
		if r.PortMin >= 0 {
			terms = append(terms, fmt.Sprintf("%s.dst >= %d", protocol, r.PortMin))
		}
		if r.PortMax >= 0 {
			terms = append(terms, fmt.Sprintf("%s.dst <= %d", protocol, r.PortMax))
		}
	}
	return terms
}
