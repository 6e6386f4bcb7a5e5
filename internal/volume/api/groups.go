package api

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) groups() []api.Route {
	const one, action = "/groups/{group_id}", "/groups/{group_id}/action"
	since, replicated := api.V(3, 13), api.V(3, 38)
	return []api.Route{
		{Method: "GET", Path: "/groups", Rule: "group:get_all", Since: since, Do: api.Get(h.listGroups)},
		{Method: "POST", Path: "/groups", Rule: "group:create", Since: since, OK: 202, Do: api.Body(h.createGroup)},
		{Method: "GET", Path: one, Rule: "group:get", Since: since, Do: api.Get(h.showGroup)},
		{Method: "POST", Path: "/groups/action", Action: "create-from-src", Rule: "group:create", Since: api.V(3, 14), OK: 202, Do: api.Body(h.copyGroup)},
		{Method: "POST", Path: action, Action: "delete", Rule: "group:delete", Since: since, OK: 202, Do: api.BodyEmpty(h.deleteGroupBy)},
		{Method: "GET", Path: "/groups/detail", Rule: "group:get_all", Since: since, Do: api.Get(h.listGroupsDetail)},
		{Method: "PUT", Path: one, Rule: "group:update", Since: since, OK: 202, Do: api.BodyEmpty(h.updateGroup)},
		{Method: "DELETE", Path: one, Rule: "group:delete", Since: since, OK: 202, Do: api.Empty(h.deleteGroup)},
		{Method: "POST", Path: action, Action: "reset_status", Rule: "group:reset_status", Since: api.V(3, 20), OK: 202, Do: api.BodyEmpty(h.resetGroup)},
		{Method: "POST", Path: action, Action: "enable_replication", Rule: "group:enable_replication", Since: replicated, OK: 202, Do: api.Empty(h.replicate)},
		{Method: "POST", Path: action, Action: "disable_replication", Rule: "group:disable_replication", Since: replicated, OK: 202, Do: api.Empty(h.replicate)},
		{Method: "POST", Path: action, Action: "failover_replication", Rule: "group:failover_replication", Since: replicated, OK: 202, Do: api.Empty(h.replicate)},
		{Method: "POST", Path: action, Action: "list_replication_targets", Rule: "group:list_replication_targets", Since: replicated, OK: 202, Do: api.Empty(h.replicate)},
	}
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type groupView struct {
	named
	Status        string     `json:"status"`
	Zone          string     `json:"availability_zone"`
	CreatedAt     api.Micros `json:"created_at"`
	Description   *string    `json:"description"`
	Type          string     `json:"group_type"`
	VolumeTypes   []string   `json:"volume_types"`
	GroupSnapshot *string    `json:"group_snapshot_id" since:"3.14"`
	SourceGroup   *string    `json:"source_group_id" since:"3.14"`
	Volumes       any        `json:"volumes,omitempty" since:"3.25"` // when asked for
	Replication   string     `json:"replication_status" since:"3.38"`
	Project       any        `json:"project_id,omitempty" since:"3.58"`
}

type groupReply[V any] struct {
	Group V `json:"group"`
}

// viewGroup shows a group, with its volumes when the query asks for them.
func (h handlers) viewGroup(c *api.Call, g volume.Group) (groupView, error) {
	view := groupView{
		named: named{g.ID, g.Name}, Status: g.Status, Zone: g.Zone, CreatedAt: stamp(g.CreatedAt), Description: orNull(g.Description), Type: g.Type,
		VolumeTypes: g.VolumeTypes.V, GroupSnapshot: orNull(g.GroupSnapshot), SourceGroup: orNull(g.SourceGroup), Replication: "disabled",
	}
	if c.May("group:group_project_attribute", of(g.Project)) {
		view.Project = g.Project
	}
	listed, _ := boolean.Parse(c.Query().Get("list_volume"))
	if !listed || c.Version < api.V(3, 25) {
		return view, nil
	}
	volumes, err := h.service.Members(c.Context(), g.ID)
	view.Volumes = volumes
	return view, err
}

type createGroupRequest struct {
	Group struct {
		Name        *string  `json:"name" check:"max=255"`
		Description *string  `json:"description" check:"max=255"`
		Type        string   `json:"group_type" check:"required,min=1,max=255"`
		VolumeTypes []string `json:"volume_types" check:"required,min=1"`
		Zone        *string  `json:"availability_zone" check:"max=255"`
	} `json:"group" check:"required"`
}

func (h handlers) createGroup(c *api.Call, in createGroupRequest) (groupReply[named], error) {
	return h.makeGroup(c, volume.NewGroup{
		Name: first(in.Group.Name), Description: first(in.Group.Description), Type: in.Group.Type, VolumeTypes: in.Group.VolumeTypes,
		Zone: first(in.Group.Zone),
	})
}

type copyGroupRequest struct {
	Copy struct {
		Name        *string    `json:"name" check:"max=255"`
		Description *string    `json:"description" check:"max=255"`
		Snapshot    optionalID `json:"group_snapshot_id"`
		Group       optionalID `json:"source_group_id"`
	} `json:"create-from-src" check:"required"`
}

func (h handlers) copyGroup(c *api.Call, in copyGroupRequest) (groupReply[named], error) {
	if (in.Copy.Snapshot == "") == (in.Copy.Group == "") {
		err := c.AuthorizeOwn()
		if err == nil {
			err = errs.BadRequestf("Either 'group_snapshot_id' or 'source_group_id' must be provided to create a group from source, and not both.")
		}
		return groupReply[named]{}, err
	}
	return h.makeGroup(c, volume.NewGroup{
		Name: first(in.Copy.Name), Description: first(in.Copy.Description), GroupSnapshot: string(in.Copy.Snapshot), SourceGroup: string(in.Copy.Group),
	})
}

func (h handlers) makeGroup(c *api.Call, in volume.NewGroup) (groupReply[named], error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return groupReply[named]{}, err
	}
	if c.Caller.Project == "" {
		return groupReply[named]{}, errs.Forbiddenf("A group needs a project: ask with a token that has one.")
	}
	g, err := h.service.CreateGroup(c.Context(), viewer(c), in)
	c.Log("group_id", g.ID)
	return groupReply[named]{named{g.ID, g.Name}}, err
}

