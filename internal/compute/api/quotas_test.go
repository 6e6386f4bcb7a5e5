package api_test

import (
	"strings"
	"testing"
)

// A user may have limits of their own within a project, which stay as they are.
func TestQuotasOfUsers(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	const project, user = "/os-quota-sets/demo", "/os-quota-sets/demo?user_id=demo-user"
	shows := func(path, name string, want float64) {
		t.Helper()
		if got := c.must(200, "admin", "GET", path, "").at(t, "quota_set", name); got != want {
			t.Errorf("%s has %v %s, want %v", path, got, name, want)
		}
	}
	refuses := func(who, method, path, body string, status int, want string) {
		t.Helper()
		if r := c.must(status, who, method, path, body); !strings.Contains(string(r.body), want) {
			t.Errorf("%s %s by %s: got %s, want %q", method, path, who, r.body, want)
		}
	}
	set := func(status int, path, values, want string) {
		t.Helper()
		refuses("admin", "PUT", path, `{"quota_set":{`+values+`}}`, status, want)
	}
	create := func(who string, count string) reply {
		return c.as(who, "POST", "/servers", `{"server":{"name":"s","imageRef":"`+imageID+`","flavorRef":"1","min_count":`+count+`}}`)
	}
	shows(user, "cores", 20)
	set(200, project, `"cores":15`, `"cores":15`)
	shows(user, "cores", 15)
	set(200, user, `"instances":2,"ram":1024,"key_pairs":1,"server_groups":1,"metadata_items":1`, `"instances":2`)
	for path, want := range map[string]float64{user: 2, project: 10, "/os-quota-sets/demo?user_id=second-user": 10, "/os-quota-sets/other?user_id=demo-user": 10} {
		shows(path, "instances", want)
	}

	// Only this user is held to them.
	refuses("demo", "POST", "/servers", `{"server":{"name":"s","imageRef":"`+imageID+`","flavorRef":"1","min_count":3}}`, 403,
		"Quota exceeded for instances, ram: Requested 3, 1536, but already used 0, 0 of 2, 1024 instances, ram")
	id := c.active("web", "")
	if r := create("second", "3"); r.status != 202 {
		t.Errorf("another user's servers are refused: %s", r.body)
	}
	refuses("demo", "POST", "/servers/"+id+"/action", `{"resize":{"flavorRef":"3"}}`, 403, "Quota exceeded for ram")
	refuses("demo", "POST", "/servers/"+id+"/metadata", `{"metadata":{"a":"1","b":"2"}}`, 403, "exceeds 1")
	for _, who := range []string{"demo", "second"} {
		c.must(200, who, "POST", "/os-keypairs", `{"keypair":{"name":"a"}}`)
		c.must(200, who, "POST", "/os-server-groups", `{"server_group":{"name":"a","policies":["affinity"]}}`)
	}
	refuses("demo", "POST", "/os-keypairs", `{"keypair":{"name":"b"}}`, 403, "too many key pairs")
	refuses("demo", "POST", "/os-server-groups", `{"server_group":{"name":"b","policies":["affinity"]}}`, 403, "too many server groups")
	c.must(200, "second", "POST", "/os-keypairs", `{"keypair":{"name":"b"}}`)

	// What is counted is the user's.
	const detail = "/os-quota-sets/demo/detail"
	for path, want := range map[string]float64{detail: 4, detail + "?user_id=demo-user": 1, detail + "?user_id=second-user": 3} {
		r := c.must(200, "admin", "GET", path, "")
		if r.at(t, "quota_set", "instances", "in_use") != want || r.at(t, "quota_set", "ram", "in_use") != want*512 || r.at(t, "quota_set", "key_pairs", "in_use") != 0.0 {
			t.Errorf("%s is %s, want %v servers", path, r.body, want)
		}
	}

	// A user's limit is between what the user has and what the project has left.
	set(400, user, `"instances":0`, "Quota limit 0 for instances must be greater than or equal to already used and reserved 1.")
	set(400, user, `"instances":11`, "Quota limit 11 for instances must be less than or equal to 10.")
	set(400, user, `"instances":-1`, "Quota limit -1 for instances must be less than or equal to 10.")
	set(200, "/os-quota-sets/demo?user_id=second-user", `"instances":7`, `"instances":7`)
	set(400, user, `"instances":4`, "must be less than or equal to 3.")
	set(400, project, `"instances":8`, "must be greater than or equal to already used and reserved 9.")
	set(200, user, `"instances":4,"force":true`, `"instances":4`)

	c.must(403, "demo", "PUT", user, `{"quota_set":{"instances":3}}`)
	c.must(403, "other", "GET", user, "")
	c.must(202, "admin", "DELETE", user, "")
	shows(user, "instances", 10)
	shows(user, "cores", 15)
	shows("/os-quota-sets/demo?user_id=second-user", "instances", 7)
	c.must(202, "admin", "DELETE", project, "")
	shows("/os-quota-sets/demo?user_id=second-user", "instances", 10)
	shows(project, "cores", 20)
}

// The project's limit of key pairs holds for each of its users.
func TestQuotaOfKeyPairs(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	c.must(200, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"key_pairs":1}}`)
	c.must(200, "demo", "POST", "/os-keypairs", `{"keypair":{"name":"a"}}`)
	c.must(403, "demo", "POST", "/os-keypairs", `{"keypair":{"name":"b"}}`)
	c.must(200, "second", "POST", "/os-keypairs", `{"keypair":{"name":"a"}}`)
}
