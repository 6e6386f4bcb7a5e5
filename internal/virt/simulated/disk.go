package simulated

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"nacre/internal/errs"
	"nacre/internal/virt"
)

// Disk implements virt.Host. The disk is empty, as nothing was ever written.
func (h *Host) Disk(ctx context.Context, id string) (io.ReadCloser, error) {
	err := h.enter(ctx, OpDisk, h.options.Latency)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known {
		return nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	if m.Machine.Root == nil {
		return nil, errs.Conflictf("Instance %s has no root disk of its own.", id)
	}
	size := int64(m.Machine.Root.SizeGB) << 30
	if size == 0 {
		size = 64 << 20
	}
	return io.NopCloser(bytes.NewReader(emptyDisk(size))), nil
}

// Reach implements virt.Host.
func (h *Host) Reach(e virt.Elsewhere) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.elsewhere = e
}

// fetchRoot reads a disk that comes from another host. Nothing keeps its bytes.
func (h *Host) fetchRoot(ctx context.Context, want virt.Machine) error {
	h.mu.Lock()
	_, known := h.machines[want.ID]
	from := h.elsewhere
	h.mu.Unlock()
	if known || want.Root == nil || !want.Root.Arrives {
		return nil
	}
	if from == nil {
		return errors.New("no other host can be reached")
	}
	disk, err := from.Disk(ctx, want.ID)
	if err != nil {
		return fmt.Errorf("fetch root disk of machine %s: %w", want.ID, err)
	}
	defer disk.Close()
	_, err = io.Copy(io.Discard, disk)
	if err != nil {
		return fmt.Errorf("fetch root disk of machine %s: %w", want.ID, err)
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
