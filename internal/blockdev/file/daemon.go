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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
	"nacre/internal/qemuimg"
)

// daemon is the note about a volume's qemu-storage-daemon. A process number
// alone may be given to somebody else; with its start time it is one process of
// this boot.
type daemon struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`

	Shares []blockdev.Share `json:"shares,omitempty"` // that it serves
	Opened bool             `json:"opened,omitempty"` // it serves whoever opened the volume, and ends with us
}

// keeps tells whether some user of the daemon stays with these shares.
func (d daemon) keeps(shares []blockdev.Share) bool {
	return slices.ContainsFunc(shares, func(s blockdev.Share) bool { return slices.Contains(d.Shares, s) })
}

// service is what a daemon is to serve: the shares of an export, or who opens
// the volume.
type service struct {
	shares []blockdev.Share
	opened bool
	write  bool // by whoever opens it
}

// offers are what QEMU calls the parts of the service.
func (s service) offers(volume string) []offer {
	if s.opened {
		return []offer{{"nbd", "opened", "disk", blockdev.Opened, s.write}}
	}
	var list []offer
	for _, share := range s.shares {
		list = append(list, newOffer(volume, share))
	}
	return list
}

// offer is what QEMU calls a part of the service.
type offer struct {
	Type     string `json:"type"`
	ID       string `json:"id"`
	Node     string `json:"node-name"`
	Name     string `json:"name"`
	Writable bool   `json:"writable"`
}

// newOffer names the share so that another share has another name.
func newOffer(volume string, s blockdev.Share) offer {
	id := fmt.Sprintf("epoch%d", s.Epoch)
	if s.ReadOnly {
		id += "ro"
	}
	return offer{"nbd", id, "disk", exportName(volume, s.Epoch), !s.ReadOnly}
}

// Limits on who uses a volume at a time.
const (
	maxShares      = 64
	maxConnections = 4 * maxShares
)

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
func (h *Host) startDaemon(ctx context.Context, id string, serve service) error {
	disk, err := os.OpenFile(h.disk(id), os.O_RDWR, 0)
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
	listener, err := h.listen(h.socket(id), h.options.User)
	if err != nil {
		return err
	}
	defer listener.Close()
	control, err := h.listen(h.controlPath(id), nil)
	if err != nil {
		return err
	}
	defer control.Close()
	h.at("listening")

	secret, err := h.secret(ctx, id)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(h.logPath(id), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"--core=0", "--as=" + strconv.Itoa(4<<30), "--", "qemu-storage-daemon",
		"--nbd-server", fmt.Sprintf(`{"addr":{"type":"fd","str":"4"},"max-connections":%d}`, maxConnections),
		"--chardev", "socket,id=control,fd=5,server=on,wait=off", "--monitor", "chardev=control"}
	node := arguments{
		"driver": "qcow2", "node-name": "disk", "backing": nil, "discard": "unmap",
		"file": arguments{"driver": "file", "filename": "/dev/fd/3"},
	}
	files := []*os.File{disk, listener, control} // 3, 4 and 5
	if secret != nil {
		defer secret.Close()
		files = append(files, secret)
		args = append(args, "--object", qemuimg.SecretObject(6))
		node["encrypt"] = unlocked
	}
	text, err := json.Marshal(node)
	if err != nil {
		return err
	}
	args = append(args, "--blockdev", string(text))
	for _, e := range serve.offers(id) {
		text, err = json.Marshal(e)
		if err != nil {
			return err
		}
		args = append(args, "--export", string(text))
	}
	cmd := exec.Command("prlimit", args...)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cleanEnv(), marker+h.disk(id))
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
	d := daemon{PID: cmd.Process.Pid, Boot: bootID(), Shares: serve.shares, Opened: serve.opened}
	d.Start, _ = processStart(d.PID)
	// It is told apart by its number and start time from now on, and reaped by
	// endProcess: it may well outlive the one who started it.
	err = cmd.Process.Release()
	if err == nil {
		err = writeJSON(h.daemonPath(id), d)
	}
	if err == nil {
		h.at("noted")
		// Our copies go first, so that a daemon that ends takes the socket along.
		listener.Close()
		control.Close()
		err = greet(ctx, h.socket(id))
	}
	if err == nil {
		h.options.Log.Info("volume served", "volume_id", id, "shares", serve.shares, "opened", serve.opened, "pid", d.PID)
		return nil
	}
	said, _ := os.ReadFile(h.logPath(id))
	err = fmt.Errorf("start qemu-storage-daemon: %w: %s", err, strings.TrimSpace(string(said[:min(len(said), 2000)])))
	// A stray of this volume holds the file's lock, should there be one.
	return errors.Join(err, endProcess(d.PID, d.Start), h.stopDaemon(id), h.stopStrays(id))
}

// unlocked is how QEMU opens an encrypted volume.
var unlocked = arguments{"format": "luks", "key-secret": qemuimg.Secret}

// secret is the key of an encrypted volume for its daemon, nil for others.
func (h *Host) secret(ctx context.Context, id string) (*os.File, error) {
	locked, err := isEncrypted(h.disk(id))
	if err != nil || !locked {
		return nil, err
	}
	key, err := h.key(ctx, blockdev.Volume{ID: id, Encrypted: true})
	if err != nil {
		return nil, err
	}
	return qemuimg.SecretFile(key)
}

// listen makes a socket, with its rights, in one step.
func (h *Host) listen(final string, user *User) (*os.File, error) {
	path := filepath.Join(h.run, unfinished+clock.Hex()[:16])
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	defer os.Remove(path) // a no-op once it has its name
	err = os.Chmod(path, 0o600)
	if err == nil && user != nil {
		err = os.Chown(path, user.UID, user.GID)
	}
	if err == nil {
		err = os.Rename(path, final)
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
		h.options.Log.Info("volume no longer served", "volume_id", id, "pid", d.PID)
	}
	if d.Boot == bootID() {
		reap(d.PID, d.Start)
	}
	for _, path := range []string{h.controlPath(id), h.daemonPath(id), h.logPath(id)} {
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
