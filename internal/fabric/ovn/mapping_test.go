package ovn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

func TestMatch(t *testing.T) {
	const id = "0a-1b"
	for want, rule := range map[string]fabric.Rule{
		"outport == @pg_0a_1b && ip4":                                                {PortMin: -1, PortMax: -1},
		"inport == @pg_0a_1b && ip6":                                                 {Egress: true, IPv6: true, PortMin: -1, PortMax: -1},
		"outport == @pg_0a_1b && ip4 && tcp && tcp.dst == 22":                        {Protocol: "tcp", PortMin: 22, PortMax: 22},
		"outport == @pg_0a_1b && ip4 && udp && udp.dst >= 1 && udp.dst <= 65535":     {Protocol: "17", PortMin: 1, PortMax: 65535},
		"outport == @pg_0a_1b && ip4 && sctp":                                        {Protocol: "132", PortMin: -1, PortMax: -1},
		"outport == @pg_0a_1b && ip4 && icmp4":                                       {Protocol: "icmp", PortMin: -1, PortMax: -1},
		"outport == @pg_0a_1b && ip4 && icmp4 && icmp4.type == 8":                    {Protocol: "1", PortMin: 8, PortMax: -1},
		"outport == @pg_0a_1b && ip6 && icmp6 && icmp6.type == 1 && icmp6.code == 0": {Protocol: "icmpv6", IPv6: true, PortMin: 1, PortMax: 0},
		"outport == @pg_0a_1b && ip4 && ip.proto == 47":                              {Protocol: "47", PortMin: -1, PortMax: -1},
		"outport == @pg_0a_1b && ip4 && ip4.src == 10.0.0.0/8":                       {RemoteCIDR: "10.1.2.3/8", PortMin: -1, PortMax: -1},
		"inport == @pg_0a_1b && ip6 && ip6.dst == fd00::/8":                          {Egress: true, IPv6: true, RemoteCIDR: "fd00::/8", PortMin: -1, PortMax: -1},
		"outport == @pg_0a_1b && ip4 && ip4.src == $pg_2c_ip4":                       {RemoteGroup: "2c", RemoteCIDR: "0.0.0.0/0", PortMin: -1, PortMax: -1},
		"inport == @pg_0a_1b && ip6 && ip6.dst == $pg_2c_ip6":                        {Egress: true, IPv6: true, RemoteGroup: "2c", PortMin: -1, PortMax: -1},
	} {
		err := fabric.Topology{Groups: []fabric.Group{{ID: id, Rules: []fabric.Rule{rule}}}}.Check()
		if err != nil {
			t.Errorf("%+v is refused: %v", rule, err)
			continue
		}
		if got := match(id, rule); got != want {
			t.Errorf("%+v is %q, want %q", rule, got, want)
		}
	}
}

