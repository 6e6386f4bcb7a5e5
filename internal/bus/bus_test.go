package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

func quiet() *bus.InProcess { return bus.NewInProcess(slog.New(slog.DiscardHandler)) }

func TestPublishReachesSubscribersOfTheTopic(t *testing.T) {
	b := quiet()
	var got []string
	b.Subscribe("a", func(ctx context.Context, m bus.Message) { panic("ouch") })
	stop := b.Subscribe("a", func(ctx context.Context, m bus.Message) { got = append(got, "a:"+m.Type) })
	b.Subscribe("", func(ctx context.Context, m bus.Message) { got = append(got, "all:"+m.Type) })
	publish := func(topic, kind string) {
		err := b.Publish(t.Context(), bus.Message{Topic: topic, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
	}
	publish("a", "1")
	publish("b", "2")
	stop()
	publish("a", "3")
	want := []string{"a:1", "all:1", "all:2", "all:3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRequestIsAnswered(t *testing.T) {
	b := quiet()
	_, err := b.Request(t.Context(), "sum", json.RawMessage(`[1,2]`))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	stop := b.Answer("sum", func(ctx context.Context, q json.RawMessage) (json.RawMessage, error) {
		var list []int
		err := json.Unmarshal(q, &list)
		if err != nil {
			return nil, err
		}
		return json.Marshal(list[0] + list[1])
	})
	reply, err := b.Request(t.Context(), "sum", json.RawMessage(`[1,2]`))
	if err != nil || string(reply) != "3" {
		t.Errorf("got %s, %v, want 3", reply, err)
	}
	stop()
	_, err = b.Request(t.Context(), "sum", json.RawMessage(`[1,2]`))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v after stop, want unavailable", err)
	}
}

func open(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func emit(t *testing.T, d *db.DB, kind, resource string, fail error) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		err := bus.Emit(t.Context(), tx, bus.Event{Topic: "t", Type: kind, Resource: resource, Payload: map[string]int{"n": 1}})
		return errors.Join(err, fail)
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
}

// broken refuses the n-th event, once.
type broken struct {
	bus.Publisher
	left int
}

func (b *broken) PublishAll(ctx context.Context, events []bus.Record) (int, error) {
	for i := range events {
		b.left--
		if b.left == 0 {
			return i, errs.Unavailablef("The broker is away.")
		}
		_, err := b.Publisher.PublishAll(ctx, events[i:i+1])
		if err != nil {
			return i, err
		}
	}
	return len(events), nil
}

func TestRelayPublishesCommittedEventsInOrder(t *testing.T) {
	d, b := open(t), quiet()
	var got []string
	b.Subscribe("t", func(ctx context.Context, m bus.Message) {
		got = append(got, fmt.Sprintf("%s %s %s", m.Type, m.Resource, m.Payload))
	})
	emit(t, d, "one", "r", nil)
	emit(t, d, "never", "r", errors.New("rolled back"))
	emit(t, d, "two", "r", nil)
	emit(t, d, "three", "r", nil)
	relay := bus.NewRelay(d, &broken{b, 2}, nil, slog.New(slog.DiscardHandler))
	_, err := relay.Turn(t.Context())
	if err == nil {
		t.Error("the broker's failure was hidden")
	}
	moved, err := relay.Turn(t.Context())
	if err != nil || !moved {
		t.Errorf("got %v, %v, want the rest published", moved, err)
	}
	moved, err = relay.Turn(t.Context())
	if err != nil || moved {
		t.Errorf("got %v, %v, want an empty outbox", moved, err)
	}
	want := []string{`one r {"n":1}`, `two r {"n":1}`, `three r {"n":1}`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEventsThatNobodyHears are not written: the outbox stays empty until somebody
// does.
func TestEventsThatNobodyHears(t *testing.T) {
	d, b := open(t), quiet()
	bus.EmitFor(d, b.Heard)
	emit(t, d, "unheard", "r", nil)
	var got []string
	b.Subscribe("t", func(_ context.Context, m bus.Message) { got = append(got, m.Type) })
	emit(t, d, "heard", "r", nil)
	_, err := bus.NewRelay(d, b, nil, slog.New(slog.DiscardHandler)).Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, []string{"heard"}) {
		t.Errorf("got %v, want what was emitted since somebody heard", got)
	}
}

func TestRelayIsWokenByACommit(t *testing.T) {
	d, b := open(t), quiet()
	heard := make(chan string, 10)
	b.Subscribe("t", func(ctx context.Context, m bus.Message) { heard <- m.Type })
	emit(t, d, "before", "r", nil)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	relay, loops := bus.NewRelay(d, b, nil, slog.New(slog.DiscardHandler)), loop.New(loop.Options{})
	loops.Add(relay.Loop())
	running.Go(func() { loops.Run(ctx) })
	running.Go(func() { relay.Listen(ctx, loops.Nudge) })
	defer running.Wait()
	defer cancel()
	for _, want := range []string{"before", "after"} {
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s was not published", want)
		}
		if want == "before" {
			emit(t, d, "after", "r", nil)
		}
	}
}

func TestInProcessSuite(t *testing.T) {
	bustest.Run(t, func(*testing.T) (here, there bus.Bus) {
		b := quiet()
		return b, b
	})
}
