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
	r = c.must(400, "demo", "POST", "/servers/"+c.active("other", "")+"/action", `{"resize":{"flavorRef":"zero"}}`)
	if want := "Server disk was unable to be resized because: "; !strings.Contains(string(r.body), want) {
		t.Errorf("a resize to a disk of no size: got %s, want %q", r.body, want)
	}
	c.must(202, "demo", "POST", "/servers", strings.Replace(request(`,"block_device_mapping_v2":[{"boot_index":0,"source_type":"image","destination_type":"volume",
		"uuid":"`+imageID+`","volume_size":1}]`), `"imageRef":"`+imageID+`",`, "", 1))
}

// A rule says who may have a card on an external network that is not shared, with a new
// server or a running one.
func TestCardsOnExternalNetworks(t *testing.T) {
	c := start(t, options{hosts: 1})
	path := "/servers/" + c.active("web", "") + "/os-interface"
	for who, want := range map[string][2]int{"demo": {403, 403}, "admin": {202, 200}} {
		c.external(who, path, want)
	}
	err := c.policy.Override([]byte("network:attach_external_network: role:member\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.external("demo", path, [2]int{202, 200})
}

// external asks for a server, and a card at the path, on the external network.
func (c *cloud) external(who, path string, want [2]int) {
	c.t.Helper()
	create := fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":[{"uuid":%q}]}}`, imageID, publicNet)
	c.must(want[0], who, "POST", "/servers", create)
	c.must(want[1], who, "POST", path, fmt.Sprintf(`{"interfaceAttachment":{"net_id":%q}}`, publicNet))
}

// Who may say so chooses the host: in the zone's name, or since 2.74 by its own.
func TestServersOnAChosenHost(t *testing.T) {
	c := start(t, options{hosts: 3})
	c.must(200, "admin", "PUT", "/os-quota-sets/admin", `{"quota_set":{"instances":-1}}`)
	for _, more := range []string{`,"availability_zone":"nova:node-3"`, `,"availability_zone":"nova::node-3"`, `,"availability_zone":":node-3:node-3"`, `,"availability_zone":"moon:node-3"`, `,"networks":"none","host":"node-3"`, `,"networks":"none","hypervisor_hostname":"node-3"`} {
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

	unknown := c.as("admin@2.74", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":"none","host":"moon"}}`, imageID))
	if want := "Compute host moon could not be found."; unknown.status != 400 || !strings.Contains(string(unknown.body), want) {
		t.Errorf("an unknown host: got %d %s, want 400 and %q", unknown.status, unknown.body, want)
	}

	// One that is disabled takes what is forced on it, and nothing else.
	c.must(200, "admin@2.1", "PUT", "/os-services/disable", `{"host":"node-3","binary":"nova-compute"}`)
	create := func(who, more string) string {
		body := fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1"%s}}`, imageID, more)
		return c.must(202, who, "POST", "/servers", body).at(t, "server", "id").(string)
	}
	c.status(create("admin@2.74", `,"networks":"none","host":"node-3"`), "ERROR")
	id := create("admin", `,"availability_zone":"nova:node-3"`)
	c.status(id, "ACTIVE")
	if got := c.hostOf(id); got != "node-3" {
		t.Errorf("the server that was forced on node-3 is on %s", got)
	}
	c.status(create("admin", `,"availability_zone":"nova:node-1:node-2"`), "ERROR") // no host has both names
	other := create("admin", `,"availability_zone":"nova:node-1"`)
	c.status(other, "ACTIVE")
	path := "/servers/" + other + "/action"
	c.must(202, "admin@2.30", "POST", path, `{"os-migrateLive":{"host":"node-3","block_migration":"auto","force":false}}`)
	c.status(other, "ACTIVE")
	if got := c.hostOf(other); got != "node-1" {
		t.Errorf("a disabled host took a guest: it is on %s", got)
	}
	c.must(202, "admin@2.30", "POST", path, `{"os-migrateLive":{"host":"node-3","block_migration":"auto","force":true}}`)
	c.status(other, "ACTIVE")
	if got := c.hostOf(other); got != "node-3" {
		t.Errorf("the guest that was forced to node-3 is on %s", got)
	}
}
