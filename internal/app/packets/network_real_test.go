package packets

import (
	"context"
	"slices"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/db"
	"nacre/internal/fabric/fabrictest"
)

// What users ask the network service for is what packets then do.
func TestPackets(t *testing.T) {
	l := newLab(t)
	l.settled(t)
	before, rows := l.things(t), l.rows(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *lab)
	}{
		{"PortForwarding", portForwarding},
		{"QoS", qos},
		{"Trunk", trunk},
		{"Provider", provider},
		{"IPv6", ipv6},
		{"Pairs", pairs},
		{"SecurityGroups", securityGroups},
		{"Stateless", stateless},
		{"ExtraRoutes", extraRoutes},
		{"Names", names},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, l) })
		l.leavesNothing(t, before, rows)
	}
}

func portForwarding(t *testing.T, l *lab) {
	network, subnet := l.lan(t, "10.61.0.0/24")
	l.edge(t, subnet)
	group := l.group(t)
	c := l.card(t, network, object{"security_groups": []string{group}})
	c.guest(t).Serve(80)
	fip := l.make(t, l.Demo(), "floatingips", "floatingip", object{"floating_network_id": l.Demo().Network(t, "public")})
	path := "floatingips/" + fip.text("id") + "/port_forwardings"
	address := fip.text("floating_ip_address")
	made := l.make(t, l.Demo(), path, "port_forwarding", object{
		"internal_port_id": c.id, "internal_ip_address": c.ips[0], "internal_port": 80, "external_port": 8080, "protocol": "tcp",
	})
	reaches(t, at(address, 8080), outside)
	l.change(t, l.Demo(), path+"/"+made.text("id"), "port_forwarding", object{"external_port": 8081})
	reaches(t, at(address, 8081), outside)
	silent(t, at(address, 8080))
	l.Demo().Must(t, 204, "DELETE", "/network/v2.0/"+path+"/"+made.text("id"), nil)
	silent(t, at(address, 8081))
}

// qos measures a limit by how long a bounded load takes, without and with it.
func qos(t *testing.T, l *lab) {
	network, _ := l.lan(t, "10.62.0.0/24")
	group := l.group(t)
	a, b := l.card(t, network, object{"security_groups": []string{group}}), l.card(t, network, object{"security_groups": []string{group}})
	from, to := a.guest(t), b.guest(t)
	to.Sink(80)
	load := func(what string) time.Duration {
		t.Helper()
		took, err := from.Pour(at(b.ips[0], 80))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d KiB in %v", what, fabrictest.Load>>10, took)
		return took
	}
	free := load("without a limit")
	policy := l.make(t, l.Admin(), "qos/policies", "policy", object{"name": "slow", "shared": true}).text("id")
	const kbps, burst = 8000, 800
	l.make(t, l.Admin(), "qos/policies/"+policy+"/bandwidth_limit_rules", "bandwidth_limit_rule", object{"max_kbps": kbps, "max_burst_kbps": burst})
	l.change(t, l.Demo(), "networks/"+network, "network", object{"qos_policy_id": policy})
	l.settled(t)
	slow := load("with its network's limit")
	least := time.Duration(float64(fabrictest.Load*8-kbps*1000) / (kbps * 1000) * float64(time.Second))
	if slow < least || slow < free {
		t.Errorf("it took %v, want at least %v and more than %v", slow, least, free)
	}
	l.change(t, l.Demo(), "networks/"+network, "network", object{"qos_policy_id": nil})
	l.settled(t)
	if again := load("without it again"); again > slow {
		t.Errorf("it took %v after the limit was lifted, want less than %v", again, slow)
	}
}

