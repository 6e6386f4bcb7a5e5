package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// named is something with an id and, when the client asks for names, its name
// and domain.
type named struct {
	ID     string  `json:"id"`
	Name   string  `json:"name,omitempty"`
	Domain *idName `json:"domain,omitempty"`
}

type scopeView struct {
	Project   *named          `json:"project,omitempty"`
	Domain    *named          `json:"domain,omitempty"`
	System    map[string]bool `json:"system,omitempty"`
	Inherited string          `json:"OS-INHERIT:inherited_to,omitempty"`
}

type assignmentLinks struct {
	Assignment string `json:"assignment"`
	Prior      string `json:"prior_role,omitempty"`
	Membership string `json:"membership,omitempty"`
}

type assignmentView struct {
	Role  named           `json:"role"`
	User  *named          `json:"user,omitempty"`
	Group *named          `json:"group,omitempty"`
	Scope scopeView       `json:"scope"`
	Links assignmentLinks `json:"links"`
}

type assignmentsReply struct {
	Assignments []assignmentView `json:"role_assignments"`
	Links       listLinks        `json:"links"`
}

func flag(c *api.Call, name string) bool {
	q := c.Query()
	value, ok := boolean.Parse(q.Get(name))
	return q.Has(name) && (value || !ok)
}

func exclusive(c *api.Call, a, b, sentence string) error {
	if c.Query().Get(a) != "" && c.Query().Get(b) != "" {
		return errs.BadRequestf("%s", sentence)
	}
	return nil
}

func (h handlers) listAssignments(c *api.Call) (assignmentsReply, error) {
	err := h.authorizeAssignments(c)
	if err != nil {
		return assignmentsReply{}, err
	}
	for _, pair := range [][3]string{
		{"scope.domain.id", "scope.project.id", "Specify a domain or project, not both"},
		{"scope.domain.id", "scope.system", "Specify system or domain, not both"},
		{"scope.project.id", "scope.system", "Specify system or project, not both"},
		{"user.id", "group.id", "Specify a user or group, not both"},
	} {
		err = exclusive(c, pair[0], pair[1], pair[2])
		if err != nil {
			return assignmentsReply{}, err
		}
	}
	effective := flag(c, "effective")
	if effective && c.Query().Get("group.id") != "" {
		return assignmentsReply{}, errs.BadRequestf("Combining effective and group filter will always result in an empty list.")
	}
	found, err := h.identity.Assignments(c.Context(), assignmentFilter(c, effective))
	if err != nil {
		return assignmentsReply{}, err
	}
	n := namer{h: h, c: c, names: flag(c, "include_names"), known: map[string]named{}}
	reply := assignmentsReply{Links: links(c)}
	for _, a := range found {
		inside, err := h.inCallerDomain(c, a.Grant)
		if err != nil {
			return assignmentsReply{}, err
		}
		if !inside {
			continue
		}
		v, err := n.view(a)
		if err != nil {
			return assignmentsReply{}, err
		}
		reply.Assignments = append(reply.Assignments, v)
	}
	return reply, nil
}

// authorizeAssignments checks the list's rule, or the one for a whole branch of
// projects.
func (h handlers) authorizeAssignments(c *api.Call) error {
	domain := c.Caller.Domain
	rule := c.Route().Rule
	if flag(c, "include_subtree") {
		rule = "identity:list_role_assignments_for_tree"
		project := c.Query().Get("scope.project.id")
		if project != "" {
			p, err := h.identity.Project(c.Context(), project)
			if err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
			domain = p.DomainID
		}
		err := c.AuthorizeRule(rule, auth.Target{Attrs: map[string]string{"target.domain_id": domain}})
		if err != nil {
			return err
		}
		if project == "" {
			return errs.BadRequestf("scope.project.id must be specified if include_subtree is also specified")
		}
		return nil
	}
	return c.AuthorizeRule(rule, auth.Target{Attrs: map[string]string{"target.domain_id": domain}})
}

