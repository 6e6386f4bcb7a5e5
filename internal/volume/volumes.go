package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// The states of a volume.
const (
	Creating       = "creating"
	Available      = "available"
	Reserved       = "reserved"
	Attaching      = "attaching"
	InUse          = "in-use"
	Detaching      = "detaching"
	Extending      = "extending"
	Deleting       = "deleting"
	Failed         = "error"
	ErrorDeleting  = "error_deleting"
	ErrorExtending = "error_extending"
)

// Volume is one volume.
type Volume struct {
	bun.BaseModel `bun:"table:volumes,alias:volumes"`

	ID            string `bun:",pk"`
	Project       string
	User          string `bun:"user_id"`
	Name          string
	Description   string
	SizeGB        int64 `bun:"size"`
	Status        string
	Migration     string
	Type          string // id
	Zone          string
	Host          string // "" until one is chosen
	Bootable      bool
	Readonly      string // True or False as the API writes it, "" when nobody has said
	Image         string // what it was made from; at most one of the three
	Source        string
	Snapshot      string
	Group         string `bun:"volume_group"`
	Metadata      db.JSON[map[string]string]
	ImageMetadata db.JSON[map[string]string]
	Epoch         int64
	Revision      int64  // how often the bytes were made anew
	Multiattach   bool   // several servers may have it
	Key           string `bun:"encryption_key"` // id; "" for a volume that is not encrypted
	Generation    int64
	CreatedAt     db.Time
	UpdatedAt     db.Time

	Attachments []Attachment `bun:"-"`
}

// AllMetadata is what users have noted, and whether the volume is read-only when
// somebody has said so.
func (v Volume) AllMetadata() map[string]string {
	if v.Readonly == "" {
		return v.Metadata.V
	}
	all := map[string]string{"readonly": v.Readonly}
	maps.Copy(all, v.Metadata.V)
	return all
}

// NewVolume is what is asked for.
type NewVolume struct {
	ID          string // "" makes one
	Name        string
	Description string
	SizeGB      int64 // 0: as large as the source
	Type        string
	Zone        string
	Image       string
	Source      string
	Snapshot    string
	Group       string
	Backup      string // whose bytes it gets
	Beside      string // the server whose host it is to be on; "" for any
	Multiattach bool   // several servers may have it, whatever its type says
	Metadata    map[string]string
}

// CreateVolume accepts a volume: it is visible, counted and on its way when
// CreateVolume returns. Creating one with the same id again is a success.
func (s *Service) CreateVolume(ctx context.Context, who Viewer, in NewVolume) (Volume, error) {
	if in.Zone != "" && in.Zone != s.zone {
		return Volume{}, errs.BadRequestf("Availability zone '%s' is invalid.", in.Zone)
	}
	err := s.mayBeBeside(ctx, who, in.Beside)
	if err != nil {
		return Volume{}, err
	}
	if in.Image != "" {
		err = who.allowed("volume:create_from_image", who.Project)
	}
	if err == nil && in.Multiattach {
		err = who.allowed("volume:multiattach", who.Project)
	}
	if err != nil {
		return Volume{}, err
	}
	v := Volume{
		ID: in.ID, Project: who.Project, User: who.User, Name: in.Name, Description: in.Description, SizeGB: in.SizeGB,
		Status: Creating, Zone: s.zone, Multiattach: in.Multiattach, Image: in.Image, Source: in.Source, Snapshot: in.Snapshot, Group: in.Group,
		Metadata: db.Of(in.Metadata), ImageMetadata: db.Of(map[string]string{}),
	}
	if v.ID == "" {
		v.ID = s.newID()
	}
	if in.Metadata == nil {
		v.Metadata.V = map[string]string{}
	}
	err = s.fromImage(ctx, who, &v)
	if err != nil {
		return Volume{}, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		existing, err := getVolume(ctx, tx, v.ID)
		if err == nil && existing.Project == who.Project {
			v = existing
			return nil
		}
		row := v // the function may run twice
		err = s.intoGroup(ctx, tx, who, in.Type, row.Group)
		if err == nil {
			err = s.fromBackup(ctx, tx, who, &row, in.Backup)
		}
		if err != nil {
			return err
		}
		err = s.begin(ctx, tx, who, in.Type, volumeState{Beside: in.Beside, Backup: in.Backup}, &row)
		v = row
		return err
	})
	if err != nil {
		return Volume{}, fmt.Errorf("create volume %q: %w", in.Name, err)
	}
	return v, nil
}

