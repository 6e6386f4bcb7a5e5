package api_test

import (
	"slices"
	"testing"
)

// names lists what a caller sees of a resource.
func (c *cloud) ids(t *testing.T, token, path, plural string) []string {
	t.Helper()
	var ids []string
	for _, o := range c.call(t, token, "GET", path, "").want(200).many(plural) {
		ids = append(ids, o.text("id"))
	}
	return ids
}

func policyBody(kind, id, action, target string) string {
	return `{"object_type":"` + kind + `","object_id":"` + id + `","action":"` + action + `","target_tenant":"` + target + `"}`
}

// What a policy shares is seen and used by its target and nobody else, until the
// policy ends; and it cannot end while it is used.
func TestSharingWithOneProject(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	c.call(t, other, "GET", "/networks/"+net, "").refused(404, "NetworkNotFound", "")
	heard := c.listen(t)
	made := c.call(t, demo, "POST", "/rbac-policies", `{"rbac_policy":`+policyBody("network", net, "access_as_shared", other)+`}`).want(201)
	made.golden("rbac_policy")
	policy := made.one("rbac_policy").text("id")
	m := heard()
	wantKinds(t, m, "rbac_policy.create.end")
	c.wantView(t, m[0], "rbac_policy", "/rbac-policies/"+policy)

	n := c.call(t, other, "GET", "/networks/"+net, "").want(200).one("network")
	if n["shared"] != true {
		t.Errorf("the target sees shared %v, want true", n["shared"])
	}
	if n := c.call(t, demo, "GET", "/networks/"+net, "").one("network"); n["shared"] != false {
		t.Errorf("the owner sees shared %v, want false", n["shared"])
	}
	c.call(t, looker, "GET", "/networks/"+net, "").want(200)
	if !slices.Contains(c.ids(t, other, "/networks?shared=true", "networks"), net) || slices.Contains(c.ids(t, other, "/networks?shared=false", "networks"), net) {
		t.Error("the filter shared does not find what is shared with one project")
	}
	if !slices.Contains(c.ids(t, other, "/subnets", "subnets"), subnet) {
		t.Error("the target does not see the subnet")
	}
	port := c.make(t, other, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.call(t, other, "PUT", "/networks/"+net, `{"network":{"name":"mine"}}`).refused(403, "PolicyNotAuthorized", "update_network")
	c.call(t, other, "GET", "/rbac-policies/"+policy, "").refused(404, "RbacPolicyNotFound", policy)

	c.call(t, demo, "DELETE", "/rbac-policies/"+policy, "").refused(409, "RbacPolicyInUse", "cannot be removed because other objects depend on it")
	c.call(t, demo, "PUT", "/rbac-policies/"+policy, `{"rbac_policy":{"target_tenant":"third"}}`).refused(409, "RbacPolicyInUse", "")
	c.call(t, admin, "PUT", "/networks/"+net, `{"network":{"shared":true}}`).want(200)
	c.call(t, demo, "DELETE", "/rbac-policies/"+policy, "").want(204)
	c.call(t, admin, "PUT", "/networks/"+net, `{"network":{"shared":false}}`).refused(409, "InvalidSharedSetting", "Multiple tenants are using it")
	c.call(t, other, "DELETE", "/ports/"+port, "").want(204)
	c.call(t, admin, "PUT", "/networks/"+net, `{"network":{"shared":false}}`).want(200)
	c.call(t, other, "GET", "/networks/"+net, "").refused(404, "NetworkNotFound", "")
	c.call(t, demo, "DELETE", "/networks/"+net, "").want(204)
	if left := c.ids(t, admin, "/rbac-policies?object_id="+net, "rbac_policies"); len(left) != 0 {
		t.Errorf("a deleted network has policies %v", left)
	}
}

func TestSharingAsExternal(t *testing.T) {
	t.Parallel()
	c := start(t)
	net := c.make(t, admin, "networks", "network", `{"name":"out","provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":7}`).text("id")
	c.make(t, admin, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,"cidr":"192.0.2.0/24"}`)
	policy := c.make(t, admin, "rbac-policies", "rbac_policy", policyBody("network", net, "access_as_external", demo)).text("id")
	if n := c.call(t, demo, "GET", "/networks/"+net, "").want(200).one("network"); n["router:external"] != true || n["shared"] != false {
		t.Errorf("the target sees %v, want it external and not shared", n)
	}
	c.call(t, other, "GET", "/networks/"+net, "").refused(404, "NetworkNotFound", "")
	pools := c.call(t, demo, "GET", "/floatingip_pools?network_id="+net, "").want(200).many("floatingip_pools")
	if len(pools) != 1 || pools[0].text("cidr") != "192.0.2.0/24" {
		t.Errorf("pools are %v, want 192.0.2.0/24", pools)
	}
	if pools := c.call(t, other, "GET", "/floatingip_pools?network_id="+net, "").many("floatingip_pools"); len(pools) != 0 {
		t.Errorf("a stranger sees pools %v", pools)
	}
	router := c.make(t, demo, "routers", "router", `{"external_gateway_info":{"network_id":"`+net+`"}}`).text("id")
	c.call(t, admin, "DELETE", "/rbac-policies/"+policy, "").refused(409, "RbacPolicyInUse", "")
	c.call(t, demo, "PUT", "/routers/"+router, `{"router":{"external_gateway_info":null}}`).want(200)
	c.call(t, admin, "DELETE", "/rbac-policies/"+policy, "").want(204)
	if n := c.call(t, admin, "GET", "/networks/"+net, "").one("network"); n["router:external"] != false {
		t.Errorf("router:external is %v without a policy, want false", n["router:external"])
	}
}

// Each kind of object is seen by the target of a policy and can be used by it.
func TestSharingEveryKind(t *testing.T) {
	t.Parallel()
	c := start(t)
	otherNet, _ := c.tenant(t, other, "10.5.0.0/24")
	otherGroup := c.make(t, other, "security-groups", "security_group", `{"name":"theirs"}`).text("id")
	for _, k := range []struct{ kind, plural, body, useAt, useKey, use string }{
		{"security_group", "security-groups", `{"name":"web"}`, "ports", "port", `{"network_id":"` + otherNet + `","security_groups":["ID"]}`},
		{"address_group", "address-groups", `{"name":"a","addresses":["10.1.0.0/16"]}`, "security-group-rules", "security_group_rule",
			`{"security_group_id":"` + otherGroup + `","direction":"ingress","remote_address_group_id":"ID"}`},
		{"address_scope", "address-scopes", `{"name":"s","ip_version":4}`, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/8"],"address_scope_id":"ID"}`},
		{"subnetpool", "subnetpools", `{"name":"p","prefixes":["10.0.0.0/8"]}`, "subnets", "subnet", `{"network_id":"NEW","ip_version":4,"subnetpool_id":"ID"}`},
	} {
		id := c.make(t, demo, k.plural, k.kind, k.body).text("id")
		use := replace(k.use, "ID", id, "NEW", c.make(t, other, "networks", "network", `{}`).text("id"))
		c.call(t, other, "GET", "/"+k.plural+"/"+id, "").want(404)
		c.call(t, other, "POST", "/"+k.useAt, `{"`+k.useKey+`":`+use+`}`).want(404)
		policy := c.make(t, demo, "rbac-policies", "rbac_policy", policyBody(k.kind, id, "access_as_shared", other)).text("id")
		if seen := c.call(t, other, "GET", "/"+k.plural+"/"+id, "").want(200).one(k.kind); seen["shared"] != true {
			t.Errorf("%s: the target sees shared %v, want true", k.kind, seen["shared"])
		}
		list := c.ids(t, other, "/"+k.plural+"?shared=True", underscored(k.plural))
		if !slices.Contains(list, id) {
			t.Errorf("%s: the target finds %v, want %s", k.kind, list, id)
		}
		c.call(t, other, "PUT", "/"+k.plural+"/"+id, `{"`+k.kind+`":{"name":"mine"}}`).want(404)
		used := c.make(t, other, k.useAt, k.useKey, use).text("id")
		c.call(t, demo, "DELETE", "/rbac-policies/"+policy, "").refused(409, "RbacPolicyInUse", "")
		c.call(t, other, "DELETE", "/"+k.useAt+"/"+used, "").want(204)
		c.call(t, demo, "DELETE", "/rbac-policies/"+policy, "").want(204)
		c.call(t, other, "GET", "/"+k.plural+"/"+id, "").want(404)
	}
}

