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

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Place is where an object is. Container and Object may be empty where an
// account or a container is meant; Version is "" for the latest.
type Place struct{ Account, Container, Object, Version string }

// Object is one version of an object without its bytes.
type Object struct {
	bun.BaseModel `bun:"table:object_versions"`
	Account       string `bun:",pk"`
	Container     string `bun:",pk"`
	Name          string `bun:",pk"`
	Version       int64  `bun:",pk"`
	Latest        bool
	Unversioned   bool
	Marker        bool // a delete marker
	Size          int64
	Stored        int64  // bytes that it takes itself
	Etag          string // MD5 of the bytes, hex; of an upload in parts, MD5 of the MD5s and how many
	ContentType   string
	Meta          db.JSON[Meta]
	Headers       db.JSON[map[string]string] // further headers to serve it with
	Chunks        db.JSON[[]Chunk]
	Manifest      db.JSON[Manifest]
	Tags          db.JSON[map[string]string]
	ReadACL       string `bun:"read_acl"`
	DeleteAt      int64  // seconds since 1970, 0 for never
	DamagedAt     db.Time
	CreatedAt     db.Time
	UpdatedAt     db.Time
}

// Chunk is a blob with bytes of an object.
type Chunk struct {
	Blob string `json:"blob"`
	Size int64  `json:"size"`
	MD5  string `json:"md5"`
}

const (
	readTries = 5 // how often an object is looked for whose bytes went away

	statusClientGone = 499 // as Swift logs it; nobody is there to read it
)

// At is where the object is, its version included.
func (o Object) At() Place { return Place{o.Account, o.Container, o.Name, o.VersionID()} }

// alive tells whether clients see the version.
func (o Object) alive(now time.Time) bool {
	return !o.Marker && o.DamagedAt == 0 && (o.DeleteAt == 0 || o.DeleteAt > now.Unix())
}

// Condition decides by the present object, nil for none, whether a change goes
// ahead. It may run several times.
type Condition func(present *Object) error

// OnlyNew refuses to replace an object.
func OnlyNew(present *Object) error {
	if present != nil {
		return errs.New(errs.Precondition, "A precondition for this request was not met.")
	}
	return nil
}

// Put stores an object. When its Etag is set, the bytes must have that MD5. It
// returns the object as stored.
func (s *Service) Put(ctx context.Context, o Object, condition Condition, bytes io.Reader) (Object, error) {
	fail := func(err error) (Object, error) {
		return Object{}, fmt.Errorf("put object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	err := s.ready(ctx, o, condition)
	if err != nil {
		return fail(err)
	}
	chunk, err := s.write(ctx, o.Etag, bytes)
	if err != nil {
		// The row in object_blobs stays: the sweep removes whatever was written.
		return fail(err)
	}
	o.Etag, o.Size, o.Stored = chunk.MD5, chunk.Size, chunk.Size
	if chunk.Blob != "" {
		o.Chunks = db.Of([]Chunk{chunk})
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := own(ctx, tx, o.Chunks.V)
		if err != nil {
			return err
		}
		return place(ctx, tx, &o, condition)
	})
	if err != nil {
		return fail(err)
	}
	return o, nil
}

// ready refuses, before a byte is read, what could not be stored anyway.
func (s *Service) ready(ctx context.Context, o Object, condition Condition) error {
	err := o.Meta.V.Check()
	if err != nil || condition == nil {
		return err
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		present, err := present(ctx, tx, o, s.clock.Now())
		if err != nil {
			return err
		}
		return condition(present)
	})
}

func present(ctx context.Context, tx *db.Tx, o Object, now time.Time) (*Object, error) {
	old, err := latest(ctx, tx, o.Account, o.Container, o.Name)
	if err != nil || old == nil || !old.alive(now) {
		return nil, err
	}
	return old, nil
}

// write stores bytes as a blob that is still nobody's. Nothing is stored for no
// bytes, and then the chunk has no blob.
func (s *Service) write(ctx context.Context, etag string, bytes io.Reader) (Chunk, error) {
	sum := md5.New()
	first := &peek{r: bytes}
	if first.empty() {
		return checked(Chunk{MD5: hex.EncodeToString(sum.Sum(nil))}, etag)
	}
	key, seen, err := s.announce(ctx)
	if err != nil {
		return Chunk{}, err
	}
	from := &client{
		r: io.LimitReader(first, MaxObjectSize+1), next: seen.Add(writeBeat), now: s.clock.Now,
		beat: func() (time.Time, error) { return s.clock.Now().Add(writeBeat), s.touch(ctx, key) },
	}
	size, err := s.blobs.Put(ctx, key, io.TeeReader(from, sum))
	switch {
	case from.err != nil:
		_, classified := errs.As(from.err)
		if classified {
			return Chunk{}, from.err // what was sent is not what was signed
		}
		return Chunk{}, errs.New(statusClientGone, "The client was disconnected during request.").Because(from.err)
	case err != nil:
		return Chunk{}, err
	case size > MaxObjectSize:
		return Chunk{}, sentence(errs.TooLarge, "Your request is too large.")
	}
	return checked(Chunk{Blob: key, Size: size, MD5: hex.EncodeToString(sum.Sum(nil))}, etag)
}

