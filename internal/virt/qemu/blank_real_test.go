package qemu

import (
	"context"
	"strings"
	"testing"

	"nacre/internal/clock"
	"nacre/internal/virt"
)

// TestBlankInside looks at ephemeral and swap disks from the guest: where they are,
// that they carry their label or signature, that they can be used, that what is
// written there stays over a restart, and goes with a rebuild.
func TestBlankInside(t *testing.T) {
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), Name: "blanks", VCPUs: 1, MemoryMB: 192, Running: true,
		Root: &virt.Root{Image: "guest", SizeGB: 3},
		Blanks: []virt.Blank{
			{Name: "ephemeral0", SizeMB: 1024, Format: "ext4"}, {Name: "ephemeral1", SizeMB: 512, Format: "xfs"}, {Name: "swap", SizeMB: 64, Format: "swap"},
		},
		Disks: []virt.Disk{l.disk(t, clock.UUID())},
	}
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	t.Cleanup(func() { l.host.Remove(context.Background(), m.ID) })
	s := login(t, h, m.ID)
	for _, look := range []struct{ command, want string }{
		{"cat /sys/block/vdb/size /sys/block/vdc/size /sys/block/vdd/size | tr '\\n' ,", "2097152,1048576,131072,"},
		{"cat /sys/block/vde/serial", m.Disks[0].ID[:20]},
		{"sudo blkid /dev/vdb /dev/vdc /dev/vdd", `LABEL="ephemeral0"`},
		{"sudo blkid /dev/vdb", `TYPE="ext4"`},
		{"sudo blkid /dev/vdc", `LABEL="ephemeral1"`},
		{"sudo blkid /dev/vdd", `TYPE="swap"`},
		{"sudo mount -t ext4 /dev/vdb /mnt && sudo touch /mnt/mark && ls /mnt && sudo umount /mnt", "mark"},
		{"sudo swapon /dev/vdd && cat /proc/swaps", "/dev/vdd"},
	} {
		got := s.run(look.command)
		if !strings.Contains(got, look.want) {
			t.Errorf("%s gives %q, want %q", look.command, got, look.want)
		}
	}

	// It grows while the guest is off, and keeps what is on it; the swap disk is
	// another one.
	m.Running = false
	ensure()
	m.Running, m.Blanks[0].SizeMB, m.Blanks[2].SizeMB = true, 2048, 32
	ensure()
	s = login(t, h, m.ID)
	for _, look := range []struct{ command, want string }{
		{"cat /sys/block/vdb/size /sys/block/vdd/size | tr '\\n' ,", "4194304,65536,"},
		{"sudo mount -t ext4 /dev/vdb /mnt && ls /mnt && sudo umount /mnt", "mark"},
		{"sudo swapon /dev/vdd && cat /proc/swaps", "/dev/vdd"},
	} {
		got := s.run(look.command)
		if !strings.Contains(got, look.want) {
			t.Errorf("after it was off %s gives %q, want %q", look.command, got, look.want)
		}
	}

	m.Blanks[0].Rebuilds = 1
	ensure()
	s = login(t, h, m.ID)
	got := s.run("sudo mount -t ext4 /dev/vdb /mnt && ls /mnt; echo listed")
	if strings.Contains(got, "mark") || !strings.Contains(got, "lost+found") {
		t.Errorf("after a rebuild the disk has %q, want an empty file system", got)
	}
}
