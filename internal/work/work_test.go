package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// bench is a database with one engine on it, which runs only when told.
type bench struct {
	t      *testing.T
	db     *db.DB
	clock  *clock.Manual
	engine *work.Engine
}

func newBench(t *testing.T) *bench {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	c := clock.NewManual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	d.UseClock(c)
	return &bench{t: t, db: d, clock: c, engine: work.New(work.Options{DB: d, Clock: c, Log: slog.New(slog.DiscardHandler)})}
}

func (b *bench) turn() bool {
	b.t.Helper()
	moved, err := b.engine.Turn(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return moved
}

func (b *bench) write(do func(tx *db.Tx) error) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), do)
	if err != nil {
		b.t.Fatal(err)
	}
}

func start[S any](b *bench, p work.Plan[S], resource string, state S, options ...work.Option) {
	b.t.Helper()
	b.write(func(tx *db.Tx) error {
		_, err := work.Start(b.t.Context(), tx, p, resource, state, options...)
		return err
	})
}

// history renders the runs of a resource, oldest first.
func (b *bench) history(resource string) []string {
	b.t.Helper()
	var lines []string
	err := b.db.Read(b.t.Context(), func(tx *db.Tx) error {
		runs, err := work.History(b.t.Context(), tx, resource)
		if err != nil {
			return err
		}
		for i := len(runs) - 1; i >= 0; i-- {
			r := runs[i]
			line := fmt.Sprintf("%s %s", r.Name, r.Phase)
			for _, s := range r.Steps {
				name := s.Step
				if s.Undo {
					name = "undo " + name
				}
				line += fmt.Sprintf(" | %s %s %s", name, s.Result, s.Message)
			}
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return lines
}

func (b *bench) want(resource string, want ...string) {
	b.t.Helper()
	got := b.history(resource)
	if !reflect.DeepEqual(got, want) {
		b.t.Errorf("history of %s:\n got %s\nwant %s", resource, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

type state struct{ N int }

// trace is a plan whose steps write down what they do.
type trace struct {
	log  []string
	fail map[string]error // by step, until removed
}

func (tr *trace) step(name string) work.Step[state] {
	return work.Step[state]{
		Name: name,
		Do: func(ctx context.Context, s *state) error {
			tr.log = append(tr.log, name)
			s.N++
			return tr.fail[name]
		},
		Undo: func(ctx context.Context, s *state) error {
			tr.log = append(tr.log, "undo "+name)
			return tr.fail["undo "+name]
		},
	}
}

func TestStepsRunInOrderAndAreJournalled(t *testing.T) {
	b := newBench(t)
	tr := &trace{}
	p := work.Plan[state]{Name: "p", Action: "create", Steps: []work.Step[state]{tr.step("a"), tr.step("b")}}
	work.Register(b.engine, p)
	start(b, p, "r", state{}, work.Project("pr"), work.By(work.Caller{User: "u", Request: "req-1"}))
	b.want("r", "p doing | a")
	if !b.turn() {
		t.Error("nothing moved")
	}
	b.want("r", "p done | a success | b success")
	if b.turn() {
		t.Error("something moved after the end")
	}
	err := b.db.Read(t.Context(), func(tx *db.Tx) error {
		runs, err := work.List(t.Context(), tx, work.Query{Project: "pr"})
		if err == nil && (len(runs) != 1 || runs[0].Action != "create" || runs[0].Caller.Request != "req-1") {
			t.Errorf("got %+v, want one run of action create by req-1", runs)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRolledBackStartLeavesNothing(t *testing.T) {
	b := newBench(t)
	tr := &trace{}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{tr.step("a")}}
	work.Register(b.engine, p)
	no := errors.New("no")
	err := b.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := work.Start(t.Context(), tx, p, "r", state{})
		return errors.Join(err, no)
	})
	if !errors.Is(err, no) {
		t.Fatalf("got %v, want %v", err, no)
	}
	b.turn()
	b.want("r")
	if len(tr.log) != 0 {
		t.Errorf("steps ran: %v", tr.log)
	}
}

func TestClassifiedErrorUnwindsFromTheStepThatFailed(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"b": fmt.Errorf("bind: %w", errs.Conflictf("Port is in use."))}}
	var cause error
	p := work.Plan[state]{
		Name: "p", Steps: []work.Step[state]{tr.step("a"), tr.step("b"), tr.step("c")},
		Undone: func(ctx context.Context, tx *db.Tx, s *state, err error) error {
			cause = err
			tr.log = append(tr.log, fmt.Sprintf("undone with %d", s.N))
			return nil
		},
	}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	b.turn()
	b.want("r", "p undone | a success | b error Port is in use. | undo b success | undo a success")
	want := []string{"a", "b", "undo b", "undo a", "undone with 1"}
	if !reflect.DeepEqual(tr.log, want) {
		t.Errorf("got %v, want %v", tr.log, want)
	}
	if !errs.Is(cause, errs.Conflict) {
		t.Errorf("cause is %v, want the conflict", cause)
	}
}

func TestOtherErrorsAreRetriedUntilTheDeadline(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"b": errors.New("connection refused")}}
	var cause error
	p := work.Plan[state]{
		Name: "p", Deadline: time.Minute, Steps: []work.Step[state]{tr.step("a"), tr.step("b")},
		Undone: func(ctx context.Context, tx *db.Tx, s *state, err error) error { cause = err; return nil },
	}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	for range 20 {
		b.turn()
		b.clock.Advance(2 * time.Second)
	}
	runs := b.history("r")
	if len(runs) != 1 || runs[0] != "p doing | a success | b connection refused" {
		t.Errorf("got %v, want b still tried", runs)
	}
	b.clock.Advance(time.Minute)
	b.turn()
	b.want("r", "p undone | a success | b error b did not finish within 1m0s: connection refused | undo b success | undo a success")
	if !errors.Is(cause, work.ErrDeadline) || !strings.Contains(cause.Error(), "connection refused") {
		t.Errorf("cause is %v, want the deadline with its reason", cause)
	}
	if work.ForUsers(cause) != "b did not finish within 1m0s" {
		t.Errorf("users are told %q, want nothing of the error", work.ForUsers(cause))
	}
}

func TestUndoIsRetriedForEver(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"b": errs.Conflictf("No."), "undo a": errors.New("host is away")}}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{tr.step("a"), tr.step("b")}}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	for range 30 {
		b.turn()
		b.clock.Advance(time.Hour)
	}
	b.want("r", "p undoing | a success | b error No. | undo b success | undo a undo: host is away")
	delete(tr.fail, "undo a")
	b.turn()
	b.want("r", "p undone | a success | b error No. | undo b success | undo a success")
}

