package api_test

import (
	"fmt"
	"strings"
	"testing"

	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
)

// on makes a server on a host, with a volume besides its root disk.
func (c *cloud) on(host string) string {
	c.t.Helper()
	body := fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":"auto","host":%q,"block_device_mapping_v2":[
		{"source_type":"image","destination_type":"local","uuid":%q,"boot_index":0},
		{"source_type":"volume","destination_type":"volume","uuid":%q,"boot_index":-1}]}}`, imageID, host, imageID, volumeID)
	return c.must(202, "admin@2.96", "POST", "/servers", body).at(c.t, "server", "id").(string)
}

// hostOf is where the server is.
func (c *cloud) hostOf(id string) string {
	c.t.Helper()
	host, _ := c.must(200, "admin", "GET", "/servers/"+id, "").at(c.t, "server", "OS-EXT-SRV-ATTR:host").(string)
	return host
}

// used is what of the hosts' processors is taken, by host, and who takes it.
func (c *cloud) used(t *testing.T) (hosts, consumers map[string]int64) {
	t.Helper()
	hosts, consumers = map[string]int64{}, map[string]int64{}
	var rows []struct {
		Name, Type string
		Used       int64
	}
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		return tx.All(c.ctx, &rows, `
			SELECT p.name, c.type, a.used FROM allocations a JOIN consumers c ON c.id = a.consumer
			JOIN resource_providers p ON p.id = a.provider WHERE a.class = 'VCPU'`)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		hosts[row.Name] += row.Used
		consumers[row.Type] += row.Used
	}
	return hosts, consumers
}

func TestColdMigration(t *testing.T) {
	for _, end := range []string{"confirmResize", "revertResize"} {
		c := start(t, options{hosts: 3})
		id := c.on("node-1")
		c.status(id, "ACTIVE")
		action := "/servers/" + id + "/action"
		c.must(400, "admin@2.56", "POST", action, `{"migrate":{"host":"node-1"}}`)
		c.must(400, "admin@2.56", "POST", action, `{"migrate":{"host":"node-9"}}`)
		c.must(400, "admin@2.56", "POST", action, `{"migrate":{"host":7}}`)
		c.must(202, "admin@2.56", "POST", action, `{"migrate":{"host":"node-3"}}`)
		r := c.status(id, "VERIFY_RESIZE")
		if got := r.at(t, "server", "OS-EXT-SRV-ATTR:host"); got != "node-3" {
			t.Errorf("server is on %v, want node-3", got)
		}
		hosts, consumers := c.used(t)
		if hosts["node-1"] != 1 || hosts["node-3"] != 1 || consumers["MIGRATION"] != 1 || consumers["INSTANCE"] != 1 {
			t.Errorf("before the end %v are taken by %v, want room on both hosts, by the server and its migration", hosts, consumers)
		}
		r = c.must(200, "admin@2.80", "GET", "/os-migrations?instance_uuid="+id, "")
		if r.at(t, "migrations", 0, "status") != "finished" || r.at(t, "migrations", 0, "migration_type") != "migration" ||
			r.at(t, "migrations", 0, "source_compute") != "node-1" || r.at(t, "migrations", 0, "dest_compute") != "node-3" {
			t.Errorf("got %s, want a finished migration", r.body)
		}
		c.as("admin", "POST", action, `{"`+end+`":null}`)
		c.status(id, "ACTIVE")
		want, status := "node-3", "confirmed"
		if end == "revertResize" {
			want, status = "node-1", "reverted"
		}
		if got := c.hostOf(id); got != want {
			t.Errorf("after %s the server is on %s, want %s", end, got, want)
		}
		c.still(t)
		hosts, consumers = c.used(t)
		if hosts[want] != 1 || len(hosts) != 1 || consumers["MIGRATION"] != 0 {
			t.Errorf("after %s %v are taken by %v", end, hosts, consumers)
		}
		for name, m := range c.machines {
			list, err := m.List(c.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if here := len(list) == 1; here != (name == want) || here && (!list[0].Running || len(list[0].Disks) != 1 || len(list[0].NICs) != 1) {
				t.Errorf("after %s host %s has %+v", end, name, list)
			}
		}
		r = c.must(200, "admin@2.59", "GET", "/os-migrations?status="+status, "")
		if r.at(t, "migrations", 0, "instance_uuid") != id {
			t.Errorf("got %s, want a migration that is %s", r.body, status)
		}
		r = c.must(200, "admin", "GET", "/servers/"+id+"/os-instance-actions", "")
		if !strings.Contains(string(r.body), `"migrate"`) {
			t.Errorf("the migration is not among the actions: %s", r.body)
		}
	}
}

// A server that gets larger stays on its host if it can, and otherwise moves.
func TestResizeMoves(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	err := c.db.Write(c.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(c.ctx, `UPDATE inventories SET used = total - reserved WHERE class = 'MEMORY_MB'
			AND provider = (SELECT id FROM resource_providers WHERE name = 'node-1')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"resize":{"flavorRef":"2"}}`)
	c.status(id, "VERIFY_RESIZE")
	if got := c.hostOf(id); got != "node-2" {
		t.Errorf("server is on %s, want the host with room", got)
	}
	c.must(204, "admin", "POST", "/servers/"+id+"/action", `{"confirmResize":null}`)
	c.status(id, "ACTIVE")
	if hosts, consumers := c.used(t); hosts["node-2"] != 1 || consumers["MIGRATION"] != 0 {
		t.Errorf("%v are taken by %v", hosts, consumers)
	}
}

// No other host: the server stays what it was.
func TestMigrationWithoutAHost(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"migrate":null}`)
	c.status(id, "ACTIVE")
	r := c.must(200, "admin@2.23", "GET", "/os-migrations", "")
	if r.at(t, "migrations", 0, "status") != "error" {
		t.Errorf("got %s, want a migration in error", r.body)
	}
	if hosts, consumers := c.used(t); hosts["node-1"] != 1 || consumers["MIGRATION"] != 0 {
		t.Errorf("%v are taken by %v", hosts, consumers)
	}
	c.nowhere(t, id, scheduler.FilterTried)
}

