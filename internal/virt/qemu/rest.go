package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// ensurePaused stops the guest's processors, or lets them go on.
func (h *Host) ensurePaused(ctx context.Context, m *machine, paused bool) error {
	g, err := h.process(ctx, m)
	if err != nil || g == nil {
		return err
	}
	h.mu.Lock()
	is := g.paused
	h.mu.Unlock()
	if is == paused {
		return nil
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	command := "cont"
	if paused {
		command = "stop"
	}
	err = client.Execute(ctx, command, nil, nil)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g.paused = paused // the event may come later than the next look
	h.mu.Unlock()
	return nil
}

// rebuild throws the disks away that are to be made anew, with the guest that runs on
// them. The number is recorded last: when we stop in between, the disk is
// made anew twice rather than never.
func (h *Host) rebuild(ctx context.Context, m *machine, g *guest) (*guest, error) {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	root, blanks := rec.Machine.Root != nil && rec.Machine.Root.Rebuilds > rec.Rebuilds, rec.stale()
	if !root && len(blanks) == 0 {
		return g, nil
	}
	if g != nil {
		err := h.note(m, func(r *record) { r.Started = false })
		if err == nil {
			err = h.end(ctx, m, g, false)
		}
		if err != nil {
			return g, err
		}
	}
	for _, b := range blanks {
		err := h.dropBlank(m, b.Name)
		if err != nil {
			return nil, err
		}
	}
	if !root {
		return nil, nil
	}
	err := os.Remove(filepath.Join(m.dir, "root.qcow2"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("root disk: %w", err)
	}
	return nil, h.note(m, func(r *record) { r.RootBytes, r.Rebuilds = 0, rec.Machine.Root.Rebuilds })
}

// Disk implements virt.Host: it copies the disk with all below it into one
// file, which has no name any more when it is read. The copy is made as the
// guest's user, by the format that we have given the disk.
func (h *Host) Disk(ctx context.Context, id, disk string) (io.ReadCloser, error) {
	ctx, cancel := h.within(ctx)
	defer cancel()
	m, err := h.acquire(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	defer func() { <-m.busy }()
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	_, has := findBlank(rec.Blanks, disk)
	if disk == nodeapi.RootDisk {
		has = rec.RootBytes > 0
	}
	if !has {
		return nil, errs.Conflictf("Instance %s has no %q disk of its own.", id, disk)
	}
	held, err := h.quiesce(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("read %s disk of machine %s: %w", disk, id, err)
	}
	defer held.Close()
	err = h.ensurePaused(ctx, m, true) // what the guest has written is flushed by that
	if err != nil {
		return nil, fmt.Errorf("read %s disk of machine %s: %w", disk, id, err)
	}
	// However this ends, the guest goes on: also when the caller has gone.
	resume, done := h.within(context.WithoutCancel(ctx))
	defer done()
	copied, err := h.copyDisk(ctx, m, disk)
	err = errors.Join(err, h.ensurePaused(resume, m, rec.Machine.Paused))
	if err != nil {
		if copied != nil {
			copied.Close()
		}
		return nil, fmt.Errorf("read %s disk of machine %s: %w", disk, id, err)
	}
	return copied, nil
}

func (h *Host) copyDisk(ctx context.Context, m *machine, name string) (*os.File, error) {
	path := filepath.Join(m.dir, "run", name+".copy")
	defer os.Remove(path)
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	err = h.imageTool(ctx, m, "convert", "-U", "-f", "qcow2", "-O", "qcow2", name+".qcow2", "run/"+name+".copy")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("the copy of the disk is no file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
