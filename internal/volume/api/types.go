package api

import (
	"cmp"
	"context"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) types() []api.Route {
	const base, extraSpecs, access = "volume_extension:", "volume_extension:types_extra_specs:", "volume_extension:volume_type_access:"
	const one, extra, shared = "/types/{volume_type_id}", "/types/{volume_type_id}/extra_specs", "/types/{volume_type}"
	return []api.Route{
		{Method: "PUT", Path: one, Rule: base + "type_update", Do: api.Body(h.updateType)},
		{Method: "POST", Path: extra, Rule: extraSpecs + "create", Do: api.Body(h.addSpecs)},
		{Method: "GET", Path: extra, Rule: extraSpecs + "index", Do: api.Get(h.listSpecs)},
		{Method: "GET", Path: extra + "/{key}", Rule: extraSpecs + "show", Do: api.Get(h.showSpec)},
		{Method: "PUT", Path: extra + "/{key}", Rule: extraSpecs + "update", Do: api.Body(h.setSpec)},
		{Method: "DELETE", Path: extra + "/{key}", Rule: extraSpecs + "delete", OK: 202, Do: api.Empty(h.deleteSpec)},
		{Method: "GET", Path: one, Rule: base + "type_get", Do: api.Get(h.showType)},
		{Method: "GET", Path: "/types/default", Rule: "any", Do: api.Get(h.showDefaultType)},
		{Method: "DELETE", Path: one, Rule: base + "type_delete", OK: 202, Do: api.Empty(h.deleteType)},
		{Method: "GET", Path: "/types", Rule: base + "type_get_all", Do: api.Get(h.listTypes)},
		{Method: "POST", Path: "/types", Rule: base + "type_create", Do: api.Body(h.createType)},
		{Method: "POST", Path: shared + "/action", Action: "addProjectAccess", Rule: access + "addProjectAccess", OK: 202, Do: api.BodyEmpty(h.addAccess)},
		{Method: "POST", Path: shared + "/action", Action: "removeProjectAccess", Rule: access + "removeProjectAccess", OK: 202, Do: api.BodyEmpty(h.removeAccess)},
		{Method: "GET", Path: shared + "/os-volume-type-access", Rule: access + "get_all_for_type", Do: api.Get(h.listAccess)},
	}
}

type typeView struct {
	ID             string  `json:"id"`
	Name           string  `json:"name"`
	IsPublic       bool    `json:"is_public"`
	Description    *string `json:"description"`
	ExtraSpecs     any     `json:"extra_specs,omitempty"`
	QosSpecs       any     `json:"qos_specs_id,omitempty"`
	AccessIsPublic any     `json:"os-volume-type-access:is_public,omitempty"` // not told of one that was changed
}

type typeReply struct {
	VolumeType typeView `json:"volume_type"`
}

// openSpecs are the extra specs that users may see.
var openSpecs = []string{"RESKEY:availability_zones", "multiattach", "replication_enabled"}

func viewType(c *api.Call, t volume.Type) typeView {
	view := typeView{ID: t.ID, Name: t.Name, IsPublic: t.IsPublic, AccessIsPublic: t.IsPublic, Description: orNull(t.Description)}
	own := of(c.Caller.Project)
	if c.May("volume_extension:access_types_extra_specs", own) {
		view.ExtraSpecs = visibleSpecs(c, t)
	}
	if c.May("volume_extension:access_types_qos_specs_id", own) {
		view.QosSpecs = orNull(t.Qos)
	}
	return view
}

func visibleSpecs(c *api.Call, t volume.Type) map[string]string {
	if c.May("volume_extension:types_extra_specs:read_sensitive", of(c.Caller.Project)) {
		return t.ExtraSpecs.V
	}
	visible := map[string]string{}
	for _, key := range openSpecs {
		value, set := t.ExtraSpecs.V[key]
		if set {
			visible[key] = value
		}
	}
	return visible
}

// foundType reads the call's type and authorizes the call.
func (h handlers) foundType(c *api.Call) (volume.Type, error) {
	id := cmp.Or(c.PathValue("volume_type_id"), c.PathValue("volume_type")) // the reference calls it both
	t, err := h.service.Type(c.Context(), viewer(c), id)
	if err != nil {
		return volume.Type{}, err
	}
	return t, c.AuthorizeOwn()
}

func (h handlers) showType(c *api.Call) (typeReply, error) {
	t, err := h.foundType(c)
	return typeReply{viewType(c, t)}, err
}

func (h handlers) showDefaultType(c *api.Call) (typeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return typeReply{}, err
	}
	t, err := h.service.Default(c.Context(), viewer(c))
	return typeReply{viewType(c, t)}, err
}

var typeList = api.List{
	Sorts:   map[string]string{"id": "id", "name": "name", "created_at": "created_at", "updated_at": "updated_at", "is_public": "is_public"},
	Default: newestFirst,
}

// publicOnly reads whether public things are wanted, others, or, with nil, both. An
// admin who doesn't say gets the public ones.
func publicOnly(c *api.Call) (*bool, error) {
	text := c.Query().Get("is_public")
	public := true
	if text == "" && c.Caller.Admin() {
		return &public, nil
	}
	if text == "" || strings.EqualFold(text, "none") {
		return nil, nil
	}
	public, ok := boolean.Parse(text)
	if !ok {
		return nil, errs.BadRequestf("Invalid is_public filter [%s]", text)
	}
	return &public, nil
}

