package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/errs"
	"nacre/internal/testcloud"
	"nacre/internal/work"
)

// A server is deleted while each of its plans stands at each of its steps, before
// the effect and after it, on the way forth and on the way back. Then the world is
// as if the plan had never begun, or as if it had ended before.
func TestDeleteAtEveryStep(t *testing.T) {
	for name, line := range lines() {
		if !strings.HasPrefix(line.plan, "server.") || line.plan == "server.delete" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deletion{theatre: newTheatre(t, line)}
			d.learn(t)
			for _, p := range d.points {
				t.Run(nameOf(p), func(t *testing.T) { d.at(t, p) })
				if !p.After {
					t.Run("during "+strings.TrimPrefix(nameOf(p), "before "), func(t *testing.T) { d.during(t, p) })
				}
			}
		})
	}
}

func nameOf(p work.Point) string {
	name := "before "
	if p.After {
		name = "after "
	}
	if p.Undo {
		name += "undoing "
	}
	return name + p.Step
}

type deletion struct {
	*theatre
	points       []work.Point // of the plan, those of undoing last
	last         work.Point   // the last one at which it can be given up
	never, ended testcloud.World
}

// learn finds out which points the plan passes, and what the world is to be.
func (d *deletion) learn(t *testing.T) {
	t.Run("never begun", func(t *testing.T) {
		s := d.stage(t)
		d.remove(t, s)
		d.never = plain(d.cloud.Snapshot(t))
	})
	t.Run("ended", func(t *testing.T) {
		s := d.stage(t)
		d.hook(func(p work.Point) error {
			d.points = append(d.points, p)
			return nil
		})
		d.line.begin(t, s)
		d.turn(t)
		d.remove(t, s)
		d.ended = plain(d.cloud.Snapshot(t))
	})
	d.last = d.lastOf()
	t.Run("given up", func(t *testing.T) {
		s := d.stage(t)
		d.hook(func(p work.Point) error {
			if p.Undo {
				d.points = append(d.points, p)
			}
			return d.giveUp(p)
		})
		d.line.begin(t, s)
		d.turn(t)
	})
	seen := map[work.Point]bool{}
	once := d.points[:0]
	for _, p := range d.points {
		if !seen[p] {
			once = append(once, p)
		}
		seen[p] = true
	}
	d.points = once
}

// lastOf is the last point from which there is a way back.
func (d *deletion) lastOf() (last work.Point) {
	noReturn := ""
	for _, p := range d.cloud.App.Engine.Plans() {
		for _, s := range p.Steps {
			if p.Name == d.line.plan && s.NoReturn && noReturn == "" {
				noReturn = s.Name
			}
		}
	}
	for _, p := range d.points {
		if p.After {
			continue
		}
		last = p
		if p.Step == noReturn {
			break
		}
	}
	return last
}

func (d *deletion) giveUp(p work.Point) error {
	if p == d.last {
		return errs.Conflictf("Given up by the test.")
	}
	return nil
}

// hook sees the points of the plan.
func (d *deletion) hook(do func(p work.Point) error) {
	d.cloud.App.Engine.Interfere(func(p work.Point) error {
		p.Resource = ""
		if p.Plan != d.line.plan {
			return nil
		}
		return do(p)
	})
}

// at deletes the server while the plan is held at a point.
func (d *deletion) at(t *testing.T, point work.Point) {
	s := d.stage(t)
	d.hold(t, s, point)
	s.demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+s.server, nil)
	d.compare(t, s)
}

// during deletes the server while the plan has begun a step, and does not hear of it
// before the effect. From then on the server is being deleted, whatever the plan does
// with it: who may do something else to it could call the deletion off.
func (d *deletion) during(t *testing.T, point work.Point) {
	s := d.stage(t)
	asked := false
	d.hook(func(p work.Point) error {
		if p == point && !asked {
			asked = true
			s.demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+s.server, nil)
		}
		if asked {
			task := shownTo(t, s.demo, s.server)["OS-EXT-STS:task_state"]
			if task != "deleting" {
				t.Errorf("%s, task_state is %v", nameOf(p), task)
			}
		}
		if point.Undo && !asked {
			return d.giveUp(p)
		}
		return nil
	})
	d.line.begin(t, s)
	d.compare(t, s)
	if !asked {
		t.Errorf("the plan never came to %+v", point)
	}
}

// compare lets the deletion and the plan end, and looks at the world.
func (d *deletion) compare(t *testing.T, s *stage) {
	t.Helper()
	d.turn(t)
	d.cloud.App.Engine.Interfere(nil)
	d.remove(t, s)
	got := plain(d.cloud.Snapshot(t))
	diff := cmp.Diff(d.never, got)
	if diff != "" && !cmp.Equal(d.ended, got) {
		t.Errorf("the world is neither as if the plan had ended nor as if it had never begun (-never +got):\n%s", diff)
	}
}

// hold begins the plan and has it stand at a point, until nobody interferes.
func (d *deletion) hold(t *testing.T, s *stage, point work.Point) {
	t.Helper()
	held := false
	d.hook(func(p work.Point) error {
		if p == point {
			held = true
			return work.NotYet("the test holds it")
		}
		if point.Undo {
			return d.giveUp(p)
		}
		return nil
	})
	d.line.begin(t, s)
	d.turn(t)
	if !held {
		t.Fatalf("the plan never came to %+v", point)
	}
}

// remove has the server deleted, unless it is, and waits for its end.
func (d *deletion) remove(t *testing.T, s *stage) {
	if s.server != "" {
		reply := s.demo.Do(t, "DELETE", "/compute/v2.1/servers/"+s.server, nil)
		if reply.Status != 204 && reply.Status != 404 {
			t.Fatalf("delete: %d %s", reply.Status, reply.Body)
		}
	}
	d.cloud.Settle(t)
	if s.server != "" {
		s.demo.Must(t, 404, "GET", "/compute/v2.1/servers/"+s.server, nil)
	}
}

// turn lets everything move until nothing does, also while the test holds a plan.
func (d *deletion) turn(t *testing.T) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for still := 0; still < 2; still++ {
		moved, err := d.cloud.App.Engine.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.cloud.Still(t)
		if moved {
			still = -1
		}
		if time.Now().After(end) {
			t.Fatal("the cloud was not still within a minute")
		}
	}
}
