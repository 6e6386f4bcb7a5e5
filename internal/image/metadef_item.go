package image

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// ItemKind is what an item of a namespace is. The kinds differ in their schemas
// alone, which are the API's.
type ItemKind string

// The kinds of items.
const (
	DefinedObject   ItemKind = "object"
	DefinedProperty ItemKind = "property"
	DefinedTag      ItemKind = "tag"
	DefinedType     ItemKind = "resource_type" // that the namespace is about a type of resources
)

// Item is one definition in a namespace.
type Item struct {
	bun.BaseModel `bun:"table:metadef_items" json:"-"`

	ID        string        `bun:",pk" json:"-"`
	Namespace string        `json:"namespace"`
	Kind      ItemKind      `json:"-"`
	Name      string        `json:"name"`
	Body      db.JSON[Body] `json:"-"`
	CreatedAt db.Time       `json:"-"`
	UpdatedAt db.Time       `json:"-"`
}

// Body is what is said of an item besides its name.
type Body map[string]json.RawMessage

// NewItem makes a definition that is in no namespace yet.
func NewItem(kind ItemKind, name string, body Body) Item {
	return Item{ID: clock.UUID(), Kind: kind, Name: name, Body: db.Of(body)}
}

// Items lists what a namespace holds of a kind, the newest first unless the page
// says otherwise. Its marker is a name.
func (s *Service) Items(ctx context.Context, namespace string, kind ItemKind, page db.Page) (items []Item, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			marker, err := findItem(ctx, tx, namespace, kind, page.Marker)
			if err != nil {
				return err
			}
			page.Marker = marker.ID
		}
		q := tx.NewSelect().TableExpr("metadef_items").ColumnExpr("metadef_items.*").Where("namespace = ? AND kind = ?", namespace, kind)
		return page.Cut(q, "metadef_items", "id").Scan(ctx, &items)
	})
	if err != nil {
		return nil, fmt.Errorf("list %ss of namespace %s: %w", kind, namespace, err)
	}
	items, _ = db.Trim(page, items)
	return items, nil
}

// ItemsOf lists all that some namespaces hold, in the order of their names.
func (s *Service) ItemsOf(ctx context.Context, namespaces []string, kinds ...ItemKind) (items []Item, err error) {
	if len(namespaces) == 0 {
		return nil, nil
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &items, "SELECT * FROM metadef_items WHERE namespace IN (?) AND kind IN (?) ORDER BY namespace, kind, name",
			db.In(namespaces), db.In(kinds))
	})
	if err != nil {
		return nil, fmt.Errorf("list metadata definitions: %w", err)
	}
	return items, nil
}

// Item returns one definition.
func (s *Service) Item(ctx context.Context, namespace string, kind ItemKind, name string) (item Item, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		item, err = findItem(ctx, tx, namespace, kind, name)
		return err
	})
	return item, err
}

func findItem(ctx context.Context, tx *db.Tx, namespace string, kind ItemKind, name string) (Item, error) {
	var item Item
	err := tx.Get(ctx, &item, "SELECT * FROM metadef_items WHERE namespace = ? AND kind = ? AND name = ?", namespace, kind, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Item{}, errs.NotFoundf("The metadata definition %s with name=%s was not found in namespace=%s.", kind, name, namespace)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read %s %s of namespace %s: %w", kind, name, namespace, err)
	}
	return item, nil
}

// AddItem adds a definition to a namespace.
func (s *Service) AddItem(ctx context.Context, namespace string, item Item) (Item, error) {
	items := []Item{item}
	err := s.db.Write(ctx, func(tx *db.Tx) error { return addItems(ctx, tx, namespace, items) })
	if err != nil {
		return Item{}, fmt.Errorf("define %s %s: %w", item.Kind, item.Name, err)
	}
	return items[0], nil
}

