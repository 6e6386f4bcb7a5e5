package virttest

import (
	"testing"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/virt"
)

// buses: a machine has disks on other buses than usual. A guest that runs is given
// none that it would not look at, and does not lose one; the next start brings them.
func buses(t *testing.T, s *suite) {
	m := s.machine()
	m.Root.Bus, m.Hardware.DiskBus, m.Hardware.CDROMBus = "sata", "sata", "sata"
	volume := func(bus string, cdrom bool) virt.Disk {
		d := s.Disk(t, clock.UUID())
		d.Bus, d.CDROM = bus, cdrom
		return d
	}
	fixed, cd, late := volume("sata", false), volume("usb", true), volume("sata", false)
	refused := func(what string, disks ...virt.Disk) {
		t.Helper()
		other := m
		other.Disks = disks
		err := s.Host.Ensure(t.Context(), other)
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
	m.Disks = []virt.Disk{fixed, cd}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	run := s.Run(t, m.ID)
	refused("a disk that comes", fixed, cd, late)
	refused("a disk that goes", cd)
	s.Host = s.Reopen(t)
	refused("a disk that goes from a guest that was found", cd)
	s.ensure(t, m)
	s.expect(t, m, true, false)
	if s.Run(t, m.ID) != run {
		t.Error("the guest was restarted")
	}

	m.Running, m.Disks = false, []virt.Disk{cd, late}
	s.ensure(t, m)
	m.Running = true
	s.ensure(t, m)
	s.expect(t, m, true, false)
}
