package object

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Limits of uploads in parts.
const (
	MaxParts    = 10000
	MinPartSize = 5 << 20 // of all parts but the last
)

// Upload is an object that arrives in parts.
type Upload struct {
	bun.BaseModel `bun:"table:object_uploads"`
	ID            string `bun:",pk"`
	Account       string
	Container     string
	Name          string
	Object        db.JSON[Object] // as it will be, without its bytes
	CreatedAt     db.Time
}

// Part is one of its parts.
type Part struct {
	bun.BaseModel `bun:"table:object_parts"`
	Upload        string `bun:",pk"`
	Number        int    `bun:",pk"`
	Chunk         db.JSON[Chunk]
	UpdatedAt     db.Time
}

// Named errors of uploads: what S3 has codes for.
const (
	NoSuchUpload   = "NoSuchUpload"
	InvalidPart    = "InvalidPart"
	PartsOrder     = "InvalidPartOrder"
	EntityTooSmall = "EntityTooSmall"
)

func errNoUpload() error {
	return errs.NotFoundf("The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.").Typed(NoSuchUpload)
}

// StartUpload begins an object that arrives in parts.
func (s *Service) StartUpload(ctx context.Context, o Object) (Upload, error) {
	err := o.Meta.V.Check()
	if err != nil {
		return Upload{}, err
	}
	u := Upload{ID: clock.Hex(), Account: o.Account, Container: o.Container, Name: o.Name, Object: db.Of(o)}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		u.CreatedAt = db.At(tx.Now())
		_, err := findContainer(ctx, tx, o.Account, o.Container)
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &u)
	})
	return u, err
}

// Upload finds an upload.
func (s *Service) Upload(ctx context.Context, p Place, id string) (Upload, error) {
	var u Upload
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		u, err = findUpload(ctx, tx, p, id)
		return err
	})
	return u, err
}

func findUpload(ctx context.Context, tx *db.Tx, p Place, id string) (Upload, error) {
	var u Upload
	err := tx.Get(ctx, &u, "SELECT * FROM object_uploads WHERE id = ? AND account = ? AND container = ? AND name = ?"+tx.Hold(),
		id, p.Account, p.Container, p.Object)
	if errors.Is(err, sql.ErrNoRows) {
		return Upload{}, errNoUpload()
	}
	return u, err
}

// PutPart stores a part, in place of one with the same number.
func (s *Service) PutPart(ctx context.Context, p Place, id string, number int, etag string, bytes io.Reader) (Part, error) {
	_, err := s.Upload(ctx, p, id)
	if err != nil {
		return Part{}, err
	}
	chunk, err := s.write(ctx, etag, bytes)
	if err != nil {
		return Part{}, fmt.Errorf("put part %d of %s: %w", number, id, err)
	}
	part := Part{Upload: id, Number: number, Chunk: db.Of(chunk)}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		part.UpdatedAt = db.At(tx.Now())
		_, err := findUpload(ctx, tx, p, id)
		if err != nil {
			return err
		}
		c, err := findContainer(ctx, tx, p.Account, p.Container)
		if err != nil {
			return err
		}
		former, err := removePart(ctx, tx, id, number)
		if err != nil {
			return err
		}
		err = checkQuota(ctx, tx, c, 0, chunk.Size-former)
		if err != nil {
			return err
		}
		err = count(ctx, tx, p.Account, p.Container, 0, chunk.Size-former)
		if err != nil {
			return err
		}
		err = own(ctx, tx, blobsOf(chunk))
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &part)
	})
	if err != nil {
		return Part{}, fmt.Errorf("put part %d of %s: %w", number, id, err)
	}
	return part, nil
}

// removePart forgets a part and returns how many bytes that frees.
func removePart(ctx context.Context, tx *db.Tx, id string, number int) (int64, error) {
	var former []Part
	err := tx.All(ctx, &former, "SELECT * FROM object_parts WHERE upload = ? AND number = ?", id, number)
	if err != nil || len(former) == 0 {
		return 0, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM object_parts WHERE upload = ? AND number = ?", id, number)
	if err != nil {
		return 0, err
	}
	return former[0].Chunk.V.Size, disown(ctx, tx, blobsOf(former[0].Chunk.V))
}

// blobsOf leaves out a chunk without bytes.
func blobsOf(chunks ...Chunk) []Chunk {
	var out []Chunk
	for _, c := range chunks {
		if c.Blob != "" {
			out = append(out, c)
		}
	}
	return out
}

// Parts lists the parts that are there, from a number on.
func (s *Service) Parts(ctx context.Context, id string, behind, limit int) ([]Part, error) {
	var out []Part
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &out, "SELECT * FROM object_parts WHERE upload = ? AND number > ? ORDER BY number LIMIT ?", id, behind, limit)
	})
	return out, err
}

