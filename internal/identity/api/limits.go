package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) limits() []api.Route {
	const registered = "/registered_limits/{registered_limit_id}"
	r, l := h.registeredLimitKind(), h.limitKind()
	return []api.Route{
		{Method: "GET", Path: "/registered_limits", Rule: "identity:list_registered_limits", Do: api.Get(r.list)},
		{Method: "POST", Path: "/registered_limits", Rule: "identity:create_registered_limits", OK: 201, Do: api.Body(h.createRegisteredLimits)},
		{Method: "PATCH", Path: registered, Rule: "identity:update_registered_limit", Do: api.Body(h.updateRegisteredLimit)},
		{Method: "GET", Path: registered, Rule: "identity:get_registered_limit", Do: api.Get(r.show)},
		{Method: "DELETE", Path: registered, Rule: "identity:delete_registered_limit", OK: 204, Do: api.Empty(r.delete)},
		{Method: "GET", Path: "/limits/model", Rule: "identity:get_limit_model", Do: api.Get(h.showLimitModel)},
		{Method: "GET", Path: "/limits", Rule: "identity:list_limits", Do: api.Get(l.list)},
		{Method: "POST", Path: "/limits", Rule: "identity:create_limits", OK: 201, Do: api.Body(h.createLimits)},
		{Method: "PATCH", Path: "/limits/{limit_id}", Rule: "identity:update_limit", Do: api.Body(h.updateLimit)},
		{Method: "GET", Path: "/limits/{limit_id}", Rule: "identity:get_limit", Do: api.Get(h.showLimit)},
		{Method: "DELETE", Path: "/limits/{limit_id}", Rule: "identity:delete_limit", OK: 204, Do: api.Empty(l.delete)},
	}
}

func limitFilter(c *api.Call) identity.LimitFilter {
	q := c.Query()
	return identity.LimitFilter{ServiceID: q.Get("service_id"), RegionID: q.Get("region_id"), ResourceName: q.Get("resource_name"),
		ProjectID: q.Get("project_id"), DomainID: q.Get("domain_id")}
}

type registeredLimitView struct {
	ID           string   `json:"id"`
	ServiceID    string   `json:"service_id"`
	RegionID     *string  `json:"region_id"`
	ResourceName string   `json:"resource_name"`
	DefaultLimit int64    `json:"default_limit"`
	Description  *string  `json:"description"`
	Links        selfLink `json:"links"`
}

func viewRegisteredLimit(c *api.Call, r identity.RegisteredLimit) any {
	return registeredLimitView{r.ID, r.ServiceID, orNull(r.RegionID), r.ResourceName, r.DefaultLimit, r.Description,
		selfLink{c.URL("/registered_limits/" + r.ID)}}
}

func (h handlers) registeredLimitKind() kind[identity.RegisteredLimit] {
	return kind[identity.RegisteredLimit]{
		one: "registered_limit", many: "registered_limits", param: "registered_limit_id", view: viewRegisteredLimit,
		all: func(c *api.Call) ([]identity.RegisteredLimit, error) {
			return h.identity.RegisteredLimits(c.Context(), limitFilter(c))
		},
		get: h.identity.RegisteredLimit, remove: h.identity.DeleteRegisteredLimit,
	}
}

type registeredLimitCreate struct {
	ServiceID    string  `json:"service_id" check:"required"`
	RegionID     *string `json:"region_id" check:"max=255"`
	ResourceName string  `json:"resource_name" check:"required,min=1,max=255,pattern=nonblank"`
	DefaultLimit int64   `json:"default_limit" check:"required,min=-1,max=2147483647"`
	Description  *string `json:"description"`
}

type createRegisteredLimitsRequest struct {
	Limits []registeredLimitCreate `json:"registered_limits" check:"required,min=1"`
}

// added is the reply to a creation of several: a list without links.
func added[T any](c *api.Call, key string, view func(c *api.Call, row T) any, rows []T, err error) (map[string]any, error) {
	reply, err := many(c, key, view, rows, err)
	delete(reply, "links")
	return reply, err
}

func (h handlers) createRegisteredLimits(c *api.Call, in createRegisteredLimitsRequest) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	var rows []identity.RegisteredLimit
	for _, r := range in.Limits {
		rows = append(rows, identity.RegisteredLimit{ServiceID: r.ServiceID, RegionID: text(r.RegionID), ResourceName: r.ResourceName,
			DefaultLimit: r.DefaultLimit, Description: r.Description})
	}
	rows, err = h.identity.CreateRegisteredLimits(c.Context(), rows)
	return added(c, "registered_limits", viewRegisteredLimit, rows, err)
}

type registeredLimitUpdate struct {
	_            struct{}        `check:"nonempty"`
	ServiceID    *string         `json:"service_id"`
	RegionID     api.Opt[string] `json:"region_id" check:"max=255"`
	ResourceName *string         `json:"resource_name" check:"min=1,max=255,pattern=nonblank"`
	DefaultLimit *int64          `json:"default_limit" check:"min=-1,max=2147483647"`
	Description  api.Opt[string] `json:"description"`
}

type updateRegisteredLimitRequest struct {
	Limit registeredLimitUpdate `json:"registered_limit" check:"required"`
}

