package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/auth"
	"nacre/internal/compute"
	computeapi "nacre/internal/compute/api"
	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	virtsim "nacre/internal/virt/simulated"
)

// same fails when the world is not as it was.
func (c *cloud) same(t *testing.T, before any) {
	t.Helper()
	diff := cmp.Diff(before, c.world(t))
	if diff != "" {
		t.Errorf("world (-want +got):\n%s", diff)
	}
}

func TestNoValidHost(t *testing.T) {
	c := start(t, options{hosts: 2})
	c.must(200, "admin@2.55", "POST", "/flavors", `{"flavor":{"name":"huge","id":"huge","ram":999999,"vcpus":1,"disk":1}}`)
	c.must(200, "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"ram":-1}}`)
	id := c.must(202, "demo", "POST", "/servers", `{"server":{"name":"x","imageRef":"`+imageID+`","flavorRef":"huge"}}`).at(t, "server", "id").(string)
	r := c.status(id, "ERROR")
	got := r.at(t, "server", "fault", "message").(string)
	want := "No valid host was found. 2 of 2 hosts refused: 2 by capacity (node-1: MEMORY_MB: 999999 asked for, 65024 of 65024 free)."
	if got != want || r.at(t, "server", "fault", "code") != 500.0 {
		t.Errorf("got fault %v\nwant 500 %s", r.at(t, "server", "fault"), want)
	}
	text, err := c.compute.Explain(c.ctx, id)
	if err != nil || !strings.Contains(string(text), `"refused":{"capacity":2}`) {
		t.Errorf("got explanation %s, %v", text, err)
	}
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
}

func TestServersSpread(t *testing.T) {
	c := start(t, options{hosts: 3})
	counts := map[any]int{}
	for i := range 6 {
		id := c.active(fmt.Sprint("s", i), "")
		counts[c.status(id, "ACTIVE").at(t, "server", "OS-EXT-SRV-ATTR:host")]++
	}
	if len(counts) != 3 || counts["node-1"] != 2 {
		t.Errorf("servers went to %v, want two to each of three hosts", counts)
	}
}

func TestServerGroups(t *testing.T) {
	c := start(t, options{hosts: 2})
	group := c.must(200, "demo@2.64", "POST", "/os-server-groups", `{"server_group":{"name":"g","policy":"anti-affinity"}}`).at(t, "server_group", "id").(string)
	make := func() string {
		return c.must(202, "demo", "POST", "/servers", `{"server":{"name":"x","imageRef":"`+imageID+`","flavorRef":"1"},"os:scheduler_hints":{"group":"`+group+`"}}`).at(t, "server", "id").(string)
	}
	hosts := map[any]bool{}
	for range 2 {
		id := make()
		hosts[c.status(id, "ACTIVE").at(t, "server", "OS-EXT-SRV-ATTR:host")] = true
	}
	if len(hosts) != 2 {
		t.Errorf("members went to %v, want two hosts", hosts)
	}
	third := c.status(make(), "ERROR")
	if got := third.at(t, "server", "fault", "message").(string); !strings.Contains(got, "server group") {
		t.Errorf("got fault %s, want one about the server group", got)
	}
	members := c.must(200, "demo@2.64", "GET", "/os-server-groups/"+group, "").at(t, "server_group", "members").([]any)
	if len(members) != 3 {
		t.Errorf("group has members %v, want 3", members)
	}
}

func TestDeleteWhileItIsMade(t *testing.T) {
	c := start(t, options{hosts: 1})
	before := c.world(t).(map[string][]string)
	for i := range 5 {
		id := c.server(fmt.Sprint("s", i), "")
		c.must(204, "demo", "DELETE", "/servers/"+id, "")
		c.must404or204(id)
		c.gone(id)
	}
	c.still(t)
	after := c.world(t).(map[string][]string)
	delete(after, "servers")
	delete(before, "servers")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("world (-want +got):\n%s", diff)
	}
}

