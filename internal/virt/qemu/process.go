package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/lock"
	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
)

const emulator = "qemu-system-x86_64"

// startTimeout bounds the time from the start of QEMU until it answers.
const startTimeout = time.Minute

// guest is a QEMU process that lives, whoever has started it.
type guest struct {
	pid   int
	pidfd *os.File
	gone  chan struct{} // closed when the process has ended
	news  chan struct{} // gets something when a move or a copy is further

	// Guarded by Host.mu.
	qmp      *qmp.Client // nil or ended: must be dialled again
	line     *line       // where people are at its serial line; nil: nobody is
	off      bool        // the guest turned itself off, the process is left
	status   string      // QEMU's word for what it does
	paused   bool
	stopping bool                        // we are ending it: its end is no news
	patience time.Time                   // until when it may take to shut down; zero: nobody asked
	ports    map[place]string            // which device sits where; free ports of PCI are in it with an empty name
	pc       bool                        // its machine is of type pc
	aliases  map[string]string           // what QEMU calls a device whose volume is another one than it was plugged with
	swaps    map[string]nodeapi.SwapSeen // how far volumes are that take the place of others
}

// find returns the pid of the machine's process, 0 if there is none.
func find(ctx context.Context, dir string) (int, error) {
	pid, held, err := findOrLock(ctx, dir)
	if held != nil {
		held.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return pid, err
}

// findOrLock returns the pid of the machine's process or, if there is none, the
// lock that the next one inherits. Whoever was started a moment ago, by us or by
// our predecessor, holds the lock but has no pid yet; and so does a child of ours
// between its fork and its exec. Both are over soon.
func findOrLock(ctx context.Context, dir string) (int, *os.File, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := lockHolder(filepath.Join(dir, "run", "pid"))
		if err != nil || pid != 0 {
			return pid, nil, err
		}
		held, err := lockMachine(dir)
		if !errors.Is(err, lock.ErrHeld) {
			return 0, held, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil, fmt.Errorf("wait for a starting QEMU: %w", ctx.Err())
		}
	}
}

// lockHolder asks the kernel who holds the lock on QEMU's pid file.
func lockHolder(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open pid file: %w", err)
	}
	defer f.Close()
	ask := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &ask)
	if err != nil {
		return 0, fmt.Errorf("ask for the holder of the pid file: %w", err)
	}
	if ask.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(ask.Pid), nil
}

// lockMachine takes the lock that a machine's process inherits.
func lockMachine(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock machine: %w", err)
	}
	err = lock.Try(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock machine: %w", err)
	}
	return f, nil
}

// adopt makes the machine's process ours to watch, if there is one. A process
// that does not answer is adopted too: it can still be ended.
func (h *Host) adopt(ctx context.Context, m *machine) error {
	pid, err := find(ctx, m.dir)
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.id, err)
	}
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("machine %s: open process %d: %w", m.id, pid, err)
	}
	g := &guest{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd"), gone: make(chan struct{}), news: make(chan struct{}, 1), ports: map[place]string{}, swaps: map[string]nodeapi.SwapSeen{}}
	// The number may have changed hands between the two calls; the lock has not.
	again, err := lockHolder(filepath.Join(m.dir, "run", "pid"))
	if err != nil || again != pid {
		g.pidfd.Close()
		return err
	}
	h.mu.Lock()
	m.guest = g
	h.mu.Unlock()
	h.watchers.Go(func() { h.watch(m, g) })
	return nil
}

// watch waits for the end of the process, or of the watching.
func (h *Host) watch(m *machine, g *guest) {
	raw, err := g.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, _ := unix.Poll(poll, 0)
			return n > 0
		})
	}
	if err != nil {
		return // the host is closed
	}
	unix.Wait4(g.pid, nil, unix.WNOHANG, nil) // our own child; somebody else's is not ours to reap
	h.mu.Lock()
	if m.guest == g {
		m.guest = nil
	}
	news := !g.stopping && !m.removed
	m.wentOff = g.off
	client := g.qmp
	h.mu.Unlock()
	close(g.gone)
	g.pidfd.Close()
	if client != nil {
		client.Close()
	}
	if news {
		h.hint(m.id)
	}
}

