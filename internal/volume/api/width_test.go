package api_test

import (
	"strings"
	"testing"
)

func TestDefaultTypes(t *testing.T) {
	c := start(t, 1)
	const path = "/volume/v3/default-types"
	kind := c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"own"`)
	c.refuse(404, "admin", "GET", path+"/"+demo, "", "not found")
	c.refuse(404, "admin", "PUT", path+"/"+demo, `{"default_type":{"volume_type":"nothing"}}`, "nothing")
	c.refuse(403, "demo", "PUT", path+"/"+demo, `{"default_type":{"volume_type":"own"}}`, "default_set_or_update")
	c.golden("default_type", c.do("admin", "PUT", path+"/"+demo, `{"default_type":{"volume_type":"own"}}`))
	c.golden("default_types", c.do("admin", "GET", path, ""))
	c.must(200, "admin", "GET", path+"/"+demo, "")
	c.must(404, "admin", "GET", path, "", "3.61")
	if got := at(c.must(200, "demo", "GET", base+"/types/default", ""), "volume_type", "id"); got != kind {
		t.Errorf("the default type of the project is %v, want %s", got, kind)
	}
	id := c.create(`"size":1`)
	if got := at(c.must(200, "demo", "GET", base+"/volumes/"+id, ""), "volume", "volume_type_id"); got != kind {
		t.Errorf("a volume without a type is of type %v, want %s", got, kind)
	}
	c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
	c.await(id, "")
	c.refuse(400, "admin", "DELETE", "/volume/v3/types/"+kind, "", "still in use")
	c.must(204, "admin", "DELETE", path+"/"+demo, "")
	c.refuse(404, "admin", "DELETE", path+"/"+demo, "", "not found")
	c.must(202, "admin", "DELETE", "/volume/v3/types/"+kind, "")
	c.events(kind, "volume_type.create volume_type.delete")
}

func TestMessages(t *testing.T) {
	c := start(t, 1)
	c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"elsewhere","extra_specs":{"vendor_name":"nobody"}`)
	id := c.make(202, "demo", base+"/volumes", "volume", `"size":1,"volume_type":"elsewhere"`)
	c.await(id, "error")
	c.golden("messages", c.do("demo", "GET", base+"/messages?resource_uuid="+id, ""))
	message := c.first("/messages?event_id=VOLUME_VOLUME_001_003", "messages")
	c.golden("message", c.do("demo", "GET", base+"/messages/"+message, ""))
	c.must(404, "other", "GET", "/volume/v3/messages/"+message, "")
	c.must(403, "reader", "DELETE", base+"/messages/"+message, "")
	c.must(204, "demo", "DELETE", base+"/messages/"+message, "")
	c.must(404, "demo", "GET", base+"/messages/"+message, "")
	c.must(404, "demo", "GET", base+"/messages", "", "3.2")
	c.golden("resource_filters", c.do("demo", "GET", base+"/resource_filters", ""))
	c.golden("resource_filters_group", c.do("demo", "GET", base+"/resource_filters?resource=group", ""))
}

