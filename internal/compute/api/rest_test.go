package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// What servers rest in, and which actions each state allows.
func TestRests(t *testing.T) {
	t.Parallel()
	c := start(t, options{})
	id := c.active("web", "")
	act := func(status int, body string) reply {
		t.Helper()
		return c.must(status, "demo", "POST", "/servers/"+id+"/action", body)
	}
	power := func(r reply, state string, power float64) {
		t.Helper()
		if r.at(t, "server", "OS-EXT-STS:vm_state") != state || r.at(t, "server", "OS-EXT-STS:power_state") != power {
			t.Errorf("got %s, want vm_state %s and power_state %v", r.body, state, power)
		}
	}
	act(202, `{"pause":null}`)
	power(c.status(id, "PAUSED"), "paused", 3)
	r := act(409, `{"pause":null}`)
	if !strings.Contains(string(r.body), "Cannot 'pause' instance "+id+" while it is in vm_state paused") {
		t.Errorf("the second pause is refused with %s", r.body)
	}
	if c.must(200, "demo", "GET", "/servers?status=PAUSED", "").at(t, "servers", 0, "id") != id {
		t.Error("the list of paused servers does not have it")
	}
	act(202, `{"unpause":null}`)
	power(c.status(id, "ACTIVE"), "active", 1)
	run := c.machines["node-1"].Run(id)
	act(202, `{"suspend":null}`)
	power(c.status(id, "SUSPENDED"), "suspended", 4)
	act(409, `{"os-stop":null}`)
	act(202, `{"resume":null}`)
	power(c.status(id, "ACTIVE"), "active", 1)
	if c.machines["node-1"].Run(id) != run {
		t.Error("the resumed guest was started anew, want it to go on where it was")
	}
	act(202, `{"lock":null}`)
	for _, body := range []string{
		`{"pause":null}`, `{"suspend":null}`, `{"rebuild":{"imageRef":"` + imageID + `"}}`,
		`{"resize":{"flavorRef":"2"}}`, `{"confirmResize":null}`,
		`{"revertResize":null}`, `{"restore":null}`,
	} {
		c.must(409, "demo", "POST", "/servers/"+id+"/action", body)
	}
	act(202, `{"unlock":null}`)
	act(409, `{"restore":null}`)
	c.must(403, "demo", "POST", "/servers/"+id+"/action", `{"injectNetworkInfo":null}`)
	c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"injectNetworkInfo":null}`)
}

// A rebuilt server keeps its id and addresses, and gets what the request says.
func TestRebuild(t *testing.T) {
	t.Parallel()
	c := start(t, options{})
	id := c.active("web", "")
	before := c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "addresses")
	r := c.must(202, "demo@2.54", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`","name":"new","metadata":{"a":"b"},"adminPass":"secret","description":null}}`)
	if r.at(t, "server", "adminPass") != "secret" || r.at(t, "server", "name") != "new" || r.at(t, "server", "status") != "REBUILD" {
		t.Errorf("rebuild answers %s", r.body)
	}
	r = c.status(id, "ACTIVE")
	after := r.at(t, "server", "addresses")
	if len(before.(map[string]any)) != len(after.(map[string]any)) || r.at(t, "server", "metadata", "a") != "b" {
		t.Errorf("after the rebuild the server is %s", r.body)
	}
	c.must(400, "demo", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+badImageID+`"}}`)
	c.must(400, "demo", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+volumeID+`"}}`)
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(202, "demo@2.90", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`","user_data":"QUFB","hostname":"other"}}`)
	c.status(id, "SHUTOFF")
}

// A resize holds room and quota for both flavors until it is confirmed.
func TestResize(t *testing.T) {
	t.Parallel()
	c := start(t, options{})
	id := c.active("web", "")
	act := func(status int, body string) {
		t.Helper()
		c.must(status, "demo", "POST", "/servers/"+id+"/action", body)
	}
	used := func(cores float64) {
		t.Helper()
		got := c.must(200, "demo@2.57", "GET", "/limits", "").at(t, "limits", "absolute", "totalCoresUsed")
		if got != cores {
			t.Errorf("%v cores are used, want %v", got, cores)
		}
	}
	act(400, `{"resize":{"flavorRef":"1"}}`)
	act(400, `{"resize":{"flavorRef":"77"}}`)
	act(202, `{"resize":{"flavorRef":"3"}}`)
	c.status(id, "VERIFY_RESIZE")
	used(2)
	act(202, `{"revertResize":null}`)
	r := c.status(id, "ACTIVE")
	used(1)
	if r.at(t, "server", "flavor", "original_name") != "m1.tiny" {
		t.Errorf("after the revert the server is %s", r.body)
	}
	act(202, `{"resize":{"flavorRef":"3"}}`)
	c.status(id, "VERIFY_RESIZE")
	act(204, `{"confirmResize":null}`)
	r = c.status(id, "ACTIVE")
	used(2)
	if r.at(t, "server", "flavor", "original_name") != "m1.medium" {
		t.Errorf("after the resize the server is %s", r.body)
	}
	act(400, `{"resize":{"flavorRef":"1"}}`) // its disk is smaller
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	used(0)
}

