package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) snapshots() []api.Route {
	const one, meta = "/snapshots/{snapshot_id}", "/snapshots/{snapshot_id}/metadata"
	const admin = "volume_extension:snapshot_admin_actions:"
	return []api.Route{
		{Method: "POST", Path: one + "/action", Action: "os-reset_status", Rule: admin + "reset_status", OK: 202, Do: api.BodyEmpty(h.resetSnapshot)},
		{Method: "POST", Path: one + "/action", Action: "os-update_snapshot_status", Rule: "snapshot_extension:snapshot_actions:update_snapshot_status", OK: 202, Do: api.BodyEmpty(h.tellSnapshot)},
		{Method: "POST", Path: one + "/action", Action: "os-force_delete", Rule: admin + "force_delete", OK: 202, Do: api.Empty(h.forceDeleteSnapshot)},
		{Method: "GET", Path: "/snapshots/detail", Rule: "volume:get_all_snapshots", Do: api.Get(h.listSnapshotsDetail)},
		{Method: "POST", Path: "/snapshots", Rule: "volume:create_snapshot", OK: 202, Do: api.Body(h.createSnapshot)},
		{Method: "GET", Path: "/snapshots", Rule: "volume:get_all_snapshots", Do: api.Get(h.listSnapshots)},
		{Method: "GET", Path: meta, Rule: "volume:get_snapshot_metadata", Do: api.Get(h.showSnapshotMetadata)},
		{Method: "POST", Path: meta, Rule: "volume:update_snapshot_metadata", Do: api.Body(h.addSnapshotMetadata)},
		{Method: "PUT", Path: meta, Rule: "volume:update_snapshot_metadata", Do: api.Body(h.replaceSnapshotMetadata)},
		{Method: "GET", Path: one, Rule: "volume:get_snapshot", Do: api.Get(h.showSnapshot)},
		{Method: "PUT", Path: one, Rule: "volume:update_snapshot", Do: api.Body(h.updateSnapshot)},
		{Method: "DELETE", Path: one, Rule: "volume:delete_snapshot", OK: 202, Do: api.Empty(h.deleteSnapshot)},
		{Method: "GET", Path: meta + "/{key}", Rule: "volume:get_snapshot_metadata", Do: api.Get(h.showSnapshotItem)},
		{Method: "GET", Path: "/snapshot/{snapshot_id}/metadata/{key}", Rule: "volume:get_snapshot_metadata", Do: api.Get(h.showSnapshotItem)}, // as the API reference spells it
		{Method: "DELETE", Path: meta + "/{key}", Rule: "volume:delete_snapshot_metadata", Do: api.Empty(h.deleteSnapshotItem)},
		{Method: "PUT", Path: meta + "/{key}", Rule: "volume:update_snapshot_metadata", Do: api.Body(h.setSnapshotItem)},
	}
}

type snapshotView struct {
	ID            string            `json:"id"`
	CreatedAt     api.Micros        `json:"created_at"`
	UpdatedAt     api.Micros        `json:"updated_at"`
	Name          *string           `json:"name"`
	Description   *string           `json:"description"`
	VolumeID      string            `json:"volume_id"`
	Status        string            `json:"status"`
	Size          int64             `json:"size"`
	Metadata      map[string]string `json:"metadata"`
	GroupSnapshot *string           `json:"group_snapshot_id" since:"3.14"`
	UserID        string            `json:"user_id" since:"3.41"`
	ConsumesQuota bool              `json:"consumes_quota" since:"3.65"`

	// What shows and detailed lists have besides.
	Project  any `json:"os-extended-snapshot-attributes:project_id,omitempty"`
	Progress any `json:"os-extended-snapshot-attributes:progress,omitempty"`
}

type snapshotReply struct {
	Snapshot snapshotView `json:"snapshot"`
}

func viewSnapshot(s volume.Snapshot) snapshotView {
	return snapshotView{
		ID: s.ID, CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt), Name: orNull(s.Name), Description: orNull(s.Description),
		VolumeID: s.Volume, Status: s.Status, Size: s.SizeGB, Metadata: s.Metadata.V, UserID: s.User, ConsumesQuota: true,
		GroupSnapshot: orNull(s.Group),
	}
}

