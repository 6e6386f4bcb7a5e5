package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/compute"
	"nacre/internal/compute/scheduler"
)

func TestRescue(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	path := "/servers/" + id + "/action"
	heard := c.listen(t)
	r := c.must(200, "demo", "POST", path, `{"rescue":{"adminPass":"secret"}}`)
	if r.at(t, "adminPass") != "secret" {
		t.Errorf("got %s, want the password", r.body)
	}
	by := wantTold(t, until(c, heard, "compute.instance.rescue.end"), id,
		[]string{"instance.rescue.start", "instance.rescue.end"}, []string{"compute.instance.rescue.start", "compute.instance.rescue.end"})
	if by["instance.rescue.end"].name != "InstanceActionRescuePayload" {
		t.Errorf("it carries an %s, want an InstanceActionRescuePayload", by["instance.rescue.end"].name)
	}
	by["instance.rescue.end"].wantFields(t, map[string]any{"rescue_image_ref": imageID, "state": "rescued"})
	r = c.status(id, "RESCUE")
	if r.at(t, "server", "OS-EXT-STS:power_state") != 1.0 || r.at(t, "server", "OS-EXT-STS:vm_state") != "rescued" {
		t.Errorf("a rescued server is %s", r.body)
	}
	for _, body := range []string{`{"rescue":null}`, `{"reboot":{"type":"HARD"}}`, `{"pause":null}`, `{"rebuild":{"imageRef":"` + imageID + `"}}`} {
		c.must(409, "demo", "POST", path, body)
	}
	c.must(409, "demo", "POST", "/servers/"+id+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
	c.must(202, "demo", "POST", path, `{"unrescue":null}`)
	until(c, heard, "compute.instance.unrescue.end")
	c.status(id, "ACTIVE")
	c.must(409, "demo", "POST", path, `{"unrescue":null}`)
	c.must(400, "demo", "POST", path, `{"rescue":{"rescue_image_ref":"99999999-9999-4999-8999-999999999999"}}`)
	c.must(400, "demo", "POST", path, `{"rescue":{"rescue_image_ref":"`+badImageID+`"}}`)
	c.must(400, "demo", "POST", path, `{"rescue":{"colour":"red"}}`)
}

func TestRescueOfAVolume(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := ofVolume(c)
	c.status(id, "ACTIVE")
	path := "/servers/" + id + "/action"
	stable := `{"rescue":{"rescue_image_ref":"` + rescueImageID + `"}}`
	c.must(400, "demo@2.86", "POST", path, stable)
	c.must(400, "demo@2.87", "POST", path, `{"rescue":{"rescue_image_ref":"`+imageID+`"}}`)
	c.must(400, "demo@2.87", "POST", path, `{"rescue":null}`)
	c.must(200, "demo@2.87", "POST", path, stable)
	c.status(id, "RESCUE")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
}

func TestShelve(t *testing.T) {
	c := start(t, options{hosts: 2})
	before := c.world(t).(map[string][]string)
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	running := c.world(t)
	path := "/servers/" + id + "/action"
	heard := c.listen(t)
	c.must(202, "demo", "POST", path, `{"shelve":null}`)
	wantTold(t, until(c, heard, "compute.instance.shelve_offload.end"), id,
		[]string{"instance.shelve.start", "instance.shelve.end", "instance.shelve_offload.start", "instance.shelve_offload.end"},
		[]string{"compute.instance.shelve.start", "compute.instance.shelve.end", "compute.instance.shelve_offload.start", "compute.instance.shelve_offload.end"})
	r := c.status(id, "SHELVED_OFFLOADED")
	if r.at(t, "server", "OS-EXT-SRV-ATTR:host") != nil || r.at(t, "server", "OS-EXT-STS:power_state") != 0.0 || r.at(t, "server", "hostId") != "" {
		t.Errorf("an offloaded server is %s", r.body)
	}
	c.still(t)
	w := c.world(t).(map[string][]string)
	if len(w["machines"])+len(w["documents"])+len(w["allocations"]) != 0 || !strings.Contains(fmt.Sprint(w["test_volumes"]), "reserved|taken||") {
		t.Errorf("an offloaded server has %v", w)
	}
	if got := fmt.Sprint(w["quota_usages"]); !strings.Contains(got, "instances|1") {
		t.Errorf("its quota is %s, want it kept", got)
	}
	for _, body := range []string{`{"shelve":null}`, `{"shelveOffload":null}`, `{"os-start":null}`, `{"reboot":{"type":"HARD"}}`} {
		c.must(409, "admin", "POST", path, body)
	}
	// Volumes come and go meanwhile, for clients that know of it.
	volumes := "/servers/" + id + "/os-volume_attachments"
	attach := `{"volumeAttachment":{"volumeId":"` + volumeID2 + `"}}`
	const refused = "_volume' instance %s while it is in vm_state shelved_offloaded"
	if r := c.must(409, "demo@2.19", "POST", volumes, attach); !strings.Contains(string(r.body), fmt.Sprintf("'attach"+refused, id)) {
		t.Errorf("before 2.20 an attachment is answered with %s", r.body)
	}
	c.must(200, "demo@2.20", "POST", volumes, attach)
	until(c, heard, "compute.instance.volume.attach")
	if r := c.must(409, "demo@2.19", "DELETE", volumes+"/"+volumeID2, ""); !strings.Contains(string(r.body), fmt.Sprintf("'detach"+refused, id)) {
		t.Errorf("before 2.20 a detachment is answered with %s", r.body)
	}
	c.must(202, "demo@2.20", "DELETE", volumes+"/"+volumeID2, "")
	until(c, heard, "compute.instance.volume.detach")
	c.must(202, "demo", "POST", path, `{"unshelve":null}`)
	until(c, heard, "compute.instance.unshelve.end")
	c.status(id, "ACTIVE")
	c.still(t)
	got := c.world(t).(map[string][]string)
	for _, part := range []string{"test_volumes", "test_ports", "allocations", "quota_usages"} {
		if fmt.Sprint(hostless(got[part])) != fmt.Sprint(hostless(running.(map[string][]string)[part])) {
			t.Errorf("%s are %q, want %q as before it was shelved", part, got[part], running.(map[string][]string)[part])
		}
	}
	c.must(202, "demo", "POST", path, `{"shelve":null}`)
	c.status(id, "SHELVED_OFFLOADED")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	c.still(t)
	left := c.world(t).(map[string][]string)
	delete(left, "servers") // its row stays
	delete(before, "servers")
	if diff := cmp.Diff(before, left); diff != "" {
		t.Errorf("world (-want +got):\n%s", diff)
	}
}

func hostless(rows []string) string {
	return strings.NewReplacer("node-1", "HOST", "node-2", "HOST").Replace(strings.Join(rows, " "))
}

// Where shelved servers keep their hosts, they leave them when an operator says so.
func TestShelvedServersKeepTheirHosts(t *testing.T) {
	c := start(t, options{hosts: 1, configure: func(o *compute.Options) { o.ShelvedFor = -1 }})
	id := c.active("web", "")
	path := "/servers/" + id + "/action"
	c.must(202, "demo", "POST", path, `{"shelve":null}`)
	r := c.status(id, "SHELVED")
	if r.at(t, "server", "OS-EXT-SRV-ATTR:host") != "node-1" || r.at(t, "server", "OS-EXT-STS:power_state") != 4.0 {
		t.Errorf("a shelved server is %s", r.body)
	}
	c.must(409, "demo@2.77", "POST", path, `{"unshelve":{"availability_zone":"nova"}}`)
	c.must(202, "demo@2.77", "POST", path, `{"unshelve":null}`)
	c.status(id, "ACTIVE")
	c.must(202, "demo", "POST", path, `{"shelve":null}`)
	c.status(id, "SHELVED")
	c.must(403, "demo", "POST", path, `{"shelveOffload":null}`)
	c.must(202, "admin", "POST", path, `{"shelveOffload":null}`)
	c.status(id, "SHELVED_OFFLOADED")
}

func TestUnshelveToAPlace(t *testing.T) {
	c := start(t, options{hosts: 2})
	made := c.must(200, "admin", "POST", "/os-aggregates", `{"aggregate":{"name":"a","availability_zone":"east"}}`)
	c.must(200, "admin", "POST", fmt.Sprintf("/os-aggregates/%v/action", made.at(t, "aggregate", "id")), `{"add_host":{"host":"node-2"}}`)
	id := c.active("web", "")
	path := "/servers/" + id + "/action"
	shelve := func() {
		c.must(202, "demo", "POST", path, `{"shelve":null}`)
		c.status(id, "SHELVED_OFFLOADED")
	}
	shelve()
	for _, test := range []struct {
		who, body string
		status    int
	}{
		{"demo@2.77", `{"unshelve":{"availability_zone":"moon"}}`, 400},
		{"demo@2.77", `{"unshelve":{}}`, 400},
		{"demo@2.77", `{"unshelve":{"availability_zone":null}}`, 400},
		{"demo@2.77", `{"unshelve":{"host":"node-1"}}`, 400},
		{"demo@2.91", `{"unshelve":{"host":"node-1"}}`, 403},
		{"admin@2.91", `{"unshelve":{"host":"node-9"}}`, 400},
		{"admin@2.91", `{"unshelve":{"host":"node-1","availability_zone":"east"}}`, 409},
	} {
		c.must(test.status, test.who, "POST", path, test.body)
	}
	c.must(202, "demo@2.77", "POST", path, `{"unshelve":{"availability_zone":"east"}}`)
	r := c.status(id, "ACTIVE")
	if r.at(t, "server", "OS-EXT-SRV-ATTR:host") != "node-2" || r.at(t, "server", "pinned_availability_zone") != "east" {
		t.Errorf("got %s, want it in the zone, and kept there", r.body)
	}
	shelve()
	c.must(409, "admin@2.91", "POST", path, `{"unshelve":{"host":"node-1"}}`)
	c.must(202, "admin@2.91", "POST", path, `{"unshelve":{"host":"node-1","availability_zone":null}}`)
	r = c.status(id, "ACTIVE")
	if r.at(t, "server", "OS-EXT-SRV-ATTR:host") != "node-1" || r.at(t, "server", "pinned_availability_zone") != nil {
		t.Errorf("got %s, want it on the host, and free to go", r.body)
	}
}

func TestEvacuate(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	from := c.hostOf(id)
	to := map[string]string{"node-1": "node-2", "node-2": "node-1"}[from]
	path := "/servers/" + id + "/action"
	c.must(403, "demo", "POST", path, `{"evacuate":{"onSharedStorage":false}}`)
	c.must(400, "admin@2.14", "POST", path, `{"evacuate":{}}`) // its host is up
	c.lose(from, true)
	for _, test := range []struct {
		who, body string
		status    int
	}{
		{"admin", `{"evacuate":{}}`, 400},                                       // onSharedStorage is missing
		{"admin", `{"evacuate":{"onSharedStorage":true,"adminPass":"x"}}`, 400}, // nothing to change it on
		{"admin", `{"evacuate":{"onSharedStorage":true}}`, 400},                 // root disks are not shared
		{"admin@2.14", `{"evacuate":{"onSharedStorage":false}}`, 400},           // gone
		{"admin@2.28", `{"evacuate":{"host":"` + to + `","force":true}}`, 400},  // not yet
		{"admin@2.29", `{"evacuate":{"force":true}}`, 400},                      // where to?
		{"admin@2.68", `{"evacuate":{"host":"` + to + `","force":true}}`, 400},  // gone
		{"admin@2.68", `{"evacuate":{"host":"` + from + `"}}`, 400}, {"admin@2.68", `{"evacuate":{"host":"node-9"}}`, 404},
	} {
		c.must(test.status, test.who, "POST", path, test.body)
	}
	heard := c.listen(t)
	r := c.must(200, "admin@2.13", "POST", path, `{"evacuate":{"onSharedStorage":false,"adminPass":"secret","host":"`+to+`"}}`)
	if r.at(t, "adminPass") != "secret" {
		t.Errorf("got %s, want the password", r.body)
	}
	wantTold(t, until(c, heard, "compute.instance.rebuild.end"), id,
		[]string{"instance.evacuate", "instance.rebuild.start", "instance.rebuild.end"},
		[]string{"compute.instance.rebuild.start", "compute.instance.rebuild.end"})
	c.status(id, "ACTIVE")
	if got := c.hostOf(id); got != to {
		t.Errorf("it is on %s, want %s", got, to)
	}
	c.still(t)
	w := c.world(t).(map[string][]string)
	if got := fmt.Sprint(w["machines"]); got != "["+to+" running=true disks=1 nics=1]" {
		t.Errorf("machines are %s, want one, on %s", got, to)
	}
	if got := fmt.Sprint(w["test_volumes"]); !strings.Contains(got, "in-use|taken|"+to) {
		t.Errorf("volumes are %s, want one in use on %s", got, to)
	}
	// Since 2.95 it stays off.
	c.lose(from, false)
	c.lose(to, true)
	r = c.must(200, "admin@2.95", "POST", path, `{"evacuate":{}}`)
	if len(r.body) > 0 {
		t.Errorf("got %s, want no body", r.body)
	}
	c.status(id, "SHUTOFF")
	if got := c.hostOf(id); got != from {
		t.Errorf("it is on %s, want %s", got, from)
	}
	actions := c.must(200, "demo", "GET", "/servers/"+id+"/os-instance-actions", "")
	if actions.at(t, "instanceActions", 0, "action") != "evacuate" {
		t.Errorf("its actions are %s, want an evacuation as the last", actions.body)
	}
}

// An evacuation for which there is no room leaves the server where it was.
func TestEvacuateToNowhere(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	before := c.world(t)
	heard := c.listen(t)
	c.lose("node-1", true)
	c.must(200, "admin@2.68", "POST", "/servers/"+id+"/action", `{"evacuate":{}}`)
	until(c, heard, "instance.rebuild.error")
	c.lose("node-1", false)
	c.same(t, before)
	c.nowhere(t, id, scheduler.FilterState)
}

// counted are figures that grow with time.
var counted = regexp.MustCompile(`("(?:time|uptime|cpu0_time)"): ?\d+`)

func TestGuestsAreAsked(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	path := "/servers/" + id
	c.must(403, "demo", "GET", path+"/diagnostics", "")
	for version, name := range map[string]string{"": "server-diagnostics-2.1", "@2.48": "server-diagnostics-2.48"} {
		r := c.must(200, "admin"+version, "GET", path+"/diagnostics", "")
		r.body = counted.ReplaceAll(r.body, []byte(`$1: 7`))
		same(t, name, r, nil)
	}
	same(t, "server-topology-2.78", c.must(200, "demo@2.78", "GET", path+"/topology", ""), nil)
	c.must(404, "demo@2.77", "GET", path+"/topology", "")
	heard := c.listen(t)
	c.must(400, "demo@2.17", "POST", path+"/action", `{"trigger_crash_dump":{}}`)
	c.must(404, "demo@2.16", "POST", path+"/action", `{"trigger_crash_dump":null}`)
	c.must(202, "demo@2.17", "POST", path+"/action", `{"trigger_crash_dump":null}`)
	until(c, heard, "instance.trigger_crash_dump.end")
	c.must(202, "demo", "POST", path+"/action", `{"changePassword":{"adminPass":"secret"}}`)
	c.must(400, "demo", "POST", path+"/action", `{"changePassword":{}}`)
	c.must(http.StatusAccepted, "demo", "POST", path+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(409, "demo", "POST", path+"/action", `{"changePassword":{"adminPass":"secret"}}`)
	c.must(409, "demo@2.17", "POST", path+"/action", `{"trigger_crash_dump":null}`)
	c.must(409, "admin", "GET", path+"/diagnostics", "")
}

func TestServicesAreDeleted(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.active("web", "")
	host := c.hostOf(id)
	c.must(200, "admin", "POST", "/os-aggregates", `{"aggregate":{"name":"a"}}`)
	c.must(200, "admin", "POST", "/os-aggregates/1/action", `{"add_host":{"host":"`+host+`"}}`)
	find := func(version, host string) string {
		return fmt.Sprint(c.must(200, "admin"+version, "GET", "/os-services?host="+host, "").at(t, "services", 0, "id"))
	}
	service, number := find("@2.53", host), find("", host)
	c.must(403, "demo@2.53", "DELETE", "/os-services/"+service, "")
	c.must(409, "admin@2.53", "DELETE", "/os-services/"+service, "")
	c.must(400, "admin", "DELETE", "/os-services/"+service, "")
	c.must(400, "admin@2.53", "DELETE", "/os-services/"+number, "")
	c.must(404, "admin", "DELETE", "/os-services/77", "")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	c.must(204, "admin", "DELETE", "/os-services/"+number, "")
	list := c.must(200, "admin@2.53", "GET", "/os-services", "").at(t, "services").([]any)
	left := c.must(200, "admin", "GET", "/os-hypervisors", "").at(t, "hypervisors").([]any)
	if len(list) != 1 || len(left) != 1 {
		t.Errorf("%d services and %d hypervisors are left, want one of each", len(list), len(left))
	}
	if hosts := c.must(200, "admin", "GET", "/os-aggregates/1", "").at(t, "aggregate", "hosts").([]any); len(hosts) != 0 {
		t.Errorf("the aggregate has %v, want none", hosts)
	}
	for i := range 3 {
		if got := c.hostOf(c.active(fmt.Sprint("s", i), "")); got == host {
			t.Errorf("a server is on %s, which is no compute host any more", got)
		}
	}

	// The node still runs. When it next tells of itself, its host is one again, as
	// one that was never known.
	c.cut(host)
	c.until("the host is a compute host again", func() bool {
		return len(c.must(200, "admin@2.53", "GET", "/os-services?host="+host, "").at(t, "services").([]any)) == 1 &&
			len(c.must(200, "admin", "GET", "/os-hypervisors", "").at(t, "hypervisors").([]any)) == 2
	})
	if again := find("@2.53", host); again == service {
		t.Errorf("the service has the id %s of the one that was deleted", again)
	}
	c.must(200, "admin@2.53", "PUT", "/os-services/"+find("@2.53", map[string]string{"node-1": "node-2", "node-2": "node-1"}[host]), `{"status":"disabled"}`)
	if got := c.hostOf(c.active("again", "")); got != host {
		t.Errorf("a server is on %s, want it on %s, which is a compute host again", got, host)
	}
}

// Until 2.67 an operator may force a server onto a host that would not be chosen.
// One that has no room, or is down, does not take it in any case.
func TestForcedEvacuation(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.active("web", "")
	from := c.hostOf(id)
	to := map[string]string{"node-1": "node-2", "node-2": "node-1"}[from]
	service := fmt.Sprint(c.must(200, "admin@2.53", "GET", "/os-services?host="+to, "").at(t, "services", 0, "id"))
	c.must(200, "admin@2.53", "PUT", "/os-services/"+service, `{"status":"disabled"}`)
	c.lose(from, true)
	evacuate := func(more string) {
		c.must(200, "admin@2.67", "POST", "/servers/"+id+"/action", `{"evacuate":{"host":"`+to+`"`+more+`}}`)
	}
	heard := c.listen(t)
	evacuate("")
	until(c, heard, "instance.rebuild.error")
	if got := c.hostOf(id); got != from {
		t.Fatalf("it is on %s, which is disabled", got)
	}
	c.lose(to, true)
	evacuate(`,"force":true`)
	until(c, heard, "instance.rebuild.error")
	c.lose(to, false)
	evacuate(`,"force":true`)
	until(c, heard, "instance.rebuild.end")
	c.status(id, "ACTIVE")
	if got := c.hostOf(id); got != to {
		t.Errorf("it is on %s, want %s, where it was forced to", got, to)
	}
}

func TestOthersTellOfEvents(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	const path = "/os-server-external-events"
	event := func(name, server, more string) string {
		return fmt.Sprintf(`{"name":%q,"server_uuid":%q%s}`, name, server, more)
	}
	c.must(403, "demo", "POST", path, `{"events":[`+event("network-changed", id, "")+`]}`)
	r := c.must(200, "admin", "POST", path, `{"events":[`+event("network-changed", id, "")+`]}`)
	if string(r.body) != `{"events":[{"server_uuid":"`+id+`","name":"network-changed","status":"completed","code":200}]}` {
		t.Errorf("got %s", r.body)
	}
	port := c.must(200, "demo", "GET", "/servers/"+id+"/os-interface", "").at(t, "interfaceAttachments", 0, "port_id").(string)
	r = c.must(207, "admin@2.93", "POST", path, `{"events":[`+
		event("network-vif-deleted", id, `,"tag":"`+port+`"`)+`,`+event("volume-extended", id, "")+`,`+event("power-update", imageID, `,"tag":"POWER_ON"`)+`,`+
		event("volume-reimaged", id, `,"status":"failed","tag":"x"`)+`]}`)
	for i, want := range []float64{200, 400, 404, 200} {
		if got := r.at(t, "events", i, "code"); got != want {
			t.Errorf("event %d: got %v in %s, want %v", i, got, r.body, want)
		}
	}
	c.until("the card is gone", func() bool { return c.as("demo", "GET", "/servers/"+id+"/os-interface/"+port, "").status == 404 })
	for version, name := range map[string]string{"": "volume-extended", "@2.75": "power-update", "@2.81": "accelerator-request-bound", "@2.92": "volume-reimaged"} {
		c.must(400, "admin"+version, "POST", path, `{"events":[`+event(name, id, `,"tag":"x"`)+`]}`)
	}
	c.must(400, "admin", "POST", path, `{"events":[]}`)
	c.must(400, "admin", "POST", path, `{"events":[`+event("network-changed", id, `,"status":"happy"`)+`]}`)
	c.must(207, "admin", "POST", path, `{"events":[`+event("network-changed", imageID, "")+`]}`)
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"shelve":null}`)
	c.status(id, "SHELVED_OFFLOADED")
	c.must(207, "admin", "POST", path, `{"events":[`+event("network-changed", id, "")+`]}`)
}

func TestAuditsSnapshotsAndShares(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	same(t, "usage-audit-2.1", c.must(200, "admin", "GET", "/os-instance_usage_audit_log/2026-03-05%2010:11:12.345", ""), nil)
	c.must(200, "admin", "GET", "/os-instance_usage_audit_log", "")
	c.must(400, "admin", "GET", "/os-instance_usage_audit_log/yesterday", "")
	c.must(403, "demo", "GET", "/os-instance_usage_audit_log", "")

	assisted := func(volume string) string {
		return `{"snapshot":{"volume_id":"` + volume + `","create_info":{"snapshot_id":"s","type":"qcow2","new_file":"f"}}}`
	}
	c.must(403, "demo", "POST", "/os-assisted-volume-snapshots", assisted(volumeID))
	c.must(400, "admin", "POST", "/os-assisted-volume-snapshots", assisted(volumeID))
	c.must(400, "admin", "POST", "/os-assisted-volume-snapshots", assisted(volumeID2))
	c.must(400, "admin", "DELETE", "/os-assisted-volume-snapshots/s", "")
	c.must(400, "admin", "DELETE", `/os-assisted-volume-snapshots/s?delete_info={"volume_id":"`+volumeID+`"}`, "")

	shares := "/servers/" + id + "/shares"
	if r := c.must(200, "demo@2.97", "GET", shares, ""); string(r.body) != `{"shares":[]}` {
		t.Errorf("got %s, want no shares", r.body)
	}
	c.must(404, "demo@2.96", "GET", shares, "")
	c.must(404, "demo@2.97", "GET", shares+"/"+imageID, "")
	share := `{"share":{"share_id":"` + imageID + `"}}`
	c.must(409, "demo@2.97", "POST", shares, share)
	c.must(409, "demo@2.97", "DELETE", shares+"/"+imageID, "")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(403, "demo@2.97", "POST", shares, share)
	c.must(404, "demo@2.97", "DELETE", shares+"/"+imageID, "")
	c.must(400, "demo@2.97", "POST", shares, `{"share":{"share_id":"x"}}`)
}
