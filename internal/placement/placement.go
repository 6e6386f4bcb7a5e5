// Package placement keeps what there is and who has claimed how much of it.
//
// Resource providers have inventories (so many VCPUs, at this allocation
// ratio), traits and aggregates; consumers have allocations. A provider's
// generation grows with each change of its inventories, traits or allocations,
// a consumer's with each change of its allocations: whoever decided on the
// ground of an older one is told so and decides again. What is only given back
// leaves the generation as it is, as in OpenStack; a revision that nobody outside
// sees, the generation and a count of such changes, grows with that, too. Usage is
// kept beside the inventory in the transaction of the allocation, so that a claim
// reads no sums and can never overdraw.
//
// Candidates, the ways in which a request could be satisfied by nested and sharing
// providers, are made one by one while somebody takes them (candidates.go, walk.go):
// a tree of eight equal devices has as many as a client asks for, not all that there
// could be.
//
// After a commit the service tells its watchers what a provider looks like now.
// The scheduler's snapshot lives on that. Of what other servers committed it
// learns by hints, and by comparing revisions from time to time (follow.go).
package placement

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// The resource classes that every server takes.
const (
	VCPU     = "VCPU"
	MemoryMB = "MEMORY_MB"
	DiskGB   = "DISK_GB"
)

// Options are what the service needs.
type Options struct {
	DB    *db.DB
	Clock clock.Clock
	NewID func() string // nil: clock.UUID
	Log   *slog.Logger
	// Nudge asks a loop of Loops to look at once: loop.Runner.Nudge.
	Nudge func(loop string)
	// MaxCandidates is how many allocation candidates a request gets that sets no
	// lower limit; 0 is 10,000.
	MaxCandidates int
}

// Service is placement.
type Service struct {
	db    *db.DB
	clock clock.Clock
	newID func() string
	nudge func(loop string)

	maxCandidates int

	mu       sync.RWMutex // guards watchers
	watchers []func(Change)

	following following
}

