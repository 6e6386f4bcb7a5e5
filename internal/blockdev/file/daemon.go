package file

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
)

// daemon is the note about a volume's qemu-storage-daemon. A process number
// alone may be given to somebody else; with its start time it is one process of
// this boot.
type daemon struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
	Epoch int64  `json:"epoch"`
}

// Waiting for a daemon to do something.
const (
	startTimeout = 15 * time.Second
	termTimeout  = 5 * time.Second // to write back what it holds
	killTimeout  = 10 * time.Second
)

// marker is the variable in a daemon's environment that says whose it is.
const marker = "NACRE_VOLUME="

// daemon reads the note and tells whether that process lives.
func (h *Host) daemon(id string) (daemon, bool) {
	var d daemon
	text, err := os.ReadFile(h.daemonPath(id))
	if err != nil {
		return d, false
	}
	err = json.Unmarshal(text, &d)
	if err != nil || d.PID <= 1 || d.Boot != bootID() {
		return d, false
	}
	start, running := processStart(d.PID)
	return d, running && start == d.Start
}

// startDaemon serves a volume and returns when it answers. The socket is ours
// and in place before the daemon exists; the note is written as soon as there is
// a process. If we stop in between, stopStrays finds it.
func (h *Host) startDaemon(ctx context.Context, e blockdev.Export) error {
	disk, err := os.OpenFile(h.disk(e.Volume), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	if h.options.Server != nil {
		// The daemon opens its inherited file once more, by /dev/fd.
		err = disk.Chown(h.options.Server.UID, h.options.Server.GID)
		if err != nil {
			return err
		}
	}
	listener, err := h.listen(e.Volume)
	if err != nil {
		return err
	}
	defer listener.Close()
	h.at("listening")

	log, err := os.OpenFile(h.logPath(e.Volume), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("prlimit", "--core=0", "--as="+strconv.Itoa(4<<30), "--", "qemu-storage-daemon",
		"--blockdev", `{"driver":"qcow2","node-name":"disk","backing":null,"discard":"unmap","file":{"driver":"file","filename":"/dev/fd/3"}}`,
		"--nbd-server", `{"addr":{"type":"fd","str":"4"},"max-connections":16}`,
		"--export", fmt.Sprintf(`{"type":"nbd","id":"export","node-name":"disk","name":%q,"writable":true}`, exportName(e.Volume, e.Epoch)))
	cmd.ExtraFiles = []*os.File{disk, listener} // 3 and 4
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cleanEnv(), marker+h.disk(e.Volume))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if h.options.Server != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(h.options.Server.UID), Gid: uint32(h.options.Server.GID)}
	}
	err = cmd.Start()
	if err != nil {
		return err
	}
	h.at("started")
	d := daemon{PID: cmd.Process.Pid, Boot: bootID(), Epoch: e.Epoch}
	d.Start, _ = processStart(d.PID)
	// It is told apart by its number and start time from now on, and reaped by
	// endProcess: it may well outlive the one who started it.
	err = cmd.Process.Release()
	if err == nil {
		err = writeJSON(h.daemonPath(e.Volume), d)
	}
	if err == nil {
		h.at("noted")
		// Our copies go first, so that a daemon that ends takes the socket along.
		listener.Close()
		err = greet(ctx, h.socket(e.Volume))
	}
	if err == nil {
		h.options.Log.Info("volume exported", "volume_id", e.Volume, "epoch", e.Epoch, "pid", d.PID)
		return nil
	}
	said, _ := os.ReadFile(h.logPath(e.Volume))
	err = fmt.Errorf("start qemu-storage-daemon: %w: %s", err, strings.TrimSpace(string(said[:min(len(said), 2000)])))
	// A stray of this volume holds the file's lock, should there be one.
	return errors.Join(err, endProcess(d.PID, d.Start), h.stopDaemon(e.Volume), h.stopStrays(e.Volume))
}

// listen makes the volume's socket, with its rights, in one step.
func (h *Host) listen(id string) (*os.File, error) {
	path := filepath.Join(h.run, unfinished+clock.Hex()[:16])
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	defer os.Remove(path) // a no-op once it has its name
	err = os.Chmod(path, 0o600)
	if err == nil && h.options.User != nil {
		err = os.Chown(path, h.options.User.UID, h.options.User.GID)
	}
	if err == nil {
		err = os.Rename(path, h.socket(id))
	}
	if err != nil {
		return nil, err
	}
	return listener.File()
}

