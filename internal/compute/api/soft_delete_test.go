package api_test

import (
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/compute"
	"nacre/internal/work/worktest"
)

// restorable lets deleted servers be restored for an hour.
func restorable(o *compute.Options) { o.ReclaimAfter = time.Hour }

// A deleted server is off and out of sight until it is restored, deleted for good,
// or its time is over.
func TestSoftDelete(t *testing.T) {
	now := clock.NewManual(clock.Real{}.Now())
	c := start(t, options{configure: func(o *compute.Options) { restorable(o); o.Clock = now }})
	used := func(want float64) {
		t.Helper()
		got := c.must(200, "demo", "GET", "/limits", "").at(t, "limits", "absolute", "totalInstancesUsed")
		if got != want {
			t.Errorf("%v servers are counted, want %v", got, want)
		}
	}
	listed := func(who, query string, want int) {
		t.Helper()
		r := c.must(200, who, "GET", "/servers"+query, "")
		got := len(r.at(t, "servers").([]any))
		if got != want {
			t.Errorf("%s: %s is told of %d servers, want %d: %s", query, who, got, want, r.body)
		}
	}
	id := c.active("web", "")
	path := "/servers/" + id + "/action"
	heard := c.listen(t)
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	wantTold(t, until(c, heard, "compute.instance.soft_delete.end"), id,
		[]string{"instance.soft_delete.start", "instance.soft_delete.end"}, []string{"compute.instance.soft_delete.start", "compute.instance.soft_delete.end"})
	r := c.status(id, "SOFT_DELETED")
	if r.at(t, "server", "OS-EXT-STS:vm_state") != "soft-delete" || r.at(t, "server", "OS-EXT-STS:power_state") != 4.0 {
		t.Errorf("a deleted server is %s", r.body)
	}
	used(0)
	listed("demo", "", 0)
	listed("demo", "?soft_deleted=true", 0) // is for admins, and ignored
	listed("admin", "?all_tenants=1", 0)
	listed("admin", "?all_tenants=1&soft_deleted=true", 1)
	listed("admin", "?all_tenants=1&soft_deleted=true&status=SOFT_DELETED", 1)
	listed("admin", "?all_tenants=1&deleted=true", 1)
	c.must(409, "demo", "POST", path, `{"os-start":null}`)
	c.must(409, "admin", "POST", path, `{"os-resetState":{"state":"active"}}`)
	c.must(204, "demo", "DELETE", "/servers/"+id, "") // again
	c.status(id, "SOFT_DELETED")

	c.must(202, "demo", "POST", path, `{"restore":null}`)
	wantTold(t, until(c, heard, "compute.instance.restore.end"), id,
		[]string{"instance.restore.start", "instance.restore.end"}, []string{"compute.instance.restore.start", "compute.instance.restore.end"})
	c.status(id, "ACTIVE")
	used(1)
	listed("demo", "", 1)
	c.must(409, "demo", "POST", path, `{"restore":null}`)

	// Somebody else has its place by the time it is wanted back.
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.status(id, "SOFT_DELETED")
	c.must(200, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"instances":1}}`)
	other := c.active("other", "")
	c.must(403, "demo", "POST", path, `{"restore":null}`)
	c.must(202, "demo", "POST", path, `{"forceDelete":null}`)
	c.gone(id)
	used(1)

	c.must(204, "demo", "DELETE", "/servers/"+other, "")
	c.status(other, "SOFT_DELETED")
	now.Advance(59 * time.Minute)
	c.once("compute.reclaim")
	c.status(other, "SOFT_DELETED")
	now.Advance(2 * time.Minute)
	c.once("compute.reclaim")
	c.gone(other)
	used(0)
}

func TestSoftDeletePlans(t *testing.T) {
	soft := func(c *cloud, id string) { c.must(204, "demo", "DELETE", "/servers/"+id, "") }
	for _, test := range []struct {
		name    string
		prepare func(c *cloud, t *testing.T, id string)
		begin   func(c *cloud, id string)
	}{
		{"delete", func(*cloud, *testing.T, string) {}, soft},
		{"restore", func(c *cloud, t *testing.T, id string) { soft(c, id); c.settle(t) }, func(c *cloud, id string) { c.act(id, `{"restore":null}`) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			worktest.Exercise(t, func(t *testing.T) worktest.Case {
				c := start(t, options{hosts: 1, still: true, configure: restorable})
				id := withVolumes(c)
				c.settle(t)
				test.prepare(c, t, id)
				return worktest.Case{
					Plan: "server.power", Engine: c.engine, Settle: c.still, World: c.world,
					Start: func(*testing.T) { test.begin(c, id) },
				}
			})
		})
	}
}
