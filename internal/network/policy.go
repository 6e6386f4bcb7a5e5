package network

import "nacre/internal/auth"

// The pieces that Neutron's defaults are made of. They are spelled out in each
// rule, since names such as shared mean other things in other services.
const (
	admin   = "rule:admin_api"
	service = "rule:service_api"
	reader  = "rule:project_reader_or_admin"
	member  = "rule:project_member_or_admin"
	manager = "rule:project_manager_or_admin"

	ownsNetwork  = "project_id:%(network:tenant_id)s"
	shared       = "field:networks:shared=True"
	sharedPolicy = "field:policies:shared=True"
	external     = "field:networks:router:external=True"
	adminOrSvc   = admin + " or " + service
	seesNetwork  = reader + " or " + service + " or " + shared + " or " + external
	onNetwork    = admin + " or " + service + " or (role:member and " + ownsNetwork + ")"
	memberOrSvc  = member + " or " + service
	readsPort    = reader + " or " + service + " or (role:reader and " + ownsNetwork + ")"
	writesPort   = memberOrSvc + " or (role:member and " + ownsNetwork + ")"
	writesSubnet = admin + " or (role:member and " + ownsNetwork + ")"
	plainOwner   = "not field:port:device_owner=~^network: or " + onNetwork
)

// Policy are the rules of the network service with their defaults.
var Policy = []auth.Rule{
	{Name: "get_availability_zone", Check: "rule:any_reader or " + admin},
	{Name: "get_agent", Check: admin},

	{Name: "create_network", Check: member},
	{Name: "create_network:shared", Check: admin},
	{Name: "create_network:router:external", Check: admin},
	{Name: "create_network:is_default", Check: admin},
	{Name: "create_network:port_security_enabled", Check: member},
	{Name: "create_network:provider:network_type", Check: admin},
	{Name: "create_network:provider:physical_network", Check: admin},
	{Name: "create_network:provider:segmentation_id", Check: admin},
	{Name: "create_network:tags", Check: member},
	{Name: "get_network", Check: seesNetwork},
	{Name: "get_network:provider:network_type", Check: admin},
	{Name: "get_network:provider:physical_network", Check: admin},
	{Name: "get_network:provider:segmentation_id", Check: admin},
	{Name: "get_network:tags", Check: seesNetwork},
	{Name: "update_network", Check: member},
	{Name: "update_network:shared", Check: admin},
	{Name: "update_network:router:external", Check: admin},
	{Name: "update_network:is_default", Check: admin},
	{Name: "update_network:port_security_enabled", Check: member},
	{Name: "update_network:provider:network_type", Check: admin},
	{Name: "update_network:provider:physical_network", Check: admin},
	{Name: "update_network:provider:segmentation_id", Check: admin},
	{Name: "update_network:tags", Check: member},
	{Name: "delete_network", Check: member},
	{Name: "delete_network:tags", Check: member},
	{Name: "get_network_ip_availability", Check: adminOrSvc},

	{Name: "create_subnet", Check: writesSubnet},
	{Name: "create_subnet:service_types", Check: admin},
	{Name: "create_subnet:tags", Check: writesSubnet},
	{Name: "get_subnet", Check: seesNetwork + " or (role:reader and " + ownsNetwork + ")"},
	{Name: "get_subnet:tags", Check: seesNetwork},
	{Name: "update_subnet", Check: member + " or " + writesSubnet},
	{Name: "update_subnet:service_types", Check: admin},
	{Name: "update_subnet:tags", Check: member + " or " + writesSubnet},
	{Name: "delete_subnet", Check: member + " or " + writesSubnet},
	{Name: "delete_subnet:tags", Check: member + " or " + writesSubnet},

	{Name: "create_port", Check: memberOrSvc},
	{Name: "create_port:device_id", Check: memberOrSvc},
	{Name: "create_port:device_owner", Check: plainOwner},
	{Name: "create_port:mac_address", Check: onNetwork},
	{Name: "create_port:fixed_ips", Check: onNetwork + " or " + shared},
	{Name: "create_port:fixed_ips:ip_address", Check: onNetwork},
	{Name: "create_port:fixed_ips:subnet_id", Check: onNetwork + " or " + shared},
	{Name: "create_port:port_security_enabled", Check: onNetwork},
	{Name: "create_port:binding:host_id", Check: adminOrSvc},
	{Name: "create_port:binding:profile", Check: adminOrSvc},
	{Name: "create_port:binding:vnic_type", Check: memberOrSvc},
	{Name: "create_port:allowed_address_pairs", Check: onNetwork},
	{Name: "create_port:tags", Check: memberOrSvc},
	{Name: "get_port", Check: readsPort},
	{Name: "get_port:binding:vif_type", Check: adminOrSvc},
	{Name: "get_port:binding:vif_details", Check: adminOrSvc},
	{Name: "get_port:binding:host_id", Check: adminOrSvc},
	{Name: "get_port:binding:profile", Check: adminOrSvc},
	{Name: "get_port:tags", Check: readsPort},
	{Name: "update_port", Check: writesPort},
	{Name: "update_port:device_id", Check: memberOrSvc},
	{Name: "update_port:device_owner", Check: plainOwner},
	{Name: "update_port:mac_address", Check: adminOrSvc + " or rule:project_manager"},
	{Name: "update_port:fixed_ips", Check: onNetwork + " or " + shared},
	{Name: "update_port:fixed_ips:ip_address", Check: onNetwork},
	{Name: "update_port:fixed_ips:subnet_id", Check: onNetwork + " or " + shared},
	{Name: "update_port:port_security_enabled", Check: onNetwork},
	{Name: "update_port:binding:host_id", Check: adminOrSvc},
	{Name: "update_port:binding:profile", Check: adminOrSvc},
	{Name: "update_port:binding:vnic_type", Check: memberOrSvc},
	{Name: "update_port:allowed_address_pairs", Check: onNetwork},
	{Name: "update_port:tags", Check: writesPort},
	{Name: "delete_port", Check: writesPort},
	{Name: "delete_port:tags", Check: writesPort},

	{Name: "create_security_group", Check: member},
	{Name: "create_security_group:tags", Check: member},
	{Name: "get_security_group", Check: reader},
	{Name: "get_security_group:tags", Check: reader},
	{Name: "update_security_group", Check: member},
	{Name: "update_security_group:tags", Check: member},
	{Name: "delete_security_group", Check: member},
	{Name: "delete_security_group:tags", Check: member},
	{Name: "create_security_group_rule", Check: member},
	{Name: "get_security_group_rule", Check: reader},
	{Name: "delete_security_group_rule", Check: member},

	{Name: "create_router", Check: member},
	{Name: "create_router:external_gateway_info", Check: member},
	{Name: "create_router:external_gateway_info:network_id", Check: member},
	{Name: "create_router:external_gateway_info:enable_snat", Check: admin},
	{Name: "create_router:external_gateway_info:external_fixed_ips", Check: admin},
	{Name: "create_router:tags", Check: member},
	{Name: "get_router", Check: reader},
	{Name: "get_router:tags", Check: reader},
	{Name: "update_router", Check: member},
	{Name: "update_router:external_gateway_info", Check: member},
	{Name: "update_router:external_gateway_info:network_id", Check: member},
	{Name: "update_router:external_gateway_info:enable_snat", Check: admin},
	{Name: "update_router:external_gateway_info:external_fixed_ips", Check: admin},
	{Name: "update_router:tags", Check: member},
	{Name: "delete_router", Check: member},
	{Name: "delete_router:tags", Check: member},
	{Name: "add_router_interface", Check: member},
	{Name: "remove_router_interface", Check: member},
	{Name: "add_extraroutes", Check: member},
	{Name: "remove_extraroutes", Check: member},

	{Name: "create_floatingip", Check: member},
	{Name: "create_floatingip:floating_ip_address", Check: admin},
	{Name: "create_floatingip:tags", Check: member},
	{Name: "get_floatingip", Check: reader},
	{Name: "get_floatingip:tags", Check: reader},
	{Name: "update_floatingip", Check: member},
	{Name: "update_floatingip:tags", Check: member},
	{Name: "delete_floatingip", Check: member},
	{Name: "delete_floatingip:tags", Check: member},
	{Name: "create_floatingip_port_forwarding", Check: member},
	{Name: "get_floatingip_port_forwarding", Check: reader},
	{Name: "update_floatingip_port_forwarding", Check: member},
	{Name: "delete_floatingip_port_forwarding", Check: member},

	{Name: "create_trunk", Check: member},
	{Name: "create_trunk:tags", Check: member},
	{Name: "get_trunk", Check: reader},
	{Name: "get_trunk:tags", Check: reader},
	{Name: "update_trunk", Check: member},
	{Name: "update_trunk:tags", Check: member},
	{Name: "delete_trunk", Check: member},
	{Name: "delete_trunk:tags", Check: member},
	{Name: "get_subports", Check: reader},
	{Name: "add_subports", Check: member},
	{Name: "remove_subports", Check: member},

	{Name: "get_port_binding", Check: adminOrSvc},
	{Name: "create_port_binding", Check: service},
	{Name: "delete_port_binding", Check: service},
	{Name: "activate", Check: service},

	{Name: "create_policy", Check: manager},
	{Name: "create_policy:tags", Check: manager},
	{Name: "get_policy", Check: reader + " or " + sharedPolicy},
	{Name: "get_policy:tags", Check: reader + " or " + sharedPolicy},
	{Name: "update_policy", Check: manager},
	{Name: "update_policy:tags", Check: manager},
	{Name: "delete_policy", Check: manager},
	{Name: "delete_policy:tags", Check: manager},
	{Name: "get_rule_type", Check: "rule:any_reader or " + admin},
	{Name: "create_policy_bandwidth_limit_rule", Check: manager},
	{Name: "get_policy_bandwidth_limit_rule", Check: reader},
	{Name: "update_policy_bandwidth_limit_rule", Check: manager},
	{Name: "delete_policy_bandwidth_limit_rule", Check: manager},
	{Name: "get_alias_bandwidth_limit_rule", Check: reader},
	{Name: "update_alias_bandwidth_limit_rule", Check: manager},
	{Name: "delete_alias_bandwidth_limit_rule", Check: manager},
	{Name: "create_policy_dscp_marking_rule", Check: manager},
	{Name: "get_policy_dscp_marking_rule", Check: reader},
	{Name: "update_policy_dscp_marking_rule", Check: manager},
	{Name: "delete_policy_dscp_marking_rule", Check: manager},
	{Name: "get_alias_dscp_marking_rule", Check: reader},
	{Name: "update_alias_dscp_marking_rule", Check: manager},
	{Name: "delete_alias_dscp_marking_rule", Check: manager},

	{Name: "get_quota", Check: reader},
	{Name: "update_quota", Check: admin},
	{Name: "delete_quota", Check: admin},
}
