package work_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/work"
)

// running starts an engine on the real clock and stops it with the test.
func running(t testing.TB, register func(e *work.Engine)) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	e := work.New(work.Options{DB: d, Log: slog.New(slog.DiscardHandler)})
	register(e)
	ctx, cancel := context.WithCancel(t.Context())
	var runner sync.WaitGroup
	runner.Go(func() {
		err := e.Run(ctx)
		if err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		runner.Wait()
		d.Close()
	})
	return d
}

func TestWakeRunsAWaitingStepAtOnce(t *testing.T) {
	var open atomic.Bool
	looked, through := make(chan bool, 10), make(chan time.Time, 1)
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{{Name: "wait", Do: func(ctx context.Context, s *state) error {
		if !open.Load() {
			looked <- true
			return work.NotYet("waiting for the door")
		}
		through <- time.Now()
		return nil
	}}}}
	d := running(t, func(e *work.Engine) { work.Register(e, p) })
	best := time.Hour
	for i := range 5 {
		open.Store(false)
		resource := fmt.Sprint("r", i)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := work.Start(t.Context(), tx, p, resource, state{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		<-looked
		var began time.Time
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			work.Wake(tx, resource)
			tx.After(func() { began = time.Now(); open.Store(true) })
			work.Wake(tx, resource)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, (<-through).Sub(began))
	}
	t.Logf("wake to run: %v", best)
	if best > 20*time.Millisecond {
		t.Errorf("a woken step ran after %v, want about 1 ms", best)
	}
}

func TestWokenStepLooksWhenHintedOrAfterASecond(t *testing.T) {
	var asked time.Time
	var answered atomic.Bool
	waits, looked := make(chan bool, 1), make(chan bool, 2)
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{
		{Name: "ask", Tx: func(_ context.Context, tx *db.Tx, _ *state) error {
			tx.After(func() { asked = time.Now(); waits <- true })
			return nil
		}},
		{Name: "look", Woken: true, Do: func(context.Context, *state) error {
			looked <- answered.Load() || time.Since(asked) >= time.Second
			return nil
		}},
	}}
	d := running(t, func(e *work.Engine) { work.Register(e, p) })
	for _, hint := range []bool{true, false} {
		answered.Store(false)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := work.Start(t.Context(), tx, p, fmt.Sprint(hint), state{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		<-waits
		if hint {
			answered.Store(true)
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				work.Wake(tx, fmt.Sprint(hint))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !<-looked {
			t.Errorf("hint %v: looked %v after it had asked, and nobody had answered", hint, time.Since(asked))
		}
	}
}

func TestCancelInterruptsARunningStep(t *testing.T) {
	inside, undone := make(chan bool), make(chan error, 1)
	p := work.Plan[state]{
		Name: "p",
		Steps: []work.Step[state]{{Name: "long", Do: func(ctx context.Context, s *state) error {
			close(inside)
			<-ctx.Done()
			return ctx.Err()
		}}},
		Undone: func(ctx context.Context, tx *db.Tx, s *state, cause error) error { undone <- cause; return nil },
	}
	d := running(t, func(e *work.Engine) { work.Register(e, p) })
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := work.Start(t.Context(), tx, p, "r", state{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	<-inside
	err = d.Write(t.Context(), func(tx *db.Tx) error { return work.Cancel(t.Context(), tx, "r") })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case cause := <-undone:
		if cause != work.ErrCancelled {
			t.Errorf("cause is %v, want %v", cause, work.ErrCancelled)
		}
	case <-time.After(10 * time.Second):
		t.Error("the step was not interrupted within 10 s")
	}
}

func BenchmarkSteps(b *testing.B) {
	const steps = 10
	var finished sync.WaitGroup
	p := work.Plan[state]{Name: "p"}
	for i := range steps {
		p.Steps = append(p.Steps, work.Step[state]{Name: fmt.Sprint("step ", i), Do: func(ctx context.Context, s *state) error {
			s.N++
			if s.N == steps {
				finished.Done()
			}
			return nil
		}})
	}
	d := running(b, func(e *work.Engine) { work.Register(e, p) })
	plans := max(b.N/steps, 1)
	finished.Add(plans)
	b.ResetTimer()
	limit := make(chan bool, 128)
	for i := range plans {
		limit <- true
		go func() {
			defer func() { <-limit }()
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := work.Start(context.Background(), tx, p, fmt.Sprint("r", i), state{})
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}()
	}
	finished.Wait()
	b.ReportMetric(float64(plans*steps)/b.Elapsed().Seconds(), "steps/s")
}

// A claim that nobody here knows of, made by a transaction that outlived its
// process, is given back: else it would be held for ever.
func TestStrayClaimIsGivenBack(t *testing.T) {
	b := newBench(t)
	ran := make(chan struct{}, 1)
	p := work.Plan[struct{}]{Name: "stray", Steps: []work.Step[struct{}]{{Name: "run", Do: func(context.Context, *struct{}) error {
		ran <- struct{}{}
		return nil
	}}}}
	work.Register(b.engine, p)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.engine.Run(ctx) }()
	start(b, p, "first", struct{}{})
	<-ran // what a former life had left was given back before this
	b.write(func(tx *db.Tx) error {
		_, err := work.Start(ctx, tx, p, "stray", struct{}{})
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE plans SET owner = 'nacre', lease = ?, attempt = 1 WHERE resource = 'stray'`, db.At(b.clock.Now().Add(10000*time.Hour)))
		}
		return err
	})
	await.Until(t, "the plan to run", time.Minute, func() bool {
		b.clock.Advance(3 * time.Second) // a heartbeat; the lease is far longer
		select {
		case <-ran:
			return true
		default:
			return false
		}
	})
	stop()
	err := <-ended
	if err != nil {
		t.Error(err)
	}
}

// hidden is a context that those below it cannot be noted in: each is followed by a
// goroutine until it ends.
type hidden struct{ context.Context }

func (hidden) Value(any) any { return nil }

// What a step ran in ends with it: an engine runs for years.
func TestStepsLeaveNothingBehind(t *testing.T) {
	const plans = 100
	b := newBench(t)
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{
		{Name: "one", Do: func(context.Context, *state) error { return nil }},
		{Name: "two", Do: func(context.Context, *state) error { return nil }},
	}}
	work.Register(b.engine, p)
	before := runtime.NumGoroutine()
	for i := range plans {
		start(b, p, fmt.Sprint("r", i), state{})
	}
	_, err := b.engine.Turn(hidden{t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	b.want("r0", "p done | one success | two success")
	await.Until(t, "the contexts of steps to end", 10*time.Second, func() bool { return runtime.NumGoroutine() < before+plans })
}
