// Package simulated keeps volumes of the imagination.
//
// It is product code: the simulated cloud runs on it, with thousands of hosts in
// one process. A volume is a few words in a map, an address leads nowhere, and
// what a node would promise about fencing is promised here too. What is written
// to an opened volume stays in memory for as long as the process runs. It fails when it
// is told to (SetFault), before or after the effect, so that everything above
// can be tested against storage that breaks.
//
// With a state file a host goes on where it was after a restart, without the
// bytes. The file is replaced in one step but not flushed: what is lost by a
// power cut, the node agent asks for again.
package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/nbd"
)

// Options are a host's settings. All may be zero.
type Options struct {
	TotalGB float64     // room of the store; 0 means 1000
	State   string      // file that keeps the volumes over a restart; empty for none
	Clock   clock.Clock // nil: the real one
}

// Fault decides whether a call fails. It is asked twice: before the effect, and
// with done after it. Call is the method's name, volume its subject. The host is
// locked meanwhile, so a fault must not call it.
type Fault func(call, volume string, done bool) error

// Host is a simulated store of volumes. It implements blockdev.Host.
type Host struct {
	options Options

	mu      sync.Mutex // guards the following
	fault   Fault
	trouble Trouble
	volumes map[string]volume
	bytes   map[string]*nbd.Sparse // of volumes that were opened or copied
	opened  map[string]*opened
}

// volume is all there is of one.
type volume struct {
	SizeGB   int
	Exported bool             `json:",omitempty"`
	Epoch    int64            `json:",omitempty"`
	Shares   []blockdev.Share `json:",omitempty"`
	Revision int64            `json:",omitempty"`
	Stray    bool             `json:",omitempty"` // none any more, or not yet; its name is no id then
}

var _ blockdev.Host = (*Host)(nil)

// New makes a host with the volumes of its state file, if there is one.
func New(options Options) (*Host, error) {
	if options.Clock == nil {
		options.Clock = clock.Real{}
	}
	if options.TotalGB == 0 {
		options.TotalGB = 1000
	}
	h := &Host{options: options, volumes: map[string]volume{}, bytes: map[string]*nbd.Sparse{}, opened: map[string]*opened{}}
	if options.State == "" {
		return h, nil
	}
	text, err := os.ReadFile(options.State)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read simulated volumes: %w", err)
	}
	err = json.Unmarshal(text, &h.volumes)
	if err != nil {
		return nil, fmt.Errorf("read simulated volumes of %s: %w", options.State, err)
	}
	return h, nil
}

// SetFault makes calls fail as the function says; nil ends it.
func (h *Host) SetFault(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
}

// Trouble says what a call takes, Ensure of a volume that is not there in full or
// Remove of one that is, and how it fails after that.
type Trouble func(call string) (takes time.Duration, err error)

// SetTrouble has calls take as long, and fail, as the function says; nil ends it.
func (h *Host) SetTrouble(t Trouble) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = t
}

// suffer has a call meet its trouble, unless the volume is as the call wants it.
func (h *Host) suffer(ctx context.Context, call, id string, done func(have volume, exists bool) bool) error {
	h.mu.Lock()
	trouble := h.trouble
	have, exists := h.volumes[id]
	h.mu.Unlock()
	if trouble == nil || done(have, exists) {
		return nil
	}
	takes, err := trouble(call)
	waited := clock.Wait(ctx, h.options.Clock, takes)
	if waited != nil {
		return waited
	}
	return err
}

