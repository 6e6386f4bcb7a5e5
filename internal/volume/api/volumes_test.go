package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/errs"
)

func TestLifeOfAVolume(t *testing.T) {
	c := start(t, 1)
	made := c.must(202, "demo", "POST", base+"/volumes", `{"volume":{"size":2,"name":" data ","metadata":{"a":"b"}}}`)
	id, _ := at(made, "volume", "id").(string)
	for key, want := range map[string]any{
		"status": "creating", "name": "data", "size": 2.0, "volume_type": "__DEFAULT__", "bootable": "false", "encrypted": false,
		"availability_zone": "nova", "user_id": "u-demo", "multiattach": false, "consumes_quota": true,
	} {
		if got := at(made, "volume", key); got != want {
			t.Errorf("%s of the new volume is %v, want %v", key, got, want)
		}
	}
	c.await(id, "available")
	if c.bytes() != 1 || c.used("volumes") != 1.0 || c.used("gigabytes") != 2.0 || c.used("volumes___DEFAULT__") != 1.0 {
		t.Errorf("there are %d volumes on hosts, used %v volumes, %v GiB", c.bytes(), c.used("volumes"), c.used("gigabytes"))
	}
	shown := c.must(200, "demo", "GET", base+"/volumes/"+id, "")
	if at(shown, "volume", "os-vol-tenant-attr:tenant_id") != demo || at(shown, "volume", "os-vol-host-attr:host") != nil {
		t.Errorf("a user sees %v", shown)
	}
	shown = c.must(200, "admin", "GET", "/volume/v3/volumes/"+id, "")
	if at(shown, "volume", "os-vol-host-attr:host") != "node-1@nacre#volumes" {
		t.Errorf("an admin sees host %v", at(shown, "volume", "os-vol-host-attr:host"))
	}
	if _, there := shown["volume"].(map[string]any)["os-vol-mig-status-attr:migstat"]; !there {
		t.Error("an admin doesn't see the migration status, which is null")
	}

	changed := c.must(200, "demo", "PUT", base+"/volumes/"+id, `{"volume":{"name":"other","description":"x"}}`)
	if at(changed, "volume", "name") != "other" || at(changed, "volume", "description") != "x" || at(changed, "volume", "updated_at") == nil {
		t.Errorf("after the update the volume is %v", changed)
	}
	c.must(202, "demo", "POST", base+"/volumes/"+id+"/action", `{"os-extend":{"new_size":5}}`)
	c.until("it has grown", func() bool {
		return at(c.must(200, "demo", "GET", base+"/volumes/"+id, ""), "volume", "size") == 5.0 && c.status(id) == "available"
	})
	if c.used("gigabytes") != 5.0 {
		t.Errorf("after growing %v GiB are used", c.used("gigabytes"))
	}
	c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
	c.await(id, "")
	if c.bytes() != 0 || c.used("volumes") != 0.0 || c.used("gigabytes") != 0.0 {
		t.Errorf("after the delete %d volumes are on hosts, used %v volumes, %v GiB", c.bytes(), c.used("volumes"), c.used("gigabytes"))
	}
}

