package virttest

import (
	"strings"
	"testing"

	"nacre/internal/virt"
)

// rescue: a machine boots from another disk for a while, is told to crash once, and
// is asked what it counts.
func rescue(t *testing.T, s *suite) {
	m := s.machine()
	_, err := s.Host.Diagnose(t.Context(), m.ID)
	if err == nil {
		t.Error("an unknown machine is diagnosed, want an error")
	}
	disk := s.Disk(t, m.ID)
	m.Disks = []virt.Disk{disk}
	s.ensure(t, m)
	own := s.Run(t, m.ID)
	s.counts(t, m, 2)

	m.Rescue = &virt.Rescue{Image: s.Image}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	rescued := s.Run(t, m.ID)
	if rescued == own {
		t.Error("a rescue has not restarted the guest")
	}
	s.counts(t, m, 3)
	s.Host = s.Reopen(t)
	s.ensure(t, m)
	if s.Run(t, m.ID) != rescued {
		t.Error("asking again for a rescue restarted the guest")
	}
	for _, r := range []virt.Rescue{{Image: s.Image, Device: "disk", Bus: "usb"}, {Image: s.Image, Device: "cdrom"}, {Image: s.Image, Device: "cdrom", Bus: "ide"}, {Image: s.Image, Device: "disk", Bus: "scsi"}} {
		m.Rescue = &r
		s.ensure(t, m)
		s.expect(t, m, true, false)
		if s.Run(t, m.ID) == rescued {
			t.Errorf("the rescue %+v has not restarted the guest", r)
		}
	}
	m.Rescue = nil
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.counts(t, m, 2)

	again := s.Run(t, m.ID)
	m.CrashDumps = 1
	s.ensure(t, m)
	s.ensure(t, m)
	state, _ := s.state(t, m.ID)
	if state.CrashDumps != 1 || s.Run(t, m.ID) != again {
		t.Errorf("after an order to crash the machine is %+v, want that one counted, and the same power cycle", state)
	}
	m.Running, m.CrashDumps = false, 2
	s.ensure(t, m)
	if state, _ = s.state(t, m.ID); state.CrashDumps != 2 {
		t.Errorf("a machine that is off has recorded %d orders to crash, want 2", state.CrashDumps)
	}
	_, err = s.Host.Diagnose(t.Context(), m.ID)
	if err == nil {
		t.Error("a machine that is off is diagnosed, want an error")
	}
	err = s.Host.SetPassword(t.Context(), m.ID, "root", "secret")
	if err == nil {
		t.Error("a machine that is off takes a password, want an error")
	}
}

// counts looks at what the machine counts.
func (s *suite) counts(t *testing.T, m virt.Machine, disks int) {
	t.Helper()
	d, err := s.Host.Diagnose(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.CPUs) != m.VCPUs || len(d.Disks) != disks || len(d.NICs) != len(m.NICs) || d.MemoryMB != int64(m.MemoryMB) {
		t.Errorf("got %+v, want %d processors, %d disks, %d cards and %d MB", d, m.VCPUs, disks, len(m.NICs), m.MemoryMB)
	}
}

// suspend: a guest leaves its memory behind, and goes on where it was, in another
// power cycle of the hypervisor or not, but without a boot.
func suspend(t *testing.T, s *suite) {
	m := s.machine()
	s.ensure(t, m)
	s.waitLog(t, m.ID, s.BootMark, 1)
	m.Running, m.Suspended = false, true
	s.ensure(t, m)
	s.expect(t, m, false, false)
	s.Host = s.Reopen(t)
	s.expect(t, m, false, false)
	s.ensure(t, m)
	s.expect(t, m, false, false)
	m.Running, m.Suspended = true, false
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.waitLog(t, m.ID, s.Ready, 1)
	s.once(t, m.ID)

	// A card that came while it ran is where it was.
	m.NICs = []virt.NIC{s.NIC(t, m.ID)}
	s.ensure(t, m)
	m.Running, m.Suspended = false, true
	s.ensure(t, m)
	m.Running, m.Suspended, m.Paused = true, false, true
	s.ensure(t, m)
	s.paused(t, m.ID, true)
	m.Paused = false
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.once(t, m.ID)

	// Who wants it off, or booted, has no use for its memory.
	m.Running, m.Suspended = false, true
	s.ensure(t, m)
	m.Suspended = false
	s.ensure(t, m)
	s.expect(t, m, false, false)
	m.Running = true
	s.ensure(t, m)
	s.waitLog(t, m.ID, s.BootMark, 2)
}

// once checks that the guest has booted once.
func (s *suite) once(t *testing.T, id string) {
	t.Helper()
	log := s.log(t, id, -1)
	if n := strings.Count(log, s.BootMark); n != 1 {
		t.Errorf("the guest has booted %d times, want once: %s", n, log)
	}
}
