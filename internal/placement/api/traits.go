package api

import (
	"encoding/json"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
)

// traitRoutes is traits and resource classes.
func (h handlers) traitRoutes() []api.Route {
	const of = "/resource_providers/{uuid}/traits"
	v2, v6, v7 := api.V(1, 2), api.V(1, 6), api.V(1, 7)
	return []api.Route{
		{Method: "GET", Path: of, Since: v6, Rule: "placement:resource_providers:traits:list", Do: api.Get(h.listTraitsOf)},
		{Method: "PUT", Path: of, Since: v6, Rule: "placement:resource_providers:traits:update", Do: api.Body(h.setTraitsOf)},
		{Method: "DELETE", Path: of, Since: v6, Rule: "placement:resource_providers:traits:delete", OK: 204, Do: api.Empty(h.deleteTraitsOf)},
		{Method: "GET", Path: "/traits", Since: v6, Rule: "placement:traits:list", Do: api.Get(h.listTraits)},
		{Method: "GET", Path: "/traits/{name}", Since: v6, Rule: "placement:traits:show", OK: 204, Do: api.Empty(h.showTrait)},
		{Method: "PUT", Path: "/traits/{name}", Since: v6, Rule: "placement:traits:update", OK: 204, Do: api.Empty(h.addTrait)},
		{Method: "DELETE", Path: "/traits/{name}", Since: v6, Rule: "placement:traits:delete", OK: 204, Do: api.Empty(h.deleteTrait)},
		{Method: "GET", Path: "/resource_classes", Since: v2, Rule: "placement:resource_classes:list", Do: api.Get(h.listClasses)},
		{Method: "POST", Path: "/resource_classes", Since: v2, Rule: "placement:resource_classes:create", OK: 201, Do: api.BodyEmpty(h.createClass)},
		{Method: "GET", Path: "/resource_classes/{name}", Since: v2, Rule: "placement:resource_classes:show", Do: api.Get(h.showClass)},
		{Method: "PUT", Path: "/resource_classes/{name}", Since: v2, Until: api.V(1, 6), Rule: "placement:resource_classes:update", Do: api.Body(h.renameClass)},
		{Method: "PUT", Path: "/resource_classes/{name}", Since: v7, Rule: "placement:resource_classes:update", OK: 204, Do: api.Empty(h.addClass)},
		{Method: "DELETE", Path: "/resource_classes/{name}", Since: v2, Rule: "placement:resource_classes:delete", OK: 204, Do: api.Empty(h.deleteClass)},
	}
}

type traitsOfReply struct {
	Traits     []string `json:"traits"`
	Generation int64    `json:"resource_provider_generation"`
}

func (h handlers) listTraitsOf(c *api.Call) (traitsOfReply, error) {
	err := allowed(c)
	if err != nil {
		return traitsOfReply{}, err
	}
	p, list, err := h.placement.TraitsOf(c.Context(), c.PathValue("uuid"))
	fresh(c, c.Now())
	return traitsOfReply{list, p.Generation}, err
}

type setTraitsRequest struct {
	Traits     []string   `json:"traits" check:"required"`
	Generation generation `json:"resource_provider_generation" check:"required"`
}

func (h handlers) setTraitsOf(c *api.Call, in setTraitsRequest) (traitsOfReply, error) {
	err := allowed(c)
	if err != nil {
		return traitsOfReply{}, err
	}
	p, err := h.placement.SetTraits(c.Context(), c.PathValue("uuid"), int64(in.Generation), in.Traits)
	fresh(c, c.Now())
	return traitsOfReply{slices.Compact(slices.Sorted(slices.Values(in.Traits))), p.Generation}, err
}

func (h handlers) deleteTraitsOf(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	_, err = h.placement.SetTraits(c.Context(), c.PathValue("uuid"), -1, nil)
	return err
}

type traitsReply struct {
	Traits []string `json:"traits"`
}

var traitQuery = []parameter{param("name", 6), param("associated", 6)}

