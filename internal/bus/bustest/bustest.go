// Package bustest holds the suite that every driver of bus passes.
package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/bus"
	"nacre/internal/errs"
)

// soon bounds whatever must happen without delay on a loaded machine.
const soon = 30 * time.Second

// Run runs the suite. Each test gets two processes on a bus of their own, or
// one twice where a bus has one process only.
func Run(t *testing.T, open func(t *testing.T) (here, there bus.Bus)) {
	tests := []struct {
		name string
		run  func(t *testing.T, here, there bus.Bus)
	}{
		{"messages reach the subscribers of their topic", reaches},
		{"messages keep their order", ordered},
		{"a subscriber that panics harms nobody", panics},
		{"a question is answered", answers},
		{"long texts in any language", long},
		{"errors keep their kind", kinds},
		{"nobody answers", nobody},
		{"no answer in time", late},
		{"a panic is a fault", faults},
		{"replies find who asked", many},
		{"one of several answers", one},
		{"the end", ends},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			here, there := open(t)
			test.run(t, here, there)
		})
	}
}

// Connect waits until what one process publishes reaches the other.
func Connect(t *testing.T, here, there bus.Bus) {
	t.Helper()
	for _, pair := range [][2]bus.Bus{{here, there}, {there, here}} {
		heard := make(chan struct{}, 1)
		stop := pair[1].Subscribe("bustest.connect", func(context.Context, bus.Message) {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
		await.Until(t, "the bus to connect", 2*soon, func() bool {
			err := pair[0].Publish(t.Context(), bus.Message{Topic: "bustest.connect"})
			if err != nil {
				return false
			}
			select {
			case <-heard:
				return true
			case <-time.After(10 * time.Millisecond):
				return false
			}
		})
		stop()
	}
}

// Heard collects messages.
type Heard struct {
	mu   sync.Mutex // guards list
	list []string
}

// Hear collects the type and payload of the messages of a topic.
func Hear(b bus.Bus, topic string) (*Heard, func()) {
	h := &Heard{}
	return h, b.Subscribe(topic, func(_ context.Context, m bus.Message) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.list = append(h.list, strings.TrimSpace(m.Type+" "+m.Resource+" "+string(m.Payload)))
	})
}

// List returns what was collected.
func (h *Heard) List() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// Want waits until exactly this was collected.
func (h *Heard) Want(t *testing.T, want ...string) {
	t.Helper()
	await.Until(t, fmt.Sprintf("to hear %q", want), soon, func() bool { return len(h.List()) >= len(want) })
	if got := h.List(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func publish(t *testing.T, b bus.Bus, m bus.Message) {
	t.Helper()
	err := b.Publish(t.Context(), m)
	if err != nil {
		t.Fatalf("publish %s: %v", m.Type, err)
	}
}

func reaches(t *testing.T, here, there bus.Bus) {
	mine, stop := Hear(here, "a")
	theirs, _ := Hear(there, "a")
	all, _ := Hear(there, "")
	publish(t, here, bus.Message{Topic: "a", Type: "1", Resource: "r", Payload: json.RawMessage(`{"x":1}`)})
	if got := mine.List(); len(got) != 1 {
		t.Errorf("when Publish returns, the process itself has heard %q, want one message", got)
	}
	theirs.Want(t, `1 r {"x":1}`) // messages of different resources keep no order
	publish(t, here, bus.Message{Topic: "b", Type: "2", Payload: json.RawMessage("null")})
	publish(t, there, bus.Message{Topic: "a", Type: "3", Payload: json.RawMessage("null")})
	mine.Want(t, `1 r {"x":1}`, "3  null")
	theirs.Want(t, `1 r {"x":1}`, "3  null")
	stop()
	publish(t, here, bus.Message{Topic: "a", Type: "4", Payload: json.RawMessage("null")})
	theirs.Want(t, `1 r {"x":1}`, "3  null", "4  null")
	if got := mine.List(); len(got) != 2 {
		t.Errorf("after stop it heard %q", got)
	}
	await.Until(t, "who hears all to hear all", soon, func() bool { return len(all.List()) == 4 })
}

func ordered(t *testing.T, here, there bus.Bus) {
	theirs, _ := Hear(there, "numbers")
	var want []string
	for i := range 300 {
		publish(t, here, bus.Message{Topic: "numbers", Type: fmt.Sprint(i), Payload: json.RawMessage(fmt.Sprintf("%q", strings.Repeat("x", i*50)))})
		want = append(want, fmt.Sprint(i))
	}
	await.Until(t, "all numbers", soon, func() bool { return len(theirs.List()) == len(want) })
	for i, got := range theirs.List() {
		number, _, _ := strings.Cut(got, " ")
		if number != want[i] {
			t.Fatalf("message %d is %s", i, number)
		}
	}
}

func panics(t *testing.T, here, there bus.Bus) {
	there.Subscribe("a", func(context.Context, bus.Message) { panic("ouch") })
	theirs, _ := Hear(there, "a")
	publish(t, here, bus.Message{Topic: "a", Type: "1", Payload: json.RawMessage("null")})
	publish(t, here, bus.Message{Topic: "a", Type: "2", Payload: json.RawMessage("null")})
	theirs.Want(t, "1  null", "2  null")
}

// Answer answers a topic and waits until the other process can ask.
func Answer(t *testing.T, here, there bus.Bus, topic string, answer bus.AnswerFunc) (stop func()) {
	t.Helper()
	stop = there.Answer(topic, func(ctx context.Context, q json.RawMessage) (json.RawMessage, error) {
		if string(q) == `"there?"` {
			return q, nil
		}
		return answer(ctx, q)
	})
	await.Until(t, "somebody to answer "+topic, soon, func() bool {
		_, err := here.Request(t.Context(), topic, json.RawMessage(`"there?"`))
		return err == nil
	})
	return stop
}

func echo(_ context.Context, q json.RawMessage) (json.RawMessage, error) { return q, nil }

func request(t *testing.T, b bus.Bus, topic, question string) string {
	t.Helper()
	reply, err := b.Request(t.Context(), topic, json.RawMessage(question))
	if err != nil {
		t.Fatalf("request %s: %v", topic, err)
	}
	return string(reply)
}

func answers(t *testing.T, here, there bus.Bus) {
	stop := Answer(t, here, there, "sum", func(_ context.Context, q json.RawMessage) (json.RawMessage, error) {
		var list []int
		err := json.Unmarshal(q, &list)
		if err != nil {
			return nil, err
		}
		return json.Marshal(list[0] + list[1])
	})
	for name, b := range map[string]bus.Bus{"the other process": here, "the same process": there} {
		if got := request(t, b, "sum", `[1,2]`); got != "3" {
			t.Errorf("%s got %s, want 3", name, got)
		}
	}
	stop()
	await.Until(t, "the answers to stop", soon, func() bool {
		_, err := here.Request(t.Context(), "sum", json.RawMessage(`[1,2]`))
		return errs.Is(err, errs.Unavailable)
	})
}

func long(t *testing.T, here, there bus.Bus) {
	Answer(t, here, there, "echo", echo)
	for _, size := range []int{1, 7_000, 7_900, 8_000, 60_000, 1 << 20} {
		text, err := json.Marshal(strings.Repeat("珠雲 \x00\"é😀", size/16+1))
		if err != nil {
			t.Fatal(err)
		}
		if got := request(t, here, "echo", string(text)); got != string(text) {
			t.Errorf("%d bytes came back as %d", len(text), len(got))
		}
	}
}

func kinds(t *testing.T, here, there bus.Bus) {
	Answer(t, here, there, "refuse", func(_ context.Context, q json.RawMessage) (json.RawMessage, error) {
		if string(q) == `"fault"` {
			return nil, errors.New("the secret of the database")
		}
		return nil, fmt.Errorf("look: %w", errs.NotFoundf("Port p could not be found.").Typed("PortNotFound").With("Retry-After", "3").Because(errors.New("behind it")))
	})
	_, err := here.Request(t.Context(), "refuse", json.RawMessage(`"p"`))
	e, classified := errs.As(err)
	if !classified || e.Kind != errs.NotFound || e.Message != "Port p could not be found." || e.Type != "PortNotFound" || e.Headers["Retry-After"] != "3" {
		t.Errorf("got error %#v, want what was answered", err)
	}
	_, err = here.Request(t.Context(), "refuse", json.RawMessage(`"fault"`))
	_, classified = errs.As(err)
	if err == nil || classified {
		t.Errorf("got error %v, want an unclassified one", err)
	}
}

func nobody(t *testing.T, here, _ bus.Bus) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	_, err := here.Request(ctx, "nobody answers this", json.RawMessage("1"))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got error %v, want unavailable", err)
	}
	if ctx.Err() != nil {
		t.Error("that took as long as the context allowed, want it at once")
	}
}

func late(t *testing.T, here, there bus.Bus) {
	ended := make(chan struct{})
	Answer(t, here, there, "think", func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		defer close(ended)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := here.Request(ctx, "think", json.RawMessage("1"))
	if !errs.Is(err, errs.Unavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want unavailable", err)
	}
	select {
	case <-ended:
	case <-time.After(soon):
		t.Error("who answers goes on when nobody waits any more")
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	_, err = here.Request(gone, "think", json.RawMessage("1"))
	if err == nil {
		t.Error("somebody who is gone got a reply")
	}
}

func faults(t *testing.T, here, there bus.Bus) {
	Answer(t, here, there, "break", func(context.Context, json.RawMessage) (json.RawMessage, error) { panic("ouch") })
	for range 2 {
		_, err := here.Request(t.Context(), "break", json.RawMessage("1"))
		_, classified := errs.As(err)
		if err == nil || classified {
			t.Errorf("got error %v, want an unclassified one", err)
		}
	}
}

func many(t *testing.T, here, there bus.Bus) {
	Answer(t, here, there, "from here", echo)
	Answer(t, there, here, "from there", echo)
	var asking sync.WaitGroup
	for i := range 200 {
		asking.Go(func() {
			b, topic := here, "from here"
			if i%2 == 1 {
				b, topic = there, "from there"
			}
			want := fmt.Sprint(i)
			reply, err := b.Request(t.Context(), topic, json.RawMessage(want))
			if err != nil || string(reply) != want {
				t.Errorf("asked %s, got %s, %v", want, reply, err)
			}
		})
	}
	asking.Wait()
}

func one(t *testing.T, here, there bus.Bus) {
	var mu sync.Mutex // guards counted
	counted := 0
	count := func(_ context.Context, q json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		counted++
		return q, nil
	}
	Answer(t, here, there, "count", count)
	stop := there.Answer("count", count) // the last to come
	here.Answer("count", count)
	for i := range 20 {
		request(t, here, "count", fmt.Sprint(i))
		request(t, there, "count", fmt.Sprint(i))
	}
	mu.Lock()
	if counted != 40 {
		t.Errorf("40 questions were answered %d times", counted)
	}
	mu.Unlock()
	stop()
}

func ends(t *testing.T, here, there bus.Bus) {
	if here == there {
		return // nothing to hang up
	}
	asked := make(chan struct{})
	Answer(t, here, there, "wait", func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	replied := make(chan error, 1)
	go func() {
		_, err := here.Request(context.Background(), "wait", json.RawMessage("1"))
		replied <- err
	}()
	<-asked
	err := here.Close()
	if err != nil {
		t.Error(err)
	}
	select {
	case err := <-replied:
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("got error %v, want unavailable", err)
		}
	case <-time.After(soon):
		t.Error("who asked still waits after Close")
	}
	_, err = here.Request(t.Context(), "wait", json.RawMessage("1"))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got error %v after Close, want unavailable", err)
	}
	err = there.Close()
	if err != nil {
		t.Error(err)
	}
}
