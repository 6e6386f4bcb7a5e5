package ovn

import (
	"strconv"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// Limits and marks are rows of a switch, one for each direction of a port. What a
// router sends to its external network passes the switch port that leads to it,
// so its limits stand there, and those of floating IPs above them.

// Priorities of QoS rows: the highest that matches is the only one in force.
const (
	qosPriority         = "2002"
	qosFloatingPriority = "2003"
)

// quality is one port's QoS, or one address's of a router.
type quality struct {
	fabric.QoS
	owner    string // what the rows are named after
	port     string // the switch port's name
	address  string // of a router, "" for all
	priority string
}

// ensureQoS makes the qualities' rows those of an owner on a switch, and returns
// what the owner's row has to remember: was is what it remembered before.
func (p *plan) ensureQoS(network, was string, list ...quality) string {
	id := switchID(network)
	var held []string
	for _, q := range list {
		for _, way := range []struct {
			direction, side, end string
			limit                fabric.Limit
			marks                bool
		}{
			{"from-lport", "inport", "src", q.Egress, q.Marks},
			{"to-lport", "outport", "dst", q.Ingress, false},
		} {
			if way.limit.Rate == 0 && !way.marks {
				continue
			}
			match := way.side + ` == "` + q.port + `"`
			if q.address != "" {
				match += " && ip4." + way.end + " == " + q.address
			}
			action := ovsdb.Map{}
			if way.marks {
				action["dscp"] = strconv.Itoa(q.DSCP)
			}
			row := rowID("qos", q.owner, way.direction)
			held = append(held, row)
			p.put(qos, row, ovsdb.Row{
				"priority": q.priority, "direction": way.direction, "match": match, "action": action,
				"bandwidth": bandwidth(way.limit), "external_ids": ovsdb.Map{},
			})
			p.link(switches, id, "qos_rules", row)
		}
	}
	is := strings.Join(held, " ")
	for _, row := range strings.Fields(was) {
		if !strings.Contains(is, row) {
			p.unlink(switches, id, "qos_rules", row)
			p.remove(qos, row)
		}
	}
	return is
}

func bandwidth(l fabric.Limit) ovsdb.Map {
	if l.Rate == 0 {
		return ovsdb.Map{}
	}
	b := ovsdb.Map{"rate": strconv.Itoa(l.Rate)}
	if l.Burst > 0 {
		b["burst"] = strconv.Itoa(l.Burst)
	}
	return b
}

// gatewayQuality is what limits a router's traffic to its external network.
func gatewayQuality(r fabric.Router) []quality {
	if r.Gateway == nil {
		return nil
	}
	port := r.Gateway.ID
	list := []quality{{r.Gateway.QoS, port, port, firstIPv4(r.Gateway.CIDRs), qosPriority}}
	seen := map[string]bool{}
	floating := func(id, address string, q fabric.QoS) {
		if !seen[id] {
			seen[id] = true
			list = append(list, quality{q, port + "/" + id, port, address, qosFloatingPriority})
		}
	}
	for _, f := range r.NATs {
		floating(f.ID, f.External, f.QoS)
	}
	for _, f := range r.Forwardings {
		floating(f.Floating, f.External, f.QoS)
	}
	return list
}
