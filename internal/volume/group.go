package volume

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// Group is volumes that are snapshotted and copied together. They are on one
// host.
type Group struct {
	bun.BaseModel `bun:"table:volume_groups,alias:volume_groups"`

	ID            string `bun:",pk"`
	Project       string
	User          string `bun:"user_id"`
	Name          string
	Description   string
	Status        string
	Type          string // id of the group type
	VolumeTypes   db.JSON[[]string]
	Zone          string
	Host          string
	GroupSnapshot string // what it was made from; at most one of the two
	SourceGroup   string
	Generation    int64
	CreatedAt     db.Time
	UpdatedAt     db.Time
}

var allGroups = kind[Group]{table: "volume_groups", noun: "Group", owner: func(g Group) string { return g.Project }}

// Groups lists groups.
func (s *Service) Groups(ctx context.Context, q Query, page db.Page) ([]Group, bool, error) {
	return allGroups.list(ctx, s, q, page)
}

// Group returns a group that the viewer may see.
func (s *Service) Group(ctx context.Context, who Viewer, id string) (Group, error) {
	return allGroups.show(ctx, s, who, id)
}

// Members are the ids of a group's volumes.
func (s *Service) Members(ctx context.Context, group string) (ids []string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &ids, "SELECT id FROM volumes WHERE volume_group = ? ORDER BY created_at, id", group)
	})
	return ids, unexpected("list volumes of group "+group, err)
}

func members(ctx context.Context, tx *db.Tx, group string) (list []Volume, err error) {
	err = tx.All(ctx, &list, "SELECT * FROM volumes WHERE volume_group = ? ORDER BY created_at, id"+tx.Hold(), group)
	return list, unexpected("read volumes of group "+group, err)
}

// NewGroup is what is asked for: either types, or what to copy.
type NewGroup struct {
	Name        string
	Description string
	Type        string   // group type, by name or id
	VolumeTypes []string // by name or id
	Zone        string

	GroupSnapshot string
	SourceGroup   string
}

// CreateGroup accepts a group and, if it is made from another, its volumes.
func (s *Service) CreateGroup(ctx context.Context, who Viewer, in NewGroup) (Group, error) {
	if in.Zone != "" && in.Zone != s.zone {
		return Group{}, errs.BadRequestf("Availability zone '%s' is invalid.", in.Zone)
	}
	g := Group{
		ID: s.newID(), Project: who.Project, User: who.User, Name: in.Name, Description: in.Description, Status: Creating, Zone: s.zone,
		GroupSnapshot: in.GroupSnapshot, SourceGroup: in.SourceGroup,
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row := g // the function may run twice
		sources, err := s.groupSources(ctx, tx, who, in, &row)
		if err != nil {
			return err
		}
		err = reserve(ctx, tx, who.Project, []quota.Item{{Resource: quota.Group, N: 1}})
		if err != nil {
			return err
		}
		row.CreatedAt = db.At(tx.Now())
		err = tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
		err = emitGroup(ctx, tx, "create.start", row)
		if err != nil {
			return err
		}
		for _, v := range sources {
			err = s.begin(ctx, tx, who, "", volumeState{}, &v)
			if err != nil {
				return err
			}
		}
		g = row
		_, err = work.Start(ctx, tx, s.groupPlan(), g.ID, groupState{Group: g.ID}, who.options(g.Project)...)
		return err
	})
	return g, unexpected("create group "+in.Name, err)
}

