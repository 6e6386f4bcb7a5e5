package api

import (
	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// shelveRoutes is what takes servers from their hosts, and brings them back to
// one or another.
func (h handlers) shelveRoutes() []api.Route {
	const path = "/servers/{server_id}/action"
	return []api.Route{
		{Method: "POST", Path: path, Action: "shelve", Rule: "os_compute_api:os-shelve:shelve", OK: 202, Do: h.plain(h.compute.ShelveServer)},
		{Method: "POST", Path: path, Action: "shelveOffload", Rule: "os_compute_api:os-shelve:shelve_offload", OK: 202, Do: h.plain(h.compute.OffloadServer)},
		{Method: "POST", Path: path, Action: "unshelve", Rule: "os_compute_api:os-shelve:unshelve", OK: 202, Do: api.Handler(h.unshelve)},
		{Method: "POST", Path: path, Action: "rescue", Rule: "os_compute_api:os-rescue", OK: 200, Do: api.Body(h.rescue)},
		{Method: "POST", Path: path, Action: "unrescue", Rule: "os_compute_api:os-unrescue", OK: 202, Do: h.plain(h.compute.UnrescueServer)},
		{Method: "POST", Path: path, Action: "evacuate", Rule: "os_compute_api:os-evacuate", OK: 200, Do: api.Body(h.evacuate)},
	}
}

type unshelveRequest struct {
	Unshelve *struct {
		Zone string `json:"availability_zone" check:"required,min=1,max=255,pattern=name"`
	} `json:"unshelve" check:"required"`
}

// unshelveToRequest is since 2.91: a zone of null is any.
type unshelveToRequest struct {
	Unshelve *struct {
		Zone api.Opt[string] `json:"availability_zone"`
		Host string          `json:"host"`
	} `json:"unshelve" check:"required"`
}

func (h handlers) unshelve(c *api.Call) (any, error) {
	in, err := unshelveInput(c)
	if err != nil {
		return nil, err
	}
	server, err := h.server(c)
	if err == nil && in.Host != "" {
		err = c.AuthorizeRule("os_compute_api:os-shelve:unshelve_to_host", of(server))
	}
	if err != nil {
		return nil, err
	}
	return nil, h.compute.UnshelveServer(c.Context(), act(c, server), in)
}

// unshelveInput reads the body, of which nothing was looked at before 2.77.
func unshelveInput(c *api.Call) (compute.Unshelve, error) {
	var in compute.Unshelve
	switch {
	case c.Version >= api.V(2, 91):
		var r unshelveToRequest
		err := c.Decode(&r)
		if err != nil || r.Unshelve == nil {
			return in, err
		}
		in.Host = r.Unshelve.Host
		if r.Unshelve.Zone.Set {
			in.Zone = &r.Unshelve.Zone.V // null is any
		}
	case c.Version >= api.V(2, 77):
		var r unshelveRequest
		err := c.Decode(&r)
		if err != nil || r.Unshelve == nil {
			return in, err
		}
		in.Zone = &r.Unshelve.Zone
	}
	return in, nil
}

type rescueRequest struct {
	Rescue *struct {
		AdminPass string `json:"adminPass"`
		Image     string `json:"rescue_image_ref" check:"pattern=uuid"`
	} `json:"rescue" check:"required"`
}

type adminPassReply struct {
	AdminPass string `json:"adminPass"`
}

func (h handlers) rescue(c *api.Call, in rescueRequest) (adminPassReply, error) {
	server, err := h.server(c)
	if err != nil {
		return adminPassReply{}, err
	}
	reply := adminPassReply{password()}
	rescue := compute.NewRescue{OfVolume: c.Version >= api.V(2, 87)}
	if in.Rescue != nil {
		rescue.Image = in.Rescue.Image
		if in.Rescue.AdminPass != "" {
			reply.AdminPass = in.Rescue.AdminPass
		}
	}
	rescue.AdminPass = reply.AdminPass
	return reply, h.compute.RescueServer(c.Context(), act(c, server), c.Caller, rescue)
}

type evacuateRequest struct {
	Evacuate struct {
		Host      *string   `json:"host" check:"min=1,max=255,pattern=hostname,notnull"`
		Shared    *api.Bool `json:"onSharedStorage" until:"2.13" check:"required,notnull"`
		AdminPass string    `json:"adminPass"`
		Force     *api.Bool `json:"force" since:"2.29" until:"2.67" check:"notnull"`
	} `json:"evacuate" check:"required"`
}

// evacuate answers with the password of the new guest until 2.13.
func (h handlers) evacuate(c *api.Call, in evacuateRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	r := in.Evacuate
	where := compute.Evacuate{Stopped: c.Version >= api.V(2, 95)}
	switch {
	case r.Host != nil:
		where.Host, where.Anyway = *r.Host, r.Force != nil && bool(*r.Force)
	case r.Force != nil && bool(*r.Force):
		return nil, errs.BadRequestf("Can't force to a non-provided destination")
	}
	if r.Shared != nil && bool(*r.Shared) {
		if r.AdminPass != "" {
			return nil, errs.BadRequestf("admin password can't be changed on existing disk")
		}
		if server.Image != "" {
			return nil, errs.BadRequestf("Invalid state of instance files on shared storage: root disks are on their hosts here.")
		}
	}
	where.AdminPass = r.AdminPass
	if where.AdminPass == "" && c.Version < api.V(2, 14) {
		where.AdminPass = password()
	}
	err = h.compute.EvacuateServer(c.Context(), act(c, server), where)
	if err != nil || c.Version >= api.V(2, 14) {
		return nil, err
	}
	return adminPassReply{where.AdminPass}, nil
}
