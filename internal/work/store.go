package work

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Phase is where a run stands.
type Phase string

// The phases. A queued run waits for earlier ones of its resource.
const (
	queued  Phase = "queued"
	doing   Phase = "doing"
	undoing Phase = "undoing"
	done    Phase = "done"
	undone  Phase = "undone"
)

// Finished tells whether nothing will happen any more.
func (p Phase) Finished() bool { return p == done || p == undone }

// Failed tells whether the run did not reach, or will not reach, its aim.
func (p Phase) Failed() bool { return p == undoing || p == undone }

// Channels on which transactions announce what the engine should look at.
const (
	startedChannel   = "work.started"
	cancelledChannel = "work.cancelled"
	wokenChannel     = "work.woken"
)

type row struct {
	bun.BaseModel `bun:"table:plans"`

	ID        string          `bun:"id,pk"`
	Name      string          `bun:"name"`
	Action    string          `bun:"action"`
	Resource  string          `bun:"resource"`
	Turn      int64           `bun:"turn"`
	Project   string          `bun:"project"`
	Caller    db.JSON[Caller] `bun:"caller"`
	State     string          `bun:"state"`
	Step      string          `bun:"step"`
	Phase     Phase           `bun:"phase"`
	Attempt   int64           `bun:"attempt"`
	Tries     int             `bun:"tries"`
	Owner     string          `bun:"owner"`
	Lease     db.Time         `bun:"lease"`
	Wake      db.Time         `bun:"wake"`
	Deadline  db.Time         `bun:"deadline"`
	Cancelled bool            `bun:"cancelled"`
	Fault     string          `bun:"fault"`
	Reason    string          `bun:"reason"`
	Since     db.Time         `bun:"since"`
	CreatedAt db.Time         `bun:"created_at"`
	UpdatedAt db.Time         `bun:"updated_at"`
}

// fence is what a plan still has to be when its holder writes it.
type fence struct {
	owner   string
	attempt int64
	step    string
	phase   Phase
	wanted  bool // and nobody has cancelled it
}

func (r *row) fence() fence {
	return fence{owner: r.Owner, attempt: r.Attempt, step: r.Step, phase: r.Phase}
}

// lock lets one transaction at a time decide which plan of a resource is active.
func lock(ctx context.Context, tx *db.Tx, resource string) error {
	return tx.Lock(ctx, "plans of "+resource)
}

// insert gives the plan its turn behind earlier plans of the resource.
func insert(ctx context.Context, tx *db.Tx, r *row) error {
	var before struct {
		Turn   int64 `bun:"turn"`
		Active int   `bun:"active"`
	}
	err := lock(ctx, tx, r.Resource)
	if err != nil {
		return err
	}
	err = tx.Get(ctx, &before, `
		SELECT COALESCE(MAX(turn), 0) AS turn,
			COALESCE(SUM(CASE WHEN phase IN ('queued', 'doing', 'undoing') THEN 1 ELSE 0 END), 0) AS active
		FROM plans WHERE resource = ?`, r.Resource)
	if err != nil {
		return err
	}
	r.Turn = before.Turn + 1
	if before.Active > 0 && r.Phase == doing {
		r.Phase = queued
	}
	return tx.Insert(ctx, r)
}

func announce(tx *db.Tx, channel, id, resource string) { tx.Notify(channel, id+" "+resource) }

// announceHere has the engine of this process take up a plan. Those of others
// find it when this one has not claimed it within a second.
func announceHere(tx *db.Tx, id, resource string) { tx.NotifyHere(startedChannel, id+" "+resource) }

func announced(key string) (id, resource string) {
	id, resource, _ = strings.Cut(key, " ")
	return id, resource
}

// errLost says that the plan is no longer ours: another engine has it, or it
// is finished. Nothing may be written then.
var errLost = errors.New("plan is held by another")

// held finds the plans of an owner, in the words of their index.
const held = `owner = ? AND owner <> ''`

// free tells, of two times that are now, whether nobody holds a plan: it is held from
// its claim on for leaseTime, and for as long as its owner says that it is alive.
const free = `(owner = '' OR lease < ? AND owner NOT IN (SELECT owner FROM plan_engines WHERE lease >= ?))`

// claim takes the lease of a plan that is due and that nobody holds.
func claim(ctx context.Context, tx *db.Tx, id, owner string, lease db.Time) (row, error) {
	var r row
	now := db.At(tx.Now())
	err := tx.Get(ctx, &r, `
		UPDATE plans SET owner = ?, lease = ?, attempt = attempt + 1
		WHERE id = ? AND phase IN ('doing', 'undoing') AND `+free+`
		RETURNING *`, owner, lease, id, now, now)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, errLost
	}
	return r, err
}

// brief is what there is to know of many plans at once.
type brief struct {
	ID       string
	Resource string
}

