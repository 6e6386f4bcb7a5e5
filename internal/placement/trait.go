package placement

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
	_, standard := slices.BinarySearch(standardTraits, name)
	return standard || (customName.MatchString(name) && len(name) <= 255)
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

// knownTrait is an error when the trait is neither standard nor was added.
func knownTrait(ctx context.Context, tx *db.Tx, name string) error {
	_, standard := slices.BinarySearch(standardTraits, name)
	if standard {
		return nil
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM custom_traits WHERE name = ?", name)
	if err != nil {
		return fmt.Errorf("look for trait %s: %w", name, err)
	}
	if n == 0 {
		return errs.NotFoundf("No such trait: %s", name)
	}
	return nil
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
		return errs.NotFoundf("No such resource class: %s", name)
	}
	return nil
}
