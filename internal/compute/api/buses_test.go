package api_test

import (
	"fmt"
	"strings"
	"testing"

	"nacre/internal/compute"
	"nacre/internal/compute/scheduler"
	"nacre/internal/nodeapi"
)

// The disks of a server are on the buses that image and request say, and are named
// after them.
func TestBuses(t *testing.T) {
	shelf := &propertied{}
	c := start(t, options{hosts: 1, configure: shelf.stock})
	c.flavor("10", 4, 64)
	create := func(status int, properties map[string]string, more string) reply {
		t.Helper()
		shelf.properties = properties
		return c.must(status, "admin@2.96", "POST", "/servers", fmt.Sprintf(
			`{"server":{"name":"web","imageRef":%q,"flavorRef":"10","networks":"none","block_device_mapping_v2":[{"source_type":"image","destination_type":"local","uuid":%q,"boot_index":0%s]}}`,
			imageID, imageID, more))
	}
	// shown is where the disks of a server's machine are.
	shown := func(id string) string {
		m, _ := c.machines["node-1"].Machine(id)
		list := []string{m.Hardware.MachineType, m.Hardware.DiskBus, m.Hardware.SCSI, m.Hardware.CDROMBus, fmt.Sprint("root ", m.Root.Bus, m.Root.CDROM)}
		for _, b := range m.Blanks {
			list = append(list, b.Name+" "+b.Bus)
		}
		for _, d := range m.Disks {
			list = append(list, fmt.Sprint(d.Device, " ", d.Bus, d.CDROM))
		}
		return strings.Join(list, ", ")
	}
	volume := func(id, more string) string {
		return fmt.Sprintf(`},{"source_type":"volume","destination_type":"volume","uuid":%q%s`, id, more)
	}
	blank := func(n int, more string) string {
		return strings.Repeat(`},{"source_type":"blank","destination_type":"volume","volume_size":1`+more, n)
	}
	for _, test := range []struct {
		properties map[string]string
		more       string
		want, root string
	}{
		{nil, "}", ", , , , root false, ephemeral0 , swap ", "/dev/vda"},
		{map[string]string{"hw_disk_bus": "virtio"}, "}", ", , , , root false, ephemeral0 , swap ", "/dev/vda"},
		{map[string]string{"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}, blank(1, "") + "}", ", scsi, virtio-scsi, , root scsifalse, ephemeral0 scsi, swap scsi, /dev/sdd scsifalse", "/dev/sda"},
		{map[string]string{"hw_disk_bus": "ide", "hw_cdrom_bus": "sata"}, "}", "pc, ide, , sata, root idefalse, ephemeral0 ide, swap ide", "/dev/hda"},
		{map[string]string{"hw_cdrom_bus": "ide", "hw_machine_type": "pc-i440fx-7.2"}, blank(1, `,"disk_bus":"usb"`) + "}", "pc-i440fx-7.2, , , ide, root false, ephemeral0 , swap , /dev/sda usbfalse", "/dev/vda"},
		{
			map[string]string{"hw_disk_bus": "sata"}, `,"disk_bus":"virtio"` + blank(1, `,"disk_bus":"ide"`) + blank(1, `,"device_type":"cdrom"`) + blank(1, "") + "}",
			"pc, sata, , , root virtiofalse, ephemeral0 sata, swap sata, /dev/hda idefalse, /dev/sdc scsitrue, /dev/sdd satafalse", "/dev/vda",
		},
		{nil, `,"disk_bus":"sata","device_type":"cdrom"},{"source_type":"blank","destination_type":"local","disk_bus":"usb"}`, ", , , , root satatrue, ephemeral0 usb, swap ", "/dev/sda"},
	} {
		id := create(202, test.properties, test.more).at(t, "server", "id").(string)
		r := c.status(id, "ACTIVE")
		if got := r.at(t, "server", "OS-EXT-SRV-ATTR:root_device_name"); got != test.root {
			t.Errorf("%v, %s: the root disk is %v, want %s", test.properties, test.more, got, test.root)
		}
		if got := shown(id); got != test.want {
			t.Errorf("%v, %s: the machine has %s; want %s", test.properties, test.more, got, test.want)
		}
	}
	for _, test := range []struct {
		status     int
		properties map[string]string
		more, want string
	}{
		{400, map[string]string{"hw_disk_bus": "fdc"}, "}", "it may be virtio, scsi, sata, ide, usb"},
		{400, nil, blank(1, `,"disk_bus":"fdc"`) + "}", "The provided disk bus fdc is not valid."},
		{400, map[string]string{"hw_cdrom_bus": "virtio"}, "}", "it may be scsi, sata, ide, usb"},
		{400, map[string]string{"hw_scsi_model": "buslogic"}, "}", "it may be virtio-scsi, lsilogic"},
		{400, map[string]string{"hw_disk_bus": "ide", "hw_machine_type": "pc-q35-7.2"}, "}", "IDE controllers are unsupported for machine type pc-q35-7.2"},
		{400, map[string]string{"hw_machine_type": "q35"}, blank(1, `,"disk_bus":"ide"`) + "}", "IDE controllers are unsupported for machine type q35"},
		{400, map[string]string{"hw_disk_bus": "ide", "hw_firmware_type": "uefi", "os_secure_boot": "required"}, "}", "Secure boot is not supported by machine type pc"},
		{400, nil, blank(1, `,"device_type":"lun"`) + "}", "device type 'lun' is not supported"},
		{400, nil, blank(1, `,"device_type":"cdrom","disk_bus":"virtio"`) + "}", "a cdrom cannot be on bus 'virtio'"},
		{400, nil, `},{"source_type":"blank","destination_type":"local","device_type":"cdrom"}`, "device type 'cdrom' of a blank disk is not supported"},
		{403, map[string]string{"hw_disk_bus": "ide"}, blank(2, "") + "}", "number of disk devices (4)"},
	} {
		r := create(test.status, test.properties, test.more)
		if !strings.Contains(string(r.body), test.want) {
			t.Errorf("%v, %s: got %s, want %q", test.properties, test.more, r.body, test.want)
		}
	}

	// What a machine looks at when it starts does not come or go while it runs.
	id := create(202, map[string]string{"hw_disk_bus": "sata"}, volume(volumeID, "")+"}").at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	path := "/servers/" + id
	attach := `{"volumeAttachment":{"volumeId":"` + volumeID2 + `"}}`
	for _, r := range []reply{
		c.must(409, "admin", "POST", path+"/os-volume_attachments", attach), c.must(409, "admin", "DELETE", path+"/os-volume_attachments/"+volumeID, ""),
	} {
		if !strings.Contains(string(r.body), "disk bus 'sata' cannot be hotplugged") {
			t.Errorf("got %s, want that it cannot be plugged", r.body)
		}
	}
	c.must(202, "admin", "POST", path+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	r := c.must(200, "admin", "POST", path+"/os-volume_attachments", attach)
	if got := r.at(t, "volumeAttachment", "device"); got != "/dev/sde" {
		t.Errorf("the volume is %v, want /dev/sde", got)
	}
	c.settle(t)
	c.must(202, "admin", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
	c.settle(t)
	if got, want := shown(id), ", sata, , , root satafalse, ephemeral0 sata, swap sata, /dev/sde satafalse"; got != want {
		t.Errorf("the machine has %s; want %s", got, want)
	}

	// Another image brings other buses; volumes stay where they are.
	shelf.properties = map[string]string{"hw_disk_bus": "ide", "hw_machine_type": "q35"}
	rebuild := fmt.Sprintf(`{"rebuild":{"imageRef":%q}}`, imageID)
	c.must(400, "admin", "POST", path+"/action", rebuild)
	shelf.properties = map[string]string{"hw_disk_bus": "ide", "hw_vif_model": "ne2k_pci"}
	c.must(202, "admin", "POST", path+"/action", rebuild)
	r = c.status(id, "SHUTOFF")
	if got := r.at(t, "server", "OS-EXT-SRV-ATTR:root_device_name"); got != "/dev/hda" {
		t.Errorf("after a rebuild the root disk is %v, want /dev/hda", got)
	}
	if got, want := shown(id), "pc, ide, , , root idefalse, ephemeral0 ide, swap ide, /dev/sde satafalse"; got != want {
		t.Errorf("after a rebuild the machine has %s; want %s", got, want)
	}
	for _, rescue := range []struct {
		properties map[string]string
		want       nodeapi.Rescue
	}{
		{nil, nodeapi.Rescue{Bus: "ide"}},
		{map[string]string{"hw_disk_bus": "usb"}, nodeapi.Rescue{Bus: "usb"}},
		{map[string]string{"hw_rescue_device": "cdrom"}, nodeapi.Rescue{Device: "cdrom"}},
		{map[string]string{"hw_rescue_device": "cdrom", "hw_cdrom_bus": "sata"}, nodeapi.Rescue{Device: "cdrom", Bus: "sata"}},
		{map[string]string{"hw_rescue_bus": "sata"}, nodeapi.Rescue{Device: "disk", Bus: "sata"}},
	} {
		shelf.properties = rescue.properties
		c.must(200, "admin", "POST", path+"/action", `{"rescue":{}}`)
		c.status(id, "RESCUE")
		m, _ := c.machines["node-1"].Machine(id)
		if m.Rescue == nil || m.Rescue.Bus != rescue.want.Bus || m.Rescue.Device != rescue.want.Device {
			t.Errorf("a rescue by an image of %v is %+v, want %+v", rescue.properties, m.Rescue, rescue.want)
		}
		c.must(202, "admin", "POST", path+"/action", `{"unrescue":null}`)
		c.status(id, "ACTIVE")
	}
}

// A guest is told where its tagged devices are: on PCI by an address, elsewhere without.
func TestTaggedDevices(t *testing.T) {
	c := start(t, options{hosts: 1})
	network := c.must(200, "admin", "GET", "/servers/"+c.active("first", "")+"/os-interface", "").at(t, "interfaceAttachments", 0, "net_id")
	r := c.must(202, "admin@2.96", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":[{"uuid":%q,"tag":"front"}],
		"block_device_mapping_v2":[{"source_type":"image","destination_type":"local","uuid":%q,"boot_index":0},
		{"source_type":"volume","destination_type":"volume","uuid":%q,"tag":"fast"},
		{"source_type":"volume","destination_type":"volume","uuid":%q,"tag":"old","disk_bus":"sata"}]}}`, imageID, network, imageID, volumeID, volumeID2))
	id := r.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	card := c.must(200, "admin", "GET", "/servers/"+id+"/os-interface", "")
	ip, mac := card.at(t, "interfaceAttachments", 0, "fixed_ips", 0, "ip_address").(string), card.at(t, "interfaceAttachments", 0, "mac_addr").(string)
	told := string(c.ask(t, "node-1", ip, "GET", "/openstack/latest/meta_data.json", "").Body)
	for _, want := range []string{
		`{"type":"nic","bus":"pci","address":"0000:02:00.0","mac":"` + mac + `","tags":["front"]}`,
		`{"type":"disk","bus":"pci","address":"0000:01:00.0","serial":"` + volumeID + `","path":"/dev/vdb","tags":["fast"]}`,
		`{"type":"disk","bus":"none","address":"none","serial":"` + volumeID2 + `","path":"/dev/sda","tags":["old"]}`,
	} {
		if !strings.Contains(told, want) {
			t.Errorf("no %s in what the guest is told: %s", want, told)
		}
	}
}

// A rebuild that the host refuses leaves the disks where they are.
func TestBusesOfRefusedRebuild(t *testing.T) {
	shelf := &propertied{}
	c := start(t, options{hosts: 1, configure: func(o *compute.Options) {
		shelf.images = o.Images.(images)
		o.Images = shelf
		o.Rules = scheduler.Rules{IsolatedHosts: []string{"other"}, IsolatedImages: []string{quietImageID}}
	}})
	id := c.active("web", "")
	shelf.properties = map[string]string{"hw_disk_bus": "sata"}
	for _, step := range []struct{ image, status, root string }{
		{quietImageID, "ERROR", "/dev/vda"},
		{imageID, "ACTIVE", "/dev/sda"},
	} {
		c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+step.image+`"}}`)
		c.status(id, step.status)
		got := c.must(200, "admin@2.3", "GET", "/servers/"+id, "").at(t, "server", "OS-EXT-SRV-ATTR:root_device_name")
		if got != step.root {
			t.Errorf("after a rebuild from %s: got root device %v, want %s", step.image, got, step.root)
		}
	}
}

// A disk whose image is that of a CD is one, unless the request says otherwise.
func TestISO(t *testing.T) {
	shelf := &propertied{}
	c := start(t, options{hosts: 1, configure: shelf.stock})
	shows := func(id, want string) {
		t.Helper()
		name := c.status(id, "ACTIVE").at(t, "server", "OS-EXT-SRV-ATTR:root_device_name")
		m, _ := c.machines["node-1"].Machine(id)
		if got := fmt.Sprint(name, " ", m.Root.Bus, " ", m.Root.CDROM, " ", m.Root.SizeGB); got != want {
			t.Errorf("the root disk is %s, want %s", got, want)
		}
	}
	create := func(root string) string {
		t.Helper()
		return c.must(202, "admin@2.96", "POST", "/servers", fmt.Sprintf(
			`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","networks":"none"%s}}`, imageID, root)).at(t, "server", "id").(string)
	}
	asked := func(more string) string {
		return fmt.Sprintf(`,"block_device_mapping_v2":[{"source_type":"image","destination_type":"local","uuid":%q,"boot_index":0%s}]`, imageID, more)
	}
	shelf.iso = true
	shows(create(asked("")), "/dev/sda scsi true 0")
	plain := create(asked(`,"device_type":"disk"`))
	shows(plain, "/dev/vda  false 1")
	rebuild := func(id string) {
		t.Helper()
		c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`"}}`)
	}
	rebuild(plain)
	shows(plain, "/dev/vda  false 1")
	shows(create(asked(`,"disk_bus":"virtio"`)), "/dev/vda  false 1")
	shows(create(asked(`,"disk_bus":"usb"`)), "/dev/sda usb false 1")
	shelf.properties = map[string]string{"hw_cdrom_bus": "sata", "hw_disk_bus": "scsi"}
	id := create("")
	shows(id, "/dev/sda sata true 0")
	for _, step := range []struct {
		iso  bool
		want string
	}{{false, "/dev/sda scsi false 1"}, {true, "/dev/sda sata true 0"}} {
		shelf.iso = step.iso
		rebuild(id)
		shows(id, step.want)
	}
}
