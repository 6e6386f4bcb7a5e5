// Package postgres is the message bus through PostgreSQL's LISTEN and NOTIFY:
// several servers need nothing but their database.
//
// Each process has one connection that listens, to the channel of everybody and
// to one of its own, named by the process id of its backend. A process answers a
// topic by holding an advisory lock that follows from the topic's name. Whoever
// asks looks the holder up and notifies its channel in one statement; when
// nobody holds the lock, nobody answers, and that is known at once. Locks and
// channels end with the connection, so a process that dies leaves nothing behind.
//
// A notification holds less than 8000 bytes, so a frame that is longer goes as
// several (parts.go). The server delivers what one transaction sends together
// and in the order of commits.
package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"nacre/internal/bus"
	"nacre/internal/errs"
)

// Timing of the connection that listens.
const (
	dialing  = 10 * time.Second
	shortest = 100 * time.Millisecond // between two attempts to connect
	longest  = 5 * time.Second
	silence  = 15 * time.Second // after which we look whether the server is still there
	sending  = 10 * time.Second
)

const everybody = "nacre" // the channel that all processes listen to

// Options are what a bus is made of.
type Options struct {
	URL string       // postgres://…
	Log *slog.Logger // slog.Default, if nil
}

// Bus is the bus of a process. It implements bus.Bus.
type Bus struct {
	*bus.Shared
	config *pgx.ConnConfig
	out    *sql.DB
	log    *slog.Logger
	stop   context.CancelFunc
	kept   chan struct{} // closed when the keeper has ended

	mu     sync.Mutex // guards what follows
	home   string     // the channel of this process, "" without a connection
	topics []string   // that it answers
	look   func()     // makes the listener look at topics
}

// Open makes the bus. It connects in the background.
func Open(o Options) (*Bus, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	config.ConnectTimeout = dialing
	ctx, stop := context.WithCancel(context.Background())
	b := &Bus{config: config, out: stdlib.OpenDB(*config), log: o.Log, stop: stop, kept: make(chan struct{}), look: func() {}}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.out.SetMaxOpenConns(4)
	b.out.SetMaxIdleConns(2)
	b.Shared = bus.NewShared(wire{b}, b.log)
	go b.keep(ctx)
	return b, nil
}

// Close implements bus.Bus.
func (b *Bus) Close() error {
	err := b.Shared.Close()
	b.stop()
	<-b.kept
	return errors.Join(err, b.out.Close())
}

// Up tells whether there is a connection.
func (b *Bus) Up() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.home != ""
}

// keep keeps the process listening until the context ends.
func (b *Bus) keep(ctx context.Context) {
	defer close(b.kept)
	pause := shortest
	for ctx.Err() == nil {
		conn, err := b.connect(ctx)
		if err == nil {
			pause = shortest
			err = b.listen(ctx, conn)
			b.arrive("", func() {})
			conn.Close(context.WithoutCancel(ctx))
			b.Lost(errs.Unavailablef("The connection to the database was lost.").Because(err))
		}
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("message bus: not connected", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, longest)
	}
}

func (b *Bus) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, b.config)
	if err != nil {
		return nil, err
	}
	for _, channel := range []string{everybody, home(conn)} {
		_, err = conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize())
		if err != nil {
			conn.Close(ctx)
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	return conn, nil
}

// home is the channel of the process that has the connection.
func home(conn *pgx.Conn) string {
	return everybody + "_" + strconv.FormatUint(uint64(conn.PgConn().PID()), 10)
}

// arrive says where this process can be reached, and how to wake its listener.
func (b *Bus) arrive(home string, look func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.home, b.look = home, look
}

