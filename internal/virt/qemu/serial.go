package qemu

import (
	"context"
	"io"
	"net"
	"time"

	"nacre/internal/errs"
	"nacre/internal/virt/serial"
)

// lastWords is how long a guest that has turned itself off is still listened to.
const lastWords = 500 * time.Millisecond

// line is the connection to a guest's serial socket. QEMU serves one client at
// a time, and makes the guest wait for a client that does not read; so there is
// one connection, which is always read, and everybody shares it. It lasts from
// the first client to the last, or to the end of the guest.
type line struct {
	serial.Line
	conn  net.Conn
	typed chan []byte
	ended chan struct{} // closed when the guest's side has ended
}

// Serial implements virt.Host.
func (h *Host) Serial(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	m, g, err := h.running(id)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	l := g.line
	h.mu.Unlock()
	if l != nil {
		end, ok := l.Join()
		if ok {
			return end, nil
		}
	}
	conn, err := h.dial(ctx, id, "serial.sock")
	if err != nil {
		return nil, err
	}
	l = &line{conn: conn, typed: make(chan []byte), ended: make(chan struct{})}
	l.Type = l.send
	l.Idle = func() { h.free(l) }
	end, _ := l.Join() // it is new, and cannot be over
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.guest != g || g.off || h.ctx.Err() != nil {
		conn.Close()
		return nil, errs.Conflictf("Instance %s is not running.", id)
	}
	g.line = l
	h.watchers.Go(l.write)
	h.watchers.Go(func() {
		l.listen()
		l.conn.Close()
		l.HangUp()
		h.mu.Lock()
		defer h.mu.Unlock()
		if g.line == l {
			g.line = nil
		}
	})
	return end, nil
}

// free lets go of QEMU's line when nobody is at it.
func (h *Host) free(l *line) {
	h.opening.Lock()
	defer h.opening.Unlock()
	if l.HangUpIdle() {
		l.conn.Close() // listen ends
	}
}

// listen passes on what the guest writes until its side ends.
func (l *line) listen() {
	defer close(l.ended)
	buf := make([]byte, 16<<10)
	for {
		n, err := l.conn.Read(buf)
		l.Say(buf[:n])
		if err != nil {
			return
		}
	}
}

// send hands what a client typed to the writer, which may be waiting for the
// guest to read.
func (l *line) send(p []byte, gone <-chan struct{}) (int, error) {
	// The caller may use p again once we return.
	own := append([]byte(nil), p...)
	select {
	case l.typed <- own:
		return len(p), nil
	case <-gone:
	case <-l.ended:
	}
	return 0, io.ErrClosedPipe
}

// write is the one who writes to the guest.
func (l *line) write() {
	for {
		select {
		case p := <-l.typed:
			_, err := l.conn.Write(p)
			if err != nil {
				l.conn.Close() // listen ends, and the line with it
				return
			}
		case <-l.ended:
			return
		}
	}
}