// Whatever finds no host says why, instead of what was decided before.
func TestNowhereIsExplained(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	c.must(200, "admin", "POST", "/flavors", `{"flavor":{"id":"large","name":"large","vcpus":1,"ram":9999999,"disk":1}}`)
	c.must(200, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"ram":-1}}`)
	for _, test := range []struct {
		body, status string
		filter       scheduler.Filter
	}{
		{`{"os-migrateLive":{"host":null,"block_migration":"auto"}}`, "ACTIVE", scheduler.FilterTried},
		{`{"resize":{"flavorRef":"large"}}`, "ACTIVE", scheduler.FilterTried},
		{`{"unshelve":null}`, "SHELVED_OFFLOADED", scheduler.FilterState},
	} {
		if test.status != "ACTIVE" {
			c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"shelve":null}`)
			c.status(id, test.status)
			c.lose("node-1", true)
		}
		err := c.db.Write(c.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(c.ctx, "DELETE FROM schedules")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c.must(202, "admin@2.34", "POST", "/servers/"+id+"/action", test.body)
		c.status(id, test.status)
		c.nowhere(t, id, test.filter)
	}
	c.lose("node-1", false)
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"unshelve":null}`)
	c.status(id, "ACTIVE")
	d, err := c.compute.Decision(c.ctx, id)
	if err != nil || d.Chosen != "node-1" {
		t.Errorf("decided for %q, %v, want the host that it is on", d.Chosen, err)
	}
}

// nowhere checks that the newest decision about a server is that there is no host for
// it, one of them because of the filter.
func (c *cloud) nowhere(t *testing.T, id string, filter scheduler.Filter) {
	t.Helper()
	d, err := c.compute.Decision(c.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if d.Chosen != "" || d.Explanation.Passed != 0 || d.Explanation.Refused[filter] == 0 {
		t.Errorf("decided for %q: %+v, want no host, and one refused by %s", d.Chosen, d.Explanation, filter)
	}
}

func TestMigrationPlans(t *testing.T) {
	begin := func(who, body string) func(c *cloud, t *testing.T, id string) {
		return func(c *cloud, t *testing.T, id string) {
			r := c.as(who, "POST", "/servers/"+id+"/action", body)
			if r.status > 204 {
				t.Fatalf("%s: %d %s", body, r.status, r.body)
			}
		}
	}
	boot := func(c *cloud) string { return c.on("node-1") }
	moved := func(c *cloud) string {
		id := c.on("node-1")
		c.settle(c.t.(*testing.T))
		c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"migrate":null}`)
		return id
	}
	t.Run("migrate", func(t *testing.T) { exerciseOn(t, 2, "server.resize", boot, begin("admin", `{"migrate":null}`), nil) })
	t.Run("confirm", func(t *testing.T) {
		exerciseOn(t, 2, "server.confirm_resize", moved, begin("admin", `{"confirmResize":null}`), nil)
	})
	t.Run("revert", func(t *testing.T) {
		exerciseOn(t, 2, "server.revert_resize", moved, begin("admin", `{"revertResize":null}`), nil)
	})
}
