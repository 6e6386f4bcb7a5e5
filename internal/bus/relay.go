package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

// Record is an event on its way out.
type Record struct {
	Message
	ID string    // the same each time it is published
	At time.Time // when it happened
	By Initiator
}

// Publisher is where events go.
type Publisher interface {
	// PublishAll publishes the events in order and returns how many of them, from
	// the first on, have arrived. What comes after an error may have arrived, too.
	// A receiver that is away for now is errs.Unavailable.
	PublishAll(ctx context.Context, events []Record) (int, error)
}

// PublishAll implements Publisher: the events are messages of this process.
func (b *InProcess) PublishAll(ctx context.Context, events []Record) (int, error) {
	for i, e := range events {
		err := b.Publish(ctx, e.Message)
		if err != nil {
			return i, err
		}
	}
	return len(events), nil
}

// Relay publishes what is in the outbox. It is a loop, so that one process at a
// time does it. However long the receiver is away, the outbox grows on disk and
// a batch at a time is in memory.
type Relay struct {
	db        *db.DB
	publisher Publisher
	clock     clock.Clock
	log       *slog.Logger
	away      time.Time // since when the receiver is; the loop's
}

// NewRelay makes a relay. A nil clock is the machine's, a nil log slog.Default.
func NewRelay(d *db.DB, p Publisher, c clock.Clock, log *slog.Logger) *Relay {
	if c == nil {
		c = clock.Real{}
	}
	if log == nil {
		log = slog.Default()
	}
	return &Relay{db: d, publisher: p, clock: c, log: log}
}

const (
	batch  = 500
	gather = 10 * time.Millisecond // so that a burst is deleted in few transactions

	relayLoop = "bus.relay"
)

// Loop keeps the outbox empty. It looks each second, and a moment after each
// commit that put something in.
func (r *Relay) Loop() loop.Loop {
	return loop.Loop{Name: relayLoop, Every: time.Second, Once: func(ctx context.Context) error {
		_, err := r.Turn(ctx)
		return r.note(err)
	}}
}

// Listen has the loop look whenever a transaction emitted something, here or on
// another server, until the context ends.
func (r *Relay) Listen(ctx context.Context, nudge func(loop string)) {
	woken := make(chan struct{}, 1)
	stop := r.db.Listen(outboxChannel, func(string) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		}
		select {
		case <-ctx.Done():
			return
		case <-r.clock.After(gather):
		}
		nudge(relayLoop)
	}
}

// note tells once that the receiver is away, and once that it is back.
func (r *Relay) note(err error) error {
	switch {
	case errs.Is(err, errs.Unavailable):
		if r.away.IsZero() {
			r.away = r.clock.Now()
			r.log.Warn("events wait in the outbox", "error", err)
		}
		return nil
	case err == nil && !r.away.IsZero():
		r.log.Info("events leave again", "after", r.clock.Now().Sub(r.away))
		r.away = time.Time{}
	}
	return err
}

type outboxRow struct {
	Seq       int64              `bun:"seq"`
	Topic     string             `bun:"topic"`
	Type      string             `bun:"type"`
	Resource  string             `bun:"resource"`
	Payload   string             `bun:"payload"`
	Initiator db.JSON[Initiator] `bun:"initiator"`
	CreatedAt db.Time            `bun:"created_at"`
}

// Turn publishes all that is there and tells whether there was anything.
func (r *Relay) Turn(ctx context.Context) (moved bool, err error) {
	for {
		var rows []outboxRow
		err := r.db.Read(ctx, func(tx *db.Tx) error {
			return tx.All(ctx, &rows, `
				SELECT seq, topic, type, resource, payload, initiator, created_at FROM outbox ORDER BY seq LIMIT ?`, batch)
		})
		if err != nil {
			return moved, fmt.Errorf("read outbox: %w", err)
		}
		if len(rows) == 0 {
			return moved, nil
		}
		sent, failed := r.publish(ctx, rows)
		moved = moved || sent > 0
		// Deleted after publishing: if we stop here, they are published again.
		err = r.forget(ctx, rows[:sent])
		err = errors.Join(failed, err)
		if err != nil {
			return moved, err
		}
	}
}

func (r *Relay) publish(ctx context.Context, rows []outboxRow) (sent int, err error) {
	events := make([]Record, len(rows))
	for i, row := range rows {
		events[i] = row.record()
	}
	sent, err = r.publisher.PublishAll(ctx, events)
	if err != nil {
		return sent, fmt.Errorf("publish events: %w", err)
	}
	if sent < len(rows) {
		return sent, fmt.Errorf("publish events: %d of %d arrived, and no word of the others", sent, len(rows))
	}
	return sent, nil
}

func (r *Relay) forget(ctx context.Context, rows []outboxRow) error {
	if len(rows) == 0 {
		return nil
	}
	seqs := make([]int64, len(rows))
	for i, row := range rows {
		seqs[i] = row.Seq
	}
	ctx = context.WithoutCancel(ctx) // they have been published
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM outbox WHERE seq IN (?)`, db.In(seqs))
		return err
	})
	if err != nil {
		return fmt.Errorf("empty outbox: %w", err)
	}
	return nil
}

// events is the namespace of events' ids.
var events = uuid.MustParse("6d2f0e64-6f0b-4c55-9d53-0a9c6c1f3c7e")

// record gives the event the id that follows from what it is: a number alone is
// given again once the outbox was empty.
func (row outboxRow) record() Record {
	name := fmt.Sprintf("%d %d %s %s", row.Seq, row.CreatedAt, row.Type, row.Resource)
	return Record{
		Message: Message{Topic: row.Topic, Type: row.Type, Resource: row.Resource, Payload: json.RawMessage(row.Payload)},
		ID:      uuid.NewSHA1(events, []byte(name)).String(), At: row.CreatedAt.Time(), By: row.Initiator.V,
	}
}
