package simulated

import (
	"context"
	"reflect"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt"
)

// Trouble says what an operation takes, and how it fails after that. It may be
// asked by several at once.
type Trouble func(op string) (takes time.Duration, err error)

// SetTrouble has operations that change something or copy a disk take as long, and
// fail, as the function says; nil ends it.
func (h *Host) SetTrouble(t Trouble) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = t
}

// suffer has an operation meet its trouble.
func (h *Host) suffer(ctx context.Context, op string) error {
	h.mu.Lock()
	trouble := h.trouble
	h.mu.Unlock()
	if trouble == nil {
		return nil
	}
	takes, err := trouble(op)
	waited := clock.Wait(ctx, h.options.Clock, takes)
	if waited != nil {
		return waited
	}
	return err
}

// opOf is what Ensure does to a machine.
func (h *Host) opOf(want virt.Machine) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.machines[want.ID]
	if want.Running && before.boots(want) && !before.resumes(want) {
		return OpBoot
	}
	return OpEnsure
}

// boots tells whether a machine that is to run starts from its disk. There is none
// yet if it is nil.
func (m *machine) boots(want virt.Machine) bool {
	return m == nil || !m.Running || rebuilt(m.Machine, want) || !reflect.DeepEqual(m.Machine.Rescue, want.Rescue)
}

// resumes tells whether it goes on from the memory that was kept.
func (m *machine) resumes(want virt.Machine) bool {
	return m != nil && m.Machine.Suspended && !rebuilt(m.Machine, want)
}

// LosePower ends all machines at once. Those that kept their memory keep it; what
// has come of one on its way is lost.
func (h *Host) LosePower() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, m := range h.machines {
		if m.Running {
			m.Running = false
			h.hangUp(id)
		}
		if m.Move == nil {
			continue
		}
		now := *m.Move
		switch now.Phase {
		case virt.MoveReady, virt.MoveLoaded:
			now.Phase, now.Problem = virt.MoveLost, "the host has lost its power"
		case virt.MoveMoving:
			now.Phase, now.Problem = virt.MoveStays, "the host has lost its power"
		case virt.MoveGone:
			m.Cold = true
		}
		m.Move = &now
	}
	h.wakeMoves()
	return h.save()
}
