package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/qmp"
)

// A suspended guest is a file with its memory and no process. The file is the
// truth from the moment on in which the record says which devices it is about
// (Kept), until the record says so no more: before that, it is half written, and
// after that, the guest has gone on and the file is old.

func memoryFile(m *machine) string { return filepath.Join(m.dir, "memory.state") }

// suspend writes the memory of the guest to the file and ends the process.
func (h *Host) suspend(ctx context.Context, m *machine, g *guest) error {
	h.mu.Lock()
	kept := m.record.Kept != nil
	h.mu.Unlock()
	if g == nil {
		if !kept {
			// It stopped by itself: nothing is there to keep.
			return h.ensureStopped(ctx, m, nil)
		}
		return nil
	}
	if h.isOff(g) {
		return h.ensureStopped(ctx, m, g)
	}
	if !kept {
		err := h.writeMemory(ctx, m, g)
		if err != nil {
			return fmt.Errorf("suspend: %w", err)
		}
	}
	err := h.note(m, func(r *record) { r.Started = false })
	if err != nil {
		return err
	}
	return h.end(ctx, m, g, true)
}

func (h *Host) writeMemory(ctx context.Context, m *machine, g *guest) error {
	err := h.ensurePaused(ctx, m, true)
	if err != nil {
		return err
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	// What a predecessor of ours began is begun anew.
	err = client.Execute(ctx, "migrate_cancel", nil, nil)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(memoryFile(m), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	err = client.Execute(ctx, "migrate-set-parameters", options{"max-bandwidth": int64(1) << 40}, nil)
	if err == nil {
		err = client.ExecuteFD(ctx, "getfd", options{"fdname": "memory"}, int(f.Fd()))
	}
	if err == nil {
		err = client.Execute(ctx, "migrate", options{"uri": "fd:memory"}, nil)
	}
	if err == nil {
		err = awaitMigration(ctx, client, "query-migrate", "completed")
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = atomicfile.Sync(m.dir)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	ports := maps.Clone(g.ports)
	h.mu.Unlock()
	return h.note(m, func(r *record) { r.Kept = ports })
}

// awaitMigration waits until QEMU says that it is where it should be.
func awaitMigration(ctx context.Context, client *qmp.Client, query, want string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var state struct {
			Status string `json:"status"`
			Why    string `json:"error-desc"`
		}
		err := client.Execute(ctx, query, nil, &state)
		switch {
		case err != nil:
			return err
		case state.Status == want:
			return nil
		case state.Status == "failed" || state.Status == "cancelled":
			return fmt.Errorf("memory: %s %s", state.Status, state.Why)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forgetMemory makes up for what the memory in the file is no use to any more: the
// machine is to be off, or to boot anew, or the guest goes on already.
func (h *Host) forgetMemory(ctx context.Context, m *machine, g *guest) (*guest, error) {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	if rec.Kept == nil {
		return g, nil
	}
	if g != nil {
		client, err := h.monitor(ctx, m, g)
		if err != nil {
			return g, err
		}
		var status struct{ Status string }
		err = client.Execute(ctx, "query-status", nil, &status)
		if err != nil {
			return g, err
		}
		if status.Status == "inmigrate" { // we were stopped while it read the file
			err = h.end(ctx, m, g, false)
			if err != nil {
				return g, err
			}
			g = nil
		}
	}
	again := rec.Machine.HardReboots > rec.HardReboots || rec.Machine.SoftReboots > rec.SoftReboots
	if g == nil && rec.Machine.Running && !again {
		return nil, nil // start reads it
	}
	return g, h.dropMemory(m)
}

func (h *Host) dropMemory(m *machine) error {
	err := h.note(m, func(r *record) { r.Kept = nil })
	if err != nil {
		return err
	}
	err = os.Remove(memoryFile(m))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget memory: %w", err)
	}
	return nil
}

// restore lets a process that waits for the memory of its predecessor have it, and
// go on. Where none was kept there is nothing to do.
func (h *Host) restore(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g, kept := m.guest, m.record.Kept
	h.mu.Unlock()
	if kept == nil || g == nil {
		return nil
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	f, err := os.Open(memoryFile(m))
	if err != nil {
		return errors.Join(fmt.Errorf("resume: %w", err), h.end(ctx, m, g, false))
	}
	defer f.Close()
	err = client.ExecuteFD(ctx, "getfd", options{"fdname": "memory"}, int(f.Fd()))
	if err == nil {
		err = client.Execute(ctx, "migrate-incoming", options{"uri": "fd:memory"}, nil)
	}
	if err == nil {
		err = awaitMigration(ctx, client, "query-status", "paused")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("resume: %w", err), h.end(ctx, m, g, false))
	}
	err = h.dropMemory(m)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g.paused, g.ports = true, kept
	h.mu.Unlock()
	return h.ensurePaused(ctx, m, false)
}
