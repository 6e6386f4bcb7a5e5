package object

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/blob"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Object is one object without its bytes.
type Object struct {
	bun.BaseModel `bun:"table:objects"`
	Account       string `bun:",pk"`
	Container     string `bun:",pk"`
	Name          string `bun:",pk"`
	Size          int64
	Etag          string // MD5 of the bytes, hex
	ContentType   string
	Meta          db.JSON[Meta]
	Headers       db.JSON[map[string]string] // further headers to serve it with
	Blob          string
	UpdatedAt     db.Time
}

const (
	readTries = 5 // how often an object is looked for whose bytes went away

	statusClientGone = 499 // as Swift logs it; nobody is there to read it
)

// Put stores an object. When its Etag is set, the bytes must have that MD5. With
// onlyNew an existing object is errs.Precondition. It returns the object as
// stored.
func (s *Service) Put(ctx context.Context, o Object, onlyNew bool, bytes io.Reader) (Object, error) {
	err := s.ready(ctx, o, onlyNew)
	if err != nil {
		return Object{}, err
	}
	key, seen, err := s.announce(ctx)
	if err != nil {
		return Object{}, fmt.Errorf("put object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	o.Blob = key
	stored, err := s.store(ctx, o, onlyNew, &client{
		r: io.LimitReader(bytes, MaxObjectSize+1), next: seen.Add(writeBeat), now: s.clock.Now,
		beat: func() (time.Time, error) { return s.clock.Now().Add(writeBeat), s.touch(ctx, key) },
	})
	if err != nil {
		// The row in object_blobs stays: the sweep removes whatever was written.
		return Object{}, fmt.Errorf("put object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	return stored, nil
}

// ready refuses, before a byte is read, what could not be stored anyway.
func (s *Service) ready(ctx context.Context, o Object, onlyNew bool) error {
	err := o.Meta.V.Check()
	if err != nil {
		return err
	}
	_, err = s.Container(ctx, o.Account, o.Container)
	if err != nil || !onlyNew {
		return err
	}
	_, err = s.Object(ctx, o.Account, o.Container, o.Name)
	if err == nil {
		return errExists()
	}
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func errExists() error {
	return errs.New(errs.Precondition, "A precondition for this request was not met.")
}

func (s *Service) store(ctx context.Context, o Object, onlyNew bool, from *client) (Object, error) {
	sum := md5.New()
	size, err := s.blobs.Put(ctx, o.Blob, io.TeeReader(from, sum))
	if from.err != nil {
		return Object{}, errs.New(statusClientGone, "The client was disconnected during request.").Because(from.err)
	}
	if err != nil {
		return Object{}, err
	}
	if size > MaxObjectSize {
		return Object{}, sentence(errs.TooLarge, "Your request is too large.")
	}
	etag := hex.EncodeToString(sum.Sum(nil))
	if o.Etag != "" && o.Etag != etag {
		return Object{}, errs.New(errs.Unprocessable, "Unable to process the contained instructions")
	}
	o.Etag, o.Size = etag, size
	err = s.db.Write(ctx, func(tx *db.Tx) error { return replace(ctx, tx, &o, onlyNew) })
	return o, err
}

// replace makes the object visible in place of an earlier one.
func replace(ctx context.Context, tx *db.Tx, o *Object, onlyNew bool) error {
	o.UpdatedAt = db.At(tx.Now())
	old, err := findObject(ctx, tx, o.Account, o.Container, o.Name)
	exists := err == nil
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if exists && onlyNew {
		return errExists()
	}
	_, err = tx.Exec(ctx, "DELETE FROM object_blobs WHERE blob = ?", o.Blob)
	if err != nil {
		return err
	}
	if exists {
		err = drop(ctx, tx, old)
		if err != nil {
			return err
		}
	}
	n, err := tx.Exec(ctx, "UPDATE object_containers SET objects = objects + 1, bytes = bytes + ? WHERE account = ? AND name = ?",
		o.Size, o.Account, o.Container)
	if err != nil {
		return err
	}
	if n == 0 {
		return errNotFound() // the container went meanwhile
	}
	return tx.Insert(ctx, o)
}

// drop removes the row, counts it off and announces its blob as garbage.
func drop(ctx context.Context, tx *db.Tx, o Object) error {
	_, err := tx.Exec(ctx, "DELETE FROM objects WHERE account = ? AND container = ? AND name = ?", o.Account, o.Container, o.Name)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE object_containers SET objects = objects - 1, bytes = bytes - ? WHERE account = ? AND name = ?",
		o.Size, o.Account, o.Container)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO object_blobs (blob, seen) VALUES (?, 0)", o.Blob)
	return err
}

// Object returns an object without its bytes.
func (s *Service) Object(ctx context.Context, account, container, name string) (Object, error) {
	var o Object
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		o, err = findObject(ctx, tx, account, container, name)
		return err
	})
	return o, err
}

// Read returns an object with its bytes. One that is replaced while we look is
// looked for again, since its former bytes may be gone.
func (s *Service) Read(ctx context.Context, account, container, name string) (Object, blob.Reader, error) {
	for try := 1; ; try++ {
		o, err := s.Object(ctx, account, container, name)
		if err != nil {
			return Object{}, nil, err
		}
		bytes, err := s.blobs.Open(ctx, o.Blob)
		if err == nil {
			return o, bytes, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == readTries {
			return Object{}, nil, fmt.Errorf("open object %s/%s/%s: %w", account, container, name, err)
		}
	}
}

// Update replaces the metadata of an object, as POST does. An empty content type
// leaves the one it has.
func (s *Service) Update(ctx context.Context, o Object) error {
	err := o.Meta.V.Check()
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		stored, err := findObject(ctx, tx, o.Account, o.Container, o.Name)
		if err != nil {
			return err
		}
		stored.Meta, stored.Headers, stored.UpdatedAt = o.Meta, o.Headers, db.At(tx.Now())
		if o.ContentType != "" {
			stored.ContentType = o.ContentType
		}
		_, err = tx.Update(ctx, &stored, "meta", "headers", "content_type", "updated_at")
		return err
	})
	if err != nil {
		return fmt.Errorf("change object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	return nil
}

// Delete removes an object. Its bytes go with the next sweep.
func (s *Service) Delete(ctx context.Context, account, container, name string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		o, err := findObject(ctx, tx, account, container, name)
		if err != nil {
			return err
		}
		return drop(ctx, tx, o)
	})
	if err != nil {
		return fmt.Errorf("delete object %s/%s/%s: %w", account, container, name, err)
	}
	return nil
}

func findObject(ctx context.Context, tx *db.Tx, account, container, name string) (Object, error) {
	var o Object
	err := tx.Get(ctx, &o, "SELECT * FROM objects WHERE account = ? AND container = ? AND name = ?"+tx.Hold(), account, container, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Object{}, errNotFound()
	}
	if err != nil {
		return Object{}, fmt.Errorf("read object %s/%s/%s: %w", account, container, name, err)
	}
	return o, nil
}
