package simulated

import (
	"context"
	"io"
	"net"
	"sync"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/nbd"
)

// opened is the connection of whoever has a volume open.
type opened struct {
	net.Conn
	host   *Host
	volume string
	theirs net.Conn
	served sync.WaitGroup
}

// Open implements blockdev.Host.
func (h *Host) Open(ctx context.Context, id string, write bool) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.ask(ctx, "Open", id, false)
	if err != nil {
		return nil, err
	}
	v, ok := h.volumes[id]
	switch {
	case !ok:
		return nil, errs.NotFoundf("Volume %s could not be found.", id)
	case v.Exported:
		return nil, errs.Conflictf("Volume %s is in use and cannot be opened.", id)
	}
	h.cutOff(id)
	bytes := h.bytes[id]
	if bytes == nil {
		bytes = nbd.NewSparse(int64(v.SizeGB) << 30)
		h.bytes[id] = bytes
	}
	var disk nbd.Disk = bytes
	if !write {
		disk = readOnly{bytes}
	}
	o := &opened{host: h, volume: id}
	o.Conn, o.theirs = net.Pipe()
	h.opened[id] = o
	o.served.Go(func() {
		_ = nbd.Serve(o.theirs, blockdev.Opened, disk) // whoever opened it sees the connection end
		o.theirs.Close()
	})
	return o, nil
}

// cutOff ends the connection of whoever has the volume open. The lock is held.
func (h *Host) cutOff(id string) {
	if o := h.opened[id]; o != nil {
		o.theirs.Close()
		delete(h.opened, id)
	}
}

// Close implements io.Closer.
func (o *opened) Close() error {
	o.Conn.Close()
	o.theirs.Close()
	o.served.Wait()
	o.host.mu.Lock()
	defer o.host.mu.Unlock()
	if o.host.opened[o.volume] == o {
		delete(o.host.opened, o.volume)
	}
	return nil
}

// readOnly is a disk that nobody writes to.
type readOnly struct{ *nbd.Sparse }

// Writable implements nbd.Disk.
func (readOnly) Writable() bool { return false }
