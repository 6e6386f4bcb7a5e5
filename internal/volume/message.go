package volume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
	"nacre/internal/work"
)

// Message tells a user why something that was accepted went wrong.
type Message struct {
	bun.BaseModel `bun:"table:volume_messages,alias:volume_messages"`

	ID           string `bun:",pk"`
	Project      string
	Request      string // id of the request that went wrong
	ResourceType string // VOLUME, VOLUME_SNAPSHOT
	Resource     string
	Action       string
	Detail       string
	Event        string
	Level        string
	CreatedAt    db.Time
	ExpiresAt    db.Time
}

// keepMessages is how long messages are there at least.
const keepMessages = 30 * 24 * time.Hour

// What messages are about, by the numbers that Cinder has for it: clients look
// them up.
const (
	actSchedule       = "001"
	actExtend         = "007"
	actCreate         = "008"
	actSnapshot       = "009"
	actSnapshotDelete = "010"

	whyUnknown        = "001"
	whyNoBackend      = "003"
	whyExtendFailed   = "010"
	whyCreateFailed   = "012"
	whySnapshotFailed = "013"
	whySnapshotStays  = "016"
)

var actions = map[string]string{
	actSchedule: "schedule allocate volume", actExtend: "extend volume", actCreate: "create volume from backend storage",
	actSnapshot: "create snapshot", actSnapshotDelete: "delete snapshot",
}

var details = map[string]string{
	whyUnknown: "An unknown error occurred.", whyNoBackend: "Could not find any available weighted backend.",
	whyExtendFailed: "The host failed to extend the volume.", whyCreateFailed: "The host failed to create the volume.",
	whySnapshotFailed: "The host failed to create the snapshot.", whySnapshotStays: "The host failed to delete the snapshot.",
}

// Text is what the user reads.
func (m Message) Text() string { return actions[m.Action] + ":" + details[m.Detail] }

var allMessages = kind[Message]{table: "volume_messages", noun: "Message", owner: func(m Message) string { return m.Project }}

// Messages lists messages.
func (s *Service) Messages(ctx context.Context, q Query, page db.Page) ([]Message, bool, error) {
	return allMessages.list(ctx, s, q, page)
}

// Message returns a message to the viewer's project.
func (s *Service) Message(ctx context.Context, who Viewer, id string) (Message, error) {
	return allMessages.show(ctx, s, who, id)
}

// DeleteMessage removes a message.
func (s *Service) DeleteMessage(ctx context.Context, who Viewer, id string) error {
	_, err := allMessages.edit(ctx, s, who, id, "delete", func(tx *db.Tx, _ *Message) error {
		_, err := tx.Exec(ctx, "DELETE FROM volume_messages WHERE id = ?", id)
		return err
	})
	return err
}

// noBackend is the type of the error that no host can keep a volume.
const noBackend = "NoValidBackend"

// tell leaves a message about a volume or snapshot whose plan was given up, in
// the transaction that gives it up. A plan that a later request has cancelled
// needs no explanation.
func (s *Service) tell(ctx context.Context, tx *db.Tx, m Message, cause error) error {
	if errors.Is(cause, work.ErrCancelled) {
		return nil
	}
	e, classified := errs.As(cause)
	if classified && e.Type == noBackend {
		m.Action, m.Detail = actSchedule, whyNoBackend
	}
	m.ID, m.Level = clock.UUID(), "ERROR"
	m.Request = bus.InitiatorOf(ctx).RequestID
	m.Event = fmt.Sprintf("VOLUME_%s_%s_%s", m.ResourceType, m.Action, m.Detail)
	m.CreatedAt = db.At(tx.Now())
	m.ExpiresAt = db.At(tx.Now().Add(keepMessages))
	return tx.Insert(ctx, &m)
}

// forgetMessages removes messages that are old.
func (s *Service) forgetMessages(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM volume_messages WHERE expires_at < ?", db.At(tx.Now()))
		if err == nil && n > 0 {
			loop.Did(ctx, "messages", n)
		}
		return err
	})
}

// message is about a volume.
func (v Volume) message(action, detail string) Message {
	return Message{Project: v.Project, ResourceType: "VOLUME", Resource: v.ID, Action: action, Detail: detail}
}

// tellOfSnapshot is tell for a snapshot, which may be gone.
func (s *Service) tellOfSnapshot(ctx context.Context, tx *db.Tx, id, action, detail string, cause error) error {
	snapshot, err := getSnapshot(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m := Message{Project: snapshot.Project, ResourceType: "VOLUME_SNAPSHOT", Resource: id, Action: action, Detail: detail}
	return s.tell(ctx, tx, m, cause)
}
