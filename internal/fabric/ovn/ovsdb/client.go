package ovsdb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"time"
)

// Config says what a Client connects to and follows.
type Config struct {
	Socket   string              // path of the server's unix socket, or tcp:HOST:PORT
	Database string              // name of the database
	Follow   map[string][]string // tables and columns to keep a copy of
	Log      *slog.Logger        // nil for the default

	// Changed is told about each row that appeared (old is nil), changed, or
	// went (new is nil). It must return at once. Nil for nobody.
	Changed func(table, uuid string, old, new Row)
}

// Client is a connection that is made again whenever it breaks. Its methods may
// be called concurrently.
type Client struct {
	config Config
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}

	// mu guards what follows.
	mu     sync.RWMutex
	conn   *connection // nil while there is none
	schema schema
	tables Tables
	moved  chan struct{} // closed and replaced whenever anything here changes
}

// Open starts a client and waits for its first copy of the database.
func Open(ctx context.Context, config Config) (*Client, error) {
	live, stop := context.WithCancel(context.Background())
	c := &Client{
		config: config,
		log:    config.Log,
		stop:   stop,
		done:   make(chan struct{}),
		moved:  make(chan struct{}),
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	go c.run(live)
	err := c.connected(ctx)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to database %s at %s: %w", config.Database, config.Socket, err)
	}
	return c, nil
}

// Close ends the connection and waits for the client's goroutines.
func (c *Client) Close() {
	c.stop()
	<-c.done
}

// View calls f with the copy. f must neither change nor keep the rows.
func (c *Client) View(f func(Tables)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f(c.tables)
}

// Await returns nil as soon as the condition holds for the copy, and an error when
// ctx ends before.
func (c *Client) Await(ctx context.Context, condition func(Tables) bool) error {
	return c.await(ctx, func() bool { return condition(c.tables) })
}

func (c *Client) connected(ctx context.Context) error {
	return c.await(ctx, func() bool { return c.conn != nil })
}

func (c *Client) await(ctx context.Context, condition func() bool) error {
	for {
		c.mu.RLock()
		ok, moved := condition(), c.moved
		c.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Transact performs the operations together or not at all. While there is no
// connection it waits for one.
func (c *Client) Transact(ctx context.Context, ops ...Op) error {
	err := c.connected(ctx)
	if err != nil {
		return fmt.Errorf("wait for database %s: %w", c.config.Database, err)
	}
	c.mu.RLock()
	conn, schema := c.conn, c.schema
	c.mu.RUnlock()
	if conn == nil {
		return ErrDisconnected
	}
	params := make([]any, 0, len(ops)+1)
	params = append(params, c.config.Database)
	for _, op := range ops {
		p, err := schema.operation(op)
		if err != nil {
			return fmt.Errorf("encode %s of %s %s: %w", op.kind, op.table, op.uuid, err)
		}
		params = append(params, p)
	}
	answer, err := conn.call(ctx, "transact", params)
	if err != nil {
		return err
	}
	return transactError(answer, ops)
}

// transactError finds the operation that failed. An answer has one result for
// each operation, nulls behind the one that failed, and a further result when
// the commit itself was refused.
func transactError(answer json.RawMessage, ops []Op) error {
	var results []struct {
		Error   string `json:"error"`
		Details string `json:"details"`
	}
	err := json.Unmarshal(answer, &results)
	if err != nil {
		return fmt.Errorf("read transaction result: %w", err)
	}
	for i, r := range results {
		switch {
		case r.Error == "":
		case i < len(ops):
			return fmt.Errorf("%s %s %s: %s: %s", ops[i].kind, ops[i].table, ops[i].uuid, r.Error, r.Details)
		default:
			return fmt.Errorf("commit: %s: %s", r.Error, r.Details)
		}
	}
	return nil
}

// operation encodes an operation for the wire.
func (s schema) operation(op Op) (map[string]any, error) {
	where := []any{[]any{"_uuid", "==", []string{"uuid", op.uuid}}}
	switch op.kind {
	case "commit":
		return map[string]any{"op": "commit", "durable": true}, nil
	case "delete":
		return map[string]any{"op": "delete", "table": op.table, "where": where}, nil
	case "increment":
		return map[string]any{"op": "mutate", "table": op.table, "where": where,
			"mutations": []any{[]any{op.column, "+=", 1}}}, nil
	case "mutate":
		col, ok := s[op.table][op.column]
		if !ok {
			return nil, fmt.Errorf("no column %s", op.column)
		}
		var mutations []any
		for _, m := range []struct {
			mutator string
			atoms   Set
		}{{"delete", op.remove}, {"insert", op.add}} {
			if len(m.atoms) == 0 {
				continue
			}
			set, err := col.encodeSet(m.atoms)
			if err != nil {
				return nil, err
			}
			mutations = append(mutations, []any{op.column, m.mutator, set})
		}
		return map[string]any{"op": "mutate", "table": op.table, "where": where, "mutations": mutations}, nil
	}
	row := make(map[string]any, len(op.row))
	for name, value := range op.row {
		col, ok := s[op.table][name]
		if !ok {
			return nil, fmt.Errorf("no column %s", name)
		}
		encoded, err := col.encode(value)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		row[name] = encoded
	}
	if op.kind == "insert" {
		return map[string]any{"op": "insert", "table": op.table, "uuid": op.uuid, "row": row}, nil
	}
	return map[string]any{"op": "update", "table": op.table, "where": where, "row": row}, nil
}

// run connects, follows, and connects again until the client is closed.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	pause := 20 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 2*time.Second {
			pause = 20 * time.Millisecond
		}
		c.log.Debug("database connection ended", "database", c.config.Database, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, time.Second)
	}
}

