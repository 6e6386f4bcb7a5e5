package bustest

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Told is a notification that left, out of its envelope.
type Told struct {
	Versioned bool
	Queue     string // "notifications.info"
	Type      string
	Resource  string
	Publisher string
	Payload   map[string]any
	Context   map[string]any // of who did it
}

// Listen empties the outbox of a database. Heard empties it again and returns
// the notifications that left, in their order.
func Listen(t testing.TB, d *db.DB, topic string, service oslo.Service) (heard func() []Told) {
	t.Helper()
	var list []Told
	word := service.Render
	service.Render = func(e bus.Record) ([]oslo.Notification, error) {
		list, err := word(e)
		if err != nil {
			t.Errorf("word %s of %s: %v", e.Type, e.Resource, err)
		}
		return list, err
	}
	relay := bus.NewRelay(d, &oslo.Publisher{
		Services: map[string]oslo.Service{topic: service}, Format: oslo.Both, Log: slog.New(slog.DiscardHandler),
		Send: func(_ context.Context, leaving []oslo.Outgoing) (int, error) {
			for _, o := range leaving {
				list = append(list, open(t, o))
			}
			return len(leaving), nil
		},
	}, nil, slog.New(slog.DiscardHandler))
	heard = func() []Told {
		t.Helper()
		_, err := relay.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := list
		list = nil
		return out
	}
	heard()
	return heard
}

// open takes a notification out of its envelope.
func open(t testing.TB, o oslo.Outgoing) Told {
	t.Helper()
	var outer struct {
		Version string `json:"oslo.version"`
		Message string `json:"oslo.message"`
	}
	err := json.Unmarshal(o.Body, &outer)
	if err != nil || outer.Version != "2.0" {
		t.Fatalf("envelope %s: version %q, %v", o.Body, outer.Version, err)
	}
	var inner map[string]any
	err = json.Unmarshal([]byte(outer.Message), &inner)
	if err != nil {
		t.Fatalf("message %s: %v", outer.Message, err)
	}
	told := Told{
		Versioned: strings.HasPrefix(o.Queue, string(oslo.Versioned)+"."), Queue: o.Queue, Resource: o.Resource, Context: map[string]any{},
	}
	told.Type, _ = inner["event_type"].(string)
	told.Publisher, _ = inner["publisher_id"].(string)
	told.Payload, _ = inner["payload"].(map[string]any)
	for key, value := range inner {
		field, found := strings.CutPrefix(key, "_context_")
		if found {
			told.Context[field] = value
		}
	}
	return told
}

// Types are the types of notifications, in their order.
func Types(list []Told) []string {
	var types []string
	for _, one := range list {
		types = append(types, one.Type)
	}
	return types
}
