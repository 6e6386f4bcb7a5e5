package api

import (
	"nacre/internal/api"
	"nacre/internal/placement"
)

func (h handlers) providerRoutes() []api.Route {
	const one = "/resource_providers/{uuid}"
	v1 := api.V(1, 1)
	return []api.Route{
		{Method: "GET", Path: "/resource_providers", Rule: "placement:resource_providers:list", Do: api.Get(h.listProviders)},
		{Method: "POST", Path: "/resource_providers", Rule: "placement:resource_providers:create", Do: api.Body(h.createProvider)},
		{Method: "GET", Path: one, Rule: "placement:resource_providers:show", Do: api.Get(h.showProvider)},
		{Method: "PUT", Path: one, Rule: "placement:resource_providers:update", Do: api.Body(h.updateProvider)},
		{Method: "DELETE", Path: one, Rule: "placement:resource_providers:delete", OK: 204, Do: api.Empty(h.deleteProvider)},
		{Method: "GET", Path: one + "/aggregates", Since: v1, Rule: "placement:resource_providers:aggregates:list", Do: api.Get(h.listAggregates)},
		{Method: "PUT", Path: one + "/aggregates", Since: v1, Rule: "placement:resource_providers:aggregates:update", Do: h.updateAggregates},
		{Method: "GET", Path: one + "/usages", Rule: "placement:resource_providers:usages", Do: api.Get(h.providerUsages)},
		{Method: "GET", Path: one + "/allocations", Rule: "placement:resource_providers:allocations:list", Do: api.Get(h.providerAllocations)},
	}
}

type providerView struct {
	UUID       string     `json:"uuid"`
	Name       string     `json:"name"`
	Generation int64      `json:"generation"`
	Links      []api.Link `json:"links"`
	Parent     *string    `json:"parent_provider_uuid" since:"1.14"`
	Root       string     `json:"root_provider_uuid" since:"1.14"`
}

func viewProvider(c *api.Call, p placement.Provider) providerView {
	self := "/placement/resource_providers/" + p.ID
	v := providerView{UUID: p.ID, Name: p.Name, Generation: p.Generation, Root: p.Root, Links: []api.Link{
		{Rel: "self", Href: self}, {Rel: "inventories", Href: self + "/inventories"}, {Rel: "usages", Href: self + "/usages"},
	}}
	if p.Parent != "" {
		v.Parent = &p.Parent
	}
	for _, l := range []struct {
		since api.Version
		rel   string
	}{{api.V(1, 1), "aggregates"}, {api.V(1, 6), "traits"}, {api.V(1, 11), "allocations"}} {
		if c.Version >= l.since {
			v.Links = append(v.Links, api.Link{Rel: l.rel, Href: self + "/" + l.rel})
		}
	}
	return v
}

type providersReply struct {
	Providers []providerView `json:"resource_providers"`
}

var providerQuery = []parameter{
	param("name", 0), param("uuid", 0).as("format", uuidForm.String()),
	param("member_of", 3), param("resources", 4), param("in_tree", 14).as("format", uuidForm.String()), param("required", 18),
}

func (h handlers) listProviders(c *api.Call) (providersReply, error) {
	err := allowed(c)
	if err != nil {
		return providersReply{}, err
	}
	err = checkQuery(c, providerQuery)
	if err != nil {
		return providersReply{}, err
	}
	need, err := needOf(c, "")
	if err != nil {
		return providersReply{}, err
	}
	q := c.Query()
	need.Name, need.ID, need.InTree = last(q["name"]), canonical(last(q["uuid"])), canonical(need.InTree)
	found, err := h.placement.Find(c.Context(), need)
	reply := providersReply{}
	for _, f := range found {
		reply.Providers = append(reply.Providers, viewProvider(c, f.Provider))
	}
	fresh(c, c.Now())
	return reply, err
}

type createProviderRequest struct {
	Name   string  `json:"name" check:"required,min=1,max=200"`
	UUID   string  `json:"uuid" check:"pattern=uuid"`
	Parent *string `json:"parent_provider_uuid" since:"1.14" check:"pattern=uuid"`
}

func (h handlers) createProvider(c *api.Call, in createProviderRequest) (any, error) {
	err := allowed(c)
	if err != nil {
		return nil, err
	}
	parent := ""
	if in.Parent != nil {
		parent = canonical(*in.Parent)
	}
	p, err := h.placement.CreateProvider(c.Context(), canonical(in.UUID), in.Name, parent)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", c.URL("/resource_providers/"+p.ID))
	if c.Version < api.V(1, 20) {
		c.SetStatus(201)
		return nil, nil
	}
	fresh(c, p.UpdatedAt.Time())
	return viewProvider(c, p), nil
}

