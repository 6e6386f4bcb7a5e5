package placement

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Consumer is whoever has allocations: a server.
type Consumer struct {
	bun.BaseModel `bun:"table:consumers"`

	ID         string `bun:",pk"`
	Generation int64
	Project    string
	UserID     string
	Type       string // INSTANCE, MIGRATION, UnknownType …
	CreatedAt  db.Time
	UpdatedAt  db.Time
}

type allocation struct {
	bun.BaseModel `bun:"table:allocations"`

	Consumer string `bun:",pk"`
	Provider string `bun:",pk"`
	Class    string `bun:",pk"`
	Used     int64
}

// Resources is amounts by resource class.
type Resources map[string]int64

// Claim is what a consumer takes: amounts by class, by provider.
type Claim struct {
	Consumer string
	Project  string
	User     string
	Type     string               // "" keeps what is, UnknownType for a new consumer
	From     map[string]Resources // by provider id; empty frees everything

	// Generation is the consumer's as the caller knows it: Nobody for one that
	// does not exist yet, Any when the caller doesn't care.
	Generation int64

	// Silent frees without a word: the generations of the providers stay. They do,
	// for OpenStack, when a consumer is deleted and not when it is left without
	// allocations.
	Silent bool
}

// UnknownType is the type of consumers of whom none was told.
const UnknownType = "unknown"

// What a claim may say instead of a generation.
const (
	Nobody int64 = -1
	Any    int64 = -2
)

func consumer(ctx context.Context, tx *db.Tx, id string) (Consumer, bool, error) {
	var c Consumer
	err := tx.Get(ctx, &c, "SELECT * FROM consumers WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Consumer{}, false, nil
	}
	if err != nil {
		return Consumer{}, false, fmt.Errorf("read consumer %s: %w", id, err)
	}
	return c, true, nil
}

func allocations(ctx context.Context, tx *db.Tx, id string) (map[string]Resources, error) {
	var rows []allocation
	err := tx.All(ctx, &rows, "SELECT * FROM allocations WHERE consumer = ?", id)
	if err != nil {
		return nil, fmt.Errorf("read allocations of %s: %w", id, err)
	}
	from := map[string]Resources{}
	for _, a := range rows {
		if from[a.Provider] == nil {
			from[a.Provider] = Resources{}
		}
		from[a.Provider][a.Class] = a.Used
	}
	return from, nil
}

// Claim takes the resources for a server from one provider, or nothing. Claiming
// again what the server has already is a success. It runs inside the caller's
// transaction; a full provider and one that changed meanwhile are conflicts.
func (s *Service) Claim(ctx context.Context, tx *db.Tx, server, project, user, provider string, want map[string]int64) error {
	_, known, err := consumer(ctx, tx, server)
	if err != nil {
		return err
	}
	if known {
		have, err := allocations(ctx, tx, server)
		if err != nil {
			return err
		}
		if len(have) == 1 && maps.Equal(have[provider], want) {
			return nil
		}
	}
	return s.replace(ctx, tx, Claim{
		Consumer: server, Project: project, User: user, Type: "INSTANCE",
		From: map[string]Resources{provider: want}, Generation: Any,
	})
}

// Release frees all that the consumer has. Freeing nothing is a success.
func (s *Service) Release(ctx context.Context, tx *db.Tx, server string) error {
	return s.replace(ctx, tx, Claim{Consumer: server, Generation: Any, Silent: true})
}

// Move gives all that a consumer has to another one, of a type such as MIGRATION,
// which has nothing. Moving nothing is a success.
func (s *Service) Move(ctx context.Context, tx *db.Tx, from, to, kind string) error {
	c, known, err := consumer(ctx, tx, from)
	if err != nil || !known {
		return err
	}
	have, err := allocations(ctx, tx, from)
	if err != nil {
		return err
	}
	return s.replace(ctx, tx,
		Claim{Consumer: from, Generation: Any},
		Claim{Consumer: to, Project: c.Project, User: c.UserID, Type: kind, From: have, Generation: Any})
}

