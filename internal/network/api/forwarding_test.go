package api_test

import (
	"strings"
	"testing"

	"nacre/internal/fabric"
)

// forwarded is a floating IP and a port that its ports may lead to.
type forwarded struct {
	*cloud
	net, subnet, router, port, address, floating string
}

func startForwarded(t *testing.T) forwarded {
	t.Helper()
	c := forwarded{cloud: start(t)}
	c.net, c.subnet = c.tenant(t, demo, "10.9.0.0/24")
	public := c.find(t, "networks", "public").text("id")
	c.router = c.make(t, demo, "routers", "router", `{"name":"r","external_gateway_info":{"network_id":"`+public+`"}}`).text("id")
	c.call(t, demo, "PUT", "/routers/"+c.router+"/add_router_interface", `{"subnet_id":"`+c.subnet+`"}`).want(200)
	c.port = c.make(t, demo, "ports", "port", `{"network_id":"`+c.net+`","fixed_ips":[{"ip_address":"10.9.0.50"}]}`).text("id")
	made := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`"}`)
	c.floating, c.address = made.text("id"), made.text("floating_ip_address")
	c.settle(t)
	return c
}

func (c forwarded) forward(t *testing.T, attributes string) object {
	t.Helper()
	return c.make(t, demo, "floatingips/"+c.floating+"/port_forwardings", "port_forwarding", `{"internal_port_id":"`+c.port+`",`+attributes+`}`)
}

// told are the port forwardings that the fabric has for the router.
func (c forwarded) told(t *testing.T) []fabric.Forwarding {
	t.Helper()
	c.settle(t)
	for _, r := range c.fabric.Topology().Routers {
		if r.ID == c.router {
			return r.Forwardings
		}
	}
	t.Fatal("the fabric does not know the router")
	return nil
}

func TestPortForwardings(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	heard := c.listen(t)
	path := "/floatingips/" + c.floating
	body := `{"port_forwarding":{"internal_port_id":"` + c.port + `","internal_ip_address":"10.9.0.50","internal_port":80,"external_port":8080,"protocol":"tcp","description":"web"}}`
	reply := c.call(t, demo, "POST", path+"/port_forwardings", body).want(201)
	reply.golden("port_forwarding")
	web := reply.one("port_forwarding").text("id")
	c.forward(t, `"internal_port_range":"5000:5009","external_port_range":"6000:6009","protocol":"udp"`)
	c.call(t, demo, "GET", path, "").want(200).golden("floatingip_forwarded")
	got := heard()
	wantKinds(t, got, "floatingip.update.end", "floatingip.update.end")
	c.wantView(t, got[1], "floatingip", path)

	told := c.told(t)
	if len(told) != 2 || told[0].External != c.address || told[0].Internal != "10.9.0.50" || told[0].ExternalMin != 8080 || told[0].InternalMax != 80 ||
		told[1].Protocol != "udp" || told[1].ExternalMax != 6009 || told[1].InternalMin != 5000 {
		t.Errorf("the fabric was told %+v", told)
	}
	for query, want := range map[string]int{"": 2, "?protocol=tcp": 1, "?external_port=6000": 1, "?internal_port_id=" + c.floating: 0, "?sort_key=external_port&limit=1": 1} {
		if got := len(c.call(t, demo, "GET", path+"/port_forwardings"+query, "").want(200).many("port_forwardings")); got != want {
			t.Errorf("%d port forwardings %s, want %d", got, query, want)
		}
	}
	changed := c.call(t, demo, "PUT", path+"/port_forwardings/"+web, `{"port_forwarding":{"external_port":8081,"description":"site"}}`).want(200).one("port_forwarding")
	if changed["external_port"] != 8081.0 || changed["internal_port"] != 80.0 || changed.text("description") != "site" {
		t.Errorf("after the change: %v", changed)
	}
	if told := c.told(t); told[0].ExternalMin != 8081 {
		t.Errorf("the fabric was told %+v, want port 8081", told)
	}
	c.call(t, other, "GET", path+"/port_forwardings/"+web, "").refused(404, "FloatingIPNotFound", "")
	c.call(t, looker, "DELETE", path+"/port_forwardings/"+web, "").refused(403, "PolicyNotAuthorized", "delete_floatingip_port_forwarding")
	c.call(t, demo, "DELETE", path+"/port_forwardings/"+web, "").want(204)
	c.call(t, demo, "GET", path+"/port_forwardings/"+web, "").refused(404, "PortForwardingNotFound", web)

	// The last one goes with its port, and the address is free for one port again.
	c.call(t, demo, "DELETE", "/ports/"+c.port, "").want(204)
	fip := c.call(t, demo, "GET", path, "").want(200).one("floatingip")
	if fip["router_id"] != nil || fip.text("status") != "DOWN" || len(fip["port_forwardings"].([]any)) != 0 {
		t.Errorf("a floating IP without port forwardings is %v", fip)
	}
	if told := c.told(t); len(told) != 0 {
		t.Errorf("the fabric still has %+v", told)
	}
}

