package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/volume"
)

func (h handlers) groupSnapshots() []api.Route {
	const one, action = "/group_snapshots/{group_snapshot_id}", "/group_snapshots/{group_snapshot_id}/action"
	since := api.V(3, 14)
	return []api.Route{
		{Method: "DELETE", Path: one, Rule: "group:delete_group_snapshot", Since: since, OK: 202, Do: api.Empty(h.deleteGroupSnapshot)},
		{Method: "GET", Path: one, Rule: "group:get_group_snapshot", Since: since, Do: api.Get(h.showGroupSnapshot)},
		{Method: "GET", Path: "/group_snapshots/detail", Rule: "group:get_all_group_snapshots", Since: since, Do: api.Get(h.listGroupSnapshotsDetail)},
		{Method: "GET", Path: "/group_snapshots", Rule: "group:get_all_group_snapshots", Since: since, Do: api.Get(h.listGroupSnapshots)},
		{Method: "POST", Path: "/group_snapshots", Rule: "group:create_group_snapshot", Since: since, OK: 202, Do: api.Body(h.createGroupSnapshot)},
		{Method: "POST", Path: action, Action: "reset_status", Rule: "group:reset_group_snapshot_status", Since: api.V(3, 19), OK: 202, Do: api.BodyEmpty(h.resetGroupSnapshot)},
	}
}

type groupSnapshotView struct {
	named
	Group       string     `json:"group_id"`
	Type        string     `json:"group_type_id"`
	Status      string     `json:"status"`
	CreatedAt   api.Micros `json:"created_at"`
	Description *string    `json:"description"`
	Project     any        `json:"project_id,omitempty" since:"3.58"`
}

type groupSnapshotReply[V any] struct {
	Snapshot V `json:"group_snapshot"`
}

func viewGroupSnapshot(c *api.Call, g volume.GroupSnapshot) groupSnapshotView {
	view := groupSnapshotView{
		named: named{g.ID, g.Name}, Group: g.Group, Type: g.Type, Status: g.Status, CreatedAt: stamp(g.CreatedAt), Description: orNull(g.Description),
	}
	if c.May("group:group_snapshot_project_attribute", of(g.Project)) {
		view.Project = g.Project
	}
	return view
}

type madeGroupSnapshot struct {
	named
	Type string `json:"group_type_id"`
}

type createGroupSnapshotRequest struct {
	Snapshot struct {
		Group       string  `json:"group_id" check:"required,pattern=uuid"`
		Name        *string `json:"name" check:"max=255"`
		Description *string `json:"description" check:"max=255"`
	} `json:"group_snapshot" check:"required"`
}

func (h handlers) createGroupSnapshot(c *api.Call, in createGroupSnapshotRequest) (groupSnapshotReply[madeGroupSnapshot], error) {
	reply := groupSnapshotReply[madeGroupSnapshot]{}
	g, err := h.service.Group(c.Context(), viewer(c), in.Snapshot.Group)
	if err != nil {
		return reply, err
	}
	err = c.Authorize(of(g.Project))
	if err != nil {
		return reply, err
	}
	made, err := h.service.CreateGroupSnapshot(c.Context(), viewer(c), g.ID, first(in.Snapshot.Name), first(in.Snapshot.Description))
	c.Log("group_snapshot_id", made.ID)
	reply.Snapshot = madeGroupSnapshot{named{made.ID, made.Name}, made.Type}
	return reply, err
}

var groupSnapshotList = api.List{
	Sorts: map[string]string{
		"id": "id", "name": "name", "status": "status", "group_id": "volume_group", "created_at": "created_at", "updated_at": "updated_at",
	},
	Default: newestFirst,
	Filters: dated(map[string]db.Filter{
		"id": {Column: "id"}, "name": {Column: "name"}, "status": {Column: "status"}, "group_id": {Column: "volume_group"},
	}),
}

func (h handlers) groupSnapshotList() listing[volume.GroupSnapshot] {
	return listing[volume.GroupSnapshot]{
		List: groupSnapshotList, name: "group_snapshots", links: "group_snapshot_links", read: h.service.GroupSnapshots,
		id: func(g volume.GroupSnapshot) string { return g.ID },
	}
}

func (h handlers) listGroupSnapshots(c *api.Call) (listReply, error) {
	return h.groupSnapshotList().answer(c, func(g volume.GroupSnapshot) any { return named{g.ID, g.Name} })
}

func (h handlers) listGroupSnapshotsDetail(c *api.Call) (listReply, error) {
	return h.groupSnapshotList().answer(c, func(g volume.GroupSnapshot) any { return viewGroupSnapshot(c, g) })
}

func (h handlers) foundGroupSnapshot(c *api.Call) (volume.GroupSnapshot, error) {
	g, err := h.service.GroupSnapshot(c.Context(), viewer(c), c.PathValue("group_snapshot_id"))
	if err != nil {
		return volume.GroupSnapshot{}, err
	}
	c.Log("group_snapshot_id", g.ID)
	return g, c.Authorize(of(g.Project))
}

func (h handlers) showGroupSnapshot(c *api.Call) (groupSnapshotReply[groupSnapshotView], error) {
	g, err := h.foundGroupSnapshot(c)
	return groupSnapshotReply[groupSnapshotView]{viewGroupSnapshot(c, g)}, err
}

func (h handlers) deleteGroupSnapshot(c *api.Call) error {
	g, err := h.foundGroupSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.DeleteGroupSnapshot(c.Context(), viewer(c), g.ID)
}

func (h handlers) resetGroupSnapshot(c *api.Call, in resetStatusRequest) error {
	g, err := h.foundGroupSnapshot(c)
	if err != nil {
		return err
	}
	return h.service.ResetGroupSnapshotStatus(c.Context(), viewer(c), g.ID, in.Reset.Status)
}
