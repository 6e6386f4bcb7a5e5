package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// topologyArgs are the guest's processors and memory as it sees them and as the host
// has them: the memory of each cell comes from its cell of the host, in pages of the
// size that was claimed there. Huge ones are taken when the guest starts, since a
// guest that meets their end later is killed.
func topologyArgs(m virt.Machine, accel accelerator) []string {
	smp := strconv.Itoa(max(m.VCPUs, 1))
	if s := m.Sockets; s != nil {
		smp += fmt.Sprintf(",sockets=%d,cores=%d,threads=%d", s.Sockets, s.Cores, s.Threads)
	}
	args := []string{"-smp", smp}
	if m.Topology == nil {
		return append(args, "-m", fmt.Sprintf("%dK", accel.memory(m.MemoryMB)))
	}
	total := 0
	for i, cell := range m.Topology.Cells {
		kb, huge := accel.memory(cell.MemoryMB), isHuge(cell)
		if huge {
			kb = cell.MemoryMB << 10 // whole pages
		}
		total += kb
		memory := options{
			"qom-type": "memory-backend-ram", "id": fmt.Sprintf("cell%d", i), "size": int64(kb) << 10,
			"host-nodes": []int{cell.Host}, "policy": "bind",
		}
		if huge {
			memory["qom-type"], memory["hugetlb"], memory["hugetlbsize"], memory["prealloc"] = "memory-backend-memfd", true, int64(cell.PageKB)<<10, true
		}
		node := fmt.Sprintf("node,nodeid=%d,memdev=cell%d", i, i)
		for _, cpu := range cell.CPUs {
			node += fmt.Sprintf(",cpus=%d", cpu)
		}
		args = append(args, "-object", memory.String(), "-numa", node)
	}
	args = append(args, "-m", fmt.Sprintf("%dK", total))
	if m.Topology.Locked {
		args = append(args, "-overcommit", "mem-lock=on")
	}
	return args
}

func isHuge(cell nodeapi.GuestCell) bool { return cell.PageKB > os.Getpagesize()/1024 }

// unlimited lets processes that we start keep their memory in memory.
func unlimited() error {
	all := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &all)
	if err != nil {
		return fmt.Errorf("allow memory to be locked: %w", err)
	}
	return nil
}

// pinned pins a guest that has just started.
func (h *Host) pinned(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g := m.guest
	h.mu.Unlock()
	if g == nil {
		return errors.New("the guest went away while it was started")
	}
	return h.pin(ctx, m, g)
}

// pin has the guest's threads run on the processors of the host that are meant for
// them: those of its own processors where they are pinned, all others where they
// float. A thread that comes later begins where the one that makes it is.
func (h *Host) pin(ctx context.Context, m *machine, g *guest) error {
	h.mu.Lock()
	want := m.record.Machine
	h.mu.Unlock()
	err := h.limitCPU(m, g)
	if err != nil || want.Topology == nil && len(want.Float) == 0 {
		return err
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	var cpus []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	err = client.Execute(ctx, "query-cpus-fast", nil, &cpus)
	if err != nil {
		return fmt.Errorf("list processors of the guest: %w", err)
	}
	threads := map[int][]int{} // of the guest's processors, which may share one
	realtime := map[int]bool{}
	for _, cpu := range cpus {
		threads[cpu.Thread] = append(threads[cpu.Thread], processorsFor(want, cpu.Index)...)
		realtime[cpu.Thread] = want.Topology != nil && slices.Contains(want.Topology.Realtime, cpu.Index)
	}
	others := processorsFor(want, emulatorThread)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", g.pid))
	if err != nil {
		return fmt.Errorf("list threads of the guest: %w", err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		on, isCPU := threads[id]
		if !isCPU {
			on = others
		}
		err = runOn(id, on)
		if err == nil && isCPU && realtime[id] {
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("run thread %d on processors %s: %w", id, nodeapi.FormatCPUs(on), err)
		}
	}
	return nil
}

const emulatorThread = -1

// processorsFor are the processors of the host that one of the guest's runs on, or
// its emulator.
func processorsFor(m virt.Machine, cpu int) []int {
	if m.Topology == nil {
		return m.Float
	}
	if cpu == emulatorThread && len(m.Topology.Emulator) > 0 {
		return m.Topology.Emulator
	}
	var all []int
	for _, cell := range m.Topology.Cells {
		if cpu != emulatorThread && !slices.Contains(cell.CPUs, cpu) {
			continue
		}
		core, pinned := cell.Pins[cpu]
		if pinned {
			return []int{core}
		}
		all = append(all, cell.Float...)
		if cpu == emulatorThread {
			for _, core := range cell.Pins {
				all = append(all, core)
			}
		}
	}
	return all
}

func runOn(thread int, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return unix.SchedSetaffinity(thread, &set)
}
