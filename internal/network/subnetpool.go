package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// SubnetPool is a supply of address ranges for subnets.
type SubnetPool struct {
	bun.BaseModel `bun:"table:subnetpools,alias:subnetpools"`
	Common

	Name             string            `bun:"name"`
	IPVersion        int               `bun:"ip_version"`
	Prefixes         db.JSON[[]string] `bun:"prefixes"`
	DefaultPrefixlen int               `bun:"default_prefixlen"`
	MinPrefixlen     int               `bun:"min_prefixlen"`
	MaxPrefixlen     int               `bun:"max_prefixlen"`
	DefaultQuota     int64             `bun:"default_quota"` // of a project: IPv4 addresses, IPv6 /64s; -1 for no limit
	AddressScope     string            `bun:"address_scope_id"`
	IsDefault        bool              `bun:"is_default"`

	Shared bool `bun:"-"` // with who asks
}

// NewSubnetPool is a pool to be made. Nil gets a default.
type NewSubnetPool struct {
	Project, Name, Description string
	Tags, Prefixes             []string
	Default, Min, Max          *int
	Quota                      *int64
	AddressScope               string
	IsDefault, Shared          bool
}

// SubnetPoolChange says what to change. Nil stays as it is.
type SubnetPoolChange struct {
	Name, Description *string
	Prefixes          *[]string
	Default, Min, Max *int
	Quota             *int64
	AddressScope      *string // "" for none
	IsDefault         *bool
}

func poolNotFound(id string) error {
	return errs.NotFoundf("Subnet pool %s could not be found.", id).Typed("SubnetPoolNotFound")
}

var poolKind = kind{name: "subnetpool", object: "subnetpool", table: "subnetpools", missing: poolNotFound}

func poolsShared(ctx context.Context, tx *db.Tx, scope Scope, list []*SubnetPool) error {
	return withShared(ctx, tx, poolKind, scope, list, func(p *SubnetPool) (string, *bool) { return p.ID, &p.Shared })
}

// SubnetPool finds a pool that the scope may see.
func (s *Service) SubnetPool(ctx context.Context, scope Scope, id string) (p SubnetPool, err error) {
	return look(ctx, s, poolKind, scope, id, poolsShared)
}

// SubnetPools lists pools.
func (s *Service) SubnetPools(ctx context.Context, q Query) (list []SubnetPool, err error) {
	return browse(ctx, s, poolKind, q, poolsShared)
}

// CreateSubnetPool makes a pool.
func (s *Service) CreateSubnetPool(ctx context.Context, scope Scope, in NewSubnetPool) (p SubnetPool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		p, err = s.createPool(ctx, tx, scope, in)
		return err
	})
	return p, err
}

func (s *Service) createPool(ctx context.Context, tx *db.Tx, scope Scope, in NewSubnetPool) (SubnetPool, error) {
	p := SubnetPool{
		Common: s.common(tx, in.Project, in.Description, in.Tags), Name: in.Name, DefaultQuota: or(in.Quota, quota.Unlimited),
		AddressScope: in.AddressScope, IsDefault: in.IsDefault, Shared: in.Shared,
	}
	prefixes, err := p.parse(in.Prefixes)
	if err != nil {
		return SubnetPool{}, err
	}
	p.Prefixes = db.Of(spell(joined(prefixes)))
	widest, smallest := 32, 8
	if p.IPVersion == 6 {
		widest, smallest = 128, 64
	}
	p.MinPrefixlen, p.MaxPrefixlen = or(in.Min, smallest), or(in.Max, widest)
	p.DefaultPrefixlen = or(in.Default, p.MinPrefixlen)
	err = p.bounds()
	if err != nil {
		return SubnetPool{}, err
	}
	err = p.fits(ctx, tx, scope)
	if err != nil {
		return SubnetPool{}, err
	}
	err = p.onlyDefault(ctx, tx)
	if err != nil {
		return SubnetPool{}, err
	}
	err = reserve(ctx, tx, in.Project, quota.SubnetPools(1))
	if err != nil {
		return SubnetPool{}, err
	}
	err = tx.Insert(ctx, &p)
	if err != nil {
		return SubnetPool{}, fmt.Errorf("insert subnet pool: %w", err)
	}
	err = s.setShared(ctx, tx, poolKind, p.ID, p.Project, AsShared, in.Shared)
	if err != nil {
		return SubnetPool{}, err
	}
	return p, tell(ctx, tx, created, p)
}

