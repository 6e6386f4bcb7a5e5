package api

import "nacre/internal/api"

// removedRoutes are calls that Nova once had: about networks of its own, about
// drivers and cells that are no more.
func removedRoutes() []api.Route {
	const (
		consoles = "/servers/{server_id}/consoles"
		cells    = "/os-cells"
		names    = "/os-floating-ip-dns"
		networks = "/os-networks/{network_id}"
		rules    = "/os-security-group-default-rules"
	)
	return []api.Route{
		{Method: "GET", Path: "/os-agents"},
		{Method: "POST", Path: "/os-agents"},
		{Method: "PUT", Path: "/os-agents/{agent_build_id}"},
		{Method: "DELETE", Path: "/os-agents/{agent_build_id}"},
		{Method: "GET", Path: cells},
		{Method: "POST", Path: cells},
		{Method: "POST", Path: cells + "/sync_instances"},
		{Method: "GET", Path: cells + "/capacities"},
		{Method: "GET", Path: cells + "/detail"},
		{Method: "GET", Path: cells + "/info"},
		{Method: "GET", Path: cells + "/{cell_id}"},
		{Method: "PUT", Path: cells + "/{cell_id}"},
		{Method: "DELETE", Path: cells + "/{cell_id}"},
		{Method: "GET", Path: cells + "/{cell_id}/capacities"},
		{Method: "POST", Path: "/os-certificates"},
		{Method: "GET", Path: "/os-certificates/root"},
		{Method: "GET", Path: "/os-cloudpipe"},
		{Method: "POST", Path: "/os-cloudpipe"},
		{Method: "PUT", Path: "/os-cloudpipe/configure-project"},
		{Method: "GET", Path: consoles},
		{Method: "POST", Path: consoles},
		{Method: "GET", Path: consoles + "/{console_id}"},
		{Method: "DELETE", Path: consoles + "/{console_id}"},
		{Method: "GET", Path: "/os-fixed-ips/{fixed_ip}"},
		{Method: "POST", Path: "/os-fixed-ips/{fixed_ip}/action", Action: "reserve"},
		{Method: "POST", Path: "/os-fixed-ips/{fixed_ip}/action", Action: "unreserve"},
		{Method: "GET", Path: names},
		{Method: "PUT", Path: names + "/{domain}"},
		{Method: "DELETE", Path: names + "/{domain}"},
		{Method: "GET", Path: names + "/{domain}/entries/{name}"}, // or by its address
		{Method: "PUT", Path: names + "/{domain}/entries/{name}"},
		{Method: "DELETE", Path: names + "/{domain}/entries/{name}"},
		{Method: "GET", Path: "/os-floating-ips-bulk"},
		{Method: "POST", Path: "/os-floating-ips-bulk"},
		{Method: "PUT", Path: "/os-floating-ips-bulk/delete"},
		{Method: "GET", Path: "/os-floating-ips-bulk/{host_name}"},
		{Method: "GET", Path: "/os-fping"},
		{Method: "GET", Path: "/os-fping/{instance_id}"},
		{Method: "POST", Path: "/os-networks"},
		{Method: "POST", Path: "/os-networks/add"},
		{Method: "DELETE", Path: networks},
		{Method: "POST", Path: networks + "/action", Action: "associate_host"},
		{Method: "POST", Path: networks + "/action", Action: "disassociate"},
		{Method: "POST", Path: networks + "/action", Action: "disassociate_host"},
		{Method: "POST", Path: networks + "/action", Action: "disassociate_project"},
		{Method: "GET", Path: rules},
		{Method: "POST", Path: rules},
		{Method: "GET", Path: rules + "/{security_group_default_rule_id}"},
		{Method: "DELETE", Path: rules + "/{security_group_default_rule_id}"},
		{Method: "POST", Path: "/os-tenant-networks"},
		{Method: "DELETE", Path: "/os-tenant-networks/{network_id}"},
		{Method: "GET", Path: "/servers/{server_id}/os-virtual-interfaces"},
		{Method: "POST", Path: "/servers/{server_id}/action", Action: "os-getRDPConsole"},
		{Method: "POST", Path: "/servers/{server_id}/action", Action: "resetNetwork"},
	}
}
