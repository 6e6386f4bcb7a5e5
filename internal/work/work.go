// Package work runs plans: durable lists of steps that finish what a request
// has begun.
//
// A plan is started in the transaction that writes the row it is about, so
// both exist or neither. Whatever happens to the process afterwards, each
// step is done and journalled, or the steps before it are undone; nothing is
// left half-way. The state, the step and the journal of a plan move in one
// transaction. An effect in the database (Step.Tx) belongs to that
// transaction and happens exactly once; an effect elsewhere (Step.Do) may
// happen again after a crash, so it must be safe to repeat.
//
// One plan of a resource is active at a time; later ones queue behind it in
// the order of their start. An engine holds its plans as long as it says that it
// is alive. Its writes are fenced by owner, attempt and step, so an engine that
// others took for dead changes nothing any more.
//
// An error of a step is one of three things:
//   - classified (package errs): the plan gives up and undoes its steps,
//     beginning with the one that failed, since that may have half-run;
//   - NotYet: the step waits for something, is woken by a hint or looks again
//     after a second, and the sentence is shown as the reason;
//   - any other: tried again, at growing intervals, until the plan's deadline.
//
// Once a step marked NoReturn is done nothing is undone any more, and every
// error is only retried. Undo steps are retried for ever.
package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// Plan describes a kind of work over a state S, which must survive JSON.
type Plan[S any] struct {
	Name     string        // "server.create"
	Action   string        // its name among the resource's actions as users see them, "" to hide it
	Deadline time.Duration // give up and undo when it takes longer; 10 minutes if zero
	Steps    []Step[S]

	// Undone runs in the transaction that ends a failed or cancelled run, after
	// its steps were undone: it writes the fault. The cause is the classified
	// error, or one that is ErrDeadline or ErrCancelled.
	Undone func(ctx context.Context, tx *db.Tx, s *S, cause error) error
}

// Step is one step of a plan. It has Do or Tx, and Undo, UndoTx or neither.
// Changes that a function makes to the state are kept when it succeeds.
type Step[S any] struct {
	Name string // for users to read, unique in the plan

	// Do has an effect outside the database, or in transactions of its own. It
	// may run again after it succeeded.
	Do func(ctx context.Context, s *S) error
	// Tx has an effect in the database, in the transaction that journals the step.
	Tx func(ctx context.Context, tx *db.Tx, s *S) error
	// Undo takes back what Do or Tx did, in whole or in part or not at all.
	Undo func(ctx context.Context, s *S) error
	// UndoTx is Undo in the transaction that journals it.
	UndoTx func(ctx context.Context, tx *db.Tx, s *S) error

	// NoReturn: once this step is done, nothing is undone any more.
	NoReturn bool
	// Woken: it waits for what the step before, a Tx, asks of somebody who answers with
	// a hint. It looks when that comes, or after a second: at once were in vain.
	Woken bool
}

// The reasons for undoing that are not an error of a step.
var (
	ErrCancelled = errors.New("cancelled by a later request")
	ErrDeadline  = errors.New("took too long")
)

// ErrNotYet marks the errors made by NotYet.
var ErrNotYet = errors.New("not yet")

type notYet struct{ reason string }

func (e notYet) Error() string        { return e.reason }
func (e notYet) Is(target error) bool { return target == ErrNotYet }

// NotYet makes the error of a step that has to wait. The sentence says for
// what, to operators: "waiting for host node-2 to report port 3f up".
func NotYet(format string, args ...any) error {
	return notYet{fmt.Sprintf(format, args...)}
}

// Leaving makes the error of a step leave something in the database, though what the
// step wrote there is rolled back: it is written in the transaction in which the plan
// gives up because of the error, if it does.
func Leaving(err error, write func(ctx context.Context, tx *db.Tx) error) error {
	return leaving{err, write}
}

type leaving struct {
	error
	write func(ctx context.Context, tx *db.Tx) error
}

func (e leaving) Unwrap() error { return e.error }

// Caller says on whose behalf a plan runs.
type Caller struct {
	User    string `json:"user,omitempty"`
	Project string `json:"project,omitempty"`
	Request string `json:"request,omitempty"` // request id
}

// Option refines Start.
type Option func(*row)

// Project sets the project that owns the resource.
func Project(id string) Option { return func(r *row) { r.Project = id } }

