package api_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	networkapi "nacre/internal/network/api"
)

// proofs say why an extension is offered: calls that it adds (a method and a
// path), attributes that it adds to what a call shows (network.mtu), filters
// (networks?mtu=1), or the test that shows the behaviour.
var proofs = map[string][]string{
	"aap-reject-multicast":                        {"TestBadPortAttributes"},
	"address-group":                               {"POST /v2.0/address-groups", "PUT /v2.0/address-groups/{address_group_id}/add_addresses", "address_group.addresses"},
	"address-scope":                               {"POST /v2.0/address-scopes", "network.ipv4_address_scope", "subnetpool.address_scope_id"},
	"agent":                                       {"GET /v2.0/agents", "PUT /v2.0/agents/{agent_id}", "DELETE /v2.0/agents/{agent_id}"},
	"allowed-address-pairs":                       {"port.allowed_address_pairs", "PUT /v2.0/ports/{port_id}/add_allowed_address_pairs"},
	"auto-allocated-topology":                     {"GET /v2.0/auto-allocated-topology/{project_id}", "TestTopologyInOneCall"},
	"availability_zone":                           {"GET /v2.0/availability_zones"},
	"availability_zone_filter":                    {"availability_zones?state=available", "availability_zones?resource=network", "availability_zones?name=nova"},
	"binding":                                     {"port.binding:vif_type", "port.binding:host_id", "port.binding:vnic_type"},
	"binding-extended":                            {"POST /v2.0/ports/{port_id}/bindings", "PUT /v2.0/ports/{port_id}/bindings/{host}/activate"},
	"default-subnetpools":                         {"subnetpool.is_default", "TestSubnetsFromAPool"},
	"dns-domain-ports":                            {"port.dns_domain", "ports?dns_domain=a."},
	"dns-integration":                             {"port.dns_name", "port.dns_assignment", "network.dns_domain", "floatingip.dns_name"},
	"empty-string-filtering":                      {"ports?device_id="},
	"expose-port-forwarding-in-fip":               {"floatingip.port_forwardings"},
	"ext-gw-mode":                                 {"router.external_gateway_info", "TestBadInput"},
	"external-net":                                {"network.router:external", "networks?router:external=true"},
	"extra_dhcp_opt":                              {"port.extra_dhcp_opts", "TestPortOptionsAndNames"},
	"extraroute":                                  {"router.routes"},
	"extraroute-atomic":                           {"PUT /v2.0/routers/{router_id}/add_extraroutes", "PUT /v2.0/routers/{router_id}/remove_extraroutes"},
	"filter-validation":                           {"TestUnknownFilters"},
	"fip-port-details":                            {"floatingip.port_details"},
	"floating-ip-port-forwarding":                 {"POST /v2.0/floatingips/{floatingip_id}/port_forwardings"},
	"floating-ip-port-forwarding-description":     {"POST /v2.0/floatingips/{floatingip_id}/port_forwardings"},
	"floating-ip-port-forwarding-detail":          {"floatingip.port_forwardings"},
	"floating-ip-port-forwarding-port-ranges":     {"POST /v2.0/floatingips/{floatingip_id}/port_forwardings"},
	"floatingip-pools":                            {"GET /v2.0/floatingip_pools"},
	"ip-substring-filtering":                      {"ports?fixed_ips=ip_address_substr%3D10."},
	"net-mtu":                                     {"network.mtu", "networks?mtu=1442"},
	"net-mtu-writable":                            {"network.mtu"},
	"network-ip-availability":                     {"GET /v2.0/network-ip-availabilities/{network_id}", "network-ip-availabilities?ip_version=4", "network-ip-availabilities?network_name=n"},
	"network_availability_zone":                   {"network.availability_zones", "network.availability_zone_hints"},
	"pagination":                                  {"networks?limit=1", "networks?page_reverse=true"},
	"port-mac-address-regenerate":                 {"TestPortOptionsAndNames"},
	"port-security":                               {"port.port_security_enabled", "network.port_security_enabled"},
	"port-security-groups-filtering":              {"ports?security_groups=x"},
	"project-id":                                  {"network.project_id", "networks?project_id=x"},
	"provider":                                    {"network.provider:network_type", "network.provider:physical_network", "network.provider:segmentation_id"},
	"qos":                                         {"POST /v2.0/qos/policies", "port.qos_policy_id", "network.qos_policy_id"},
	"qos-bw-limit-direction":                      {"POST /v2.0/qos/policies/{policy_id}/bandwidth_limit_rules"},
	"qos-default":                                 {"qos/policies?is_default=true"},
	"qos-fip":                                     {"floatingip.qos_policy_id"},
	"qos-fip-network-policy":                      {"floatingip.qos_network_policy_id"},
	"qos-gateway-ip":                              {"router.external_gateway_info"},
	"qos-port-network-policy":                     {"port.qos_network_policy_id"},
	"qos-rule-type-details":                       {"GET /v2.0/qos/rule-types/{rule_type}"},
	"qos-rule-type-filter":                        {"qos/rule-types?all_rules=true"},
	"qos-rules-alias":                             {"GET /v2.0/qos/alias_bandwidth_limit_rules/{rule_id}", "TestMinimumBandwidth"},
	"quota-check-limit":                           {"TestQuotaBelowUsage"},
	"quota_details":                               {"GET /v2.0/quotas/{project_id}/details"},
	"quotas":                                      {"GET /v2.0/quotas/{project_id}", "GET /v2.0/quotas/{project_id}/default"},
	"rbac-address-group":                          {"TestSharingEveryKind", "address-groups?shared=true"},
	"rbac-address-scope":                          {"TestSharingEveryKind", "address-scopes?shared=true"},
	"rbac-policies":                               {"POST /v2.0/rbac-policies", "TestSharingWithOneProject", "TestSharingAsExternal"},
	"rbac-security-groups":                        {"TestSharingEveryKind", "security_group.shared"},
	"rbac-subnetpool":                             {"TestSharingEveryKind", "subnetpool.shared"},
	"revision-if-match":                           {"TestChangesOnCondition"},
	"router":                                      {"POST /v2.0/routers", "POST /v2.0/floatingips"},
	"router_availability_zone":                    {"router.availability_zones", "router.availability_zone_hints"},
	"security-group":                              {"POST /v2.0/security-groups", "POST /v2.0/security-group-rules", "port.security_groups"},
	"security-groups-default-rules":               {"POST /v2.0/default-security-group-rules", "TestDefaultRules"},
	"security-groups-default-statefulness":        {"POST /v2.0/security-groups-default-statefulness", "TestStatefulness"},
	"security-groups-normalized-cidr":             {"security_group_rule.normalized_cidr"},
	"security-groups-remote-address-group":        {"security_group_rule.remote_address_group_id", "TestAddressGroups"},
	"security-groups-rules-belongs-to-default-sg": {"security_group_rule.belongs_to_default_sg", "security-group-rules?belongs_to_default_sg=true"},
	"security-groups-shared-filtering":            {"security-groups?shared=true"},
	"service-type":                                {"GET /v2.0/service-providers", "service-providers?service_type=L3_ROUTER_NAT"},
	"sort-key-validation":                         {"TestBadInput"},
	"sorting":                                     {"networks?sort_key=name&sort_dir=desc"},
	"standard-attr-description":                   {"network.description", "subnet.description", "port.description", "router.description", "floatingip.description", "security_group.description"},
	"standard-attr-revisions":                     {"network.revision_number", "subnet.revision_number", "port.revision_number", "router.revision_number", "floatingip.revision_number", "security_group.revision_number"},
	"standard-attr-tag":                           {"network.tags", "subnet.tags", "port.tags", "router.tags", "floatingip.tags", "security_group.tags", "subnetpool.tags", "networks?not-tags-any=a"},
	"standard-attr-timestamp":                     {"network.created_at", "subnet.updated_at", "networks?changed_since=2026-01-01T00:00:00Z"},
	"stateful-security-group":                     {"security_group.stateful"},
	"subnet-service-types":                        {"subnet.service_types"},
	"subnet_allocation":                           {"POST /v2.0/subnetpools", "subnet.subnetpool_id"},
	"subnet_onboard":                              {"PUT /v2.0/subnetpools/{subnetpool_id}/onboard_network_subnets"},
	"subnetpool-prefix-ops":                       {"PUT /v2.0/subnetpools/{subnetpool_id}/add_prefixes", "PUT /v2.0/subnetpools/{subnetpool_id}/remove_prefixes"},
	"tag-creation":                                {"POST /v2.0/{resource_type}/{resource_id}/tags"},
	"tag-ports-during-bulk-creation":              {"TestTagsTogether"},
	"trunk":                                       {"POST /v2.0/trunks", "PUT /v2.0/trunks/{trunk_id}/add_subports"},
	"trunk-details":                               {"TestTrunk"},
}

