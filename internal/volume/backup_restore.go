package volume

import (
	"context"
	"fmt"
	"maps"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// RestoreBackup begins to write a backup to a volume, "" for a new one with the
// name.
func (s *Service) RestoreBackup(ctx context.Context, who Viewer, id, volume, name string) (Backup, Volume, error) {
	b, err := s.Backup(ctx, who, id)
	if err == nil && b.Status != Available {
		err = errs.BadRequestf("Invalid backup: Backup status must be available")
	}
	if err != nil {
		return b, Volume{}, err
	}
	if volume == "" {
		return s.restoreFresh(ctx, who, b, name)
	}
	var v Volume
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		b, err = findBackup(ctx, tx, who, id)
		if err != nil {
			return err
		}
		v, err = findVolume(ctx, tx, who, volume)
		if err != nil {
			return err
		}
		switch {
		case b.Status != Available:
			return errs.BadRequestf("Invalid backup: Backup status must be available")
		case v.SizeGB < b.SizeGB:
			return errs.BadRequestf("Invalid volume: volume size %d is too small to restore backup of size %d.", v.SizeGB, b.SizeGB)
		case v.Status != Available:
			return errs.BadRequestf("Invalid volume: Volume to be restored to must be available")
		}
		err = copying(ctx, tx, v.ID, "volume")
		if err == nil {
			err = setStatus(ctx, tx, v.ID, Available, RestoringBackup)
		}
		if err == nil {
			err = setBackupStatus(ctx, tx, b.ID, Available, Restoring, "")
		}
		if err == nil {
			err = s.emitBackup(ctx, tx, "backup.restore.start", b)
		}
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.restorePlan(), b.ID, backupState{Backup: b.ID, Volume: v.ID}, who.options(b.Project)...)
		return err
	})
	return b, v, unexpected("restore backup "+id, err)
}

// restoreFresh begins to make a volume of a backup. It is being created until it
// has all the bytes.
func (s *Service) restoreFresh(ctx context.Context, who Viewer, b Backup, name string) (Backup, Volume, error) {
	kind, err := s.kindFor(ctx, b)
	if err != nil {
		return b, Volume{}, err
	}
	if name == "" {
		name = "restore_backup_" + b.ID
	}
	v, err := s.CreateVolume(ctx, who, NewVolume{Name: name, Description: b.Description, SizeGB: b.SizeGB, Type: kind, Backup: b.ID})
	return b, v, err
}

func (s *Service) restorePlan() work.Plan[backupState] {
	return work.Plan[backupState]{
		Name: "backup.restore", Action: "restore", Deadline: bytesDeadline,
		Steps: []work.Step[backupState]{
			{Name: "write the bytes", Do: func(ctx context.Context, state *backupState) error {
				return s.restoreTo(ctx, state.Backup, state.Volume)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *backupState) error {
				return s.restored(ctx, tx, state, Available)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *backupState, cause error) error {
			s.log.Warn("backup was not restored", "backup_id", state.Backup, "volume_id", state.Volume, "reason", cause)
			return s.restored(ctx, tx, state, ErrorRestoring)
		},
	}
}

// restoreTo writes the bytes of a backup to a volume that nobody else uses.
func (s *Service) restoreTo(ctx context.Context, backup, volume string) error {
	b, err := s.backupRow(ctx, backup)
	if err != nil {
		return err
	}
	v, err := s.row(ctx, volume)
	if err != nil {
		return err
	}
	err = s.wait(ctx, v.Host, v.ID)
	if err != nil {
		return err
	}
	if b.Key != "" && v.Key == "" {
		return errs.BadRequestf("Invalid volume: Volume %s is not encrypted, and backup %s is.", v.ID, b.ID)
	}
	m, err := s.manifestOf(ctx, b)
	if err != nil {
		return err
	}
	to, err := s.openDisk(ctx, v.Host, v.ID, true)
	if err != nil {
		return err
	}
	err = s.restore(ctx, b, m, to)
	closeErr := to.Close()
	if err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("restore backup %s to volume %s: %w", b.ID, v.ID, err)
	}
	return s.describeRestored(ctx, v.ID, m.Volume)
}

// describeRestored gives the volume what the backup knows of its original.
func (s *Service) describeRestored(ctx context.Context, volume string, a about) error {
	_, err := s.change(ctx, Viewer{Admin: true}, volume, func(_ context.Context, _ *db.Tx, v *Volume) error {
		v.Bootable = a.Bootable
		if a.ImageMetadata != nil {
			v.ImageMetadata = db.Of(a.ImageMetadata)
		}
		all := maps.Clone(a.Metadata)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, v.Metadata.V)
		v.Metadata = db.Of(all)
		return nil
	}, "bootable", "image_metadata", "metadata")
	return err
}

// restored gives back volume and backup.
func (s *Service) restored(ctx context.Context, tx *db.Tx, state *backupState, status string) error {
	err := setStatus(ctx, tx, state.Volume, RestoringBackup, status)
	if err != nil {
		return err
	}
	return s.giveBack(ctx, tx, state.Backup, status == Available)
}

// giveBack ends the restoring of a backup, with or without success.
func (s *Service) giveBack(ctx context.Context, tx *db.Tx, backup string, success bool) error {
	if backup == "" {
		return nil
	}
	err := setBackupStatus(ctx, tx, backup, Restoring, Available, "")
	if err != nil || !success {
		return err
	}
	b, err := getBackup(ctx, tx, backup)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.emitBackup(ctx, tx, "backup.restore.end", b)
}

// fromBackup checks the backup that a new volume is made from, and takes it.
func (s *Service) fromBackup(ctx context.Context, tx *db.Tx, who Viewer, v *Volume, backup string) error {
	if backup == "" {
		return nil
	}
	b, err := findBackup(ctx, tx, who, backup)
	if err != nil {
		return err
	}
	if b.Status != Available {
		return errs.BadRequestf("Invalid input received: Backup %s must be available, but its status is %s.", b.ID, b.Status)
	}
	if v.SizeGB == 0 {
		v.SizeGB = b.SizeGB
	}
	if v.SizeGB < b.SizeGB {
		return errs.BadRequestf("Invalid input received: Volume size %dGB cannot be smaller than the backup size %dGB.", v.SizeGB, b.SizeGB)
	}
	err = setBackupStatus(ctx, tx, b.ID, Available, Restoring, "")
	if err != nil {
		return err
	}
	return s.emitBackup(ctx, tx, "backup.restore.start", b)
}
