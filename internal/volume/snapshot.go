package volume

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// Snapshot is a copy of a volume as it was.
type Snapshot struct {
	bun.BaseModel `bun:"table:snapshots,alias:snapshots"`

	ID          string `bun:",pk"`
	Volume      string
	Project     string
	User        string `bun:"user_id"`
	Name        string
	Description string
	SizeGB      int64 `bun:"size"`
	Status      string
	Type        string
	Host        string
	Key         string `bun:"encryption_key"` // of the volume
	Group       string `bun:"group_snapshot"` // the group snapshot that it belongs to
	Progress    string // as a client has told it
	Metadata    db.JSON[map[string]string]
	Generation  int64
	CreatedAt   db.Time
	UpdatedAt   db.Time
}

// snapshotState is what the plans about one snapshot keep.
type snapshotState struct {
	Snapshot string
	Volume   string
	Host     string
}

// CreateSnapshot begins to copy a volume: with force also one that is in use, as
// a power cut would leave it.
func (s *Service) CreateSnapshot(ctx context.Context, who Viewer, volume, name, description string, metadata map[string]string, force bool) (Snapshot, error) {
	if metadata == nil {
		metadata = map[string]string{}
	}
	snapshot := Snapshot{
		ID: s.newID(), Volume: volume, User: who.User, Name: name, Description: description,
		Status: Creating, Metadata: db.Of(metadata),
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error { return s.takeSnapshot(ctx, tx, who, &snapshot, force) })
	return snapshot, unexpected("create snapshot of volume "+volume, err)
}

func (s *Service) takeSnapshot(ctx context.Context, tx *db.Tx, who Viewer, snapshot *Snapshot, force bool) error {
	v, err := findVolume(ctx, tx, who, snapshot.Volume)
	if err != nil {
		return err
	}
	if v.Status != Available && !(force && v.Status == InUse) {
		return errs.BadRequestf("Invalid volume: Volume %s status must be available to snapshot, but current status is: %s.", v.ID, v.Status)
	}
	return s.beginSnapshot(ctx, tx, who, v, snapshot)
}

// TakeSnapshot begins to copy a volume, also one in use, into a snapshot with
// the id. Taking it again is a success.
func (s *Service) TakeSnapshot(ctx context.Context, tx *db.Tx, who Viewer, id, volume, name string) error {
	_, err := getSnapshot(ctx, tx, id)
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	return s.takeSnapshot(ctx, tx, who, &Snapshot{
		ID: id, Volume: volume, User: who.User, Name: name, Status: Creating, Metadata: db.Of(map[string]string{}),
	}, true)
}

// beginSnapshot writes a snapshot of the volume and starts the plan that makes it.
func (s *Service) beginSnapshot(ctx context.Context, tx *db.Tx, who Viewer, v Volume, snapshot *Snapshot) error {
	snapshot.Project, snapshot.SizeGB, snapshot.Type, snapshot.Host, snapshot.Key = v.Project, v.SizeGB, v.Type, v.Host, v.Key
	snapshot.CreatedAt = db.At(tx.Now())
	err := reserve(ctx, tx, v.Project, snapshotItems(v.Type, v.SizeGB))
	if err != nil {
		return err
	}
	err = tx.Insert(ctx, snapshot)
	if err != nil {
		return err
	}
	err = s.emitSnapshot(ctx, tx, "snapshot.create.start", snapshot.ID)
	if err != nil {
		return err
	}
	state := snapshotState{Snapshot: snapshot.ID, Volume: v.ID, Host: v.Host}
	_, err = work.Start(ctx, tx, s.snapshotPlan(), snapshot.ID, state, who.options(v.Project)...)
	return err
}