// listen hears notifications until the connection or the context ends. The
// connection belongs to this goroutine; it is interrupted when the topics change.
func (b *Bus) listen(ctx context.Context, conn *pgx.Conn) error {
	locked, parts := map[string]bool{}, assembler{}
	for {
		waiting, interrupt := context.WithTimeout(ctx, silence)
		b.arrive(home(conn), interrupt)
		err := b.lock(ctx, conn, locked)
		for err == nil {
			var n *pgconn.Notification
			n, err = conn.WaitForNotification(waiting)
			if err == nil {
				b.hear(parts, n)
			}
		}
		interrupted := waiting.Err() != nil
		interrupt()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !interrupted || conn.IsClosed() {
			return fmt.Errorf("listen: %w", err)
		}
	}
}

// lock holds the locks of exactly the topics that this process answers. That the
// server replies also shows that it is there.
func (b *Bus) lock(ctx context.Context, conn *pgx.Conn, locked map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, dialing)
	defer cancel()
	b.mu.Lock()
	topics := b.topics
	b.mu.Unlock()
	for _, topic := range topics {
		if locked[topic] {
			continue
		}
		_, err := conn.Exec(ctx, "SELECT pg_advisory_lock_shared($1)", lockOf(topic))
		if err != nil {
			return err
		}
		locked[topic] = true
	}
	for topic := range locked {
		if slices.Contains(topics, topic) {
			continue
		}
		_, err := conn.Exec(ctx, "SELECT pg_advisory_unlock_shared($1)", lockOf(topic))
		if err != nil {
			return err
		}
		delete(locked, topic)
	}
	return conn.Ping(ctx)
}

// lockOf is the key of the lock that those who answer the topic share.
func lockOf(topic string) int64 {
	h := fnv.New64a()
	h.Write([]byte("nacre answers " + topic))
	return int64(h.Sum64())
}

func (b *Bus) hear(parts assembler, n *pgconn.Notification) {
	frame, whole, err := parts.add(n.PID, n.Payload)
	if err != nil {
		b.log.Error("message bus: unreadable notification", "channel", n.Channel, "error", err)
	}
	if whole {
		b.Receive([]byte(frame))
	}
}

// wire is how the shared part of the bus moves frames.
type wire struct{ b *Bus }

// Answering implements bus.Wire.
func (w wire) Answering(topics []string) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.b.topics = slices.Clone(topics)
	w.b.look()
}

// Spread implements bus.Wire.
func (w wire) Spread(ctx context.Context, f bus.Frame) error {
	_, err := w.send(ctx, f, "SELECT pg_notify($1, part) FROM unnest($2::text[]) part", everybody)
	return err
}

// Ask implements bus.Wire.
func (w wire) Ask(ctx context.Context, topic string, f bus.Frame) error {
	key := uint64(lockOf(topic))
	sent, err := w.send(ctx, f, `
		SELECT pg_notify($1 || '_' || pid, part) FROM (
			SELECT pid FROM pg_locks
			WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = $3::bigint::oid AND objid = $4::bigint::oid
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			ORDER BY random() LIMIT 1
		) holder, unnest($2::text[]) part`, everybody, int64(key>>32), int64(key&0xffffffff))
	if err == nil && sent == 0 {
		return bus.ErrNobody
	}
	return err
}

// Reply implements bus.Wire.
func (w wire) Reply(ctx context.Context, to string, f bus.Frame) error {
	_, err := w.send(ctx, f, "SELECT pg_notify($1, part) FROM unnest($2::text[]) part", to)
	return err
}

// send runs a statement with the parts of the frame as its second argument, and
// tells how many rows it had.
func (w wire) send(ctx context.Context, f bus.Frame, statement string, channel string, more ...any) (int64, error) {
	w.b.mu.Lock()
	f.ReplyTo = w.b.home
	w.b.mu.Unlock()
	if f.ReplyTo == "" {
		return 0, errs.Unavailablef("The database is not reachable at the moment.")
	}
	whole, err := json.Marshal(f)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, sending)
	defer cancel()
	result, err := w.b.out.ExecContext(ctx, statement, append([]any{channel, split(string(whole))}, more...)...)
	if err != nil {
		return 0, errs.Unavailablef("The database did not take the message.").Because(err)
	}
	return result.RowsAffected()
}
