package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/work"
)

// What a step failed with until its time was over, which may name a host's files, is for
// operators; the owner is told what did not finish.
func TestFaultOfDeadline(t *testing.T) {
	now := clock.NewManual(clock.Real{}.Now())
	c := start(t, options{still: true, clock: now})
	c.engine.Interfere(func(p work.Point) error {
		if p.Undo {
			return nil
		}
		return errors.New("open /srv/images/7: input/output error")
	})
	id := c.server("web", "")
	for range 3 {
		_, err := c.engine.Turn(c.ctx)
		if err != nil {
			t.Fatal(err)
		}
		now.Advance(6 * time.Minute)
	}
	c.settle(t)
	fault := c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "fault").(map[string]any)
	message, _ := fault["message"].(string)
	if !strings.HasPrefix(message, "Timed out: ") || !strings.HasSuffix(message, " did not finish within 10m0s") || fault["details"] != nil {
		t.Errorf("the owner sees %v, want what did not finish within 10m0s, and no more", fault)
	}
	details := c.must(200, "admin", "GET", "/servers/"+id, "").at(t, "server", "fault", "details")
	if details != message+": open /srv/images/7: input/output error" {
		t.Errorf("an operator sees %v, want the error as well", details)
	}
}