// must404or204 deletes once more, which finds it going or gone.
func (c *cloud) must404or204(id string) {
	c.t.Helper()
	r := c.as("demo", "DELETE", "/servers/"+id, "")
	if r.status != 204 && r.status != 404 {
		c.t.Errorf("second delete: got %d %s", r.status, r.body)
	}
}

func TestHostRefuses(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.machines["node-1"].FailNext(virtsim.OpEnsure, errs.BadRequestf("the disk is too small"))
	id := c.server("web", "")
	r := c.status(id, "ERROR")
	got := r.at(t, "server", "fault", "message").(string)
	if !strings.Contains(got, "the disk is too small") {
		t.Errorf("got fault %q, want the host's reason", got)
	}
	c.still(t)
	w := c.world(t).(map[string][]string)
	if len(w["documents"])+len(w["machines"])+len(w["allocations"])+len(w["server_ports"]) != 0 {
		t.Errorf("something is left: %v", w)
	}
}

// A host on which a build failed is passed over, when that weigher is selected, until
// one works there.
func TestFailedBuildsWeigh(t *testing.T) {
	c := start(t, options{hosts: 2, configure: func(o *compute.Options) { o.Weighers = scheduler.Weighers }})
	chosen := func(id string) string {
		d, err := c.compute.Decision(c.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Chosen
	}
	for _, m := range c.machines {
		m.FailNext(virtsim.OpEnsure, errs.BadRequestf("the disk is too small"))
	}
	first := c.server("first", "")
	c.status(first, "ERROR")
	second := c.server("second", "")
	c.status(second, "ERROR")
	if chosen(first) == chosen(second) {
		t.Errorf("both builds failed on %s, want the second one elsewhere", chosen(first))
	}
	third, fourth := c.active("third", ""), c.active("fourth", "")
	if chosen(third) != chosen(fourth) {
		t.Errorf("got hosts %s and %s, want the one where a build worked", chosen(third), chosen(fourth))
	}
}

// What the operator says of hosts is kept to, and the fault says which rule it was.
func TestHostRules(t *testing.T) {
	c := start(t, options{hosts: 2, configure: func(o *compute.Options) {
		o.Rules = scheduler.Rules{Unscoped: true, IsolatedHosts: []string{"node-1"}, IsolatedImages: []string{imageID}}
	}})
	for range 2 { // the second one would go where the first one is not
		id := c.active("isolated", "")
		if got := c.status(id, "ACTIVE").at(t, "server", "OS-EXT-SRV-ATTR:host"); got != "node-1" {
			t.Errorf("the isolated image is on %v, want node-1", got)
		}
	}
	c.must(200, "admin", "POST", "/flavors/1/os-extra_specs", `{"extra_specs":{"ssd":"true"}}`)
	id := c.server("fast", "")
	got := c.status(id, "ERROR").at(t, "server", "fault", "message").(string)
	const want = "2 by aggregate properties (node-1: the flavor wants an aggregate with ssd true, the host's have none)"
	if !strings.Contains(got, want) {
		t.Errorf("got fault %s, want %s in it", got, want)
	}
}

// A host takes another image only if it would take a server with it. Refused, the
// server has the image and the disk that it had.
func TestRebuildAsksTheHost(t *testing.T) {
	c := start(t, options{hosts: 1, configure: func(o *compute.Options) {
		o.Rules = scheduler.Rules{IsolatedHosts: []string{"other"}, IsolatedImages: []string{quietImageID}}
	}})
	id := c.active("web", "")
	rebuild := func(image string) {
		t.Helper()
		c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+image+`"}}`)
	}
	service := c.must(200, "admin@2.53", "GET", "/os-services", "").at(t, "services", 0, "id").(string)
	c.must(200, "admin@2.53", "PUT", "/os-services/"+service, `{"status":"disabled"}`) // which counts for new ones
	rebuild(quietImageID)
	r := c.status(id, "ERROR")
	got, _ := r.at(t, "server", "fault", "message").(string)
	const want = "1 by isolated hosts (node-1: the image is for isolated hosts, the host is none of them)"
	if !strings.HasPrefix(got, "No valid host was found.") || !strings.Contains(got, want) {
		t.Errorf("got fault %q, want %q in it", got, want)
	}
	if got := r.at(t, "server", "image", "id"); got != imageID {
		t.Errorf("the server is said to have image %v, want %s as before", got, imageID)
	}
	rebuild(imageID)
	c.status(id, "ACTIVE")
}

