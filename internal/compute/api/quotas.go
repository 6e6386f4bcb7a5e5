package api

import (
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// quotaRoutes is limits, quotas and usage.
func (h handlers) quotaRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/limits", Rule: "os_compute_api:limits", Do: api.Get(h.limits)},
		{Method: "GET", Path: "/os-quota-class-sets/{id}", Rule: "os_compute_api:os-quota-class-sets:show", Do: api.Get(h.showClass)},
		{Method: "PUT", Path: "/os-quota-class-sets/{id}", Rule: "os_compute_api:os-quota-class-sets:update", Do: api.Body(h.updateClass)},
		{Method: "GET", Path: "/os-quota-sets/{tenant_id}", Rule: "os_compute_api:os-quota-sets:show", Do: api.Get(h.showQuotas)},
		{Method: "PUT", Path: "/os-quota-sets/{tenant_id}", Rule: "os_compute_api:os-quota-sets:update", Do: api.Body(h.updateQuotas)},
		{Method: "DELETE", Path: "/os-quota-sets/{tenant_id}", Rule: "os_compute_api:os-quota-sets:delete", OK: 202, Do: api.Empty(h.deleteQuotas)},
		{Method: "GET", Path: "/os-quota-sets/{tenant_id}/defaults", Rule: "os_compute_api:os-quota-sets:defaults", Do: api.Get(h.defaultQuotas)},
		{Method: "GET", Path: "/os-quota-sets/{tenant_id}/detail", Rule: "os_compute_api:os-quota-sets:detail", Do: api.Get(h.detailQuotas)},
	}
}

type limitsReply struct {
	Limits limitsView `json:"limits"`
}

type limitsView struct {
	Rate     []struct{}   `json:"rate"`
	Absolute absoluteView `json:"absolute"`
}

type absoluteView struct {
	MaxInstances     int64 `json:"maxTotalInstances"`
	MaxCores         int64 `json:"maxTotalCores"`
	MaxRAM           int64 `json:"maxTotalRAMSize"`
	MaxKeyPairs      int64 `json:"maxTotalKeypairs"`
	MaxMetadata      int64 `json:"maxServerMeta"`
	MaxImageMetadata int64 `json:"maxImageMeta" until:"2.38"`
	MaxPersonality   int64 `json:"maxPersonality" until:"2.56"`
	MaxFileSize      int64 `json:"maxPersonalitySize" until:"2.56"`
	MaxFloatingIPs   int64 `json:"maxTotalFloatingIps" until:"2.35"`
	MaxGroups        int64 `json:"maxSecurityGroups" until:"2.35"`
	MaxRules         int64 `json:"maxSecurityGroupRules" until:"2.35"`
	MaxServerGroups  int64 `json:"maxServerGroups"`
	MaxGroupMembers  int64 `json:"maxServerGroupMembers"`

	Instances    int64 `json:"totalInstancesUsed"`
	Cores        int64 `json:"totalCoresUsed"`
	RAM          int64 `json:"totalRAMUsed"`
	FloatingIPs  int64 `json:"totalFloatingIpsUsed" until:"2.35"`
	Groups       int64 `json:"totalSecurityGroupsUsed" until:"2.35"`
	ServerGroups int64 `json:"totalServerGroupsUsed"`
}

func (h handlers) limits(c *api.Call) (limitsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return limitsReply{}, err
	}
	project := c.Caller.Project
	other := c.Query().Get("tenant_id")
	if other == "" {
		other = c.Query().Get("project_id")
	}
	if other != "" && other != project {
		err = c.AuthorizeRule("os_compute_api:limits:other_project", auth.Target{Project: other})
		if err != nil {
			return limitsReply{}, err
		}
		project = other
	}
	q, err := h.compute.Quotas(c.Context(), project, "")
	if err != nil {
		return limitsReply{}, err
	}
	return limitsReply{limitsView{Absolute: absoluteView{
		MaxInstances: q.Limits[quota.Instances], MaxCores: q.Limits[quota.Cores], MaxRAM: q.Limits[quota.RAM],
		MaxKeyPairs: q.Limits[quota.KeyPair], MaxMetadata: q.Limits[quota.MetadataItem], MaxImageMetadata: q.Limits[quota.MetadataItem],
		MaxPersonality: q.Limits[quota.InjectedFile], MaxFileSize: q.Limits[quota.InjectedFileBytes],
		MaxFloatingIPs: -1, MaxGroups: -1, MaxRules: -1,
		MaxServerGroups: q.Limits[quota.ServerGroup], MaxGroupMembers: q.Limits[quota.ServerGroupMember],
		Instances: q.Used[quota.Instances], Cores: q.Used[quota.Cores], RAM: q.Used[quota.RAM], ServerGroups: q.Used[quota.ServerGroup],
	}}}, nil
}

