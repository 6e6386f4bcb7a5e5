package soak

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Link carries connections from a listener to an address, and can be cut: then
// nothing arrives any more, and nobody is told. Mended, it goes on where it was,
// as TCP does.
type Link struct {
	network, address string
	listener         net.Listener

	mu     sync.Mutex // guards what follows
	whole  *sync.Cond
	broken bool
	conns  map[net.Conn]bool
	closed bool
	work   sync.WaitGroup
}

// NewLink listens and passes on until the test ends.
func NewLink(t *testing.T, listener net.Listener, network, address string) *Link {
	l := &Link{network: network, address: address, listener: listener, conns: map[net.Conn]bool{}}
	l.whole = sync.NewCond(&l.mu)
	l.work.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *Link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.work.Go(func() { l.carry(from) })
		l.mu.Unlock()
	}
}

// carry joins a connection with one to the other end.
func (l *Link) carry(from net.Conn) {
	defer from.Close()
	if !l.wait() {
		return
	}
	to, err := net.Dial(l.network, l.address)
	if err != nil {
		return
	}
	defer to.Close()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.conns[from], l.conns[to] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.copy(to, from) })
	both.Go(func() { l.copy(from, to) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, from)
	delete(l.conns, to)
}

func (l *Link) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && l.wait() {
			_, writeErr := to.Write(buffer[:n])
			err = errors.Join(err, writeErr)
		}
		if errors.Is(err, io.EOF) && l.wait() {
			half, ok := to.(interface{ CloseWrite() error })
			if ok && half.CloseWrite() == nil {
				return
			}
		}
		if err != nil {
			from.Close()
			to.Close()
			return
		}
	}
}

// wait waits while the link is cut. It is false when the link is over.
func (l *Link) wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.broken && !l.closed {
		l.whole.Wait()
	}
	return !l.closed
}

func (l *Link) Cut() { l.set(true) }

func (l *Link) Mend() { l.set(false) }

func (l *Link) set(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
	l.whole.Broadcast()
}

func (l *Link) close() {
	l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.Close()
	}
	l.whole.Broadcast()
	l.mu.Unlock()
	l.work.Wait()
}
