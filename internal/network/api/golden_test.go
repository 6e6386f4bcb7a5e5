package api_test

import "testing"

func TestReplies(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.settle(t)
	private, public := c.find(t, "networks", "private").text("id"), c.find(t, "networks", "public").text("id")
	router := c.find(t, "routers", "router1").text("id")
	subnet := c.find(t, "subnets", "private-subnet").text("id")

	c.call(t, demo, "GET", "/", "").want(200).golden("resources")
	c.call(t, demo, "GET", "/extensions/router", "").want(200).golden("extension")
	c.call(t, demo, "GET", "/availability_zones", "").want(200).golden("zones")
	c.call(t, demo, "GET", "/networks/"+private, "").want(200).golden("network")
	c.call(t, demo, "GET", "/networks/"+public, "").want(200).golden("network_external")
	c.call(t, admin, "GET", "/networks/"+public, "").want(200).golden("network_admin")
	c.call(t, demo, "GET", "/subnets/"+subnet, "").want(200).golden("subnet")
	c.call(t, demo, "GET", "/routers/"+router, "").want(200).golden("router")
	c.call(t, demo, "GET", "/security-groups?name=default", "").want(200).golden("groups_default")
	c.call(t, demo, "GET", "/quotas/demo", "").want(200).golden("quota")
	c.call(t, demo, "GET", "/quotas/demo/details", "").want(200).golden("quota_details")
	c.call(t, admin, "GET", "/network-ip-availabilities/"+private, "").want(200).golden("availability")

	c.call(t, admin, "GET", "/agents?alive=true", "").want(200).golden("agents")
	if seen := c.call(t, demo, "GET", "/agents", "").want(200).many("agents"); len(seen) != 0 {
		t.Errorf("a member sees agents %v", seen)
	}
	c.call(t, demo, "GET", "/agents/agent-1", "").refused(403, "PolicyNotAuthorized", "get_agent")
	c.call(t, admin, "GET", "/agents/nothing", "").refused(404, "AgentNotFound", "nothing")

	port := c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+private+`","name":"card"}}`).want(201)
	port.golden("port")
	id := port.one("port").text("id")
	c.call(t, admin, "PUT", "/ports/"+id, `{"port":{"binding:host_id":"node-1","device_id":"vm","device_owner":"compute:nova"}}`).want(200).golden("port_bound")
	floating := c.call(t, demo, "POST", "/floatingips", `{"floatingip":{"floating_network_id":"`+public+`","port_id":"`+id+`"}}`).want(201)
	floating.golden("floatingip")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"web"}`).text("id")
	c.call(t, demo, "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"`+group+`","direction":"ingress",
		"protocol":"tcp","port_range_min":22,"port_range_max":22,"remote_ip_prefix":"10.0.0.7/24"}}`).want(201).golden("rule")
	c.call(t, demo, "GET", "/ports/"+id+"?fields=id&fields=name&fields=nonsense", "").want(200).golden("port_fields")
	c.call(t, demo, "GET", "/ports/none", "").want(404).golden("error")
}
