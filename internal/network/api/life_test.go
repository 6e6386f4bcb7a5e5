package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"nacre/internal/fabric"
)

// topology is what the fabric was told, by id.
func (c *cloud) port(id string) (fabric.Port, bool) {
	for _, p := range c.fabric.Topology().Ports {
		if p.ID == id {
			return p, true
		}
	}
	return fabric.Port{}, false
}

func (c *cloud) router(t testing.TB, id string) fabric.Router {
	t.Helper()
	for _, r := range c.fabric.Topology().Routers {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("the fabric has no router %s", id)
	return fabric.Router{}
}

func TestFreshCloudReachesTheFabric(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.settle(t)
	router := c.router(t, c.find(t, "routers", "router1").text("id"))
	if len(router.Ports) != 1 || !reflect.DeepEqual(router.Ports[0].CIDRs, []string{"10.0.0.1/24"}) {
		t.Errorf("router has interfaces %+v, want 10.0.0.1/24", router.Ports)
	}
	g := router.Gateway
	if g == nil || !g.SNAT || !reflect.DeepEqual(g.NextHops, []string{"172.24.4.1"}) || !reflect.DeepEqual(g.CIDRs, []string{"172.24.4.2/24"}) {
		t.Errorf("router has gateway %+v, want 172.24.4.2/24 towards 172.24.4.1 with SNAT", g)
	}
	private := c.find(t, "networks", "private").text("id")
	for _, n := range c.fabric.Topology().Networks {
		if n.ID == private && (n.MTU != 1442 || len(n.Subnets) != 1 || n.Subnets[0].MetadataIP != "10.0.0.2" || !n.Subnets[0].DHCP) {
			t.Errorf("private network is %+v, want MTU 1442, DHCP and metadata at 10.0.0.2", n)
		}
		if n.ID != private && (n.Physical != "public" || n.MTU != 1500) {
			t.Errorf("public network is %+v, want it on public with MTU 1500", n)
		}
	}
	// A second start leaves it alone.
	err := c.net.Bootstrap(t.Context(), admin, demo, "172.24.4.0/24")
	if err != nil {
		t.Fatal(err)
	}
	c.find(t, "networks", "public")
}

func TestPortGoesActiveWhenTheFabricHasItUp(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	id := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.settle(t)
	p, found := c.port(id)
	if !found || !p.PortSecurity || len(p.Groups) != 1 || len(p.IPs) != 1 {
		t.Errorf("the fabric has %+v, want port security, the default group and one address", p)
	}
	status := func() string { return c.call(t, demo, "GET", "/ports/"+id, "").want(200).one("port").text("status") }
	c.call(t, admin, "PUT", "/ports/"+id, `{"port":{"binding:host_id":"node-1"}}`).want(200)
	c.settle(t)
	if status() != "DOWN" {
		t.Errorf("status is %s before it is plugged, want DOWN", status())
	}
	host := c.fabric.Host("node-1")
	_, err := host.Plug(t.Context(), fabric.Plug{Port: id, Network: net, MAC: p.MAC})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	if status() != "ACTIVE" {
		t.Errorf("status is %s after it is plugged, want ACTIVE", status())
	}
	err = host.Unplug(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	if status() != "DOWN" {
		t.Errorf("status is %s after it is unplugged, want DOWN", status())
	}
	c.call(t, demo, "DELETE", "/ports/"+id, "").want(204)
	c.settle(t)
	_, found = c.port(id)
	if found {
		t.Error("the fabric still has the port")
	}
}

func TestFabricRefusesOneOfManyAndGetsItLater(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.settle(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	c.settle(t)
	broken := true
	c.fabric.Fail(func(call, id string) error {
		if broken && call == "Ensure" {
			return fmt.Errorf("the fabric is away")
		}
		return nil
	})
	id := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	_, err := c.loops.Turn(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the fabric is away") {
		t.Errorf("got %v, want the fabric's error", err)
	}
	broken = false
	c.settle(t)
	_, found := c.port(id)
	if !found {
		t.Error("the port never reached the fabric")
	}
}

func TestStrangersAreRemovedAtStart(t *testing.T) {
	t.Parallel()
	c := start(t)
	err := c.fabric.Ensure(t.Context(), fabric.Topology{
		Networks: []fabric.Network{{ID: "stranger"}}, Ports: []fabric.Port{{ID: "strange port", Network: "stranger", MAC: "fa:16:3e:00:00:01"}},
		Groups: []fabric.Group{{ID: "strange group"}}, Routers: []fabric.Router{{ID: "strange router"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	refs, err := c.fabric.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if strings.Contains(ref.ID, "strange") {
			t.Errorf("%s %s is still there", ref.Kind, ref.ID)
		}
	}
	if len(refs) < 6 {
		t.Errorf("the fabric has %v, want the fresh cloud's networks, groups, router and metadata port", refs)
	}
}

func TestFloatingIPLeadsToAPortAndBack(t *testing.T) {
	t.Parallel()
	c := start(t)
	private, public := c.find(t, "networks", "private").text("id"), c.find(t, "networks", "public").text("id")
	router := c.find(t, "routers", "router1").text("id")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+private+`"}`).text("id")
	f := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`"}`)
	if f.text("status") != "DOWN" || f["port_id"] != nil {
		t.Errorf("a new floating IP is %v, want DOWN without a port", f)
	}
	path := "/floatingips/" + f.text("id")
	f = c.call(t, demo, "PUT", path, `{"floatingip":{"port_id":"`+port+`"}}`).want(200).one("floatingip")
	if f.text("status") != "ACTIVE" || f.text("port_id") != port || f.text("router_id") != router || f.text("fixed_ip_address") == "" {
		t.Errorf("the floating IP is %v, want it to lead to %s by %s", f, port, router)
	}
	c.settle(t)
	nats := c.router(t, router).NATs
	if len(nats) != 1 || nats[0].External != f.text("floating_ip_address") || nats[0].Internal != f.text("fixed_ip_address") {
		t.Errorf("the fabric has %+v, want %s to %s", nats, f["floating_ip_address"], f["fixed_ip_address"])
	}
	c.call(t, demo, "POST", "/floatingips", `{"floatingip":{"floating_network_id":"`+public+`","port_id":"`+port+`"}}`).
		refused(409, "FloatingIPPortAlreadyAssociated", "already has a floating IP")
	c.call(t, demo, "PUT", "/routers/"+router, `{"router":{"external_gateway_info":null}}`).
		refused(409, "RouterExternalGatewayInUseByFloatingIp", "required by one or more floating IPs")
	subnet := c.find(t, "subnets", "private-subnet").text("id")
	c.call(t, demo, "PUT", "/routers/"+router+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).
		refused(409, "RouterInterfaceInUseByFloatingIP", "required by one or more floating IPs")

	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	f = c.call(t, demo, "GET", path, "").want(200).one("floatingip")
	if f.text("status") != "DOWN" || f["port_id"] != nil || f["router_id"] != nil {
		t.Errorf("after the port went the floating IP is %v, want DOWN without a port", f)
	}
	c.settle(t)
	if nats := c.router(t, router).NATs; len(nats) != 0 {
		t.Errorf("the fabric still has %+v", nats)
	}
	c.call(t, demo, "DELETE", path, "").want(204)
	c.call(t, demo, "GET", path, "").refused(404, "FloatingIPNotFound", "could not be found")
}

func TestRouterLife(t *testing.T) {
	t.Parallel()
	c := start(t)
	_, subnet := c.tenant(t, demo, "10.9.0.0/24")
	r := c.make(t, demo, "routers", "router", `{"name":"r"}`).text("id")
	added := c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`).
		refused(400, "BadRequest", "Router already has a port on subnet")
	_, twin := c.tenant(t, demo, "10.9.0.0/25")
	c.call(t, demo, "PUT", "/routers/"+r+"/add_router_interface", `{"subnet_id":"`+twin+`"}`).
		refused(400, "BadRequest", "overlaps with cidr")
	c.call(t, demo, "PUT", "/routers/"+r, `{"router":{"routes":[{"destination":"192.168.0.0/16","nexthop":"10.9.0.77"}]}}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+r, `{"router":{"routes":[{"destination":"192.168.0.0/16","nexthop":"10.8.0.77"}]}}`).
		refused(400, "InvalidRoutes", "not connected with router")
	c.settle(t)
	if got := c.router(t, r); len(got.Routes) != 1 || len(got.Ports) != 1 {
		t.Errorf("the fabric has %+v, want one route and one interface", got)
	}
	c.call(t, demo, "PUT", "/routers/"+r+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).
		refused(409, "RouterInterfaceInUseByRoute", "required by one or more routes")
	c.call(t, demo, "PUT", "/routers/"+r+"/remove_extraroutes", `{"router":{"routes":[{"destination":"192.168.0.0/16","nexthop":"10.9.0.77"}]}}`).want(200)
	c.call(t, demo, "DELETE", "/routers/"+r, "").refused(409, "RouterInUse", "still has ports")
	c.call(t, demo, "DELETE", "/subnets/"+subnet, "").refused(409, "SubnetInUse", "One or more ports have an IP allocation")
	port := ""
	for _, p := range c.call(t, demo, "GET", "/ports?device_id="+r, "").want(200).many("ports") {
		port = p.text("id")
		c.call(t, demo, "DELETE", "/ports/"+port, "").refused(409, "ServicePortInUse", "device owner network:router_interface")
	}
	if !strings.Contains(string(added.body), port) || port == "" {
		t.Errorf("%s does not name the port %s", added.body, port)
	}
	c.call(t, demo, "PUT", "/routers/"+r+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
	c.call(t, demo, "DELETE", "/routers/"+r, "").want(204)
	c.settle(t)
	for _, got := range c.fabric.Topology().Routers {
		if got.ID == r {
			t.Error("the fabric still has the router")
		}
	}
	c.call(t, demo, "DELETE", "/subnets/"+subnet, "").want(204)
}

func TestNetworkLifeLeavesNothing(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.settle(t)
	usage := func() any { return c.call(t, demo, "GET", "/quotas/demo/details", "").want(200).one("quota") }
	list := func() int {
		refs, err := c.fabric.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(refs)
	}
	before, objects := usage(), list()
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.settle(t)
	c.call(t, demo, "DELETE", "/networks/"+net, "").refused(409, "NetworkInUse", port)
	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	c.call(t, demo, "DELETE", "/networks/"+net, "").want(204)
	c.settle(t)
	if after := usage(); !reflect.DeepEqual(before, after) {
		t.Errorf("quota usage is %v, was %v", after, before)
	}
	if list() != objects {
		t.Errorf("the fabric has %d objects, had %d", list(), objects)
	}
}
