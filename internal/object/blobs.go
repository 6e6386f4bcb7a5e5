package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

const (
	writeBeat = 20 * time.Second // how often a writer shows life
	writeDead = 2 * time.Minute  // when it is given up
	sweepPage = 1000             // blobs that are listed at a time
	mostKeys  = 64               // keys that are announced at once

	keepGivenUp = 24 * time.Hour // how long we look after what a writer may still leave
)

// stock are keys that are announced and not used yet. Announcing them together
// spares most writers a flush to disk of their own.
type stock struct {
	mu   sync.Mutex // guards what follows
	keys []string
	seen time.Time // when they were announced
	next int       // how many to announce the next time
}

// announce gives the key for a new blob, which the database knows to be under
// way, and says since when.
func (s *Service) announce(ctx context.Context) (key string, seen time.Time, err error) {
	s.stock.mu.Lock()
	defer s.stock.mu.Unlock()
	now := s.clock.Now()
	fresh := now.Sub(s.stock.seen) < writeBeat/2
	if !fresh || len(s.stock.keys) == 0 {
		// Twice as many as before for a busy store; one for an idle one. Stale keys
		// are left to the sweep.
		s.stock.next = min(2*s.stock.next, mostKeys)
		if !fresh || s.stock.next == 0 {
			s.stock.next = 1
		}
		keys := make([]string, s.stock.next)
		for i := range keys {
			keys[i] = "objects/" + clock.UUID()
		}
		err = s.touch(ctx, keys...)
		if err != nil {
			return "", time.Time{}, err
		}
		s.stock.keys, s.stock.seen = keys, now
	}
	last := len(s.stock.keys) - 1
	key, s.stock.keys = s.stock.keys[last], s.stock.keys[:last]
	return key, s.stock.seen, nil
}

// touch announces blobs that are being written, or says that they still are.
func (s *Service) touch(ctx context.Context, keys ...string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		rows := make([]blobRow, len(keys))
		for i, key := range keys {
			rows[i] = blobRow{Blob: key, Seen: db.At(tx.Now())}
		}
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (blob) DO UPDATE SET seen = EXCLUDED.seen WHERE blob_row.seen >= 0").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("announce blobs: %w", err)
	}
	return nil
}

// blobRow is a blob that is being written, or whose object is gone.
type blobRow struct {
	bun.BaseModel `bun:"table:object_blobs"`
	Blob          string `bun:",pk"`
	Seen          db.Time
}

// own makes announced blobs an object's, in the transaction that shows it. What
// the sweep has given up meanwhile is refused: its bytes are going.
func own(ctx context.Context, tx *db.Tx, chunks []Chunk) error {
	for _, c := range chunks {
		n, err := tx.Exec(ctx, "DELETE FROM object_blobs WHERE blob = ? AND seen >= 0", c.Blob)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.Unavailable, "The bytes took too long to be stored, and were given up. Please try again.")
		}
	}
	return nil
}

// disown announces blobs as garbage. One blob can go at once, since readers have
// it open; further ones stay for those who still read the first.
func disown(ctx context.Context, tx *db.Tx, chunks []Chunk) error {
	for i, c := range chunks {
		row := blobRow{Blob: c.Blob}
		if i > 0 {
			row.Seen = db.At(tx.Now())
		}
		err := tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
	}
	return nil
}

// client reads what a client sends. It shows life while a slow one does, and
// remembers that it was the client who failed, not the store.
type client struct {
	r    io.Reader
	next time.Time
	now  func() time.Time
	beat func() (next time.Time, err error)
	err  error
}

// Read implements io.Reader.
func (c *client) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
		return n, err
	}
	// After the read, since that is what may have taken long: when the last byte
	// is here, the blob is announced.
	if c.now().After(c.next) {
		next, beatErr := c.beat()
		if beatErr != nil {
			return n, beatErr
		}
		c.next = next
	}
	return n, err
}

