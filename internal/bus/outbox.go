package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"nacre/internal/db"
)

// Event is a change that others are told of.
type Event struct {
	Topic    string
	Type     string
	Resource string
	Payload  any // facts, made JSON at once; how they are worded is the publisher's concern
}

const outboxChannel = "bus.outbox"

// Emit writes the event into the outbox. It leaves if and when the transaction
// is on disk. Who the context says it happens for goes with it. Where events go
// nowhere, nothing is written, as with the driver "noop" of OpenStack's services.
func Emit(ctx context.Context, tx *db.Tx, e Event) error {
	if !Emits(tx) {
		return nil
	}
	payload, err := json.Marshal(e.Payload)
	if err != nil {
		return fmt.Errorf("emit %s: %w", e.Type, err)
	}
	initiator, err := json.Marshal(InitiatorOf(ctx))
	if err != nil {
		return fmt.Errorf("emit %s: %w", e.Type, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO outbox (topic, type, resource, payload, initiator, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		e.Topic, e.Type, e.Resource, string(payload), string(initiator), db.At(tx.Now()))
	if err != nil {
		return fmt.Errorf("emit %s: %w", e.Type, err)
	}
	tx.Notify(outboxChannel, "")
	return nil
}

// Emits tells whether events go anywhere. Who would have to gather the facts for
// one asks first.
func Emits(tx *db.Tx) bool { return tx.Wanted(outboxChannel) }

// EmitFor has the events of the database written only while somebody hears them.
func EmitFor(d *db.DB, heard func() bool) { d.Want(outboxChannel, heard) }

// Initiator is for whom something happens. The zero value is the cloud itself.
type Initiator struct {
	RequestID       string   `json:"request_id,omitempty"`
	GlobalRequestID string   `json:"global_request_id,omitempty"`
	User            string   `json:"user,omitempty"` // ids
	UserName        string   `json:"user_name,omitempty"`
	UserDomain      string   `json:"user_domain,omitempty"`
	Project         string   `json:"project,omitempty"`
	ProjectName     string   `json:"project_name,omitempty"`
	ProjectDomain   string   `json:"project_domain,omitempty"`
	Domain          string   `json:"domain,omitempty"`
	Roles           []string `json:"roles,omitempty"`
	Address         string   `json:"address,omitempty"` // where the request came from
	Agent           string   `json:"agent,omitempty"`   // the program that sent it
}

type initiatorKey struct{}

// WithInitiator says for whom everything under the context happens.
func WithInitiator(ctx context.Context, i Initiator) context.Context {
	return context.WithValue(ctx, initiatorKey{}, i)
}

// InitiatorOf is for whom things under the context happen.
func InitiatorOf(ctx context.Context) Initiator {
	i, _ := ctx.Value(initiatorKey{}).(Initiator)
	return i
}
