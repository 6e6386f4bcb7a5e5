package api_test

import (
	"fmt"
	"testing"

	"nacre/internal/compute/scheduler"
)

// A server goes to a host near the address that its hints name, as far as they say.
func TestServersNearAnAddress(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 2, addresses: map[string]string{"node-1": "10.1.2.1", "node-2": "10.1.3.1"}})
	create := func(hints string) string {
		return c.must(202, "demo", "POST", "/servers", fmt.Sprintf(
			`{"server":{"name":"near","imageRef":%q,"flavorRef":"1"},"os:scheduler_hints":%s}`, imageID, hints)).at(t, "server", "id").(string)
	}
	for hints, want := range map[string]string{
		`{"build_near_host_ip":"10.1.2.77"}`:              "node-1",
		`{"build_near_host_ip":"10.1.3.77"}`:              "node-2",
		`{"build_near_host_ip":"10.1.3.1","cidr":"/32"}`:  "node-2",
		`{"build_near_host_ip":"10.1.0.77","cidr":"/23"}`: "",
		`{"build_near_host_ip":"10.1.4.77"}`:              "",
		`{"build_near_host_ip":"10.1.3.2","cidr":"/32"}`:  "",
		`{"build_near_host_ip":"fd00::1","cidr":"/64"}`:   "",
	} {
		id := create(hints)
		if want == "" {
			c.status(id, "ERROR")
			c.nowhere(t, id, scheduler.FilterHint)
			continue
		}
		if got := c.status(id, "ACTIVE").at(t, "server", "OS-EXT-SRV-ATTR:host"); got != want {
			t.Errorf("%s: the server is on %v, want %s", hints, got, want)
		}
	}
	c.status(create(`{"build_near_host_ip":"10.1.99.1","cidr":"/16"}`), "ACTIVE")
	c.status(create(`{"same_host":"abc"}`), "ERROR") // which no server is called
	for _, bad := range []string{`{"build_near_host_ip":"node-1"}`, `{"build_near_host_ip":1}`, `{"cidr":"24"}`, `{"cidr":24}`} {
		c.must(400, "demo", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"near","imageRef":%q,"flavorRef":"1"},"os:scheduler_hints":%s}`, imageID, bad))
	}
}

// Who asks for it hears the reservation instead of the first server, and finds all
// servers by it.
func TestReservationID(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	create := func(more string) reply {
		return c.must(202, "demo", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"s","imageRef":%q,"flavorRef":"1"%s}}`, imageID, more))
	}
	for _, yes := range []string{`true`, `"True"`} {
		r := create(`,"min_count":2,"return_reservation_id":` + yes)
		id, _ := r.at(t, "reservation_id").(string)
		if id == "" || r.at(t, "server") != nil || r.header.Get("Location") != "" {
			t.Fatalf("%s is answered with %v %s, want a reservation", yes, r.header, r.body)
		}
		list, _ := c.must(200, "demo", "GET", "/servers?reservation_id="+id, "").at(t, "servers").([]any)
		if len(list) != 2 {
			t.Errorf("reservation %s has %v, want 2 servers", id, list)
		}
		for _, server := range list {
			shown := c.must(200, "admin@2.3", "GET", "/servers/"+server.(map[string]any)["id"].(string), "")
			if got := shown.at(t, "server", "OS-EXT-SRV-ATTR:reservation_id"); got != id {
				t.Errorf("a server of reservation %s is of %v", id, got)
			}
		}
	}
	if r := create(`,"return_reservation_id":false`); r.at(t, "server", "id") == nil || r.at(t, "reservation_id") != nil {
		t.Errorf("without is answered with %s", r.body)
	}
	c.must(400, "demo", "POST", "/servers", `{"server":{"name":"s","imageRef":"`+imageID+`","flavorRef":"1","return_reservation_id":"x"}}`)
}
