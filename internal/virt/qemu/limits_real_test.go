package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
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
	wantDeviceLimits(t, h, machine, diskPrefix+d.ID, want)
}

func wantDeviceLimits(t *testing.T, h *Host, machine, device string, want map[string]int64) {
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
		if b.Qdev != peripheral+device+"/virtio-backend" {
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
		t.Errorf("limits of disk %s (-want +got):\n%s", device, diff)
	}
}

// What a flavor allows is in force from the start, after a restart, and with the next
// driver; a machine that may take what it gets is in no group of ours.
func TestQuotas(t *testing.T) {
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), VCPUs: 2, MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"},
		Blanks: []virt.Blank{{Name: "ephemeral0", SizeMB: 16, Format: "ext4"}},
		Quotas: &nodeapi.Quotas{Disks: map[string]int64{"read_iops_sec": 100, "write_bytes_sec": 1 << 20}, CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000},
	}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	if h.groups == nil || os.Geteuid() != 0 {
		err := h.Ensure(t.Context(), m)
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("without control groups of ours we got %v, want a refusal", err)
		}
		return
	}
	kept := func(limits map[string]int64, grouped bool) {
		t.Helper()
		for _, device := range []string{"root", "ephemeral0"} {
			wantDeviceLimits(t, h, m.ID, device, limits)
		}
		of, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", l.pid(t, m.ID)))
		if err != nil {
			t.Fatal(err)
		}
		if is := strings.Contains(string(of), ourGroup+"/"+m.ID); is != grouped {
			t.Errorf("that the guest is in a group of its own is %v, want %v", is, grouped)
		}
	}
	dir := filepath.Join(h.groups.root, ourGroup, m.ID)
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(text))
	}
	first := map[string]int64{"iops_rd": 100, "bps_wr": 1 << 20}
	ensure()
	kept(first, true)
	got, want := read("cpu.shares")+" "+read("cpu.cfs_quota_us")+" "+read("cpu.cfs_period_us"), "512 100000 100000"
	if h.groups.unified {
		got, want = read("cpu.weight")+" "+read("cpu.max"), "20 100000 100000"
	}
	if got != want {
		t.Errorf("the group has %s, want %s", got, want)
	}
	h = l.open()
	m.HardReboots++
	ensure()
	kept(first, true)

	m.Running = false
	ensure()
	m.Running, m.Quotas = true, nil
	ensure()
	kept(map[string]int64{}, false)
	err := h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group of the machine that was removed: %v, want none", err)
	}
}

// The newer form of groups is set up from the top.
func TestUnifiedGroups(t *testing.T) {
	c := &cpuGroups{t.TempDir(), true}
	files := map[string]string{
		"cgroup.subtree_control": "+cpu", "nacre/cgroup.subtree_control": "+cpu",
		"nacre/m/cpu.max": "max 20000", "nacre/m/cpu.weight": "39", "nacre/m/cgroup.procs": "42",
	}
	err := os.MkdirAll(filepath.Join(c.root, "nacre", "m"), 0o700)
	for name := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(c.root, name), nil, 0o600) // the kernel makes them
		}
	}
	if err == nil {
		err = c.limit("m", 42, 2, nodeapi.Quotas{CPUShares: 1024, CPUPeriod: 20000})
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(c.root, name))
		if err != nil || string(got) != want {
			t.Errorf("%s says %q, %v; want %q", name, got, err, want)
		}
	}
	var none *cpuGroups
	err = none.limit("m", 42, 2, nodeapi.Quotas{CPUShares: 2})
	if !errs.Is(err, errs.Conflict) || none.forget("m") != nil {
		t.Errorf("a host without groups says %v, want a refusal", err)
	}
}
