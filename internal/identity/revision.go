package identity

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"nacre/internal/db"
)

// lookEvery is how old our knowledge of the revision may be.
const lookEvery = 100 * time.Millisecond

// revision is the authorization revision as far as this process knows. It
// only grows.
type revision struct {
	known    atomic.Int64
	lookedAt atomic.Int64 // microseconds
	keys     int64        // of the keys of tokens that we have read; guarded by looking
	hints    atomic.Int64 // how often somebody said that it has grown
	heeded   atomic.Int64 // how many of the hints the last look came after
	looking  sync.Mutex   // one look at a time
}

// currentRevision gives the revision, at most 100 ms old and from after the
// last hint.
func (s *Service) currentRevision(ctx context.Context) (int64, error) {
	r := &s.revision
	now := s.clock.Now().UnixMicro()
	fresh := func() bool {
		return now-r.lookedAt.Load() < lookEvery.Microseconds() && r.heeded.Load() == r.hints.Load()
	}
	if fresh() {
		return r.known.Load(), nil
	}
	r.looking.Lock()
	defer r.looking.Unlock()
	if fresh() {
		return r.known.Load(), nil
	}
	return s.look(ctx, now)
}

// look reads the revision, and the keys of tokens when they have changed. The
// caller has the lock of looking.
func (s *Service) look(ctx context.Context, now int64) (int64, error) {
	r := &s.revision
	hints := r.hints.Load()
	var row struct{ Revision, KeysRevision int64 }
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &row, `SELECT revision, keys_revision FROM auth_revision`)
		if err != nil || row.KeysRevision == r.keys {
			return err
		}
		return s.readKeys(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("read authorization revision: %w", err)
	}
	r.keys = row.KeysRevision
	found := max(row.Revision, r.known.Load())
	r.known.Store(found)
	r.heeded.Store(hints)
	r.lookedAt.Store(now)
	return found, nil
}

// revisionChannel announces that a transaction has raised the revision.
const revisionChannel = "identity.revision"

// followRevision hears of raised revisions: of our own before the write returns,
// of other servers' a moment later. What the message says does not count; the
// database is asked.
func (s *Service) followRevision() {
	s.db.Listen(revisionChannel, func(string) { s.revision.hints.Add(1) })
}

// bump raises the revision together with the change that needs it.
func (s *Service) bump(ctx context.Context, tx *db.Tx) (int64, error) {
	var now int64
	err := tx.Get(ctx, &now, `UPDATE auth_revision SET revision = revision + 1 RETURNING revision`)
	if err != nil {
		return 0, fmt.Errorf("raise authorization revision: %w", err)
	}
	tx.Notify(revisionChannel, strconv.FormatInt(now, 10))
	return now, nil
}

// Subjects of floors.
func userSubject(id string) string    { return "user/" + id }
func projectSubject(id string) string { return "project/" + id }
func domainSubject(id string) string  { return "domain/" + id }
func idpSubject(id string) string     { return "idp/" + id }
func protocolSubject(idp, id string) string {
	return "protocol/" + idp + "/" + id
}
func grantSubject(user, targetKind, target string) string {
	return "grant/" + user + "/" + targetKind + "/" + target
}

// endTokens raises the revision and makes the tokens of these subjects that
// exist now invalid for ever.
func (s *Service) endTokens(ctx context.Context, tx *db.Tx, now time.Time, subjects ...string) error {
	rev, err := s.bump(ctx, tx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		_, err := tx.Exec(ctx, `
			INSERT INTO token_floors (subject, revision, updated_at) VALUES (?, ?, ?)
			ON CONFLICT (subject) DO UPDATE SET revision = excluded.revision, updated_at = excluded.updated_at`,
			subject, rev, db.At(now))
		if err != nil {
			return fmt.Errorf("end tokens of %s: %w", subject, err)
		}
	}
	err = s.endGrantsOf(ctx, tx, subjects...)
	if err != nil {
		return err
	}
	// What lies further back than a token lives has no token to end any more.
	_, err = s.dropFloors(ctx, tx, now)
	return err
}

// dropFloors forgets the floors below which there are no tokens left.
func (s *Service) dropFloors(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM token_floors WHERE updated_at < ?`, db.At(now.Add(-s.lifetime-time.Hour)))
}

// cache keeps what tokens stand for. It is bounded: each shard has a young and
// an old generation; what is used moves to the young one, and when that is full
// the old one is dropped. That is close to least recently used and needs no
// lock for writing on a hit in the young generation.
type cache struct {
	seed   maphash.Seed
	shards [16]shard
}

// generation is how many tokens one generation of a shard holds.
const generation = 256

type shard struct {
	mu         sync.RWMutex // guards young and old
	young, old map[string]*Issued
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

func (c *cache) shard(token string) *shard {
	return &c.shards[maphash.String(c.seed, token)%uint64(len(c.shards))]
}

func (c *cache) get(token string) *Issued {
	s := c.shard(token)
	s.mu.RLock()
	found, young := s.young[token]
	if !young {
		found = s.old[token]
	}
	s.mu.RUnlock()
	if found != nil && !young {
		s.put(token, found)
	}
	return found
}

func (c *cache) put(token string, issued *Issued) { c.shard(token).put(token, issued) }

func (s *shard) put(token string, issued *Issued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= generation {
		s.young, s.old = nil, s.young
	}
	if s.young == nil {
		s.young = make(map[string]*Issued, generation)
	}
	s.young[token] = issued
}
