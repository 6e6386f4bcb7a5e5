package api

import (
	"encoding/json"
	"maps"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// flavorRoutes is the flavors API in the order of the API reference.
func (h handlers) flavorRoutes() []api.Route {
	specs := "/flavors/{flavor_id}/os-extra_specs"
	return []api.Route{
		{Method: "GET", Path: "/flavors", Rule: "any", Do: api.Get(h.listFlavors)},
		{Method: "POST", Path: "/flavors", Rule: "os_compute_api:os-flavor-manage:create", Do: api.Body(h.createFlavor)},
		{Method: "GET", Path: "/flavors/detail", Rule: "any", Do: api.Get(h.detailFlavors)},
		{Method: "GET", Path: "/flavors/{flavor_id}", Rule: "any", Do: api.Get(h.showFlavor)},
		{Method: "PUT", Path: "/flavors/{flavor_id}", Since: api.V(2, 55), Rule: "os_compute_api:os-flavor-manage:update", Do: api.Body(h.updateFlavor)},
		{Method: "DELETE", Path: "/flavors/{flavor_id}", Rule: "os_compute_api:os-flavor-manage:delete", OK: 202, Do: api.Empty(h.deleteFlavor)},
		{Method: "GET", Path: "/flavors/{flavor_id}/os-flavor-access", Rule: "os_compute_api:os-flavor-access", Do: api.Get(h.listAccess)},
		{Method: "POST", Path: "/flavors/{flavor_id}/action", Action: "addTenantAccess", Rule: "os_compute_api:os-flavor-access:add_tenant_access", Do: api.Body(h.addAccess)},
		{Method: "POST", Path: "/flavors/{flavor_id}/action", Action: "removeTenantAccess", Rule: "os_compute_api:os-flavor-access:remove_tenant_access", Do: api.Body(h.removeAccess)},
		{Method: "GET", Path: specs, Rule: "os_compute_api:os-flavor-extra-specs:index", Do: api.Get(h.listSpecs)},
		{Method: "POST", Path: specs, Rule: "os_compute_api:os-flavor-extra-specs:create", Do: api.Body(h.addSpecs)},
		{Method: "GET", Path: specs + "/{flavor_extra_spec_key}", Rule: "os_compute_api:os-flavor-extra-specs:show", Do: api.Get(h.showSpec)},
		{Method: "PUT", Path: specs + "/{flavor_extra_spec_key}", Rule: "os_compute_api:os-flavor-extra-specs:update", Do: api.Body(h.setSpec)},
		{Method: "DELETE", Path: specs + "/{flavor_extra_spec_key}", Rule: "os_compute_api:os-flavor-extra-specs:delete", Do: api.Empty(h.deleteSpec)},
	}
}

type flavorView struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	RAM         int64              `json:"ram"`
	Disk        int64              `json:"disk"`
	Swap        any                `json:"swap"`
	Ephemeral   int64              `json:"OS-FLV-EXT-DATA:ephemeral"`
	Disabled    bool               `json:"OS-FLV-DISABLED:disabled" until:"2.101"`
	VCPUs       int64              `json:"vcpus"`
	Public      bool               `json:"os-flavor-access:is_public"`
	RxTx        float64            `json:"rxtx_factor" until:"2.101"`
	Links       []api.Link         `json:"links"`
	Description *string            `json:"description" since:"2.55"`
	ExtraSpecs  *map[string]string `json:"extra_specs,omitempty" since:"2.61"`
}

type flavorReply struct {
	Flavor flavorView `json:"flavor"`
}

type flavorsReply struct {
	Flavors []flavorView `json:"flavors"`
	Links   []api.Link   `json:"flavors_links,omitempty"`
}

type basicFlavor struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Links       []api.Link `json:"links"`
	Description *string    `json:"description" since:"2.55"`
}

type basicFlavorsReply struct {
	Flavors []basicFlavor `json:"flavors"`
	Links   []api.Link    `json:"flavors_links,omitempty"`
}

func viewFlavor(c *api.Call, f compute.Flavor) flavorView {
	v := flavorView{
		ID: f.ID, Name: f.Name, RAM: f.RAM, Disk: f.Disk, Swap: f.Swap, Ephemeral: f.Ephemeral, VCPUs: f.VCPUs,
		Public: f.Public, RxTx: f.RxTxFactor, Links: links(c, "/flavors/"+f.ID), Description: f.Description,
	}
	if f.Swap == 0 && c.Version < api.V(2, 75) {
		v.Swap = ""
	}
	if c.May("os_compute_api:os-flavor-extra-specs:index", auth.Target{Project: c.Caller.Project}) {
		v.ExtraSpecs = &f.ExtraSpecs.V
	}
	return v
}

