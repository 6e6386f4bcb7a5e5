package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// NewBackup is what is asked for.
type NewBackup struct {
	Volume      string
	Snapshot    string // "" for the volume as it is now
	Name        string
	Description string
	Container   string // "" for the usual one
	Incremental bool
	Force       bool // also of a volume that is in use
	Zone        string
	Metadata    map[string]string
}

// backupState is what the plans about one backup keep.
type backupState struct {
	Backup   string
	From     readFrom // create: what is read
	Snapshot string   // create: that is backed up
	Volume   string   // restore: that is written
	Before   string   // restore: its status
}

// CreateBackup begins to back a volume up.
func (s *Service) CreateBackup(ctx context.Context, who Viewer, in NewBackup) (Backup, error) {
	if in.Zone != "" && in.Zone != s.zone {
		return Backup{}, errs.BadRequestf("Availability zone '%s' is invalid.", in.Zone)
	}
	if in.Metadata == nil {
		in.Metadata = map[string]string{}
	}
	if in.Container == "" {
		in.Container = BackupContainer
	}
	b := Backup{
		ID: s.newID(), User: who.User, Name: in.Name, Description: in.Description, Status: Creating, Volume: in.Volume,
		Snapshot: in.Snapshot, Container: in.Container, Metadata: db.Of(in.Metadata),
	}
	copied := s.newID()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, in.Volume)
		if err != nil {
			return err
		}
		b.Key = v.Key
		b.Project, b.Account, b.SizeGB, b.CreatedAt = v.Project, v.Project, v.SizeGB, db.At(tx.Now())
		b.DataAt, b.Prefix = b.CreatedAt, s.prefix(b)
		state := backupState{Backup: b.ID, From: readFrom{v.ID, v.Host, v.ID, false}}
		if in.Snapshot != "" {
			err = s.backUpSnapshot(ctx, tx, who, v, &b, &state)
		} else {
			if v.Status == InUse {
				state.From.ID, state.From.Copy = copied, true
			}
			err = backUpVolume(ctx, tx, v, in.Force)
		}
		if err != nil {
			return err
		}
		if in.Incremental {
			b.Parent, err = parentOf(ctx, tx, v)
			if err != nil {
				return err
			}
		}
		err = reserveBackup(ctx, tx, b.Project, b.SizeGB)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &b)
		if err != nil {
			return err
		}
		err = s.emitBackup(ctx, tx, "backup.create.start", b)
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.backupPlan(), b.ID, state, who.options(b.Project)...)
		return err
	})
	return b, unexpected("create backup of volume "+in.Volume, err)
}

// backUpVolume takes a volume that may be backed up.
func backUpVolume(ctx context.Context, tx *db.Tx, v Volume, force bool) error {
	switch {
	case v.Status != Available && v.Status != InUse:
		return errs.BadRequestf("Invalid volume: Volume to be backed up must be available or in-use, but the current status is \"%s\".", v.Status)
	case v.Status == InUse && !force:
		return errs.BadRequestf("Invalid volume: Backing up an in-use volume must use the force flag.")
	}
	err := copying(ctx, tx, v.ID, "volume")
	if err != nil {
		return err
	}
	return setStatus(ctx, tx, v.ID, v.Status, BackingUp)
}

// backUpSnapshot takes a snapshot that may be backed up.
func (s *Service) backUpSnapshot(ctx context.Context, tx *db.Tx, who Viewer, v Volume, b *Backup, state *backupState) error {
	snapshot, err := findSnapshot(ctx, tx, who, b.Snapshot)
	if err != nil {
		return err
	}
	switch {
	case snapshot.Volume != v.ID:
		return errs.BadRequestf("Invalid snapshot: Snapshot %s is not one of volume %s.", snapshot.ID, v.ID)
	case snapshot.Status != Available:
		return errs.BadRequestf("Invalid snapshot: Snapshot to be backed up must be available, but the current status is \"%s\".", snapshot.Status)
	}
	b.SizeGB, b.DataAt = snapshot.SizeGB, snapshot.CreatedAt
	state.From, state.Snapshot = readFrom{v.ID, snapshot.Host, snapshot.ID, false}, snapshot.ID
	return setSnapshotStatus(ctx, tx, snapshot.ID, Available, BackingUpToo)
}

