package api_test

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/network"
	"nacre/internal/vif"
)

func addresses(port object) []string {
	var out []string
	list, _ := port["fixed_ips"].([]any)
	for _, f := range list {
		out = append(out, fmt.Sprint(f.(map[string]any)["ip_address"]))
	}
	return out
}

func TestAddressesOfBothVersions(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	slaac := c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":6,"cidr":"2001:db8:1::/64","ipv6_ra_mode":"slaac","ipv6_address_mode":"slaac"}`)
	if slaac.text("gateway_ip") != "2001:db8:1::1" {
		t.Errorf("gateway is %s, want 2001:db8:1::1", slaac["gateway_ip"])
	}
	p := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","mac_address":"fa:16:3e:00:00:07"}`)
	got := addresses(p)
	if len(got) != 2 || !strings.HasPrefix(strings.Join(got, " "), "10.9.0.") && got[0] != "2001:db8:1:0:f816:3eff:fe00:7" {
		t.Errorf("addresses are %v, want one of each version", got)
	}
	c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":6,"cidr":"2001:db8:2::/64","ipv6_ra_mode":"dhcpv6-stateful","ipv6_address_mode":"dhcpv6-stateful"}`)
	p = c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","mac_address":"fa:16:3e:00:00:08"}`)
	all := strings.Join(addresses(p), " ")
	for _, want := range []string{"10.9.0.", "2001:db8:1:0:f816:3eff:fe00:8", "2001:db8:2::2"} {
		if !strings.Contains(all, want) {
			t.Errorf("addresses are %s, want %s among them", all, want)
		}
	}
	r := c.make(t, demo, "routers", "router", `{"name":"r"}`).text("id")
	c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"subnet_id":"`+slaac.text("id")+`"}`).want(200)
	c.settle(t)
	ports := c.router(t, r).Ports
	if len(ports) != 1 || ports[0].Advertise != "slaac" || !reflect.DeepEqual(ports[0].CIDRs, []string{"2001:db8:1::1/64"}) {
		t.Errorf("the router has %+v, want it to advertise slaac on 2001:db8:1::1/64", ports)
	}
}

func TestChangesOfAPortReachTheFabric(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	id := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.10"}]}`).text("id")
	path := "/ports/" + id
	expect := func(what string, right func(p fabric.Port) bool) {
		t.Helper()
		c.settle(t)
		p, found := c.port(id)
		if !found || !right(p) {
			t.Errorf("%s: the fabric has %+v", what, p)
		}
	}
	expect("new", func(p fabric.Port) bool { return p.Enabled && p.PortSecurity && p.IPs[0] == "10.9.0.10" })

	c.call(t, demo, "PUT", path, `{"port":{"fixed_ips":[{"subnet_id":"`+subnet+`","ip_address":"10.9.0.10"},{"subnet_id":"`+subnet+`","ip_address":"10.9.0.11"}]}}`).want(200)
	expect("second address", func(p fabric.Port) bool { return reflect.DeepEqual(p.IPs, []string{"10.9.0.10", "10.9.0.11"}) })
	c.call(t, demo, "PUT", path, `{"port":{"fixed_ips":[{"ip_address":"10.9.0.11"}]}}`).want(200)
	expect("first address given back", func(p fabric.Port) bool { return reflect.DeepEqual(p.IPs, []string{"10.9.0.11"}) })
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.10"}]}`)
	c.call(t, demo, "PUT", path, `{"port":{"fixed_ips":[{"ip_address":"10.9.0.10"}]}}`).refused(409, "IpAddressAlreadyAllocated", "10.9.0.10")
	c.call(t, demo, "PUT", path, `{"port":{"fixed_ips":[{"subnet_id":"`+subnet+`"}]}}`).want(200)
	expect("a subnet alone keeps the address", func(p fabric.Port) bool { return reflect.DeepEqual(p.IPs, []string{"10.9.0.11"}) })

	c.call(t, demo, "PUT", path, `{"port":{"allowed_address_pairs":[{"ip_address":"10.9.0.0/24"}]}}`).want(200)
	expect("pair", func(p fabric.Port) bool {
		return len(p.AllowedPairs) == 1 && p.AllowedPairs[0].IP == "10.9.0.0/24" && p.AllowedPairs[0].MAC == p.MAC
	})
	c.call(t, demo, "PUT", path, `{"port":{"admin_state_up":false}}`).want(200)
	expect("disabled", func(p fabric.Port) bool { return !p.Enabled })
	c.call(t, demo, "PUT", path, `{"port":{"admin_state_up":true}}`).want(200)
	expect("enabled", func(p fabric.Port) bool { return p.Enabled })
	c.call(t, demo, "PUT", "/networks/"+net, `{"network":{"admin_state_up":false}}`).want(200)
	expect("network disabled", func(p fabric.Port) bool { return !p.Enabled })
	c.call(t, demo, "PUT", path, `{"port":{"port_security_enabled":false,"security_groups":[],"allowed_address_pairs":[]}}`).want(200)
	expect("unprotected", func(p fabric.Port) bool { return !p.PortSecurity && len(p.Groups) == 0 && len(p.AllowedPairs) == 0 })
	c.call(t, admin, "PUT", path, `{"port":{"mac_address":"fa:16:3e:aa:bb:cc"}}`).want(200)
	expect("other MAC", func(p fabric.Port) bool { return p.MAC == "fa:16:3e:aa:bb:cc" })
}

