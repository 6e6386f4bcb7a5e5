package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nacre/internal/db"
	virtsim "nacre/internal/virt/simulated"
)

const nowhere = "99999999-9999-4999-8999-999999999999"

// swapBody asks for a volume in place of another one.
func swapBody(volume string) string { return `{"volumeAttachment":{"volumeId":"` + volume + `"}}` }

// attachments is the path of a server's volumes.
func attachments(id string) string { return "/servers/" + id + "/os-volume_attachments/" }

// volumesOf are the volumes of a server, and the statuses of both there are.
func (c *cloud) volumesOf(id string) string {
	c.t.Helper()
	var both []struct{ ID, Status string }
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		return tx.All(c.ctx, &both, "SELECT id, status FROM test_volumes ORDER BY id DESC")
	})
	if err != nil {
		c.t.Fatal(err)
	}
	text := ""
	for _, v := range both {
		text += v.Status + " "
	}
	list := c.must(200, "demo", "GET", strings.TrimSuffix(attachments(id), "/"), "").at(c.t, "volumeAttachments").([]any)
	for _, a := range list {
		text += fmt.Sprint(a.(map[string]any)["volumeId"], " ")
	}
	return strings.TrimSpace(text)
}

func TestSwapVolumePlan(t *testing.T) {
	exercise(t, "server.swap_volume", withVolumes, func(c *cloud, t *testing.T, id string) {
		c.must(202, "admin", "PUT", attachments(id)+volumeID, swapBody(volumeID2))
	}, nil)
}

// A guest gets another volume in place of one, and the attachment is otherwise what it
// was; what it had is free. All of it is told.
func TestSwapVolume(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	before := c.must(200, "demo@2.89", "GET", attachments(id)+volumeID, "")
	heard := c.listen(t)
	c.must(202, "service@2.85", "PUT", attachments(id)+volumeID, `{"volumeAttachment":{"volumeId":"`+volumeID2+`","delete_on_termination":true}}`)
	c.until("the volume to be swapped", func() bool { return c.volumesOf(id) == "available in-use "+volumeID2 })
	after := c.must(200, "demo@2.89", "GET", attachments(id)+volumeID2, "")
	if before.at(t, "volumeAttachment", "device") != after.at(t, "volumeAttachment", "device") || after.at(t, "volumeAttachment", "delete_on_termination") != true {
		t.Errorf("the attachment is %s, was %s", after.body, before.body)
	}
	by := wantTold(t, until(c, heard, "instance.volume_swap.end"), id, []string{"instance.volume_swap.start", "instance.volume_swap.end"}, nil)
	for _, m := range by {
		m.wantFields(t, map[string]any{"old_volume_id": volumeID, "new_volume_id": volumeID2, "uuid": id})
		if m.name != "InstanceActionVolumeSwapPayload" {
			t.Errorf("%s carries an %s", m.kind, m.name)
		}
	}
	list, err := c.machines["node-1"].List(c.ctx)
	if err != nil || len(list) != 1 || fmt.Sprint(list[0].Disks) != "["+volumeID2+"]" {
		t.Errorf("the guest is %+v, %v; want it with the new volume alone", list, err)
	}
	action := c.must(200, "demo", "GET", "/servers/"+id+"/os-instance-actions", "").at(t, "instanceActions", 0, "action")
	if action != "swap_volume" {
		t.Errorf("the newest action is %v, want swap_volume", action)
	}
}

// What cannot be copied leaves the server the volume that it has.
func TestSwapThatFails(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	heard := c.listen(t)
	c.machines["node-1"].FailNext(virtsim.OpSwap, errors.New("no space left"))
	c.must(202, "admin", "PUT", attachments(id)+volumeID, swapBody(volumeID2))
	wantTold(t, until(c, heard, "instance.volume_swap.error"), id, []string{"instance.volume_swap.start", "instance.volume_swap.error"}, nil)
	if got, want := c.volumesOf(id), "in-use available "+volumeID; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	c.must(202, "admin", "PUT", attachments(id)+volumeID, swapBody(volumeID2))
	c.until("the volume to be swapped", func() bool { return c.volumesOf(id) == "available in-use "+volumeID2 })
}

