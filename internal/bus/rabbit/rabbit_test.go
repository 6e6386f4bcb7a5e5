package rabbit_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/bus/rabbit"
	"nacre/internal/bus/rabbit/rabbittest"
	"nacre/internal/errs"
)

func TestMain(m *testing.M) {
	rabbittest.Begin()
	code := m.Run()
	rabbittest.End()
	os.Exit(code)
}

// open is a process on the bus.
func open(t *testing.T, url, name string) *rabbit.Bus {
	t.Helper()
	return openAs(t, url, "one", name)
}

// openAs is a process of a cloud.
func openAs(t *testing.T, url, cloud, name string) *rabbit.Bus {
	t.Helper()
	b, err := rabbit.Open(rabbit.Options{URL: url, Cloud: cloud, Name: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	bustest.Run(t, func(t *testing.T) (here, there bus.Bus) {
		url := rabbittest.URL(t)
		here, there = open(t, url, "here"), open(t, url, "there")
		bustest.Connect(t, here, there)
		return here, there
	})
}

// Clouds that share a broker do not hear each other.
func TestCloudsShareABroker(t *testing.T) {
	t.Parallel()
	url := rabbittest.URL(t)
	ours, others := open(t, url, "ours"), openAs(t, url, "other", "others")
	bustest.Connect(t, ours, open(t, url, "beside us"))
	bustest.Connect(t, others, openAs(t, url, "other", "beside them"))
	echo := func(_ context.Context, q json.RawMessage) (json.RawMessage, error) { return q, nil }
	others.Answer("echo", echo)
	heard := make(chan bus.Message, 10)
	defer others.Subscribe("t", func(_ context.Context, m bus.Message) { heard <- m })()
	await.Until(t, "questions of their own to be answered", patience, func() bool {
		_, err := others.Request(t.Context(), "echo", json.RawMessage("1"))
		return err == nil
	})
	_, err := ours.Request(t.Context(), "echo", json.RawMessage("1"))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("asked what only another cloud answers: got error %v, want unavailable", err)
	}
	for _, from := range []*rabbit.Bus{ours, others} {
		payload := json.RawMessage(`"ours"`)
		if from == others {
			payload = json.RawMessage(`"theirs"`)
		}
		err = from.Publish(t.Context(), bus.Message{Topic: "t", Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case m := <-heard:
		if string(m.Payload) != `"theirs"` {
			t.Errorf("heard %s of another cloud", m.Payload)
		}
	case <-time.After(patience):
		t.Error("did not hear what came from the same cloud")
	}
}

// A broker that goes away fails what is asked at once; when it is back, messages
// and answers are.
func TestTheBusComesBackWithTheBroker(t *testing.T) {
	t.Parallel()
	broker := rabbittest.Start(t)
	here, there := open(t, broker.URL(), "here"), open(t, broker.URL(), "there")
	echo := func(_ context.Context, q json.RawMessage) (json.RawMessage, error) { return q, nil }
	bustest.Connect(t, here, there)
	bustest.Answer(t, here, there, "echo", echo)
	broker.Kill()
	await.Until(t, "the loss to be noticed", patience, func() bool { return !here.Up() && !there.Up() })
	_, err := here.Request(t.Context(), "echo", json.RawMessage("1"))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("asked without a broker: got error %v, want unavailable", err)
	}
	err = here.Publish(t.Context(), bus.Message{Topic: "t"})
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("published without a broker: got error %v, want unavailable", err)
	}
	there.Answer("late", echo) // of which the broker hears when it is back
	err = broker.Run()
	if err != nil {
		t.Fatal(err)
	}
	bustest.Connect(t, here, there)
	for _, topic := range []string{"echo", "late"} {
		await.Until(t, "questions about "+topic+" to be answered", patience, func() bool {
			reply, err := here.Request(t.Context(), topic, json.RawMessage("1"))
			return err == nil && string(reply) == "1"
		})
	}
}

// An address that can't work is refused at once, and its password isn't told.
func TestAWrongAddressIsRefused(t *testing.T) {
	for _, url := range []string{"http://u:secret@h/", "amqp://u:secret@h:x/"} {
		b, err := rabbit.Open(rabbit.Options{URL: url})
		if err == nil {
			b.Close()
			t.Errorf("%s was accepted", url)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
