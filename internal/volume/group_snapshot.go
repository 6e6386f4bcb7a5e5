package volume

import (
	"context"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// GroupSnapshot is snapshots of all volumes of a group as they were at one
// moment: none of them can be written to before its own copy is made.
type GroupSnapshot struct {
	bun.BaseModel `bun:"table:group_snapshots,alias:group_snapshots"`

	ID          string `bun:",pk"`
	Group       string `bun:"volume_group"`
	Project     string
	User        string `bun:"user_id"`
	Name        string
	Description string
	Status      string
	Type        string // id of the group type
	Generation  int64
	CreatedAt   db.Time
	UpdatedAt   db.Time
}

var allGroupSnapshots = kind[GroupSnapshot]{
	table: "group_snapshots", noun: "GroupSnapshot", owner: func(g GroupSnapshot) string { return g.Project },
}

// GroupSnapshots lists group snapshots.
func (s *Service) GroupSnapshots(ctx context.Context, q Query, page db.Page) ([]GroupSnapshot, bool, error) {
	return allGroupSnapshots.list(ctx, s, q, page)
}

// GroupSnapshot returns a group snapshot that the viewer may see.
func (s *Service) GroupSnapshot(ctx context.Context, who Viewer, id string) (GroupSnapshot, error) {
	return allGroupSnapshots.show(ctx, s, who, id)
}

func snapshotsOfGroup(ctx context.Context, tx *db.Tx, id string) (list []Snapshot, err error) {
	err = tx.All(ctx, &list, "SELECT * FROM snapshots WHERE group_snapshot = ? ORDER BY created_at, id"+tx.Hold(), id)
	return list, unexpected("read snapshots of group snapshot "+id, err)
}

// CreateGroupSnapshot begins to copy all volumes of a group.
func (s *Service) CreateGroupSnapshot(ctx context.Context, who Viewer, group, name, description string) (GroupSnapshot, error) {
	made := GroupSnapshot{ID: s.newID(), Group: group, User: who.User, Name: name, Description: description, Status: Creating}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		g, err := allGroups.find(ctx, tx, who, group)
		if err != nil {
			return err
		}
		if g.Status != Available {
			return errs.BadRequestf("Invalid group: Group %s status must be available to snapshot, but current status is: %s.", g.ID, g.Status)
		}
		volumes, err := members(ctx, tx, group)
		if err != nil {
			return err
		}
		if len(volumes) == 0 {
			return errs.BadRequestf("Invalid group: Source group %s is empty. Group snapshot %s cannot be created.", g.ID, name)
		}
		made.Project, made.Type, made.CreatedAt = g.Project, g.Type, db.At(tx.Now())
		err = tx.Insert(ctx, &made)
		if err != nil {
			return err
		}
		err = emitGroupSnapshot(ctx, tx, "create.start", made)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if v.Status != Available {
				return errs.BadRequestf("Invalid volume: Volume %s status must be available to snapshot, but current status is: %s.", v.ID, v.Status)
			}
			err = s.beginSnapshot(ctx, tx, who, v, &Snapshot{
				ID: s.newID(), Volume: v.ID, User: who.User, Name: name, Description: description, Status: Creating,
				Group: made.ID, Metadata: db.Of(map[string]string{}),
			})
			if err != nil {
				return err
			}
		}
		_, err = work.Start(ctx, tx, s.groupSnapshotPlan(), made.ID, groupState{Group: g.ID, Snapshot: made.ID}, who.options(g.Project)...)
		return err
	})
	return made, unexpected("create snapshot of group "+group, err)
}

// DeleteGroupSnapshot begins to delete a group snapshot with its snapshots.
func (s *Service) DeleteGroupSnapshot(ctx context.Context, who Viewer, id string) error {
	_, err := allGroupSnapshots.edit(ctx, s, who, id, "delete", func(tx *db.Tx, g *GroupSnapshot) error {
		if g.Status == Deleting {
			return nil
		}
		if g.Status != Available && g.Status != Failed {
			return errs.BadRequestf("Invalid group snapshot: GroupSnapshot status must be available or error, and no Group can be currently using it "+
				"as source for its creation, but current status is: %s.", g.Status)
		}
		list, err := snapshotsOfGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, snapshot := range list {
			if snapshot.Status == Deleting {
				continue
			}
			err = copying(ctx, tx, snapshot.ID, "snapshot")
			if err != nil {
				return err
			}
		}
		g.Status = Deleting
		err = updateRow(ctx, tx, g, g.ID, g.Generation, "status")
		if err != nil {
			return err
		}
		err = emitGroupSnapshot(ctx, tx, "delete.start", *g)
		if err != nil {
			return err
		}
		err = work.Cancel(ctx, tx, g.ID)
		if err != nil {
			return err
		}
		state := groupState{Group: g.Group, Snapshot: g.ID}
		_, err = work.Start(ctx, tx, s.deleteGroupSnapshotPlan(), g.ID, state, who.options(g.Project)...)
		return err
	})
	return err
}

// ResetGroupSnapshotStatus writes a status by order of an admin.
func (s *Service) ResetGroupSnapshotStatus(ctx context.Context, who Viewer, id, status string) error {
	_, err := allGroupSnapshots.edit(ctx, s, who, id, "reset", func(tx *db.Tx, g *GroupSnapshot) error {
		g.Status = status
		return updateRow(ctx, tx, g, g.ID, g.Generation, "status")
	})
	return err
}

func emitGroupSnapshot(ctx context.Context, tx *db.Tx, event string, g GroupSnapshot) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "group_snapshot." + event, Resource: g.ID, Payload: map[string]any{
		"tenant_id": g.Project, "user_id": g.User, "group_snapshot_id": g.ID, "name": g.Name, "group_id": g.Group, "group_type": g.Type,
		"created_at": g.CreatedAt.Time().Format(wireTime), "status": g.Status,
	}})
}
