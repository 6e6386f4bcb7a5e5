package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// DefaultType is the name of the type that volumes have when nobody asks for
// another.
const DefaultType = "__DEFAULT__"

// defaultTypeID is fixed, so that a repeated bootstrap makes nothing twice.
const defaultTypeID = "6e616372-6500-4000-8000-766f6c756d65"

// Type is a volume type: a name with extra specs.
type Type struct {
	bun.BaseModel `bun:"table:volume_types,alias:volume_types"`

	ID          string `bun:",pk"`
	Name        string
	Description string
	IsPublic    bool
	ExtraSpecs  db.JSON[map[string]string]
	Qos         string // id of QoS specs
	CreatedAt   db.Time
	UpdatedAt   db.Time
}

// Bootstrap gives a fresh cloud its volume type.
func (s *Service) Bootstrap(ctx context.Context) error {
	return unexpected("bootstrap volume types", s.db.Write(ctx, func(tx *db.Tx) error {
		row := Type{
			ID: defaultTypeID, Name: DefaultType, Description: "Default Volume Type", IsPublic: true,
			ExtraSpecs: db.Of(map[string]string{}), CreatedAt: db.At(tx.Now()),
		}
		_, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	}))
}

func allTypes(ctx context.Context, tx *db.Tx) ([]Type, error) {
	var rows []Type
	err := tx.All(ctx, &rows, "SELECT * FROM volume_types ORDER BY name")
	return rows, unexpected("list volume types", err)
}

// TypeNames returns the names of all types by id, for views.
func (s *Service) TypeNames(ctx context.Context) (map[string]string, error) {
	names := map[string]string{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		types, err := allTypes(ctx, tx)
		for _, t := range types {
			names[t.ID] = t.Name
		}
		return err
	})
	return names, err
}

// TypeFilter narrows a list of types.
type TypeFilter struct {
	Public     *bool             // nil: both
	ExtraSpecs map[string]string // all of these
}

// Types lists the types that the viewer may use.
func (s *Service) Types(ctx context.Context, who Viewer, f TypeFilter, page db.Page) (list []Type, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var rows []Type
		q := tx.NewSelect().Model(&rows)
		if !who.Admin {
			q = q.Where("is_public = 1 OR id IN (SELECT type FROM volume_type_projects WHERE project = ?)", who.Project)
		}
		if f.Public != nil {
			q = q.Where("is_public = ?", *f.Public)
		}
		err := page.Cut(q, "volume_types", "id").Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		list, more = db.Trim(page, rows)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("list volume types: %w", err)
	}
	if len(f.ExtraSpecs) == 0 {
		return list, more, nil
	}
	kept := list[:0]
	for _, t := range list {
		matches := true
		for key, value := range f.ExtraSpecs {
			matches = matches && t.ExtraSpecs.V[key] == value
		}
		if matches {
			kept = append(kept, t)
		}
	}
	return kept, more, nil
}

// Type returns a type that the viewer may use, by id.
func (s *Service) Type(ctx context.Context, who Viewer, id string) (Type, error) {
	var row Type
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = getType(ctx, tx, who, id)
		return err
	})
	return row, err
}

// Default returns the type that volumes have when nobody asks for another.
func (s *Service) Default(ctx context.Context, who Viewer) (Type, error) {
	return s.TypeNamed(ctx, who, "")
}

// TypeNamed returns a type by name or id; "" is the default one.
func (s *Service) TypeNamed(ctx context.Context, who Viewer, name string) (Type, error) {
	var row Type
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = typeByName(ctx, tx, who, name)
		return err
	})
	return row, err
}

func getType(ctx context.Context, tx *db.Tx, who Viewer, id string) (Type, error) {
	var row Type
	err := tx.Get(ctx, &row, "SELECT * FROM volume_types WHERE id = ?", id)
	if err == nil && !row.IsPublic && !who.Admin {
		var allowed int
		err = tx.Get(ctx, &allowed, "SELECT COUNT(*) FROM volume_type_projects WHERE type = ? AND project = ?", id, who.Project)
		if err == nil && allowed == 0 {
			err = sql.ErrNoRows
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return Type{}, errs.NotFoundf("Volume type %s could not be found.", id)
	}
	return row, unexpected("read volume type "+id, err)
}

// typeByName finds a type by name or id; "" is the default one.
func typeByName(ctx context.Context, tx *db.Tx, who Viewer, name string) (Type, error) {
	var id string
	if name == "" {
		name = DefaultType
		err := tx.Get(ctx, &id, "SELECT type FROM default_volume_types WHERE project = ?", who.Project)
		if err == nil {
			return getType(ctx, tx, Viewer{Admin: true}, id)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return Type{}, fmt.Errorf("find default volume type: %w", err)
		}
	}
	err := tx.Get(ctx, &id, "SELECT id FROM volume_types WHERE name = ? OR id = ? ORDER BY id = ? LIMIT 1", name, name, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Type{}, errs.NotFoundf("Volume type with name %s could not be found.", name)
	}
	if err != nil {
		return Type{}, fmt.Errorf("find volume type %s: %w", name, err)
	}
	return getType(ctx, tx, who, id)
}

// CreateType makes a type.
func (s *Service) CreateType(ctx context.Context, name, description string, public bool, specs map[string]string) (Type, error) {
	if specs == nil {
		specs = map[string]string{}
	}
	row := Type{ID: s.newID(), Name: name, Description: description, IsPublic: public, ExtraSpecs: db.Of(specs)}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row.CreatedAt = db.At(tx.Now())
		err := tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
		return emitType(ctx, tx, "create", row)
	})
	if db.IsDuplicate(err) {
		return Type{}, errs.Conflictf("Volume Type %s already exists.", name)
	}
	return row, unexpected("create volume type "+name, err)
}

