package api

import (
	"context"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) groupTypes() []api.Route {
	const rule, groupSpecs = "group:group_types:", "group:group_types_specs:"
	const one, all = "/group_types/{group_type_id}", "/group_types/{group_type_id}/group_specs"
	const item = all + "/{spec_id}"
	since := api.V(3, 11)
	return []api.Route{
		{Method: "POST", Path: all, Rule: groupSpecs + "create", Since: since, OK: 202, Do: api.Body(h.addGroupSpecs)},
		{Method: "GET", Path: all, Rule: groupSpecs + "get_all", Since: since, Do: api.Get(h.listGroupSpecs)},
		{Method: "GET", Path: item, Rule: groupSpecs + "get", Since: since, Do: api.Get(h.showGroupSpec)},
		{Method: "PUT", Path: item, Rule: groupSpecs + "update", Since: since, Do: api.Body(h.setGroupSpec)},
		{Method: "DELETE", Path: item, Rule: groupSpecs + "delete", Since: since, OK: 202, Do: api.Empty(h.deleteGroupSpec)},
		{Method: "PUT", Path: one, Rule: rule + "update", Since: since, Do: api.Body(h.updateGroupType)},
		{Method: "GET", Path: one, Rule: "any", Since: since, Do: api.Get(h.showGroupType)},
		{Method: "GET", Path: "/group_types/default", Rule: "any", Since: since, Do: api.Get(h.showDefaultGroupType)},
		{Method: "DELETE", Path: one, Rule: rule + "delete", Since: since, OK: 202, Do: api.Empty(h.deleteGroupType)},
		{Method: "GET", Path: "/group_types", Rule: "any", Since: since, Do: api.Get(h.listGroupTypes)},
		{Method: "POST", Path: "/group_types", Rule: rule + "create", Since: since, OK: 202, Do: api.Body(h.createGroupType)},
	}
}

type groupTypeView struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	IsPublic    bool    `json:"is_public"`
	Specs       any     `json:"group_specs,omitempty"` // for those who may see them
}

type groupTypeReply struct {
	Type groupTypeView `json:"group_type"`
}

func viewGroupType(c *api.Call, t volume.GroupType) groupTypeView {
	view := groupTypeView{ID: t.ID, Name: t.Name, Description: orNull(t.Description), IsPublic: t.IsPublic}
	if c.May("group:access_group_types_specs", of(c.Caller.Project)) {
		view.Specs = t.Specs.V
	}
	return view
}

func (h handlers) foundGroupType(c *api.Call) (volume.GroupType, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return volume.GroupType{}, err
	}
	return h.service.GroupType(c.Context(), viewer(c), c.PathValue("group_type_id"))
}

func (h handlers) showGroupType(c *api.Call) (groupTypeReply, error) {
	t, err := h.foundGroupType(c)
	return groupTypeReply{viewGroupType(c, t)}, err
}

func (h handlers) showDefaultGroupType(c *api.Call) (groupTypeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return groupTypeReply{}, err
	}
	t, err := h.service.GroupTypeNamed(c.Context(), viewer(c), volume.DefaultGroupType)
	if errs.Is(err, errs.NotFound) {
		err = errs.NotFoundf("Default group type can not be found.")
	}
	return groupTypeReply{viewGroupType(c, t)}, err
}

var groupTypeList = api.List{
	Sorts:   map[string]string{"id": "id", "name": "name", "is_public": "is_public", "created_at": "created_at", "updated_at": "updated_at"},
	Default: newestFirst,
	Filters: map[string]db.Filter{"name": {Column: "name"}},
}

func (h handlers) listGroupTypes(c *api.Call) (listReply, error) {
	public, err := publicOnly(c)
	if err != nil {
		return nil, err
	}
	l := listing[volume.GroupType]{
		List: groupTypeList, name: "group_types", links: "group_type_links", all: true,
		id: func(t volume.GroupType) string { return t.ID },
	}
	l.read = func(ctx context.Context, q volume.Query, page db.Page) ([]volume.GroupType, bool, error) {
		if public != nil {
			q.Where = append(q.Where, db.Cond{Filter: db.Filter{Column: "is_public"}, Values: []any{*public}})
		}
		return h.service.GroupTypes(ctx, q, page)
	}
	return l.answer(c, func(t volume.GroupType) any { return viewGroupType(c, t) })
}

