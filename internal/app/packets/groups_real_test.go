package packets

import (
	"testing"
)

// securityGroups lets in what rules allow, and what answers it, also when a rule
// names a group or an address group whose members come and go.
func securityGroups(t *testing.T, l *lab) {
	network, _ := l.lan(t, "10.70.0.0/24")
	group := l.make(t, l.Demo(), "security-groups", "security_group", object{"name": "g"}).text("id")
	friends := l.make(t, l.Demo(), "security-groups", "security_group", object{"name": "friends"}).text("id")
	a, b := l.card(t, network, object{"security_groups": []string{group}}), l.card(t, network, object{"security_groups": []string{group}})
	from, to := a.guest(t), b.guest(t)
	to.Serve(80)
	passes := func() {
		t.Helper()
		from.Reaches(at(b.ips[0], 80), a.ips[0])
	}
	dropped := func() {
		t.Helper()
		l.settled(t)
		from.Misses(at(b.ips[0], 80), "")
	}
	web := func(more object) object {
		more["protocol"], more["port_range_min"], more["port_range_max"] = "tcp", 80, 80
		return more
	}
	end := func(rule string) {
		t.Helper()
		l.Demo().Must(t, 204, "DELETE", "/network/v2.0/security-group-rules/"+rule, nil)
		dropped()
	}
	dropped()
	rule := l.allow(t, group, web(object{}))
	passes() // what answers has no rule of its own
	end(rule)

	rule = l.allow(t, group, web(object{"remote_group_id": friends}))
	dropped()
	l.change(t, l.Demo(), "ports/"+a.id, "port", object{"security_groups": []string{group, friends}})
	passes()
	l.change(t, l.Demo(), "ports/"+a.id, "port", object{"security_groups": []string{group}})
	dropped()
	end(rule)

	office := l.make(t, l.Demo(), "address-groups", "address_group", object{"addresses": []string{"192.0.2.0/24"}}).text("id")
	rule = l.allow(t, group, web(object{"remote_address_group_id": office}))
	dropped()
	member := object{"addresses": []string{a.ips[0] + "/32"}}
	l.Demo().Must(t, 200, "PUT", "/network/v2.0/address-groups/"+office+"/add_addresses", member)
	passes()
	l.Demo().Must(t, 200, "PUT", "/network/v2.0/address-groups/"+office+"/remove_addresses", member)
	dropped()
	end(rule)
}

// stateless has each packet judged by itself: answers need a rule too.
func stateless(t *testing.T, l *lab) {
	network, _ := l.lan(t, "10.71.0.0/24")
	group := l.make(t, l.Demo(), "security-groups", "security_group", object{"name": "s", "stateful": false}).text("id")
	l.allow(t, group, object{"protocol": "tcp", "port_range_min": 80, "port_range_max": 80})
	a, b := l.card(t, network, object{"security_groups": []string{group}}), l.card(t, network, object{"security_groups": []string{group}})
	from, to := a.guest(t), b.guest(t)
	to.Serve(80)
	l.settled(t)
	from.Misses(at(b.ips[0], 80), "")
	l.allow(t, group, object{"protocol": "tcp", "port_range_min": 1024, "port_range_max": 65535})
	from.Reaches(at(b.ips[0], 80), a.ips[0])
}

// extraRoutes leads a router's packets to what is behind a port.
func extraRoutes(t *testing.T, l *lab) {
	near, subnet := l.lan(t, "10.72.0.0/24")
	far, other := l.lan(t, "10.73.0.0/24")
	router := l.make(t, l.Demo(), "routers", "router", object{"name": "r"}).text("id")
	for _, s := range []string{subnet, other} {
		l.Demo().Must(t, 200, "PUT", "/network/v2.0/routers/"+router+"/add_router_interface", object{"subnet_id": s})
	}
	group := l.group(t)
	behind := l.card(t, near, object{"security_groups": []string{group}, "allowed_address_pairs": []object{{"ip_address": "10.99.0.0/24"}}})
	c := l.card(t, far, object{"security_groups": []string{group}})
	gate, caller := behind.guest(t), c.guest(t)
	gate.Address("10.99.0.9/32")
	gate.Serve(80)
	l.settled(t)
	caller.Misses("10.99.0.9:80", "")
	way := object{"router": object{"routes": []object{{"destination": "10.99.0.0/24", "nexthop": behind.ips[0]}}}}
	l.Demo().Must(t, 200, "PUT", "/network/v2.0/routers/"+router+"/add_extraroutes", way)
	caller.Reaches("10.99.0.9:80", c.ips[0])
	l.Demo().Must(t, 200, "PUT", "/network/v2.0/routers/"+router+"/remove_extraroutes", way)
	l.settled(t)
	caller.Misses("10.99.0.9:80", "")
}

// names has guests find each other by the names of their ports.
func names(t *testing.T, l *lab) {
	network, _ := l.lan(t, "10.74.0.0/24")
	group := l.group(t)
	web := l.card(t, network, object{"security_groups": []string{group}, "dns_name": "web"})
	asks := l.card(t, network, object{"security_groups": []string{group}}).guest(t)
	web.guest(t)
	l.settled(t)
	for _, name := range []string{"web", "web.openstacklocal"} {
		found, err := asks.Resolve(at(web.ips[0], 53), name)
		if err != nil || found != web.ips[0] {
			t.Errorf("%s is %q (%v), want %s", name, found, err, web.ips[0])
		}
	}
}
