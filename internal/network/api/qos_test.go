package api_test

import (
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/fabric"
	"nacre/internal/network"
)

// policy makes a policy of project demo with the rules, and returns its id.
func (c *cloud) policy(t *testing.T, attributes string, rules ...string) string {
	t.Helper()
	id := c.make(t, admin, "qos/policies", "policy", `{"project_id":"demo","name":"p"`+attributes+`}`).text("id")
	for _, r := range rules {
		kind := "bandwidth_limit_rule"
		if strings.Contains(r, "dscp") {
			kind = "dscp_marking_rule"
		}
		c.make(t, admin, "qos/policies/"+id+"/"+kind+"s", kind, r)
	}
	return id
}

// quality is what the fabric was told of a port.
func (c *cloud) quality(t *testing.T, port string) fabric.QoS {
	t.Helper()
	c.settle(t)
	for _, p := range c.fabric.Topology().Ports {
		if p.ID == port {
			return p.QoS
		}
	}
	t.Fatalf("the fabric does not know port %s", port)
	return fabric.QoS{}
}

func TestQoSPolicies(t *testing.T) {
	t.Parallel()
	c := start(t)
	made := c.call(t, admin, "POST", "/qos/policies", `{"policy":{"project_id":"demo","name":"gold","description":"d","tags":["fast"]}}`).want(201)
	made.golden("qos_policy")
	id := made.one("policy").text("id")
	path := "/qos/policies/" + id
	rule := c.call(t, admin, "POST", path+"/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":8000,"max_burst_kbps":800,"direction":"ingress"}}`).want(201)
	rule.golden("qos_limit")
	limit := rule.one("bandwidth_limit_rule").text("id")
	rule = c.call(t, admin, "POST", path+"/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":26}}`).want(201)
	rule.golden("qos_mark")
	mark := rule.one("dscp_marking_rule").text("id")
	c.call(t, demo, "GET", path, "").want(200).golden("qos_policy_rules")
	c.call(t, demo, "GET", "/qos/rule-types", "").want(200).golden("qos_rule_types")
	c.call(t, admin, "GET", "/qos/rule-types/bandwidth_limit", "").want(200).golden("qos_rule_type")
	c.call(t, admin, "GET", "/qos/rule-types/minimum_bandwidth", "").refused(404, "QosRuleTypeNotFound", "minimum_bandwidth")
	c.call(t, demo, "GET", "/qos/rule-types/bandwidth_limit", "").refused(403, "NotAuthorized", "")
	for query, want := range map[string]int{"": 2, "?all_rules=true": 5, "?all_supported=true": 2, "?type=dscp_marking": 1} {
		if got := len(c.call(t, demo, "GET", "/qos/rule-types"+query, "").want(200).many("rule_types")); got != want {
			t.Errorf("%d rule types %s, want %d", got, query, want)
		}
	}

	alias := c.call(t, demo, "GET", "/qos/alias_bandwidth_limit_rules/"+limit, "").want(200).one("alias_bandwidth_limit_rule")
	if alias["max_kbps"] != 8000.0 {
		t.Errorf("by its alias the rule is %v", alias)
	}
	c.call(t, admin, "PUT", "/qos/alias_dscp_marking_rules/"+mark, `{"alias_dscp_marking_rule":{"dscp_mark":10}}`).want(200)
	c.call(t, admin, "PUT", path+"/bandwidth_limit_rules/"+limit, `{"bandwidth_limit_rule":{"max_kbps":9000}}`).want(200)
	for kind, want := range map[string]string{"bandwidth_limit_rules?direction=ingress": "max_kbps", "dscp_marking_rules": "dscp_mark"} {
		list := c.call(t, demo, "GET", path+"/"+kind, "").want(200).many(strings.Split(kind, "?")[0])
		if len(list) != 1 || list[0][want] == nil {
			t.Errorf("%s are %v", kind, list)
		}
	}
	c.call(t, demo, "GET", path+"/dscp_marking_rules/"+limit, "").refused(404, "QosRuleNotFound", limit)
	c.call(t, other, "GET", path, "").refused(404, "QosPolicyNotFound", id)
	c.call(t, other, "GET", "/qos/alias_bandwidth_limit_rules/"+limit, "").refused(404, "QosPolicyNotFound", "")
	c.call(t, demo, "PUT", path, `{"policy":{"name":"mine"}}`).refused(403, "PolicyNotAuthorized", "update_policy")
	c.call(t, demo, "POST", path+"/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":0}}`).refused(403, "PolicyNotAuthorized", "create_policy_dscp_marking_rule")

	c.call(t, admin, "PUT", path, `{"policy":{"shared":true}}`).want(200)
	c.call(t, other, "GET", path, "").want(200)
	list := c.call(t, other, "GET", "/qos/policies?shared=true", "").want(200).many("policies")
	if len(list) != 1 || list[0]["revision_number"] != 6.0 {
		t.Errorf("shared policies are %v, want one of revision 6", list)
	}
	foreign, _ := c.tenant(t, other, "10.7.0.0/24")
	c.call(t, other, "PUT", "/networks/"+foreign, `{"network":{"qos_policy_id":"`+id+`"}}`).want(200)
	c.call(t, admin, "PUT", path, `{"policy":{"shared":false}}`).refused(409, "RbacPolicyInUse", other)
	c.call(t, admin, "DELETE", path, "").refused(409, "QosPolicyInUse", foreign)
	c.call(t, other, "PUT", "/networks/"+foreign, `{"network":{"qos_policy_id":null}}`).want(200)
	c.call(t, admin, "DELETE", path+"/dscp_marking_rules/"+mark, "").want(204)
	c.call(t, admin, "DELETE", "/qos/alias_bandwidth_limit_rules/"+limit, "").want(204)
	c.call(t, admin, "DELETE", path, "").want(204)
	c.call(t, admin, "GET", path, "").refused(404, "QosPolicyNotFound", id)
}

// A port has its own policy, else its network's; a change of either reaches it.
func TestQoSOfPorts(t *testing.T) {
	t.Parallel()
	c := start(t)
	slow := c.policy(t, "", `{"max_kbps":1000}`)
	marked := c.policy(t, "", `{"dscp_mark":26}`, `{"max_kbps":2000,"max_burst_kbps":100,"direction":"ingress"}`)
	net := c.make(t, demo, "networks", "network", `{"qos_policy_id":"`+slow+`"}`).text("id")
	c.make(t, demo, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,"cidr":"10.9.0.0/24"}`)
	made := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`)
	port := made.text("id")
	if made["qos_policy_id"] != nil || made.text("qos_network_policy_id") != slow {
		t.Errorf("the port shows policies %v and %v, want none and the network's", made["qos_policy_id"], made["qos_network_policy_id"])
	}
	if got, want := c.quality(t, port), (fabric.QoS{Egress: fabric.Limit{Rate: 1000}}); got != want {
		t.Errorf("with the network's policy the fabric has %+v, want %+v", got, want)
	}
	c.call(t, demo, "PUT", "/ports/"+port, `{"port":{"qos_policy_id":"`+marked+`"}}`).want(200)
	want := fabric.QoS{Ingress: fabric.Limit{Rate: 2000, Burst: 100}, Marks: true, DSCP: 26}
	if got := c.quality(t, port); got != want {
		t.Errorf("with its own policy the fabric has %+v, want %+v", got, want)
	}
	rule := c.call(t, demo, "GET", "/qos/policies/"+marked+"/dscp_marking_rules", "").many("dscp_marking_rules")[0].text("id")
	c.call(t, admin, "DELETE", "/qos/alias_dscp_marking_rules/"+rule, "").want(204)
	want.Marks, want.DSCP = false, 0
	if got := c.quality(t, port); got != want {
		t.Errorf("without the mark the fabric has %+v, want %+v", got, want)
	}
	c.call(t, demo, "PUT", "/ports/"+port, `{"port":{"qos_policy_id":null}}`).want(200)
	c.call(t, demo, "PUT", "/networks/"+net, `{"network":{"qos_policy_id":null}}`).want(200)
	if got := c.quality(t, port); got != (fabric.QoS{}) {
		t.Errorf("without policies the fabric has %+v", got)
	}
	// What its server may do counts where it is less than what a policy allows.
	c.call(t, demo, "PUT", "/ports/"+port, `{"port":{"qos_policy_id":"`+marked+`"}}`).want(200)
	for _, step := range []struct {
		limits network.CardLimits
		want   fabric.QoS
	}{
		{network.CardLimits{In: 800, InBurst: 400, Out: 1600}, fabric.QoS{Ingress: fabric.Limit{Rate: 800, Burst: 400}, Egress: fabric.Limit{Rate: 1600}}},
		{network.CardLimits{In: 3000}, fabric.QoS{Ingress: fabric.Limit{Rate: 2000, Burst: 100}}},
	} {
		err := c.db.Write(t.Context(), func(tx *db.Tx) error { return c.net.LimitPort(t.Context(), tx, port, step.limits) })
		if got := c.quality(t, port); err != nil || got != step.want {
			t.Errorf("with %+v the fabric has %+v, %v; want %+v", step.limits, got, err, step.want)
		}
	}
	c.call(t, demo, "PUT", "/ports/"+port, `{"port":{"qos_policy_id":null}}`).want(200)
	err := c.db.Write(t.Context(), func(tx *db.Tx) error { return c.net.ReturnPort(t.Context(), tx, port) })
	if got := c.quality(t, port); err != nil || got != (fabric.QoS{}) {
		t.Errorf("without a server the fabric has %+v, %v", got, err)
	}
	for _, p := range c.fabric.Topology().Ports {
		if p.Metadata && p.QoS != (fabric.QoS{}) {
			t.Errorf("the metadata port is limited: %+v", p.QoS)
		}
	}
}

// A policy may ask for bandwidth, and as nothing guarantees any, nothing gets it.
func TestMinimumBandwidth(t *testing.T) {
	t.Parallel()
	c := start(t)
	id := c.policy(t, `,"is_default":true`)
	path := "/qos/policies/" + id
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	asked := func(kbps string) reply {
		t.Helper()
		return c.call(t, admin, "POST", path+"/minimum_bandwidth_rules", `{"minimum_bandwidth_rule":{"min_kbps":`+kbps+`}}`)
	}
	asked("1000").refused(409, "QosRuleNotSupported", net)
	c.call(t, demo, "PUT", "/networks/"+net, `{"network":{"qos_policy_id":null}}`).want(200)
	made := asked("1000").want(201)
	made.golden("qos_minimum")
	rule := made.one("minimum_bandwidth_rule").text("id")
	asked("2000").refused(409, "QoSRulesConflict", rule)
	for body, status := range map[string]int{`{"min_kbps":1500}`: 200, `{"direction":"egress"}`: 200, `{"direction":"ingress"}`: 400} {
		c.call(t, admin, "PUT", path+"/minimum_bandwidth_rules/"+rule, `{"minimum_bandwidth_rule":`+body+`}`).want(status)
	}
	c.call(t, admin, "PUT", "/qos/alias_minimum_bandwidth_rules/"+rule, `{"alias_minimum_bandwidth_rule":{"min_kbps":1600}}`).want(200)
	if shown := c.call(t, demo, "GET", "/qos/alias_minimum_bandwidth_rules/"+rule, "").want(200).one("alias_minimum_bandwidth_rule"); shown["min_kbps"] != 1600.0 {
		t.Errorf("the rule is %v", shown)
	}
	if list := c.call(t, demo, "GET", path+"/minimum_bandwidth_rules?min_kbps=1600", "").want(200).many("minimum_bandwidth_rules"); len(list) != 1 {
		t.Errorf("the list is %v", list)
	}
	of := c.call(t, demo, "GET", path, "").want(200).one("policy")["rules"].([]any)[0].(map[string]any)
	if of["type"] != "minimum_bandwidth" || of["min_kbps"] != 1600.0 {
		t.Errorf("the policy shows %v", of)
	}
	c.call(t, admin, "POST", path+"/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":1000}}`).refused(409, "QoSRuleParameterConflict", "1600")
	public := c.find(t, "networks", "public").text("id")
	for what, body := range map[string]string{
		"/networks":    `{"network":{}}`, // by default
		"/ports":       `{"port":{"network_id":"` + net + `","qos_policy_id":"` + id + `"}}`,
		"/floatingips": `{"floatingip":{"floating_network_id":"` + public + `","qos_policy_id":"` + id + `"}}`,
	} {
		c.call(t, demo, "POST", what, body).refused(409, "QosRuleNotSupported", "minimum_bandwidth")
	}
	c.call(t, admin, "DELETE", "/qos/alias_minimum_bandwidth_rules/"+rule, "").want(204)
	c.call(t, demo, "POST", "/networks", `{"network":{}}`).want(201)
}

