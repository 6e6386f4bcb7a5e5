package placement

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Inventory is what a provider has of one resource class.
type Inventory struct {
	bun.BaseModel `bun:"table:inventories"`

	Provider string `bun:",pk"`
	Class    string `bun:",pk"`
	Total    int64
	Reserved int64
	MinUnit  int64
	MaxUnit  int64
	StepSize int64
	Ratio    float64
	Used     int64
}

// maxInt is the largest amount, and the default of max_unit.
const maxInt = 0x7FFFFFFF

// maxCapacity is no limit, and leaves room for sums.
const maxCapacity = 1 << 62

// whole fills in what was left out.
func (i Inventory) whole(provider, class string) Inventory {
	i.Provider, i.Class = provider, class
	i.MinUnit, i.StepSize = max(i.MinUnit, 1), max(i.StepSize, 1)
	if i.MaxUnit == 0 {
		i.MaxUnit = maxInt
	}
	if i.Ratio == 0 {
		i.Ratio = 1
	}
	return i
}

// byClass orders the standard classes as they are numbered, before all others.
func byClass(a, b string) int {
	number := func(class string) int {
		i := slices.Index(standardClasses, class)
		if i < 0 {
			return len(standardClasses)
		}
		return i
	}
	return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a, b))
}

// Capacity is how much may be claimed in all.
func (i Inventory) Capacity() int64 {
	return int64(min(float64(i.Total-i.Reserved)*i.Ratio, maxCapacity))
}

// fits tells whether one consumer may take the amount, "" when it may.
func (i Inventory) fits(amount int64) string {
	switch {
	case amount < i.MinUnit || amount > i.MaxUnit || amount%i.StepSize != 0:
		return fmt.Sprintf("Unable to allocate inventory: Unable to create allocation for '%s' on resource provider '%s'. "+
			"The requested amount would violate inventory constraints.", i.Class, i.Provider)
	case i.Used+amount > i.Capacity():
		return fmt.Sprintf("Unable to allocate inventory: Unable to create allocation for '%s' on resource provider '%s'. "+
			"The requested amount would exceed the capacity.", i.Class, i.Provider)
	}
	return ""
}

func inventories(ctx context.Context, tx *db.Tx, id string) (map[string]Inventory, error) {
	var rows []Inventory
	err := tx.All(ctx, &rows, "SELECT * FROM inventories WHERE provider = ?", id)
	if err != nil {
		return nil, fmt.Errorf("read inventories of provider %s: %w", id, err)
	}
	stock := make(map[string]Inventory, len(rows))
	for _, i := range rows {
		stock[i.Class] = i
	}
	return stock, nil
}

// writeInventories makes the provider have exactly want. A class in use stays.
func writeInventories(ctx context.Context, tx *db.Tx, id string, have, want map[string]Inventory) error {
	var used, gone []string
	for _, class := range slices.SortedFunc(maps.Keys(have), byClass) {
		_, stays := want[class]
		switch {
		case stays:
		case have[class].Used > 0:
			used = append(used, class)
		default:
			gone = append(gone, class)
		}
	}
	if used != nil {
		return errs.Conflictf("update conflict: Inventory for '%s' on resource provider '%s' in use.", strings.Join(used, ", "), id).
			Typed(inUse)
	}
	for _, class := range gone {
		_, err := tx.Exec(ctx, "DELETE FROM inventories WHERE provider = ? AND class = ?", id, class)
		if err != nil {
			return fmt.Errorf("delete inventory: %w", err)
		}
	}
	for _, class := range slices.Sorted(maps.Keys(want)) {
		i := want[class]
		old, known := have[class]
		if known {
			i.Used = old.Used
			_, err := tx.Update(ctx, &i, "total", "reserved", "min_unit", "max_unit", "step_size", "ratio")
			if err != nil {
				return fmt.Errorf("update inventory: %w", err)
			}
			continue
		}
		i.Used = 0
		err := tx.Insert(ctx, &i)
		if err != nil {
			return fmt.Errorf("insert inventory: %w", err)
		}
	}
	return nil
}