func TestSources(t *testing.T) {
	c := start(t, 2)
	image := c.create(`"size":3,"imageRef":"` + goodImage + `"`)
	shown := c.must(200, "demo", "GET", base+"/volumes/"+image, "")
	if at(shown, "volume", "bootable") != "true" || at(shown, "volume", "volume_image_metadata", "image_id") != goodImage ||
		at(shown, "volume", "volume_image_metadata", "os_distro") != "debian" || at(shown, "volume", "volume_image_metadata", "min_disk") != "2" {
		t.Errorf("volume of an image is %v", shown)
	}
	clone := c.create(`"source_volid":"` + image + `"`)
	shown = c.must(200, "demo", "GET", base+"/volumes/"+clone, "")
	if at(shown, "volume", "size") != 3.0 || at(shown, "volume", "bootable") != "true" || at(shown, "volume", "source_volid") != image {
		t.Errorf("copy of a volume is %v", shown)
	}
	made := c.must(202, "demo", "POST", base+"/snapshots", `{"snapshot":{"volume_id":"`+image+`","name":"s","metadata":{"k":"v"}}}`)
	snapshot, _ := at(made, "snapshot", "id").(string)
	c.until("the snapshot is there", func() bool {
		return at(c.must(200, "demo", "GET", base+"/snapshots/"+snapshot, ""), "snapshot", "status") == "available"
	})
	shown = c.must(200, "demo", "GET", base+"/snapshots/"+snapshot, "")
	if at(shown, "snapshot", "os-extended-snapshot-attributes:progress") != "100%" || at(shown, "snapshot", "size") != 3.0 {
		t.Errorf("the snapshot is %v", shown)
	}
	back := c.create(`"size":4,"snapshot_id":"` + snapshot + `"`)
	if c.bytes() != 4 || c.used("snapshots") != 1.0 || c.used("gigabytes") != 13.0 {
		t.Errorf("hosts have %d volumes, %v snapshots and %v GiB are used; want 4, 1, 13", c.bytes(), c.used("snapshots"), c.used("gigabytes"))
	}
	r := c.do("demo", "DELETE", base+"/volumes/"+image, "")
	if r.status != 400 || !strings.Contains(string(r.body), "have snapshots") {
		t.Errorf("delete of a volume with snapshots: %d %s", r.status, r.body)
	}
	for _, id := range []string{clone, back} {
		c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
		c.await(id, "")
	}
	c.must(202, "demo", "DELETE", base+"/volumes/"+image+"?cascade=true", "")
	c.await(image, "")
	c.until("nothing is left", func() bool { return c.bytes() == 0 && c.used("gigabytes") == 0.0 && c.used("snapshots") == 0.0 })
}

func TestListing(t *testing.T) {
	c := start(t, 1)
	for i := range 5 {
		c.create(fmt.Sprintf(`"size":%d,"name":"v%d","metadata":{"n":"%d"}`, i+1, i, i%2))
	}
	names := func(query string) string {
		t.Helper()
		list, _ := c.must(200, "demo", "GET", base+"/volumes/detail?"+query, "")["volumes"].([]any)
		var out []string
		for _, v := range list {
			name, _ := at(v, "name").(string)
			out = append(out, name)
		}
		return strings.Join(out, " ")
	}
	for query, want := range map[string]string{
		"":                               "v4 v3 v2 v1 v0",
		"sort=name:asc":                  "v0 v1 v2 v3 v4",
		"sort_key=size&sort_dir=desc":    "v4 v3 v2 v1 v0",
		"sort=size:asc&limit=2":          "v0 v1",
		"sort=size:asc&limit=2&offset=1": "v1 v2",
		"name=v2":                        "v2",
		"name~=v":                        "v4 v3 v2 v1 v0",
		"status=error":                   "",
		"metadata={'n':'1'}&sort=name":   "v3 v1",
		"limit=0":                        "",
		"all_tenants=1":                  "v4 v3 v2 v1 v0",
	} {
		if got := names(query); got != want {
			t.Errorf("list with %q gives %q, want %q", query, got, want)
		}
	}
	page := c.must(200, "demo", "GET", base+"/volumes?sort=name:asc&limit=3&with_count=true", "")
	href, _ := at(page, "volumes_links", 0, "href").(string)
	if at(page, "count") != 5.0 || href == "" {
		t.Fatalf("first page is %v", page)
	}
	page = c.must(200, "demo", "GET", strings.TrimPrefix(href, c.url), "")
	if at(page, "volumes", 0, "name") != "v3" || at(page, "volumes", 1, "name") != "v4" || page["volumes_links"] != nil {
		t.Errorf("second page is %v", page)
	}
	summary := c.must(200, "demo", "GET", base+"/volumes/summary", "")
	if at(summary, "volume-summary", "total_count") != 5.0 || at(summary, "volume-summary", "total_size") != 15.0 {
		t.Errorf("summary is %v", summary)
	}
	if list, _ := c.must(200, "other", "GET", "/volume/v3/volumes", "")["volumes"].([]any); len(list) != 0 {
		t.Errorf("another project lists %v", list)
	}
	if list, _ := c.must(200, "admin", "GET", "/volume/v3/volumes?all_tenants=True", "")["volumes"].([]any); len(list) != 5 {
		t.Errorf("an admin lists %d volumes, want 5", len(list))
	}
}

