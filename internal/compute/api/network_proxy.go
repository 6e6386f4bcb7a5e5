package api

import (
	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// networkProxyRoutes is the networks that servers may use, as they were listed
// before there was a network service.
func (h handlers) networkProxyRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-networks", Until: untilNetwork, Rule: "os_compute_api:os-networks:list", Do: api.Get(h.listNetworks)},
		{Method: "GET", Path: "/os-networks/{network_id}", Until: untilNetwork, Rule: "os_compute_api:os-networks:show", Do: api.Get(h.showNetwork)},
		{Method: "GET", Path: "/os-tenant-networks", Until: untilNetwork, Rule: "os_compute_api:os-tenant-networks:list", Do: api.Get(h.listTenantNetworks)},
		{Method: "GET", Path: "/os-tenant-networks/{network_id}", Until: untilNetwork, Rule: "os_compute_api:os-tenant-networks:show", Do: api.Get(h.showTenantNetwork)},
	}
}

// networkFields are what a network had when Nova had networks: of one of the
// network service all but id and label are unknown.
var networkFields = []string{"cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6"}

// adminFields are those that only an admin saw.
var adminFields = []string{
	"created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address", "vpn_public_port",
	"vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host", "priority", "rxtx_base",
	"mtu", "dhcp_server", "enable_dhcp", "share_address",
}

func viewNetwork(c *api.Call, n compute.Network) map[string]any {
	v := map[string]any{"id": n.ID, "label": n.Name}
	for _, field := range networkFields {
		v[field] = nil
	}
	if c.Caller.Admin() {
		for _, field := range adminFields {
			v[field] = nil
		}
	}
	return v
}

type tenantNetworkView struct {
	ID    string `json:"id"`
	CIDR  string `json:"cidr"`
	Label string `json:"label"`
}

func viewTenantNetwork(n compute.Network) tenantNetworkView {
	return tenantNetworkView{n.ID, "None", n.Name}
}

func (h handlers) networks(c *api.Call) ([]compute.Network, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	return h.compute.Proxy().Networks(c.Context(), c.Caller)
}

func (h handlers) network(c *api.Call) (compute.Network, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return compute.Network{}, err
	}
	n, err := h.compute.Proxy().Network(c.Context(), c.Caller, c.PathValue("network_id"))
	if errs.Is(err, errs.NotFound) {
		return n, errs.NotFoundf("Network not found")
	}
	return n, err
}

type networksReply struct {
	Networks []map[string]any `json:"networks"`
}

type networkReply struct {
	Network map[string]any `json:"network"`
}

func (h handlers) listNetworks(c *api.Call) (networksReply, error) {
	list, err := h.networks(c)
	reply := networksReply{Networks: []map[string]any{}}
	for _, n := range list {
		reply.Networks = append(reply.Networks, viewNetwork(c, n))
	}
	return reply, err
}

func (h handlers) showNetwork(c *api.Call) (networkReply, error) {
	n, err := h.network(c)
	return networkReply{viewNetwork(c, n)}, err
}

type tenantNetworksReply struct {
	Networks []tenantNetworkView `json:"networks"`
}

type tenantNetworkReply struct {
	Network tenantNetworkView `json:"network"`
}

func (h handlers) listTenantNetworks(c *api.Call) (tenantNetworksReply, error) {
	list, err := h.networks(c)
	reply := tenantNetworksReply{Networks: []tenantNetworkView{}}
	for _, n := range list {
		reply.Networks = append(reply.Networks, viewTenantNetwork(n))
	}
	return reply, err
}

func (h handlers) showTenantNetwork(c *api.Call) (tenantNetworkReply, error) {
	n, err := h.network(c)
	return tenantNetworkReply{viewTenantNetwork(n)}, err
}