func (h handlers) listTraits(c *api.Call) (traitsReply, error) {
	err := allowed(c)
	if err != nil {
		return traitsReply{}, err
	}
	err = checkQuery(c, traitQuery)
	if err != nil {
		return traitsReply{}, err
	}
	q := c.Query()
	associated := strings.ToLower(last(q["associated"]))
	if q.Has("associated") && associated != "true" && associated != "false" {
		return traitsReply{}, errs.BadRequestf("The query parameter \"associated\" only accepts \"true\" or \"false\"")
	}
	list, err := h.placement.Traits(c.Context(), associated == "true")
	if err != nil {
		return traitsReply{}, err
	}
	if associated == "false" {
		used, err := h.placement.Traits(c.Context(), true)
		if err != nil {
			return traitsReply{}, err
		}
		list = slices.DeleteFunc(list, func(name string) bool { return slices.Contains(used, name) })
	}
	if q.Has("name") {
		text := last(q["name"])
		prefix, starts := strings.CutPrefix(text, "startswith:")
		names, in := strings.CutPrefix(text, "in:")
		if !strings.Contains(text, ":") {
			return traitsReply{}, errs.BadRequestf("Badly formatted name parameter. Expected name query string parameter in form: ?name=[in|startswith]:[name1,name2|prefix]. Got: \"%s\"", text)
		}
		set := strings.Split(names, ",")
		list = slices.DeleteFunc(list, func(name string) bool {
			return (starts && !strings.HasPrefix(name, prefix)) || (in && !slices.Contains(set, name))
		})
	}
	fresh(c, c.Now())
	return traitsReply{list}, nil
}

func (h handlers) showTrait(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	fresh(c, c.Now())
	return h.placement.Trait(c.Context(), c.PathValue("name"))
}

func (h handlers) addTrait(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	added, err := h.placement.AddTrait(c.Context(), c.PathValue("name"))
	if err != nil {
		return err
	}
	if added {
		c.SetStatus(201)
	}
	c.SetHeader("Location", c.URL("/traits/"+c.PathValue("name")))
	fresh(c, c.Now())
	return nil
}

func (h handlers) deleteTrait(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	return h.placement.DeleteTrait(c.Context(), c.PathValue("name"))
}

type classView struct {
	Name  string     `json:"name"`
	Links []api.Link `json:"links"`
}

type classesReply struct {
	Classes []classView `json:"resource_classes"`
}

func viewClass(name string) classView {
	return classView{name, []api.Link{{Rel: "self", Href: "/placement/resource_classes/" + name}}}
}

func (h handlers) listClasses(c *api.Call) (classesReply, error) {
	err := allowed(c)
	if err != nil {
		return classesReply{}, err
	}
	list, err := h.placement.Classes(c.Context())
	reply := classesReply{}
	for _, name := range list {
		reply.Classes = append(reply.Classes, viewClass(name))
	}
	fresh(c, c.Now())
	return reply, err
}

type classRequest struct {
	Name string `json:"name" check:"required,pattern=custom,max=255"`
}

func (h handlers) createClass(c *api.Call, in classRequest) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	added, err := h.placement.AddClass(c.Context(), in.Name)
	if err != nil {
		return err
	}
	if !added {
		return errs.Conflictf("Conflicting resource class already exists: %s", in.Name)
	}
	c.SetHeader("Location", c.URL("/resource_classes/"+in.Name))
	return nil
}

func (h handlers) showClass(c *api.Call) (classView, error) {
	err := allowed(c)
	if err != nil {
		return classView{}, err
	}
	fresh(c, c.Now())
	return viewClass(c.PathValue("name")), h.placement.Class(c.Context(), c.PathValue("name"))
}

func (h handlers) renameClass(c *api.Call, in classRequest) (classView, error) {
	err := allowed(c)
	if err != nil {
		return classView{}, err
	}
	err = h.placement.RenameClass(c.Context(), c.PathValue("name"), in.Name)
	return viewClass(in.Name), err
}

// addClass checks the name in the path as if it stood in a body.
func (h handlers) addClass(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	in := classRequest{Name: c.PathValue("name")}
	body, err := json.Marshal(in)
	if err == nil {
		err = c.DecodeJSON(body, &in)
	}
	if err != nil {
		return err
	}
	added, err := h.placement.AddClass(c.Context(), in.Name)
	if err != nil {
		return err
	}
	if added {
		c.SetStatus(201)
	}
	c.SetHeader("Location", c.URL("/resource_classes/"+in.Name))
	return nil
}

func (h handlers) deleteClass(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	return h.placement.DeleteClass(c.Context(), c.PathValue("name"))
}
