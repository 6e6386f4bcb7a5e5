package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
)

// AddressGroup is a named set of address ranges that rules of security groups
// refer to.
type AddressGroup struct {
	bun.BaseModel `bun:"table:address_groups,alias:address_groups"`
	Common

	Name      string            `bun:"name"`
	Addresses db.JSON[[]string] `bun:"addresses"` // CIDRs

	Shared bool `bun:"-"` // with who asks
}

// AddressGroupChange says what to change. Nil stays as it is.
type AddressGroupChange struct{ Name, Description *string }

func addressGroupNotFound(id string) error {
	return errs.NotFoundf("Address group %s could not be found.", id).Typed("AddressGroupNotFound")
}

var addressGroupKind = kind{name: "address_group", object: "address_group", table: "address_groups", missing: addressGroupNotFound}

func addressesShared(ctx context.Context, tx *db.Tx, scope Scope, list []*AddressGroup) error {
	return withShared(ctx, tx, addressGroupKind, scope, list, func(a *AddressGroup) (string, *bool) { return a.ID, &a.Shared })
}

// AddressGroup finds an address group that the scope may see.
func (s *Service) AddressGroup(ctx context.Context, scope Scope, id string) (a AddressGroup, err error) {
	return look(ctx, s, addressGroupKind, scope, id, addressesShared)
}

// AddressGroups lists address groups.
func (s *Service) AddressGroups(ctx context.Context, q Query) (list []AddressGroup, err error) {
	return browse(ctx, s, addressGroupKind, q, addressesShared)
}

// ranges reads address ranges and spells them in one way, without repetition.
func ranges(asked []string) ([]string, error) {
	var out []string
	for _, text := range asked {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			ip, err := netip.ParseAddr(text)
			if err != nil || ip.Zone() != "" {
				return nil, badField("addresses", "'%s' is not a valid IP subnet", text)
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		text = prefix.Masked().String()
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

// CreateAddressGroup makes an address group.
func (s *Service) CreateAddressGroup(ctx context.Context, project, name, description string, addresses []string) (AddressGroup, error) {
	var a AddressGroup
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		for _, text := range addresses {
			if !strings.Contains(text, "/") {
				return badField("addresses", "'%s' is not a recognized IP subnet cidr", text)
			}
		}
		has, err := ranges(addresses)
		if err != nil {
			return err
		}
		a = AddressGroup{Common: s.common(tx, project, description, nil), Name: name, Addresses: db.Of(list(has))}
		err = tx.Insert(ctx, &a)
		if err != nil {
			return fmt.Errorf("insert address group: %w", err)
		}
		return tellAndDirty(ctx, tx, created, a, fabric.KindAddressGroup, a.ID)
	})
	return a, err
}

// UpdateAddressGroup changes an address group, provided it has the revision.
func (s *Service) UpdateAddressGroup(ctx context.Context, scope Scope, id string, revision int64, in AddressGroupChange) (AddressGroup, error) {
	return s.changeAddressGroup(ctx, scope, id, revision, func(a *AddressGroup) error {
		set(&a.Name, in.Name)
		set(&a.Description, in.Description)
		return nil
	})
}

func (s *Service) changeAddressGroup(ctx context.Context, scope Scope, id string, revision int64, change func(*AddressGroup) error) (AddressGroup, error) {
	var a AddressGroup
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		a, err = hold[AddressGroup](ctx, tx, addressGroupKind, id)
		if err != nil {
			return err
		}
		err = a.revised(revision)
		if err != nil {
			return err
		}
		err = change(&a)
		if err != nil {
			return err
		}
		a.touch(tx)
		_, err = tx.Update(ctx, &a, "name", "description", "addresses", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update address group %s: %w", id, err)
		}
		err = addressesShared(ctx, tx, scope, []*AddressGroup{&a})
		if err != nil {
			return err
		}
		return tellAndDirty(ctx, tx, updated, a, fabric.KindAddressGroup, id)
	})
	return a, err
}

// AddAddresses puts ranges into an address group. One that it has already is
// refused.
func (s *Service) AddAddresses(ctx context.Context, scope Scope, id string, revision int64, addresses []string) (AddressGroup, error) {
	return s.changeAddressGroup(ctx, scope, id, revision, func(a *AddressGroup) error {
		more, err := ranges(addresses)
		if err != nil {
			return err
		}
		for _, address := range more {
			if slices.Contains(a.Addresses.V, address) {
				return errs.BadRequestf("Addresses %s already exist in the address group %s.", address, id).Typed("AddressesAlreadyExist")
			}
		}
		a.Addresses = db.Of(append(a.Addresses.V, more...))
		return nil
	})
}

// RemoveAddresses takes ranges out of an address group. One that it has not is
// refused.
func (s *Service) RemoveAddresses(ctx context.Context, scope Scope, id string, revision int64, addresses []string) (AddressGroup, error) {
	return s.changeAddressGroup(ctx, scope, id, revision, func(a *AddressGroup) error {
		gone, err := ranges(addresses)
		if err != nil {
			return err
		}
		for _, address := range gone {
			at := slices.Index(a.Addresses.V, address)
			if at < 0 {
				return errs.NotFoundf("Addresses %s not found in the address group %s.", address, id).Typed("AddressesNotFound")
			}
			a.Addresses.V = slices.Delete(a.Addresses.V, at, at+1)
		}
		return nil
	})
}

// DeleteAddressGroup removes an address group that no rule refers to.
func (s *Service) DeleteAddressGroup(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		a, err := hold[AddressGroup](ctx, tx, addressGroupKind, id)
		if err != nil {
			return err
		}
		err = a.revised(revision)
		if err != nil {
			return err
		}
		rules, err := rowsOf[Rule](ctx, tx, "remote_address_group_id", []string{id})
		if err != nil {
			return err
		}
		templates, err := rowsOf[DefaultRule](ctx, tx, "remote_address_group_id", []string{id})
		if err != nil {
			return err
		}
		if len(rules)+len(templates) > 0 {
			return errs.Conflictf("Address group %s is in use on one or more security group rules.", id).Typed("AddressGroupInUse")
		}
		err = addressGroupKind.forget(ctx, tx, id)
		if err != nil {
			return err
		}
		err = addressGroupKind.remove(ctx, tx, id)
		if err != nil {
			return err
		}
		return tellAndDirty(ctx, tx, deleted, a, fabric.KindAddressGroup, id)
	})
}
