package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// run is a plan that this engine holds, or is about to claim. Its row belongs
// to the worker that has it; the rest is guarded by the engine's mutex.
type run struct {
	row
	written fence     // as the database has it, which does not know yet of what is carried
	carried []StepRun // lines of the journal that the next transaction of the run writes
	plan    *plan
	claimed bool
	seq     int // lines in the journal

	place     place
	again     bool      // woken while in a worker
	until     time.Time // when parked; a worker that has the run says it before
	cancelled bool      // as far as we have heard
	interrupt context.CancelFunc
}

type place int

const (
	inReady place = iota
	inWorker
	inParked
)

// verdict is what came of one step.
type verdict int

const (
	goOn verdict = iota // there is a next step
	wait                // parked until r.Wake
	over                // finished, or not ours any more
)

// Backoff of a step that failed for an unclassified reason.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// turn takes a run as far as it goes now. It tells whether that was anywhere.
func (e *Engine) turn(ctx context.Context, r *run) (moved bool) {
	started := e.clock.Now()
	ctx = db.Patient(ctx)
	err := e.hold(ctx, r)
	from := r.seq
	next := goOn
	for err == nil && next == goOn {
		next, err = e.advance(ctx, r)
	}
	moved = r.seq != from || r.Phase.Finished()
	switch {
	case errors.Is(err, errLost):
		e.drop(r)
		return moved
	case errors.Is(err, errCrash) || ctx.Err() != nil:
		e.drop(r) // the row stays as it is: after a restart it goes on from there
	case err != nil:
		e.park(r, started.Add(lookAgain))
	case next == over:
		e.drop(r)
	default:
		e.park(r, r.until)
	}
	e.report(ctx, r, moved, started, err)
	return moved
}

// hold claims the plan, or makes sure that it is still ours: nobody can take it before
// the lease of the claim has ended, and until then we hear of a cancellation.
func (e *Engine) hold(ctx context.Context, r *run) error {
	if r.claimed {
		if e.clock.Now().Add(heartbeat).Before(r.Lease.Time()) {
			r.Cancelled = r.Cancelled || e.heard(r)
			return nil
		}
		var now row
		err := e.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &now, `
				SELECT COALESCE(MAX(cancelled), 0) AS cancelled, COUNT(*) AS attempt FROM plans
				WHERE id = ? AND owner = ? AND attempt = ?`, r.ID, r.Owner, r.Attempt)
		})
		if err != nil {
			return err
		}
		if now.Attempt == 0 {
			return errLost
		}
		r.Cancelled = now.Cancelled
		return nil
	}
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		held, err := claim(ctx, tx, r.ID, e.owner, db.At(e.clock.Now().Add(leaseTime)))
		if err != nil {
			return err
		}
		r.row, r.written, r.carried, r.seq = held, held.fence(), nil, 0
		if held.Attempt == 1 {
			return nil
		}
		return tx.Get(ctx, &r.seq, `SELECT COALESCE(MAX(seq), 0) FROM plan_steps WHERE plan = ?`, r.ID)
	})
	if err != nil {
		return err
	}
	r.claimed = true
	r.plan = e.plans[r.Name]
	return nil
}

