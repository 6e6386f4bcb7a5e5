// Package file keeps volumes as qcow2 files and serves them by NBD.
//
// On disk a volume is DIR/volumes/<id>.qcow2 and, once it was attached,
// <id>.json with the highest epoch seen. Both appear in one step: what is not
// finished bears another name and is swept at the next start, so a creation that
// is interrupted anywhere simply begins again. A guest's bytes are inside a qcow2
// of our making and reach it by NBD only; nothing here guesses a format, and
// qemu-img is always told one.
//
// Each exported volume has one qemu-storage-daemon of its own, which outlives
// this process: guests keep their disks while Nacre is stopped, killed or
// upgraded. The daemon gets open files, the volume and the listening sockets,
// and needs no other right, so it may run as a user who owns nothing. By its
// control socket it is told to copy the volume while guests use it, to grow it,
// and whom to serve (live.go). A volume that nobody is attached to is opened by
// another such daemon, which ends with whoever opened it (open.go). What we
// know about daemons is in files too (RUN/<id>.json); there is no state in memory
// to lose, and the same code finds a daemon a second or a week after its start.
//
// Fencing: the epochs are on disk before anything is served under them, a
// former epoch is cut off before the next one is served, and the export's name
// holds the epoch, so that a former user who dials again is turned away.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nacre/internal/atomicfile"
	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/qemuimg"
)

// Options are a store's settings.
type Options struct {
	Dir    string          // volumes are in Dir/volumes
	Run    string          // sockets and notes about daemons; empty means Dir/run/volumes; at most 65 characters
	Images blockdev.Images // where volumes from images start; nil: there are none
	Keys   blockdev.Keys   // of encrypted volumes; nil: there are none
	User   *User           // who may connect to the sockets, next to us; nil: nobody. Needs root
	Server *User           // whom the daemons run as; nil: ourselves. Needs root
	Log    *slog.Logger    // nil means slog.Default()
}

// User is an account of this machine, by its numbers.
type User struct{ UID, GID int }

// Host is a store of volumes on this machine. It implements blockdev.Host.
type Host struct {
	options Options
	volumes string // folder of the volumes
	run     string // folder of sockets and daemons
	locks   locks
	tool    *qemuimg.Tool

	// at is called at named points of a change; tests stop the world there.
	at func(point string)
}

var _ blockdev.Host = (*Host)(nil)

const (
	gib        = 1 << 30
	maxRunPath = 65 // a unix socket's path has at most 107 bytes
)