// quotaSet is one set of numbers or, in detail, of usages.
type quotaSet[T any] struct {
	serverQuotas[T]
	networkQuotas[T] `until:"2.35"`
	fileQuotas[T]    `until:"2.56"`
	groupQuotas[T]
}

// classSet is a set of defaults, which came to know and to forget others later.
type classSet struct {
	serverQuotas[int64]
	networkQuotas[int64] `until:"2.49"`
	fileQuotas[int64]    `until:"2.56"`
	groupQuotas[int64]   `since:"2.50"`
}

type serverQuotas[T any] struct {
	ID        *string `json:"id,omitempty"`
	Instances T       `json:"instances"`
	Cores     T       `json:"cores"`
	RAM       T       `json:"ram"`
	KeyPairs  T       `json:"key_pairs"`
	Metadata  T       `json:"metadata_items"`
}

type networkQuotas[T any] struct {
	FixedIPs    T `json:"fixed_ips"`
	FloatingIPs T `json:"floating_ips"`
	Groups      T `json:"security_groups"`
	Rules       T `json:"security_group_rules"`
}

type fileQuotas[T any] struct {
	Files         T `json:"injected_files"`
	FileBytes     T `json:"injected_file_content_bytes"`
	FilePathBytes T `json:"injected_file_path_bytes"`
}

type groupQuotas[T any] struct {
	ServerGroups T `json:"server_groups"`
	GroupMembers T `json:"server_group_members"`
}

type quotaReply[T any] struct {
	Set quotaSet[T] `json:"quota_set"`
}

type usageView struct {
	InUse    int64 `json:"in_use"`
	Limit    int64 `json:"limit"`
	Reserved int64 `json:"reserved"`
}

// setOf fills a set by a function from name to value. Networks' quotas are
// the network service's: here they have no limit, except those that an operator
// wrote into the defaults, which nothing is measured by.
func setOf[T any](id string, value func(name string) T) quotaReply[T] {
	s := quotaSet[T]{
		serverQuotas[T]{
			Instances: value(quota.Instances), Cores: value(quota.Cores), RAM: value(quota.RAM),
			KeyPairs: value(quota.KeyPair), Metadata: value(quota.MetadataItem),
		},
		networkQuotas[T]{value(quota.OldFixedIP), value(quota.OldFloatingIP), value(quota.OldSecurityGroup), value(quota.OldSecurityGroupRule)},
		fileQuotas[T]{value(quota.InjectedFile), value(quota.InjectedFileBytes), value(quota.InjectedFilePath)},
		groupQuotas[T]{value(quota.ServerGroup), value(quota.ServerGroupMember)},
	}
	if id != "" {
		s.ID = &id
	}
	return quotaReply[T]{s}
}

func limitOf(q compute.Quotas) func(string) int64 {
	return func(name string) int64 {
		limit, known := q.Limits[name]
		if !known {
			return -1
		}
		return limit
	}
}

// member is the user within the project whom a call is about, "" for the project.
func member(c *api.Call) string { return c.Query().Get("user_id") }

// quotas reads the quotas that a call is about and authorizes it.
func (h handlers) quotas(c *api.Call) (compute.Quotas, error) {
	project := c.PathValue("tenant_id")
	err := c.Authorize(auth.Target{Project: project})
	if err != nil {
		return compute.Quotas{}, err
	}
	return h.compute.Quotas(c.Context(), project, member(c))
}

func (h handlers) showQuotas(c *api.Call) (quotaReply[int64], error) {
	q, err := h.quotas(c)
	return setOf(c.PathValue("tenant_id"), limitOf(q)), err
}

func (h handlers) detailQuotas(c *api.Call) (quotaReply[usageView], error) {
	q, err := h.quotas(c)
	limit := limitOf(q)
	return setOf(c.PathValue("tenant_id"), func(name string) usageView { return usageView{InUse: q.Used[name], Limit: limit(name)} }), err
}

func (h handlers) defaultQuotas(c *api.Call) (quotaReply[int64], error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return quotaReply[int64]{}, err
	}
	q, err := h.compute.Quotas(c.Context(), "", "")
	return setOf(c.PathValue("tenant_id"), limitOf(q)), err
}

type classReply struct {
	Set classSet `json:"quota_class_set"`
}

// ofClass is whose quotas those of a class are. The default class is that of every
// project; other classes are kept, though nothing puts a project into one.
func ofClass(name string) string {
	if name == "default" {
		return ""
	}
	return "class:" + name
}

func (h handlers) class(c *api.Call, id string) (classReply, error) {
	q, err := h.compute.Quotas(c.Context(), ofClass(c.PathValue("id")), "")
	return classReply{classSet(setOf(id, limitOf(q)).Set)}, err
}

