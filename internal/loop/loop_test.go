package loop_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/loop"
)

func TestTurnRunsEachOnceAndReports(t *testing.T) {
	var log bytes.Buffer
	r := loop.New(loop.Options{Clock: clock.NewManual(time.Unix(0, 0)), Log: slog.New(slog.NewTextHandler(&log, nil))})
	r.Add(
		loop.Loop{Name: "acts", Every: time.Minute, Once: func(ctx context.Context) error {
			loop.Did(ctx, "removed", 3)
			return nil
		}},
		loop.Loop{Name: "fails", Every: time.Minute, Once: func(ctx context.Context) error { return errors.New("no way") }},
		loop.Loop{Name: "idles", Every: time.Minute, Once: func(ctx context.Context) error { return nil }},
		loop.Loop{Name: "panics", Every: time.Minute, Once: func(ctx context.Context) error { panic("ouch") }},
	)
	moved, err := r.Turn(t.Context())
	if !moved || err == nil || err.Error() != "loop fails: no way" {
		t.Errorf("got %v, %v, want true and the error of fails", moved, err)
	}
	for _, want := range []string{"loop=acts duration=0s removed=3", "loop=fails", "no way", "loop=panics", "panic: ouch"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "idles") {
		t.Errorf("a turn without effect left an event:\n%s", log.String())
	}
	for _, s := range r.Status() {
		failures := map[string]int{"fails": 1, "panics": 1}[s.Name]
		if s.Turns != 1 || s.Failures != failures {
			t.Errorf("status of %s is %+v, want 1 turn, %d failures", s.Name, s, failures)
		}
	}
}

func TestRunTurnsAtStartWhenNudgedAndAfterItsPeriod(t *testing.T) {
	c := clock.NewManual(time.Unix(0, 0))
	r := loop.New(loop.Options{Clock: c, Log: slog.New(slog.DiscardHandler)})
	turns := make(chan bool)
	r.Add(loop.Loop{Name: "l", Every: time.Hour, Once: func(ctx context.Context) error { turns <- true; return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	wait := func(what string) {
		t.Helper()
		select {
		case <-turns:
		case <-time.After(10 * time.Second):
			t.Fatalf("no turn %s", what)
		}
	}
	wait("at start")
	r.Nudge("l")
	r.Nudge("l")
	wait("after a nudge")
	// The clock may move before the loop sleeps on it, hence more than once.
	for range 100 {
		c.Advance(time.Hour)
		select {
		case <-turns:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Error("no turn after the period")
}
