package virttest

import (
	"fmt"
	"slices"
	"testing"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// swap: a guest gets other volumes in place of the ones that it has, in the same power
// cycle; one that is taken back leaves it what it has; a machine that does not run gets
// its own as well.
func swap(t *testing.T, s *suite) {
	m := s.machine()
	first, second, third := s.Disk(t, clock.UUID()), s.Disk(t, clock.UUID()), s.Disk(t, clock.UUID())
	m.Disks = []virt.Disk{first}
	s.ensure(t, m)
	run := s.Run(t, m.ID)

	begin := func(from, to virt.Disk) {
		t.Helper()
		from.Swap = &virt.Swap{To: to}
		m.Disks = []virt.Disk{from}
		s.ensure(t, m)
		s.swapped(t, m.ID, to.ID)
		s.expect(t, m, m.Running, false)
	}
	end := func(from, to virt.Disk) {
		t.Helper()
		from.Swap = &virt.Swap{To: to, Go: true}
		m.Disks = []virt.Disk{from}
		s.ensure(t, m)
		settled := m
		settled.Disks = []virt.Disk{to}
		s.expect(t, settled, m.Running, false)
		s.ensure(t, m) // asked again, nothing happens
		s.expect(t, settled, m.Running, false)
		s.Host = s.Reopen(t)
		s.ensure(t, m)
		s.expect(t, settled, m.Running, false)
		m.Disks = settled.Disks
		s.ensure(t, m)
		s.expect(t, m, m.Running, false)
	}
	begin(first, second)
	m.Disks = []virt.Disk{first}
	s.ensure(t, m)
	s.expect(t, m, true, false)

	begin(first, second)
	s.Host = s.Reopen(t)
	s.ensure(t, m)
	s.swapped(t, m.ID, second.ID)
	end(first, second)
	begin(second, first)
	end(second, first)
	begin(first, third)
	end(first, third)
	if s.Run(t, m.ID) != run {
		t.Error("the machine was started again for another volume")
	}
	// The volume that it had comes beside the one that has taken its place.
	m.Disks = []virt.Disk{third, first}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.Host = s.Reopen(t)
	s.expect(t, m, true, false)

	m.Running = false
	m.Disks = []virt.Disk{third}
	s.ensure(t, m)
	begin(third, second)
	end(third, second)
	m.Running = true
	s.ensure(t, m)
	s.expect(t, m, true, false)
}

// swapped waits until a volume has the bytes of the one whose place it takes.
func (s *suite) swapped(t *testing.T, id, volume string) {
	t.Helper()
	s.wait(t, "volume with the same bytes", func() (bool, string) {
		state, _ := s.state(t, id)
		return slices.Contains(state.Swaps, nodeapi.SwapSeen{Volume: volume, Same: true}), fmt.Sprint(state.Swaps)
	})
}
