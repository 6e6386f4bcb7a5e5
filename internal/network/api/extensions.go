package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
)

type extensionView struct {
	Alias       string   `json:"alias"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Updated     string   `json:"updated"`
	Links       []string `json:"links"`
}

// offered are the extensions that work here. Clients take one in the list as a
// promise.
var offered = []extensionView{
	{Alias: "aap-reject-multicast", Name: "Reject multicast in allowed address pairs", Description: "Multicast addresses are nobody's to use", Updated: "2025-03-01T10:00:00-00:00"},
	{Alias: "address-group", Name: "Address Group", Description: "Named sets of address ranges", Updated: "2020-07-15T10:00:00-00:00"},
	{Alias: "address-scope", Name: "Address scope", Description: "Spaces without overlapping subnet pools", Updated: "2015-07-26T10:00:00-00:00"},
	{Alias: "agent", Name: "agent", Description: "What carries the network on each host", Updated: "2013-02-03T10:00:00-00:00"},
	{Alias: "allowed-address-pairs", Name: "Allowed Address Pairs", Description: "Further addresses that a port may use", Updated: "2013-07-23T10:00:00-00:00"},
	{Alias: "auto-allocated-topology", Name: "Auto Allocated Topology Services", Description: "A network that leads out of the cloud in one call", Updated: "2016-01-01T00:00:00-00:00"},
	{Alias: "availability_zone", Name: "Availability Zone", Description: "Lists availability zones", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "availability_zone_filter", Name: "Availability Zone Filter Extension", Description: "Finds availability zones by attributes", Updated: "2018-06-22T10:00:00-00:00"},
	{Alias: "binding", Name: "Port Binding", Description: "Where a port is plugged in", Updated: "2014-02-03T10:00:00-00:00"},
	{Alias: "binding-extended", Name: "Port Bindings Extended", Description: "Ports are prepared for further hosts", Updated: "2017-07-17T10:00:00-00:00"},
	{Alias: "default-subnetpools", Name: "Default Subnetpools", Description: "The pool of subnets that name none", Updated: "2016-02-18T18:00:00-00:00"},
	{Alias: "dns-domain-ports", Name: "dns_domain for ports", Description: "Ports have a domain", Updated: "2017-06-25T18:00:00-00:00"},
	{Alias: "dns-integration", Name: "DNS Integration", Description: "Ports have names that their network knows", Updated: "2015-08-15T18:00:00-00:00"},
	{Alias: "empty-string-filtering", Name: "Empty String Filtering", Description: "Filters match empty values", Updated: "2018-05-01T10:00:00-00:00"},
	{Alias: "expose-port-forwarding-in-fip", Name: "Port forwardings in floating IPs", Description: "Floating IPs show their port forwardings", Updated: "2019-04-25T10:00:00-00:00"},
	{Alias: "ext-gw-mode", Name: "Router external gateway mode", Description: "Source address translation can be turned off", Updated: "2013-03-28T10:00:00-00:00"},
	{Alias: "external-net", Name: "External network", Description: "Networks that lead out of the cloud", Updated: "2013-01-14T10:00:00-00:00"},
	{Alias: "extra_dhcp_opt", Name: "Neutron Extra DHCP options", Description: "What DHCP tells single ports", Updated: "2013-03-17T12:00:00-00:00"},
	{Alias: "extraroute", Name: "Extra routes", Description: "Static routes of routers", Updated: "2013-02-01T10:00:00-00:00"},
	{Alias: "extraroute-atomic", Name: "Atomically add and remove extra routes", Description: "Adds and removes single routes", Updated: "2019-07-10T00:00:00+00:00"},
	{Alias: "filter-validation", Name: "Filter parameters validation", Description: "Lists refuse filters that they do not have", Updated: "2018-03-21T10:00:00-00:00"},
	{Alias: "fip-port-details", Name: "Port details of floating IPs", Description: "Floating IPs describe their port", Updated: "2018-04-09T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding", Name: "Floating IP Port Forwarding", Description: "Ports of a floating IP lead to ports of inner addresses", Updated: "2018-05-12T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-description", Name: "Descriptions of port forwardings", Description: "Port forwardings have a description", Updated: "2019-07-18T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-detail", Name: "Details of port forwardings", Description: "Floating IPs show ids and ports of their port forwardings", Updated: "2020-10-15T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-port-ranges", Name: "Ranges of port forwardings", Description: "Port forwardings of several ports at once", Updated: "2022-01-14T10:00:00-00:00"},
	{Alias: "floatingip-pools", Name: "Floating IP Pools Extension", Description: "The subnets that floating IPs come from", Updated: "2017-10-01T10:00:00-00:00"},
	{Alias: "ip-substring-filtering", Name: "IP address substring filtering", Description: "Finds ports by parts of addresses", Updated: "2017-11-28T09:00:00-00:00"},
	{Alias: "net-mtu", Name: "Network MTU", Description: "Networks show their MTU", Updated: "2015-03-25T10:00:00-00:00"},
	{Alias: "net-mtu-writable", Name: "Writable network MTU", Description: "The MTU of networks can be set", Updated: "2017-07-12T00:00:00-00:00"},
	{Alias: "network-ip-availability", Name: "Network IP Availability", Description: "How many addresses are in use", Updated: "2015-09-24T00:00:00-00:00"},
	{Alias: "network_availability_zone", Name: "Network Availability Zone", Description: "Availability zones of networks", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "pagination", Name: "Pagination", Description: "Lists come in pages", Updated: "2016-06-12T00:00:00-00:00"},
	{Alias: "port-mac-address-regenerate", Name: "Neutron Port MAC address regenerate", Description: "Ports get another MAC address when asked for none", Updated: "2018-05-03T10:00:00-00:00"},
	{Alias: "port-security", Name: "Port Security", Description: "Protection against spoofed addresses", Updated: "2012-07-23T10:00:00-00:00"},
	{Alias: "port-security-groups-filtering", Name: "Port filtering on security groups", Description: "Finds ports by security groups", Updated: "2018-01-09T09:00:00-00:00"},
	{Alias: "project-id", Name: "project_id", Description: "project_id beside tenant_id", Updated: "2016-09-09T09:09:09-09:09"},
	{Alias: "provider", Name: "Provider Network", Description: "How a network is carried", Updated: "2012-09-07T10:00:00-00:00"},
	{Alias: "qos", Name: "Quality of Service", Description: "Limits and marks of traffic", Updated: "2015-06-08T10:00:00-00:00"},
	{Alias: "qos-bw-limit-direction", Name: "Direction of bandwidth limits", Description: "Limits for both directions", Updated: "2017-04-10T10:00:00-00:00"},
	{Alias: "qos-default", Name: "Default QoS policy", Description: "New networks of a project get its default policy", Updated: "2017-02-07T10:00:00-00:00"},
	{Alias: "qos-fip", Name: "QoS of floating IPs", Description: "Floating IPs have QoS policies", Updated: "2017-07-20T00:00:00-00:00"},
	{Alias: "qos-fip-network-policy", Name: "Network policy of floating IPs", Description: "Floating IPs show their network's QoS policy", Updated: "2019-04-25T10:00:00-00:00"},
	{Alias: "qos-gateway-ip", Name: "QoS of gateways", Description: "Gateways of routers have QoS policies", Updated: "2018-04-05T00:00:00-00:00"},
	{Alias: "qos-port-network-policy", Name: "Network policy of ports", Description: "Ports show their network's QoS policy", Updated: "2019-09-25T10:00:00-00:00"},
	{Alias: "qos-rule-type-details", Name: "Details of QoS rule types", Description: "What a kind of rules may hold", Updated: "2017-06-22T10:00:00-00:00"},
	{Alias: "qos-rule-type-filter", Name: "Filters of QoS rule types", Description: "Lists all kinds of rules, or those that work", Updated: "2022-08-17T10:00:00-00:00"},
	{Alias: "qos-rules-alias", Name: "QoS rules without their policy", Description: "Rules are found by their id alone", Updated: "2018-10-07T10:00:00-00:00"},
	{Alias: "quota-check-limit", Name: "Quota engine limit check", Description: "Limits below what is used can be refused", Updated: "2021-11-10T10:00:00-00:00"},
	{Alias: "quota_details", Name: "Quota details", Description: "Quotas with usage", Updated: "2017-02-10T10:00:00-00:00"},
	{Alias: "quotas", Name: "Quotas", Description: "Limits of projects", Updated: "2012-07-29T10:00:00-00:00"},
	{Alias: "rbac-address-group", Name: "Add address_group type to RBAC", Description: "Address groups can be shared", Updated: "2022-05-23T10:00:00-00:00"},
	{Alias: "rbac-address-scope", Name: "Add address_scope type to RBAC", Description: "Address scopes can be shared", Updated: "2019-11-25T10:00:00-00:00"},
	{Alias: "rbac-policies", Name: "RBAC Policies", Description: "Objects can be shared with projects", Updated: "2015-06-17T12:15:12-00:00"},
	{Alias: "rbac-security-groups", Name: "Add security_group type to network RBAC", Description: "Security groups can be shared", Updated: "2019-04-20T00:00:00-00:00"},
	{Alias: "rbac-subnetpool", Name: "Add subnet_pool type to RBAC", Description: "Subnet pools can be shared", Updated: "2020-01-27T00:00:00-00:00"},
	{Alias: "revision-if-match", Name: "If-Match constraints", Description: "Changes on condition of a revision", Updated: "2016-12-11T00:00:00-00:00"},
	{Alias: "router", Name: "Routers", Description: "Routers and floating IPs", Updated: "2012-07-20T10:00:00-00:00"},
	{Alias: "router_availability_zone", Name: "Router Availability Zone", Description: "Availability zones of routers", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "security-group", Name: "Security groups", Description: "What may reach ports", Updated: "2012-10-05T10:00:00-00:00"},
	{Alias: "security-groups-default-rules", Name: "Default rules for security groups", Description: "The rules that new groups start with", Updated: "2022-12-05T10:00:00-00:00"},
	{Alias: "security-groups-default-statefulness", Name: "Default statefulness of security groups", Description: "Whether new groups keep connections in mind", Updated: "2026-03-01T10:00:00-00:00"},
	{Alias: "security-groups-normalized-cidr", Name: "Normalized CIDR", Description: "Rules show their range without host bits", Updated: "2020-02-20T10:00:00-00:00"},
	{Alias: "security-groups-remote-address-group", Name: "Remote address group id field for Security Group Rules", Description: "Rules refer to address groups", Updated: "2020-08-25T10:00:00-00:00"},
	{Alias: "security-groups-rules-belongs-to-default-sg", Name: "Security group rules of default groups", Description: "Rules tell whether they are of a default group", Updated: "2023-06-01T10:00:00-00:00"},
	{Alias: "security-groups-shared-filtering", Name: "Security group filtering on the shared field", Description: "Finds groups by whether they are shared", Updated: "2021-10-05T09:00:00-00:00"},
	{Alias: "service-type", Name: "Neutron Service Type Management", Description: "Who routes and translates", Updated: "2013-01-20T00:00:00-00:00"},
	{Alias: "sort-key-validation", Name: "Sort key validation", Description: "Lists refuse sort keys that they do not have", Updated: "2018-12-14T10:00:00-00:00"},
	{Alias: "sorting", Name: "Sorting", Description: "Lists can be sorted", Updated: "2016-06-12T00:00:00-00:00"},
	{Alias: "standard-attr-description", Name: "Descriptions", Description: "Resources have a description", Updated: "2016-02-10T10:00:00-00:00"},
	{Alias: "standard-attr-revisions", Name: "Revision numbers", Description: "Resources have a revision", Updated: "2016-04-11T10:00:00-00:00"},
	{Alias: "standard-attr-tag", Name: "Tags", Description: "Resources have tags", Updated: "2017-01-01T00:00:00-00:00"},
	{Alias: "standard-attr-timestamp", Name: "Timestamps", Description: "Resources tell when they were made and changed", Updated: "2016-09-12T10:00:00-00:00"},
	{Alias: "stateful-security-group", Name: "Stateful security groups", Description: "Groups may judge each packet by itself", Updated: "2019-11-26T09:00:00-00:00"},
	{Alias: "subnet-service-types", Name: "Subnet service types", Description: "Subnets for certain ports", Updated: "2016-03-15T18:00:00-00:00"},
	{Alias: "subnet_allocation", Name: "Subnet Allocation", Description: "Subnets take their range from a pool", Updated: "2015-03-30T10:00:00-00:00"},
	{Alias: "subnet_onboard", Name: "Subnet Onboard", Description: "Pools take over the ranges of subnets", Updated: "2017-08-20T10:00:00-00:00"},
	{Alias: "subnetpool-prefix-ops", Name: "Subnet Pool Prefix Operations", Description: "Adds and removes single prefixes", Updated: "2018-05-20T10:00:00-00:00"},
	{Alias: "tag-creation", Name: "Tag creation extension", Description: "Adds several tags at once", Updated: "2024-06-05T10:00:00-00:00"},
	{Alias: "tag-ports-during-bulk-creation", Name: "Tag Ports During Bulk Creation", Description: "Ports made together can have tags", Updated: "2019-12-29T19:00:00-00:00"},
	{Alias: "trunk", Name: "Trunks", Description: "Ports that carry VLANs of other ports", Updated: "2016-01-01T10:00:00-00:00"},
	{Alias: "trunk-details", Name: "Trunk details", Description: "Ports show the trunk that they are", Updated: "2016-01-01T10:00:00-00:00"},
}

func (h handlers) extensions(c *api.Call) (map[string]any, error) {
	return map[string]any{"extensions": offered}, c.AuthorizeOwn()
}

func (h handlers) extension(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	for _, e := range offered {
		if e.Alias == c.PathValue("alias") {
			return map[string]any{"extension": e}, nil
		}
	}
	return nil, errs.NotFoundf("Extension with alias %s does not exist", c.PathValue("alias")).Typed("HTTPNotFound")
}
