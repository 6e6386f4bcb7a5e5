package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/vif"
)

// addressRoutes is the addresses, security groups and passwords of servers.
func (h handlers) addressRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers/{server_id}/ips", Rule: "os_compute_api:ips:index", Do: api.Get(h.listAddresses)},
		{Method: "GET", Path: "/servers/{server_id}/ips/{network_label}", Rule: "os_compute_api:ips:show", Do: api.Get(h.showAddresses)},
		{Method: "GET", Path: "/servers/{server_id}/os-server-password", Rule: "os_compute_api:os-server-password:show", Do: api.Get(h.showPassword)},
		{Method: "DELETE", Path: "/servers/{server_id}/os-server-password", Rule: "os_compute_api:os-server-password:clear", OK: 204, Do: api.Empty(h.clearPassword)},
		{Method: "GET", Path: "/servers/{server_id}/os-security-groups", Rule: "os_compute_api:os-security-groups:list", Do: api.Get(h.listGroupsOf)},
	}
}

type plainAddress struct {
	Version int    `json:"version"`
	Addr    string `json:"addr"`
}

type addressesReply struct {
	Addresses map[string][]plainAddress `json:"addresses"`
}

func (h handlers) listAddresses(c *api.Call) (addressesReply, error) {
	ports, err := h.ports(c)
	return addressesReply{plain(addresses(nil, ports))}, err
}

func (h handlers) showAddresses(c *api.Call) (map[string][]plainAddress, error) {
	ports, err := h.ports(c)
	if err != nil {
		return nil, err
	}
	label := c.PathValue("network_label")
	list, has := plain(addresses(nil, ports))[label]
	if !has {
		return nil, errs.NotFoundf("Instance is not a member of specified network")
	}
	return map[string][]plainAddress{label: list}, nil
}

func (h handlers) ports(c *api.Call) ([]vif.Port, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	_, ports, _, err := h.compute.Cards(c.Context(), server.Project, server.ID)
	return ports, err
}

// plain leaves of addresses what was shown before there were extensions.
func plain(all addressesView) map[string][]plainAddress {
	out := map[string][]plainAddress{}
	for _, network := range all {
		for _, a := range network.Value {
			out[network.Key] = append(out[network.Key], plainAddress{a.Version, a.Addr})
		}
	}
	return out
}

type groupOfServer struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	TenantID    string     `json:"tenant_id"`
	Rules       []struct{} `json:"rules"`
}

type groupsOfServer struct {
	Groups []groupOfServer `json:"security_groups"`
}

func (h handlers) listGroupsOf(c *api.Call) (groupsOfServer, error) {
	ports, err := h.ports(c)
	reply := groupsOfServer{}
	known := map[string]bool{}
	for _, p := range ports {
		for _, g := range p.Groups {
			if !known[g.ID] {
				reply.Groups = append(reply.Groups, groupOfServer{ID: g.ID, Name: g.Name, TenantID: p.Project})
			}
			known[g.ID] = true
		}
	}
	return reply, err
}

type passwordReply struct {
	Password string `json:"password"`
}

func (h handlers) showPassword(c *api.Call) (passwordReply, error) {
	server, err := h.server(c)
	if err != nil {
		return passwordReply{}, err
	}
	text, err := h.compute.Password(c.Context(), server)
	return passwordReply{text}, err
}

func (h handlers) clearPassword(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.ClearPassword(c.Context(), server)
}
