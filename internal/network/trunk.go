package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// Trunk makes a port's card carry, beside its own frames, those of other ports:
// each of them is a VLAN. They are bound where the trunk's port is.
type Trunk struct {
	bun.BaseModel `bun:"table:trunks,alias:trunks"`
	Common

	Name    string `bun:"name"`
	AdminUp bool   `bun:"admin_up"`
	Status  string `bun:"status"`
	Port    string `bun:"port_id"`

	Subports []Subport `bun:"-"`
}

// Ways to number the VLANs of a trunk.
const (
	SegmentVLAN    = "vlan"
	SegmentInherit = "inherit" // as on the wire of the subport's network
)

// NewTrunk is a trunk to be made.
type NewTrunk struct {
	Project, Name, Description string
	Tags                       []string
	AdminUp                    *bool
	Port                       string
	Subports                   []Subport
}

// TrunkChange says what to change. Nil stays as it is.
type TrunkChange struct {
	Name, Description *string
	AdminUp           *bool
}

var trunkKind = kind{name: "trunk", table: "trunks", missing: trunkNotFound}

func trunkNotFound(id string) error {
	return errs.NotFoundf("Trunk %s could not be found.", id).Typed("TrunkNotFound")
}

// Trunk finds a trunk that the scope may see, with its subports.
func (s *Service) Trunk(ctx context.Context, scope Scope, id string) (Trunk, error) {
	return look(ctx, s, trunkKind, scope, id, unscoped(withSubports))
}

// Trunks lists trunks with their subports.
func (s *Service) Trunks(ctx context.Context, q Query) (list []Trunk, err error) {
	return browse(ctx, s, trunkKind, q, unscoped(withSubports))
}

func readTrunk(ctx context.Context, tx *db.Tx, column, value string) (t Trunk, found bool, err error) {
	err = tx.Held(tx.NewSelect().Model(&t).Where("? = ?", bun.Ident(column), value)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Trunk{}, false, nil
	}
	if err != nil {
		return Trunk{}, false, fmt.Errorf("read trunk by %s %s: %w", column, value, err)
	}
	return t, true, withSubports(ctx, tx, []*Trunk{&t})
}

// managed reads a trunk that is to be changed.
func managed(ctx context.Context, tx *db.Tx, id string) (Trunk, error) {
	t, found, err := readTrunk(ctx, tx, "id", id)
	if err == nil && !found {
		err = trunkNotFound(id)
	}
	return t, err
}

// CreateTrunk makes a port the trunk of others.
func (s *Service) CreateTrunk(ctx context.Context, scope Scope, in NewTrunk) (Trunk, error) {
	var t Trunk
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := trunkable(ctx, tx, scope, in.Port)
		if err != nil {
			return err
		}
		t = Trunk{
			Common: s.common(tx, in.Project, in.Description, in.Tags), Name: in.Name, AdminUp: or(in.AdminUp, true), Status: p.Status, Port: p.ID,
			Subports: []Subport{},
		}
		err = reserve(ctx, tx, in.Project, quota.Trunks(1))
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &t)
		if err != nil {
			return fmt.Errorf("insert trunk: %w", err)
		}
		err = addSubports(ctx, tx, scope, &t, in.Subports)
		if err != nil {
			return err
		}
		return tell(ctx, tx, created, t)
	})
	return t, err
}

// trunkable finds a port that may become a trunk or a VLAN of one.
func trunkable(ctx context.Context, tx *db.Tx, scope Scope, id string) (Port, error) {
	p, err := readPort(ctx, tx, id)
	if err != nil {
		return Port{}, err
	}
	if !scope.All && p.Project != scope.Project {
		return Port{}, portNotFound(id)
	}
	_, parent, err := readTrunk(ctx, tx, "port_id", id)
	if err != nil {
		return Port{}, err
	}
	if parent || p.Owner == OwnerSubport {
		return Port{}, errs.Conflictf("Port %s is in use by another trunk.", id).Typed("TrunkPortInUse")
	}
	if isService(p.Owner) {
		return Port{}, attached(p)
	}
	return p, nil
}

func attached(p Port) error {
	return errs.Conflictf("Unable to complete operation on port %s for network %s. Port already has an attached device %s.",
		p.ID, p.Network, p.Device).Typed("PortInUse")
}

