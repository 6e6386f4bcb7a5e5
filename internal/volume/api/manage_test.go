package api_test

import "testing"

func TestManage(t *testing.T) {
	c := start(t, 1)
	const volumes, snapshots = "/volume/v3/manageable_volumes", "/volume/v3/manageable_snapshots"
	id := c.create(`"size":2`)
	c.must(202, "admin", "POST", "/volume/v3/volumes/"+id+"/action", `{"os-unmanage":{}}`)
	c.await(id, "")
	c.disks[0].AddStray("other.img", 1)
	managed := c.create(`"size":1`)
	if c.bytes() != 1 || c.used("volumes") != 1.0 || c.used("gigabytes") != 1.0 {
		t.Errorf("after a volume was let go of, hosts have %d, and %v count", c.bytes(), c.used("volumes"))
	}
	c.golden("manageable_volumes", c.do("admin", "GET", volumes+"?host=node-1@nacre%23volumes&sort=size:desc,reference:asc", ""))
	c.golden("manageable_volumes_detail", c.do("admin", "GET", volumes+"/detail?host=node-1@nacre&sort=size:desc,reference:asc&offset=1&limit=2", ""))
	for _, row := range [][3]string{
		{`{"volume":{"host":"nowhere","ref":{"source-name":"x"}}}`, "could not be found on host nowhere", ""},
		{`{"volume":{"ref":{"source-name":"x"}}}`, "must be provided", ""},
		{`{"volume":{"host":"node-1@nacre","ref":{}}}`, "ref", ""},
		{`{"volume":{"host":"node-1@nacre","ref":{"source-name":"../etc/passwd"}}}`, "has no such thing", ""},
		{`{"volume":{"host":"node-1@nacre","ref":{"source-name":"volume-` + managed + `"}}}`, "has no such thing", ""},
		{`{"volume":{"host":"node-1@nacre","ref":{"source-name":"other.img"},"availability_zone":"mars"}}`, "mars", ""},
	} {
		c.refuse(400, "admin", "POST", volumes, row[0], row[1])
	}
	c.refuse(404, "admin", "POST", volumes, `{"volume":{"host":"node-1@nacre","ref":{"source-name":"other.img"},"volume_type":"nothing"}}`, "nothing")
	c.refuse(403, "demo", "POST", base+"/manageable_volumes", `{"volume":{"host":"node-1@nacre","ref":{"source-name":"other.img"}}}`, "volume_manage")
	c.refuse(400, "admin", "GET", volumes, "", "must be provided")
	c.refuse(400, "admin", "GET", volumes+"?host=node-1@nacre&sort=colour", "", "Invalid sort")
	c.refuse(400, "admin", "GET", volumes+"?host=node-1@nacre&limit=x", "", "limit")
	c.must(404, "admin", "GET", volumes+"?host=node-1@nacre", "", "3.7")
	c.must(200, "admin", "GET", "/volume/v3/os-volume-manage?host=node-1@nacre", "", "3.7")

	taken := c.make(202, "admin", volumes, "volume", `"host":"node-1@nacre#volumes","ref":{"source-name":"volume-`+id+`"},"name":"back","metadata":{"a":"b"},"bootable":true`)
	c.await(taken, "available")
	shown := c.must(200, "admin", "GET", "/volume/v3/volumes/"+taken, "")
	if at(shown, "volume", "size") != 2.0 || at(shown, "volume", "name") != "back" || at(shown, "volume", "bootable") != "true" {
		t.Errorf("the volume that was taken over is %v", shown)
	}
	c.events(taken, "volume.manage_existing.start volume.manage_existing.end")

	snapshot := c.make(202, "demo", base+"/snapshots", "snapshot", `"volume_id":"`+managed+`"`)
	c.awaitAt("/snapshots/"+snapshot, "snapshot", "available")
	c.refuse(400, "admin", "POST", "/volume/v3/volumes/"+managed+"/action", `{"os-unmanage":{}}`, "have snapshots")
	c.must(202, "admin", "POST", "/volume/v3/snapshots/"+snapshot+"/action", `{"os-unmanage":{}}`)
	c.awaitAt("/snapshots/"+snapshot, "snapshot", "")
	c.golden("manageable_snapshots_detail", c.do("admin", "GET", snapshots+"/detail?host=node-1@nacre", ""))
	again := c.make(202, "admin", snapshots, "snapshot", `"volume_id":"`+managed+`","ref":{"source-name":"_snapshot-`+snapshot+`"},"name":"s"`)
	c.awaitAt("/snapshots/"+again, "snapshot", "available")
	c.must(200, "demo", "GET", base+"/snapshots/"+again, "")
	c.events(again, "snapshot.manage_existing_snapshot.start snapshot.manage_existing_snapshot.end")
}