// parse reads prefixes, which must be of the pool's IP version.
func (p *SubnetPool) parse(list []string) ([]netip.Prefix, error) {
	if len(list) == 0 {
		return nil, errs.BadRequestf("Empty subnet pool prefix list.").Typed("EmptySubnetPoolPrefixList")
	}
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, badField("prefixes", "'%s' is not a valid IP subnet", text)
		}
		version := 6
		if prefix.Addr().Is4() {
			version = 4
		}
		if p.IPVersion == 0 {
			p.IPVersion = version
		}
		if p.IPVersion != version {
			return nil, errs.BadRequestf("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.").Typed("PrefixVersionMismatch")
		}
		prefixes[i] = prefix.Masked()
	}
	return prefixes, nil
}

// bounds checks the lengths of prefixes against each other.
func (p *SubnetPool) bounds() error {
	illegal := func(what string, length int, than string, other int) error {
		return errs.BadRequestf("Illegal prefix bounds: %s=%d, %s=%d.", what, length, than, other).Typed("IllegalSubnetPoolPrefixBounds")
	}
	longest := 128
	if p.IPVersion == 4 {
		longest = 32
	}
	for _, length := range []int{p.MinPrefixlen, p.MaxPrefixlen, p.DefaultPrefixlen} {
		if length < 0 || length > longest {
			return errs.BadRequestf("Prefix '%d' not supported in IPv%d pool.", length, p.IPVersion).Typed("UnsupportedMinSubnetPoolPrefix")
		}
	}
	switch {
	case p.MinPrefixlen > p.MaxPrefixlen:
		return illegal("min_prefixlen", p.MinPrefixlen, "max_prefixlen", p.MaxPrefixlen)
	case p.DefaultPrefixlen < p.MinPrefixlen:
		return illegal("default_prefixlen", p.DefaultPrefixlen, "min_prefixlen", p.MinPrefixlen)
	case p.DefaultPrefixlen > p.MaxPrefixlen:
		return illegal("default_prefixlen", p.DefaultPrefixlen, "max_prefixlen", p.MaxPrefixlen)
	case p.DefaultQuota < quota.Unlimited:
		return badField("default_quota", "'%d' is not a number that is not negative", p.DefaultQuota)
	}
	return nil
}

// onlyDefault refuses a second default pool of an IP version.
func (p *SubnetPool) onlyDefault(ctx context.Context, tx *db.Tx) error {
	if !p.IsDefault {
		return nil
	}
	other, found, err := defaultPool(ctx, tx, p.IPVersion)
	if err != nil {
		return err
	}
	if found && other.ID != p.ID {
		return invalid("A default subnetpool for IPv%d has already been set. Only one default can exist per IP family", p.IPVersion)
	}
	return nil
}

// defaultPool finds the pool of subnets that name none.
func defaultPool(ctx context.Context, tx *db.Tx, version int) (p SubnetPool, found bool, err error) {
	var list []SubnetPool
	err = tx.All(ctx, &list, `SELECT * FROM subnetpools WHERE is_default = 1 AND ip_version = ?`, version)
	if err != nil {
		return SubnetPool{}, false, fmt.Errorf("look for the default subnet pool: %w", err)
	}
	if len(list) == 0 {
		return SubnetPool{}, false, nil
	}
	return list[0], true, nil
}

