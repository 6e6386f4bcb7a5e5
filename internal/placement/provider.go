package placement

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Provider is a resource provider.
type Provider struct {
	bun.BaseModel `bun:"table:resource_providers"`

	ID         string `bun:",pk"`
	Name       string
	Generation int64  // as clients know it
	Quiet      int64  // counts the changes that no generation tells
	Parent     string // "" for a root
	Root       string
	CreatedAt  db.Time
	UpdatedAt  db.Time
}

// Revision grows with every change, whether a generation tells it or not.
func (p Provider) Revision() int64 { return p.Generation + p.Quiet }

func provider(ctx context.Context, tx *db.Tx, id string) (Provider, error) {
	var p Provider
	err := tx.Get(ctx, &p, "SELECT * FROM resource_providers WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Provider{}, errs.NotFoundf("No resource provider with uuid %s found", id)
	}
	if err != nil {
		return Provider{}, fmt.Errorf("read provider %s: %w", id, err)
	}
	return p, nil
}

func insertProvider(ctx context.Context, tx *db.Tx, p Provider, now time.Time) (Provider, error) {
	p.CreatedAt, p.UpdatedAt = db.At(now), db.At(now)
	if p.Parent == p.ID {
		return p, notMade(p, "parent provider UUID cannot be same as UUID. Please set parent provider UUID to None if there is no parent.")
	}
	if p.Parent != "" {
		parent, err := provider(ctx, tx, p.Parent)
		if errs.Is(err, errs.NotFound) {
			return p, notMade(p, "parent provider UUID does not exist.")
		}
		if err != nil {
			return p, err
		}
		p.Root = parent.Root
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM resource_providers WHERE id = ?", p.ID)
	if err != nil {
		return p, fmt.Errorf("look for provider %s: %w", p.ID, err)
	}
	if n > 0 {
		return p, errs.Conflictf("Conflicting resource provider uuid: %s already exists.", p.ID).Typed(duplicateName)
	}
	err = tx.Insert(ctx, &p)
	if db.IsDuplicate(err) {
		return p, errs.Conflictf("Conflicting resource provider name: %s already exists.", p.Name).Typed(duplicateName)
	}
	if err != nil {
		return p, fmt.Errorf("insert provider: %w", err)
	}
	return p, nil
}

func notMade(p Provider, reason string) error {
	return errs.BadRequestf("Unable to create resource provider \"%s\", %s: Object action create failed because: %s", p.Name, p.ID, reason)
}

func notSaved(id, reason string) error {
	return errs.BadRequestf("Unable to save resource provider %s: Object action update failed because: %s", id, reason)
}

// bump raises the generation, provided nobody has changed the provider since
// it was read.
func bump(ctx context.Context, tx *db.Tx, p *Provider, now time.Time) error {
	return raise(ctx, tx, p, 1, 0, now)
}

// touch is bump for a change that no client is told of.
func touch(ctx context.Context, tx *db.Tx, p *Provider, now time.Time) error {
	return raise(ctx, tx, p, 0, 1, now)
}

func raise(ctx context.Context, tx *db.Tx, p *Provider, told, quiet int64, now time.Time) error {
	n, err := tx.Exec(ctx, `
		UPDATE resource_providers SET generation = ?, quiet = ?, updated_at = ?
		WHERE id = ? AND generation = ? AND quiet = ?`, p.Generation+told, p.Quiet+quiet, db.At(now), p.ID, p.Generation, p.Quiet)
	if err != nil {
		return fmt.Errorf("raise generation of provider %s: %w", p.ID, err)
	}
	if n == 0 {
		return concurrent(p.ID)
	}
	p.Generation, p.Quiet, p.UpdatedAt = p.Generation+told, p.Quiet+quiet, db.At(now)
	return nil
}

// Codes of errors, which clients tell them apart by.
const (
	concurrentUpdate = "placement.concurrent_update"
	duplicateName    = "placement.duplicate_name"
	inUse            = "placement.inventory.inuse"
)

func concurrent(id string) error {
	return errs.Conflictf("resource provider generation conflict for resource provider %s", id).Typed(concurrentUpdate)
}

// CreateProvider adds a provider.
func (s *Service) CreateProvider(ctx context.Context, id, name, parent string) (Provider, error) {
	if id == "" {
		id = s.newID()
	}
	p := Provider{ID: id, Name: name, Parent: parent, Root: id}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = insertProvider(ctx, tx, p, s.clock.Now())
		if err != nil {
			return err
		}
		return s.tellAfter(ctx, tx, true, p.ID)
	})
	return p, err
}

// Provider returns one provider.
func (s *Service) Provider(ctx context.Context, id string) (Provider, error) {
	var p Provider
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		return err
	})
	return p, err
}

