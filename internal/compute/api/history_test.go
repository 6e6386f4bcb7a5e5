package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"nacre/internal/errs"
)

// deed is one thing that may be done to a server, and what its history calls it. A
// body that begins with a method and a path under the server's is a call of its own.
type deed struct{ who, call, action string }

// Whatever is done to a server stands in its history, under Nova's name, with who
// asked and with which request; each of its events says how it ended.
func TestEverythingStandsInTheHistory(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 2, still: true})
	id := c.server("web", "")
	c.settle(t)
	c.deeds(t, id, []deed{
		{"demo", `{"os-stop":null}`, "stop"}, {"demo", `{"os-start":null}`, "start"},
		{"demo", `{"reboot":{"type":"SOFT"}}`, "reboot"}, {"demo", `{"reboot":{"type":"HARD"}}`, "reboot"},
		{"demo", `{"pause":null}`, "pause"}, {"demo", `{"unpause":null}`, "unpause"},
		{"demo", `{"suspend":null}`, "suspend"}, {"demo", `{"resume":null}`, "resume"},
		{"demo", `{"rescue":null}`, "rescue"}, {"demo", `{"unrescue":null}`, "unrescue"},
		{"demo", `{"lock":null}`, "lock"}, {"demo", `{"unlock":null}`, "unlock"},
		{"demo", `{"changePassword":{"adminPass":"secret"}}`, "changePassword"},
		{"demo", `{"trigger_crash_dump":null}`, "trigger_crash_dump"},
		{"demo", `{"createImage":{"name":"copy"}}`, "createImage"},
		{"demo", `{"createBackup":{"name":"b","backup_type":"daily","rotation":1}}`, "createBackup"},
		{"demo", `{"rebuild":{"imageRef":"` + imageID + `"}}`, "rebuild"},
		{"demo", `POST /os-volume_attachments {"volumeAttachment":{"volumeId":"` + volumeID + `"}}`, "attach_volume"},
		{"admin", `EXTEND ` + volumeID, "extend_volume"},
		{"demo", `DELETE /os-volume_attachments/` + volumeID, "detach_volume"},
		{"demo", `POST /os-interface {"interfaceAttachment":{"net_id":"` + networkID + `"}}`, "attach_interface"},
		{"demo", `DELETE /os-interface/NEWEST`, "detach_interface"},
		{"demo", `{"resize":{"flavorRef":"2"}}`, "resize"}, {"demo", `{"revertResize":null}`, "revertResize"},
		{"demo", `{"resize":{"flavorRef":"2"}}`, "resize"}, {"demo", `{"confirmResize":null}`, "confirmResize"},
		{"admin", `{"migrate":null}`, "migrate"}, {"demo", `{"confirmResize":null}`, "confirmResize"},
		{"demo", `{"shelve":null}`, "shelve"}, {"demo", `{"unshelve":null}`, "unshelve"},
		{"admin", `LOSE {"evacuate":{}}`, "evacuate"},
		{"demo", `DELETE `, "delete"},
	})
	other := c.server("other", "")
	c.settle(t)
	c.deeds(t, other, []deed{{"demo", `{"forceDelete":null}`, "delete"}})

	ofVolume := ofVolume(c)
	c.settle(t)
	c.deeds(t, ofVolume, []deed{{"demo", `{"rebuild":{"imageRef":"` + imageID + `"}}`, "rebuild"}, {"demo", `{"shelve":null}`, "shelve"}})
}

// deeds does one after the other and looks at the history each time.
func (c *cloud) deeds(t *testing.T, id string, list []deed) {
	t.Helper()
	seen := c.history(t, id)
	if len(seen) != 1 || seen[0].Action != "create" {
		t.Fatalf("the history of a new server is %v, want its creation", seen)
	}
	for _, d := range list {
		request := c.perform(t, id, d)
		c.settle(t)
		now := c.history(t, id)
		var added []act
		for _, a := range now[:len(now)-len(seen)] {
			if a.Request == request {
				added = append(added, a)
			}
		}
		seen = now
		if len(added) != 1 {
			t.Errorf("%s: the history has %v of the request, want one action", d.call, added)
			continue
		}
		a := added[0]
		if a.Action != d.action || a.User != d.who+"-user" || a.Project != d.who || a.Message != nil {
			t.Errorf("%s: the history says %+v, want %s by %s", d.call, a, d.action, d.who)
		}
		c.events(t, id, d, request)
	}
}