func TestSwapRefused(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	off := c.active("off", "")
	more := func(field string) string {
		return strings.TrimSuffix(swapBody(volumeID), "}}") + `,` + field + `}}`
	}
	before := c.world(t)
	for _, test := range []struct {
		name, who, server, old, body string
		status                       int
		says                         string
	}{
		{"by another one", "other", id, volumeID, swapBody(volumeID2), 404, id},
		{"by the owner", "demo", id, volumeID, swapBody(volumeID2), 403, "os_compute_api:os-volumes-attachments:swap"},
		{"by the owner since 2.85", "demo@2.85", id, volumeID, swapBody(volumeID2), 403, "os_compute_api:os-volumes-attachments:swap"},
		{"of an unknown volume", "admin", id, nowhere, swapBody(volumeID2), 404, nowhere},
		{"of an unknown volume since 2.85", "admin@2.85", id, nowhere, swapBody(volumeID2), 404, nowhere},
		{"for an unknown volume", "admin", id, volumeID, swapBody(nowhere), 400, "Volume " + nowhere + " could not be found."},
		{"for itself", "admin", id, volumeID, swapBody(volumeID), 400, "New volume must be detached"},
		{"of one that another server has", "admin", off, volumeID, swapBody(volumeID2), 400, "Old volume is attached to a different instance."},
		{"of one that another server has since 2.85", "admin@2.85", off, volumeID, swapBody(volumeID2), 404, volumeID},
		{"of an unknown server", "admin", nowhere, volumeID, swapBody(volumeID2), 404, nowhere},
		{"for no volume", "admin", id, volumeID, `{"volumeAttachment":{}}`, 400, "volumeId"},
		{"for what is no volume", "admin", id, volumeID, swapBody("x"), 400, "does not match"},
		{"with more before 2.85", "admin@2.84", id, volumeID, more(`"delete_on_termination":true`), 400, "delete_on_termination"},
		{"another device", "demo@2.85", id, volumeID, more(`"device":"/dev/vdz"`), 400, "The device property is not mutable"},
		{"another tag", "demo@2.85", id, volumeID, more(`"tag":"x"`), 400, "The tag property is not mutable"},
		{"another server", "demo@2.85", id, volumeID, more(`"serverId":"` + off + `"`), 400, "The serverId property is not mutable"},
		{"another id", "demo@2.85", id, volumeID, more(`"id":"` + volumeID2 + `"`), 400, "The id property is not mutable"},
		{"an unknown volume", "demo@2.85", id, nowhere, swapBody(nowhere), 404, nowhere},
	} {
		r := c.as(test.who, "PUT", attachments(test.server)+test.old, test.body)
		if r.status != test.status || !strings.Contains(string(r.body), test.says) {
			t.Errorf("%s: got %d %s, want %d and %q", test.name, r.status, r.body, test.status, test.says)
		}
	}
	after := c.world(t)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("what was refused has changed\n%v\nto\n%v", before, after)
	}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(409, "admin", "PUT", attachments(id)+volumeID, swapBody(volumeID2))
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-start":null}`)
	c.status(id, "ACTIVE")
	for _, change := range []struct{ sql, says string }{
		{"UPDATE test_volumes SET size = 2 WHERE id = ?", "the same size or larger"},
		{"UPDATE test_volumes SET writers = -1 WHERE id <> ?", "is read-only"},
		{"UPDATE test_volumes SET writers = 2 WHERE id = ?", "more than one read/write attachment"},
	} {
		err := c.db.Write(c.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(c.ctx, change.sql, volumeID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r := c.must(400, "admin", "PUT", attachments(id)+volumeID, swapBody(volumeID2))
		if !strings.Contains(string(r.body), change.says) {
			t.Errorf("got %s, want %q", r.body, change.says)
		}
		err = c.db.Write(c.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(c.ctx, "UPDATE test_volumes SET size = 1, writers = 1")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
