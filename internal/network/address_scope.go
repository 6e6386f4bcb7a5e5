package network

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// AddressScope is a space in which no two subnet pools overlap.
type AddressScope struct {
	bun.BaseModel `bun:"table:address_scopes,alias:address_scopes"`
	Common

	Name      string `bun:"name"`
	IPVersion int    `bun:"ip_version"`

	Shared bool `bun:"-"` // with who asks
}

// AddressScopeChange says what to change. Nil stays as it is.
type AddressScopeChange struct {
	Name   *string
	Shared *bool
}

func addressScopeNotFound(id string) error {
	return errs.NotFoundf("Address scope %s could not be found.", id).Typed("AddressScopeNotFound")
}

var addressScopeKind = kind{name: "address_scope", object: "address_scope", table: "address_scopes", missing: addressScopeNotFound}

func scopesShared(ctx context.Context, tx *db.Tx, scope Scope, list []*AddressScope) error {
	return withShared(ctx, tx, addressScopeKind, scope, list, func(a *AddressScope) (string, *bool) { return a.ID, &a.Shared })
}

// AddressScope finds an address scope that the scope may see.
func (s *Service) AddressScope(ctx context.Context, scope Scope, id string) (a AddressScope, err error) {
	return look(ctx, s, addressScopeKind, scope, id, scopesShared)
}

// AddressScopes lists address scopes.
func (s *Service) AddressScopes(ctx context.Context, q Query) (list []AddressScope, err error) {
	return browse(ctx, s, addressScopeKind, q, scopesShared)
}

// CreateAddressScope makes an address scope.
func (s *Service) CreateAddressScope(ctx context.Context, in AddressScope) (AddressScope, error) {
	var a AddressScope
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		a = AddressScope{Common: s.common(tx, in.Project, "", nil), Name: in.Name, IPVersion: in.IPVersion, Shared: in.Shared}
		err := tx.Insert(ctx, &a)
		if err != nil {
			return fmt.Errorf("insert address scope: %w", err)
		}
		err = s.setShared(ctx, tx, addressScopeKind, a.ID, a.Project, AsShared, in.Shared)
		if err != nil {
			return err
		}
		return tell(ctx, tx, created, a)
	})
	return a, err
}

// UpdateAddressScope changes an address scope, provided it has the revision.
func (s *Service) UpdateAddressScope(ctx context.Context, scope Scope, id string, revision int64, in AddressScopeChange) (AddressScope, error) {
	var a AddressScope
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		a, err = hold[AddressScope](ctx, tx, addressScopeKind, id)
		if err != nil {
			return err
		}
		err = a.revised(revision)
		if err != nil {
			return err
		}
		err = scopesShared(ctx, tx, scope, []*AddressScope{&a})
		if err != nil {
			return err
		}
		if in.Shared != nil && a.Shared && !*in.Shared {
			return errs.BadRequestf("Unable to update address scope %s : Shared address scope can't be unshared.", id).Typed("AddressScopeUpdateError")
		}
		if in.Shared != nil {
			err = s.setShared(ctx, tx, addressScopeKind, id, a.Project, AsShared, *in.Shared)
			if err != nil {
				return err
			}
		}
		set(&a.Name, in.Name)
		set(&a.Shared, in.Shared)
		a.touch(tx)
		_, err = tx.Update(ctx, &a, "name", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update address scope %s: %w", id, err)
		}
		return tell(ctx, tx, updated, a)
	})
	return a, err
}

// DeleteAddressScope removes an address scope without subnet pools.
func (s *Service) DeleteAddressScope(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		a, err := hold[AddressScope](ctx, tx, addressScopeKind, id)
		if err != nil {
			return err
		}
		err = a.revised(revision)
		if err != nil {
			return err
		}
		pools, err := rowsOf[SubnetPool](ctx, tx, "address_scope_id", []string{id})
		if err != nil {
			return err
		}
		if len(pools) > 0 {
			return errs.Conflictf("Unable to complete operation on address scope %s. There are one or more subnet pools in use on the address scope.", id).
				Typed("AddressScopeInUse")
		}
		err = addressScopeKind.forget(ctx, tx, id)
		if err != nil {
			return err
		}
		err = addressScopeKind.remove(ctx, tx, id)
		if err != nil {
			return err
		}
		return tell(ctx, tx, deleted, a)
	})
}

// fits refuses a pool that does not belong into its address scope: it is of the
// other IP version, or overlaps with another pool there. The row of the scope is
// held, so that two pools cannot come in at once.
func (p *SubnetPool) fits(ctx context.Context, tx *db.Tx, scope Scope) error {
	if p.AddressScope == "" {
		return nil
	}
	a, err := hold[AddressScope](ctx, tx, addressScopeKind, p.AddressScope)
	if err != nil {
		return err
	}
	may, err := addressScopeKind.usable(ctx, tx, scope, a.ID, a.Project)
	if err != nil {
		return err
	}
	if !may {
		return addressScopeNotFound(a.ID)
	}
	if a.IPVersion != p.IPVersion {
		return errs.BadRequestf("Illegal subnetpool association: subnetpool %s cannot be associated with address scope %s because subnetpool ip_version is not %d.",
			p.ID, a.ID, a.IPVersion).Typed("IllegalSubnetPoolIpVersionAssociationToAddressScope")
	}
	others, err := rowsOf[SubnetPool](ctx, tx, "address_scope_id", []string{a.ID})
	if err != nil {
		return err
	}
	for _, other := range others {
		for _, theirs := range other.Prefixes.V {
			for _, ours := range p.Prefixes.V {
				if other.ID != p.ID && netip.MustParsePrefix(theirs).Overlaps(netip.MustParsePrefix(ours)) {
					return errs.Conflictf("Failed to associate address scope: subnetpools within an address scope must have unique prefixes.").
						Typed("AddressScopePrefixConflict")
				}
			}
		}
	}
	return nil
}
