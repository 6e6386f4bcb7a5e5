package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/virt"
)

// Ensure implements virt.Host. The definition is recorded first, so that a
// machine that we made half is listed and can be removed or made whole. Each
// step looks at what is, therefore a repeated call goes on where the former
// stopped.
func (h *Host) Ensure(ctx context.Context, want virt.Machine) error {
	if !machineID.MatchString(want.ID) {
		return fmt.Errorf("ensure machine: id %q is unusable", want.ID)
	}
	if want.MemoryMB < 1 {
		return fmt.Errorf("ensure machine %s: no memory", want.ID)
	}
	ctx, cancel := h.within(ctx)
	defer cancel()
	m, err := h.acquire(ctx, want.ID, true)
	if err != nil {
		return err
	}
	defer func() { <-m.busy }()
	h.mu.Lock()
	m.cancel = cancel
	h.mu.Unlock()
	err = h.ensure(ctx, m, want)
	if err != nil {
		return fmt.Errorf("ensure machine %s: %w", want.ID, err)
	}
	return nil
}

// within gives a context that also ends when the host is closed.
func (h *Host) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (h *Host) ensure(ctx context.Context, m *machine, want virt.Machine) error {
	err := checkMachine(want)
	if err == nil {
		err = h.makeFolders(m)
	}
	if err != nil {
		return err
	}
	configDrive := want.ConfigDrive
	want.ConfigDrive = nil
	switch {
	case want.Incoming != nil:
		return h.ensureIncoming(ctx, m, want, configDrive)
	case want.Outgoing != nil:
		return h.ensureOutgoing(ctx, m, want)
	}
	err = h.comeHome(ctx, m)
	if err != nil {
		return err
	}
	err = h.note(m, func(r *record) { r.want(want) })
	if err != nil {
		return err
	}
	g, err := h.process(ctx, m)
	if err != nil {
		return err
	}
	err = h.ensureConfigDrive(m, configDrive)
	if err != nil {
		return err
	}
	g, err = h.rebuild(ctx, m, g)
	if err != nil {
		return err
	}
	g, err = h.rescue(ctx, m, g)
	if err != nil {
		return err
	}
	err = h.ensureRoot(ctx, m, g != nil)
	if err == nil && g == nil {
		err = h.ensureBlanks(ctx, m)
	}
	if err != nil {
		return err
	}
	if want.Suspended {
		err = h.suspend(ctx, m, g)
		if err != nil {
			return err
		}
		return h.copyVolumes(ctx, m)
	}
	g, err = h.forgetMemory(ctx, m, g)
	if err != nil {
		return err
	}
	if !want.Running {
		err = h.ensureStopped(ctx, m, g)
		if err != nil {
			return err
		}
		return h.copyVolumes(ctx, m)
	}
	if g != nil && h.isOff(g) {
		err = h.end(ctx, m, g, true)
		if err != nil {
			return err
		}
		g = nil
	}
	if g == nil {
		err = h.copyVolumes(ctx, m)
		if err == nil {
			err = h.start(ctx, m)
		}
		if err == nil {
			err = h.limitDisks(ctx, m)
		}
		if err == nil {
			err = h.swapVolumes(ctx, m)
		}
		if err != nil || !want.Paused {
			return err
		}
		return h.ensurePaused(ctx, m, true)
	}
	// A stop that was begun and not seen through is forgotten.
	h.mu.Lock()
	g.stopping, g.patience = false, time.Time{}
	done := m.record
	h.mu.Unlock()
	if !done.Started {
		err = h.note(m, func(r *record) { r.Started = true })
		if err != nil {
			return err
		}
	}
	if want.HardReboots > done.HardReboots {
		err = h.hardReboot(ctx, m, g)
	} else if want.SoftReboots > done.SoftReboots {
		err = h.softReboot(ctx, m, g)
	}
	if err == nil && want.CrashDumps > done.CrashDumps {
		err = h.crash(ctx, m, g)
	}
	if err != nil {
		return err
	}
	g, err = h.process(ctx, m)
	if err != nil {
		return err
	}
	if g == nil {
		return errors.New("the guest went away while it was changed")
	}
	err = h.replug(ctx, m, g)
	if err == nil {
		err = h.pin(ctx, m, g)
	}
	if err != nil {
		return err
	}
	return h.ensurePaused(ctx, m, want.Paused)
}

// process returns the machine's process, nil if there is none. It looks for
// one that it did not know of: its predecessor may have died with a QEMU
// between fork and the first sign of life.
func (h *Host) process(ctx context.Context, m *machine) (*guest, error) {
	h.mu.Lock()
	g := m.guest
	h.mu.Unlock()
	if g != nil {
		return g, nil
	}
	err := h.adopt(ctx, m)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	g = m.guest
	h.mu.Unlock()
	if g == nil {
		return nil, nil
	}
	_, err = h.monitor(ctx, m, g)
	return g, err
}

