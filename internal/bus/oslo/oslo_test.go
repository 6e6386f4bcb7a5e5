package oslo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/golden"
)

// event is an event about a resource, number n.
func event(n, resource string) bus.Record {
	return bus.Record{
		Message: bus.Message{Topic: "t", Type: "thing.create.end", Resource: resource, Payload: json.RawMessage(`{"n":` + n + `}`)},
		ID:      "6d2f0e64-6f0b-4c55-9d53-0a9c6c1f3c7e", At: time.Date(2026, 12, 1, 8, 0, 0, 123456000, time.UTC),
		By: bus.Initiator{
			RequestID: "req-1", User: "u", UserName: "demo", UserDomain: "default", Project: "p", ProjectName: "demo", ProjectDomain: "default",
			Roles: []string{"member", "reader"}, Address: "192.0.2.7", Agent: "openstacksdk",
		},
	}
}

// both words an event in both families.
func both(e bus.Record) ([]oslo.Notification, error) {
	return []oslo.Notification{
		{Family: oslo.Versioned, Type: e.Type, Publisher: "nova-compute:h", Payload: e.Payload},
		{Family: oslo.Unversioned, Type: "compute." + e.Type, Publisher: "compute.h", Error: true, Payload: e.Payload},
	}, nil
}

// publisher keeps what it sends, up to a limit.
func publisher(render oslo.Render, format oslo.Format, limit int) (*oslo.Publisher, *[]oslo.Outgoing) {
	var sent []oslo.Outgoing
	return &oslo.Publisher{
		Services: map[string]oslo.Service{"t": {Exchange: "nova", Render: render}}, Format: format,
		Send: func(_ context.Context, list []oslo.Outgoing) (int, error) {
			n := min(len(list), limit)
			sent = append(sent, list[:n]...)
			if n < len(list) {
				return n, errors.New("the broker is away")
			}
			return n, nil
		},
		Log: slog.New(slog.DiscardHandler),
	}, &sent
}

func TestEnvelope(t *testing.T) {
	p, sent := publisher(both, oslo.Both, 10)
	n, err := p.PublishAll(t.Context(), []bus.Record{event("1", "r")})
	if n != 1 || err != nil {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	var text bytes.Buffer
	for _, o := range *sent {
		var outer, inner map[string]any
		err = json.Unmarshal(o.Body, &outer)
		if err != nil {
			t.Fatal(err)
		}
		err = json.Unmarshal([]byte(outer["oslo.message"].(string)), &inner)
		if err != nil {
			t.Fatal(err)
		}
		outer["oslo.message"] = inner // which is text on the wire
		pretty, err := json.MarshalIndent(map[string]any{"exchange": o.Exchange, "queue": o.Queue, "id": o.ID, "body": outer}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(pretty, '\n'))
	}
	golden.Compare(t, "envelope.json", text.String())
}

func TestFormats(t *testing.T) {
	single := oslo.Plain("network.h")
	for _, test := range []struct {
		name   string
		render oslo.Render
		format oslo.Format
		want   []string
	}{
		{"both of two", both, oslo.Both, []string{"versioned_notifications.info", "notifications.error"}},
		{"the unversioned of two", both, oslo.OnlyUnversioned, []string{"notifications.error"}},
		{"the versioned of two", both, oslo.OnlyVersioned, []string{"versioned_notifications.info"}},
		{"the only one there is", single, oslo.OnlyVersioned, []string{"notifications.info"}},
	} {
		p, sent := publisher(test.render, test.format, 10)
		_, err := p.PublishAll(t.Context(), []bus.Record{event("1", "r")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range *sent {
			got = append(got, o.Queue)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// An event has arrived when all its notifications have.
func TestHowManyEventsHaveArrived(t *testing.T) {
	for limit, want := range []int{0, 0, 1, 1, 2} {
		p, _ := publisher(both, oslo.Both, limit)
		n, err := p.PublishAll(t.Context(), []bus.Record{event("1", "r"), event("2", "r")})
		if n != want || (err == nil) != (want == 2) {
			t.Errorf("%d of 4 notifications: got %d events, %v, want %d", limit, n, err, want)
		}
	}
}

// An event that nobody can word doesn't hold up the others.
func TestAnEventThatCannotBeWorded(t *testing.T) {
	p, sent := publisher(oslo.Plain("network.h"), oslo.Both, 10)
	unknown := event("1", "r")
	unknown.Topic = "u"
	n, err := p.PublishAll(t.Context(), []bus.Record{unknown, event("2", "r")})
	if n != 2 || err != nil || len(*sent) != 1 {
		t.Errorf("got %d events, %v, %d notifications, want 2 events and one notification", n, err, len(*sent))
	}
}

// The start and the end of one change are two notifications, and stay so when the
// event is published again.
func TestNotificationsOfOneEventHaveIDsOfTheirOwn(t *testing.T) {
	p, kept := publisher(func(bus.Record) ([]oslo.Notification, error) {
		return []oslo.Notification{{Family: oslo.Unversioned, Type: "thing.create.start"}, {Family: oslo.Unversioned, Type: "thing.create.end"}}, nil
	}, oslo.Both, 10)
	for range 2 {
		_, err := p.PublishAll(t.Context(), []bus.Record{event("1", "r")})
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := *kept
	if len(sent) != 4 || sent[0].ID == sent[1].ID || sent[0].ID != sent[2].ID || sent[1].ID != sent[3].ID {
		t.Errorf("sent %+v, want two ids, each twice", sent)
	}
}
