package app

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// permissionView tells whether a user may do a call, and why.
type permissionView struct {
	Allowed bool        `json:"allowed"`
	Rule    string      `json:"rule"`
	User    string      `json:"user_id"`
	Project string      `json:"project_id"`
	Domain  string      `json:"domain_id"`
	System  bool        `json:"system"`
	Roles   []heldRole  `json:"roles"` // of the user in the scope
	Because auth.Reason `json:"because"`
}

// heldRole is a role that the user has, and the assignment it comes from.
type heldRole struct {
	Name  string     `json:"name"`
	Given givenGrant `json:"given"`
}

// givenGrant is an assignment as somebody made it.
type givenGrant struct {
	Role      string `json:"role"` // which may imply the other
	User      string `json:"user_id"`
	Group     string `json:"group_id"`
	Project   string `json:"project_id"`
	Domain    string `json:"domain_id"`
	System    bool   `json:"system"`
	Inherited bool   `json:"inherited"`
}

// showPermission answers "why can't I": for a user (user_id, the caller if it is
// left out) in a scope (project_id, domain_id or system=all, the caller's if all
// are left out), and a rule, or the method, path and action of a call. The call
// is taken to be about things of the scope's project and of the user, unless
// target_project_id and target_user_id say otherwise.
func (cloud *Cloud) showPermission(c *api.Call) (permissionView, error) {
	q := c.Query()
	get := func(name, otherwise string) string {
		if q.Get(name) != "" {
			return q.Get(name)
		}
		return otherwise
	}
	v := permissionView{User: get("user_id", c.Caller.User), Project: q.Get("project_id"), Domain: q.Get("domain_id"), System: q.Get("system") == "all"}
	if v.Project == "" && v.Domain == "" && !v.System {
		v.Project, v.Domain, v.System = c.Caller.Project, c.Caller.Domain, c.Caller.System
	}
	err := c.Authorize(auth.Target{User: v.User})
	if err != nil {
		return v, err
	}
	v.Rule, err = cloud.askedRule(q.Get("rule"), q.Get("method"), q.Get("path"), q.Get("action"))
	if err != nil {
		return v, err
	}
	who, err := cloud.asIf(c, &v)
	if err != nil {
		return v, err
	}
	target := auth.Target{Project: get("target_project_id", v.Project), User: get("target_user_id", v.User), Domain: get("target_domain_id", v.Domain)}
	why, known := cloud.policy.policy.Explain(v.Rule, who, target)
	if !known {
		return v, errs.NotFoundf("There is no policy rule %s.", v.Rule)
	}
	// Whoever has no role in the scope gets no token for it.
	v.Allowed, v.Because = why.Holds && len(v.Roles) > 0, why
	return v, nil
}

// askedRule is the rule of a call, unless it is given itself.
func (cloud *Cloud) askedRule(rule, method, path, action string) (string, error) {
	if rule != "" {
		return rule, nil
	}
	if method == "" || path == "" {
		return "", errs.BadRequestf("What is it about? Give rule, or the method and path of a call.")
	}
	var rules, actions []string
	for _, r := range cloud.Kernel.Routes(strings.ToUpper(method), path) {
		if r.Action != "" {
			actions = append(actions, r.Action)
		}
		if r.Action == action && r.Rule != "" && !slices.Contains(rules, r.Rule) {
			rules = append(rules, r.Rule)
		}
	}
	switch {
	case len(rules) == 1:
		return rules[0], nil
	case len(rules) > 1:
		return "", errs.BadRequestf("%s %s goes by several rules: give one of %s.", method, path, strings.Join(rules, ", "))
	case len(actions) > 0:
		slices.Sort(actions)
		return "", errs.BadRequestf("Which action of %s %s? Give one of %s.", method, path, strings.Join(actions, ", "))
	}
	return "", errs.NotFoundf("There is no call %s %s that goes by a rule.", method, path)
}

// asIf is the caller that the user would be in the scope.
func (cloud *Cloud) asIf(c *api.Call, v *permissionView) (auth.Caller, error) {
	ctx := c.Context()
	user, err := cloud.identity.User(ctx, v.User)
	if err != nil {
		return auth.Caller{}, err
	}
	who := auth.Caller{User: user.ID, UserName: user.Name, UserDomain: user.DomainID, Project: v.Project, Domain: v.Domain, System: v.System}
	if v.Project != "" {
		project, err := cloud.identity.Project(ctx, v.Project)
		if err != nil {
			return who, err
		}
		who.ProjectName, who.ProjectDomain = project.Name, project.DomainID
	}
	held, err := cloud.identity.Assignments(ctx, identity.AssignmentFilter{
		User: v.User, Project: v.Project, Domain: v.Domain, System: v.System, Effective: true,
	})
	if err != nil {
		return who, err
	}
	names := map[string]string{}
	v.Roles = []heldRole{}
	for _, a := range held {
		for _, id := range []string{a.RoleID, a.Given.RoleID} {
			if names[id] == "" {
				role, err := cloud.identity.Role(ctx, id)
				if err != nil {
					return who, err
				}
				names[id] = role.Name
			}
		}
		given := givenGrant{Role: names[a.Given.RoleID], Inherited: a.Given.Inherited, System: a.Given.TargetKind == identity.TargetSystem}
		switch a.Given.ActorKind {
		case identity.ActorUser:
			given.User = a.Given.ActorID
		case identity.ActorGroup:
			given.Group = a.Given.ActorID
		}
		switch a.Given.TargetKind {
		case identity.TargetProject:
			given.Project = a.Given.TargetID
		case identity.TargetDomain:
			given.Domain = a.Given.TargetID
		}
		v.Roles = append(v.Roles, heldRole{names[a.RoleID], given})
		if !slices.Contains(who.Roles, names[a.RoleID]) {
			who.Roles = append(who.Roles, names[a.RoleID])
		}
	}
	return who, nil
}