var groupList = api.List{
	Sorts: map[string]string{
		"id": "id", "name": "name", "status": "status", "group_type": "type", "created_at": "created_at", "updated_at": "updated_at",
	},
	Default: newestFirst,
	Filters: dated(map[string]db.Filter{
		"id": {Column: "id"}, "name": {Column: "name"}, "status": {Column: "status"}, "group_type": {Column: "type"},
		"source_group_id": {Column: "source_group"}, "group_snapshot_id": {Column: "group_snapshot"}, "availability_zone": {Column: "zone"},
	}),
}

func (h handlers) groupList() listing[volume.Group] {
	return listing[volume.Group]{
		List: groupList, name: "groups", links: "group_links", read: h.service.Groups, id: func(g volume.Group) string { return g.ID },
	}
}

func (h handlers) listGroups(c *api.Call) (listReply, error) {
	return h.groupList().answer(c, func(g volume.Group) any { return named{g.ID, g.Name} })
}

func (h handlers) listGroupsDetail(c *api.Call) (listReply, error) {
	return h.groupList().whole(c, func(rows []volume.Group) ([]any, error) {
		views := make([]any, len(rows))
		for i, g := range rows {
			view, err := h.viewGroup(c, g)
			if err != nil {
				return nil, err
			}
			views[i] = view
		}
		return views, nil
	})
}

func (h handlers) foundGroup(c *api.Call) (volume.Group, error) {
	g, err := h.service.Group(c.Context(), viewer(c), c.PathValue("group_id"))
	if err != nil {
		return volume.Group{}, err
	}
	c.Log("group_id", g.ID)
	return g, c.Authorize(of(g.Project))
}

func (h handlers) showGroup(c *api.Call) (groupReply[groupView], error) {
	g, err := h.foundGroup(c)
	if err != nil {
		return groupReply[groupView]{}, err
	}
	view, err := h.viewGroup(c, g)
	return groupReply[groupView]{view}, err
}

type updateGroupRequest struct {
	Group struct {
		Name        api.Opt[string] `json:"name" check:"max=255"`
		Description api.Opt[string] `json:"description" check:"max=255"`
		Add         *string         `json:"add_volumes"`
		Remove      *string         `json:"remove_volumes"`
	} `json:"group" check:"required"`
}

func (h handlers) updateGroup(c *api.Call, in updateGroupRequest) error {
	g, err := h.foundGroup(c)
	if err != nil {
		return err
	}
	change := volume.GroupChange{
		Name: given(in.Group.Name), Description: given(in.Group.Description), Add: idsIn(in.Group.Add), Remove: idsIn(in.Group.Remove),
	}
	if change.Name == nil && change.Description == nil && len(change.Add) == 0 && len(change.Remove) == 0 {
		return errs.BadRequestf("Invalid input for field/attribute group. Value: {}. One of name, description, add_volumes or remove_volumes must be given.")
	}
	for _, id := range change.Add {
		if slices.Contains(change.Remove, id) {
			return errs.BadRequestf("Invalid volume: Volume %s is in both add and remove volumes list.", id)
		}
	}
	_, err = h.service.UpdateGroup(c.Context(), viewer(c), g.ID, change)
	return err
}

// idsIn splits a list of ids.
func idsIn(text *string) (list []string) {
	for _, id := range strings.Split(first(text), ",") {
		id = strings.TrimSpace(id)
		if id != "" && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

func (h handlers) deleteGroupBy(c *api.Call, in struct {
	Delete struct {
		Volumes api.Bool `json:"delete-volumes"`
	} `json:"delete" check:"required"`
}) error {
	g, err := h.foundGroup(c)
	if err != nil {
		return err
	}
	return h.service.DeleteGroup(c.Context(), viewer(c), g.ID, bool(in.Delete.Volumes))
}

func (h handlers) deleteGroup(c *api.Call) error {
	g, err := h.foundGroup(c)
	if err != nil {
		return err
	}
	return h.service.DeleteGroup(c.Context(), viewer(c), g.ID, false)
}

type resetStatusRequest struct {
	Reset struct {
		Status string `json:"status" check:"required,enum=error|available|creating|deleting|deleted|updating|error_deleting"`
	} `json:"reset_status" check:"required"`
}

func (h handlers) resetGroup(c *api.Call, in resetStatusRequest) error {
	g, err := h.foundGroup(c)
	if err != nil {
		return err
	}
	return h.service.ResetGroupStatus(c.Context(), viewer(c), g.ID, in.Reset.Status)
}

// replicate answers what is asked about replication.
func (h handlers) replicate(c *api.Call) error {
	g, err := h.foundGroup(c)
	if err != nil {
		return err
	}
	return h.service.Replicate(c.Context(), viewer(c), g.ID)
}
