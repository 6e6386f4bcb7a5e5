package nodeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Limits on what one peer may have open at the other.
const (
	maxQueries = 256
	maxStreams = 256
	maxQueued  = 4 * MaxFrame // bytes of frames that wait to be written
)

// Handlers say what to do with what arrives. Desired, Observed, Info and Servers are
// called one after the other, in order, and hold up the connection until they
// return. Query and Serve run beside each other.
type Handlers struct {
	Desired  func(Desired)
	Observed func(Observed)
	Info     func(HostInfo)
	Servers  func(Servers)

	// Query answers a question. A *RemoteError is sent as it is.
	Query func(ctx context.Context, name string, payload json.RawMessage) (any, error)

	// Stream accepts a stream, or refuses it with an error. What it returns
	// then serves the stream, which is closed when that returns, or reset, when
	// it returns an error.
	Stream func(ctx context.Context, kind, id string) (func(s *Stream) error, error)
}

// Conn is one connection after the greeting. Its methods may be called
// concurrently. An idle connection has one goroutine: the one that called
// Serve.
type Conn struct {
	rwc      io.ReadWriteCloser
	handlers Handlers
	received atomic.Uint64
	done     chan struct{} // closed with the connection
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup // the writer and what the handlers run in

	mu      sync.Mutex // guards all below
	closed  bool
	err     error         // why it closed
	queue   [][]byte      // frames to write
	queued  int           // bytes in queue
	writing bool          // a writer is at work
	room    chan struct{} // closed when the queue has been taken; nil: nobody waits
	nextAsk uint64
	asks    map[uint64]chan reply
	nextOut uint32 // next number of a stream we open: odd for who dialled
	streams map[uint32]*Stream
	queries int // open questions of the peer
	inbound int // open streams of the peer
}

// ErrClosed is what is left of a question or a stream whose connection has ended.
var ErrClosed = errors.New("node stream is closed")

// NewConn makes a connection of a greeted stream. One side has dialled, the
// other has not.
func NewConn(rwc io.ReadWriteCloser, dialled bool, handlers Handlers) *Conn {
	c := &Conn{
		rwc:      rwc,
		handlers: handlers,
		done:     make(chan struct{}),
		asks:     map[uint64]chan reply{},
		streams:  map[uint32]*Stream{},
		nextOut:  2,
	}
	if dialled {
		c.nextOut = 1
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Serve reads until the connection ends, waits for the handlers, and says why.
// Ending the context closes the connection.
func (c *Conn) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.close(ctx.Err()) })
	defer stop()
	for {
		kind, payload, err := readFrame(c.rwc)
		if err == nil {
			c.received.Add(1)
			err = c.handle(kind, payload)
		}
		if err != nil {
			c.close(err)
			break
		}
	}
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, at once.
func (c *Conn) Close() { c.close(ErrClosed) }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Received counts the frames that have arrived. Who pings and sees it stand
// still has lost the peer.
func (c *Conn) Received() uint64 { return c.received.Load() }

// Ping makes the peer send a frame.
func (c *Conn) Ping() { c.enqueue(encode(framePing, nil)) }

// SendDesired sends desired documents, waiting while too much waits already.
func (c *Conn) SendDesired(ctx context.Context, d Desired) error {
	return c.sendJSON(ctx, frameDesired, d)
}

// SendObserved sends observed documents.
func (c *Conn) SendObserved(ctx context.Context, o Observed) error {
	return c.sendJSON(ctx, frameObserved, o)
}

// SendInfo sends what the host has.
func (c *Conn) SendInfo(ctx context.Context, info HostInfo) error {
	return c.sendJSON(ctx, frameInfo, info)
}

// SendServers tells the node where the servers are.
func (c *Conn) SendServers(ctx context.Context, s Servers) error {
	return c.sendJSON(ctx, frameServers, s)
}

// Ask asks the peer and waits for its answer. What the peer refuses is a
// *RemoteError.
func (c *Conn) Ask(ctx context.Context, name string, payload any) (json.RawMessage, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	answer := make(chan reply, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, fmt.Errorf("ask %s: %w", name, ErrClosed)
	}
	c.nextAsk++
	id := c.nextAsk
	c.asks[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asks, id)
		c.mu.Unlock()
	}()
	err = c.sendJSON(ctx, frameQuery, query{ID: id, Name: name, Payload: body})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			return nil, fmt.Errorf("ask %s: %w", name, r.Error)
		}
		return r.Payload, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s: %w", name, ctx.Err())
	case <-c.done:
		return nil, fmt.Errorf("ask %s: %w", name, ErrClosed)
	}
}

// close ends the connection and everything on it.
func (c *Conn) close(cause error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.err = cause
	c.queue = nil
	streams := c.streams
	c.streams = map[uint32]*Stream{}
	close(c.done)
	c.mu.Unlock()
	c.cancel()
	c.rwc.Close()
	for _, s := range streams {
		s.fail(ErrClosed)
	}
}

