package api_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"nacre/internal/fabric"
)

func TestProviderNetworks(t *testing.T) {
	t.Parallel()
	c := start(t)
	vlan := func(attributes string) object {
		t.Helper()
		return c.make(t, admin, "networks", "network", `{"provider:network_type":"vlan"`+attributes+`}`)
	}
	number := func(o object) float64 { n, _ := o["provider:segmentation_id"].(float64); return n }

	// Numbers that nobody names are the lowest free ones.
	first := vlan(`,"provider:physical_network":"lab"`)
	second := vlan(`,"provider:physical_network":"lab","provider:segmentation_id":2`)
	third := vlan(`,"provider:physical_network":"lab"`)
	if number(first) != 1 || number(second) != 2 || number(third) != 3 {
		t.Errorf("VLANs are %v, %v, %v, want 1, 2, 3", number(first), number(second), number(third))
	}
	if anywhere := vlan(""); anywhere.text("provider:physical_network") != "public" || number(anywhere) != 1 {
		t.Errorf("a VLAN without a wire is %v", anywhere)
	}
	tunnel := c.make(t, admin, "networks", "network", `{"provider:network_type":"geneve","provider:segmentation_id":5000}`)
	if number(tunnel) != 5000 || tunnel["mtu"] != 1442.0 || first["mtu"] != 1500.0 {
		t.Errorf("an overlay is %v", tunnel)
	}
	c.call(t, admin, "POST", "/networks", `{"network":{"provider:network_type":"geneve","provider:segmentation_id":5000}}`).refused(409, "TunnelIdInUse", "5000")
	if plain := c.make(t, demo, "networks", "network", `{}`); plain["provider:segmentation_id"] != nil {
		t.Errorf("a member sees how the network is carried: %v", plain)
	}

	path := "/networks/" + third.text("id")
	c.call(t, admin, "PUT", path, `{"network":{"provider:segmentation_id":2}}`).refused(409, "VlanIdInUse", "2")
	c.call(t, admin, "PUT", path, `{"network":{"provider:segmentation_id":77}}`).want(200)
	c.settle(t)
	for _, n := range c.fabric.Topology().Networks {
		if n.ID == third.text("id") && (n.VLAN != 77 || n.Physical != "lab") {
			t.Errorf("the fabric has the network on VLAN %d of %s", n.VLAN, n.Physical)
		}
	}
	for _, test := range []struct {
		name, token, method, path, body string
		status                          int
		kind, message                   string
	}{
		{"number without a type", admin, "POST", "/networks", `{"provider:segmentation_id":5}`, 400, "InvalidInput", "network_type required"},
		{"wire without a type", admin, "POST", "/networks", `{"provider:physical_network":"lab"}`, 400, "InvalidInput", "network_type required"},
		{"overlay on a wire", admin, "POST", "/networks", `{"provider:network_type":"geneve","provider:physical_network":"lab"}`, 400, "InvalidInput", "physical_network"},
		{"number too high", admin, "POST", "/networks", `{"provider:network_type":"geneve","provider:segmentation_id":16777216}`, 400, "InvalidInput", "out of range"},
		{"flat with a number", admin, "POST", "/networks", `{"provider:network_type":"flat","provider:physical_network":"lab","provider:segmentation_id":5}`, 400, "InvalidInput", "prohibited"},
		{"VLAN 4095", admin, "POST", "/networks", `{"provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":4095}`, 400, "InvalidInput", "out of range"},
		{"another type", admin, "PUT", path, `{"provider:network_type":"flat"}`, 400, "InvalidInput", "does not support updating"},
		{"another wire", admin, "PUT", path, `{"provider:physical_network":"public"}`, 400, "InvalidInput", "does not support updating"},
		{"another number of an overlay", admin, "PUT", "/networks/" + tunnel.text("id"), `{"provider:segmentation_id":1}`, 400, "InvalidInput", "does not support updating"},
		{"VLAN out of range", admin, "PUT", path, `{"provider:segmentation_id":0}`, 400, "InvalidInput", "out of range"},
		{"MTU too small", admin, "PUT", path, `{"mtu":-1}`, 400, "HTTPBadRequest", "too small"},
		{"MTU too big", admin, "PUT", path, `{"mtu":1501}`, 400, "InvalidInput", "too big"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.call(t, test.token, test.method, test.path, `{"network":`+test.body+`}`).refused(test.status, test.kind, test.message)
		})
	}
}

