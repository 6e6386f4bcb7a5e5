package api_test

import (
	"strings"
	"testing"
)

// TestBadInput sends what makes no sense, and expects Neutron's error for it and
// nothing half-made.
func TestBadInput(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.settle(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/29") // .1 gateway, .2 metadata, .3 to .6 free
	foreign, foreignSubnet := c.tenant(t, other, "10.7.0.0/24")
	public := c.find(t, "networks", "public").text("id")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.5"}]}`).text("id")
	mac := c.call(t, demo, "GET", "/ports/"+port, "").one("port").text("mac_address")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g"}`).text("id")
	foreignGroup := c.make(t, other, "security-groups", "security_group", `{"name":"g"}`).text("id")
	router := c.make(t, demo, "routers", "router", `{"name":"r"}`).text("id")
	long := strings.Repeat("x", 256)
	nobody := "00000000-1111-4222-8333-444444444444"
	fill := strings.NewReplacer("NET", net, "SUBNET_OF_OTHER", foreignSubnet, "SUBNET", subnet, "FOREIGN", foreign, "PUBLIC", public,
		"PORT", port, "MAC", mac, "OTHERS_GROUP", foreignGroup, "GROUP", group, "ROUTER", router, "LONG", long, "NOBODY", nobody)

	networks := len(c.call(t, demo, "GET", "/networks", "").many("networks"))
	ports := len(c.call(t, demo, "GET", "/ports", "").many("ports"))

	for _, test := range []struct {
		name, method, path, body string
		status                   int
		kind, message            string
	}{
		{"not JSON", "POST", "/networks", `{"network":`, 400, "HTTPBadRequest", ""},
		{"nothing to make", "POST", "/networks", `{}`, 400, "HTTPBadRequest", "Unable to find 'network' in request body"},
		{"wrong type", "POST", "/networks", `{"network":{"name":5}}`, 400, "HTTPBadRequest", "name"},
		{"unknown attribute", "POST", "/networks", `{"network":{"nmae":"x"}}`, 400, "HTTPBadRequest", "Unrecognized attribute(s) 'nmae'"},
		{"long name", "POST", "/networks", `{"network":{"name":"LONG"}}`, 400, "HTTPBadRequest", "name"},
		{"not a truth value", "POST", "/networks", `{"network":{"admin_state_up":"perhaps"}}`, 400, "HTTPBadRequest", "admin_state_up"},
		{"shared by a member", "POST", "/networks", `{"network":{"shared":true}}`, 403, "PolicyNotAuthorized", "create_network:shared"},
		{"external by a member", "POST", "/networks", `{"network":{"router:external":true}}`, 403, "PolicyNotAuthorized", "create_network:router:external"},
		{"provider by a member", "POST", "/networks", `{"network":{"provider:network_type":"flat"}}`, 403, "PolicyNotAuthorized", "provider:network_type"},
		{"for another project", "POST", "/networks", `{"network":{"project_id":"other"}}`, 400, "HTTPBadRequest", "requires admin privileges"},
		{"MTU too big", "POST", "/networks", `{"network":{"mtu":9000}}`, 400, "InvalidInput", "MTU is too big"},
		{"no such zone", "POST", "/networks", `{"network":{"availability_zone_hints":["mars"]}}`, 404, "AvailabilityZoneNotFound", "mars"},
		{"one of many is wrong", "POST", "/networks", `{"networks":[{"name":"fine"},{"mtu":9000}]}`, 400, "InvalidInput", ""},
		{"unknown network", "GET", "/networks/NOBODY", ``, 404, "NetworkNotFound", "could not be found"},
		{"foreign network", "GET", "/networks/FOREIGN", ``, 404, "NetworkNotFound", "could not be found"},
		{"foreign network changed", "PUT", "/networks/FOREIGN", `{"network":{"name":"mine"}}`, 404, "NetworkNotFound", ""},
		{"external network changed", "PUT", "/networks/PUBLIC", `{"network":{"name":"mine"}}`, 403, "PolicyNotAuthorized", "update_network"},
		{"external network deleted", "DELETE", "/networks/PUBLIC", ``, 403, "PolicyNotAuthorized", "delete_network"},

		{"no network", "POST", "/subnets", `{"subnet":{"cidr":"10.0.0.0/24"}}`, 400, "HTTPBadRequest", "network_id"},
		{"subnet on a foreign network", "POST", "/subnets", `{"subnet":{"network_id":"FOREIGN","ip_version":4,"cidr":"10.1.0.0/24"}}`, 404, "NetworkNotFound", ""},
		{"subnet on the external network", "POST", "/subnets", `{"subnet":{"network_id":"PUBLIC","ip_version":4,"cidr":"10.1.0.0/24"}}`, 403, "PolicyNotAuthorized", "create_subnet"},
		{"no range", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4}}`, 400, "BadRequest", "a subnetpool must be specified"},
		{"no such range", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.300.0.0/24"}}`, 400, "HTTPBadRequest", "is not a valid IP subnet"},
		{"host bits", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.5/24"}}`, 400, "HTTPBadRequest", "'10.1.0.0/24' is recommended"},
		{"wrong version", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":6,"cidr":"10.1.0.0/24"}}`, 400, "InvalidInput", "IPv6"},
		{"overlap", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.9.0.0/16"}}`, 400, "InvalidInput", "overlaps with another subnet"},
		{"gateway outside", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","gateway_ip":"10.2.0.1"}}`, 400, "InvalidInput", "Gateway is not valid on subnet"},
		{"overlapping pools", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","allocation_pools":[{"start":"10.1.0.10","end":"10.1.0.20"},{"start":"10.1.0.15","end":"10.1.0.30"}]}}`, 409, "OverlappingAllocationPools", "10.1.0.10-10.1.0.20"},
		{"pool outside", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","allocation_pools":[{"start":"10.1.0.10","end":"10.1.1.20"}]}}`, 400, "OutOfBoundsAllocationPool", "spans beyond"},
		{"pool backwards", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","allocation_pools":[{"start":"10.1.0.20","end":"10.1.0.10"}]}}`, 400, "InvalidAllocationPool", "is not valid"},
		{"gateway in a pool", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","gateway_ip":"10.1.0.15","allocation_pools":[{"start":"10.1.0.10","end":"10.1.0.20"}]}}`, 409, "GatewayConflictWithAllocationPools", "10.1.0.15"},
		{"name server", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","dns_nameservers":["eight"]}}`, 400, "HTTPBadRequest", "is not a valid nameserver"},
		{"host route", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","host_routes":[{"destination":"10.0.0.0/8","nexthop":"::1"}]}}`, 400, "HTTPBadRequest", "is not a valid IP address"},
		{"too small for DHCP", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.1/32"}}`, 400, "InvalidInput", "incompatible with DHCP"},
		{"IPv6 mode for IPv4", "POST", "/subnets", `{"subnet":{"network_id":"NET","ip_version":4,"cidr":"10.1.0.0/24","ipv6_ra_mode":"slaac"}}`, 400, "InvalidInput", "ip_version is 4"},
		{"subnet in use", "DELETE", "/subnets/SUBNET", ``, 409, "SubnetInUse", "One or more ports"},

		{"port on a foreign network", "POST", "/ports", `{"port":{"network_id":"FOREIGN"}}`, 404, "NetworkNotFound", ""},
		{"address taken", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"ip_address":"10.9.0.5"}]}}`, 409, "IpAddressAlreadyAllocated", "10.9.0.5 already allocated"},
		{"address outside", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"ip_address":"10.9.0.99"}]}}`, 400, "InvalidIpForNetwork", "not a valid IP for any of the subnets"},
		{"address not in the subnet", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"subnet_id":"SUBNET","ip_address":"10.8.0.9"}]}}`, 400, "InvalidIpForSubnet", "10.8.0.9"},
		{"broadcast address", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"ip_address":"10.9.0.7"}]}}`, 400, "InvalidIpForSubnet", ""},
		{"foreign subnet", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"subnet_id":"SUBNET_OF_OTHER"}]}}`, 400, "InvalidInput", "included invalid subnet"},
		{"no address at all", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"ip_address":"nine"}]}}`, 400, "HTTPBadRequest", "is not a valid IP address"},
		{"MAC taken", "POST", "/ports", `{"port":{"network_id":"NET","mac_address":"MAC"}}`, 409, "MacAddressInUse", "is in use"},
		{"no MAC", "POST", "/ports", `{"port":{"network_id":"NET","mac_address":"01:00"}}`, 400, "HTTPBadRequest", "'01:00' is not a valid"},
		{"unknown group", "POST", "/ports", `{"port":{"network_id":"NET","security_groups":["NOBODY"]}}`, 404, "SecurityGroupNotFound", "does not exist"},
		{"foreign group", "POST", "/ports", `{"port":{"network_id":"NET","security_groups":["OTHERS_GROUP"]}}`, 404, "SecurityGroupNotFound", "does not exist"},
		{"groups without protection", "POST", "/ports", `{"port":{"network_id":"NET","port_security_enabled":false,"security_groups":["GROUP"]}}`, 400, "PortSecurityAndIPRequiredForSecurityGroups", ""},
		{"pairs without protection", "POST", "/ports", `{"port":{"network_id":"NET","port_security_enabled":false,"allowed_address_pairs":[{"ip_address":"10.9.0.4"}]}}`, 409, "AddressPairAndPortSecurityRequired", ""},
		{"protection off with groups", "PUT", "/ports/PORT", `{"port":{"port_security_enabled":false}}`, 409, "PortSecurityPortHasSecurityGroup", ""},
		{"host by a member", "POST", "/ports", `{"port":{"network_id":"NET","binding:host_id":"node-1"}}`, 403, "PolicyNotAuthorized", "create_port:binding:host_id"},
		{"too many addresses", "POST", "/ports", `{"port":{"network_id":"NET","fixed_ips":[{"subnet_id":"SUBNET"},{"subnet_id":"SUBNET"},{"subnet_id":"SUBNET"},{"subnet_id":"SUBNET"},{"subnet_id":"SUBNET"},{"subnet_id":"SUBNET"}]}}`, 400, "InvalidInput", "Exceeded maximum amount"},

		{"second default group", "POST", "/security-groups", `{"security_group":{"name":"default"}}`, 409, "SecurityGroupDefaultAlreadyExists", ""},
		{"rule for a foreign group", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"OTHERS_GROUP","direction":"ingress"}}`, 404, "SecurityGroupNotFound", ""},
		{"foreign remote group", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","remote_group_id":"OTHERS_GROUP"}}`, 404, "SecurityGroupNotFound", ""},
		{"no direction", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP"}}`, 400, "HTTPBadRequest", "direction"},
		{"ports without protocol", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","port_range_min":1,"port_range_max":2}}`, 400, "SecurityGroupProtocolRequiredWithPorts", ""},
		{"ports backwards", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","protocol":"tcp","port_range_min":5,"port_range_max":2}}`, 400, "SecurityGroupInvalidPortRange", ""},
		{"no such protocol", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","protocol":"smtp"}}`, 400, "SecurityGroupRuleInvalidProtocol", "smtp not supported"},
		{"ICMP code alone", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","protocol":"icmp","port_range_max":2}}`, 400, "SecurityGroupMissingIcmpType", ""},
		{"versions mixed", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","ethertype":"IPv6","remote_ip_prefix":"10.0.0.0/8"}}`, 400, "SecurityGroupRuleParameterConflict", ""},
		{"two remotes", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"ingress","remote_group_id":"GROUP","remote_ip_prefix":"10.0.0.0/8"}}`, 400, "SecurityGroupMultipleRemoteEntites", ""},
		{"the same rule", "POST", "/security-group-rules", `{"security_group_rule":{"security_group_id":"GROUP","direction":"egress"}}`, 409, "SecurityGroupRuleExists", "already exists"},

		{"gateway not external", "POST", "/routers", `{"router":{"external_gateway_info":{"network_id":"NET"}}}`, 400, "BadRequest", "is not an external network"},
		{"gateway nowhere", "POST", "/routers", `{"router":{"external_gateway_info":{"network_id":"NOBODY"}}}`, 404, "NetworkNotFound", ""},
		{"translation by a member", "POST", "/routers", `{"router":{"external_gateway_info":{"network_id":"PUBLIC","enable_snat":false}}}`, 403, "PolicyNotAuthorized", "enable_snat"},
		{"interface to nothing", "PUT", "/routers/ROUTER/add_router_interface", `{}`, 400, "BadRequest", "Either subnet_id or port_id"},
		{"interface to a foreign subnet", "PUT", "/routers/ROUTER/add_router_interface", `{"subnet_id":"SUBNET_OF_OTHER"}`, 404, "SubnetNotFound", ""},
		{"no such interface", "PUT", "/routers/ROUTER/remove_router_interface", `{"subnet_id":"SUBNET"}`, 404, "RouterInterfaceNotFoundForSubnet", ""},

		{"floating IP of an inner network", "POST", "/floatingips", `{"floatingip":{"floating_network_id":"NET"}}`, 400, "BadRequest", "is not a valid external network"},
		{"floating IP without a way", "POST", "/floatingips", `{"floatingip":{"floating_network_id":"PUBLIC","port_id":"PORT"}}`, 404, "ExternalGatewayForFloatingIPNotFound", "is not reachable from subnet"},
		{"chosen floating IP by a member", "POST", "/floatingips", `{"floatingip":{"floating_network_id":"PUBLIC","floating_ip_address":"172.24.4.50"}}`, 403, "PolicyNotAuthorized", "floating_ip_address"},

		{"quota by a member", "PUT", "/quotas/demo", `{"quota":{"network":1000}}`, 403, "PolicyNotAuthorized", "update_quota"},
		{"foreign quota", "GET", "/quotas/other", ``, 403, "PolicyNotAuthorized", "get_quota"},
		{"sorted by nothing", "GET", "/networks?sort_key=colour", ``, 400, "HTTPBadRequest", "colour"},
		{"negative limit", "GET", "/networks?limit=-1", ``, 400, "HTTPBadRequest", "limit"},
		{"marker that is not there", "GET", "/networks?limit=1&marker=NOBODY", ``, 404, "NetworkNotFound", ""},
		{"no such tag", "DELETE", "/networks/NET/tags/red", ``, 404, "TagNotFound", "red"},
		{"tags of nothing", "GET", "/quotas/NET/tags", ``, 404, "HTTPNotFound", ""},
		{"no such path", "GET", "/nothing", ``, 404, "HTTPNotFound", ""},
		{"no such method", "PATCH", "/networks", ``, 405, "HTTPMethodNotAllowed", ""},
	} {
		c.call(t, demo, test.method, fill.Replace(test.path), fill.Replace(test.body)).refused(test.status, test.kind, fill.Replace(test.message))
	}

	if n := len(c.call(t, demo, "GET", "/networks", "").many("networks")); n != networks {
		t.Errorf("there are %d networks, want %d as before", n, networks)
	}
	if n := len(c.call(t, demo, "GET", "/ports", "").many("ports")); n != ports {
		t.Errorf("there are %d ports, want %d as before", n, ports)
	}

	// The subnet has .3, .4 and .6 left.
	for range 3 {
		c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`)
	}
	c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`"}}`).
		refused(409, "IpAddressGenerationFailure", "No more IP addresses available on network")

	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":2,"nonsense":1}}`).refused(400, "HTTPBadRequest", "nonsense")
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"network":2}}`).want(200)
	c.call(t, demo, "POST", "/networks", `{"network":{}}`).refused(409, "OverQuota", "Quota exceeded for resources: ['network'].")
	c.call(t, admin, "DELETE", "/quotas/demo", "").want(204)
	c.call(t, admin, "DELETE", "/quotas/demo", "").refused(404, "TenantQuotaNotFound", "demo")
	c.call(t, "nonsense", "GET", "/networks", "").want(401)
}

func TestAdminsBadInput(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, test := range []struct {
		name, body string
		status     int
		kind       string
	}{
		{"flat twice", `{"provider:network_type":"flat","provider:physical_network":"public"}`, 409, "FlatNetworkInUse"},
		{"unknown wire", `{"provider:network_type":"flat","provider:physical_network":"moon"}`, 400, "InvalidInput"},
		{"no wire", `{"provider:network_type":"flat"}`, 400, "InvalidInput"},
		{"VLAN out of range", `{"provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":5000}`, 400, "InvalidInput"},
		{"unknown type", `{"provider:network_type":"token-ring"}`, 400, "InvalidInput"},
	} {
		c.call(t, admin, "POST", "/networks", `{"network":`+test.body+`}`).refused(test.status, test.kind, "")
	}
	vlan := `{"provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":100}`
	c.make(t, admin, "networks", "network", vlan)
	c.call(t, admin, "POST", "/networks", `{"network":`+vlan+`}`).refused(409, "VlanIdInUse", "100")
}