func (s *Service) snapshotPlan() work.Plan[snapshotState] {
	return work.Plan[snapshotState]{
		Name: "snapshot.create", Action: "create", Deadline: copyDeadline,
		Steps: []work.Step[snapshotState]{
			{Name: "wait for the volume", Do: func(ctx context.Context, state *snapshotState) error {
				return s.wait(ctx, state.Host, state.Volume)
			}},
			{Name: "want the copy", Tx: s.wantCopy, UndoTx: func(ctx context.Context, tx *db.Tx, state *snapshotState) error {
				return s.forget(ctx, tx, state.Snapshot)
			}},
			{Name: "wait for the copy", Do: func(ctx context.Context, state *snapshotState) error {
				return s.wait(ctx, state.Host, state.Snapshot)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *snapshotState) error {
				err := setSnapshotStatus(ctx, tx, state.Snapshot, Creating, Available)
				if err != nil {
					return err
				}
				return s.emitSnapshot(ctx, tx, "snapshot.create.end", state.Snapshot)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *snapshotState, cause error) error {
			err := s.tellOfSnapshot(ctx, tx, state.Snapshot, actSnapshot, whySnapshotFailed, cause)
			if err != nil {
				return err
			}
			return setSnapshotStatus(ctx, tx, state.Snapshot, Creating, Failed)
		},
	}
}

func (s *Service) wantCopy(ctx context.Context, tx *db.Tx, state *snapshotState) error {
	snapshot, err := getSnapshot(ctx, tx, state.Snapshot)
	if err != nil {
		return err
	}
	return s.wantSnapshot(ctx, tx, snapshot)
}

func setSnapshotStatus(ctx context.Context, tx *db.Tx, id, from, to string) error {
	_, err := tx.Exec(ctx, `
		UPDATE snapshots SET status = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND status = ?`,
		to, db.At(tx.Now()), id, from)
	return unexpected("set status of snapshot "+id, err)
}

var allSnapshots = kind[Snapshot]{table: "snapshots", noun: "Snapshot", owner: func(s Snapshot) string { return s.Project }}

// Snapshots lists snapshots.
func (s *Service) Snapshots(ctx context.Context, q Query, page db.Page) (list []Snapshot, more bool, err error) {
	return allSnapshots.list(ctx, s, q, page)
}

// CountSnapshots counts what Snapshots would list without pages.
func (s *Service) CountSnapshots(ctx context.Context, q Query) (int64, error) {
	return allSnapshots.count(ctx, s, q)
}

// Snapshot returns a snapshot that the viewer may see.
func (s *Service) Snapshot(ctx context.Context, who Viewer, id string) (Snapshot, error) {
	return allSnapshots.show(ctx, s, who, id)
}

func getSnapshot(ctx context.Context, tx *db.Tx, id string) (Snapshot, error) {
	return allSnapshots.get(ctx, tx, id)
}

func findSnapshot(ctx context.Context, tx *db.Tx, who Viewer, id string) (Snapshot, error) {
	return allSnapshots.find(ctx, tx, who, id)
}

// changeSnapshot changes columns of a snapshot by a function on it. It tells of
// the start and the end of the event, if there is one.
func (s *Service) changeSnapshot(ctx context.Context, who Viewer, id, event string, do func(*Snapshot) error, columns ...string) (Snapshot, error) {
	var snapshot Snapshot
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		snapshot, err = findSnapshot(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if event != "" {
			err = s.emitSnapshot(ctx, tx, event+".start", id)
			if err != nil {
				return err
			}
		}
		err = do(&snapshot)
		if err != nil {
			return err
		}
		err = updateRow(ctx, tx, &snapshot, id, snapshot.Generation, columns...)
		snapshot.UpdatedAt = db.At(tx.Now())
		if err != nil || event == "" {
			return err
		}
		return s.emitSnapshot(ctx, tx, event+".end", id)
	})
	return snapshot, err
}

// UpdateSnapshot changes what is not nil.
func (s *Service) UpdateSnapshot(ctx context.Context, who Viewer, id string, name, description *string) (Snapshot, error) {
	return s.changeSnapshot(ctx, who, id, "snapshot.update", func(snapshot *Snapshot) error {
		if name != nil {
			snapshot.Name = *name
		}
		if description != nil {
			snapshot.Description = *description
		}
		return nil
	}, "name", "description")
}

// ChangeSnapshotMetadata changes the metadata by a function on it.
func (s *Service) ChangeSnapshotMetadata(ctx context.Context, who Viewer, id string, do func(map[string]string) error) (map[string]string, error) {
	snapshot, err := s.changeSnapshot(ctx, who, id, "", func(snapshot *Snapshot) error {
		return changeMap(&snapshot.Metadata, do)
	}, "metadata")
	return snapshot.Metadata.V, err
}

// ResetSnapshotStatus writes a status by order of an admin.
func (s *Service) ResetSnapshotStatus(ctx context.Context, who Viewer, id, status string) error {
	_, err := s.changeSnapshot(ctx, who, id, "snapshot.reset_status", func(snapshot *Snapshot) error {
		snapshot.Status = status
		return nil
	}, "status")
	return err
}

// TellSnapshot writes how far a snapshot is, as whoever makes or deletes it tells.
func (s *Service) TellSnapshot(ctx context.Context, who Viewer, id, status, progress string) error {
	_, err := s.changeSnapshot(ctx, who, id, "", func(snapshot *Snapshot) error {
		allowed, known := map[string][]string{
			Creating: {Creating, Available, Failed}, Deleting: {Deleting, ErrorDeleting},
		}[snapshot.Status]
		if !known {
			return errs.BadRequestf("Snapshot status %s not allowed for update_snapshot_status", snapshot.Status)
		}
		if !slices.Contains(allowed, status) {
			return errs.BadRequestf("Provided snapshot status %s not allowed for snapshot with status %s.", status, snapshot.Status)
		}
		snapshot.Status = status
		if progress != "" {
			snapshot.Progress = progress
		}
		return nil
	}, "status", "progress")
	return err
}

// DeleteSnapshot begins to delete a snapshot. Force takes one in any state.
func (s *Service) DeleteSnapshot(ctx context.Context, who Viewer, id string, force bool) error {
	return unexpected("delete snapshot "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		snapshot, err := findSnapshot(ctx, tx, who, id)
		if err != nil || snapshot.Status == Deleting && !force {
			return err
		}
		if snapshot.Group != "" {
			return errs.BadRequestf("Invalid snapshot: Snapshot %s belongs to group snapshot %s and is deleted with it.", id, snapshot.Group)
		}
		if !force && !slices.Contains([]string{Available, Failed, ErrorDeleting, ErrorManaging, ErrorUnmanaging}, snapshot.Status) {
			return errs.BadRequestf("Invalid snapshot: Snapshot status must be available or error to delete, but current status is: %s.", snapshot.Status)
		}
		return s.startDeleteSnapshot(ctx, tx, who, snapshot)
	}))
}