func extendSnapshot(c *api.Call, view *snapshotView, s volume.Snapshot) {
	if !c.May("volume_extension:extended_snapshot_attributes", of(s.Project)) {
		return
	}
	view.Project, view.Progress = s.Project, "0%"
	switch {
	case s.Progress != "":
		view.Progress = s.Progress
	case s.Status != volume.Creating && s.Status != volume.Failed:
		view.Progress = "100%"
	}
}

type createSnapshotRequest struct {
	Snapshot struct {
		_                  struct{}  `check:"open" until:"3.52"`
		Volume             *string   `json:"volume_id" check:"required,min=1,max=255"`
		Name               *string   `json:"name" check:"max=255"`
		DisplayName        *string   `json:"display_name" check:"max=255"`
		Description        *string   `json:"description" check:"max=255"`
		DisplayDescription *string   `json:"display_description" check:"max=255"`
		Force              *api.Bool `json:"force"`
		Metadata           metadata  `json:"metadata"`
	} `json:"snapshot" check:"required"`
}

func (h handlers) createSnapshot(c *api.Call, in createSnapshotRequest) (snapshotReply, error) {
	id := "None" // a null is an id that does not exist
	if in.Snapshot.Volume != nil {
		id = *in.Snapshot.Volume
	}
	v, err := h.service.Volume(c.Context(), viewer(c), id)
	if err != nil {
		return snapshotReply{}, err
	}
	err = c.Authorize(of(v.Project))
	if err != nil {
		return snapshotReply{}, err
	}
	if c.Version >= api.V(3, 66) && in.Snapshot.Force != nil && !bool(*in.Snapshot.Force) {
		return snapshotReply{}, errs.BadRequestf("Invalid input received: force=False is not accepted since microversion 3.66.")
	}
	name, description := first(in.Snapshot.Name, in.Snapshot.DisplayName), first(in.Snapshot.Description, in.Snapshot.DisplayDescription)
	created, err := h.service.CreateSnapshot(c.Context(), viewer(c), v.ID, name, description, in.Snapshot.Metadata,
		c.Version >= api.V(3, 66) || isTrue(in.Snapshot.Force))
	if err != nil {
		return snapshotReply{}, err
	}
	c.Log("snapshot_id", created.ID)
	return snapshotReply{viewSnapshot(created)}, nil
}

var snapshotList = api.List{
	Sorts: map[string]string{
		"id": "id", "name": "name", "display_name": "name", "status": "status", "volume_size": "size", "size": "size",
		"volume_id": "volume", "created_at": "created_at", "updated_at": "updated_at",
	},
	Default: newestFirst,
	Filters: dated(map[string]db.Filter{
		"id": {Column: "id"}, "name": {Column: "name"}, "display_name": {Column: "name"}, "status": {Column: "status"},
		"volume_id": {Column: "volume"}, "user_id": {Column: "user_id"}, "group_snapshot_id": {Column: "group_snapshot"},
	}),
}

func (h handlers) snapshotRows() listing[volume.Snapshot] {
	return listing[volume.Snapshot]{
		List: snapshotList, name: "snapshots", links: "snapshots_links", read: h.service.Snapshots, count: h.service.CountSnapshots,
		id: func(s volume.Snapshot) string { return s.ID },
		extra: func(c *api.Call, q *volume.Query) {
			if c.Version >= api.V(3, 22) {
				q.Metadata = pairs(c.Query().Get("metadata"))
			}
		},
	}
}

func (h handlers) listSnapshots(c *api.Call) (listReply, error) {
	return h.snapshotRows().answer(c, func(s volume.Snapshot) any { return viewSnapshot(s) })
}

func (h handlers) listSnapshotsDetail(c *api.Call) (listReply, error) {
	return h.snapshotRows().answer(c, func(s volume.Snapshot) any {
		view := viewSnapshot(s)
		extendSnapshot(c, &view, s)
		return view
	})
}

func (h handlers) foundSnapshot(c *api.Call) (volume.Snapshot, error) {
	s, err := h.service.Snapshot(c.Context(), viewer(c), c.PathValue("snapshot_id"))
	if err != nil {
		return volume.Snapshot{}, err
	}
	c.Log("snapshot_id", s.ID)
	return s, c.Authorize(of(s.Project))
}

