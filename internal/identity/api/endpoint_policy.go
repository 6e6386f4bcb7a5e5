package api

import (
	"context"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/identity"
)

func (h handlers) endpointPolicies() []api.Route {
	const base = "/policies/{policy_id}/OS-ENDPOINT-POLICY"
	put, check, remove := api.Empty(h.associated((*identity.Service).Associate)), api.Empty(h.associated((*identity.Service).Associated)),
		api.Empty(h.associated((*identity.Service).Dissociate))
	var routes []api.Route
	for _, of := range [][2]string{
		{"/endpoints/{endpoint_id}", "endpoint"}, {"/services/{service_id}", "service"},
		{"/services/{service_id}/regions/{region_id}", "region_and_service"},
	} {
		routes = append(routes,
			api.Route{Method: "PUT", Path: base + of[0], Rule: "identity:create_policy_association_for_" + of[1], OK: 204, Do: put},
			api.Route{Method: "GET", Path: base + of[0], Rule: "identity:check_policy_association_for_" + of[1], OK: 204, Do: check},
			api.Route{Method: "DELETE", Path: base + of[0], Rule: "identity:delete_policy_association_for_" + of[1], OK: 204, Do: remove})
	}
	return append(routes,
		api.Route{Method: "GET", Path: base + "/endpoints", Rule: "identity:list_endpoints_for_policy", Do: api.Get(h.listEndpointsOfPolicy)},
		api.Route{Method: "GET", Path: base + "/policy", Rule: "identity:get_policy_for_endpoint", Do: api.Get(h.policyKind().show)},
		api.Route{Method: "HEAD", Path: base + "/policy", Rule: "identity:get_policy_for_endpoint", Do: api.Get(h.policyKind().show)},
		api.Route{Method: "GET", Path: "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", Rule: "identity:get_policy_for_endpoint", Do: api.Get(h.showPolicyOfEndpoint)})
}

// associated does something with the association that the path names.
func (h handlers) associated(do func(s *identity.Service, ctx context.Context, a identity.PolicyAssociation) error) func(c *api.Call) error {
	return func(c *api.Call) error {
		err := c.Authorize(auth.Target{})
		if err != nil {
			return err
		}
		return do(h.identity, c.Context(), identity.PolicyAssociation{PolicyID: c.PathValue("policy_id"),
			EndpointID: c.PathValue("endpoint_id"), ServiceID: c.PathValue("service_id"), RegionID: c.PathValue("region_id")})
	}
}

func (h handlers) listEndpointsOfPolicy(c *api.Call) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.EndpointsOfPolicy(c.Context(), c.PathValue("policy_id"))
	return many(c, "endpoints", viewAnyEndpoint, rows, err)
}

func viewAnyEndpoint(c *api.Call, e identity.Endpoint) any { return viewEndpoint(c, e) }

func (h handlers) showPolicyOfEndpoint(c *api.Call) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	p, err := h.identity.PolicyOfEndpoint(c.Context(), c.PathValue("endpoint_id"))
	return one(c, "policy", viewPolicy, p, err)
}
