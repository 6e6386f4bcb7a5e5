package placement

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

//go:embed traits.txt
var traitLines string

// standardTraits are the traits everybody knows, sorted.
var standardTraits = strings.Fields(traitLines)

// standardClasses are the resource classes everybody knows, in their order.
var standardClasses = []string{
	VCPU, MemoryMB, DiskGB, "PCI_DEVICE", "SRIOV_NET_VF", "NUMA_SOCKET", "NUMA_CORE", "NUMA_THREAD",
	"NUMA_MEMORY_MB", "IPV4_ADDRESS", "VGPU", "VGPU_DISPLAY_HEAD", "NET_BW_EGR_KILOBIT_PER_SEC",
	"NET_BW_IGR_KILOBIT_PER_SEC", "PCPU", "MEM_ENCRYPTION_CONTEXT", "FPGA", "PGPU",
	"NET_PACKET_RATE_KILOPACKET_PER_SEC", "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC", "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
}

var customName = regexp.MustCompile(`^CUSTOM_[A-Z0-9_]+$`)

func validTrait(name string) bool {
	return standardTrait(name) || (customName.MatchString(name) && len(name) <= 255)
}

func traitsOf(ctx context.Context, tx *db.Tx, id string) ([]string, error) {
	var list []string
	err := tx.All(ctx, &list, "SELECT trait FROM provider_traits WHERE provider = ? ORDER BY trait", id)
	if err != nil {
		return nil, fmt.Errorf("read traits of provider %s: %w", id, err)
	}
	return list, nil
}

func aggregatesOf(ctx context.Context, tx *db.Tx, id string) ([]string, error) {
	var list []string
	err := tx.All(ctx, &list, "SELECT aggregate FROM provider_aggregates WHERE provider = ? ORDER BY aggregate", id)
	if err != nil {
		return nil, fmt.Errorf("read aggregates of provider %s: %w", id, err)
	}
	return list, nil
}

// StandardTrait tells whether every cloud knows the trait.
func (s *Service) StandardTrait(name string) bool { return standardTrait(name) }

// StandardClass tells whether every cloud knows the resource class.
func (s *Service) StandardClass(name string) bool { return slices.Contains(standardClasses, name) }

func standardTrait(name string) bool {
	_, standard := slices.BinarySearch(standardTraits, name)
	return standard
}

// knownTrait is an error when the trait is neither standard nor was added.
func knownTrait(ctx context.Context, tx *db.Tx, name string) error {
	if standardTrait(name) {
		return nil
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM custom_traits WHERE name = ?", name)
	if err != nil {
		return fmt.Errorf("look for trait %s: %w", name, err)
	}
	if n == 0 {
		return errs.NotFoundf("%s", noTraits([]string{name}))
	}
	return nil
}

// noTraits says which traits nobody knows.
func noTraits(names []string) string {
	return "No such trait(s): " + strings.Join(names, ", ") + "."
}

func knownClass(ctx context.Context, tx *db.Tx, name string) error {
	if slices.Contains(standardClasses, name) {
		return nil
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM custom_classes WHERE name = ?", name)
	if err != nil {
		return fmt.Errorf("look for resource class %s: %w", name, err)
	}
	if n == 0 {
		return errs.NotFoundf("No such resource class %s.", name)
	}
	return nil
}

// addTrait makes a custom trait known.
func (s *Service) addTrait(ctx context.Context, tx *db.Tx, name string) error {
	if standardTrait(name) {
		return nil
	}
	_, err := tx.Exec(ctx, "INSERT INTO custom_traits (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, db.At(s.clock.Now()))
	if err != nil {
		return fmt.Errorf("add trait %s: %w", name, err)
	}
	return nil
}

// SetHostAggregates says which aggregates the provider is in, by UUID.
func (s *Service) SetHostAggregates(ctx context.Context, id string, aggregates []string) error {
	_, err := s.replaceNames(ctx, id, -1, "provider_aggregates", "aggregate", aggregates, nil, bump)
	if errs.Is(err, errs.NotFound) {
		return nil // the host has not reported yet
	}
	return err
}

// SetAggregates replaces the aggregates of a provider whose generation is still
// the given one. With -1 it is whichever it is, and stays: so it was before a
// generation was asked for.
func (s *Service) SetAggregates(ctx context.Context, id string, generation int64, aggregates []string) (Provider, error) {
	mark := bump
	if generation < 0 {
		mark = touch
	}
	return s.replaceNames(ctx, id, generation, "provider_aggregates", "aggregate", aggregates, nil, mark)
}

// SetTraits replaces the traits of a provider. Those that it has already are no change.
func (s *Service) SetTraits(ctx context.Context, id string, generation int64, traits []string) (Provider, error) {
	return s.replaceNames(ctx, id, generation, "provider_traits", "trait", traits, otherTraits, bump)
}

// otherTraits tells whether these are not those that the provider has.
func otherTraits(ctx context.Context, tx *db.Tx, id string, want []string) (bool, error) {
	var unknown []string
	for _, name := range want {
		err := knownTrait(ctx, tx, name)
		if errs.Is(err, errs.NotFound) {
			unknown = append(unknown, name)
		} else if err != nil {
			return false, err
		}
	}
	if unknown != nil {
		return false, errs.BadRequestf("No such trait %s", strings.Join(unknown, ", "))
	}
	have, err := traitsOf(ctx, tx, id)
	slices.Sort(have) // as Go does, not as the database
	return !slices.Equal(have, want), err
}

func (s *Service) replaceNames(ctx context.Context, id string, generation int64, table, column string, want []string,
	other func(context.Context, *db.Tx, string, []string) (bool, error), mark func(context.Context, *db.Tx, *Provider, time.Time) error) (Provider, error) {
	var p Provider
	want = slices.Compact(slices.Sorted(slices.Values(want)))
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		if generation >= 0 && generation != p.Generation {
			return errs.Conflictf("Resource provider's generation already changed. Please update the generation and try again.").Typed(concurrentUpdate)
		}
		if other != nil {
			changes, err := other(ctx, tx, id, want)
			if err != nil || !changes {
				return err
			}
		}
		_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE provider = ?", id)
		if err != nil {
			return fmt.Errorf("clear %s: %w", table, err)
		}
		for _, name := range want {
			_, err = tx.Exec(ctx, "INSERT INTO "+table+" (provider, "+column+") VALUES (?, ?)", id, name)
			if err != nil {
				return fmt.Errorf("insert into %s: %w", table, err)
			}
		}
		err = mark(ctx, tx, &p, s.clock.Now())
		if err != nil {
			return err
		}
		return s.tellAfter(ctx, tx, true, id)
	})
	return p, err
}

// TraitsOf returns a provider and its traits.
func (s *Service) TraitsOf(ctx context.Context, id string) (Provider, []string, error) {
	return s.namesOf(ctx, id, traitsOf)
}

// AggregatesOf returns a provider and its aggregates.
func (s *Service) AggregatesOf(ctx context.Context, id string) (Provider, []string, error) {
	return s.namesOf(ctx, id, aggregatesOf)
}

func (s *Service) namesOf(ctx context.Context, id string, read func(context.Context, *db.Tx, string) ([]string, error)) (Provider, []string, error) {
	var p Provider
	var list []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = provider(ctx, tx, id)
		if err != nil {
			return err
		}
		list, err = read(ctx, tx, id)
		return err
	})
	return p, list, err
}
