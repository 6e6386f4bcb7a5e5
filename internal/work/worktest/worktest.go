// Package worktest puts plans through everything that can happen to them.
//
// Exercise runs one plan many times, each time in a fresh world: undisturbed,
// with each step repeated, failed before and after its effect, killed there
// and restarted, and given up there. A disturbed run that ends well must leave
// the same world as the undisturbed one, and every run that was given up must
// leave the world as it was before.
package worktest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/errs"
	"nacre/internal/work"
)

// Case is one fresh world with a plan to run in it.
type Case struct {
	Plan   string       // its name; runs of other plans are left alone
	Engine *work.Engine // runs the plan; not in Run, since Exercise turns it

	// Start begins exactly one run of the plan.
	Start func(t *testing.T)
	// Settle lets everything else move (nodes, loops) until nothing does. The
	// engine is turned before and after. Nil if there is nothing else.
	Settle func(t *testing.T)
	// World is a snapshot to compare, with ids and times that don't differ
	// between runs.
	World func(t *testing.T) any
	// GivenUp turns the world before Start into the one that is right after the
	// plan was given up and undone, say with a fault on the resource. Nil means
	// that nothing of the run may be left.
	GivenUp func(before any) any
}

// trouble is one way to disturb a run, at one step.
type trouble struct {
	at     work.Point
	name   string
	result error
	gives  bool // the run is to be undone
}

// Exercise puts a plan through everything. Each case must be fresh.
func Exercise(t *testing.T, fresh func(t *testing.T) Case) {
	t.Helper()
	var points []work.Point
	var aim any
	t.Run("undisturbed", func(t *testing.T) {
		c := fresh(t)
		points = c.record(t)
		aim = c.World(t)
	})
	if len(points) == 0 {
		t.Fatal("the undisturbed run of the plan passed no step")
	}
	noReturn, reversible := "", map[string]bool{}
	t.Run("registered", func(t *testing.T) {
		c := fresh(t)
		for _, p := range c.Engine.Plans() {
			for _, s := range p.Steps {
				if p.Name == c.Plan && s.NoReturn && noReturn == "" {
					noReturn = s.Name
				}
				if p.Name == c.Plan {
					reversible[s.Name] = s.Undo
				}
			}
		}
	})
	final, past := work.Point{}, false // the last step that can still be given up
	for _, p := range points {
		moment := "before "
		if p.After {
			moment = "after "
		}
		for _, tr := range []trouble{
			{at: p, name: "fail " + moment + p.Step, result: fmt.Errorf("worktest: connection lost")},
			{at: p, name: "kill " + moment + p.Step, result: work.Crash},
			{at: p, name: "give up " + moment + p.Step, result: errs.Conflictf("Given up by the test."), gives: true},
			{at: p, name: "repeat " + p.Step, result: work.Again},
		} {
			if tr.gives && past || tr.result == work.Again && !p.After {
				continue
			}
			t.Run(tr.name, func(t *testing.T) { fresh(t).disturbed(t, aim, tr) })
		}
		if !past {
			final = p
		}
		past = past || p.After && p.Step == noReturn
	}
	for _, p := range points {
		if !reversible[p.Step] || noReturn != "" && final.Step != p.Step && after(points, p, final) {
			continue
		}
		undo := p
		undo.Undo = true
		moment := "before undoing "
		if p.After {
			moment = "after undoing "
		}
		for _, tr := range []trouble{
			{at: undo, name: "fail " + moment + p.Step, result: fmt.Errorf("worktest: connection lost"), gives: true},
			{at: undo, name: "kill " + moment + p.Step, result: work.Crash, gives: true},
			{at: undo, name: "repeat undoing " + p.Step, result: work.Again, gives: true},
		} {
			if tr.result == work.Again && !p.After {
				continue
			}
			t.Run(tr.name, func(t *testing.T) {
				first := trouble{at: final, result: errs.Conflictf("Given up by the test."), gives: true}
				fresh(t).disturbed(t, aim, first, tr)
			})
		}
	}
}

// after tells whether a comes behind b.
func after(points []work.Point, a, b work.Point) bool {
	seen := false
	for _, p := range points {
		if p == a {
			return seen
		}
		seen = seen || p == b
	}
	return false
}

// record runs the plan and returns the points it passed, each once.
func (c Case) record(t *testing.T) []work.Point {
	t.Helper()
	var points []work.Point
	seen := map[work.Point]bool{}
	c.Engine.Interfere(func(p work.Point) error {
		p.Resource = ""
		if p.Plan == c.Plan && !seen[p] {
			seen[p] = true
			points = append(points, p)
		}
		return nil
	})
	c.Start(t)
	c.settle(t)
	c.Engine.Interfere(nil)
	// Every step has both points, also if it said NotYet at first.
	return points
}

func (c Case) disturbed(t *testing.T, aim any, troubles ...trouble) {
	t.Helper()
	before := c.World(t)
	gives := false
	for _, tr := range troubles {
		gives = gives || tr.gives
	}
	left := append([]trouble{}, troubles...)
	c.Engine.Interfere(func(p work.Point) error {
		p.Resource = ""
		for i, tr := range left {
			if p == tr.at {
				left = append(left[:i:i], left[i+1:]...)
				return tr.result
			}
		}
		return nil
	})
	c.Start(t)
	c.settle(t)
	err := c.Engine.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	c.Engine.Interfere(nil)
	if len(left) > 0 {
		t.Fatalf("the run never came to %+v", left)
	}
	got, want := c.World(t), aim
	if gives {
		want = before
		if c.GivenUp != nil {
			want = c.GivenUp(before)
		}
	}
	diff := cmp.Diff(want, got)
	if diff != "" {
		t.Errorf("world after %s (-want +got):\n%s", troubles[len(troubles)-1].name, diff)
	}
}

// settle turns the engine and the rest of the world until both are still.
func (c Case) settle(t *testing.T) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for still := 0; still < 2; {
		moved, err := c.Engine.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Settle != nil {
			c.Settle(t)
		}
		still++
		if moved {
			still = 0
		}
		if time.Now().After(end) {
			t.Fatal("the world was not still within a minute")
		}
	}
}