func (h handlers) showSnapshot(c *api.Call) (snapshotReply, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return snapshotReply{}, err
	}
	view := viewSnapshot(s)
	extendSnapshot(c, &view, s)
	return snapshotReply{view}, nil
}

type updateSnapshotRequest struct {
	Snapshot struct {
		Name               api.Opt[string] `json:"name" check:"max=255"`
		DisplayName        api.Opt[string] `json:"display_name" check:"max=255"`
		Description        api.Opt[string] `json:"description" check:"max=255"`
		DisplayDescription api.Opt[string] `json:"display_description" check:"max=255"`
	} `json:"snapshot" check:"required"`
}

func (h handlers) updateSnapshot(c *api.Call, in updateSnapshotRequest) (snapshotReply, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return snapshotReply{}, err
	}
	name, description := given(in.Snapshot.Name, in.Snapshot.DisplayName), given(in.Snapshot.Description, in.Snapshot.DisplayDescription)
	if name == nil && description == nil {
		return snapshotReply{}, errs.BadRequestf("Invalid input for field/attribute snapshot. Value: {}. One of name or description must be given.")
	}
	s, err = h.service.UpdateSnapshot(c.Context(), viewer(c), s.ID, name, description)
	return snapshotReply{viewSnapshot(s)}, err
}

func (h handlers) deleteSnapshot(c *api.Call) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.DeleteSnapshot(c.Context(), viewer(c), s.ID, false)
}

func (h handlers) forceDeleteSnapshot(c *api.Call) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.DeleteSnapshot(c.Context(), viewer(c), s.ID, true)
}

type resetSnapshotRequest struct {
	Reset struct {
		Status string `json:"status" check:"required,enum=creating|available|deleting|error|error_deleting"`
	} `json:"os-reset_status" check:"required"`
}

func (h handlers) resetSnapshot(c *api.Call, in resetSnapshotRequest) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.ResetSnapshotStatus(c.Context(), viewer(c), s.ID, in.Reset.Status)
}

type tellSnapshotRequest struct {
	Update struct {
		Status   string  `json:"status" check:"required,min=1,max=255"`
		Progress *string `json:"progress" check:"pattern=percent"`
	} `json:"os-update_snapshot_status" check:"required"`
}

func (h handlers) tellSnapshot(c *api.Call, in tellSnapshotRequest) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.TellSnapshot(c.Context(), viewer(c), s.ID, in.Update.Status, first(in.Update.Progress))
}

func (h handlers) showSnapshotMetadata(c *api.Call) (metadataBody, error) {
	s, err := h.foundSnapshot(c)
	return metadataBody{s.Metadata.V}, err
}

func (h handlers) addSnapshotMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return metadataBody{}, err
	}
	all, err := h.service.ChangeSnapshotMetadata(c.Context(), viewer(c), s.ID, addTo(in.Metadata))
	return metadataBody{all}, err
}

func (h handlers) replaceSnapshotMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return metadataBody{}, err
	}
	all, err := h.service.ChangeSnapshotMetadata(c.Context(), viewer(c), s.ID, replaceBy(in.Metadata))
	return metadataBody{all}, err
}

func (h handlers) showSnapshotItem(c *api.Call) (metaBody, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return metaBody{}, err
	}
	key := c.PathValue("key")
	value, known := s.Metadata.V[key]
	if !known {
		return metaBody{}, errs.NotFoundf("Metadata item was not found")
	}
	return metaBody{metadata{key: value}}, nil
}

func (h handlers) setSnapshotItem(c *api.Call, in metaBody) (metaBody, error) {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return metaBody{}, err
	}
	err = item(c, in)
	if err != nil {
		return metaBody{}, err
	}
	_, err = h.service.ChangeSnapshotMetadata(c.Context(), viewer(c), s.ID, addTo(in.Meta))
	return in, err
}

func (h handlers) deleteSnapshotItem(c *api.Call) error {
	s, err := h.foundSnapshot(c)
	if err != nil {
		return err
	}
	_, err = h.service.ChangeSnapshotMetadata(c.Context(), viewer(c), s.ID, withoutKey(c.PathValue("key")))
	return err
}
