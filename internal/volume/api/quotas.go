package api

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/volume"
)

func (h handlers) quotas() []api.Route {
	const sets = "/os-quota-sets/{project_id}"
	const classes = "/os-quota-class-sets/{quota_class_name}"
	const scope = "admin_project_id"
	return []api.Route{
		{Method: "GET", Path: "/limits", Rule: "limits_extension:used_limits", Do: api.Get(h.limits)},
		{Method: "GET", Path: classes, Rule: "volume_extension:quota_classes:get", Scope: scope, Do: api.Get(h.showClass)},
		{Method: "PUT", Path: classes, Rule: "volume_extension:quota_classes:update", Scope: scope, Do: api.Body(h.updateClass)},
		{Method: "GET", Path: sets, Rule: "volume_extension:quotas:show", Scope: scope, Do: api.Get(h.showQuotas)},
		{Method: "PUT", Path: sets, Rule: "volume_extension:quotas:update", Scope: scope, Do: api.Body(h.updateQuotas)},
		{Method: "DELETE", Path: sets, Rule: "volume_extension:quotas:delete", Scope: scope, Do: api.Empty(h.deleteQuotas)},
		{Method: "GET", Path: sets + "/defaults", Rule: "volume_extension:quotas:show", Scope: scope, Do: api.Get(h.showDefaults)},
	}
}

type limitsReply struct {
	Limits struct {
		Rate     []string         `json:"rate"`
		Absolute map[string]int64 `json:"absolute"`
	} `json:"limits"`
}

func (h handlers) limits(c *api.Call) (limitsReply, error) {
	var reply limitsReply
	project := c.Caller.Project
	other := c.Query().Get("project_id")
	if other != "" && c.Version >= api.V(3, 39) && c.Caller.Admin() {
		project = other
	}
	err := c.Authorize(of(project))
	if err != nil {
		return reply, err
	}
	used, err := h.service.Used(c.Context(), project)
	if err != nil {
		return reply, err
	}
	reply.Limits.Absolute = map[string]int64{}
	for resource, names := range map[string][2]string{
		quota.Volume:         {"maxTotalVolumes", "totalVolumesUsed"},
		quota.Gigabyte:       {"maxTotalVolumeGigabytes", "totalGigabytesUsed"},
		quota.Snapshot:       {"maxTotalSnapshots", "totalSnapshotsUsed"},
		quota.Backup:         {"maxTotalBackups", "totalBackupsUsed"},
		quota.BackupGigabyte: {"maxTotalBackupGigabytes", "totalBackupGigabytesUsed"},
	} {
		reply.Limits.Absolute[names[0]], reply.Limits.Absolute[names[1]] = used[resource].Limit, used[resource].Used
	}
	return reply, nil
}

type quotaReply struct {
	Set map[string]any `json:"quota_set"`
}

type classReply struct {
	Set map[string]any `json:"quota_class_set"`
}

// set shows the limits, with what is used when that is asked for.
func set(id string, quotas []volume.Quota, usage bool) map[string]any {
	view := map[string]any{}
	if id != "" {
		view["id"] = id
	}
	for _, q := range quotas {
		view[q.Resource] = q.Limit
		if usage {
			view[q.Resource] = map[string]int64{"limit": q.Limit, "in_use": q.Used, "reserved": 0, "allocated": 0}
		}
	}
	return view
}

// target authorizes the call for the project whose quotas it is about.
func (h handlers) target(c *api.Call) (string, error) {
	project := c.PathValue("project_id")
	return project, c.Authorize(of(project))
}

func (h handlers) showQuotas(c *api.Call) (quotaReply, error) {
	project, err := h.target(c)
	if err != nil {
		return quotaReply{}, err
	}
	quotas, err := h.service.Quotas(c.Context(), project)
	usage, _ := boolean.Parse(c.Query().Get("usage"))
	return quotaReply{set(project, quotas, usage)}, err
}

func (h handlers) showDefaults(c *api.Call) (quotaReply, error) {
	project, err := h.target(c)
	if err != nil {
		return quotaReply{}, err
	}
	quotas, err := h.service.Quotas(c.Context(), "")
	return quotaReply{set(project, quotas, false)}, err
}

type quotaRequest struct {
	Set map[string]json.RawMessage `json:"quota_set" check:"required"`
}

type classRequest struct {
	Set map[string]json.RawMessage `json:"quota_class_set" check:"required"`
}

// limitsOf reads numbers, which clients also send as strings.
func limitsOf(in map[string]json.RawMessage) (map[string]int64, error) {
	limits := map[string]int64{}
	for name, raw := range in {
		if name == "tenant_id" || name == "id" || name == "force" || name == "skip_validation" {
			continue
		}
		n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 32)
		if err != nil {
			return nil, errs.BadRequestf("Invalid input for field/attribute %s. Value: %s. It must be an integer.", name, raw)
		}
		limits[name] = n
	}
	return limits, nil
}

// changeQuotas sets limits and returns all.
func (h handlers) changeQuotas(ctx context.Context, project string, in map[string]json.RawMessage) ([]volume.Quota, error) {
	limits, err := limitsOf(in)
	if err != nil {
		return nil, err
	}
	err = h.service.SetQuotas(ctx, project, limits)
	if err != nil {
		return nil, err
	}
	return h.service.Quotas(ctx, project)
}

func (h handlers) updateQuotas(c *api.Call, in quotaRequest) (quotaReply, error) {
	project, err := h.target(c)
	if err != nil {
		return quotaReply{}, err
	}
	quotas, err := h.changeQuotas(c.Context(), project, in.Set)
	return quotaReply{set("", quotas, false)}, err
}

func (h handlers) deleteQuotas(c *api.Call) error {
	project, err := h.target(c)
	if err != nil {
		return err
	}
	return h.service.UnsetQuotas(c.Context(), project)
}

// class checks that the call is about the defaults, the one class there is.
func class(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	if c.PathValue("quota_class_name") != "default" {
		return errs.NotFoundf("Quota class %s could not be found.", c.PathValue("quota_class_name"))
	}
	return nil
}

func (h handlers) showClass(c *api.Call) (classReply, error) {
	err := class(c)
	if err != nil {
		return classReply{}, err
	}
	quotas, err := h.service.Quotas(c.Context(), "")
	return classReply{set("default", quotas, false)}, err
}

func (h handlers) updateClass(c *api.Call, in classRequest) (classReply, error) {
	err := class(c)
	if err != nil {
		return classReply{}, err
	}
	quotas, err := h.changeQuotas(c.Context(), "", in.Set)
	return classReply{set("", quotas, false)}, err
}
