package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// floatingProxyRoutes is floating IPs, which the network service has, and the
// addresses of a server's cards.
func (h handlers) floatingProxyRoutes() []api.Route {
	const path, action = "/os-floating-ips", "/servers/{server_id}/action"
	return []api.Route{
		{Method: "GET", Path: "/os-floating-ip-pools", Until: untilNetwork, Rule: "os_compute_api:os-floating-ip-pools", Do: api.Get(h.listPools)},
		{Method: "GET", Path: path, Until: untilNetwork, Rule: "os_compute_api:os-floating-ips:list", Do: api.Get(h.listFloatingIPs)},
		{Method: "POST", Path: path, Until: untilNetwork, Rule: "os_compute_api:os-floating-ips:create", Do: api.Body(h.createFloatingIP)},
		{Method: "GET", Path: path + "/{floating_ip_id}", Until: untilNetwork, Rule: "os_compute_api:os-floating-ips:show", Do: api.Get(h.showFloatingIP)},
		{Method: "DELETE", Path: path + "/{floating_ip_id}", Until: untilNetwork, Rule: "os_compute_api:os-floating-ips:delete", OK: 202, Do: api.Empty(h.deleteFloatingIP)},
		{Method: "POST", Path: action, Action: "addFixedIp", Until: untilActions, Rule: "os_compute_api:os-multinic:add", OK: 202, Do: api.BodyEmpty(h.addFixedIP)},
		{Method: "POST", Path: action, Action: "removeFixedIp", Until: untilActions, Rule: "os_compute_api:os-multinic:remove", OK: 202, Do: api.BodyEmpty(h.removeFixedIP)},
		{Method: "POST", Path: action, Action: "addFloatingIp", Until: untilActions, Rule: "os_compute_api:os-floating-ips:add", OK: 202, Do: api.BodyEmpty(h.addFloatingIP)},
		{Method: "POST", Path: action, Action: "removeFloatingIp", Until: untilActions, Rule: "os_compute_api:os-floating-ips:remove", OK: 202, Do: api.BodyEmpty(h.removeFloatingIP)},
	}
}

type poolView struct {
	Name string `json:"name"`
}

type poolsReply struct {
	Pools []poolView `json:"floating_ip_pools"`
}

func (h handlers) listPools(c *api.Call) (poolsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return poolsReply{}, err
	}
	list, err := h.compute.Proxy().Pools(c.Context(), c.Caller)
	reply := poolsReply{Pools: []poolView{}}
	for _, n := range list {
		reply.Pools = append(reply.Pools, poolView{n.Name})
	}
	return reply, err
}

type floatingView struct {
	ID      string  `json:"id"`
	IP      string  `json:"ip"`
	Pool    string  `json:"pool"`
	FixedIP *string `json:"fixed_ip"`
	Server  *string `json:"instance_id"`
}

type floatingsReply struct {
	FloatingIPs []floatingView `json:"floating_ips"`
}

type floatingReply struct {
	FloatingIP floatingView `json:"floating_ip"`
}

func viewFloating(f compute.FloatingIP) floatingView {
	return floatingView{f.ID, f.Address, f.Pool, orNull(f.FixedIP), orNull(f.Server)}
}

func (h handlers) listFloatingIPs(c *api.Call) (floatingsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return floatingsReply{}, err
	}
	list, err := h.compute.Proxy().FloatingIPs(c.Context(), c.Caller)
	reply := floatingsReply{FloatingIPs: []floatingView{}}
	for _, f := range list {
		reply.FloatingIPs = append(reply.FloatingIPs, viewFloating(f))
	}
	return reply, err
}

type createFloatingRequest struct {
	Pool *string `json:"pool"`
}

func (h handlers) createFloatingIP(c *api.Call, in createFloatingRequest) (floatingReply, error) {
	err := inProject(c)
	if err != nil {
		return floatingReply{}, err
	}
	pools, err := h.compute.Proxy().Pools(c.Context(), c.Caller)
	if err != nil {
		return floatingReply{}, err
	}
	for _, n := range pools {
		if in.Pool != nil && *in.Pool != n.Name && *in.Pool != n.ID {
			continue
		}
		f, err := h.compute.Proxy().CreateFloatingIP(c.Context(), c.Caller, n.ID)
		if err != nil {
			return floatingReply{}, passedOn(err)
		}
		c.Log("floating_ip_id", f.ID)
		return floatingReply{viewFloating(f)}, nil
	}
	return floatingReply{}, errs.NotFoundf("Floating IP pool not found.")
}

func (h handlers) floatingIP(c *api.Call) (compute.FloatingIP, error) {
	id := c.PathValue("floating_ip_id")
	f, err := h.compute.Proxy().FloatingIP(c.Context(), c.Caller, id)
	if errs.Is(err, errs.NotFound) {
		return f, errs.NotFoundf("Floating IP not found for ID %s", id)
	}
	if err != nil {
		return f, err
	}
	c.Log("floating_ip_id", id)
	return f, c.Authorize(auth.Target{Project: f.Project})
}

func (h handlers) showFloatingIP(c *api.Call) (floatingReply, error) {
	f, err := h.floatingIP(c)
	return floatingReply{viewFloating(f)}, err
}

func (h handlers) deleteFloatingIP(c *api.Call) error {
	f, err := h.floatingIP(c)
	if err != nil {
		return err
	}
	return h.compute.Proxy().DeleteFloatingIP(c.Context(), f.ID)
}

type addFixedRequest struct {
	Add struct {
		Network reference `json:"networkId" check:"required"`
	} `json:"addFixedIp" check:"required"`
}

func (h handlers) addFixedIP(c *api.Call, in addFixedRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return passedOn(h.compute.AddAddress(c.Context(), act(c, server), c.Caller, string(in.Add.Network)))
}

type removeFixedRequest struct {
	Remove struct {
		Address string `json:"address" check:"required,format=ip"`
	} `json:"removeFixedIp" check:"required"`
}

func (h handlers) removeFixedIP(c *api.Call, in removeFixedRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.RemoveAddress(c.Context(), act(c, server), c.Caller, in.Remove.Address)
}

type addFloatingRequest struct {
	Add struct {
		Address string `json:"address" check:"required,format=ip"`
		Fixed   string `json:"fixed_address" check:"format=ip"`
	} `json:"addFloatingIp" check:"required"`
}

func (h handlers) addFloatingIP(c *api.Call, in addFloatingRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return passedOn(h.compute.AddFloatingIP(c.Context(), act(c, server), c.Caller, in.Add.Address, in.Add.Fixed))
}

type removeFloatingRequest struct {
	Remove struct {
		Address string `json:"address" check:"required,format=ip"`
	} `json:"removeFloatingIp" check:"required"`
}

func (h handlers) removeFloatingIP(c *api.Call, in removeFloatingRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.RemoveFloatingIP(c.Context(), act(c, server), c.Caller, in.Remove.Address)
}