func assignmentFilter(c *api.Call, effective bool) identity.AssignmentFilter {
	q := c.Query()
	f := identity.AssignmentFilter{
		User: q.Get("user.id"), Group: q.Get("group.id"), Role: q.Get("role.id"),
		Project: q.Get("scope.project.id"), Domain: q.Get("scope.domain.id"), System: q.Get("scope.system") != "",
		Effective: effective, Subtree: flag(c, "include_subtree"),
	}
	if q.Has("scope.OS-INHERIT:inherited_to") {
		inherited := q.Get("scope.OS-INHERIT:inherited_to") == "projects"
		f.Inherited = &inherited
	}
	return f
}

// inCallerDomain tells whether a caller with a domain-scoped token sees it.
func (h handlers) inCallerDomain(c *api.Call, g identity.Grant) (bool, error) {
	if c.Caller.Domain == "" {
		return true, nil
	}
	switch g.TargetKind {
	case identity.TargetDomain:
		return g.TargetID == c.Caller.Domain, nil
	case identity.TargetProject:
		p, err := h.identity.Project(c.Context(), g.TargetID)
		if errs.Is(err, errs.NotFound) {
			return false, nil
		}
		return p.DomainID == c.Caller.Domain, err
	}
	return false, nil
}

// namer makes views of assignments and looks each name up once.
type namer struct {
	h     handlers
	c     *api.Call
	names bool
	known map[string]named
}

func (n namer) view(a identity.Assignment) (assignmentView, error) {
	v := assignmentView{Links: assignmentLinks{Assignment: n.c.URL(grantPath(a.Given))}}
	var err error
	v.Role, err = n.name("role", a.RoleID)
	if err != nil {
		return v, err
	}
	actor, err := n.name(a.ActorKind, a.ActorID)
	if err != nil {
		return v, err
	}
	if a.ActorKind == identity.ActorUser {
		v.User = &actor
	} else {
		v.Group = &actor
	}
	if a.Given.ActorKind == identity.ActorGroup && a.ActorKind == identity.ActorUser {
		v.Links.Membership = n.c.URL("/groups/" + a.Given.ActorID + "/users/" + a.ActorID)
	}
	if a.Given.RoleID != a.RoleID {
		v.Links.Prior = n.c.URL("/roles/" + a.Given.RoleID + "/implies/" + a.RoleID)
	}
	if a.Inherited {
		v.Scope.Inherited = "projects"
	}
	if a.TargetKind == identity.TargetSystem {
		v.Scope.System = map[string]bool{"all": true}
		return v, nil
	}
	target, err := n.name(a.TargetKind, a.TargetID)
	if a.TargetKind == identity.TargetProject {
		v.Scope.Project = &target
	} else {
		v.Scope.Domain = &target
	}
	return v, err
}

func (n namer) name(kind, id string) (named, error) {
	v, known := n.known[kind+id]
	if known || !n.names {
		v.ID = id
		return v, nil
	}
	v, err := n.lookUp(kind, id)
	if errs.Is(err, errs.NotFound) {
		v, err = named{}, nil
	}
	v.ID = id
	n.known[kind+id] = v
	return v, err
}

func (n namer) lookUp(kind, id string) (named, error) {
	ctx, service := n.c.Context(), n.h.identity
	name, domain := "", ""
	var err error
	switch kind {
	case identity.ActorUser:
		var u identity.User
		u, err = service.User(ctx, id)
		name, domain = u.Name, u.DomainID
	case identity.ActorGroup:
		var g identity.Group
		g, err = service.Group(ctx, id)
		name, domain = g.Name, g.DomainID
	case identity.TargetProject:
		var p identity.Project
		p, err = service.Project(ctx, id)
		name, domain = p.Name, p.DomainID
	case identity.TargetDomain:
		var d identity.Domain
		d, err = service.Domain(ctx, id)
		name = d.Name
	default:
		var r identity.Role
		r, err = service.Role(ctx, id)
		name, domain = r.Name, r.DomainID
	}
	if err != nil || domain == "" {
		return named{Name: name}, err
	}
	d, err := n.name(identity.TargetDomain, domain)
	return named{Name: name, Domain: &idName{domain, d.Name}}, err
}