// New networks of a project get its default policy.
func TestDefaultQoSPolicy(t *testing.T) {
	t.Parallel()
	c := start(t)
	id := c.policy(t, `,"is_default":true`)
	c.call(t, admin, "POST", "/qos/policies", `{"policy":{"project_id":"demo","name":"q","is_default":true}}`).refused(409, "QoSPolicyDefaultAlreadyExists", "demo")
	second := c.policy(t, "")
	c.call(t, admin, "PUT", "/qos/policies/"+second, `{"policy":{"is_default":true}}`).refused(409, "QoSPolicyDefaultAlreadyExists", "demo")
	if got := c.make(t, demo, "networks", "network", `{}`).text("qos_policy_id"); got != id {
		t.Errorf("a new network has policy %q, want the default %s", got, id)
	}
	if got := c.make(t, demo, "networks", "network", `{"qos_policy_id":"`+second+`"}`).text("qos_policy_id"); got != second {
		t.Errorf("a network has policy %q, want %s as asked", got, second)
	}
	if got := c.make(t, other, "networks", "network", `{}`)["qos_policy_id"]; got != nil {
		t.Errorf("another project's network has policy %v", got)
	}
}

// Gateways and floating IPs have policies too, else those of the external network.
func TestQoSOfGateways(t *testing.T) {
	t.Parallel()
	c := startForwarded(t)
	public := c.find(t, "networks", "public").text("id")
	slow, slower := c.policy(t, "", `{"max_kbps":1000}`), c.policy(t, "", `{"max_kbps":500,"direction":"ingress"}`)
	c.call(t, admin, "PUT", "/networks/"+public, `{"network":{"qos_policy_id":"`+slow+`"}}`).want(200)
	c.forward(t, `"internal_port":80,"external_port":80,"protocol":"tcp"`)
	second := c.make(t, demo, "ports", "port", `{"network_id":"`+c.net+`"}`).text("id")
	whole := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`","port_id":"`+second+`","qos_policy_id":"`+slower+`"}`)
	if whole.text("qos_policy_id") != slower || whole.text("qos_network_policy_id") != slow {
		t.Errorf("the floating IP shows policies %v and %v", whole["qos_policy_id"], whole["qos_network_policy_id"])
	}
	router := func() fabric.Router {
		t.Helper()
		c.settle(t)
		for _, r := range c.fabric.Topology().Routers {
			if r.ID == c.router {
				return r
			}
		}
		t.Fatal("the fabric does not know the router")
		return fabric.Router{}
	}
	networks, own := fabric.QoS{Egress: fabric.Limit{Rate: 1000}}, fabric.QoS{Ingress: fabric.Limit{Rate: 500}}
	if r := router(); r.Gateway.QoS != networks || r.NATs[0].QoS != own || r.Forwardings[0].QoS != networks {
		t.Errorf("the fabric has gateway %+v, floating IP %+v, port forwarding %+v", r.Gateway.QoS, r.NATs[0].QoS, r.Forwardings[0].QoS)
	}
	c.call(t, demo, "PUT", "/floatingips/"+whole.text("id"), `{"floatingip":{"qos_policy_id":null}}`).want(200)
	info := c.call(t, demo, "PUT", "/routers/"+c.router, `{"router":{"external_gateway_info":{"network_id":"`+public+`","qos_policy_id":"`+slower+`"}}}`).
		want(200).one("router")["external_gateway_info"].(map[string]any)
	if info["qos_policy_id"] != slower {
		t.Errorf("the gateway is %v, want policy %s", info, slower)
	}
	if r := router(); r.Gateway.QoS != own || r.NATs[0].QoS != networks {
		t.Errorf("after the changes the fabric has gateway %+v, floating IP %+v", r.Gateway.QoS, r.NATs[0].QoS)
	}
	rule := c.call(t, admin, "GET", "/qos/policies/"+slower+"/bandwidth_limit_rules", "").many("bandwidth_limit_rules")[0].text("id")
	c.call(t, admin, "PUT", "/qos/alias_bandwidth_limit_rules/"+rule, `{"alias_bandwidth_limit_rule":{"max_kbps":700}}`).want(200)
	if r := router(); r.Gateway.QoS.Ingress.Rate != 700 {
		t.Errorf("after a change of the rule the fabric has gateway %+v", r.Gateway.QoS)
	}
}

