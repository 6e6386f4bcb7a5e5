package api

import (
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

// allocationRoutes is allocations, usages and candidates.
func (h handlers) allocationRoutes() []api.Route {
	const one = "/allocations/{consumer_uuid}"
	return []api.Route{
		{Method: "POST", Path: "/allocations", Since: api.V(1, 13), Rule: "placement:allocations:manage", OK: 204, Do: api.Empty(h.setManyAllocations)},
		{Method: "GET", Path: one, Rule: "placement:allocations:list", Do: api.Get(h.showAllocations)},
		{Method: "PUT", Path: one, Rule: "placement:allocations:update", OK: 204, Do: api.Empty(h.setAllocations)},
		{Method: "DELETE", Path: one, Rule: "placement:allocations:delete", OK: 204, Do: api.Empty(h.deleteAllocations)},
		{Method: "GET", Path: "/usages", Since: api.V(1, 9), Rule: "placement:usages", Do: h.usages},
		{Method: "GET", Path: "/allocation_candidates", Since: api.V(1, 10), Rule: "placement:allocation_candidates:list", Do: h.candidates},
	}
}

type allocationView struct {
	Generation int64               `json:"generation"`
	Resources  placement.Resources `json:"resources"`
}

type allocationsReply struct {
	Allocations map[string]allocationView `json:"allocations"`
	Project     *string                   `json:"project_id,omitempty" since:"1.12"`
	User        *string                   `json:"user_id,omitempty" since:"1.12"`
	Generation  *int64                    `json:"consumer_generation,omitempty" since:"1.28"`
	Type        *string                   `json:"consumer_type,omitempty" since:"1.38"`
}

func (h handlers) showAllocations(c *api.Call) (allocationsReply, error) {
	err := allowed(c)
	if err != nil {
		return allocationsReply{}, err
	}
	consumer, from, generations, err := h.placement.Allocations(c.Context(), c.PathValue("consumer_uuid"))
	reply := allocationsReply{Allocations: map[string]allocationView{}}
	for id, resources := range from {
		reply.Allocations[id] = allocationView{generations[id], resources}
	}
	if len(from) > 0 {
		reply.Project, reply.User, reply.Generation, reply.Type = &consumer.Project, &consumer.UserID, &consumer.Generation, &consumer.Type
	}
	fresh(c, c.Now())
	return reply, err
}

// allocationBody is what one consumer is to have. Before 1.12 the allocations
// are a list.
type allocationBody struct {
	Allocations json.RawMessage  `json:"allocations" check:"required"`
	Project     string           `json:"project_id" since:"1.8" check:"required,min=1,max=255"`
	User        string           `json:"user_id" since:"1.8" check:"required,min=1,max=255"`
	Generation  api.Opt[int64]   `json:"consumer_generation" since:"1.28" check:"required"`
	Mappings    *json.RawMessage `json:"mappings" since:"1.34"`
	Type        string           `json:"consumer_type" since:"1.38" check:"required,min=1,max=255"`
}

func (b allocationBody) claim(c *api.Call, consumer string) (placement.Claim, error) {
	in := placement.Claim{Consumer: consumer, Project: b.Project, User: b.User, Type: b.Type, From: map[string]placement.Resources{}, Generation: placement.Any}
	if c.Version < api.V(1, 8) {
		in.Project, in.User = "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"
	}
	if c.Version >= api.V(1, 28) {
		in.Generation = placement.Nobody
		if !b.Generation.Null {
			in.Generation = b.Generation.V
		}
	}
	var err error
	if c.Version < api.V(1, 12) {
		var list []struct {
			Provider struct {
				UUID string `json:"uuid"`
			} `json:"resource_provider"`
			Resources placement.Resources `json:"resources"`
		}
		err = json.Unmarshal(b.Allocations, &list)
		for _, a := range list {
			in.From[a.Provider.UUID] = a.Resources
		}
	} else {
		var byProvider map[string]struct {
			Generation *int64              `json:"generation"`
			Resources  placement.Resources `json:"resources"`
		}
		err = json.Unmarshal(b.Allocations, &byProvider)
		for id, a := range byProvider {
			in.From[id] = a.Resources
		}
	}
	if err != nil {
		return in, errs.BadRequestf("JSON does not validate: allocations have the wrong form")
	}
	for id, resources := range in.From {
		if !uuidPattern.MatchString(id) || len(resources) == 0 {
			return in, errs.BadRequestf("JSON does not validate: '%s' has no resources or is no UUID", id)
		}
		for class, n := range resources {
			if n < 1 {
				return in, errs.BadRequestf("JSON does not validate: %d is less than the minimum of 1 for %s", n, class)
			}
		}
	}
	return in, nil
}

func (h handlers) setAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	var body allocationBody
	err = c.Decode(&body)
	if err != nil {
		return err
	}
	id := c.PathValue("consumer_uuid")
	if !uuidPattern.MatchString(id) {
		return errs.BadRequestf("Malformed consumer_uuid: %s", id)
	}
	in, err := body.claim(c, id)
	if err != nil {
		return err
	}
	if len(in.From) == 0 && c.Version < api.V(1, 28) {
		return errs.BadRequestf("JSON does not validate: {} does not have enough properties")
	}
	return h.placement.SetAllocations(c.Context(), in)
}

func (h handlers) setManyAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	var bodies map[string]allocationBody
	err = c.Decode(&bodies)
	if err != nil {
		return err
	}
	var claims []placement.Claim
	for id, body := range bodies {
		in, err := body.claim(c, id)
		if err != nil {
			return err
		}
		claims = append(claims, in)
	}
	return h.placement.SetAllocations(c.Context(), claims...)
}

func (h handlers) deleteAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	id := c.PathValue("consumer_uuid")
	_, from, _, err := h.placement.Allocations(c.Context(), id)
	if err != nil {
		return err
	}
	if len(from) == 0 {
		return errs.NotFoundf("No allocations for consumer '%s'", id)
	}
	return h.placement.SetAllocations(c.Context(), placement.Claim{Consumer: id, Generation: placement.Any})
}

type usagesReply struct {
	Usages any `json:"usages"`
}

func (h handlers) usages(c *api.Call) (any, error) {
	q := c.Query()
	project := q.Get("project_id")
	err := c.Authorize(authProject(project))
	if err != nil {
		return nil, err
	}
	if project == "" {
		return nil, errs.BadRequestf("Invalid query string parameters: 'project_id' is a required property")
	}
	kind := ""
	if c.Version >= api.V(1, 38) {
		kind = q.Get("consumer_type")
	}
	used, counts, err := h.placement.Usage(c.Context(), project, q.Get("user_id"), kind)
	if err != nil {
		return nil, err
	}
	fresh(c, c.Now())
	total := placement.Resources{}
	for _, resources := range used {
		for class, n := range resources {
			total[class] += n
		}
	}
	if c.Version < api.V(1, 38) {
		return usagesReply{total}, nil
	}
	if kind == "all" {
		var n int64
		for _, count := range counts {
			n += count
		}
		total["consumer_count"] = n
		return usagesReply{map[string]placement.Resources{"all": total}}, nil
	}
	for name, resources := range used {
		resources["consumer_count"] = counts[name]
	}
	return usagesReply{used}, nil
}
