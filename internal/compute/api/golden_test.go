package api_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"nacre/internal/golden"
)

// differs are the parts of replies that are other ones in each run.
var differs = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}`), "TIME6"},
	{regexp.MustCompile(`20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`req-[0-9a-f-]{36}`), "REQUEST"},
	{regexp.MustCompile(`"r-[0-9a-f]{8}"`), `"RESERVATION"`},
	{regexp.MustCompile(`instance-[0-9a-f]{8}`), "INSTANCE"},
	{regexp.MustCompile(`"hostId":"[0-9a-f]{56}"`), `"hostId":"HOSTID"`},
	{regexp.MustCompile(`" \d\d:\d\d:\d\d up +\d+ min,  0 users,  load average: 0\.01, 0\.01, 0\.01"`), `"UPTIME"`},
	{regexp.MustCompile(`"adminPass":"[^"]*"`), `"adminPass":"PASSWORD"`},
}

// same compares a reply with the file of that name below testdata, ids and times
// made neutral.
func same(t *testing.T, name string, r reply, ids map[string]string) {
	t.Helper()
	text := string(r.body)
	for id, as := range ids {
		text = regexp.MustCompile(regexp.QuoteMeta(id)).ReplaceAllString(text, as)
	}
	for _, d := range differs {
		text = d.form.ReplaceAllString(text, d.as)
	}
	var pretty bytes.Buffer
	err := json.Indent(&pretty, []byte(text), "", "  ")
	if err != nil {
		t.Fatalf("%s: %v in %s", name, err, text)
	}
	pretty.WriteByte('\n')
	golden.Compare(t, name+".json", pretty.String())
}

func TestGoldenReplies(t *testing.T) {
	c := start(t, options{hosts: 1})
	key := `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEyYnqTw8P6cBPb8U2ZHDYm4AuyFaoJe2iJGSgM6Ymcq me`
	same(t, "keypair-create-2.92", c.must(201, "demo@2.92", "POST", "/os-keypairs", `{"keypair":{"name":"k","public_key":"`+key+`"}}`), nil)
	created := c.must(202, "demo@2.96", "POST", "/servers", `{"server":{"name":"web","imageRef":"`+imageID+`","flavorRef":"1","networks":"auto",
		"key_name":"k","metadata":{"role":"web"},"tags":["blue"],"description":"first","availability_zone":"nova"}}`)
	id := created.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	ids := map[string]string{id: "SERVER"}
	same(t, "server-create-2.96", created, ids)
	host := c.must(200, "admin@2.53", "GET", "/os-hypervisors", "").at(t, "hypervisors", 0, "id").(string)
	service := c.must(200, "admin@2.53", "GET", "/os-services", "").at(t, "services", 0, "id").(string)
	ids[host], ids[service] = "HOST", "SERVICE"
	ids[c.must(200, "demo", "GET", "/servers/"+id+"/os-interface", "").at(t, "interfaceAttachments", 0, "port_id").(string)] = "PORT"
	request := c.must(200, "demo", "GET", "/servers/"+id+"/os-instance-actions", "").at(t, "instanceActions", 0, "request_id").(string)
	tests := []struct{ name, who, path string }{
		{"server-show-2.1", "demo", "/servers/" + id},
		{"server-show-2.3-admin", "admin@2.3", "/servers/" + id},
		{"server-show-2.46", "demo@2.46", "/servers/" + id},
		{"server-show-2.47", "demo@2.47", "/servers/" + id},
		{"server-show-2.96", "demo@2.96", "/servers/" + id},
		{"server-show-2.96-admin", "admin@2.96", "/servers/" + id},
		{"servers-2.1", "demo", "/servers"},
		{"servers-detail-2.96", "demo@2.96", "/servers/detail"},
		{"server-ips-2.1", "demo", "/servers/" + id + "/ips"},
		{"server-interfaces-2.70", "demo@2.70", "/servers/" + id + "/os-interface"},
		{"server-groups-of-2.1", "demo", "/servers/" + id + "/os-security-groups"},
		{"server-actions-2.1", "demo", "/servers/" + id + "/os-instance-actions"},
		{"server-action-2.84", "demo@2.84", "/servers/" + id + "/os-instance-actions/" + request},
		{"server-action-2.84-admin", "admin@2.84", "/servers/" + id + "/os-instance-actions/" + request},
		{"server-tags-2.26", "demo@2.26", "/servers/" + id + "/tags"},
		{"flavors-2.1", "demo", "/flavors"},
		{"flavor-show-2.1", "demo", "/flavors/3"},
		{"flavor-show-2.75", "demo@2.75", "/flavors/3"},
		{"keypairs-2.1", "demo", "/os-keypairs"},
		{"keypair-show-2.10", "demo@2.10", "/os-keypairs/k"},
		{"limits-2.1", "demo", "/limits"},
		{"limits-2.57", "demo@2.57", "/limits"},
		{"quota-2.1", "demo", "/os-quota-sets/demo"},
		{"quota-detail-2.57", "demo@2.57", "/os-quota-sets/demo/detail"},
		{"zones-2.1", "demo", "/os-availability-zone"},
		{"zones-detail-2.1", "admin", "/os-availability-zone/detail"},
		{"hypervisors-2.1", "admin", "/os-hypervisors"},
		{"hypervisors-detail-2.1", "admin", "/os-hypervisors/detail"},
		{"hypervisor-show-2.88", "admin@2.88", "/os-hypervisors/" + host + "?with_servers=true"},
		{"hypervisor-uptime-2.1", "admin", "/os-hypervisors/1/uptime"},
		{"hypervisors-search-2.1", "admin", "/os-hypervisors/ode/search"},
		{"hypervisors-servers-2.1", "admin", "/os-hypervisors/node-1/servers"},
		{"hosts-2.1", "admin", "/os-hosts?zone=nova"},
		{"host-show-2.1", "admin", "/os-hosts/node-1"},
		{"extension-2.1", "demo", "/extensions/os-hosts"},
		{"services-2.1", "admin", "/os-services"},
		{"services-2.53", "admin@2.53", "/os-services"},
		{"version-2.1", "demo", "/"},
	}
	for _, test := range tests {
		same(t, test.name, c.must(200, test.who, "GET", test.path, ""), ids)
	}
	same(t, "server-update-2.1", c.must(200, "demo", "PUT", "/servers/"+id, `{"server":{"name":"shop"}}`), ids)
}