// peek looks at the first byte of a stream before anybody reads it.
type peek struct {
	r     io.Reader
	first [1]byte
	n     int
	err   error
}

// empty tells whether the stream has no byte at all.
func (p *peek) empty() bool {
	p.n, p.err = io.ReadFull(p.r, p.first[:])
	return errors.Is(p.err, io.EOF)
}

// Read implements io.Reader.
func (p *peek) Read(b []byte) (int, error) {
	if p.n == 0 || len(b) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		return p.r.Read(b)
	}
	b[0], p.n = p.first[0], 0
	return 1, nil
}

// Loops are what the service keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "object.sweep", Every: 30 * time.Second, Once: s.sweep},
		{Name: "object.expire", Every: 30 * time.Second, Once: s.expire},
		{Name: "object.lifecycle", Every: 10 * time.Minute, Once: s.live},
		{Name: "object.reap", Every: 30 * time.Second, Once: s.reap},
		{Name: "object.scrub", Every: time.Minute, Once: s.scrub},
	}
}

// sweep removes blobs that no object names: of replaced and deleted objects,
// and of writers that died.
func (s *Service) sweep(ctx context.Context) error {
	now := s.clock.Now()
	// Nobody can want back what an object had.
	err := s.sweepAll(ctx, clause{"seen = 0", nil}, nil, s.forget)
	if err != nil {
		return err
	}
	// A writer may be alive after all, and end now: it is given up first, so that it
	// cannot make its bytes an object's, and what it leaves goes a day later.
	err = s.sweepAll(ctx, clause{"seen > 0 AND seen < ?", []any{db.At(now.Add(-writeDead))}}, s.giveUp, nil)
	if err != nil {
		return err
	}
	return s.sweepAll(ctx, clause{"seen < 0 AND seen > ?", []any{-db.At(now.Add(-keepGivenUp))}}, nil, s.forget)
}

// sweepAll removes the bytes of all rows, with something before and after.
func (s *Service) sweepAll(ctx context.Context, rows clause, before func(ctx context.Context, keys []string) ([]string, error),
	after func(ctx context.Context, keys []string) error) error {
	for {
		var keys []string
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			return tx.All(ctx, &keys, "SELECT blob FROM object_blobs WHERE "+rows.sql+" LIMIT ?", append(rows.args, sweepPage)...)
		})
		if err != nil {
			return fmt.Errorf("list garbage: %w", err)
		}
		found := len(keys)
		if before != nil && found > 0 {
			keys, err = before(ctx, keys)
			if err != nil {
				return fmt.Errorf("give up blobs: %w", err)
			}
		}
		for _, key := range keys {
			err = s.blobs.Remove(ctx, key)
			if err != nil {
				return fmt.Errorf("remove blob %s: %w", key, err)
			}
		}
		// The bytes first: if we stop here, the rows bring us back.
		if after != nil && len(keys) > 0 {
			err = after(ctx, keys)
			if err != nil {
				return fmt.Errorf("forget blobs: %w", err)
			}
		}
		if found < sweepPage {
			return nil
		}
	}
}

func (s *Service) forget(ctx context.Context, keys []string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM object_blobs WHERE blob IN (?) AND seen <= 0", db.In(keys))
		return err
	})
}

// giveUp turns the time at which a writer was seen into the negative one at
// which it was given up, and returns which writers have not shown life since.
func (s *Service) giveUp(ctx context.Context, keys []string) (dead []string, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		now := db.At(tx.Now())
		_, err := tx.Exec(ctx, "UPDATE object_blobs SET seen = ? WHERE blob IN (?) AND seen > 0 AND seen < ?",
			-now, db.In(keys), db.At(tx.Now().Add(-writeDead)))
		if err != nil {
			return err
		}
		return tx.All(ctx, &dead, "SELECT blob FROM object_blobs WHERE blob IN (?) AND seen = ?", db.In(keys), -now)
	})
	return dead, err
}
