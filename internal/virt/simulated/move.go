package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"nacre/internal/errs"
	"nacre/internal/virt"
)

// A machine moves as a real one does: what it is goes over, the host where it was
// lets go of it, and then tells the other one so. Whoever dies in between leaves
// it on one host at most.

// guest is all there is to a machine that runs, in the one channel that there is.
type guest struct {
	Boots  []boot
	Typing string
}

// Busy makes the memory of this host's guests change faster than it is sent: they
// do not get away, unless they are made to.
func (h *Host) Busy(busy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = busy
	h.wakeMoves()
}

// wakeMoves has all machines on their way look again. The mutex is held.
func (h *Host) wakeMoves() {
	close(h.moves)
	h.moves = make(chan struct{})
}

// ensureIncoming makes ready for a machine. The mutex is held.
func (h *Host) ensureIncoming(want virt.Machine) error {
	before := h.machines[want.ID]
	if before != nil && before.Move != nil && before.Move.Name == want.Incoming.Move {
		return nil
	}
	return h.put(&machine{Machine: want, Move: &virt.Move{Name: want.Incoming.Move, Phase: virt.MoveReady}})
}

// put keeps the machine in the place of what was there. The mutex is held.
func (h *Host) put(next *machine) error {
	before := h.machines[next.Machine.ID]
	h.machines[next.Machine.ID] = next
	err := h.save()
	if err != nil && before != nil {
		h.machines[next.Machine.ID] = before
	} else if err != nil {
		delete(h.machines, next.Machine.ID)
	}
	if err == nil {
		h.tellLine(next.Machine.ID, before, next)
	}
	return err
}

// ensureOutgoing begins a move, or changes how it goes on, and returns what it is
// to wait for, if anything. The mutex is held.
func (h *Host) ensureOutgoing(want virt.Machine) (<-chan struct{}, error) {
	before := h.machines[want.ID]
	if before == nil {
		return nil, errs.Conflictf("Instance %s is not here.", want.ID)
	}
	next := *before
	next.Machine.Outgoing = want.Outgoing
	begun := before.Move != nil && before.Move.Name == want.Outgoing.Move
	if !begun {
		memory := int64(before.Machine.MemoryMB) << 20
		next.Move = &virt.Move{Name: want.Outgoing.Move, Phase: virt.MoveMoving, MemoryTotal: memory, MemoryLeft: memory}
		switch {
		case !before.Running:
			next.Move.Phase, next.Move.Problem = virt.MoveStays, "it does not run"
		case want.Outgoing.Back:
			next.Move.Phase = virt.MoveStays
		default:
			next.moved = make(chan struct{})
		}
	}
	err := h.put(&next)
	if err != nil {
		return nil, err
	}
	if !begun && next.Move.Phase == virt.MoveMoving {
		h.screens.Go(func() { h.move(want.ID, want.Outgoing.Move, next.moved) })
	}
	h.wakeMoves()
	if want.Outgoing.Back {
		return next.moved, nil
	}
	return nil, nil
}

// onTheWay is the machine, while it moves by that name. The mutex is held.
func (h *Host) onTheWay(id, move string) *machine {
	m := h.machines[id]
	if m == nil || m.Move == nil || m.Move.Name != move {
		return nil
	}
	return m
}

// setMove says how far a machine is. The mutex is held.
func (h *Host) setMove(id, move, phase, problem string, running bool) error {
	m := h.onTheWay(id, move)
	if m == nil {
		return fmt.Errorf("machine %s is not on its way any more", id)
	}
	next := *m
	now := *m.Move
	now.Phase, now.Problem = phase, problem
	next.Move, next.Running = &now, running
	err := h.put(&next)
	h.hint(id)
	return err
}

// move takes a machine to the other host.
func (h *Host) move(id, name string, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	end := &ending{cancel}
	h.mu.Lock()
	h.ends[end] = struct{}{}
	closed := h.closed
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.ends, end)
	}()
	if closed {
		return
	}
	err := h.enter(ctx, OpMove, h.options.Latency)
	if err == nil {
		err = h.settleDown(ctx, id, name)
	}
	if err == nil {
		err = h.send(ctx, id, name)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.onTheWay(id, name)
	if m != nil && m.Move.Phase == virt.MoveMoving {
		_ = h.setMove(id, name, virt.MoveStays, err.Error(), m.Running) // a state file that cannot be written has no other reader
	}
}

