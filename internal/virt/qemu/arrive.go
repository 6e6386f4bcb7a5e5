package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// A guest comes from another host in channels: one for each disk of its own, as NBD;
// its memory; and the word that it does not run there any more. QEMU waits for the
// memory with its processors stopped, and nobody but that word, or an Ensure
// without Incoming, starts them.

// The channels between two hosts.
const (
	channelDisk   = "disk"
	channelMemory = "memory"
	channelWord   = "word"
)

// movePrefix is before a disk's name in that of its copying, and of the node in QEMU
// that it is copied to.
const movePrefix = "move-"

// ensureIncoming makes ready for a guest, once for each move.
func (h *Host) ensureIncoming(ctx context.Context, m *machine, want virt.Machine, configDrive []byte) error {
	g, err := h.process(ctx, m)
	h.mu.Lock()
	ready := m.record.Arriving == want.Incoming.Move
	h.mu.Unlock()
	if ready {
		return nil // how it goes on is in its state
	}
	if err != nil && g == nil {
		return err
	}
	l, err := h.readLayout(want)
	if err != nil {
		return err
	}
	// What is here is left of an attempt that nobody knows of any more.
	if g != nil {
		err = h.end(ctx, m, g, false)
	}
	if err != nil {
		return err
	}
	disks := map[string]int64{}
	if want.Root != nil {
		disks[nodeapi.RootDisk] = l.RootBytes
	}
	for _, b := range l.Blanks {
		disks[b.Name] = int64(b.SizeMB) << 20
	}
	variables, uefi := findBlank(l.Blanks, nodeapi.Variables)
	delete(disks, nodeapi.Variables)
	err = h.note(m, func(r *record) {
		*r = record{Machine: want, RootBytes: l.RootBytes, Blanks: l.Blanks}
		if want.Root != nil {
			r.Rebuilds = want.Root.Rebuilds
		}
	})
	if err == nil {
		err = h.ensureConfigDrive(m, configDrive)
	}
	for name, bytes := range disks {
		if err == nil {
			err = h.emptyDisk(ctx, m, name, bytes)
		}
	}
	if err == nil && uefi {
		err = h.makeVariables(ctx, m, variables)
	}
	if err == nil {
		err = h.spawn(ctx, m, l.kept())
	}
	if err == nil {
		err = h.openIncoming(ctx, m)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	m.arrived = false
	h.mu.Unlock()
	return h.note(m, func(r *record) { r.Arriving = want.Incoming.Move })
}

// emptyDisk makes a disk for the bytes of the other host's.
func (h *Host) emptyDisk(ctx context.Context, m *machine, name string, bytes int64) error {
	fresh := "run/" + name + ".new"
	err := m.clear(fresh)
	if err == nil {
		err = h.imageTool(ctx, m, "create", "-q", "-f", "qcow2", fresh, fmt.Sprint(bytes))
	}
	if err == nil {
		err = m.settle(name)
	}
	if err != nil {
		return fmt.Errorf("make %s disk: %w", name, err)
	}
	return nil
}

// openIncoming has QEMU wait for a guest, and for its disks.
func (h *Host) openIncoming(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g, disks := m.guest, m.record.localDisks()
	h.mu.Unlock()
	if g == nil {
		return errors.New("QEMU has exited")
	}
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	// It does not run by itself when it has arrived, and until it does volumes are the
	// other host's.
	err = client.Execute(ctx, "stop", nil, nil)
	if err != nil {
		return err
	}
	err = client.Execute(ctx, "migrate-set-capabilities", options{"capabilities": []options{
		{"capability": "events", "state": true}, {"capability": "late-block-activate", "state": true},
	}}, nil)
	if err != nil || len(disks) == 0 {
		return err
	}
	err = client.Execute(ctx, "nbd-server-start", options{"addr": options{"type": "unix", "data": options{"path": "run/nbd.sock"}}}, nil)
	for _, name := range disks {
		if err == nil {
			err = client.Execute(ctx, "block-export-add", options{"type": "nbd", "id": name, "node-name": name, "name": name, "writable": true}, nil)
		}
	}
	return err
}

// Receive implements virt.Host.
func (h *Host) Receive(ctx context.Context, id, move, channel string) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	m := h.machines[id]
	var g *guest
	if m != nil && m.record.Arriving == move {
		g = m.guest
	}
	h.mu.Unlock()
	if g == nil {
		return nil, errs.Conflictf("Instance %s does not come here by move %s.", id, move)
	}
	switch channel {
	case channelDisk:
		path, done, err := socketPath(m.dir, "nbd.sock")
		if err != nil {
			return nil, err
		}
		defer done()
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	case channelMemory:
		client, err := h.monitor(ctx, m, g)
		if err != nil {
			return nil, err
		}
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		err = client.ExecuteFD(ctx, "getfd", options{"fdname": "move-memory"}, int(theirs.Fd()))
		if err == nil {
			err = client.Execute(ctx, "migrate-incoming", options{"uri": "fd:move-memory"}, nil)
		}
		if err != nil {
			ours.Close()
			return nil, err
		}
		return ours, nil
	case channelWord:
		ours, theirs := net.Pipe()
		h.watchers.Go(func() {
			defer ours.Close()
			stop := context.AfterFunc(h.ctx, func() { ours.Close() })
			defer stop()
			_, err := io.ReadFull(ours, make([]byte, 1))
			if err != nil {
				return // it stays where it was
			}
			err = h.letRun(m, g)
			if err != nil {
				h.options.Log.Warn("a guest that has arrived does not run yet", "server_id", id, "error", err)
				return
			}
			ours.Write([]byte{1}) // whether anybody still listens does not matter
		})
		return theirs, nil
	}
	return nil, errs.BadRequestf("%q is no channel of a move.", channel)
}

