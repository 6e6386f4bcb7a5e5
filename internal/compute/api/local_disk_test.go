package api_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"nacre/internal/db"
)

// flavor makes a flavor with ephemeral and swap disks.
func (c *cloud) flavor(id string, ephemeral, swap int) {
	c.t.Helper()
	c.must(200, "admin", "POST", "/flavors", fmt.Sprintf(
		`{"flavor":{"name":"f%s","id":%q,"ram":512,"vcpus":1,"disk":1,"OS-FLV-EXT-DATA:ephemeral":%d,"swap":%d}}`, id, id, ephemeral, swap))
}

// flavored is the body of a server on node-1.
func flavored(flavor, disks string) string {
	if disks != "" {
		disks = `,"block_device_mapping_v2":[{"source_type":"image","destination_type":"local","uuid":"` + imageID + `","boot_index":0},` + disks + `]`
	}
	return fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":%q,"networks":"auto","host":"node-1"%s}}`, imageID, flavor, disks)
}

// sizes are the disks that live with the server on a host, in MiB.
func (c *cloud) sizes(t *testing.T, host, id string, names ...string) string {
	t.Helper()
	var out []string
	for _, name := range names {
		disk, err := c.machines[host].Disk(c.ctx, id, name)
		if err != nil {
			out = append(out, "-")
			continue
		}
		head := make([]byte, 32)
		_, err = io.ReadFull(disk, head)
		if err != nil {
			t.Fatal(err)
		}
		disk.Close()
		out = append(out, fmt.Sprint(binary.BigEndian.Uint64(head[24:])>>20))
	}
	return strings.Join(out, " ")
}

// claimed is how many GiB the consumer has of each host's disk.
func (c *cloud) claimed(t *testing.T, id string) int64 {
	t.Helper()
	var used []int64
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		return tx.All(c.ctx, &used, "SELECT used FROM allocations WHERE consumer = ? AND class = 'DISK_GB'", id)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) != 1 {
		t.Fatalf("server has %v of disks, want one claim", used)
	}
	return used[0]
}

