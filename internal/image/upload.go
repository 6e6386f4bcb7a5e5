package image

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
	"nacre/internal/loop"
)

const (
	// MaxSize is the largest image: 1 TiB, Glance's default cap.
	MaxSize = 1 << 40
	// uploadBeat is how often an upload shows life, uploadDead when it is given up.
	uploadBeat = 5 * time.Second
	uploadDead = 30 * time.Second

	blobPrefix = "images/"
)

// Upload stores the bytes of a queued image and makes it active. A failed
// upload leaves it queued.
func (s *Service) Upload(ctx context.Context, id string, bytes io.Reader) error {
	image, err := s.beginUpload(ctx, id)
	if err != nil {
		return err
	}
	err = s.store(ctx, image, bytes)
	if err == nil {
		return nil
	}
	// The caller may be gone, the image must become free all the same.
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), uploadDead)
	defer cancel()
	return errors.Join(err, s.endUpload(free, image))
}

func (s *Service) beginUpload(ctx context.Context, id string) (Image, error) {
	var image Image
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, id)
		if err != nil {
			return err
		}
		if image.DiskFormat == "" || image.ContainerFormat == "" {
			return errs.BadRequestf("Properties disk_format, container_format must be set prior to saving data.")
		}
		if image.Status != Queued {
			return errs.Conflictf("Image status transition from %s to saving is not allowed", image.Status)
		}
		image.Status, image.Upload, image.UploadSeen = Saving, clock.UUID(), db.At(tx.Now())
		image.UpdatedAt = image.UploadSeen
		_, err = tx.Update(ctx, &image, "status", "upload", "upload_seen", "updated_at")
		return err
	})
	if err != nil {
		return Image{}, fmt.Errorf("begin upload of image %s: %w", id, err)
	}
	return image, nil
}

// endUpload makes an image free again after a failed upload.
func (s *Service) endUpload(ctx context.Context, image Image) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE images SET status = ?, upload = '', updated_at = ? WHERE id = ? AND upload = ?`,
			Queued, db.At(tx.Now()), image.ID, image.Upload)
		return err
	})
	if err != nil {
		return fmt.Errorf("end upload of image %s: %w", image.ID, err)
	}
	return nil
}

// store puts the bytes under the upload's own key and then makes them the
// image's. If we stop in between, the sweep removes the blob.
func (s *Service) store(ctx context.Context, image Image, bytes io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		s.beat(ctx, image)
	}()
	defer func() { cancel(); <-beating }()

	look := inspect.New()
	sum, hash := md5.New(), sha512.New()
	key := blobPrefix + image.ID + "/" + image.Upload
	limited := &io.LimitedReader{R: bytes, N: MaxSize + 1}
	size, err := s.blobs.Put(ctx, key, io.TeeReader(limited, io.MultiWriter(look, sum, hash)))
	if err != nil {
		return fmt.Errorf("store image %s: %w", image.ID, err)
	}
	content := look.Result()
	err = acceptable(content, size)
	if err == nil {
		image.Content = db.Of(content)
		image.Checksum, image.HashValue = hex.EncodeToString(sum.Sum(nil)), hex.EncodeToString(hash.Sum(nil))
		image.Size, image.VirtualSize, image.Blob, image.Status = size, virtualSize(content, image.DiskFormat), key, Active
		err = s.finish(ctx, image)
	}
	if err != nil {
		return errors.Join(err, s.blobs.Remove(context.WithoutCancel(ctx), key))
	}
	return nil
}

// acceptable refuses what is recognised and dangerous. Bytes that are nothing
// at all pass here, and are refused where they are used.
func acceptable(content inspect.Result, size int64) error {
	if size > MaxSize {
		return errs.TooLargef("Image exceeds the storage limit of %d bytes.", int64(MaxSize))
	}
	err := content.Danger()
	if err != nil {
		return errs.BadRequestf("The image was refused: %s.", err)
	}
	return nil
}

// virtualSize is known when the content is what the image claims to be.
func virtualSize(content inspect.Result, diskFormat string) int64 {
	if content.Matches(diskFormat) != nil {
		return -1
	}
	return content.VirtualSize
}

func (s *Service) finish(ctx context.Context, image Image) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `
			UPDATE images SET status = ?, blob = ?, size = ?, virtual_size = ?, checksum = ?, hash_value = ?, content = ?,
				upload = '', generation = generation + 1, updated_at = ?
			WHERE id = ? AND upload = ?`,
			image.Status, image.Blob, image.Size, image.VirtualSize, image.Checksum, image.HashValue, image.Content,
			db.At(tx.Now()), image.ID, image.Upload)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.Gone, "Image %s was deleted, or its upload given up, before it was complete.", image.ID)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("finish upload of image %s: %w", image.ID, err)
	}
	return nil
}

// beat shows that the upload is alive until the context ends.
func (s *Service) beat(ctx context.Context, image Image) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.clock.After(uploadBeat):
		}
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE images SET upload_seen = ? WHERE id = ? AND upload = ?", db.At(tx.Now()), image.ID, image.Upload)
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("upload cannot show life", "image_id", image.ID, "error", err)
		}
	}
}

// Loops are what the service keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "image.uploads", Every: 10 * time.Second, Once: s.giveUpUploads},
		{Name: "image.blobs", Every: 10 * time.Minute, Once: s.sweepBlobs},
	}
}

// giveUpUploads queues images again whose upload has died with its process.
func (s *Service) giveUpUploads(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE images SET status = ?, upload = '', updated_at = ? WHERE status = ? AND upload_seen < ?`,
			Queued, db.At(tx.Now()), Saving, db.At(tx.Now().Add(-uploadDead)))
		return err
	})
}

// sweepBlobs removes blobs that belong to no image and no upload under way.
func (s *Service) sweepBlobs(ctx context.Context) error {
	// The keys first: a blob that appears after this list has an upload in the
	// database by the time we read that.
	var keys []string
	err := s.blobs.List(ctx, blobPrefix, func(key string) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list image blobs: %w", err)
	}
	var images []Image
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &images, "SELECT id, blob, upload FROM images")
	})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	known := map[string]bool{}
	for _, i := range images {
		known[i.Blob] = true
		known[strings.Join([]string{blobPrefix, i.ID, "/", i.Upload}, "")] = true
	}
	for _, key := range keys {
		if known[key] {
			continue
		}
		err := s.blobs.Remove(ctx, key)
		if err != nil {
			return fmt.Errorf("remove blob %s: %w", key, err)
		}
	}
	return nil
}