// due lists plans that could run and that nobody holds: those that nobody has claimed,
// and those of owners who are silent. However many plans are held, it reads none of them
// for as long as all owners live.
func due(ctx context.Context, tx *db.Tx) ([]brief, error) {
	const most = 1000
	now := db.At(tx.Now())
	var rows []brief
	err := tx.All(ctx, &rows, `
		SELECT id, resource FROM plans
		WHERE owner = '' AND phase IN ('doing', 'undoing') AND wake <= ? ORDER BY wake LIMIT ?`, now, most)
	if err != nil {
		return nil, err
	}
	var silent []string
	err = tx.All(ctx, &silent, `
		WITH RECURSIVE engines (id) AS (
			SELECT MIN(owner) FROM plans WHERE owner <> ''
			UNION ALL
			SELECT (SELECT MIN(owner) FROM plans WHERE owner <> '' AND owner > engines.id) FROM engines WHERE engines.id IS NOT NULL)
		SELECT engines.id FROM engines WHERE engines.id NOT IN (SELECT owner FROM plan_engines WHERE lease >= ?)`, now)
	if err != nil {
		return nil, err
	}
	for _, owner := range silent {
		var left []brief
		err = tx.All(ctx, &left, `
			SELECT id, resource FROM plans
			WHERE `+held+` AND lease < ? AND phase IN ('doing', 'undoing') AND wake <= ? LIMIT ?`, owner, now, now, most)
		if err != nil {
			return nil, err
		}
		rows = append(rows, left...)
	}
	return rows, nil
}

// save writes the moving columns of a plan, provided it still is as was held,
// and learns whether somebody cancelled it meanwhile.
func save(ctx context.Context, tx *db.Tx, held fence, next *row) error {
	next.UpdatedAt = db.At(tx.Now())
	err := tx.Get(ctx, &next.Cancelled, `
		UPDATE plans SET state = ?, step = ?, phase = ?, tries = ?, owner = ?, wake = ?,
			fault = ?, reason = ?, since = ?, updated_at = ?
		WHERE id = ? AND owner = ? AND attempt = ? AND step = ? AND phase = ?
		RETURNING cancelled`,
		next.State, next.Step, next.Phase, next.Tries, next.Owner, next.Wake,
		next.Fault, next.Reason, next.Since, next.UpdatedAt,
		next.ID, held.owner, held.attempt, held.step, held.phase)
	if errors.Is(err, sql.ErrNoRows) {
		return errLost
	}
	if err == nil && held.wanted && next.Cancelled {
		return ErrCancelled
	}
	return err
}

// promote lets the next queued plan of a resource begin.
func promote(ctx context.Context, tx *db.Tx, resource string) error {
	err := lock(ctx, tx, resource)
	if err != nil {
		return err
	}
	now := db.At(tx.Now())
	var id string
	err = tx.Get(ctx, &id, `
		UPDATE plans SET phase = 'doing', since = ?, updated_at = ?,
			deadline = ? + deadline - created_at,
			wake = CASE WHEN wake > ? THEN wake ELSE ? END
		WHERE id = (SELECT id FROM plans WHERE resource = ? AND phase = 'queued' ORDER BY turn LIMIT 1)
		RETURNING id`, now, now, now, now, now, resource)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	announceHere(tx, id, resource)
	return nil
}

// StepRun is one line of a run's journal.
type StepRun struct {
	bun.BaseModel `bun:"table:plan_steps"`

	Plan     string  `bun:"plan"`
	Seq      int     `bun:"seq"`
	Step     string  `bun:"step"`
	Undo     bool    `bun:"undo"`
	Started  db.Time `bun:"started"`
	Finished db.Time `bun:"finished"` // 0 while it runs
	Result   string  `bun:"result"`   // success, error, "" while it runs
	Message  string  `bun:"message"`  // of an error
}

// fault is what is kept of the cause of undoing.
type fault struct {
	Why     string    `json:"why"` // error, deadline, cancelled
	Kind    errs.Kind `json:"kind,omitempty"`
	Type    string    `json:"type,omitempty"`
	Message string    `json:"message"`
	Cause   string    `json:"cause,omitempty"` // of a deadline, for operators
}

func writeFault(cause error) string {
	f := fault{Why: "error", Message: cause.Error()}
	e, classified := errs.As(cause)
	tooLate, isLate := errors.AsType[late](cause)
	switch {
	case errors.Is(cause, ErrCancelled):
		f.Why = "cancelled"
	case isLate:
		f.Why, f.Message, f.Cause = "deadline", tooLate.text, tooLate.cause
	case classified:
		f.Kind, f.Type, f.Message = e.Kind, e.Type, e.Message
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return string(b)
}

func readFault(text string) error {
	var f fault
	err := json.Unmarshal([]byte(text), &f)
	if err != nil {
		return fmt.Errorf("read the cause of undoing: %w", err)
	}
	switch f.Why {
	case "cancelled":
		return ErrCancelled
	case "deadline":
		return late{f.Message, f.Cause}
	}
	return errs.New(f.Kind, "%s", f.Message).Typed(f.Type)
}

// late is the cause of a run that took too long. Its text is for users; the error of
// the last try, or what was waited for, may name hosts and their files, and is not.
type late struct{ text, cause string }

func (e late) Is(target error) bool { return target == ErrDeadline }

func (e late) Error() string {
	if e.cause == "" {
		return e.text
	}
	return e.text + ": " + e.cause
}

// ForUsers is the sentence of an error of an undone plan that may be shown to who
// does not operate the cloud.
func ForUsers(err error) string {
	e, ok := errors.AsType[late](err)
	if ok {
		return e.text
	}
	return err.Error()
}
