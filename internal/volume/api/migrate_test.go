package api_test

import (
	"fmt"
	"testing"
)

func TestMigrate(t *testing.T) {
	c := start(t, 2)
	id := c.create(`"size":1`)
	where := func() any {
		return at(c.must(200, "admin", "GET", "/volume/v3/volumes/"+id, ""), "volume", "os-vol-host-attr:host")
	}
	from, to := where(), "node-1@nacre#volumes"
	if from == to {
		to = "node-2@nacre#volumes"
	}
	action := "/volume/v3/volumes/" + id + "/action"
	for _, row := range [][2]string{
		{`{"os-migrate_volume":{}}`, "must be provided"},
		{`{"os-migrate_volume":{"host":"nowhere@nacre"}}`, "could not be found on host nowhere"},
		{fmt.Sprintf(`{"os-migrate_volume":{"host":"%v"}}`, from), "must be different"},
		{`{"os-migrate_volume_completion":{"new_volume":"` + id + `"}}`, "not migrating"},
	} {
		c.refuse(400, "admin", "POST", action, row[0], row[1])
	}
	c.refuse(403, "demo", "POST", base+"/volumes/"+id+"/action", `{"os-migrate_volume":{"host":"`+to+`"}}`, "migrate_volume")
	snapshot := c.make(202, "demo", base+"/snapshots", "snapshot", `"volume_id":"`+id+`"`)
	c.awaitAt("/snapshots/"+snapshot, "snapshot", "available")
	c.refuse(400, "admin", "POST", action, `{"os-migrate_volume":{"host":"`+to+`"}}`, "have snapshots")
	c.must(202, "demo", "DELETE", base+"/snapshots/"+snapshot, "")
	c.awaitAt("/snapshots/"+snapshot, "snapshot", "")

	c.must(202, "admin", "POST", action, `{"os-migrate_volume":{"host":"`+to+`","lock_volume":true}}`)
	c.until("the volume has moved", func() bool { return where() == to && c.status(id) == "available" })
	shown := c.must(200, "admin", "GET", "/volume/v3/volumes/"+id, "")
	if at(shown, "volume", "migration_status") != "success" || c.bytes() != 1 || c.used("volumes") != 1.0 {
		t.Errorf("after the move the volume is %v, and hosts have %d", shown, c.bytes())
	}
	kind := c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"elsewhere","extra_specs":{"vendor_name":"nobody"}`)
	c.refuse(400, "demo", "POST", base+"/volumes/"+id+"/action", `{"os-retype":{"new_type":"elsewhere","migration_policy":"never"}}`, "Retype requires migration")
	c.must(202, "demo", "POST", base+"/volumes/"+id+"/action", `{"os-retype":{"new_type":"elsewhere","migration_policy":"on-demand"}}`)
	c.until("nobody can keep it", func() bool {
		shown := c.must(200, "admin", "GET", "/volume/v3/volumes/"+id, "")
		return at(shown, "volume", "migration_status") == "error" && at(shown, "volume", "status") == "available"
	})
	if at(c.must(200, "demo", "GET", base+"/volumes/"+id, ""), "volume", "volume_type_id") == kind || c.used("volumes_elsewhere") != 0.0 {
		t.Error("the volume has a type that no host can keep")
	}
}
