package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestNewestMicroversions goes through what came with 2.98 and later.
func TestNewestMicroversions(t *testing.T) {
	c := start(t, options{hosts: 2})
	other := c.active("other", "")
	made := c.must(202, "demo@2.100", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":"auto"},
		"os:scheduler_hints":{"different_host":%q,"x":["a","b"]}}`, imageID, other))
	id := made.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	server := "/servers/" + id

	hints := map[string]any{"different_host": []any{other}, "x": []any{"a", "b"}}
	for version, want := range map[string][2]any{
		"2.97": {nil, nil}, "2.98": {map[string]any{"os_distro": "cirros"}, nil}, "2.100": {map[string]any{"os_distro": "cirros"}, hints},
	} {
		shown := c.must(200, "demo@"+version, "GET", server, "").at(t, "server").(map[string]any)
		listed := c.must(200, "demo@"+version, "GET", "/servers/detail?name=web", "").at(t, "servers", 0).(map[string]any)
		changed := c.must(200, "demo@"+version, "PUT", server, `{"server":{"name":"web"}}`).at(t, "server").(map[string]any)
		for how, view := range map[string]map[string]any{"shown": shown, "listed": listed, "changed": changed} {
			got := [2]any{view["image"].(map[string]any)["properties"], view["scheduler_hints"]}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s at %s: got properties and hints %v, want %v", how, version, got, want)
			}
		}
	}
	if none := c.must(200, "demo@2.100", "GET", "/servers/"+other, "").at(t, "server", "scheduler_hints"); !reflect.DeepEqual(none, map[string]any{}) {
		t.Errorf("a server without hints shows %v", none)
	}

	console := server + "/remote-consoles"
	direct := `{"remote_console":{"protocol":"spice","type":"spice-direct"}}`
	if r := c.must(400, "demo@2.98", "POST", console, direct); !strings.Contains(string(r.body), "Value: spice-direct.") {
		t.Errorf("a direct SPICE console before 2.99: got %s", r.body)
	}
	if r := c.must(400, "demo@2.99", "POST", console, direct); !strings.Contains(string(r.body), "Unavailable console type spice-direct.") {
		t.Errorf("a direct SPICE console: got %s", r.body)
	}
	token := c.must(200, "admin@2.99", "GET", "/os-console-auth-tokens/T", "").at(t, "console").(map[string]any)
	if port, has := token["tls_port"]; has || token["port"] == nil {
		t.Errorf("the token stands for %v with port %v, want a port and no tls_port, which only those of direct SPICE consoles have", token, port)
	}

	volumes := server + "/os-volume_attachments"
	attach := fmt.Sprintf(`{"volumeAttachment":{"volumeId":%q}}`, volumeID)
	if r := c.must(202, "demo@2.101", "POST", volumes, attach); len(r.body) != 0 {
		t.Errorf("attaching a volume answers %s, want nothing", r.body)
	}
	c.until("the volume to be attached", func() bool {
		return len(c.must(200, "demo", "GET", volumes, "").at(t, "volumeAttachments").([]any)) == 1
	})

	c.must(404, "demo@2.103", "GET", "/os-volumes_boot", "")
	c.must(200, "demo@2.102", "GET", "/os-volumes_boot", "")
}

// TestFlavorsOf2102 have lost two fields and can be looked for by name.
func TestFlavorsOf2102(t *testing.T) {
	c := start(t, options{})
	for version, lost := range map[string]bool{"2.101": false, "2.102": true} {
		flavor := c.must(200, "demo@"+version, "GET", "/flavors/1", "").at(t, "flavor").(map[string]any)
		_, factor := flavor["rxtx_factor"]
		_, disabled := flavor["OS-FLV-DISABLED:disabled"]
		if factor == lost || disabled == lost {
			t.Errorf("at %s the flavor is %v", version, flavor)
		}
	}
	made := `{"flavor":{"name":"x","ram":64,"vcpus":1,"disk":0,"rxtx_factor":1}}`
	c.must(400, "admin@2.102", "POST", "/flavors", made)
	c.must(200, "admin@2.101", "POST", "/flavors", made)
	c.must(400, "demo@2.101", "GET", "/flavors?name=tiny", "")
	for pattern, want := range map[string]string{"TINY": "m1.tiny", "^m1.(s|t)": "m1.tiny m1.small", "none": ""} {
		var names []string
		for _, f := range c.must(200, "demo@2.102", "GET", "/flavors?name="+pattern, "").at(t, "flavors").([]any) {
			names = append(names, f.(map[string]any)["name"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("flavors named %s are %q, want %q", pattern, got, want)
		}
	}
	c.must(400, "demo@2.102", "GET", "/flavors?name=(", "")
	c.must(200, "demo@2.101", "GET", "/flavors?sort_key=rxtx_factor", "")
	c.must(400, "demo@2.102", "GET", "/flavors?sort_key=rxtx_factor", "")
}

// TestPinning of a server to the zone that it is in, since 2.104.
func TestPinning(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	pin := func(status int, version, zone string) {
		t.Helper()
		c.must(status, "demo@"+version, "PUT", "/servers/"+id, `{"server":{"pinned_availability_zone":`+zone+`}}`)
	}
	pinned := func(want any) {
		t.Helper()
		if got := c.must(200, "demo@2.104", "GET", "/servers/"+id, "").at(t, "server", "pinned_availability_zone"); got != want {
			t.Errorf("the server is pinned to %v, want %v", got, want)
		}
	}
	pin(400, "2.103", `"nova"`)
	pin(400, "2.104", `""`)
	pin(409, "2.104", `"moon"`)
	pinned(nil)
	pin(200, "2.104", `"nova"`)
	pinned("nova")
	pin(200, "2.104", `"nova"`)
	pin(409, "2.104", `"moon"`)
	pin(200, "2.104", `null`)
	pinned(nil)
}

// Parameters that stand once are refused when they are repeated, or not what they should
// be, since Nova does; before, those of pages are not heard.
func TestBadParameters(t *testing.T) {
	c := start(t, options{hosts: 1})
	actions := "/servers/" + c.active("web", "") + "/os-instance-actions"
	for _, test := range []struct{ path, until, since, want string }{
		{"/os-hypervisors?with_servers=maybe", "2.52", "2.53", "'maybe' is not one of"},
		{"/os-hypervisors?hypervisor_hostname_pattern=", "2.52", "2.53", "'' is too short"},
		{"/os-hypervisors?limit=1&limit=2", "2.52", "2.53", "['1', '2'] is too long"},
		{"/os-hypervisors?limit=-1", "2.32", "2.33", "limit"},
		{"/os-keypairs?limit=a", "2.34", "2.35", "limit"},
		{actions + "?limit=x", "2.57", "2.58", "limit"},
		{actions + "?changes-since=bad", "2.57", "2.58", "'bad' is not a 'date-time'"},
		{actions + "?changes-since=2030-01-01T00:00:00Z&changes-before=2029-01-01T00:00:00Z", "2.57", "2.66", "must be less than or equal to"},
		{"/os-migrations?changes-since=", "2.58", "2.59", "'' is not a 'date-time'"},
		{"/servers?limit=1&limit=2", "", "2.1", "['1', '2'] is too long"},
		{"/servers?limit=", "", "2.1", "'' does not match"},
		{"/servers?changes-since=", "", "2.1", "'' is not a 'date-time'"},
		{"/servers?name=a;b", "", "2.75", ""},
		{"/servers?name=%zz", "", "2.75", ""},
	} {
		if test.until != "" {
			c.must(200, "admin@"+test.until, "GET", test.path, "")
		}
		if test.want == "" {
			if r := c.must(200, "admin@"+test.since, "GET", test.path, ""); len(r.at(t, "servers").([]any)) != 0 {
				t.Errorf("%s: got %s, want none of that name", test.path, r.body)
			}
			continue
		}
		if r := c.must(400, "admin@"+test.since, "GET", test.path, ""); !strings.Contains(string(r.body), test.want) {
			t.Errorf("%s: got %s, want %s", test.path, r.body, test.want)
		}
	}
	for path, list := range map[string]string{
		"/os-hypervisors?limit=0": "hypervisors", "/os-migrations?limit=0": "migrations", actions + "?limit=0": "instanceActions",
		actions + "?changes-since=2099-01-01T00:00:00Z": "instanceActions", actions + "?changes-before=1999-01-01T00:00:00Z": "instanceActions",
	} {
		if r := c.must(200, "admin@2.66", "GET", path, ""); len(r.at(t, list).([]any)) != 0 {
			t.Errorf("%s: got %s, want none", path, r.body)
		}
	}
	all := c.must(200, "demo@2.66", "GET", actions+"?limit=99999999999999999999&changes-since=1999-01-01T00:00:00Z", "")
	if len(all.at(t, "instanceActions").([]any)) == 0 {
		t.Errorf("got %s, want what was done since 1999", all.body)
	}
}

// TestUnknownParameters are refused where and since Nova refuses them.
func TestUnknownParameters(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	for _, test := range []struct {
		path, until, since string // ignored, refused
	}{
		{"/servers?colour=red", "2.74", "2.75"},
		{"/servers/detail?colour=red", "2.74", "2.75"},
		{"/flavors?name=x", "2.74", "2.75"},
		{"/os-hypervisors?colour=red", "2.52", "2.53"},
		{"/servers/" + id + "/os-instance-actions?changes-before=2026-01-01", "2.57", "2.58"},
		{"/os-migrations?user_id=x", "2.58", "2.79"},
		{"/limits?colour=red", "2.74", "2.75"},
		{"/servers/" + id + "?colour=red", "2.101", "2.102"},
		{"/os-aggregates?colour=red", "2.101", "2.102"},
		{"/servers/" + id + "/tags?colour=red", "2.104", ""},
	} {
		c.must(200, "admin@"+test.until, "GET", test.path, "")
		if test.since == "" {
			continue
		}
		if r := c.must(400, "admin@"+test.since, "GET", test.path, ""); !strings.Contains(string(r.body), "was unexpected") {
			t.Errorf("%s: got %s", test.path, r.body)
		}
	}
	c.must(200, "demo@2.75", "GET", "/servers?_cache=1", "")
	c.must(200, "demo@2.102", "GET", "/flavors?name=x", "")
	c.must(200, "admin@2.80", "GET", "/os-migrations?user_id=x", "")
}
