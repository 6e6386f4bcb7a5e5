package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/nodeapi"
)

// CPUs is how the processors and the huge pages of a host are divided. The zero
// value shares them all.
type CPUs struct {
	dedicated, shared []int // nil: nobody said
	reserved          map[page]int
}

// page is a pool of huge pages.
type page struct{ cell, sizeKB int }

// ParseCPUs reads the settings cpu_dedicated_set, cpu_shared_set and
// reserved_huge_pages. Where the first is there alone, nothing is shared.
func ParseCPUs(dedicated, shared, reserved string) (CPUs, error) {
	var c CPUs
	var err error
	for _, setting := range []struct {
		name, text string
		into       *[]int
	}{{"cpu_dedicated_set", dedicated, &c.dedicated}, {"cpu_shared_set", shared, &c.shared}} {
		if setting.text == "" {
			continue
		}
		*setting.into, err = nodeapi.ParseCPUs(setting.text)
		if err != nil {
			return c, fmt.Errorf("setting %s: %w", setting.name, err)
		}
	}
	for _, cpu := range c.dedicated {
		if slices.Contains(c.shared, cpu) {
			return c, fmt.Errorf("settings cpu_dedicated_set and cpu_shared_set: both have processor %d", cpu)
		}
	}
	for one := range strings.SplitSeq(reserved, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		values := map[string]int{}
		for pair := range strings.SplitSeq(one, ",") {
			key, text, _ := strings.Cut(strings.TrimSpace(pair), ":")
			values[key], err = strconv.Atoi(text)
			if err != nil || values[key] < 0 {
				return c, fmt.Errorf("setting reserved_huge_pages: %q is not node:N,size:KIB,count:N", one)
			}
		}
		_, hasNode := values["node"]
		if len(values) != 3 || !hasNode || values["size"] == 0 || values["count"] == 0 {
			return c, fmt.Errorf("setting reserved_huge_pages: %q is not node:N,size:KIB,count:N", one)
		}
		if c.reserved == nil {
			c.reserved = map[page]int{}
		}
		c.reserved[page{values["node"], values["size"]}] = values["count"]
	}
	return c, nil
}

// divide gives the processors of cells, which share them all, to those who may use
// them. Cores stay as far as guests may have more than one thread of them.
func (c CPUs) divide(cells []nodeapi.Cell) []nodeapi.Cell {
	out := slices.Clone(cells)
	for i := range out {
		cell := &out[i]
		all := cell.Shared
		within := func(set []int) []int {
			var some []int
			for _, cpu := range all {
				if slices.Contains(set, cpu) {
					some = append(some, cpu)
				}
			}
			return some
		}
		if c.dedicated != nil || c.shared != nil {
			cell.Dedicated, cell.Shared = within(c.dedicated), within(c.shared)
		}
		cell.Pages = slices.Clone(cell.Pages)
		for p := range cell.Pages {
			cell.Pages[p].Reserved = min(cell.Pages[p].Total, c.reserved[page{cell.ID, cell.Pages[p].SizeKB}])
		}
	}
	return out
}

func hasThreads(cells []nodeapi.Cell) bool {
	return slices.ContainsFunc(cells, func(c nodeapi.Cell) bool { return len(c.Cores) > 0 })
}

// sharedCPUs are the processors that machines without a topology run on, nil for
// all: where some are dedicated, nobody else may be on those.
func (n *Node) sharedCPUs() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	var shared []int
	divided := false
	for _, c := range n.info.Cells {
		shared, divided = append(shared, c.Shared...), divided || len(c.Dedicated) > 0
	}
	if !divided {
		return nil
	}
	return shared
}
