// Package bus carries messages between the parts of the cloud, and out of it.
//
// A message is a type and a payload. It is a hint: the facts are in the
// database, so a lost message costs a moment. The drivers stand behind Bus;
// InProcess serves a cloud that is one process.
//
// What must not be lost leaves through the outbox (outbox.go): Emit writes an
// event in the transaction of the change it tells of, and the Relay publishes
// it afterwards, at least once and in order per resource.
package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"nacre/internal/errs"
)

// Message is what travels.
type Message struct {
	Topic    string          // who cares: "work", "notifications.nova"
	Type     string          // what happened: "instance.create.end"
	Resource string          // about what; messages of one resource keep their order
	Payload  json.RawMessage // facts, "null" for none
}

// Bus passes messages on. Its methods may be called concurrently.
type Bus interface {
	// Publish hands the message to the subscribers of its topic. When it returns
	// nil, every subscriber of this process has had it and a broker, where there
	// is one, has confirmed it.
	Publish(ctx context.Context, m Message) error

	// Subscribe calls the function with each message of the topic ("" for all)
	// until stop. It must be quick, and messages of one resource come in order.
	Subscribe(topic string, hear func(ctx context.Context, m Message)) (stop func())

	// Request asks whoever answers the topic, and waits for the reply as long
	// as the context allows. Nobody there is errs.Unavailable.
	Request(ctx context.Context, topic string, question json.RawMessage) (json.RawMessage, error)

	// Answer answers requests of the topic until stop. One answers at a time.
	Answer(topic string, answer func(ctx context.Context, question json.RawMessage) (json.RawMessage, error)) (stop func())
}

// InProcess is the bus of a cloud that is one process: subscribers are called
// in the goroutine that publishes.
type InProcess struct {
	log *slog.Logger

	mu          sync.RWMutex // guards what follows
	next        int
	subscribers []subscriber
	answerers   map[string]answerer
}

type subscriber struct {
	id    int
	topic string
	hear  func(ctx context.Context, m Message)
}

type answerer struct {
	id     int
	answer func(ctx context.Context, question json.RawMessage) (json.RawMessage, error)
}

// NewInProcess makes a bus. A nil log is slog.Default.
func NewInProcess(log *slog.Logger) *InProcess {
	if log == nil {
		log = slog.Default()
	}
	return &InProcess{log: log, answerers: map[string]answerer{}}
}

// Publish implements Bus.
func (b *InProcess) Publish(ctx context.Context, m Message) error {
	err := ctx.Err()
	if err != nil {
		return err
	}
	b.mu.RLock()
	subscribers := b.subscribers // never changed in place
	b.mu.RUnlock()
	for _, s := range subscribers {
		if s.topic == "" || s.topic == m.Topic {
			b.deliver(ctx, s, m)
		}
	}
	return nil
}

// deliver keeps a subscriber's panic from the publisher and the others.
func (b *InProcess) deliver(ctx context.Context, s subscriber, m Message) {
	defer func() {
		caught := recover()
		if caught != nil {
			b.log.Error("subscriber panicked", "topic", m.Topic, "type", m.Type, "panic", caught, "stack", string(debug.Stack()))
		}
	}()
	s.hear(ctx, m)
}

// Subscribe implements Bus.
func (b *InProcess) Subscribe(topic string, hear func(ctx context.Context, m Message)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := b.next
	b.subscribers = append(b.subscribers[:len(b.subscribers):len(b.subscribers)], subscriber{id, topic, hear})
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		var rest []subscriber
		for _, s := range b.subscribers {
			if s.id != id {
				rest = append(rest, s)
			}
		}
		b.subscribers = rest
	}
}

// Request implements Bus.
func (b *InProcess) Request(ctx context.Context, topic string, question json.RawMessage) (json.RawMessage, error) {
	b.mu.RLock()
	a, found := b.answerers[topic]
	b.mu.RUnlock()
	if !found {
		return nil, errs.Unavailablef("Nobody answers %s at the moment.", topic)
	}
	reply, err := a.answer(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", topic, err)
	}
	return reply, nil
}

// Answer implements Bus.
func (b *InProcess) Answer(topic string, answer func(ctx context.Context, question json.RawMessage) (json.RawMessage, error)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := b.next
	b.answerers[topic] = answerer{id, answer}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.answerers[topic].id == id {
			delete(b.answerers, topic)
		}
	}
}
