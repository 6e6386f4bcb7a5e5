package api

import (
	"cmp"
	"maps"
	"slices"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// untilHosts is the last microversion that has hosts beside hypervisors and
// services.
var untilHosts = api.V(2, 42)

// oldHostRoutes is hosts as they were before hypervisors and services told of
// them.
func (h handlers) oldHostRoutes() []api.Route {
	const path = "/os-hosts/{host_name}"
	return []api.Route{
		{Method: "GET", Path: "/os-hosts", Until: untilHosts, Rule: "os_compute_api:os-hosts:list", Do: api.Get(h.listHosts)},
		{Method: "GET", Path: path, Until: untilHosts, Rule: "os_compute_api:os-hosts:show", Do: api.Get(h.showHost)},
		{Method: "PUT", Path: path, Until: untilHosts, Rule: "os_compute_api:os-hosts:update", Do: api.Body(h.updateHost)},
		{Method: "GET", Path: path + "/reboot", Until: untilHosts, Rule: "os_compute_api:os-hosts:reboot", Do: api.Get(h.powerHost)},
		{Method: "GET", Path: path + "/shutdown", Until: untilHosts, Rule: "os_compute_api:os-hosts:shutdown", Do: api.Get(h.powerHost)},
		{Method: "GET", Path: path + "/startup", Until: untilHosts, Rule: "os_compute_api:os-hosts:start", Do: api.Get(h.powerHost)},
	}
}

type hostView struct {
	Name    string `json:"host_name"`
	Service string `json:"service"`
	Zone    string `json:"zone"`
}

type hostsReply struct {
	Hosts []hostView `json:"hosts"`
}

func (h handlers) listHosts(c *api.Call) (hostsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return hostsReply{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	reply := hostsReply{Hosts: []hostView{}}
	for _, host := range list {
		if !host.Service.Disabled && cmp.Or(c.Query().Get("zone"), host.Zone) == host.Zone {
			reply.Hosts = append(reply.Hosts, hostView{host.Host.Name, "compute", host.Zone})
		}
	}
	return reply, err
}

// host authorizes the call and finds its host.
func (h handlers) host(c *api.Call) (compute.Hypervisor, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return compute.Hypervisor{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return compute.Hypervisor{}, err
	}
	name := c.PathValue("host_name")
	i := slices.IndexFunc(list, func(host compute.Hypervisor) bool { return host.Host.Name == name })
	if i < 0 {
		return compute.Hypervisor{}, errs.NotFoundf("Compute host %s could not be found.", name)
	}
	return list[i], nil
}

// hostUse is an amount of a host: what it has, what is used, or a project's part.
type hostUse struct {
	Host     string `json:"host"`
	Project  string `json:"project"`
	CPU      int64  `json:"cpu"`
	MemoryMB int64  `json:"memory_mb"`
	DiskGB   int64  `json:"disk_gb"`
}

func (u *hostUse) add(f compute.Flavor) {
	u.CPU += f.VCPUs
	u.MemoryMB += f.RAM
	u.DiskGB += f.Disk + f.Ephemeral
}

type hostResource struct {
	Resource hostUse `json:"resource"`
}

type hostReply struct {
	Host []hostResource `json:"host"`
}

func (h handlers) showHost(c *api.Call) (hostReply, error) {
	host, err := h.host(c)
	if err != nil {
		return hostReply{}, err
	}
	name, v := host.Host.Name, detailHypervisor(c, host)
	servers, err := h.compute.ServersOn(c.Context(), name)
	if err != nil {
		return hostReply{}, err
	}
	most, projects := hostUse{Host: name, Project: "(used_max)"}, map[string]hostUse{}
	for _, server := range servers {
		most.add(server.Flavor.V)
		use := projects[server.Project]
		use.Host, use.Project = name, server.Project
		use.add(server.Flavor.V)
		projects[server.Project] = use
	}
	reply := hostReply{[]hostResource{
		{hostUse{name, "(total)", v.VCPUs, v.MemoryMB, v.LocalGB}},
		{hostUse{name, "(used_now)", v.VCPUsUsed, v.MemoryUsed, v.LocalUsed}},
		{most},
	}}
	for _, project := range slices.Sorted(maps.Keys(projects)) {
		reply.Host = append(reply.Host, hostResource{projects[project]})
	}
	return reply, nil
}

type hostRequest struct {
	_           struct{} `check:"nonempty"`
	Status      string   `json:"status" check:"enum=enable|disable|Enable|Disable|ENABLE|DISABLE"`
	Maintenance string   `json:"maintenance_mode" check:"enum=enable|disable|Enable|Disable|ENABLE|DISABLE"`
}

// updateHost and powerHost are as Nova has them with the drivers of today, none of
// which does this.
func (h handlers) updateHost(c *api.Call, _ hostRequest) (struct{}, error) {
	return h.powerHost(c)
}

func (h handlers) powerHost(c *api.Call) (struct{}, error) {
	_, err := h.host(c)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, errs.New(errs.NotImplemented, "The requested functionality is not supported.")
}
