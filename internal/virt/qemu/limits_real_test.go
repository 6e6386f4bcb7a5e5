package qemu

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/virt"
)

// Limits hold from the guest's start and from a plug on, and survive a restart.
func TestLimits(t *testing.T) {
	l := newLab(t)
	h := l.open()
	slow, late, other := l.disk(t, clock.UUID()), l.disk(t, clock.UUID()), l.disk(t, clock.UUID())
	slow.Limits = map[string]int64{"total_iops_sec": 100, "total_bytes_sec": 1 << 20, "total_bytes_sec_max": 2 << 20, "size_iops_sec": 4096}
	late.Limits = map[string]int64{"read_iops_sec": 50, "write_bytes_sec": 3 << 20}
	other.Limits = map[string]int64{"total_iops_sec": 1, "read_iops_sec": 1}
	m := virt.Machine{ID: clock.UUID(), VCPUs: 1, MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"}, Disks: []virt.Disk{slow}}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	ensure := func() error { return h.Ensure(t.Context(), m) }
	err := ensure()
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]int64{"iops": 100, "bps": 1 << 20, "bps_max": 2 << 20, "iops_size": 4096}
	wantLimits(t, h, m.ID, slow, first)

	m.Disks = append(m.Disks, late)
	err = ensure()
	if err != nil {
		t.Fatal(err)
	}
	wantLimits(t, h, m.ID, slow, first)
	wantLimits(t, h, m.ID, late, map[string]int64{"iops_rd": 50, "bps_wr": 3 << 20})

	m.HardReboots++
	err = ensure()
	if err != nil {
		t.Fatal(err)
	}
	wantLimits(t, h, m.ID, late, map[string]int64{"iops_rd": 50, "bps_wr": 3 << 20})

	m.Disks = append(m.Disks, other)
	err = ensure()
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("limits that contradict each other give %v, want a refusal", err)
	}
}

// wantLimits compares the limits that QEMU says a disk has, zero ones left out.
func wantLimits(t *testing.T, h *Host, machine string, d virt.Disk, want map[string]int64) {
	t.Helper()
	m := h.machines[machine]
	client, err := h.monitor(t.Context(), m, m.guest)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Qdev     string
		Inserted map[string]any
	}
	err = client.Execute(t.Context(), "query-block", nil, &all)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, b := range all {
		if b.Qdev != peripheral+diskPrefix+d.ID+"/virtio-backend" {
			continue
		}
		for _, name := range throttles {
			n, _ := b.Inserted[name].(float64)
			if n > 0 {
				got[name] = int64(n)
			}
		}
	}
	// QEMU allows a burst of a tenth of what it was given no burst for.
	for name := range got {
		if _, asked := want[name]; !asked && len(name) > 4 && name[len(name)-4:] == "_max" {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits of disk %s (-want +got):\n%s", d.ID, diff)
	}
}
