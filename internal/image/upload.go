package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"nacre/internal/blob"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

const (
	// MaxSize is the largest image: 1 TiB, Glance's default cap.
	MaxSize = 1 << 40
	// uploadBeat is how often an upload shows life, uploadDead when it is given up.
	uploadBeat = 5 * time.Second
	uploadDead = 30 * time.Second

	blobPrefix   = "images/"
	stagedPrefix = "staging/"
)

// Upload stores the bytes of a queued image in a store, "" for the default one,
// and makes it active. A failed upload leaves it queued.
func (s *Service) Upload(ctx context.Context, id, store string, bytes io.Reader) error {
	to, err := s.store(store)
	if err != nil {
		return err
	}
	return s.receive(ctx, id, Saving, to.Blobs, blobPrefix, bytes, func(image *Image, key string, m measured) {
		m.fill(image, key, []string{to.ID})
	})
}

// Stage keeps the bytes of a queued image until they are imported. They are not
// trusted yet, and nobody can read them.
func (s *Service) Stage(ctx context.Context, id string, bytes io.Reader) error {
	return s.receive(ctx, id, Uploading, s.stores[0].Blobs, stagedPrefix, bytes, func(image *Image, key string, m measured) {
		image.Size, image.Staged = m.Size, key
	})
}

// receive stores what a client sends under the upload's own key and then, in one
// transaction, makes it the image's. If we stop in between, the sweep removes the
// blob, and the image is queued again.
func (s *Service) receive(ctx context.Context, id, status string, to blob.Store, prefix string, bytes io.Reader, take func(*Image, string, measured)) error {
	image, err := s.beginUpload(ctx, id, status)
	if err != nil {
		return err
	}
	err = s.receiveBytes(ctx, image, to, prefix+image.Upload, bytes, take)
	if err == nil {
		return nil
	}
	// The caller may be gone, the image must become free all the same.
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), uploadDead)
	defer cancel()
	return errors.Join(err, s.endUpload(free, image))
}

func (s *Service) beginUpload(ctx context.Context, id, status string) (Image, error) {
	var image Image
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, id)
		if err != nil {
			return err
		}
		if image.Status != Queued {
			return errs.Conflictf("Image status transition from %s to %s is not allowed", image.Status, status)
		}
		if status == Saving {
			err = image.describedEnough()
			if err != nil {
				return err
			}
		}
		err = s.roomFor(ctx, tx, image.Owner, status)
		if err != nil {
			return err
		}
		image.Status, image.Upload, image.UploadSeen = status, clock.UUID(), db.At(tx.Now())
		image.UpdatedAt, image.Generation = image.UploadSeen, image.Generation+1
		_, err = tx.Update(ctx, &image, "generation", "status", "upload", "upload_seen", "updated_at")
		if err != nil {
			return err
		}
		return emit(ctx, tx, "image.prepare", image)
	})
	if err != nil {
		return Image{}, fmt.Errorf("begin upload of image %s: %w", id, err)
	}
	return image, nil
}

// describedEnough tells whether bytes may follow.
func (i Image) describedEnough() error {
	switch {
	case i.DiskFormat == "" && i.ContainerFormat == "":
		return errs.BadRequestf("Properties disk_format, container_format must be set prior to saving data.")
	case i.DiskFormat == "":
		return errs.BadRequestf("Property disk_format must be set prior to saving data.")
	case i.ContainerFormat == "":
		return errs.BadRequestf("Property container_format must be set prior to saving data.")
	}
	return nil
}

// endUpload makes an image free again after a failed upload.
func (s *Service) endUpload(ctx context.Context, image Image) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE images SET status = ?, upload = '', generation = generation + 1, updated_at = ? WHERE id = ? AND upload = ?`,
			Queued, db.At(tx.Now()), image.ID, image.Upload)
		return err
	})
	if err != nil {
		return fmt.Errorf("end upload of image %s: %w", image.ID, err)
	}
	return nil
}

func (s *Service) receiveBytes(ctx context.Context, image Image, to blob.Store, key string, bytes io.Reader, take func(*Image, string, measured)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beating := make(chan struct{})
	go func(id, upload string) {
		defer close(beating)
		s.beat(ctx, id, upload)
	}(image.ID, image.Upload)
	defer func() { cancel(); <-beating }()

	from := &client{r: bytes}
	m, err := put(ctx, to, key, from)
	if from.err != nil {
		return errs.BadRequestf("The upload of image %s ended before all its bytes had come.", image.ID).Because(from.err)
	}
	if err != nil {
		return fmt.Errorf("store image %s: %w", image.ID, err)
	}
	take(&image, key, m)
	err = s.finish(ctx, image)
	if err != nil {
		return errors.Join(err, to.Remove(context.WithoutCancel(ctx), key))
	}
	return nil
}

// client remembers that it was the sender who failed, not the store.
type client struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (c *client) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// TooLarge is the error for more bytes than an image may have.
func TooLarge(size int64) error {
	return errs.TooLargef("The incoming image is too large: %d bytes are more than the limit of %d.", size, int64(MaxSize))
}

// finish makes what was uploaded or imported the image's, provided nobody has
// deleted it or given the upload up.
func (s *Service) finish(ctx context.Context, image Image) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error { return finishUpload(ctx, tx, image) })
	if err != nil {
		return fmt.Errorf("finish upload of image %s: %w", image.ID, err)
	}
	return nil
}

func finishUpload(ctx context.Context, tx *db.Tx, image Image) error {
	n, err := tx.Exec(ctx, `
		UPDATE images SET status = ?, disk_format = ?, blob = ?, stores = ?, staged = ?, import = ?, size = ?, virtual_size = ?,
			checksum = ?, hash_value = ?, content = ?, upload = '', generation = generation + 1, updated_at = ?
		WHERE id = ? AND upload = ?`,
		image.Status, image.DiskFormat, image.Blob, image.Stores, image.Staged, image.Import, image.Size, image.VirtualSize,
		image.Checksum, image.HashValue, image.Content, db.At(tx.Now()),
		image.ID, image.Upload)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Gone, "Image %s could not be found after upload. The image may have been deleted during the upload.", image.ID)
	}
	if image.Status != Active {
		return nil
	}
	now, err := find(ctx, tx, image.ID) // others may have changed its name meanwhile
	if err != nil {
		return err
	}
	return errors.Join(emit(ctx, tx, "image.upload", now), emit(ctx, tx, "image.activate", now))
}

// beat shows that the upload is alive until the context ends.
func (s *Service) beat(ctx context.Context, id, upload string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.clock.After(uploadBeat):
		}
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE images SET upload_seen = ? WHERE id = ? AND upload = ?", db.At(tx.Now()), id, upload)
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("upload cannot show life", "image_id", id, "error", err)
		}
	}
}

// giveUpUploads queues images again whose upload has died with its process.
func (s *Service) giveUpUploads(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE images SET status = ?, upload = '', generation = generation + 1, updated_at = ?
			WHERE status IN (?, ?) AND upload <> '' AND upload_seen < ?`,
			Queued, db.At(tx.Now()), Saving, Uploading, db.At(tx.Now().Add(-uploadDead)))
		return err
	})
}