// begin writes a volume and starts the plan that makes it.
func (s *Service) begin(ctx context.Context, tx *db.Tx, who Viewer, kind string, state volumeState, v *Volume) error {
	err := s.insert(ctx, tx, who, kind, v)
	if err != nil {
		return err
	}
	err = s.emit(ctx, tx, "volume.create.start", v.ID)
	if err != nil {
		return err
	}
	state.Volume = v.ID
	_, err = work.Start(ctx, tx, s.createPlan(), v.ID, state, who.options(v.Project)...)
	return err
}

// mayBeBeside checks that the server is one that the viewer may see.
func (s *Service) mayBeBeside(ctx context.Context, who Viewer, server string) error {
	if server == "" {
		return nil
	}
	project := who.Project
	if who.Admin {
		project = ""
	}
	_, err := s.servers.HostOf(ctx, project, server)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Invalid input received: Instance %s, which the volume is to be local to, could not be found.", server)
	}
	return err
}

// fromImage checks the image and takes over what it says about the disk.
func (s *Service) fromImage(ctx context.Context, who Viewer, v *Volume) error {
	if v.Image == "" {
		return nil
	}
	image, err := s.images.Image(ctx, who, v.Image)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Invalid image identifier or unable to access requested image.")
	}
	if err != nil {
		return fmt.Errorf("look at image %s: %w", v.Image, err)
	}
	if image.Status != "active" {
		return errs.BadRequestf("Invalid input received: Image %s is not active.", image.ID)
	}
	if image.Usable != nil {
		return errs.BadRequestf("Image %s is unacceptable: %s", image.ID, sentence(image.Usable))
	}
	need := max((max(image.VirtualBytes, image.SizeBytes)+1<<30-1)>>30, 1)
	if v.SizeGB == 0 {
		v.SizeGB = max(need, image.MinDiskGB)
	}
	if v.SizeGB < need {
		return errs.BadRequestf("Invalid input received: Size of specified image %dGB is larger than volume size %dGB.", need, v.SizeGB)
	}
	if v.SizeGB < image.MinDiskGB {
		return errs.BadRequestf("Invalid input received: Volume size %dGB cannot be smaller than the image minDisk size %dGB.", v.SizeGB, image.MinDiskGB)
	}
	v.Bootable = true
	about := map[string]string{
		"image_id": image.ID, "image_name": image.Name, "checksum": image.Checksum,
		"container_format": image.ContainerFormat, "disk_format": image.DiskFormat,
		"min_disk": strconv.FormatInt(image.MinDiskGB, 10), "min_ram": strconv.FormatInt(image.MinRAMMB, 10),
		"size": strconv.FormatInt(image.SizeBytes, 10),
	}
	maps.Copy(about, image.Properties)
	v.ImageMetadata = db.Of(about)
	return nil
}

func sentence(err error) string {
	e, ok := errs.As(err)
	if ok {
		return e.Message
	}
	return err.Error()
}

// insert checks what the volume is made from, counts it, and writes it.
func (s *Service) insert(ctx context.Context, tx *db.Tx, who Viewer, kind string, v *Volume) error {
	err := s.fromOther(ctx, tx, who, v, &kind)
	if err != nil {
		return err
	}
	if v.SizeGB <= 0 {
		return errs.BadRequestf("Invalid input received: Volume size '%d' must be an integer and greater than 0", v.SizeGB)
	}
	t, err := typeByName(ctx, tx, who, kind)
	if err != nil {
		return err
	}
	v.Type = t.ID
	shared, err := who.mayMultiattach(*v, t)
	if err != nil {
		return err
	}
	v.Multiattach = v.Multiattach || shared
	err = s.encrypt(ctx, tx, v)
	if err != nil {
		return err
	}
	err = checkSize(ctx, tx, v.Project, v.SizeGB)
	if err != nil {
		return err
	}
	err = reserve(ctx, tx, v.Project, volumeItems(v.Type, v.SizeGB))
	if err != nil {
		return err
	}
	v.CreatedAt = db.At(tx.Now())
	return tx.Insert(ctx, v)
}