// New makes the service.
func New(_ context.Context, o Options) (*Service, error) {
	if o.MaxCandidates < 0 {
		return nil, fmt.Errorf("max_allocation_candidates is %d, less than 0", o.MaxCandidates)
	}
	if o.NewID == nil {
		o.NewID = clock.UUID
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Nudge == nil {
		o.Nudge = func(string) {}
	}
	s := &Service{db: o.DB, clock: o.Clock, newID: o.NewID, nudge: o.Nudge, maxCandidates: cmp.Or(o.MaxCandidates, 10_000)}
	s.following.known = map[string]Provider{}
	s.following.stale = map[string]bool{}
	s.db.Listen(changedChannel, s.hint)
	return s, nil
}

// Change is what a provider looks like after a commit. Changes of one provider
// may arrive out of order: the revision tells which is newer.
type Change struct {
	Provider    Provider
	Removed     bool
	Inventories map[string]Inventory
	Whole       bool // Traits and Aggregates are given too
	Traits      []string
	Aggregates  []string
}

// Watch calls the function with every provider as it is now and after each
// change from now on. It must be quick.
func (s *Service) Watch(ctx context.Context, do func(Change)) error {
	s.mu.Lock()
	s.watchers = append(s.watchers, do)
	s.mu.Unlock()
	return s.db.Read(ctx, func(tx *db.Tx) error {
		all, err := changes(ctx, tx, nil)
		if err != nil {
			return err
		}
		for _, c := range all {
			s.following.note(c)
			do(c)
		}
		return nil
	})
}

func (s *Service) tell(c Change) {
	s.following.note(c)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, do := range s.watchers {
		do(c)
	}
}

// tellAfter tells the watchers of providers once the transaction is on disk.
func (s *Service) tellAfter(ctx context.Context, tx *db.Tx, whole bool, ids ...string) error {
	for _, id := range ids {
		p, err := provider(ctx, tx, id)
		if err != nil {
			return err
		}
		c := Change{Provider: p, Whole: whole}
		c.Inventories, err = inventories(ctx, tx, id)
		if err != nil {
			return err
		}
		if whole {
			c.Traits, err = traitsOf(ctx, tx, id)
			if err != nil {
				return err
			}
			c.Aggregates, err = aggregatesOf(ctx, tx, id)
			if err != nil {
				return err
			}
		}
		s.announce(tx, c)
	}
	return nil
}

// changes reads providers whole, all of them when ids is nil, with one query per
// table.
func changes(ctx context.Context, tx *db.Tx, ids []string) ([]Change, error) {
	read := func(into any, columns, table, key, order string) error {
		query, args := "SELECT "+columns+" FROM "+table, []any{}
		if ids != nil {
			query, args = query+" WHERE "+key+" IN (?)", append(args, db.In(ids))
		}
		err := tx.All(ctx, into, query+" ORDER BY "+order, args...)
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		return nil
	}
	var rows []Provider
	err := read(&rows, "*", "resource_providers", "id", "id")
	if err != nil {
		return nil, err
	}
	all := make([]Change, len(rows))
	at := make(map[string]*Change, len(rows))
	for i, p := range rows {
		all[i] = Change{Provider: p, Inventories: map[string]Inventory{}, Whole: true}
		at[p.ID] = &all[i]
	}
	// What follows is read a moment later: a provider may have come meanwhile.
	var stock []Inventory
	err = read(&stock, "*", "inventories", "provider", "provider")
	if err != nil {
		return nil, err
	}
	for _, i := range stock {
		if c := at[i.Provider]; c != nil {
			c.Inventories[i.Class] = i
		}
	}
	type pair struct{ Provider, Name string }
	var traits, aggregates []pair
	err = read(&traits, "provider, trait AS name", "provider_traits", "provider", "trait")
	if err == nil {
		err = read(&aggregates, "provider, aggregate AS name", "provider_aggregates", "provider", "aggregate")
	}
	if err != nil {
		return nil, err
	}
	for _, p := range traits {
		if c := at[p.Provider]; c != nil {
			c.Traits = append(c.Traits, p.Name)
		}
	}
	for _, p := range aggregates {
		if c := at[p.Provider]; c != nil {
			c.Aggregates = append(c.Aggregates, p.Name)
		}
	}
	return all, nil
}

// Report says what a compute host has. The provider is made if it is missing.
// What an operator set by the API stays: allocation ratios, reserved amounts,
// traits that the host doesn't report itself. What it reports none of any more goes,
// or is reserved while somebody uses it. A report without news writes nothing.
func (s *Service) Report(ctx context.Context, id, name string, stock map[string]Inventory, traits []string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := provider(ctx, tx, id)
		fresh := errs.Is(err, errs.NotFound)
		if err != nil && !fresh {
			return err
		}
		if fresh {
			p, err = insertProvider(ctx, tx, Provider{ID: id, Name: name, Root: id}, s.clock.Now())
			if err != nil {
				return err
			}
		}
		have, err := inventories(ctx, tx, id)
		if err != nil {
			return err
		}
		want := map[string]Inventory{}
		for class, i := range stock {
			old, ok := have[class]
			if ok {
				i.Ratio, i.Reserved = old.Ratio, old.Reserved
			}
			if i.Total > 0 {
				want[class] = i.whole(id, class)
			} else if old.Used > 0 {
				old.Reserved, want[class] = old.Total, old
			}
		}
		for class, i := range have {
			if _, reported := stock[class]; !reported {
				want[class] = i // somebody added it by hand, or it is in use
			}
		}
		news := fresh || !sameStock(have, want)
		if news {
			err = writeInventories(ctx, tx, id, have, want)
			if err != nil {
				return err
			}
		}
		known, err := traitsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, t := range traits {
			if slices.Contains(known, t) || !validTrait(t) {
				continue
			}
			news = true
			err = s.addTrait(ctx, tx, t)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "INSERT INTO provider_traits (provider, trait) VALUES (?, ?)", id, t)
			if err != nil {
				return fmt.Errorf("add trait: %w", err)
			}
		}
		if !news {
			return nil
		}
		err = bump(ctx, tx, &p, s.clock.Now())
		if err != nil {
			return err
		}
		return s.tellAfter(ctx, tx, true, id)
	})
}

func sameStock(a, b map[string]Inventory) bool {
	return maps.EqualFunc(a, b, func(x, y Inventory) bool {
		y.Used = x.Used
		return x == y
	})
}

// ReportHost is Report in words that need no type of ours.
func (s *Service) ReportHost(ctx context.Context, id, name string, total, reserved map[string]int64, ratio map[string]float64, traits []string) error {
	stock := map[string]Inventory{}
	for class, n := range total {
		stock[class] = Inventory{Total: n, Reserved: reserved[class], Ratio: ratio[class], MaxUnit: n}
	}
	return s.Report(ctx, id, name, stock, traits)
}

// Stock is what a provider offers and has given away, by resource class, in
// words that need no type of ours.
type Stock = struct {
	Total, Reserved, Used, MaxUnit map[string]int64
	Ratio                          map[string]float64
}

// WatchHosts is Watch in words that need no type of ours. Traits are nil when
// they did not change.
func (s *Service) WatchHosts(ctx context.Context, changed func(id, name string, revision int64, stock Stock, traits []string), removed func(id, name string)) error {
	return s.Watch(ctx, func(c Change) {
		if c.Removed {
			removed(c.Provider.ID, c.Provider.Name)
			return
		}
		stock := Stock{Total: map[string]int64{}, Reserved: map[string]int64{}, Used: map[string]int64{}, MaxUnit: map[string]int64{}, Ratio: map[string]float64{}}
		for class, i := range c.Inventories {
			stock.Total[class], stock.Reserved[class], stock.Used[class] = i.Total, i.Reserved, i.Used
			stock.MaxUnit[class], stock.Ratio[class] = i.MaxUnit, i.Ratio
		}
		traits := c.Traits
		if c.Whole && traits == nil {
			traits = []string{}
		}
		changed(c.Provider.ID, c.Provider.Name, c.Provider.Revision(), stock, traits)
	})
}