// Ensure implements blockdev.Host. Images are taken for present.
func (h *Host) Ensure(ctx context.Context, v blockdev.Volume) error {
	err := h.suffer(ctx, "Ensure", v.ID, func(have volume, exists bool) bool {
		return exists && have.SizeGB >= v.SizeGB && have.Revision >= v.Revision
	})
	if err != nil {
		return err
	}
	return h.change(ctx, "Ensure", v.ID, func() error {
		if v.SizeGB <= 0 {
			return errs.BadRequestf("Volume %s needs a size.", v.ID)
		}
		have, exists := h.volumes[v.ID]
		fresh := !exists || v.Revision > have.Revision
		if exists && fresh && have.Exported {
			return errs.Conflictf("Volume %s is in use and cannot be made anew.", v.ID)
		}
		if fresh {
			err := h.checkSource(v)
			if err != nil {
				return err
			}
			h.copyBytes(v)
			have.Revision = v.Revision
		}
		have.SizeGB = max(have.SizeGB, v.SizeGB)
		h.volumes[v.ID] = have
		if bytes := h.bytes[v.ID]; bytes != nil {
			bytes.Grow(int64(have.SizeGB) << 30)
		}
		if !exists && v.Source.Stray != "" {
			delete(h.volumes, v.Source.Stray)
		}
		return nil
	})
}

// copyBytes gives a fresh volume what its source has.
func (h *Host) copyBytes(v blockdev.Volume) {
	delete(h.bytes, v.ID)
	source := h.bytes[v.Source.Volume+v.Source.Stray]
	if source != nil {
		h.bytes[v.ID] = source.Clone(int64(v.SizeGB) << 30)
	}
}

func (h *Host) checkSource(v blockdev.Volume) error {
	name := v.Source.Volume + v.Source.Stray
	if name == "" {
		return nil
	}
	source, ok := h.volumes[name]
	switch {
	case !ok || source.Stray != (v.Source.Stray != ""):
		return errs.NotFoundf("Volume %s could not be found.", name)
	case source.SizeGB > v.SizeGB:
		return errs.BadRequestf("Volume size %dGB cannot be smaller than the source's size %dGB.", v.SizeGB, source.SizeGB)
	}
	return nil
}

// Remove implements blockdev.Host.
func (h *Host) Remove(ctx context.Context, id string) error {
	err := h.suffer(ctx, "Remove", id, func(_ volume, exists bool) bool { return !exists })
	if err != nil {
		return err
	}
	return h.change(ctx, "Remove", id, func() error {
		delete(h.volumes, id)
		delete(h.bytes, id)
		h.cutOff(id)
		return nil
	})
}

// Export implements blockdev.Host. The addresses are of the right form, and
// nobody listens there.
func (h *Host) Export(ctx context.Context, e blockdev.Export) ([]blockdev.Address, error) {
	err := h.change(ctx, "Export", e.Volume, func() error {
		v, ok := h.volumes[e.Volume]
		if !ok {
			return errs.NotFoundf("Volume %s could not be found.", e.Volume)
		}
		if len(e.Shares) == 0 {
			return errs.BadRequestf("Volume %s is exported to nobody.", e.Volume)
		}
		highest := v.Epoch
		for _, share := range e.Shares {
			if share.Epoch < v.Epoch && !slices.ContainsFunc(v.Shares, func(s blockdev.Share) bool { return s.Epoch == share.Epoch }) {
				return errs.Conflictf("Volume %s has been attached anew: epoch %d is over, it is at %d.", e.Volume, share.Epoch, v.Epoch)
			}
			highest = max(highest, share.Epoch)
		}
		h.cutOff(e.Volume)
		v.Exported, v.Epoch, v.Shares = true, highest, slices.Clone(e.Shares)
		h.volumes[e.Volume] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]blockdev.Address, len(e.Shares))
	for i, share := range e.Shares {
		list[i] = blockdev.Address{Epoch: share.Epoch, Socket: "/simulated/" + e.Volume + ".sock", Name: fmt.Sprintf("%s.%d", e.Volume, share.Epoch)}
	}
	return list, nil
}

// Unexport implements blockdev.Host.
func (h *Host) Unexport(ctx context.Context, id string) error {
	return h.change(ctx, "Unexport", id, func() error {
		v, ok := h.volumes[id]
		if !ok {
			return nil
		}
		v.Exported, v.Shares = false, nil
		h.volumes[id] = v
		return nil
	})
}

