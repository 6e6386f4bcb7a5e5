package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) groups() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/groups", Rule: "identity:list_groups", Do: api.Get(h.listGroups)},
		{Method: "POST", Path: "/groups", Rule: "identity:create_group", OK: 201, Do: api.Body(h.createGroup)},
		{Method: "GET", Path: "/groups/{group_id}", Rule: "identity:get_group", Do: api.Get(h.showGroup)},
		{Method: "PATCH", Path: "/groups/{group_id}", Rule: "identity:update_group", Do: api.Body(h.updateGroup)},
		{Method: "DELETE", Path: "/groups/{group_id}", Rule: "identity:delete_group", OK: 204, Do: api.Empty(h.deleteGroup)},
		{Method: "GET", Path: "/groups/{group_id}/users", Rule: "identity:list_users_in_group", Do: api.Get(h.listMembers)},
		{Method: "PUT", Path: "/groups/{group_id}/users/{user_id}", Rule: "identity:add_user_to_group", OK: 204, Do: api.Empty(h.addMember)},
		{Method: "HEAD", Path: "/groups/{group_id}/users/{user_id}", Rule: "identity:check_user_in_group", OK: 204, Do: api.Empty(h.checkMember)},
		{Method: "GET", Path: "/groups/{group_id}/users/{user_id}", Rule: "identity:check_user_in_group", OK: 204, Do: api.Empty(h.checkMember)},
		{Method: "DELETE", Path: "/groups/{group_id}/users/{user_id}", Rule: "identity:remove_user_from_group", OK: 204, Do: api.Empty(h.removeMember)},
	}
}

type groupView struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	DomainID    string   `json:"domain_id"`
	Description string   `json:"description"`
	Links       selfLink `json:"links"`
}

type groupReply struct {
	Group open `json:"group"`
}

type groupsReply struct {
	Groups    []open    `json:"groups"`
	Links     listLinks `json:"links"`
	Truncated bool      `json:"truncated,omitempty"` // a directory has more
}

func viewGroup(c *api.Call, g identity.Group) open {
	return open{groupView{g.ID, g.Name, g.DomainID, g.Description, selfLink{c.URL("/groups/" + g.ID)}}, g.Extra.V}
}

func viewGroups(c *api.Call, groups []identity.Group, more bool) groupsReply {
	reply := groupsReply{Links: links(c), Truncated: more}
	for _, g := range groups {
		reply.Groups = append(reply.Groups, viewGroup(c, g))
	}
	return reply
}

func groupTarget(g identity.Group) auth.Target {
	return auth.Target{Domain: g.DomainID, Attrs: map[string]string{
		"target.group.id": g.ID, "target.group.domain_id": g.DomainID,
	}}
}

func (h handlers) findGroup(c *api.Call) (identity.Group, error) {
	g, err := h.identity.Group(c.Context(), c.PathValue("group_id"))
	return foundFor(c, g, err, groupTarget)
}

func (h handlers) listGroups(c *api.Call) (groupsReply, error) {
	domain, err := authorizeList(c, "target.domain_id")
	if err != nil {
		return groupsReply{}, err
	}
	groups, more, err := h.identity.Groups(c.Context(), domain, c.Query().Get("name"))
	if err != nil {
		return groupsReply{}, err
	}
	return viewGroups(c, groups, more), nil
}

func (h handlers) showGroup(c *api.Call) (groupReply, error) {
	g, err := h.findGroup(c)
	if err != nil {
		return groupReply{}, err
	}
	return groupReply{viewGroup(c, g)}, nil
}

type groupCreate struct {
	_           struct{} `check:"open"`
	Name        string   `json:"name" check:"required,min=1,max=255,pattern=nonblank"`
	DomainID    string   `json:"domain_id" check:"min=1,max=64"`
	Description *string  `json:"description"`
}

type createGroupRequest struct {
	_     struct{}    `check:"open"`
	Group groupCreate `json:"group" check:"required"`
}

