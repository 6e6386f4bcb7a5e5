package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// Event is a change that others are told of.
type Event struct {
	Topic    string
	Type     string
	Resource string
	Payload  any // made JSON at once
}

const outboxChannel = "bus.outbox"

// Emit writes the event into the outbox. It leaves if and when the transaction
// is on disk.
func Emit(ctx context.Context, tx *db.Tx, e Event) error {
	payload, err := json.Marshal(e.Payload)
	if err != nil {
		return fmt.Errorf("emit %s: %w", e.Type, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO outbox (topic, type, resource, payload, created_at) VALUES (?, ?, ?, ?, ?)`,
		e.Topic, e.Type, e.Resource, string(payload), db.At(tx.Now()))
	if err != nil {
		return fmt.Errorf("emit %s: %w", e.Type, err)
	}
	tx.Notify(outboxChannel, "")
	return nil
}

// Relay publishes what is in the outbox. One process at a time runs it.
type Relay struct {
	db    *db.DB
	bus   Bus
	clock clock.Clock
	log   *slog.Logger
}

// NewRelay makes a relay. A nil clock is the machine's, a nil log slog.Default.
func NewRelay(d *db.DB, b Bus, c clock.Clock, log *slog.Logger) *Relay {
	if c == nil {
		c = clock.Real{}
	}
	if log == nil {
		log = slog.Default()
	}
	return &Relay{db: d, bus: b, clock: c, log: log}
}

const (
	batch  = 500
	gather = 10 * time.Millisecond // so that a burst is deleted in few transactions
	retry  = time.Second
)

// Run publishes until the context ends.
func (r *Relay) Run(ctx context.Context) {
	woken := make(chan struct{}, 1)
	stop := r.db.Listen(outboxChannel, func(string) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	for ctx.Err() == nil {
		_, err := r.Turn(ctx)
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			r.log.Error("relay", "error", err)
			again = r.clock.After(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
			continue
		case <-woken:
		}
		select {
		case <-ctx.Done():
			return
		case <-r.clock.After(gather):
		}
	}
}

type outboxRow struct {
	Seq      int64  `bun:"seq"`
	Topic    string `bun:"topic"`
	Type     string `bun:"type"`
	Resource string `bun:"resource"`
	Payload  string `bun:"payload"`
}

// Turn publishes all that is there and tells whether there was anything.
func (r *Relay) Turn(ctx context.Context) (moved bool, err error) {
	for {
		var rows []outboxRow
		err := r.db.Read(ctx, func(tx *db.Tx) error {
			return tx.All(ctx, &rows, `SELECT seq, topic, type, resource, payload FROM outbox ORDER BY seq LIMIT ?`, batch)
		})
		if err != nil {
			return moved, fmt.Errorf("read outbox: %w", err)
		}
		if len(rows) == 0 {
			return moved, nil
		}
		sent, failed := r.publish(ctx, rows)
		if len(sent) > 0 {
			moved = true
			// Deleted after publishing: if we stop here, they are published again.
			err = r.db.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM outbox WHERE seq IN (?)`, db.In(sent))
				return err
			})
			if err != nil {
				return moved, fmt.Errorf("empty outbox: %w", err)
			}
		}
		if failed != nil {
			return moved, failed
		}
	}
}

// publish stops at the first failure, so that no event overtakes another.
func (r *Relay) publish(ctx context.Context, rows []outboxRow) (sent []int64, err error) {
	for _, row := range rows {
		err := r.bus.Publish(ctx, Message{
			Topic: row.Topic, Type: row.Type, Resource: row.Resource, Payload: json.RawMessage(row.Payload),
		})
		if err != nil {
			return sent, fmt.Errorf("publish %s: %w", row.Type, err)
		}
		sent = append(sent, row.Seq)
	}
	return sent, nil
}