func TestRulesReachTheFabric(t *testing.T) {
	t.Parallel()
	c := start(t)
	g := c.make(t, demo, "security-groups", "security_group", `{"name":"web"}`).text("id")
	rules := func() map[string]fabric.Rule {
		c.settle(t)
		out := map[string]fabric.Rule{}
		for _, group := range c.fabric.Topology().Groups {
			if group.ID == g {
				for _, r := range group.Rules {
					out[r.ID] = r
				}
			}
		}
		return out
	}
	if got := rules(); len(got) != 2 {
		t.Errorf("a new group has %v, want two rules for what leaves", got)
	}
	for body, want := range map[string]fabric.Rule{
		`"direction":"ingress","protocol":"6","port_range_min":22,"port_range_max":22,"remote_ip_prefix":"10.1.2.3/8"`: {Protocol: "tcp", PortMin: 22, PortMax: 22, RemoteCIDR: "10.0.0.0/8"},
		`"direction":"ingress","protocol":17,"port_range_min":"53","port_range_max":53`:                                {Protocol: "udp", PortMin: 53, PortMax: 53},
		`"direction":"ingress","protocol":"icmp","port_range_min":8,"port_range_max":0`:                                {Protocol: "icmp", PortMin: 8, PortMax: 0},
		`"direction":"egress","ethertype":"ipv6","protocol":"icmp","remote_group_id":"` + g + `"`:                      {Egress: true, IPv6: true, Protocol: "icmpv6", PortMin: -1, PortMax: -1, RemoteGroup: g},
		`"direction":"ingress","protocol":"vrrp"`:                                                                      {Protocol: "112", PortMin: -1, PortMax: -1},
		`"direction":"ingress","protocol":null,"port_range_min":null,"remote_ip_prefix":"192.0.2.1"`:                   {PortMin: -1, PortMax: -1, RemoteCIDR: "192.0.2.1/32"},
	} {
		id := c.make(t, demo, "security-group-rules", "security_group_rule", `{"security_group_id":"`+g+`",`+body+`}`).text("id")
		want.ID = id
		if got := rules()[id]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the fabric has %+v, want %+v", body, got, want)
		}
		c.call(t, demo, "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"`+g+`",`+body+`}}`).
			refused(409, "SecurityGroupRuleExists", id)
		c.call(t, demo, "DELETE", "/security-group-rules/"+id, "").want(204)
		if _, there := rules()[id]; there {
			t.Errorf("%s: the fabric still has it", body)
		}
	}
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+c.find(t, "networks", "private").text("id")+`","security_groups":["`+g+`"]}`).text("id")
	c.call(t, demo, "DELETE", "/security-groups/"+g, "").refused(409, "SecurityGroupInUse", "in use")
	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	c.call(t, demo, "DELETE", "/security-groups/"+g, "").want(204)
	c.call(t, demo, "DELETE", "/security-groups/"+c.call(t, demo, "GET", "/security-groups?name=default", "").many("security_groups")[0].text("id"), "").
		refused(409, "SecurityGroupCannotRemoveDefault", "")
	c.settle(t)
	for _, group := range c.fabric.Topology().Groups {
		if group.ID == g {
			t.Error("the fabric still has the group")
		}
	}
}

