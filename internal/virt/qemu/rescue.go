package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"nacre/internal/virt"
)

// rescueName names the node and the device of a rescue's disk.
const rescueName = "rescue"

func rescueNode(r virt.Rescue) options {
	return options{
		"driver": "qcow2", "node-name": rescueName, "read-only": r.Device == "cdrom",
		"file": options{"driver": "file", "filename": "rescue.qcow2"},
	}
}

func rescueBus(r virt.Rescue) string {
	if r.Bus == "" && r.Device == "cdrom" {
		return busSCSI
	}
	return cmp.Or(r.Bus, busVirtio)
}

// rescue gives the machine another disk to boot from, or takes it away again, with
// an end of the guest that runs. What the disk is for is recorded last: when we
// stop in between, it is made anew.
func (h *Host) rescue(ctx context.Context, m *machine, g *guest) (*guest, error) {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	want := rec.Machine.Rescue
	path := filepath.Join(m.dir, "rescue.qcow2")
	if reflect.DeepEqual(want, rec.Rescue) {
		return g, nil
	}
	if g != nil {
		err := h.note(m, func(r *record) { r.Started = false })
		if err == nil {
			err = h.shutDown(ctx, m, g)
		}
		if err == nil {
			err = h.end(ctx, m, g, true)
		}
		if err != nil {
			return g, err
		}
	}
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rescue disk: %w", err)
	}
	if want != nil {
		err = h.makeDisk(ctx, m, "rescue", virt.Root{Image: want.Image}, func(int64) error { return nil })
		if err != nil {
			return nil, err
		}
	}
	return nil, h.note(m, func(r *record) { r.Rescue = want })
}

// crash sends the interrupt that kernels take for an order to crash, if they were
// told so. It is recorded afterwards.
func (h *Host) crash(ctx context.Context, m *machine, g *guest) error {
	client, err := h.monitor(ctx, m, g)
	if err == nil {
		err = client.Execute(ctx, "inject-nmi", nil, nil)
	}
	if err != nil {
		return fmt.Errorf("tell the guest to crash: %w", err)
	}
	return h.note(m, func(r *record) { r.CrashDumps = r.Machine.CrashDumps })
}
