package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"nacre/internal/errs"
)

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
	answer AnswerFunc
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

// Heard tells whether there is any subscriber.
func (b *InProcess) Heard() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.subscribers) > 0
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
	reply, err := answered(ctx, a.answer, question)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", topic, err)
	}
	return reply, nil
}

// answered keeps a panic of who answers from who asks.
func answered(ctx context.Context, answer AnswerFunc, question json.RawMessage) (reply json.RawMessage, err error) {
	defer func() {
		caught := recover()
		if caught != nil {
			err = fmt.Errorf("panic: %v\n%s", caught, debug.Stack())
		}
	}()
	return answer(ctx, question)
}

// answers tells whether this process answers the topic.
func (b *InProcess) answers(topic string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, found := b.answerers[topic]
	return found
}

// topics are the topics that this process answers.
func (b *InProcess) topics() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Sorted(maps.Keys(b.answerers))
}

// Close implements Bus: nothing waits in a single process.
func (b *InProcess) Close() error { return nil }

// Answer implements Bus.
func (b *InProcess) Answer(topic string, answer AnswerFunc) (stop func()) {
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