// advance does or undoes one step.
func (e *Engine) advance(ctx context.Context, r *run) (verdict, error) {
	by := r.row.Caller.V
	ctx = bus.WithInitiator(ctx, bus.Initiator{RequestID: by.Request, User: by.User, Project: by.Project})
	now := e.clock.Now()
	if r.Wake.Time().After(now) && r.Tries == 0 && !r.Cancelled && r.Reason == "" {
		r.until = r.Wake.Time()
		return wait, nil // started with After
	}
	if r.plan == nil {
		return e.retry(ctx, r, fmt.Errorf("this program has no plan %q", r.Name))
	}
	if r.Phase == undoing {
		return e.unwind(ctx, r)
	}
	i := r.plan.index(r.Step)
	if i < 0 {
		return e.retry(ctx, r, fmt.Errorf("plan %q has no step %q in this program", r.Name, r.Step))
	}
	giveUp := !r.plan.pastReturn(i)
	deadline := r.Deadline.Time()
	switch {
	case giveUp && (r.Cancelled || e.heard(r)):
		return e.giveUp(ctx, r, ErrCancelled)
	case giveUp && now.After(deadline):
		return e.giveUp(ctx, r, lateBecause(r))
	}
	stepCtx, stop := ctx, func() {}
	if giveUp {
		stepCtx, stop = context.WithTimeout(ctx, deadline.Sub(now))
		e.interruptible(r, stop)
	}
	err := e.do(stepCtx, r, i)
	e.interruptible(r, nil)
	stop()
	if err == nil {
		switch {
		case r.Phase == done:
			return over, nil
		case r.plan.steps[i+1].woken:
			r.until = e.clock.Now().Add(lookAgain)
			return wait, nil
		}
		return goOn, nil
	}
	_, classified := errs.As(err)
	switch {
	case errors.Is(err, errLost), errors.Is(err, errCrash), ctx.Err() != nil:
		return over, err
	case errors.Is(err, ErrCancelled), giveUp && e.heard(r):
		return e.giveUp(ctx, r, ErrCancelled)
	case errors.Is(err, ErrNotYet):
		return e.notYet(ctx, r, err)
	case giveUp && classified:
		return e.giveUp(ctx, r, err)
	}
	return e.retry(ctx, r, err)
}

// do runs step i and journals it.
func (e *Engine) do(ctx context.Context, r *run, i int) error {
	s := r.plan.steps[i]
	next := r.row
	next.Tries, next.Reason = 0, ""
	next.Step, next.Phase = "", done
	if i+1 < len(r.plan.steps) {
		next.Step, next.Phase = r.plan.steps[i+1].name, doing
	}
	if next.Phase == done {
		next.Owner = ""
	}
	return e.effect(ctx, r, s.do, s.tx, false, &next)
}

// effect runs one of a step's functions, then journals it and moves the plan
// to next: in the same transaction when it is a database effect. When the next
// step is one, this one is journalled with it: whoever is killed between the two
// does this one again, as if killed a moment before.
func (e *Engine) effect(ctx context.Context, r *run, do doFunc, inTx txFunc, undo bool, next *row) error {
	point := Point{Plan: r.Name, Step: r.Step, Undo: undo, Resource: r.Resource}
	started := max(r.Since, 1)
	err := e.interfere(point)
	if err != nil {
		return err
	}
	point.After = true
	if do != nil {
		once := func() (string, error) { return do(ctx, r.State) }
		state, err := e.guarded(point, once)
		if errors.Is(err, errAgain) {
			state, err = e.guarded(point, once)
		}
		if err != nil {
			return err
		}
		next.State = state
	}
	if do != nil && !undo && next.Phase == doing && r.plan.steps[r.plan.index(next.Step)].tx != nil {
		next.Since = db.At(e.clock.Now())
		next.Wake = next.Since
		r.carried = append(r.carried, e.line(r, undo, started, nil))
		r.row = *next
		r.seq++
		return nil
	}
	write := func(tx *db.Tx) error {
		if inTx != nil {
			state, err := e.guarded(point, func() (string, error) { return inTx(ctx, tx, r.State) })
			if err != nil {
				return err
			}
			next.State = state
		}
		next.Since = db.At(e.clock.Now())
		next.Wake = next.Since
		line := e.line(r, undo, started, nil)
		return tx.Insert(ctx, &line)
	}
	// An effect on the world is done: it is journalled even when the step was cancelled
	// meanwhile. One on the database is not for a plan that was cancelled before.
	held := r.written
	held.wanted = inTx != nil && !undo && !r.plan.pastReturn(r.plan.index(r.Step))
	once := func() error { return e.put(context.WithoutCancel(ctx), r, held, next, write) }
	err = once()
	if errors.Is(err, errAgain) {
		err = once()
	}
	if err == nil {
		r.seq++
	}
	return err
}

