package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
)

// guests is on which hosts the server's guest runs.
func (c *cloud) guests(id string) (on []string) {
	c.t.Helper()
	for name, m := range c.machines {
		list, err := m.List(c.ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, state := range list {
			if state.ID == id && state.Running {
				on = append(on, name)
			}
		}
	}
	return on
}

// live begins a live migration and returns its number.
func (c *cloud) live(id, host string) string {
	c.t.Helper()
	c.must(202, "admin@2.96", "POST", "/servers/"+id+"/action", `{"os-migrateLive":{"host":`+host+`,"block_migration":"auto"}}`)
	r := c.must(200, "admin@2.23", "GET", "/os-migrations?instance_uuid="+id, "")
	return fmt.Sprint(r.at(c.t, "migrations", 0, "id"))
}

// migration waits until the newest migration of the server has the status.
func (c *cloud) migration(id, status string) {
	c.t.Helper()
	c.until("migration is "+status, func() bool {
		r := c.must(200, "admin@2.59", "GET", "/os-migrations?instance_uuid="+id, "")
		return r.at(c.t, "migrations", 0, "status") == status
	})
}

func TestLiveMigration(t *testing.T) {
	for _, paused := range []bool{false, true} {
		c := start(t, options{hosts: 3})
		id := c.on("node-1")
		status := "ACTIVE"
		c.status(id, status)
		run := c.machines["node-1"].Run(id)
		if paused {
			status = "PAUSED"
			c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"pause":null}`)
			c.status(id, status)
		}
		c.live(id, `"node-2"`)
		r := c.status(id, status)
		if got := r.at(t, "server", "OS-EXT-SRV-ATTR:host"); got != "node-2" {
			t.Errorf("server is on %v, want node-2", got)
		}
		c.migration(id, "completed")
		c.still(t)
		if on := c.guests(id); len(on) != 1 || on[0] != "node-2" || c.machines["node-2"].Run(id) != run {
			t.Errorf("the guest runs on %v, in power cycle %d, want node-2 and %d", on, c.machines["node-2"].Run(id), run)
		}
		if hosts, consumers := c.used(t); hosts["node-2"] != 1 || len(hosts) != 1 || consumers["MIGRATION"] != 0 {
			t.Errorf("%v are taken by %v", hosts, consumers)
		}
		c.live(id, "null")
		if got := c.status(id, status).at(t, "server", "OS-EXT-SRV-ATTR:host"); got == "node-2" {
			t.Errorf("server is on %v, want another host", got)
		}
	}
}

// A guest that is too busy to get away is called back, or made to go.
func TestLiveMigrationOfABusyGuest(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	c.machines["node-1"].Busy(true)
	path := "/servers/" + id + "/migrations/"
	number := c.live(id, "null")
	c.migration(id, "running")
	if got := c.must(200, "admin", "GET", "/servers/"+id, "").at(t, "server", "status"); got != "MIGRATING" {
		t.Errorf("status is %v, want MIGRATING", got)
	}
	c.until("progress is seen", func() bool {
		r := c.must(200, "admin@2.80", "GET", path+number, "")
		return r.at(t, "migration", "memory_remaining_bytes").(float64) == 512<<20 && r.at(t, "migration", "source_compute") == "node-1"
	})
	c.must(409, "admin", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.must(202, "admin@2.24", "DELETE", path+number, "")
	c.migration(id, "cancelled")
	c.status(id, "ACTIVE")
	c.still(t)
	if on := c.guests(id); len(on) != 1 || on[0] != "node-1" {
		t.Errorf("after the abort the guest runs on %v, want node-1", on)
	}
	c.must(404, "admin@2.23", "GET", path+number, "")
	c.must(409, "admin@2.24", "DELETE", path+number, "")
	if hosts, _ := c.used(t); hosts["node-1"] != 1 || len(hosts) != 1 {
		t.Errorf("after the abort %v are taken", hosts)
	}

	number = c.live(id, "null")
	c.migration(id, "running")
	c.must(404, "admin@2.22", "POST", path+"77/action", `{"force_complete":null}`)
	c.must(202, "admin@2.22", "POST", path+number+"/action", `{"force_complete":null}`)
	c.migration(id, "completed")
	c.status(id, "ACTIVE")
	if on := c.guests(id); len(on) != 1 || on[0] != "node-2" {
		t.Errorf("the guest runs on %v, want node-2", on)
	}
}

// What fails on the way leaves the server where it was.
func TestLiveMigrationFails(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	c.machines["node-1"].FailNext(virtsim.OpMove, errors.New("the wire is cut"))
	c.live(id, "null")
	c.migration(id, "error")
	c.status(id, "ACTIVE")
	c.still(t)
	if on := c.guests(id); len(on) != 1 || on[0] != "node-1" {
		t.Errorf("the guest runs on %v, want node-1", on)
	}
	action := "/servers/" + id + "/action"
	c.must(400, "admin@2.24", "POST", action, `{"os-migrateLive":{"host":"node-2","block_migration":false,"disk_over_commit":false}}`)
	c.must(202, "admin@2.34", "POST", action, `{"os-migrateLive":{"host":"node-2","block_migration":false}}`)
	c.migration(id, "error")
	c.status(id, "ACTIVE")
	for body, version := range map[string]string{
		`{"os-migrateLive":{"host":"node-9","block_migration":"auto"}}`:                       "2.96",
		`{"os-migrateLive":{"host":"node-1","block_migration":"auto"}}`:                       "2.96",
		`{"os-migrateLive":{"host":null,"block_migration":"auto","force":true}}`:              "2.68",
		`{"os-migrateLive":{"host":null,"block_migration":"auto","force":"true"}}`:            "2.30",
		`{"os-migrateLive":{"host":null,"block_migration":"auto","disk_over_commit":false}}`:  "2.25",
		`{"os-migrateLive":{"host":null,"block_migration":"auto","disk_over_commit":false} }`: "2.24",
		`{"os-migrateLive":{"host":null,"block_migration":true}}`:                             "2.24",
		`{"os-migrateLive":{"block_migration":"auto"}}`:                                       "2.25",
		`{"os-migrateLive":{"host":null,"block_migration":"sometimes"}}`:                      "2.25",
	} {
		c.must(400, "admin@"+version, "POST", action, body)
	}
	c.must(202, "admin", "POST", action, `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	r := c.must(409, "admin@2.25", "POST", action, `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
	if !strings.Contains(string(r.body), "vm_state stopped") {
		t.Errorf("got %s", r.body)
	}
}

// A guest whose processors are emulated does not go along with huge pages.
func TestLiveMigrationOfHugePages(t *testing.T) {
	for _, emulated := range []bool{false, true} {
		c := start(t, options{hosts: 2, capacity: virt.Capacity{Emulated: emulated}})
		c.flavor("huge", 0, 0)
		c.must(200, "admin", "POST", "/flavors/huge/os-extra_specs", `{"extra_specs":{"hw:mem_page_size":"large"}}`)
		id := c.must(202, "admin@2.96", "POST", "/servers", flavored("huge", "")).at(t, "server", "id").(string)
		c.status(id, "ACTIVE")
		r := c.as("admin@2.96", "POST", "/servers/"+id+"/action", `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
		if emulated && (r.status != 400 || !strings.Contains(string(r.body), "huge pages")) {
			t.Errorf("emulated: got %d %s, want 400", r.status, r.body)
		}
		if !emulated {
			c.migration(id, "completed")
		}
		c.status(id, "ACTIVE")
	}
}

// A server is deleted while its guest is on the way.
func TestDeleteWhileMigrating(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	c.machines["node-1"].Busy(true)
	c.live(id, "null")
	c.migration(id, "running")
	c.must(204, "admin", "DELETE", "/servers/"+id, "")
	c.gone(id)
	c.still(t)
	if on := c.guests(id); len(on) != 0 {
		t.Errorf("the guest still runs on %v", on)
	}
	if hosts, _ := c.used(t); len(hosts) != 0 {
		t.Errorf("%v are taken", hosts)
	}
}

func TestLiveMigrationPlan(t *testing.T) {
	exerciseOn(t, 2, "server.live_migrate", func(c *cloud) string { return c.on("node-1") }, func(c *cloud, t *testing.T, id string) {
		c.must(202, "admin@2.25", "POST", "/servers/"+id+"/action", `{"os-migrateLive":{"host":null,"block_migration":"auto"}}`)
	}, nil)
}
