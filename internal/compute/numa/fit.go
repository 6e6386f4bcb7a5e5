package numa

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/nodeapi"
)

// Ratios are how often the shared processors and the memory of a host may be
// promised. 0 counts as 1.
type Ratios struct{ CPU, Memory float64 }

// Fit lays the guest on the host. Without a place, it says why in words.
func Fit(host []nodeapi.Cell, used Usage, ratios Ratios, want *Want) (t nodeapi.Topology, why string) {
	if len(host) == 0 {
		return t, "the host tells nothing of its NUMA cells"
	}
	if len(want.Cells) > len(host) {
		return t, fmt.Sprintf("the host has %d NUMA cells, %d are needed", len(host), len(want.Cells))
	}
	ratios.CPU, ratios.Memory = cmp.Or(ratios.CPU, 1), cmp.Or(ratios.Memory, 1)
	// The emptiest cell first, so that guests spread.
	host = slices.Clone(host)
	freeMB := func(c nodeapi.Cell) int { return c.MemoryMB - c.HugeMB() - used.cells[c.ID].memoryMB }
	slices.SortStableFunc(host, func(a, b nodeapi.Cell) int {
		return cmp.Or(cmp.Compare(len(used.free(b)), len(used.free(a))), cmp.Compare(used.cells[a.ID].shared, used.cells[b.ID].shared),
			cmp.Compare(freeMB(b), freeMB(a)), cmp.Compare(a.ID, b.ID))
	})
	m := match{taken: map[int]int{}}
	reasons := map[int]string{}
	for g := range want.Cells {
		var row []*laid
		for _, c := range host {
			l, reason := lay(c, used, ratios, want, g)
			if l == nil {
				reasons[c.ID] = reason
			}
			row = append(row, l)
		}
		m.fits = append(m.fits, row)
	}
	for g := range want.Cells {
		if !m.place(g, make([]bool, len(host))) {
			return t, reasonOf(host, reasons, len(want.Cells))
		}
	}
	t = nodeapi.Topology{Cells: make([]nodeapi.GuestCell, len(want.Cells)), Realtime: want.Realtime, Locked: want.Locked}
	for h, g := range m.taken {
		l := m.fits[g][h]
		t.Cells[g] = l.cell
		t.Isolated = append(t.Isolated, l.isolated...)
	}
	t.Emulator = t.Isolated
	if want.Share {
		for _, c := range host {
			t.Emulator = append(t.Emulator, c.Shared...)
		}
		slices.Sort(t.Emulator)
	}
	return t, ""
}

func reasonOf(host []nodeapi.Cell, reasons map[int]string, cells int) string {
	if len(reasons) == 0 {
		return fmt.Sprintf("the guest's %d NUMA cells do not find one each", cells)
	}
	var parts []string
	for _, c := range slices.SortedFunc(slices.Values(host), func(a, b nodeapi.Cell) int { return cmp.Compare(a.ID, b.ID) }) {
		if reasons[c.ID] != "" {
			parts = append(parts, fmt.Sprintf("cell %d %s", c.ID, reasons[c.ID]))
		}
	}
	return strings.Join(parts, "; ")
}

// match gives each cell of the guest a cell of the host that it fits on. Where
// another one sits there, that one is asked to move on first.
type match struct {
	fits  [][]*laid   // by cell of the guest and place in the host's list; nil: does not fit
	taken map[int]int // place in the host's list → cell of the guest
}

func (m *match) place(g int, asked []bool) bool {
	for h, l := range m.fits[g] {
		_, sits := m.taken[h]
		if l != nil && !asked[h] && !sits {
			m.taken[h] = g
			return true
		}
	}
	for h, l := range m.fits[g] {
		if l == nil || asked[h] {
			continue
		}
		asked[h] = true
		if m.place(m.taken[h], asked) {
			m.taken[h] = g
			return true
		}
	}
	return false
}

// laid is a cell of the guest on one of the host.
type laid struct {
	cell     nodeapi.GuestCell
	isolated []int
}

// lay lays one cell of the guest on one of the host.
func lay(host nodeapi.Cell, used Usage, ratios Ratios, want *Want, g int) (*laid, string) {
	w := want.Cells[g]
	cell := nodeapi.GuestCell{Host: host.ID, CPUs: slices.Sorted(slices.Values(slices.Concat(w.Shared, w.Dedicated))), MemoryMB: w.MemoryMB}
	var why string
	cell.PageKB, why = pages(host, used.cells[host.ID], ratios, want, w.MemoryMB)
	if why != "" {
		return nil, why
	}
	if n := len(w.Shared); n > 0 {
		room := int(float64(len(host.Shared))*ratios.CPU) - used.cells[host.ID].shared
		switch {
		case n > len(host.Shared):
			return nil, fmt.Sprintf("has %d shared processors, %d are needed", len(host.Shared), n)
		case n > room:
			return nil, fmt.Sprintf("has room for %d more shared processors, %d are needed", max(0, room), n)
		}
		cell.Float = host.Shared
	}
	l := &laid{cell: cell}
	more := 0
	if want.Isolate && g == 0 {
		more = 1 // the emulator goes with the first cell
	}
	if len(w.Dedicated)+more == 0 {
		return l, ""
	}
	cores, why := pick(host, used, want.Threads, len(w.Dedicated), more)
	if why != "" {
		return nil, why
	}
	l.cell.Pins = make(map[int]int, len(w.Dedicated))
	for i, cpu := range w.Dedicated {
		l.cell.Pins[cpu] = cores[i]
	}
	l.isolated = cores[len(w.Dedicated):]
	return l, ""
}

