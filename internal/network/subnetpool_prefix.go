package network

import (
	"cmp"
	"context"
	"math/big"
	"net/netip"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// joined sorts prefixes, leaves out what others cover, and makes one of two
// halves, as long as there is something to do.
func joined(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	sorted := slices.SortedFunc(slices.Values(list), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range sorted {
		if len(out) > 0 && covers(out[len(out)-1], p) {
			continue
		}
		out = append(out, p)
		for n := len(out); n > 1 && out[n-1].Bits() > 0; n = len(out) {
			whole := netip.PrefixFrom(out[n-2].Addr(), out[n-1].Bits()-1)
			if out[n-2].Bits() != out[n-1].Bits() || whole.Masked() != whole || !covers(whole, out[n-1]) {
				break
			}
			out = append(out[:n-2], whole)
		}
	}
	return out
}

// covers tells whether all addresses of the second are in the first.
func covers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

func spell(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return out
}

func (p *SubnetPool) prefixes() []netip.Prefix {
	out := make([]netip.Prefix, len(p.Prefixes.V))
	for i, text := range p.Prefixes.V {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// without is what of the prefixes is left without one of them or a part.
func without(list []netip.Prefix, gone netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		switch {
		case covers(gone, p):
		case !covers(p, gone):
			out = append(out, p)
		default:
			low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
			high := netip.PrefixFrom(last(low).Next(), p.Bits()+1)
			out = append(out, without([]netip.Prefix{low, high}, gone)...)
		}
	}
	return out
}

// firstFree is the first range of the length that is in the prefixes and not in
// use. The used ones are sorted and do not overlap.
func firstFree(prefixes, used []netip.Prefix, bits int) (netip.Prefix, bool) {
	for _, p := range prefixes {
		if p.Bits() > bits {
			continue
		}
		try := netip.PrefixFrom(p.Addr(), bits)
		for covers(p, try) {
			at := slices.IndexFunc(used, try.Overlaps)
			if at < 0 {
				return try, true
			}
			end := last(used[at])
			if last(try).Compare(end) > 0 {
				end = last(try)
			}
			next := end.Next()
			if !next.IsValid() {
				break
			}
			try = netip.PrefixFrom(next, bits)
		}
	}
	return netip.Prefix{}, false
}

func notAllocated(reason string) error {
	return errs.Conflictf("Failed to allocate subnet: %s.", reason).Typed("SubnetAllocationError")
}

// allocate takes a range from a pool for a subnet: the one asked for, or the first
// free one of the length. The pool's row is held, so that no two get the same.
func (s *Service) allocate(ctx context.Context, tx *db.Tx, scope Scope, sub *Subnet, prefixlen *int) error {
	p, err := hold[SubnetPool](ctx, tx, poolKind, sub.Pool)
	if err != nil {
		return err
	}
	may, err := poolKind.usable(ctx, tx, scope, p.ID, p.Project)
	if err != nil {
		return err
	}
	if !may && !p.IsDefault {
		return poolNotFound(p.ID)
	}
	if sub.IPVersion != 0 && sub.IPVersion != p.IPVersion {
		return invalid("ip_version %d does not match the pool's, which is %d", sub.IPVersion, p.IPVersion)
	}
	sub.IPVersion = p.IPVersion
	subnets, err := rowsOf[Subnet](ctx, tx, "subnetpool_id", []string{p.ID})
	if err != nil {
		return err
	}
	var used []netip.Prefix
	spent := new(big.Int)
	for _, other := range subnets {
		prefix := netip.MustParsePrefix(other.CIDR)
		used = append(used, prefix)
		if other.Project == sub.Project {
			spent.Add(spent, p.worth(prefix))
		}
	}
	prefix, err := p.choose(used, sub.CIDR, prefixlen)
	if err != nil {
		return err
	}
	spent.Add(spent, p.worth(prefix))
	if p.DefaultQuota != quota.Unlimited && spent.Cmp(big.NewInt(p.DefaultQuota)) > 0 {
		return errs.Conflictf("Per-tenant subnet pool prefix quota exceeded.").Typed("SubnetPoolQuotaExceeded")
	}
	sub.CIDR = prefix.String()
	return nil
}

// choose finds the range to take.
func (p *SubnetPool) choose(used []netip.Prefix, asked string, prefixlen *int) (netip.Prefix, error) {
	bits := or(prefixlen, p.DefaultPrefixlen)
	prefix, err := netip.ParsePrefix(asked)
	if asked != "" {
		if err != nil || prefix.Masked() != prefix {
			return netip.Prefix{}, badField("cidr", "'%s' is not a valid IP subnet", asked)
		}
		bits = prefix.Bits()
	}
	if bits < p.MinPrefixlen {
		return netip.Prefix{}, errs.BadRequestf("Unable to allocate subnet with prefix length %d, minimum allowed prefix is %d.", bits, p.MinPrefixlen).
			Typed("MinPrefixSubnetAllocationError")
	}
	if bits > p.MaxPrefixlen {
		return netip.Prefix{}, errs.BadRequestf("Unable to allocate subnet with prefix length %d, maximum allowed prefix is %d.", bits, p.MaxPrefixlen).
			Typed("MaxPrefixSubnetAllocationError")
	}
	if asked == "" {
		prefix, found := firstFree(p.prefixes(), used, bits)
		if !found {
			return netip.Prefix{}, notAllocated("Insufficient prefix space to allocate subnet size /" + big.NewInt(int64(bits)).String())
		}
		return prefix, nil
	}
	inside := slices.ContainsFunc(p.prefixes(), func(all netip.Prefix) bool { return covers(all, prefix) })
	if !inside || slices.ContainsFunc(used, prefix.Overlaps) {
		return netip.Prefix{}, notAllocated("Cannot allocate requested subnet from the available set of prefixes")
	}
	return prefix, nil
}

// worth is what a range counts on a project's quota of the pool.
func (p *SubnetPool) worth(prefix netip.Prefix) *big.Int {
	whole := 64
	if p.IPVersion == 4 {
		whole = 32
	}
	if prefix.Bits() > whole {
		return big.NewInt(0)
	}
	return new(big.Int).Lsh(big.NewInt(1), uint(whole-prefix.Bits()))
}

// alike refuses subnets of one network and IP version that come from different
// pools, or from different address scopes.
func (s *Service) alike(ctx context.Context, tx *db.Tx, n Network, sub Subnet, siblings []Subnet) error {
	scope := ""
	if sub.Pool != "" {
		p, err := hold[SubnetPool](ctx, tx, poolKind, sub.Pool)
		if err != nil {
			return err
		}
		scope = p.AddressScope
	}
	err := withSubnets(ctx, tx, []*Network{&n})
	if err != nil {
		return err
	}
	theirs := n.Scopes[sub.IPVersion]
	for _, other := range siblings {
		switch {
		case other.IPVersion != sub.IPVersion || other.ID == sub.ID:
		case theirs != scope:
			return errs.BadRequestf("Subnets hosted on the same network must participate in the same address scope. Network %s is in address scope %s.", n.ID, theirs).
				Typed("NetworkAddressScopeAffinityError")
		case scope == "" && other.Pool != sub.Pool:
			return errs.BadRequestf("Subnets hosted on the same network must be allocated from the same subnet pool.").
				Typed("NetworkSubnetPoolAffinityError")
		}
	}
	return nil
}

func badPrefix(format string, args ...any) error {
	return errs.BadRequestf("Illegal subnetpool prefix operation: "+format, args...).Typed("IllegalSubnetPoolPrefixOperation")
}

// AddPrefixes gives a pool more addresses.
func (s *Service) AddPrefixes(ctx context.Context, scope Scope, id string, revision int64, more []string) (SubnetPool, error) {
	return s.changePool(ctx, scope, id, revision, func(_ *db.Tx, p *SubnetPool) error {
		prefixes, err := p.parse(more)
		if err != nil {
			return err
		}
		p.Prefixes = db.Of(spell(joined(append(p.prefixes(), prefixes...))))
		return nil
	})
}

// RemovePrefixes takes addresses of which no subnet has any from a pool.
func (s *Service) RemovePrefixes(ctx context.Context, scope Scope, id string, revision int64, gone []string) (SubnetPool, error) {
	return s.changePool(ctx, scope, id, revision, func(tx *db.Tx, p *SubnetPool) error {
		prefixes, err := p.parse(gone)
		if err != nil {
			return err
		}
		subnets, err := rowsOf[Subnet](ctx, tx, "subnetpool_id", []string{p.ID})
		if err != nil {
			return err
		}
		left := p.prefixes()
		for _, prefix := range prefixes {
			for _, sub := range subnets {
				if netip.MustParsePrefix(sub.CIDR).Overlaps(prefix) {
					return badPrefix("prefix %s has subnets allocated from it.", prefix)
				}
			}
			if !slices.ContainsFunc(left, func(had netip.Prefix) bool { return covers(had, prefix) || covers(prefix, had) }) {
				return badPrefix("prefix %s is not in the pool.", prefix)
			}
			left = without(left, prefix)
		}
		if len(left) == 0 {
			return errs.BadRequestf("Empty subnet pool prefix list.").Typed("EmptySubnetPoolPrefixList")
		}
		p.Prefixes = db.Of(spell(joined(left)))
		return nil
	})
}

// OnboardSubnets has a pool take over the ranges of a network's subnets of its IP
// version.
func (s *Service) OnboardSubnets(ctx context.Context, scope Scope, id, network string) (p SubnetPool, subnets []Subnet, err error) {
	p, err = s.changePool(ctx, scope, id, AnyRevision, func(tx *db.Tx, p *SubnetPool) error {
		subnets = nil
		n, err := one[Network](ctx, tx, networkKind, scope, network)
		if err != nil {
			return err
		}
		all, err := subnetsOf(ctx, tx, n.ID)
		if err != nil {
			return err
		}
		pooled, err := rowsOf[Subnet](ctx, tx, "subnetpool_id", []string{p.ID})
		if err != nil {
			return err
		}
		prefixes := p.prefixes()
		for _, sub := range all {
			if sub.IPVersion != p.IPVersion || sub.Pool == p.ID {
				continue
			}
			if sub.Pool != "" {
				return errs.BadRequestf("Illegal subnetpool update : subnet %s is of subnet pool %s already.", sub.ID, sub.Pool).Typed("IllegalSubnetPoolUpdate")
			}
			prefix := netip.MustParsePrefix(sub.CIDR)
			for _, other := range pooled {
				if netip.MustParsePrefix(other.CIDR).Overlaps(prefix) {
					return errs.BadRequestf("Illegal subnetpool update : the range %s of subnet %s is in use.", sub.CIDR, sub.ID).Typed("IllegalSubnetPoolUpdate")
				}
			}
			sub.Pool = p.ID
			sub.touch(tx)
			_, err = tx.Update(ctx, &sub, "subnetpool_id", "revision", "updated_at")
			if err != nil {
				return err
			}
			err = tell(ctx, tx, updated, sub)
			if err != nil {
				return err
			}
			prefixes = append(prefixes, prefix)
			subnets = append(subnets, sub)
		}
		p.Prefixes = db.Of(spell(joined(prefixes)))
		return nil
	})
	return p, subnets, err
}
