package api_test

import (
	"fmt"
	"reflect"
	"testing"

	"nacre/internal/fabric"
)

// What DHCP tells a port, and what its network's resolver knows it by, reach the
// fabric.
func TestPortOptionsAndNames(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	p := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.9"}],"dns_name":"Web","dns_domain":"example.org.",
		"extra_dhcp_opts":[{"opt_name":"bootfile-name","opt_value":"pxelinux.0"},{"opt_name":"dns-server","opt_value":"fd00::53","ip_version":6},{"opt_name":"none","opt_value":null}]}`)
	path := "/ports/" + p.text("id")
	want := `[map[fqdn:Web.openstacklocal. hostname:Web ip_address:10.9.0.9]]`
	if got := fmt.Sprint(p["dns_assignment"]); got != want {
		t.Errorf("dns_assignment is %s, want %s", got, want)
	}
	c.settle(t)
	f, _ := c.port(p.text("id"))
	if !reflect.DeepEqual(f.Names, []string{"web", "web.openstacklocal"}) {
		t.Errorf("the resolver knows %v", f.Names)
	}
	if want := []fabric.Option{{Name: "bootfile-name", Value: "pxelinux.0", Version: 4}, {Name: "dns-server", Value: "fd00::53", Version: 6}}; !reflect.DeepEqual(f.Options, want) {
		t.Errorf("options are %v, want %v", f.Options, want)
	}
	c.call(t, demo, "PUT", path, `{"port":{"extra_dhcp_opts":[{"opt_name":"bootfile-name","opt_value":null},{"opt_name":"mtu","opt_value":"1400"}],"dns_name":""}}`).want(200)
	c.settle(t)
	f, _ = c.port(p.text("id"))
	if want := []fabric.Option{{Name: "dns-server", Value: "fd00::53", Version: 6}, {Name: "mtu", Value: "1400", Version: 4}}; !reflect.DeepEqual(f.Options, want) {
		t.Errorf("after the change options are %v, want %v", f.Options, want)
	}
	if len(f.Names) != 0 {
		t.Errorf("after the change the resolver knows %v", f.Names)
	}

	mac := p.text("mac_address")
	if again := c.call(t, admin, "PUT", path, `{"port":{"mac_address":null}}`).want(200).one("port").text("mac_address"); again == mac || again == "" {
		t.Errorf("the MAC address is %q, want another one than %s", again, mac)
	}
}

func TestPairsOneByOne(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	p := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","allowed_address_pairs":[{"ip_address":"10.9.0.50"}]}`)
	path, mac := "/ports/"+p.text("id"), p.text("mac_address")
	pairs := func(what, list string) string {
		t.Helper()
		return fmt.Sprint(c.call(t, demo, "PUT", path+what, `{"port":{"allowed_address_pairs":`+list+`}}`).want(200).one("port")["allowed_address_pairs"])
	}
	one, two := `map[ip_address:10.9.0.50 mac_address:`+mac+`]`, `map[ip_address:10.9.0.60 mac_address:02:00:00:00:00:01]`
	if got := pairs("/add_allowed_address_pairs", `[{"ip_address":"10.9.0.60","mac_address":"02-00-00-00-00-01"},{"ip_address":"10.9.0.50"}]`); got != "["+one+" "+two+"]" {
		t.Errorf("pairs are %s", got)
	}
	if got := pairs("/remove_allowed_address_pairs", `[{"ip_address":"10.9.0.50"},{"ip_address":"10.9.0.70"}]`); got != "["+two+"]" {
		t.Errorf("pairs are %s", got)
	}
	c.call(t, looker, "PUT", path+"/add_allowed_address_pairs", `{"port":{"allowed_address_pairs":[{"ip_address":"10.9.0.50"}]}}`).refused(403, "PolicyNotAuthorized", "")
	c.call(t, demo, "PUT", path+"/add_allowed_address_pairs", `{"port":{"allowed_address_pairs":[{"ip_address":"nine"}]}}`).refused(400, "HTTPBadRequest", "'nine'")
}

func TestBadPortAttributes(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	for _, bad := range []struct{ more, say string }{
		{`"dns_name":"under_score"`, "dns_name"},
		{`"dns_name":"-begins"`, "dns_name"},
		{`"dns_domain":"no-dot"`, "dns_domain"},
		{`"extra_dhcp_opts":[{"opt_name":"","opt_value":"x"}]`, "extra_dhcp_opts"},
		{`"extra_dhcp_opts":[{"opt_name":"mtu","opt_value":"1","ip_version":5}]`, "not in [4, 6]"},
		{`"allowed_address_pairs":[{"ip_address":"224.0.0.5"}]`, "multicast"},
	} {
		c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`",`+bad.more+`}}`).refused(400, "HTTPBadRequest", bad.say)
	}
	public := c.find(t, "networks", "public").text("id")
	c.call(t, demo, "POST", "/floatingips", `{"floatingip":{"floating_network_id":"`+public+`","dns_name":"web"}}`).refused(400, "BadRequest", "go together")
	c.call(t, demo, "POST", "/networks", `{"network":{"dns_domain":"no dot"}}`).refused(400, "HTTPBadRequest", "dns_domain")
}

