package api_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt/simulated"
)

// A guest that never lets a volume or a card go keeps it: neither stays on its way out for
// ever. When the guest does let go of what it is asked for again, it is gone.
func TestGuestsThatDontLetGo(t *testing.T) {
	now := clock.NewManual(clock.Real{}.Now())
	c := start(t, options{still: true, clock: now})
	id := withVolumes(c)
	c.settle(t)
	card := c.must(200, "demo", "GET", "/servers/"+id+"/os-interface", "").at(t, "interfaceAttachments", 0, "port_id")
	for _, path := range []string{attachments(id) + volumeID, fmt.Sprintf("/servers/%s/os-interface/%v", id, card)} {
		before, _ := c.machines["node-1"].Machine(id)
		c.machines["node-1"].FailAlways(simulated.OpEnsure, errors.New("unplug: the guest does not let it go"))
		c.must(202, "demo", "DELETE", path, "")
		for range 2 {
			_, err := c.engine.Turn(c.ctx)
			if err != nil {
				t.Fatal(err)
			}
			now.Advance(2 * time.Minute)
		}
		c.machines["node-1"].FailAlways(simulated.OpEnsure, nil)
		c.settle(t)
		c.must(200, "demo", "GET", path, "")
		if r := c.must(200, "admin@2.84", "GET", "/servers/"+id+"/os-instance-actions", ""); r.at(t, "instanceActions", 0, "message") != "Error" {
			t.Errorf("%s: got %s, want that it failed", path, r.body)
		}
		if got := c.volumesOf(id); path == attachments(id)+volumeID && got != "in-use available "+volumeID {
			t.Errorf("volumes are %s, want the one still in use", got)
		}
		after, _ := c.machines["node-1"].Machine(id)
		if len(after.Disks) != len(before.Disks) || len(after.NICs) != len(before.NICs) {
			t.Errorf("%s: the guest has lost it: %+v", path, after)
		}
		c.must(202, "demo", "DELETE", path, "")
		c.settle(t)
		c.must(404, "demo", "GET", path, "")
	}
}