// Every extension in the list works, and every call that some extension adds has
// its extension in the list.
func TestExtensionsAreTrue(t *testing.T) {
	t.Parallel()
	c := start(t)
	routes := map[string]bool{}
	for _, r := range networkapi.New(c.net).Routes {
		routes[r.Method+" "+r.Path] = true
	}
	shown := c.everything(t)
	tests := testNames(t)
	proven := map[string]bool{}
	var offered []string
	for _, e := range c.call(t, demo, "GET", "/extensions", "").want(200).many("extensions") {
		alias := e.text("alias")
		offered = append(offered, alias)
		if len(proofs[alias]) == 0 {
			t.Errorf("%s is offered without proof", alias)
		}
		if e.text("name") == "" || e.text("description") == "" || e.text("updated") == "" {
			t.Errorf("%s says nothing about itself: %v", alias, e)
		}
		for _, proof := range proofs[alias] {
			switch resource, attribute, _ := strings.Cut(proof, "."); {
			case strings.Contains(proof, " /"):
				proven[proof] = true
				if !routes[proof] {
					t.Errorf("%s: there is no %s", alias, proof)
				}
			case strings.HasPrefix(proof, "Test"):
				if !slices.ContainsFunc(tests, func(name string) bool { return strings.HasPrefix(name, proof) }) {
					t.Errorf("%s: there is no %s", alias, proof)
				}
			case strings.Contains(proof, "?"):
				c.call(t, admin, "GET", "/"+proof, "").want(200)
			default:
				_, has := shown[resource][attribute]
				if !has {
					t.Errorf("%s: a %s does not show %s", alias, resource, attribute)
				}
			}
		}
	}
	if !slices.IsSorted(offered) {
		t.Error("the list is not in order")
	}
	for alias := range proofs {
		if !slices.Contains(offered, alias) {
			t.Errorf("%s is proven and not offered", alias)
		}
	}
	// Collections that come with an extension, besides those of Neutron's core.
	core := []string{"extensions", "networks", "subnets", "ports"}
	for route := range routes {
		_, path, _ := strings.Cut(route, " /v2.0/")
		if !strings.HasPrefix(route, "POST ") || strings.Contains(path, "{") || slices.Contains(core, path) {
			continue
		}
		if !proven[route] {
			t.Errorf("%s comes with no extension in the list", route)
		}
	}
}

