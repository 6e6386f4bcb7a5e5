package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"nacre/internal/errs"
)

// closeTimeout is how long closing an opened volume may take: what was written
// to it is written back.
const closeTimeout = 30 * time.Second

// Open implements blockdev.Host.
func (h *Host) Open(ctx context.Context, id string, write bool) (io.ReadWriteCloser, error) {
	if !ids.MatchString(id) {
		return nil, errs.NotFoundf("Volume %s could not be found.", id)
	}
	unlock, err := h.locks.lock(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open volume %s: %w", id, err)
	}
	defer unlock()
	conn, err := h.open(ctx, id, write)
	if err != nil {
		return nil, fmt.Errorf("open volume %s: %w", id, err)
	}
	return conn, nil
}

func (h *Host) open(ctx context.Context, id string, write bool) (io.ReadWriteCloser, error) {
	_, err := os.Lstat(h.disk(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.NotFoundf("Volume %s could not be found.", id)
	}
	if err != nil {
		return nil, err
	}
	r, err := h.record(id)
	if err != nil {
		return nil, err
	}
	d, alive := h.daemon(id)
	if r.Exported || alive && !d.Opened {
		return nil, errs.Conflictf("Volume %s is in use and cannot be opened.", id)
	}
	err = h.stopDaemon(id)
	if err == nil {
		err = h.startDaemon(ctx, id, service{opened: true, write: write})
	}
	if err != nil {
		return nil, err
	}
	d, _ = h.daemon(id)
	conn, err := net.Dial("unix", h.socket(id))
	if err != nil {
		return nil, errors.Join(err, h.stopDaemon(id))
	}
	return &opened{Conn: conn, host: h, volume: id, daemon: d}, nil
}

// opened is the connection to a volume's daemon, which ends with it.
type opened struct {
	net.Conn
	host   *Host
	volume string
	daemon daemon
	once   sync.Once
	err    error
}

// Close closes the connection and ends the daemon, unless it has made way for
// another one already.
func (o *opened) Close() error {
	o.once.Do(func() {
		o.err = o.Conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		unlock, err := o.host.locks.lock(ctx, o.volume)
		if err != nil {
			o.err = errors.Join(o.err, err)
			return
		}
		defer unlock()
		now, alive := o.host.daemon(o.volume)
		if alive && now.PID == o.daemon.PID && now.Start == o.daemon.Start {
			o.err = errors.Join(o.err, o.host.stopDaemon(o.volume))
		}
	})
	return o.err
}
