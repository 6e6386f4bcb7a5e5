package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// mine are the processors that this test may use.
func mine(t *testing.T) []int {
	t.Helper()
	cells, err := hostCells("/sys")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, c := range cells {
		all = append(all, c.Shared...)
	}
	return all
}

// affinity is where the threads of the guest's processors run, by their numbers, and
// where all its other threads do.
func affinity(t *testing.T, h *Host, id string) (cpus map[int][]int, others [][]int) {
	t.Helper()
	m := h.machines[id]
	client, err := h.monitor(t.Context(), m, m.guest)
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	err = client.Execute(t.Context(), "query-cpus-fast", nil, &list)
	if err != nil {
		t.Fatal(err)
	}
	cpus = map[int][]int{}
	isCPU := map[int]bool{}
	on := func(thread int) (set []int) {
		var mask unix.CPUSet
		err := unix.SchedGetaffinity(thread, &mask)
		if err != nil {
			return nil // it has ended
		}
		for cpu := range 1024 {
			if mask.IsSet(cpu) {
				set = append(set, cpu)
			}
		}
		return set
	}
	for _, c := range list {
		cpus[c.Index], isCPU[c.Thread] = on(c.Thread), true
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", m.guest.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		thread, err := strconv.Atoi(task.Name())
		if err == nil && !isCPU[thread] {
			set := on(thread)
			if set != nil {
				others = append(others, set)
			}
		}
	}
	return cpus, others
}

// A guest with two NUMA cells sees them, and its threads run where they are meant
// to: also after a restart of this program, and when the processors are others.
func TestPinned(t *testing.T) {
	free := mine(t)
	if len(free) < 2 {
		t.Fatalf("this machine has the processors %v, two are needed", free)
	}
	a, b := free[0], free[1]
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), VCPUs: 4, MemoryMB: 256, Running: true, Root: &virt.Root{Image: "guest"},
		Sockets: &nodeapi.Sockets{Sockets: 2, Cores: 2, Threads: 1},
		Topology: &nodeapi.Topology{
			Cells: []nodeapi.GuestCell{
				{CPUs: []int{0, 1}, MemoryMB: 96, Pins: map[int]int{0: a, 1: b}},
				{CPUs: []int{2, 3}, MemoryMB: 160, Pins: map[int]int{2: b}, Float: []int{a, b}},
			},
			Emulator: []int{b}, Isolated: []int{b},
		},
	}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	check := func(when string, want map[int][]int, emulator []int) {
		t.Helper()
		cpus, others := affinity(t, h, m.ID)
		if fmt.Sprint(cpus) != fmt.Sprint(want) {
			t.Errorf("%s: the guest's processors run on %v, want %v", when, cpus, want)
		}
		for _, set := range others {
			if !slices.Equal(set, emulator) {
				t.Errorf("%s: a thread of the emulator runs on %v, want %v", when, set, emulator)
			}
		}
	}
	err := h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	check("started", map[int][]int{0: {a}, 1: {b}, 2: {b}, 3: {a, b}}, []int{b})

	s := login(t, h, m.ID)
	for command, want := range map[string]string{
		"cat /sys/devices/system/node/online":                                                  "0-1",
		"cat /sys/devices/system/node/node0/cpulist":                                           "0-1",
		"cat /sys/devices/system/node/node1/cpulist":                                           "2-3",
		"cat /sys/devices/system/cpu/cpu[13]/topology/physical_package_id":                     "0\r\n1",
		"expr $(awk '/MemTotal/{print $4}' /sys/devices/system/node/node1/meminfo) '>' 120000": "1",
	} {
		if said := s.run(command); !strings.Contains(said, want) {
			t.Errorf("%s in the guest says %q, want %q", command, said, want)
		}
	}

	m.Topology.Cells[0].Pins, m.Topology.Emulator, m.Topology.Isolated = map[int]int{0: b, 1: a}, nil, nil
	h.Close()
	h = l.open()
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	check("moved to other processors", map[int][]int{0: {b}, 1: {a}, 2: {b}, 3: {a, b}}, []int{a, b})

	m.Topology, m.Sockets, m.Float = nil, nil, []int{a}
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	check("floating", map[int][]int{0: {a}, 1: {a}, 2: {a}, 3: {a}}, []int{a})
}

// Huge pages of the host are the guest's memory from its start on, and nobody's when
// it is gone.
func TestHugePages(t *testing.T) {
	const pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
	number := func(name string) int {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(pool, name))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := number("nr_hugepages")
	set := func(n int) {
		err := os.WriteFile(filepath.Join(pool, "nr_hugepages"), []byte(strconv.Itoa(n)), 0)
		if err != nil {
			t.Fatalf("this machine makes no huge pages: %v", err)
		}
	}
	const pages = 64
	set(before + pages)
	t.Cleanup(func() { set(before) })
	free := number("free_hugepages")
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), VCPUs: 1, MemoryMB: 2 * pages, Running: true, Root: &virt.Root{Image: "guest"},
		Topology: &nodeapi.Topology{Cells: []nodeapi.GuestCell{{CPUs: []int{0}, MemoryMB: 2 * pages, PageKB: 2048, Float: mine(t)}}},
	}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	err := h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if now := number("free_hugepages"); now != free-pages {
		t.Errorf("%d huge pages are free, want %d", now, free-pages)
	}
	err = h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the huge pages to be free again", func() bool { return number("free_hugepages") == free })
	cells, err := hostCells("/sys")
	if err != nil || len(cells) == 0 || len(cells[0].Pages) == 0 || cells[0].Pages[0].SizeKB != 2048 {
		t.Errorf("the host tells of %+v, error %v, want pages of 2048 KiB", cells, err)
	}
}