var flavorList = api.List{
	Sorts: map[string]string{
		"flavorid": "id", "id": "id", "name": "name", "memory_mb": "ram", "ram": "ram", "vcpus": "vcpus", "root_gb": "disk", "disk": "disk",
		"ephemeral_gb": "ephemeral", "swap": "swap", "rxtx_factor": "rxtx_factor", "created_at": "created_at", "is_public": "public",
	},
	Default:    []db.Sort{{Column: "id"}},
	ZeroIsNone: true,
}

func (h handlers) flavors(c *api.Call) ([]compute.Flavor, bool, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, false, err
	}
	list, name := flavorList, ""
	if c.Version >= api.V(2, 102) {
		list.Sorts = maps.Clone(list.Sorts)
		delete(list.Sorts, "rxtx_factor")
		name = c.Query().Get("name")
	}
	params := c.Query()
	for _, way := range params["sort_dir"] {
		if way != "asc" && way != "desc" {
			return nil, false, errs.BadRequestf("Invalid input for query parameters sort_dir. Value: %s. '%s' is not one of ['asc', 'desc']", way, way)
		}
	}
	page, err := c.Page(list)
	if err != nil {
		return nil, false, err
	}
	if params.Has("marker") && page.Marker == "" {
		return nil, false, errs.BadRequestf("marker [] not found")
	}
	q := compute.FlavorQuery{Project: c.Caller.Project, Name: name, Page: page}
	for _, f := range []struct {
		name string
		into *int64
	}{{"minDisk", &q.MinDisk}, {"minRam", &q.MinRAM}} {
		if !params.Has(f.name) {
			continue
		}
		text := params.Get(f.name)
		var n api.Int
		err = n.UnmarshalJSON([]byte(text))
		if err != nil {
			return nil, false, errs.BadRequestf("Invalid %s filter [%s]", f.name, text)
		}
		*f.into = int64(n)
	}
	if scope(c) == "" {
		q.Project = ""
		// Admins see public ones unless they say otherwise; None is a word that
		// clients send for all.
		text := params.Get("is_public")
		if !strings.EqualFold(text, "none") {
			public := true
			if text != "" {
				var ok bool
				public, ok = boolean.Parse(text)
				if !ok {
					return nil, false, errs.BadRequestf("Invalid is_public filter [%s]", text)
				}
				q.Public = &public
			} else {
				q.Project = c.Caller.Project
			}
		}
	}
	return h.compute.Flavors(c.Context(), q)
}

func (h handlers) listFlavors(c *api.Call) (basicFlavorsReply, error) {
	list, more, err := h.flavors(c)
	if err != nil {
		return basicFlavorsReply{}, err
	}
	reply := basicFlavorsReply{Flavors: make([]basicFlavor, len(list))}
	for i, f := range list {
		reply.Flavors[i] = basicFlavor{f.ID, f.Name, links(c, "/flavors/"+f.ID), f.Description}
	}
	if more {
		reply.Links = next(c, more, list[len(list)-1].ID)
	}
	return reply, nil
}

func (h handlers) detailFlavors(c *api.Call) (flavorsReply, error) {
	list, more, err := h.flavors(c)
	if err != nil {
		return flavorsReply{}, err
	}
	reply := flavorsReply{Flavors: make([]flavorView, len(list))}
	for i, f := range list {
		reply.Flavors[i] = viewFlavor(c, f)
	}
	if more {
		reply.Links = next(c, more, list[len(list)-1].ID)
	}
	return reply, nil
}

// flavor authorizes the call and finds its flavor.
func (h handlers) flavor(c *api.Call) (compute.Flavor, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return compute.Flavor{}, err
	}
	return h.compute.Flavor(c.Context(), scope(c), c.PathValue("flavor_id"))
}

func (h handlers) showFlavor(c *api.Call) (flavorReply, error) {
	f, err := h.flavor(c)
	if err != nil {
		return flavorReply{}, err
	}
	return flavorReply{viewFlavor(c, f)}, nil
}

