package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// The states of a backup beside those that it shares with volumes, and the
// states of what is backed up and restored.
const (
	Restoring       = "restoring"
	BackingUp       = "backing-up"       // of a volume
	BackingUpToo    = "backing-up"       // of a snapshot
	RestoringBackup = "restoring-backup" // of a volume
	ErrorRestoring  = "error_restoring"
)

// Backup is a copy of a volume's bytes in the object store. Its row is what
// users see; the objects are a manifest and the chunks that it names
// (backup_store.go).
type Backup struct {
	bun.BaseModel `bun:"table:volume_backups,alias:volume_backups"`

	ID          string `bun:",pk"`
	Project     string
	User        string `bun:"user_id"`
	Name        string
	Description string
	Status      string
	FailReason  string
	Volume      string
	Snapshot    string
	SizeGB      int64  `bun:"size"`
	Parent      string // the backup that this one adds to; "" for a whole one
	Account     string // the project whose objects the bytes are
	Container   string
	Prefix      string // of the objects' names
	ObjectCount int64
	Key         string `bun:"encryption_key"` // of the volume, which its chunks are encrypted with; "" for none
	Metadata    db.JSON[map[string]string]
	DataAt      db.Time // the moment whose bytes they are
	Generation  int64
	CreatedAt   db.Time
	UpdatedAt   db.Time

	Dependents bool `bun:",scanonly"` // others add to this one
}

// backupColumns are those of a backup with what others say of it.
const backupColumns = `volume_backups.*, EXISTS (SELECT 1 FROM volume_backups AS child WHERE child.parent = volume_backups.id) AS dependents`

// Backups lists backups.
func (s *Service) Backups(ctx context.Context, q Query, page db.Page) (list []Backup, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var rows []Backup
		query := narrow(tx.NewSelect().Model(&rows).ColumnExpr(backupColumns), "volume_backups", q)
		err := page.Cut(query, "volume_backups", "id").Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		list, more = db.Trim(page, rows)
		return nil
	})
	return list, more, unexpected("list backups", err)
}

// CountBackups counts what Backups would list without pages.
func (s *Service) CountBackups(ctx context.Context, q Query) (int64, error) {
	var number int64
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return narrow(tx.NewSelect().Model((*Backup)(nil)), "volume_backups", q).ColumnExpr("COUNT(*)").Scan(ctx, &number)
	})
	return number, unexpected("count backups", err)
}

// Backup returns a backup that the viewer may see.
func (s *Service) Backup(ctx context.Context, who Viewer, id string) (Backup, error) {
	var b Backup
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		b, err = findBackup(ctx, tx, who, id)
		return err
	})
	return b, err
}

func getBackup(ctx context.Context, tx *db.Tx, id string) (Backup, error) {
	var b Backup
	err := tx.Get(ctx, &b, "SELECT "+backupColumns+" FROM volume_backups WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Backup{}, errs.NotFoundf("Backup %s could not be found.", id)
	}
	return b, unexpected("read backup "+id, err)
}

func findBackup(ctx context.Context, tx *db.Tx, who Viewer, id string) (Backup, error) {
	b, err := getBackup(ctx, tx, id)
	if err == nil && !who.Admin && b.Project != who.Project {
		return Backup{}, errs.NotFoundf("Backup %s could not be found.", id)
	}
	return b, err
}

// UpdateBackup changes what is not nil.
func (s *Service) UpdateBackup(ctx context.Context, who Viewer, id string, name, description *string, metadata map[string]string) (Backup, error) {
	var b Backup
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		b, err = findBackup(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if name != nil {
			b.Name = *name
		}
		if description != nil {
			b.Description = *description
		}
		if metadata != nil {
			b.Metadata = db.Of(metadata)
		}
		return updateRow(ctx, tx, &b, id, b.Generation, "name", "description", "metadata")
	})
	return b, unexpected("update backup "+id, err)
}

// ResetBackupStatus writes a status by order of an admin.
func (s *Service) ResetBackupStatus(ctx context.Context, who Viewer, id, status string) error {
	return unexpected("reset status of backup "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		b, err := findBackup(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = s.emitBackup(ctx, tx, "backup.reset_status.start", b)
		if err != nil {
			return err
		}
		b.Status = status
		err = updateRow(ctx, tx, &b, id, b.Generation, "status")
		if err != nil {
			return err
		}
		return s.emitBackup(ctx, tx, "backup.reset_status.end", b)
	}))
}

// setBackupStatus moves a backup on, unless somebody else has moved it meanwhile.
func setBackupStatus(ctx context.Context, tx *db.Tx, id, from, to, reason string) error {
	_, err := tx.Exec(ctx, `
		UPDATE volume_backups SET status = ?, fail_reason = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND status = ?`,
		to, reason, db.At(tx.Now()), id, from)
	return unexpected("set status of backup "+id, err)
}

// reserveBackup takes a backup from the quotas, and words a refusal as Cinder
// does.
func reserveBackup(ctx context.Context, tx *db.Tx, project string, size int64) error {
	err := quota.Reserve(ctx, tx, project, backupItems(size)...)
	var e *quota.Exceeded
	if !errors.As(err, &e) {
		return err
	}
	text := fmt.Sprintf("Requested backup exceeds allowed Backup gigabytes quota. Requested %dG, quota is %dG and %dG has been consumed.",
		e.Requested, e.Limit, e.Used)
	if e.Resource == quota.Backup {
		text = fmt.Sprintf("Maximum number of backups allowed (%d) exceeded", e.Limit)
	}
	return errs.TooLargef("%s", text).With("Retry-After", "0").Because(e)
}

// backupItems is what a backup takes from its project's quotas.
func backupItems(size int64) []quota.Item {
	return []quota.Item{{Resource: quota.Backup, N: 1}, {Resource: quota.BackupGigabyte, N: size}}
}

// backupUsage is what Cinder tells of a backup.
type backupUsage struct {
	Tenant      string  `json:"tenant_id"`
	User        string  `json:"user_id"`
	Zone        string  `json:"availability_zone"`
	ID          string  `json:"backup_id"`
	Host        string  `json:"host"`
	Name        string  `json:"display_name"`
	CreatedAt   string  `json:"created_at"`
	Status      string  `json:"status"`
	Volume      string  `json:"volume_id"`
	Size        int64   `json:"size"`
	Service     string  `json:"service"`
	Metadata    string  `json:"service_metadata"`
	FailReason  string  `json:"fail_reason"`
	Percent     string  `json:"backup_percent"`
	Parent      *string `json:"parent_id"`
	Dependents  bool    `json:"has_dependent_backups"`
	Snapshot    *string `json:"snapshot_id"`
	ObjectCount int64   `json:"object_count"`
	Container   string  `json:"container"`
}

// emitBackup tells of what happens to a backup, in the transaction that makes it
// happen.
func (s *Service) emitBackup(ctx context.Context, tx *db.Tx, event string, b Backup) error {
	u := backupUsage{
		Tenant: b.Project, User: b.User, Zone: s.zone, ID: b.ID, Name: b.Name, CreatedAt: b.CreatedAt.Time().Format(wireTime),
		Status: b.Status, Volume: b.Volume, Size: b.SizeGB, Service: BackupService, Metadata: b.Prefix, FailReason: b.FailReason,
		Dependents: b.Dependents, ObjectCount: b.ObjectCount, Container: b.Container,
	}
	if b.Status == Available {
		u.Percent = "100"
	}
	if b.Parent != "" {
		u.Parent = &b.Parent
	}
	if b.Snapshot != "" {
		u.Snapshot = &b.Snapshot
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: event, Resource: b.ID, Payload: u})
}
