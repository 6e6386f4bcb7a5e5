package work

import "errors"

// Point is a place in a run where a test may interfere: around the effect of
// one step.
type Point struct {
	Plan     string
	Step     string
	Undo     bool
	After    bool // the effect has just happened
	Resource string
}

// What the function given to Interfere may return besides an error of its own,
// which the step then seems to have had.
var (
	// Crash ends the run as kill -9 does: nothing more is written. The engine
	// goes on with it after Restart.
	Crash error = errCrash
	// Again lets the effect happen a second time from the same state.
	Again error = errAgain
)

var (
	errCrash = errors.New("crashed by a test")
	errAgain = errors.New("repeated by a test")
)

// Interfere lets a test see every point that runs pass, and break them there. What
// comes after an effect on the database is in its transaction. Nil ends it. Package
// worktest is built on it.
func (e *Engine) Interfere(hook func(Point) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hook = hook
}

func (e *Engine) interfere(p Point) error {
	e.mu.Lock()
	hook := e.hook
	e.mu.Unlock()
	if hook == nil || p.Step == "" {
		return nil
	}
	return hook(p)
}
