package volume

import (
	"context"
	"fmt"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// groupState is what the plans about one group or group snapshot keep.
type groupState struct {
	Group    string
	Snapshot string
	Host     string
}

// groupPlan makes a group. The volumes that are copied into it have plans of
// their own, which it waits for.
func (s *Service) groupPlan() work.Plan[groupState] {
	return work.Plan[groupState]{
		Name: "group.create", Action: "create", Deadline: copyDeadline,
		Steps: []work.Step[groupState]{
			{Name: "choose host", Do: s.chooseGroupHost, UndoTx: s.undoParts(s.deleteMembers)},
			{Name: "settle on the host", Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				_, err := tx.Exec(ctx, "UPDATE volume_groups SET host = ?, generation = generation + 1 WHERE id = ?", state.Host, state.Group)
				return err
			}},
			{Name: "wait for the volumes", Do: func(ctx context.Context, state *groupState) error {
				return s.awaitParts(ctx, "volumes", "volume_group", state.Group, Creating)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				return s.endGroup(ctx, tx, state.Group, Available, "create.end")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *groupState, _ error) error {
			return s.endGroup(ctx, tx, state.Group, Failed, "")
		},
	}
}

func (s *Service) chooseGroupHost(ctx context.Context, state *groupState) error {
	g, err := allGroups.show(ctx, s, Viewer{Admin: true}, state.Group)
	if err != nil {
		return err
	}
	state.Host = g.Host
	if g.Host == "" {
		state.Host, err = s.choose(ctx, wish{Types: g.VolumeTypes.V})
	}
	return err
}

// undoParts begins to delete what a group was going to be made of. What somebody
// uses already stays, to be deleted with the group.
func (s *Service) undoParts(remove partsRemover) func(ctx context.Context, tx *db.Tx, state *groupState) error {
	return func(ctx context.Context, tx *db.Tx, state *groupState) error {
		_, err := remove(ctx, tx, state, true)
		return err
	}
}

// awaitParts waits until no part is in the state any more. A part that ended in
// an error ends the whole.
func (s *Service) awaitParts(ctx context.Context, table, column, whole, state string) error {
	var rows []struct{ ID, Status string }
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT id, status FROM "+table+" WHERE "+column+" = ? ORDER BY id", whole)
	})
	if err != nil {
		return fmt.Errorf("read parts of %s: %w", whole, err)
	}
	for _, row := range rows {
		if row.Status == Failed || row.Status == ErrorDeleting {
			return errs.New(errs.Internal, "%s is in state %s.", row.ID, row.Status)
		}
	}
	for _, row := range rows {
		if row.Status == state {
			return work.NotYet("waiting for %s, which is %s", row.ID, state)
		}
	}
	return nil
}

// endGroup moves a group out of a state that a plan has it in.
func (s *Service) endGroup(ctx context.Context, tx *db.Tx, id, status, event string) error {
	_, err := tx.Exec(ctx, `
		UPDATE volume_groups SET status = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND status IN (?, ?)`,
		status, db.At(tx.Now()), id, Creating, Deleting)
	if err != nil || event == "" {
		return err
	}
	g, err := allGroups.get(ctx, tx, id)
	if err != nil {
		return err
	}
	return emitGroup(ctx, tx, event, g)
}

// deleteGroupPlan goes only forward. Volumes are deleted by plans of their own,
// which are started again should they give up.
func (s *Service) deleteGroupPlan() work.Plan[groupState] {
	return work.Plan[groupState]{
		Name: "group.delete", Action: "delete", Deadline: copyDeadline,
		Steps: []work.Step[groupState]{
			{Name: "delete the volumes", NoReturn: true, Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				_, err := s.deleteMembers(ctx, tx, state, false)
				return err
			}},
			{Name: "wait for the volumes", Do: s.untilGone(s.deleteMembers)},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				g, err := allGroups.get(ctx, tx, state.Group)
				if errs.Is(err, errs.NotFound) {
					return nil
				}
				if err != nil {
					return err
				}
				err = emitGroup(ctx, tx, "delete.end", g)
				if err != nil {
					return err
				}
				_, err = tx.Exec(ctx, "DELETE FROM volume_groups WHERE id = ?", g.ID)
				if err != nil {
					return err
				}
				return release(ctx, tx, g.Project, []quota.Item{{Resource: quota.Group, N: 1}})
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *groupState, _ error) error {
			return s.endGroup(ctx, tx, state.Group, Failed, "")
		},
	}
}