func (h *Host) isOff(g *guest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return g.off
}

// start starts the process. A failed start is no crash.
func (h *Host) start(ctx context.Context, m *machine) error {
	h.mu.Lock()
	kept := m.record.Kept
	h.mu.Unlock()
	err := h.ensureBlanks(ctx, m)
	if err == nil {
		err = h.spawn(ctx, m, kept)
	}
	if err == nil {
		return h.restore(ctx, m)
	}
	h.mu.Lock()
	alive := m.guest != nil
	h.mu.Unlock()
	if !alive {
		err = errors.Join(err, h.note(m, func(r *record) { r.Started = false }))
	}
	return err
}

// ensureStopped ends the guest gently. That nobody wants it to run is recorded
// before, so that its end is not taken for a crash.
func (h *Host) ensureStopped(ctx context.Context, m *machine, g *guest) error {
	err := h.note(m, func(r *record) {
		r.Started = false
		r.acted()
	})
	if err != nil || g == nil {
		return err
	}
	err = h.shutDown(ctx, m, g)
	if err != nil {
		return err
	}
	return h.end(ctx, m, g, true)
}

// pressAgain is how long a guest may ignore the power button: one that is starting
// hears nothing yet.
const pressAgain = 5 * time.Second

// shutDown presses the power button until the guest is off. It is a success when
// the guest's time is over, too: what then happens to it is up to the caller. The
// time counts over all calls until the guest is off.
func (h *Host) shutDown(ctx context.Context, m *machine, g *guest) error {
	h.mu.Lock()
	g.stopping = true
	if g.patience.IsZero() {
		limit := h.options.StopTimeout
		if own := m.record.Machine.ShutdownSeconds; own != nil {
			limit = time.Duration(*own) * time.Second
		}
		g.patience = time.Now().Add(limit)
	}
	left := time.Until(g.patience)
	h.mu.Unlock()
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return ctx.Err() // it hears nothing, so there is nothing to wait for
	}
	wait, cancel := context.WithTimeout(ctx, max(left, 0))
	defer cancel()
	var pressed time.Time
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !h.isOff(g) {
		if time.Since(pressed) >= pressAgain {
			err = client.Execute(wait, "system_powerdown", nil, nil)
			if err != nil {
				return ctx.Err()
			}
			pressed = time.Now()
		}
		select {
		case <-tick.C:
		case <-g.gone:
			return nil
		case <-wait.Done():
			return ctx.Err()
		}
	}
	return nil
}

// softReboot lets the guest shut down and starts it again, with its present
// definition. A guest that does not heed is reset.
func (h *Host) softReboot(ctx context.Context, m *machine, g *guest) error {
	err := h.shutDown(ctx, m, g)
	if err != nil {
		return err
	}
	select {
	case <-g.gone:
	default:
		if !h.isOff(g) {
			h.mu.Lock()
			g.stopping, g.patience = false, time.Time{}
			h.mu.Unlock()
			return h.hardReboot(ctx, m, g)
		}
		err = h.end(ctx, m, g, true)
		if err != nil {
			return err
		}
	}
	return h.start(ctx, m)
}

// hardReboot presses the reset button. It is recorded afterwards: when we die
// in between, the guest is reset twice rather than never.
func (h *Host) hardReboot(ctx context.Context, m *machine, g *guest) error {
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	err = client.Execute(ctx, "system_reset", nil, nil)
	if err != nil {
		return err
	}
	return h.note(m, func(r *record) {
		r.SoftReboots, r.HardReboots, r.Frozen = r.Machine.SoftReboots, r.Machine.HardReboots, false
	})
}

// Remove implements virt.Host. It does not wait for a guest that takes its time
// to shut down: an Ensure that is under way is broken off.
func (h *Host) Remove(ctx context.Context, id string) error {
	ctx, cancel := h.within(ctx)
	defer cancel()
	h.mu.Lock()
	m := h.machines[id]
	if m != nil && m.cancel != nil {
		m.cancel()
	}
	h.mu.Unlock()
	m, err := h.acquire(ctx, id, false)
	if err != nil || m == nil {
		return err
	}
	defer func() { <-m.busy }()
	g, err := h.process(ctx, m)
	if err != nil && g == nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	if g != nil {
		err = h.end(ctx, m, g, false)
		if err != nil {
			return fmt.Errorf("remove machine %s: %w", id, err)
		}
	}
	err = h.groups.forget(id)
	if err != nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	// The folder goes file by file. What is left when we die in between is
	// listed, and removed by the next call.
	h.mu.Lock()
	m.recorded = false
	h.mu.Unlock()
	err = os.RemoveAll(m.dir)
	if err == nil {
		err = atomicfile.Sync(h.options.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	h.mu.Lock()
	m.removed = true
	delete(h.machines, id)
	h.mu.Unlock()
	return nil
}
