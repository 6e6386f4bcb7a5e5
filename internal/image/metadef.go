package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Namespace is a set of metadata definitions: what the keys mean that images,
// volumes, flavors and others carry. Nothing here acts on them; they tell
// people and dashboards what may be set where.
type Namespace struct {
	bun.BaseModel `bun:"table:metadef_namespaces"`

	Name        string  `bun:",pk" json:"namespace"`
	DisplayName string  `json:"display_name"`
	Description string  `json:"description"`
	Owner       string  `json:"owner"`      // project id
	Visibility  string  `json:"visibility"` // Public or Private
	Protected   bool    `json:"protected"`
	CreatedAt   db.Time `json:"-"`
	UpdatedAt   db.Time `json:"-"`
}

// NamespaceQuery is what a list of namespaces asks for besides its page.
type NamespaceQuery struct {
	Visibility    string   // "" for any
	ResourceTypes []string // about one of them; none for any
}

// Namespaces lists the namespaces that the viewer sees.
func (s *Service) Namespaces(ctx context.Context, who Viewer, query NamespaceQuery, page db.Page) (list []Namespace, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			_, err := namespaceSeen(ctx, tx, who, page.Marker)
			if err != nil {
				return err
			}
		}
		q := tx.NewSelect().TableExpr("metadef_namespaces").ColumnExpr("metadef_namespaces.*")
		if !who.Admin {
			q = q.Where("owner = ? OR visibility = ?", who.Project, Public)
		}
		if query.Visibility != "" {
			q = q.Where("visibility = ?", query.Visibility)
		}
		if len(query.ResourceTypes) > 0 {
			q = q.Where("name IN (SELECT i.namespace FROM metadef_items AS i WHERE i.kind = ? AND i.name IN (?))", DefinedType, db.In(query.ResourceTypes))
		}
		return page.Cut(q, "metadef_namespaces", "name").Scan(ctx, &list)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list metadata namespaces: %w", err)
	}
	list, more = db.Trim(page, list)
	return list, more, nil
}

// Namespace returns a namespace that the viewer sees.
func (s *Service) Namespace(ctx context.Context, who Viewer, name string) (n Namespace, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		n, err = namespaceSeen(ctx, tx, who, name)
		return err
	})
	return n, err
}

func namespaceSeen(ctx context.Context, tx *db.Tx, who Viewer, name string) (Namespace, error) {
	var n Namespace
	err := tx.Get(ctx, &n, "SELECT * FROM metadef_namespaces WHERE name = ?", name)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && !who.Admin && n.Owner != who.Project && n.Visibility != Public) {
		return Namespace{}, namespaceMissing(name)
	}
	if err != nil {
		return Namespace{}, fmt.Errorf("read metadata namespace %s: %w", name, err)
	}
	return n, nil
}

func namespaceMissing(name string) error { return errs.NotFoundf("Namespace %s not found", name) }

// CreateNamespace makes a namespace together with what is in it.
func (s *Service) CreateNamespace(ctx context.Context, n Namespace, items []Item) (Namespace, error) {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n.CreatedAt = db.At(tx.Now())
		n.UpdatedAt = n.CreatedAt
		err := tx.Insert(ctx, &n)
		if db.IsDuplicate(err) {
			return namespaceTaken(n.Name)
		}
		if err != nil {
			return err
		}
		err = emitDefinition(ctx, tx, "metadef_namespace.create", n.Name, n)
		if err != nil {
			return err
		}
		return addItems(ctx, tx, n.Name, items)
	})
	if err != nil {
		return Namespace{}, fmt.Errorf("create metadata namespace %s: %w", n.Name, err)
	}
	return n, nil
}

// UpdateNamespace replaces what is said of a namespace, its name too.
func (s *Service) UpdateNamespace(ctx context.Context, name string, n Namespace) (Namespace, error) {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var createdAt db.Time
		err := tx.Get(ctx, &createdAt, "SELECT created_at FROM metadef_namespaces WHERE name = ?", name)
		if errors.Is(err, sql.ErrNoRows) {
			return namespaceMissing(name)
		}
		if err != nil {
			return err
		}
		n.CreatedAt, n.UpdatedAt = createdAt, db.At(tx.Now())
		_, err = tx.Exec(ctx, `
			UPDATE metadef_namespaces SET name = ?, display_name = ?, description = ?, owner = ?, visibility = ?, protected = ?, updated_at = ?
			WHERE name = ?`, n.Name, n.DisplayName, n.Description, n.Owner, n.Visibility, n.Protected, n.UpdatedAt, name)
		if db.IsDuplicate(err) {
			return namespaceTaken(n.Name)
		}
		if err != nil {
			return err
		}
		return emitDefinition(ctx, tx, "metadef_namespace.update", n.Name, n)
	})
	if err != nil {
		return Namespace{}, fmt.Errorf("change metadata namespace %s: %w", name, err)
	}
	return n, nil
}

func namespaceTaken(name string) error {
	return errs.Conflictf("The metadata definition namespace=%s already exists.", name)
}

// DeleteNamespace removes a namespace with all that is in it.
func (s *Service) DeleteNamespace(ctx context.Context, n Namespace) error {
	err := n.removable()
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM metadef_namespaces WHERE name = ?", n.Name)
		if err != nil {
			return err
		}
		return emitDefinition(ctx, tx, "metadef_namespace.delete", n.Name, n)
	})
	if err != nil {
		return fmt.Errorf("delete metadata namespace %s: %w", n.Name, err)
	}
	return nil
}

// removable is an error when the namespace protects what is in it.
func (n Namespace) removable() error {
	if n.Protected {
		return errs.Forbiddenf("Metadata definition namespace %s is protected and cannot be deleted.", n.Name)
	}
	return nil
}

// emitDefinition tells of a change to metadata definitions.
func emitDefinition(ctx context.Context, tx *db.Tx, kind, namespace string, payload any) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: kind, Resource: namespace, Payload: payload})
}
