package image

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// Loops are what the service keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "image.uploads", Every: 10 * time.Second, Once: s.giveUpUploads},
		{Name: "image.blobs", Every: 10 * time.Minute, Once: s.sweepBlobs},
		{Name: "image.tasks", Every: 10 * time.Minute, Once: s.forgetTasks},
		{Name: "image.cache", Every: 5 * time.Second, Once: s.fillCache},
	}
}

// sweepBlobs removes blobs that belong to no image, no upload and no import.
func (s *Service) sweepBlobs(ctx context.Context) error {
	// The keys first: a blob that appears after this list has an upload in the
	// database by the time we read that.
	found := map[string][]string{}
	for _, store := range s.stores {
		for _, prefix := range []string{blobPrefix, stagedPrefix} {
			err := store.Blobs.List(ctx, prefix, func(key string) error {
				found[store.ID] = append(found[store.ID], key)
				return nil
			})
			if err != nil {
				return fmt.Errorf("list image blobs: %w", err)
			}
		}
	}
	var images []Image
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &images, "SELECT blob, stores, upload, staged, import FROM images")
	})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	owners := map[string]Image{}
	for _, i := range images {
		for _, key := range []string{i.Blob, i.Staged, blobPrefix + i.Upload, stagedPrefix + i.Upload} {
			owners[key] = i
		}
	}
	for id, keys := range found {
		for _, key := range keys {
			owner, owned := owners[key]
			if owned && owner.keeps(id, key) {
				continue
			}
			err := s.removeBlob(ctx, id, key)
			if err != nil {
				return fmt.Errorf("remove blob %s: %w", key, err)
			}
		}
	}
	return s.CleanCache(ctx)
}

// keeps tells whether a blob of the image may be in the store.
func (i Image) keeps(store, key string) bool {
	if key != i.Blob || slices.Contains(i.Stores.V, store) {
		return true
	}
	return i.Import.V != nil && i.Import.V.Task != "" && slices.Contains(i.Import.V.To, store)
}
