package api

import (
	"regexp"

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
	consumer, from, generations, err := h.placement.Allocations(c.Context(), canonical(c.PathValue("consumer_uuid")))
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

// positive is an amount that is taken.
type positive int64

// JSONSchema implements api.Schemer.
func (positive) JSONSchema() map[string]any { return map[string]any{"type": "integer", "minimum": 1} }

// UnmarshalJSON implements json.Unmarshaler.
func (n *positive) UnmarshalJSON(b []byte) error { return (*api.Int)(n).UnmarshalJSON(b) }

type taken map[string]positive

func (t taken) resources() placement.Resources {
	out := make(placement.Resources, len(t))
	for class, n := range t {
		out[class] = int64(n)
	}
	return out
}

// mapping says which providers serve which group of the request. Nobody keeps it:
// it is there so that a candidate can be sent back as it came.
type mapping map[string]any

// JSONSchema implements api.Schemer.
func (mapping) JSONSchema() map[string]any {
	provider := map[string]any{"type": "string", "pattern": uuidForm.String()}
	return map[string]any{"type": "object", "minProperties": 1, "patternProperties": map[string]any{
		"[a-zA-Z0-9_-]{1,64}": map[string]any{"type": "array", "minItems": 1, "items": provider},
	}}
}

// allocationList is what one consumer is to have, as it was said before 1.12.
type allocationList struct {
	Allocations []struct {
		Provider struct {
			UUID string `json:"uuid" check:"required,pattern=uuid"`
		} `json:"resource_provider" check:"required"`
		Resources taken `json:"resources" check:"required,min=1,keys=class"`
	} `json:"allocations" check:"required,min=1"`
	Project string `json:"project_id" since:"1.8" check:"required,min=1,max=255"`
	User    string `json:"user_id" since:"1.8" check:"required,min=1,max=255"`
}

// claim is what the list asks for. Whose a consumer is was not always said.
func (b allocationList) claim(c *api.Call, consumer string) placement.Claim {
	in := placement.Claim{Consumer: consumer, Project: b.Project, User: b.User, From: map[string]placement.Resources{}, Generation: placement.Any}
	if c.Version < api.V(1, 8) {
		in.Project, in.User = nobody, nobody
	}
	for _, a := range b.Allocations {
		in.From[canonical(a.Provider.UUID)] = a.Resources.resources()
	}
	return in
}

// nobody is whose a consumer is when nobody was named.
const nobody = "00000000-0000-0000-0000-000000000000"

// allocationBody is what one consumer is to have.
type allocationBody struct {
	Allocations map[string]struct {
		Generation generation `json:"generation"`
		Resources  taken      `json:"resources" check:"required,min=1,keys=class"`
	} `json:"allocations" check:"required,keys=uuid36"`
	Project    string      `json:"project_id" check:"required,min=1,max=255"`
	User       string      `json:"user_id" check:"required,min=1,max=255"`
	Generation *generation `json:"consumer_generation" since:"1.28" check:"required"`
	Mappings   mapping     `json:"mappings" since:"1.34"`
	Type       string      `json:"consumer_type" since:"1.38" check:"required,pattern=class,min=1,max=255"`
}

func (b allocationBody) claim(c *api.Call, consumer string) placement.Claim {
	in := placement.Claim{Consumer: consumer, Project: b.Project, User: b.User, Type: b.Type, From: map[string]placement.Resources{}, Generation: placement.Any}
	if c.Version >= api.V(1, 28) {
		in.Generation = placement.Nobody
		if b.Generation != nil {
			in.Generation = int64(*b.Generation)
		}
	}
	for id, a := range b.Allocations {
		in.From[canonical(id)] = a.Resources.resources()
	}
	return in
}

// manyAllocations are bodies by consumer.
type manyAllocations map[string]allocationBody

var consumerForm = regexp.MustCompile(`^[0-9a-fA-F-]{36}$`)

func (many manyAllocations) claims(c *api.Call) ([]placement.Claim, error) {
	var claims []placement.Claim
	for id, body := range many {
		if !consumerForm.MatchString(id) {
			return nil, badBody("additionalProperties", "'%s' does not match any of the regexes: '%s'", id, consumerForm)
		}
		claims = append(claims, body.claim(c, canonical(id)))
	}
	return claims, nil
}

func badBody(rule, format string, args ...any) error {
	return errs.BadRequestf("JSON does not validate: "+format+"\n\nFailed validating '"+rule+"' in schema", args...)
}

func (h handlers) setAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	id := c.PathValue("consumer_uuid")
	if !uuidForm.MatchString(id) {
		return errs.BadRequestf("Malformed consumer_uuid: %s", id)
	}
	id = canonical(id)
	if c.Version < api.V(1, 12) {
		var body allocationList
		err = c.Decode(&body)
		if err != nil {
			return err
		}
		return h.placement.SetAllocations(c.Context(), body.claim(c, id))
	}
	var body allocationBody
	err = c.Decode(&body)
	if err != nil {
		return err
	}
	if len(body.Allocations) == 0 && c.Version < api.V(1, 28) {
		return badBody("minProperties", "{} does not have enough properties")
	}
	return h.placement.SetAllocations(c.Context(), body.claim(c, id))
}

func (h handlers) setManyAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	var many manyAllocations
	err = c.Decode(&many)
	if err != nil {
		return err
	}
	if len(many) == 0 {
		return badBody("minProperties", "{} does not have enough properties")
	}
	claims, err := many.claims(c)
	if err != nil {
		return err
	}
	return h.placement.SetAllocations(c.Context(), claims...)
}

func (h handlers) deleteAllocations(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	id := canonical(c.PathValue("consumer_uuid"))
	_, from, _, err := h.placement.Allocations(c.Context(), id)
	if err != nil {
		return err
	}
	if len(from) == 0 {
		return errs.NotFoundf("No allocations for consumer '%s'", id)
	}
	return h.placement.SetAllocations(c.Context(), placement.Claim{Consumer: id, Generation: placement.Any, Silent: true})
}

type usagesReply struct {
	Usages any `json:"usages"`
}

var usageQuery = []parameter{
	param("project_id", 9).id(), param("user_id", 9).id(),
	param("consumer_type", 38).as("pattern", "^[A-Z0-9_]+$|^all|^unknown$"),
}

func (h handlers) usages(c *api.Call) (any, error) {
	q := c.Query()
	project := last(q["project_id"])
	err := allowedFor(c, project)
	if err == nil {
		err = checkQuery(c, usageQuery)
	}
	if err != nil {
		return nil, err
	}
	if project == "" {
		return nil, badQuery("required", "'project_id' is a required property")
	}
	kind := last(q["consumer_type"])
	used, counts, err := h.placement.Usage(c.Context(), project, last(q["user_id"]), kind)
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
	if kind == "all" && len(used) > 0 {
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