func (h handlers) createGroup(c *api.Call, in createGroupRequest) (groupReply, error) {
	g := identity.Group{Name: in.Group.Name, DomainID: callerDomain(c, in.Group.DomainID), Description: text(in.Group.Description)}
	err := c.Authorize(groupTarget(g))
	if err != nil {
		return groupReply{}, err
	}
	extra, err := extraOf(c, "group", in.Group)
	if err != nil {
		return groupReply{}, err
	}
	g.Extra = db.Of(extra)
	g, err = h.identity.CreateGroup(c.Context(), g)
	if err != nil {
		return groupReply{}, err
	}
	return groupReply{viewGroup(c, g)}, nil
}

type groupUpdate struct {
	_           struct{}        `check:"open"`
	Name        *string         `json:"name" check:"min=1,max=255,pattern=nonblank"`
	DomainID    *string         `json:"domain_id"`
	Description api.Opt[string] `json:"description"`
}

type updateGroupRequest struct {
	_     struct{}    `check:"open"`
	Group groupUpdate `json:"group" check:"required"`
}

func (h handlers) updateGroup(c *api.Call, in updateGroupRequest) (groupReply, error) {
	g, err := h.findGroup(c)
	if err != nil {
		return groupReply{}, err
	}
	err = unchangeable("domain_id", in.Group.DomainID, g.DomainID)
	if err != nil {
		return groupReply{}, err
	}
	extra, err := extraOf(c, "group", in.Group)
	if err != nil {
		return groupReply{}, err
	}
	g, err = h.identity.UpdateGroup(c.Context(), g.ID, func(g *identity.Group) error {
		set(&g.Name, in.Group.Name)
		if in.Group.Description.Set {
			g.Description = in.Group.Description.V
		}
		g.Extra.V = merged(g.Extra.V, extra)
		return nil
	})
	if err != nil {
		return groupReply{}, err
	}
	return groupReply{viewGroup(c, g)}, nil
}

func (h handlers) deleteGroup(c *api.Call) error {
	g, err := h.findGroup(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteGroup(c.Context(), g.ID)
}

func (h handlers) listMembers(c *api.Call) (usersReply, error) {
	g, err := h.findGroup(c)
	if err != nil {
		return usersReply{}, err
	}
	users, more, err := h.identity.Users(c.Context(), identity.UserFilter{GroupID: g.ID, Name: c.Query().Get("name"), Enabled: enabledFilter(c)})
	if err != nil {
		return usersReply{}, err
	}
	return viewUsers(c, users, more), nil
}

// authorizeMember finds the group and the user of the path and authorizes for
// both.
func (h handlers) authorizeMember(c *api.Call) (group, user string, err error) {
	g, err := h.identity.Group(c.Context(), c.PathValue("group_id"))
	if err == nil {
		var u identity.User
		u, err = h.identity.User(c.Context(), c.PathValue("user_id"))
		if err == nil {
			target := groupTarget(g)
			target.Attrs["target.user.domain_id"] = u.DomainID
			return g.ID, u.ID, c.Authorize(target)
		}
	}
	if errs.Is(err, errs.NotFound) {
		denied := c.Authorize(auth.Target{})
		if denied != nil {
			return "", "", denied
		}
	}
	return "", "", err
}

func (h handlers) addMember(c *api.Call) error {
	group, user, err := h.authorizeMember(c)
	if err != nil {
		return err
	}
	return h.identity.AddMember(c.Context(), group, user)
}

func (h handlers) checkMember(c *api.Call) error {
	group, user, err := h.authorizeMember(c)
	if err != nil {
		return err
	}
	return h.identity.CheckMember(c.Context(), group, user)
}

func (h handlers) removeMember(c *api.Call) error {
	group, user, err := h.authorizeMember(c)
	if err != nil {
		return err
	}
	return h.identity.RemoveMember(c.Context(), group, user)
}