func TestInterfaceByPort(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	r := c.make(t, demo, "routers", "router", `{"name":"r"}`).text("id")
	p := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.254"}]}`).text("id")
	c.settle(t)
	c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"port_id":"`+p+`"}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"port_id":"`+p+`"}`).refused(409, "PortInUse", "already has an attached device")
	c.settle(t)
	_, found := c.port(p)
	if found {
		t.Error("the fabric has the port besides the router's interface")
	}
	got := c.router(t, r).Ports
	if len(got) != 1 || got[0].ID != p || !reflect.DeepEqual(got[0].CIDRs, []string{"10.9.0.254/24"}) {
		t.Errorf("the router has %+v, want 10.9.0.254/24", got)
	}
	port := c.call(t, demo, "GET", "/ports/"+p, "").one("port")
	if port.text("status") != "ACTIVE" || port.text("device_owner") != "network:router_interface" {
		t.Errorf("the port is %v, want it ACTIVE and a router's", port)
	}
	c.call(t, demo, "PUT", "/routers/"+r+"/remove_router_interface", `{"port_id":"`+p+`","subnet_id":"`+subnet+`"}`).want(200)
	c.call(t, demo, "GET", "/ports/"+p, "").refused(404, "PortNotFound", "")
	c.settle(t)
	if got := c.router(t, r).Ports; len(got) != 0 {
		t.Errorf("the router still has %+v", got)
	}
}

func TestDHCPTakesItsMetadataPortAlong(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	count := func() int {
		return len(c.call(t, demo, "GET", "/ports?device_owner=network:distributed&network_id="+net, "").want(200).many("ports"))
	}
	if count() != 1 {
		t.Errorf("there are %d metadata ports, want 1", count())
	}
	c.call(t, demo, "PUT", "/subnets/"+subnet, `{"subnet":{"enable_dhcp":false}}`).want(200)
	if count() != 0 {
		t.Errorf("there are %d metadata ports without DHCP, want 0", count())
	}
	c.call(t, demo, "PUT", "/subnets/"+subnet, `{"subnet":{"enable_dhcp":true}}`).want(200)
	second := c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,"cidr":"10.8.0.0/24"}`).text("id")
	list := c.call(t, demo, "GET", "/ports?device_owner=network:distributed&network_id="+net, "").many("ports")
	if len(list) != 1 || len(addresses(list[0])) != 2 {
		t.Errorf("metadata ports are %v, want one with two addresses", list)
	}
	c.call(t, demo, "DELETE", "/subnets/"+second, "").want(204)
	c.call(t, demo, "DELETE", "/subnets/"+subnet, "").want(204)
	if count() != 0 {
		t.Errorf("there are %d metadata ports without subnets, want 0", count())
	}
	c.call(t, demo, "DELETE", "/networks/"+net, "").want(204)
}

