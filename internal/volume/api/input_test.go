package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"nacre/internal/blockdev"
)

func TestBadInput(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":2`)
	long := strings.Repeat("x", 256)
	volumes := base + "/volumes"
	one := volumes + "/" + id
	for _, row := range []struct {
		token, method, path, body string
		status                    int
		text                      string
	}{
		{"demo", "POST", volumes, `{`, 400, "Malformed request body"},
		{"demo", "POST", volumes, `{}`, 400, "'volume' is a required property"},
		{"demo", "POST", volumes, `[]`, 400, ""},
		{"demo", "POST", volumes, `{"volume":{"size":0}}`, 400, "size"},
		{"demo", "POST", volumes, `{"volume":{"size":-1}}`, 400, "size"},
		{"demo", "POST", volumes, `{"volume":{"size":"x"}}`, 400, "size"},
		{"demo", "POST", volumes, `{"volume":{"size":1.5}}`, 400, "size"},
		{"demo", "POST", volumes, `{"volume":{"size":99999999999999999999}}`, 400, "size"},
		{"demo", "POST", volumes, `{"volume":{}}`, 400, "Volume size 'None' must be an integer and greater than 0"},
		{"system", "POST", volumes, `{"volume":{"size":1}}`, 403, "A volume needs a project"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"name":"` + long + `"}}`, 400, "too long"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"unknown":1}}`, 400, "unknown"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"metadata":{"` + long + `":"x"}}}`, 400, ""},
		{"demo", "POST", volumes, `{"volume":{"size":1,"metadata":{"k":"` + long + `"}}}`, 400, "too long"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"metadata":{"k":1}}}`, 400, ""},
		{"demo", "POST", volumes, `{"volume":{"size":1,"volume_type":"nothing"}}`, 404, "Volume type with name nothing could not be found."},
		{"demo", "POST", volumes, `{"volume":{"size":1,"availability_zone":"mars"}}`, 400, "Availability zone 'mars' is invalid."},
		{"demo", "POST", volumes, `{"volume":{"size":1,"imageRef":"` + nowhere + `"}}`, 400, "Invalid image identifier"},
		{"demo", "POST", volumes, `{"volume":{"size":5,"imageRef":"` + badImage + `"}}`, 400, "backing file"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"imageRef":"` + goodImage + `"}}`, 400, "larger than volume size 1GB"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"source_volid":"` + nowhere + `"}}`, 404, "Volume " + nowhere + " could not be found."},
		{"demo", "POST", volumes, `{"volume":{"size":1,"source_volid":"` + id + `"}}`, 400, "cannot be smaller than original source volume size 2GB"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"snapshot_id":"` + nowhere + `"}}`, 404, "Snapshot " + nowhere + " could not be found."},
		{"demo", "POST", volumes, `{"volume":{"size":1,"snapshot_id":"xyz"}}`, 400, "snapshot_id"},
		{"demo", "POST", volumes, `{"volume":{"size":1,"imageRef":"` + goodImage + `","source_volid":"` + id + `"}}`, 400, "only one of"},
		{"demo", "POST", volumes, `{"volume":{"size":1}}` + strings.Repeat(" ", 120<<10), 413, ""},
		{"reader", "POST", volumes, `{"volume":{"size":1}}`, 403, "Policy doesn't allow volume:create to be performed."},
		{"", "GET", volumes, "", 401, "The request you have made requires authentication."},
		{"wrong", "GET", volumes, "", 401, ""},
		{"other", "GET", one, "", 400, "Malformed request url"},
		{"other", "GET", "/volume/v3/volumes/" + id, "", 404, "Volume " + id + " could not be found."},
		{"other", "DELETE", "/volume/v3/volumes/" + id, "", 404, ""},
		{"other", "POST", "/volume/v3/volumes/" + id + "/action", `{"os-extend":{"new_size":9}}`, 404, ""},
		{"demo", "GET", volumes + "/" + nowhere, "", 404, "could not be found"},
		{"demo", "GET", volumes + "/../etc", "", 404, ""},
		{"demo", "GET", volumes + "/", "", 404, ""},
		{"demo", "PUT", volumes + "/", `{"volume":{"name":"x"}}`, 404, ""},
		{"demo", "DELETE", volumes + "/", "", 404, ""},
		{"demo", "GET", volumes + "/%23*%26", "", 404, ""},
		{"demo", "GET", volumes + "?limit=x", "", 400, "limit"},
		{"demo", "GET", volumes + "?limit=-1", "", 400, "limit"},
		{"demo", "GET", volumes + "?offset=x", "", 400, "offset"},
		{"demo", "GET", volumes + "?sort=nonsense:asc", "", 400, "nonsense"},
		{"demo", "GET", volumes + "?sort=name:sideways", "", 400, "sideways"},
		{"demo", "GET", volumes + "?size=x", "", 400, "size"},
		{"demo", "PUT", one, `{"volume":{}}`, 400, ""},
		{"demo", "PUT", one, `{"volume":{"size":3}}`, 400, "size"},
		{"demo", "PUT", one, `{"volume":{"name":5}}`, 400, "name"},
		{"demo", "PATCH", one, `{}`, 405, ""},
		{"demo", "POST", one + "/action", `{}`, 400, ""},
		{"demo", "POST", one + "/action", `{"os-extend":{"new_size":2}}`, 400, "New size for extend must be greater than current size. (current: 2, extended: 2)."},
		{"demo", "POST", one + "/action", `{"os-extend":{"new_size":"big"}}`, 400, ""},
		{"demo", "POST", one + "/action", `{"os-extend":{}}`, 400, "new_size"},
		{"demo", "POST", one + "/action", `{"os-extend_volume_completion":{}}`, 403, "volume_extension:volume_admin_actions:extend_volume_completion"},
		{"admin", "POST", one + "/action", `{"os-extend_volume_completion":{"error":false}}`, 400, "has no extension"},
		{"admin", "POST", one + "/action", `{"os-extend_volume_completion":{"error":"perhaps"}}`, 400, ""},
		{"demo", "POST", one + "/action", `{"os-extend":{"new_size":5},"os-detach":{}}`, 400, ""},
		{"demo", "POST", one + "/action", `{"os-attach":{"mountpoint":"/dev/vdb"}}`, 400, "invalid target"},
		{"demo", "POST", one + "/action", `{"os-attach":{"mountpoint":"/dev/vdb","instance_uuid":"x","mode":"wx"}}`, 400, ""},
		{"demo", "POST", one + "/action", `{"os-retype":{"new_type":"nothing"}}`, 404, ""},
		{"demo", "POST", one + "/action", `{"os-force_delete":{}}`, 403, ""},
		{"demo", "DELETE", one + "?force=true", "", 403, ""},
		{"demo", "GET", one + "/metadata/missing", "", 404, ""},
		{"demo", "PUT", one + "/metadata/k", `{"meta":{"other":"v"}}`, 400, "Request body and URI mismatch"},
		{"demo", "POST", base + "/snapshots", `{"snapshot":{"volume_id":"` + nowhere + `"}}`, 404, ""},
		{"demo", "POST", base + "/snapshots", `{"snapshot":{"volume_id":"x"}}`, 404, "Volume x could not be found."},
		{"demo", "POST", base + "/snapshots", `{"snapshot":{"volume_id":null}}`, 404, ""},
		{"demo", "POST", base + "/snapshots", `{"snapshot":{}}`, 400, "volume_id"},
		{"demo", "GET", base + "/snapshots/" + nowhere, "", 404, "Snapshot " + nowhere},
		{"demo", "POST", base + "/attachments", `{"attachment":{"volume_uuid":"` + nowhere + `"}}`, 404, ""},
		{"demo", "POST", base + "/attachments", `{"attachment":{}}`, 400, "volume_uuid"},
		{"demo", "POST", base + "/attachments", `{"attachment":{"volume_uuid":"` + id + `","connector":{"ip":"1.2.3.4"}}}`, 400, "host"},
		{"demo", "GET", base + "/attachments/" + nowhere, "", 404, ""},
		{"demo", "POST", base + "/types", `{"volume_type":{"name":"mine"}}`, 403, ""},
		{"admin", "POST", "/volume/v3/types", `{"volume_type":{"name":"  "}}`, 400, "can not be empty"},
		{"admin", "POST", "/volume/v3/types", `{"volume_type":{"name":"__DEFAULT__"}}`, 409, "already exists"},
		{"demo", "GET", base + "/types/" + nowhere, "", 404, ""},
		{"demo", "GET", base + "/os-services", "", 403, ""},
		{"demo", "GET", base + "/os-quota-sets/" + other, "", 403, ""},
		{"demo", "GET", base + "/nothing", "", 404, ""},
	} {
		name := row.method + " " + row.path + " " + row.body
		r := c.do(row.token, row.method, row.path, row.body)
		if r.status != row.status || !strings.Contains(string(r.body), jsonText(row.text)) {
			t.Errorf("%.200s: got %d %s, want %d with %q", name, r.status, r.body, row.status, row.text)
		}
		var body map[string]struct {
			Code    int
			Message string
		}
		err := json.Unmarshal(r.body, &body)
		if err != nil || len(body) != 1 {
			t.Errorf("%.200s: the error is not in Cinder's frame: %s", name, r.body)
		}
	}
	if c.bytes() != 1 || c.used("volumes") != 1.0 {
		t.Errorf("after all refusals hosts have %d volumes, %v count; want 1, 1", c.bytes(), c.used("volumes"))
	}
}

// jsonText is the text as it stands inside a JSON string.
func jsonText(text string) string {
	b, _ := json.Marshal(text) // a string always encodes
	return strings.NewReplacer(`\u003e`, ">").Replace(string(b[1 : len(b)-1]))
}

func TestTypes(t *testing.T) {
	c := start(t, 1)
	made := c.must(200, "admin", "POST", "/volume/v3/types",
		`{"volume_type":{"name":"fast","description":"d","os-volume-type-access:is_public":false,"extra_specs":{"vendor:secret":"1","multiattach":"<is> True"}}}`)
	id, _ := at(made, "volume_type", "id").(string)
	if at(made, "volume_type", "is_public") != false || at(made, "volume_type", "extra_specs", "vendor:secret") != "1" {
		t.Errorf("new type is %v", made)
	}
	c.must(404, "demo", "GET", base+"/types/"+id, "")
	c.must(202, "admin", "POST", "/volume/v3/types/"+id+"/action", `{"addProjectAccess":{"project":"`+demo+`"}}`)
	c.must(409, "admin", "POST", "/volume/v3/types/"+id+"/action", `{"addProjectAccess":{"project":"`+demo+`"}}`)
	shown := c.must(200, "demo", "GET", base+"/types/"+id, "")
	if at(shown, "volume_type", "extra_specs", "vendor:secret") != nil || at(shown, "volume_type", "extra_specs", "multiattach") != "<is> True" {
		t.Errorf("a user sees %v", shown)
	}
	access := c.must(200, "admin", "GET", "/volume/v3/types/"+id+"/os-volume-type-access", "")
	if at(access, "volume_type_access", 0, "project_id") != demo {
		t.Errorf("access is %v", access)
	}
	if list, _ := c.must(200, "demo", "GET", base+"/types", "")["volume_types"].([]any); len(list) != 2 {
		t.Errorf("demo lists %v", list)
	}
	if list, _ := c.must(200, "other", "GET", "/volume/v3/types", "")["volume_types"].([]any); len(list) != 1 {
		t.Errorf("another project lists %v", list)
	}
	if list, _ := c.must(200, "admin", "GET", "/volume/v3/types?is_public=None", "")["volume_types"].([]any); len(list) != 2 {
		t.Errorf("admin lists %v", list)
	}
	volume := c.create(`"size":1,"volume_type":"fast"`)
	if c.used("volumes_fast") != 1.0 {
		t.Errorf("of the type %v volumes are used", c.used("volumes_fast"))
	}
	r := c.do("admin", "DELETE", "/volume/v3/types/"+id, "")
	if r.status != 400 || !strings.Contains(string(r.body), "still in use") {
		t.Errorf("delete of a type in use: %d %s", r.status, r.body)
	}
	c.must(202, "demo", "POST", base+"/volumes/"+volume+"/action", `{"os-retype":{"new_type":"__DEFAULT__","migration_policy":"never"}}`)
	if c.used("volumes_fast") != 0.0 || c.used("volumes") != 1.0 {
		t.Errorf("after the retype %v of the type and %v in all are used", c.used("volumes_fast"), c.used("volumes"))
	}
	specs := "/volume/v3/types/" + id + "/extra_specs"
	c.must(200, "admin", "POST", specs, `{"extra_specs":{"a":"1"}}`)
	c.must(200, "admin", "PUT", specs+"/a", `{"a":"2"}`)
	if got := at(c.must(200, "admin", "GET", specs+"/a", ""), "a"); got != "2" {
		t.Errorf("extra spec is %v", got)
	}
	c.must(202, "admin", "DELETE", specs+"/a", "")
	c.must(404, "admin", "GET", specs+"/a", "")
	c.must(200, "admin", "PUT", "/volume/v3/types/"+id, `{"volume_type":{"name":"faster","is_public":true}}`)
	if got := at(c.must(200, "other", "GET", "/volume/v3/types/"+id, ""), "volume_type", "name"); got != "faster" {
		t.Errorf("the public type is called %v", got)
	}
	c.must(202, "admin", "DELETE", "/volume/v3/types/"+id, "")
	if got := at(c.must(200, "demo", "GET", base+"/types/default", ""), "volume_type", "name"); got != "__DEFAULT__" {
		t.Errorf("default type is %v", got)
	}
	c.must(400, "admin", "DELETE", "/volume/v3/types/"+fmt.Sprint(at(c.must(200, "demo", "GET", base+"/types/default", ""), "volume_type", "id")), "")
}

func TestSnapshotCalls(t *testing.T) {
	c := start(t, 1)
	volume := c.create(`"size":1`)
	var ids []string
	for i := range 3 {
		made := c.must(202, "demo", "POST", base+"/snapshots", fmt.Sprintf(`{"snapshot":{"volume_id":%q,"name":"s%d"}}`, volume, i))
		id, _ := at(made, "snapshot", "id").(string)
		ids = append(ids, id)
		c.until("the snapshot is there", func() bool {
			return at(c.must(200, "demo", "GET", base+"/snapshots/"+id, ""), "snapshot", "status") == "available"
		})
	}
	page := c.must(200, "demo", "GET", base+"/snapshots/detail?limit=2&with_count=True&sort=name:asc", "")
	href, _ := at(page, "snapshots_links", 0, "href").(string)
	if at(page, "snapshots", 1, "name") != "s1" || at(page, "count") != 3.0 || href == "" {
		t.Fatalf("first page is %v", page)
	}
	page = c.must(200, "demo", "GET", strings.TrimPrefix(href, c.url), "")
	if at(page, "snapshots", 0, "name") != "s2" || page["snapshots_links"] != nil {
		t.Errorf("second page is %v", page)
	}
	one := base + "/snapshots/" + ids[0]
	c.must(200, "demo", "PUT", one, `{"snapshot":{"name":"new","description":"d"}}`)
	c.must(200, "demo", "POST", one+"/metadata", `{"metadata":{"a":"1","b":"2"}}`)
	c.must(200, "demo", "PUT", one+"/metadata/a", `{"meta":{"a":"3"}}`)
	c.must(200, "demo", "GET", base+"/snapshot/"+ids[0]+"/metadata/a", "")
	c.must(200, "demo", "DELETE", one+"/metadata/b", "")
	shown := c.must(200, "demo", "GET", one, "")
	if at(shown, "snapshot", "name") != "new" || at(shown, "snapshot", "metadata", "a") != "3" || at(shown, "snapshot", "metadata", "b") != nil {
		t.Errorf("changed snapshot is %v", shown)
	}
	c.must(404, "other", "GET", "/volume/v3/snapshots/"+ids[0], "")
	c.must(202, "admin", "POST", "/volume/v3/snapshots/"+ids[1]+"/action", `{"os-reset_status":{"status":"creating"}}`)
	r := c.do("demo", "DELETE", base+"/snapshots/"+ids[1], "")
	if r.status != 400 {
		t.Errorf("delete of a snapshot in creation: %d %s", r.status, r.body)
	}
	c.must(202, "admin", "POST", "/volume/v3/snapshots/"+ids[1]+"/action", `{"os-force_delete":{}}`)
	c.must(202, "demo", "DELETE", one, "")
	c.must(202, "demo", "DELETE", base+"/snapshots/"+ids[2], "")
	c.until("the copies are gone", func() bool { return c.bytes() == 1 && c.used("snapshots") == 0.0 })
}

// A source stays until the copies of it are made.
func TestSourceOfACopyStays(t *testing.T) {
	c := start(t, 1)
	volume := c.create(`"size":1`)
	made := c.must(202, "demo", "POST", base+"/snapshots", fmt.Sprintf(`{"snapshot":{"volume_id":%q}}`, volume))
	snapshot, _ := at(made, "snapshot", "id").(string)
	c.until("the snapshot is there", func() bool {
		return at(c.must(200, "demo", "GET", base+"/snapshots/"+snapshot, ""), "snapshot", "status") == "available"
	})
	for source, path := range map[string]string{`"source_volid":"` + volume + `"`: "/volumes/" + volume, `"snapshot_id":"` + snapshot + `"`: "/snapshots/" + snapshot} {
		held := make(chan struct{})
		c.disks[0].SetFault(func(call, _ string, done bool) error {
			if call == "Ensure" && !done {
				<-held
			}
			return nil
		})
		made := c.must(202, "demo", "POST", base+"/volumes", `{"volume":{"size":1,`+source+`}}`)
		copied, _ := at(made, "volume", "id").(string)
		r := c.do("demo", "DELETE", base+path+"?cascade=true", "")
		if r.status != 400 {
			t.Errorf("delete of %s, which is being copied: %d %s", path, r.status, r.body)
		}
		close(held)
		c.disks[0].SetFault(nil)
		c.await(copied, "available")
		c.must(202, "demo", "DELETE", base+"/volumes/"+copied, "")
		c.await(copied, "")
	}
	c.must(202, "demo", "DELETE", base+"/volumes/"+volume+"?cascade=true", "")
	c.await(volume, "")
}

func TestOperators(t *testing.T) {
	c := start(t, 2)
	for range 4 {
		c.create(`"size":10`)
	}
	for i, d := range c.disks {
		list, err := d.List(c.ctx)
		if err != nil || len(list) != 2 {
			t.Errorf("host %d has %d volumes, %v; want them spread evenly", i+1, len(list), err)
		}
	}
	hosts := c.must(200, "admin", "GET", "/volume/v3/os-hosts", "")
	shares := c.must(200, "admin", "GET", "/volume/v3/os-hosts/node-1@nacre", "")
	if at(hosts, "hosts", 0, "host_name") != "node-1@nacre" || at(shares, "host", 0, "resource", "volume_count") != "2" ||
		at(shares, "host", 1, "resource", "project") != demo || at(shares, "host", 1, "resource", "total_volume_gb") != "20" {
		t.Errorf("hosts are %v, what is on one %v", hosts, shares)
	}
	c.must(404, "admin", "GET", "/volume/v3/os-hosts/nowhere", "")
	services := c.must(200, "admin", "GET", "/volume/v3/os-services", "")
	if at(services, "services", 0, "host") != "node-1@nacre" || at(services, "services", 1, "state") != "up" {
		t.Errorf("services are %v", services)
	}
	pools := c.must(200, "admin", "GET", "/volume/v3/scheduler-stats/get_pools?detail=true", "")
	if at(pools, "pools", 0, "capabilities", "provisioned_capacity_gb") != 20.0 || at(pools, "pools", 0, "name") != "node-1@nacre#volumes" {
		t.Errorf("pools are %v", pools)
	}
	zones := c.must(200, "demo", "GET", base+"/os-availability-zone", "")
	if at(zones, "availabilityZoneInfo", 0, "zoneName") != "nova" {
		t.Errorf("zones are %v", zones)
	}
	c.must(200, "demo", "GET", base+"/extensions", "")
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-class-sets/default", `{"quota_class_set":{"volumes":7}}`)
	if got := at(c.must(200, "other", "GET", "/volume/v3/os-quota-sets/"+other, ""), "quota_set", "volumes"); got != 7.0 {
		t.Errorf("default quota is %v, want 7", got)
	}
	r := c.do("demo", "HEAD", base+"/volumes", "")
	if r.status != http.StatusOK || len(r.body) != 0 {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
}

// The host that holds a volume serves its newest attachment and no earlier one.
func TestFencing(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1`)
	for epoch := int64(1); epoch <= 3; epoch++ {
		made := c.must(200, "demo", "POST", base+"/attachments", `{"attachment":{"volume_uuid":"`+id+`","connector":{"host":"node-1"}}}`)
		attachment, _ := at(made, "attachment", "id").(string)
		c.until("the volume is exported", func() bool {
			list, err := c.disks[0].List(c.ctx)
			return err == nil && list[0].Exported && list[0].Epoch == epoch
		})
		_, err := c.disks[0].Export(c.ctx, blockdev.Export{Volume: id, Shares: []blockdev.Share{{Epoch: epoch - 1}}})
		if err == nil {
			t.Errorf("an export at the former epoch %d was served", epoch-1)
		}
		c.must(200, "demo", "DELETE", base+"/attachments/"+attachment, "")
	}
}