// SetAllocations replaces what several consumers have, all or none. What one of
// them gives back another may take.
func (s *Service) SetAllocations(ctx context.Context, claims ...Claim) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return s.replace(ctx, tx, claims...) })
}

// Allocations returns who the consumer is and what it has, by provider. An
// unknown consumer has nothing.
func (s *Service) Allocations(ctx context.Context, id string) (Consumer, map[string]Resources, map[string]int64, error) {
	var c Consumer
	var from map[string]Resources
	generations := map[string]int64{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		c, _, err = consumer(ctx, tx, id)
		if err != nil {
			return err
		}
		from, err = allocations(ctx, tx, id)
		if err != nil {
			return err
		}
		for p := range from {
			row, err := provider(ctx, tx, p)
			if err != nil {
				return err
			}
			generations[p] = row.Generation
		}
		return nil
	})
	return c, from, generations, err
}

// AllocationsOn returns the provider and, by consumer, what is taken from it.
func (s *Service) AllocationsOn(ctx context.Context, id string) (Provider, map[string]Resources, map[string]int64, error) {
	var p Provider
	by := map[string]Resources{}
	generations := map[string]int64{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		var rows []struct {
			Consumer, Class  string
			Used, Generation int64
		}
		err = tx.All(ctx, &rows, `
			SELECT a.consumer, a.class, a.used, c.generation FROM allocations a JOIN consumers c ON c.id = a.consumer
			WHERE a.provider = ?`, id)
		if err != nil {
			return fmt.Errorf("read allocations on provider %s: %w", id, err)
		}
		for _, r := range rows {
			if by[r.Consumer] == nil {
				by[r.Consumer] = Resources{}
			}
			by[r.Consumer][r.Class] = r.Used
			generations[r.Consumer] = r.Generation
		}
		return nil
	})
	return p, by, generations, err
}