// Uploads lists the uploads of a container behind a name and an id.
func (s *Service) Uploads(ctx context.Context, account, container string, l Listing, id string) ([]Upload, error) {
	var out []Upload
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&out).Where("account = ? AND container = ?", account, container)
		switch {
		case l.Marker != "" && id != "":
			q = q.Where("name > ? OR (name = ? AND id > ?)", l.Marker, l.Marker, id)
		case l.Marker != "":
			q = q.Where("name > ?", l.Marker)
		}
		if l.Prefix != "" {
			q = q.Where("name >= ?", l.Prefix)
			if end := after(l.Prefix); end != "" {
				q = q.Where("name < ?", end)
			}
		}
		return q.OrderExpr("name, id").Limit(int64(l.Limit)).Scan(ctx)
	})
	return out, err
}

// PartRef is a part as the client lists it at the end.
type PartRef struct {
	Number int
	Etag   string
}

// CompleteUpload makes the object of the parts, in one transaction: it is there
// whole, or the upload goes on. Parts that are not listed go away.
func (s *Service) CompleteUpload(ctx context.Context, p Place, id string, refs []PartRef, condition Condition) (Object, error) {
	var o Object
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		u, err := findUpload(ctx, tx, p, id)
		if err != nil {
			return err
		}
		var parts []Part
		err = tx.All(ctx, &parts, "SELECT * FROM object_parts WHERE upload = ?", id)
		if err != nil {
			return err
		}
		o = u.Object.V
		o.Account, o.Container, o.Name = u.Account, u.Container, u.Name
		used, err := assemble(&o, parts, refs)
		if err != nil {
			return err
		}
		err = endUpload(ctx, tx, id, used)
		if err != nil {
			return err
		}
		return place(ctx, tx, &o, condition)
	})
	if err != nil {
		return Object{}, fmt.Errorf("complete upload %s: %w", id, err)
	}
	return o, nil
}

// assemble puts the listed parts into the object.
func assemble(o *Object, parts []Part, refs []PartRef) (used map[int]bool, err error) {
	have := map[int]Part{}
	for _, p := range parts {
		have[p.Number] = p
	}
	for i, ref := range refs {
		if i > 0 && ref.Number <= refs[i-1].Number {
			return nil, errs.BadRequestf("The list of parts was not in ascending order. Parts must be ordered by part number.").Typed(PartsOrder)
		}
	}
	used, sum := map[int]bool{}, md5.New()
	var chunks []Chunk
	for i, ref := range refs {
		part, ok := have[ref.Number]
		chunk := part.Chunk.V
		switch {
		case !ok, !strings.EqualFold(strings.Trim(ref.Etag, `"`), chunk.MD5):
			return nil, errs.BadRequestf("One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.").Typed(InvalidPart)
		case i < len(refs)-1 && chunk.Size < MinPartSize:
			return nil, errs.BadRequestf("Your proposed upload is smaller than the minimum allowed object size.").Typed(EntityTooSmall)
		}
		digest, err := hex.DecodeString(chunk.MD5)
		if err != nil {
			return nil, fmt.Errorf("read MD5 of part %d: %w", ref.Number, err)
		}
		sum.Write(digest)
		used[ref.Number] = true
		o.Size += chunk.Size
		chunks = append(chunks, chunk)
	}
	o.Etag = fmt.Sprintf("%s-%d", hex.EncodeToString(sum.Sum(nil)), len(refs))
	o.Stored, o.Chunks = o.Size, db.Of(blobsOf(chunks...))
	return used, nil
}

// endUpload forgets an upload; the blobs of parts that nobody uses go.
func endUpload(ctx context.Context, tx *db.Tx, id string, used map[int]bool) error {
	var u Upload
	err := tx.NewSelect().Model(&u).Where("id = ?", id).Scan(ctx)
	if err != nil {
		return err
	}
	var parts []Part
	err = tx.All(ctx, &parts, "SELECT * FROM object_parts WHERE upload = ?", id)
	if err != nil {
		return err
	}
	freed := int64(0)
	for _, p := range parts {
		freed += p.Chunk.V.Size
		if used[p.Number] {
			continue
		}
		err = disown(ctx, tx, blobsOf(p.Chunk.V))
		if err != nil {
			return err
		}
	}
	for _, statement := range []string{"DELETE FROM object_parts WHERE upload = ?", "DELETE FROM object_uploads WHERE id = ?"} {
		_, err = tx.Exec(ctx, statement, id)
		if err != nil {
			return err
		}
	}
	return count(ctx, tx, u.Account, u.Container, 0, -freed)
}

// AbortUpload gives an upload up.
func (s *Service) AbortUpload(ctx context.Context, p Place, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := findUpload(ctx, tx, p, id)
		if err != nil {
			return err
		}
		return endUpload(ctx, tx, id, nil)
	})
	if err != nil {
		return fmt.Errorf("abort upload %s: %w", id, err)
	}
	return nil
}

// abortOld gives up uploads that were begun before a moment.
func (s *Service) abortOld(ctx context.Context, c Container, prefix string, before db.Time) error {
	var old []Upload
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &old, "SELECT * FROM object_uploads WHERE account = ? AND container = ? AND created_at <= ?", c.Account, c.Name, before)
	})
	if err != nil {
		return fmt.Errorf("list old uploads: %w", err)
	}
	for _, u := range old {
		if !strings.HasPrefix(u.Name, prefix) {
			continue
		}
		err = s.AbortUpload(ctx, Place{u.Account, u.Container, u.Name, ""}, u.ID)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