// settled waits until the network's loop has told everything and the host follows.
func (l *lab) settled(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	await.Until(t, "the network to be told", time.Minute, func() bool {
		left := 0
		err := l.App.DB.Read(ctx, func(tx *db.Tx) error { return tx.Get(ctx, &left, `SELECT COUNT(*) FROM network_dirty`) })
		if err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	err := l.system.Cluster.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
}

func trunk(t *testing.T, l *lab) {
	native, _ := l.lan(t, "10.63.0.0/24")
	other, _ := l.lan(t, "10.64.0.0/24")
	group := l.group(t)
	parent := l.card(t, native, object{"security_groups": []string{group}})
	peer := l.card(t, other, object{"security_groups": []string{group}})
	sub := l.make(t, l.Demo(), "ports", "port", object{"network_id": other, "security_groups": []string{group}})
	address := sub["fixed_ips"].([]any)[0].(map[string]any)["ip_address"].(string)
	cable := fabrictest.NewCable(t, parent.tap)
	cable.Guest(0, parent.mac).Address(parent.ips[0] + "/24")
	vlan := cable.Guest(101, sub.text("mac_address"))
	vlan.Address(address + "/24")
	vlan.Serve(80)
	station := peer.guest(t)
	station.Serve(80)

	made := l.make(t, l.Demo(), "trunks", "trunk", object{"port_id": parent.id, "sub_ports": []object{
		{"port_id": sub.text("id"), "segmentation_type": "vlan", "segmentation_id": 101},
	}}).text("id")
	l.active(t, sub.text("id"))
	vlan.Reaches(at(peer.ips[0], 80), address)
	station.Reaches(at(address, 80), peer.ips[0])
	l.Demo().Must(t, 200, "PUT", "/network/v2.0/trunks/"+made+"/remove_subports", object{"sub_ports": []object{{"port_id": sub.text("id")}}})
	l.settled(t)
	vlan.Misses(at(peer.ips[0], 80), "")
}

func provider(t *testing.T, l *lab) {
	network := l.make(t, l.Admin(), "networks", "network", object{
		"project_id": l.Demo().Project(t), "provider:network_type": "vlan", "provider:physical_network": "lab", "provider:segmentation_id": 100,
	}).text("id")
	l.make(t, l.Demo(), "subnets", "subnet", object{"network_id": network, "ip_version": 4, "cidr": "10.65.0.0/24"})
	c := l.card(t, network, object{"security_groups": []string{l.group(t)}})
	g := c.guest(t)
	g.Serve(80)
	station := l.wire.Guest(100, "fa:16:3e:65:00:01")
	station.Address("10.65.0.200/24")
	station.Serve(80)
	g.Reaches("10.65.0.200:80", c.ips[0])
	station.Reaches(at(c.ips[0], 80), "10.65.0.200")

	l.change(t, l.Admin(), "networks/"+network, "network", object{"provider:segmentation_id": 101})
	l.settled(t)
	g.Misses("10.65.0.200:80", "")
	moved := l.wire.Guest(101, "fa:16:3e:65:00:02")
	moved.Address("10.65.0.201/24")
	moved.Reaches(at(c.ips[0], 80), "10.65.0.201")
}

// ipv6 has one guest find its address by itself and another ask for it, and both
// talk through a router.
func ipv6(t *testing.T, l *lab) {
	group := l.group(t)
	router := l.make(t, l.Demo(), "routers", "router", object{"name": "six"}).text("id")
	card := func(cidr, mode string) card {
		t.Helper()
		network := l.make(t, l.Demo(), "networks", "network", object{"name": "six"}).text("id")
		subnet := l.make(t, l.Demo(), "subnets", "subnet", object{
			"network_id": network, "ip_version": 6, "cidr": cidr, "ipv6_ra_mode": mode, "ipv6_address_mode": mode, "dns_nameservers": []string{"fd00:66::53"},
		}).text("id")
		l.Demo().Must(t, 200, "PUT", "/network/v2.0/routers/"+router+"/add_router_interface", object{"subnet_id": subnet})
		return l.card(t, network, object{"security_groups": []string{group}})
	}
	alone, asking := card("fd00:66::/64", "slaac"), card("fd00:67::/64", "dhcpv6-stateful")
	first := fabrictest.NewGuest(t, alone.tap, alone.mac)
	first.Learns("fd00:66::/64")
	second := fabrictest.NewGuest(t, asking.tap, asking.mac)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lease, err := second.DHCP6(ctx, asking.mac)
	if err != nil || lease.IP.String() != asking.ips[0] || len(lease.DNS) != 1 {
		t.Fatalf("DHCPv6 gives %+v, %v, want %s", lease, err, asking.ips[0])
	}
	second.Address(lease.IP.String() + "/64")
	second.Serve(80)
	first.Reaches(at(asking.ips[0], 80), alone.ips[0])
	first.Serve(80)
	second.Reaches(at(alone.ips[0], 80), asking.ips[0])
}

// pairs lets a port use a further address, and anything without port security.
func pairs(t *testing.T, l *lab) {
	network, _ := l.lan(t, "10.68.0.0/24")
	group := l.group(t)
	a, b := l.card(t, network, object{"security_groups": []string{group}}), l.card(t, network, object{"security_groups": []string{group}})
	from, to := a.guest(t), b.guest(t)
	from.Address("10.68.0.77/24")
	to.Serve(80)
	from.Misses(at(b.ips[0], 80), "10.68.0.77")
	as77 := func() {
		t.Helper()
		l.settled(t)
		from.ReachesFrom(at(b.ips[0], 80), "10.68.0.77")
	}
	l.change(t, l.Demo(), "ports/"+a.id, "port", object{"allowed_address_pairs": []object{{"ip_address": "10.68.0.77"}}})
	as77()
	l.change(t, l.Demo(), "ports/"+a.id, "port", object{"allowed_address_pairs": []object{}, "security_groups": []string{}, "port_security_enabled": false})
	as77()
}

// How long a rule takes, from before its call and from its answer, until packets
// pass that it allows.
func BenchmarkRuleInForce(b *testing.B) {
	l := newLab(b)
	network, _ := l.lan(b, "10.69.0.0/24")
	group := l.make(b, l.Demo(), "security-groups", "security_group", object{"name": "g"}).text("id")
	x, y := l.card(b, network, object{"security_groups": []string{group}}), l.card(b, network, object{"security_groups": []string{group}})
	from, to := x.guest(b), y.guest(b)
	var took []time.Duration
	for i := range max(b.N, 20) {
		port := 1000 + i
		to.Serve(port)
		l.allow(b, group, object{"protocol": "tcp", "port_range_min": port, "port_range_max": port})
		answered := time.Now()
		from.ReachesSoon(at(y.ips[0], port))
		took = append(took, time.Since(answered))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-max")
}
