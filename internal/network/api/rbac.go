package api

import (
	"maps"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var rbacList = listed{"rbac_policies", map[string]db.Filter{
	"id": {Column: "id"}, "project_id": {Column: "project_id"}, "tenant_id": {Column: "project_id"}, "object_type": {Column: "object_type"},
	"object_id": {Column: "object_id"}, "action": {Column: "action"}, "target_tenant": {Column: "target"}, "target_project": {Column: "target"},
}}

type rbacRequest struct {
	Policy struct {
		owner
		ObjectType    string  `json:"object_type" check:"required,max=255"`
		Object        string  `json:"object_id" check:"required,max=255"`
		Action        string  `json:"action" check:"required,max=255"`
		Target        *string `json:"target_tenant" check:"max=255"`
		TargetProject *string `json:"target_project" check:"max=255"`
	} `json:"rbac_policy" check:"required"`
}

type rbacChange struct {
	Policy struct {
		Target        *string `json:"target_tenant" check:"max=255"`
		TargetProject *string `json:"target_project" check:"max=255"`
	} `json:"rbac_policy" check:"required"`
}

type rbacView struct {
	ID         string `json:"id"`
	Tenant     string `json:"tenant_id"`
	Project    string `json:"project_id"`
	ObjectType string `json:"object_type"`
	Object     string `json:"object_id"`
	Action     string `json:"action"`
	Target     string `json:"target_tenant"`
}

func viewRBAC(p network.RBACPolicy) any {
	return rbacView{p.ID, p.Project, p.Project, p.ObjectType, p.Object, p.Action, p.Target}
}

func (h handlers) rbacPolicies() resource[network.RBACPolicy] {
	return resource[network.RBACPolicy]{"rbac_policy", rbacList, h.findRBAC, h.net.RBACPolicies, plain(viewRBAC), anyRevision(h.net.DeleteRBACPolicy)}
}

func (h handlers) findRBAC(c *api.Call) (network.RBACPolicy, error) {
	p, err := h.net.RBACPolicy(c.Context(), scope(c), c.PathValue("rbac_policy_id"))
	if err != nil {
		return p, err
	}
	return p, c.Authorize(target(p.Project, nil))
}

// rbacTarget reads whom a policy is for, and checks that the caller may name
// them: only some share with everybody.
func rbacTarget(c *api.Call, verb, project string, names ...*string) (string, error) {
	at := slices.IndexFunc(names, func(name *string) bool { return name != nil })
	if at < 0 || *names[at] == "" {
		return "", errs.BadRequestf("Invalid input for target_tenant. Reason: '' is not a project.").Typed("HTTPBadRequest")
	}
	t := target(project, nil)
	t.Attrs["target_tenant"] = *names[at]
	return *names[at], guard(c, true, verb+"_rbac_policy:target_tenant", t)
}

func (h handlers) createRBAC(c *api.Call, in rbacRequest) (map[string]any, error) {
	b := in.Policy
	project, _, err := b.creates(c, "", nil, nil)
	if err != nil {
		return nil, err
	}
	to, err := rbacTarget(c, "create", project, b.Target, b.TargetProject)
	if err != nil {
		return nil, err
	}
	types := network.ObjectTypes()
	if types[b.ObjectType] == nil {
		return nil, errs.BadRequestf("Invalid input for object_type. Reason: '%s' is not in ['%s'].", b.ObjectType,
			strings.Join(slices.Sorted(maps.Keys(types)), "', '")).Typed("HTTPBadRequest")
	}
	p, err := h.net.CreateRBACPolicy(c.Context(), scope(c), network.RBACPolicy{
		Common: network.Common{Project: project}, ObjectType: b.ObjectType, Object: b.Object, Action: b.Action, Target: to,
	})
	return h.rbacPolicies().made(c, p, err)
}

func (h handlers) updateRBAC(c *api.Call, in rbacChange) (map[string]any, error) {
	p, err := h.findRBAC(c)
	if err != nil {
		return nil, err
	}
	to, err := rbacTarget(c, "update", p.Project, in.Policy.Target, in.Policy.TargetProject)
	if err != nil {
		return nil, err
	}
	p, err = h.net.UpdateRBACPolicy(c.Context(), p.ID, to)
	return h.rbacPolicies().shown(c, p, err)
}
