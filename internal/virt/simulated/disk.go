package simulated

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// Disk implements virt.Host. The disk is empty, as nothing was ever written.
func (h *Host) Disk(ctx context.Context, id, disk string) (io.ReadCloser, error) {
	err := h.enter(ctx, OpDisk, h.options.Latency)
	if err == nil {
		err = h.suffer(ctx, OpDisk)
	}
	if err != nil {
		return nil, err
	}
	err = h.quiesce(ctx, id)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known {
		return nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	size, has := sizeOf(m.Machine, disk)
	if !has {
		return nil, errs.Conflictf("Instance %s has no %s disk of its own.", id, disk)
	}
	return io.NopCloser(bytes.NewReader(emptyDisk(size))), nil
}

// quiesce freezes the guest for the moment of a copy, if it has an agent or must be.
func (h *Host) quiesce(ctx context.Context, id string) error {
	m, err := h.running(id)
	if err != nil || m.Machine.Paused || !m.Machine.Agent && !m.Machine.Quiesce {
		return nil // nobody writes, or there is nobody to ask
	}
	held, err := h.Freeze(ctx, id)
	if err == nil {
		return held.Close()
	}
	if m.Machine.Quiesce {
		return fmt.Errorf("read disk of machine %s: %w", id, err)
	}
	return nil
}

// sizeOf is how many bytes a disk has that lives with the machine.
func sizeOf(m virt.Machine, disk string) (bytes int64, has bool) {
	if disk == nodeapi.RootDisk && m.Root != nil {
		return max(int64(m.Root.SizeGB)<<30, 64<<20), true
	}
	for _, b := range m.Blanks {
		if b.Name == disk {
			return int64(b.SizeMB) << 20, true
		}
	}
	return 0, false
}

// Reach implements virt.Host.
func (h *Host) Reach(e virt.Elsewhere) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.elsewhere = e
}

// fetchDisks reads the disks that come from another host. Nothing keeps their bytes.
func (h *Host) fetchDisks(ctx context.Context, want virt.Machine) error {
	h.mu.Lock()
	_, known := h.machines[want.ID]
	from := h.elsewhere
	h.mu.Unlock()
	if known {
		return nil
	}
	var coming []string
	if want.Root != nil && want.Root.Arrives {
		coming = append(coming, nodeapi.RootDisk)
	}
	for _, b := range want.Blanks {
		if b.Arrives {
			coming = append(coming, b.Name)
		}
	}
	if len(coming) > 0 && from == nil {
		return errors.New("no other host can be reached")
	}
	for _, name := range coming {
		disk, err := from.Disk(ctx, want.ID, name)
		if err != nil {
			return fmt.Errorf("fetch disk %s of machine %s: %w", name, want.ID, err)
		}
		_, err = io.Copy(io.Discard, disk)
		disk.Close()
		if err != nil {
			return fmt.Errorf("fetch disk %s of machine %s: %w", name, want.ID, err)
		}
	}
	return nil
}

// emptyDisk is a qcow2 file of four clusters: header, reference table,
// reference block, and a first table that leads nowhere.
func emptyDisk(size int64) []byte {
	const cluster = 64 << 10
	const perEntry = cluster / 8 * cluster // what one entry of the first table covers
	file := make([]byte, 4*cluster)
	put := binary.BigEndian
	copy(file, "QFI\xfb")
	put.PutUint32(file[4:], 2)   // version
	put.PutUint32(file[20:], 16) // bits of a cluster
	put.PutUint64(file[24:], uint64(size))
	put.PutUint32(file[36:], uint32((size+perEntry-1)/perEntry))
	put.PutUint64(file[40:], 3*cluster) // first table
	put.PutUint64(file[48:], cluster)   // reference table
	put.PutUint32(file[56:], 1)         // clusters of it
	put.PutUint64(file[cluster:], 2*cluster)
	for i := range 4 {
		put.PutUint16(file[2*cluster+2*i:], 1)
	}
	return file
}