// put moves the plan from what is held to next, in a transaction with what the function
// does, which may be nil. The end of a plan lets the next one of its resource begin.
func (e *Engine) put(ctx context.Context, r *run, held fence, next *row, do func(tx *db.Tx) error) error {
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		if len(r.carried) > 0 {
			err := tx.Insert(ctx, &r.carried)
			if err != nil {
				return err
			}
		}
		if do != nil {
			err := do(tx)
			if err != nil {
				return err
			}
		}
		err := save(ctx, tx, held, next)
		if err != nil || !next.Phase.Finished() {
			return err
		}
		return promote(ctx, tx, r.Resource)
	})
	if err == nil {
		r.row, r.written, r.carried = *next, next.fence(), nil
	}
	return err
}

// giveUp turns round: the steps so far are undone, beginning with this one.
func (e *Engine) giveUp(ctx context.Context, r *run, cause error) (verdict, error) {
	next := r.row
	next.Phase, next.Tries = undoing, 0
	next.Fault = writeFault(cause)
	next.Reason = next.faultMessage()
	next.Since = db.At(e.clock.Now())
	next.Wake = next.Since
	line := e.line(r, false, max(r.Since, 1), cause)
	err := e.put(ctx, r, r.written, &next, func(tx *db.Tx) error {
		var left leaving
		if errors.As(cause, &left) {
			err := left.write(ctx, tx)
			if err != nil {
				return err
			}
		}
		return tx.Insert(ctx, &line)
	})
	if err != nil {
		return over, err
	}
	r.seq++
	return goOn, nil
}

// unwind undoes the nearest step that can be undone, or ends the run.
func (e *Engine) unwind(ctx context.Context, r *run) (verdict, error) {
	i := r.plan.index(r.Step)
	for i >= 0 && !r.plan.steps[i].reversible() {
		i--
	}
	var err error
	next := r.row
	next.Tries, next.Step = 0, ""
	if i < 0 {
		next.Phase, next.Owner, next.Reason = undone, "", ""
		err = e.end(ctx, r, &next)
	} else {
		if i > 0 {
			next.Step = r.plan.steps[i-1].name
		}
		undoCtx, stop := context.WithTimeout(ctx, time.Minute)
		s := r.plan.steps[i]
		err = e.moveTo(ctx, r, s.name)
		if err == nil {
			err = e.effect(undoCtx, r, s.undo, s.back, true, &next)
		}
		stop()
	}
	switch {
	case err == nil && i < 0:
		return over, nil
	case err == nil:
		return goOn, nil
	case errors.Is(err, errLost), errors.Is(err, errCrash), ctx.Err() != nil:
		return over, err
	case errors.Is(err, ErrNotYet):
		return e.notYet(ctx, r, err)
	}
	return e.retry(ctx, r, fmt.Errorf("undo: %w", err))
}

// moveTo skips steps that have nothing to undo. Their names fence too.
func (e *Engine) moveTo(ctx context.Context, r *run, step string) error {
	if r.Step == step {
		return nil
	}
	next := r.row
	next.Step = step
	return e.put(ctx, r, r.written, &next, nil)
}

// end writes the fault and finishes an undone run.
func (e *Engine) end(ctx context.Context, r *run, next *row) error {
	cause := readFault(r.Fault)
	return e.put(ctx, r, r.written, next, func(tx *db.Tx) error {
		if r.plan.undone != nil {
			state, err := e.guarded(Point{}, func() (string, error) { return r.plan.undone(ctx, tx, r.State, cause) })
			if err != nil {
				return err
			}
			next.State = state
		}
		next.Since = db.At(e.clock.Now())
		return nil
	})
}

