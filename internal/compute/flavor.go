package compute

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Flavor is a size of servers.
type Flavor struct {
	bun.BaseModel `bun:"table:flavors,alias:flavors" json:"-"`

	ID          string `bun:",pk"`
	Name        string
	VCPUs       int64 `bun:"vcpus"`
	RAM         int64 `bun:"ram"` // MiB
	Disk        int64 // GiB
	Ephemeral   int64
	Swap        int64   // MiB
	RxTxFactor  float64 `bun:"rxtx_factor"`
	Public      bool
	Description *string
	ExtraSpecs  db.JSON[map[string]string]
	CreatedAt   db.Time
}

// flavorColumn is a flavor as a server's row keeps it, as JSON. Servers of one
// flavor have the same text, so what it says is read once and shared: it must
// not be changed.
type flavorColumn struct{ V Flavor }

// Value implements driver.Valuer.
func (f flavorColumn) Value() (driver.Value, error) { return db.Of(f.V).Value() }

// Scan implements sql.Scanner.
func (f *flavorColumn) Scan(src any) error {
	var text string
	switch x := src.(type) {
	case string:
		text = x
	case []byte:
		text = string(x)
	}
	known, ok := flavorTexts.Load(text)
	if ok {
		f.V = known.(Flavor)
		return nil
	}
	var j db.JSON[Flavor]
	err := j.Scan(src)
	if err != nil {
		return err
	}
	f.V = j.V
	if flavorCount.Add(1) > maxFlavorTexts {
		flavorTexts.Clear()
		flavorCount.Store(0)
	}
	flavorTexts.Store(text, j.V)
	return nil
}

// maxFlavorTexts bounds the memory that shared flavors take.
const maxFlavorTexts = 1000

var (
	flavorTexts sync.Map // text → Flavor
	flavorCount atomic.Int64
)

// Amounts is what a server of this flavor takes, by resource class. Servers
// that boot from a volume take no local root disk.
func (f Flavor) amounts(bootsFromVolume bool) (vcpus, mb, gb int64) {
	gb = f.Ephemeral + (f.Swap+1023)/1024
	if !bootsFromVolume {
		gb += f.Disk
	}
	return f.VCPUs, f.RAM, gb
}

// defaultFlavors are what a fresh cloud offers.
var defaultFlavors = []Flavor{
	{ID: "1", Name: "m1.tiny", VCPUs: 1, RAM: 512, Disk: 1},
	{ID: "2", Name: "m1.small", VCPUs: 1, RAM: 2048, Disk: 20},
	{ID: "3", Name: "m1.medium", VCPUs: 2, RAM: 4096, Disk: 40},
	{ID: "4", Name: "m1.large", VCPUs: 4, RAM: 8192, Disk: 80},
	{ID: "5", Name: "m1.xlarge", VCPUs: 8, RAM: 16384, Disk: 160},
}

// Bootstrap gives a fresh cloud its flavors. One that has any is left alone.
func (s *Service) Bootstrap(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var n int
		err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM flavors")
		if err != nil {
			return fmt.Errorf("count flavors: %w", err)
		}
		if n > 0 {
			return nil
		}
		for _, f := range defaultFlavors {
			f.Public, f.RxTxFactor, f.CreatedAt = true, 1, db.At(s.clock.Now())
			f.ExtraSpecs = db.Of(map[string]string{})
			err = tx.Insert(ctx, &f)
			if err != nil {
				return fmt.Errorf("insert flavor %s: %w", f.Name, err)
			}
		}
		return nil
	})
}

// visible is the condition on flavors that a project may use.
const visible = "(public = 1 OR EXISTS (SELECT 1 FROM flavor_access AS a WHERE a.flavor = flavors.id AND a.project = ?))"

// FlavorQuery selects flavors. Project "" sees all.
type FlavorQuery struct {
	Project string
	Public  *bool // nil: whichever
	MinDisk int64
	MinRAM  int64
	Name    string // a regular expression, found anywhere in the name
	Page    db.Page
}

// Flavors lists flavors.
func (s *Service) Flavors(ctx context.Context, q FlavorQuery) (list []Flavor, more bool, err error) {
	err = db.CheckPattern(q.Name)
	if err != nil {
		return nil, false, errs.BadRequestf("Invalid input for query parameters name. Value: %s. %s", q.Name, err)
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if q.Page.Marker != "" {
			_, err := flavor(ctx, tx, "", q.Page.Marker)
			if err != nil {
				return errs.BadRequestf("marker [%s] not found", q.Page.Marker)
			}
		}
		sel := tx.NewSelect().Model(&list).
			Where("disk >= ? AND ram >= ?", q.MinDisk, q.MinRAM)
		if q.Project != "" {
			sel = sel.Where(visible, q.Project)
		}
		if q.Public != nil {
			sel = sel.Where("public = ?", *q.Public)
		}
		if q.Name != "" {
			sel = db.Matching(sel, "name", q.Name)
		}
		return q.Page.Cut(sel, "flavors", "id").Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list flavors: %w", err)
	}
	list, more = db.Trim(q.Page, list)
	return list, more, nil
}

// Flavor returns a flavor that the project ("" for any) may use.
func (s *Service) Flavor(ctx context.Context, project, id string) (Flavor, error) {
	var f Flavor
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		f, err = flavor(ctx, tx, project, id)
		return err
	})
	return f, err
}

