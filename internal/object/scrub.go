package object

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// How much one turn of the scrub reads: a store of a terabyte is read whole
// within three days, at 4 MB a second.
const (
	scrubObjects = 1000
	scrubBytes   = 256 << 20
)

type scrubRow struct {
	bun.BaseModel `bun:"table:object_scrub"`
	OnlyRow       int `bun:",pk"`
	Account       string
	Container     string
	Name          string
	Version       int64
}

// scrub reads stored bytes again, from where the last turn ended, and takes
// objects out of sight whose bytes are not what was stored. A damaged object is
// not found by readers, as in Swift, and keeps its row for people to see.
func (s *Service) scrub(ctx context.Context) error {
	at := scrubRow{OnlyRow: 1}
	var some []Object
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &at, "SELECT * FROM object_scrub WHERE only_row = 1")
		if err != nil {
			return err
		}
		return tx.All(ctx, &some, `SELECT * FROM object_versions WHERE damaged_at = 0 AND (account > ? OR (account = ? AND (container > ?
			OR (container = ? AND (name > ? OR (name = ? AND version > ?)))))) ORDER BY account, container, name, version LIMIT ?`,
			at.Account, at.Account, at.Container, at.Container, at.Name, at.Name, at.Version, scrubObjects)
	})
	if err != nil {
		return fmt.Errorf("list objects to scrub: %w", err)
	}
	read := int64(0)
	start := at
	if len(some) < scrubObjects {
		at = scrubRow{OnlyRow: 1} // from the start again
	}
	for i, o := range some {
		if read >= scrubBytes {
			break
		}
		err = s.verify(ctx, o)
		if err != nil {
			return err
		}
		read += o.Stored
		if i < len(some)-1 || len(some) == scrubObjects {
			at.Account, at.Container, at.Name, at.Version = o.Account, o.Container, o.Name, o.Version
		} else {
			at = scrubRow{OnlyRow: 1}
		}
	}
	if at == start {
		return nil
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Update(ctx, &at, "account", "container", "name", "version")
		return err
	})
}

// verify reads one object, and quarantines it when its bytes are wrong.
func (s *Service) verify(ctx context.Context, o Object) error {
	for _, chunk := range o.Chunks.V {
		reason, err := s.damage(ctx, chunk)
		if err != nil {
			return err
		}
		if reason == "" {
			continue
		}
		n, err := s.quarantine(ctx, o)
		if err != nil {
			return err
		}
		if n > 0 {
			damaged.Inc()
			loop.Did(ctx, "quarantined", o.Account+"/"+o.Container+"/"+o.Name)
			s.log.Warn("object is damaged", "account", o.Account, "container", o.Container, "object", o.Name,
				"version", o.VersionID(), "blob", chunk.Blob, "reason", reason)
		}
		return nil
	}
	return nil
}

// damage tells what is wrong with a chunk, "" for nothing.
func (s *Service) damage(ctx context.Context, chunk Chunk) (string, error) {
	bytes, err := s.blobs.Open(ctx, chunk.Blob)
	if errors.Is(err, fs.ErrNotExist) {
		return "its bytes are gone", nil
	}
	if err != nil {
		return "", fmt.Errorf("scrub blob %s: %w", chunk.Blob, err)
	}
	defer bytes.Close()
	sum := md5.New()
	size, err := io.Copy(sum, bytes)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	got := hex.EncodeToString(sum.Sum(nil))
	switch {
	case err != nil:
		return "its bytes cannot be read: " + err.Error(), nil
	case size != chunk.Size:
		return fmt.Sprintf("it has %d bytes instead of %d", size, chunk.Size), nil
	case got != chunk.MD5:
		return fmt.Sprintf("its MD5 is %s instead of %s", got, chunk.MD5), nil
	}
	return "", nil
}

// quarantine takes the object out of sight, unless it went meanwhile: then its
// bytes were allowed to.
func (s *Service) quarantine(ctx context.Context, o Object) (int64, error) {
	var n int64
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		n, err = tx.Exec(ctx, `UPDATE object_versions SET damaged_at = ? WHERE account = ? AND container = ? AND name = ? AND version = ?
			AND damaged_at = 0`, db.At(tx.Now()), o.Account, o.Container, o.Name, o.Version)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("quarantine object: %w", err)
	}
	return n, nil
}