// groupSources fills in what a new group is, and returns the volumes to copy into it.
func (s *Service) groupSources(ctx context.Context, tx *db.Tx, who Viewer, in NewGroup, g *Group) (list []Volume, err error) {
	source := in.SourceGroup
	var snapshots []Snapshot
	if in.GroupSnapshot != "" {
		from, err := allGroupSnapshots.find(ctx, tx, who, in.GroupSnapshot)
		if err != nil {
			return nil, err
		}
		source = from.Group
		snapshots, err = snapshotsOfGroup(ctx, tx, from.ID)
		if err != nil {
			return nil, err
		}
		if len(snapshots) == 0 {
			return nil, errs.BadRequestf("Invalid group: Group snapshot is empty. No group will be created.")
		}
	}
	if source == "" {
		return nil, s.groupTypes(ctx, tx, who, in, g)
	}
	from, err := allGroups.find(ctx, tx, who, source)
	if err != nil {
		return nil, err
	}
	g.Type, g.VolumeTypes, g.Host = from.Type, from.VolumeTypes, from.Host
	copied := Volume{
		Project: who.Project, User: who.User, Status: Creating, Zone: s.zone, Group: g.ID,
		Metadata: db.Of(map[string]string{}), ImageMetadata: db.Of(map[string]string{}),
	}
	for _, snapshot := range snapshots {
		copied.ID, copied.Name, copied.Snapshot = s.newID(), g.Name, snapshot.ID
		list = append(list, copied)
	}
	if in.GroupSnapshot != "" {
		return list, nil
	}
	volumes, err := members(ctx, tx, source)
	for _, v := range volumes {
		copied.ID, copied.Name, copied.Source = s.newID(), g.Name, v.ID
		list = append(list, copied)
	}
	if err == nil && len(list) == 0 {
		err = errs.BadRequestf("Invalid group: Source Group is empty. No group will be created.")
	}
	return list, err
}

// groupTypes finds the types that a new group is asked for.
func (s *Service) groupTypes(ctx context.Context, tx *db.Tx, who Viewer, in NewGroup, g *Group) error {
	t, err := groupTypeByName(ctx, tx, who, in.Type)
	if err != nil {
		return err
	}
	g.Type = t.ID
	g.VolumeTypes = db.Of([]string{})
	for _, name := range in.VolumeTypes {
		kind, err := typeByName(ctx, tx, who, name)
		if err != nil {
			return err
		}
		if !slices.Contains(g.VolumeTypes.V, kind.ID) {
			g.VolumeTypes.V = append(g.VolumeTypes.V, kind.ID)
		}
	}
	return nil
}

// intoGroup checks that a new volume of the type may be in the group.
func (s *Service) intoGroup(ctx context.Context, tx *db.Tx, who Viewer, kind, group string) error {
	if group == "" {
		return nil
	}
	g, err := allGroups.find(ctx, tx, who, group)
	if err != nil {
		return err
	}
	if kind == "" {
		return errs.BadRequestf("Invalid input received: volume_type must be provided when creating a volume in a group.")
	}
	t, err := typeByName(ctx, tx, who, kind)
	if err != nil {
		return err
	}
	if !slices.Contains(g.VolumeTypes.V, t.ID) {
		return errs.BadRequestf("Invalid input received: Invalid volume_type %s provided for creating a volume in group %s: the group does not have that type.", t.Name, g.ID)
	}
	if g.Status != Available {
		return errs.BadRequestf("Invalid group: Group %s status must be available to add a volume, but current status is: %s.", g.ID, g.Status)
	}
	return nil
}

// GroupChange is what an update changes.
type GroupChange struct {
	Name        *string
	Description *string
	Add, Remove []string // volumes
}

// UpdateGroup changes a group's name, description and volumes.
func (s *Service) UpdateGroup(ctx context.Context, who Viewer, id string, in GroupChange) (Group, error) {
	return allGroups.edit(ctx, s, who, id, "update", func(tx *db.Tx, g *Group) error {
		if g.Status != Available {
			return errs.BadRequestf("Invalid group: Group %s status must be available to update, but current status is: %s.", id, g.Status)
		}
		err := emitGroup(ctx, tx, "update.start", *g)
		if err != nil {
			return err
		}
		if in.Name != nil {
			g.Name = *in.Name
		}
		if in.Description != nil {
			g.Description = *in.Description
		}
		for _, volume := range in.Remove {
			err = s.leave(ctx, tx, *g, volume)
			if err != nil {
				return err
			}
		}
		for _, volume := range in.Add {
			err = s.join(ctx, tx, who, *g, volume)
			if err != nil {
				return err
			}
		}
		err = updateRow(ctx, tx, g, g.ID, g.Generation, "name", "description")
		if err != nil {
			return err
		}
		return emitGroup(ctx, tx, "update.end", *g)
	})
}

func (s *Service) leave(ctx context.Context, tx *db.Tx, g Group, volume string) error {
	v, err := getVolume(ctx, tx, volume)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err != nil || v.Group != g.ID {
		return errs.BadRequestf("Invalid volume: Cannot remove volume %s from group %s because it is not in the group.", volume, g.ID)
	}
	if v.Status != Available && v.Status != InUse && v.Status != Failed && v.Status != ErrorDeleting {
		return errs.BadRequestf("Invalid volume: Cannot remove volume %s from group %s because volume is in an invalid state: %s.", volume, g.ID, v.Status)
	}
	return s.setGroup(ctx, tx, v, "")
}

