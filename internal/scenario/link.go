package scenario

import (
	"errors"
	"io"
	"sync"
)

// Link is what connections go through that can be cut: then nothing arrives any
// more, and nobody is told. Mended, it goes on where it was, as TCP does.
type Link struct {
	mu     sync.Mutex // guards what follows
	whole  *sync.Cond
	broken bool
	conns  map[io.ReadWriteCloser]bool
	closed bool
	work   sync.WaitGroup
}

// NewLink makes a link that is whole. Close ends it.
func NewLink() *Link {
	l := &Link{conns: map[io.ReadWriteCloser]bool{}}
	l.whole = sync.NewCond(&l.mu)
	return l
}

// Go runs something that Close waits for.
func (l *Link) Go(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.work.Go(do)
	}
}

// Join carries bytes between two connections until one of them ends, and ends both.
func (l *Link) Join(from, to io.ReadWriteCloser) {
	defer from.Close()
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

func (l *Link) copy(to, from io.ReadWriteCloser) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && l.Wait() {
			_, writeErr := to.Write(buffer[:n])
			err = errors.Join(err, writeErr)
		}
		if errors.Is(err, io.EOF) && l.Wait() {
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

// Wait waits while the link is cut. It is false when the link is over.
func (l *Link) Wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.broken && !l.closed {
		l.whole.Wait()
	}
	return !l.closed
}

// Set cuts the link, or mends it.
func (l *Link) Set(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
	l.whole.Broadcast()
}

// Broken tells whether the link is cut.
func (l *Link) Broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Close ends all connections, and waits for them.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.Close()
	}
	l.whole.Broadcast()
	l.mu.Unlock()
	l.work.Wait()
	return nil
}
