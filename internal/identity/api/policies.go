package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/identity"
)

func (h handlers) policies() []api.Route {
	k := h.policyKind()
	return []api.Route{
		{Method: "POST", Path: "/policies", Rule: "identity:create_policy", OK: 201, Do: api.Body(h.createPolicy)},
		{Method: "GET", Path: "/policies", Rule: "identity:list_policies", Do: api.Get(k.list)},
		{Method: "GET", Path: "/policies/{policy_id}", Rule: "identity:get_policy", Do: api.Get(k.show)},
		{Method: "PATCH", Path: "/policies/{policy_id}", Rule: "identity:update_policy", Do: api.Body(h.updatePolicy)},
		{Method: "DELETE", Path: "/policies/{policy_id}", Rule: "identity:delete_policy", OK: 204, Do: api.Empty(k.delete)},
	}
}

func (h handlers) policyKind() kind[identity.PolicyBlob] {
	return kind[identity.PolicyBlob]{
		one: "policy", many: "policies", param: "policy_id", view: viewPolicy,
		all: func(c *api.Call) ([]identity.PolicyBlob, error) {
			return h.identity.Policies(c.Context(), c.Query().Get("type"))
		},
		get: h.identity.PolicyBlob, remove: h.identity.DeletePolicyBlob,
	}
}

type policyView struct {
	ID    string   `json:"id"`
	Type  string   `json:"type"`
	Blob  string   `json:"blob"`
	Links selfLink `json:"links"`
}

func viewPolicy(c *api.Call, p identity.PolicyBlob) any {
	return open{policyView{p.ID, p.Type, p.Blob, selfLink{c.URL("/policies/" + p.ID)}}, p.Extra.V}
}

type policyCreate struct {
	_    struct{} `check:"open"`
	Type string   `json:"type" check:"required,max=255"`
	Blob string   `json:"blob" check:"required"`
}

type createPolicyRequest struct {
	_      struct{}     `check:"open"`
	Policy policyCreate `json:"policy" check:"required"`
}

func (h handlers) createPolicy(c *api.Call, in createPolicyRequest) (map[string]any, error) {
	return h.policyKind().made(c, in.Policy, func(extra map[string]any) (identity.PolicyBlob, error) {
		return h.identity.CreatePolicyBlob(c.Context(), identity.PolicyBlob{Type: in.Policy.Type, Blob: in.Policy.Blob, Extra: db.Of(extra)})
	})
}

type policyUpdate struct {
	_    struct{} `check:"open,nonempty"`
	Type *string  `json:"type" check:"max=255"`
	Blob *string  `json:"blob"`
}

type updatePolicyRequest struct {
	_      struct{}     `check:"open"`
	Policy policyUpdate `json:"policy" check:"required"`
}

func (h handlers) updatePolicy(c *api.Call, in updatePolicyRequest) (map[string]any, error) {
	return h.policyKind().made(c, in.Policy, func(extra map[string]any) (identity.PolicyBlob, error) {
		return h.identity.UpdatePolicyBlob(c.Context(), c.PathValue("policy_id"), func(p *identity.PolicyBlob) error {
			set(&p.Type, in.Policy.Type)
			set(&p.Blob, in.Policy.Blob)
			p.Extra.V = merged(p.Extra.V, extra)
			return nil
		})
	})
}