// replace makes the consumers have exactly what the claims say.
func (s *Service) replace(ctx context.Context, tx *db.Tx, claims ...Claim) error {
	touched := map[string]bool{} // by provider: whether its generation grows
	for _, in := range claims {
		err := s.free(ctx, tx, in, touched)
		if err != nil {
			return err
		}
		for id := range in.From {
			touched[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		err := s.take(ctx, tx, id, claims, touched[id])
		if err != nil {
			return err
		}
	}
	return nil
}

// free gives back what the consumer has and keeps its row for what the claim
// says it is going to have. Touched gets the providers that get something back; the
// generation grows of those that a client named, or would if it named any.
func (s *Service) free(ctx context.Context, tx *db.Tx, in Claim, touched map[string]bool) error {
	c, known, err := consumer(ctx, tx, in.Consumer)
	if err != nil {
		return err
	}
	switch {
	case in.Generation == Any:
	case in.Generation == Nobody && known:
		return staleConsumer(fmt.Sprint(c.Generation), "None")
	case in.Generation >= 0 && !known:
		return staleConsumer("null", fmt.Sprint(in.Generation))
	case in.Generation >= 0 && in.Generation != c.Generation:
		return staleConsumer(fmt.Sprint(c.Generation), fmt.Sprint(in.Generation))
	}
	if !known && len(in.From) == 0 {
		return nil
	}
	if known {
		have, err := allocations(ctx, tx, in.Consumer)
		if err != nil {
			return err
		}
		for id, from := range have {
			touched[id] = touched[id] || len(in.From) == 0 && !in.Silent
			for class, amount := range from {
				_, err = tx.Exec(ctx, "UPDATE inventories SET used = used - ? WHERE provider = ? AND class = ?", amount, id, class)
				if err != nil {
					return fmt.Errorf("free allocation: %w", err)
				}
			}
		}
	}
	return s.writeConsumer(ctx, tx, in, c, known)
}

func staleConsumer(is, given string) error {
	return errs.Conflictf("consumer generation conflict - expected %s but got %s", is, given).Typed(concurrentUpdate)
}

// writeConsumer clears the consumer's allocations and keeps its row, in the
// newest state, exactly as long as it is going to have some.
func (s *Service) writeConsumer(ctx context.Context, tx *db.Tx, in Claim, c Consumer, known bool) error {
	now := db.At(s.clock.Now())
	if known {
		_, err := tx.Exec(ctx, "DELETE FROM allocations WHERE consumer = ?", in.Consumer)
		if err != nil {
			return fmt.Errorf("clear allocations of %s: %w", in.Consumer, err)
		}
	}
	if len(in.From) == 0 {
		_, err := tx.Exec(ctx, "DELETE FROM consumers WHERE id = ?", in.Consumer)
		if err != nil {
			return fmt.Errorf("delete consumer %s: %w", in.Consumer, err)
		}
		return nil
	}
	if !known {
		c = Consumer{ID: in.Consumer, Project: in.Project, UserID: in.User, Type: in.Type, CreatedAt: now, UpdatedAt: now, Generation: 1}
		if c.Type == "" {
			c.Type = UnknownType
		}
		err := tx.Insert(ctx, &c)
		if err != nil {
			return fmt.Errorf("insert consumer %s: %w", in.Consumer, err)
		}
		return nil
	}
	if in.Type != "" {
		c.Type = in.Type
	}
	n, err := tx.Exec(ctx, `
		UPDATE consumers SET project = ?, user_id = ?, type = ?, generation = generation + 1, updated_at = ?
		WHERE id = ? AND generation = ?`, in.Project, in.User, c.Type, now, c.ID, c.Generation)
	if err != nil {
		return fmt.Errorf("update consumer %s: %w", in.Consumer, err)
	}
	if n == 0 {
		return errs.Conflictf("consumer generation conflict for %s", c.ID).Typed(concurrentUpdate)
	}
	return nil
}

// take adds what the claims take from one provider and raises its generation, or its
// revision alone.
func (s *Service) take(ctx context.Context, tx *db.Tx, id string, claims []Claim, told bool) error {
	p, err := provider(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Allocation for resource provider '%s' that does not exist.", id)
	}
	if err != nil {
		return err
	}
	stock, err := inventories(ctx, tx, id)
	if err != nil {
		return err
	}
	// All is checked before anything is written, so that a caller may try
	// another provider in the same transaction.
	var rows []allocation
	taken := Resources{}
	for _, in := range claims {
		for _, class := range slices.Sorted(maps.Keys(in.From[id])) {
			i, known := stock[class]
			if !known {
				return notOffered(ctx, tx, in.Consumer, id, class)
			}
			amount := in.From[id][class]
			full := i.fits(amount)
			if full != "" {
				return errs.Conflictf("%s", full)
			}
			i.Used += amount
			stock[class] = i
			taken[class] += amount
			rows = append(rows, allocation{Consumer: in.Consumer, Provider: id, Class: class, Used: amount})
		}
	}
	for _, class := range slices.Sorted(maps.Keys(taken)) {
		_, err = tx.Exec(ctx, "UPDATE inventories SET used = used + ? WHERE provider = ? AND class = ?", taken[class], id, class)
		if err != nil {
			return fmt.Errorf("take allocation: %w", err)
		}
	}
	if len(rows) > 0 {
		err = tx.Insert(ctx, &rows)
		if err != nil {
			return fmt.Errorf("insert allocations: %w", err)
		}
	}
	// This is what makes it safe where transactions run side by side: of two that
	// read the same inventories, one finds them raised.
	raise := touch
	if told {
		raise = bump
	}
	err = raise(ctx, tx, &p, s.clock.Now())
	if err != nil {
		return err
	}
	s.announce(tx, Change{Provider: p, Inventories: stock})
	return nil
}

// notOffered is the error when the provider has nothing of a class, or nobody has.
func notOffered(ctx context.Context, tx *db.Tx, consumer, id, class string) error {
	err := knownClass(ctx, tx, class)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Unable to allocate inventory for consumer %s: No such resource class %s.", consumer, class)
	}
	if err != nil {
		return err
	}
	return errs.Conflictf("Unable to allocate inventory: Inventory for '%s' on resource provider '%s' invalid.", class, id)
}