func TestMicroversions(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1`)
	for version, want := range map[string]map[string]bool{
		"":     {"group_id": false, "service_uuid": false, "volume_type_id": false, "consumes_quota": false},
		"3.13": {"group_id": true, "service_uuid": false, "volume_type_id": false},
		"3.63": {"group_id": true, "service_uuid": true, "volume_type_id": true, "consumes_quota": false},
		"3.70": {"consumes_quota": true, "shared_targets": true},
	} {
		v, _ := c.must(200, "demo", "GET", base+"/volumes/"+id, "", version)["volume"].(map[string]any)
		for key, there := range want {
			_, got := v[key]
			if got != there {
				t.Errorf("at %q the volume has %s: %v, want %v", version, key, got, there)
			}
		}
	}
	r := c.do("demo", "GET", base+"/volumes", "", "latest")
	if r.header.Get("OpenStack-API-Version") != "volume 3.71" || r.header.Get("Vary") != "OpenStack-API-Version" {
		t.Errorf("headers of the reply are %v", r.header)
	}
	for version, status := range map[string]int{"3.99": 406, "2.1": 406, "nonsense": 400} {
		r = c.do("demo", "GET", base+"/volumes", "", version)
		if r.status != status {
			t.Errorf("version %s: got %d %s, want %d", version, r.status, r.body, status)
		}
	}
	c.must(404, "demo", "GET", base+"/attachments", "", "3.26")
	c.must(200, "demo", "GET", base+"/attachments", "", "3.27")
	root := c.do("", "GET", "/volume/", "", "")
	if root.status != 300 || !strings.Contains(string(root.body), `"version":"3.71"`) {
		t.Errorf("the list of versions is %d %s", root.status, root.body)
	}
	c.must(200, "", "GET", "/volume/v3/", "", "")
}

func TestAttachmentsOfClients(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1`)
	server := "bbbbbbbb-0000-4000-8000-000000000001"
	made := c.must(200, "demo", "POST", base+"/attachments", `{"attachment":{"volume_uuid":"`+id+`","instance_uuid":"`+server+`"}}`)
	attachment, _ := at(made, "attachment", "id").(string)
	if at(made, "attachment", "status") != "reserved" || c.status(id) != "reserved" {
		t.Errorf("a new attachment is %v, the volume %s", made, c.status(id))
	}
	r := c.do("demo", "POST", base+"/attachments", `{"attachment":{"volume_uuid":"`+id+`","instance_uuid":"`+server+`"}}`)
	if r.status != 400 || !strings.Contains(string(r.body), "status must be available to reserve") {
		t.Errorf("a second attachment: %d %s", r.status, r.body)
	}
	updated := c.must(200, "demo", "PUT", base+"/attachments/"+attachment, `{"attachment":{"connector":{"host":"node-1","mountpoint":"/dev/vdb"}}}`)
	if at(updated, "attachment", "connection_info", "epoch") != 1.0 || c.status(id) != "attaching" {
		t.Errorf("an updated attachment is %v, the volume %s", updated, c.status(id))
	}
	c.until("the volume is exported", func() bool {
		list, err := c.disks[0].List(c.ctx)
		return err == nil && list[0].Exported && list[0].Epoch == 1
	})
	c.must(204, "demo", "POST", base+"/attachments/"+attachment+"/action", `{"os-complete":{}}`)
	shown := c.must(200, "demo", "GET", base+"/volumes/"+id, "")
	if at(shown, "volume", "status") != "in-use" || at(shown, "volume", "attachments", 0, "server_id") != server ||
		at(shown, "volume", "attachments", 0, "device") != "/dev/vdb" || at(shown, "volume", "attachments", 0, "id") != id {
		t.Errorf("the volume in use is %v", shown)
	}
	list := c.must(200, "demo", "GET", base+"/attachments/detail?volume_id="+id, "")
	if at(list, "attachments", 0, "status") != "attached" || at(list, "attachments", 0, "attached_at") == "" {
		t.Errorf("attachments are %v", list)
	}
	r = c.do("demo", "DELETE", base+"/volumes/"+id, "")
	if r.status != 400 {
		t.Errorf("delete of a volume in use: %d %s", r.status, r.body)
	}
	c.must(404, "other", "GET", "/volume/v3/attachments/"+attachment, "")
	c.must(200, "demo", "DELETE", base+"/attachments/"+attachment, "")
	c.until("the export has ended", func() bool {
		list, err := c.disks[0].List(c.ctx)
		return err == nil && !list[0].Exported && c.status(id) == "available"
	})
}

