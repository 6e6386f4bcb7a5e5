package image

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"nacre/internal/blob"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
)

// Store is one place that keeps the bytes of images. An image may be in several;
// its bytes have the same key in each.
type Store struct {
	ID          string
	Description string
	Type        string         // file
	Properties  map[string]any // what administrators are told of it
	Blobs       blob.Store
}

// locator is a store whose blobs are files that programs can read.
type locator interface {
	// Path is where the bytes of a blob are.
	Path(key string) (string, error)
}

// Stores lists the stores, the default one first.
func (s *Service) Stores() []Store { return s.stores }

// StoreIDs are the ids of the stores.
func (s *Service) StoreIDs() []string {
	ids := make([]string, len(s.stores))
	for i, store := range s.stores {
		ids[i] = store.ID
	}
	return ids
}

// store finds a store; "" is the default one.
func (s *Service) store(id string) (Store, error) {
	if id == "" {
		return s.stores[0], nil
	}
	at := slices.IndexFunc(s.stores, func(store Store) bool { return store.ID == id })
	if at < 0 {
		return Store{}, fmt.Errorf("there is no store %s any more", id)
	}
	return s.stores[at], nil
}

// CheckStore is an error for users unless there is a store of that id.
func (s *Service) CheckStore(id string) error {
	if !slices.Contains(s.StoreIDs(), id) {
		return errs.BadRequestf("Store for identifier %s not found", id)
	}
	return nil
}

// Open reads the image's bytes: those of the cache, or of the first store that
// has them. None is fs.ErrNotExist.
func (s *Service) Open(ctx context.Context, i Image) (blob.Reader, error) {
	cached, err := s.openCached(ctx, i)
	if err != nil || cached != nil {
		return cached, err
	}
	return s.openStored(ctx, i)
}

func (s *Service) openStored(ctx context.Context, i Image) (blob.Reader, error) {
	for _, id := range i.Stores.V {
		store, err := s.store(id)
		if err == nil {
			return store.Blobs.Open(ctx, i.Blob)
		}
	}
	return nil, fmt.Errorf("image %s is in no store that is there: %v", i.ID, i.Stores.V)
}

// Path is a file with the image's bytes, for programs that read files.
func (s *Service) Path(i Image) (string, error) {
	for _, id := range i.Stores.V {
		store, err := s.store(id)
		files, ok := store.Blobs.(locator)
		if err == nil && ok {
			return files.Path(i.Blob)
		}
	}
	return "", fmt.Errorf("image %s is in no store of files: %v", i.ID, i.Stores.V)
}

// Location is where a copy of an image's bytes is.
type Location struct {
	Store string
	URL   string
}

// Locations lists where the image's bytes are.
func (s *Service) Locations(i Image) []Location {
	list := []Location{}
	for _, id := range i.Stores.V {
		l := Location{Store: id, URL: "nacre://" + id + "/" + i.Blob}
		store, err := s.store(id)
		files, ok := store.Blobs.(locator)
		if i.Blob == "" || err != nil {
			continue
		}
		if ok {
			path, err := files.Path(i.Blob)
			if err == nil {
				l.URL = "file://" + path
			}
		}
		list = append(list, l)
	}
	return list
}

// RemoveFrom takes the image's bytes out of one store. They go after the name
// of the store: if we stop in between, the sweep removes them.
func (s *Service) RemoveFrom(ctx context.Context, id, store string) error {
	image, err := s.change(ctx, id, func(i *Image) error {
		at := slices.Index(i.Stores.V, store)
		switch {
		case i.Status != Active:
			return errs.Conflictf("It's not allowed to remove locations if image status is %s.", i.Status)
		case i.Import.V != nil && i.Import.V.Task != "":
			return errs.Conflictf("Image has active task")
		case at < 0:
			return errs.NotFoundf("Image %s is not stored in store %s.", id, store)
		case len(i.Stores.V) == 1:
			return errs.Forbiddenf("Cannot delete image data from the only store containing it. Consider deleting the image instead.")
		}
		i.Stores = db.Of(slices.Delete(slices.Clone(i.Stores.V), at, at+1))
		return nil
	})
	if err != nil {
		return err
	}
	return s.removeBlob(ctx, store, image.Blob)
}

// removeBlob removes bytes from a store that may be gone.
func (s *Service) removeBlob(ctx context.Context, id, key string) error {
	store, err := s.store(id)
	if err != nil || key == "" {
		return nil
	}
	return store.Blobs.Remove(ctx, key)
}

// measured is what came of bytes while they were stored.
type measured struct {
	Size      int64
	Checksum  string // MD5 in hex
	HashValue string // SHA-512 in hex
	Content   inspect.Result
}

// put stores bytes and looks at them while they go by. What is dangerous, or too
// large, is not kept.
func put(ctx context.Context, to blob.Store, key string, bytes io.Reader) (measured, error) {
	look := inspect.New()
	sum, hash := md5.New(), sha512.New()
	limited := &io.LimitedReader{R: bytes, N: MaxSize + 1}
	size, err := to.Put(ctx, key, io.TeeReader(limited, io.MultiWriter(look, sum, hash)))
	if err != nil {
		return measured{}, err
	}
	m := measured{Size: size, Checksum: hex.EncodeToString(sum.Sum(nil)), HashValue: hex.EncodeToString(hash.Sum(nil)), Content: look.Result()}
	err = acceptable(m.Content, size)
	if err != nil {
		return measured{}, errors.Join(err, to.Remove(context.WithoutCancel(ctx), key))
	}
	return m, nil
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

// fill writes what was measured into an image that becomes active.
func (m measured) fill(i *Image, key string, stores []string) {
	i.Size, i.Checksum, i.HashValue, i.Content = m.Size, m.Checksum, m.HashValue, db.Of(m.Content)
	i.VirtualSize, i.Blob, i.Stores, i.Status = virtualSize(m.Content, i.DiskFormat), key, db.Of(stores), Active
}

// virtualSize is known when the content is what the image claims to be.
func virtualSize(content inspect.Result, diskFormat string) int64 {
	if content.Matches(diskFormat) != nil {
		return -1
	}
	return content.VirtualSize
}
