package api

import (
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

type versionView struct {
	ID     string     `json:"id"`
	Status string     `json:"status"`
	Links  []api.Link `json:"links"`
}

func (h handlers) versions(c *api.Call) (map[string]any, error) {
	return map[string]any{"versions": []versionView{
		{ID: "v2.0", Status: "CURRENT", Links: []api.Link{{Rel: "self", Href: c.URL("/v2.0/")}}},
	}}, nil
}

type resourceView struct {
	Links      []api.Link `json:"links"`
	Name       string     `json:"name"`
	Collection string     `json:"collection"`
}

func (h handlers) resources(c *api.Call) (map[string]any, error) {
	var views []resourceView
	for _, name := range []string{"network", "subnet", "port", "router", "floatingip", "security-group", "security-group-rule", "quota", "extension"} {
		plural := name + "s"
		views = append(views, resourceView{[]api.Link{{Rel: "self", Href: c.URL("/v2.0/" + plural)}}, name, plural})
	}
	return map[string]any{"resources": views}, nil
}

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
	{Alias: "allowed-address-pairs", Name: "Allowed Address Pairs", Description: "Further addresses that a port may use", Updated: "2013-07-23T10:00:00-00:00"},
	{Alias: "availability_zone", Name: "Availability Zone", Description: "Lists availability zones", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "binding", Name: "Port Binding", Description: "Where a port is plugged in", Updated: "2014-02-03T10:00:00-00:00"},
	{Alias: "binding-extended", Name: "Port Bindings Extended", Description: "Ports are prepared for further hosts", Updated: "2017-07-17T10:00:00-00:00"},
	{Alias: "empty-string-filtering", Name: "Empty String Filtering", Description: "Filters match empty values", Updated: "2018-05-01T10:00:00-00:00"},
	{Alias: "expose-port-forwarding-in-fip", Name: "Port forwardings in floating IPs", Description: "Floating IPs show their port forwardings", Updated: "2019-04-25T10:00:00-00:00"},
	{Alias: "ext-gw-mode", Name: "Router external gateway mode", Description: "Source address translation can be turned off", Updated: "2013-03-28T10:00:00-00:00"},
	{Alias: "external-net", Name: "External network", Description: "Networks that lead out of the cloud", Updated: "2013-01-14T10:00:00-00:00"},
	{Alias: "extraroute", Name: "Extra routes", Description: "Static routes of routers", Updated: "2013-02-01T10:00:00-00:00"},
	{Alias: "extraroute-atomic", Name: "Atomically add and remove extra routes", Description: "Adds and removes single routes", Updated: "2019-07-10T00:00:00+00:00"},
	{Alias: "fip-port-details", Name: "Port details of floating IPs", Description: "Floating IPs describe their port", Updated: "2018-04-09T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding", Name: "Floating IP Port Forwarding", Description: "Ports of a floating IP lead to ports of inner addresses", Updated: "2018-05-12T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-description", Name: "Descriptions of port forwardings", Description: "Port forwardings have a description", Updated: "2019-07-18T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-detail", Name: "Details of port forwardings", Description: "Floating IPs show ids and ports of their port forwardings", Updated: "2020-10-15T10:00:00-00:00"},
	{Alias: "floating-ip-port-forwarding-port-ranges", Name: "Ranges of port forwardings", Description: "Port forwardings of several ports at once", Updated: "2022-01-14T10:00:00-00:00"},
	{Alias: "ip-substring-filtering", Name: "IP address substring filtering", Description: "Finds ports by parts of addresses", Updated: "2017-11-28T09:00:00-00:00"},
	{Alias: "net-mtu", Name: "Network MTU", Description: "Networks show their MTU", Updated: "2015-03-25T10:00:00-00:00"},
	{Alias: "net-mtu-writable", Name: "Writable network MTU", Description: "The MTU of networks can be set", Updated: "2017-07-12T00:00:00-00:00"},
	{Alias: "network-ip-availability", Name: "Network IP Availability", Description: "How many addresses are in use", Updated: "2015-09-24T00:00:00-00:00"},
	{Alias: "network_availability_zone", Name: "Network Availability Zone", Description: "Availability zones of networks", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "pagination", Name: "Pagination", Description: "Lists come in pages", Updated: "2016-06-12T00:00:00-00:00"},
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
	{Alias: "quota_details", Name: "Quota details", Description: "Quotas with usage", Updated: "2017-02-10T10:00:00-00:00"},
	{Alias: "quotas", Name: "Quotas", Description: "Limits of projects", Updated: "2012-07-29T10:00:00-00:00"},
	{Alias: "revision-if-match", Name: "If-Match constraints", Description: "Changes on condition of a revision", Updated: "2016-12-11T00:00:00-00:00"},
	{Alias: "router", Name: "Routers", Description: "Routers and floating IPs", Updated: "2012-07-20T10:00:00-00:00"},
	{Alias: "router_availability_zone", Name: "Router Availability Zone", Description: "Availability zones of routers", Updated: "2015-01-01T10:00:00-00:00"},
	{Alias: "security-group", Name: "Security groups", Description: "What may reach ports", Updated: "2012-10-05T10:00:00-00:00"},
	{Alias: "security-groups-normalized-cidr", Name: "Normalized CIDR", Description: "Rules show their range without host bits", Updated: "2020-02-20T10:00:00-00:00"},
	{Alias: "sorting", Name: "Sorting", Description: "Lists can be sorted", Updated: "2016-06-12T00:00:00-00:00"},
	{Alias: "standard-attr-description", Name: "Descriptions", Description: "Resources have a description", Updated: "2016-02-10T10:00:00-00:00"},
	{Alias: "standard-attr-revisions", Name: "Revision numbers", Description: "Resources have a revision", Updated: "2016-04-11T10:00:00-00:00"},
	{Alias: "standard-attr-tag", Name: "Tags", Description: "Resources have tags", Updated: "2017-01-01T00:00:00-00:00"},
	{Alias: "standard-attr-timestamp", Name: "Timestamps", Description: "Resources tell when they were made and changed", Updated: "2016-09-12T10:00:00-00:00"},
	{Alias: "stateful-security-group", Name: "Stateful security groups", Description: "Groups may judge each packet by itself", Updated: "2019-11-26T09:00:00-00:00"},
	{Alias: "subnet-service-types", Name: "Subnet service types", Description: "Subnets for certain ports", Updated: "2016-03-15T18:00:00-00:00"},
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

type zoneView struct {
	Name     string `json:"name"`
	Resource string `json:"resource"`
	State    string `json:"state"`
}

func (h handlers) zones(c *api.Call) (map[string]any, error) {
	return map[string]any{"availability_zones": []zoneView{
		{h.net.Zone(), "network", "available"}, {h.net.Zone(), "router", "available"},
	}}, c.AuthorizeOwn()
}

// checkZones refuses hints at zones that don't exist.
func (h handlers) checkZones(hints []string) error {
	for _, hint := range hints {
		if hint != h.net.Zone() {
			return errs.NotFoundf("AvailabilityZone %s could not be found.", hint).Typed("AvailabilityZoneNotFound")
		}
	}
	return nil
}

var availabilityList = listed{"network_ip_availabilities", map[string]db.Filter{
	"network_id": {Column: "id"}, "network_name": {Column: "name"}, "tenant_id": {Column: "project_id"}, "project_id": {Column: "project_id"},
}}

type subnetUseView struct {
	ID        string          `json:"subnet_id"`
	Name      string          `json:"subnet_name"`
	CIDR      string          `json:"cidr"`
	IPVersion int             `json:"ip_version"`
	Total     json.RawMessage `json:"total_ips"`
	Used      int64           `json:"used_ips"`
}

type availabilityView struct {
	ID      string          `json:"network_id"`
	Name    string          `json:"network_name"`
	Project string          `json:"project_id"`
	Tenant  string          `json:"tenant_id"`
	Total   json.RawMessage `json:"total_ips"`
	Used    int64           `json:"used_ips"`
	Subnets []subnetUseView `json:"subnet_ip_availability"`
}

func viewAvailability(a network.Availability) availabilityView {
	v := availabilityView{
		ID: a.Network.ID, Name: a.Network.Name, Project: a.Network.Project, Tenant: a.Network.Project,
		Total: json.RawMessage(a.Total), Used: a.Used,
	}
	for _, s := range a.Subnets {
		v.Subnets = append(v.Subnets, subnetUseView{
			ID: s.Subnet.ID, Name: s.Subnet.Name, CIDR: s.Subnet.CIDR, IPVersion: s.Subnet.IPVersion,
			Total: json.RawMessage(s.Total), Used: s.Used,
		})
	}
	return v
}

func (h handlers) listAvailability(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	q, err := availabilityList.query(c)
	if err != nil {
		return nil, err
	}
	list, err := h.net.Availability(c.Context(), q)
	if err != nil {
		return nil, err
	}
	views := []availabilityView{}
	for _, a := range list {
		views = append(views, viewAvailability(a))
	}
	return map[string]any{"network_ip_availabilities": views}, nil
}

func (h handlers) showAvailability(c *api.Call) (map[string]any, error) {
	n, err := h.net.Network(c.Context(), scope(c), c.PathValue("network_id"))
	if err != nil {
		return nil, err
	}
	err = c.Authorize(target(n.Project, &n))
	if err != nil {
		return nil, err
	}
	list, err := h.net.Availability(c.Context(), network.Query{Scope: scope(c), Where: []db.Cond{
		{Filter: db.Filter{Column: "id"}, Values: []any{n.ID}},
	}})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return map[string]any{"network_ip_availability": viewAvailability(list[0])}, nil
}
