package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) roles() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/roles", Rule: "identity:list_roles", Do: api.Get(h.listRoles)},
		{Method: "POST", Path: "/roles", Rule: "identity:create_role", OK: 201, Do: api.Body(h.createRole)},
		{Method: "GET", Path: "/roles/{role_id}", Rule: "identity:get_role", Do: api.Get(h.showRole)},
		{Method: "PATCH", Path: "/roles/{role_id}", Rule: "identity:update_role", Do: api.Body(h.updateRole)},
		{Method: "DELETE", Path: "/roles/{role_id}", Rule: "identity:delete_role", OK: 204, Do: api.Empty(h.deleteRole)},
	}
}

type roleView struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	DomainID    *string        `json:"domain_id"`
	Description *string        `json:"description"`
	Options     map[string]any `json:"options"`
	Links       selfLink       `json:"links"`
}

type roleReply struct {
	Role open `json:"role"`
}

type rolesReply struct {
	Links listLinks `json:"links"`
	Roles []open    `json:"roles"`
}

func viewRole(c *api.Call, r identity.Role) open {
	return open{roleView{r.ID, r.Name, orNull(r.DomainID), r.Description, r.Options.V, selfLink{c.URL("/roles/" + r.ID)}}, r.Extra.V}
}

func viewRoles(c *api.Call, roles []identity.Role) rolesReply {
	reply := rolesReply{Links: links(c)}
	for _, r := range roles {
		reply.Roles = append(reply.Roles, viewRole(c, r))
	}
	return reply
}

func roleTarget(r identity.Role) auth.Target {
	return auth.Target{Domain: r.DomainID, Attrs: map[string]string{
		"target.role.name": r.Name, "target.role.domain_id": r.DomainID,
	}}
}

// roleRule is the rule of the row, or its twin for roles of a domain.
func roleRule(c *api.Call, domain, twin string) string {
	if domain == "" {
		return c.Route().Rule
	}
	return twin
}

func (h handlers) listRoles(c *api.Call) (rolesReply, error) {
	domain := c.Query().Get("domain_id")
	err := c.AuthorizeRule(roleRule(c, domain, "identity:list_domain_roles"), auth.Target{})
	if err != nil {
		return rolesReply{}, err
	}
	roles, err := h.identity.Roles(c.Context(), domain, c.Query().Get("name"))
	if err != nil {
		return rolesReply{}, err
	}
	return viewRoles(c, roles), nil
}

// findRole finds the role of the path and authorizes by the row's rule or, for
// a role of a domain, by its twin.
func (h handlers) findRole(c *api.Call, twin string) (identity.Role, error) {
	r, err := h.identity.Role(c.Context(), c.PathValue("role_id"))
	if errs.Is(err, errs.NotFound) {
		denied := c.Authorize(auth.Target{})
		if denied != nil {
			return r, denied
		}
	}
	if err != nil {
		return r, err
	}
	return r, c.AuthorizeRule(roleRule(c, r.DomainID, twin), roleTarget(r))
}

func (h handlers) showRole(c *api.Call) (roleReply, error) {
	r, err := h.findRole(c, "identity:get_domain_role")
	if err != nil {
		return roleReply{}, err
	}
	return roleReply{viewRole(c, r)}, nil
}

type roleCreate struct {
	_           struct{}       `check:"open"`
	Name        string         `json:"name" check:"required,min=1,max=255,pattern=nonblank"`
	DomainID    *string        `json:"domain_id"`
	Description *string        `json:"description"`
	Options     map[string]any `json:"options"`
}

type createRoleRequest struct {
	_    struct{}   `check:"open"`
	Role roleCreate `json:"role" check:"required"`
}

func (h handlers) createRole(c *api.Call, in createRoleRequest) (roleReply, error) {
	r := identity.Role{Name: in.Role.Name, DomainID: text(in.Role.DomainID), Description: in.Role.Description, Options: db.Of(in.Role.Options)}
	err := c.AuthorizeRule(roleRule(c, r.DomainID, "identity:create_domain_role"), roleTarget(r))
	if err != nil {
		return roleReply{}, err
	}
	extra, err := extraOf(c, "role", in.Role)
	if err != nil {
		return roleReply{}, err
	}
	r.Extra = db.Of(extra)
	r, err = h.identity.CreateRole(c.Context(), r)
	if err != nil {
		return roleReply{}, err
	}
	return roleReply{viewRole(c, r)}, nil
}

type roleUpdate struct {
	_           struct{}        `check:"open"`
	Name        *string         `json:"name" check:"min=1,max=255,pattern=nonblank"`
	DomainID    *string         `json:"domain_id"`
	Description api.Opt[string] `json:"description"`
	Options     *map[string]any `json:"options"`
}

type updateRoleRequest struct {
	_    struct{}   `check:"open"`
	Role roleUpdate `json:"role" check:"required"`
}

func (h handlers) updateRole(c *api.Call, in updateRoleRequest) (roleReply, error) {
	r, err := h.findRole(c, "identity:update_domain_role")
	if err != nil {
		return roleReply{}, err
	}
	err = unchangeable("domain_id", in.Role.DomainID, r.DomainID)
	if err != nil {
		return roleReply{}, err
	}
	extra, err := extraOf(c, "role", in.Role)
	if err != nil {
		return roleReply{}, err
	}
	r, err = h.identity.UpdateRole(c.Context(), r.ID, func(r *identity.Role) error {
		set(&r.Name, in.Role.Name)
		setOptional(&r.Description, in.Role.Description)
		r.Options.V = changedOptions(r.Options.V, in.Role.Options)
		r.Extra.V = merged(r.Extra.V, extra)
		return nil
	})
	if err != nil {
		return roleReply{}, err
	}
	return roleReply{viewRole(c, r)}, nil
}

func (h handlers) deleteRole(c *api.Call) error {
	r, err := h.findRole(c, "identity:delete_domain_role")
	if err != nil {
		return err
	}
	return h.identity.DeleteRole(c.Context(), r.ID)
}