func TestHostFailsOnce(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.machines["node-1"].FailNext(virtsim.OpEnsure, errors.New("not now"))
	c.active("web", "")
}

func TestGuestShutsItselfDown(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	err := c.machines["node-1"].PowerOff(id)
	if err != nil {
		t.Fatal(err)
	}
	r := c.status(id, "SHUTOFF")
	if got := r.at(t, "server", "OS-EXT-STS:power_state"); got != 4.0 {
		t.Errorf("power state is %v, want 4", got)
	}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-start":null}`)
	c.status(id, "ACTIVE")
}

func TestVolumesAndInterfaces(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	before := c.world(t)
	path := "/servers/" + id
	r := c.must(200, "demo@2.96", "POST", path+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`","tag":"data"}}`)
	if got := r.at(t, "volumeAttachment", "device"); got != "/dev/vdb" {
		t.Errorf("device is %v, want /dev/vdb", got)
	}
	c.until("volume is in use", func() bool {
		w := c.world(t).(map[string][]string)
		return strings.Contains(fmt.Sprint(w["test_volumes"]), "in-use") && strings.Contains(fmt.Sprint(w["machines"]), "disks=1")
	})
	list := c.must(200, "demo@2.89", "GET", path+"/os-volume_attachments", "")
	if got := list.at(t, "volumeAttachments", 0, "bdm_uuid"); got == nil || list.at(t, "volumeAttachments", 0, "id") != nil {
		t.Errorf("attachments at 2.89: %s", list.body)
	}
	c.must(400, "demo", "POST", path+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
	c.must(202, "demo", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
	c.until("volume is free", func() bool {
		return c.as("demo", "GET", path+"/os-volume_attachments/"+volumeID, "").status == 404
	})
	r = c.must(200, "demo@2.70", "POST", path+"/os-interface", `{"interfaceAttachment":{"net_id":"`+networkID+`","tag":"blue"}}`)
	port := r.at(t, "interfaceAttachment", "port_id").(string)
	c.until("guest has two cards", func() bool {
		return strings.Contains(fmt.Sprint(c.world(t).(map[string][]string)["machines"]), "nics=2")
	})
	c.until("card is attached", func() bool {
		return !strings.Contains(fmt.Sprint(c.world(t).(map[string][]string)["server_ports"]), "attaching")
	})
	c.must(202, "demo", "DELETE", path+"/os-interface/"+port, "")
	c.until("card is gone", func() bool { return c.as("demo", "GET", path+"/os-interface/"+port, "").status == 404 })
	c.still(t)
	c.same(t, before)
}

// ask asks the metadata service as the guest with the address would.
func (c *cloud) ask(t *testing.T, host, ip, method, path, body string) nodeapi.MetadataReply {
	t.Helper()
	payload, err := json.Marshal(nodeapi.MetadataQuery{Network: networkID, IP: ip, MAC: "fa:16:3e:00:00:01", Method: method, Path: path, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.compute.AnswerMetadata(c.ctx, host, payload)
	if err != nil {
		t.Fatal(err)
	}
	return reply.(nodeapi.MetadataReply)
}

func TestMetadata(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.must(201, "demo@2.2", "POST", "/os-keypairs", `{"keypair":{"name":"k","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEyYnqTw8P6cBPb8U2ZHDYm4AuyFaoJe2iJGSgM6Ymcq me"}}`)
	id := c.active("Web Server", `,"key_name":"k","user_data":"aGVsbG8=","metadata":{"role":"web"},"config_drive":true`)
	ip := c.must(200, "demo", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	tests := []struct {
		path   string
		status int
		has    string
	}{
		{"/", 200, "2009-04-04\nlatest"},
		{"/latest", 200, "meta-data/\nuser-data"},
		{"/latest/meta-data/", 200, "placement/\npublic-hostname\npublic-ipv4\npublic-keys/"},
		{"/latest/meta-data/public-keys/", 200, "0=k"},
		{"/latest/meta-data/public-keys/0/openssh-key", 200, "ssh-ed25519 AAAA"},
		{"/latest/meta-data/hostname", 200, "web-server.novalocal"},
		{"/latest/meta-data/local-ipv4", 200, ip},
		{"/latest/meta-data/placement/availability-zone", 200, "nova"},
		{"/latest/meta-data/nothing", 404, ""},
		{"/2009-04-04/user-data", 200, "hello"},
		{"/openstack", 200, "2012-08-10\n2013-04-04"},
		{"/openstack/latest/", 200, "meta_data.json\nnetwork_data.json\nuser_data\nvendor_data.json"},
		{"/openstack/latest/meta_data.json", 200, `"uuid":"` + id + `"`},
		{"/openstack/latest/meta_data.json", 200, `"meta":{"role":"web"}`},
		{"/openstack/2012-08-10/meta_data.json", 200, `"launch_index":0`},
		{"/openstack/latest/network_data.json", 200, `"type":"ipv4_dhcp"`},
		{"/openstack/latest/user_data", 200, "hello"},
		{"/openstack/latest/vendor_data.json", 200, "{}"},
		{"/openstack/2012-08-10/network_data.json", 404, ""},
		{"/../etc/passwd", 404, ""},
	}
	for _, test := range tests {
		r := c.ask(t, "node-1", ip, "GET", test.path, "")
		if r.Status != test.status || !strings.Contains(string(r.Body), test.has) {
			t.Errorf("%s: got %d %q, want %d with %q", test.path, r.Status, r.Body, test.status, test.has)
		}
	}
	if r := c.ask(t, "node-1", "10.9.9.9", "GET", "/latest/meta-data/", ""); r.Status != 404 {
		t.Errorf("a stranger gets %d %s", r.Status, r.Body)
	}
	if r := c.ask(t, "node-7", ip, "GET", "/latest/meta-data/", ""); r.Status != 404 {
		t.Errorf("from another host: %d %s", r.Status, r.Body)
	}
	for i, want := range []int{200, 409} {
		if r := c.ask(t, "node-1", ip, "POST", "/openstack/latest/password", "secret"); r.Status != want {
			t.Errorf("post %d of the password: got %d, want %d", i, r.Status, want)
		}
	}
	if got := c.must(200, "demo", "GET", "/servers/"+id+"/os-server-password", "").at(t, "password"); got != "secret" {
		t.Errorf("password is %v, want secret", got)
	}
}

func TestUpdate(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	for _, test := range []struct {
		body, field string
		want        any
	}{
		{`{"server":{"name":"shop"}}`, "name", "shop"},
		{`{"server":{"description":"mine"}}`, "description", "mine"},
		{`{"server":{"description":null}}`, "description", nil},
		{`{"server":{"accessIPv4":"1.2.3.4"}}`, "accessIPv4", "1.2.3.4"},
		{`{"server":{"hostname":"shop"}}`, "OS-EXT-SRV-ATTR:hostname", "shop"},
	} {
		r := c.must(200, "demo@2.90", "PUT", "/servers/"+id, test.body)
		if got := r.at(t, "server", test.field); got != test.want {
			t.Errorf("%s: got %v, want %v", test.body, got, test.want)
		}
	}
	for _, test := range []struct{ method, path, body, want string }{
		{"POST", "", `{"metadata":{"a":"1","b":"2"}}`, `{"metadata":{"a":"1","b":"2"}}`},
		{"PUT", "/a", `{"meta":{"a":"3"}}`, `{"meta":{"a":"3"}}`},
		{"GET", "/a", "", `{"meta":{"a":"3"}}`},
		{"PUT", "", `{"metadata":{"c":"4"}}`, `{"metadata":{"c":"4"}}`},
		{"GET", "", "", `{"metadata":{"c":"4"}}`},
	} {
		r := c.must(200, "demo", test.method, "/servers/"+id+"/metadata"+test.path, test.body)
		if string(r.body) != test.want {
			t.Errorf("%s metadata%s: got %s, want %s", test.method, test.path, r.body, test.want)
		}
	}
	c.must(204, "demo", "DELETE", "/servers/"+id+"/metadata/c", "")
	c.must(201, "demo@2.26", "PUT", "/servers/"+id+"/tags/blue", "")
	c.must(204, "demo@2.26", "PUT", "/servers/"+id+"/tags/blue", "")
	c.must(204, "demo@2.26", "GET", "/servers/"+id+"/tags/blue", "")
	for query, n := range map[string]int{
		"tags=blue": 1, "tags=red": 0, "tags-any=red,blue": 1, "not-tags=blue": 0, "name=sh": 1, "name=^hop": 0, "status=ACTIVE": 1,
		"status=SHUTOFF": 0, "image=" + imageID: 1, "flavor=2": 0, "ip=10.0.0": 1, "ip=11.": 0, "changes-since=2020-01-01T00:00:00Z": 1,
		"changes-since=2099-01-01T00:00:00Z": 0, "locked=true": 0,
	} {
		r := c.must(200, "demo@2.73", "GET", "/servers?"+query, "")
		if got := len(r.at(t, "servers").([]any)); got != n {
			t.Errorf("?%s: got %d servers, want %d", query, got, n)
		}
	}
	c.must(204, "demo@2.26", "DELETE", "/servers/"+id+"/tags/blue", "")
	c.must(404, "demo@2.26", "DELETE", "/servers/"+id+"/tags/blue", "")
}

func TestUsage(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	r := c.must(200, "demo", "GET", "/os-simple-tenant-usage/demo?end=2099-01-01T00:00:00", "")
	if r.at(t, "tenant_usage", "server_usages", 0, "instance_id") != id || r.at(t, "tenant_usage", "total_hours").(float64) < 24*365 {
		t.Errorf("got %s, want many hours of the server", r.body)
	}
	if r = c.must(200, "admin", "GET", "/os-simple-tenant-usage", ""); r.at(t, "tenant_usages", 0, "tenant_id") != "demo" {
		t.Errorf("got %s, want the project's usage", r.body)
	}
	if r = c.must(200, "other", "GET", "/os-simple-tenant-usage/other", ""); string(r.body) != `{"tenant_usage":{}}` {
		t.Errorf("got %s, want nothing", r.body)
	}
	c.must(403, "demo", "GET", "/os-simple-tenant-usage/other", "")
	c.must(400, "demo", "GET", "/os-simple-tenant-usage/demo?start=2030-01-01&end=2020-01-01", "")
}

func TestPages(t *testing.T) {
	c := start(t, options{hosts: 1})
	for i := range 5 {
		c.active(fmt.Sprint("s", i), "")
	}
	var names []string
	path := "/servers?limit=2&sort_key=display_name&sort_dir=asc"
	for range 5 {
		r := c.must(200, "demo", "GET", path, "")
		for _, s := range r.at(t, "servers").([]any) {
			names = append(names, s.(map[string]any)["name"].(string))
		}
		next, _ := r.at(t, "servers_links", 0, "href").(string)
		if next == "" {
			break
		}
		path = strings.TrimPrefix(next, "http://cloud/compute/v2.1")
	}
	if got := strings.Join(names, " "); got != "s0 s1 s2 s3 s4" {
		t.Errorf("pages have %s", got)
	}
}

func TestLock(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	action := "/servers/" + id + "/action"
	c.must(202, "demo@2.73", "POST", action, `{"lock":{"locked_reason":"mine"}}`)
	r := c.must(200, "demo@2.73", "GET", "/servers/"+id, "")
	if r.at(t, "server", "locked") != true || r.at(t, "server", "locked_reason") != "mine" {
		t.Errorf("got %s, want it locked for a reason", r.body)
	}
	c.must(409, "demo", "POST", action, `{"os-stop":null}`)
	c.must(409, "demo", "DELETE", "/servers/"+id, "")
	c.must(202, "demo", "POST", action, `{"unlock":null}`)
	c.must(202, "demo@2.72", "POST", action, `{"lock":{"locked_reason":"not yet heard"}}`)
	r = c.must(200, "demo@2.73", "GET", "/servers/"+id, "")
	if r.at(t, "server", "locked") != true || r.at(t, "server", "locked_reason") != nil {
		t.Errorf("got %s, want it locked for no reason", r.body)
	}
	c.must(409, "demo", "PUT", "/servers/"+id+"/metadata", `{"metadata":{"a":"b"}}`)
	for _, copies := range []string{`{"createImage":{"name":"x"}}`, `{"createBackup":{"name":"x","backup_type":"daily","rotation":1}}`} {
		c.must(202, "demo", "POST", action, copies)
		c.status(id, "ACTIVE")
	}
	for _, bad := range []string{`"why"`, `{"reason":"x"}`, `{"locked_reason":""}`} {
		c.must(400, "demo@2.73", "POST", action, `{"lock":`+bad+`}`)
	}
	c.must(202, "demo", "POST", action, `{"unlock":null}`)
	c.must(202, "demo", "POST", action, `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
}

// Metadata and tags change while a server is settled, and are read at any time.
func TestWordsOfUnsettled(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 2})
	id := c.active("web", `,"metadata":{"a":"b"}`)
	path := "/servers/" + id
	c.must(204, "demo@2.26", "DELETE", path+"/tags", "")
	c.must(201, "demo@2.26", "PUT", path+"/tags/"+strings.Repeat("%C3%A9", 60), "")
	c.must(200, "demo@2.26", "PUT", path+"/tags", `{"tags":["`+strings.Repeat("é", 60)+`"]}`)
	c.must(400, "demo@2.26", "PUT", path+"/tags/"+strings.Repeat("%C3%A9", 61), "")
	c.must(400, "demo@2.26", "PUT", "/servers/none/tags", `{"tags":["a,b"]}`)
	c.must(404, "demo@2.26", "PUT", "/servers/none/tags", `{"tags":["a"]}`)
	c.must(202, "demo", "POST", path+"/action", `{"resize":{"flavorRef":"2"}}`)
	c.status(id, "VERIFY_RESIZE")
	for _, change := range []struct{ method, path, body, says string }{
		{"POST", "/metadata", `{"metadata":{"c":"d"}}`, "update metadata"},
		{"PUT", "/metadata", `{"metadata":{"c":"d"}}`, "update metadata"},
		{"PUT", "/metadata/c", `{"meta":{"c":"d"}}`, "update metadata"},
		{"DELETE", "/metadata/a", "", "delete metadata"},
		{"PUT", "/tags", `{"tags":["x"]}`, "update tags"},
		{"PUT", "/tags/x", "", "update tag"},
		{"DELETE", "/tags/x", "", "delete tag"},
		{"DELETE", "/tags", "", "delete tags"},
	} {
		r := c.must(409, "demo@2.26", change.method, path+change.path, change.body)
		if want := "Cannot '" + change.says + "' instance " + id + " while it is in vm_state resized"; !strings.Contains(string(r.body), want) {
			t.Errorf("%s %s: got %s, want %q", change.method, change.path, r.body, want)
		}
	}
	c.must(200, "demo", "GET", path+"/metadata", "")
	c.must(200, "demo", "GET", path+"/metadata/a", "")
	c.must(200, "demo@2.26", "GET", path+"/tags", "")
	c.must(404, "demo", "DELETE", path+"/metadata/none", "")
}

func TestHostsOutOfService(t *testing.T) {
	c := start(t, options{hosts: 1})
	service := c.must(200, "admin@2.53", "GET", "/os-services", "").at(t, "services", 0, "id").(string)
	c.must(200, "admin@2.53", "PUT", "/os-services/"+service, `{"status":"disabled","disabled_reason":"new disks"}`)
	r := c.status(c.server("web", ""), "ERROR")
	if got := r.at(t, "server", "fault", "message").(string); !strings.Contains(got, "the host is disabled: new disks") {
		t.Errorf("got fault %q, want the operator's reason", got)
	}
	c.must(200, "admin@2.53", "PUT", "/os-services/"+service, `{"status":"enabled"}`)
	c.active("web", "")
}

func TestAggregatesMakeZones(t *testing.T) {
	c := start(t, options{hosts: 2})
	made := c.must(200, "admin", "POST", "/os-aggregates", `{"aggregate":{"name":"a","availability_zone":"east"}}`)
	if strings.Contains(string(made.body), `"hosts"`) || strings.Contains(string(made.body), `"metadata"`) {
		t.Errorf("a new aggregate is shown with hosts or metadata, which Nova leaves out: %s", made.body)
	}
	id := fmt.Sprint(made.at(t, "aggregate", "id"))
	c.must(200, "admin", "POST", "/os-aggregates/"+id+"/action", `{"add_host":{"host":"node-2"}}`)
	server := c.active("web", `,"availability_zone":"east"`)
	r := c.status(server, "ACTIVE")
	if r.at(t, "server", "OS-EXT-SRV-ATTR:host") != "node-2" || r.at(t, "server", "OS-EXT-AZ:availability_zone") != "east" {
		t.Errorf("got %s, want the host of the zone", r.body)
	}
	c.must(409, "admin", "POST", "/os-aggregates/"+id+"/action", `{"remove_host":{"host":"node-2"}}`)
	c.must(400, "admin", "DELETE", "/os-aggregates/"+id, "")
}

// Every rule that a route names is registered: an unknown one refuses everybody.
func TestRulesAreRegistered(t *testing.T) {
	known := map[string]bool{}
	for _, r := range append(append([]auth.Rule{}, auth.BaseRules...), compute.Policy...) {
		known[r.Name] = true
	}
	for _, route := range computeapi.New(nil).Routes {
		if !route.Public && !known[route.Rule] {
			t.Errorf("%s %s names rule %s, which nobody registered", route.Method, route.Path, route.Rule)
		}
	}
}

// The snapshot may be behind what other processes claimed: the database has
// the last word, and the next best host is tried.
func TestNextBestHost(t *testing.T) {
	c := start(t, options{hosts: 2})
	err := c.db.Write(c.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(c.ctx, `UPDATE inventories SET used = total * 4 WHERE class = 'VCPU'
			AND provider = (SELECT id FROM resource_providers WHERE name = 'node-1')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		r := c.status(c.server(fmt.Sprint("s", i), ""), "ACTIVE")
		if got := r.at(t, "server", "OS-EXT-SRV-ATTR:host"); got != "node-2" {
			t.Errorf("server is on %v, want node-2", got)
		}
	}
}

// A guest that does not let go of its disk does not hold up its own end, whether
// the host tries again or refuses.
func TestDeleteDoesNotWaitForADetach(t *testing.T) {
	for _, problem := range []error{errors.New("the guest does not let it go"), errs.Conflictf("the guest does not let it go")} {
		c := start(t, options{hosts: 1})
		id := c.active("web", "")
		path := "/servers/" + id
		heard := c.listen(t)
		c.must(200, "demo", "POST", path+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
		until(c, heard, "compute.instance.volume.attach")
		c.machines["node-1"].FailAlways(virtsim.OpEnsure, problem)
		c.must(202, "demo", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
		until(c, heard, "instance.volume_detach.start")
		c.must(204, "demo", "DELETE", path, "")
		c.gone(id)
	}
}
