package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
)

// record is what must not be forgotten about a volume.
type record struct {
	Epoch    int64 `json:"epoch"`    // the highest one seen
	Exported bool  `json:"exported"` // it is to be served under that epoch
}

// Export implements blockdev.Host.
func (h *Host) Export(ctx context.Context, e blockdev.Export) (blockdev.Address, error) {
	if !ids.MatchString(e.Volume) {
		return blockdev.Address{}, errs.NotFoundf("Volume %s could not be found.", e.Volume)
	}
	unlock, err := h.locks.lock(ctx, e.Volume)
	if err != nil {
		return blockdev.Address{}, fmt.Errorf("export volume %s: %w", e.Volume, err)
	}
	defer unlock()
	err = h.export(ctx, e)
	if err != nil {
		return blockdev.Address{}, fmt.Errorf("export volume %s: %w", e.Volume, err)
	}
	return blockdev.Address{Socket: h.socket(e.Volume), Name: exportName(e.Volume, e.Epoch)}, nil
}

func (h *Host) export(ctx context.Context, e blockdev.Export) error {
	_, err := os.Lstat(h.disk(e.Volume))
	if errors.Is(err, fs.ErrNotExist) {
		return errs.NotFoundf("Volume %s could not be found.", e.Volume)
	}
	if err != nil {
		return err
	}
	r, err := h.record(e.Volume)
	if err != nil {
		return err
	}
	if e.Epoch < r.Epoch {
		return errs.Conflictf("Volume %s has been attached anew: epoch %d is over, it is at %d.", e.Volume, e.Epoch, r.Epoch)
	}
	// The epoch is on disk before the former user is cut off. If we stop in
	// between, that user is already refused, and the next Export goes on here.
	want := record{Epoch: e.Epoch, Exported: true}
	if r != want {
		err = writeJSON(h.recordPath(e.Volume), want)
		if err != nil {
			return err
		}
	}
	h.at("recorded")
	d, alive := h.daemon(e.Volume)
	if alive && d.Epoch == e.Epoch && h.hasSocket(e.Volume) {
		return nil
	}
	err = h.stopDaemon(e.Volume)
	if err != nil {
		return err
	}
	h.at("former stopped")
	return h.startDaemon(ctx, e)
}

// Unexport implements blockdev.Host.
func (h *Host) Unexport(ctx context.Context, id string) error {
	if !ids.MatchString(id) {
		return nil
	}
	unlock, err := h.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("unexport volume %s: %w", id, err)
	}
	defer unlock()
	r, err := h.record(id)
	if err != nil {
		return fmt.Errorf("unexport volume %s: %w", id, err)
	}
	if r.Exported {
		r.Exported = false
		err = writeJSON(h.recordPath(id), r)
		if err != nil {
			return fmt.Errorf("unexport volume %s: %w", id, err)
		}
	}
	h.at("recorded")
	err = h.stopDaemon(id)
	if err != nil {
		return fmt.Errorf("unexport volume %s: %w", id, err)
	}
	return nil
}

// record reads what is known of a volume; nothing is known of one that was never
// exported.
func (h *Host) record(id string) (record, error) {
	var r record
	text, err := os.ReadFile(h.recordPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(text, &r)
	if err != nil {
		return r, fmt.Errorf("read %s: %w", h.recordPath(id), err)
	}
	return r, nil
}

// exportName is new with each epoch: a client of a former one that dials again
// asks for a name which is not served.
func exportName(id string, epoch int64) string {
	return fmt.Sprintf("%s.%d", id, epoch)
}

func (h *Host) hasSocket(id string) bool {
	info, err := os.Lstat(h.socket(id))
	return err == nil && info.Mode()&fs.ModeSocket != 0
}
