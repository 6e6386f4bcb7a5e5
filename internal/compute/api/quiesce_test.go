package api_test

import (
	"fmt"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	virtsim "nacre/internal/virt/simulated"
)

// quiet makes a server whose image says that it has an agent and must be frozen.
func quiet(c *cloud) string {
	body := fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":"auto"}}`, quietImageID)
	return c.must(202, "demo@2.96", "POST", "/servers", body).at(c.t, "server", "id").(string)
}

// quietVolumes makes one whose disks are volumes.
func quietVolumes(c *cloud) string {
	id := c.server("web", `,"block_device_mapping_v2":[
		{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":0},
		{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID2+`","boot_index":-1}]`)
	err := c.db.Write(c.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(c.ctx, "UPDATE servers SET image_properties = ? WHERE id = ?",
			`{"hw_qemu_guest_agent":"yes","os_require_quiesce":"yes"}`, id)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// Snapshots of a guest that runs are taken while its file systems stand still, or not
// at all where they must.
func TestQuiesce(t *testing.T) {
	for name, boot := range map[string]func(*cloud) string{"disk": quiet, "volumes": quietVolumes} {
		t.Run(name, func(t *testing.T) {
			c := start(t, options{hosts: 1})
			id := boot(c)
			c.status(id, "ACTIVE")
			host := c.machines["node-1"]
			snapshot := func() string {
				t.Helper()
				image := c.must(202, "demo@2.45", "POST", "/servers/"+id+"/action", `{"createImage":{"name":"copy"}}`).at(t, "image_id").(string)
				c.status(id, "ACTIVE")
				c.still(t)
				return image
			}
			snapshot()
			if now, ever := host.Frozen(); now != 0 || ever != 1 {
				t.Errorf("after a snapshot %d guests are frozen, and %d were, want none, and one", now, ever)
			}
			if name == "volumes" {
				// The host's word about the definition comes with the next one.
				c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"HARD"}}`)
				c.status(id, "ACTIVE")
			}

			host.FailAlways(virtsim.OpFreeze, errs.Conflictf("Guest agent is not responding"))
			snapshot()
			r := c.must(200, "admin@2.51", "GET", "/servers/"+id+"/os-instance-actions", "")
			request := r.at(t, "instanceActions", 0, "request_id").(string)
			r = c.must(200, "admin@2.51", "GET", "/servers/"+id+"/os-instance-actions/"+request, "")
			if !strings.Contains(string(r.body), `"result":"Error"`) {
				t.Errorf("a snapshot of a guest that cannot be frozen and must be is %s, want an error", r.body)
			}
			host.FailAlways(virtsim.OpFreeze, nil)

			c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
			c.status(id, "SHUTOFF")
			c.must(202, "demo@2.45", "POST", "/servers/"+id+"/action", `{"createImage":{"name":"copy"}}`)
			c.status(id, "SHUTOFF")
			if now, ever := host.Frozen(); now != 0 || ever != 1 {
				t.Errorf("with a snapshot of a guest that is off, %d guests are frozen, and %d were, want none, and one", now, ever)
			}
		})
	}
}

// A server that ends, or loses its host, does not leave a guest frozen.
func TestFrozenWhileHeld(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := quiet(c)
	c.status(id, "ACTIVE")
	stream, err := c.hosts.Tunnel(c.ctx, "node-1", nodeapi.StreamFreeze, id)
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := c.machines["node-1"].Frozen(); now != 1 {
		t.Errorf("%d guests are frozen, want one", now)
	}
	stream.Close()
	c.until("guest goes on", func() bool { now, _ := c.machines["node-1"].Frozen(); return now == 0 })
	_, err = c.hosts.Tunnel(c.ctx, "node-1", nodeapi.StreamFreeze, imageID)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown guest is frozen: %v", err)
	}
}

// Killed anywhere, the plan leaves no guest frozen.
func TestQuiescePlan(t *testing.T) {
	for name, boot := range map[string]func(*cloud) string{"disk": quiet, "volumes": quietVolumes} {
		t.Run(name, func(t *testing.T) {
			exercise(t, "server.create_image", func(c *cloud) string {
				c.t.Cleanup(func() {
					c.until("no guest is frozen", func() bool { now, _ := c.machines["node-1"].Frozen(); return now == 0 })
				})
				return boot(c)
			}, func(c *cloud, t *testing.T, id string) {
				c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"createImage":{"name":"copy"}}`)
			}, nil)
		})
	}
}
