package api

import (
	"strings"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// This file is the calls about hypervisors that newer ones took in: the search
// with 2.53, the uptime with 2.88.

type uptimeView struct {
	hypervisorName
	Uptime string `json:"uptime"`
}

type uptimeReply struct {
	Hypervisor uptimeView `json:"hypervisor"`
}

func (h handlers) showUptime(c *api.Call) (uptimeReply, error) {
	host, err := h.hypervisor(c)
	if err != nil {
		return uptimeReply{}, err
	}
	text, err := h.compute.Uptime(c.Context(), host.Host.Name)
	return uptimeReply{uptimeView{nameHypervisor(c, host), text}}, err
}

func noneMatches(pattern string) error {
	return errs.NotFoundf("No hypervisor matching '%s' could be found.", pattern)
}

// matching authorizes the call and finds the hypervisors whose name has the
// pattern in it.
func (h handlers) matching(c *api.Call) ([]compute.Hypervisor, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return nil, err
	}
	pattern := c.PathValue("hypervisor_hostname_pattern")
	var found []compute.Hypervisor
	for _, host := range list {
		if strings.Contains(host.Host.Name, pattern) {
			found = append(found, host)
		}
	}
	if found == nil {
		return nil, noneMatches(pattern)
	}
	return found, nil
}

type hypervisorNamesReply struct {
	Hypervisors []hypervisorName `json:"hypervisors"`
}

func (h handlers) searchHypervisors(c *api.Call) (hypervisorNamesReply, error) {
	list, err := h.matching(c)
	reply := hypervisorNamesReply{}
	for _, host := range list {
		reply.Hypervisors = append(reply.Hypervisors, nameHypervisor(c, host))
	}
	return reply, err
}

type hypervisorServers struct {
	hypervisorName
	Servers []serverRef `json:"servers,omitempty"`
}

type hypervisorServersReply struct {
	Hypervisors []hypervisorServers `json:"hypervisors"`
}

func (h handlers) searchHypervisorsServers(c *api.Call) (hypervisorServersReply, error) {
	list, err := h.matching(c)
	reply := hypervisorServersReply{}
	for _, host := range list {
		refs, err := h.serverRefs(c, host)
		if err != nil {
			return reply, err
		}
		reply.Hypervisors = append(reply.Hypervisors, hypervisorServers{nameHypervisor(c, host), refs})
	}
	return reply, err
}
