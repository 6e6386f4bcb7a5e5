package nodeapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// window is how many bytes of a stream may be on their way unread.
const window = 256 << 10

// chunk is how many of them one frame carries.
const chunk = 32 << 10

// Stream is a stream of bytes in both directions inside a connection. Read
// and Write may be called concurrently with each other and with Close.
type Stream struct {
	conn   *Conn
	number uint32
	ours   bool              // we opened it
	ready  chan *RemoteError // the peer's answer to our opening

	mu     sync.Mutex // guards all below
	cond   *sync.Cond
	in     []byte // arrived, unread
	inEnd  bool   // the peer sends no more
	unsaid int    // read, and not yet told the peer
	credit int    // what we may still send
	outEnd bool   // we send no more
	err    error  // it is over
}

func newStream(c *Conn, number uint32, ours bool) *Stream {
	s := &Stream{conn: c, number: number, ours: ours, credit: window, ready: make(chan *RemoteError, 1)}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// Open opens a stream of a kind that the peer knows. What the peer refuses is
// a *RemoteError.
func (c *Conn) Open(ctx context.Context, kind, id string) (*Stream, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, fmt.Errorf("open %s stream: %w", kind, ErrClosed)
	}
	s := newStream(c, c.nextOut, true)
	c.nextOut += 2
	c.streams[s.number] = s
	c.mu.Unlock()
	err := c.sendJSON(ctx, frameOpen, openStream{Stream: s.number, Kind: kind, ID: id})
	if err != nil {
		c.forget(s)
		return nil, fmt.Errorf("open %s stream: %w", kind, err)
	}
	select {
	case refusal := <-s.ready:
		if refusal != nil {
			c.forget(s)
			return nil, fmt.Errorf("open %s stream: %w", kind, refusal)
		}
		return s, nil
	case <-ctx.Done():
		s.Reset()
		return nil, fmt.Errorf("open %s stream: %w", kind, ctx.Err())
	case <-c.done:
		return nil, fmt.Errorf("open %s stream: %w", kind, ErrClosed)
	}
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	for len(s.in) == 0 && !s.inEnd && s.err == nil {
		s.cond.Wait()
	}
	if len(s.in) == 0 {
		defer s.mu.Unlock()
		if s.inEnd {
			return 0, io.EOF
		}
		return 0, s.err
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	if len(s.in) == 0 {
		s.in = nil
	}
	s.unsaid += n
	tell := 0
	if s.unsaid >= window/2 && !s.inEnd && s.err == nil {
		tell, s.unsaid = s.unsaid, 0
	}
	s.mu.Unlock()
	if tell > 0 {
		s.conn.enqueue(encodeNumbers(frameWindow, s.number, uint32(tell)))
	}
	return n, nil
}

// Write implements io.Writer. It waits while the peer does not read.
func (s *Stream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		s.mu.Lock()
		for s.credit == 0 && s.err == nil && !s.outEnd {
			s.cond.Wait()
		}
		if s.err != nil || s.outEnd {
			err := s.err
			s.mu.Unlock()
			if err == nil {
				err = io.ErrClosedPipe
			}
			return written, err
		}
		n := min(len(p), s.credit, chunk)
		s.credit -= n
		s.mu.Unlock()
		payload := make([]byte, 4, 4+n)
		binary.BigEndian.PutUint32(payload, s.number)
		err := s.conn.send(s.conn.ctx, encode(frameData, append(payload, p[:n]...)))
		if err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// CloseWrite tells the peer that no more comes. Reading goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	done := s.outEnd || s.err != nil
	s.outEnd = true
	s.cond.Broadcast()
	s.mu.Unlock()
	if done {
		return nil
	}
	return s.conn.send(s.conn.ctx, encodeNumbers(frameData, s.number))
}

// Close ends both directions. The peer still reads what was written.
func (s *Stream) Close() error {
	err := s.CloseWrite()
	s.Reset()
	return err
}

// Reset ends the stream as an error: what was written may not arrive whole.
func (s *Stream) Reset() {
	known := s.conn.forget(s)
	s.fail(io.ErrClosedPipe)
	if known {
		s.conn.enqueue(encodeNumbers(frameReset, s.number))
	}
}

func (s *Stream) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.cond.Broadcast()
	s.mu.Unlock()
}

