package ovsdb

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// connection is JSON-RPC 1.0 over one socket.
type connection struct {
	socket net.Conn
	update func(json.RawMessage) error
	ended  chan struct{} // closed when the reader has stopped
	err    error         // why it stopped; valid once ended is closed

	sending sync.Mutex // held while a message is written
	echoes  sync.WaitGroup

	// mu guards what follows.
	mu      sync.Mutex
	next    int64
	waiting map[int64]*pending
}

// pending is a call that has not been answered.
type pending struct {
	then   func(json.RawMessage) error // runs in the reader, before it reads on
	answer chan reply
}

type reply struct {
	result json.RawMessage
	err    error
}

type message struct {
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
	ID     json.RawMessage `json:"id"`
}

func newConnection(socket net.Conn, update func(json.RawMessage) error) *connection {
	c := &connection{
		socket:  socket,
		update:  update,
		ended:   make(chan struct{}),
		waiting: map[int64]*pending{},
	}
	go c.read()
	return c
}

// close ends the connection and waits for its reader.
func (c *connection) close() {
	c.socket.Close()
	<-c.ended
	c.echoes.Wait()
}

// Call makes one call at a unix socket and returns its result. The control
// sockets of the Open vSwitch and OVN daemons speak the same protocol as their
// databases; their results are text.
func Call(ctx context.Context, socket, method string, params ...string) (string, error) {
	var dialer net.Dialer
	s, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	c := newConnection(s, func(json.RawMessage) error { return nil })
	defer c.close()
	list := make([]any, 0, len(params))
	for _, p := range params {
		list = append(list, p)
	}
	answer, err := c.call(ctx, method, list)
	if err != nil {
		return "", fmt.Errorf("call %s: %w", method, err)
	}
	var text string
	err = json.Unmarshal(answer, &text)
	return text, err
}

func (c *connection) call(ctx context.Context, method string, params []any) (json.RawMessage, error) {
	return c.request(ctx, method, params, nil)
}

func (c *connection) callThen(ctx context.Context, method string, params []any, then func(json.RawMessage) error) error {
	_, err := c.request(ctx, method, params, then)
	return err
}

func (c *connection) request(ctx context.Context, method string, params []any, then func(json.RawMessage) error) (json.RawMessage, error) {
	p := &pending{then: then, answer: make(chan reply, 1)}
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = p
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()

	err := c.send(map[string]any{"method": method, "params": params, "id": id})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-p.answer:
		return r.result, r.err
	case <-c.ended:
		// The answer may have come just before the end.
		select {
		case r := <-p.answer:
			return r.result, r.err
		default:
			return nil, ErrDisconnected
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *connection) send(m any) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	_, err = c.socket.Write(data)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrDisconnected, err)
	}
	return nil
}

func (c *connection) read() {
	defer close(c.ended)
	defer c.socket.Close()
	decoder := json.NewDecoder(c.socket)
	for {
		var m message
		err := decoder.Decode(&m)
		if err == nil {
			err = c.handle(m)
		}
		if err != nil {
			c.err = err
			return
		}
	}
}

func (c *connection) handle(m message) error {
	switch m.Method {
	case "":
		return c.answered(m)
	case "echo":
		// Sent from a goroutine of its own: the server may wait with reading
		// until we have read what it has to say.
		c.echoes.Go(func() {
			err := c.send(map[string]any{"result": m.Params, "error": nil, "id": m.ID})
			if err != nil {
				c.socket.Close()
			}
		})
	case "update2":
		var params []json.RawMessage
		err := json.Unmarshal(m.Params, &params)
		if err != nil || len(params) != 2 {
			return fmt.Errorf("update with parameters %.60s", m.Params)
		}
		return c.update(params[1])
	}
	return nil
}

func (c *connection) answered(m message) error {
	var id int64
	err := json.Unmarshal(m.ID, &id)
	if err != nil {
		return fmt.Errorf("answer with id %s", m.ID)
	}
	c.mu.Lock()
	p := c.waiting[id]
	c.mu.Unlock()
	if p == nil {
		return nil // nobody waits for it any more
	}
	r := reply{result: m.Result}
	if len(m.Error) > 0 && string(m.Error) != "null" {
		r.err = fmt.Errorf("database server: %s", m.Error)
	} else if p.then != nil {
		r.err = p.then(m.Result)
	}
	p.answer <- r
	return nil
}
