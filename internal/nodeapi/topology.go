package nodeapi

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Cell is a NUMA cell of a host: processors and the memory near them.
type Cell struct {
	ID        int     `json:"id"`
	Shared    []int   `json:"shared,omitempty"`    // processors that guests float over
	Dedicated []int   `json:"dedicated,omitempty"` // processors that one guest each has alone
	Cores     [][]int `json:"cores,omitempty"`     // processors that are threads of one core, where a core has several
	MemoryMB  int     `json:"memory_mb"`           // with what huge pages have of it
	Pages     []Pages `json:"pages,omitempty"`     // huge ones
}

// Pages is a pool of huge pages of one size.
type Pages struct {
	SizeKB   int `json:"size_kb"`
	Total    int `json:"total"`
	Reserved int `json:"reserved,omitempty"` // not for guests
}

// HugeMB is how much of the cell's memory huge pages have.
func (c Cell) HugeMB() int {
	mb := 0
	for _, p := range c.Pages {
		mb += p.SizeKB * p.Total / 1024
	}
	return mb
}

// Topology is how the processors and the memory of a machine lie on its host.
type Topology struct {
	Cells    []GuestCell `json:"cells"`
	Emulator []int       `json:"emulator,omitempty"` // host's processors of QEMU's own threads; none: those of the guest's
	Isolated []int       `json:"isolated,omitempty"` // those of them that nobody else has
	Realtime []int       `json:"realtime,omitempty"` // guest's processors with realtime priority
	Locked   bool        `json:"locked,omitempty"`   // its memory stays in memory
}

// GuestCell is a cell of the guest, on one cell of the host.
type GuestCell struct {
	Host     int         `json:"host"` // id of the host's cell
	CPUs     []int       `json:"cpus"` // of the guest
	MemoryMB int         `json:"memory_mb"`
	PageKB   int         `json:"page_kb,omitempty"` // 0: no huge pages, and nobody asked
	Pins     map[int]int `json:"pins,omitempty"`    // guest's processors that have one of the host's alone
	Float    []int       `json:"float,omitempty"`   // host's processors that the others run on
}

// Sockets is how the processors of a machine look from inside. All are 0 when
// nobody cares.
type Sockets struct {
	Sockets int `json:"sockets"`
	Cores   int `json:"cores"`   // of each socket
	Threads int `json:"threads"` // of each core
}

// Cores are the host's processors that the machine has alone.
func (t Topology) Cores() []int {
	cores := slices.Clone(t.Isolated)
	for _, c := range t.Cells {
		cores = slices.AppendSeq(cores, maps.Values(c.Pins))
	}
	slices.Sort(cores)
	return cores
}

// maxCPU bounds the numbers in a set of processors.
const maxCPU = 8192

// ParseCPUs reads a set of processors: "0-3,8,^2" is 0, 1, 3 and 8.
func ParseCPUs(text string) ([]int, error) {
	set, without := map[int]bool{}, map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		into := set
		part, excluded := strings.CutPrefix(part, "^")
		if excluded {
			into = without
		}
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(strings.TrimSpace(low))
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(strings.TrimSpace(high))
		}
		if err != nil || first < 0 || last < first || last > maxCPU {
			return nil, fmt.Errorf("%.32q is no set of processors", text)
		}
		for cpu := first; cpu <= last; cpu++ {
			into[cpu] = true
		}
	}
	for cpu := range without {
		delete(set, cpu)
	}
	return slices.Sorted(maps.Keys(set)), nil
}

// FormatCPUs is the way back: "0-1,3,8".
func FormatCPUs(cpus []int) string {
	cpus = slices.Sorted(slices.Values(cpus))
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}