// socketPair makes a pair of which QEMU gets one end.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	near, far := os.NewFile(uintptr(fds[0]), "move"), os.NewFile(uintptr(fds[1]), "move")
	defer near.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		far.Close()
		return nil, nil, err
	}
	return conn, far, nil
}

// loadTimeout bounds how long QEMU may take for the last of a guest.
const loadTimeout = 30 * time.Second

// letRun lets a guest run that has arrived, now that it does not run where it was.
func (h *Host) letRun(m *machine, g *guest) error {
	ctx, cancel := context.WithTimeout(h.ctx, loadTimeout)
	defer cancel()
	client, err := h.monitor(ctx, m, g)
	if err != nil {
		return err
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var status struct{ Status string }
		err = client.Execute(ctx, "query-status", nil, &status)
		if err != nil {
			return err
		}
		if status.Status != inMigrate {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Lock()
	want, disks := m.record.Machine, m.record.localDisks()
	h.mu.Unlock()
	if len(disks) > 0 {
		err = client.Execute(ctx, "nbd-server-stop", nil, nil)
	}
	if err == nil && !want.Paused {
		err = client.Execute(ctx, "cont", nil, nil)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	g.status, g.paused, m.arrived = "running", want.Paused, true
	h.mu.Unlock()
	h.hint(m.id)
	if want.Paused {
		return nil
	}
	// The switches of its networks hear where it is.
	return client.Execute(ctx, "announce-self", options{"initial": 20, "max": 500, "rounds": 6, "step": 80}, nil)
}

// inMigrate is QEMU's state while it waits for a guest, or takes it in.
const inMigrate = "inmigrate"

// arriving is how far a guest is that comes from another host. The mutex is held.
func (m *machine) arriving() *virt.Move {
	in := m.record.Machine.Incoming
	if in == nil || m.record.Arriving != in.Move {
		return nil
	}
	move := &virt.Move{Name: in.Move, Phase: virt.MoveReady}
	switch {
	case m.arrived || m.guest != nil && m.guest.status == "running":
		move.Phase = virt.MoveArrived
	case m.guest == nil:
		move.Phase, move.Problem = virt.MoveLost, "QEMU has exited: "+m.complaints()
	case m.guest.status != inMigrate:
		move.Phase = virt.MoveLoaded
	}
	return move
}

// complaints is the last that QEMU has complained about.
func (m *machine) complaints() string {
	f, err := os.Open(filepath.Join(m.dir, "qemu.log"))
	if err != nil {
		return "nothing is known about that"
	}
	defer f.Close()
	return strings.TrimSpace(readTail(f, 500))
}

// comeHome ends what is left of a move, now that the guest is here.
func (h *Host) comeHome(ctx context.Context, m *machine) error {
	h.mu.Lock()
	arriving, s := m.record.Arriving, m.sending
	h.mu.Unlock()
	if s != nil {
		s.stop()
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if arriving != "" {
		g, err := h.process(ctx, m)
		if err != nil {
			return err
		}
		if g != nil {
			client, err := h.monitor(ctx, m, g)
			if err != nil {
				return err
			}
			var status struct{ Status string }
			err = client.Execute(ctx, "query-status", nil, &status)
			if err != nil {
				return err
			}
			if status.Status == inMigrate {
				return errs.Conflictf("Instance %s has not arrived here.", m.id)
			}
			client.Execute(ctx, "nbd-server-stop", nil, nil) // it may have been stopped
		}
	}
	h.mu.Lock()
	m.sending, m.move, m.arrived = nil, nil, false
	h.mu.Unlock()
	return h.note(m, func(r *record) { r.Arriving, r.Moved = "", "" })
}