func (h handlers) listTypes(c *api.Call) (listReply, error) {
	l := listing[volume.Type]{
		List: typeList, name: "volume_types", links: "volume_type_links", id: func(t volume.Type) string { return t.ID }, all: true,
	}
	filter := volume.TypeFilter{}
	var err error
	filter.Public, err = publicOnly(c)
	if err != nil {
		return nil, err
	}
	if c.Version >= api.V(3, 52) {
		filter.ExtraSpecs = pairs(c.Query().Get("extra_specs"))
	}
	l.read = func(ctx context.Context, _ volume.Query, page db.Page) ([]volume.Type, bool, error) {
		return h.service.Types(ctx, viewer(c), filter, page)
	}
	return l.answer(c, func(t volume.Type) any { return viewType(c, t) })
}

type createTypeRequest struct {
	Type struct {
		Name        string    `json:"name" check:"required,min=1,max=255"`
		Description *string   `json:"description" check:"max=255"`
		Public      *api.Bool `json:"os-volume-type-access:is_public"`
		ExtraSpecs  metadata  `json:"extra_specs"`
	} `json:"volume_type" check:"required"`
}

func (h handlers) createType(c *api.Call, in createTypeRequest) (typeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return typeReply{}, err
	}
	name := strings.TrimSpace(in.Type.Name)
	if name == "" {
		return typeReply{}, errs.BadRequestf("Volume type name can not be empty.")
	}
	public := in.Type.Public == nil || bool(*in.Type.Public)
	t, err := h.service.CreateType(c.Context(), name, first(in.Type.Description), public, in.Type.ExtraSpecs)
	view := viewType(c, t)
	view.QosSpecs = nil
	return typeReply{view}, err
}

type updateTypeRequest struct {
	Type struct {
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Public      *api.Bool `json:"is_public"`
	} `json:"volume_type" check:"required"`
}

func (h handlers) updateType(c *api.Call, in updateTypeRequest) (typeReply, error) {
	t, err := h.foundType(c)
	if err != nil {
		return typeReply{}, err
	}
	if in.Type.Name != nil && strings.TrimSpace(*in.Type.Name) == "" {
		return typeReply{}, errs.BadRequestf("Volume type name can not be empty.")
	}
	if in.Type.Name == nil && in.Type.Description == nil && in.Type.Public == nil {
		return typeReply{}, errs.BadRequestf("Specify volume type name, description, is_public or a combination thereof.")
	}
	t, err = h.service.ChangeType(c.Context(), t.ID, in.Type.Name, in.Type.Description, (*bool)(in.Type.Public))
	view := viewType(c, t)
	view.QosSpecs, view.AccessIsPublic = nil, nil
	return typeReply{view}, err
}

func (h handlers) deleteType(c *api.Call) error {
	t, err := h.foundType(c)
	if err != nil {
		return err
	}
	return h.service.DeleteType(c.Context(), t.ID)
}

type specsBody struct {
	ExtraSpecs specs `json:"extra_specs" check:"required"`
}

func (h handlers) listSpecs(c *api.Call) (specsBody, error) {
	t, err := h.foundType(c)
	return specsBody{visibleSpecs(c, t)}, err
}

func (h handlers) addSpecs(c *api.Call, in specsBody) (specsBody, error) {
	t, err := h.foundType(c)
	if err != nil {
		return specsBody{}, err
	}
	return in, h.service.SetExtraSpecs(c.Context(), t.ID, in.ExtraSpecs, false)
}

func (h handlers) showSpec(c *api.Call) (map[string]string, error) {
	t, err := h.foundType(c)
	if err != nil {
		return nil, err
	}
	key := c.PathValue("key")
	value, set := visibleSpecs(c, t)[key]
	if !set {
		return nil, errs.NotFoundf("Volume Type %s has no extra specs with key %s.", t.ID, key)
	}
	return map[string]string{key: value}, nil
}

func (h handlers) setSpec(c *api.Call, in metadata) (metadata, error) {
	t, err := h.foundType(c)
	if err != nil {
		return nil, err
	}
	_, given := in[c.PathValue("key")]
	if !given || len(in) != 1 {
		return nil, errs.BadRequestf("Request body and URI mismatch")
	}
	return in, h.service.SetExtraSpecs(c.Context(), t.ID, in, true)
}

func (h handlers) deleteSpec(c *api.Call) error {
	t, err := h.foundType(c)
	if err != nil {
		return err
	}
	return h.service.DeleteExtraSpec(c.Context(), t.ID, c.PathValue("key"))
}

type accessRequest struct {
	Project string `json:"project" check:"required,min=1,max=255,pattern=id"`
}

func (h handlers) addAccess(c *api.Call, in struct {
	Add accessRequest `json:"addProjectAccess" check:"required"`
}) error {
	t, err := h.foundType(c)
	if err != nil {
		return err
	}
	return h.service.Allow(c.Context(), t.ID, in.Add.Project, true)
}

func (h handlers) removeAccess(c *api.Call, in struct {
	Remove accessRequest `json:"removeProjectAccess" check:"required"`
}) error {
	t, err := h.foundType(c)
	if err != nil {
		return err
	}
	return h.service.Allow(c.Context(), t.ID, in.Remove.Project, false)
}

type accessView struct {
	Type    string `json:"volume_type_id"`
	Project string `json:"project_id"`
}

type accessReply struct {
	Access []accessView `json:"volume_type_access"`
}

func (h handlers) listAccess(c *api.Call) (accessReply, error) {
	reply := accessReply{}
	t, err := h.foundType(c)
	if err != nil {
		return reply, err
	}
	projects, err := h.service.Access(c.Context(), t.ID)
	for _, project := range projects {
		reply.Access = append(reply.Access, accessView{t.ID, project})
	}
	return reply, err
}
