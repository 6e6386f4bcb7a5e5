package image

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
		if image.Status != Queued {
			return errs.Conflictf("Image status transition from %s to saving is not allowed", image.Status)
		}
		err = image.describedEnough()
		if err != nil {
			return err
		}
		image.Status, image.Upload, image.UploadSeen = Saving, clock.UUID(), db.At(tx.Now())
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

// store puts the bytes under the upload's own key and then makes them the
// image's. If we stop in between, the sweep removes the blob.
func (s *Service) store(ctx context.Context, image Image, bytes io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beating := make(chan struct{})
	go func(id, upload string) {
		defer close(beating)
		s.beat(ctx, id, upload)
	}(image.ID, image.Upload)
	defer func() { cancel(); <-beating }()

	look := inspect.New()
	sum, hash := md5.New(), sha512.New()
	key := blobPrefix + image.Upload
	limited := &io.LimitedReader{R: bytes, N: MaxSize + 1}
	from := &client{r: limited}
	size, err := s.blobs.Put(ctx, key, io.TeeReader(from, io.MultiWriter(look, sum, hash)))
	if from.err != nil {
		return errs.BadRequestf("The upload of image %s ended before all its bytes had come.", image.ID).Because(from.err)
	}
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

// acceptable refuses what is recognised and dangerous. Bytes that are nothing
// at all pass here, and are refused where they are used.
func acceptable(content inspect.Result, size int64) error {
	if size > MaxSize {
		return TooLarge(size)
	}
	err := content.Danger()
	if err != nil {
		return errs.New(errs.UnsupportedMedia, "Image content was refused: %s.", err)
	}
	return nil
}

// TooLarge is the error for more bytes than an image may have.
func TooLarge(size int64) error {
	return errs.TooLargef("The incoming image is too large: %d bytes are more than the limit of %d.", size, int64(MaxSize))
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
		image.UpdatedAt = db.At(tx.Now())
		n, err := tx.Exec(ctx, `
			UPDATE images SET status = ?, blob = ?, size = ?, virtual_size = ?, checksum = ?, hash_value = ?, content = ?,
				upload = '', generation = generation + 1, updated_at = ?
			WHERE id = ? AND upload = ?`,
			image.Status, image.Blob, image.Size, image.VirtualSize, image.Checksum, image.HashValue, image.Content,
			image.UpdatedAt, image.ID, image.Upload)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.Gone, "Image %s could not be found after upload. The image may have been deleted during the upload.", image.ID)
		}
		now, err := find(ctx, tx, image.ID) // others may have changed its name meanwhile
		if err != nil {
			return err
		}
		return errors.Join(emit(ctx, tx, "image.upload", now), emit(ctx, tx, "image.activate", now))
	})
	if err != nil {
		return fmt.Errorf("finish upload of image %s: %w", image.ID, err)
	}
	return nil
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
		_, err := tx.Exec(ctx, `UPDATE images SET status = ?, upload = '', generation = generation + 1, updated_at = ? WHERE status = ? AND upload_seen < ?`,
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
		return tx.All(ctx, &images, "SELECT blob, upload FROM images")
	})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	known := map[string]bool{}
	for _, i := range images {
		known[i.Blob] = true
		known[blobPrefix+i.Upload] = true
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