// follow makes one connection, reads the copy, and keeps it until the connection
// ends.
func (c *Client) follow(ctx context.Context) error {
	var dialer net.Dialer
	network, address := "unix", strings.TrimPrefix(c.config.Socket, "unix:")
	if rest, tcp := strings.CutPrefix(c.config.Socket, "tcp:"); tcp {
		network, address = "tcp", rest
	}
	socket, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	var parsed schema
	conn := newConnection(socket, func(updates json.RawMessage) error {
		return c.apply(parsed, updates)
	})
	defer conn.close()
	stop := context.AfterFunc(ctx, conn.close)
	defer stop()

	setup, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	answer, err := conn.call(setup, "get_schema", []any{c.config.Database})
	if err != nil {
		return fmt.Errorf("ask for schema: %w", err)
	}
	parsed, err = parseSchema(answer)
	if err != nil {
		return err
	}
	requests := map[string]any{}
	for table, columns := range c.config.Follow {
		requests[table] = []any{map[string]any{"columns": columns}}
	}
	// The first copy and the updates behind it arrive in one order, which only
	// the reading goroutine knows: it calls this before it reads on.
	err = conn.callThen(setup, "monitor_cond", []any{c.config.Database, nil, requests}, func(first json.RawMessage) error {
		return c.begin(conn, parsed, first)
	})
	if err != nil {
		return fmt.Errorf("follow tables: %w", err)
	}
	<-conn.ended
	c.mu.Lock()
	c.conn = nil
	c.wake()
	c.mu.Unlock()
	return conn.err
}

// begin replaces the copy by what a new connection reported first.
func (c *Client) begin(conn *connection, s schema, first json.RawMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.tables
	c.tables = Tables{}
	for table := range c.config.Follow {
		c.tables[table] = map[string]Row{}
	}
	err := c.merge(s, first, func(table, uuid string, _, row Row) {
		c.report(table, uuid, before[table][uuid], row)
	})
	if err != nil {
		return err
	}
	for table, rows := range before {
		for uuid, row := range rows {
			if c.tables[table][uuid] == nil {
				c.report(table, uuid, row, nil)
			}
		}
	}
	c.conn, c.schema = conn, s
	c.wake()
	return nil
}

func (c *Client) apply(s schema, updates json.RawMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.merge(s, updates, c.report)
	if err != nil {
		return err
	}
	c.wake()
	return nil
}

func (c *Client) report(table, uuid string, old, row Row) {
	if c.config.Changed != nil {
		c.config.Changed(table, uuid, old, row)
	}
}

func (c *Client) wake() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// merge brings updates into the copy.
func (c *Client) merge(s schema, updates json.RawMessage, report func(table, uuid string, old, row Row)) error {
	var tables map[string]map[string]map[string]json.RawMessage
	err := json.Unmarshal(updates, &tables)
	if err != nil {
		return fmt.Errorf("read updates: %w", err)
	}
	for table, rows := range tables {
		for uuid, update := range rows {
			for kind, data := range update {
				old := c.tables[table][uuid]
				row, err := s.mergeRow(table, kind, old, data, c.config.Follow[table])
				if err != nil {
					return fmt.Errorf("read %s of %s %s: %w", kind, table, uuid, err)
				}
				if row == nil {
					delete(c.tables[table], uuid)
				} else {
					c.tables[table][uuid] = row
				}
				report(table, uuid, old, row)
			}
		}
	}
	return nil
}

func (s schema) mergeRow(table, kind string, old Row, data json.RawMessage, follow []string) (Row, error) {
	if kind == "delete" {
		return nil, nil
	}
	var values map[string]json.RawMessage
	err := json.Unmarshal(data, &values)
	if err != nil {
		return nil, err
	}
	row := Row{}
	if kind == "modify" {
		maps.Copy(row, old)
	} else {
		for _, name := range follow {
			row[name] = s[table][name].zero()
		}
	}
	for name, raw := range values {
		col := s[table][name]
		value, err := col.decode(raw)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		if kind == "modify" {
			value = col.apply(old[name], value)
		}
		row[name] = value
	}
	return row, nil
}