// run starts a goroutine that Serve waits for, unless the connection is over.
// The lock is held.
func (c *Conn) run(do func()) bool {
	if c.closed {
		return false
	}
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		do()
	}()
	return true
}

func (c *Conn) sendJSON(ctx context.Context, kind byte, value any) error {
	frame, err := encodeJSON(kind, value)
	if err != nil {
		return err
	}
	return c.send(ctx, frame)
}

// send queues a frame, waiting for room.
func (c *Conn) send(ctx context.Context, frame []byte) error {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return ErrClosed
		}
		if c.queued < maxQueued/2 {
			c.push(frame)
			c.mu.Unlock()
			return nil
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return ErrClosed
		}
	}
}

// enqueue queues a small frame without waiting, as the reader must. A peer
// that makes us write and never reads is cut off.
func (c *Conn) enqueue(frame []byte) {
	c.mu.Lock()
	full := c.queued > maxQueued
	if !full && !c.closed {
		c.push(frame)
	}
	c.mu.Unlock()
	if full {
		c.close(fmt.Errorf("%w: the peer does not read", errProtocol))
	}
}

// push hands the frame to the writer, starting it if it rests. The lock is
// held.
func (c *Conn) push(frame []byte) {
	c.queue = append(c.queue, frame)
	c.queued += len(frame)
	if !c.writing {
		c.writing = c.run(c.write)
	}
}

// write writes what is queued and ends.
func (c *Conn) write() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.closed {
			c.writing = false
			c.mu.Unlock()
			return
		}
		frames := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, frame := range frames {
			_, err := c.rwc.Write(frame)
			if err != nil {
				c.close(fmt.Errorf("write to the node stream: %w", err))
				break
			}
			c.mu.Lock()
			c.queued -= len(frame)
			if c.room != nil && c.queued < maxQueued/2 {
				close(c.room)
				c.room = nil
			}
			c.mu.Unlock()
		}
	}
}

func (c *Conn) handle(kind byte, payload []byte) error {
	switch kind {
	case frameDesired:
		return take(payload, c.handlers.Desired)
	case frameObserved:
		return take(payload, c.handlers.Observed)
	case frameInfo:
		return take(payload, c.handlers.Info)
	case frameServers:
		return take(payload, c.handlers.Servers)
	case frameQuery:
		return take(payload, c.answer)
	case frameReply:
		return take(payload, c.answered)
	case frameOpen:
		return take(payload, c.opening)
	case frameOpened:
		return take(payload, c.opened)
	case frameData, frameWindow, frameReset:
		return c.streamFrame(kind, payload)
	case framePing:
		c.enqueue(encode(framePong, nil))
	}
	return nil
}

// take decodes a frame for its handler. Nobody sends us what we don't handle.
func take[T any](payload []byte, handler func(T)) error {
	if handler == nil {
		return fmt.Errorf("%w: unexpected frame", errProtocol)
	}
	var value T
	err := decode(payload, &value)
	if err != nil {
		return err
	}
	handler(value)
	return nil
}

// answer runs the handler of a question beside the reader.
func (c *Conn) answer(q query) {
	c.mu.Lock()
	busy := c.queries >= maxQueries
	if !busy {
		c.queries++
		c.run(func() {
			r := c.ask(q)
			c.mu.Lock()
			c.queries--
			c.mu.Unlock()
			err := c.sendJSON(c.ctx, frameReply, r)
			if err != nil && !errors.Is(err, ErrClosed) {
				r = reply{ID: q.ID, Error: remoteError(err)}
				_ = c.sendJSON(c.ctx, frameReply, r) // fails only when the connection is gone
			}
		})
	}
	c.mu.Unlock()
	if busy {
		c.refuse(frameReply, reply{ID: q.ID, Error: &RemoteError{http.StatusServiceUnavailable, "too many questions at a time"}})
	}
}

func (c *Conn) ask(q query) reply {
	if c.handlers.Query == nil {
		return reply{ID: q.ID, Error: &RemoteError{http.StatusNotFound, "nobody answers " + q.Name}}
	}
	value, err := c.handlers.Query(c.ctx, q.Name, q.Payload)
	if err != nil {
		return reply{ID: q.ID, Error: remoteError(err)}
	}
	payload, err := json.Marshal(value)
	if err != nil {
		return reply{ID: q.ID, Error: remoteError(err)}
	}
	return reply{ID: q.ID, Payload: payload}
}

func (c *Conn) answered(r reply) {
	c.mu.Lock()
	answer := c.asks[r.ID]
	delete(c.asks, r.ID)
	c.mu.Unlock()
	if answer != nil {
		answer <- r
	}
}

// refuse sends a small refusal from the reader.
func (c *Conn) refuse(kind byte, value any) {
	frame, err := encodeJSON(kind, value)
	if err != nil {
		c.close(err)
		return
	}
	c.enqueue(frame)
}

func remoteError(err error) *RemoteError {
	var remote *RemoteError
	if errors.As(err, &remote) {
		return remote
	}
	return &RemoteError{Status: http.StatusInternalServerError, Message: err.Error()}
}
