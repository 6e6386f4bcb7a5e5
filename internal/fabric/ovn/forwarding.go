package ovn

import (
	"fmt"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// Port forwardings are load balancers of the router with one backend for each
// port: one for each floating IP and protocol.
func (p *plan) ensureForwardings(r fabric.Router) ovsdb.Set {
	set := ovsdb.Set{}
	if r.Gateway == nil {
		return set
	}
	type key struct{ floating, protocol string }
	vips := map[key]ovsdb.Map{}
	for _, f := range r.Forwardings {
		k := key{f.Floating, f.Protocol}
		if vips[k] == nil {
			vips[k] = ovsdb.Map{}
		}
		for outer := f.ExternalMin; outer <= f.ExternalMax; outer++ {
			inner := f.InternalMin
			if f.InternalMax > f.InternalMin {
				inner += outer - f.ExternalMin
			}
			vips[k][fmt.Sprintf("%s:%d", f.External, outer)] = fmt.Sprintf("%s:%d", f.Internal, inner)
		}
	}
	for k, targets := range vips {
		id := rowID("forwarding", r.ID, k.floating, k.protocol)
		set[id] = struct{}{}
		p.put(balancers, id, ovsdb.Row{
			"name": "pf-" + k.floating + "-" + k.protocol, "protocol": ovsdb.SetOf(k.protocol), "vips": targets,
			"options": ovsdb.Map{}, "external_ids": ovsdb.Map{"nacre-floating-ip": k.floating},
		})
	}
	return set
}
