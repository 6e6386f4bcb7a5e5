// Package qmp speaks the QEMU Machine Protocol: JSON over a unix socket.
//
// A client has one connection and one goroutine that reads it. Commands may be
// given concurrently; each waits for the answer with its id. Events go to the
// function given at Dial, which must not block, and to whoever waits for them
// at that moment. A QEMU answers one client at a time: a second connection
// waits until the first has ended.
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds one message of QEMU, which the guest may have taken over.
const maxMessage = 8 << 20

// ErrClosed says that the connection has ended, most often because QEMU has.
var ErrClosed = errors.New("qmp: connection closed")

// Error is QEMU's refusal of a command.
type Error struct {
	Command string
	Class   string `json:"class"` // GenericError, DeviceNotFound, …
	Desc    string `json:"desc"`
}

func (e *Error) Error() string { return e.Command + ": " + e.Desc }

// Event is something that happened.
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// Client is one connection.
type Client struct {
	conn    *net.UnixConn
	onEvent func(Event)
	done    chan struct{}

	writing sync.Mutex // guards writes to conn: a command and its descriptor stay together

	mu      sync.Mutex // guards what follows
	nextID  int64
	pending map[int64]chan reply
	waiters map[*waiter]struct{}
	err     error // why the connection ended
}

type reply struct {
	result json.RawMessage
	err    error
}

type waiter struct {
	match func(Event) bool
	found chan Event
}

// message is everything that QEMU says.
type message struct {
	QMP    json.RawMessage `json:"QMP"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`
	ID     int64           `json:"id"`
}

// Dial connects, greets and leaves negotiation mode. onEvent may be nil.
func Dial(ctx context.Context, path string, onEvent func(Event)) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("qmp: %w", err)
	}
	c := &Client{
		conn:    conn.(*net.UnixConn),
		onEvent: onEvent,
		done:    make(chan struct{}),
		pending: map[int64]chan reply{},
		waiters: map[*waiter]struct{}{},
	}
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 4096), maxMessage)
	err = c.greet(ctx, in)
	if err != nil {
		conn.Close()
		return nil, err
	}
	go c.read(in)
	err = c.Execute(ctx, "qmp_capabilities", nil, nil)
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// greet waits for QEMU's first line. It comes when the former client is gone.
func (c *Client) greet(ctx context.Context, in *bufio.Scanner) error {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(time.Unix(1, 0)) })
	ok := in.Scan()
	if !stop() {
		return fmt.Errorf("qmp: wait for greeting: %w", ctx.Err())
	}
	if !ok {
		return fmt.Errorf("qmp: no greeting: %w", errors.Join(ErrClosed, in.Err()))
	}
	var m message
	err := json.Unmarshal(in.Bytes(), &m)
	if err != nil || m.QMP == nil {
		return fmt.Errorf("qmp: greeting is %.100q", in.Bytes())
	}
	return nil
}

// read hands out what QEMU says until the connection ends.
func (c *Client) read(in *bufio.Scanner) {
	defer close(c.done)
	err := ErrClosed
	for in.Scan() {
		var m message
		bad := json.Unmarshal(in.Bytes(), &m)
		if bad != nil {
			err = fmt.Errorf("qmp: read message: %w", bad)
			break
		}
		if m.Event != "" {
			c.event(Event{Name: m.Event, Data: m.Data})
			continue
		}
		c.mu.Lock()
		to := c.pending[m.ID]
		delete(c.pending, m.ID)
		c.mu.Unlock()
		if to == nil {
			continue // its sender has given up
		}
		if m.Error != nil {
			to <- reply{err: m.Error}
			continue
		}
		to <- reply{result: m.Return}
	}
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for id, to := range c.pending {
		to <- reply{err: err}
		delete(c.pending, id)
	}
}

func (c *Client) event(e Event) {
	if c.onEvent != nil {
		c.onEvent(e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waiters {
		if w.match(e) {
			w.found <- e
			delete(c.waiters, w)
		}
	}
}

// Execute gives a command and waits for its answer. Arguments are a struct or
// a map, nil for none; the answer is decoded into result unless that is nil.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	return c.execute(ctx, command, arguments, result, -1)
}

// ExecuteFD gives a command together with a file descriptor (getfd, add-fd).
// The descriptor stays the caller's.
func (c *Client) ExecuteFD(ctx context.Context, command string, arguments any, fd int) error {
	return c.execute(ctx, command, arguments, nil, fd)
}

func (c *Client) execute(ctx context.Context, command string, arguments, result any, fd int) error {
	answer := make(chan reply, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return fmt.Errorf("%s: %w", command, c.err)
	}
	c.nextID++
	id := c.nextID
	c.pending[id] = answer
	c.mu.Unlock()
	forget := func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}

	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int64  `json:"id"`
	}{command, arguments, id})
	if err != nil {
		forget()
		return fmt.Errorf("%s: %w", command, err)
	}
	err = c.write(ctx, append(line, '\n'), fd)
	if err != nil {
		forget()
		return fmt.Errorf("%s: %w", command, err)
	}
	var r reply
	select {
	case r = <-answer:
	case <-ctx.Done():
		forget()
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
	var refused *Error
	if errors.As(r.err, &refused) {
		refused.Command = command
		return refused
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", command, r.err)
	}
	if result == nil {
		return nil
	}
	err = json.Unmarshal(r.result, result)
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", command, err)
	}
	return nil
}

// write sends one command. A QEMU that hangs does not read, so the context's
// end ends the write; what follows half a command is lost, therefore the
// connection ends too.
func (c *Client) write(ctx context.Context, line []byte, fd int) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	_, _, err := c.conn.WriteMsgUnix(line, rights, nil)
	return err
}

// Expect begins to wait for an event, before the command that causes it is
// given. The function it returns waits until the event is there, and must be
// called.
func (c *Client) Expect(match func(Event) bool) func(context.Context) (Event, error) {
	w := &waiter{match: match, found: make(chan Event, 1)}
	c.mu.Lock()
	c.waiters[w] = struct{}{}
	c.mu.Unlock()
	return func(ctx context.Context) (Event, error) {
		defer func() {
			c.mu.Lock()
			delete(c.waiters, w)
			c.mu.Unlock()
		}()
		select {
		case e := <-w.found:
			return e, nil
		case <-c.done:
			select {
			case e := <-w.found:
				return e, nil
			default:
				return Event{}, ErrClosed
			}
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Done is closed when the connection has ended and no event follows.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits for its goroutine.
func (c *Client) Close() {
	c.conn.Close()
	<-c.done
}

// IsClass tells whether QEMU refused with an error of the class.
func IsClass(err error, class string) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Class == class
}

// Says tells whether QEMU refused with a text that contains this one. It is
// for refusals that QEMU has no class for.
func Says(err error, text string) bool {
	var refused *Error
	return errors.As(err, &refused) && strings.Contains(refused.Desc, text)
}