// A router tells others of the MTU of its networks, as it is now.
func TestMTUReachesRouters(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	c.call(t, demo, "PUT", "/networks/"+c.net, `{"network":{"mtu":1300}}`).want(200)
	c.settle(t)
	for _, r := range c.fabric.Topology().Routers {
		if r.ID == c.router && (r.Ports[0].MTU != 1300 || r.Gateway.MTU != 1500) {
			t.Errorf("the fabric has the router's interface with MTU %d and its gateway with %d", r.Ports[0].MTU, r.Gateway.MTU)
		}
	}
}

// Each combination of modes is as Neutron has it: who advertises, who gives
// addresses.
func TestIPv6Modes(t *testing.T) {
	t.Parallel()
	c := start(t)
	none := fabric.Subnet{}
	for _, test := range []struct {
		ra, address string
		automatic   bool
		advertise   string
		dhcp        fabric.Subnet // DHCP and Stateless
	}{
		{"slaac", "slaac", true, "slaac", none},
		{"slaac", "", true, "slaac", none},
		{"", "slaac", true, "", none},
		{"dhcpv6-stateful", "dhcpv6-stateful", false, "dhcpv6_stateful", fabric.Subnet{DHCP: true}},
		{"", "dhcpv6-stateful", false, "", fabric.Subnet{DHCP: true}},
		{"dhcpv6-stateless", "dhcpv6-stateless", true, "dhcpv6_stateless", fabric.Subnet{DHCP: true, Stateless: true}},
		{"", "dhcpv6-stateless", true, "", fabric.Subnet{DHCP: true, Stateless: true}},
		{"", "", false, "", fabric.Subnet{DHCP: true}},
	} {
		t.Run(test.ra+" "+test.address, func(t *testing.T) {
			net, _ := c.tenant(t, demo, "10.9.0.0/24")
			before := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
			modes := ""
			if test.ra != "" {
				modes += `,"ipv6_ra_mode":"` + test.ra + `"`
			}
			if test.address != "" {
				modes += `,"ipv6_address_mode":"` + test.address + `"`
			}
			subnet := c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":6,"cidr":"fd00:9::/64"`+modes+`}`).text("id")
			router := c.make(t, demo, "routers", "router", `{}`).text("id")
			c.call(t, demo, "PUT", "/routers/"+router+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
			port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`)
			if addresses := port["fixed_ips"].([]any); len(addresses) != 2 {
				t.Errorf("a port has addresses %v, want one of each version", addresses)
			}
			own := suffix(t, c, before)
			if test.automatic != (own != "") {
				t.Errorf("a port that was there before has address %q: automatic is %v", own, test.automatic)
			}
			if test.automatic && own != suffix(t, c, before) {
				t.Errorf("the address changed")
			}
			c.settle(t)
			topology := c.fabric.Topology()
			for _, n := range topology.Networks {
				if n.ID == net && (n.Subnets[1].DHCP != test.dhcp.DHCP || test.dhcp.DHCP && n.Subnets[1].Stateless != test.dhcp.Stateless) {
					t.Errorf("the fabric has subnet %+v, want %+v", n.Subnets[1], test.dhcp)
				}
			}
			for _, r := range topology.Routers {
				if r.ID == router && r.Ports[0].Advertise != test.advertise {
					t.Errorf("the router advertises %q, want %q", r.Ports[0].Advertise, test.advertise)
				}
			}
			if !test.automatic {
				c.call(t, demo, "DELETE", "/subnets/"+subnet, "").refused(409, "SubnetInUse", "")
				return
			}
			c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`","fixed_ips":[{"ip_address":"fd00:9::77"}]}}`).
				refused(400, "AllocationOnAutoAddressSubnet", "fd00:9::77")
			c.call(t, demo, "DELETE", "/subnets/"+subnet, "").refused(409, "SubnetInUse", "")
			c.call(t, demo, "PUT", "/routers/"+router+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
			c.call(t, demo, "DELETE", "/subnets/"+subnet, "").want(204)
			if left := suffix(t, c, before); left != "" {
				t.Errorf("a port has address %s of a subnet that is gone", left)
			}
		})
	}
}

// suffix is the port's IPv6 address, "" for none. It has to be made of its MAC.
func suffix(t *testing.T, c *cloud, id string) string {
	t.Helper()
	port := c.call(t, demo, "GET", "/ports/"+id, "").want(200).one("port")
	for _, f := range port["fixed_ips"].([]any) {
		ip := f.(map[string]any)["ip_address"].(string)
		if !strings.Contains(ip, ":") {
			continue
		}
		mac, err := net.ParseMAC(port.text("mac_address"))
		if err != nil {
			t.Fatal(err)
		}
		if tail := netip.MustParseAddr(ip).As16(); !slices.Equal(tail[13:], mac[3:]) {
			t.Errorf("address %s is not made of MAC %s", ip, mac)
		}
		return ip
	}
	return ""
}

func TestBadIPv6(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	for _, test := range []struct {
		name, attributes string
		kind, message    string
	}{
		{"modes that differ", `"cidr":"fd00::/64","ipv6_ra_mode":"slaac","ipv6_address_mode":"dhcpv6-stateful"`, "InvalidInput", "must be the same value"},
		{"no such mode", `"cidr":"fd00::/64","ipv6_ra_mode":"magic"`, "HTTPBadRequest", "ipv6_ra_mode"},
		{"mode without DHCP", `"cidr":"fd00::/64","ipv6_ra_mode":"slaac","enable_dhcp":false`, "InvalidInput", "enable_dhcp"},
		{"range too narrow to advertise", `"cidr":"fd00::/80","ipv6_ra_mode":"slaac"`, "InvalidInput", "/64"},
		{"range too wide for stateless DHCP", `"cidr":"fd00::/48","ipv6_address_mode":"dhcpv6-stateless"`, "InvalidInput", "/64"},
		{"gateway elsewhere", `"cidr":"fd00::/64","gateway_ip":"fd01::1"`, "InvalidInput", "Gateway is not valid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.call(t, demo, "POST", "/subnets", `{"subnet":{"network_id":"`+net+`","ip_version":6,`+test.attributes+`}}`).refused(400, test.kind, test.message)
		})
	}
}

// A network has a metadata port as long as some subnet has DHCP, of whichever
// version.
func TestMetadataPorts(t *testing.T) {
	t.Parallel()
	c := start(t)
	net := c.make(t, demo, "networks", "network", `{}`).text("id")
	doors := func() []object {
		t.Helper()
		return c.call(t, admin, "GET", "/ports?device_owner=network:distributed&network_id="+net, "").want(200).many("ports")
	}
	six := c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":6,"cidr":"fd00::/64","ipv6_ra_mode":"slaac","ipv6_address_mode":"slaac"}`).text("id")
	if got := doors(); len(got) != 1 || len(got[0]["fixed_ips"].([]any)) != 0 {
		t.Fatalf("with IPv6 alone the metadata ports are %v, want one without an address", got)
	}
	four := c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,"cidr":"10.9.0.0/24"}`).text("id")
	if got := doors(); len(got) != 1 || len(got[0]["fixed_ips"].([]any)) != 1 {
		t.Errorf("with both the metadata ports are %v, want one with one address", got)
	}
	c.call(t, demo, "DELETE", "/subnets/"+four, "").want(204)
	if got := doors(); len(got) != 1 || len(got[0]["fixed_ips"].([]any)) != 0 {
		t.Errorf("with IPv6 again the metadata ports are %v, want one without an address", got)
	}
	c.call(t, demo, "DELETE", "/subnets/"+six, "").want(204)
	if got := doors(); len(got) != 0 {
		t.Errorf("without subnets the metadata ports are %v", got)
	}
}