// forget takes the stream off the connection and tells whether it was there.
func (c *Conn) forget(s *Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.streams[s.number]
	delete(c.streams, s.number)
	if known && !s.ours {
		c.inbound--
	}
	return known
}

// opening is the peer asking for a stream.
func (c *Conn) opening(o openStream) {
	c.mu.Lock()
	_, taken := c.streams[o.Stream]
	wrong := taken || o.Stream%2 == c.nextOut%2
	busy := c.inbound >= maxStreams
	var s *Stream
	if !wrong && !busy && !c.closed {
		s = newStream(c, o.Stream, false)
		c.streams[o.Stream] = s
		c.inbound++
		c.run(func() { c.serveStream(s, o) })
	}
	c.mu.Unlock()
	switch {
	case wrong:
		c.close(fmt.Errorf("%w: stream number %d", errProtocol, o.Stream))
	case busy:
		c.refuse(frameOpened, openedStream{o.Stream, &RemoteError{http.StatusServiceUnavailable, "too many streams at a time"}})
	}
}

func (c *Conn) serveStream(s *Stream, o openStream) {
	var serve func(*Stream) error
	var err error = &RemoteError{http.StatusNotFound, "nobody serves streams of kind " + o.Kind}
	if c.handlers.Stream != nil {
		serve, err = c.handlers.Stream(c.ctx, o.Kind, o.ID)
	}
	if err != nil {
		c.forget(s)
		s.fail(io.ErrClosedPipe)
		_ = c.sendJSON(c.ctx, frameOpened, openedStream{s.number, remoteError(err)}) // fails only when the connection is gone
		return
	}
	err = c.sendJSON(c.ctx, frameOpened, openedStream{Stream: s.number})
	if err == nil {
		err = serve(s)
	}
	if err != nil {
		s.Reset()
		return
	}
	s.Close()
}

func (c *Conn) opened(o openedStream) {
	c.mu.Lock()
	s := c.streams[o.Stream]
	c.mu.Unlock()
	if s == nil || !s.ours {
		return
	}
	s.answer(o.Error)
}

// answer ends the waiting of Open. A second answer changes nothing.
func (s *Stream) answer(refusal *RemoteError) {
	select {
	case s.ready <- refusal:
	default:
	}
}

// streamFrame handles data, window and reset. Streams that we closed a moment
// ago may still get some.
func (c *Conn) streamFrame(kind byte, payload []byte) error {
	if len(payload) < 4 {
		return fmt.Errorf("%w: short stream frame", errProtocol)
	}
	number, data := binary.BigEndian.Uint32(payload), payload[4:]
	c.mu.Lock()
	s := c.streams[number]
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	if kind == frameReset {
		c.forget(s)
		s.fail(io.ErrClosedPipe)
		s.answer(&RemoteError{http.StatusServiceUnavailable, "the stream was reset"})
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cond.Broadcast()
	if kind == frameWindow {
		if len(data) != 4 {
			return fmt.Errorf("%w: window frame of %d bytes", errProtocol, len(payload))
		}
		more := int64(binary.BigEndian.Uint32(data))
		if int64(s.credit)+more > window {
			return fmt.Errorf("%w: window of stream %d is too wide", errProtocol, number)
		}
		s.credit += int(more)
		return nil
	}
	if len(s.in)+s.unsaid+len(data) > window {
		return fmt.Errorf("%w: stream %d ran over its window", errProtocol, number)
	}
	if len(data) == 0 {
		s.inEnd = true
		return nil
	}
	if s.inEnd {
		return fmt.Errorf("%w: data behind the end of stream %d", errProtocol, number)
	}
	s.in = append(s.in, data...)
	return nil
}