// UpdateProvider renames a provider or gives it another parent. Pointers that
// are nil keep what is. Replant allows a parent to be changed or cleared.
func (s *Service) UpdateProvider(ctx context.Context, id, name string, parent *string, replant bool) (Provider, error) {
	var p Provider
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		err = touch(ctx, tx, &p, s.clock.Now())
		if err != nil {
			return err
		}
		p.Name = name
		if parent != nil && *parent != p.Parent {
			err = s.replant(ctx, tx, &p, *parent, replant)
			if err != nil {
				return err
			}
		}
		_, err = tx.Update(ctx, &p, "name", "parent", "root")
		if db.IsDuplicate(err) {
			return errs.Conflictf("Conflicting resource provider %s already exists.", name).Typed(duplicateName)
		}
		if err != nil {
			return fmt.Errorf("update provider %s: %w", id, err)
		}
		return s.tellAfter(ctx, tx, true, id)
	})
	return p, err
}

func (s *Service) replant(ctx context.Context, tx *db.Tx, p *Provider, parent string, replant bool) error {
	if p.Parent != "" && !replant {
		act := "re-parenting"
		if parent == "" {
			act = "un-parenting"
		}
		return notSaved(p.ID, act+" a provider is not currently allowed.")
	}
	old := p.Root
	p.Parent, p.Root = parent, p.ID
	if parent != "" {
		above, err := provider(ctx, tx, parent)
		if errs.Is(err, errs.NotFound) {
			return notSaved(p.ID, "parent provider UUID does not exist.")
		}
		if err != nil {
			return err
		}
		below, err := subtree(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if below[parent] {
			return notSaved(p.ID, "creating loop in the provider tree is not allowed.")
		}
		p.Root = above.Root
	}
	below, err := subtree(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	for id := range below {
		_, err = tx.Exec(ctx, "UPDATE resource_providers SET root = ? WHERE id = ? AND root = ?", p.Root, id, old)
		if err != nil {
			return fmt.Errorf("move provider %s: %w", id, err)
		}
	}
	return nil
}

// subtree returns the ids of the provider and all below it.
func subtree(ctx context.Context, tx *db.Tx, id string) (map[string]bool, error) {
	var rows []Provider
	err := tx.All(ctx, &rows, `
		SELECT * FROM resource_providers
		WHERE root = (SELECT root FROM resource_providers WHERE id = ?)`, id)
	if err != nil {
		return nil, fmt.Errorf("read tree of provider %s: %w", id, err)
	}
	in := map[string]bool{id: true}
	for grown := true; grown; {
		grown = false
		for _, p := range rows {
			if !in[p.ID] && in[p.Parent] {
				in[p.ID], grown = true, true
			}
		}
	}
	return in, nil
}

// DeleteProvider removes a provider that nobody uses.
func (s *Service) DeleteProvider(ctx context.Context, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error { return s.deleteProvider(ctx, tx, id) })
	if errs.Is(err, errs.NotFound) {
		return errs.NotFoundf("No resource provider with uuid %s found for delete", id)
	}
	return err
}

// RemoveHost removes the provider of a host that is no compute host any more, and
// those below it. A missing one is a success.
func (s *Service) RemoveHost(ctx context.Context, tx *db.Tx, id string) error {
	var below []string
	err := tx.All(ctx, &below, "SELECT id FROM resource_providers WHERE parent = ? ORDER BY id", id)
	if err != nil {
		return fmt.Errorf("read children of provider %s: %w", id, err)
	}
	for _, child := range below {
		err = s.RemoveHost(ctx, tx, child)
		if err != nil {
			return err
		}
	}
	err = s.deleteProvider(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func (s *Service) deleteProvider(ctx context.Context, tx *db.Tx, id string) error {
	p, err := provider(ctx, tx, id)
	if err != nil {
		return err
	}
	var n int
	err = tx.Get(ctx, &n, "SELECT COUNT(*) FROM allocations WHERE provider = ?", id)
	if err != nil {
		return fmt.Errorf("count allocations of provider %s: %w", id, err)
	}
	if n > 0 {
		return errs.Conflictf("Unable to delete resource provider %s: Resource provider has allocations.", id).
			Typed("placement.resource_provider.inuse")
	}
	err = tx.Get(ctx, &n, "SELECT COUNT(*) FROM resource_providers WHERE parent = ?", id)
	if err != nil {
		return fmt.Errorf("count children of provider %s: %w", id, err)
	}
	if n > 0 {
		return errs.Conflictf("Unable to delete parent resource provider %s: It has child resource providers.", id).
			Typed("placement.resource_provider.cannot_delete_parent")
	}
	_, err = tx.Exec(ctx, "DELETE FROM resource_providers WHERE id = ?", id)
	if err != nil {
		return fmt.Errorf("delete provider %s: %w", id, err)
	}
	s.announce(tx, Change{Provider: p, Removed: true})
	return nil
}
