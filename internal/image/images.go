package image

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
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

// Create makes an image without bytes. The id of an image that ever was is taken.
func (s *Service) Create(ctx context.Context, in NewImage) (Image, error) {
	image := s.newImage(in)
	err := image.check()
	if err != nil {
		return Image{}, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error { return s.insertImage(ctx, tx, image) })
	if err != nil {
		return Image{}, fmt.Errorf("create image %q: %w", in.Name, err)
	}
	return image, nil
}

func (s *Service) newImage(in NewImage) Image {
	now := db.At(s.clock.Now())
	image := Image{
		ID: in.ID, Name: in.Name, Owner: in.Owner, Visibility: in.Visibility, Status: Queued,
		DiskFormat: in.DiskFormat, ContainerFormat: in.ContainerFormat,
		MinDisk: in.MinDisk, MinRAM: in.MinRAM, Size: -1, VirtualSize: -1,
		Protected: in.Protected, Hidden: in.Hidden,
		Properties: db.Of(in.Properties), Tags: db.Of(unique(in.Tags)), Stores: db.Of([]string{}),
		Generation: 1, CreatedAt: now, UpdatedAt: now,
	}
	if image.ID == "" {
		image.ID = clock.UUID()
	}
	if image.Visibility == "" {
		image.Visibility = Shared
	}
	return image
}

func (s *Service) insertImage(ctx context.Context, tx *db.Tx, image Image) error {
	err := s.roomFor(ctx, tx, image.Owner, Queued)
	if err != nil {
		return err
	}
	taken := errs.Conflictf("Image ID %s already exists!", image.ID)
	err = tx.Insert(ctx, &image)
	if db.IsDuplicate(err) {
		return taken
	}
	if err != nil {
		return err
	}
	// Behind the insert, which has waited for the image's deletion if that is
	// under way.
	var gone int
	err = tx.Get(ctx, &gone, "SELECT COUNT(*) FROM deleted_images WHERE id = ?", image.ID)
	if err != nil {
		return err
	}
	if gone > 0 {
		return taken
	}
	return emit(ctx, tx, "image.create", image)
}

// Delete forgets an image, and ends an import of it. Its bytes go after it: if we
// stop in between, the sweep removes them later.
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
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM image_cache WHERE image = ?", id)
		if err != nil {
			return err
		}
		err = work.Cancel(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO deleted_images (id, deleted_at) VALUES (?, ?)", id, db.At(tx.Now()))
		if err != nil {
			return err
		}
		return emit(ctx, tx, "image.delete", image)
	})
	if err != nil {
		return fmt.Errorf("delete image %s: %w", id, err)
	}
	err = errors.Join(s.removeBlob(ctx, s.stores[0].ID, image.Staged), s.cache.Remove(ctx, cachePrefix+id))
	for _, store := range image.Stores.V {
		err = errors.Join(err, s.removeBlob(ctx, store, image.Blob))
	}
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
