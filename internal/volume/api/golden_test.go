package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"nacre/internal/golden"
)

var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+`)
	servers = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	keys    = regexp.MustCompile(`"auth_key":"[0-9a-f]{16}"`)
	reqs    = regexp.MustCompile(`req-ID\d+`)
)

// golden compares a reply with a file, without what differs between runs.
func (c *cloud) golden(name string, r reply) {
	c.t.Helper()
	if r.status >= 300 {
		c.t.Fatalf("%s: got %d %s", name, r.status, r.body)
	}
	text := times.ReplaceAllString(string(r.body), "TIME")
	text = servers.ReplaceAllString(text, "http://cloud")
	text = keys.ReplaceAllString(text, `"auth_key":"KEY"`)
	ids := map[string]string{}
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("ID%d", len(ids)+1)
		}
		return ids[id]
	})
	text = reqs.ReplaceAllString(text, "REQUEST")
	var pretty bytes.Buffer
	err := json.Indent(&pretty, []byte(text), "", "  ")
	if err != nil {
		c.t.Fatalf("%s: %v in %s", name, err, r.body)
	}
	golden.Compare(c.t, name+".json", pretty.String()+"\n")
}

// make creates something and returns its id.
func (c *cloud) make(status int, token, path, key, body string) string {
	c.t.Helper()
	id, _ := at(c.must(status, token, "POST", path, `{"`+key+`":{`+body+`}}`), key, "id").(string)
	return id
}

// awaitAt waits until a resource has a status, "" when it is gone.
func (c *cloud) awaitAt(path, key, status string) {
	c.t.Helper()
	last := ""
	defer func() {
		if c.t.Failed() {
			c.t.Logf("%s is %s", path, last)
		}
	}()
	c.until(path+" is "+status, func() bool {
		r := c.do("admin", "GET", "/volume/v3"+path, "")
		if r.status == 404 {
			return status == ""
		}
		var object any
		last = string(r.body)
		return json.Unmarshal(r.body, &object) == nil && at(object, key, "status") == status
	})
}

func TestGoldenGroups(t *testing.T) {
	c := start(t, 2)
	kind := c.make(202, "admin", "/volume/v3/group_types", "group_type", `"name":"together","description":"d","group_specs":{"a":"b"}`)
	c.golden("group_type_admin", c.do("admin", "GET", "/volume/v3/group_types/"+kind, ""))
	c.golden("group_type", c.do("demo", "GET", base+"/group_types/"+kind, ""))
	c.golden("group_types", c.do("demo", "GET", base+"/group_types", ""))
	c.golden("group_specs", c.do("admin", "POST", "/volume/v3/group_types/"+kind+"/group_specs", `{"group_specs":{"c":"d"}}`))
	c.golden("group_specs_item", c.do("admin", "PUT", "/volume/v3/group_types/"+kind+"/group_specs/c", `{"c":"e"}`))
	c.golden("group_specs_all", c.do("admin", "GET", "/volume/v3/group_types/"+kind+"/group_specs", ""))
	made := c.do("demo", "POST", base+"/groups", `{"group":{"name":"db","description":"x","group_type":"together","volume_types":["__DEFAULT__"]}}`)
	c.golden("group_created", made)
	id := idIn(t, made, "group")
	c.awaitAt("/groups/"+id, "group", "available")
	a, b := c.create(`"size":1,"volume_type":"__DEFAULT__","group_id":"`+id+`"`), c.create(`"size":2,"volume_type":"__DEFAULT__","group_id":"`+id+`"`)
	c.golden("group_3.13", c.do("demo", "GET", base+"/groups/"+id, "", "3.13"))
	c.golden("group_3.70", c.do("demo", "GET", base+"/groups/"+id+"?list_volume=True", ""))
	c.golden("group_admin_3.70", c.do("admin", "GET", "/volume/v3/groups/"+id, ""))
	c.golden("groups", c.do("demo", "GET", base+"/groups", ""))
	c.golden("groups_detail", c.do("demo", "GET", base+"/groups/detail", ""))
	hosts := map[any]bool{}
	for _, v := range []string{a, b} {
		hosts[at(c.must(200, "admin", "GET", "/volume/v3/volumes/"+v, ""), "volume", "os-vol-host-attr:host")] = true
	}
	if len(hosts) != 1 {
		t.Errorf("the volumes of a group are on %v, want one host", hosts)
	}
	if list, _ := c.must(200, "demo", "GET", base+"/volumes?group_id="+id, "")["volumes"].([]any); len(list) != 2 {
		t.Errorf("filtered by group, volumes are %v", list)
	}

	made = c.do("demo", "POST", base+"/group_snapshots", `{"group_snapshot":{"group_id":"`+id+`","name":"now"}}`)
	c.golden("group_snapshot_created", made)
	snapshot := idIn(t, made, "group_snapshot")
	c.awaitAt("/group_snapshots/"+snapshot, "group_snapshot", "available")
	c.golden("group_snapshot", c.do("demo", "GET", base+"/group_snapshots/"+snapshot, ""))
	c.golden("group_snapshots", c.do("demo", "GET", base+"/group_snapshots", ""))
	c.golden("group_snapshots_detail", c.do("admin", "GET", "/volume/v3/group_snapshots/detail?all_tenants=1", ""))
	c.refuse(400, "demo", "DELETE", base+"/snapshots/"+c.first("/snapshots", "snapshots"), "", "belongs to group snapshot")
	c.refuse(400, "demo", "DELETE", base+"/volumes/"+a, "", "belong to a group")
	c.refuse(400, "demo", "POST", base+"/groups/"+id+"/action", `{"delete":{"delete-volumes":true}}`, "group snapshots")
	c.refuse(400, "demo", "POST", base+"/groups/"+id+"/action", `{"enable_replication":{}}`, "replicated")

	for _, source := range []string{`"group_snapshot_id":"` + snapshot + `"`, `"source_group_id":"` + id + `"`} {
		made = c.do("demo", "POST", base+"/groups/action", `{"create-from-src":{"name":"copy",`+source+`}}`)
		c.golden("group_copied", made)
		copied := idIn(t, made, "group")
		c.awaitAt("/groups/"+copied, "group", "available")
		shown := c.must(200, "demo", "GET", base+"/groups/"+copied+"?list_volume=true", "")
		if list, _ := at(shown, "group", "volumes").([]any); len(list) != 2 {
			t.Errorf("a copy of the group has the volumes %v, want 2", list)
		}
		c.must(202, "demo", "POST", base+"/groups/"+copied+"/action", `{"delete":{"delete-volumes":true}}`)
		c.awaitAt("/groups/"+copied, "group", "")
	}

	c.must(202, "demo", "PUT", base+"/groups/"+id, `{"group":{"name":"db2","remove_volumes":"`+b+`"}}`)
	c.refuse(400, "demo", "PUT", base+"/groups/"+id, `{"group":{"remove_volumes":"`+b+`"}}`, "not in the group")
	c.must(202, "demo", "PUT", base+"/groups/"+id, `{"group":{"add_volumes":"`+b+`"}}`)
	c.must(202, "admin", "POST", "/volume/v3/group_snapshots/"+snapshot+"/action", `{"reset_status":{"status":"error"}}`)
	c.must(202, "demo", "DELETE", base+"/group_snapshots/"+snapshot, "")
	c.awaitAt("/group_snapshots/"+snapshot, "group_snapshot", "")
	c.refuse(400, "demo", "DELETE", base+"/groups/"+id, "", "contains volumes")
	c.refuse(400, "admin", "DELETE", "/volume/v3/group_types/"+kind, "", "still in use")
	if c.used("groups") != 1.0 {
		t.Errorf("%v groups count, want 1", c.used("groups"))
	}
	c.must(202, "demo", "POST", base+"/groups/"+id+"/action", `{"delete":{"delete-volumes":true}}`)
	c.awaitAt("/groups/"+id, "group", "")
	c.must(202, "admin", "DELETE", "/volume/v3/group_types/"+kind, "")
	if c.bytes() != 0 || c.used("groups") != 0.0 || c.used("volumes") != 0.0 || c.used("snapshots") != 0.0 || c.used("gigabytes") != 0.0 {
		t.Errorf("after all hosts have %d volumes, and %v groups, %v volumes, %v snapshots count", c.bytes(), c.used("groups"), c.used("volumes"), c.used("snapshots"))
	}
	c.events(id, "group.create.start group.create.end group.update.start group.update.end group.update.start group.update.end group.delete.start group.delete.end")
	c.events(snapshot, "group_snapshot.create.start group_snapshot.create.end group_snapshot.delete.start group_snapshot.delete.end")
	c.events(kind, "group_type.create group_type.update group_type.update group_type.delete")
}

func idIn(t *testing.T, r reply, key string) string {
	t.Helper()
	var object any
	err := json.Unmarshal(r.body, &object)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := at(object, key, "id").(string)
	return id
}

// first is the id of the first in a list of demo's.
func (c *cloud) first(path, key string) string {
	c.t.Helper()
	id, _ := at(c.must(200, "demo", "GET", base+path, ""), key, 0, "id").(string)
	return id
}

// refuse is must for what is refused with a text.
func (c *cloud) refuse(status int, token, method, path, body, text string) {
	c.t.Helper()
	r := c.do(token, method, path, body)
	if r.status != status || !strings.Contains(string(r.body), text) {
		c.t.Errorf("%s %s %s: got %d %s, want %d with %q", method, path, body, r.status, r.body, status, text)
	}
}

func TestGoldenTransfers(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1,"name":"gift"`)
	snapshot := c.make(202, "demo", base+"/snapshots", "snapshot", `"volume_id":"`+id+`"`)
	c.awaitAt("/snapshots/"+snapshot, "snapshot", "available")
	offer := func(path, body, version string) (transfer, key string, r reply) {
		r = c.do("demo", "POST", base+path, `{"transfer":{"volume_id":"`+id+`"`+body+`}}`, version)
		var object any
		err := json.Unmarshal(r.body, &object)
		if err != nil {
			t.Fatal(err)
		}
		transfer, _ = at(object, "transfer", "id").(string)
		key, _ = at(object, "transfer", "auth_key").(string)
		return transfer, key, r
	}
	transfer, _, r := offer("/os-volume-transfer", `,"name":"t"`, "3.0")
	c.golden("transfer_created_3.0", r)
	c.golden("transfer_3.0", c.do("demo", "GET", base+"/os-volume-transfer/"+transfer, "", "3.0"))
	c.golden("transfers", c.do("demo", "GET", base+"/os-volume-transfer", ""))
	if c.status(id) != "awaiting-transfer" {
		t.Errorf("an offered volume is %s", c.status(id))
	}
	c.refuse(404, "other", "GET", "/volume/v3/os-volume-transfer/"+transfer, "", "Transfer "+transfer+" could not be found")
	c.refuse(400, "demo", "POST", base+"/os-volume-transfer", `{"transfer":{"volume_id":"`+id+`"}}`, "status must be available")
	c.refuse(400, "demo", "DELETE", base+"/volumes/"+id, "", "awaiting a transfer")
	c.must(202, "demo", "DELETE", base+"/os-volume-transfer/"+transfer, "")
	c.await(id, "available")
	c.must(404, "demo", "GET", base+"/volume-transfers/"+transfer, "", "3.54")

	transfer, key, r := offer("/volume-transfers", `,"no_snapshots":false`, "3.70")
	c.golden("transfer_created_3.70", r)
	c.golden("transfers_detail_3.70", c.do("demo", "GET", base+"/volume-transfers/detail", ""))
	c.refuse(400, "other", "POST", "/volume/v3/volume-transfers/"+transfer+"/accept", `{"accept":{"auth_key":"wrong"}}`, "invalid auth key")
	c.refuse(400, "other", "POST", "/volume/v3/volume-transfers/"+transfer+"/accept", `{"accept":{"auth_key":12}}`, "invalid auth key")
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-sets/"+other, `{"quota_set":{"volumes":0}}`)
	c.refuse(413, "other", "POST", "/volume/v3/volume-transfers/"+transfer+"/accept", `{"accept":{"auth_key":"`+key+`"}}`, "Maximum number of volumes")
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-sets/"+other, `{"quota_set":{"volumes":1}}`)
	c.golden("transfer_accepted", c.do("other", "POST", "/volume/v3/volume-transfers/"+transfer+"/accept", `{"accept":{"auth_key":"`+key+`"}}`))
	c.must(404, "demo", "GET", base+"/volumes/"+id, "")
	c.must(404, "demo", "GET", base+"/snapshots/"+snapshot, "")
	c.must(200, "other", "GET", "/volume/v3/snapshots/"+snapshot, "")
	if c.status(id) != "available" || c.used("volumes") != 0.0 || c.used("snapshots") != 0.0 || c.used("gigabytes") != 0.0 {
		t.Errorf("the volume is %s; who gave it still counts %v volumes", c.status(id), c.used("volumes"))
	}
	c.events(id, "volume.create.start volume.create.end transfer.create.start transfer.create.end transfer.delete.start transfer.delete.end "+
		"transfer.create.start transfer.create.end transfer.accept.start transfer.accept.end")
	c.must(202, "other", "DELETE", "/volume/v3/volumes/"+id+"?cascade=true", "")
	c.await(id, "")
}

