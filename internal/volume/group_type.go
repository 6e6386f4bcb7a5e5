package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// GroupType is what groups are made of: a name with specs.
type GroupType struct {
	bun.BaseModel `bun:"table:group_types,alias:group_types"`

	ID          string `bun:",pk"`
	Name        string
	Description string
	IsPublic    bool
	Specs       db.JSON[map[string]string]
	CreatedAt   db.Time
	UpdatedAt   db.Time
}

var allGroupTypes = kind[GroupType]{table: "group_types", noun: "Group type"}

// DefaultGroupType is the name of the type that is the default, if there is one.
const DefaultGroupType = "default_group_type"

// GroupTypes lists group types: the public ones, or for an admin all.
func (s *Service) GroupTypes(ctx context.Context, q Query, page db.Page) ([]GroupType, bool, error) {
	return allGroupTypes.list(ctx, s, q, page)
}

// GroupType returns a group type that the viewer may use.
func (s *Service) GroupType(ctx context.Context, who Viewer, id string) (t GroupType, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t, err = getGroupType(ctx, tx, who, id)
		return err
	})
	return t, err
}

func getGroupType(ctx context.Context, tx *db.Tx, who Viewer, id string) (GroupType, error) {
	t, err := allGroupTypes.get(ctx, tx, id)
	if err == nil && !t.IsPublic && !who.Admin {
		return GroupType{}, allGroupTypes.missing(id)
	}
	return t, err
}

// groupTypeByName finds a group type by name or id.
func groupTypeByName(ctx context.Context, tx *db.Tx, who Viewer, name string) (GroupType, error) {
	var id string
	err := tx.Get(ctx, &id, "SELECT id FROM group_types WHERE name = ? OR id = ? ORDER BY id = ? LIMIT 1", name, name, name)
	if errors.Is(err, sql.ErrNoRows) {
		return GroupType{}, errs.NotFoundf("Group type with name %s could not be found.", name)
	}
	if err != nil {
		return GroupType{}, fmt.Errorf("find group type %s: %w", name, err)
	}
	return getGroupType(ctx, tx, who, id)
}

// GroupTypeNamed finds a group type by name or id.
func (s *Service) GroupTypeNamed(ctx context.Context, who Viewer, name string) (t GroupType, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t, err = groupTypeByName(ctx, tx, who, name)
		return err
	})
	return t, err
}

// CreateGroupType makes a group type.
func (s *Service) CreateGroupType(ctx context.Context, name, description string, public bool, specs map[string]string) (GroupType, error) {
	if specs == nil {
		specs = map[string]string{}
	}
	t := GroupType{ID: s.newID(), Name: name, Description: description, IsPublic: public, Specs: db.Of(specs)}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t.CreatedAt = db.At(tx.Now())
		err := tx.Insert(ctx, &t)
		if err != nil {
			return err
		}
		return emitGroupType(ctx, tx, "create", t)
	})
	if db.IsDuplicate(err) {
		return GroupType{}, errs.Conflictf("Group Type %s already exists.", name)
	}
	return t, unexpected("create group type "+name, err)
}

// ChangeGroupType changes what is not nil.
func (s *Service) ChangeGroupType(ctx context.Context, id string, name, description *string, public *bool) (GroupType, error) {
	t, err := s.editGroupType(ctx, id, func(t *GroupType) error {
		if name != nil {
			t.Name = *name
		}
		if description != nil {
			t.Description = *description
		}
		if public != nil {
			t.IsPublic = *public
		}
		return nil
	})
	if db.IsDuplicate(err) {
		return GroupType{}, errs.Conflictf("Group Type %s already exists.", *name)
	}
	return t, err
}

// ChangeGroupSpecs changes the specs by a function on them.
func (s *Service) ChangeGroupSpecs(ctx context.Context, id string, do func(specs map[string]string) error) error {
	_, err := s.editGroupType(ctx, id, func(t *GroupType) error { return changeMap(&t.Specs, do) })
	return err
}

func (s *Service) editGroupType(ctx context.Context, id string, do func(t *GroupType) error) (GroupType, error) {
	return allGroupTypes.edit(ctx, s, Viewer{Admin: true}, id, "change", func(tx *db.Tx, t *GroupType) error {
		err := do(t)
		if err != nil {
			return err
		}
		t.UpdatedAt = db.At(tx.Now())
		_, err = tx.Update(ctx, t, "name", "description", "is_public", "specs", "updated_at")
		if err != nil {
			return err
		}
		return emitGroupType(ctx, tx, "update", *t)
	})
}

// DeleteGroupType removes a type that no group has.
func (s *Service) DeleteGroupType(ctx context.Context, id string) error {
	_, err := allGroupTypes.edit(ctx, s, Viewer{Admin: true}, id, "delete", func(tx *db.Tx, t *GroupType) error {
		var used int
		err := tx.Get(ctx, &used, "SELECT COUNT(*) FROM volume_groups WHERE type = ?", id)
		if err != nil {
			return err
		}
		if used > 0 {
			return errs.BadRequestf("Target group type is still in use.")
		}
		_, err = tx.Exec(ctx, "DELETE FROM group_types WHERE id = ?", id)
		if err != nil {
			return err
		}
		return emitGroupType(ctx, tx, "delete", *t)
	})
	return err
}

func emitGroupType(ctx context.Context, tx *db.Tx, change string, t GroupType) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "group_type." + change, Resource: t.ID, Payload: map[string]any{
		"group_types": map[string]any{
			"id": t.ID, "name": t.Name, "description": t.Description, "is_public": t.IsPublic, "group_specs": maps.Clone(t.Specs.V),
			"created_at": t.CreatedAt.Time().Format(wireTime),
		},
	}})
}