func TestServices(t *testing.T) {
	c := start(t, 2)
	const path = "/volume/v3/os-services"
	c.golden("services_3.0", c.do("admin", "GET", path, "", "3.0"))
	c.golden("service_disabled", c.do("admin", "PUT", path+"/disable-log-reason", `{"host":"node-1@nacre","binary":"cinder-volume","disabled_reason":"broken"}`))
	c.golden("services_3.70", c.do("admin", "GET", path+"?host=node-1@nacre", ""))
	for range 2 {
		id := c.create(`"size":1`)
		if got := at(c.must(200, "admin", "GET", "/volume/v3/volumes/"+id, ""), "volume", "os-vol-host-attr:host"); got != "node-2@nacre#volumes" {
			t.Errorf("a volume is on %v, where new ones are not to be", got)
		}
	}
	c.golden("service_enabled", c.do("admin", "PUT", path+"/enable", `{"host":"node-1@nacre","binary":"cinder-volume"}`))
	c.must(200, "admin", "PUT", path+"/freeze", `{"host":"node-1@nacre"}`)
	if got := at(c.must(200, "admin", "GET", path+"?host=node-1@nacre", ""), "services", 0, "frozen"); got != true {
		t.Errorf("a frozen host is shown as %v", got)
	}
	c.must(200, "admin", "PUT", path+"/thaw", `{"host":"node-1@nacre"}`)
	for _, row := range []struct {
		status            int
		method, act, body string
		text              string
	}{
		{404, "PUT", "/enable", `{"host":"nobody","binary":"cinder-volume"}`, "could not be found"},
		{404, "PUT", "/disable", `{"host":"node-1@nacre","binary":"cinder-nothing"}`, "could not be found"},
		{400, "PUT", "/disable", `{"host":"node-1@nacre"}`, "binary"},
		{400, "PUT", "/disable", `{"host":"node-1@nacre","binary":"cinder-backup"}`, "cannot be turned off"},
		{400, "PUT", "/disable-log-reason", `{"host":"node-1@nacre","binary":"cinder-volume"}`, "disabled_reason"},
		{400, "PUT", "/disable-log-reason", `{"host":"node-1@nacre","binary":"cinder-volume","disabled_reason":null}`, "disabled_reason"},
		{400, "PUT", "/freeze", `{"host":"nobody"}`, "No service could be changed"},
		{400, "PUT", "/thaw", `{"host":"nobody"}`, "No service could be changed"},
		{400, "PUT", "/failover_host", `{"host":"node-1@nacre"}`, "replication is not enabled"},
		{400, "PUT", "/set-log", `{"level":"LOUD"}`, "not a valid log level"},
		{400, "PUT", "/get-log", `{"binary":"cinder-nothing"}`, "binary"},
	} {
		c.refuse(row.status, "admin", row.method, path+row.act, row.body, row.text)
	}
	c.golden("log", c.do("admin", "PUT", path+"/get-log", `{}`))
	c.must(202, "admin", "PUT", path+"/set-log", `{"level":"debug","binary":"*"}`)
	c.must(202, "admin", "PUT", path+"/set-log", `{"level":"error","binary":"cinder-backup"}`)
	if got := at(c.must(200, "admin", "PUT", path+"/get-log", `{}`), "log_levels", 0, "levels", "nacre"); got != "DEBUG" {
		t.Errorf("the level is %v, want DEBUG", got)
	}
	c.must(404, "admin", "PUT", path+"/get-log", `{}`, "3.31")
	c.golden("clusters", c.do("admin", "GET", "/volume/v3/clusters/detail", ""))
	c.refuse(404, "admin", "GET", "/volume/v3/clusters/x", "", "Cluster x could not be found")
	c.refuse(404, "admin", "PUT", "/volume/v3/clusters/disable", `{"name":"x"}`, "Cluster x could not be found")
	c.golden("cleanup", c.do("admin", "POST", "/volume/v3/workers/cleanup", `{"binary":"cinder-volume"}`))
	c.golden("capabilities", c.do("admin", "GET", "/volume/v3/capabilities/node-1@nacre%23volumes", ""))
	c.refuse(404, "admin", "GET", "/volume/v3/capabilities/nobody", "", "could not be found")
	c.golden("pools_detail", c.do("admin", "GET", "/volume/v3/scheduler-stats/get_pools?detail=True&name=node-1@nacre%23volumes", ""))
	c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"elsewhere","extra_specs":{"volume_backend_name":"nobody"}`)
	if list, _ := c.must(200, "admin", "GET", "/volume/v3/scheduler-stats/get_pools?volume_type=elsewhere", "")["pools"].([]any); len(list) != 0 {
		t.Errorf("pools for a type that none can keep: %v", list)
	}
}

func TestListsAreFiltered(t *testing.T) {
	c := start(t, 1)
	a, b := c.create(`"size":1,"name":"web-1","metadata":{"k":"v"}`), c.create(`"size":2,"name":"db-1"`)
	listed := func(query string, version ...string) string {
		var ids []string
		list, _ := c.must(200, "demo", "GET", base+"/volumes?sort=created_at:asc&"+query, "", version...)["volumes"].([]any)
		for _, v := range list {
			id, _ := at(v, "id").(string)
			ids = append(ids, map[string]string{a: "a", b: "b"}[id])
		}
		return strings.Join(ids, "")
	}
	for query, want := range map[string]string{
		"name=web-1": "a", "name~=B-1": "ab", "name~=db": "b", "metadata={'k':'v'}": "a", "size=2": "b", "status~=avail": "ab",
		"created_at=gt:2020-01-01T00:00:00": "ab", "created_at=lt:2020-01-01T00:00:00": "", "created_at=gte:2020-01-01T00:00:00,lt:2200-01-01T00:00:00": "ab",
		"created_at=neq:2020-01-01T00:00:00": "ab", "created_at=2020-01-01T00:00:00": "", "glance_metadata={'x':'y'}": "", "limit=1": "a", "offset=1": "b",
	} {
		if got := listed(strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("?%s lists %q, want %q", query, got, want)
		}
	}
	if got := listed("name~=db", "3.30"); got != "ab" {
		t.Errorf("before 3.31 name~ lists %q, want both", got)
	}
	c.must(400, "demo", "GET", base+"/volumes?name~=db", "", "3.33")
	c.refuse(400, "demo", "GET", base+"/volumes?created_at=gt:yesterday", "", "not a time")
	for _, list := range []string{"volumes", "volumes/detail", "snapshots", "backups", "backups/detail", "groups", "group_snapshots", "attachments", "messages", "types"} {
		c.refuse(400, "demo", "GET", base+"/"+list+"?color=red&limit=1&all_tenants=1&zone~=a", "", "Invalid filters color,zone~ are found")
		c.must(200, "admin", "GET", "/volume/v3/"+list+"?color=red", "")
	}
	for list, version := range map[string]string{"volumes": "3.30", "snapshots": "3.30", "types": "3.51"} {
		c.must(200, "demo", "GET", base+"/"+list+"?color=red", "", version)
	}
	if got := c.must(200, "demo", "GET", base+"/volumes?with_count=true&limit=1", "")["count"]; got != 2.0 {
		t.Errorf("count is %v, want 2", got)
	}
}

func TestSnapshotStatus(t *testing.T) {
	c := start(t, 1)
	id := c.make(202, "demo", base+"/snapshots", "snapshot", `"volume_id":"`+c.create(`"size":1`)+`"`)
	one := base + "/snapshots/" + id
	c.awaitAt("/snapshots/"+id, "snapshot", "available")
	c.refuse(400, "demo", "POST", one+"/action", `{"os-update_snapshot_status":{"status":"error"}}`, "not allowed for update_snapshot_status")
	c.must(202, "admin", "POST", "/volume/v3/snapshots/"+id+"/action", `{"os-reset_status":{"status":"creating"}}`)
	c.refuse(400, "demo", "POST", one+"/action", `{"os-update_snapshot_status":{"status":"deleting"}}`, "not allowed for snapshot with status creating")
	c.refuse(400, "demo", "POST", one+"/action", `{"os-update_snapshot_status":{"status":"error","progress":"101%"}}`, "progress")
	c.must(202, "demo", "POST", one+"/action", `{"os-update_snapshot_status":{"status":"error","progress":"80%"}}`)
	shown := c.must(200, "demo", "GET", one, "")
	if at(shown, "snapshot", "status") != "error" || at(shown, "snapshot", "os-extended-snapshot-attributes:progress") != "80%" {
		t.Errorf("the snapshot is %v", shown)
	}
}
