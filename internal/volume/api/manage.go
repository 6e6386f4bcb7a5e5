package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// manageables are the calls that move volumes between hosts, take over what somebody
// has put into the store of one, and let go of it. The lists are there twice: since 3.8 under newer names.
func (h handlers) manageables() []api.Route {
	const action, admin = "/volumes/{volume_id}/action", "volume_extension:volume_admin_actions:"
	routes := []api.Route{
		{Method: "POST", Path: action, Action: "os-migrate_volume", Rule: admin + "migrate_volume", OK: 202, Do: api.BodyEmpty(h.migrate)},
		{Method: "POST", Path: action, Action: "os-migrate_volume_completion", Rule: admin + "migrate_volume_completion", OK: 202, Do: api.BodyEmpty(h.completeMigration)},
		{Method: "POST", Path: action, Action: "os-unmanage", Rule: "volume_extension:volume_unmanage", OK: 202, Do: api.Empty(h.unmanageVolume)},
		{Method: "POST", Path: "/snapshots/{snapshot_id}/action", Action: "os-unmanage", Rule: "snapshot_extension:snapshot_unmanage", OK: 202, Do: api.Empty(h.unmanageSnapshot)},
	}
	for _, at := range []struct {
		volumes, snapshots string
		since              api.Version
	}{{"/os-volume-manage", "/os-snapshot-manage", 0}, {"/manageable_volumes", "/manageable_snapshots", api.V(3, 8)}} {
		const listVolumes, listSnapshots = "volume_extension:list_manageable", "snapshot_extension:list_manageable"
		routes = append(routes,
			api.Route{Method: "POST", Path: at.volumes, Rule: "volume_extension:volume_manage", Since: at.since, OK: 202, Do: api.Body(h.manageVolume)},
			api.Route{Method: "GET", Path: at.volumes, Rule: listVolumes, Since: at.since, Do: h.listManageable("manageable-volumes", false)},
			api.Route{Method: "GET", Path: at.volumes + "/detail", Rule: listVolumes, Since: at.since, Do: h.listManageable("manageable-volumes", true)},
			api.Route{Method: "POST", Path: at.snapshots, Rule: "snapshot_extension:snapshot_manage", Since: at.since, OK: 202, Do: api.Body(h.manageSnapshot)},
			api.Route{Method: "GET", Path: at.snapshots, Rule: listSnapshots, Since: at.since, Do: h.listManageable("manageable-snapshots", false)},
			api.Route{Method: "GET", Path: at.snapshots + "/detail", Rule: listSnapshots, Since: at.since, Do: h.listManageable("manageable-snapshots", true)},
		)
	}
	return routes
}

type referenceView struct {
	Name string `json:"source-name"`
}

type sourceView struct {
	ID string `json:"id"`
}

type manageableView struct {
	Reference referenceView `json:"reference"`
	Size      int64         `json:"size"`
	Safe      bool          `json:"safe_to_manage"`
	Source    any           `json:"source_reference,omitempty"` // of snapshots

	// What the detailed lists have besides.
	Why   any `json:"reason_not_safe,omitempty"`
	ID    any `json:"cinder_id,omitempty"`
	Extra any `json:"extra_info,omitempty"`
}

// listManageable lists what the host that the query names has in its store.
func (h handlers) listManageable(name string, detail bool) api.Handler {
	snapshots := name == "manageable-snapshots"
	return api.Get(func(c *api.Call) (map[string][]manageableView, error) {
		err := c.AuthorizeOwn()
		if err != nil {
			return nil, err
		}
		host := c.Query().Get("host")
		if host == "" {
			return nil, errs.BadRequestf("Either 'host' or 'cluster' must be provided to list what is manageable.")
		}
		list, err := h.service.Manageables(c.Context(), hostIn(host), snapshots)
		if err != nil {
			return nil, err
		}
		list, err = cut(c, list)
		if err != nil {
			return nil, err
		}
		views := []manageableView{}
		for _, m := range list {
			view := manageableView{Reference: referenceView{m.Name}, Size: m.SizeGB, Safe: m.Why == ""}
			if snapshots {
				view.Source = sourceView{m.Of}
			}
			if detail {
				view.Why, view.ID, view.Extra = orNull(m.Why), orNull(m.ID), null
			}
			views = append(views, view)
		}
		return map[string][]manageableView{name: views}, nil
	})
}

// cut sorts and cuts a list that is in no table: by size and reference.
func cut(c *api.Call, list []volume.Manageable) ([]volume.Manageable, error) {
	q := c.Query()
	sorts := q.Get("sort")
	if sorts == "" {
		sorts = "reference:asc"
	}
	for _, part := range slices.Backward(strings.Split(sorts, ",")) {
		key, direction, _ := strings.Cut(part, ":")
		compare, known := map[string]func(a, b volume.Manageable) int{
			"size":      func(a, b volume.Manageable) int { return cmp.Compare(a.SizeGB, b.SizeGB) },
			"reference": func(a, b volume.Manageable) int { return cmp.Compare(a.Name, b.Name) },
		}[key]
		if !known || direction != "" && direction != "asc" && direction != "desc" {
			return nil, errs.BadRequestf("Invalid input received: Invalid sort: %s. It is by size or reference.", part)
		}
		slices.SortStableFunc(list, func(a, b volume.Manageable) int {
			if direction == "asc" {
				return compare(a, b)
			}
			return compare(b, a)
		})
	}
	if marker := q.Get("marker"); marker != "" {
		at := slices.IndexFunc(list, func(m volume.Manageable) bool { return m.Name == marker || m.ID == marker })
		if at < 0 {
			return nil, errs.BadRequestf("marker not found: %s", marker)
		}
		list = list[at+1:]
	}
	for _, name := range []string{"offset", "limit"} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < 0 {
			return nil, errs.BadRequestf("Invalid input for query parameters %s. Value: %s. %s must be an integer that is not negative.", name, q.Get(name), name)
		}
		if name == "offset" {
			list = list[min(n, len(list)):]
		} else {
			list = list[:min(n, len(list))]
		}
	}
	return list, nil
}

