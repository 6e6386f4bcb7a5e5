// Package rabbit is the message bus through a RabbitMQ broker.
//
// One connection carries everything; each role has a channel of its own on it
// (session.go). Messages go through a fanout exchange to a queue that each
// process has for itself; a question goes to the queue of its topic, which all
// processes that answer the topic consume, and comes back as unroutable when
// there is none; the reply goes to a queue of whoever asked. Those queues carry
// what is worthless after a moment: they live in the broker's memory, expire,
// and go away with the process. What must not be lost goes through quorum
// queues, and is confirmed (notify.go).
//
// A connection that is lost is made anew, at growing intervals, as long as it
// takes; meanwhile everything here fails at once with errs.Unavailable, so that
// nobody waits for a broker. Names begin with "nacre." and the id of the cloud,
// so that clouds may share a virtual host.
package rabbit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"nacre/internal/bus"
	"nacre/internal/errs"
)

// Timing of the connection.
const (
	heartbeat  = 2 * time.Second        // the connection is given up after three without a sign of life
	dialing    = 10 * time.Second       // until the broker has greeted us
	shortest   = 100 * time.Millisecond // between two attempts to connect
	longest    = 5 * time.Second
	confirming = 10 * time.Second // how long the broker may take for a batch
)

// Options are what a bus is made of.
type Options struct {
	URL   string       // amqp://user:password@host:port/vhost, or amqps
	Cloud string       // id: who has the same one hears each other
	Name  string       // of this process, for who looks at the broker's connections
	Log   *slog.Logger // slog.Default, if nil
}

// Bus is the bus of a process. It implements bus.Bus.
type Bus struct {
	*bus.Shared
	url    string
	prefix string // of names on the broker
	name   string
	log    *slog.Logger
	stop   context.CancelFunc
	kept   chan struct{} // closed when the keeper has ended

	mu      sync.Mutex // guards what follows
	session *session   // nil while there is no connection
	topics  []string   // that this process answers
}

// Open makes the bus. It connects in the background: a broker that is away is
// no reason not to start.
func Open(o Options) (*Bus, error) {
	address, err := url.Parse(o.URL)
	if err == nil {
		_, err = amqp.ParseURI(o.URL)
	}
	if err != nil {
		return nil, fmt.Errorf("address of the message broker: %w", hide(err))
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Bus{url: o.URL, prefix: "nacre." + o.Cloud + ".", name: o.Name, log: o.Log, stop: stop, kept: make(chan struct{})}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.log = b.log.With("broker", address.Host)
	b.Shared = bus.NewShared(wire{b}, b.log)
	go b.keep(ctx)
	return b, nil
}

// hide drops the URL, which has the password, from an error.
func hide(err error) error {
	e, ok := err.(*url.Error)
	if ok {
		return e.Err
	}
	return err
}

// Close implements bus.Bus.
func (b *Bus) Close() error {
	err := b.Shared.Close()
	b.stop()
	<-b.kept
	return err
}

// Up tells whether there is a connection, and the broker takes messages.
func (b *Bus) Up() bool {
	_, err := b.connected()
	return err == nil
}

func (b *Bus) connected() (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == nil {
		return nil, errs.Unavailablef("The message broker is not reachable at the moment.")
	}
	if b.session.blocked.Load() {
		return nil, errs.Unavailablef("The message broker takes no messages at the moment.")
	}
	return b.session, nil
}

// keep keeps the process connected until the context ends.
func (b *Bus) keep(ctx context.Context) {
	defer close(b.kept)
	pause := shortest
	for ctx.Err() == nil {
		s, err := b.connect(ctx)
		if err == nil {
			pause = shortest
			b.log.Info("message broker: connected")
			err = s.wait(ctx)
			b.use(nil)
			s.end()
			b.Lost(errs.Unavailablef("The connection to the message broker was lost.").Because(err))
		}
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("message broker: not connected", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, longest)
	}
}

// connect makes a connection and begins to use it.
func (b *Bus) connect(ctx context.Context) (*session, error) {
	s, err := dial(ctx, b)
	if err != nil {
		return nil, err
	}
	b.use(s)
	b.answer(s) // what was asked for before there was a session
	return s, nil
}

// answer has the session answer the topics of now.
func (b *Bus) answer(s *session) {
	b.mu.Lock()
	topics := b.topics
	b.mu.Unlock()
	err := s.answer(topics)
	if err != nil {
		// The next connection begins with all topics.
		s.fail(fmt.Errorf("answer questions: %w", err))
	}
}

func (b *Bus) use(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = s
}

// wire is how the shared part of the bus moves frames.
type wire struct{ b *Bus }

// Answering implements bus.Wire.
func (w wire) Answering(topics []string) {
	b := w.b
	b.mu.Lock()
	b.topics = slices.Clone(topics)
	s := b.session
	b.mu.Unlock()
	if s != nil {
		b.answer(s)
	}
}

// Spread implements bus.Wire.
func (w wire) Spread(ctx context.Context, f bus.Frame) error {
	s, err := w.b.connected()
	if err != nil {
		return err
	}
	return s.spread(ctx, f)
}

// Ask implements bus.Wire.
func (w wire) Ask(ctx context.Context, topic string, f bus.Frame) error {
	s, err := w.b.connected()
	if err != nil {
		return err
	}
	return s.ask(ctx, topic, f)
}

// Reply implements bus.Wire.
func (w wire) Reply(ctx context.Context, to string, f bus.Frame) error {
	s, err := w.b.connected()
	if err != nil {
		return err
	}
	return s.reply(ctx, to, f)
}
