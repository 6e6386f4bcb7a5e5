package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// A swap goes on whoever dies in its middle: the driver or the guest, after it was
// noted and before QEMU has gone over. What the guest wrote is on the new volume, and
// what it writes from then on is not on the old one.
func TestSwapSurvives(t *testing.T) {
	l := newLab(t)
	h := l.open()
	first, second, third := l.disk(t, clock.UUID()), l.disk(t, clock.UUID()), l.disk(t, clock.UUID())
	// There are other bytes on one, which none of the guest's may be taken for.
	err := os.WriteFile(filepath.Join(l.dir, second.ID+".raw"), bytes.Repeat([]byte{0xee}, 64<<20), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	large := l.diskOf(t, clock.UUID(), 1<<30)
	large.SizeGB = 1
	m := virt.Machine{ID: clock.UUID(), VCPUs: 1, MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"}}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	ensure := func(disk virt.Disk) {
		t.Helper()
		m.Disks = []virt.Disk{disk}
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func() virt.State {
		t.Helper()
		list, err := h.List(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("got machines %v, %v", list, err)
		}
		return list[0]
	}
	// noted begins a swap and goes as far as the note.
	noted := func(from, to virt.Disk) virt.Disk {
		t.Helper()
		from.Swap = &virt.Swap{To: to}
		ensure(from)
		eventually(t, time.Minute, "the same bytes", func() bool {
			return slices.Contains(state().Swaps, nodeapi.SwapSeen{Volume: to.ID, Same: true})
		})
		l.writeAs(t, h, m.ID, "meanwhile", 2)
		machine := h.machines[m.ID]
		err := h.ensurePaused(t.Context(), machine, true)
		if err == nil {
			err = h.note(machine, func(r *record) { r.swapped(from) })
		}
		if err != nil {
			t.Fatal(err)
		}
		from.Swap = &virt.Swap{To: to, Go: true}
		return from
	}
	ensure(first)
	l.writeAs(t, h, m.ID, "before", 1)

	going := noted(first, second)
	pid := l.pid(t, m.ID)
	h = l.open() // as if the former had died
	ensure(going)
	if got := state(); fmt.Sprint(got.Disks) != "["+second.ID+"]" || got.Paused || len(got.Swaps) > 0 || l.pid(t, m.ID) != pid {
		t.Errorf("the machine is %+v, want it running on with the second volume", got)
	}
	l.writeAs(t, h, m.ID, "after", 3)
	l.wantText(t, second, "before", "meanwhile", "after")
	l.wantText(t, first, "before", "meanwhile", "")
	ensure(second)

	going = noted(second, third)
	pid = l.pid(t, m.ID)
	err = unix.Kill(pid, unix.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the end of the guest", func() bool { return l.pid(t, m.ID) == 0 })
	h = l.open()
	ensure(going)
	if got := state(); fmt.Sprint(got.Disks) != "["+third.ID+"]" {
		t.Errorf("the machine has %v, want the third volume", got.Disks)
	}
	l.wantText(t, third, "before", "meanwhile", "after")
	ensure(third)

	// The mirror breaks before it is to go: the bytes are copied again.
	broken := third
	broken.Swap = &virt.Swap{To: first}
	ensure(broken)
	client, err := h.monitor(t.Context(), h.machines[m.ID], h.machines[m.ID].guest)
	if err == nil {
		err = client.Execute(t.Context(), "block-job-cancel", options{"device": swapPrefix + first.ID, "force": true}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.writeAs(t, h, m.ID, "at last", 3)
	broken.Swap = &virt.Swap{To: first, Go: true}
	m.Disks = []virt.Disk{broken}
	eventually(t, time.Minute, "the guest to have the first volume", func() bool { return h.Ensure(t.Context(), m) == nil })
	l.wantText(t, first, "before", "meanwhile", "at last")
	// QEMU waits for a volume that is taken from it, so it has none of the old one.
	client, err = h.monitor(t.Context(), h.machines[m.ID], h.machines[m.ID].guest)
	var nodes map[string]blockNode
	if err == nil {
		nodes, err = blockNodes(t.Context(), client)
	}
	if _, left := nodes[diskNodeName(third.ID)]; left || err != nil {
		t.Errorf("QEMU still has the volume that was replaced; %v", err)
	}
	ensure(first)

	// A larger one is seen as such at once.
	first.Swap = &virt.Swap{To: large}
	ensure(first)
	eventually(t, time.Minute, "the same bytes", func() bool {
		return slices.Contains(state().Swaps, nodeapi.SwapSeen{Volume: large.ID, Same: true})
	})
	first.Swap = &virt.Swap{To: large, Go: true}
	ensure(first)
	l.wantSize(t, h, m.ID, 1<<30)
	h = l.open()
	ensure(first)
	ensure(large)
	l.wantSize(t, h, m.ID, 1<<30)
	l.writeAs(t, h, m.ID, "far out", 900)
	l.wantText(t, large, "before", "meanwhile", "at last")
	back := large
	back.Swap = &virt.Swap{To: second}
	ensure(back)
	eventually(t, time.Minute, "the refusal of a smaller volume", func() bool { return len(state().Swaps) == 1 && state().Swaps[0].Problem != "" })
	ensure(large)

	// One that does not run is copied at once.
	m.Running = false
	first.Swap, second = nil, l.diskOf(t, clock.UUID(), 1<<30)
	off := large
	off.Swap = &virt.Swap{To: second, Go: true}
	ensure(off)
	l.wantText(t, second, "before", "meanwhile", "at last")
}

// wantSize compares how large a guest's first volume is for it.
func (l *lab) wantSize(t *testing.T, h *Host, id string, want int64) {
	t.Helper()
	m := h.machines[id]
	client, err := h.monitor(t.Context(), m, m.guest)
	var devices map[string]drive
	if err == nil {
		devices, err = deviceNodes(t.Context(), client)
	}
	var nodes map[string]blockNode
	if err == nil {
		nodes, err = blockNodes(t.Context(), client)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := nodes[devices[m.guest.real(diskPrefix+m.record.Machine.Disks[0].ID)].node].Image.Size
	if got != want {
		t.Errorf("the guest has a disk of %d bytes, want %d", got, want)
	}
}

// writeAs writes a text as the guest's first volume does, in MiB.
func (l *lab) writeAs(t *testing.T, h *Host, id, text string, at int) {
	t.Helper()
	file := filepath.Join(l.dir, "text")
	err := os.WriteFile(file, append([]byte(text), make([]byte, 512-len(text))...), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	m := h.machines[id]
	client, err := h.monitor(t.Context(), m, m.guest)
	if err != nil {
		t.Fatal(err)
	}
	device := peripheral + m.guest.real(diskPrefix+m.record.Machine.Disks[0].ID) + "/virtio-backend"
	command := fmt.Sprintf(`qemu-io -d %s "write -s %s %dM 512"`, device, file, at)
	err = client.Execute(t.Context(), "human-monitor-command", options{"command-line": command}, nil)
	if err != nil {
		t.Fatalf("write %q to %s: %v", text, device, err)
	}
}

// wantText looks for texts at the first MiBs of a volume.
func (l *lab) wantText(t *testing.T, d virt.Disk, texts ...string) {
	t.Helper()
	f, err := os.Open(filepath.Join(l.dir, d.ID+".raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sector := make([]byte, 512)
	for i, want := range texts {
		_, err = f.ReadAt(sector, int64(i+1)<<20)
		if err != nil {
			t.Fatal(err)
		}
		got := string(bytes.TrimRight(sector, "\x00"))
		if got != want {
			t.Errorf("volume %s has %q at %d MiB, want %q", d.ID, got, i+1, want)
		}
	}
}