// UpdateTrunk changes a trunk, provided it has the revision.
func (s *Service) UpdateTrunk(ctx context.Context, id string, revision int64, in TrunkChange) (Trunk, error) {
	var t Trunk
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		t, err = managed(ctx, tx, id)
		if err != nil {
			return err
		}
		err = t.revised(revision)
		if err != nil {
			return err
		}
		set(&t.Name, in.Name)
		set(&t.Description, in.Description)
		set(&t.AdminUp, in.AdminUp)
		return saveTrunk(ctx, tx, &t)
	})
	return t, err
}

func saveTrunk(ctx context.Context, tx *db.Tx, t *Trunk) error {
	t.touch(tx)
	_, err := tx.Update(ctx, t, "name", "description", "admin_up", "status", "revision", "updated_at")
	if err != nil {
		return fmt.Errorf("update trunk %s: %w", t.ID, err)
	}
	return tell(ctx, tx, updated, *t)
}

// DeleteTrunk leaves the trunk's port and its subports ordinary ports.
func (s *Service) DeleteTrunk(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := managed(ctx, tx, id)
		if err != nil {
			return err
		}
		err = t.revised(revision)
		if err != nil {
			return err
		}
		err = t.enabled()
		if err != nil {
			return err
		}
		return removeTrunk(ctx, tx, t)
	})
}

// enabled refuses changes of what a trunk is made of while it is switched off.
func (t *Trunk) enabled() error {
	if !t.AdminUp {
		return errs.Conflictf("Trunk %s is currently disabled.", t.ID).Typed("TrunkDisabled")
	}
	return nil
}

func removeTrunk(ctx context.Context, tx *db.Tx, t Trunk) error {
	was := t
	err := freeSubports(ctx, tx, &t, t.Subports)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM trunks WHERE id = ?`, t.ID)
	if err != nil {
		return fmt.Errorf("delete trunk %s: %w", t.ID, err)
	}
	err = quota.Release(ctx, tx, t.Project, quota.Trunks(1))
	if err != nil {
		return err
	}
	return tell(ctx, tx, deleted, was)
}

// notTrunked refuses to delete a port that a trunk is made of.
func notTrunked(ctx context.Context, tx *db.Tx, p Port) error {
	t, parent, err := readTrunk(ctx, tx, "port_id", p.ID)
	if err != nil {
		return err
	}
	if parent {
		return errs.Conflictf("Port %s is currently a parent port for trunk %s.", p.ID, t.ID).Typed("PortInUseAsTrunkParent")
	}
	sub, err := subportsBy(ctx, tx, "port_id", p.ID)
	if err != nil || len(sub) == 0 {
		return err
	}
	return errs.Conflictf("Port %s is currently a subport for trunk %s.", p.ID, sub[0].Trunk).Typed("PortInUseAsSubPort")
}

// leaveTrunk makes a port an ordinary one before it is deleted.
func leaveTrunk(ctx context.Context, tx *db.Tx, p Port) error {
	t, parent, err := readTrunk(ctx, tx, "port_id", p.ID)
	if err != nil {
		return err
	}
	if parent {
		return removeTrunk(ctx, tx, t)
	}
	_, err = tx.Exec(ctx, `DELETE FROM trunk_subports WHERE port_id = ?`, p.ID)
	if err != nil {
		return fmt.Errorf("take port %s off its trunk: %w", p.ID, err)
	}
	return nil
}

// followTrunk has a trunk be as its port is, and its subports be where that is.
func followTrunk(ctx context.Context, tx *db.Tx, port, host, status string) error {
	t, parent, err := readTrunk(ctx, tx, "port_id", port)
	if err != nil || !parent {
		return err
	}
	for _, sub := range t.Subports {
		p, err := readPort(ctx, tx, sub.Port)
		if err != nil {
			return err
		}
		if p.Host == host {
			continue
		}
		p.Host, p.Status = host, "DOWN"
		recheckAfter(tx, p.ID)
		err = savePort(ctx, tx, &p)
		if err != nil {
			return err
		}
	}
	if t.Status == status {
		return nil
	}
	t.Status = status
	return saveTrunk(ctx, tx, &t)
}
