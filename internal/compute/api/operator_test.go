package api_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// What operators ask for and do not get, or get another way than they might think, in
// Nova's words.
func TestOperatorsAreRefused(t *testing.T) {
	c := start(t, options{hosts: 2})
	for i, body := range []string{`{"name":"a","availability_zone":"zoneA"}`, `{"name":"b"}`} {
		c.must(200, "admin", "POST", "/os-aggregates", `{"aggregate":`+body+`}`)
		c.must(200, "admin", "POST", fmt.Sprintf("/os-aggregates/%d/action", i+1), `{"add_host":{"host":"node-1"}}`)
	}
	c.must(200, "admin", "POST", "/os-aggregates", `{"aggregate":{"name":"c","availability_zone":"zoneB"}}`)
	id := c.active("web", "")
	const unknown = "99999999-9999-4999-8999-999999999999"
	metadata := func(text string) string { return `{"set_metadata":{"metadata":` + text + `}}` }
	events := func(name, server, more string) string {
		return fmt.Sprintf(`{"events":[{"name":%q,"server_uuid":%q%s}]}`, name, server, more)
	}
	service := func(binary, more string) string { return fmt.Sprintf(`{"host":"node-1","binary":%q%s}`, binary, more) }
	c.must(200, "admin@2.11", "PUT", "/os-services/force-down", service("nova-compute", `,"forced_down":true`))
	before := c.world(t)
	for _, test := range []struct {
		who, method, path, body string
		status                  int
		says                    string
	}{
		{"admin@2.11", "PUT", "/os-services/force-down", service("nova-compute", ""), 400, "Missing forced_down field"},
		{"admin", "PUT", "/os-services/disable-log-reason", service("nova-compute", ""), 400, "Missing disabled reason field"},
		{"admin", "PUT", "/os-services/enable", service("nova-conductor", ""), 400, "Updating a nova-conductor service is not supported. Only nova-compute services can be updated."},
		{"admin", "PUT", "/os-services/enable", `{"host":"a b","binary":"nova-compute"}`, 400, "'a b' does not match"},
		{"admin", "PUT", "/os-services/enable", service("nova-compute", `,"forced_down":true`), 400, "'forced_down' was unexpected"},
		{"admin@2.53", "PUT", "/os-services/99999", `{"status":"enabled"}`, 400, "Invalid uuid 99999"},
		{"admin@2.53", "DELETE", "/os-services/abc", "", 400, "Invalid uuid abc"},
		{"admin", "DELETE", "/os-services/abc", "", 400, "must be an integer"},
		{"admin@2.53", "DELETE", "/os-services/" + unknown, "", 404, "Service " + unknown + " not found."},

		{"admin", "PUT", "/os-aggregates/2", `{"aggregate":{"availability_zone":"zoneB"}}`, 400, "Cannot update aggregate 2. Reason: One or more hosts already in availability zone(s) ['zoneA']."},
		{"admin", "POST", "/os-aggregates/2/action", metadata(`{"availability_zone":"zoneB"}`), 400, "Cannot update metadata of aggregate 2. Reason: One or more hosts already in availability zone(s) ['zoneA']."},
		{"admin", "POST", "/os-aggregates/3/action", `{"add_host":{"host":"node-1"}}`, 409, "Cannot add host to aggregate 3. Reason: One or more hosts already in availability zone(s) ['zoneA']."},
		{"admin", "PUT", "/os-aggregates/1", `{"aggregate":{"availability_zone":null}}`, 400, "Aggregate a does not support empty named availability zone."},
		{"admin", "POST", "/os-aggregates/1/action", metadata(`{"availability_zone":null}`), 400, "Aggregate a does not support empty named availability zone."},
		{"admin", "POST", "/os-aggregates/1/action", metadata(`{"availability_zone":""}`), 400, "Aggregate a does not support empty named availability zone."},
		{"admin", "POST", "/os-aggregates", `{"aggregate":{"name":"d","availability_zone":"a:b"}}`, 400, "'a:b' does not match"},
		{"admin", "GET", "/os-aggregates/99999999999999999999999", "", 404, "Aggregate 99999999999999999999999 could not be found."},
		{"admin@2.81", "POST", "/os-aggregates/1/images", `{"cache":[{"id":"` + unknown + `"}]}`, 400, "Image " + unknown + " could not be found."},

		{"admin", "POST", "/os-server-external-events", events("network-changed", unknown, ""), 207, `"status":"failed","code":404`},
		{"admin@2.51", "POST", "/os-server-external-events", events("volume-extended", id, ""), 207, `"status":"failed","code":400`},
		{"admin@2.76", "POST", "/os-server-external-events", events("power-update", id, ""), 207, `"code":400`},
		{"admin@2.82", "POST", "/os-server-external-events", events("accelerator-request-bound", id, ""), 207, `"code":400`},

		{"demo", "GET", "/os-server-groups?all_projects=1", "", 200, `{"server_groups":[]}`},
		{"demo", "POST", "/os-keypairs", `{"keypair":{"name":"q","public_key":""}}`, 400, "Keypair data is invalid: failed to generate fingerprint"},
		{"demo@2.92", "POST", "/os-keypairs", `{"keypair":{"name":"q"}}`, 400, "'public_key' is a required property"},
		{"demo", "GET", "/flavors?sort_dir=x", "", 400, "'x' is not one of ['asc', 'desc']"},
		{"demo", "GET", "/flavors?marker=", "", 400, "marker [] not found"},
		{"demo", "GET", "/flavors?minRam=", "", 400, "Invalid minRam filter []"},
		{"admin@2.55", "POST", "/flavors", `{"flavor":{"name":"x","ram":1,"vcpus":1,"disk":1,"description":"a\u0001"}}`, 400, "does not match"},
		{"admin", "GET", "/os-simple-tenant-usage?start=bad", "", 400, "Invalid datetime string: Datetime is in invalid format"},
		{"admin", "POST", "/os-cells/sync_instances", "", 410, "no longer available"},

		{"admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"cores":"99999999999999999999999"}}`, 400, "Invalid input for field/attribute cores. Value: 99999999999999999999999. 99999999999999999999999 is greater than the maximum of 2147483647"},
		{"admin", "POST", "/flavors", `{"flavor":{"name":"x","ram":1.5,"vcpus":1,"disk":1}}`, 400, "Invalid input for field/attribute ram. Value: 1.5."},
	} {
		r := c.as(test.who, test.method, test.path, test.body)
		if r.status != test.status || !strings.Contains(string(r.body), test.says) {
			t.Errorf("%s %s %s %s: got %d %s\nwant %d with %q", test.who, test.method, test.path, test.body, r.status, r.body, test.status, test.says)
		}
	}
	c.same(t, before)

	// Whole numbers are integers in whichever way they are written.
	c.must(200, "admin", "POST", "/flavors", `{"flavor":{"name":"x","ram":1e2,"vcpus":1.0,"disk":1}}`)
	c.must(200, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"cores":20.0}}`)
	c.server("two", `,"min_count":1.0`)
	// Only disable-log-reason keeps a reason.
	r := c.must(200, "admin", "PUT", "/os-services/disable", service("nova-compute", `,"disabled_reason":"x"`))
	if strings.Contains(string(r.body), "reason") {
		t.Errorf("got %s, want no reason", r.body)
	}
}

// Of many who put a host into aggregates of different zones at once, one does.
func TestHostsHaveOneZone(t *testing.T) {
	c := start(t, options{})
	for i := range 8 {
		c.must(200, "admin", "POST", "/os-aggregates", fmt.Sprintf(`{"aggregate":{"name":"a%d","availability_zone":"z%d"}}`, i, i))
	}
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := c.as("admin", "POST", fmt.Sprintf("/os-aggregates/%d/action", i+1), `{"add_host":{"host":"node-1"}}`)
			switch r.status {
			case 200:
				won.Add(1)
			case 409:
			default:
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("the host is in %d zones, want 1", won.Load())
	}
}