// UpdateSubnetPool changes a pool, provided it has the revision. It may get more
// addresses, and never fewer.
func (s *Service) UpdateSubnetPool(ctx context.Context, scope Scope, id string, revision int64, in SubnetPoolChange) (SubnetPool, error) {
	return s.changePool(ctx, scope, id, revision, func(_ *db.Tx, p *SubnetPool) error {
		if in.Prefixes != nil {
			asked, err := p.parse(*in.Prefixes)
			if err != nil {
				return err
			}
			for _, had := range p.Prefixes.V {
				if !slices.ContainsFunc(joined(asked), func(a netip.Prefix) bool { return covers(a, netip.MustParsePrefix(had)) }) {
					return errs.BadRequestf("Illegal subnetpool update : prefixes are not a superset of existing prefixes.").Typed("IllegalSubnetPoolUpdate")
				}
			}
			p.Prefixes = db.Of(spell(joined(asked)))
		}
		set(&p.Name, in.Name)
		set(&p.Description, in.Description)
		set(&p.DefaultPrefixlen, in.Default)
		set(&p.MinPrefixlen, in.Min)
		set(&p.MaxPrefixlen, in.Max)
		set(&p.DefaultQuota, in.Quota)
		set(&p.AddressScope, in.AddressScope)
		set(&p.IsDefault, in.IsDefault)
		return p.bounds()
	})
}

// changePool applies a change to a pool.
func (s *Service) changePool(ctx context.Context, scope Scope, id string, revision int64, change func(tx *db.Tx, p *SubnetPool) error) (SubnetPool, error) {
	var p SubnetPool
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = hold[SubnetPool](ctx, tx, poolKind, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		err = p.ownScope(ctx, tx, scope)
		if err != nil {
			return err
		}
		err = change(tx, &p)
		if err != nil {
			return err
		}
		err = p.fits(ctx, tx, scope)
		if err != nil {
			return err
		}
		err = p.onlyDefault(ctx, tx)
		if err != nil {
			return err
		}
		p.touch(tx)
		_, err = tx.Update(ctx, &p, "name", "description", "prefixes", "default_prefixlen", "min_prefixlen", "max_prefixlen",
			"default_quota", "address_scope_id", "is_default", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update subnet pool %s: %w", id, err)
		}
		err = poolsShared(ctx, tx, scope, []*SubnetPool{&p})
		if err != nil {
			return err
		}
		return tell(ctx, tx, updated, p)
	})
	return p, err
}

// ownScope refuses changes of a pool in another project's address scope.
func (p *SubnetPool) ownScope(ctx context.Context, tx *db.Tx, scope Scope) error {
	if p.AddressScope == "" || scope.All {
		return nil
	}
	owner, err := ownerOf(ctx, tx, addressScopeKind, p.AddressScope)
	if err == nil && owner != scope.Project {
		return errs.BadRequestf("Illegal subnetpool update : subnetpool %s cannot be updated when associated with shared address scope %s.", p.ID, p.AddressScope).
			Typed("IllegalSubnetPoolUpdate")
	}
	return err
}

// DeleteSubnetPool removes a pool that no subnet is of.
func (s *Service) DeleteSubnetPool(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := hold[SubnetPool](ctx, tx, poolKind, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		subnets, err := rowsOf[Subnet](ctx, tx, "subnetpool_id", []string{id})
		if err != nil {
			return err
		}
		if len(subnets) > 0 {
			return errs.BadRequestf("Unable to delete subnet pool: Subnet pool has existing allocations.").Typed("SubnetPoolDeleteError")
		}
		err = poolKind.forget(ctx, tx, id)
		if err != nil {
			return err
		}
		err = poolKind.remove(ctx, tx, id)
		if err != nil {
			return err
		}
		err = quota.Release(ctx, tx, p.Project, quota.SubnetPools(1))
		if err != nil {
			return err
		}
		return tell(ctx, tx, deleted, p)
	})
}