func (h handlers) updateRegisteredLimit(c *api.Call, in updateRegisteredLimitRequest) (map[string]any, error) {
	return h.registeredLimitKind().made(c, in.Limit, func(map[string]any) (identity.RegisteredLimit, error) {
		return h.identity.UpdateRegisteredLimit(c.Context(), c.PathValue("registered_limit_id"), func(r *identity.RegisteredLimit) error {
			set(&r.ServiceID, in.Limit.ServiceID)
			if in.Limit.RegionID.Set {
				r.RegionID = in.Limit.RegionID.V
			}
			set(&r.ResourceName, in.Limit.ResourceName)
			set(&r.DefaultLimit, in.Limit.DefaultLimit)
			setOptional(&r.Description, in.Limit.Description)
			return nil
		})
	})
}

type limitView struct {
	ID            string   `json:"id"`
	ProjectID     *string  `json:"project_id"`
	DomainID      *string  `json:"domain_id"`
	ServiceID     string   `json:"service_id"`
	RegionID      *string  `json:"region_id"`
	ResourceName  string   `json:"resource_name"`
	ResourceLimit int64    `json:"resource_limit"`
	Description   *string  `json:"description"`
	Links         selfLink `json:"links"`
}

func viewLimit(c *api.Call, l identity.Limit) any {
	return limitView{l.ID, orNull(l.ProjectID), orNull(l.DomainID), l.ServiceID, orNull(l.RegionID), l.ResourceName, l.ResourceLimit,
		l.Description, selfLink{c.URL("/limits/" + l.ID)}}
}

func (h handlers) limitKind() kind[identity.Limit] {
	return kind[identity.Limit]{
		one: "limit", many: "limits", param: "limit_id", view: viewLimit, all: h.visibleLimits,
		get: h.identity.Limit, remove: h.identity.DeleteLimit,
	}
}

// visibleLimits lists the limits that concern the caller: operators and services
// see all, others those of their project, or of their domain and what is in it.
func (h handlers) visibleLimits(c *api.Call) ([]identity.Limit, error) {
	f := limitFilter(c)
	rows, err := h.identity.Limits(c.Context(), f)
	if err != nil || c.Caller.System || c.Caller.Admin() || c.Caller.Has("service") {
		return rows, err
	}
	inside := map[string]bool{}
	if c.Caller.Domain != "" {
		projects, err := h.identity.Projects(c.Context(), identity.ProjectFilter{DomainID: c.Caller.Domain})
		if err != nil {
			return nil, err
		}
		for _, p := range projects {
			inside[p.ID] = true
		}
	} else {
		inside[c.Caller.Project] = true
	}
	return keep(rows, func(l identity.Limit) bool {
		if l.ProjectID != "" {
			return inside[l.ProjectID]
		}
		return l.DomainID == c.Caller.Domain
	}), nil
}

func (h handlers) showLimit(c *api.Call) (map[string]any, error) {
	l, err := h.identity.Limit(c.Context(), c.PathValue("limit_id"))
	attrs := map[string]string{"target.limit.project_id": l.ProjectID, "target.limit.domain.id": l.DomainID}
	if err == nil && l.ProjectID != "" {
		var p identity.Project
		p, err = h.identity.Project(c.Context(), l.ProjectID)
		attrs["target.limit.project.domain_id"] = p.DomainID
	}
	l, err = foundFor(c, l, err, func(identity.Limit) auth.Target { return auth.Target{Attrs: attrs} })
	return one(c, "limit", viewLimit, l, err)
}

type modelView struct {
	Name        identity.LimitModel `json:"name"`
	Description string              `json:"description"`
}

func (h handlers) showLimitModel(c *api.Call) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	m := h.identity.LimitModel()
	return map[string]any{"model": modelView{m, m.Description()}}, nil
}

type limitCreate struct {
	ProjectID     *string `json:"project_id"`
	DomainID      *string `json:"domain_id"`
	ServiceID     string  `json:"service_id" check:"required"`
	RegionID      *string `json:"region_id" check:"max=255"`
	ResourceName  string  `json:"resource_name" check:"required,min=1,max=255,pattern=nonblank"`
	ResourceLimit int64   `json:"resource_limit" check:"required,min=-1,max=2147483647"`
	Description   *string `json:"description"`
}

type createLimitsRequest struct {
	Limits []limitCreate `json:"limits" check:"required,min=1"`
}

func (h handlers) createLimits(c *api.Call, in createLimitsRequest) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	var rows []identity.Limit
	for _, l := range in.Limits {
		if (text(l.ProjectID) == "") == (text(l.DomainID) == "") {
			return nil, errs.BadRequestf("Invalid input for field 'limits': a limit is for a project or for a domain.")
		}
		rows = append(rows, identity.Limit{ProjectID: text(l.ProjectID), DomainID: text(l.DomainID), ServiceID: l.ServiceID, RegionID: text(l.RegionID),
			ResourceName: l.ResourceName, ResourceLimit: l.ResourceLimit, Description: l.Description})
	}
	rows, err = h.identity.CreateLimits(c.Context(), rows)
	return added(c, "limits", viewLimit, rows, err)
}

type limitUpdate struct {
	_             struct{}        `check:"nonempty"`
	ResourceLimit *int64          `json:"resource_limit" check:"min=-1,max=2147483647"`
	Description   api.Opt[string] `json:"description"`
}

type updateLimitRequest struct {
	Limit limitUpdate `json:"limit" check:"required"`
}

func (h handlers) updateLimit(c *api.Call, in updateLimitRequest) (map[string]any, error) {
	return h.limitKind().made(c, in.Limit, func(map[string]any) (identity.Limit, error) {
		return h.identity.UpdateLimit(c.Context(), c.PathValue("limit_id"), func(l *identity.Limit) error {
			set(&l.ResourceLimit, in.Limit.ResourceLimit)
			setOptional(&l.Description, in.Limit.Description)
			return nil
		})
	})
}