// ChangeType changes what is not nil.
func (s *Service) ChangeType(ctx context.Context, id string, name, description *string, public *bool) (Type, error) {
	var row Type
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		row, err = getType(ctx, tx, Viewer{Admin: true}, id)
		if err != nil {
			return err
		}
		if name != nil {
			row.Name = *name
		}
		if description != nil {
			row.Description = *description
		}
		if public != nil {
			row.IsPublic = *public
		}
		row.UpdatedAt = db.At(tx.Now())
		_, err = tx.Update(ctx, &row, "name", "description", "is_public", "updated_at")
		if err != nil {
			return err
		}
		return emitType(ctx, tx, "update", row)
	})
	if db.IsDuplicate(err) {
		return Type{}, errs.Conflictf("Volume Type %s already exists.", row.Name)
	}
	return row, unexpected("change volume type "+id, err)
}

// DeleteType removes a type that no volume has.
func (s *Service) DeleteType(ctx context.Context, id string) error {
	return unexpected("delete volume type "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := getType(ctx, tx, Viewer{Admin: true}, id)
		if err != nil {
			return err
		}
		if row.ID == defaultTypeID {
			return errs.BadRequestf("Volume type %s cannot be deleted: it is the default one.", row.Name)
		}
		var used int
		err = tx.Get(ctx, &used, `
			SELECT (SELECT COUNT(*) FROM volumes WHERE type = ?) + (SELECT COUNT(*) FROM default_volume_types WHERE type = ?)`, id, id)
		if err != nil {
			return err
		}
		if used > 0 {
			return errs.BadRequestf("Target volume type is still in use.")
		}
		_, err = tx.Exec(ctx, "DELETE FROM volume_types WHERE id = ?", id)
		if err != nil {
			return err
		}
		return emitType(ctx, tx, "delete", row)
	}))
}

// SetExtraSpecs adds and replaces extra specs. To set one of them is an update of
// it, as events have it.
func (s *Service) SetExtraSpecs(ctx context.Context, id string, specs map[string]string, one bool) error {
	event := "create"
	if one {
		event = "update"
	}
	return s.changeSpecs(ctx, id, event, func(have map[string]string) error {
		maps.Copy(have, specs)
		return nil
	})
}

// DeleteExtraSpec removes one extra spec.
func (s *Service) DeleteExtraSpec(ctx context.Context, id, key string) error {
	return s.changeSpecs(ctx, id, "delete", func(have map[string]string) error {
		_, known := have[key]
		if !known {
			return errs.NotFoundf("Volume Type %s has no extra specs with key %s.", id, key)
		}
		delete(have, key)
		return nil
	})
}

func (s *Service) changeSpecs(ctx context.Context, id, event string, change func(map[string]string) error) error {
	return unexpected("change extra specs of volume type "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Lock(ctx, "specs of volume type "+id)
		if err != nil {
			return err
		}
		row, err := getType(ctx, tx, Viewer{Admin: true}, id)
		if err != nil {
			return err
		}
		specs := maps.Clone(row.ExtraSpecs.V)
		if specs == nil {
			specs = map[string]string{}
		}
		err = change(specs)
		if err != nil {
			return err
		}
		row.ExtraSpecs, row.UpdatedAt = db.Of(specs), db.At(tx.Now())
		_, err = tx.Update(ctx, &row, "extra_specs", "updated_at")
		if err != nil {
			return err
		}
		return emitSpecs(ctx, tx, event, row)
	}))
}

// Access lists the projects that may use a type which is not public.
func (s *Service) Access(ctx context.Context, id string) ([]string, error) {
	var projects []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		row, err := getType(ctx, tx, Viewer{Admin: true}, id)
		if err != nil {
			return err
		}
		if row.IsPublic {
			return errs.NotFoundf("Access list not available for public volume types.")
		}
		return tx.All(ctx, &projects, "SELECT project FROM volume_type_projects WHERE type = ? ORDER BY project", id)
	})
	return projects, unexpected("read access of volume type "+id, err)
}

// Allow lets a project use a type which is not public, or not any more.
func (s *Service) Allow(ctx context.Context, id, project string, allowed bool) error {
	return unexpected("change access of volume type "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := getType(ctx, tx, Viewer{Admin: true}, id)
		if err != nil {
			return err
		}
		if row.IsPublic {
			return errs.Conflictf("Type access modification is not applicable to public volume type.")
		}
		if !allowed {
			n, err := tx.Exec(ctx, "DELETE FROM volume_type_projects WHERE type = ? AND project = ?", id, project)
			if err == nil && n == 0 {
				return errs.NotFoundf("Volume type access not found for %s / %s combination.", id, project)
			}
			if err != nil {
				return err
			}
			return emitAccess(ctx, tx, "remove", id, project)
		}
		_, err = tx.Exec(ctx, "INSERT INTO volume_type_projects (type, project) VALUES (?, ?)", id, project)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Volume type access for %s / %s combination already exists.", id, project)
		}
		if err != nil {
			return err
		}
		return emitAccess(ctx, tx, "add", id, project)
	}))
}