type createGroupTypeRequest struct {
	Type struct {
		Name        string    `json:"name" check:"required,min=1,max=255"`
		Description *string   `json:"description" check:"max=255"`
		Public      *api.Bool `json:"is_public"`
		Specs       metadata  `json:"group_specs"`
	} `json:"group_type" check:"required"`
}

func (h handlers) createGroupType(c *api.Call, in createGroupTypeRequest) (groupTypeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return groupTypeReply{}, err
	}
	name, err := nameOf(in.Type.Name, "Group type")
	if err != nil {
		return groupTypeReply{}, err
	}
	public := in.Type.Public == nil || bool(*in.Type.Public)
	t, err := h.service.CreateGroupType(c.Context(), name, first(in.Type.Description), public, in.Type.Specs)
	return groupTypeReply{viewGroupType(c, t)}, err
}

type updateGroupTypeRequest struct {
	Type struct {
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Public      *api.Bool `json:"is_public"`
	} `json:"group_type" check:"required"`
}

func (h handlers) updateGroupType(c *api.Call, in updateGroupTypeRequest) (groupTypeReply, error) {
	t, err := h.foundGroupType(c)
	if err != nil {
		return groupTypeReply{}, err
	}
	if in.Type.Name == nil && in.Type.Description == nil && in.Type.Public == nil {
		return groupTypeReply{}, errs.BadRequestf("Specify group type name, description or a combination thereof.")
	}
	if in.Type.Name != nil {
		_, err = nameOf(*in.Type.Name, "Group type")
		if err != nil {
			return groupTypeReply{}, err
		}
	}
	t, err = h.service.ChangeGroupType(c.Context(), t.ID, in.Type.Name, in.Type.Description, (*bool)(in.Type.Public))
	return groupTypeReply{viewGroupType(c, t)}, err
}

func (h handlers) deleteGroupType(c *api.Call) error {
	t, err := h.foundGroupType(c)
	if err != nil {
		return err
	}
	return h.service.DeleteGroupType(c.Context(), t.ID)
}

type groupSpecsBody struct {
	Specs specs `json:"group_specs" check:"required"`
}

func (h handlers) listGroupSpecs(c *api.Call) (groupSpecsBody, error) {
	t, err := h.foundGroupType(c)
	return groupSpecsBody{t.Specs.V}, err
}

func (h handlers) addGroupSpecs(c *api.Call, in groupSpecsBody) (groupSpecsBody, error) {
	t, err := h.foundGroupType(c)
	if err != nil {
		return groupSpecsBody{}, err
	}
	return in, h.service.ChangeGroupSpecs(c.Context(), t.ID, addTo(metadata(in.Specs)))
}

func (h handlers) showGroupSpec(c *api.Call) (metadata, error) {
	t, err := h.foundGroupType(c)
	if err != nil {
		return nil, err
	}
	key := c.PathValue("spec_id")
	value, known := t.Specs.V[key]
	if !known {
		return nil, errs.NotFoundf("Group Type %s has no specs with key %s.", t.ID, key)
	}
	return metadata{key: value}, nil
}

func (h handlers) setGroupSpec(c *api.Call, in metadata) (metadata, error) {
	t, err := h.foundGroupType(c)
	if err != nil {
		return nil, err
	}
	_, given := in[c.PathValue("spec_id")]
	if !given || len(in) != 1 {
		return nil, errs.BadRequestf("Request body and URI mismatch")
	}
	return in, h.service.ChangeGroupSpecs(c.Context(), t.ID, addTo(in))
}

func (h handlers) deleteGroupSpec(c *api.Call) error {
	t, err := h.foundGroupType(c)
	if err != nil {
		return err
	}
	return h.service.ChangeGroupSpecs(c.Context(), t.ID, withoutKey(c.PathValue("spec_id")))
}
