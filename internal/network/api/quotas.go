package api

import (
	"encoding/json"
	"slices"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/network"
)

type quotaRequest struct {
	Quota map[string]json.RawMessage `json:"quota" check:"required"`
}

// limits reads the numbers of the request, and whether they are to be checked
// against what is used.
func (r quotaRequest) limits() (limits map[string]int64, checked bool, err error) {
	limits = map[string]int64{}
	for name, text := range r.Quota {
		var n api.Int
		var yes api.Bool
		switch {
		case name == "force" || name == "check_limit":
			err = yes.UnmarshalJSON(text)
			checked = checked || name == "check_limit" && bool(yes)
		case name == "tenant_id" || name == "project_id": // clients send back what they got
		case !slices.Contains(network.QuotaResources, name):
			return nil, false, unrecognized(name)
		default:
			err = n.UnmarshalJSON(text)
			limits[name] = int64(n)
		}
		if err != nil {
			return nil, false, errs.BadRequestf("Invalid input for %s. Reason: '%s' is not an integer.", name, text).Typed("HTTPBadRequest")
		}
	}
	return limits, checked, nil
}

type usageView struct {
	Limit    int64 `json:"limit"`
	Used     int64 `json:"used"`
	Reserved int64 `json:"reserved"`
}

// authorizeQuota lets a project look at its own quota, and admins at all.
func authorizeQuota(c *api.Call) (project string, err error) {
	project = c.PathValue("project_id")
	return project, c.Authorize(target(project, nil))
}

func (h handlers) showQuota(c *api.Call) (map[string]any, error) {
	project, err := authorizeQuota(c)
	if err != nil {
		return nil, err
	}
	limits, _, err := h.net.Quota(c.Context(), project)
	if err != nil {
		return nil, err
	}
	return map[string]any{"quota": limits}, nil
}

func (h handlers) defaultQuota(c *api.Call) (map[string]any, error) {
	_, err := authorizeQuota(c)
	if err != nil {
		return nil, err
	}
	limits, _, err := h.net.Quota(c.Context(), "")
	if err != nil {
		return nil, err
	}
	return map[string]any{"quota": limits}, nil
}

func (h handlers) quotaDetails(c *api.Call) (map[string]any, error) {
	project, err := authorizeQuota(c)
	if err != nil {
		return nil, err
	}
	limits, used, err := h.net.Quota(c.Context(), project)
	if err != nil {
		return nil, err
	}
	details := map[string]usageView{}
	for name, limit := range limits {
		details[name] = usageView{Limit: limit, Used: used[name]}
	}
	return map[string]any{"quota": details}, nil
}

// listQuotas shows the projects with limits of their own: all of them to an
// admin, the own one to others.
func (h handlers) listQuotas(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	projects, limits, err := h.net.Quotas(c.Context())
	if err != nil {
		return nil, err
	}
	views := []map[string]any{}
	for _, p := range projects {
		if p != c.Caller.Project && !c.Caller.Admin() {
			continue
		}
		view := map[string]any{"tenant_id": p, "project_id": p}
		for name, n := range limits[p] {
			view[name] = n
		}
		views = append(views, view)
	}
	return map[string]any{"quotas": views}, nil
}

func (h handlers) updateQuota(c *api.Call, in quotaRequest) (map[string]any, error) {
	project, err := authorizeQuota(c)
	if err != nil {
		return nil, err
	}
	limits, checked, err := in.limits()
	if err != nil {
		return nil, err
	}
	err = h.net.SetQuota(c.Context(), project, limits, checked)
	if err != nil {
		return nil, err
	}
	limits, _, err = h.net.Quota(c.Context(), project)
	if err != nil {
		return nil, err
	}
	return map[string]any{"quota": limits}, nil
}

func (h handlers) deleteQuota(c *api.Call) error {
	project, err := authorizeQuota(c)
	if err != nil {
		return err
	}
	return h.net.ResetQuota(c.Context(), project)
}
