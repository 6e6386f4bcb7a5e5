package virttest

import (
	"strings"
	"testing"

	"nacre/internal/clock"
	"nacre/internal/virt"
)

// stopped: a machine that shall not run exists, and records what it is told.
func stopped(t *testing.T, s *suite) {
	m := s.machine()
	m.Running = false
	m.HardReboots, m.SoftReboots = 3, 2
	s.ensure(t, m)
	s.expect(t, m, false, false)
	s.ensure(t, m)
	s.expect(t, m, false, false)

	log := s.log(t, m.ID, -1)
	if log != "" {
		t.Errorf("a machine that never ran has log %q, want none", log)
	}
	_, err := s.Host.VNC(t.Context(), m.ID)
	if err == nil {
		t.Error("a machine that does not run has a screen, want an error")
	}
	_, err = s.Host.SPICE(t.Context(), m.ID)
	if err == nil {
		t.Error("a machine that does not run has a screen in SPICE, want an error")
	}
	_, err = s.Host.Serial(t.Context(), m.ID)
	if err == nil {
		t.Error("a machine that does not run has a serial line, want an error")
	}
	s.Host = s.Reopen(t)
	s.expect(t, m, false, false)
}

// power: on, on again, off, off again, on; then gone, and gone again.
func power(t *testing.T, s *suite) {
	m := s.machine()
	m.Hardware.Video = "qxl"
	s.ensure(t, m)
	s.expect(t, m, true, false)
	first := s.Run(t, m.ID)
	s.greeting(t, m.ID)
	s.spice(t, m.ID)

	s.ensure(t, m)
	s.expect(t, m, true, false)
	if s.Run(t, m.ID) != first {
		t.Error("asking again for a running machine started it again")
	}
	s.waitLog(t, m.ID, s.BootMark, 1)

	// A counter that was raised acts once, also when it is asked for twice.
	m.HardReboots = 1
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.waitLog(t, m.ID, s.BootMark, 2)
	s.ensure(t, m)
	s.Host = s.Reopen(t)
	s.expect(t, m, true, false)
	s.ensure(t, m)
	s.expect(t, m, true, false)

	m.Running = false
	s.ensure(t, m)
	s.expect(t, m, false, false)
	log := s.log(t, m.ID, -1)
	if got := strings.Count(log, s.BootMark); got != 2 {
		t.Errorf("%d boots, want 2: one start and one hard reboot; log: %s", got, log)
	}
	s.ensure(t, m)
	s.expect(t, m, false, false)

	// What is recorded while it is off is not made up for when it starts.
	m.HardReboots, m.SoftReboots = 5, 4
	s.ensure(t, m)
	s.expect(t, m, false, false)
	m.Running = true
	s.ensure(t, m)
	s.expect(t, m, true, false)
	if s.Run(t, m.ID) == first {
		t.Error("the machine was stopped and started and is the same run")
	}

	for range 2 {
		err := s.Host.Remove(t.Context(), m.ID)
		if err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	_, ok := s.state(t, m.ID)
	if ok {
		t.Error("the removed machine is listed")
	}
	s.Host = s.Reopen(t)
	_, ok = s.state(t, m.ID)
	if ok {
		t.Error("the removed machine is back after a restart of the driver")
	}
	got := s.log(t, m.ID, -1)
	if got != "" {
		t.Errorf("the removed machine has log %q, want none", got)
	}
}

// strangers: whoever opens the driver sees all machines, and they kept running.
func strangers(t *testing.T, s *suite) {
	on, off := s.machine(), s.machine()
	off.Running = false
	s.ensure(t, on)
	s.ensure(t, off)
	run := s.Run(t, on.ID)

	s.Host = s.Reopen(t)
	s.expect(t, on, true, false)
	s.expect(t, off, false, false)
	if s.Run(t, on.ID) != run {
		t.Error("the driver's restart restarted the machine")
	}
	// The new driver can do to it what the old one could.
	s.greeting(t, on.ID)
	on.Running = false
	s.ensure(t, on)
	s.expect(t, on, false, false)
}

// unknown: what does not exist is a success to remove and has nothing to show.
func unknown(t *testing.T, s *suite) {
	id := clock.UUID()
	err := s.Host.Remove(t.Context(), id)
	if err != nil {
		t.Errorf("remove an unknown machine: %v", err)
	}
	log := s.log(t, id, 10)
	if log != "" {
		t.Errorf("an unknown machine has log %q", log)
	}
	_, err = s.Host.VNC(t.Context(), id)
	if err == nil {
		t.Error("an unknown machine has a screen")
	}
	_, err = s.Host.Serial(t.Context(), id)
	if err == nil {
		t.Error("an unknown machine has a serial line")
	}
	c, err := s.Host.Capacity(t.Context())
	if err != nil {
		t.Fatalf("capacity: %v", err)
	}
	if c.VCPUs < 1 || c.MemoryMB < 1 || c.Type == "" || c.Version < 1 || !strings.HasPrefix(c.CPUInfo, "{") {
		t.Errorf("capacity is %+v, want cores, memory, type, version and CPU info", c)
	}
}

// concurrent: the same question from several sides at once is one question.
func concurrent(t *testing.T, s *suite) {
	machines := []virt.Machine{s.machine(), s.machine()}
	errs := make([]error, 6)
	each(len(errs), func(i int) { errs[i] = s.Host.Ensure(t.Context(), machines[i%2]) })
	for _, err := range errs {
		if err != nil {
			t.Fatalf("ensure: %v", err)
		}
	}
	for _, m := range machines {
		s.expect(t, m, true, false)
	}
	each(4, func(i int) { errs[i] = s.Host.Remove(t.Context(), machines[i%2].ID) })
	for _, err := range errs[:4] {
		if err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	all, err := s.Host.List(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("list after removal: %v, %v, want nothing", all, err)
	}
}

// crash: an end that nobody asked for is hinted at, shown, and mended.
func crash(t *testing.T, s *suite) {
	m := s.machine()
	s.ensure(t, m)
	s.Crash(t, m.ID)
	s.ends(t, m.ID)
	s.expect(t, m, false, true)
	s.Host = s.Reopen(t)
	s.expect(t, m, false, true)
	s.ensure(t, m)
	s.expect(t, m, true, false)

	s.Crash(t, m.ID)
	s.ends(t, m.ID)
	m.Running = false
	s.ensure(t, m)
	s.expect(t, m, false, false)
}

// life: one guest from its first boot on, with everything that needs an
// operating system inside.
func life(t *testing.T, s *suite) {
	m := s.machine()
	m.Root.SizeGB = 1
	nic := s.NIC(t, clock.UUID())
	early := s.Disk(t, clock.UUID())
	m.Disks = []virt.Disk{early}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	run := s.Run(t, m.ID)
	s.waitLog(t, m.ID, s.Ready, 1)
	got := s.log(t, m.ID, 2)
	if lines := strings.Count(strings.TrimSuffix(got, "\n"), "\n") + 1; lines > 2 || got == "" {
		t.Errorf("the last two lines of the log are %q", got)
	}
	s.serialLine(t, m.ID)

	// Plug while it runs, restart the driver, plug out.
	late := s.Disk(t, clock.UUID())
	m.Disks = []virt.Disk{early, late}
	m.NICs = []virt.NIC{nic}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.Host = s.Reopen(t)
	s.expect(t, m, true, false)
	s.ensure(t, m)
	s.expect(t, m, true, false)
	m.Disks, m.NICs = []virt.Disk{late}, nil
	s.ensure(t, m)
	s.expect(t, m, true, false)
	m.Disks, m.NICs = []virt.Disk{late, early}, []virt.NIC{nic}
	s.ensure(t, m)
	s.expect(t, m, true, false)
	m.Disks, m.NICs = nil, nil
	s.ensure(t, m)
	s.expect(t, m, true, false)

	// One that stands still is given what it finds when it goes on. (To let go of
	// something it has to run.)
	m.Paused = true
	s.ensure(t, m)
	m.Disks, m.NICs = []virt.Disk{late}, []virt.NIC{nic}
	s.ensure(t, m)
	s.paused(t, m.ID, true)
	m.Paused = false
	s.ensure(t, m)
	s.expect(t, m, true, false)
	m.Disks, m.NICs = nil, nil
	s.ensure(t, m)
	s.expect(t, m, true, false)
	if s.Run(t, m.ID) != run {
		t.Error("plugging restarted the machine")
	}

	// The guest turns itself off: that is no crash, and stays off by itself.
	// Whoever is at its serial line then hears no more.
	line := s.serial(t, m.ID)
	s.PowerOff(t, m.ID)
	s.ends(t, m.ID)
	s.expect(t, m, false, false)
	s.hungUp(t, line)
	s.Host = s.Reopen(t)
	s.expect(t, m, false, false)
	boots := strings.Count(s.log(t, m.ID, -1), s.BootMark)
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.waitLog(t, m.ID, s.BootMark, boots+1)

	// A soft reboot happens, also when the guest is too young to heed it.
	m.SoftReboots = 1
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.waitLog(t, m.ID, s.BootMark, boots+2)
}

// serialLine: two people at the line of a guest that waits for a login. Both see
// what one of them types, since the guest echoes it, also after one has left
// and while another one reads nothing; and it stands in the log.
func (s *suite) serialLine(t *testing.T, id string) {
	deaf, first, second := s.serial(t, id), s.serial(t, id), s.serial(t, id)
	defer deaf.Close()
	s.typeAndSee(t, first, "alice", first, second)
	first.Close()
	_, err := first.Write([]byte("x"))
	if err == nil {
		t.Error("whoever has left the serial line can type")
	}
	s.typeAndSee(t, second, "bob", second)
	second.Close()
	deaf.Close()

	// The last one has left: the line is free for others, and for the next
	// driver.
	again := s.serial(t, id)
	s.typeAndSee(t, again, "carol", again)
	again.Close()
	s.waitLog(t, id, "alicebobcarol", 1)
	s.Host = s.Reopen(t)
	again = s.serial(t, id)
	defer again.Close()
	s.typeAndSee(t, again, "dave", again)
	s.waitLog(t, id, "dave", 1)
}