// SetTags gives a namespace these tags instead of those it has, or besides them.
func (s *Service) SetTags(ctx context.Context, n Namespace, tags []Item, keep bool) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if !keep {
			_, err := tx.Exec(ctx, "DELETE FROM metadef_items WHERE namespace = ? AND kind = ?", n.Name, DefinedTag)
			if err != nil {
				return err
			}
		}
		return addItems(ctx, tx, n.Name, tags)
	})
	if err != nil {
		return fmt.Errorf("set tags of namespace %s: %w", n.Name, err)
	}
	return nil
}

// addItems adds definitions and, in place, says when. A type of resources that
// nobody has named yet is one from now on.
func addItems(ctx context.Context, tx *db.Tx, namespace string, items []Item) error {
	for i := range items {
		item := &items[i]
		now := db.At(tx.Now())
		item.Namespace, item.CreatedAt, item.UpdatedAt = namespace, now, now
		if item.Kind == DefinedType {
			_, err := tx.Exec(ctx, "INSERT INTO metadef_resource_types (name, created_at, updated_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
				item.Name, now, now)
			if err != nil {
				return err
			}
		}
		err := tx.Insert(ctx, item)
		if db.IsDuplicate(err) {
			return itemTaken(*item)
		}
		if err != nil {
			return err
		}
		err = emitDefinition(ctx, tx, "metadef_"+string(item.Kind)+".create", namespace, item)
		if err != nil {
			return err
		}
	}
	return nil
}

func itemTaken(item Item) error {
	return errs.Conflictf("A metadata definition %s with name=%s already exists in namespace=%s.", item.Kind, item.Name, item.Namespace)
}

// UpdateItem replaces a definition, its name too.
func (s *Service) UpdateItem(ctx context.Context, item Item, name string, body Body) (Item, error) {
	item.Name, item.Body = name, db.Of(body)
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		item.UpdatedAt = db.At(tx.Now())
		n, err := tx.Update(ctx, &item, "name", "body", "updated_at")
		if db.IsDuplicate(err) {
			return itemTaken(item)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.NotFoundf("The metadata definition %s with name=%s was not found in namespace=%s.", item.Kind, name, item.Namespace)
		}
		return emitDefinition(ctx, tx, "metadef_"+string(item.Kind)+".update", item.Namespace, item)
	})
	if err != nil {
		return Item{}, fmt.Errorf("redefine %s %s: %w", item.Kind, name, err)
	}
	return item, nil
}

// RemoveItem removes a definition.
func (s *Service) RemoveItem(ctx context.Context, n Namespace, item Item) error {
	err := n.removable()
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM metadef_items WHERE id = ?", item.ID)
		if err != nil {
			return err
		}
		return emitDefinition(ctx, tx, "metadef_"+string(item.Kind)+".delete", n.Name, item)
	})
	if err != nil {
		return fmt.Errorf("remove %s %s: %w", item.Kind, item.Name, err)
	}
	return nil
}

// plurals are the kinds as notifications about all of them have it.
var plurals = map[ItemKind]string{DefinedObject: "objects", DefinedProperty: "properties", DefinedTag: "tags"}

// RemoveItems removes all definitions of a kind.
func (s *Service) RemoveItems(ctx context.Context, n Namespace, kind ItemKind) error {
	err := n.removable()
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM metadef_items WHERE namespace = ? AND kind = ?", n.Name, kind)
		if err != nil {
			return err
		}
		return emitDefinition(ctx, tx, "metadef_namespace.delete_"+plurals[kind], n.Name, n)
	})
	if err != nil {
		return fmt.Errorf("remove %ss of namespace %s: %w", kind, n.Name, err)
	}
	return nil
}

// ResourceType is a kind of resources that definitions can be about.
type ResourceType struct {
	bun.BaseModel `bun:"table:metadef_resource_types"`

	Name      string `bun:",pk"`
	CreatedAt db.Time
	UpdatedAt db.Time
}

// ResourceTypes lists them all.
func (s *Service) ResourceTypes(ctx context.Context) (types []ResourceType, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &types, "SELECT * FROM metadef_resource_types ORDER BY name")
	})
	if err != nil {
		return nil, fmt.Errorf("list resource types: %w", err)
	}
	return types, nil
}