// monitor returns a working QMP connection to the process.
func (h *Host) monitor(ctx context.Context, m *machine, g *guest) (*qmp.Client, error) {
	h.mu.Lock()
	client, disks := g.qmp, m.record.Machine.Disks
	h.mu.Unlock()
	if client != nil {
		select {
		case <-client.Done():
		default:
			return client, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := h.dialMonitor(ctx, m, g)
	if err != nil {
		return nil, err
	}
	// What happened before we listened: is it off, and what is plugged in?
	var status struct{ Status string }
	err = client.Execute(ctx, "query-status", nil, &status)
	if err == nil {
		var has found
		has, err = inventory(ctx, client, disks)
		if err == nil {
			h.mu.Lock()
			g.ports, g.aliases, g.pc = has.ports, has.aliases, has.pc
			g.off = status.Status == "shutdown"
			g.paused = stands[status.Status]
			g.status = status.Status
			g.qmp = client
			h.mu.Unlock()
		}
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// stands are QEMU's words for a guest whose processors stand still.
var stands = map[string]bool{"paused": true, "io-error": true, "postmigrate": true, "finish-migrate": true, inMigrate: true, "prelaunch": true}

// dialMonitor connects. A QEMU that is starting has its pid file for a while
// before it has its socket.
func (h *Host) dialMonitor(ctx context.Context, m *machine, g *guest) (*qmp.Client, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		path, done, err := socketPath(m.dir, "qmp.sock")
		if err == nil {
			var client *qmp.Client
			client, err = qmp.Dial(ctx, path, func(e qmp.Event) { h.event(m, g, e) })
			done()
			if err == nil {
				return client, nil
			}
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED) {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-g.gone:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// event takes note of what the guest did. It must not block.
func (h *Host) event(m *machine, g *guest, e qmp.Event) {
	var data struct {
		Guest  bool
		Device string
		Status string
		Error  string
	}
	if len(e.Data) > 0 {
		err := json.Unmarshal(e.Data, &data)
		if err != nil {
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Name {
	case "SHUTDOWN":
		if !data.Guest {
			return
		}
		g.off = true
		if g.line != nil {
			g.line.conn.SetReadDeadline(time.Now().Add(lastWords)) // fails only when it has ended
		}
		if !g.stopping {
			h.hint(m.id)
		}
	case "STOP":
		g.paused, g.status = true, "paused"
	case "RESUME":
		g.paused, g.status = false, "running"
	case "MIGRATION", "JOB_STATUS_CHANGE":
		if data.Status == "completed" && g.status == inMigrate {
			g.status = "paused"
			h.hint(m.id)
		}
		select {
		case g.news <- struct{}{}:
		default:
		}
	case "DEVICE_DELETED":
		for port, device := range g.ports {
			if device != "" && g.real(device) == data.Device {
				delete(g.ports, port)
				if port.bus == "" {
					g.ports[port] = ""
				}
				delete(g.aliases, device)
				h.hint(m.id)
			}
		}
	case "BLOCK_JOB_READY", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED":
		h.swapEvent(m, g, data.Device, e.Name, data.Error)
	}
}

// spawn starts the process and waits until it answers. With ports it waits for the
// memory of a guest whose devices sit in them.
func (h *Host) spawn(ctx context.Context, m *machine, kept map[place]string) error {
	pid, held, err := findOrLock(ctx, m.dir)
	if err != nil {
		return err
	}
	if pid != 0 {
		return fmt.Errorf("machine %s: process %d runs already", m.id, pid)
	}
	defer held.Close()
	complaints, err := os.OpenFile(filepath.Join(m.dir, "qemu.log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer complaints.Close()
	console, err := os.OpenFile(filepath.Join(m.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()

	h.mu.Lock()
	want := m.record.Machine
	want.Blanks = m.record.Blanks
	h.mu.Unlock()
	files := []*os.File{held, console}
	const firstExtra = 3 // behind stdin, stdout, stderr
	var taps []int
	for _, n := range want.NICs {
		tap, err := openTap(n.Tap)
		if err != nil {
			return fmt.Errorf("port %s: %w", n.ID, err)
		}
		defer tap.Close()
		taps = append(taps, firstExtra+len(files))
		files = append(files, tap)
	}
	_, err = os.Stat(filepath.Join(m.dir, "config.iso"))
	hasConfigDrive := err == nil
	args := arguments(want, settings{
		accel: h.accel, hasConfigDrive: hasConfigDrive, consoleFD: firstExtra + 1, tapFDs: taps, kept: kept,
	})
	// No process holds the machine's lock, so these sockets are nobody's.
	for _, name := range []string{"qmp.sock", "vnc.sock", "spice.sock", "serial.sock", "agent.sock", "nbd.sock"} {
		err = os.Remove(filepath.Join(m.dir, "run", name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err = h.note(m, func(r *record) {
		// A start makes up for every reboot that was asked for.
		r.Started, r.ConfigDrive = true, hasConfigDrive
		r.acted()
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	m.wentOff = false
	h.mu.Unlock()
	if want.Topology != nil && want.Topology.Locked {
		err = unlimited()
		if err != nil {
			return err
		}
	}
	cmd := exec.Command(emulator, args...)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = complaints, complaints
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: h.owner}
	err = cmd.Start()
	if err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	pid = cmd.Process.Pid
	cmd.Process.Release()
	held.Close() // the child's copy keeps the lock
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = h.awaitStart(ctx, m, pid)
	if err == nil {
		err = h.pinned(ctx, m)
	}
	if err == nil {
		return nil
	}
	// It may have lived long enough to be watched: let the watch see its end,
	// so that it is not listed any more, and is not taken for a crash.
	h.mu.Lock()
	g := m.guest
	h.mu.Unlock()
	if g != nil {
		err = errors.Join(err, h.end(ctx, m, g, false))
	}
	said := readTail(complaints, 2000)
	return fmt.Errorf("start QEMU: %w: %s", err, strings.TrimSpace(said))
}

// awaitStart waits until the new process has its pid lock and its socket, and
// adopts it; or until it is gone.
func (h *Host) awaitStart(ctx context.Context, m *machine, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		// The wait is for the end of the process, at most for one look's time.
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 20)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return errors.New("it has exited")
		}
		if ctx.Err() != nil {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			unix.Poll(poll, 5000)
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return ctx.Err()
		}
		holder, err := lockHolder(filepath.Join(m.dir, "run", "pid"))
		if err != nil {
			return err
		}
		_, missing := os.Lstat(filepath.Join(m.dir, "run", "qmp.sock"))
		if holder == 0 || missing != nil {
			continue
		}
		h.mu.Lock()
		g := m.guest
		h.mu.Unlock()
		if g == nil {
			err = h.adopt(ctx, m)
			if err != nil {
				return err
			}
			continue
		}
		_, err = h.monitor(ctx, m, g)
		if err == nil {
			return nil
		}
	}
}

// end ends the process for good: by a request when it listens, so that its
// disks are flushed, by force when it does not.
func (h *Host) end(ctx context.Context, m *machine, g *guest, flush bool) error {
	h.mu.Lock()
	g.stopping = true
	h.mu.Unlock()
	if flush {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		client, err := h.monitor(short, m, g)
		if err == nil {
			client.Execute(short, "quit", nil, nil) // its end is the answer
		}
		select {
		case <-g.gone:
			return nil
		case <-short.Done():
		}
	}
	raw, err := g.pidfd.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("kill QEMU: %w", err)
	}
	select {
	case <-g.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of QEMU: %w", ctx.Err())
	}
}

// readTail returns up to n bytes from the end of a file.
func readTail(f *os.File, n int64) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	at := max(0, size-n)
	data := make([]byte, size-at)
	got, _ := f.ReadAt(data, at)
	return string(bytes.ToValidUTF8(data[:got], []byte("?")))
}