func TestNothingIsUndonePastThePointOfNoReturn(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"c": errs.Conflictf("Busy.")}}
	final := tr.step("b")
	final.NoReturn = true
	p := work.Plan[state]{Name: "p", Deadline: time.Second, Steps: []work.Step[state]{tr.step("a"), final, tr.step("c")}}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	b.turn()
	b.write(func(tx *db.Tx) error { return work.Cancel(t.Context(), tx, "r") })
	b.clock.Advance(time.Hour)
	b.turn()
	b.want("r", "p doing | a success | b success | c Busy.")
	delete(tr.fail, "c")
	b.turn()
	b.want("r", "p done | a success | b success | c success")
}

func TestLaterPlansQueueAndCancelLetsThemThrough(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"b": work.NotYet("waiting for %s", "godot")}}
	create := work.Plan[state]{Name: "create", Steps: []work.Step[state]{tr.step("a"), tr.step("b")}}
	remove := work.Plan[state]{Name: "delete", Steps: []work.Step[state]{tr.step("gone")}}
	work.Register(b.engine, create)
	work.Register(b.engine, remove)
	start(b, create, "r", state{})
	b.turn()
	start(b, remove, "r", state{})
	start(b, remove, "r", state{})
	b.turn()
	b.want("r", "create doing | a success | b", "delete queued", "delete queued") // nobody could have read why
	b.clock.Advance(time.Second)
	b.turn()
	b.want("r", "create doing | a success | b waiting for godot", "delete queued", "delete queued")
	start(b, create, "other", state{})
	b.write(func(tx *db.Tx) error {
		err := work.Cancel(t.Context(), tx, "r")
		if err != nil {
			return err
		}
		_, err = work.Start(t.Context(), tx, remove, "r", state{})
		return err
	})
	b.turn()
	b.want("r",
		"create undone | a success | b error cancelled by a later request | undo b success | undo a success",
		"delete undone | gone error cancelled by a later request | undo gone success",
		"delete undone | gone error cancelled by a later request | undo gone success",
		"delete done | gone success")
	b.clock.Advance(time.Second)
	b.turn()
	b.want("other", "create doing | a success | b waiting for godot")
}