type createFlavorRequest struct {
	Flavor struct {
		Name        string      `json:"name" check:"required,min=1,max=255,pattern=name"`
		ID          *flavorID   `json:"id"`
		RAM         positive    `json:"ram" check:"required"`
		VCPUs       positive    `json:"vcpus" check:"required"`
		Disk        notNegative `json:"disk" check:"required"`
		Ephemeral   notNegative `json:"OS-FLV-EXT-DATA:ephemeral"`
		Swap        notNegative `json:"swap"`
		RxTx        *number     `json:"rxtx_factor" until:"2.101" check:"notnull"`
		Public      *api.Bool   `json:"os-flavor-access:is_public" check:"notnull"`
		Description *string     `json:"description" since:"2.55" check:"max=65535,pattern=text"`
	} `json:"flavor" check:"required"`
}

// flavorID is a text or a number; "auto" and null are made up.
type flavorID string

// JSONSchema implements api.Schemer.
func (flavorID) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "number"}, "minLength": 1, "maxLength": 255, "pattern": `^[a-zA-Z0-9._-]([a-zA-Z0-9. _-]*[a-zA-Z0-9._-])?$`}
}

// UnmarshalJSON implements json.Unmarshaler.
func (id *flavorID) UnmarshalJSON(b []byte) error {
	*id = flavorID(strings.Trim(string(b), `"`))
	return nil
}

type (
	positive    int64
	notNegative int64
	number      float64
)

func amountSchema(least int) map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^[0-9]*$", "minimum": least, "maximum": 0x7FFFFFFF, "minLength": 1}
}

// JSONSchema implements api.Schemer.
func (positive) JSONSchema() map[string]any { return amountSchema(1) }

// JSONSchema implements api.Schemer.
func (notNegative) JSONSchema() map[string]any { return amountSchema(0) }

// JSONSchema implements api.Schemer.
func (number) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"number", "string"}, "pattern": `^[0-9]+(\.[0-9]+)?$`, "minimum": 0}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *positive) UnmarshalJSON(b []byte) error { return (*api.Int)(n).UnmarshalJSON(b) }

// UnmarshalJSON implements json.Unmarshaler.
func (n *notNegative) UnmarshalJSON(b []byte) error { return (*api.Int)(n).UnmarshalJSON(b) }

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	return json.Unmarshal([]byte(strings.Trim(string(b), `"`)), (*float64)(n))
}

func (h handlers) createFlavor(c *api.Call, in createFlavorRequest) (flavorReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return flavorReply{}, err
	}
	r := in.Flavor
	f := compute.Flavor{
		Name: r.Name, VCPUs: int64(r.VCPUs), RAM: int64(r.RAM), Disk: int64(r.Disk), Ephemeral: int64(r.Ephemeral),
		Swap: int64(r.Swap), RxTxFactor: 1, Public: r.Public == nil || bool(*r.Public), Description: r.Description,
	}
	if r.VCPUs < 1 || r.RAM < 1 {
		return flavorReply{}, errs.BadRequestf("Invalid input for field/attribute flavor. VCPUs and RAM must be at least 1.")
	}
	if r.RxTx != nil {
		f.RxTxFactor = float64(*r.RxTx)
	}
	if r.ID != nil && *r.ID != "auto" {
		f.ID = string(*r.ID)
	}
	f, err = h.compute.CreateFlavor(c.Context(), f)
	return flavorReply{viewFlavor(c, f)}, err
}

type updateFlavorRequest struct {
	Flavor struct {
		Description *string `json:"description" check:"required,max=65535,pattern=text"`
	} `json:"flavor" check:"required"`
}

func (h handlers) updateFlavor(c *api.Call, in updateFlavorRequest) (flavorReply, error) {
	f, err := h.flavor(c)
	if err != nil {
		return flavorReply{}, err
	}
	f, err = h.compute.DescribeFlavor(c.Context(), f.ID, in.Flavor.Description)
	return flavorReply{viewFlavor(c, f)}, err
}

func (h handlers) deleteFlavor(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.compute.DeleteFlavor(c.Context(), c.PathValue("flavor_id"))
}

type accessView struct {
	Flavor string `json:"flavor_id"`
	Tenant string `json:"tenant_id"`
}

type accessReply struct {
	Access []accessView `json:"flavor_access"`
}

func (h handlers) listAccess(c *api.Call) (accessReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return accessReply{}, err
	}
	return h.access(c)
}

func (h handlers) access(c *api.Call) (accessReply, error) {
	id := c.PathValue("flavor_id")
	projects, err := h.compute.FlavorAccess(c.Context(), id)
	reply := accessReply{}
	for _, p := range projects {
		reply.Access = append(reply.Access, accessView{id, p})
	}
	return reply, err
}

