package api

import (
	"slices"

	"nacre/internal/api"
	"nacre/internal/auth"
)

type topologyView struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant_id"`
	Project string `json:"project_id"`
}

// topologyOf is the project in the path: an admin's any, others' their own.
func topologyOf(c *api.Call) (string, error) {
	project := c.PathValue("project_id")
	if project == "" || project == "None" || project == "null" {
		project = c.Caller.Project
	}
	return project, c.Authorize(target(project, nil))
}

// showTopology makes what it shows when it is not there. With the field dry-run
// it only tells whether it could.
func (h handlers) showTopology(c *api.Call) (map[string]any, error) {
	project, err := topologyOf(c)
	if err != nil {
		return nil, err
	}
	if slices.Contains(c.Query()["fields"], "dry-run") {
		err = h.net.CanAllocate(c.Context(), project)
		if err != nil {
			return nil, err
		}
		return map[string]any{"auto_allocated_topology": topologyView{"dry-run=pass", project, project}}, nil
	}
	if !c.May("create_network", auth.Target{Project: project}) {
		return nil, api.Neutron.Forbidden("create_network") // a reader makes nothing
	}
	id, err := h.net.AllocateTopology(c.Context(), project)
	if err != nil {
		return nil, err
	}
	return show(c, "auto_allocated_topology", topologyView{id, project, project}), nil
}

func (h handlers) deleteTopology(c *api.Call) error {
	project, err := topologyOf(c)
	if err != nil {
		return err
	}
	return h.net.DeleteTopology(c.Context(), project)
}

type floatingPoolView struct {
	Subnet     string `json:"subnet_id"`
	SubnetName string `json:"subnet_name"`
	Tenant     string `json:"tenant_id"`
	Project    string `json:"project_id"`
	Network    string `json:"network_id"`
	CIDR       string `json:"cidr"`
}

// listFloatingPools lists the IPv4 subnets of the external networks that the
// caller sees: floating IPs come from there.
func (h handlers) listFloatingPools(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	subnets, err := h.net.FloatingPools(c.Context(), scope(c))
	if err != nil {
		return nil, err
	}
	views := []any{}
	for _, s := range subnets {
		v := floatingPoolView{s.ID, s.Name, s.Project, s.Project, s.Network, s.CIDR}
		keep, err := matches(c, map[string]string{
			"subnet_id": v.Subnet, "subnet_name": v.SubnetName, "tenant_id": v.Tenant, "project_id": v.Project,
			"network_id": v.Network, "cidr": v.CIDR,
		})
		if err != nil {
			return nil, err
		}
		if keep {
			views = append(views, fields(c, v))
		}
	}
	return map[string]any{"floatingip_pools": views}, nil
}
