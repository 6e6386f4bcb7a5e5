package api

import (
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) grants() []api.Route {
	list, check, create, revoke := api.Get(h.listGrants), api.Empty(h.checkGrant), api.Empty(h.createGrant), api.Empty(h.revokeGrant)
	return []api.Route{
		{Method: "GET", Path: "/domains/{domain_id}/groups/{group_id}/roles", Rule: "identity:list_grants", Do: list},
		{Method: "PUT", Path: "/domains/{domain_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:create_grant", OK: 204, Do: create},
		{Method: "HEAD", Path: "/domains/{domain_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "GET", Path: "/domains/{domain_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "DELETE", Path: "/domains/{domain_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:revoke_grant", OK: 204, Do: revoke},
		{Method: "GET", Path: "/domains/{domain_id}/users/{user_id}/roles", Rule: "identity:list_grants", Do: list},
		{Method: "PUT", Path: "/domains/{domain_id}/users/{user_id}/roles/{role_id}", Rule: "identity:create_grant", OK: 204, Do: create},
		{Method: "HEAD", Path: "/domains/{domain_id}/users/{user_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "GET", Path: "/domains/{domain_id}/users/{user_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "DELETE", Path: "/domains/{domain_id}/users/{user_id}/roles/{role_id}", Rule: "identity:revoke_grant", OK: 204, Do: revoke},
		{Method: "GET", Path: "/projects/{project_id}/groups/{group_id}/roles", Rule: "identity:list_grants", Do: list},
		{Method: "PUT", Path: "/projects/{project_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:create_grant", OK: 204, Do: create},
		{Method: "HEAD", Path: "/projects/{project_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "GET", Path: "/projects/{project_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "DELETE", Path: "/projects/{project_id}/groups/{group_id}/roles/{role_id}", Rule: "identity:revoke_grant", OK: 204, Do: revoke},
		{Method: "GET", Path: "/projects/{project_id}/users/{user_id}/roles", Rule: "identity:list_grants", Do: list},
		{Method: "PUT", Path: "/projects/{project_id}/users/{user_id}/roles/{role_id}", Rule: "identity:create_grant", OK: 204, Do: create},
		{Method: "HEAD", Path: "/projects/{project_id}/users/{user_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "GET", Path: "/projects/{project_id}/users/{user_id}/roles/{role_id}", Rule: "identity:check_grant", OK: 204, Do: check},
		{Method: "DELETE", Path: "/projects/{project_id}/users/{user_id}/roles/{role_id}", Rule: "identity:revoke_grant", OK: 204, Do: revoke},
		{Method: "GET", Path: "/role_assignments", Rule: "identity:list_role_assignments", Do: api.Get(h.listAssignments)},
	}
}

func (h handlers) systemGrants() []api.Route {
	list, check, create, revoke := api.Get(h.listGrants), api.Empty(h.checkGrant), api.Empty(h.createGrant), api.Empty(h.revokeGrant)
	return []api.Route{
		{Method: "GET", Path: "/system/users/{user_id}/roles", Rule: "identity:list_system_grants_for_user", Do: list},
		{Method: "PUT", Path: "/system/users/{user_id}/roles/{role_id}", Rule: "identity:create_system_grant_for_user", OK: 204, Do: create},
		{Method: "HEAD", Path: "/system/users/{user_id}/roles/{role_id}", Rule: "identity:check_system_grant_for_user", OK: 204, Do: check},
		{Method: "GET", Path: "/system/users/{user_id}/roles/{role_id}", Rule: "identity:check_system_grant_for_user", OK: 204, Do: check},
		{Method: "DELETE", Path: "/system/users/{user_id}/roles/{role_id}", Rule: "identity:revoke_system_grant_for_user", OK: 204, Do: revoke},
		{Method: "GET", Path: "/system/groups/{group_id}/roles", Rule: "identity:list_system_grants_for_group", Do: list},
		{Method: "PUT", Path: "/system/groups/{group_id}/roles/{role_id}", Rule: "identity:create_system_grant_for_group", OK: 204, Do: create},
		{Method: "HEAD", Path: "/system/groups/{group_id}/roles/{role_id}", Rule: "identity:check_system_grant_for_group", OK: 204, Do: check},
		{Method: "GET", Path: "/system/groups/{group_id}/roles/{role_id}", Rule: "identity:check_system_grant_for_group", OK: 204, Do: check},
		{Method: "DELETE", Path: "/system/groups/{group_id}/roles/{role_id}", Rule: "identity:revoke_system_grant_for_group", OK: 204, Do: revoke},
	}
}

// inheritedGrants are grants on the projects below a project or domain.
func (h handlers) inheritedGrants() []api.Route {
	list, check, create, revoke := api.Get(h.listGrants), api.Empty(h.checkGrant), api.Empty(h.createGrant), api.Empty(h.revokeGrant)
	var routes []api.Route
	for _, path := range []string{
		"/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles", "/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles",
		"/OS-INHERIT/projects/{project_id}/users/{user_id}/roles", "/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles",
	} {
		one := path + "/{role_id}/inherited_to_projects"
		routes = append(routes,
			api.Route{Method: "PUT", Path: one, Rule: "identity:create_grant", OK: 204, Do: create},
			api.Route{Method: "HEAD", Path: one, Rule: "identity:check_grant", OK: 204, Do: check},
			api.Route{Method: "GET", Path: one, Rule: "identity:check_grant", OK: 204, Do: check},
			api.Route{Method: "DELETE", Path: one, Rule: "identity:revoke_grant", OK: 204, Do: revoke})
		if strings.Contains(path, "{domain_id}") {
			routes = append(routes, api.Route{Method: "GET", Path: path + "/inherited_to_projects", Rule: "identity:list_grants", Do: list})
		}
	}
	return routes
}

// grantOf reads the grant that the path names.
func grantOf(c *api.Call) identity.Grant {
	g := identity.Grant{
		ActorKind: identity.ActorUser, ActorID: c.PathValue("user_id"),
		TargetKind: identity.TargetSystem, TargetID: identity.SystemID,
		RoleID: c.PathValue("role_id"),
	}
	if g.ActorID == "" {
		g.ActorKind, g.ActorID = identity.ActorGroup, c.PathValue("group_id")
	}
	g.Inherited = strings.HasPrefix(c.Route().Path, "/OS-INHERIT/")
	switch {
	case c.PathValue("project_id") != "":
		g.TargetKind, g.TargetID = identity.TargetProject, c.PathValue("project_id")
	case c.PathValue("domain_id") != "":
		g.TargetKind, g.TargetID = identity.TargetDomain, c.PathValue("domain_id")
	}
	return g
}

// grantTarget tells the rules the domains of all that a grant joins. What does
// not exist has none, so that only those who may everywhere hear of it.
func (h handlers) grantTarget(c *api.Call, g identity.Grant) (auth.Target, error) {
	attrs := map[string]string{}
	var failure error
	note := func(err error, fill func()) {
		switch {
		case err == nil:
			fill()
		case !errs.Is(err, errs.NotFound):
			failure = err
		}
	}
	ctx := c.Context()
	if g.ActorKind == identity.ActorUser {
		u, err := h.identity.User(ctx, g.ActorID)
		note(err, func() { attrs["target.user.domain_id"] = u.DomainID })
	} else {
		group, err := h.identity.Group(ctx, g.ActorID)
		note(err, func() { attrs["target.group.domain_id"] = group.DomainID })
	}
	switch g.TargetKind {
	case identity.TargetProject:
		p, err := h.identity.Project(ctx, g.TargetID)
		note(err, func() { attrs["target.project.domain_id"] = p.DomainID })
	case identity.TargetDomain:
		attrs["target.domain.id"] = g.TargetID
	}
	if g.RoleID != "" {
		r, err := h.identity.Role(ctx, g.RoleID)
		note(err, func() { attrs["target.role.name"], attrs["target.role.domain_id"] = r.Name, r.DomainID })
	}
	return auth.Target{Attrs: attrs}, failure
}

func (h handlers) authorizeGrant(c *api.Call) (identity.Grant, error) {
	g := grantOf(c)
	target, err := h.grantTarget(c, g)
	if err != nil {
		return g, err
	}
	return g, c.Authorize(target)
}

func (h handlers) listGrants(c *api.Call) (rolesReply, error) {
	g, err := h.authorizeGrant(c)
	if err != nil {
		return rolesReply{}, err
	}
	err = h.identity.CheckGrantParts(c.Context(), g)
	if err != nil {
		return rolesReply{}, err
	}
	grants, err := h.identity.Grants(c.Context(), g, &g.Inherited)
	if err != nil {
		return rolesReply{}, err
	}
	var roles []identity.Role
	for _, grant := range grants {
		role, err := h.identity.Role(c.Context(), grant.RoleID)
		if err != nil {
			return rolesReply{}, err
		}
		roles = append(roles, role)
	}
	return viewRoles(c, roles), nil
}

func (h handlers) checkGrant(c *api.Call) error {
	g, err := h.authorizeGrant(c)
	if err != nil {
		return err
	}
	return h.identity.CheckGrant(c.Context(), g)
}

func (h handlers) createGrant(c *api.Call) error {
	g, err := h.authorizeGrant(c)
	if err != nil {
		return err
	}
	return h.identity.CreateGrant(c.Context(), g)
}

func (h handlers) revokeGrant(c *api.Call) error {
	g, err := h.authorizeGrant(c)
	if err != nil {
		return err
	}
	return h.identity.RevokeGrant(c.Context(), g)
}

// actorPath spells the actor in a path: users/ID or groups/ID.
func actorPath(g identity.Grant) string { return g.ActorKind + "s/" + g.ActorID }

// grantPath is where a grant can be checked and revoked.
func grantPath(g identity.Grant) string {
	target := "/system"
	if g.TargetKind != identity.TargetSystem {
		target = "/" + g.TargetKind + "s/" + g.TargetID
	}
	path := strings.Join([]string{target, actorPath(g), "roles", g.RoleID}, "/")
	if g.Inherited {
		return "/OS-INHERIT" + path + "/inherited_to_projects"
	}
	return path
}