// parentOf is the newest backup of a volume, which the next one adds to.
func parentOf(ctx context.Context, tx *db.Tx, v Volume) (string, error) {
	var id string
	err := tx.Get(ctx, &id, `
		SELECT id FROM volume_backups WHERE volume = ? AND project = ? AND account = ? AND status = ? ORDER BY data_at DESC, created_at DESC LIMIT 1`,
		v.ID, v.Project, v.Project, Available)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.BadRequestf("Invalid backup: No backups available to do an incremental backup.")
	}
	return id, err
}

func (s *Service) backupPlan() work.Plan[backupState] {
	return work.Plan[backupState]{
		Name: "backup.create", Action: "create", Deadline: bytesDeadline,
		Steps: slices.Concat(copySteps(s, func(state *backupState) readFrom { return state.From }), []work.Step[backupState]{
			{Name: "store the bytes", Do: s.storeBackup, Undo: s.eraseBackup},
			{Name: "finish", Tx: s.finishBackup},
		}),
		Undone: func(ctx context.Context, tx *db.Tx, state *backupState, cause error) error {
			err := setBackupStatus(ctx, tx, state.Backup, Creating, Failed, sentence(cause))
			if err != nil {
				return err
			}
			return s.backedUp(ctx, tx, state)
		},
	}
}

// backupRow reads a backup for a plan. One that is gone ends the plan.
func (s *Service) backupRow(ctx context.Context, id string) (Backup, error) {
	return s.Backup(ctx, Viewer{Admin: true}, id)
}

// progressEvery is how many chunks are stored between two words about it.
const progressEvery = 64

func (s *Service) storeBackup(ctx context.Context, state *backupState) error {
	b, err := s.backupRow(ctx, state.Backup)
	if err != nil {
		return err
	}
	w := &storer{s: s, b: b, known: map[int64]chunk{}}
	w.box, err = s.boxOf(ctx, b)
	if err != nil {
		return err
	}
	if b.Parent != "" {
		w.known, err = s.chunksOf(ctx, b.Parent)
		if err != nil {
			return err
		}
	}
	v, err := s.row(ctx, b.Volume)
	if err != nil {
		return err
	}
	err = s.vault.PutContainer(ctx, b.Account, b.Container)
	if err != nil {
		return fmt.Errorf("make the container of backup %s: %w", b.ID, err)
	}
	w.disk, err = s.openDisk(ctx, state.From.Host, state.From.ID, false)
	if err != nil {
		return err
	}
	defer w.disk.Close()
	w.progress = func(stored int64) error {
		if stored%progressEvery != 0 {
			return nil
		}
		return s.countObjects(ctx, b.ID, stored, true)
	}
	m, err := w.store(ctx)
	if err != nil {
		return fmt.Errorf("store backup %s: %w", b.ID, err)
	}
	m.Volume = about{v.Name, v.Bootable, v.Metadata.V, v.ImageMetadata.V}
	err = s.saveManifest(ctx, b, m)
	if err != nil {
		return fmt.Errorf("store the manifest of backup %s: %w", b.ID, err)
	}
	return s.countObjects(ctx, b.ID, w.stored, false)
}

// chunksOf are the chunks of a parent.
func (s *Service) chunksOf(ctx context.Context, id string) (map[int64]chunk, error) {
	parent, err := s.backupRow(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := s.manifestOf(ctx, parent)
	known := make(map[int64]chunk, len(m.Contents))
	for _, c := range m.Contents {
		known[c.Number] = c
	}
	return known, err
}

// countObjects writes down how many objects there are.
func (s *Service) countObjects(ctx context.Context, id string, n int64, tell bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE volume_backups SET object_count = ?, generation = generation + 1 WHERE id = ?", n, id)
		if err != nil || !tell {
			return err
		}
		b, err := getBackup(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.emitBackup(ctx, tx, "backup.createprogress", b)
	})
}

func (s *Service) eraseBackup(ctx context.Context, state *backupState) error {
	b, err := s.backupRow(ctx, state.Backup)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.erase(ctx, b)
	if err != nil {
		return err
	}
	return s.countObjects(ctx, b.ID, 0, false)
}

