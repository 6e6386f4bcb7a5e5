package object

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/blob"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
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
	writeBeat = 20 * time.Second // how often a writer shows life
	writeDead = 2 * time.Minute  // when it is given up
)

// Put stores an object. When its Etag is set, the bytes must have that MD5. With
// onlyNew an existing object is errs.Precondition. It returns the object as
// stored.
func (s *Service) Put(ctx context.Context, o Object, onlyNew bool, bytes io.Reader) (Object, error) {
	_, err := s.Container(ctx, o.Account, o.Container)
	if err != nil {
		return Object{}, err
	}
	o.Blob = "objects/" + clock.UUID()
	err = s.touch(ctx, o.Blob)
	if err != nil {
		return Object{}, err
	}
	stored, err := s.store(ctx, o, onlyNew, bytes)
	if err != nil {
		// The row in object_blobs stays: the sweep removes whatever was written.
		return Object{}, fmt.Errorf("put object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	return stored, nil
}

// touch announces a blob that is being written, or says that it still is.
func (s *Service) touch(ctx context.Context, key string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO object_blobs (blob, seen) VALUES (?, ?)
			ON CONFLICT (blob) DO UPDATE SET seen = EXCLUDED.seen`, key, db.At(tx.Now()))
		return err
	})
}

func (s *Service) store(ctx context.Context, o Object, onlyNew bool, bytes io.Reader) (Object, error) {
	sum := md5.New()
	alive := &beating{r: io.TeeReader(io.LimitReader(bytes, MaxObjectSize+1), sum), next: s.clock.Now().Add(writeBeat), beat: func() (time.Time, error) {
		return s.clock.Now().Add(writeBeat), s.touch(ctx, o.Blob)
	}, now: s.clock.Now}
	size, err := s.blobs.Put(ctx, o.Blob, alive)
	if err != nil {
		return Object{}, err
	}
	if size > MaxObjectSize {
		return Object{}, errs.TooLargef("The object is larger than %d bytes.", int64(MaxObjectSize))
	}
	etag := hex.EncodeToString(sum.Sum(nil))
	if o.Etag != "" && o.Etag != etag {
		return Object{}, errs.New(errs.Unprocessable, "Unprocessable Entity: the bytes have the MD5 %s, the request says %s.", etag, o.Etag)
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
		return errs.New(errs.Precondition, "Precondition Failed: the object %s exists.", o.Name)
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
		return errs.NotFoundf("The resource could not be found: there is no container %s.", o.Container)
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

// Open reads the bytes of an object.
func (s *Service) Open(ctx context.Context, o Object) (blob.Reader, error) {
	return s.blobs.Open(ctx, o.Blob)
}

// SetMeta replaces the metadata of an object, as POST does.
func (s *Service) SetMeta(ctx context.Context, o Object) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		o.UpdatedAt = db.At(tx.Now())
		n, err := tx.Update(ctx, &o, "meta", "headers", "content_type", "updated_at")
		if err == nil && n == 0 {
			return objectNotFound(o.Name)
		}
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
	err := tx.Get(ctx, &o, "SELECT * FROM objects WHERE account = ? AND container = ? AND name = ?", account, container, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Object{}, objectNotFound(name)
	}
	if err != nil {
		return Object{}, fmt.Errorf("read object %s/%s/%s: %w", account, container, name, err)
	}
	return o, nil
}

func objectNotFound(name string) error {
	return errs.NotFoundf("The resource could not be found: there is no object %s.", name)
}

// beating shows life while a slow client sends.
type beating struct {
	r    io.Reader
	next time.Time
	now  func() time.Time
	beat func() (next time.Time, err error)
}

// Read implements io.Reader.
func (b *beating) Read(p []byte) (int, error) {
	if b.now().After(b.next) {
		next, err := b.beat()
		if err != nil {
			return 0, err
		}
		b.next = next
	}
	return b.r.Read(p)
}

// Loops are what the service keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{{Name: "object.sweep", Every: 30 * time.Second, Once: s.sweep}}
}

// sweep removes blobs that no object names: of replaced and deleted objects,
// and of writers that died.
func (s *Service) sweep(ctx context.Context) error {
	var keys []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &keys, "SELECT blob FROM object_blobs WHERE seen < ?", db.At(tx.Now().Add(-writeDead)))
	})
	if err != nil {
		return fmt.Errorf("list garbage: %w", err)
	}
	for _, key := range keys {
		// The bytes first: if we stop here, the row brings us back.
		err := s.blobs.Remove(ctx, key)
		if err != nil {
			return fmt.Errorf("remove blob %s: %w", key, err)
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM object_blobs WHERE blob = ?", key)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget blob %s: %w", key, err)
		}
	}
	return nil
}
