package simulated

import (
	"context"
	"fmt"
	"io"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// running returns a machine that runs.
func (h *Host) running(id string) (machine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	switch {
	case !known:
		return machine{}, errs.NotFoundf("Instance %s could not be found.", id)
	case !m.Running:
		return machine{}, errs.Conflictf("Instance %s is not running.", id)
	}
	return *m, nil
}

// Uptime implements virt.Host. The host was booted when it was opened, and is as
// busy as its guests (see Diagnose).
func (h *Host) Uptime(ctx context.Context) (nodeapi.Uptime, error) {
	err := h.enter(ctx, OpUptime, 0)
	if err != nil {
		return nodeapi.Uptime{}, err
	}
	now := h.options.Clock.Now()
	up := nodeapi.Uptime{Now: now.Unix(), Seconds: int64(now.Sub(h.booted).Seconds())}
	h.mu.Lock()
	defer h.mu.Unlock()
	load := 0.0
	for _, m := range h.machines {
		if m.Running && !m.Machine.Paused {
			load += float64(max(m.Machine.VCPUs, 1)) / 100
		}
	}
	up.Load = [3]float64{load, load, load}
	return up, nil
}

// Diagnose implements virt.Host. The guest has idled since it was booted.
func (h *Host) Diagnose(ctx context.Context, id string) (nodeapi.Diagnostics, error) {
	err := h.enter(ctx, OpDiagnose, 0)
	if err != nil {
		return nodeapi.Diagnostics{}, err
	}
	m, err := h.running(id)
	if err != nil {
		return nodeapi.Diagnostics{}, err
	}
	since := h.options.Clock.Now().Sub(m.Boots[len(m.Boots)-1].At)
	used := int64(m.Machine.MemoryMB / 4)
	d := nodeapi.Diagnostics{Paused: m.Machine.Paused, Uptime: int64(since.Seconds()), MemoryMB: int64(m.Machine.MemoryMB), UsedMB: &used}
	for i := range max(m.Machine.VCPUs, 1) {
		d.CPUs = append(d.CPUs, nodeapi.CPUUse{ID: i, Time: since.Nanoseconds() / 100})
	}
	disks := len(m.Machine.Disks)
	for _, b := range m.Machine.Blanks {
		if b.Name != nodeapi.Variables {
			disks++
		}
	}
	for _, more := range []bool{m.Machine.Root != nil, m.Machine.Rescue != nil} {
		if more {
			disks++
		}
	}
	for i := range disks {
		d.Disks = append(d.Disks, nodeapi.DiskTraffic{Name: fmt.Sprintf("vd%c", 'a'+i)})
	}
	for _, nic := range m.Machine.NICs {
		d.NICs = append(d.NICs, nodeapi.NICTraffic{MAC: nic.MAC})
	}
	return d, nil
}

// Freeze implements virt.Host. Nothing is ever written, so there is nothing to write
// out.
func (h *Host) Freeze(ctx context.Context, id string) (io.Closer, error) {
	err := h.enter(ctx, OpFreeze, 0)
	if err != nil {
		return nil, err
	}
	m, err := h.running(id)
	if err != nil {
		return nil, err
	}
	if !m.Machine.Agent {
		return nil, errs.Conflictf("QEMU guest agent is not enabled: the image of instance %s lacks the property hw_qemu_guest_agent", id)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &frozen{h: h, id: id}
	h.frozen[f] = id
	h.freezes++
	err = h.save()
	if err != nil {
		delete(h.frozen, f)
		return nil, err
	}
	return f, nil
}

// frozen is a guest whose file systems are.
type frozen struct {
	h  *Host
	id string
}

// Close implements io.Closer.
func (f *frozen) Close() error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	delete(f.h.frozen, f)
	return f.h.save()
}

// Frozen tells how many guests have frozen file systems, and how often that was
// asked for.
func (h *Host) Frozen() (now, ever int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.frozen), h.freezes
}

// SetPassword implements virt.Host. Each guest here has an agent, and nobody can
// log in.
func (h *Host) SetPassword(ctx context.Context, id, _, _ string) error {
	err := h.enter(ctx, OpPassword, 0)
	if err != nil {
		return err
	}
	_, err = h.running(id)
	return err
}
