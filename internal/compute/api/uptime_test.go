package api_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	virtsim "nacre/internal/virt/simulated"
)

// Hosts that are up tell how long they have been; those that are down, or don't
// answer well, don't hold up the others.
func TestUptime(t *testing.T) {
	c := start(t, options{hosts: 2})
	form := regexp.MustCompile(`^ \d\d:\d\d:\d\d up 0 min,  0 users,  load average: 0\.00, 0\.00, 0\.00$`)
	both := func(first, second bool) {
		t.Helper()
		list := c.must(200, "admin@2.88", "GET", "/os-hypervisors/detail", "")
		for i, want := range []bool{first, second} {
			text, told := list.at(t, "hypervisors", i, "uptime").(string)
			if told != want || told && !form.MatchString(text) {
				t.Errorf("host %d has uptime %q, want one: %t", i+1, text, want)
			}
		}
	}
	uptime := func(i, status int) {
		t.Helper()
		id := c.must(200, "admin", "GET", "/os-hypervisors", "").at(t, "hypervisors", i, "id")
		c.must(status, "admin", "GET", fmt.Sprintf("/os-hypervisors/%v/uptime", id), "")
	}
	both(true, true)
	c.must(200, "admin@2.11", "PUT", "/os-services/force-down", `{"host":"node-1","binary":"nova-compute","forced_down":true}`)
	both(false, true)
	uptime(0, 400)
	uptime(1, 200)
	c.must(200, "admin@2.11", "PUT", "/os-services/force-down", `{"host":"node-1","binary":"nova-compute","forced_down":false}`)
	c.machines["node-2"].FailAlways(virtsim.OpUptime, errors.New("the clock is broken"))
	both(true, false)
	uptime(1, 500)

	c.must(200, "admin", "PUT", "/os-services/disable", `{"host":"node-1","binary":"nova-compute"}`)
	hosts := c.must(200, "admin", "GET", "/os-hosts?zone=", "")
	if hosts.at(t, "hosts", 0, "host_name") != "node-2" || hosts.at(t, "hosts", 1) != nil {
		t.Errorf("the hosts are %s, want the one that is enabled", hosts.body)
	}
	elsewhere := c.must(200, "admin", "GET", "/os-hosts?zone=moon", "")
	if string(elsewhere.body) != `{"hosts":[]}` {
		t.Errorf("the hosts of an unknown zone are %s", elsewhere.body)
	}
}
