package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
)

// record is what must not be forgotten about a volume.
type record struct {
	Epoch    int64            `json:"epoch"`    // the highest one seen
	Exported bool             `json:"exported"` // it is to be served
	Shares   []blockdev.Share `json:"shares,omitempty"`
	Revision int64            `json:"revision,omitempty"` // that its bytes are of
}

// serves tells whether the epoch is one of those that are served.
func (r record) serves(epoch int64) bool {
	return r.Exported && slices.ContainsFunc(r.Shares, func(s blockdev.Share) bool { return s.Epoch == epoch })
}

// Export implements blockdev.Host.
func (h *Host) Export(ctx context.Context, e blockdev.Export) ([]blockdev.Address, error) {
	if !ids.MatchString(e.Volume) {
		return nil, errs.NotFoundf("Volume %s could not be found.", e.Volume)
	}
	if len(e.Shares) == 0 || len(e.Shares) > maxShares {
		return nil, errs.BadRequestf("Volume %s is exported to %d attachments: it must be 1 to %d.", e.Volume, len(e.Shares), maxShares)
	}
	unlock, err := h.locks.lock(ctx, e.Volume)
	if err != nil {
		return nil, fmt.Errorf("export volume %s: %w", e.Volume, err)
	}
	defer unlock()
	err = h.export(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("export volume %s: %w", e.Volume, err)
	}
	list := make([]blockdev.Address, len(e.Shares))
	for i, share := range e.Shares {
		list[i] = blockdev.Address{Epoch: share.Epoch, Socket: h.socket(e.Volume), Name: exportName(e.Volume, share.Epoch)}
	}
	return list, nil
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
	want := record{Epoch: r.Epoch, Exported: true, Shares: e.Shares, Revision: r.Revision}
	for _, share := range e.Shares {
		if share.Epoch < r.Epoch && !r.serves(share.Epoch) {
			return errs.Conflictf("Volume %s has been attached anew: epoch %d is over, it is at %d.", e.Volume, share.Epoch, r.Epoch)
		}
		want.Epoch = max(want.Epoch, share.Epoch)
	}
	// The epochs are on disk before a former user is cut off. If we stop in
	// between, that user is already refused, and the next Export goes on here.
	if r.Epoch != want.Epoch || !r.Exported || !slices.Equal(r.Shares, want.Shares) {
		err = writeJSON(h.recordPath(e.Volume), want)
		if err != nil {
			return err
		}
	}
	h.at("recorded")
	d, alive := h.daemon(e.Volume)
	if alive && slices.Equal(d.Shares, e.Shares) && h.hasSocket(e.Volume) {
		return nil
	}
	if alive && d.keeps(e.Shares) && h.hasSocket(e.Volume) {
		err = h.reshare(ctx, e.Volume, d, e.Shares)
		if err == nil {
			return nil
		}
		h.options.Log.Warn("volume daemon does not change what it serves: starting another", "volume_id", e.Volume, "error", err)
	}
	err = h.stopDaemon(e.Volume)
	if err != nil {
		return err
	}
	h.at("former stopped")
	return h.startDaemon(ctx, e.Volume, service{shares: e.Shares})
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
		r.Exported, r.Shares = false, nil
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
	if r.Exported && len(r.Shares) == 0 { // written before there were several
		r.Shares = []blockdev.Share{{Epoch: r.Epoch}}
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