// everything makes one of each resource, and returns what an admin sees of them.
func (c *cloud) everything(t *testing.T) map[string]object {
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	public := c.find(t, "networks", "public").text("id")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g"}`).text("id")
	rule := c.make(t, demo, "security-group-rules", "security_group_rule", `{"security_group_id":"`+group+`","direction":"ingress"}`).text("id")
	shown := map[string]object{}
	for kind, path := range map[string]string{
		"network": "/networks/" + net, "subnet": "/subnets/" + subnet,
		"port":                "/ports/" + c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id"),
		"router":              "/routers/" + c.make(t, demo, "routers", "router", `{}`).text("id"),
		"floatingip":          "/floatingips/" + c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`"}`).text("id"),
		"security_group":      "/security-groups/" + group,
		"security_group_rule": "/security-group-rules/" + rule,
		"subnetpool":          "/subnetpools/" + c.make(t, demo, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/8"]}`).text("id"),
		"address_group":       "/address-groups/" + c.make(t, demo, "address-groups", "address_group", `{}`).text("id"),
	} {
		shown[kind] = c.call(t, admin, "GET", path, "").want(200).one(kind)
	}
	return shown
}

// testNames are the tests of this package.
func testNames(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// A list refuses a filter that it does not have.
func TestUnknownFilters(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, path := range []string{
		"networks", "subnets", "ports", "routers", "floatingips", "security-groups", "security-group-rules", "subnetpools", "address-scopes",
		"address-groups", "rbac-policies", "agents", "availability_zones", "floatingip_pools", "network-ip-availabilities", "qos/policies", "trunks",
		"default-security-group-rules", "security-groups-default-statefulness",
	} {
		c.call(t, admin, "GET", "/"+path+"?colour=red", "").refused(400, "HTTPBadRequest", "['colour'] is invalid attribute for filtering")
	}
}

func TestQuotaBelowUsage(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.tenant(t, demo, "10.9.0.0/24")
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":1,"check_limit":true}}`).refused(400, "QuotaLimitLowerThanUsage", "network")
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":2,"check_limit":true}}`).want(200)
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":1,"force":true}}`).want(200)
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":"many"}}`).refused(400, "HTTPBadRequest", "network")
}

func TestAgentsAreWhatOperatorsSay(t *testing.T) {
	t.Parallel()
	c := start(t)
	heard := c.listen(t)
	path := "/agents/agent-1"
	c.call(t, demo, "PUT", path, `{"agent":{"admin_state_up":false}}`).refused(403, "PolicyNotAuthorized", "update_agent")
	a := c.call(t, admin, "PUT", path, `{"agent":{"admin_state_up":false,"description":"to be mended"}}`).want(200).one("agent")
	if a["admin_state_up"] != false || a.text("description") != "to be mended" {
		t.Errorf("agent is %v", a)
	}
	if found := c.call(t, admin, "GET", "/agents?admin_state_up=false", "").want(200).many("agents"); len(found) != 1 {
		t.Errorf("%d agents are down, want 1", len(found))
	}
	c.call(t, admin, "DELETE", path, "").refused(409, "AgentInUse", "alive")
	c.call(t, admin, "DELETE", "/agents/nobody", "").refused(404, "AgentNotFound", "nobody")
	wantKinds(t, heard(), "agent.update.end")
}
