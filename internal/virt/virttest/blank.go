package virttest

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"nacre/internal/virt"
)

// blank: ephemeral and swap disks are there when the machine starts, are kept over
// restarts, are made anew when that is asked for, and go with a host.
func blank(t *testing.T, s *suite) {
	m := s.machine()
	m.Running = false
	m.Blanks = []virt.Blank{{Name: "ephemeral0", SizeMB: 64, Format: "ext4"}, {Name: "swap", SizeMB: 16, Format: "swap"}}
	disk := s.Disk(t, m.ID)
	m.Disks = []virt.Disk{disk}
	s.ensure(t, m)
	s.readDisk(t, m.ID, "ephemeral0")
	s.readDisk(t, m.ID, "swap")
	_, err := s.Host.Disk(t.Context(), m.ID, "ephemeral1")
	if err == nil {
		t.Error("a disk that the machine does not have can be read, want an error")
	}
	m.Running = true
	s.ensure(t, m)
	s.expect(t, m, true, false)
	s.counts(t, m, 4)
	first := s.Run(t, m.ID)
	s.Host = s.Reopen(t)
	s.ensure(t, m)
	if s.Run(t, m.ID) != first {
		t.Error("asking again for empty disks restarted the guest")
	}

	m.Blanks = slices.Clone(m.Blanks)
	m.Blanks[0].Rebuilds = 1
	s.ensure(t, m)
	s.expect(t, m, true, false)
	if s.Run(t, m.ID) == first {
		t.Error("the guest runs with a disk that was thrown away")
	}
	s.counts(t, m, 4)

	// What comes and goes does so while the machine is off.
	m.Running = false
	s.ensure(t, m)
	m.Blanks = []virt.Blank{{Name: "ephemeral0", SizeMB: 96, Format: "ext4", Rebuilds: 1}, {Name: "ephemeral1", SizeMB: 32, Format: "ext2"}}
	s.ensure(t, m)
	s.readDisk(t, m.ID, "ephemeral1")
	_, err = s.Host.Disk(t.Context(), m.ID, "swap")
	if err == nil {
		t.Error("a disk that is not wanted any more can be read, want an error")
	}
	m.Running = true
	s.ensure(t, m)
	s.counts(t, m, 4)

	// Another machine has a disk that comes from elsewhere: from this one.
	other := s.machine()
	other.Running = false
	other.Blanks = []virt.Blank{{Name: "ephemeral0", SizeMB: 96, Format: "ext4", Rebuilds: 3, Arrives: true}}
	s.Host.Reach(mirrored{host: s.Host, machine: m.ID})
	s.ensure(t, other)
	s.readDisk(t, other.ID, "ephemeral0")
	missing := s.machine()
	missing.Running = false
	missing.Blanks = []virt.Blank{{Name: "ephemeral7", SizeMB: 96, Format: "ext4", Arrives: true}}
	if s.Host.Ensure(t.Context(), missing) == nil {
		t.Error("a disk arrives that the other host does not have, want an error")
	}
}

// mirrored is another host whose only machine is one of this host.
type mirrored struct {
	virt.Elsewhere
	host    virt.Host
	machine string
}

// Disk implements virt.Elsewhere.
func (m mirrored) Disk(ctx context.Context, machine, disk string) (io.ReadCloser, error) {
	if machine == m.machine {
		return nil, errors.New("a machine does not come from itself")
	}
	return m.host.Disk(ctx, m.machine, disk)
}