// Inventories returns a provider and what it has, by class.
func (s *Service) Inventories(ctx context.Context, id string) (Provider, map[string]Inventory, error) {
	var p Provider
	var stock map[string]Inventory
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		stock, err = inventories(ctx, tx, id)
		return err
	})
	return p, stock, err
}

// SetInventories replaces all inventories of a provider whose generation is
// still the given one (-1: whichever it is).
func (s *Service) SetInventories(ctx context.Context, id string, generation int64, want map[string]Inventory) (Provider, error) {
	return s.changeInventories(ctx, id, generation, func(map[string]Inventory) (map[string]Inventory, error) { return want, nil })
}

// AddInventory adds the inventory of a class that the provider has none of.
func (s *Service) AddInventory(ctx context.Context, id, class string, i Inventory) (Provider, error) {
	return s.changeInventories(ctx, id, -1, func(have map[string]Inventory) (map[string]Inventory, error) {
		_, known := have[class]
		if known {
			return nil, errs.Conflictf("Update conflict: there is an inventory of %s already.", class).Typed(concurrentUpdate)
		}
		want := maps.Clone(have)
		want[class] = i
		return want, nil
	})
}

// SetInventory replaces the inventory of one class.
func (s *Service) SetInventory(ctx context.Context, id string, generation int64, class string, i Inventory) (Provider, error) {
	return s.changeInventories(ctx, id, generation, func(have map[string]Inventory) (map[string]Inventory, error) {
		_, known := have[class]
		if !known {
			return nil, errs.BadRequestf("No inventory record with resource class for resource provider %s: cannot update %s.", id, class)
		}
		want := maps.Clone(have)
		want[class] = i
		return want, nil
	})
}

// DeleteInventory removes the inventory of one class.
func (s *Service) DeleteInventory(ctx context.Context, id, class string) error {
	_, err := s.changeInventories(ctx, id, -1, func(have map[string]Inventory) (map[string]Inventory, error) {
		_, known := have[class]
		if !known {
			return nil, errs.NotFoundf("No inventory of class %s found for delete", class)
		}
		want := maps.Clone(have)
		delete(want, class)
		return want, nil
	})
	if errs.Is(err, errs.Conflict) {
		// Of one class alone OpenStack says that it changed, whatever the reason is.
		return errs.Conflictf("Unable to delete inventory of class %s: %v", class, err).Typed(concurrentUpdate).Because(err)
	}
	return err
}

func (s *Service) changeInventories(ctx context.Context, id string, generation int64,
	change func(have map[string]Inventory) (map[string]Inventory, error)) (Provider, error) {
	var p Provider
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		if generation >= 0 && generation != p.Generation {
			return concurrent(id)
		}
		have, err := inventories(ctx, tx, id)
		if err != nil {
			return err
		}
		want, err := change(have)
		if err != nil {
			return err
		}
		want, err = checkInventories(ctx, tx, id, want)
		if err != nil {
			return err
		}
		err = writeInventories(ctx, tx, id, have, want)
		if err != nil {
			return err
		}
		err = bump(ctx, tx, &p, s.clock.Now())
		if err != nil {
			return err
		}
		return s.tellAfter(ctx, tx, false, id)
	})
	return p, err
}

// checkInventories refuses what no provider can have.
func checkInventories(ctx context.Context, tx *db.Tx, id string, in map[string]Inventory) (map[string]Inventory, error) {
	out := make(map[string]Inventory, len(in))
	for class, i := range in {
		err := knownClass(ctx, tx, class)
		if err != nil {
			return nil, errs.BadRequestf("Unknown resource class in inventory for resource provider %s: No such resource class %s.", id, class)
		}
		i.Provider, i.Class = id, class
		if i.Capacity() < 0 {
			return nil, errs.BadRequestf("Unable to update inventory for resource provider %s: Invalid inventory for '%s' on resource provider '%s'. "+
				"The reserved value is greater than total.", id, class, id)
		}
		out[class] = i
	}
	return out, nil
}