// checked refuses bytes that have not the MD5 that was announced, if any was.
func checked(chunk Chunk, etag string) (Chunk, error) {
	if etag != "" && etag != chunk.MD5 {
		return Chunk{}, errs.New(errs.Unprocessable, "Unable to process the contained instructions")
	}
	return chunk, nil
}

// Place makes an object visible that has no bytes of its own.
func (s *Service) Place(ctx context.Context, o Object, condition Condition) (Object, error) {
	err := o.Meta.V.Check()
	if err != nil {
		return Object{}, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error { return place(ctx, tx, &o, condition) })
	return o, err
}

func place(ctx context.Context, tx *db.Tx, o *Object, condition Condition) error {
	c, err := findContainer(ctx, tx, o.Account, o.Container)
	if err != nil {
		return err
	}
	if condition != nil {
		present, err := present(ctx, tx, *o, tx.Now())
		if err != nil {
			return err
		}
		err = condition(present)
		if err != nil {
			return err
		}
	}
	var t tally
	err = retire(ctx, tx, c, o, &t)
	if err != nil {
		return err
	}
	t.objects, t.bytes = t.objects+1, t.bytes+o.Stored
	err = checkQuota(ctx, tx, c, t.objects, t.bytes)
	if err != nil {
		return err
	}
	o.UpdatedAt, o.CreatedAt = db.At(tx.Now()), db.At(tx.Now())
	o.Latest, o.Unversioned, o.Marker, o.DamagedAt = true, c.Settings.V.Versioning != Enabled, false, 0
	err = count(ctx, tx, o.Account, o.Container, t.objects, t.bytes)
	if err != nil {
		return err
	}
	return tx.Insert(ctx, o)
}

// tally is what a change does to the totals of one container.
type tally struct{ objects, bytes int64 }

// Object returns an object without its bytes.
func (s *Service) Object(ctx context.Context, p Place) (Object, error) {
	var o Object
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		o, err = find(ctx, tx, p, s.clock.Now())
		return err
	})
	return o, err
}

// Update changes an object's row but not its bytes: metadata, headers, type,
// expiry, tags, access.
func (s *Service) Update(ctx context.Context, p Place, change func(o *Object) error) (Object, error) {
	var o Object
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		o, err = find(ctx, tx, p, tx.Now())
		if err != nil {
			return err
		}
		err = change(&o)
		if err != nil {
			return err
		}
		err = o.Meta.V.Check()
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &o, "meta", "headers", "content_type", "manifest", "tags", "read_acl", "delete_at", "updated_at")
		return err
	})
	if err != nil {
		return Object{}, fmt.Errorf("change object %s/%s/%s: %w", p.Account, p.Container, p.Object, err)
	}
	return o, nil
}

// find returns what clients see at a place.
func find(ctx context.Context, tx *db.Tx, p Place, now time.Time) (Object, error) {
	o, err := lookup(ctx, tx, p)
	if err != nil {
		return Object{}, err
	}
	if !o.alive(now) {
		return Object{}, errNotFound()
	}
	return o, nil
}

// lookup returns the row at a place, be it a marker or expired.
func lookup(ctx context.Context, tx *db.Tx, p Place) (Object, error) {
	which, err := versionIs(p.Version)
	if err != nil {
		return Object{}, err
	}
	var o Object
	args := append([]any{p.Account, p.Container, p.Object}, which.args...)
	err = tx.Get(ctx, &o, "SELECT * FROM object_versions WHERE account = ? AND container = ? AND name = ? AND "+which.sql+tx.Hold(), args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Object{}, errNotFound()
	}
	if err != nil {
		return Object{}, fmt.Errorf("read object %s/%s/%s: %w", p.Account, p.Container, p.Object, err)
	}
	return o, nil
}

// latest returns the latest version of a name, nil for none.
func latest(ctx context.Context, tx *db.Tx, account, container, name string) (*Object, error) {
	o, err := lookup(ctx, tx, Place{account, container, name, ""})
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}
