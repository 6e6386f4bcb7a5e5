package api

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) implications() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/roles/{prior_role_id}/implies", Rule: "identity:list_implied_roles", Do: api.Get(h.listImplied)},
		{Method: "PUT", Path: "/roles/{prior_role_id}/implies/{implies_role_id}", Rule: "identity:create_implied_role", OK: 201, Do: api.Get(h.createImplied)},
		{Method: "GET", Path: "/roles/{prior_role_id}/implies/{implies_role_id}", Rule: "identity:get_implied_role", Do: api.Get(h.showImplied)},
		{Method: "HEAD", Path: "/roles/{prior_role_id}/implies/{implies_role_id}", Rule: "identity:check_implied_role", OK: 204, Do: api.Get(h.showImplied)},
		{Method: "DELETE", Path: "/roles/{prior_role_id}/implies/{implies_role_id}", Rule: "identity:delete_implied_role", OK: 204, Do: api.Empty(h.deleteImplied)},
		{Method: "GET", Path: "/role_inferences", Rule: "identity:list_role_inference_rules", Do: api.Get(h.listInferences)},
	}
}

type linkedRole struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Links selfLink `json:"links"`
}

type inference struct {
	Prior   linkedRole   `json:"prior_role"`
	Implies []linkedRole `json:"implies"`
}

type inferenceReply struct {
	Inference inference `json:"role_inference"`
	Links     selfLink  `json:"links"`
}

type singleInference struct {
	Prior   linkedRole `json:"prior_role"`
	Implies linkedRole `json:"implies"`
}

type singleInferenceReply struct {
	Inference singleInference `json:"role_inference"`
	Links     selfLink        `json:"links"`
}

type inferencesReply struct {
	Inferences []inference `json:"role_inferences"`
	Links      listLinks   `json:"links"`
}

func linkRole(c *api.Call, r identity.Role) linkedRole {
	return linkedRole{r.ID, r.Name, selfLink{c.URL("/roles/" + r.ID)}}
}

func byName(a, b linkedRole) int { return strings.Compare(a.Name, b.Name) }

// inferences collects what each prior role implies; "" is all prior roles.
func (h handlers) inferences(c *api.Call, prior string) ([]inference, error) {
	implications, err := h.identity.Implications(c.Context())
	if err != nil {
		return nil, err
	}
	var out []inference
	for _, i := range implications {
		if prior != "" && i.PriorID != prior {
			continue
		}
		implied, err := h.identity.Role(c.Context(), i.ImpliedID)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(out, func(have inference) bool { return have.Prior.ID == i.PriorID })
		if at < 0 {
			role, err := h.identity.Role(c.Context(), i.PriorID)
			if err != nil {
				return nil, err
			}
			out = append(out, inference{Prior: linkRole(c, role)})
			at = len(out) - 1
		}
		out[at].Implies = append(out[at].Implies, linkRole(c, implied))
		slices.SortFunc(out[at].Implies, byName)
	}
	slices.SortFunc(out, func(a, b inference) int { return byName(a.Prior, b.Prior) })
	return out, nil
}

func (h handlers) listImplied(c *api.Call) (inferenceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return inferenceReply{}, err
	}
	role, err := h.identity.Role(c.Context(), c.PathValue("prior_role_id"))
	if err != nil {
		return inferenceReply{}, err
	}
	reply := inferenceReply{inference{Prior: linkRole(c, role)}, selfLink{c.URL("/roles/" + role.ID + "/implies")}}
	found, err := h.inferences(c, role.ID)
	if err != nil {
		return inferenceReply{}, err
	}
	if len(found) > 0 {
		reply.Inference = found[0]
	}
	return reply, nil
}

func (h handlers) listInferences(c *api.Call) (inferencesReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return inferencesReply{}, err
	}
	found, err := h.inferences(c, "")
	return inferencesReply{found, links(c)}, err
}

func (h handlers) showImplied(c *api.Call) (singleInferenceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return singleInferenceReply{}, err
	}
	prior, err := h.identity.Role(c.Context(), c.PathValue("prior_role_id"))
	if err != nil {
		return singleInferenceReply{}, err
	}
	implied, err := h.identity.Role(c.Context(), c.PathValue("implies_role_id"))
	if err != nil {
		return singleInferenceReply{}, err
	}
	found, err := h.inferences(c, prior.ID)
	if err != nil {
		return singleInferenceReply{}, err
	}
	for _, i := range found {
		for _, r := range i.Implies {
			if r.ID == implied.ID {
				self := c.URL("/roles/" + prior.ID + "/implies/" + implied.ID)
				return singleInferenceReply{singleInference{linkRole(c, prior), r}, selfLink{self}}, nil
			}
		}
	}
	return singleInferenceReply{}, errs.NotFoundf("%s does not imply %s.", prior.ID, implied.ID)
}

func (h handlers) createImplied(c *api.Call) (singleInferenceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return singleInferenceReply{}, err
	}
	err = h.identity.CreateImplication(c.Context(), c.PathValue("prior_role_id"), c.PathValue("implies_role_id"))
	if err != nil {
		return singleInferenceReply{}, err
	}
	return h.showImplied(c)
}

func (h handlers) deleteImplied(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return h.identity.DeleteImplication(c.Context(), c.PathValue("prior_role_id"), c.PathValue("implies_role_id"))
}