// Nobody can slip a port into somebody's router or server by naming it.
func TestPortsCannotPassForOthers(t *testing.T) {
	t.Parallel()
	c := start(t)
	router := c.find(t, "routers", "router1").text("id")
	net, _ := c.tenant(t, other, "10.9.0.0/24")
	for _, owner := range []string{"network:router_interface", "network:router_gateway", "network:floatingip", "network:distributed"} {
		body := `"device_id":"` + router + `","device_owner":"` + owner + `"}}`
		c.call(t, other, "POST", "/ports", `{"port":{"network_id":"`+net+`",`+body).refused(409, "DeviceIDNotOwnedByTenant", router)
		p := c.make(t, other, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
		c.call(t, other, "PUT", "/ports/"+p, `{"port":{`+body).refused(409, "DeviceIDNotOwnedByTenant", router)
	}
	c.settle(t)
	if got := c.router(t, router).Ports; len(got) != 1 {
		t.Errorf("the router has %+v, want its one interface", got)
	}

	private := c.find(t, "networks", "private").text("id")
	err := c.db.Write(t.Context(), func(tx *db.Tx) error {
		return c.net.CreateServerPort(t.Context(), tx, network.ServerPort{ID: "card", Project: demo, Network: private, Server: "vm", Zone: "nova"})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.make(t, other, "ports", "port", `{"network_id":"`+net+`","device_id":"vm","device_owner":"compute:nova"}`)
	err = c.db.Read(t.Context(), func(tx *db.Tx) error {
		cards, err := c.net.PortsOf(t.Context(), tx, "vm")
		if err == nil && (len(cards["vm"]) != 1 || cards["vm"][0].ID != "card") {
			t.Errorf("the server has cards %+v, want its own alone", cards["vm"])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.call(t, demo, "PUT", "/ports/card", `{"port":{"device_id":""}}`).refused(409, "PortInUse", "still in use")
	c.call(t, demo, "PUT", "/ports/card", `{"port":{"name":"eth0"}}`).want(200)
}

func TestCardsOfServers(t *testing.T) {
	t.Parallel()
	c := start(t)
	private, public := c.find(t, "networks", "private").text("id"), c.find(t, "networks", "public").text("id")
	ctx := t.Context()
	step := func(do func(tx *db.Tx) error) {
		t.Helper()
		err := c.db.Write(ctx, do)
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // each is a success the second time too
		step(func(tx *db.Tx) error {
			return c.net.CreateServerPort(ctx, tx, network.ServerPort{ID: "card", Project: demo, Network: private, FixedIP: "10.0.0.77", Server: "vm", Zone: "nova"})
		})
		step(func(tx *db.Tx) error { return c.net.BindPort(ctx, tx, "card", "node-1") })
	}
	free := c.make(t, demo, "ports", "port", `{"network_id":"`+private+`","port_security_enabled":false}`).text("id")
	step(func(tx *db.Tx) error { return c.net.TakePort(ctx, tx, free, "vm", "nova") })
	_, err := c.net.FreePort(ctx, network.Scope{Project: demo}, free)
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("a taken port is free: %v", err)
	}
	floating := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`","port_id":"card"}`).text("floating_ip_address")
	cards := func() (list []vif.Port) {
		err := c.db.Read(ctx, func(tx *db.Tx) (err error) {
			list, err = c.net.NetworkInfo(ctx, tx, "vm")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	list := cards()
	if len(list) != 2 {
		t.Fatalf("the server has %d cards, want 2", len(list))
	}
	for _, card := range list {
		if card.MTU != 1442 || card.NetworkName != "private" || card.Metadata == nil || len(card.Metadata.CIDRs) != 1 || card.Metadata.CIDRs[0] != "10.0.0.2/24" {
			t.Errorf("card is %+v with door %+v, want MTU 1442 and a door at 10.0.0.2/24", card, card.Metadata)
		}
		if card.ID != "card" {
			continue
		}
		a := card.Addresses[0]
		if a.IP != "10.0.0.77" || a.On.Gateway != "10.0.0.1" || len(a.Floating) != 1 || a.Floating[0] != floating {
			t.Errorf("address is %+v, want 10.0.0.77 with %s", a, floating)
		}
		if len(card.Groups) != 1 || card.Groups[0].Name != "default" {
			t.Errorf("card is %+v, want group default", card)
		}
		who, err := c.net.ServerAt(ctx, private, "10.0.0.77", card.MAC)
		if who != "vm" || err != nil {
			t.Errorf("10.0.0.77 is %s, %v, want vm", who, err)
		}
		_, err = c.net.ServerNetwork(ctx, network.Scope{Project: demo}, private, "10.0.0.77", false)
		if want := "Fixed IP address 10.0.0.77 is already in use on instance vm."; err == nil || err.Error() != want {
			t.Errorf("an address that the server has: got %v, want %s", err, want)
		}
		mac, err := net.ParseMAC(card.MAC)
		if err != nil {
			t.Fatal(err)
		}
		local := fmt.Sprintf("fe80::%02x%02x:%02xff:fe%02x:%02x%02x", mac[0]^2, mac[1], mac[2], mac[3], mac[4], mac[5])
		who, err = c.net.ServerAt(ctx, private, local, card.MAC)
		if who != "vm" || err != nil {
			t.Errorf("%s is %s, %v, want vm", local, who, err)
		}
		_, err = c.net.ServerAt(ctx, private, "fe80::1", card.MAC)
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("a link-local address that is not made of the MAC gets %v, want not found", err)
		}
		_, err = c.net.ServerAt(ctx, private, "10.0.0.77", "fa:16:3e:00:00:00")
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("a wrong MAC gets %v, want not found", err)
		}
	}
	step(func(tx *db.Tx) error { return c.net.ReturnPort(ctx, tx, free) })
	step(func(tx *db.Tx) error { return c.net.UnbindPort(ctx, tx, "card") })
	step(func(tx *db.Tx) error { return c.net.DeleteServerPort(ctx, tx, "card") })
	step(func(tx *db.Tx) error {
		return errors.Join(c.net.DeleteServerPort(ctx, tx, "card"), c.net.ReturnPort(ctx, tx, "gone"), c.net.UnbindPort(ctx, tx, "gone"))
	})
	if list = cards(); len(list) != 0 {
		t.Errorf("the server still has %+v", list)
	}
	_, err = c.net.FreePort(ctx, network.Scope{Project: demo}, free)
	if err != nil {
		t.Errorf("a returned port is not free: %v", err)
	}
	_, err = c.net.ServerNetwork(ctx, network.Scope{Project: demo}, public, "", false)
	if !errs.Is(err, errs.Forbidden) {
		t.Errorf("a server may be on the external network: %v", err)
	}
	_, err = c.net.ServerNetwork(ctx, network.Scope{Project: demo}, public, "", true)
	if err != nil {
		t.Errorf("a server may not be on the external network, though the rule allows it: %v", err)
	}
	taken := addresses(c.make(t, admin, "ports", "port", `{"network_id":"`+public+`","device_id":"of-another"}`))[0]
	for scope, want := range map[network.Scope]string{{Project: demo}: " is already in use.", {All: true}: " is already in use on instance of-another."} {
		_, err = c.net.ServerNetwork(ctx, scope, public, taken, true)
		if !errs.Is(err, errs.Conflict) || !strings.HasSuffix(err.Error(), taken+want) {
			t.Errorf("an address that another project has, for %+v: %v", scope, err)
		}
	}
	bare := c.make(t, demo, "networks", "network", `{"name":"bare"}`).text("id")
	_, err = c.net.ServerNetwork(ctx, network.Scope{Project: demo}, bare, "", false)
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("a server may be on a network without a subnet: %v", err)
	}
	available, err := c.net.ServerNetworks(ctx, demo)
	if err != nil || len(available) != 1 || available[0].ID != private {
		t.Errorf("networks for servers are %v, %v, want private alone", available, err)
	}
	ids, err := c.net.GroupIDs(ctx, demo, []string{"default"})
	if err != nil || len(ids) != 1 {
		t.Errorf("group default is %v, %v", ids, err)
	}
	_, err = c.net.GroupIDs(ctx, demo, []string{"nonsense"})
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("an unknown group gets %v, want bad request", err)
	}
}
