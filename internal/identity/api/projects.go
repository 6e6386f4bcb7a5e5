package api

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) projects() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/projects", Rule: "identity:list_projects", Do: api.Get(h.listProjects)},
		{Method: "POST", Path: "/projects", Rule: "identity:create_project", OK: 201, Do: api.Body(h.createProject)},
		{Method: "GET", Path: "/projects/{project_id}", Rule: "identity:get_project", Do: api.Get(h.showProject)},
		{Method: "PATCH", Path: "/projects/{project_id}", Rule: "identity:update_project", Do: api.Body(h.updateProject)},
		{Method: "DELETE", Path: "/projects/{project_id}", Rule: "identity:delete_project", OK: 204, Do: api.Empty(h.deleteProject)},
		{Method: "GET", Path: "/projects/{project_id}/tags", Rule: "identity:list_project_tags", Do: api.Get(h.listTags)},
		{Method: "PUT", Path: "/projects/{project_id}/tags", Rule: "identity:update_project_tags", Do: api.Body(h.replaceTags)},
		{Method: "DELETE", Path: "/projects/{project_id}/tags", Rule: "identity:delete_project_tags", OK: 204, Do: api.Empty(h.deleteTags)},
		{Method: "GET", Path: "/projects/{project_id}/tags/{tag}", Rule: "identity:get_project_tag", OK: 204, Do: api.Empty(h.checkTag)},
		{Method: "PUT", Path: "/projects/{project_id}/tags/{tag}", Rule: "identity:create_project_tag", OK: 201, Do: api.Empty(h.addTag)},
		{Method: "DELETE", Path: "/projects/{project_id}/tags/{tag}", Rule: "identity:delete_project_tag", OK: 204, Do: api.Empty(h.deleteTag)},
	}
}

type projectView struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	DomainID    *string        `json:"domain_id"`
	Description string         `json:"description"`
	Enabled     bool           `json:"enabled"`
	ParentID    *string        `json:"parent_id"`
	IsDomain    bool           `json:"is_domain"`
	Tags        []string       `json:"tags"`
	Options     map[string]any `json:"options"`
	Parents     any            `json:"parents,omitempty"`
	Subtree     any            `json:"subtree,omitempty"`
	Links       selfLink       `json:"links"`
}

type projectReply struct {
	Project open `json:"project"`
}

type projectsReply struct {
	Projects []open    `json:"projects"`
	Links    listLinks `json:"links"`
}

func projectViewOf(c *api.Call, p identity.Project) projectView {
	return projectView{
		ID: p.ID, Name: p.Name, DomainID: orNull(p.DomainID), Description: p.Description, Enabled: p.Enabled, ParentID: orNull(p.ParentID),
		IsDomain: isDomain(p), Tags: p.Tags.V, Options: p.Options.V, Links: selfLink{c.URL("/projects/" + p.ID)},
	}
}

func viewProject(c *api.Call, p identity.Project) open {
	return open{projectViewOf(c, p), p.Extra.V}
}

func viewProjects(c *api.Call, projects []identity.Project) projectsReply {
	reply := projectsReply{Links: links(c)}
	for _, p := range projects {
		reply.Projects = append(reply.Projects, viewProject(c, p))
	}
	return reply
}

func projectTarget(p identity.Project) auth.Target {
	return auth.Target{Project: p.ID, Domain: p.DomainID, Attrs: map[string]string{
		"target.project.id": p.ID, "target.project.domain_id": p.DomainID,
	}}
}

func (h handlers) findProject(c *api.Call) (identity.Project, error) {
	p, err := h.identity.Project(c.Context(), c.PathValue("project_id"))
	if errs.Is(err, errs.NotFound) {
		d, asDomain := h.identity.Domain(c.Context(), c.PathValue("project_id"))
		if asDomain == nil {
			p, err = projectOf(d), nil
		}
	}
	return foundFor(c, p, err, projectTarget)
}

// Keystone's domains are projects that stand above all others; its calls on
// projects do for them as well. They belong to no domain.

func projectOf(d identity.Domain) identity.Project {
	return identity.Project{ID: d.ID, Name: d.Name, Description: d.Description, Enabled: d.Enabled, Tags: d.Tags, Options: d.Options, Extra: d.Extra}
}

func domainOf(p identity.Project) identity.Domain {
	return identity.Domain{ID: p.ID, Name: p.Name, Description: p.Description, Enabled: p.Enabled, Tags: p.Tags, Options: p.Options, Extra: p.Extra}
}

func isDomain(p identity.Project) bool { return p.DomainID == "" }

