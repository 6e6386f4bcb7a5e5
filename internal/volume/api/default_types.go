package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
)

// defaultTypes are about projects, not of the caller's project.
func (h handlers) defaultTypes() []api.Route {
	const one, rule = "/default-types/{project_id}", "volume_extension:default_"
	since := api.V(3, 62)
	return []api.Route{
		{Method: "PUT", Path: one, Rule: rule + "set_or_update", Since: since, Scope: api.NoScope, Do: api.Body(h.setDefaultType)},
		{Method: "GET", Path: one, Rule: rule + "get", Since: since, Scope: api.NoScope, Do: api.Get(h.showProjectsDefault)},
		{Method: "GET", Path: "/default-types", Rule: rule + "get_all", Since: since, Scope: api.NoScope, Do: api.Get(h.listDefaultTypes)},
		{Method: "DELETE", Path: one, Rule: rule + "unset", Since: since, Scope: api.NoScope, OK: 204, Do: api.Empty(h.unsetDefaultType)},
	}
}

type defaultTypeView struct {
	Project string `json:"project_id"`
	Type    string `json:"volume_type_id"`
}

type defaultTypeReply struct {
	Default defaultTypeView `json:"default_type"`
}

type defaultTypesReply struct {
	Defaults []defaultTypeView `json:"default_types"`
}

type defaultTypeRequest struct {
	Default struct {
		Type string `json:"volume_type" check:"required,min=1,max=255"`
	} `json:"default_type" check:"required"`
}

func (h handlers) setDefaultType(c *api.Call, in defaultTypeRequest) (defaultTypeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return defaultTypeReply{}, err
	}
	d, err := h.service.SetDefaultType(c.Context(), c.PathValue("project_id"), in.Default.Type)
	return defaultTypeReply{defaultTypeView(d)}, err
}

func (h handlers) showProjectsDefault(c *api.Call) (defaultTypeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return defaultTypeReply{}, err
	}
	project := c.PathValue("project_id")
	list, err := h.service.DefaultTypes(c.Context(), project)
	if err == nil && len(list) == 0 {
		err = errs.NotFoundf("Default type for project %s not found.", project)
	}
	if err != nil {
		return defaultTypeReply{}, err
	}
	return defaultTypeReply{defaultTypeView(list[0])}, nil
}

func (h handlers) listDefaultTypes(c *api.Call) (defaultTypesReply, error) {
	reply := defaultTypesReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	list, err := h.service.DefaultTypes(c.Context(), "")
	for _, d := range list {
		reply.Defaults = append(reply.Defaults, defaultTypeView(d))
	}
	return reply, err
}

func (h handlers) unsetDefaultType(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.service.UnsetDefaultType(c.Context(), c.PathValue("project_id"))
}
