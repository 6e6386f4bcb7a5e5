package image

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// DiskFormats and ContainerFormats are the values that the API takes.
var (
	DiskFormats      = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	ContainerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
)

// NewImage is what the creator of an image says.
type NewImage struct {
	ID              string // "" makes one
	Name            string
	Owner           string
	Visibility      string // "" is shared
	DiskFormat      string
	ContainerFormat string
	MinDisk         int64
	MinRAM          int64
	Protected       bool
	Hidden          bool
	Properties      map[string]string
	Tags            []string
}

// Create makes an image without bytes.
func (s *Service) Create(ctx context.Context, in NewImage) (Image, error) {
	now := db.At(s.clock.Now())
	image := Image{
		ID: in.ID, Name: in.Name, Owner: in.Owner, Visibility: in.Visibility, Status: Queued,
		DiskFormat: in.DiskFormat, ContainerFormat: in.ContainerFormat,
		MinDisk: in.MinDisk, MinRAM: in.MinRAM, Size: -1, VirtualSize: -1,
		Protected: in.Protected, Hidden: in.Hidden,
		Properties: db.Of(in.Properties), Tags: db.Of(unique(in.Tags)),
		Generation: 1, CreatedAt: now, UpdatedAt: now,
	}
	if image.ID == "" {
		image.ID = clock.UUID()
	}
	if image.Visibility == "" {
		image.Visibility = Shared
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error { return tx.Insert(ctx, &image) })
	if db.IsDuplicate(err) {
		return Image{}, errs.Conflictf("Image ID %s already exists!", image.ID)
	}
	if err != nil {
		return Image{}, fmt.Errorf("create image %q: %w", in.Name, err)
	}
	return image, nil
}

// Query is what a list asks for besides its page.
type Query struct {
	Visibility string // "" or all: whatever the viewer sees, without others' community images
	Tags       []string
	Properties map[string]string
	Where      []db.Cond
}

// List returns the images that the viewer sees and the query matches, and
// whether a further page follows.
func (s *Service) List(ctx context.Context, who Viewer, query Query, page db.Page) (images []Image, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			marker, err := find(ctx, tx, page.Marker)
			if err != nil || !who.sees(marker) {
				return errs.BadRequestf("Invalid marker. Image could not be found.")
			}
		}
		q := tx.NewSelect().Model(&images).ModelTableExpr("images")
		q = visible(q, who, query.Visibility)
		q = db.Where(q, "images", query.Where)
		for _, tag := range query.Tags {
			q = q.Where(`tags LIKE ? ESCAPE '\'`, db.Like(quoted(tag)))
		}
		for name, value := range query.Properties {
			q = q.Where(`properties LIKE ? ESCAPE '\'`, db.Like(quoted(name)+":"+quoted(value)))
		}
		return page.Cut(q, "images", "id").Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list images: %w", err)
	}
	images, more = db.Trim(page, images)
	return images, more, nil
}

func visible(q *bun.SelectQuery, who Viewer, visibility string) *bun.SelectQuery {
	switch visibility {
	case "", "all":
		if who.Admin {
			return q.Where("visibility <> ? OR owner = ? OR ?", Community, who.Project, visibility == "all")
		}
		if visibility == "all" {
			return q.Where("owner = ? OR visibility IN (?, ?)", who.Project, Public, Community)
		}
		return q.Where("owner = ? OR visibility = ?", who.Project, Public)
	case Public, Community:
		return q.Where("visibility = ?", visibility)
	}
	q = q.Where("visibility = ?", visibility)
	if who.Admin {
		return q
	}
	return q.Where("owner = ?", who.Project)
}

// Delete forgets an image. Its bytes go after it: if we stop in between, the
// sweep removes them later.
func (s *Service) Delete(ctx context.Context, id string) error {
	var image Image
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, id)
		if err != nil {
			return err
		}
		if image.Protected {
			return errs.Forbiddenf("Image %s is protected and cannot be deleted.", id)
		}
		_, err = tx.Exec(ctx, "DELETE FROM images WHERE id = ?", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete image %s: %w", id, err)
	}
	if image.Blob == "" {
		return nil
	}
	err = s.blobs.Remove(ctx, image.Blob)
	if err != nil {
		s.log.Warn("bytes of a deleted image stay until the next sweep", "image_id", id, "error", err)
	}
	return nil
}

func unique(tags []string) []string {
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.Compact(out)
}

// quoted spells a string as it stands in a JSON column.
func quoted(text string) string {
	value, err := db.Of(text).Value()
	if err != nil {
		return text
	}
	return value.(string)
}