func tagList(c *api.Call, name string) []string {
	value := c.Query().Get(name)
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

func (h handlers) listProjects(c *api.Call) (projectsReply, error) {
	domain, err := authorizeList(c, "target.domain_id")
	if err != nil {
		return projectsReply{}, err
	}
	q := c.Query()
	asDomains, _ := boolean.Parse(q.Get("is_domain"))
	if asDomains {
		return h.listDomainsAsProjects(c)
	}
	projects, err := h.identity.Projects(c.Context(), identity.ProjectFilter{
		DomainID: domain, ParentID: q.Get("parent_id"), Name: q.Get("name"), NameParts: nameParts(c), Enabled: enabledFilter(c),
		Tags: tagList(c, "tags"), TagsAny: tagList(c, "tags-any"), NotTags: tagList(c, "not-tags"), NotAny: tagList(c, "not-tags-any"),
	})
	if err != nil {
		return projectsReply{}, err
	}
	return viewProjects(c, projects), nil
}

// listDomainsAsProjects shows domains as the projects that Keystone makes them.
func (h handlers) listDomainsAsProjects(c *api.Call) (projectsReply, error) {
	domains, err := h.identity.Domains(c.Context(), c.Query().Get("name"), enabledFilter(c))
	if err != nil {
		return projectsReply{}, err
	}
	reply := projectsReply{Links: links(c)}
	for _, d := range domains {
		if c.Caller.Domain != "" && c.Caller.Domain != d.ID {
			continue
		}
		reply.Projects = append(reply.Projects, viewProject(c, projectOf(d)))
	}
	return reply, nil
}

func (h handlers) showProject(c *api.Call) (projectReply, error) {
	p, err := h.findProject(c)
	if err != nil {
		return projectReply{}, err
	}
	v := projectViewOf(c, p)
	q := c.Query()
	if q.Has("parents_as_list") || q.Has("parents_as_ids") {
		v.Parents, err = h.parents(c, p, q.Has("parents_as_ids"))
	}
	if err == nil && (q.Has("subtree_as_list") || q.Has("subtree_as_ids")) {
		v.Subtree, err = h.subtree(c, p.ID, q.Has("subtree_as_ids"))
	}
	return projectReply{open{v, p.Extra.V}}, err
}

// parents lists the projects above: as a list of those in which the caller has
// a role, or as nested ids up to the domain.
func (h handlers) parents(c *api.Call, p identity.Project, ids bool) (any, error) {
	above, err := h.identity.Parents(c.Context(), p)
	if err != nil {
		return nil, err
	}
	if ids {
		tree := map[string]any{}
		if !isDomain(p) {
			tree[p.DomainID] = nil
		}
		for _, parent := range slices.Backward(above) {
			tree = map[string]any{parent.ID: tree}
		}
		return tree, nil
	}
	return h.visible(c, above)
}

// subtree lists the projects below, likewise.
func (h handlers) subtree(c *api.Call, id string, ids bool) (any, error) {
	below, err := h.identity.Projects(c.Context(), identity.ProjectFilter{ParentID: id})
	if err != nil {
		return nil, err
	}
	if ids {
		tree := map[string]any{}
		for _, child := range below {
			tree[child.ID], err = h.subtree(c, child.ID, true)
			if err != nil {
				return nil, err
			}
		}
		if len(tree) == 0 {
			return nil, nil
		}
		return tree, nil
	}
	for i := 0; i < len(below); i++ {
		more, err := h.identity.Projects(c.Context(), identity.ProjectFilter{ParentID: below[i].ID})
		if err != nil {
			return nil, err
		}
		below = append(below, more...)
	}
	return h.visible(c, below)
}

func (h handlers) visible(c *api.Call, projects []identity.Project) ([]projectReply, error) {
	own, err := h.identity.ProjectsOf(c.Context(), holder(c))
	if err != nil {
		return nil, err
	}
	out := []projectReply{}
	for _, p := range projects {
		if slices.ContainsFunc(own, func(o identity.Project) bool { return o.ID == p.ID }) {
			out = append(out, projectReply{viewProject(c, p)})
		}
	}
	return out, nil
}

type projectCreate struct {
	_           struct{}       `check:"open"`
	Name        string         `json:"name" check:"required,min=1,max=64,pattern=nonblank"`
	DomainID    *string        `json:"domain_id"`
	ParentID    *string        `json:"parent_id"`
	IsDomain    bool           `json:"is_domain"`
	Description *string        `json:"description"`
	Enabled     *bool          `json:"enabled"`
	Tags        []string       `json:"tags" check:"max=80"`
	Options     map[string]any `json:"options"`
}

type createProjectRequest struct {
	_       struct{}      `check:"open"`
	Project projectCreate `json:"project" check:"required"`
}

func (h handlers) createProject(c *api.Call, in createProjectRequest) (projectReply, error) {
	p := identity.Project{
		Name: in.Project.Name, DomainID: text(in.Project.DomainID), ParentID: text(in.Project.ParentID),
		Description: text(in.Project.Description), Enabled: orTrue(in.Project.Enabled),
		Tags: db.Of(tagsOf(in.Project.Tags)), Options: db.Of(in.Project.Options),
	}
	if p.DomainID == "" && p.ParentID != "" {
		parent, err := h.identity.Project(c.Context(), p.ParentID)
		if err == nil {
			p.DomainID = parent.DomainID
		}
	}
	if in.Project.IsDomain && p.DomainID+p.ParentID != "" {
		return projectReply{}, errs.BadRequestf("Cannot create a project acting as a domain inside of another domain.")
	}
	if !in.Project.IsDomain {
		p.DomainID = callerDomain(c, p.DomainID)
	}
	err := c.Authorize(projectTarget(p))
	if err != nil {
		return projectReply{}, err
	}
	err = checkTags(p.Tags.V)
	if err != nil {
		return projectReply{}, err
	}
	extra, err := extraOf(c, "project", in.Project)
	if err != nil {
		return projectReply{}, err
	}
	p.Extra = db.Of(extra)
	if in.Project.IsDomain {
		d, err := h.identity.CreateDomain(c.Context(), domainOf(p))
		return projectReply{viewProject(c, projectOf(d))}, err
	}
	p, err = h.identity.CreateProject(c.Context(), p)
	if err != nil {
		return projectReply{}, err
	}
	return projectReply{viewProject(c, p)}, nil
}

type projectUpdate struct {
	_           struct{}        `check:"open"`
	Name        *string         `json:"name" check:"min=1,max=64,pattern=nonblank"`
	DomainID    *string         `json:"domain_id"`
	ParentID    *string         `json:"parent_id"`
	IsDomain    *bool           `json:"is_domain"`
	Description api.Opt[string] `json:"description"`
	Enabled     *bool           `json:"enabled"`
	Tags        *[]string       `json:"tags"`
	Options     *map[string]any `json:"options"`
}

type updateProjectRequest struct {
	_       struct{}      `check:"open"`
	Project projectUpdate `json:"project" check:"required"`
}

func (h handlers) updateProject(c *api.Call, in updateProjectRequest) (projectReply, error) {
	p, err := h.findProject(c)
	if err != nil {
		return projectReply{}, err
	}
	err = unchangeable("domain_id", in.Project.DomainID, p.DomainID)
	if err != nil {
		return projectReply{}, err
	}
	if in.Project.ParentID != nil && *in.Project.ParentID != p.ParentID {
		return projectReply{}, errs.Forbiddenf("Update of `parent_id` is not allowed.")
	}
	if in.Project.IsDomain != nil && *in.Project.IsDomain != isDomain(p) {
		return projectReply{}, errs.BadRequestf("Update of `is_domain` is not allowed.")
	}
	if in.Project.Tags != nil {
		err = checkTags(*in.Project.Tags)
		if err != nil {
			return projectReply{}, err
		}
	}
	extra, err := extraOf(c, "project", in.Project)
	if err != nil {
		return projectReply{}, err
	}
	change := func(p *identity.Project) error {
		set(&p.Name, in.Project.Name)
		set(&p.Enabled, in.Project.Enabled)
		set(&p.Tags.V, in.Project.Tags)
		if in.Project.Description.Set {
			p.Description = in.Project.Description.V
		}
		p.Options.V = changedOptions(p.Options.V, in.Project.Options)
		p.Extra.V = merged(p.Extra.V, extra)
		return nil
	}
	p, err = h.changeProject(c, p, change)
	if err != nil {
		return projectReply{}, err
	}
	return projectReply{viewProject(c, p)}, nil
}

// changeProject changes a project, or the domain that it stands for.
func (h handlers) changeProject(c *api.Call, p identity.Project, change func(p *identity.Project) error) (identity.Project, error) {
	if !isDomain(p) {
		return h.identity.UpdateProject(c.Context(), p.ID, change)
	}
	d, err := h.identity.UpdateDomain(c.Context(), p.ID, func(d *identity.Domain) error {
		changed := projectOf(*d)
		err := change(&changed)
		*d = domainOf(changed) // what it leaves out is not written
		return err
	})
	return projectOf(d), err
}

func (h handlers) deleteProject(c *api.Call) error {
	p, err := h.findProject(c)
	if err != nil {
		return err
	}
	if isDomain(p) {
		return h.identity.DeleteDomain(c.Context(), p.ID)
	}
	return h.identity.DeleteProject(c.Context(), p.ID)
}