// Tags can be given at once, to each of many, and added together.
func TestTagsTogether(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	made := c.call(t, demo, "POST", "/ports", `{"ports":[{"network_id":"`+net+`","tags":["a"]},{"network_id":"`+net+`","tags":["b","c"]}]}`).want(201).many("ports")
	if len(made) != 2 || fmt.Sprint(made[1]["tags"]) != "[b c]" {
		t.Errorf("ports are %v", made)
	}
	path := "/ports/" + made[0].text("id") + "/tags"
	c.call(t, demo, "POST", path, `{"tags":["z","a"]}`).want(200)
	if tags := fmt.Sprint(c.call(t, demo, "GET", "/ports/"+made[0].text("id"), "").one("port")["tags"]); tags != "[a z]" {
		t.Errorf("tags are %s, want [a z]", tags)
	}
	c.call(t, looker, "POST", path, `{"tags":["y"]}`).refused(403, "PolicyNotAuthorized", "create_port:tags")
	c.call(t, demo, "POST", path, `{"tags":[""]}`).refused(400, "HTTPBadRequest", "tags")
	for plural, body := range map[string]string{
		"networks": `{"network":{"tags":[""]}}`, "ports": `{"port":{"network_id":"` + net + `","tags":[""]}}`,
		"routers": `{"router":{"tags":[""]}}`, "security-groups": `{"security_group":{"name":"g","tags":[""]}}`,
	} {
		c.call(t, demo, "POST", "/"+plural, body).refused(400, "HTTPBadRequest", "tags")
	}
	pool := c.make(t, demo, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/8"],"tags":["t"]}`).text("id")
	heard := c.listen(t)
	c.call(t, demo, "PUT", "/subnetpools/"+pool+"/tags/u", "").want(201)
	wantKinds(t, heard(), "subnetpool.update.end")
	if found := c.ids(t, demo, "/subnetpools?tags=t,u", "subnetpools"); len(found) != 1 {
		t.Errorf("%d pools have both tags, want 1", len(found))
	}
}

// A change that names a revision is refused when there is a newer one.
func TestChangesOnCondition(t *testing.T) {
	t.Parallel()
	c := start(t)
	for kind, o := range c.everything(t) {
		plural := map[string]string{
			"security_group": "security-groups", "address_group": "address-groups", "security_group_rule": "",
		}
		path, has := plural[kind]
		if !has {
			path = kind + "s"
		}
		if path == "" {
			continue
		}
		path = "/" + path + "/" + o.text("id")
		now := fmt.Sprint(c.call(t, demo, "GET", path, "").want(200).one(kind)["revision_number"])
		change := `{"` + kind + `":{"description":"x"}}`
		c.call(t, demo, "PUT", path, change, "If-Match", "revision_number="+now).want(200)
		c.call(t, demo, "PUT", path, change, "If-Match", "revision_number="+now).refused(412, "RevisionNumberConstraintFailed", "Constrained to "+now)
		c.call(t, demo, "DELETE", path, "", "If-Match", "revision_number="+now).refused(412, "RevisionNumberConstraintFailed", "")
		c.call(t, demo, "PUT", path, change, "If-Match", "7").refused(400, "BadRequest", "If-Match")
	}
}

// What OpenStack's own tests ask for at the edges.
func TestEdgesOfNetworks(t *testing.T) {
	t.Parallel()
	c := start(t)
	out := c.make(t, admin, "networks", "network", `{"router:external":true,"provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":9}`).text("id")
	c.make(t, admin, "subnets", "subnet", `{"network_id":"`+out+`","ip_version":4,"cidr":"192.0.2.0/24"}`)
	idle := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+out+`"}`).text("id")
	c.call(t, admin, "DELETE", "/networks/"+out, "").want(204)
	c.call(t, demo, "GET", "/floatingips/"+idle, "").refused(404, "FloatingIPNotFound", idle)

	_, subnet := c.tenant(t, demo, "10.9.0.0/24")
	router := c.make(t, demo, "routers", "router", `{}`).text("id")
	c.call(t, demo, "PUT", "/routers/"+router+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+router, `{"router":{"routes":[{"destination":"10.50.0.0/16","nexthop":"10.9.0.7"}]}}`).want(200)
	c.call(t, demo, "PUT", "/routers/"+router+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).refused(409, "RouterInterfaceInUseByRoute", subnet)
	if r := c.call(t, demo, "PUT", "/routers/"+router, `{"router":{"routes":null}}`).want(200).one("router"); fmt.Sprint(r["routes"]) != "[]" {
		t.Errorf("routes are %v after null, want none", r["routes"])
	}
	if s := c.call(t, demo, "PUT", "/subnets/"+subnet, `{"subnet":{"dns_nameservers":["9.9.9.9"]}}`).want(200).one("subnet"); fmt.Sprint(s["dns_nameservers"]) != "[9.9.9.9]" {
		t.Errorf("name servers are %v", s["dns_nameservers"])
	}
	if s := c.call(t, demo, "PUT", "/subnets/"+subnet, `{"subnet":{"dns_nameservers":null,"host_routes":null}}`).want(200).one("subnet"); fmt.Sprint(s["dns_nameservers"], s["host_routes"]) != "[] []" {
		t.Errorf("name servers and routes are %v %v after null, want none", s["dns_nameservers"], s["host_routes"])
	}

	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g"}`).text("id")
	c.call(t, demo, "PUT", "/security-groups/"+group, `{"security_group":{"name":"default"}}`).refused(409, "SecurityGroupDefaultAlreadyExists", "")
	for ports, kind := range map[string]string{
		`"port_range_min":-16,"port_range_max":80`:   "SecurityGroupInvalidPortValue",
		`"port_range_min":80,"port_range_max":65536`: "SecurityGroupInvalidPortValue",
		`"port_range_min":null,"port_range_max":6`:   "SecurityGroupInvalidPortRange",
	} {
		c.call(t, demo, "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"`+group+`","direction":"ingress","protocol":"tcp",`+ports+`}}`).
			refused(400, kind, "")
	}
}