// What compute has attached cannot be taken from the guest behind its back.
func TestAttachmentsOfCompute(t *testing.T) {
	c := start(t, 2)
	id := c.create(`"size":1`)
	server, attachment := "bbbbbbbb-0000-4000-8000-000000000001", "cccccccc-0000-4000-8000-000000000001"
	in := func(do func(tx *db.Tx) error) error { return c.db.Write(c.ctx, do) }
	var epochs []int64
	err := errors.Join(
		in(func(tx *db.Tx) error { return c.service.Reserve(c.ctx, tx, attachment, id, server) }),
		in(func(tx *db.Tx) error { return c.service.Reserve(c.ctx, tx, attachment, id, server) }),
	)
	for range 2 {
		err = errors.Join(err, in(func(tx *db.Tx) error {
			epoch, _, err := c.service.Connect(c.ctx, tx, attachment, "node-2", "/dev/vdb")
			epochs = append(epochs, epoch)
			return err
		}))
	}
	err = errors.Join(err, in(func(tx *db.Tx) error { return c.service.Complete(c.ctx, tx, attachment) }))
	if err != nil || epochs[0] != 1 || epochs[1] != 1 || c.status(id) != "in-use" {
		t.Fatalf("attaching: %v, epochs %v, the volume is %s", err, epochs, c.status(id))
	}
	for path, body := range map[string]string{
		"/volumes/" + id + "/action os-detach":          `{"os-detach":{}}`,
		"/volumes/" + id + "/action os-force_detach":    `{"os-force_detach":{"attachment_id":"` + attachment + `"}}`,
		"/volumes/" + id + "/action os-begin_detaching": `{"os-begin_detaching":null}`,
	} {
		path, _, _ = strings.Cut(path, " ")
		r := c.do("admin", "POST", "/volume/v3"+path, body)
		if r.status != 409 || !strings.Contains(string(r.body), "using the Compute API") {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	r := c.do("admin", "DELETE", "/volume/v3/attachments/"+attachment, "")
	if r.status != 409 {
		t.Errorf("delete of compute's attachment: %d %s", r.status, r.body)
	}
	err = errors.Join(
		in(func(tx *db.Tx) error { return c.service.Detaching(c.ctx, tx, attachment) }),
		in(func(tx *db.Tx) error { return c.service.Detach(c.ctx, tx, attachment) }),
		in(func(tx *db.Tx) error { return c.service.Detach(c.ctx, tx, attachment) }),
		in(func(tx *db.Tx) error { return c.service.Remove(c.ctx, tx, id) }),
		in(func(tx *db.Tx) error { return c.service.Remove(c.ctx, tx, nowhere) }),
	)
	if err != nil {
		t.Fatal(err)
	}
	c.await(id, "")
	c.until("the bytes are gone", func() bool { return c.bytes() == 0 })
}

func TestOldActions(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1`)
	act := func(token string, status int, body, then string) {
		t.Helper()
		r := c.do(token, "POST", "/volume/v3/volumes/"+id+"/action", body)
		if r.status != status || c.status(id) != then {
			t.Errorf("%s: got %d %s and status %s, want %d and %s", body, r.status, r.body, c.status(id), status, then)
		}
	}
	act("demo", 202, `{"os-reserve":{}}`, "attaching")
	act("demo", 400, `{"os-reserve":{}}`, "attaching")
	act("demo", 202, `{"os-unreserve":{}}`, "available")
	act("demo", 202, `{"os-attach":{"instance_uuid":"bbbbbbbb-0000-4000-8000-000000000001","mountpoint":"/dev/vdc"}}`, "in-use")
	act("demo", 202, `{"os-begin_detaching":{}}`, "detaching")
	act("demo", 202, `{"os-roll_detaching":{}}`, "in-use")
	act("demo", 202, `{"os-detach":{}}`, "available")
	act("demo", 403, `{"os-reset_status":{"status":"error"}}`, "available")
	act("admin", 202, `{"os-reset_status":{"status":"error"}}`, "error")
	act("admin", 400, `{"os-reset_status":{"status":"nonsense"}}`, "error")
	act("admin", 202, `{"os-reset_status":{"status":"available"}}`, "available")
	act("demo", 200, `{"os-set_bootable":{"bootable":"True"}}`, "available")
	act("demo", 202, `{"os-update_readonly_flag":{"readonly":true}}`, "available")
	shown := c.must(200, "demo", "GET", base+"/volumes/"+id, "")
	if at(shown, "volume", "bootable") != "true" || at(shown, "volume", "metadata", "readonly") != "True" {
		t.Errorf("after setting flags the volume is %v", shown)
	}
	act("demo", 202, `{"os-update_readonly_flag":{"readonly":false}}`, "available")
	shown = c.must(200, "demo", "GET", base+"/volumes/"+id, "")
	if at(shown, "volume", "metadata", "readonly") != "False" {
		t.Errorf("after clearing the flag the volume is %v", shown)
	}
	act("demo", 200, `{"os-set_image_metadata":{"metadata":{"k":"v"}}}`, "available")
	act("demo", 200, `{"os-show_image_metadata":{}}`, "available")
	act("demo", 200, `{"os-unset_image_metadata":{"key":"k"}}`, "available")
	act("demo", 404, `{"os-unset_image_metadata":{"key":"k"}}`, "available")
	act("demo", 400, `{"os-nonsense":{}}`, "available")
	c.disks[0].SetFault(func(string, string, bool) error { return errors.New("disk is busy") }) // so that it is seen
	act("admin", 202, `{"os-force_delete":{}}`, "deleting")
	c.disks[0].SetFault(nil)
	c.await(id, "")
}

func TestFailures(t *testing.T) {
	c := start(t, 1)
	c.disks[0].SetFault(func(call, _ string, done bool) error {
		if call == "Ensure" && !done {
			return errs.BadRequestf("The image is broken.")
		}
		return nil
	})
	made := c.must(202, "demo", "POST", base+"/volumes", `{"volume":{"size":1}}`)
	id, _ := at(made, "volume", "id").(string)
	c.await(id, "error")
	if c.used("volumes") != 1.0 {
		t.Error("a failed volume does not count")
	}
	c.disks[0].SetFault(nil)
	c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
	c.await(id, "")
	if c.used("volumes") != 0.0 || c.bytes() != 0 {
		t.Errorf("after deleting it %v volumes are used, %d on the host", c.used("volumes"), c.bytes())
	}

	// Too large for every host: promises have an end, also with overcommit.
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-sets/"+demo, `{"quota_set":{"gigabytes":-1}}`)
	made = c.must(202, "demo", "POST", base+"/volumes", `{"volume":{"size":2001}}`)
	id, _ = at(made, "volume", "id").(string)
	c.await(id, "error")

	// A transient fault is only a delay.
	tries := 0
	c.disks[0].SetFault(func(call, _ string, done bool) error {
		if call != "Ensure" || done {
			return nil
		}
		tries++
		if tries < 3 {
			return errors.New("disk is busy")
		}
		return nil
	})
	c.create(`"size":1`)
}

func TestQuota(t *testing.T) {
	c := start(t, 1)
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-sets/"+demo, `{"quota_set":{"volumes":2,"gigabytes":"5"}}`)
	c.create(`"size":4`)
	r := c.do("demo", "POST", base+"/volumes", `{"volume":{"size":2}}`)
	want := `"Requested volume or snapshot exceeds allowed gigabytes quota. Requested 2G, quota is 5G and 4G has been consumed."`
	if r.status != 413 || !strings.Contains(string(r.body), `"overLimit"`) || !strings.Contains(string(r.body), want) {
		t.Errorf("too many gigabytes: %d %s", r.status, r.body)
	}
	c.create(`"size":1`)
	r = c.do("demo", "POST", base+"/volumes", `{"volume":{"size":1}}`)
	if r.status != 413 {
		t.Errorf("too many volumes: %d %s", r.status, r.body)
	}
	limits := c.must(200, "demo", "GET", base+"/limits", "")
	if at(limits, "limits", "absolute", "maxTotalVolumes") != 2.0 || at(limits, "limits", "absolute", "totalGigabytesUsed") != 5.0 {
		t.Errorf("limits are %v", limits)
	}
	c.must(403, "demo", "PUT", base+"/os-quota-sets/"+demo, `{"quota_set":{"volumes":100}}`)
	c.must(400, "admin", "PUT", "/volume/v3/os-quota-sets/"+demo, `{"quota_set":{"nonsense":1}}`)
	c.must(200, "admin", "DELETE", "/volume/v3/os-quota-sets/"+demo, "")
	if got := at(c.must(200, "demo", "GET", base+"/os-quota-sets/"+demo, ""), "quota_set", "volumes"); got != 10.0 {
		t.Errorf("after the delete the quota is %v, want the default of 10", got)
	}
	for _, l := range c.service.Loops() {
		err := l.Once(context.Background())
		if err != nil {
			t.Errorf("loop %s: %v", l.Name, err)
		}
	}
	if c.used("volumes") != 2.0 || c.used("gigabytes") != 5.0 {
		t.Errorf("after the loops %v volumes and %v GiB are used", c.used("volumes"), c.used("gigabytes"))
	}
}

func TestEvents(t *testing.T) {
	c := start(t, 1)
	id := c.create(`"size":1`)
	made := c.must(200, "demo", "POST", base+"/attachments", `{"attachment":{"volume_uuid":"`+id+`","connector":{"host":"node-1"}}}`)
	attachment, _ := at(made, "attachment", "id").(string)
	c.must(204, "demo", "POST", base+"/attachments/"+attachment+"/action", `{"os-complete":{}}`)
	c.must(200, "demo", "DELETE", base+"/attachments/"+attachment, "")
	c.must(200, "demo", "PUT", base+"/volumes/"+id, `{"volume":{"name":"renamed"}}`)
	c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
	c.await(id, "")
	c.events(id, "volume.create.start volume.create.end volume.attach.start volume.attach.end volume.detach.end "+
		"volume.update.start volume.update.end volume.delete.start volume.delete.end")
}

// events compares what was told about a resource.
func (c *cloud) events(resource, want string) {
	c.t.Helper()
	var types []string
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		return tx.All(c.ctx, &types, "SELECT type FROM outbox WHERE resource = ? ORDER BY seq", resource)
	})
	got := strings.Join(types, " ")
	if err != nil || got != want {
		c.t.Errorf("events are %s, %v; want %s", got, err, want)
	}
}
