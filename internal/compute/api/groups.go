package api

import (
	"strconv"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// groupRoutes is the server groups API in the order of the API reference.
func (h handlers) groupRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-server-groups", Rule: "os_compute_api:os-server-groups:index", Do: api.Get(h.listServerGroups)},
		{Method: "POST", Path: "/os-server-groups", Rule: "os_compute_api:os-server-groups:create", Do: api.Body(h.createServerGroup)},
		{Method: "GET", Path: "/os-server-groups/{server_group_id}", Rule: "os_compute_api:os-server-groups:show", Do: api.Get(h.showServerGroup)},
		{Method: "DELETE", Path: "/os-server-groups/{server_group_id}", Rule: "os_compute_api:os-server-groups:delete", OK: 204, Do: api.Empty(h.deleteServerGroup)},
	}
}

type serverGroupView struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Policies []string          `json:"policies" until:"2.63"`
	Metadata map[string]string `json:"metadata" until:"2.63"`
	Policy   string            `json:"policy" since:"2.64"`
	Rules    map[string]int    `json:"rules" since:"2.64" check:"notnull"`
	Members  []string          `json:"members"`
	Project  string            `json:"project_id" since:"2.13"`
	User     string            `json:"user_id" since:"2.13"`
}

type serverGroupReply struct {
	Group serverGroupView `json:"server_group"`
}

type serverGroupsReply struct {
	Groups []serverGroupView `json:"server_groups"`
}

func viewServerGroup(g compute.ServerGroup) serverGroupView {
	v := serverGroupView{ID: g.ID, Name: g.Name, Policies: []string{g.Policy}, Policy: g.Policy, Members: g.Members, Project: g.Project, User: g.UserID}
	if g.Rules.V.MaxServerPerHost > 0 {
		v.Rules = map[string]int{"max_server_per_host": g.Rules.V.MaxServerPerHost}
	}
	return v
}

func (h handlers) listServerGroups(c *api.Call) (serverGroupsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return serverGroupsReply{}, err
	}
	project := c.Caller.Project
	if c.Query().Has("all_projects") && c.May("os_compute_api:os-server-groups:index:all_projects", authOwn(c)) {
		project = "" // who may not see all sees the own ones
	}
	limit, offset := int64(1000), int64(0)
	for name, into := range map[string]*int64{"limit": &limit, "offset": &offset} {
		text := c.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return serverGroupsReply{}, errs.BadRequestf("Invalid input for query parameters %s. Value: %s. It must be an integer that is not negative.", name, text)
		}
		if name != "limit" || n > 0 {
			*into = n
		}
	}
	list, err := h.compute.ServerGroups(c.Context(), project, min(limit, 1000), offset)
	reply := serverGroupsReply{}
	for _, g := range list {
		reply.Groups = append(reply.Groups, viewServerGroup(g))
	}
	return reply, err
}

type createGroupRequest struct {
	Group struct {
		Name     string   `json:"name" check:"required,min=1,max=255,pattern=name"`
		Policies []string `json:"policies" until:"2.63" check:"min=1,max=1"`
		Policy   string   `json:"policy" since:"2.64" check:"enum=anti-affinity|affinity|soft-anti-affinity|soft-affinity"`
		Rules    *struct {
			Max *count `json:"max_server_per_host" check:"notnull"`
		} `json:"rules" since:"2.64" check:"notnull"`
		_ struct{}
	} `json:"server_group" check:"required"`
}

func (h handlers) createServerGroup(c *api.Call, in createGroupRequest) (serverGroupReply, error) {
	err := inProject(c)
	if err != nil {
		return serverGroupReply{}, err
	}
	r := in.Group
	policy := r.Policy
	if c.Version < api.V(2, 64) && len(r.Policies) == 1 {
		policy = r.Policies[0]
	}
	switch policy {
	case "affinity", "anti-affinity":
	case "soft-affinity", "soft-anti-affinity":
		if c.Version < api.V(2, 15) {
			return serverGroupReply{}, errs.BadRequestf("Invalid input for field/attribute 0. Value: %s. '%s' is not one of ['anti-affinity', 'affinity']", policy, policy)
		}
	case "":
		return serverGroupReply{}, errs.BadRequestf("Invalid input for field/attribute server_group. 'policy' is a required property")
	default:
		return serverGroupReply{}, errs.BadRequestf("Invalid input for field/attribute 0. Value: %s. '%s' is not one of ['anti-affinity', 'affinity']", policy, policy)
	}
	g := compute.ServerGroup{Project: c.Caller.Project, UserID: c.Caller.User, Name: r.Name, Policy: policy}
	if r.Rules != nil && r.Rules.Max != nil {
		if policy != "anti-affinity" {
			return serverGroupReply{}, errs.BadRequestf("Only anti-affinity policy supports rules.")
		}
		g.Rules = db.Of(compute.GroupRules{MaxServerPerHost: int(*r.Rules.Max)})
	}
	g, err = h.compute.CreateServerGroup(c.Context(), g)
	return serverGroupReply{viewServerGroup(g)}, err
}

func (h handlers) showServerGroup(c *api.Call) (serverGroupReply, error) {
	g, err := h.compute.ServerGroup(c.Context(), scope(c), c.PathValue("server_group_id"))
	if err != nil {
		return serverGroupReply{}, err
	}
	return serverGroupReply{viewServerGroup(g)}, c.Authorize(authOf(g.Project, g.UserID))
}

func (h handlers) deleteServerGroup(c *api.Call) error {
	g, err := h.compute.ServerGroup(c.Context(), scope(c), c.PathValue("server_group_id"))
	if err != nil {
		return err
	}
	err = c.Authorize(authOf(g.Project, g.UserID))
	if err != nil {
		return err
	}
	return h.compute.DeleteServerGroup(c.Context(), g.Project, g.ID)
}
