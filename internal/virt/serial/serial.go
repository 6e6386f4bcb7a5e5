// Package serial shares a guest's serial line between all who look at it.
//
// A guest has one line and may have several people at it, as a console server
// of old gave to a rack: each sees what the guest writes from then on, and what
// any of them types goes to the guest. The guest is never held up. Whoever
// reads slower than it writes loses the older part of what waits, and is told
// so; what a client costs is bounded, however much the guest writes.
package serial

import (
	"fmt"
	"io"
	"sync"
)

// limit is how many bytes wait for one client.
const limit = 64 << 10

// Line is the middle of a guest's serial line. Its methods may be called
// concurrently.
type Line struct {
	// Type sends to the guest what a client has typed. It may wait until the
	// guest reads, but not after gone is closed: the client has left then.
	Type func(p []byte, gone <-chan struct{}) (int, error)
	// Idle is called when the last client has left; nil: nobody cares. Another
	// one may join before it acts: see HangUpIdle.
	Idle func()

	mu      sync.Mutex // guards what follows
	clients map[*client]struct{}
	over    bool
}

// Join adds a client. It is false when the line has been hung up. The caller
// closes what it is given.
func (l *Line) Join() (io.ReadWriteCloser, bool) {
	c := &client{line: l, gone: make(chan struct{})}
	c.news = sync.NewCond(&c.mu)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, false
	}
	if l.clients == nil {
		l.clients = map[*client]struct{}{}
	}
	l.clients[c] = struct{}{}
	return c, true
}

// Say hands what the guest has written to all clients. It never waits.
func (l *Line) Say(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.clients {
		c.take(p)
	}
}

// HangUp ends the line: clients read what is left and then its end. Nobody can
// join any more.
func (l *Line) HangUp() {
	l.mu.Lock()
	l.over = true
	all := l.clients
	l.clients = nil
	l.mu.Unlock()
	for c := range all {
		c.end()
	}
}

// HangUpIdle ends the line if nobody is at it, and says whether it did.
func (l *Line) HangUpIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.clients) > 0 {
		return false
	}
	l.over = true
	return true
}

// leave takes the client off and says whether it was the last one.
func (l *Line) leave(c *client) (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, here := l.clients[c]
	delete(l.clients, c)
	return here && len(l.clients) == 0
}

// client is one end of the line.
type client struct {
	line *Line
	once sync.Once
	gone chan struct{} // closed when the client has left or the line is over

	mu      sync.Mutex // guards what follows
	news    *sync.Cond
	waiting []byte
	lost    int // bytes that were dropped since the last read
	ended   bool
}

// take adds what the guest has written. What is too much pushes out the oldest.
func (c *client) take(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	excess := len(c.waiting) + len(p) - limit
	if excess > 0 {
		c.lost += excess
		drop := min(excess, len(c.waiting))
		c.waiting = append(c.waiting[:0], c.waiting[drop:]...)
		p = p[excess-drop:]
	}
	c.waiting = append(c.waiting, p...)
	c.news.Signal()
}

// Read implements io.Reader.
func (c *client) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && !c.ended {
		c.news.Wait()
	}
	if c.lost > 0 {
		notice := fmt.Sprintf("\r\n[%d bytes were left out: the guest writes faster than this console reads]\r\n", c.lost)
		c.waiting = append([]byte(notice), c.waiting...)
		c.lost = 0
	}
	if len(c.waiting) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.waiting)
	c.waiting = append(c.waiting[:0], c.waiting[n:]...)
	return n, nil
}

// Write implements io.Writer.
func (c *client) Write(p []byte) (int, error) {
	select {
	case <-c.gone:
		return 0, io.ErrClosedPipe
	default:
	}
	return c.line.Type(p, c.gone)
}

// Close implements io.Closer.
func (c *client) Close() error {
	last := c.line.leave(c)
	c.end()
	if last && c.line.Idle != nil {
		c.line.Idle()
	}
	return nil
}

func (c *client) end() {
	c.once.Do(func() {
		close(c.gone)
		c.mu.Lock()
		c.ended = true
		c.news.Broadcast()
		c.mu.Unlock()
	})
}
