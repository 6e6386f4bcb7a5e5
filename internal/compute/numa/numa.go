// Package numa decides where the processors and the memory of a guest lie on its
// host. It is pure: what flavor and image ask for (want.go, sockets.go), what the
// host has and what others have of it go in; a topology, or the reason why there
// is none, comes out (fit.go).
//
// A guest has a topology when somebody cares: its flavor or image asks for NUMA
// cells, processors of its own, or a size of pages. Each of its cells goes to
// another cell of the host. A dedicated processor belongs to one guest alone;
// memory of guests with dedicated processors, and huge pages, are never promised
// twice; the rest follows the host's allocation ratios. Guests without a topology
// float over the shared processors and are not counted here: placement counts them.
package numa

import (
	"slices"

	"nacre/internal/nodeapi"
)

// Want is what a guest asks of its host.
type Want struct {
	Cells    []Cell
	Policy   Policy
	Threads  Threads
	Page     int  // KiB, or Small, Large, AnyPage; 0: nobody cares
	Isolate  bool // a processor of its own for the emulator
	Share    bool // the emulator runs on the shared processors
	Realtime []int
	Locked   bool
}

// Cell is a cell of the guest.
type Cell struct {
	Shared    []int // processors of the guest that float
	Dedicated []int // and those that have one of the host's alone
	MemoryMB  int
}

// Policy is what processors the guest runs on.
type Policy string

// The policies. "" is Shared.
const (
	Shared    Policy = "shared"
	Dedicated Policy = "dedicated"
	Mixed     Policy = "mixed"
)

// Threads is what a guest with dedicated processors thinks of cores with several
// threads.
type Threads string

// The policies about threads. "" is Prefer.
const (
	Prefer  Threads = "prefer"  // whole cores if there are some
	Isolate Threads = "isolate" // a host without such cores
	Require Threads = "require" // threads of one core go together
)

// What may be asked for instead of a size of pages.
const (
	Small   = -1
	Large   = -2
	AnyPage = -3
)

// pins tells whether the guest has processors of its own.
func (w *Want) pins() bool { return w.Policy == Dedicated || w.Policy == Mixed }

// PCPUs is how many processors the guest has alone.
func (w *Want) PCPUs() int64 {
	var n int64
	for _, c := range w.Cells {
		n += int64(len(c.Dedicated))
	}
	if w.Isolate {
		n++
	}
	return n
}

// VCPUs is how many of its processors float.
func (w *Want) VCPUs() int64 {
	var n int64
	for _, c := range w.Cells {
		n += int64(len(c.Shared))
	}
	return n
}

// Usage is what guests have of a host.
type Usage struct {
	cores map[int]bool
	cells map[int]cellUsage
}

type cellUsage struct {
	shared   int
	memoryMB int         // in pages of the usual size
	pages    map[int]int // by size in KiB
}

// Used is what guests with these topologies have of their host.
func Used(topologies ...nodeapi.Topology) Usage {
	var u Usage
	for _, t := range topologies {
		u.Add(t)
	}
	return u
}

// Add counts one more guest.
func (u *Usage) Add(t nodeapi.Topology) {
	if u.cells == nil {
		u.cores, u.cells = map[int]bool{}, map[int]cellUsage{}
	}
	for _, core := range t.Cores() {
		u.cores[core] = true
	}
	for _, g := range t.Cells {
		c := u.cells[g.Host]
		c.shared += len(g.CPUs) - len(g.Pins)
		if g.PageKB > usualKB {
			if c.pages == nil {
				c.pages = map[int]int{}
			}
			c.pages[g.PageKB] += g.MemoryMB * 1024 / g.PageKB
		} else {
			c.memoryMB += g.MemoryMB
		}
		u.cells[g.Host] = c
	}
}

// Huge tells whether some of a guest's memory is in huge pages.
func Huge(t nodeapi.Topology) bool {
	return slices.ContainsFunc(t.Cells, func(c nodeapi.GuestCell) bool { return c.PageKB > usualKB })
}

// usualKB is the size of pages that are not huge.
const usualKB = 4

// free are the dedicated processors of a cell that nobody has.
func (u Usage) free(c nodeapi.Cell) []int {
	return slices.DeleteFunc(slices.Clone(c.Dedicated), func(cpu int) bool { return u.cores[cpu] })
}