func (s *Service) deleteSnapshotsOf(ctx context.Context, tx *db.Tx, who Viewer, volume string) error {
	var list []Snapshot
	err := tx.All(ctx, &list, "SELECT * FROM snapshots WHERE volume = ? AND status <> ?"+tx.Hold(), volume, Deleting)
	if err != nil {
		return fmt.Errorf("read snapshots of volume %s: %w", volume, err)
	}
	for _, snapshot := range list {
		err = s.startDeleteSnapshot(ctx, tx, who, snapshot)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) startDeleteSnapshot(ctx context.Context, tx *db.Tx, who Viewer, snapshot Snapshot) error {
	err := copying(ctx, tx, snapshot.ID, "snapshot")
	if err != nil {
		return err
	}
	err = setSnapshotStatus(ctx, tx, snapshot.ID, snapshot.Status, Deleting)
	if err != nil {
		return err
	}
	err = s.emitSnapshot(ctx, tx, "snapshot.delete.start", snapshot.ID)
	if err != nil {
		return err
	}
	err = work.Cancel(ctx, tx, snapshot.ID)
	if err != nil {
		return err
	}
	state := snapshotState{Snapshot: snapshot.ID, Volume: snapshot.Volume, Host: snapshot.Host}
	_, err = work.Start(ctx, tx, s.deleteSnapshotPlan(), snapshot.ID, state, who.options(snapshot.Project)...)
	return err
}

// deleteSnapshotPlan goes only forward.
func (s *Service) deleteSnapshotPlan() work.Plan[snapshotState] {
	return work.Plan[snapshotState]{
		Name: "snapshot.delete", Action: "delete", Deadline: copyDeadline,
		Steps: []work.Step[snapshotState]{
			{Name: "remove the copy", NoReturn: true, Tx: func(ctx context.Context, tx *db.Tx, state *snapshotState) error {
				return s.forget(ctx, tx, state.Snapshot)
			}},
			{Name: "wait until it is gone", Do: func(ctx context.Context, state *snapshotState) error {
				return s.waitGone(ctx, state.Host, state.Snapshot)
			}},
			{Name: "finish", Tx: s.finishDeleteSnapshot},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *snapshotState, cause error) error {
			err := s.tellOfSnapshot(ctx, tx, state.Snapshot, actSnapshotDelete, whySnapshotStays, cause)
			if err != nil {
				return err
			}
			return setSnapshotStatus(ctx, tx, state.Snapshot, Deleting, ErrorDeleting)
		},
	}
}

func (s *Service) finishDeleteSnapshot(ctx context.Context, tx *db.Tx, state *snapshotState) error {
	return s.removeSnapshotRow(ctx, tx, state.Snapshot, "snapshot.delete.end")
}

// removeSnapshotRow is removeVolumeRow for a snapshot.
func (s *Service) removeSnapshotRow(ctx context.Context, tx *db.Tx, id, event string) error {
	snapshot, err := getSnapshot(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.emitSnapshot(ctx, tx, event, snapshot.ID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM snapshots WHERE id = ?", snapshot.ID)
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", snapshot.ID, err)
	}
	return release(ctx, tx, snapshot.Project, snapshotItems(snapshot.Type, snapshot.SizeGB))
}
