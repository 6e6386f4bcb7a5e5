package numa

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

type texts = map[string]string

func TestWhatFlavorsAndImagesAskFor(t *testing.T) {
	for _, tc := range []struct {
		name         string
		specs, image texts
		want         string // cells as shared/dedicated/memory, and what else was asked for; "" floats
	}{
		{"nothing", nil, nil, ""},
		{"shared", texts{"hw:cpu_policy": "shared"}, nil, ""},
		{"dedicated", texts{"hw:cpu_policy": "dedicated"}, nil, "[/0-3/4096] dedicated"},
		{"dedicated by the image", nil, texts{"hw_cpu_policy": "dedicated"}, "[/0-3/4096] dedicated"},
		{"the flavor's dedicated wins", texts{"hw:cpu_policy": "dedicated"}, texts{"hw_cpu_policy": "shared"}, "[/0-3/4096] dedicated"},
		{"by resources", texts{"resources:PCPU": "4"}, nil, "[/0-3/4096] dedicated"},
		{"mixed", texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-1"}, nil, "[2-3/0-1/4096] mixed"},
		{"mixed, all but one", texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0"}, nil, "[0/1-3/4096] mixed"},
		{"mixed by realtime", texts{"hw:cpu_policy": "mixed", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "2-3"}, nil, "[0-1/2-3/4096] mixed realtime 2-3"},
		{"realtime with an emulator elsewhere", texts{"hw:cpu_policy": "dedicated", "hw:cpu_realtime": "true", "hw:emulator_threads_policy": "isolate"}, nil, "[/0-3/4096] dedicated isolated realtime 0-3"},
		{"nodes", texts{"hw:numa_nodes": "2"}, nil, "[0-1//2048] [2-3//2048]"},
		{"nodes by the image", nil, texts{"hw_numa_nodes": "2"}, "[0-1//2048] [2-3//2048]"},
		{"nodes by hand", texts{"hw:numa_nodes": "2", "hw:numa_cpus.0": "0,2-3", "hw:numa_cpus.1": "1", "hw:numa_mem.0": "3072", "hw:numa_mem.1": "1024"}, nil, "[0,2-3//3072] [1//1024]"},
		{"large pages", texts{"hw:mem_page_size": "large"}, nil, "[0-3//4096] page -2"},
		{"the image chooses among any", texts{"hw:mem_page_size": "any"}, texts{"hw_mem_page_size": "2MB"}, "[0-3//4096] page 2048"},
		{"pages in KiB", texts{"hw:mem_page_size": "1048576"}, nil, "[0-3//4096] page 1048576"},
		{"locked", texts{"hw:mem_page_size": "small", "hw:locked_memory": "true"}, nil, "[0-3//4096] page -1 locked"},
		{"threads", texts{"hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "prefer"}, texts{"hw_cpu_thread_policy": "require"}, "[/0-3/4096] dedicated prefer"},
		{"threads by the image", texts{"hw:cpu_policy": "dedicated"}, texts{"hw_cpu_thread_policy": "require"}, "[/0-3/4096] dedicated require"},
		{"threads by the trait", texts{"hw:cpu_policy": "dedicated", "trait:HW_CPU_HYPERTHREADING": "forbidden"}, nil, "[/0-3/4096] dedicated isolate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, err := Guest{VCPUs: 4, MemoryMB: 4096, Specs: tc.specs, Image: tc.image}.Topology()
			if err != nil || said(w) != tc.want {
				t.Errorf("got %q, error %v, want %q", said(w), err, tc.want)
			}
		})
	}
}

func said(w *Want) string {
	if w == nil {
		return ""
	}
	var words []string
	for _, c := range w.Cells {
		words = append(words, fmt.Sprintf("[%s/%s/%d]", nodeapi.FormatCPUs(c.Shared), nodeapi.FormatCPUs(c.Dedicated), c.MemoryMB))
	}
	add := func(is bool, format string, args ...any) {
		if is {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(w.Policy != "", "%s", w.Policy)
	add(w.Threads != "", "%s", w.Threads)
	add(w.Page != 0, "page %d", w.Page)
	add(w.Isolate, "isolated")
	add(w.Share, "emulator shared")
	add(w.Locked, "locked")
	add(w.Realtime != nil, "realtime %s", nodeapi.FormatCPUs(w.Realtime))
	return strings.Join(words, " ")
}

func TestWhatNobodyMayAskFor(t *testing.T) {
	dedicated := func(more texts) texts {
		out := texts{"hw:cpu_policy": "dedicated"}
		maps.Copy(out, more)
		return out
	}
	for _, tc := range []struct {
		specs, image texts
		want         string
	}{
		{texts{"hw:cpu_policy": "own"}, nil, "CPU policy requested from 'flavor extra specs' is invalid"},
		{nil, texts{"hw_cpu_policy": "own"}, "CPU policy requested from 'image properties' is invalid"},
		{texts{"hw:cpu_policy": "shared"}, texts{"hw_cpu_policy": "dedicated"}, "Image property 'hw_cpu_policy' is not permitted to override"},
		{texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0"}, texts{"hw_cpu_policy": "dedicated"}, "Image property 'hw_cpu_policy'"},
		{dedicated(texts{"hw:cpu_thread_policy": "isolate"}), texts{"hw_cpu_thread_policy": "require"}, "Image property 'hw_cpu_thread_policy' is not permitted"},
		{dedicated(texts{"hw:cpu_thread_policy": "often"}), nil, "CPU thread policy requested"},
		{texts{"hw:cpu_thread_policy": "prefer"}, nil, "Cannot set cpu thread pinning policy in a non dedicated"},
		{dedicated(texts{"hw:cpu_thread_policy": "prefer", "trait:HW_CPU_HYPERTHREADING": "required"}), nil, "in combination with the 'hw:cpu_thread_policy'"},
		{texts{"hw:emulator_threads_policy": "isolate"}, nil, "An isolated CPU emulator threads option requires a dedicated"},
		{texts{"hw:emulator_threads_policy": "away"}, nil, "CPU emulator threads option requested is invalid"},
		{dedicated(texts{"hw:cpu_dedicated_mask": "0-1"}), nil, "without the 'mixed' policy"},
		{texts{"hw:cpu_policy": "mixed"}, nil, "Dedicated CPU set can be specified from either"},
		{texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-3"}, nil, "at least 1 pinned vCPU and 1 unpinned"},
		{texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "3-4"}, nil, "not a subset of the flavor's 4 vCPUs"},
		{texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "x"}, nil, "Invalid mask of CPUs"},
		{texts{"hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0"}, nil, "Cannot set realtime policy in a non dedicated"},
		{dedicated(texts{"hw:cpu_realtime": "yes"}), nil, "Use of realtime CPUs requires"},
		{dedicated(texts{"resources:PCPU": "4"}), nil, "use one or the other"},
		{texts{"resources:PCPU": "3"}, nil, "needs exactly 4"},
		{texts{"resources:PCPU": "2", "resources:VCPU": "2"}, nil, "both 'resources:VCPU' and 'resources:PCPU'"},
		{texts{"hw:numa_nodes": "0"}, nil, "It must be a number greater than 0"},
		{texts{"hw:numa_nodes": "2"}, texts{"hw_numa_nodes": "2"}, "Image property 'hw_numa_nodes' is not permitted"},
		{texts{"hw:numa_nodes": "3"}, nil, "cannot be evenly distributed"},
		{texts{"hw:numa_nodes": "2", "hw:numa_cpus.0": "0-3"}, nil, "must be provided for all NUMA nodes"},
		{texts{"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-4", "hw:numa_mem.0": "4096"}, nil, "CPU number 4 is larger than max 3"},
		{texts{"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-2", "hw:numa_mem.0": "4096"}, nil, "CPU number 3 is not assigned"},
		{texts{"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "4000"}, nil, "4000 MB of memory assigned, but expected 4096 MB"},
		{texts{"hw:numa_nodes": "2", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "2048", "hw:numa_cpus.1": "3", "hw:numa_mem.1": "2048"}, nil, "CPU number 3 is assigned to two nodes"},
		{nil, texts{"hw_mem_page_size": "large"}, "forbidden against '<empty>'"},
		{texts{"hw:mem_page_size": "small"}, texts{"hw_mem_page_size": "2048"}, "Page size 2048 forbidden against 'small'"},
		{texts{"hw:mem_page_size": "huge"}, nil, "Invalid memory page size 'huge'"},
		{texts{"hw:locked_memory": "true"}, nil, "forbidden when mem_page_size is not set"},
		{texts{"hw:mem_page_size": "large", "hw:locked_memory": "true"}, texts{"hw_locked_memory": "false"}, "conflicts with that of the image"},
	} {
		_, err := Guest{VCPUs: 4, MemoryMB: 4096, Specs: tc.specs, Image: tc.image}.Topology()
		if !errs.Is(err, errs.BadRequest) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("flavor %v, image %v: got %v, want a bad request with %q", tc.specs, tc.image, err, tc.want)
		}
	}
}

func TestSockets(t *testing.T) {
	for _, tc := range []struct {
		specs, image texts
		want         string // sockets, cores, threads, or a part of the refusal
	}{
		{nil, nil, "nobody cares"},
		{texts{"hw:cpu_sockets": "2"}, nil, "2 4 1"},
		{texts{"hw:cpu_cores": "8"}, nil, "1 8 1"},
		{texts{"hw:cpu_threads": "2"}, nil, "4 1 2"},
		{texts{"hw:cpu_max_sockets": "2"}, nil, "2 4 1"},
		{texts{"hw:cpu_sockets": "8"}, texts{"hw_cpu_max_sockets": "1"}, "1 8 1"},
		{texts{"hw:cpu_max_sockets": "2"}, texts{"hw_cpu_sockets": "1", "hw_cpu_threads": "2"}, "1 4 2"},
		{texts{"hw:cpu_max_sockets": "2"}, texts{"hw_cpu_max_sockets": "4"}, "exceeds the limits of the flavor (sockets=2"},
		{texts{"hw:cpu_max_sockets": "2"}, texts{"hw_cpu_sockets": "4"}, "exceeds the limits of the flavor or image"},
		{texts{"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "3", "hw:cpu_max_threads": "1"}, nil, "impossible to satisfy for vcpus count 8"},
		{texts{"hw:cpu_sockets": "many"}, nil, "Invalid number of virtual CPU sockets"},
	} {
		s, err := Guest{VCPUs: 8, MemoryMB: 1024, Specs: tc.specs, Image: tc.image}.Sockets()
		got := "nobody cares"
		if s != nil {
			got = fmt.Sprint(s.Sockets, s.Cores, s.Threads)
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tc.want) {
			t.Errorf("flavor %v, image %v: got %q, want %q", tc.specs, tc.image, got, tc.want)
		}
	}
}

// twoCells is a host with two cells of eight processors, cores of two threads, of
// which all but the first core of each are dedicated, and 16 GiB each, of which 1024
// pages of 2 MiB and two of 1 GiB.
func twoCells() []nodeapi.Cell {
	cells := make([]nodeapi.Cell, 2)
	for i := range cells {
		first := i * 4
		cells[i] = nodeapi.Cell{
			ID: i, MemoryMB: 16384,
			Shared:    []int{first, first + 8},
			Dedicated: []int{first + 1, first + 2, first + 3, first + 9, first + 10, first + 11},
			Cores:     [][]int{{first, first + 8}, {first + 1, first + 9}, {first + 2, first + 10}, {first + 3, first + 11}},
			Pages:     []nodeapi.Pages{{SizeKB: 2048, Total: 1024, Reserved: 24}, {SizeKB: 1 << 20, Total: 2}},
		}
	}
	return cells
}

// alone is a topology that has processors of the host alone, all on one cell.
func alone(host int, cpus ...int) nodeapi.Topology {
	cell := nodeapi.GuestCell{Host: host, Pins: map[int]int{}}
	for i, cpu := range cpus {
		cell.CPUs, cell.Pins[i] = append(cell.CPUs, i), cpu
	}
	return nodeapi.Topology{Cells: []nodeapi.GuestCell{cell}}
}

func TestFit(t *testing.T) {
	dedicated := func(more ...string) texts {
		out := texts{"hw:cpu_policy": "dedicated"}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		vcpus int
		mb    int
		specs texts
		used  []nodeapi.Topology
		want  string
	}{
		{"whole cores go together", 4, 1024, dedicated(), nil, "0: 0→1 1→9 2→2 3→10"},
		{"the emptier cell", 2, 1024, dedicated(), []nodeapi.Topology{alone(0, 1)}, "1: 0→5 1→13"},
		{"half a core fills half a core", 1, 1024, dedicated(), []nodeapi.Topology{alone(0, 2), alone(1, 5, 13)}, "0: 0→10"},
		{"what is left, though no whole core", 3, 1024, dedicated(), []nodeapi.Topology{alone(0, 1, 2, 3), alone(1, 5, 13, 6, 14)}, "0: 0→9 1→10 2→11"},
		{"two cells", 8, 1024, dedicated("hw:numa_nodes", "2"), nil, "0: 0→1 1→9 2→2 3→10, 1: 4→5 5→13 6→6 7→14"},
		{"the big cell where it fits", 6, 2048, dedicated("hw:numa_nodes", "2", "hw:numa_cpus.0", "0", "hw:numa_mem.0", "1024", "hw:numa_cpus.1", "1-5", "hw:numa_mem.1", "1024"),
			[]nodeapi.Topology{alone(1, 5, 13)}, "1: 0→6, 0: 1→1 2→9 3→2 4→10 5→3"},
		{"too many", 7, 1024, dedicated(), nil, "cell 0 has 6 free dedicated cores, 7 are needed; cell 1 has 6 free dedicated cores, 7 are needed"},
		{"the last core is taken", 4, 1024, dedicated(), []nodeapi.Topology{alone(0, 1, 2, 3), alone(1, 5, 6, 7, 13)},
			"cell 0 has 3 free dedicated cores, 4 are needed; cell 1 has 2 free dedicated cores, 4 are needed"},
		{"an emulator of its own", 2, 1024, dedicated("hw:emulator_threads_policy", "isolate"), nil, "0: 0→1 1→9, emulator 2 alone"},
		{"no core for the emulator", 6, 1024, dedicated("hw:emulator_threads_policy", "isolate"), nil, "cell 0 has 6 free dedicated cores, 7 are needed; cell 1 has 6 free dedicated cores, 7 are needed"},
		{"the emulator with the others", 1, 1024, dedicated("hw:emulator_threads_policy", "share"), nil, "0: 0→1, emulator 0,4,8,12"},
		{"threads together", 4, 1024, dedicated("hw:cpu_thread_policy", "require"), []nodeapi.Topology{alone(0, 1, 2), alone(1, 5, 6, 7)},
			"cell 0 has 2 free dedicated cores that are threads of one core with another, 4 are needed; cell 1 has 3 free dedicated cores, 4 are needed"},
		{"no threads", 1, 1024, dedicated("hw:cpu_thread_policy", "isolate"), nil,
			"cell 0 has cores with several threads, and the guest wants none of those (isolate); cell 1 has cores with several threads, and the guest wants none of those (isolate)"},
		{"mixed", 3, 1024, texts{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "1-2"}, nil, "0: 1→1 2→9 over 0,8"},
		{"shared, more than a cell has", 6, 1024, texts{"hw:numa_nodes": "2"}, nil, "cell 0 has 2 shared processors, 3 are needed; cell 1 has 2 shared processors, 3 are needed"},
		{"shared beyond the ratio", 2, 1024, texts{"hw:numa_nodes": "1"}, []nodeapi.Topology{floats(0, 7, 0), floats(1, 7, 0)},
			"cell 0 has room for 1 more shared processors, 2 are needed; cell 1 has room for 1 more shared processors, 2 are needed"},
		{"three cells on two", 3, 3072, texts{"hw:numa_nodes": "3"}, nil, "the host has 2 NUMA cells, 3 are needed"},
		{"pages", 1, 2000, texts{"hw:mem_page_size": "2048"}, nil, "0: over 0,8 of 2048"},
		{"large pages", 1, 2048, texts{"hw:mem_page_size": "large"}, nil, "0: over 0,8 of 1048576"},
		{"large pages of the smaller kind", 1, 1000, texts{"hw:mem_page_size": "large"}, nil, "0: over 0,8 of 2048"},
		{"any pages, of which none are left", 1, 4096, texts{"hw:mem_page_size": "any"}, nil, "0: over 0,8 of 4"},
		{"reserved pages", 1, 2002, texts{"hw:mem_page_size": "2MB"}, nil, "cell 0 has 1000 free pages of 2048 KiB, not whole ones for 2002 MB; cell 1 has 1000 free pages of 2048 KiB, not whole ones for 2002 MB"},
		{"pages in use", 1, 1026, texts{"hw:mem_page_size": "2MB"}, []nodeapi.Topology{floats(0, 1, 1000), floats(1, 1, 1000)},
			"cell 0 has 500 free pages of 2048 KiB, not whole ones for 1026 MB; cell 1 has 500 free pages of 2048 KiB, not whole ones for 1026 MB"},
		{"pages of no size there is", 1, 1024, texts{"hw:mem_page_size": "16MB"}, nil, "cell 0 has no pages of 16384 KiB; cell 1 has no pages of 16384 KiB"},
		{"memory besides huge pages", 1, 12289, dedicated(), nil, "cell 0 has 12288 MB of free memory, 12289 are needed; cell 1 has 12288 MB of free memory, 12289 are needed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, err := Guest{VCPUs: tc.vcpus, MemoryMB: tc.mb, Specs: tc.specs}.Topology()
			if err != nil {
				t.Fatal(err)
			}
			topology, why := Fit(twoCells(), Used(tc.used...), Ratios{CPU: 4, Memory: 1.5}, want)
			got := why
			if why == "" {
				got = lies(topology)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func floats(host, cpus, mb int) nodeapi.Topology {
	cell := nodeapi.GuestCell{Host: host, CPUs: make([]int, cpus), MemoryMB: mb}
	if mb > 0 {
		cell.PageKB = 2048
	}
	return nodeapi.Topology{Cells: []nodeapi.GuestCell{cell}}
}

func lies(t nodeapi.Topology) string {
	var parts []string
	for _, c := range t.Cells {
		part := fmt.Sprintf("%d:", c.Host)
		for _, cpu := range c.CPUs {
			core, pinned := c.Pins[cpu]
			if pinned {
				part += fmt.Sprintf(" %d→%d", cpu, core)
			}
		}
		if len(c.Float) > 0 {
			part += " over " + nodeapi.FormatCPUs(c.Float)
		}
		if c.PageKB > 0 {
			part += fmt.Sprintf(" of %d", c.PageKB)
		}
		parts = append(parts, part)
	}
	if len(t.Emulator) > 0 {
		part := "emulator " + nodeapi.FormatCPUs(t.Emulator)
		if len(t.Isolated) > 0 {
			part += " alone"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// However guests come and go, no core is anybody else's, and as many fit as there
// are cores.
func TestNoCoreIsTwoGuests(t *testing.T) {
	for vcpus := 1; vcpus <= 6; vcpus++ {
		want, err := Guest{VCPUs: vcpus, MemoryMB: 64, Specs: texts{"hw:cpu_policy": "dedicated"}}.Topology()
		if err != nil {
			t.Fatal(err)
		}
		var used Usage
		taken := map[int]bool{}
		n := 0
		for {
			topology, why := Fit(twoCells(), used, Ratios{}, want)
			if why != "" {
				break
			}
			n++
			for _, core := range topology.Cores() {
				if taken[core] {
					t.Fatalf("core %d has two guests", core)
				}
				taken[core] = true
			}
			used.Add(topology)
		}
		if n != 2*(6/vcpus) {
			t.Errorf("%d guests with %d cores found room, want %d", n, vcpus, 2*(6/vcpus))
		}
	}
}
