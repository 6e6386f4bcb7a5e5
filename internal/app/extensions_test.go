package app_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// comesWith says which extension of Neutron the calls below a path are of, "" for
// what every Neutron has; the first pattern that matches decides.
var comesWith = []struct{ path, alias string }{
	{`/bgp-drinstances|/bgp-dragents`, "bgp_dragent_scheduler"},
	{`^/bgp-`, "bgp"},
	{`^/bgpvpn/`, "bgpvpn"},
	{`/dhcp-networks|/dhcp-agents`, "dhcp_agent_scheduler"},
	{`/l3-routers|/l3-agents`, "l3_agent_scheduler"},
	{`^/flavors|^/service_profiles`, "flavors"},
	{`^/fwaas/`, "fwaas_v2"},
	{`/conntrack_helpers`, "l3-conntrack-helper"},
	{`^/local_ips`, "local_ip"},
	{`^/log/`, "logging"},
	{`^/metering/`, "metering"},
	{`^/network_segment_ranges`, "network-segment-range"},
	{`^/ndp_proxies`, "l3-ndp-proxy"},
	{`_external_gateways$`, "external-gateway-multihoming"},
	{`^/segments`, "segment"},
	{`^/sfc/flow_classifiers`, "flow_classifier"},
	{`^/sfc/`, "sfc"},
	{`^/taas/tap_mirrors`, "tap-mirror"},
	{`^/taas/`, "taas"},
	{`^/vpn/endpoint-groups`, "vpn-endpoint-groups"},
	{`^/vpn/`, "vpnaas"},
	{`^/address-groups`, "address-group"},
	{`^/address-scopes`, "address-scope"},
	{`^/agents`, "agent"},
	{`^/auto-allocated-topology`, "auto-allocated-topology"},
	{`^/availability_zones`, "availability_zone"},
	{`/port_forwardings`, "floating-ip-port-forwarding"},
	{`^/floatingip_pools`, "floatingip-pools"},
	{`_extraroutes$`, "extraroute-atomic"},
	{`^/floatingips|^/routers`, "router"},
	{`^/network-ip-availabilities`, "network-ip-availability"},
	{`/bindings`, "binding-extended"},
	{`_allowed_address_pairs$`, "allowed-address-pairs"},
	{`^/qos/rule-types/{}$`, "qos-rule-type-details"},
	{`^/qos/alias_minimum_packet_rate_rules`, "qos-pps-minimum-rule-alias"},
	{`/minimum_packet_rate_rules`, "qos-pps-minimum"},
	{`/packet_rate_limit_rules`, "qos-pps"},
	{`^/qos/alias_`, "qos-rules-alias"},
	{`^/qos/`, "qos"},
	{`^/quotas/{}/details`, "quota_details"},
	{`^/quotas`, "quotas"},
	{`^/rbac-policies`, "rbac-policies"},
	{`^/default-security-group-rules`, "security-groups-default-rules"},
	{`^/security-groups-default-statefulness`, "security-groups-default-statefulness"},
	{`^/security-group`, "security-group"},
	{`^/service-providers`, "service-type"},
	{`/onboard_network_subnets$`, "subnet_onboard"},
	{`_prefixes$`, "subnetpool-prefix-ops"},
	{`^/subnetpools`, "subnet_allocation"},
	{`^/{}/{}/tags`, "standard-attr-tag"},
	{`^/trunks`, "trunk"},
	{`^$|^/extensions|^/networks|^/subnets|^/ports`, ""},
}

// The network service has the calls of Neutron's core and of the extensions that
// it lists, each of them and no other; and it lists no extension of its own.
func TestExtensionsAreWhole(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/neutron-extensions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, line := range strings.Split(string(content), "\n") {
		alias, _, _ := strings.Cut(line, "\t")
		known[alias] = true
	}
	cloud := testcloud.Start(t)
	var reply struct {
		Extensions []struct{ Alias string }
	}
	cloud.Demo().Must(t, 200, "GET", "/network/v2.0/extensions", nil).JSON(t, &reply)
	listed := map[string]bool{"": true}
	for _, e := range reply.Extensions {
		listed[e.Alias] = true
		if !known[e.Alias] {
			t.Errorf("extension %s is not one of Neutron's", e.Alias)
		}
	}
	routes := map[string]bool{}
	for _, s := range cloud.App.Services() {
		for _, r := range s.Routes {
			routes[rowOf(s, r)] = true
		}
	}
	rows := 0
	for _, o := range operations(t) {
		path := strings.TrimPrefix(unnamed(o.path), "/v2.0")
		if o.service != "neutron" {
			continue
		}
		alias, found := extensionOf(path)
		switch {
		case !found:
			t.Errorf("nobody says which extension %s %s comes with", o.method, o.path)
		case alias != "" && !known[alias]:
			t.Errorf("%s %s is said to come with %s, which is not one of Neutron's", o.method, o.path, alias)
		case listed[alias] && !routes[o.key()]:
			t.Errorf("%s %s of extension %q has no route", o.method, o.path, alias)
		case !listed[alias] && routes[o.key()]:
			t.Errorf("%s %s comes with %s, which is not listed", o.method, o.path, alias)
		case listed[alias]:
			rows++
		}
	}
	t.Logf("%d calls of the core and of %d extensions", rows, len(reply.Extensions))
}

func extensionOf(path string) (alias string, found bool) {
	for _, row := range comesWith {
		if regexp.MustCompile(row.path).MatchString(path) {
			return row.alias, true
		}
	}
	return "", false
}