// reference is what is referred to, as a name or an object with one.
type reference string

// UnmarshalJSON implements json.Unmarshaler.
func (r *reference) UnmarshalJSON(b []byte) error {
	var named struct {
		Name string `json:"source-name"`
		ID   string `json:"source-id"`
	}
	err := json.Unmarshal(b, (*string)(r))
	if err == nil {
		return nil
	}
	err = json.Unmarshal(b, &named)
	*r = reference(cmp.Or(named.Name, named.ID))
	return err
}

// JSONSchema implements api.Schemer.
func (reference) JSONSchema() map[string]any {
	name := map[string]any{"type": "string", "minLength": 1, "maxLength": 255}
	return map[string]any{"oneOf": []any{name, map[string]any{
		"type": "object", "properties": map[string]any{"source-name": name, "source-id": name}, "minProperties": 1, "additionalProperties": false,
	}}}
}

type manageVolumeRequest struct {
	Volume struct {
		Host        *string   `json:"host" check:"min=1,max=255"`
		Cluster     *string   `json:"cluster" check:"max=255" since:"3.16"`
		Reference   reference `json:"ref" check:"required"`
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Type        *string   `json:"volume_type" check:"max=255"`
		Zone        *string   `json:"availability_zone" check:"max=255"`
		Bootable    api.Bool  `json:"bootable"`
		Metadata    metadata  `json:"metadata"`
	} `json:"volume" check:"required"`
}

func (h handlers) manageVolume(c *api.Call, in manageVolumeRequest) (volumeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return volumeReply{}, err
	}
	if c.Caller.Project == "" {
		return volumeReply{}, errs.Forbiddenf("A volume needs a project: ask with a token that has one.")
	}
	v := in.Volume
	if first(v.Host) == "" {
		return volumeReply{}, errs.BadRequestf("Either 'host' or 'cluster' must be provided to manage a volume.")
	}
	made, err := h.service.ManageVolume(c.Context(), viewer(c), volume.NewManaged{
		Host: hostIn(first(v.Host)), Reference: string(v.Reference), Name: first(v.Name), Description: first(v.Description),
		Type: first(v.Type), Zone: first(v.Zone), Bootable: bool(v.Bootable), Metadata: v.Metadata,
	})
	if err != nil {
		return volumeReply{}, err
	}
	c.Log("volume_id", made.ID)
	view, err := h.view(c, made)
	return volumeReply{view}, err
}

type manageSnapshotRequest struct {
	Snapshot struct {
		Volume      string    `json:"volume_id" check:"required,pattern=uuid"`
		Reference   reference `json:"ref" check:"required"`
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Metadata    metadata  `json:"metadata"`
	} `json:"snapshot" check:"required"`
}

func (h handlers) manageSnapshot(c *api.Call, in manageSnapshotRequest) (snapshotReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return snapshotReply{}, err
	}
	s := in.Snapshot
	made, err := h.service.ManageSnapshot(c.Context(), viewer(c), volume.NewManaged{
		Volume: s.Volume, Reference: string(s.Reference), Name: first(s.Name), Description: first(s.Description), Metadata: s.Metadata,
	})
	c.Log("snapshot_id", made.ID)
	return snapshotReply{viewSnapshot(made)}, err
}

func (h handlers) unmanageVolume(c *api.Call) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.UnmanageVolume(c.Context(), viewer(c), v.ID)
}

func (h handlers) unmanageSnapshot(c *api.Call) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.UnmanageSnapshot(c.Context(), viewer(c), s.ID)
}

type migrateRequest struct {
	Migrate struct {
		Host    *string   `json:"host" check:"min=1,max=255"`
		Cluster *string   `json:"cluster" check:"max=255" since:"3.16"`
		Force   *api.Bool `json:"force_host_copy"`
		Lock    *api.Bool `json:"lock_volume"`
	} `json:"os-migrate_volume" check:"required"`
}

// migrate moves a volume. Bytes are always copied by the servers, and the volume is
// always locked meanwhile, whether or not that is asked for.
func (h handlers) migrate(c *api.Call, in migrateRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	host := first(in.Migrate.Host)
	if host == "" {
		return errs.BadRequestf("Either 'host' or 'cluster' must be provided to migrate a volume.")
	}
	return h.service.Migrate(c.Context(), viewer(c), v.ID, hostIn(host))
}

type completeMigrationRequest struct {
	Complete struct {
		Volume string    `json:"new_volume" check:"required,pattern=uuid"`
		Error  *api.Bool `json:"error"`
	} `json:"os-migrate_volume_completion" check:"required"`
}

// completeMigration refuses: a volume keeps its id when it moves, and needs nobody
// to swap two of them.
func (h handlers) completeMigration(c *api.Call, in completeMigrationRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	other, err := h.service.Volume(c.Context(), viewer(c), in.Complete.Volume)
	if err != nil {
		return err
	}
	return errs.BadRequestf("Invalid volume: Volume %s is not migrating to volume %s.", v.ID, other.ID)
}
