package qemu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nacre/internal/atomicfile"
)

// fetchDisk copies a disk from the host that the machine comes from, and has its
// size noted. What arrives stands alone: it is not this host's image that it is
// based on.
func (h *Host) fetchDisk(ctx context.Context, m *machine, name string, note func(bytes int64) error) (bytes int64, err error) {
	if h.elsewhere == nil {
		return 0, errors.New("no other host can be reached")
	}
	source, err := h.elsewhere.Disk(ctx, m.id, name)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	stop := context.AfterFunc(ctx, func() { source.Close() })
	defer stop()
	fresh := filepath.Join(m.dir, name+".new")
	err = os.Remove(fresh)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	bytes, err = h.writeDisk(fresh, source)
	if err != nil {
		return 0, errors.Join(err, os.Remove(fresh))
	}
	err = note(bytes)
	if err == nil {
		err = os.Rename(fresh, filepath.Join(m.dir, name+".qcow2"))
	}
	if err == nil {
		err = atomicfile.Sync(m.dir)
	}
	return bytes, err
}

// writeDisk writes a disk that arrives, for the guest's user, and tells its size.
func (h *Host) writeDisk(path string, source io.Reader) (int64, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = io.Copy(f, source)
	if err == nil {
		err = standsAlone(f)
	}
	if err == nil && h.owner != nil {
		err = f.Chown(int(h.owner.Uid), int(h.owner.Gid))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return 0, err
	}
	return virtualSize(path, "qcow2")
}

// standsAlone refuses a disk that leads to other files of this host.
func standsAlone(f io.ReaderAt) error {
	head := make([]byte, 80)
	_, err := f.ReadAt(head, 0)
	if err != nil {
		return fmt.Errorf("what arrived is no disk: %w", err)
	}
	backing, version := binary.BigEndian.Uint64(head[8:]), binary.BigEndian.Uint32(head[4:])
	const dataFile = 1 << 2
	if string(head[:4]) != "QFI\xfb" || backing != 0 || version > 2 && binary.BigEndian.Uint64(head[72:])&dataFile != 0 {
		return errors.New("what arrived is no disk that stands alone")
	}
	return nil
}