type tenant struct {
	Tenant string `json:"tenant" check:"required,min=1,max=255"`
}

type addAccessRequest struct {
	Add tenant `json:"addTenantAccess" check:"required"`
}

func (h handlers) addAccess(c *api.Call, in addAccessRequest) (accessReply, error) {
	f, err := h.flavor(c)
	if err != nil {
		return accessReply{}, err
	}
	if f.Public && c.Version >= api.V(2, 7) {
		return accessReply{}, errs.Conflictf("Can not add access to a public flavor.")
	}
	err = h.compute.GrantFlavor(c.Context(), f.ID, in.Add.Tenant)
	if err != nil {
		return accessReply{}, err
	}
	return h.access(c)
}

type removeAccessRequest struct {
	Remove tenant `json:"removeTenantAccess" check:"required"`
}

func (h handlers) removeAccess(c *api.Call, in removeAccessRequest) (accessReply, error) {
	f, err := h.flavor(c)
	if err != nil {
		return accessReply{}, err
	}
	err = h.compute.RevokeFlavor(c.Context(), f.ID, in.Remove.Tenant)
	if err != nil {
		return accessReply{}, err
	}
	return h.access(c)
}

type specsBody struct {
	Specs specsRequest `json:"extra_specs" check:"required"`
}

// specsRequest is a mapping of texts and numbers, all kept as texts.
type specsRequest map[string]string

// JSONSchema implements api.Schemer.
func (specsRequest) JSONSchema() map[string]any {
	return map[string]any{
		"type": "object", "additionalProperties": false,
		"patternProperties": map[string]any{"^[a-zA-Z0-9-_:. ]{1,255}$": map[string]any{"type": []any{"string", "number"}, "minLength": 1, "maxLength": 255}},
	}
}

// specRequest is such a mapping of one.
type specRequest specsRequest

// JSONSchema implements api.Schemer.
func (specRequest) JSONSchema() map[string]any {
	s := specsRequest{}.JSONSchema()
	s["minProperties"], s["maxProperties"] = 1, 1
	return s
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *specRequest) UnmarshalJSON(b []byte) error { return (*specsRequest)(s).UnmarshalJSON(b) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *specsRequest) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	err := json.Unmarshal(b, &raw)
	if err != nil {
		return err
	}
	*s = specsRequest{}
	for key, value := range raw {
		text := string(value)
		if text != "" && text[0] == '"' {
			err = json.Unmarshal(value, &text)
			if err != nil {
				return err
			}
		}
		(*s)[key] = text
	}
	return nil
}

func (h handlers) listSpecs(c *api.Call) (specsBody, error) {
	f, err := h.flavor(c)
	return specsBody{f.ExtraSpecs.V}, err
}

func (h handlers) addSpecs(c *api.Call, in specsBody) (specsBody, error) {
	f, err := h.flavor(c)
	if err != nil {
		return specsBody{}, err
	}
	if c.Version >= api.V(2, 86) {
		err = h.checkSpecs(in.Specs)
		if err != nil {
			return specsBody{}, err
		}
	}
	_, err = h.compute.SetExtraSpecs(c.Context(), f.ID, in.Specs)
	return in, err
}

func (h handlers) showSpec(c *api.Call) (map[string]string, error) {
	f, err := h.flavor(c)
	if err != nil {
		return nil, err
	}
	key := c.PathValue("flavor_extra_spec_key")
	value, has := f.ExtraSpecs.V[key]
	if !has {
		return nil, errs.NotFoundf("Flavor %s has no extra specs with key %s.", f.ID, key)
	}
	return map[string]string{key: value}, nil
}

func (h handlers) setSpec(c *api.Call, in specRequest) (map[string]string, error) {
	f, err := h.flavor(c)
	if err != nil {
		return nil, err
	}
	_, has := in[c.PathValue("flavor_extra_spec_key")]
	if !has {
		return nil, errs.BadRequestf("Request body and URI mismatch")
	}
	if c.Version >= api.V(2, 86) {
		err = h.checkSpecs(in)
		if err != nil {
			return nil, err
		}
	}
	_, err = h.compute.SetExtraSpecs(c.Context(), f.ID, in)
	return in, err
}

func (h handlers) deleteSpec(c *api.Call) error {
	f, err := h.flavor(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteExtraSpec(c.Context(), f.ID, c.PathValue("flavor_extra_spec_key"))
}