// List implements blockdev.Host.
func (h *Host) List(ctx context.Context) ([]blockdev.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.ask(ctx, "List", "", false)
	if err != nil {
		return nil, err
	}
	states := make([]blockdev.State, 0, len(h.volumes))
	for _, id := range slices.Sorted(maps.Keys(h.volumes)) {
		v := h.volumes[id]
		if v.Stray {
			continue
		}
		states = append(states, blockdev.State{ID: id, SizeGB: v.SizeGB, Exported: v.Exported, Epoch: v.Epoch})
	}
	return states, nil
}

// AddStray puts a stray into the store, as an operator does.
func (h *Host) AddStray(name string, sizeGB int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.volumes[name] = volume{SizeGB: sizeGB, Stray: true}
}

// Strays implements blockdev.Host.
func (h *Host) Strays(ctx context.Context) ([]blockdev.Stray, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.ask(ctx, "Strays", "", false)
	if err != nil {
		return nil, err
	}
	var list []blockdev.Stray
	for _, name := range slices.Sorted(maps.Keys(h.volumes)) {
		if h.volumes[name].Stray {
			list = append(list, blockdev.Stray{Name: name, SizeGB: h.volumes[name].SizeGB})
		}
	}
	return list, nil
}

// Release implements blockdev.Host.
func (h *Host) Release(ctx context.Context, id, name string) error {
	return h.change(ctx, "Release", id, func() error {
		v, ok := h.volumes[id]
		if !ok {
			return nil
		}
		_, taken := h.volumes[name]
		if taken {
			return errs.Conflictf("There is a %s already.", name)
		}
		h.bytes[name] = h.bytes[id]
		delete(h.bytes, id)
		delete(h.volumes, id)
		h.volumes[name] = volume{SizeGB: v.SizeGB, Stray: true}
		return nil
	})
}

// Usage implements blockdev.Host. Every volume counts with its whole size.
func (h *Host) Usage(ctx context.Context) (blockdev.Usage, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.ask(ctx, "Usage", "", false)
	if err != nil {
		return blockdev.Usage{}, err
	}
	free := h.options.TotalGB
	for _, v := range h.volumes {
		free -= float64(v.SizeGB)
	}
	return blockdev.Usage{TotalGB: h.options.TotalGB, FreeGB: max(0, free)}, nil
}

// change runs a call that may alter the volume, with the faults around it, and
// keeps the outcome.
func (h *Host) change(ctx context.Context, call, id string, do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.ask(ctx, call, id, false)
	if err != nil {
		return err
	}
	before, existed := h.volumes[id]
	err = do()
	if err != nil {
		return err
	}
	after, exists := h.volumes[id]
	if !reflect.DeepEqual(before, after) || existed != exists {
		err = h.save()
		if err != nil {
			return err
		}
	}
	return h.ask(ctx, call, id, true)
}

// ask asks the fault. A call whose context has ended does not begin.
func (h *Host) ask(ctx context.Context, call, id string, done bool) error {
	if !done && ctx.Err() != nil {
		return ctx.Err()
	}
	if h.fault == nil {
		return nil
	}
	return h.fault(call, id, done)
}

func (h *Host) save() error {
	if h.options.State == "" {
		return nil
	}
	text, err := json.Marshal(h.volumes)
	if err != nil {
		return fmt.Errorf("encode simulated volumes: %w", err)
	}
	err = os.MkdirAll(filepath.Dir(h.options.State), 0o700)
	if err != nil {
		return fmt.Errorf("keep simulated volumes: %w", err)
	}
	err = os.WriteFile(h.options.State+".new", text, 0o600)
	if err != nil {
		return fmt.Errorf("keep simulated volumes: %w", err)
	}
	err = os.Rename(h.options.State+".new", h.options.State)
	if err != nil {
		return fmt.Errorf("keep simulated volumes: %w", err)
	}
	return nil
}