// ending makes Close end a move.
type ending struct{ cancel context.CancelFunc }

// Close implements io.Closer.
func (e *ending) Close() error {
	e.cancel()
	return nil
}

// settleDown waits until most of the memory is there, and the rest changes slowly
// enough.
func (h *Host) settleDown(ctx context.Context, id, name string) error {
	h.mu.Lock()
	trouble := h.trouble
	h.mu.Unlock()
	var sent <-chan time.Time
	if trouble != nil {
		takes, err := trouble(OpMove)
		if err != nil {
			return err
		}
		if takes > 0 {
			sent = h.options.Clock.After(takes)
		}
	}
	for {
		h.mu.Lock()
		m, wake := h.onTheWay(id, name), h.moves
		busy := h.busy || sent != nil
		h.mu.Unlock()
		switch {
		case m == nil || !m.Running:
			return errors.New("the guest has ended")
		case m.Machine.Outgoing != nil && m.Machine.Outgoing.Back:
			return errors.New("it was called back")
		case !busy || m.Machine.Outgoing != nil && m.Machine.Outgoing.Hasty:
			return nil
		}
		select {
		case <-wake:
		case <-sent:
			sent = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send hands the guest over.
func (h *Host) send(ctx context.Context, id, name string) error {
	h.mu.Lock()
	from, m := h.elsewhere, h.onTheWay(id, name)
	var all guest
	if m != nil {
		all = guest{Boots: slices.Clone(m.Boots), Typing: m.typing}
	}
	h.mu.Unlock()
	if from == nil || m == nil {
		return errors.New("no other host can be reached")
	}
	conn, err := from.Send(ctx, id, name, "guest")
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = json.NewEncoder(conn).Encode(all)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1)) // all of it is there
	}
	if err != nil {
		return fmt.Errorf("send machine %s: %w", id, err)
	}
	h.mu.Lock()
	m = h.onTheWay(id, name)
	if m == nil || !m.Running || m.Machine.Outgoing.Back {
		h.mu.Unlock()
		return errors.New("it was called back")
	}
	err = h.setMove(id, name, virt.MoveGone, "", false)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	// Whether the other host hears this is up to the servers to find out.
	_, err = conn.Write([]byte{1})
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return err
}

// Receive implements virt.Host.
func (h *Host) Receive(_ context.Context, id, move, _ string) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.onTheWay(id, move)
	if m == nil || m.Move.Phase != virt.MoveReady || h.closed {
		return nil, errs.Conflictf("Instance %s does not come here by move %s.", id, move)
	}
	ours, theirs := net.Pipe()
	h.ends[ours] = struct{}{}
	h.screens.Go(func() {
		err := h.takeIn(id, move, ours)
		ours.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.ends, ours)
		m := h.onTheWay(id, move)
		if err != nil && m != nil && m.Move.Phase == virt.MoveReady && !h.closed {
			_ = h.setMove(id, move, virt.MoveLost, err.Error(), false) // as above
		}
	})
	return theirs, nil
}

// takeIn takes a guest in, and lets it run when the other host has let go of it.
func (h *Host) takeIn(id, move string, conn io.ReadWriter) error {
	var all guest
	in := json.NewDecoder(conn)
	err := in.Decode(&all)
	if err != nil {
		return fmt.Errorf("receive machine %s: %w", id, err)
	}
	h.mu.Lock()
	m := h.onTheWay(id, move)
	if m != nil {
		m.Boots, m.typing = all.Boots, all.Typing
		err = h.setMove(id, move, virt.MoveLoaded, "", false)
	}
	h.mu.Unlock()
	if err == nil {
		_, err = conn.Write([]byte{1})
	}
	if err == nil {
		rest := io.MultiReader(in.Buffered(), conn)
		var line [2]byte // the end of the JSON line, and the word
		_, err = io.ReadFull(rest, line[:])
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	m = h.onTheWay(id, move)
	if m != nil && m.Move.Phase == virt.MoveLoaded {
		err = h.setMove(id, move, virt.MoveArrived, "", true)
	}
	h.mu.Unlock()
	if err == nil {
		_, err = conn.Write([]byte{1})
	}
	return err
}
