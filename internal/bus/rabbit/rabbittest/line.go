package rabbittest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line is the way to a broker. It can be cut: then nothing comes through, and
// nobody is told so, as when a switch dies.
type Line struct {
	listener net.Listener
	to       string

	mu    sync.Mutex // guards what follows
	cut   chan struct{}
	conns []net.Conn
}

// NewLine makes a line to the address.
func NewLine(t testing.TB, to string) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{listener: listener, to: to}
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { l.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.Mend()
		l.mu.Lock()
		for _, conn := range l.conns {
			conn.Close()
		}
		l.mu.Unlock()
		carrying.Wait()
	})
	return l
}

// URL is the address of the broker by way of the line.
func (l *Line) URL(broker string) string {
	u, err := url.Parse(broker)
	if err != nil {
		panic(err)
	}
	u.Host = l.listener.Addr().String()
	return u.String()
}

// Cut stops everything on its way.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = make(chan struct{})
}

// Mend lets new connections through. Those from before are lost: what was on
// its way did not arrive.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut == nil {
		return
	}
	close(l.cut)
	l.cut = nil
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

func (l *Line) carry(from net.Conn) {
	defer from.Close()
	l.keep(from)
	l.wait()
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer to.Close()
	l.keep(to)
	back := make(chan struct{})
	go func() {
		defer close(back)
		l.copy(from, to)
	}()
	l.copy(to, from)
	<-back
}

func (l *Line) keep(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
}

// wait returns when the line is whole. It tells whether it was cut.
func (l *Line) wait() (wasCut bool) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut == nil {
		return false
	}
	<-cut
	return true
}

// copy carries bytes one way until either side hangs up or the line is cut.
func (l *Line) copy(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || l.wait() {
			return
		}
		_, err = to.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}
