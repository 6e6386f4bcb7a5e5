package api_test

import (
	"strings"
	"testing"
)

// What Neutron's own tests ask for at the edges, beyond what its reference says.
func TestEdgesOfResources(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	public := c.find(t, "networks", "public").text("id")
	narrow := c.make(t, demo, "networks", "network", `{"mtu":1279}`).text("id")
	tiny := c.make(t, demo, "networks", "network", `{"mtu":67}`).text("id")
	six := c.make(t, demo, "networks", "network", `{"mtu":1280}`).text("id")
	c.make(t, demo, "subnets", "subnet", `{"network_id":"`+six+`","ip_version":6,"cidr":"fd00::/64"}`)
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g"}`).text("id")
	stateless := c.make(t, demo, "security-groups", "security_group", `{"name":"s","stateful":false}`).text("id")
	foreign := c.make(t, admin, "ports", "port", `{"project_id":"other","network_id":"`+c.net+`"}`).text("id")
	scope := c.make(t, admin, "address-scopes", "address_scope", `{"name":"a","ip_version":4,"shared":true}`).text("id")
	pool := c.make(t, demo, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/8"],"address_scope_id":"`+scope+`"}`).text("id")
	own := c.make(t, demo, "address-scopes", "address_scope", `{"name":"own","ip_version":4}`).text("id")
	hidden := c.make(t, demo, "subnetpools", "subnetpool", `{"name":"h","prefixes":["10.0.0.0/8"],"address_scope_id":"`+own+`"}`).text("id")
	theirs := c.make(t, admin, "qos/policies", "policy", `{"project_id":"other","name":"p"}`).text("id")
	slow := c.make(t, admin, "qos/policies", "policy", `{"name":"slow"}`).text("id")
	c.call(t, admin, "PUT", "/networks/"+narrow, `{"network":{"qos_policy_id":"`+slow+`"}}`).want(200)
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"security_group_rule":0}}`).want(200)
	fill := strings.NewReplacer("NET", c.net, "PORT", c.port, "ROUTER", c.router, "FLOATING", c.floating, "NARROW", narrow, "TINY", tiny, "SIX", six, "PUBLIC", public,
		"GROUP", group, "STATELESS", stateless, "FOREIGN", foreign, "POOL", pool, "HIDDEN", hidden, "THEIRS", theirs)
	for _, test := range []struct {
		name, token, method, path, body string
		status                          int
		kind, message                   string
	}{
		{"MTU below IPv4", demo, "POST", "/subnets", `{"subnet":{"network_id":"TINY","ip_version":4,"cidr":"10.9.0.0/24"}}`, 409, "NetworkMTUSubnetConflict", "68"},
		{"MTU below IPv6", demo, "POST", "/subnets", `{"subnet":{"network_id":"NARROW","ip_version":6,"cidr":"fd00::/64"}}`, 409, "NetworkMTUSubnetConflict", "1280"},
		{"MTU lowered below IPv6", demo, "PUT", "/networks/SIX", `{"network":{"mtu":1279}}`, 409, "NetworkMTUSubnetConflict", "1280"},
		{"limit of an admin lifted", demo, "PUT", "/networks/NARROW", `{"network":{"qos_policy_id":null}}`, 403, "PolicyRemoveAuthorizationError", slow},
		{"floating IP to another's port", demo, "PUT", "/floatingips/FLOATING", `{"floatingip":{"port_id":"FOREIGN"}}`, 400, "BadRequest", "different project"},
		{"group twice", demo, "PUT", "/ports/PORT", `{"port":{"security_groups":["GROUP","GROUP"]}}`, 400, "HTTPBadRequest", "Duplicate"},
		{"groups of two kinds", demo, "PUT", "/ports/PORT", `{"port":{"security_groups":["GROUP","STATELESS"]}}`, 409, "SecurityGroupConflict", "stateless"},
		{"group without room for its rules", demo, "POST", "/security-groups", `{"security_group":{"name":"full"}}`, 409, "OverQuota", "security_group_rule"},
		{"IPv6's protocol in IPv4", demo, "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","protocol":"ipv6-route"}}`,
			400, "SecurityGroupEthertypeConflictWithProtocol", "ipv6-route"},
		{"quota beyond numbers", admin, "PUT", "/quotas/demo", `{"quota":{"network":2147483648}}`, 400, "HTTPBadRequest", "network"},
		{"interface of no form", demo, "PUT", "/routers/ROUTER/add_router_interface", `{"port_id":"card"}`, 400, "HTTPBadRequest", "port_id"},
		{"pool of a scope of no form", demo, "POST", "/subnetpools", `{"subnetpool":{"name":"p","prefixes":["11.0.0.0/8"],"address_scope_id":"scope"}}`, 400, "HTTPBadRequest", "address_scope_id"},
		{"pool in another's scope", demo, "PUT", "/subnetpools/POOL", `{"subnetpool":{"name":"q"}}`, 400, "IllegalSubnetPoolUpdate", scope},
		{"pool shared beyond its scope", demo, "POST", "/rbac-policies", `{"rbac_policy":{"object_type":"subnetpool","object_id":"HIDDEN","action":"access_as_shared","target_tenant":"other"}}`,
			400, "RbacPolicyInitError", "address scope"},
		{"rule of a hidden policy", demo, "POST", "/qos/policies/THEIRS/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":8}}`, 403, "PolicyNotAuthorized", "create_policy"},
		{"subport without a type", demo, "POST", "/trunks", `{"trunk":{"port_id":"PORT","sub_ports":[{"port_id":"FOREIGN","segmentation_id":2}]}}`, 400, "HTTPBadRequest", "segmentation_type"},
		{"subport twice", demo, "POST", "/trunks", `{"trunk":{"port_id":"PORT","sub_ports":[{"port_id":"FOREIGN","segmentation_id":2,"segmentation_type":"vlan"},
			{"port_id":"FOREIGN","segmentation_id":3,"segmentation_type":"vlan"}]}}`, 400, "HTTPBadRequest", "twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.call(t, test.token, test.method, fill.Replace(test.path), fill.Replace(test.body)).refused(test.status, test.kind, test.message)
		})
	}

	// A change of nothing has a floating IP lead nowhere.
	second := c.make(t, demo, "ports", "port", `{"network_id":"`+c.net+`"}`).text("id")
	c.call(t, demo, "PUT", "/floatingips/"+c.floating, `{"floatingip":{"port_id":"`+second+`"}}`).want(200)
	if f := c.call(t, demo, "PUT", "/floatingips/"+c.floating, `{"floatingip":{}}`).want(200).one("floatingip"); f["port_id"] != nil {
		t.Errorf("the floating IP is %v", f)
	}
	// What subnets a network has, and who shares it, are part of it.
	before := c.call(t, demo, "GET", "/networks/"+six, "").want(200).one("network")["revision_number"].(float64)
	c.make(t, admin, "rbac-policies", "rbac_policy", `{"object_type":"network","object_id":"`+six+`","action":"access_as_shared","target_tenant":"other"}`)
	if after := c.call(t, demo, "GET", "/networks/"+six, "").want(200).one("network")["revision_number"]; after != before+1 {
		t.Errorf("the network has revision %v after %v", after, before)
	}
	c.call(t, demo, "GET", "/floatingip-pools", "").want(200)
}

// Resources made together may each stand in an envelope.
func TestEnvelopesInLists(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	for _, many := range []struct{ name, plural, body string }{
		{"network", "networks", `{}`},
		{"subnet", "subnets", `{"network_id":"NET","ip_version":6,"cidr":"fd00:N::/64"}`},
		{"port", "ports", `{"network_id":"NET","tags":["a"]}`},
		{"security_group", "security-groups", `{"name":"g"}`},
	} {
		collection := underscored(many.plural)
		first, second := replace(many.body, "NET", net, "N", "1"), replace(many.body, "NET", net, "N", "2")
		body := `{"` + collection + `":[{"` + many.name + `":` + first + `},` + second + `]}`
		if made := c.call(t, demo, "POST", "/"+many.plural, body).want(201).many(collection); len(made) != 2 {
			t.Errorf("%s: %v was made", many.plural, made)
		}
		c.call(t, demo, "POST", "/"+many.plural, `{"`+collection+`":[]}`).refused(400, "HTTPBadRequest", "")
		c.call(t, demo, "POST", "/"+many.plural, `{"`+collection+`":[{"`+many.name+`":{"tags":"red"}}]}`).refused(400, "HTTPBadRequest", "")
	}
}
