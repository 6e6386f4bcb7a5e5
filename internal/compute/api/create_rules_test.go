package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// A flavor without a disk is for servers whose root is a volume. A local root would be as
// large as its image says, counted by nobody: only admins may have that.
func TestFlavorsWithoutDisk(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.must(200, "admin", "POST", "/flavors", `{"flavor":{"name":"none","id":"zero","ram":64,"vcpus":1,"disk":0}}`)
	request := func(more string) string {
		return fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"zero"%s}}`, imageID, more)
	}
	r := c.as("demo", "POST", "/servers", request(""))
	if want := "Only volume-backed servers are allowed for flavors with zero disk."; r.status != 403 || !strings.Contains(string(r.body), want) {
		t.Errorf("a local root of no size: got %d %s, want 403 and %q", r.status, r.body, want)
	}
	c.must(202, "admin", "POST", "/servers", request(""))
	c.must(202, "demo", "POST", "/servers", strings.Replace(request(`,"block_device_mapping_v2":[{"boot_index":0,"source_type":"image","destination_type":"volume",
		"uuid":"`+imageID+`","volume_size":1}]`), `"imageRef":"`+imageID+`",`, "", 1))
}

// Who may say so chooses the host: in the zone's name, or since 2.74 by its own.
func TestServersOnAChosenHost(t *testing.T) {
	c := start(t, options{hosts: 3})
	for _, more := range []string{`,"availability_zone":"nova:node-3"`, `,"networks":"none","host":"node-3"`, `,"networks":"none","hypervisor_hostname":"node-3"`} {
		who := "admin"
		if strings.Contains(more, "networks") {
			who = "admin@2.74"
		}
		body := fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1"%s}}`, imageID, more)
		for range 2 {
			id := c.must(202, who, "POST", "/servers", body).at(t, "server", "id").(string)
			c.until("the server to have a host", func() bool { return c.hostOf(id) != "" })
			if got := c.hostOf(id); got != "node-3" {
				t.Errorf("%s: the server is on %s", more, got)
			}
		}
		rule := "os_compute_api:servers:create:forced_host"
		if who != "admin" {
			rule = "compute:servers:create:requested_destination"
		}
		r := c.as(strings.Replace(who, "admin", "demo", 1), "POST", "/servers", body)
		if r.status != 403 || !strings.Contains(string(r.body), rule) {
			t.Errorf("%s of a member: got %d %s, want 403 by %s", more, r.status, r.body, rule)
		}
	}
}
