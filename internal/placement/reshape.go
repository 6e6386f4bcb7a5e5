package placement

import (
	"context"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Shape is what a provider is to have.
type Shape struct {
	Generation  int64 // of the provider, as the caller knows it
	Inventories map[string]Inventory
}

// Reshape moves inventories between providers together with what is allocated
// from them, all or nothing: providers of a tree can be split or joined while
// their consumers stay.
func (s *Service) Reshape(ctx context.Context, shapes map[string]Shape, claims []Claim) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		ids := slices.Sorted(maps.Keys(shapes))
		// What is there or is to be there, while the allocations move.
		for _, id := range ids {
			p, err := provider(ctx, tx, id)
			if errs.Is(err, errs.NotFound) {
				return errs.BadRequestf("Resource provider %s in inventories not found: No resource provider with uuid %s found", id, id).
					Typed("placement.resource_provider.not_found")
			}
			if err != nil {
				return err
			}
			if p.Generation != shapes[id].Generation {
				return errs.Conflictf("resource provider generation conflict for provider %s: actual: %d, given: %d", id, p.Generation, shapes[id].Generation).
					Typed(concurrentUpdate)
			}
			if len(shapes[id].Inventories) == 0 {
				continue
			}
			_, err = s.shape(ctx, tx, id, shapes[id].Inventories, false)
			if err != nil {
				return err
			}
			err = bump(ctx, tx, &p, s.clock.Now())
			if err != nil {
				return err
			}
		}
		err := s.replace(ctx, tx, claims...)
		if err != nil {
			return err
		}
		for _, id := range ids {
			p, err := s.shape(ctx, tx, id, shapes[id].Inventories, true)
			if err != nil {
				return err
			}
			err = bump(ctx, tx, &p, s.clock.Now())
			if err != nil {
				return err
			}
			err = s.tellAfter(ctx, tx, false, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// shape gives a provider the inventories; what it has besides stays unless they
// are all.
func (s *Service) shape(ctx context.Context, tx *db.Tx, id string, want map[string]Inventory, all bool) (Provider, error) {
	p, err := provider(ctx, tx, id)
	if err != nil {
		return p, err
	}
	have, err := inventories(ctx, tx, id)
	if err != nil {
		return p, err
	}
	want, err = checkInventories(ctx, tx, id, want)
	if err != nil {
		return p, err
	}
	if !all {
		for class, i := range have {
			if _, changes := want[class]; !changes {
				want[class] = i
			}
		}
	}
	return p, writeInventories(ctx, tx, id, have, want)
}
