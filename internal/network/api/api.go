// Package api is the network service over HTTP: Neutron's v2.0.
//
// Each file holds one resource: its request, its view, its handlers. What all
// resources share stands in shared.go: whose rows a caller may see, filters,
// pages, fields, revisions. Attributes that only some may set or see have rules
// of their own, named as in Neutron (create_port:binding:host_id).
package api

import (
	"nacre/internal/api"
	"nacre/internal/network"
)

// handlers answers calls.
type handlers struct{ net *network.Service }

// New makes the API of the network service.
func New(net *network.Service) api.Service {
	return api.Service{
		Name: "neutron", Type: "network", Mount: "/network", Envelope: api.Neutron, Routes: handlers{net}.Routes(),
	}
}

// Routes is the network API in the order of the API reference.
func (h handlers) Routes() []api.Route {
	return append([]api.Route{
		{Method: "GET", Path: "", Public: true, Do: api.Get(h.versions)},
		{Method: "GET", Path: "/", Public: true, Do: api.Get(h.versions)},
		{Method: "GET", Path: "/v2.0", Public: true, Do: api.Get(h.resources)},
		{Method: "GET", Path: "/v2.0/", Public: true, Do: api.Get(h.resources)},
		{Method: "GET", Path: "/v2.0/extensions", Rule: "any", Do: api.Get(h.extensions)},
		{Method: "GET", Path: "/v2.0/extensions/{alias}", Rule: "any", Do: api.Get(h.extension)},
		{Method: "GET", Path: "/v2.0/address-groups/{address_group_id}", Rule: "get_address_group", Do: api.Get(h.addressGroups().show)},
		{Method: "PUT", Path: "/v2.0/address-groups/{address_group_id}", Rule: "update_address_group", Do: api.Body(h.updateAddressGroup)},
		{Method: "DELETE", Path: "/v2.0/address-groups/{address_group_id}", Rule: "delete_address_group", OK: 204, Do: api.Empty(h.addressGroups().delete)},
		{Method: "GET", Path: "/v2.0/address-groups", Rule: "get_address_group", Do: api.Get(h.addressGroups().all)},
		{Method: "POST", Path: "/v2.0/address-groups", Rule: "create_address_group", OK: 201, Do: api.Body(h.createAddressGroup)},
		{Method: "PUT", Path: "/v2.0/address-groups/{address_group_id}/add_addresses", Rule: "add_addresses", Do: api.Body(h.addAddresses)},
		{Method: "PUT", Path: "/v2.0/address-groups/{address_group_id}/remove_addresses", Rule: "remove_addresses", Do: api.Body(h.removeAddresses)},

		{Method: "GET", Path: "/v2.0/address-scopes/{address_scope_id}", Rule: "get_address_scope", Do: api.Get(h.addressScopes().show)},
		{Method: "PUT", Path: "/v2.0/address-scopes/{address_scope_id}", Rule: "update_address_scope", Do: api.Body(h.updateAddressScope)},
		{Method: "DELETE", Path: "/v2.0/address-scopes/{address_scope_id}", Rule: "delete_address_scope", OK: 204, Do: api.Empty(h.addressScopes().delete)},
		{Method: "GET", Path: "/v2.0/address-scopes", Rule: "get_address_scope", Do: api.Get(h.addressScopes().all)},
		{Method: "POST", Path: "/v2.0/address-scopes", Rule: "create_address_scope", OK: 201, Do: api.Body(h.createAddressScope)},

		{Method: "GET", Path: "/v2.0/agents", Rule: "get_agent", Do: api.Get(h.listAgents)},
		{Method: "GET", Path: "/v2.0/agents/{agent_id}", Rule: "get_agent", Do: api.Get(h.showAgent)},
		{Method: "PUT", Path: "/v2.0/agents/{agent_id}", Rule: "update_agent", Do: api.Body(h.updateAgent)},
		{Method: "DELETE", Path: "/v2.0/agents/{agent_id}", Rule: "delete_agent", OK: 204, Do: api.Empty(h.deleteAgent)},
		{Method: "GET", Path: "/v2.0/auto-allocated-topology/{project_id}", Rule: "get_auto_allocated_topology", Do: api.Get(h.showTopology)},
		{Method: "DELETE", Path: "/v2.0/auto-allocated-topology/{project_id}", Rule: "delete_auto_allocated_topology", OK: 204, Do: api.Empty(h.deleteTopology)},
		{Method: "GET", Path: "/v2.0/service-providers", Rule: "get_service_provider", Do: api.Get(h.listProviders)},
		{Method: "GET", Path: "/v2.0/availability_zones", Rule: "get_availability_zone", Do: api.Get(h.zones)},

		{Method: "GET", Path: "/v2.0/networks/{network_id}", Rule: "get_network", Do: api.Get(h.networks().show)},
		{Method: "PUT", Path: "/v2.0/networks/{network_id}", Rule: "update_network", Do: api.Body(h.updateNetwork)},
		{Method: "DELETE", Path: "/v2.0/networks/{network_id}", Rule: "delete_network", OK: 204, Do: api.Empty(h.networks().delete)},
		{Method: "GET", Path: "/v2.0/networks", Rule: "get_network", Do: api.Get(h.networks().all)},
		{Method: "POST", Path: "/v2.0/networks", Rule: "create_network", OK: 201, Do: bulk("network", "networks", h.createNetworks)},
		{Method: "GET", Path: "/v2.0/network-ip-availabilities", Rule: "get_network_ip_availability", Do: api.Get(h.listAvailability)},
		{Method: "GET", Path: "/v2.0/network-ip-availabilities/{network_id}", Rule: "get_network_ip_availability", Do: api.Get(h.showAvailability)},

		{Method: "GET", Path: "/v2.0/ports/{port_id}", Rule: "get_port", Do: api.Get(h.ports().show)},
		{Method: "PUT", Path: "/v2.0/ports/{port_id}/add_allowed_address_pairs", Rule: "update_port:allowed_address_pairs", Do: api.Body(h.addPairs)},
		{Method: "PUT", Path: "/v2.0/ports/{port_id}/remove_allowed_address_pairs", Rule: "update_port:allowed_address_pairs", Do: api.Body(h.removePairs)},
		{Method: "PUT", Path: "/v2.0/ports/{port_id}", Rule: "update_port", Do: api.Body(h.updatePort)},
		{Method: "DELETE", Path: "/v2.0/ports/{port_id}", Rule: "delete_port", OK: 204, Do: api.Empty(h.ports().delete)},
		{Method: "GET", Path: "/v2.0/ports", Rule: "get_port", Do: api.Get(h.listPorts)},
		{Method: "POST", Path: "/v2.0/ports", Rule: "create_port", OK: 201, Do: bulk("port", "ports", h.createPorts)},

		{Method: "GET", Path: "/v2.0/subnets", Rule: "get_subnet", Do: api.Get(h.subnets().all)},
		{Method: "POST", Path: "/v2.0/subnets", Rule: "create_subnet", OK: 201, Do: bulk("subnet", "subnets", h.createSubnets)},
		{Method: "GET", Path: "/v2.0/subnets/{subnet_id}", Rule: "get_subnet", Do: api.Get(h.subnets().show)},
		{Method: "PUT", Path: "/v2.0/subnets/{subnet_id}", Rule: "update_subnet", Do: api.Body(h.updateSubnet)},
		{Method: "DELETE", Path: "/v2.0/subnets/{subnet_id}", Rule: "delete_subnet", OK: 204, Do: api.Empty(h.subnets().delete)},

		{Method: "GET", Path: "/v2.0/floatingip_pools", Rule: "get_floatingip_pool", Do: api.Get(h.listFloatingPools)},
		{Method: "GET", Path: "/v2.0/floatingip-pools", Rule: "get_floatingip_pool", Do: api.Get(h.listFloatingPools)},
		{Method: "GET", Path: "/v2.0/floatingips", Rule: "get_floatingip", Do: api.Get(h.floating().all)},
		{Method: "POST", Path: "/v2.0/floatingips", Rule: "create_floatingip", OK: 201, Do: api.Body(h.createFloating)},
		{Method: "GET", Path: "/v2.0/floatingips/{floatingip_id}", Rule: "get_floatingip", Do: api.Get(h.floating().show)},
		{Method: "PUT", Path: "/v2.0/floatingips/{floatingip_id}", Rule: "update_floatingip", Do: api.Body(h.updateFloating)},
		{Method: "DELETE", Path: "/v2.0/floatingips/{floatingip_id}", Rule: "delete_floatingip", OK: 204, Do: api.Empty(h.floating().delete)},
		{Method: "GET", Path: "/v2.0/floatingips/{floatingip_id}/port_forwardings/{port_forwarding_id}", Rule: "get_floatingip_port_forwarding", Do: api.Get(h.showForwarding)},
		{Method: "PUT", Path: "/v2.0/floatingips/{floatingip_id}/port_forwardings/{port_forwarding_id}", Rule: "update_floatingip_port_forwarding", Do: api.Body(h.updateForwarding)},
		{Method: "DELETE", Path: "/v2.0/floatingips/{floatingip_id}/port_forwardings/{port_forwarding_id}", Rule: "delete_floatingip_port_forwarding", OK: 204, Do: api.Empty(h.deleteForwarding)},
		{Method: "GET", Path: "/v2.0/floatingips/{floatingip_id}/port_forwardings", Rule: "get_floatingip_port_forwarding", Do: api.Get(h.listForwardings)},
		{Method: "POST", Path: "/v2.0/floatingips/{floatingip_id}/port_forwardings", Rule: "create_floatingip_port_forwarding", OK: 201, Do: api.Body(h.createForwarding)},

		{Method: "GET", Path: "/v2.0/routers", Rule: "get_router", Do: api.Get(h.routers().all)},
		{Method: "POST", Path: "/v2.0/routers", Rule: "create_router", OK: 201, Do: api.Body(h.createRouter)},
		{Method: "GET", Path: "/v2.0/routers/{router_id}", Rule: "get_router", Do: api.Get(h.routers().show)},
		{Method: "PUT", Path: "/v2.0/routers/{router_id}", Rule: "update_router", Do: api.Body(h.updateRouter)},
		{Method: "DELETE", Path: "/v2.0/routers/{router_id}", Rule: "delete_router", OK: 204, Do: api.Empty(h.routers().delete)},
		{Method: "PUT", Path: "/v2.0/routers/{router_id}/add_router_interface", Rule: "add_router_interface", Do: api.Body(h.addInterface)},
		{Method: "PUT", Path: "/v2.0/routers/{router_id}/remove_router_interface", Rule: "remove_router_interface", Do: api.Body(h.removeInterface)},
		{Method: "PUT", Path: "/v2.0/routers/{router_id}/add_extraroutes", Rule: "add_extraroutes", Do: api.Body(h.addRoutes)},
		{Method: "PUT", Path: "/v2.0/routers/{router_id}/remove_extraroutes", Rule: "remove_extraroutes", Do: api.Body(h.removeRoutes)},

		{Method: "GET", Path: "/v2.0/ports/{port_id}/bindings", Rule: "get_port_binding", Do: api.Get(h.listBindings)},
		{Method: "POST", Path: "/v2.0/ports/{port_id}/bindings", Rule: "create_port_binding", OK: 201, Do: api.Body(h.createBinding)},
		{Method: "GET", Path: "/v2.0/ports/{port_id}/bindings/{host}", Rule: "get_port_binding", Do: api.Get(h.showBinding)},
		{Method: "PUT", Path: "/v2.0/ports/{port_id}/bindings/{host}/activate", Rule: "activate", Do: api.Get(h.activateBinding)},
		{Method: "DELETE", Path: "/v2.0/ports/{port_id}/bindings/{host}", Rule: "delete_port_binding", OK: 204, Do: api.Empty(h.deleteBinding)},

		{Method: "GET", Path: "/v2.0/trunks", Rule: "get_trunk", Do: api.Get(h.trunks().all)},
		{Method: "POST", Path: "/v2.0/trunks", Rule: "create_trunk", OK: 201, Do: api.Body(h.createTrunk)},
		{Method: "PUT", Path: "/v2.0/trunks/{trunk_id}/add_subports", Rule: "add_subports", Do: api.Body(h.addSubports)},
		{Method: "PUT", Path: "/v2.0/trunks/{trunk_id}/remove_subports", Rule: "remove_subports", Do: api.Body(h.removeSubports)},
		{Method: "GET", Path: "/v2.0/trunks/{trunk_id}/get_subports", Rule: "get_subports", Do: api.Get(h.listSubports)},
		{Method: "PUT", Path: "/v2.0/trunks/{trunk_id}", Rule: "update_trunk", Do: api.Body(h.updateTrunk)},
		{Method: "GET", Path: "/v2.0/trunks/{trunk_id}", Rule: "get_trunk", Do: api.Get(h.trunks().show)},
		{Method: "DELETE", Path: "/v2.0/trunks/{trunk_id}", Rule: "delete_trunk", OK: 204, Do: api.Empty(h.trunks().delete)},

		{Method: "GET", Path: "/v2.0/qos/rule-types", Rule: "get_rule_type", Do: api.Get(h.listRuleTypes)},
		{Method: "GET", Path: "/v2.0/qos/rule-types/{rule_type}", Rule: "get_rule_type", Do: api.Get(h.showRuleType)},
		{Method: "GET", Path: "/v2.0/qos/policies", Rule: "get_policy", Do: api.Get(h.policies().all)},
		{Method: "POST", Path: "/v2.0/qos/policies", Rule: "create_policy", OK: 201, Do: api.Body(h.createPolicy)},
		{Method: "GET", Path: "/v2.0/qos/policies/{policy_id}", Rule: "get_policy", Do: api.Get(h.policies().show)},
		{Method: "PUT", Path: "/v2.0/qos/policies/{policy_id}", Rule: "update_policy", Do: api.Body(h.updatePolicy)},
		{Method: "DELETE", Path: "/v2.0/qos/policies/{policy_id}", Rule: "delete_policy", OK: 204, Do: api.Empty(h.policies().delete)},

		{Method: "GET", Path: "/v2.0/rbac-policies/{rbac_policy_id}", Rule: "get_rbac_policy", Do: api.Get(h.rbacPolicies().show)},
		{Method: "PUT", Path: "/v2.0/rbac-policies/{rbac_policy_id}", Rule: "update_rbac_policy", Do: api.Body(h.updateRBAC)},
		{Method: "DELETE", Path: "/v2.0/rbac-policies/{rbac_policy_id}", Rule: "delete_rbac_policy", OK: 204, Do: api.Empty(h.rbacPolicies().delete)},
		{Method: "GET", Path: "/v2.0/rbac-policies", Rule: "get_rbac_policy", Do: api.Get(h.rbacPolicies().all)},
		{Method: "POST", Path: "/v2.0/rbac-policies", Rule: "create_rbac_policy", OK: 201, Do: api.Body(h.createRBAC)},

		{Method: "GET", Path: "/v2.0/quotas", Rule: "get_quota", Do: api.Get(h.listQuotas)},
		{Method: "GET", Path: "/v2.0/quotas/{project_id}", Rule: "get_quota", Do: api.Get(h.showQuota)},
		{Method: "PUT", Path: "/v2.0/quotas/{project_id}", Rule: "update_quota", Do: api.Body(h.updateQuota)},
		{Method: "DELETE", Path: "/v2.0/quotas/{project_id}", Rule: "delete_quota", OK: 204, Do: api.Empty(h.deleteQuota)},
		{Method: "GET", Path: "/v2.0/quotas/{project_id}/default", Rule: "get_quota", Do: api.Get(h.defaultQuota)},
		{Method: "GET", Path: "/v2.0/quotas/{project_id}/details", Rule: "get_quota", Do: api.Get(h.quotaDetails)},
		{Method: "GET", Path: "/v2.0/quotas/{project_id}/details.json", Rule: "get_quota", Do: api.Get(h.quotaDetails)},

		{Method: "GET", Path: "/v2.0/security-group-rules", Rule: "get_security_group_rule", Do: api.Get(h.listRules)},
		{Method: "POST", Path: "/v2.0/security-group-rules", Rule: "create_security_group_rule", OK: 201, Do: bulk("security_group_rule", "security_group_rules", h.createRules)},
		{Method: "GET", Path: "/v2.0/security-group-rules/{security_group_rule_id}", Rule: "get_security_group_rule", Do: api.Get(h.rules().show)},
		{Method: "DELETE", Path: "/v2.0/security-group-rules/{security_group_rule_id}", Rule: "delete_security_group_rule", OK: 204, Do: api.Empty(h.rules().delete)},
		{Method: "GET", Path: "/v2.0/security-groups", Rule: "get_security_group", Do: api.Get(h.listGroups)},
		{Method: "POST", Path: "/v2.0/security-groups", Rule: "create_security_group", OK: 201, Do: bulk("security_group", "security_groups", h.createGroups)},
		{Method: "GET", Path: "/v2.0/security-groups/{security_group_id}", Rule: "get_security_group", Do: api.Get(h.groups().show)},
		{Method: "PUT", Path: "/v2.0/security-groups/{security_group_id}", Rule: "update_security_group", Do: api.Body(h.updateGroup)},
		{Method: "DELETE", Path: "/v2.0/security-groups/{security_group_id}", Rule: "delete_security_group", OK: 204, Do: api.Empty(h.deleteGroup)},

		{Method: "GET", Path: "/v2.0/security-groups-default-statefulness/{security_groups_default_statefulness_id}", Rule: "get_security_groups_default_statefulness", Do: api.Get(h.statefulness().show)},
		{Method: "PUT", Path: "/v2.0/security-groups-default-statefulness/{security_groups_default_statefulness_id}", Rule: "update_security_groups_default_statefulness", Do: api.Body(h.updateStatefulness)},
		{Method: "DELETE", Path: "/v2.0/security-groups-default-statefulness/{security_groups_default_statefulness_id}", Rule: "delete_security_groups_default_statefulness", OK: 204, Do: api.Empty(h.statefulness().delete)},
		{Method: "GET", Path: "/v2.0/security-groups-default-statefulness", Rule: "get_security_groups_default_statefulness", Do: api.Get(h.statefulness().all)},
		{Method: "POST", Path: "/v2.0/security-groups-default-statefulness", Rule: "create_security_groups_default_statefulness", OK: 201, Do: api.Body(h.createStatefulness)},

		{Method: "GET", Path: "/v2.0/default-security-group-rules/{default_security_group_rule_id}", Rule: "get_default_security_group_rule", Do: api.Get(h.defaultRules().show)},
		{Method: "DELETE", Path: "/v2.0/default-security-group-rules/{default_security_group_rule_id}", Rule: "delete_default_security_group_rule", OK: 204, Do: api.Empty(h.defaultRules().delete)},
		{Method: "GET", Path: "/v2.0/default-security-group-rules", Rule: "get_default_security_group_rule", Do: api.Get(h.defaultRules().all)},
		{Method: "POST", Path: "/v2.0/default-security-group-rules", Rule: "create_default_security_group_rule", OK: 201, Do: api.Body(h.createDefaultRules)},

		{Method: "PUT", Path: "/v2.0/subnetpools/{subnetpool_id}/onboard_network_subnets", Rule: "onboard_network_subnets", Do: api.Body(h.onboardSubnets)},
		{Method: "PUT", Path: "/v2.0/subnetpools/{subnetpool_id}/add_prefixes", Rule: "add_prefixes", Do: api.Body(h.addPrefixes)},
		{Method: "PUT", Path: "/v2.0/subnetpools/{subnetpool_id}/remove_prefixes", Rule: "remove_prefixes", Do: api.Body(h.removePrefixes)},
		{Method: "GET", Path: "/v2.0/subnetpools/{subnetpool_id}", Rule: "get_subnetpool", Do: api.Get(h.pools().show)},
		{Method: "PUT", Path: "/v2.0/subnetpools/{subnetpool_id}", Rule: "update_subnetpool", Do: api.Body(h.updatePool)},
		{Method: "DELETE", Path: "/v2.0/subnetpools/{subnetpool_id}", Rule: "delete_subnetpool", OK: 204, Do: api.Empty(h.pools().delete)},
		{Method: "GET", Path: "/v2.0/subnetpools", Rule: "get_subnetpool", Do: api.Get(h.pools().all)},
		{Method: "POST", Path: "/v2.0/subnetpools", Rule: "create_subnetpool", OK: 201, Do: api.Body(h.createPool)},

		// The rules of these rows are those of networks; each resource has its own.
		{Method: "GET", Path: "/v2.0/{resource_type}/{resource_id}/tags", Rule: "get_network:tags", Do: api.Get(h.listTags)},
		{Method: "POST", Path: "/v2.0/{resource_type}/{resource_id}/tags", Rule: "create_network:tags", Do: api.Body(h.addTags)},
		{Method: "PUT", Path: "/v2.0/{resource_type}/{resource_id}/tags", Rule: "update_network:tags", Do: api.Body(h.replaceTags)},
		{Method: "DELETE", Path: "/v2.0/{resource_type}/{resource_id}/tags", Rule: "delete_network:tags", OK: 204, Do: api.Empty(h.deleteTags)},
		{Method: "GET", Path: "/v2.0/{resource_type}/{resource_id}/tags/{tag}", Rule: "get_network:tags", OK: 204, Do: api.Empty(h.checkTag)},
		{Method: "PUT", Path: "/v2.0/{resource_type}/{resource_id}/tags/{tag}", Rule: "update_network:tags", OK: 201, Do: api.Empty(h.addTag)},
		{Method: "DELETE", Path: "/v2.0/{resource_type}/{resource_id}/tags/{tag}", Rule: "delete_network:tags", OK: 204, Do: api.Empty(h.deleteTag)},
	}, h.qosRuleRoutes()...)
}