// fromOther takes over what the source volume or snapshot says. The copy is
// made on the host of its source.
func (s *Service) fromOther(ctx context.Context, tx *db.Tx, who Viewer, v *Volume, kind *string) error {
	if v.Snapshot != "" {
		snapshot, err := findSnapshot(ctx, tx, who, v.Snapshot)
		if err != nil {
			return err
		}
		if snapshot.Status != Available {
			return errs.BadRequestf("Invalid snapshot: Originating snapshot status must be one of 'available' values")
		}
		v.Host, v.Key = snapshot.Host, snapshot.Key
		original, err := getVolume(ctx, tx, snapshot.Volume)
		if err == nil {
			v.Bootable, v.ImageMetadata = original.Bootable, original.ImageMetadata
		}
		return grow(v, kind, snapshot.SizeGB, snapshot.Type, "snapshot")
	}
	if v.Source == "" {
		return nil
	}
	source, err := findVolume(ctx, tx, who, v.Source)
	if err != nil {
		return err
	}
	if source.Status != Available && source.Status != InUse {
		return errs.BadRequestf("Invalid volume: Volume %s cannot be copied: its status must be 'available' or 'in-use', but it is '%s'.", source.ID, source.Status)
	}
	v.Host, v.Key, v.Bootable, v.ImageMetadata = source.Host, source.Key, source.Bootable, source.ImageMetadata
	return grow(v, kind, source.SizeGB, source.Type, "source volume")
}

// grow takes the size and type of the source where none was asked for.
func grow(v *Volume, kind *string, size int64, sourceType, what string) error {
	if v.SizeGB == 0 {
		v.SizeGB = size
	}
	if *kind == "" {
		*kind = sourceType
	}
	if v.SizeGB < size {
		return errs.BadRequestf("Invalid input received: Volume size '%d'GB cannot be smaller than original %s size %dGB. They must be >= original %s size.",
			v.SizeGB, what, size, what)
	}
	return nil
}

// Query narrows a list of volumes.
type Query struct {
	Project     string // "" for all: only for admins
	Where       []db.Cond
	Attachments bool // with what is attached

	Metadata      map[string]string // all of these
	ImageMetadata map[string]string
}

// Volumes lists volumes.
func (s *Service) Volumes(ctx context.Context, q Query, page db.Page) (list []Volume, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err := allVolumes.there(ctx, tx, page.Marker)
		if err != nil {
			return err
		}
		var rows []Volume
		err = page.Cut(narrow(tx.NewSelect().Model(&rows), "volumes", q), "volumes", "id").Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		list, more = db.Trim(page, rows)
		if !q.Attachments || len(list) == 0 {
			return nil
		}
		return withAttachments(ctx, tx, list)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list volumes: %w", err)
	}
	return list, more, nil
}

// CountVolumes counts what Volumes would list without pages, and sums the sizes.
func (s *Service) CountVolumes(ctx context.Context, q Query) (number, size int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return narrow(tx.NewSelect().Model((*Volume)(nil)), "volumes", q).
			ColumnExpr("COUNT(*), COALESCE(SUM(size), 0)").Scan(ctx, &number, &size)
	})
	return number, size, unexpected("count volumes", err)
}

// narrow adds the conditions of a query on volumes or snapshots.
func narrow(q *bun.SelectQuery, table string, by Query) *bun.SelectQuery {
	if by.Project != "" {
		q = q.Where("?.project = ?", bun.Ident(table), by.Project)
	}
	for column, values := range map[string]map[string]string{"metadata": by.Metadata, "image_metadata": by.ImageMetadata} {
		for key, value := range values {
			pair, _ := db.Of(map[string]string{key: value}).Value() // a map of strings always encodes
			text, _ := pair.(string)
			q = q.Where(`?.? LIKE ? ESCAPE '\'`, bun.Ident(table), bun.Ident(column), db.Like(text[1:len(text)-1]))
		}
	}
	return db.Where(q, by.Where)
}

// Volume returns a volume that the viewer may see, with its attachments.
func (s *Service) Volume(ctx context.Context, who Viewer, id string) (Volume, error) {
	var v Volume
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		found, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		list := []Volume{found}
		err = withAttachments(ctx, tx, list)
		v = list[0]
		return err
	})
	return v, err
}

var allVolumes = kind[Volume]{table: "volumes", noun: "Volume", owner: func(v Volume) string { return v.Project }}

