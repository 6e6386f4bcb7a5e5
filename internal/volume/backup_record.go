package volume

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// record is what an exported record says of a backup: enough to find its
// objects when the row is lost. It comes from whoever imports it, so only what
// is checked is taken over.
type record struct {
	ID          string  `json:"id"`
	Name        string  `json:"display_name"`
	Description string  `json:"display_description"`
	Status      string  `json:"status"`
	Volume      string  `json:"volume_id"`
	Snapshot    *string `json:"snapshot_id"`
	SizeGB      int64   `json:"size"`
	Parent      *string `json:"parent_id"`
	Project     string  `json:"project_id"`
	User        string  `json:"user_id"`
	Container   string  `json:"container"`
	Prefix      string  `json:"service_metadata"`
	Service     string  `json:"service"`
	ObjectCount int64   `json:"object_count"`
	Zone        string  `json:"availability_zone"`
	CreatedAt   string  `json:"created_at"`
}

// ExportBackup words a backup as a record.
func (s *Service) ExportBackup(ctx context.Context, who Viewer, id string) (url string, err error) {
	b, err := s.Backup(ctx, who, id)
	if err != nil {
		return "", err
	}
	if b.Key != "" {
		return "", errs.BadRequestf("Invalid backup: Backup %s is encrypted by a key of this cloud, and its record leads nowhere without it.", b.ID)
	}
	if b.Status != Available {
		return "", errs.BadRequestf("Invalid backup: Backup status must be available and not %s.", b.Status)
	}
	r := record{
		ID: b.ID, Name: b.Name, Description: b.Description, Status: b.Status, Volume: b.Volume, SizeGB: b.SizeGB, Project: b.Account,
		User: b.User, Container: b.Container, Prefix: b.Prefix, Service: BackupService, ObjectCount: b.ObjectCount, Zone: s.zone,
		CreatedAt: b.CreatedAt.Time().UTC().Format(wireTime),
	}
	if b.Snapshot != "" {
		r.Snapshot = &b.Snapshot
	}
	if b.Parent != "" {
		r.Parent = &b.Parent
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

const maxRecord = 64 << 10

var (
	uuids      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	projects   = regexp.MustCompile(`^[0-9a-zA-Z-]{1,64}$`)
	containers = regexp.MustCompile(`^[^/\x00-\x1f]{1,255}$`)
)

// parseRecord reads a record and refuses what is not one of ours.
func parseRecord(service, url string) (record, error) {
	invalid := func(what string) (record, error) {
		return record{}, errs.BadRequestf("Invalid input received: The backup record %s.", what)
	}
	if service != BackupService {
		return record{}, errs.BadRequestf("Invalid backup: Backup service %.100q is not the one of this cloud.", service)
	}
	if len(url) > maxRecord {
		return invalid("is too long")
	}
	text, err := base64.StdEncoding.DecodeString(url)
	if err != nil {
		return invalid("is not in base64")
	}
	var r record
	err = json.Unmarshal(text, &r)
	switch {
	case err != nil:
		return invalid("is unreadable")
	case !uuids.MatchString(r.ID) || !uuids.MatchString(r.Volume):
		return invalid("names no backup of a volume")
	case r.Parent != nil && !uuids.MatchString(*r.Parent) || r.Snapshot != nil && !uuids.MatchString(*r.Snapshot):
		return invalid("names a parent or a snapshot that cannot be")
	case r.SizeGB <= 0 || r.SizeGB > maxDisk>>30:
		return invalid("has a size that no volume has")
	case !prefixes.MatchString(r.Prefix) || !containers.MatchString(r.Container) || !projects.MatchString(r.Project):
		return invalid("says that its objects are where no backup is")
	case len(r.Name) > 255 || len(r.Description) > 255:
		return invalid("has a name or a description that is too long")
	}
	return r, nil
}

// ImportBackup makes a row of a record. Whether the objects are there and whole
// enough is found out after the answer. Only an admin may name the objects of
// another project.
func (s *Service) ImportBackup(ctx context.Context, who Viewer, service, url string) (Backup, error) {
	r, err := parseRecord(service, url)
	if err != nil {
		return Backup{}, err
	}
	if !who.Admin && r.Project != who.Project {
		return Backup{}, errs.BadRequestf("Invalid backup: The record is of another project's backup.")
	}
	b := Backup{
		ID: r.ID, Project: who.Project, User: who.User, Name: r.Name, Description: r.Description, Status: Creating, Volume: r.Volume,
		SizeGB: r.SizeGB, Account: r.Project, Container: r.Container, Prefix: r.Prefix, Metadata: db.Of(map[string]string{}),
	}
	if r.Snapshot != nil {
		b.Snapshot = *r.Snapshot
	}
	if r.Parent != nil {
		b.Parent = *r.Parent
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := getBackup(ctx, tx, b.ID)
		if err == nil {
			return errs.BadRequestf("Invalid backup: Backup already exists in database.")
		}
		if !errs.Is(err, errs.NotFound) {
			return err
		}
		err = reserveBackup(ctx, tx, b.Project, b.SizeGB)
		if err != nil {
			return err
		}
		b.CreatedAt = db.At(tx.Now())
		b.DataAt = b.CreatedAt
		err = tx.Insert(ctx, &b)
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.importBackupPlan(), b.ID, backupState{Backup: b.ID}, who.options(b.Project)...)
		return err
	})
	return b, unexpected("import backup "+b.ID, err)
}

func (s *Service) importBackupPlan() work.Plan[backupState] {
	return work.Plan[backupState]{
		Name: "backup.import", Action: "import", Deadline: changeDeadline,
		Steps: []work.Step[backupState]{
			{Name: "look at the manifest", Do: s.lookAtImported},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *backupState) error {
				return setBackupStatus(ctx, tx, state.Backup, Creating, Available, "")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *backupState, cause error) error {
			return setBackupStatus(ctx, tx, state.Backup, Creating, Failed, sentence(cause))
		},
	}
}

func (s *Service) lookAtImported(ctx context.Context, state *backupState) error {
	b, err := s.backupRow(ctx, state.Backup)
	if err != nil {
		return err
	}
	m, err := s.manifestOf(ctx, b)
	if err != nil {
		return err
	}
	own := int64(0)
	for _, c := range m.Contents {
		mark, err := s.vault.Mark(ctx, b.Account, b.Container, c.Object)
		if errs.Is(err, errs.NotFound) || err == nil && mark != c.SHA256 {
			return broken(b, "object %s is gone or another one", c.Object)
		}
		if err != nil {
			return err
		}
		if c.Object == chunkName(b.Prefix, c.Number) {
			own++
		}
	}
	return s.countObjects(ctx, b.ID, own, false)
}
