package api_test

import (
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/compute"
)

// A resize that nobody confirms is confirmed when its time is over, if the operator gave
// it one.
func TestResizesAreConfirmedInTime(t *testing.T) {
	now := clock.NewManual(clock.Real{}.Now())
	c := start(t, options{hosts: 2, configure: func(o *compute.Options) { o.ConfirmAfter, o.Clock = time.Hour, now }})
	id := c.active("web", "")
	path := "/servers/" + id + "/action"
	c.must(202, "demo", "POST", path, `{"resize":{"flavorRef":"2"}}`)
	c.status(id, "VERIFY_RESIZE")
	now.Advance(59 * time.Minute)
	c.once("compute.confirm")
	c.status(id, "VERIFY_RESIZE")
	now.Advance(2 * time.Minute)
	c.once("compute.confirm")
	r := c.status(id, "ACTIVE")
	if flavor := r.at(t, "server", "flavor", "original_name"); flavor != "m1.small" {
		t.Errorf("the server has flavor %v, want m1.small", flavor)
	}
	c.must(409, "demo", "POST", path, `{"revertResize":null}`)
	_, consumers := c.used(t)
	if len(consumers) != 1 {
		t.Errorf("placement has %v, want the server alone", consumers)
	}
}
