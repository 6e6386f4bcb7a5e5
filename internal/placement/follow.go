package placement

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// changedChannel announces providers that changed to other servers.
const changedChannel = "placement.changed"

const (
	followLoop  = "placement.follow"
	followEvery = 10 * time.Second
)

// following is what the watchers were told, and what they are to be told again.
type following struct {
	mu       sync.Mutex          // guards all below
	known    map[string]Provider // by id, as told last
	stale    map[string]bool     // by id: another server changed it
	compared time.Time           // when all revisions were last compared
}

// note remembers what the watchers are told.
func (f *following) note(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case c.Removed:
		delete(f.known, c.Provider.ID)
	case f.known[c.Provider.ID].Revision() <= c.Provider.Revision():
		f.known[c.Provider.ID] = c.Provider
	}
}

// announce tells the watchers of all servers once the transaction is on disk:
// here at once and in full, elsewhere by a hint.
func (s *Service) announce(tx *db.Tx, c Change) {
	tx.After(func() { s.tell(c) })
	tx.NotifyElsewhere(changedChannel, c.Provider.ID)
}

// hint hears that another server changed a provider.
func (s *Service) hint(id string) {
	s.following.mu.Lock()
	s.following.stale[id] = true
	s.following.mu.Unlock()
	s.nudge(followLoop)
}

// Loops keep the watchers informed of what other servers do.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{{Name: followLoop, Every: followEvery, Once: s.follow, Everywhere: true}}
}

// follow tells the watchers of the providers that hints named, and from time to
// time of all whose revision is not the one told last.
func (s *Service) follow(ctx context.Context) error {
	f := &s.following
	now := s.clock.Now()
	f.mu.Lock()
	stale := f.stale
	f.stale = map[string]bool{}
	whole := now.Sub(f.compared) >= followEvery/2
	f.mu.Unlock()
	var found []Change
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		if whole {
			err := s.compare(ctx, tx, stale)
			if err != nil {
				return err
			}
		}
		if len(stale) == 0 {
			return nil
		}
		var err error
		found, err = changes(ctx, tx, slices.Collect(maps.Keys(stale)))
		return err
	})
	if err != nil {
		f.mu.Lock()
		maps.Copy(f.stale, stale)
		f.mu.Unlock()
		return fmt.Errorf("follow providers: %w", err)
	}
	if whole {
		f.mu.Lock()
		f.compared = now
		f.mu.Unlock()
	}
	for _, c := range found {
		delete(stale, c.Provider.ID)
		s.tell(c)
	}
	for id := range stale {
		f.mu.Lock()
		gone, known := f.known[id]
		f.mu.Unlock()
		if known {
			s.tell(Change{Provider: gone, Removed: true})
		}
	}
	return nil
}

// compare adds the providers whose revision is not the one told last.
func (s *Service) compare(ctx context.Context, tx *db.Tx, stale map[string]bool) error {
	var rows []Provider
	err := tx.All(ctx, &rows, "SELECT id, generation, quiet FROM resource_providers")
	if err != nil {
		return err
	}
	s.following.mu.Lock()
	defer s.following.mu.Unlock()
	present := make(map[string]bool, len(rows))
	for _, row := range rows {
		present[row.ID] = true
		known, ok := s.following.known[row.ID]
		if !ok || known.Revision() < row.Revision() {
			stale[row.ID] = true
		}
	}
	for id := range s.following.known {
		if !present[id] {
			stale[id] = true
		}
	}
	return nil
}
