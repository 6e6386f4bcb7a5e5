// Package oslo makes OpenStack's notifications of events, in the form that
// oslo.messaging gives them on RabbitMQ, so that what was made to listen to
// OpenStack (telemetry, billing, search) can listen to Nacre.
//
// An event is stored once, as facts. Its service words it when it leaves: a
// Render makes the notifications of an event, for Nova one versioned and one
// unversioned, elsewhere one unversioned. Here they get what all have in common:
// the exchange of the service, the queue of their family and priority, the
// envelope, and who did it.
//
// An event that is published twice has the same ids both times, by which
// oslo.messaging recognises the second.
package oslo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"nacre/internal/bus"
)

// Family is a kind of notifications; it is also the topic they go to.
type Family string

// The two families.
const (
	Unversioned Family = "notifications"
	Versioned   Family = "versioned_notifications"
)

// Format says which notifications leave, as Nova's notification_format does.
type Format string

// The formats. What a service has in one form only leaves in that one; to whom
// the unversioned are enough, nothing versioned is sent.
const (
	Both            Format = "both"
	OnlyUnversioned Format = "unversioned"
	OnlyVersioned   Format = "versioned"
)

// Notification is what a service tells, before it is put into its envelope.
type Notification struct {
	Family    Family
	Type      string // "compute.instance.create.end"
	Publisher string // who says so: "nova-compute:node-1"
	Error     bool   // it tells of a failure
	Payload   any
}

// Render words an event of a service. It is a pure function: an event that is
// published again says the same.
type Render func(e bus.Record) ([]Notification, error)

// Service is one that tells what happens.
type Service struct {
	Exchange string // "nova"
	Render   Render
}

// Plain words events by their facts as they are, in the unversioned family.
func Plain(publisher string) Render {
	return func(e bus.Record) ([]Notification, error) {
		return []Notification{{Family: Unversioned, Type: e.Type, Publisher: publisher, Payload: e.Payload}}, nil
	}
}

// Outgoing is a notification as a broker gets it.
type Outgoing struct {
	Exchange string
	Queue    string // "notifications.info"
	ID       string
	Resource string // notifications of one resource arrive in order
	Body     []byte
}

// Publisher publishes events as notifications. It implements bus.Publisher.
type Publisher struct {
	Services map[string]Service // by the topic of their events
	Format   Format
	// Send publishes in order and returns how many of the first have arrived.
	Send func(ctx context.Context, list []Outgoing) (int, error)
	Log  *slog.Logger
}

// PublishAll implements bus.Publisher. An event that can't be worded is a fault
// of ours; it is logged and left out, since it must not hold up all others.
func (p *Publisher) PublishAll(ctx context.Context, events []bus.Record) (int, error) {
	var list []Outgoing
	ends := make([]int, len(events)) // how many notifications there are up to each event
	for i, e := range events {
		made, err := p.notifications(e)
		if err != nil {
			p.Log.Error("event cannot be worded", "type", e.Type, "resource", e.Resource, "payload", string(e.Payload), "error", err)
		}
		list = append(list, made...)
		ends[i] = len(list)
	}
	sent, err := p.Send(ctx, list)
	for i, end := range ends {
		if end > sent {
			return i, err
		}
	}
	return len(events), err
}

// notifications are those of one event, in their envelopes.
func (p *Publisher) notifications(e bus.Record) ([]Outgoing, error) {
	service, known := p.Services[e.Topic]
	if !known {
		return nil, fmt.Errorf("nobody words events of %s", e.Topic)
	}
	list, err := service.Render(e)
	if err != nil {
		return nil, err
	}
	var made []Outgoing
	for _, n := range list {
		if !p.Format.wants(n, list) {
			continue
		}
		id, err := uuid.Parse(e.ID)
		if err != nil {
			return nil, err
		}
		id = uuid.NewSHA1(id, []byte(string(n.Family)+" "+n.Type))
		body, err := envelope(n, e, id)
		if err != nil {
			return nil, err
		}
		made = append(made, Outgoing{
			Exchange: service.Exchange, Queue: string(n.Family) + "." + strings.ToLower(n.priority()),
			ID: id.String(), Resource: e.Resource, Body: body,
		})
	}
	return made, nil
}

// wants tells whether the notification, one of the list, leaves.
func (f Format) wants(n Notification, list []Notification) bool {
	switch f {
	case OnlyUnversioned:
		return n.Family == Unversioned
	case OnlyVersioned:
		return n.Family == Versioned || !slices.ContainsFunc(list, func(other Notification) bool { return other.Family == Versioned })
	}
	return true
}

func (n Notification) priority() string {
	if n.Error {
		return "ERROR"
	}
	return "INFO"
}

// timeForm is how Python prints a time.
const timeForm = "2006-01-02 15:04:05.000000"

// envelope is the message as it travels: JSON inside of JSON.
func envelope(n Notification, e bus.Record, id uuid.UUID) ([]byte, error) {
	message := map[string]any{
		"message_id": id.String(), "_unique_id": strings.ReplaceAll(id.String(), "-", ""),
		"publisher_id": n.Publisher, "event_type": n.Type, "priority": n.priority(),
		"timestamp": e.At.UTC().Format(timeForm), "payload": n.Payload,
	}
	for key, value := range contextFields(e.By, e.At) {
		message["_context_"+key] = value
	}
	inner, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
}

// contextFields are the request's context as services hand it on, without the
// token. What the cloud does by itself has none but the time.
func contextFields(by bus.Initiator, at time.Time) map[string]any {
	null := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	admin := false
	roles := []string{}
	for _, role := range by.Roles {
		roles = append(roles, role)
		admin = admin || role == "admin"
	}
	identity := []string{by.User, by.Project, by.Domain, by.UserDomain, by.ProjectDomain}
	for i, part := range identity {
		if part == "" {
			identity[i] = "-"
		}
	}
	return map[string]any{
		"request_id": null(by.RequestID), "global_request_id": null(by.GlobalRequestID),
		"user": null(by.User), "user_id": null(by.User), "user_name": null(by.UserName), "user_domain": null(by.UserDomain),
		"tenant": null(by.Project), "project_id": null(by.Project), "project_name": null(by.ProjectName), "project_domain": null(by.ProjectDomain),
		"domain": null(by.Domain), "roles": roles, "is_admin": admin, "user_identity": strings.Join(identity, " "),
		"remote_address": null(by.Address), "timestamp": at.UTC().Format("2006-01-02T15:04:05.000000"),
		"read_only": false, "show_deleted": false, "resource_uuid": nil, "auth_token": nil,
	}
}