// By records who asked.
func By(c Caller) Option { return func(r *row) { r.Caller = db.Of(c) } }

// As gives this run another action name than its plan has.
func As(action string) Option { return func(r *row) { r.Action = action } }

// After lets the plan wait before its first step.
func After(d time.Duration) Option { return func(r *row) { r.Wake += db.Time(d.Microseconds()) } }

// Longer lets the plan take more time than its deadline says.
func Longer(d time.Duration) Option { return func(r *row) { r.Deadline += db.Time(d.Microseconds()) } }

// Start begins a plan about the resource: it runs as soon as the transaction
// is on disk and earlier plans of the resource have ended.
func Start[S any](ctx context.Context, tx *db.Tx, p Plan[S], resource string, state S, options ...Option) (id string, err error) {
	raw, err := json.Marshal(state)
	if err != nil {
		return "", fmt.Errorf("start plan %s: write its state: %w", p.Name, err)
	}
	now := db.At(tx.Now())
	r := row{
		ID: clock.UUID(), Name: p.Name, Action: p.Action, Resource: resource,
		State: string(raw), Step: p.Steps[0].Name, Phase: doing,
		Wake: now, Since: now, CreatedAt: now, UpdatedAt: now,
	}
	for _, o := range options {
		o(&r)
	}
	r.Deadline += r.Wake + db.Time(p.deadline().Microseconds())
	err = insert(ctx, tx, &r)
	if err != nil {
		return "", fmt.Errorf("start plan %s: %w", p.Name, err)
	}
	if r.Phase == doing {
		announceHere(tx, r.ID, resource)
	}
	return r.ID, nil
}

// Record writes down what was done at once, without a plan: a run that is over,
// with one step of the name. The failure is nil when it succeeded. Nothing ever
// runs of it; the name of its plan need not exist.
func Record(ctx context.Context, tx *db.Tx, name, resource string, began time.Time, failure error, options ...Option) error {
	now := db.At(tx.Now())
	r := row{
		ID: clock.UUID(), Name: "record." + name, Action: name, Resource: resource, State: "{}", Phase: done,
		Wake: now, Since: now, Deadline: now, CreatedAt: db.At(began), UpdatedAt: now,
	}
	step := StepRun{Plan: r.ID, Seq: 1, Step: name, Started: db.At(began), Finished: now, Result: "success"}
	if failure != nil {
		r.Phase, r.Fault = undone, writeFault(failure)
		step.Result, step.Message = "error", r.faultMessage()
	}
	for _, o := range options {
		o(&r)
	}
	err := insert(ctx, tx, &r)
	if err == nil {
		err = tx.Insert(ctx, &step)
	}
	if err != nil {
		return fmt.Errorf("record %s of %s: %w", name, resource, err)
	}
	return nil
}

// Cancel asks the unfinished plans of the resource to stop. They undo what
// they did, unless they are past their point of no return; a plan that is
// started afterwards queues behind them.
func Cancel(ctx context.Context, tx *db.Tx, resource string) error {
	var ids []string
	err := tx.All(ctx, &ids, `
		UPDATE plans SET cancelled = 1, wake = ?
		WHERE resource = ? AND phase IN ('doing', 'queued') AND cancelled = 0
		RETURNING id`, db.At(tx.Now()), resource)
	if err != nil {
		return fmt.Errorf("cancel plans of %s: %w", resource, err)
	}
	for _, id := range ids {
		announce(tx, cancelledChannel, id, resource)
	}
	return nil
}

// Waits tells whether a plan of one of the names waits for its turn behind the
// active one of the resource.
func Waits(ctx context.Context, tx *db.Tx, resource string, names ...string) (bool, error) {
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM plans WHERE resource = ? AND phase = 'queued' AND name IN (?)", resource, db.In(names))
	if err != nil {
		return false, fmt.Errorf("look for plans of %s: %w", resource, err)
	}
	return n > 0, nil
}

// Wake hints that a step of the resource's plan, which said NotYet, should
// look again once the transaction is on disk.
func Wake(tx *db.Tx, resource string) { tx.Notify(wokenChannel, resource) }

func (p Plan[S]) deadline() time.Duration {
	if p.Deadline == 0 {
		return 10 * time.Minute
	}
	return p.Deadline
}