// notYet parks the run until it is woken, or for a moment. A reason that did not change
// is not written again, and one of a moment not at all: most of what is waited for has
// come before anybody could read what for.
func (e *Engine) notYet(ctx context.Context, r *run, err error) (verdict, error) {
	now := e.clock.Now()
	next := r.row
	next.Tries = 0
	next.Reason = err.Error()
	next.Wake = db.At(now.Add(lookAgain))
	known := next.Reason == r.Reason || r.Reason == "" && now.Sub(r.Since.Time()) < lookAgain
	if known && r.Tries == 0 && len(r.carried) == 0 {
		r.until = next.Wake.Time()
		return wait, nil
	}
	return e.lay(ctx, r, next)
}

// retry parks the run for a growing while.
func (e *Engine) retry(ctx context.Context, r *run, err error) (verdict, error) {
	pause := min(firstRetry<<min(r.Tries, 10), lastRetry)
	next := r.row
	next.Tries++
	next.Reason = err.Error()
	next.Wake = db.At(e.clock.Now().Add(pause))
	v, failed := e.lay(ctx, r, next)
	if failed == nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "plan step will be tried again", slog.String("plan", r.Name),
			slog.String("plan_id", r.ID), slog.String("resource", r.Resource), slog.String("step", r.Step),
			slog.Int("tries", r.Tries), slog.Duration("pause", pause), slog.Any("error", err))
	}
	return v, failed
}

func (e *Engine) lay(ctx context.Context, r *run, next row) (verdict, error) {
	err := e.put(ctx, r, r.written, &next, nil)
	if err != nil {
		return over, err
	}
	r.until = next.Wake.Time()
	return wait, nil
}

// line is the next line of the run's journal.
func (e *Engine) line(r *run, undo bool, started db.Time, failed error) StepRun {
	line := StepRun{
		Plan: r.ID, Seq: r.seq + 1, Step: r.Step, Undo: undo,
		Started: started, Finished: db.At(e.clock.Now()), Result: "success",
	}
	if failed != nil {
		line.Result, line.Message = "error", failed.Error()
		classified, ok := errs.As(failed)
		if ok {
			line.Message = classified.Message
		}
	}
	return line
}

// guarded turns a panic into an error and lets a test interfere.
func (e *Engine) guarded(p Point, do func() (string, error)) (state string, err error) {
	defer func() {
		caught := recover()
		if caught != nil {
			err = fmt.Errorf("panic: %v", caught)
			e.log.Error("plan step panicked", "plan", p.Plan, "step", p.Step, "panic", caught, "stack", string(debug.Stack()))
		}
	}()
	state, err = do()
	if err != nil {
		return "", err
	}
	return state, e.interfere(p)
}

func (e *Engine) interruptible(r *run, stop context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r.interrupt = stop
	if stop != nil && r.cancelled {
		stop()
	}
}

// heard tells whether the run was cancelled, as far as we know.
func (e *Engine) heard(r *run) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.cancelled
}

func lateBecause(r *run) error {
	allowed := r.Deadline.Time().Sub(r.CreatedAt.Time()).Round(time.Millisecond)
	return late{text: fmt.Sprintf("%s did not finish within %s", r.Step, allowed), cause: r.Reason}
}

// report leaves the turn's one event.
func (e *Engine) report(ctx context.Context, r *run, moved bool, started time.Time, err error) {
	level := slog.LevelDebug
	switch {
	case err != nil && ctx.Err() == nil && !errors.Is(err, errCrash):
		level = slog.LevelError
	case r.Phase.Finished() || r.Phase == undoing && moved:
		level = slog.LevelInfo
	}
	if !e.log.Enabled(ctx, level) {
		return
	}
	fields := []slog.Attr{
		slog.String("plan", r.Name), slog.String("plan_id", r.ID), slog.String("resource", r.Resource),
		slog.String("phase", string(r.Phase)), slog.String("step", r.Step), slog.String("request_id", r.row.Caller.V.Request),
		slog.Duration("duration", e.clock.Now().Sub(started)),
	}
	if r.Reason != "" {
		fields = append(fields, slog.String("reason", r.Reason))
	}
	if err != nil {
		fields = append(fields, slog.Any("error", err))
	}
	e.log.LogAttrs(ctx, level, "plan", fields...)
}
