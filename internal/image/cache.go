package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/uptrace/bun"

	"nacre/internal/blob"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

// cachePrefix is that of the copies' keys.
const cachePrefix = "cache/"

// Cached is a copy of an image near to those who download it, or the wish for
// one. Administrators ask for it where stores are far away.
type Cached struct {
	bun.BaseModel `bun:"table:image_cache"`

	Image     string  `bun:",pk"` // id
	Blob      string  // key in the cache; "" while it waits
	Size      int64   //
	Hits      int64   // downloads
	CreatedAt db.Time //
	UpdatedAt db.Time //
	UsedAt    db.Time //
}

// CacheState lists the copies, those that wait too, in the order of their wishes.
func (s *Service) CacheState(ctx context.Context) (list []Cached, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT * FROM image_cache ORDER BY created_at, image")
	})
	if err != nil {
		return nil, fmt.Errorf("list cached images: %w", err)
	}
	return list, nil
}

// CacheImage asks for a copy. A loop makes it.
func (s *Service) CacheImage(ctx context.Context, i Image) error {
	if i.Status != Active {
		return errs.BadRequestf("Only images with status active can be targeted for queueing")
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		now := db.At(tx.Now())
		_, err := tx.Exec(ctx, `
			INSERT INTO image_cache (image, blob, size, hits, created_at, updated_at, used_at) VALUES (?, '', ?, 0, ?, ?, 0)
			ON CONFLICT (image) DO NOTHING`, i.ID, i.Size, now, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue image %s for the cache: %w", i.ID, err)
	}
	return nil
}

// dropCached forgets the copies that the condition is true of, and returns them.
// Their bytes go afterwards: if we stop in between, CleanCache removes them.
func (s *Service) dropCached(ctx context.Context, where string, args ...any) (gone []Cached, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		gone = nil
		return tx.All(ctx, &gone, "DELETE FROM image_cache WHERE "+where+" RETURNING *", args...)
	})
	for _, c := range gone {
		if c.Blob != "" && err == nil {
			err = s.cache.Remove(ctx, c.Blob)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("clear the cache of images: %w", err)
	}
	return gone, nil
}

// DropCached forgets one image's copy.
func (s *Service) DropCached(ctx context.Context, id string) error {
	gone, err := s.dropCached(ctx, "image = ?", id)
	if err == nil && len(gone) == 0 {
		return errs.NotFoundf("Image %s not found.", id)
	}
	return err
}

// ClearCache forgets the copies, the wishes, or both.
func (s *Service) ClearCache(ctx context.Context, copies, wishes bool) error {
	var err error
	if copies {
		_, err = s.dropCached(ctx, "blob <> ''")
	}
	if wishes && err == nil {
		_, err = s.dropCached(ctx, "blob = ''")
	}
	return err
}

// PruneCache forgets the copies that were not used for longest, until the rest
// is within the cache's size.
func (s *Service) PruneCache(ctx context.Context) (files int, bytes int64, err error) {
	list, err := s.CacheState(ctx)
	if err != nil {
		return 0, 0, err
	}
	var total int64
	for _, c := range list {
		if c.Blob != "" {
			total += c.Size
		}
	}
	for total > s.cacheSize {
		gone, err := s.dropCached(ctx, "image = (SELECT image FROM image_cache WHERE blob <> '' ORDER BY used_at, image LIMIT 1)")
		if err != nil || len(gone) == 0 {
			return files, bytes, err
		}
		files, bytes, total = files+1, bytes+gone[0].Size, total-gone[0].Size
	}
	return files, bytes, nil
}

// CleanCache removes bytes that belong to no copy, and copies without bytes.
func (s *Service) CleanCache(ctx context.Context) error {
	there := map[string]bool{}
	err := s.cache.List(ctx, cachePrefix, func(key string) error {
		there[key] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the cache of images: %w", err)
	}
	list, err := s.CacheState(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		switch {
		case c.Blob != "" && !there[c.Blob]:
			_, err = s.dropCached(ctx, "image = ?", c.Image)
			if err != nil {
				return err
			}
		default:
			// One that waits may have its bytes already, and be noted in a moment.
			delete(there, cachePrefix+c.Image)
		}
	}
	for key := range there {
		err = s.cache.Remove(ctx, key)
		if err != nil {
			return fmt.Errorf("clean the cache of images: %w", err)
		}
	}
	return nil
}

// fillCache copies the images that wait, and keeps the cache within its size.
func (s *Service) fillCache(ctx context.Context) error {
	list, err := s.CacheState(ctx)
	if err != nil {
		return err
	}
	copied := false
	for _, c := range list {
		if c.Blob != "" {
			continue
		}
		err = s.copyToCache(ctx, c)
		if err != nil {
			return fmt.Errorf("cache image %s: %w", c.Image, err)
		}
		loop.Did(ctx, "image_id", c.Image)
		copied = true
	}
	if copied {
		_, _, err = s.PruneCache(ctx)
	}
	return err
}

func (s *Service) copyToCache(ctx context.Context, c Cached) error {
	var image Image
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		image, err = find(ctx, tx, c.Image)
		return err
	})
	if errs.Is(err, errs.NotFound) {
		_, err = s.dropCached(ctx, "image = ?", c.Image)
		return err
	}
	if err != nil {
		return err
	}
	from, err := s.openStored(ctx, image)
	if err != nil {
		return err
	}
	defer from.Close()
	key := cachePrefix + c.Image
	m, err := put(ctx, s.cache, key, from)
	if err == nil {
		err = (&Expected{HashValue: image.HashValue}).check(m)
	}
	if err != nil {
		return err
	}
	var n int64
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		n, err = tx.Exec(ctx, "UPDATE image_cache SET blob = ?, size = ?, updated_at = ?, used_at = ? WHERE image = ? AND blob = ''",
			key, m.Size, db.At(tx.Now()), db.At(tx.Now()), c.Image)
		return err
	})
	if err == nil && n == 0 { // dropped meanwhile
		err = s.cache.Remove(ctx, key)
	}
	return err
}

// openCached opens the image's copy, nil when there is none.
func (s *Service) openCached(ctx context.Context, i Image) (blob.Reader, error) {
	var list []Cached
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT * FROM image_cache WHERE image = ? AND blob <> ''", i.ID)
	})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	reader, err := s.cache.Open(ctx, list[0].Blob)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open cached image %s: %w", i.ID, err)
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE image_cache SET hits = hits + 1, used_at = ? WHERE image = ?", db.At(tx.Now()), i.ID)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return reader, nil
}