// act is an action as the history shows it.
type act struct {
	Action  string
	Request string  `json:"request_id"`
	User    string  `json:"user_id"`
	Project string  `json:"project_id"`
	Message *string `json:"message"`
	Events  []struct{ Event, Result, Start_time, Finish_time string }
}

func (c *cloud) history(t *testing.T, id string) []act {
	t.Helper()
	var reply struct{ InstanceActions []act }
	err := json.Unmarshal(c.must(200, "admin@2.96", "GET", "/servers/"+id+"/os-instance-actions", "").body, &reply)
	if err != nil {
		t.Fatal(err)
	}
	return reply.InstanceActions
}

func (c *cloud) events(t *testing.T, id string, d deed, request string) {
	t.Helper()
	var reply struct{ InstanceAction act }
	err := json.Unmarshal(c.must(200, "demo@2.96", "GET", "/servers/"+id+"/os-instance-actions/"+request, "").body, &reply)
	if err != nil {
		t.Fatal(err)
	}
	if len(reply.InstanceAction.Events) == 0 {
		t.Errorf("%s has no events", d.call)
	}
	// Tempest waits for these.
	if waited := "compute_" + d.action; d.action == "detach_interface" || d.action == "extend_volume" {
		if got := reply.InstanceAction.Events[0].Event; got != waited {
			t.Errorf("%s ends with the event %s, want %s", d.call, got, waited)
		}
	}
	for _, e := range reply.InstanceAction.Events {
		if e.Event == "" || e.Result != "Success" || e.Start_time == "" || e.Finish_time == "" {
			t.Errorf("%s has the event %+v, want it to have succeeded", d.call, e)
		}
	}
}

// perform does it and returns the request's id.
func (c *cloud) perform(t *testing.T, id string, d deed) string {
	t.Helper()
	word, rest, _ := strings.Cut(d.call, " ")
	method, path, body := "POST", "/action", d.call
	switch word {
	case "LOSE":
		c.lose(c.must(200, "admin", "GET", "/servers/"+id, "").at(t, "server", "OS-EXT-SRV-ATTR:host").(string), true)
		body = rest
	case "EXTEND":
		r := c.must(200, "admin@2.51", "POST", "/os-server-external-events", fmt.Sprintf(`{"events":[{"name":"volume-extended","server_uuid":%q,"tag":%q}]}`, id, rest))
		return r.header.Get("X-Openstack-Request-Id")
	case "POST", "DELETE":
		method = word
		path, body, _ = strings.Cut(rest, " ")
		if strings.HasSuffix(path, "/NEWEST") {
			list := c.must(200, "demo", "GET", "/servers/"+id+"/os-interface", "").at(t, "interfaceAttachments").([]any)
			path = "/os-interface/" + list[len(list)-1].(map[string]any)["port_id"].(string)
		}
	}
	r := c.as(d.who+"@2.96", method, "/servers/"+id+path, body)
	if r.status/100 != 2 {
		t.Fatalf("%s: %d %s", d.call, r.status, r.body)
	}
	return r.header.Get("X-Openstack-Request-Id")
}

// A password that the guest did not take stands in the history, too.
func TestFailedPasswordStandsInTheHistory(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	c.machines["node-1"].FailNext("password", errs.Conflictf("There is no agent in the guest."))
	r := c.as("demo@2.96", "POST", "/servers/"+id+"/action", `{"changePassword":{"adminPass":"secret"}}`)
	if r.status < 400 {
		t.Fatalf("the password was changed: %d", r.status)
	}
	a := c.history(t, id)[0]
	if a.Action != "changePassword" || a.Message == nil || *a.Message != "Error" {
		t.Errorf("the history says %+v, want a changePassword that failed", a)
	}
}