func TestBadPolicies(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	foreign, _ := c.tenant(t, other, "10.8.0.0/24")
	c.make(t, demo, "rbac-policies", "rbac_policy", policyBody("network", net, "access_as_shared", "x"))
	for _, bad := range []struct {
		what, body string
		status     int
		kind, say  string
	}{
		{"with everybody, by a member", policyBody("network", net, "access_as_shared", "*"), 403, "PolicyNotAuthorized", "create_rbac_policy:target_tenant"},
		{"another's network", policyBody("network", foreign, "access_as_shared", demo), 400, "InvalidInput", "they do not own"},
		{"no such network", policyBody("network", "00000000-1111-4222-8333-444444444444", "access_as_shared", other), 404, "NetworkNotFound", ""},
		{"no such kind", policyBody("router", net, "access_as_shared", other), 400, "HTTPBadRequest", "object_type"},
		{"no such action", policyBody("network", net, "access_as_friend", other), 400, "HTTPBadRequest", "action"},
		{"action of another kind", policyBody("security_group", net, "access_as_external", other), 400, "HTTPBadRequest", "action"},
		{"nobody", policyBody("network", net, "access_as_shared", ""), 400, "HTTPBadRequest", "target_tenant"},
		{"twice", policyBody("network", net, "access_as_shared", "x"), 409, "DuplicateRbacPolicy", "already exists"},
	} {
		c.call(t, demo, "POST", "/rbac-policies", `{"rbac_policy":`+bad.body+`}`).refused(bad.status, bad.kind, bad.say)
	}
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"rbac_policy":1}}`).want(200)
	c.call(t, demo, "POST", "/rbac-policies", `{"rbac_policy":`+policyBody("network", net, "access_as_shared", "y")+`}`).
		refused(409, "OverQuota", "Quota exceeded for resources: ['rbac_policy'].")
}