// Ephemeral and swap disks follow the flavor, through all that happens to a server.
func TestLocalDisks(t *testing.T) {
	c := start(t, options{hosts: 2})
	c.flavor("10", 4, 1500)
	c.flavor("11", 6, 100)
	c.flavor("12", 3, 0)
	id := c.must(202, "admin@2.96", "POST", "/servers", flavored("10", "")).at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	all := []string{"ephemeral0", "ephemeral1", "swap"}
	if got := c.sizes(t, "node-1", id, all...); got != "4096 - 1500" {
		t.Errorf("server has disks of %s MB, want the flavor's", got)
	}
	if got := c.claimed(t, id); got != 1+4+2 {
		t.Errorf("server has %d GB of the host's disk, want root, ephemeral and swap disk rounded up: 7", got)
	}
	ip := c.must(200, "admin", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	c.must(200, "admin", "POST", "/servers/"+id+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
	c.until("volume is there", func() bool {
		r := c.must(200, "admin", "GET", "/servers/"+id+"/os-volume_attachments", "")
		return r.at(t, "volumeAttachments", 0, "device") == "/dev/vdd"
	})
	c.status(id, "ACTIVE")
	mapping := "/latest/meta-data/block-device-mapping/"
	for path, want := range map[string]string{"": "ami\nebs0\nephemeral0\nroot\nswap", "ephemeral0": "/dev/vdb", "swap": "/dev/vdc", "ebs0": "/dev/vdd"} {
		if r := c.ask(t, "node-1", ip, "GET", mapping+path, ""); string(r.Body) != want {
			t.Errorf("the guest is told that %q is %q, want %q", path, r.Body, want)
		}
	}

	action := "/servers/" + id + "/action"
	r := c.must(400, "admin", "POST", action, `{"resize":{"flavorRef":"12"}}`)
	if !strings.Contains(string(r.body), "Unable to resize disk down") {
		t.Errorf("a flavor with a smaller ephemeral disk is refused with %s", r.body)
	}
	c.must(202, "admin", "POST", action, `{"rebuild":{"imageRef":"`+imageID+`"}}`)
	c.status(id, "ACTIVE")
	c.must(202, "admin@2.56", "POST", action, `{"migrate":{"host":"node-2"}}`)
	c.status(id, "VERIFY_RESIZE")
	if here, there := c.sizes(t, "node-1", id, all...), c.sizes(t, "node-2", id, all...); here != "4096 - 1500" || there != here {
		t.Errorf("a migrated server has disks of %s MB where it was, %s MB where it is, want the same", here, there)
	}
	c.must(204, "admin", "POST", action, `{"confirmResize":null}`)
	c.status(id, "ACTIVE")
	if got := c.claimed(t, id); got != 7 {
		t.Errorf("a migrated server has %d GB of the host's disk, want 7", got)
	}

	c.must(202, "admin", "POST", action, `{"resize":{"flavorRef":"11"}}`)
	c.status(id, "VERIFY_RESIZE")
	if got := c.sizes(t, "node-2", id, all...); got != "6144 - 100" {
		t.Errorf("a resized server has disks of %s MB, want the new flavor's", got)
	}
	c.must(202, "admin", "POST", action, `{"revertResize":null}`)
	c.status(id, "ACTIVE")
	if got := c.sizes(t, "node-2", id, all...); got != "4096 - 1500" {
		t.Errorf("after the resize was taken back the server has disks of %s MB, want the former flavor's", got)
	}

	c.must(202, "admin", "POST", action, `{"shelve":null}`)
	c.status(id, "SHELVED_OFFLOADED")
	c.must(202, "admin", "POST", action, `{"unshelve":null}`)
	c.status(id, "ACTIVE")
	if got := c.sizes(t, c.hostOf(id), id, all...); got != "4096 - 1500" {
		t.Errorf("an unshelved server has disks of %s MB, want the flavor's", got)
	}
}

// What a request says of them, and what it may not.
func TestAskedLocalDisks(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.flavor("10", 4, 1500)
	c.flavor("13", 4, 0)
	blank := func(more string) string {
		return `{"source_type":"blank","destination_type":"local","boot_index":-1` + more + `}`
	}
	id := c.must(202, "admin@2.96", "POST", "/servers", flavored("10",
		blank(`,"volume_size":3,"guest_format":"xfs","tag":"scratch"`)+","+blank(`,"guest_format":"swap","volume_size":64`))).at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	if got := c.sizes(t, "node-1", id, "ephemeral0", "swap"); got != "3072 64" {
		t.Errorf("server has disks of %s MB, want what was asked for", got)
	}
	if got := c.claimed(t, id); got != 7 {
		t.Errorf("server has %d GB of the host's disk, want the flavor's 7", got)
	}
	ip := c.must(200, "admin", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	if r := c.ask(t, "node-1", ip, "GET", "/openstack/latest/meta_data.json", ""); !strings.Contains(string(r.Body), `{"type":"disk","bus":"pci","address":"0000:01:00.0","path":"/dev/vdb","tags":["scratch"]}`) {
		t.Errorf("the guest is told %s, want the tag of its disk", r.Body)
	}
	halves := c.must(202, "admin@2.96", "POST", "/servers", flavored("13", blank(`,"volume_size":1`)+","+blank(`,"volume_size":3`)))
	other := halves.at(t, "server", "id").(string)
	c.status(other, "ACTIVE")
	if got := c.sizes(t, "node-1", other, "ephemeral0", "ephemeral1", "swap"); got != "1024 3072 -" {
		t.Errorf("server has disks of %s MB, want both that were asked for", got)
	}
	for disks, want := range map[string]string{
		blank(`,"volume_size":5`):                                               "Ephemeral disks requested are larger",
		blank("") + "," + blank(`,"volume_size":1`):                             "Ephemeral disks requested are larger",
		blank(`,"guest_format":"swap","volume_size":2000`):                      "Swap drive requested is larger",
		blank(`,"guest_format":"swap"`) + "," + blank(`,"guest_format":"swap"`): "More than one swap drive",
		blank(`,"guest_format":"ntfs"`):                                         "ntfs format is not supported",
		blank(`,"uuid":"` + volumeID + `"`):                                     "Invalid device UUID",
		strings.Replace(blank(""), "-1", "2", 1):                                "Boot sequence",
		blank(`,"volume_size":1`) + "," + blank(`,"volume_size":1`):             "more local devices than the limit allows",
	} {
		r := c.must(400, "admin@2.96", "POST", "/servers", flavored("10", disks))
		if !strings.Contains(string(r.body), want) {
			t.Errorf("%s: got %s, want %q", disks, r.body, want)
		}
	}
	c.must(400, "admin@2.96", "POST", "/servers", flavored("1", blank(`,"volume_size":1`)))
	c.must(204, "admin", "DELETE", "/servers/"+other, "")
	c.gone(other)
}

// The plans that take a server to another host, with all its disks.
func TestLocalDiskPlans(t *testing.T) {
	boot := func(c *cloud) string {
		c.flavor("10", 4, 1500)
		c.flavor("11", 6, 0)
		return c.must(202, "admin@2.96", "POST", "/servers", flavored("10", "")).at(c.t, "server", "id").(string)
	}
	for name, body := range map[string]string{"migrate": `{"migrate":null}`, "resize": `{"resize":{"flavorRef":"11"}}`} {
		t.Run(name, func(t *testing.T) {
			exerciseOn(t, 2, "server.resize", boot, func(c *cloud, t *testing.T, id string) {
				c.must(202, "admin", "POST", "/servers/"+id+"/action", body)
			}, nil)
		})
	}
}