func (h handlers) showClass(c *api.Call) (classReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return classReply{}, err
	}
	return h.class(c, c.PathValue("id"))
}

type updateClassRequest struct {
	Set struct {
		quotaValues
		networkValues `until:"2.49"`
	} `json:"quota_class_set" check:"required"`
}

// updateClass changes the limits of a class: the default one's are those of projects
// without their own.
func (h handlers) updateClass(c *api.Call, in updateClassRequest) (classReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return classReply{}, err
	}
	name := c.PathValue("id")
	if n := utf8.RuneCountInString(name); n > 255 {
		return classReply{}, errs.BadRequestf("Invalid input received: quota_class_name has %d characters, more than 255.", n)
	}
	err = h.compute.SetQuotas(c.Context(), ofClass(name), "", limits(in.Set.quotaValues, in.Set.networkValues), true)
	if err != nil {
		return classReply{}, err
	}
	return h.class(c, "")
}

type updateQuotasRequest struct {
	Set updateQuotas `json:"quota_set" check:"required"`
}

// limitValue is a number of at least -1, perhaps sent as text.
type limitValue int64

// JSONSchema implements api.Schemer.
func (limitValue) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^-?[0-9]+$", "minimum": -1, "maximum": 0x7FFFFFFF}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *limitValue) UnmarshalJSON(b []byte) error { return (*api.Int)(n).UnmarshalJSON(b) }

type updateQuotas struct {
	quotaValues
	networkValues `until:"2.35"`
	Force         api.Bool `json:"force"`
}

// quotaValues are the limits that a request may set.
type quotaValues struct {
	Instances     *limitValue `json:"instances" check:"notnull"`
	Cores         *limitValue `json:"cores" check:"notnull"`
	RAM           *limitValue `json:"ram" check:"notnull"`
	KeyPairs      *limitValue `json:"key_pairs" check:"notnull"`
	Metadata      *limitValue `json:"metadata_items" check:"notnull"`
	Files         *limitValue `json:"injected_files" until:"2.56" check:"notnull"`
	FileBytes     *limitValue `json:"injected_file_content_bytes" until:"2.56" check:"notnull"`
	FilePathBytes *limitValue `json:"injected_file_path_bytes" until:"2.56" check:"notnull"`
	ServerGroups  *limitValue `json:"server_groups" check:"notnull"`
	GroupMembers  *limitValue `json:"server_group_members" check:"notnull"`
}

// networkValues are limits that the network service has now.
type networkValues struct {
	FixedIPs    *limitValue `json:"fixed_ips" check:"notnull"`
	FloatingIPs *limitValue `json:"floating_ips" check:"notnull"`
	Groups      *limitValue `json:"security_groups" check:"notnull"`
	Rules       *limitValue `json:"security_group_rules" check:"notnull"`
}

func limits(v quotaValues, n networkValues) map[string]int64 {
	limits := map[string]int64{}
	for name, value := range map[string]*limitValue{
		quota.Instances: v.Instances, quota.Cores: v.Cores, quota.RAM: v.RAM, quota.KeyPair: v.KeyPairs,
		quota.MetadataItem: v.Metadata, quota.InjectedFile: v.Files, quota.InjectedFileBytes: v.FileBytes,
		quota.InjectedFilePath: v.FilePathBytes, quota.ServerGroup: v.ServerGroups, quota.ServerGroupMember: v.GroupMembers,
		quota.OldFixedIP: n.FixedIPs, quota.OldFloatingIP: n.FloatingIPs, quota.OldSecurityGroup: n.Groups, quota.OldSecurityGroupRule: n.Rules,
	} {
		if value != nil {
			limits[name] = int64(*value)
		}
	}
	return limits
}

func (h handlers) updateQuotas(c *api.Call, in updateQuotasRequest) (quotaReply[int64], error) {
	project := c.PathValue("tenant_id")
	err := c.Authorize(auth.Target{Project: project})
	if err != nil {
		return quotaReply[int64]{}, err
	}
	err = h.compute.SetQuotas(c.Context(), project, member(c), limits(in.Set.quotaValues, in.Set.networkValues), bool(in.Set.Force))
	if err != nil {
		return quotaReply[int64]{}, err
	}
	q, err := h.compute.Quotas(c.Context(), project, member(c))
	return setOf("", limitOf(q)), err
}

func (h handlers) deleteQuotas(c *api.Call) error {
	project := c.PathValue("tenant_id")
	err := c.Authorize(auth.Target{Project: project})
	if err != nil {
		return err
	}
	return h.compute.UnsetQuotas(c.Context(), project, member(c))
}
