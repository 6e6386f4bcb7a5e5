package api_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"nacre/internal/fabric"
)

func TestAddressGroups(t *testing.T) {
	t.Parallel()
	c := start(t)
	heard := c.listen(t)
	made := c.call(t, demo, "POST", "/address-groups", `{"address_group":{"name":"office","addresses":["10.1.2.3/16","192.0.2.7/32","fd00::/48"]}}`).want(201)
	made.golden("address_group")
	id := made.one("address_group").text("id")
	path := "/address-groups/" + id
	c.call(t, demo, "PUT", path+"/add_addresses", `{"addresses":["198.51.100.0/24"]}`).want(200)
	c.call(t, demo, "PUT", path+"/remove_addresses", `{"address_group":{"addresses":["192.0.2.7/32"]}}`).want(200)
	m := heard()
	wantKinds(t, m, "address_group.create.end", "address_group.update.end", "address_group.update.end")
	c.wantView(t, m[2], "address_group", path)

	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g"}`).text("id")
	rule := c.make(t, demo, "security-group-rules", "security_group_rule", `{"security_group_id":"`+group+`","direction":"ingress","protocol":"tcp","port_range_min":22,"port_range_max":22,"remote_address_group_id":"`+id+`"}`)
	if rule.text("remote_address_group_id") != id {
		t.Errorf("the rule is %v", rule)
	}
	c.settle(t)
	top := c.fabric.Topology()
	want := []fabric.AddressGroup{{ID: id, CIDRs: []string{"10.1.0.0/16", "fd00::/48", "198.51.100.0/24"}}}
	if !reflect.DeepEqual(top.AddressGroups, want) {
		t.Errorf("the fabric has %v, want %v", top.AddressGroups, want)
	}
	if !slices.ContainsFunc(top.Groups, func(g fabric.Group) bool {
		return g.ID == group && slices.ContainsFunc(g.Rules, func(r fabric.Rule) bool { return r.RemoteAddresses == id })
	}) {
		t.Error("no rule of the fabric refers to the address group")
	}
	for _, bad := range []struct {
		method, path, body string
		status             int
		kind               string
	}{
		{"PUT", path + "/add_addresses", `{"addresses":["198.51.100.0/24"]}`, 400, "AddressesAlreadyExist"},
		{"PUT", path + "/remove_addresses", `{"addresses":["198.51.101.0/24"]}`, 404, "AddressesNotFound"},
		{"POST", "/address-groups", `{"address_group":{"addresses":["ten"]}}`, 400, "HTTPBadRequest"},
		{"POST", "/address-groups", `{"address_group":{"addresses":["10.0.0.1"]}}`, 400, "HTTPBadRequest"},
		{"GET", "/address-groups/nobody", ``, 404, "AddressGroupNotFound"},
		{"DELETE", path, ``, 409, "AddressGroupInUse"},
		{"POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"` + group + `","direction":"ingress","remote_group_id":"` + group + `","remote_address_group_id":"` + id + `"}}`, 400, "SecurityGroupMultipleRemoteEntites"},
		{"POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"` + group + `","direction":"ingress","remote_address_group_id":"nobody"}}`, 404, "AddressGroupNotFound"},
	} {
		c.call(t, demo, bad.method, bad.path, bad.body).refused(bad.status, bad.kind, "")
	}
	c.call(t, demo, "DELETE", "/security-group-rules/"+rule.text("id"), "").want(204)
	c.call(t, demo, "DELETE", path, "").want(204)
	c.settle(t)
	if left := c.fabric.Topology().AddressGroups; len(left) != 0 {
		t.Errorf("the fabric still has %v", left)
	}
}

// New groups start with the rules that operators say.
func TestDefaultRules(t *testing.T) {
	t.Parallel()
	c := start(t)
	if n := len(c.call(t, demo, "GET", "/default-security-group-rules", "").want(200).many("default_security_group_rules")); n != 4 {
		t.Errorf("there are %d default rules, want 4", n)
	}
	made := c.call(t, admin, "POST", "/default-security-group-rules", `{"default_security_group_rule":{"direction":"ingress","protocol":"tcp","port_range_min":22,"port_range_max":22,"used_in_default_sg":true}}`).want(201)
	made.golden("default_rule")
	id := made.one("default_security_group_rule").text("id")
	c.call(t, admin, "POST", "/default-security-group-rules", `{"default_security_group_rule":{"direction":"ingress","protocol":"6","port_range_min":22,"port_range_max":22}}`).
		refused(409, "DefaultSecurityGroupRuleExists", id)
	c.call(t, demo, "POST", "/default-security-group-rules", `{"default_security_group_rule":{"direction":"ingress"}}`).refused(403, "PolicyNotAuthorized", "")
	c.call(t, admin, "POST", "/default-security-group-rules", `{"default_security_group_rule":{"direction":"up"}}`).refused(400, "HTTPBadRequest", "direction")

	for name, rules := range map[string]int{"web": 3, "default": 5} {
		if name == "web" {
			c.make(t, other, "security-groups", "security_group", `{"name":"web"}`)
		}
		g := c.call(t, other, "GET", "/security-groups?name="+name, "").many("security_groups")[0]
		list := g["security_group_rules"].([]any)
		if len(list) != rules {
			t.Errorf("group %s starts with %d rules, want %d: %v", name, len(list), rules, list)
		}
		for _, r := range list {
			if got := r.(map[string]any)["belongs_to_default_sg"]; got != (name == "default") {
				t.Errorf("a rule of group %s says belongs_to_default_sg %v", name, got)
			}
		}
	}
	c.call(t, admin, "DELETE", "/default-security-group-rules/"+id, "").want(204)
	c.call(t, admin, "GET", "/default-security-group-rules/"+id, "").refused(404, "DefaultSecurityGroupRuleNotFound", id)
	if g := c.make(t, other, "security-groups", "security_group", `{"name":"db"}`); len(g["security_group_rules"].([]any)) != 2 {
		t.Errorf("after its deletion the rule is still in new groups: %v", g)
	}
}

func TestStatefulness(t *testing.T) {
	t.Parallel()
	c := start(t)
	stateful := func(token, more string) any {
		return c.make(t, token, "security-groups", "security_group", `{"name":"g"`+more+`}`)["stateful"]
	}
	if stateful(demo, "") != true || stateful(demo, `,"stateful":false`) != false {
		t.Error("groups are not as asked")
	}
	made := c.call(t, admin, "POST", "/security-groups-default-statefulness", `{"security_groups_default_statefulness":{"project_id":"demo","stateful":false}}`).want(201)
	made.golden("statefulness")
	id := made.one("security_groups_default_statefulness").text("id")
	c.call(t, admin, "POST", "/security-groups-default-statefulness", `{"security_groups_default_statefulness":{"project_id":"demo","stateful":true}}`).
		refused(409, "SecurityGroupsDefaultStatefulnessExists", "demo")
	c.call(t, demo, "POST", "/security-groups-default-statefulness", `{"security_groups_default_statefulness":{"stateful":true}}`).refused(403, "PolicyNotAuthorized", "")
	if stateful(demo, "") != false || stateful(other, "") != true {
		t.Error("the default is not the project's")
	}
	c.call(t, admin, "POST", "/security-groups-default-statefulness", `{"security_groups_default_statefulness":{"project_id":null,"stateful":false}}`).want(201)
	c.call(t, admin, "PUT", "/security-groups-default-statefulness/"+id, `{"security_groups_default_statefulness":{"stateful":true}}`).want(200)
	if stateful(demo, "") != true || stateful(other, "") != false {
		t.Error("the default is not everybody's")
	}
	c.call(t, demo, "GET", "/security-groups-default-statefulness/"+id, "").want(200)
	c.call(t, other, "GET", "/security-groups-default-statefulness/"+id, "").refused(404, "SecurityGroupsDefaultStatefulnessNotFound", id)
	c.call(t, admin, "DELETE", "/security-groups-default-statefulness/"+id, "").want(204)

	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	g := c.make(t, demo, "security-groups", "security_group", `{"name":"used","stateful":true}`).text("id")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","security_groups":["`+g+`"]}`).text("id")
	c.call(t, demo, "PUT", "/security-groups/"+g, `{"security_group":{"stateful":false}}`).refused(409, "SecurityGroupInUse", g)
	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	if got := c.call(t, demo, "PUT", "/security-groups/"+g, `{"security_group":{"stateful":false}}`).want(200).one("security_group"); got["stateful"] != false {
		t.Errorf("stateful is %v after the change", got["stateful"])
	}
	if n := len(c.call(t, demo, "GET", "/security-groups?stateful=false", "").many("security_groups")); n == 0 {
		t.Error("the filter stateful finds nothing")
	}
}

func TestTopologyInOneCall(t *testing.T) {
	t.Parallel()
	c := start(t)
	path := "/auto-allocated-topology/demo"
	for _, pool := range c.call(t, admin, "GET", "/subnetpools?is_default=true", "").many("subnetpools") {
		c.call(t, admin, "PUT", "/subnetpools/"+pool.text("id"), `{"subnetpool":{"is_default":false}}`).want(200)
	}
	c.call(t, demo, "GET", path+"?fields=dry-run", "").refused(409, "AutoAllocationFailure", "No default subnetpools defined")
	c.make(t, admin, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.64.0.0/12"],"default_prefixlen":24,"is_default":true,"shared":true}`)
	c.call(t, demo, "GET", path+"?fields=dry-run", "").want(200).golden("topology_dry_run")
	c.call(t, looker, "GET", path, "").refused(403, "PolicyNotAuthorized", "")
	net := c.call(t, demo, "GET", path, "").want(200).one("auto_allocated_topology").text("id")
	if again := c.call(t, demo, "GET", path, "").one("auto_allocated_topology").text("id"); again != net {
		t.Errorf("asked again, the network is %s, want %s", again, net)
	}
	n := c.call(t, demo, "GET", "/networks/"+net, "").want(200).one("network")
	sub := c.call(t, demo, "GET", "/subnets/"+n["subnets"].([]any)[0].(string), "").one("subnet")
	if sub.text("cidr") != "10.64.0.0/24" {
		t.Errorf("the subnet is %v", sub)
	}
	router := c.call(t, demo, "GET", "/routers?name=auto_allocated_router", "").many("routers")[0]
	if router["external_gateway_info"] == nil {
		t.Errorf("the router is %v, want a gateway", router)
	}
	c.call(t, other, "GET", path, "").refused(403, "PolicyNotAuthorized", "")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.call(t, demo, "DELETE", path, "").refused(409, "NetworkInUse", port)
	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	c.call(t, demo, "DELETE", path, "").want(204)
	c.call(t, demo, "DELETE", path, "").refused(404, "AutoAllocatedTopologyNotFound", "demo")
	if left := c.call(t, demo, "GET", "/routers?name=auto_allocated_router", "").many("routers"); len(left) != 0 {
		t.Errorf("a router is left: %v", left)
	}
}

// A fresh cloud gives each project a network of both IP versions in one call.
func TestTopologyOfAFreshCloud(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, who := range []string{demo, other} {
		net := c.call(t, who, "GET", "/auto-allocated-topology/null", "").want(200).one("auto_allocated_topology").text("id")
		var versions []any
		for _, sub := range c.call(t, who, "GET", "/subnets?sort_key=ip_version&network_id="+net, "").want(200).many("subnets") {
			versions = append(versions, sub["ip_version"])
		}
		if got := fmt.Sprint(versions); got != "[4 6]" {
			t.Errorf("%s has subnets of IP versions %s, want 4 and 6", who, got)
		}
	}
}