func TestGoldenQos(t *testing.T) {
	c := start(t, 1)
	const path = "/volume/v3/qos-specs"
	made := c.do("admin", "POST", path, `{"qos_specs":{"name":"slow","consumer":"front-end","total_iops_sec":"100"}}`)
	c.golden("qos_created", made)
	id := idIn(t, made, "qos_specs")
	c.refuse(409, "admin", "POST", path, `{"qos_specs":{"name":"slow"}}`, "already exists")
	c.golden("qos_changed", c.do("admin", "PUT", path+"/"+id, `{"qos_specs":{"read_iops_sec":"50","consumer":"both"}}`))
	c.must(202, "admin", "PUT", path+"/"+id+"/delete_keys", `{"keys":["total_iops_sec"]}`)
	c.refuse(400, "admin", "PUT", path+"/"+id+"/delete_keys", `{"keys":["total_iops_sec"]}`, "no spec with key")
	c.golden("qos", c.do("admin", "GET", path+"/"+id, ""))
	c.golden("qos_list", c.do("admin", "GET", path, ""))
	kind := c.first("/types", "volume_types")
	c.must(202, "admin", "GET", path+"/"+id+"/associate?vol_type_id="+kind, "")
	c.refuse(400, "admin", "GET", path+"/"+id+"/associate", "", "must not be None")
	c.refuse(404, "admin", "GET", path+"/"+id+"/associate?vol_type_id="+nowhere, "", "could not be found")
	second := c.make(200, "admin", path, "qos_specs", `"name":"fast"`)
	c.refuse(400, "admin", "GET", path+"/"+second+"/associate?vol_type_id="+kind, "", "already associated with another qos specs")
	c.golden("qos_associations", c.do("admin", "GET", path+"/"+id+"/associations", ""))
	c.golden("type_with_qos", c.do("admin", "GET", "/volume/v3/types/"+kind, ""))
	c.refuse(400, "admin", "DELETE", path+"/"+id, "", "still associated")
	c.must(202, "admin", "GET", path+"/"+id+"/disassociate?vol_type_id="+kind, "")
	c.must(202, "admin", "GET", path+"/"+id+"/associate?vol_type_id="+kind, "")
	c.must(202, "admin", "GET", path+"/"+id+"/disassociate_all", "")
	c.must(202, "admin", "DELETE", path+"/"+id, "")
	c.must(202, "admin", "GET", path+"/"+second+"/associate?vol_type_id="+kind, "")
	c.must(202, "admin", "DELETE", path+"/"+second+"?force=True", "")
	if list, _ := c.must(200, "admin", "GET", path, "")["qos_specs"].([]any); len(list) != 0 {
		t.Errorf("after all there are %v", list)
	}
	c.events(id, "qos_specs.create qos_specs.update qos_specs.update qos_specs.delete")
}