func (s *Service) finishBackup(ctx context.Context, tx *db.Tx, state *backupState) error {
	err := s.dropCopy(ctx, tx, state.From)
	if err == nil {
		err = setBackupStatus(ctx, tx, state.Backup, Creating, Available, "")
	}
	if err == nil {
		err = s.backedUp(ctx, tx, state)
	}
	if err != nil {
		return err
	}
	b, err := getBackup(ctx, tx, state.Backup)
	if err != nil {
		return err
	}
	return s.emitBackup(ctx, tx, "backup.create.end", b)
}

// backedUp gives back what was backed up.
func (s *Service) backedUp(ctx context.Context, tx *db.Tx, state *backupState) error {
	if state.Snapshot != "" {
		return setSnapshotStatus(ctx, tx, state.Snapshot, BackingUpToo, Available)
	}
	return freed(ctx, tx, state.From.Volume, BackingUp)
}

// freed moves a volume on that a plan has read: it is in use if it still is
// attached, else available.
func freed(ctx context.Context, tx *db.Tx, volume, from string) error {
	var attached int
	err := tx.Get(ctx, &attached, "SELECT COUNT(*) FROM volume_attachments WHERE volume = ?", volume)
	if err != nil {
		return err
	}
	to := Available
	if attached > 0 {
		to = InUse
	}
	return setStatus(ctx, tx, volume, from, to)
}

// DeleteBackup begins to delete a backup that no other adds to. Force takes one
// in any state.
func (s *Service) DeleteBackup(ctx context.Context, who Viewer, id string, force bool) error {
	return unexpected("delete backup "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		b, err := findBackup(ctx, tx, who, id)
		if err != nil || b.Status == Deleting {
			return err
		}
		switch {
		case !force && b.Status != Available && b.Status != Failed && b.Status != ErrorDeleting:
			return errs.BadRequestf("Invalid backup: Backup status must be available or error")
		case b.Dependents:
			return errs.BadRequestf("Invalid backup: Incremental backups exist for this backup.")
		case b.Status == Restoring:
			return errs.BadRequestf("Invalid backup: Backup %s is being restored.", b.ID)
		}
		err = setBackupStatus(ctx, tx, b.ID, b.Status, Deleting, "")
		if err == nil {
			err = s.emitBackup(ctx, tx, "backup.delete.start", b)
		}
		if err == nil {
			err = work.Cancel(ctx, tx, b.ID)
		}
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.deleteBackupPlan(), b.ID, backupState{Backup: b.ID}, who.options(b.Project)...)
		return err
	}))
}

// deleteBackupPlan goes only forward.
func (s *Service) deleteBackupPlan() work.Plan[backupState] {
	return work.Plan[backupState]{
		Name: "backup.delete", Action: "delete", Deadline: bytesDeadline,
		Steps: []work.Step[backupState]{
			{Name: "begin", NoReturn: true, Tx: func(context.Context, *db.Tx, *backupState) error { return nil }},
			{Name: "remove the objects", Do: s.eraseUnshared},
			{Name: "finish", Tx: s.finishDeleteBackup},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *backupState, cause error) error {
			return setBackupStatus(ctx, tx, state.Backup, Deleting, ErrorDeleting, sentence(cause))
		},
	}
}

// eraseUnshared removes the objects, unless the record of the backup was
// imported and another row has the same ones.
func (s *Service) eraseUnshared(ctx context.Context, state *backupState) error {
	b, err := s.backupRow(ctx, state.Backup)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var others int
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &others, "SELECT COUNT(*) FROM volume_backups WHERE prefix = ? AND account = ? AND container = ? AND id <> ?",
			b.Prefix, b.Account, b.Container, b.ID)
	})
	if err != nil || others > 0 {
		return err
	}
	return s.erase(ctx, b)
}

func (s *Service) finishDeleteBackup(ctx context.Context, tx *db.Tx, state *backupState) error {
	b, err := getBackup(ctx, tx, state.Backup)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err == nil {
		err = s.emitBackup(ctx, tx, "backup.delete.end", b)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM volume_backups WHERE id = ?", b.ID)
	if err != nil {
		return fmt.Errorf("delete backup %s: %w", b.ID, err)
	}
	return quota.Release(ctx, tx, b.Project, backupItems(b.SizeGB)...)
}