// groupSnapshotPlan waits for the plans that make the snapshots.
func (s *Service) groupSnapshotPlan() work.Plan[groupState] {
	return work.Plan[groupState]{
		Name: "group_snapshot.create", Action: "create", Deadline: copyDeadline,
		Steps: []work.Step[groupState]{
			{Name: "wait for the snapshots", Do: func(ctx context.Context, state *groupState) error {
				return s.awaitParts(ctx, "snapshots", "group_snapshot", state.Snapshot, Creating)
			}, UndoTx: s.undoParts(s.deleteSnapshotsOfGroup)},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				return s.endGroupSnapshot(ctx, tx, state.Snapshot, Available, "create.end")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *groupState, _ error) error {
			return s.endGroupSnapshot(ctx, tx, state.Snapshot, Failed, "")
		},
	}
}

// endGroupSnapshot is endGroup for a group snapshot.
func (s *Service) endGroupSnapshot(ctx context.Context, tx *db.Tx, id, status, event string) error {
	_, err := tx.Exec(ctx, `
		UPDATE group_snapshots SET status = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND status IN (?, ?)`,
		status, db.At(tx.Now()), id, Creating, Deleting)
	if err != nil || event == "" {
		return err
	}
	g, err := allGroupSnapshots.get(ctx, tx, id)
	if err != nil {
		return err
	}
	return emitGroupSnapshot(ctx, tx, event, g)
}

// deleteGroupSnapshotPlan is deleteGroupPlan for the snapshots of a group snapshot.
func (s *Service) deleteGroupSnapshotPlan() work.Plan[groupState] {
	return work.Plan[groupState]{
		Name: "group_snapshot.delete", Action: "delete", Deadline: copyDeadline,
		Steps: []work.Step[groupState]{
			{Name: "delete the snapshots", NoReturn: true, Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				_, err := s.deleteSnapshotsOfGroup(ctx, tx, state, false)
				return err
			}},
			{Name: "wait for the snapshots", Do: s.untilGone(s.deleteSnapshotsOfGroup)},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *groupState) error {
				g, err := allGroupSnapshots.get(ctx, tx, state.Snapshot)
				if errs.Is(err, errs.NotFound) {
					return nil
				}
				if err != nil {
					return err
				}
				err = emitGroupSnapshot(ctx, tx, "delete.end", g)
				if err != nil {
					return err
				}
				_, err = tx.Exec(ctx, "DELETE FROM group_snapshots WHERE id = ?", g.ID)
				return err
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *groupState, _ error) error {
			return s.endGroupSnapshot(ctx, tx, state.Snapshot, Failed, "")
		},
	}
}

// partsRemover begins to delete the parts of a group or group snapshot, and tells
// how many are left. A part that cannot be deleted is an error, or is left out.
type partsRemover func(ctx context.Context, tx *db.Tx, state *groupState, some bool) (left int, err error)

// untilGone waits until a deletion has nothing left to delete.
func (s *Service) untilGone(remove partsRemover) func(context.Context, *groupState) error {
	return func(ctx context.Context, state *groupState) error {
		left := 0
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			var err error
			left, err = remove(ctx, tx, state, false)
			return err
		})
		if err == nil && left > 0 {
			err = work.NotYet("waiting for %d to be deleted", left)
		}
		return err
	}
}

// onBehalf is for whom a plan runs.
func onBehalf(ctx context.Context, project string) Viewer {
	by := bus.InitiatorOf(ctx)
	return Viewer{Project: project, User: by.User, Request: by.RequestID}
}

// deleteMembers begins to delete what is there of a group's volumes.
func (s *Service) deleteMembers(ctx context.Context, tx *db.Tx, state *groupState, some bool) (left int, err error) {
	list, err := members(ctx, tx, state.Group)
	if err != nil {
		return 0, err
	}
	for _, v := range list {
		if v.Status == Deleting {
			continue
		}
		err = s.deletable(ctx, tx, v, false, some)
		if some && errs.Is(err, errs.BadRequest) {
			continue
		}
		if err != nil {
			return 0, err
		}
		err = s.startDelete(ctx, tx, onBehalf(ctx, v.Project), v)
		if err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// deleteSnapshotsOfGroup is deleteMembers for a group snapshot.
func (s *Service) deleteSnapshotsOfGroup(ctx context.Context, tx *db.Tx, state *groupState, some bool) (left int, err error) {
	list, err := snapshotsOfGroup(ctx, tx, state.Snapshot)
	if err != nil {
		return 0, err
	}
	for _, snapshot := range list {
		if snapshot.Status == Deleting {
			continue
		}
		err = s.startDeleteSnapshot(ctx, tx, onBehalf(ctx, snapshot.Project), snapshot)
		if some && errs.Is(err, errs.BadRequest) {
			continue
		}
		if err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
