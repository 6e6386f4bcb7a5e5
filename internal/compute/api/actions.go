package api

import (
	"context"
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/compute"
)

// actionRoutes is what can be done to servers.
func (h handlers) actionRoutes() []api.Route {
	const path = "/servers/{server_id}/action"
	return []api.Route{
		{Method: "POST", Path: path, Action: "forceDelete", Rule: "os_compute_api:os-deferred-delete:force", OK: 202, Do: h.plain(h.compute.ForceDeleteServer)},
		{Method: "POST", Path: path, Action: "lock", Until: api.V(2, 72), Rule: "os_compute_api:os-lock-server:lock", OK: 202, Do: h.plain(h.lockForNoReason)},
		{Method: "POST", Path: path, Action: "lock", Since: api.V(2, 73), Rule: "os_compute_api:os-lock-server:lock", OK: 202, Do: api.BodyEmpty(h.lock)},
		{Method: "POST", Path: path, Action: "reboot", Rule: "os_compute_api:servers:reboot", OK: 202, Do: api.BodyEmpty(h.reboot)},
		{Method: "POST", Path: path, Action: "os-start", Rule: "os_compute_api:servers:start", OK: 202, Do: h.plain(h.compute.StartServer)},
		{Method: "POST", Path: path, Action: "os-stop", Rule: "os_compute_api:servers:stop", OK: 202, Do: h.plain(h.compute.StopServer)},
		{Method: "POST", Path: path, Action: "unlock", Rule: "os_compute_api:os-lock-server:unlock", OK: 202, Do: h.plain(h.compute.UnlockServer)},
		{Method: "POST", Path: path, Action: "os-resetState", Rule: "os_compute_api:os-admin-actions:reset_state", OK: 202, Do: api.BodyEmpty(h.resetState)},
	}
}

// plain makes a handler of an action whose name says everything: its value may be
// anything.
func (h handlers) plain(do func(ctx context.Context, a compute.Act) error) api.Handler {
	return api.BodyEmpty(func(c *api.Call, _ map[string]json.RawMessage) error {
		server, err := h.server(c)
		if err != nil {
			return err
		}
		return do(c.Context(), act(c, server))
	})
}

type rebootRequest struct {
	Reboot struct {
		Type string `json:"type" check:"required,enum=HARD|Hard|hard|SOFT|Soft|soft"`
	} `json:"reboot" check:"required"`
}

func (h handlers) reboot(c *api.Call, in rebootRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	soft := in.Reboot.Type[0] == 'S' || in.Reboot.Type[0] == 's'
	return h.compute.RebootServer(c.Context(), act(c, server), soft)
}

type lockRequest struct {
	Lock *struct {
		Reason *string `json:"locked_reason" check:"min=1,max=255,notnull"`
	} `json:"lock" check:"required"`
}

func (h handlers) lock(c *api.Call, in lockRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	var reason *string
	if in.Lock != nil {
		reason = in.Lock.Reason
	}
	return h.compute.LockServer(c.Context(), act(c, server), reason)
}

// lockForNoReason locks a server as before 2.73, whatever came with it.
func (h handlers) lockForNoReason(ctx context.Context, a compute.Act) error {
	return h.compute.LockServer(ctx, a, nil)
}

type resetRequest struct {
	Reset struct {
		State string `json:"state" check:"required,enum=active|error"`
	} `json:"os-resetState" check:"required"`
}

func (h handlers) resetState(c *api.Call, in resetRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.ResetState(c.Context(), act(c, server), compute.VMState(in.Reset.State))
}