func TestDHCPOptions(t *testing.T) {
	mac := serverMAC("s")
	for _, c := range []struct {
		name   string
		mtu    int
		subnet fabric.Subnet
		want   ovsdb.Map
	}{
		{"alone", 0, fabric.Subnet{CIDR: "10.0.0.0/24"},
			ovsdb.Map{"server_id": "10.0.0.1"}},
		{"router", 1442, fabric.Subnet{CIDR: "10.0.0.0/24", Gateway: "10.0.0.254"},
			ovsdb.Map{"server_id": "10.0.0.254", "router": "10.0.0.254", "mtu": "1442"}},
		{"metadata without a router", 0, fabric.Subnet{CIDR: "10.0.0.0/24", MetadataIP: "10.0.0.2"},
			ovsdb.Map{"server_id": "10.0.0.2", "classless_static_route": "{169.254.169.254/32,10.0.0.2}"}},
		{"all", 0, fabric.Subnet{CIDR: "10.0.0.0/24", Gateway: "10.0.0.1", MetadataIP: "10.0.0.2", DNS: []string{"9.9.9.9", "1.1.1.1"},
			Routes: []fabric.Route{{Destination: "10.5.0.0/16", NextHop: "10.0.0.9"}}},
			ovsdb.Map{"server_id": "10.0.0.1", "router": "10.0.0.1", "dns_server": "{9.9.9.9, 1.1.1.1}",
				"classless_static_route": "{169.254.169.254/32,10.0.0.2, 10.5.0.0/16,10.0.0.9, 0.0.0.0/0,10.0.0.1}"}},
	} {
		c.subnet.ID = "s"
		c.want["lease_time"], c.want["server_mac"] = lease, mac
		if diff := cmp.Diff(c.want, dhcpFor(fabric.Network{MTU: c.mtu}, c.subnet)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	six := dhcpFor(fabric.Network{MTU: 1442}, fabric.Subnet{ID: "s", CIDR: "fd00::/64", Gateway: "fd00::1", DNS: []string{"fd00::53"}})
	if diff := cmp.Diff(ovsdb.Map{"server_id": mac, "dns_server": "{fd00::53}"}, six); diff != "" {
		t.Errorf("IPv6 (-want +got):\n%s", diff)
	}
}

func TestAddressing(t *testing.T) {
	port := fabric.Port{MAC: "fa:16:3e:00:00:01", IPs: []string{"10.0.0.5", "fd00::5"}, PortSecurity: true,
		AllowedPairs: []fabric.Pair{{IP: "10.9.0.0/16"}, {MAC: "fa:16:3e:00:00:02", IP: "10.0.0.7"}}}
	addresses, security := addressing(port)
	if want := ovsdb.SetOf("fa:16:3e:00:00:01 10.0.0.5 fd00::5", "fa:16:3e:00:00:02"); !ovsdb.Equal(addresses, want) {
		t.Errorf("addresses are %v, want %v", addresses, want)
	}
	if want := ovsdb.SetOf("fa:16:3e:00:00:01 10.0.0.5 fd00::5 10.9.0.0/16", "fa:16:3e:00:00:02 10.0.0.7"); !ovsdb.Equal(security, want) {
		t.Errorf("port security is %v, want %v", security, want)
	}
	port.PortSecurity = false
	addresses, security = addressing(port)
	if !addresses.Has("unknown") || len(security) != 0 {
		t.Errorf("without port security: %v, %v", addresses, security)
	}
}

// world is a topology that uses everything.
func world() fabric.Topology {
	return fabric.Topology{
		Networks: []fabric.Network{
			{ID: "net", Subnets: []fabric.Subnet{{ID: "sub", CIDR: "10.0.0.0/24", Gateway: "10.0.0.1", DHCP: true}, {ID: "sub6", CIDR: "fd00::/64", DHCP: true}}},
			{ID: "ext", Physical: "public", VLAN: 100, Subnets: []fabric.Subnet{{ID: "extsub", CIDR: "172.24.4.0/24"}}},
		},
		Groups: []fabric.Group{{ID: "g1", Rules: []fabric.Rule{{ID: "r1"}, {ID: "r2", RemoteGroup: "g2"}, {ID: "r3", RemoteAddresses: "a"}}}, {ID: "g2"}},

		AddressGroups: []fabric.AddressGroup{{ID: "a", CIDRs: []string{"192.0.2.0/24"}}},
		Ports: []fabric.Port{
			{ID: "p1", Network: "net", MAC: "fa:16:3e:00:00:01", IPs: []string{"10.0.0.5", "fd00::5"}, Groups: []string{"g1", "g2"}, PortSecurity: true, Enabled: true, Host: "node-1",
				QoS: fabric.QoS{Egress: fabric.Limit{Rate: 1000}, Ingress: fabric.Limit{Rate: 2000, Burst: 500}, Marks: true}},
			{ID: "p4", Network: "net", MAC: "fa:16:3e:00:00:06", IPs: []string{"10.0.0.9", "fd00::9"}, Enabled: true, Host: "node-1",
				Names: []string{"web"}, Options: []fabric.Option{{Name: "67", Value: "pxelinux.0", Version: 4}, {Name: "dns-server", Value: "fd00::53", Version: 6}}},
			{ID: "p3", Network: "net", MAC: "fa:16:3e:00:00:05", Enabled: true, Host: "node-1", Trunk: "p1", VLAN: 7},
			{ID: "p2", Network: "net", MAC: "fa:16:3e:00:00:02", IPs: []string{"10.0.0.2"}, Metadata: true, Enabled: true},
		},
		Routers: []fabric.Router{{
			ID: "r", Enabled: true,
			Ports: []fabric.RouterPort{{ID: "rp", Network: "net", MAC: "fa:16:3e:00:00:03", CIDRs: []string{"10.0.0.1/24", "fd00::1/64"}, Advertise: "slaac"}},
			Gateway: &fabric.Gateway{RouterPort: fabric.RouterPort{ID: "gp", Network: "ext", MAC: "fa:16:3e:00:00:04", CIDRs: []string{"172.24.4.9/24"}},
				NextHops: []string{"172.24.4.1"}, SNAT: true, QoS: fabric.QoS{Egress: fabric.Limit{Rate: 1000}}},
			Routes: []fabric.Route{{Destination: "10.7.0.0/16", NextHop: "10.0.0.7"}},
			NATs:   []fabric.FloatingIP{{ID: "f", External: "172.24.4.20", Internal: "10.0.0.5", Port: "p1"}},
			Forwardings: []fabric.Forwarding{
				{ID: "f1", Floating: "f2", Protocol: "udp", External: "172.24.4.21", Internal: "10.0.0.5", ExternalMin: 53, ExternalMax: 53, InternalMin: 53, InternalMax: 53,
					QoS: fabric.QoS{Ingress: fabric.Limit{Rate: 1000}}},
				{ID: "f2", Floating: "f2", Protocol: "tcp", External: "172.24.4.21", Internal: "10.0.0.5", ExternalMin: 80, ExternalMax: 81, InternalMin: 8080, InternalMax: 8081,
					QoS: fabric.QoS{Ingress: fabric.Limit{Rate: 1000}}},
			},
		}},
	}
}

// ensured plans a topology on tables and returns the tables afterwards, and what
// had to be done.
func ensured(t *testing.T, tables ovsdb.Tables, topology fabric.Topology) (ovsdb.Tables, []ovsdb.Op) {
	t.Helper()
	p := newPlan(tables)
	err := check(p, topology)
	if err != nil {
		t.Fatal(err)
	}
	p.ensureDrop()
	for _, n := range topology.Networks {
		p.ensureNetwork(n)
	}
	for _, g := range topology.AddressGroups {
		p.ensureAddressGroup(g)
	}
	for _, g := range topology.Groups {
		p.ensureGroup(g)
	}
	for _, port := range topology.Ports {
		p.ensurePort(port)
	}
	for _, r := range topology.Routers {
		p.ensureRouter(r, []string{"node-1", "node-2"})
	}
	return applied(p)
}

func applied(p *plan) (ovsdb.Tables, []ovsdb.Op) {
	after := ovsdb.Tables{}
	for table, rows := range p.tables {
		after[table] = map[string]ovsdb.Row{}
		for id, row := range rows {
			after[table][id] = row
		}
	}
	for key, d := range p.drafts {
		if after[key.table] == nil {
			after[key.table] = map[string]ovsdb.Row{}
		}
		if d.row == nil {
			delete(after[key.table], key.uuid)
		} else {
			after[key.table][key.uuid] = d.row
		}
	}
	return after, p.ops()
}

// What is there already needs nothing done, and a small change little.
func TestPlanIsTheDifference(t *testing.T) {
	tables, ops := ensured(t, ovsdb.Tables{}, world())
	if len(ops) < 20 {
		t.Errorf("the world takes %d operations, want many", len(ops))
	}
	_, ops = ensured(t, tables, world())
	if len(ops) != 0 {
		t.Errorf("the same again takes %d operations, want none: %v", len(ops), ops)
	}
	for what, change := range map[string]func(*fabric.Topology){
		"1 update of the port":                                    func(w *fabric.Topology) { w.Ports[0].Enabled = false },
		"1 insert and 1 change of the group":                      func(w *fabric.Topology) { w.Groups[1].Rules = []fabric.Rule{{ID: "r3"}} },
		"1 delete and 1 update of the router":                     func(w *fabric.Topology) { w.Routers[0].NATs = nil },
		"1 delete, 1 change of the network, 1 update of the port": func(w *fabric.Topology) { w.Ports[0].QoS.Ingress = fabric.Limit{} },
		"1 delete of the record, 1 change of the network":         func(w *fabric.Topology) { w.Ports[1].Names = nil },
		"1 update of the port's own options":                      func(w *fabric.Topology) { w.Ports[1].Options[0].Value = "other" },
		"1 update of the addresses of one version":                func(w *fabric.Topology) { w.AddressGroups[0].CIDRs = nil },
		"1 update of the limit":                                   func(w *fabric.Topology) { w.Ports[0].QoS.Ingress.Rate = 1 },
		"1 update of the forwardings of its protocol": func(w *fabric.Topology) {
			w.Routers[0].Forwardings[1].InternalMax, w.Routers[0].Forwardings[1].ExternalMax = 8080, 80
		},
		"1 update of the network's name in its own row alone": func(w *fabric.Topology) { w.Networks[0].Name = "other" },
	} {
		w := world()
		change(&w)
		_, ops = ensured(t, tables, w)
		if want := strings.Count(what, "1 "); len(ops) != want {
			t.Errorf("%s: %d operations, want %d: %v", what, len(ops), want, ops)
		}
	}
}

// What is removed takes its parts along: only the drop group stays.
func TestRemoveLeavesNothing(t *testing.T) {
	tables, _ := ensured(t, ovsdb.Tables{}, world())
	p := newPlan(tables)
	p.removeRouter("r")
	p.removePort("p1")
	p.removePort("p2")
	p.removePort("p3")
	p.removePort("p4")
	p.removeAddressGroup("a")
	p.removeGroup("g1")
	p.removeGroup("g2")
	p.removeNetwork("net")
	p.removeNetwork("ext")
	after, _ := applied(p)
	left := map[string]int{}
	for table, rows := range after {
		if len(rows) > 0 {
			left[table] = len(rows)
		}
	}
	if diff := cmp.Diff(map[string]int{portGroups: 1, acls: 4}, left); diff != "" {
		t.Errorf("rows left (-want +got):\n%s", diff)
	}
	if members := after[portGroups][dropID].Set("ports"); len(members) != 0 {
		t.Errorf("the drop group still has members %v", members)
	}
}

// A DHCP server that comes or goes is the ports' business too.
func TestDHCPFollowsSubnets(t *testing.T) {
	w := world()
	w.Ports[1].Options = nil // who has its own options is ensured again
	tables, _ := ensured(t, ovsdb.Tables{}, w)
	offered := func() string {
		row := tables[switchPorts][portID("p1")]
		return fmt.Sprint(row.Is("dhcpv4_options", dhcpID("sub")), row.Is("dhcpv6_options", dhcpID("sub6")))
	}
	if got := offered(); got != "true true" {
		t.Errorf("with both: %s", got)
	}
	w.Networks[0].Subnets[0].DHCP = false
	tables, _ = ensured(t, tables, fabric.Topology{Networks: w.Networks[:1]})
	if got := offered(); got != "false true" {
		t.Errorf("without the first: %s", got)
	}
	if len(tables[dhcpOptions]) != 1 {
		t.Errorf("%d rows of options, want 1", len(tables[dhcpOptions]))
	}
	w.Networks[0].Subnets[0].DHCP = true
	tables, _ = ensured(t, tables, fabric.Topology{Networks: w.Networks[:1]})
	if got := offered(); got != "true true" {
		t.Errorf("with both again: %s", got)
	}
	if m := tables[switchPorts][portID("p2")]; len(m.Set("dhcpv4_options")) != 0 {
		t.Errorf("the metadata port is offered an address")
	}
}

// A router's interface may move to another router and network.
func TestRouterPortMoves(t *testing.T) {
	tables, _ := ensured(t, ovsdb.Tables{}, world())
	port := world().Routers[0].Ports[0]
	port.Network = "ext"
	tables, _ = ensured(t, tables, fabric.Topology{Routers: []fabric.Router{{ID: "r2", Enabled: true, Ports: []fabric.RouterPort{port}}}})
	if tables[routers][routerID("r")].Set("ports").Has(routerPortID("rp")) {
		t.Errorf("the old router still has the port")
	}
	if tables[switches][switchID("net")].Set("ports").Has(peerID("rp")) {
		t.Errorf("the old network still has the port")
	}
	if !tables[routers][routerID("r2")].Set("ports").Has(routerPortID("rp")) || !tables[switches][switchID("ext")].Set("ports").Has(peerID("rp")) {
		t.Errorf("the new router or network lacks the port")
	}
}

func TestGatewaysRotate(t *testing.T) {
	first := map[string]int{}
	for i := range 100 {
		order := rotate(fmt.Sprint("router", i), []string{"a", "b", "c"})
		if len(order) != 3 {
			t.Fatalf("order is %v", order)
		}
		first[order[0]]++
	}
	for _, chassis := range []string{"a", "b", "c"} {
		if first[chassis] < 15 {
			t.Errorf("chassis %s comes first %d times of 100", chassis, first[chassis])
		}
	}
}

// What moves to another network or router takes its limits along.
func TestLimitsMove(t *testing.T) {
	tables, _ := ensured(t, ovsdb.Tables{}, world())
	if got := len(tables[switches][switchID("net")].Set("qos_rules")); got != 2 {
		t.Errorf("the network has %d rules, want 2", got)
	}
	row := tables[qos][rowID("qos", "p1", "from-lport")]
	if row.String("match") != `inport == "p1"` || row.Map("action")["dscp"] != "0" || row.Map("bandwidth")["rate"] != "1000" {
		t.Errorf("what the port sends is limited by %v", row)
	}
	row = tables[qos][rowID("qos", "gp/f2", "to-lport")]
	if row.String("match") != `outport == "gp" && ip4.dst == 172.24.4.21` {
		t.Errorf("what the floating IP receives is limited by %v", row)
	}
	w := world()
	w.Ports[0].Network = "ext"
	tables, _ = ensured(t, tables, w)
	if got := len(tables[switches][switchID("net")].Set("qos_rules")); got != 0 {
		t.Errorf("the network that the port left has %d rules, want none", got)
	}
	if got := len(tables[switches][switchID("ext")].Set("qos_rules")); got != 4 {
		t.Errorf("the network that the port went to has %d rules, want 4", got)
	}
}

// Port forwardings are a load balancer for each protocol.
func TestForwardings(t *testing.T) {
	tables, _ := ensured(t, ovsdb.Tables{}, world())
	got := tables[balancers][rowID("forwarding", "r", "f2", "tcp")].Map("vips")
	want := ovsdb.Map{"172.24.4.21:80": "10.0.0.5:8080", "172.24.4.21:81": "10.0.0.5:8081"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if len(tables[balancers]) != 2 || len(tables[routers][routerID("r")].Set("load_balancer")) != 2 {
		t.Errorf("load balancers are %v, want 2", tables[balancers])
	}
}

// The localnet port carries the VLAN.
func TestProviderNetwork(t *testing.T) {
	tables, _ := ensured(t, ovsdb.Tables{}, world())
	row := tables[switchPorts][localnetID("ext")]
	if row.String("type") != "localnet" || row.Map("options")["network_name"] != "public" || !row.Is("tag", "100") {
		t.Errorf("localnet port is %v", row)
	}
	w := world()
	w.Networks[1].Physical = ""
	tables, _ = ensured(t, tables, fabric.Topology{Networks: w.Networks[1:]})
	if tables[switchPorts][localnetID("ext")] != nil || tables[switches][switchID("ext")].Set("ports").Has(localnetID("ext")) {
		t.Errorf("a network without a physical one still has its localnet port")
	}
}
