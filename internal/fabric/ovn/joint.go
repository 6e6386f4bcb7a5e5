package ovn

import (
	"errors"
	"net"
	"sync"
)

// joint is several listeners as one.
type joint struct {
	parts    []net.Listener
	accepted chan accepted
	closed   chan struct{}
	once     sync.Once
	waiting  sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// join makes one listener of several, which it closes.
func join(parts ...net.Listener) *joint {
	j := &joint{parts: parts, accepted: make(chan accepted), closed: make(chan struct{})}
	for _, part := range parts {
		j.waiting.Go(func() { j.accept(part) })
	}
	return j
}

func (j *joint) accept(part net.Listener) {
	for {
		conn, err := part.Accept()
		select {
		case j.accepted <- accepted{conn, err}:
		case <-j.closed:
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// Accept implements net.Listener. When one part breaks, the whole does.
func (j *joint) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (j *joint) Close() error {
	var err error
	j.once.Do(func() {
		close(j.closed)
		for _, part := range j.parts {
			err = errors.Join(err, part.Close())
		}
		j.waiting.Wait()
	})
	return err
}

// Addr implements net.Listener: the first part's.
func (j *joint) Addr() net.Addr { return j.parts[0].Addr() }
