package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// sending is a guest on its way to another host.
type sending struct {
	move  string
	hasty atomic.Bool
	ctx   context.Context
	stop  context.CancelFunc
	done  chan struct{} // closed when it is known where the guest is

	// Both are open until it is known where the guest is: QEMU may have sent all of
	// it, of which the last is still on its way.
	word, memory io.ReadWriteCloser
	passed       chan struct{} // closed when all that QEMU has sent is under way
}

func (s *sending) close() {
	for _, c := range []io.Closer{s.word, s.memory} {
		if c != nil {
			c.Close()
		}
	}
}

// ensureOutgoing begins a move, or changes how it goes on. A move that was begun
// in an earlier life of this program has lost its way with that.
func (h *Host) ensureOutgoing(ctx context.Context, m *machine, want virt.Machine) error {
	out := *want.Outgoing
	g, err := h.process(ctx, m)
	if err != nil && g == nil {
		return err
	}
	h.mu.Lock()
	s, begun, known := m.sending, m.record.Moved == out.Move, m.move != nil && m.move.Name == out.Move
	h.mu.Unlock()
	err = h.note(m, func(r *record) { r.Machine, r.Moved = want, out.Move })
	if err != nil {
		return err
	}
	switch {
	case s != nil && s.move == out.Move:
		s.hasty.Store(out.Hasty)
		if !out.Back {
			return nil
		}
		s.stop()
		select {
		case <-s.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case begun && known:
		return nil
	case begun, out.Back, g == nil:
		_, err = h.settleMove(ctx, m, g, out.Move, errors.New("it was called back, or the host's agent has ended meanwhile"))
		return err
	}
	s = &sending{move: out.Move, done: make(chan struct{})}
	s.hasty.Store(out.Hasty)
	s.ctx, s.stop = context.WithCancel(h.ctx)
	h.mu.Lock()
	m.sending = s
	m.move = &virt.Move{Name: out.Move, Phase: virt.MoveMoving}
	h.mu.Unlock()
	h.watchers.Go(func() {
		defer close(s.done)
		defer s.stop()
		h.runMove(m, g, s)
	})
	return nil
}

// runMove sends a guest, finds out where it is then, and lets it run there once it
// has gone: also when it had gone before that it was called back was heard.
func (h *Host) runMove(m *machine, g *guest, s *sending) {
	defer s.close()
	err := h.send(s.ctx, m, g, s)
	if err != nil && h.ctx.Err() != nil {
		return // in our next life the move has lost its way, unless it has gone
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Minute)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	gone := err == nil
	if err != nil {
		gone, err = h.settleMove(ctx, m, g, s.move, err)
		if err != nil {
			h.options.Log.Warn("a guest on its way to another host does not say where it is", "server_id", m.id, "error", err)
			return
		}
	}
	if gone && s.word != nil {
		h.handOver(ctx, m, g, s)
		select {
		case <-s.passed:
		case <-ctx.Done():
		}
	}
}

// handOver has the guest run on the other host, since it will not run here again.
// Whether that host hears it is up to the servers to find out.
func (h *Host) handOver(ctx context.Context, m *machine, g *guest, s *sending) {
	stop := context.AfterFunc(ctx, func() { s.word.Close() })
	defer stop()
	_, err := s.word.Write([]byte{1})
	if err == nil {
		h.noteDowntime(ctx, m, g, s)
		_, err = io.ReadFull(s.word, make([]byte, 1))
	}
	if err != nil {
		h.options.Log.Warn("the other host does not say that a guest runs there", "server_id", m.id, "error", err)
	}
}

// noteDowntime tells how long the guest stood still. QEMU works that out a moment
// after all is over, and is ended as soon as the servers hear that the guest has
// arrived.
func (h *Host) noteDowntime(ctx context.Context, m *machine, g *guest, s *sending) {
	client, err := h.monitor(ctx, m, g)
	var last migration
	for try := 0; err == nil && last.Downtime == 0 && try < 20; try++ {
		err = client.Execute(ctx, "query-migrate", nil, &last)
		if err == nil && last.Downtime == 0 {
			err = g.pause(ctx, 5*time.Millisecond)
		}
	}
	if err != nil {
		return
	}
	h.options.Log.Info("a guest has gone to another host", "server_id", m.id, "downtime_ms", last.Downtime)
	h.setMove(m, s.move, func(move *virt.Move) { move.Downtime = last.Downtime })
}

// setMove changes what is told of a move.
func (h *Host) setMove(m *machine, name string, change func(*virt.Move)) {
	h.mu.Lock()
	move := virt.Move{Name: name}
	if m.move != nil && m.move.Name == name {
		move = *m.move
	}
	change(&move)
	m.move = &move
	h.mu.Unlock()
	h.hint(m.id)
}

// settleMove ends a move that did not end well, and tells where the guest is. A
// guest whose memory was sent whole has gone: it does not run here again by itself.
func (h *Host) settleMove(ctx context.Context, m *machine, g *guest, name string, why error) (gone bool, err error) {
	if g != nil {
		gone, err = h.stopMove(ctx, m, g)
	}
	if err != nil {
		select {
		case <-g.gone: // nothing runs here that could go on
		default:
			return false, err
		}
	}
	h.setMove(m, name, func(move *virt.Move) {
		move.Phase, move.Problem = virt.MoveStays, why.Error()
		if gone {
			move.Phase, move.Problem, move.MemoryLeft, move.DiskLeft = virt.MoveGone, "", 0, 0
		}
	})
	return gone, nil
}

// migration is what QEMU tells of one.
type migration struct {
	Status   string
	Problem  string `json:"error-desc"`
	Downtime int64
	RAM      struct{ Total, Remaining int64 }
}

// stopMove cancels a migration and what belongs to it, and tells whether it was too
// late for that.
func (h *Host) stopMove(ctx context.Context, m *machine, g *guest) (gone bool, err error) {
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return false, err
	}
	for over := false; !over; {
		var now migration
		var guest struct{ Status string }
		err = client.Execute(ctx, "query-migrate", nil, &now)
		if err == nil {
			err = client.Execute(ctx, "query-status", nil, &guest)
		}
		if err != nil {
			return false, err
		}
		switch {
		case now.Status == "completed" && guest.Status == "postmigrate":
			return true, nil
		case now.Status == "completed" && guest.Status == "finish-migrate":
			err = g.pause(ctx, 20*time.Millisecond) // it has gone, and is about to say so
			if err != nil {
				return false, err
			}
		case slices.Contains([]string{"", "none", "cancelled", "failed", "completed"}, now.Status):
			// A migration that is completed while the guest is not is the one by which
			// it came.
			over = true
		default:
			err = client.Execute(ctx, "migrate_cancel", nil, nil)
			if err == nil {
				err = g.pause(ctx, 20*time.Millisecond)
			}
			if err != nil {
				return false, err
			}
		}
	}
	for {
		jobs, err := blockJobs(ctx, client)
		if err != nil {
			return false, err
		}
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			client.Execute(ctx, "block-job-cancel", options{"device": j.Device, "force": true}, nil) // it may have just ended
		}
		err = g.pause(ctx, 20*time.Millisecond)
		if err != nil {
			return false, err
		}
	}
	h.mu.Lock()
	disks := m.record.localDisks()
	h.mu.Unlock()
	for _, name := range disks {
		client.Execute(ctx, "blockdev-del", options{"node-name": movePrefix + name}, nil) // it may not be there
	}
	return false, nil
}

