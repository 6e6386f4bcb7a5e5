package api_test

import (
	"fmt"
	"testing"
)

// volumesAre waits until the server has the volumes, its guest too while it runs, on one host.
func (c *cloud) volumesAre(t *testing.T, id string, want ...string) {
	t.Helper()
	at := ""
	c.until(fmt.Sprintf("server to have volumes %v", want), func() bool {
		list := c.must(200, "admin@2.96", "GET", "/servers/"+id, "").at(t, "server", "os-extended-volumes:volumes_attached").([]any)
		at = c.hostOf(id)
		for name, m := range c.machines {
			machines, err := m.List(c.ctx)
			check(t, err)
			for _, machine := range machines {
				if machine.Running && (name != at || len(machine.Disks) != len(want)) {
					return false
				}
			}
		}
		return len(list) == len(want)
	})
}

// A volume comes to a server that was resized, and goes where the server goes.
func TestVolumesOfResized(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"confirmResize", "revertResize"} {
		c := start(t, options{hosts: 2})
		id := c.on("node-1")
		c.status(id, "ACTIVE")
		c.must(202, "admin@2.56", "POST", "/servers/"+id+"/action", `{"migrate":{"host":"node-2"}}`)
		c.status(id, "VERIFY_RESIZE")
		path := "/servers/" + id + "/os-volume_attachments"
		c.must(200, "admin", "POST", path, `{"volumeAttachment":{"volumeId":"`+volumeID2+`"}}`)
		c.volumesAre(t, id, volumeID, volumeID2)
		c.must(202, "admin", "DELETE", path+"/"+volumeID, "")
		c.volumesAre(t, id, volumeID2)
		c.as("admin", "POST", "/servers/"+id+"/action", `{"`+end+`":null}`)
		c.status(id, "ACTIVE")
		if got, want := c.hostOf(id), map[string]string{"confirmResize": "node-2", "revertResize": "node-1"}[end]; got != want {
			t.Errorf("%s: the server is on %s, want %s", end, got, want)
		}
		c.volumesAre(t, id, volumeID2)
		c.must(202, "admin", "DELETE", path+"/"+volumeID2, "")
		c.volumesAre(t, id)
	}
}

// A guest that stands still is given what it finds when it goes on, and keeps what it has.
func TestDevicesOfPaused(t *testing.T) {
	t.Parallel()
	c := start(t, options{})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	path := "/servers/" + id
	c.must(202, "admin", "POST", path+"/action", `{"pause":null}`)
	c.status(id, "PAUSED")
	c.must(200, "admin", "POST", path+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID2+`"}}`)
	c.volumesAre(t, id, volumeID, volumeID2)
	port := c.must(200, "admin", "POST", path+"/os-interface", `{"interfaceAttachment":{"port_id":"`+freePort+`"}}`).at(t, "interfaceAttachment", "port_id")
	if port != freePort {
		t.Errorf("the server was given port %v", port)
	}
	c.must(409, "admin", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
	c.must(409, "admin", "DELETE", path+"/os-interface/"+freePort, "")
	c.must(202, "admin", "POST", path+"/action", `{"unpause":null}`)
	c.status(id, "ACTIVE")
	c.must(202, "admin", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
	c.volumesAre(t, id, volumeID2)
}

// What can be restored has its volumes changed meanwhile.
func TestVolumesOfSoftDeleted(t *testing.T) {
	t.Parallel()
	c := start(t, options{configure: restorable})
	id := c.on("node-1")
	c.status(id, "ACTIVE")
	c.must(204, "admin", "DELETE", "/servers/"+id, "")
	c.status(id, "SOFT_DELETED")
	path := "/servers/" + id + "/os-volume_attachments"
	c.must(200, "admin", "POST", path, `{"volumeAttachment":{"volumeId":"`+volumeID2+`"}}`)
	c.volumesAre(t, id, volumeID, volumeID2)
	c.must(202, "admin", "DELETE", path+"/"+volumeID, "")
	c.volumesAre(t, id, volumeID2)
	c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"restore":null}`)
	c.status(id, "ACTIVE")
	c.volumesAre(t, id, volumeID2)
}
