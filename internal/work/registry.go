package work

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nacre/internal/db"
)

// plan is a Plan with its state type forgotten: states are JSON text here.
type plan struct {
	name     string
	action   string
	deadline time.Duration
	steps    []step
	undone   func(ctx context.Context, tx *db.Tx, state string, cause error) (string, error)
}

type (
	doFunc func(ctx context.Context, state string) (string, error)
	txFunc func(ctx context.Context, tx *db.Tx, state string) (string, error)
)

type step struct {
	name     string
	do, undo doFunc
	tx, back txFunc
	noReturn bool
	woken    bool
}

// reversible tells whether the step has something to undo.
func (s step) reversible() bool { return s.undo != nil || s.back != nil }

// index finds a step by name; -1 for none.
func (p *plan) index(name string) int {
	for i, s := range p.steps {
		if s.name == name {
			return i
		}
	}
	return -1
}

// pastReturn tells whether a point of no return lies before step i.
func (p *plan) pastReturn(i int) bool {
	for _, s := range p.steps[:i] {
		if s.noReturn {
			return true
		}
	}
	return false
}

// Register teaches the engine a kind of plan. It panics when the plan is
// malformed or registered twice, since that is a mistake in the program.
func Register[S any](e *Engine, p Plan[S]) {
	if p.Name == "" || len(p.Steps) == 0 {
		panic("work: a plan needs a name and steps")
	}
	erased := &plan{name: p.Name, action: p.Action, deadline: p.deadline()}
	for i, s := range p.Steps {
		switch {
		case s.Name == "" || erased.index(s.Name) >= 0:
			panic(fmt.Sprintf("work: plan %s: each step needs a name of its own", p.Name))
		case (s.Do == nil) == (s.Tx == nil):
			panic(fmt.Sprintf("work: plan %s: step %q needs either Do or Tx", p.Name, s.Name))
		case s.Undo != nil && s.UndoTx != nil:
			panic(fmt.Sprintf("work: plan %s: step %q has two undos", p.Name, s.Name))
		case s.Woken && (i == 0 || p.Steps[i-1].Tx == nil):
			panic(fmt.Sprintf("work: plan %s: step %q can be woken only behind a Tx", p.Name, s.Name))
		}
		erased.steps = append(erased.steps, step{
			name: s.Name, noReturn: s.NoReturn, woken: s.Woken,
			do: eraseDo(s.Do), tx: eraseTx(s.Tx), undo: eraseDo(s.Undo), back: eraseTx(s.UndoTx),
		})
	}
	if p.Undone != nil {
		erased.undone = func(ctx context.Context, tx *db.Tx, state string, cause error) (string, error) {
			return eraseTx(func(ctx context.Context, tx *db.Tx, s *S) error {
				return p.Undone(ctx, tx, s, cause)
			})(ctx, tx, state)
		}
	}
	e.register(erased)
}

func eraseDo[S any](do func(context.Context, *S) error) doFunc {
	if do == nil {
		return nil
	}
	return func(ctx context.Context, state string) (string, error) {
		return overState(state, func(s *S) error { return do(ctx, s) })
	}
}

func eraseTx[S any](do func(context.Context, *db.Tx, *S) error) txFunc {
	if do == nil {
		return nil
	}
	return func(ctx context.Context, tx *db.Tx, state string) (string, error) {
		return overState(state, func(s *S) error { return do(ctx, tx, s) })
	}
}

// overState runs the function over a decoded copy and returns it encoded.
func overState[S any](state string, do func(*S) error) (string, error) {
	var s S
	err := json.Unmarshal([]byte(state), &s)
	if err != nil {
		return "", fmt.Errorf("read plan state: %w", err)
	}
	err = do(&s)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("write plan state: %w", err)
	}
	return string(b), nil
}

// Description is a registered plan, for people to read.
type Description struct {
	Name     string            `json:"name"`
	Action   string            `json:"action,omitempty"`
	Deadline string            `json:"deadline"`
	Steps    []StepDescription `json:"steps"`
}

// StepDescription is one step of a Description.
type StepDescription struct {
	Name     string `json:"name"`
	Undo     bool   `json:"undo"`
	NoReturn bool   `json:"no_return,omitempty"`
}

func (p *plan) describe() Description {
	d := Description{Name: p.name, Action: p.action, Deadline: p.deadline.String()}
	for _, s := range p.steps {
		d.Steps = append(d.Steps, StepDescription{Name: s.name, Undo: s.reversible(), NoReturn: s.noReturn})
	}
	return d
}