// What a floating IP leads to, it leads to in one way.
func TestPortForwardingsInTheWay(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	path := "/floatingips/" + c.floating
	c.forward(t, `"internal_port":80,"external_port":8080,"protocol":"tcp"`)
	second := c.make(t, demo, "ports", "port", `{"network_id":"`+c.net+`"}`).text("id")
	c.call(t, demo, "PUT", path, `{"floatingip":{"port_id":"`+second+`"}}`).refused(409, "FipInUseByPortForwarding", c.floating)
	c.call(t, demo, "PUT", path, `{"floatingip":{"port_id":null}}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+c.router+"/remove_router_interface", `{"subnet_id":"`+c.subnet+`"}`).refused(409, "RouterInterfaceInUseByFloatingIP", "")
	c.call(t, demo, "PUT", "/routers/"+c.router, `{"router":{"external_gateway_info":{}}}`).refused(409, "RouterExternalGatewayInUseByFloatingIp", "")

	public := c.find(t, "networks", "public").text("id")
	whole := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`"}`).text("id")
	c.call(t, demo, "PUT", "/floatingips/"+whole, `{"floatingip":{"port_id":"`+c.port+`"}}`).refused(409, "PortHasPortForwarding", "")
	c.call(t, demo, "PUT", "/floatingips/"+whole, `{"floatingip":{"port_id":"`+second+`"}}`).want(200)
	c.call(t, demo, "POST", "/floatingips/"+whole+"/port_forwardings", `{"port_forwarding":{"internal_port_id":"`+c.port+`","internal_port":1,"external_port":1,"protocol":"tcp"}}`).
		refused(409, "FloatingIPPortAlreadyAssociated", "")
	c.call(t, demo, "POST", path+"/port_forwardings", `{"port_forwarding":{"internal_port_id":"`+second+`","internal_port":1,"external_port":1,"protocol":"tcp"}}`).
		refused(409, "PortHasBindingFloatingIP", "")

	// A floating IP stays as long as it has port forwardings. With an address go
	// those that lead to it.
	c.call(t, demo, "PUT", "/ports/"+c.port, `{"port":{"fixed_ips":[{"ip_address":"10.9.0.51"}]}}`).want(200)
	if got := c.told(t); len(got) != 0 {
		t.Errorf("the fabric has %+v for an address that is gone", got)
	}
	web := c.forward(t, `"internal_port":80,"external_port":8080,"protocol":"tcp"`).text("id")
	c.call(t, demo, "DELETE", path, "").refused(409, "FipInUseByPortForwarding", c.floating)
	c.call(t, demo, "DELETE", path+"/port_forwardings/"+web, "").want(204)
	c.call(t, demo, "DELETE", path, "").want(204)
	if got := c.told(t); len(got) != 0 {
		t.Errorf("the fabric has %+v of a floating IP that is gone", got)
	}
}

func TestBadPortForwardings(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	web := c.forward(t, `"internal_port":80,"external_port":8080,"protocol":"tcp"`).text("id")
	lonely, _ := c.tenant(t, demo, "10.8.0.0/24")
	unreachable := c.make(t, demo, "ports", "port", `{"network_id":"`+lonely+`"}`).text("id")
	foreign, _ := c.tenant(t, other, "10.7.0.0/24")
	foreign = c.make(t, other, "ports", "port", `{"network_id":"`+foreign+`"}`).text("id")
	fill := strings.NewReplacer("PORT", c.port, "LONELY", unreachable, "FOREIGN", foreign)
	for _, test := range []struct {
		name, body    string
		status        int
		kind, message string
	}{
		{"nothing", `{}`, 400, "HTTPBadRequest", "internal_port_id"},
		{"no protocol", `{"internal_port_id":"PORT","internal_port":1,"external_port":1}`, 400, "HTTPBadRequest", "protocol"},
		{"strange protocol", `{"internal_port_id":"PORT","internal_port":1,"external_port":1,"protocol":"icmp"}`, 400, "HTTPBadRequest", "icmp"},
		{"no ports", `{"internal_port_id":"PORT","protocol":"tcp"}`, 400, "HTTPBadRequest", "external_port"},
		{"port too high", `{"internal_port_id":"PORT","internal_port":1,"external_port":70000,"protocol":"tcp"}`, 400, "HTTPBadRequest", "external_port"},
		{"range too high", `{"internal_port_id":"PORT","internal_port":1,"external_port_range":"1:70000","protocol":"tcp"}`, 400, "HTTPBadRequest", "external_port"},
		{"range backwards", `{"internal_port_id":"PORT","internal_port":1,"external_port_range":"9:1","protocol":"tcp"}`, 400, "HTTPBadRequest", "external_port"},
		{"no range", `{"internal_port_id":"PORT","internal_port":1,"external_port_range":"some","protocol":"tcp"}`, 400, "HTTPBadRequest", "some"},
		{"port and range", `{"internal_port_id":"PORT","internal_port":1,"external_port":1,"external_port_range":"1:2","protocol":"tcp"}`, 400, "BadRequest", "only one"},
		{"ranges of different sizes", `{"internal_port_id":"PORT","internal_port_range":"1:2","external_port_range":"1:3","protocol":"tcp"}`, 400, "BadRequest", "number of internal ports"},
		{"unknown attribute", `{"internal_port_id":"PORT","internal_port":1,"external_port":1,"protocol":"tcp","colour":"red"}`, 400, "HTTPBadRequest", "colour"},
		{"address of nobody", `{"internal_port_id":"PORT","internal_ip_address":"10.9.0.77","internal_port":1,"external_port":1,"protocol":"tcp"}`, 400, "BadRequest", "does not have fixed ip"},
		{"no way", `{"internal_port_id":"LONELY","internal_port":1,"external_port":1,"protocol":"tcp"}`, 404, "ExternalGatewayForFloatingIPNotFound", ""},
		{"foreign port", `{"internal_port_id":"FOREIGN","internal_port":1,"external_port":1,"protocol":"tcp"}`, 404, "PortNotFound", ""},
		{"outer port taken", `{"internal_port_id":"PORT","internal_port":81,"external_port_range":"8000:8100","protocol":"tcp"}`, 400, "BadRequest", "duplicate"},
		{"inner port taken", `{"internal_port_id":"PORT","internal_port":80,"external_port":81,"protocol":"tcp"}`, 400, "BadRequest", "duplicate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.call(t, demo, "POST", "/floatingips/"+c.floating+"/port_forwardings", `{"port_forwarding":`+fill.Replace(test.body)+`}`).
				refused(test.status, test.kind, test.message)
		})
	}
	c.forward(t, `"internal_port":80,"external_port":8080,"protocol":"udp"`)
	c.call(t, demo, "PUT", "/floatingips/"+c.floating+"/port_forwardings/"+web, `{"port_forwarding":{"protocol":"udp"}}`).refused(400, "BadRequest", "duplicate")
	if got := len(c.told(t)); got != 2 {
		t.Errorf("the fabric has %d port forwardings, want 2", got)
	}
}
