package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt/simulated"
	"nacre/internal/work"
)

// What a step failed with or waited for until its time was over, which may name hosts and
// their files, is for operators; the owner is told what did not finish.
func TestFaultOfDeadline(t *testing.T) {
	broken := errors.New("open /srv/images/7: input/output error")
	for name, fail := range map[string]func(c *cloud){
		"a step fails": func(c *cloud) {
			c.engine.Interfere(func(p work.Point) error {
				if p.Undo {
					return nil
				}
				return broken
			})
		},
		"a host fails": func(c *cloud) { c.machines["node-1"].FailAlways(simulated.OpEnsure, broken) },
	} {
		t.Run(name, func(t *testing.T) {
			now := clock.NewManual(clock.Real{}.Now())
			c := start(t, options{still: true, clock: now})
			fail(c)
			id := c.server("web", "")
			c.until("it has failed once", func() bool {
				_, err := c.engine.Turn(c.ctx)
				if err != nil {
					t.Fatal(err)
				}
				now.Advance(20 * time.Millisecond) // a reason of less than a second is not written
				return strings.Contains(c.reason(t, id), broken.Error())
			})
			now.Advance(11 * time.Minute)
			_, err := c.engine.Turn(c.ctx)
			if err != nil {
				t.Fatal(err)
			}
			c.machines["node-1"].FailAlways(simulated.OpEnsure, nil)
			c.settle(t)
			shown := c.must(200, "demo", "GET", "/servers/"+id, "")
			fault, failed := shown.at(t, "server", "fault").(map[string]any)
			if !failed {
				t.Fatalf("got %s, want that it failed", shown.body)
			}
			message, _ := fault["message"].(string)
			if !strings.HasPrefix(message, "Timed out: ") || !strings.HasSuffix(message, " did not finish within 10m0s") || fault["details"] != nil {
				t.Errorf("the owner sees %v, want what did not finish within 10m0s, and no more", fault)
			}
			details := c.must(200, "admin", "GET", "/servers/"+id, "").at(t, "server", "fault", "details").(string)
			if !strings.HasPrefix(details, message+": ") || !strings.HasSuffix(details, broken.Error()) {
				t.Errorf("an operator sees %v, want the error as well", details)
			}
		})
	}
}

// reason is what the newest plan of a server waits for.
func (c *cloud) reason(t *testing.T, id string) string {
	t.Helper()
	_, runs, err := c.compute.History(c.ctx, "", id)
	if err != nil {
		t.Fatal(err)
	}
	return runs[0].Reason
}
