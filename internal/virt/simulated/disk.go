package simulated

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"

	"nacre/internal/errs"
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
