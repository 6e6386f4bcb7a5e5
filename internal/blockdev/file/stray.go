package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"nacre/internal/atomicfile"
	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/image/inspect"
)

// strayNames are names of files in DIR/manageable; anything else would be a path.
var strayNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func (h *Host) strays() string           { return filepath.Join(filepath.Dir(h.volumes), "manageable") }
func (h *Host) stray(name string) string { return filepath.Join(h.strays(), name) }

func noStray(name string) error {
	return errs.NotFoundf("There is no file %s that could become a volume.", name)
}

func roundUp(bytes int64) (gibibytes int) { return int((bytes + gib - 1) / gib) }

// Strays implements blockdev.Host. What an operator puts into the folder is as
// hostile as an upload, and looked at in the same way.
func (h *Host) Strays(ctx context.Context) ([]blockdev.Stray, error) {
	entries, err := os.ReadDir(h.strays())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list what could become volumes: %w", err)
	}
	var list []blockdev.Stray
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !strayNames.MatchString(e.Name()) {
			continue
		}
		_, found, err := h.look(e.Name())
		stray := blockdev.Stray{Name: e.Name(), SizeGB: max(1, roundUp(found.VirtualSize))}
		if errs.Is(err, errs.NotFound) {
			continue // taken while we were listing
		}
		if err != nil {
			stray.Refused = err.Error()
		}
		list = append(list, stray)
	}
	return list, nil
}

// look inspects a file that could become a volume. Links are not followed.
func (h *Host) look(name string) (format string, found inspect.Result, err error) {
	if !strayNames.MatchString(name) {
		return "", found, noStray(name)
	}
	f, err := os.OpenFile(h.stray(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", found, noStray(name)
	}
	if err != nil {
		return "", found, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", found, fmt.Errorf("open %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return "", found, errs.BadRequestf("%s is no file.", name)
	}
	found, err = inspect.File(f, info.Size())
	if err != nil {
		return "", found, fmt.Errorf("inspect %s: %w", name, err)
	}
	format = inspect.Raw
	if found.Format == inspect.QCOW2 {
		format = inspect.QCOW2
	}
	err = found.Matches(format)
	if err != nil {
		return "", found, errs.BadRequestf("%s is unacceptable: %s.", name, err)
	}
	return format, found, nil
}

// adopt makes a volume of a stray: a qcow2 is moved, anything else copied into
// one, so that a volume is a qcow2 whatever it has been before.
func (h *Host) adopt(ctx context.Context, v blockdev.Volume, want int64) error {
	format, found, err := h.look(v.Source.Stray)
	if err != nil {
		return err
	}
	if found.VirtualSize > want {
		return errs.BadRequestf("The size of %s, %dGB, is larger than volume size %dGB.", v.Source.Stray, roundUp(found.VirtualSize), v.SizeGB)
	}
	path := h.stray(v.Source.Stray)
	if format == inspect.QCOW2 {
		err = h.resize(ctx, path, "", want)
		if err == nil {
			err = atomicfile.Sync(path)
		}
		if err == nil {
			err = os.Rename(path, h.disk(v.ID))
		}
		h.at("adopted")
		if err == nil {
			err = atomicfile.Sync(h.volumes)
		}
		if err == nil {
			err = atomicfile.Sync(h.strays())
		}
		return err
	}
	source, err := describe(format, path)
	if err != nil {
		return err
	}
	err = h.fill(ctx, v, source, 0, want)
	if err != nil {
		return err
	}
	h.at("copied")
	// The volume is whole. If we stop here, its former self stays a stray.
	return os.Remove(path)
}

// Release implements blockdev.Host.
func (h *Host) Release(ctx context.Context, id, name string) error {
	if !ids.MatchString(id) || !strayNames.MatchString(name) {
		return errs.BadRequestf("Volume %s cannot be let go as %s.", id, name)
	}
	unlock, err := h.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("release volume %s: %w", id, err)
	}
	defer unlock()
	err = h.stopDaemon(id)
	if err == nil {
		err = os.MkdirAll(h.strays(), 0o700)
	}
	if err != nil {
		return fmt.Errorf("release volume %s: %w", id, err)
	}
	_, err = os.Lstat(h.disk(id))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it was let go before
	} else if err == nil {
		// A file of that name is another's, and not to be lost.
		err = unix.Renameat2(unix.AT_FDCWD, h.disk(id), unix.AT_FDCWD, h.stray(name), unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return fmt.Errorf("release volume %s as %s: %w", id, name, err)
	}
	h.at("released")
	for _, folder := range []string{h.strays(), h.volumes} {
		err = atomicfile.Sync(folder)
		if err != nil {
			return fmt.Errorf("release volume %s: %w", id, err)
		}
	}
	err = os.Remove(h.recordPath(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release volume %s: %w", id, err)
	}
	return nil
}
