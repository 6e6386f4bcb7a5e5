package api_test

import (
	"errors"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt/simulated"
)

// How long a guest may take to shut down is said by its image, and whoever waits for
// that waits longer.
func TestShutdownTimeout(t *testing.T) {
	for said, want := range map[string]struct {
		seconds int // -1: those of every guest
		waits   bool
	}{"600": {600, true}, "-5": {0, false}, "soon": {-1, false}, "999999999": {86400, true}} {
		t.Run(said, func(t *testing.T) {
			shelf := &propertied{properties: map[string]string{"os_shutdown_timeout": said}}
			now := clock.NewManual(clock.Real{}.Now())
			c := start(t, options{still: true, clock: now, configure: shelf.stock})
			id := c.server("web", "")
			c.settle(t)
			m, _ := c.machines["node-1"].Machine(id)
			if (m.ShutdownSeconds == nil) != (want.seconds < 0) || m.ShutdownSeconds != nil && *m.ShutdownSeconds != want.seconds {
				t.Errorf("the guest may take %v seconds, want %d", m.ShutdownSeconds, want.seconds)
			}
			c.machines["node-1"].FailAlways(simulated.OpEnsure, errors.New("it takes its time"))
			c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
			c.until("it is stopping", func() bool {
				_, err := c.engine.Turn(c.ctx)
				if err != nil {
					t.Fatal(err)
				}
				now.Advance(20 * time.Millisecond)
				return c.reason(t, id) != ""
			})
			now.Advance(13 * time.Minute) // five are usual, and nine more in ten minutes than in one
			_, err := c.engine.Turn(c.ctx)
			if err != nil {
				t.Fatal(err)
			}
			c.machines["node-1"].FailAlways(simulated.OpEnsure, nil)
			c.settle(t)
			is := "ACTIVE"
			if want.waits {
				is = "SHUTOFF"
			}
			if got := c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "status"); got != is {
				t.Errorf("after a quarter of an hour the server is %v, want %s", got, is)
			}
		})
	}
}