func (h handlers) showProvider(c *api.Call) (providerView, error) {
	err := allowed(c)
	if err != nil {
		return providerView{}, err
	}
	p, err := h.placement.Provider(c.Context(), c.PathValue("uuid"))
	fresh(c, p.UpdatedAt.Time())
	return viewProvider(c, p), err
}

type updateProviderRequest struct {
	Name   string          `json:"name" check:"required,min=1,max=200"`
	Parent api.Opt[string] `json:"parent_provider_uuid" since:"1.14" check:"pattern=uuid"`
}

func (h handlers) updateProvider(c *api.Call, in updateProviderRequest) (providerView, error) {
	err := allowed(c)
	if err != nil {
		return providerView{}, err
	}
	var parent *string
	if in.Parent.Set {
		above := canonical(in.Parent.V) // empty when it is null
		parent = &above
	}
	p, err := h.placement.UpdateProvider(c.Context(), c.PathValue("uuid"), in.Name, parent, c.Version >= api.V(1, 37))
	fresh(c, p.UpdatedAt.Time())
	return viewProvider(c, p), err
}

func (h handlers) deleteProvider(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	return h.placement.DeleteProvider(c.Context(), c.PathValue("uuid"))
}

type aggregatesReply struct {
	Aggregates []string `json:"aggregates"`
	Generation int64    `json:"resource_provider_generation" since:"1.19"`
}

func (h handlers) listAggregates(c *api.Call) (aggregatesReply, error) {
	err := allowed(c)
	if err != nil {
		return aggregatesReply{}, err
	}
	p, list, err := h.placement.AggregatesOf(c.Context(), c.PathValue("uuid"))
	fresh(c, p.UpdatedAt.Time())
	return aggregatesReply{list, p.Generation}, err
}

// aggregateList is also the whole body before 1.19.
type aggregateList []string

// JSONSchema implements api.Schemer.
func (aggregateList) JSONSchema() map[string]any {
	return map[string]any{"type": "array", "uniqueItems": true, "items": map[string]any{"type": "string", "pattern": uuidForm.String()}}
}

type aggregatesRequest struct {
	Aggregates aggregateList `json:"aggregates" check:"required"`
	Generation generation    `json:"resource_provider_generation" check:"required"`
}

func (h handlers) updateAggregates(c *api.Call) (any, error) {
	err := allowed(c)
	if err != nil {
		return nil, err
	}
	// A provider that is not there comes before a body that is wrong.
	_, err = h.placement.Provider(c.Context(), c.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	in := aggregatesRequest{Generation: -1}
	if c.Version < api.V(1, 19) {
		err = c.Decode(&in.Aggregates)
	} else {
		err = c.Decode(&in)
	}
	if err != nil {
		return nil, err
	}
	list := make([]string, len(in.Aggregates))
	for i, id := range in.Aggregates {
		list[i] = canonical(id)
	}
	p, err := h.placement.SetAggregates(c.Context(), c.PathValue("uuid"), int64(in.Generation), list)
	if err != nil {
		return nil, err
	}
	fresh(c, c.Now())
	return aggregatesReply{list, p.Generation}, nil
}

type providerUsagesReply struct {
	Generation int64            `json:"resource_provider_generation"`
	Usages     map[string]int64 `json:"usages"`
}

func (h handlers) providerUsages(c *api.Call) (providerUsagesReply, error) {
	err := allowed(c)
	if err != nil {
		return providerUsagesReply{}, err
	}
	p, stock, err := h.placement.Inventories(c.Context(), c.PathValue("uuid"))
	reply := providerUsagesReply{Generation: p.Generation, Usages: map[string]int64{}}
	for class, i := range stock {
		reply.Usages[class] = i.Used
	}
	fresh(c, c.Now())
	return reply, err
}

type providerAllocationsReply struct {
	Allocations map[string]consumerResources `json:"allocations"`
	Generation  int64                        `json:"resource_provider_generation"`
}

type consumerResources struct {
	Resources  placement.Resources `json:"resources"`
	Generation int64               `json:"consumer_generation" since:"1.28"`
}

func (h handlers) providerAllocations(c *api.Call) (providerAllocationsReply, error) {
	err := allowed(c)
	if err != nil {
		return providerAllocationsReply{}, err
	}
	p, by, generations, err := h.placement.AllocationsOn(c.Context(), c.PathValue("uuid"))
	reply := providerAllocationsReply{Generation: p.Generation, Allocations: map[string]consumerResources{}}
	for consumer, resources := range by {
		reply.Allocations[consumer] = consumerResources{resources, generations[consumer]}
	}
	fresh(c, c.Now())
	return reply, err
}
