package api

import (
	"slices"

	"nacre/internal/api"
	"nacre/internal/network"
)

type quotaRequest struct {
	Quota map[string]api.Int `json:"quota" check:"required"`
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
	limits := map[string]int64{}
	for name, n := range in.Quota {
		if !slices.Contains(network.QuotaResources, name) {
			return nil, unrecognized(name)
		}
		limits[name] = int64(n)
	}
	err = h.net.SetQuota(c.Context(), project, limits)
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