func TestCreateImage(t *testing.T) {
	t.Parallel()
	c := start(t, options{})
	id := c.active("web", "")
	r := c.must(202, "demo@2.1", "POST", "/servers/"+id+"/action", `{"createImage":{"name":"copy","metadata":{"a":"b"}}}`)
	if !strings.Contains(r.header.Get("Location"), "/images/") || len(r.body) != 0 {
		t.Errorf("got Location %q and %q, want the image's address and no body", r.header.Get("Location"), r.body)
	}
	c.status(id, "ACTIVE")
	r = c.must(202, "demo@2.45", "POST", "/servers/"+id+"/action", `{"createBackup":{"name":"backup","backup_type":"","rotation":"99999999999999999999999"}}`)
	if r.at(t, "image_id") == nil {
		t.Errorf("a backup answers %s, want the image's id", r.body)
	}
	c.status(id, "ACTIVE")
	c.must(400, "demo", "POST", "/servers/"+id+"/action", `{"createBackup":{"name":"backup","backup_type":"daily","rotation":-1}}`)
	c.must(400, "demo", "POST", "/servers/"+id+"/action", `{"createImage":{"name":""}}`)
}

// What Tempest does to the default quotas: all of them are raised, answered,
// shown, what projects have, and put back.
func TestDefaultQuotas(t *testing.T) {
	c := start(t, options{hosts: 1})
	const path = "/os-quota-class-sets/default"
	all := c.must(200, "admin", "GET", path, "").at(t, "quota_class_set").(map[string]any)
	var raised []string
	for name, limit := range all {
		if name != "id" {
			raised = append(raised, fmt.Sprintf("%q:%v", name, limit.(float64)+100))
		}
	}
	body := `{"quota_class_set":{` + strings.Join(raised, ",") + `}}`
	answers := map[string]map[string]any{
		"answered":  c.must(200, "admin", "PUT", path, body).at(t, "quota_class_set").(map[string]any),
		"shown":     c.must(200, "admin", "GET", path, "").at(t, "quota_class_set").(map[string]any),
		"a project": c.must(200, "admin", "GET", "/os-quota-sets/other", "").at(t, "quota_set").(map[string]any),
	}
	for by, got := range answers {
		for name, limit := range all {
			if name != "id" && got[name] != limit.(float64)+100 {
				t.Errorf("%s: %s is %v, want %v", by, name, got[name], limit.(float64)+100)
			}
		}
	}
	if answers["answered"]["id"] != nil {
		t.Errorf("the answer has the id %v, want none", answers["answered"]["id"])
	}
	c.must(403, "demo", "PUT", path, `{"quota_class_set":{"cores":1}}`)
	const other = "/os-quota-class-sets/gold"
	c.must(200, "admin", "PUT", other, `{"quota_class_set":{"cores":1}}`)
	gold := c.must(200, "admin", "GET", other, "").at(t, "quota_class_set").(map[string]any)
	if gold["cores"] != 1.0 || gold["id"] != "gold" || c.must(200, "admin", "GET", path, "").at(t, "quota_class_set", "cores") == 1.0 {
		t.Errorf("got class %v, want one core in it and not in the default class", gold)
	}
	for version, has := range map[string]map[string]bool{
		"2.1": {"fixed_ips": true, "injected_files": true, "server_groups": false}, "2.49": {"security_groups": true, "server_group_members": false},
		"2.50": {"fixed_ips": false, "injected_files": true, "server_groups": true}, "2.57": {"injected_files": false, "server_group_members": true},
	} {
		set := c.must(200, "admin@"+version, "GET", path, "").at(t, "quota_class_set").(map[string]any)
		for name, want := range has {
			if _, is := set[name]; is != want {
				t.Errorf("at %s a class has %s: %v, want %v", version, name, is, want)
			}
		}
	}
	c.must(400, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"tenant_id":"demo","cores":20}}`)
	c.must(400, "admin", "PUT", path, `{"quota_class_set":{"cores":-2}}`)
	c.must(400, "admin", "PUT", path, `{"quota_class_set":{"force":true}}`)
	c.must(400, "admin@2.57", "PUT", path, `{"quota_class_set":{"fixed_ips":1}}`)
}