func (s *Service) join(ctx context.Context, tx *db.Tx, who Viewer, g Group, volume string) error {
	v, err := findVolume(ctx, tx, who, volume)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	why := ""
	switch {
	case err != nil:
		why = "because volume cannot be found"
	case v.Group == g.ID:
		return nil
	case v.Group != "":
		why = "because it is already in group " + v.Group
	case v.Project != g.Project:
		why = "because it is another project's"
	case !slices.Contains(g.VolumeTypes.V, v.Type):
		why = "because volume type " + v.Type + " is not supported by the group"
	case v.Status != Available && v.Status != InUse:
		why = "because volume is in an invalid state: " + v.Status
	case v.Host != g.Host:
		why = "because it is on another host"
	}
	if why != "" {
		return errs.BadRequestf("Invalid volume: Cannot add volume %s to group %s %s.", volume, g.ID, why)
	}
	return s.setGroup(ctx, tx, v, g.ID)
}

func (s *Service) setGroup(ctx context.Context, tx *db.Tx, v Volume, group string) error {
	generation := v.Generation
	v.Group = group
	return updateRow(ctx, tx, &v, v.ID, generation, "volume_group")
}

// ResetGroupStatus writes a status by order of an admin.
func (s *Service) ResetGroupStatus(ctx context.Context, who Viewer, id, status string) error {
	_, err := allGroups.edit(ctx, s, who, id, "reset", func(tx *db.Tx, g *Group) error {
		g.Status = status
		return updateRow(ctx, tx, g, g.ID, g.Generation, "status")
	})
	return err
}

// DeleteGroup begins to delete a group, with its volumes or when it has none.
func (s *Service) DeleteGroup(ctx context.Context, who Viewer, id string, volumes bool) error {
	_, err := allGroups.edit(ctx, s, who, id, "delete", func(tx *db.Tx, g *Group) error {
		if g.Status == Deleting {
			return nil
		}
		if g.Status != Available && g.Status != Failed && g.Status != ErrorDeleting {
			return errs.BadRequestf("Invalid group: Group status must be available or error, but current status is: %s", g.Status)
		}
		list, err := members(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(list) > 0 && !volumes {
			return errs.BadRequestf("Invalid group: Group %s still contains volumes. The delete-volumes flag is required to delete it.", id)
		}
		var held int
		err = tx.Get(ctx, &held, `
			SELECT (SELECT COUNT(*) FROM group_snapshots WHERE volume_group = ?) +
				(SELECT COUNT(*) FROM volume_groups WHERE source_group = ? AND status = ?)`, id, id, Creating)
		if err != nil {
			return err
		}
		if held > 0 {
			return errs.BadRequestf("Invalid group: Cannot delete group %s: it has group snapshots or is being copied.", id)
		}
		for _, v := range list {
			if v.Status == Deleting {
				continue
			}
			err = s.deletable(ctx, tx, v, false, false)
			if err != nil {
				return err
			}
		}
		g.Status = Deleting
		err = updateRow(ctx, tx, g, g.ID, g.Generation, "status")
		if err != nil {
			return err
		}
		err = emitGroup(ctx, tx, "delete.start", *g)
		if err != nil {
			return err
		}
		err = work.Cancel(ctx, tx, g.ID)
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.deleteGroupPlan(), g.ID, groupState{Group: g.ID}, who.options(g.Project)...)
		return err
	})
	return err
}

// Replicate refuses: no host here replicates what is on it.
func (s *Service) Replicate(ctx context.Context, who Viewer, id string) error {
	g, err := s.Group(ctx, who, id)
	if err != nil {
		return err
	}
	return errs.BadRequestf("Invalid group type: Group %s of type %s is not one that can be replicated.", g.ID, g.Type)
}

func emitGroup(ctx context.Context, tx *db.Tx, event string, g Group) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "group." + event, Resource: g.ID, Payload: map[string]any{
		"tenant_id": g.Project, "user_id": g.User, "availability_zone": g.Zone, "group_id": g.ID, "name": g.Name, "group_type": g.Type,
		"created_at": g.CreatedAt.Time().Format(wireTime), "status": g.Status,
	}})
}