// pick takes n dedicated processors for the guest and more for its emulator,
// threads of one core together as long as there are some.
func pick(host nodeapi.Cell, used Usage, threads Threads, n, more int) (cores []int, why string) {
	free := used.free(host)
	if len(free) < n+more {
		return nil, fmt.Sprintf("has %d free dedicated cores, %d are needed", len(free), n+more)
	}
	if threads == Isolate && len(host.Cores) > 0 {
		return nil, "has cores with several threads, and the guest wants none of those (isolate)"
	}
	if threads == Require && len(host.Cores) == 0 {
		return nil, "has no cores with several threads, which the guest wants (require)"
	}
	groups := siblings(host, free)
	for len(cores) < n {
		at := best(groups, n-len(cores))
		if threads == Require && len(groups[at]) < 2 {
			return nil, fmt.Sprintf("has %d free dedicated cores that are threads of one core with another, %d are needed", len(cores), n)
		}
		some := min(len(groups[at]), n-len(cores))
		cores, groups[at] = append(cores, groups[at][:some]...), groups[at][some:]
	}
	for range more {
		at := best(groups, 1)
		cores, groups[at] = append(cores, groups[at][0]), groups[at][1:]
	}
	return cores, ""
}

// siblings groups free processors by the core that they are threads of.
func siblings(host nodeapi.Cell, free []int) [][]int {
	var groups [][]int
	single := slices.Clone(free)
	for _, core := range host.Cores {
		var group []int
		for _, cpu := range core {
			if i := slices.Index(single, cpu); i >= 0 {
				group, single = append(group, cpu), slices.Delete(single, i, i+1)
			}
		}
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	for _, cpu := range single {
		groups = append(groups, []int{cpu})
	}
	return groups
}

// best is the smallest group that has n processors, or else the largest one: whole
// cores stay whole for others as far as that goes.
func best(groups [][]int, n int) int {
	at := -1
	for i, group := range groups {
		switch {
		case at < 0:
			at = i
		case len(group) >= n && (len(groups[at]) < n || len(group) < len(groups[at])):
			at = i
		case len(groups[at]) < n && len(group) > len(groups[at]):
			at = i
		}
	}
	return at
}

// pages chooses the size of the pages that a cell's memory is made of: 0 is the
// usual one where nobody has asked.
func pages(host nodeapi.Cell, used cellUsage, ratios Ratios, want *Want, mb int) (sizeKB int, why string) {
	usual := host.MemoryMB - host.HugeMB()
	free := usual - used.memoryMB
	if want.Page == 0 {
		limit := int(float64(usual)*ratios.Memory) - used.memoryMB
		if want.pins() {
			limit = free
		}
		if mb > min(limit, usual) {
			return 0, fmt.Sprintf("has %d MB of free memory, %d are needed", max(0, min(limit, usual)), mb)
		}
		return 0, ""
	}
	if want.Page == Large || want.Page == AnyPage {
		for _, p := range slices.SortedFunc(slices.Values(host.Pages), func(a, b nodeapi.Pages) int { return b.SizeKB - a.SizeKB }) {
			if room(p, used, mb) {
				return p.SizeKB, ""
			}
		}
	}
	if want.Page == Small || want.Page == AnyPage || want.Page == usualKB {
		if mb > free {
			return 0, fmt.Sprintf("has %d MB of free memory, %d are needed", max(0, free), mb)
		}
		return usualKB, ""
	}
	if want.Page == Large {
		return 0, fmt.Sprintf("has not enough free huge pages for %d MB", mb)
	}
	for _, p := range host.Pages {
		if p.SizeKB != want.Page {
			continue
		}
		if room(p, used, mb) {
			return p.SizeKB, ""
		}
		return 0, fmt.Sprintf("has %d free pages of %d KiB, not whole ones for %d MB", p.Total-p.Reserved-used.pages[p.SizeKB], p.SizeKB, mb)
	}
	return 0, fmt.Sprintf("has no pages of %d KiB", want.Page)
}

func room(p nodeapi.Pages, used cellUsage, mb int) bool {
	return mb*1024%p.SizeKB == 0 && mb*1024/p.SizeKB <= p.Total-p.Reserved-used.pages[p.SizeKB]
}