// ids are what the control plane makes; anything else would be a path.
var ids = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,35}$`)

// New opens the store and sweeps what a killed process left half-made. Daemons
// that serve volumes are left alone. One process at a time may use a store.
func New(options Options) (*Host, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("open volume store: %w", err)
	}
	run := options.Run
	if run == "" {
		run = filepath.Join(dir, "run", "volumes")
	}
	if len(run) > maxRunPath {
		return nil, fmt.Errorf("open volume store: the path %s is too long for sockets, at most %d characters", run, maxRunPath)
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	h := &Host{
		options: options,
		volumes: filepath.Join(dir, "volumes"),
		run:     run,
		tool:    qemuimg.New(2),
		at:      func(string) {},
	}
	err = os.MkdirAll(h.volumes, 0o700)
	if err == nil && options.Server != nil {
		err = os.Chmod(h.volumes, 0o711) // daemons open what they copy to by its path
	}
	if err != nil {
		return nil, fmt.Errorf("open volume store: %w", err)
	}
	// Guests' users reach their sockets by full path and cannot list them.
	err = os.MkdirAll(h.run, 0o711)
	if err == nil {
		err = os.Chmod(h.run, 0o711) // whatever our umask is
	}
	if err != nil {
		return nil, fmt.Errorf("open volume store: %w", err)
	}
	err = h.sweep()
	if err != nil {
		return nil, fmt.Errorf("sweep volume store: %w", err)
	}
	return h, nil
}

// Ensure implements blockdev.Host.
func (h *Host) Ensure(ctx context.Context, v blockdev.Volume) error {
	if !ids.MatchString(v.ID) {
		return errs.BadRequestf("%q is no volume id.", v.ID)
	}
	if v.SizeGB <= 0 || v.SizeGB > 1<<20 {
		return errs.BadRequestf("Volume %s needs a size.", v.ID)
	}
	unlock, err := h.locks.lock(ctx, v.ID)
	if err != nil {
		return fmt.Errorf("ensure volume %s: %w", v.ID, err)
	}
	defer unlock()

	record, err := h.record(v.ID)
	if err != nil {
		return fmt.Errorf("ensure volume %s: %w", v.ID, err)
	}
	size, err := diskSize(h.disk(v.ID))
	want := int64(v.SizeGB) * gib
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = h.create(ctx, v)
	case err != nil:
	case v.Revision > record.Revision:
		err = h.remake(ctx, v, record)
	case size < want:
		err = h.grow(ctx, v, want)
	}
	if err != nil {
		return fmt.Errorf("ensure volume %s: %w", v.ID, err)
	}
	return nil
}

// Remove implements blockdev.Host.
func (h *Host) Remove(ctx context.Context, id string) error {
	if !ids.MatchString(id) {
		return nil // no such volume can exist
	}
	unlock, err := h.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	defer unlock()

	err = h.stopDaemon(id)
	if err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	h.at("stopped")
	// The bytes go first: without them the epoch fences nothing, while bytes
	// without their epoch could be served to a former user.
	for _, path := range []string{h.disk(id), h.recordPath(id)} {
		err = os.Remove(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove volume %s: %w", id, err)
		}
		h.at("removed " + strings.TrimPrefix(filepath.Ext(path), "."))
	}
	err = atomicfile.Sync(h.volumes)
	if err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	return nil
}

// List implements blockdev.Host. A volume counts as exported while its daemon
// lives: after a power cut or a crash of the daemon Export has to be asked again.
func (h *Host) List(ctx context.Context) ([]blockdev.State, error) {
	all, err := h.all()
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	states := make([]blockdev.State, 0, len(all))
	for _, id := range all {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		size, err := diskSize(h.disk(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed while we were listing
		}
		if err != nil {
			// One broken file must not hide all the others. Its size shows as 0.
			h.options.Log.Error("volume is unreadable", "volume_id", id, "error", err)
			size = 0
		}
		record, err := h.record(id)
		if err != nil {
			return nil, fmt.Errorf("list volumes: %w", err)
		}
		d, alive := h.daemon(id)
		states = append(states, blockdev.State{
			ID:       id,
			SizeGB:   int((size + gib - 1) / gib),
			Exported: record.Exported && alive && slices.Equal(d.Shares, record.Shares),
			Epoch:    record.Epoch,
		})
	}
	return states, nil
}

// Usage implements blockdev.Host.
func (h *Host) Usage(context.Context) (blockdev.Usage, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(h.volumes, &fs)
	if err != nil {
		return blockdev.Usage{}, fmt.Errorf("read room of %s: %w", h.volumes, err)
	}
	block := float64(fs.Bsize)
	return blockdev.Usage{
		TotalGB: float64(fs.Blocks) * block / gib,
		FreeGB:  float64(fs.Bavail) * block / gib,
	}, nil
}

// all lists the ids of the volumes that exist.
func (h *Host) all() ([]string, error) {
	entries, err := os.ReadDir(h.volumes)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".qcow2")
		if ok && ids.MatchString(id) {
			all = append(all, id)
		}
	}
	return all, nil
}

func (h *Host) disk(id string) string       { return filepath.Join(h.volumes, id+".qcow2") }
func (h *Host) recordPath(id string) string { return filepath.Join(h.volumes, id+".json") }
func (h *Host) socket(id string) string     { return filepath.Join(h.run, id+".sock") }
func (h *Host) daemonPath(id string) string { return filepath.Join(h.run, id+".json") }
func (h *Host) controlPath(id string) string {
	return filepath.Join(h.run, id+".qmp")
}
func (h *Host) logPath(id string) string { return filepath.Join(h.run, id+".log") }

// sweep removes what a process that was killed left half-made: unfinished files,
// records of volumes that are gone, and daemons that were started but not noted.
func (h *Host) sweep() error {
	for _, dir := range []string{h.volumes, h.run} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), unfinished) {
				continue
			}
			err = os.Remove(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
		}
	}
	err := h.stopStrays("")
	if err == nil {
		err = h.sweepDaemons()
	}
	if err != nil {
		return err
	}
	records, err := filepath.Glob(filepath.Join(h.volumes, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range records {
		_, err = os.Lstat(strings.TrimSuffix(path, ".json") + ".qcow2")
		if !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err = os.Remove(path)
		if err != nil {
			return err
		}
	}
	return nil
}