func TestTxStepCommitsWithItsJournalOrNotAtAll(t *testing.T) {
	b := newBench(t)
	no := errors.New("no")
	fail := true
	effects := func() (n int) {
		err := b.db.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Get(t.Context(), &n, `SELECT COUNT(*) FROM quota_limits`)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{{Name: "a", Tx: func(ctx context.Context, tx *db.Tx, s *state) error {
		_, err := tx.Exec(ctx, `INSERT INTO quota_limits (project, resource, hard) VALUES ('p', 'r', 1)`)
		if err == nil && fail {
			return no
		}
		return err
	}}}}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	b.turn()
	if effects() != 0 {
		t.Error("effect of a failed step stayed")
	}
	fail = false
	b.turn()
	b.want("r", "p done | a success")
	if effects() != 1 {
		t.Errorf("got %d effects, want 1", effects())
	}
}

func TestErrorLeavesSomethingWhenThePlanGivesUp(t *testing.T) {
	b := newBench(t)
	write := func(resource string) func(ctx context.Context, tx *db.Tx) error {
		return func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO quota_limits (project, resource, hard) VALUES ('p', ?, 1)`, resource)
			return err
		}
	}
	cause := errors.New("not yet classified")
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{{Name: "a", Tx: func(ctx context.Context, tx *db.Tx, s *state) error {
		err := write("step")(ctx, tx)
		return errors.Join(err, work.Leaving(cause, write("left")))
	}}}}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	left := func() (names []string) {
		err := b.db.Read(t.Context(), func(tx *db.Tx) error { return tx.All(t.Context(), &names, `SELECT resource FROM quota_limits`) })
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	b.turn()
	if got := left(); len(got) != 0 {
		t.Errorf("got %v left by a step that is tried again, want nothing", got)
	}
	cause = errs.Conflictf("no room")
	b.clock.Advance(time.Minute)
	b.turn()
	b.want("r", "p undone | a error no room")
	if got := left(); !reflect.DeepEqual(got, []string{"left"}) {
		t.Errorf("got %v, want what the error leaves and not what the step wrote", got)
	}
}

func TestPanicIsAnErrorLikeOthers(t *testing.T) {
	b := newBench(t)
	panics := true
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{{Name: "a", Do: func(ctx context.Context, s *state) error {
		if panics {
			panic("ouch")
		}
		return nil
	}}}}
	work.Register(b.engine, p)
	start(b, p, "r", state{})
	b.turn()
	b.want("r", "p doing | a panic: ouch")
	panics = false
	b.turn()
	b.want("r", "p done | a success")
}

// A second engine takes over when the lease is over, and the first one, which
// only seemed dead, can no longer write.
func TestLeaseFencesOffASleeper(t *testing.T) {
	b := newBench(t)
	asleep, woken := make(chan bool), make(chan bool)
	var ran atomic.Int32
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{
		{Name: "a", Do: func(ctx context.Context, s *state) error {
			if ran.Add(1) == 1 {
				close(asleep)
				<-woken
			}
			return nil
		}},
		{Name: "b", Tx: func(ctx context.Context, tx *db.Tx, s *state) error {
			_, err := tx.Exec(ctx, `INSERT INTO quota_limits (project, resource, hard) VALUES ('p', 'r', 1)`)
			return err
		}},
	}}
	work.Register(b.engine, p)
	second := work.New(work.Options{DB: b.db, Clock: b.clock, Owner: "second", Log: slog.New(slog.DiscardHandler)})
	work.Register(second, p)
	start(b, p, "r", state{})
	var sleeper sync.WaitGroup
	sleeper.Go(func() { b.turn() })
	<-asleep
	moved, err := second.Turn(t.Context())
	if moved || err != nil {
		t.Errorf("second engine moved a leased plan: %v, %v", moved, err)
	}
	b.clock.Advance(11 * time.Second)
	moved, err = second.Turn(t.Context())
	if !moved || err != nil {
		t.Errorf("second engine did not take over: %v, %v", moved, err)
	}
	close(woken)
	sleeper.Wait()
	b.want("r", "p done | a success | b success")
}

// An engine that says that it is alive holds its plans, however long they take and
// however many there are.
func TestHeldWhileItsEngineLives(t *testing.T) {
	b := newBench(t)
	p := work.Plan[struct{}]{Name: "long", Deadline: time.Hour, Steps: []work.Step[struct{}]{{Name: "wait", Do: func(context.Context, *struct{}) error {
		return work.NotYet("waiting")
	}}}}
	work.Register(b.engine, p)
	second := work.New(work.Options{DB: b.db, Clock: b.clock, Owner: "second", Log: slog.New(slog.DiscardHandler)})
	work.Register(second, p)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.engine.Run(ctx) }()
	start(b, p, "r", struct{}{})
	for range 10 {
		await.Until(t, "the engine to speak", time.Minute, func() bool {
			var lives int
			b.write(func(tx *db.Tx) error {
				return tx.Get(t.Context(), &lives, `SELECT COUNT(*) FROM plan_engines WHERE owner = 'nacre' AND lease > ?`, db.At(b.clock.Now().Add(3*time.Second)))
			})
			if lives == 0 {
				b.clock.Advance(time.Second / 2) // it had nothing to hold when it began
			}
			return lives == 1
		})
		b.clock.Advance(2 * time.Second)
	}
	_, err := second.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var owner string
	b.write(func(tx *db.Tx) error { return tx.Get(t.Context(), &owner, `SELECT owner FROM plans`) })
	if owner != "nacre" {
		t.Errorf("the plan is held by %s now, want the engine that lives", owner)
	}
	stop()
	err = <-ended
	if err != nil {
		t.Error(err)
	}
	var held, speak int
	b.write(func(tx *db.Tx) error {
		err := tx.Get(t.Context(), &held, `SELECT COUNT(*) FROM plans WHERE owner <> ''`)
		if err != nil {
			return err
		}
		return tx.Get(t.Context(), &speak, `SELECT COUNT(*) FROM plan_engines`)
	})
	if held != 0 || speak != 0 {
		t.Errorf("an engine that ended leaves %d plans held and %d words that it lives", held, speak)
	}
}

func TestRestartReleasesOwnLeases(t *testing.T) {
	b := newBench(t)
	tr := &trace{}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{tr.step("a"), tr.step("b")}}
	work.Register(b.engine, p)
	b.engine.Interfere(func(at work.Point) error {
		if at.Step == "b" && at.After {
			return work.Crash
		}
		return nil
	})
	start(b, p, "r", state{})
	b.turn()
	b.want("r", "p doing | a success | b")
	b.engine.Interfere(nil)
	err := b.engine.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.turn()
	b.want("r", "p done | a success | b success")
	want := []string{"a", "b", "b"}
	if !reflect.DeepEqual(tr.log, want) {
		t.Errorf("got %v, want %v", tr.log, want)
	}
}

func TestPruneForgetsOldRuns(t *testing.T) {
	b := newBench(t)
	tr := &trace{fail: map[string]error{"b": work.NotYet("waiting")}}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{tr.step("a")}}
	q := work.Plan[state]{Name: "q", Steps: []work.Step[state]{tr.step("b")}}
	work.Register(b.engine, p)
	work.Register(b.engine, q)
	start(b, p, "old", state{})
	start(b, q, "waiting", state{})
	b.turn()
	b.clock.Advance(48 * time.Hour)
	start(b, p, "new", state{})
	b.turn()
	err := b.engine.Prune(t.Context(), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.want("old")
	b.want("new", "p done | a success")
	if len(b.history("waiting")) != 1 {
		t.Error("an unfinished run was pruned")
	}
}

func TestAfterDelaysTheFirstStep(t *testing.T) {
	b := newBench(t)
	tr := &trace{}
	p := work.Plan[state]{Name: "p", Steps: []work.Step[state]{tr.step("a")}}
	work.Register(b.engine, p)
	start(b, p, "r", state{}, work.After(time.Minute))
	b.turn()
	b.want("r", "p doing | a")
	b.clock.Advance(time.Minute)
	b.turn()
	b.want("r", "p done | a success")
}

// A claimed plan is read again only near the end of its lease, and then for good.
func TestCancelledBetweenTurns(t *testing.T) {
	for _, passed := range []time.Duration{0, time.Minute} {
		b := newBench(t)
		tr := &trace{fail: map[string]error{"a": work.NotYet("waiting")}}
		p := work.Plan[state]{Name: "p", Deadline: time.Hour, Steps: []work.Step[state]{tr.step("a")}}
		work.Register(b.engine, p)
		start(b, p, "r", state{})
		b.turn()
		b.clock.Advance(passed)
		b.write(func(tx *db.Tx) error { return work.Cancel(t.Context(), tx, "r") })
		b.turn()
		b.want("r", "p undone | a error cancelled by a later request | undo a success")
	}
}