func flavor(ctx context.Context, tx *db.Tx, project, id string) (Flavor, error) {
	var f Flavor
	query, args := "SELECT * FROM flavors WHERE id = ?", []any{id}
	if project != "" {
		query, args = query+" AND "+visible, append(args, project)
	}
	err := tx.Get(ctx, &f, query+tx.Hold(), args...)
	if errors.Is(err, sql.ErrNoRows) {
		return Flavor{}, errs.NotFoundf("Flavor %s could not be found.", id)
	}
	if err != nil {
		return Flavor{}, fmt.Errorf("read flavor %s: %w", id, err)
	}
	return f, nil
}

// CreateFlavor adds a flavor. An empty id is made up.
func (s *Service) CreateFlavor(ctx context.Context, f Flavor) (Flavor, error) {
	if f.ID == "" {
		f.ID = s.newID()
	}
	f.CreatedAt = db.At(s.clock.Now())
	if f.ExtraSpecs.V == nil {
		f.ExtraSpecs.V = map[string]string{}
	}
	if f.RxTxFactor <= 0 || f.RxTxFactor > math.MaxFloat32 {
		return Flavor{}, errs.BadRequestf("Invalid input for field/attribute rxtx_factor. Value: %g. It is out of range.", f.RxTxFactor)
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var n int
		err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM flavors WHERE id = ?", f.ID)
		if err != nil {
			return fmt.Errorf("look for flavor %s: %w", f.ID, err)
		}
		if n > 0 {
			return errs.Conflictf("Flavor with ID %s already exists.", f.ID)
		}
		err = tx.Insert(ctx, &f)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Flavor with name %s already exists.", f.Name)
		}
		if err != nil {
			return err
		}
		return tellFlavor(ctx, tx, "create", f)
	})
	return f, err
}

// DescribeFlavor changes a flavor's description.
func (s *Service) DescribeFlavor(ctx context.Context, id string, text *string) (Flavor, error) {
	return s.changeFlavor(ctx, id, func(f *Flavor) error {
		f.Description = text
		return nil
	}, "description")
}

// StandardTrait tells whether every cloud knows the trait.
func (s *Service) StandardTrait(name string) bool { return s.placement.StandardTrait(name) }

// StandardClass tells whether every cloud knows the resource class.
func (s *Service) StandardClass(name string) bool { return s.placement.StandardClass(name) }

// SetExtraSpecs adds extra specs or replaces their values.
func (s *Service) SetExtraSpecs(ctx context.Context, id string, specs map[string]string) (Flavor, error) {
	return s.changeFlavor(ctx, id, func(f *Flavor) error {
		all := maps.Clone(f.ExtraSpecs.V)
		maps.Copy(all, specs)
		f.ExtraSpecs.V = all
		return nil
	}, "extra_specs")
}

// DeleteExtraSpec removes one extra spec.
func (s *Service) DeleteExtraSpec(ctx context.Context, id, key string) error {
	_, err := s.changeFlavor(ctx, id, func(f *Flavor) error {
		_, has := f.ExtraSpecs.V[key]
		if !has {
			return errs.NotFoundf("Flavor %s has no extra specs with key %s.", id, key)
		}
		delete(f.ExtraSpecs.V, key)
		return nil
	}, "extra_specs")
	return err
}

func (s *Service) changeFlavor(ctx context.Context, id string, do func(*Flavor) error, column string) (Flavor, error) {
	var f Flavor
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		f, err = flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		err = do(&f)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &f, column)
		if err != nil {
			return err
		}
		return tellFlavor(ctx, tx, "update", f)
	})
	return f, err
}

// DeleteFlavor removes a flavor. Servers keep what they were made with.
func (s *Service) DeleteFlavor(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		f, err := flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM flavors WHERE id = ?", id)
		if err != nil {
			return fmt.Errorf("delete flavor %s: %w", id, err)
		}
		return tellFlavor(ctx, tx, "delete", f)
	})
}

// FlavorAccess lists the projects that may use a flavor that is not public.
func (s *Service) FlavorAccess(ctx context.Context, id string) ([]string, error) {
	var list []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		f, err := flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		if f.Public {
			return errs.NotFoundf("Access list not available for public flavors.")
		}
		return tx.All(ctx, &list, "SELECT project FROM flavor_access WHERE flavor = ? ORDER BY project", id)
	})
	return list, err
}

// GrantFlavor lets a project use a flavor.
func (s *Service) GrantFlavor(ctx context.Context, id, project string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		f, err := flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO flavor_access (flavor, project) VALUES (?, ?)", id, project)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Flavor access already exists for flavor %s and project %s combination.", id, project)
		}
		if err != nil {
			return err
		}
		return tellFlavor(ctx, tx, "update", f)
	})
}

// RevokeFlavor takes that back.
func (s *Service) RevokeFlavor(ctx context.Context, id, project string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		f, err := flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "DELETE FROM flavor_access WHERE flavor = ? AND project = ?", id, project)
		if err == nil && n == 0 {
			return errs.NotFoundf("Flavor access not found for %s / %s combination.", id, project)
		}
		if err != nil {
			return err
		}
		return tellFlavor(ctx, tx, "update", f)
	})
}
