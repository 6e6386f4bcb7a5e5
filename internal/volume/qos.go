package volume

import (
	"context"
	"maps"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Qos are limits that volumes of some types have. What a hypervisor can keep
// (front-end or both) reaches the guest's disk when it is attached.
type Qos struct {
	bun.BaseModel `bun:"table:qos_specs,alias:qos_specs"`

	ID        string `bun:",pk"`
	Name      string
	Consumer  string // front-end, back-end, both
	Specs     db.JSON[map[string]string]
	CreatedAt db.Time
	UpdatedAt db.Time
}

// BackEnd is the consumer of specs that name none.
const BackEnd = "back-end"

var allQos = kind[Qos]{table: "qos_specs", noun: "QoS specs"}

// QosSpecs lists specs.
func (s *Service) QosSpecs(ctx context.Context, q Query, page db.Page) ([]Qos, bool, error) {
	return allQos.list(ctx, s, q, page)
}

// QosSpec returns specs by id.
func (s *Service) QosSpec(ctx context.Context, id string) (Qos, error) {
	return allQos.show(ctx, s, Viewer{}, id)
}

// CreateQos makes specs.
func (s *Service) CreateQos(ctx context.Context, name, consumer string, specs map[string]string) (Qos, error) {
	row := Qos{ID: s.newID(), Name: name, Consumer: consumer, Specs: db.Of(specs)}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row.CreatedAt = db.At(tx.Now())
		err := tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
		return emitQos(ctx, tx, "create", row)
	})
	if db.IsDuplicate(err) {
		return Qos{}, errs.Conflictf("QoS Specs %s already exists.", name)
	}
	return row, unexpected("create QoS specs "+name, err)
}

// ChangeQos adds and replaces specs. The consumer is changed unless it is "".
func (s *Service) ChangeQos(ctx context.Context, id, consumer string, specs map[string]string) error {
	return s.editQos(ctx, id, func(row *Qos) error {
		if consumer != "" {
			row.Consumer = consumer
		}
		maps.Copy(row.Specs.V, specs)
		return nil
	})
}

// DeleteQosKeys removes specs by their keys, all or none.
func (s *Service) DeleteQosKeys(ctx context.Context, id string, keys []string) error {
	return s.editQos(ctx, id, func(row *Qos) error {
		for _, key := range keys {
			_, known := row.Specs.V[key]
			if !known {
				return errs.BadRequestf("QoS Specs %s has no spec with key %s.", id, key)
			}
			delete(row.Specs.V, key)
		}
		return nil
	})
}

func (s *Service) editQos(ctx context.Context, id string, do func(row *Qos) error) error {
	_, err := allQos.edit(ctx, s, Viewer{}, id, "change", func(tx *db.Tx, row *Qos) error {
		row.Specs = db.Of(maps.Clone(row.Specs.V))
		if row.Specs.V == nil {
			row.Specs.V = map[string]string{}
		}
		err := do(row)
		if err != nil {
			return err
		}
		row.UpdatedAt = db.At(tx.Now())
		_, err = tx.Update(ctx, row, "consumer", "specs", "updated_at")
		if err != nil {
			return err
		}
		return emitQos(ctx, tx, "update", *row)
	})
	return err
}

// DeleteQos removes specs that no type has, or, by force, takes them from all.
func (s *Service) DeleteQos(ctx context.Context, id string, force bool) error {
	_, err := allQos.edit(ctx, s, Viewer{}, id, "delete", func(tx *db.Tx, row *Qos) error {
		var used int
		err := tx.Get(ctx, &used, "SELECT COUNT(*) FROM volume_types WHERE qos = ?", id)
		if err != nil {
			return err
		}
		if used > 0 && !force {
			return errs.BadRequestf("QoS Specs %s is still associated with entities.", id)
		}
		_, err = tx.Exec(ctx, "UPDATE volume_types SET qos = '' WHERE qos = ?", id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM qos_specs WHERE id = ?", id)
		if err != nil {
			return err
		}
		return emitQos(ctx, tx, "delete", *row)
	})
	return err
}

// QosTypes lists the types that have the specs.
func (s *Service) QosTypes(ctx context.Context, id string) ([]Type, error) {
	var list []Type
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		_, err := allQos.get(ctx, tx, id)
		if err != nil {
			return err
		}
		return tx.All(ctx, &list, "SELECT * FROM volume_types WHERE qos = ? ORDER BY name", id)
	})
	return list, unexpected("list types with QoS specs "+id, err)
}

// Associate gives the specs to a type that has no others.
func (s *Service) Associate(ctx context.Context, id, kind string) error {
	return s.moveQos(ctx, id, kind, func(t *Type) error {
		if t.Qos != "" && t.Qos != id {
			return errs.BadRequestf("Invalid volume type: Type %s is already associated with another qos specs: %s", t.ID, t.Qos)
		}
		t.Qos = id
		return nil
	})
}

// Disassociate takes the specs from a type.
func (s *Service) Disassociate(ctx context.Context, id, kind string) error {
	return s.moveQos(ctx, id, kind, func(t *Type) error {
		if t.Qos == id {
			t.Qos = ""
		}
		return nil
	})
}

func (s *Service) moveQos(ctx context.Context, id, kind string, do func(t *Type) error) error {
	_, err := allQos.edit(ctx, s, Viewer{}, id, "associate", func(tx *db.Tx, _ *Qos) error {
		t, err := getType(ctx, tx, Viewer{Admin: true}, kind)
		if err != nil {
			return err
		}
		err = do(&t)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &t, "qos")
		return err
	})
	return err
}

// DisassociateAll takes the specs from all types.
func (s *Service) DisassociateAll(ctx context.Context, id string) error {
	_, err := allQos.edit(ctx, s, Viewer{}, id, "disassociate", func(tx *db.Tx, _ *Qos) error {
		_, err := tx.Exec(ctx, "UPDATE volume_types SET qos = '' WHERE qos = ?", id)
		return err
	})
	return err
}

func emitQos(ctx context.Context, tx *db.Tx, change string, q Qos) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "qos_specs." + change, Resource: q.ID, Payload: map[string]any{
		"id": q.ID, "name": q.Name, "consumer": q.Consumer, "specs": q.Specs.V,
	}})
}