// pause waits for news of the guest, or a moment.
func (g *guest) pause(ctx context.Context, moment time.Duration) error {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-g.news:
	case <-timer.C:
	case <-g.gone:
		return errors.New("QEMU has exited")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

type blockJob struct {
	Device      string
	Len, Offset int64
	Ready       bool
}

// blockJobs are the move's: a guest has no others.
func blockJobs(ctx context.Context, client *qmp.Client) ([]blockJob, error) {
	var jobs []blockJob
	err := client.Execute(ctx, "query-block-jobs", nil, &jobs)
	return jobs, err
}

// bridge gives QEMU one end of a connection to the other host.
func (h *Host) bridge(ctx context.Context, client *qmp.Client, name string, far io.ReadWriteCloser) (done chan struct{}, err error) {
	near, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	err = client.ExecuteFD(ctx, "getfd", options{"fdname": name}, int(theirs.Fd()))
	if err != nil {
		near.Close()
		return nil, err
	}
	done = make(chan struct{})
	h.watchers.Go(func() {
		defer close(done)
		nodeapi.Splice(near, far)
	})
	return done, nil
}

// Limits of a move: how long a guest may stand still for it, in ms.
const (
	downtimeLimit = 60
	anyDowntime   = 2000000
)

// send takes a guest to the other host. What fails leaves it here, unless it had
// gone by then.
func (h *Host) send(ctx context.Context, m *machine, g *guest, s *sending) error {
	if h.elsewhere == nil {
		return errors.New("no other host can be reached")
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	h.mu.Lock()
	disks := m.record.localDisks()
	h.mu.Unlock()
	word, err := h.elsewhere.Send(ctx, m.id, s.move, channelWord)
	if err != nil {
		return err
	}
	s.word = word
	for _, name := range disks {
		far, err := h.mirror(ctx, m, client, s, name)
		if far != nil {
			defer far.Close()
		}
		if err != nil {
			return fmt.Errorf("send %s disk: %w", name, err)
		}
	}
	if len(disks) > 0 {
		err = h.mirrored(ctx, m, g, client, s, len(disks))
		if err != nil {
			return fmt.Errorf("send disks: %w", err)
		}
	}
	memory, err := h.elsewhere.Send(ctx, m.id, s.move, channelMemory)
	if err != nil {
		return err
	}
	s.memory = memory
	s.passed, err = h.bridge(ctx, client, "move-memory", s.memory)
	if err != nil {
		return err
	}
	err = client.Execute(ctx, "migrate-set-capabilities", options{"capabilities": []options{
		{"capability": "events", "state": true}, {"capability": "auto-converge", "state": true},
		{"capability": "pause-before-switchover", "state": len(disks) > 0},
	}}, nil)
	if err == nil {
		err = client.Execute(ctx, "migrate-set-parameters", options{"downtime-limit": downtimeLimit, "max-bandwidth": 8 << 30}, nil)
	}
	if err == nil {
		err = client.Execute(ctx, "migrate", options{"uri": "fd:move-memory"}, nil)
	}
	if err == nil {
		err = h.follow(ctx, m, g, client, s)
	}
	return err
}

// mirror begins to copy a disk to the other host, and returns the way there. From
// then on what the guest writes is written there as well before it hears that it
// is, so that a busy guest does not write faster than it is copied.
func (h *Host) mirror(ctx context.Context, m *machine, client *qmp.Client, s *sending, name string) (io.Closer, error) {
	far, err := h.elsewhere.Send(ctx, m.id, s.move, channelDisk)
	if err != nil {
		return nil, err
	}
	node := movePrefix + name
	_, err = h.bridge(ctx, client, node, far)
	if err == nil {
		err = client.Execute(ctx, "blockdev-add", options{
			"driver": "nbd", "node-name": node, "export": name, "server": options{"type": "fd", "str": node}, "discard": "unmap",
		}, nil)
	}
	if err == nil {
		err = client.Execute(ctx, "blockdev-mirror", options{
			"job-id": node, "device": name, "target": node, "sync": "full", "copy-mode": "write-blocking",
		}, nil)
	}
	return far, err
}

// mirrored waits until so many disks are the same on both hosts.
func (h *Host) mirrored(ctx context.Context, m *machine, g *guest, client *qmp.Client, s *sending, disks int) error {
	var told time.Time
	for {
		jobs, err := blockJobs(ctx, client)
		if err != nil {
			return err
		}
		if len(jobs) < disks {
			return errors.New("the copying has ended: the other host may be full")
		}
		var total, left int64
		ready := 0
		for _, j := range jobs {
			total, left = total+j.Len, left+j.Len-j.Offset
			if j.Ready {
				ready++
			}
		}
		if ready == disks {
			return nil
		}
		if time.Since(told) > time.Second {
			told = time.Now()
			h.setMove(m, s.move, func(move *virt.Move) { move.DiskTotal, move.DiskLeft = total, left })
		}
		err = g.pause(ctx, 100*time.Millisecond)
		if err != nil {
			return err
		}
	}
}

// follow waits until all of the guest was sent.
func (h *Host) follow(ctx context.Context, m *machine, g *guest, client *qmp.Client, s *sending) error {
	hasty, switched, told := false, false, time.Now()
	for {
		var now migration
		err := client.Execute(ctx, "query-migrate", nil, &now)
		if err != nil {
			return err
		}
		switch now.Status {
		case "completed":
			h.setMove(m, s.move, func(move *virt.Move) {
				move.Phase, move.MemoryTotal, move.MemoryLeft, move.DiskLeft, move.Downtime = virt.MoveGone, now.RAM.Total, 0, 0, now.Downtime
			})
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("QEMU has given up: %s", now.Problem)
		case "pre-switchover":
			// The guest stands still: its disks are the same on both hosts now. QEMU leaves
			// this state some time after it has heard that it may go on.
			if switched {
				break
			}
			switched = true
			err = h.endMirrors(ctx, g, client)
			if err == nil {
				err = client.Execute(ctx, "migrate-continue", options{"state": "pre-switchover"}, nil)
			}
			if err != nil {
				return err
			}
		}
		if s.hasty.Load() && !hasty {
			err = client.Execute(ctx, "migrate-set-parameters", options{"downtime-limit": anyDowntime}, nil)
			if err != nil {
				return err
			}
			hasty = true
		}
		if time.Since(told) > time.Second {
			told = time.Now()
			h.setMove(m, s.move, func(move *virt.Move) { move.MemoryTotal, move.MemoryLeft = now.RAM.Total, now.RAM.Remaining })
		}
		err = g.pause(ctx, 50*time.Millisecond)
		if err != nil {
			return err
		}
	}
}

// endMirrors ends the copying of disks where both are the same.
func (h *Host) endMirrors(ctx context.Context, g *guest, client *qmp.Client) error {
	ending, err := blockJobs(ctx, client)
	for _, j := range ending {
		if err == nil {
			err = client.Execute(ctx, "block-job-cancel", options{"device": j.Device}, nil)
		}
	}
	for left := ending; err == nil && len(left) > 0; {
		err = g.pause(ctx, 2*time.Millisecond)
		if err == nil {
			left, err = blockJobs(ctx, client)
		}
	}
	for _, j := range ending {
		if err == nil {
			err = client.Execute(ctx, "blockdev-del", options{"node-name": j.Device}, nil)
		}
	}
	return err
}

// leaving is how far a guest is that goes to another host. The mutex is held.
func (m *machine) leaving() *virt.Move {
	out := m.record.Machine.Outgoing
	if out == nil || m.move == nil || m.move.Name != out.Move {
		return nil
	}
	move := *m.move
	if move.Phase == virt.MoveMoving && m.guest == nil {
		move.Phase, move.Problem = virt.MoveStays, "the guest has ended"
	}
	return &move
}