func TestBadQoS(t *testing.T) {
	t.Parallel()
	c := start(t)
	id := c.policy(t, "", `{"max_kbps":1000}`, `{"dscp_mark":0}`)
	hidden := c.make(t, admin, "qos/policies", "policy", `{"project_id":"other","name":"p"}`).text("id")
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	nobody := "00000000-1111-4222-8333-444444444444"
	for _, test := range []struct {
		name, token, method, path, body string
		status                          int
		kind, message                   string
	}{
		{"no name", admin, "POST", "/qos/policies", `{"policy":{}}`, 400, "HTTPBadRequest", "name"},
		{"unknown attribute", admin, "POST", "/qos/policies", `{"policy":{"name":"p","speed":1}}`, 400, "HTTPBadRequest", "speed"},
		{"by a member", demo, "POST", "/qos/policies", `{"policy":{"name":"p"}}`, 403, "PolicyNotAuthorized", "create_policy"},
		{"no limit", admin, "POST", "/qos/policies/ID/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"direction":"ingress"}}`, 400, "HTTPBadRequest", "max_kbps"},
		{"negative limit", admin, "POST", "/qos/policies/ID/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":-1}}`, 400, "HTTPBadRequest", "max_kbps"},
		{"limit too high", admin, "POST", "/qos/policies/ID/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":2147483648}}`, 400, "HTTPBadRequest", "max_kbps"},
		{"no direction", admin, "POST", "/qos/policies/ID/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":1,"direction":"up"}}`, 400, "HTTPBadRequest", "direction"},
		{"second limit", admin, "POST", "/qos/policies/ID/bandwidth_limit_rules", `{"bandwidth_limit_rule":{"max_kbps":1}}`, 409, "QoSRulesConflict", "bandwidth_limit"},
		{"strange mark", admin, "POST", "/qos/policies/ID/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":1}}`, 400, "HTTPBadRequest", "dscp_mark"},
		{"second mark", admin, "POST", "/qos/policies/ID/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":8}}`, 409, "QoSRulesConflict", "dscp_marking"},
		{"no minimum", admin, "POST", "/qos/policies/ID/minimum_bandwidth_rules", `{"minimum_bandwidth_rule":{"direction":"egress"}}`, 400, "HTTPBadRequest", "min_kbps"},
		{"minimum of what comes in", admin, "POST", "/qos/policies/ID/minimum_bandwidth_rules", `{"minimum_bandwidth_rule":{"min_kbps":1,"direction":"ingress"}}`, 400, "HTTPBadRequest", "direction"},
		{"minimum above the limit", admin, "POST", "/qos/policies/ID/minimum_bandwidth_rules", `{"minimum_bandwidth_rule":{"min_kbps":1001}}`, 409, "QoSRuleParameterConflict", "1000"},
		{"rule of no policy", admin, "POST", "/qos/policies/NOBODY/dscp_marking_rules", `{"dscp_marking_rule":{"dscp_mark":8}}`, 404, "QosPolicyNotFound", nobody},
		{"no such rule", admin, "GET", "/qos/alias_dscp_marking_rules/NOBODY", ``, 404, "QosRuleNotFound", nobody},
		{"network with another's policy", demo, "POST", "/networks", `{"network":{"qos_policy_id":"HIDDEN"}}`, 404, "QosPolicyNotFound", hidden},
		{"port with another's policy", demo, "POST", "/ports", `{"port":{"network_id":"NET","qos_policy_id":"HIDDEN"}}`, 404, "QosPolicyNotFound", hidden},
		{"policy of a strange form", demo, "POST", "/ports", `{"port":{"network_id":"NET","qos_policy_id":"gold"}}`, 400, "HTTPBadRequest", "qos_policy_id"},
		{"network changed to nobody's", demo, "PUT", "/networks/NET", `{"network":{"qos_policy_id":"NOBODY"}}`, 404, "QosPolicyNotFound", nobody},
	} {
		fill := strings.NewReplacer("ID/", id+"/", "HIDDEN", hidden, "NET", net, "NOBODY", nobody)
		t.Run(test.name, func(t *testing.T) {
			c.call(t, test.token, test.method, fill.Replace(test.path), fill.Replace(test.body)).refused(test.status, test.kind, test.message)
		})
	}
}
