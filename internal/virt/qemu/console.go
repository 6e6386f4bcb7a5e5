package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/atomicfile"
	"nacre/internal/errs"
)

// logLook is how often the console logs are looked at for their size.
const logLook = 5 * time.Second

// Log implements virt.Host.
func (h *Host) Log(ctx context.Context, id string, lines int) ([]byte, error) {
	h.mu.Lock()
	m := h.machines[id]
	h.mu.Unlock()
	if m == nil {
		return nil, nil
	}
	var text []byte
	for _, name := range []string{"console.old", "console.log"} {
		f, err := os.Open(filepath.Join(m.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("console log of %s: %w", id, err)
		}
		part, err := tail(f, h.options.LogLimit)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("console log of %s: %w", id, err)
		}
		text = append(text, part...)
	}
	return lastLines(text, lines), nil
}

// tail returns at most n bytes from the end of a file.
func tail(f *os.File, n int64) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, size-n), n))
}

// lastLines cuts to the last lines; all when lines < 0. What the guest began
// and has not ended counts as a line.
func lastLines(text []byte, lines int) []byte {
	if lines < 0 {
		return text
	}
	at := len(bytes.TrimSuffix(text, []byte("\n")))
	for range lines {
		if at < 0 {
			return text
		}
		at = bytes.LastIndexByte(text[:at], '\n')
	}
	if lines == 0 {
		return nil
	}
	return text[at+1:]
}

// boundLogs keeps the console logs short. QEMU appends to the file and cannot
// be asked to stop, so what is too much is copied away and cut: a line that the
// guest writes at that instant may be lost.
func (h *Host) boundLogs() {
	tick := time.NewTicker(logLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			return
		}
		h.mu.Lock()
		var dirs []string
		for _, m := range h.machines {
			if m.guest != nil {
				dirs = append(dirs, m.dir)
			}
		}
		h.mu.Unlock()
		for _, dir := range dirs {
			err := boundLog(dir, h.options.LogLimit/2)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.options.Log.Warn("console log is not cut", "dir", dir, "error", err)
			}
		}
	}
}

// boundLog moves the last n bytes of a log that has more to console.old.
func boundLog(dir string, n int64) error {
	path := filepath.Join(dir, "console.log")
	info, err := os.Stat(path)
	if err != nil || info.Size() <= n {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	last, err := tail(f, n)
	if err != nil {
		return err
	}
	err = atomicfile.Write(filepath.Join(dir, "console.old"), last, 0o600)
	if err != nil {
		return err
	}
	return f.Truncate(0)
}

// VNC implements virt.Host.
func (h *Host) VNC(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return h.dial(ctx, id, "vnc.sock")
}

// SPICE implements virt.Host.
func (h *Host) SPICE(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	m, _, err := h.running(id)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	has := m.record.Machine.Hardware.SPICE()
	h.mu.Unlock()
	if !has {
		return nil, errs.Conflictf("Instance %s has no screen for SPICE.", id)
	}
	return h.dial(ctx, id, "spice.sock")
}

// dial connects to a socket of the machine's process, which runs a guest.
func (h *Host) dial(ctx context.Context, id, socket string) (net.Conn, error) {
	m, _, err := h.running(id)
	if err != nil {
		return nil, err
	}
	path, done, err := socketPath(m.dir, socket)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", socket, id, err)
	}
	return conn, nil
}

// running finds a machine whose guest runs.
func (h *Host) running(id string) (*machine, *guest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.machines[id]
	if m == nil {
		return nil, nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	if m.guest == nil || m.guest.off {
		return nil, nil, errs.Conflictf("Instance %s is not running.", id)
	}
	return m, m.guest, nil
}

// socketPath gives a path to a socket of the machine's process that fits into
// a socket address, however long the folder's is, and that leads nowhere else:
// the folder belongs to the guest's user, who could have put a link there.
func socketPath(dir, name string) (path string, done func(), err error) {
	fd, err := unix.Open(filepath.Join(dir, "run"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", name, err)
	}
	var st unix.Stat_t
	err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("not a socket")
	}
	if err != nil {
		unix.Close(fd)
		return "", nil, fmt.Errorf("open %s: %w", name, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { unix.Close(fd) }, nil
}
