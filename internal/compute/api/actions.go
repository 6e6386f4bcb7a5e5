package api

import (
	"context"
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// actionRoutes is what can be done to servers.
func (h handlers) actionRoutes() []api.Route {
	const path = "/servers/{server_id}/action"
	return []api.Route{
		{Method: "POST", Path: path, Action: "forceDelete", Rule: "os_compute_api:os-deferred-delete:force", OK: 202, Do: h.plain(h.compute.ForceDeleteServer)},
		{Method: "POST", Path: path, Action: "lock", Rule: "os_compute_api:os-lock-server:lock", OK: 202, Do: api.BodyEmpty(h.lock)},
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
	Lock lockBody `json:"lock" check:"required"`
}

// lockBody is null or, since 2.73, an object with the reason.
type lockBody struct {
	reason *string
}

// JSONSchema implements api.Schemer.
func (lockBody) JSONSchema() map[string]any {
	return map[string]any{
		"type": []any{"object", "null", "string"}, "additionalProperties": false,
		"properties": map[string]any{"locked_reason": map[string]any{"type": "string", "minLength": 1, "maxLength": 255}},
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *lockBody) UnmarshalJSON(raw []byte) error {
	var in struct {
		Reason *string `json:"locked_reason"`
	}
	if len(raw) > 0 && raw[0] == '{' {
		err := json.Unmarshal(raw, &in)
		if err != nil {
			return err
		}
	}
	b.reason = in.Reason
	return nil
}

func (h handlers) lock(c *api.Call, in lockRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	if in.Lock.reason != nil && c.Version < api.V(2, 73) {
		return errs.BadRequestf("Invalid input for field/attribute lock. Value: {'locked_reason': '%s'}. It is not of type 'null'", *in.Lock.reason)
	}
	a := act(c, server)
	return h.compute.LockServer(c.Context(), a, !a.Admin || c.Caller.Project == server.Project, in.Lock.reason)
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