func getVolume(ctx context.Context, tx *db.Tx, id string) (Volume, error) {
	return allVolumes.get(ctx, tx, id)
}

func findVolume(ctx context.Context, tx *db.Tx, who Viewer, id string) (Volume, error) {
	return allVolumes.find(ctx, tx, who, id)
}

// change reads a volume that the viewer may see, changes it, and writes the
// columns.
func (s *Service) change(ctx context.Context, who Viewer, id string, do func(ctx context.Context, tx *db.Tx, v *Volume) error, columns ...string) (Volume, error) {
	var v Volume
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		list := make([]Volume, 1)
		var err error
		list[0], err = findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		generation := list[0].Generation
		err = do(ctx, tx, &list[0])
		if err != nil {
			return err
		}
		err = updateRow(ctx, tx, &list[0], id, generation, columns...)
		if err != nil {
			return err
		}
		list[0].UpdatedAt = db.At(tx.Now())
		err = withAttachments(ctx, tx, list)
		v = list[0]
		return err
	})
	return v, err
}

// UpdateVolume changes what is not nil.
func (s *Service) UpdateVolume(ctx context.Context, who Viewer, id string, name, description *string, metadata map[string]string) (Volume, error) {
	return s.change(ctx, who, id, func(ctx context.Context, tx *db.Tx, v *Volume) error {
		err := emitVolume(ctx, tx, "volume.update.start", *v)
		if err != nil {
			return err
		}
		if name != nil {
			v.Name = *name
		}
		if description != nil {
			v.Description = *description
		}
		if metadata != nil {
			v.Metadata = db.Of(metadata)
		}
		return emitVolume(ctx, tx, "volume.update.end", *v)
	}, "name", "description", "metadata")
}

// ChangeMetadata changes the metadata by a function on it.
func (s *Service) ChangeMetadata(ctx context.Context, who Viewer, id string, do func(map[string]string) error) (map[string]string, error) {
	v, err := s.change(ctx, who, id, func(_ context.Context, _ *db.Tx, v *Volume) error {
		return changeMap(&v.Metadata, do)
	}, "metadata")
	return v.Metadata.V, err
}

// ChangeImageMetadata changes what is known of the image a volume is made of.
func (s *Service) ChangeImageMetadata(ctx context.Context, who Viewer, id string, do func(map[string]string) error) (map[string]string, error) {
	v, err := s.change(ctx, who, id, func(_ context.Context, _ *db.Tx, v *Volume) error {
		return changeMap(&v.ImageMetadata, do)
	}, "image_metadata")
	return v.ImageMetadata.V, err
}

func changeMap(column *db.JSON[map[string]string], do func(map[string]string) error) error {
	values := maps.Clone(column.V)
	if values == nil {
		values = map[string]string{}
	}
	err := do(values)
	*column = db.Of(values)
	return err
}

// SetFlags changes what is not nil.
func (s *Service) SetFlags(ctx context.Context, who Viewer, id string, bootable, readonly *bool) error {
	_, err := s.change(ctx, who, id, func(_ context.Context, _ *db.Tx, v *Volume) error {
		if readonly != nil && v.Status != Available {
			return errs.BadRequestf("Invalid volume: Volume %s status must be available to update readonly flag, but current status is: %s.", v.ID, v.Status)
		}
		if bootable != nil {
			v.Bootable = *bootable
		}
		if readonly != nil {
			v.Readonly = "False"
			if *readonly {
				v.Readonly = "True"
			}
		}
		return nil
	}, "bootable", "readonly")
	return err
}

// ResetStatus writes a status by order of an admin.
func (s *Service) ResetStatus(ctx context.Context, who Viewer, id string, status, attachStatus, migration *string) error {
	_, err := s.change(ctx, who, id, func(ctx context.Context, tx *db.Tx, v *Volume) error {
		if status != nil {
			v.Status = *status
		}
		if migration != nil {
			v.Migration = *migration
			if *migration == "none" {
				v.Migration = ""
			}
		}
		if attachStatus == nil || *attachStatus != "detached" {
			return nil
		}
		n, err := tx.Exec(ctx, "DELETE FROM volume_attachments WHERE volume = ? AND compute = 0", v.ID)
		if err != nil || n == 0 || v.Host == "" {
			return err
		}
		return s.want(ctx, tx, *v) // nobody reaches it any more
	}, "status", "migration")
	return err
}
