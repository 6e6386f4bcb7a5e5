package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"nacre/internal/errs"
)

// How long the agent in a guest may take to write out what its file systems have
// not written, and how often it is asked again to let them go on.
const (
	freezePatience = 30 * time.Second
	thawEvery      = time.Second
)

// Freeze implements virt.Host. That the guest may be frozen is recorded before it
// is, so that whoever finds the record has it thawed.
func (h *Host) Freeze(ctx context.Context, id string) (io.Closer, error) {
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
	return h.freeze(ctx, m)
}

// freeze freezes the guest of a machine whose token the caller holds.
func (h *Host) freeze(ctx context.Context, m *machine) (io.Closer, error) {
	h.mu.Lock()
	held, has := m.held, m.record.Machine.Agent
	h.mu.Unlock()
	if !has {
		return nil, noAgent(m.id)
	}
	if held {
		return nil, errs.Conflictf("The file systems of instance %s are frozen already.", m.id)
	}
	err := h.note(m, func(r *record) { r.Frozen = true })
	if err != nil {
		return nil, err
	}
	err = h.askAgent(ctx, m.id, freezePatience, "guest-fsfreeze-freeze", options{})
	if errors.Is(err, errDeaf) { // it was not told to freeze
		return nil, errors.Join(fmt.Errorf("freeze: %w", err), h.note(m, func(r *record) { r.Frozen = false }))
	}
	if err != nil {
		h.thaw(m) // its answer may have come too late
		return nil, fmt.Errorf("freeze: %w", err)
	}
	h.mu.Lock()
	m.held = true
	h.mu.Unlock()
	return &frozen{h: h, m: m}, nil
}

// frozen is a guest whose file systems stand still until it is closed.
type frozen struct {
	once sync.Once
	h    *Host
	m    *machine
}

// Close implements io.Closer.
func (f *frozen) Close() error {
	f.once.Do(func() {
		f.h.mu.Lock()
		f.m.held = false
		f.h.mu.Unlock()
		f.h.thaw(f.m)
	})
	return nil
}

// thaw has the guest's file systems go on, for as long as that takes.
func (h *Host) thaw(m *machine) {
	h.watchers.Go(func() {
		tick := time.NewTicker(thawEvery)
		defer tick.Stop()
		for first := true; ; first = false {
			over, err := h.tryThaw(m)
			if over {
				return
			}
			if first {
				h.options.Log.Warn("the file systems of a guest are frozen, and its agent does not let them go on yet", "server_id", m.id, "error", err)
			}
			select {
			case <-tick.C:
			case <-h.ctx.Done():
				return // the record says it to the next one of us
			}
		}
	})
}

// tryThaw asks once, unless there is nothing to ask for any more. It holds no
// token while the agent thinks: who stops the guest need not wait for it.
func (h *Host) tryThaw(m *machine) (over bool, err error) {
	h.mu.Lock()
	over = m.held || !m.record.Frozen || m.removed || m.guest == nil || m.guest.off
	h.mu.Unlock()
	if over {
		return true, nil
	}
	err = h.askAgent(h.ctx, m.id, agentPatience, "guest-fsfreeze-thaw", options{})
	if err != nil {
		return errs.Is(err, errs.NotFound), err
	}
	select {
	case m.busy <- struct{}{}:
		defer func() { <-m.busy }()
	case <-h.ctx.Done():
		return true, h.ctx.Err()
	}
	h.mu.Lock()
	held := m.held || m.removed
	h.mu.Unlock()
	if held {
		return true, nil
	}
	return true, h.note(m, func(r *record) { r.Frozen = false })
}

// quiesce freezes the guest for a copy of its disk, if it has an agent. A guest that
// must be frozen and is not is not copied.
func (h *Host) quiesce(ctx context.Context, m *machine) (io.Closer, error) {
	h.mu.Lock()
	want, g := m.record.Machine, m.guest
	stands := g == nil || g.off || g.paused
	h.mu.Unlock()
	if stands || !want.Agent && !want.Quiesce {
		return nothing{}, nil
	}
	held, err := h.freeze(ctx, m)
	switch {
	case err == nil:
		return held, nil
	case want.Quiesce || ctx.Err() != nil:
		return nil, err
	}
	h.options.Log.Info("a guest is copied without its agent", "server_id", m.id, "error", err)
	return nothing{}, nil
}

// nothing is what need not be thawed.
type nothing struct{}

// Close implements io.Closer.
func (nothing) Close() error { return nil }