// greet waits until an NBD server answers and says good-bye to it. A server that
// dies first resets the connection.
func greet(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	var hello [18]byte // two magic words and flags
	_, err = io.ReadFull(conn, hello[:])
	if err != nil {
		return fmt.Errorf("wait for its greeting: %w", err)
	}
	if string(hello[:16]) != "NBDMAGICIHAVEOPT" {
		return errors.New("wait for its greeting: this is no NBD server")
	}
	const fixedNewstyle, optAbort = 1, 2
	bye := binary.BigEndian.AppendUint32(nil, fixedNewstyle)
	bye = append(bye, "IHAVEOPT"...)
	bye = binary.BigEndian.AppendUint32(bye, optAbort)
	bye = binary.BigEndian.AppendUint32(bye, 0)
	_, err = conn.Write(bye)
	if err != nil {
		return fmt.Errorf("end the greeting: %w", err)
	}
	// The server's answer or the end of the line: either is a good-bye.
	_, err = io.Copy(io.Discard, io.LimitReader(conn, 20))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("end the greeting: %w", err)
	}
	return nil
}

// stopDaemon ends the daemon of a volume, if there is one, and what belongs to
// it. The socket goes first, so that nobody new comes in.
func (h *Host) stopDaemon(id string) error {
	err := os.Remove(h.socket(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d, alive := h.daemon(id)
	if alive {
		err = endProcess(d.PID, d.Start)
		if err != nil {
			return err
		}
		h.options.Log.Info("volume no longer exported", "volume_id", id, "epoch", d.Epoch, "pid", d.PID)
	}
	if d.Boot == bootID() {
		reap(d.PID, d.Start)
	}
	for _, path := range []string{h.daemonPath(id), h.logPath(id)} {
		err = os.Remove(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// stopStrays ends daemons of this store that no note tells of: we were killed
// between starting one and noting it. With a volume it looks for that one's only.
func (h *Host) stopStrays(only string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	prefix := marker + h.volumes + string(filepath.Separator)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // it ended, or is another user's
		}
		for _, v := range strings.Split(string(environ), "\x00") {
			id, ok := strings.CutPrefix(v, prefix)
			id = strings.TrimSuffix(id, ".qcow2")
			if !ok || !ids.MatchString(id) || only != "" && id != only {
				continue
			}
			start, running := processStart(pid)
			d, alive := h.daemon(id)
			if !running || alive && d.PID == pid {
				continue
			}
			h.options.Log.Warn("stopping a stray volume daemon", "volume_id", id, "pid", pid)
			err = endProcess(pid, start)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// endProcess ends a process and returns when it is gone: politely, so that it
// writes back what it holds, then not.
func endProcess(pid int, start uint64) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	// The descriptor holds one process; make sure that it is ours.
	now, running := processStart(pid)
	if !running || now != start {
		reap(pid, start)
		return nil
	}
	for _, try := range []struct {
		signal  unix.Signal
		timeout time.Duration
	}{{unix.SIGTERM, termTimeout}, {unix.SIGKILL, killTimeout}} {
		err = unix.PidfdSendSignal(fd, try.signal, nil, 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		gone, err := waitGone(fd, try.timeout)
		if err != nil {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		if gone {
			reap(pid, start)
			return nil
		}
	}
	return fmt.Errorf("end process %d: it does not go away", pid)
}

// waitGone waits until the process of a pidfd has ended.
func waitGone(fd int, timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		polls := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polls, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
}

// reap takes the exit status of a daemon that is our child; for a daemon of an
// earlier process this is a no-op.
func reap(pid int, start uint64) {
	now, running := processStart(pid)
	if !running && now == start {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// processStart is a process's start time, and whether it runs: one that has
// ended and was not reaped does not.
func processStart(pid int) (start uint64, running bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything, so count from its end.
	_, rest, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, false
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, err == nil && fields[0] != "Z" && fields[0] != "X"
}

// bootID tells this boot of the machine from all others.
var bootID = sync.OnceValue(func() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
})
