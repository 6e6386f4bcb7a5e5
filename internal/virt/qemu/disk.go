package qemu

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"nacre/internal/atomicfile"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// makeFolders makes the machine's folder. Only run belongs to the guest's user.
func (h *Host) makeFolders(m *machine) error {
	h.mu.Lock()
	whole := m.recorded // the record is written after the folders
	h.mu.Unlock()
	if whole {
		return nil
	}
	run := filepath.Join(m.dir, "run")
	err := os.MkdirAll(run, 0o711)
	if err != nil {
		return fmt.Errorf("make machine folder: %w", err)
	}
	if h.owner != nil {
		err = os.Chown(run, int(h.owner.Uid), int(h.owner.Gid))
	}
	if err == nil {
		err = os.Chmod(run, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make machine folder: %w", err)
	}
	return atomicfile.Sync(h.options.Dir)
}

// ensureRoot makes the root disk, or grows it. A running guest's disk grows at
// its next start.
func (h *Host) ensureRoot(ctx context.Context, m *machine, running bool) error {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	want := rec.Machine.Root
	if want == nil {
		return nil
	}
	bytes := int64(want.SizeGB) << 30
	_, err := os.Stat(filepath.Join(m.dir, "root.qcow2"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && want.Arrives:
		rec.RootBytes, err = h.fetchDisk(ctx, m, nodeapi.RootDisk, func(bytes int64) error {
			return h.note(m, func(r *record) { r.RootBytes, r.Base = bytes, "" })
		})
	case errors.Is(err, fs.ErrNotExist):
		return h.makeRoot(ctx, m, *want)
	}
	if err != nil {
		return fmt.Errorf("root disk: %w", err)
	}
	if running || bytes <= rec.RootBytes {
		return nil
	}
	err = h.imageTool(ctx, m, "resize", "-q", "-f", "qcow2", "root.qcow2", fmt.Sprint(bytes))
	if err != nil {
		return fmt.Errorf("grow root disk: %w", err)
	}
	return h.note(m, func(r *record) { r.RootBytes = bytes })
}

func (h *Host) makeRoot(ctx context.Context, m *machine, want virt.Root) error {
	return h.makeDisk(ctx, m, "root", want, func(size int64) error {
		return h.note(m, func(r *record) { r.RootBytes, r.Base = size, want.Image })
	})
}

// makeDisk writes the disk under another name first, as the guest's user in the
// user's folder, has its size noted, and puts it in place when it is whole.
func (h *Host) makeDisk(ctx context.Context, m *machine, name string, want virt.Root, note func(size int64) error) error {
	args := []string{"create", "-q", "-f", "qcow2"}
	size := int64(want.SizeGB) << 30
	if want.Image != "" {
		base, format, err := h.options.Images.Path(ctx, want.Image)
		if err != nil {
			return fmt.Errorf("image %s: %w", want.Image, err)
		}
		format = inspect.AsDisk(format)
		virtual, err := virtualSize(base, format)
		if err != nil {
			return fmt.Errorf("image %s: %w", want.Image, err)
		}
		if size != 0 && size < virtual {
			return errs.BadRequestf("Flavor's disk is too small for requested image. Flavor disk is %d bytes, image is %d bytes.", size, virtual)
		}
		size = max(size, virtual)
		args = append(args, "-b", base, "-F", format)
	}
	if size == 0 {
		return errs.BadRequestf("The %s disk of instance %s has neither an image nor a size.", name, m.id)
	}
	fresh := "run/" + name + ".new"
	err := m.clear(fresh)
	if err != nil {
		return fmt.Errorf("%s disk: %w", name, err)
	}
	err = h.imageTool(ctx, m, append(args, fresh, fmt.Sprint(size))...)
	if err != nil {
		return fmt.Errorf("make %s disk: %w", name, err)
	}
	err = note(size)
	if err != nil {
		return err
	}
	err = m.settle(name)
	if err != nil {
		return fmt.Errorf("%s disk: %w", name, err)
	}
	return nil
}

// imageTool runs qemu-img.
func (h *Host) imageTool(ctx context.Context, m *machine, args ...string) error {
	return h.tool(ctx, m, append([]string{"qemu-img"}, args...)...)
}

// tool runs a program in the machine's folder as the guest's user, with limits on
// memory and time.
func (h *Host) tool(ctx context.Context, m *machine, args ...string) error {
	cmd := exec.CommandContext(ctx, "prlimit", append([]string{"--as=2147483648", "--cpu=60"}, args...)...)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.owner}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// virtualSize is the size that a guest sees.
func virtualSize(path, format string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	switch format {
	case inspect.Raw:
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		return (info.Size() + 511) / 512 * 512, nil
	case inspect.QCOW2:
		head := make([]byte, 32)
		_, err = io.ReadFull(f, head)
		if err != nil || string(head[:4]) != "QFI\xfb" {
			return 0, errors.New("not a qcow2 file")
		}
		size := binary.BigEndian.Uint64(head[24:])
		if size > 1<<60 {
			return 0, fmt.Errorf("a size of %d bytes is not credible", size)
		}
		return int64(size), nil
	}
	return 0, fmt.Errorf("format %q is not supported", format)
}

// ensureConfigDrive writes the config drive if it is another one than before.
// A running guest keeps the one that it has open.
func (h *Host) ensureConfigDrive(m *machine, content []byte) error {
	path := filepath.Join(m.dir, "config.iso")
	if content == nil {
		err := os.Remove(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("config drive: %w", err)
		}
		return nil
	}
	before, err := os.ReadFile(path)
	if err == nil && bytes.Equal(before, content) {
		return nil
	}
	// It holds secrets, so only the guest's user may read it.
	err = atomicfile.Write(path, content, 0o400)
	if err == nil && h.owner != nil {
		err = os.Chown(path, int(h.owner.Uid), int(h.owner.Gid))
	}
	if err != nil {
		return fmt.Errorf("config drive: %w", err)
	}
	return nil
}
