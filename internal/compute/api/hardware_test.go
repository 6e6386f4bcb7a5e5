package api_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// propertied are images that have properties which a test chooses.
type propertied struct {
	images
	properties map[string]string
	iso        bool
}

func (p *propertied) Image(ctx context.Context, caller auth.Caller, id string) (compute.Image, error) {
	image, err := p.images.Image(ctx, caller, id)
	image.Properties, image.ISO = p.properties, p.iso
	return image, err
}

// stock has the cloud find its images there.
func (p *propertied) stock(o *compute.Options) {
	p.images = o.Images.(images)
	o.Images = p
}

// What images and flavors say about hardware, and may not say.
func TestHardware(t *testing.T) {
	shelf := &propertied{}
	c := start(t, options{hosts: 2, configure: shelf.stock})
	c.flavor("10", 0, 0)
	specs := func(all string) {
		c.must(200, "admin", "POST", "/flavors/10/os-extra_specs", `{"extra_specs":{`+all+`}}`)
	}
	create := func() reply {
		return c.as("admin@2.96", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"10","networks":"auto"}}`, imageID))
	}
	for key, value := range map[string]string{
		"hw_firmware_type": "coreboot", "os_secure_boot": "maybe", "hw_machine_type": "pc,x", "hw_boot_menu": "perhaps", "hw_video_model": "vmvga",
		"hw_video_ram": "much", "hw_watchdog_action": "shout", "hw_rng_model": "dice", "hw_vif_model": "netfront", "hw_pointer_model": "mouse",
	} {
		shelf.properties = map[string]string{key: value}
		if r := create(); r.status != 400 || !strings.Contains(string(r.body), "Invalid image metadata") ||
			key == "hw_vif_model" && !strings.Contains(string(r.body), "it may be virtio, e1000, e1000e, ne2k_pci, pcnet, rtl8139, vmxnet3") {
			t.Errorf("%s=%s: got %d %s, want 400", key, value, r.status, r.body)
		}
	}
	for _, properties := range []map[string]string{
		{"os_secure_boot": "required"}, {"os_secure_boot": "required", "hw_firmware_type": "bios"}, {"hw_video_ram": "16"},
	} {
		shelf.properties = properties
		if r := create(); r.status != 400 {
			t.Errorf("%v: got %d %s, want 400", properties, r.status, r.body)
		}
	}

	specs(`"hw:boot_menu":"true","hw_video:ram_max_mb":"64","hw:watchdog_action":"reset","hw_rng:allowed":"false","os:secure_boot":"required"`)
	shelf.properties = map[string]string{"hw_firmware_type": "uefi", "os_secure_boot": "disabled"}
	if r := create(); r.status != 400 || !strings.Contains(string(r.body), "Conflict between flavor and image") {
		t.Errorf("secure boot that is required and disabled: got %d %s, want 400", r.status, r.body)
	}
	shelf.properties = map[string]string{"hw_firmware_type": "uefi", "hw_video_model": "qxl", "hw_video_ram": "32", "hw_vif_model": "e1000e", "hw_machine_type": "q35"}
	r := create()
	if r.status != 202 {
		t.Fatalf("got %d %s, want 202", r.status, r.body)
	}
	id := r.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	from := c.hostOf(id)
	want := nodeapi.Hardware{MachineType: "q35", BootMenu: true, Video: "qxl", VideoMB: 32, Watchdog: "reset", NoRNG: true, NIC: "e1000e"}
	m, _ := c.machines[from].Machine(id)
	if m.Hardware != want || len(m.Blanks) != 1 || m.Blanks[0].Format != "secure" {
		t.Errorf("the machine has %+v and disks %+v, want %+v and variables of a secure firmware", m.Hardware, m.Blanks, want)
	}
	spice := `{"os-getSPICEConsole":{"type":"spice-html5"}}`
	if r := c.must(200, "admin", "POST", "/servers/"+id+"/action", spice); !strings.Contains(string(r.body), "/spice?token=T") {
		t.Errorf("its SPICE console is %s", r.body)
	}
	remote := `{"remote_console":{"protocol":"spice","type":"spice-%s"}}`
	c.must(200, "admin@2.6", "POST", "/servers/"+id+"/remote-consoles", fmt.Sprintf(remote, "html5"))
	if r := c.must(400, "admin@2.99", "POST", "/servers/"+id+"/remote-consoles", fmt.Sprintf(remote, "direct")); !strings.Contains(string(r.body), "Unavailable console type spice-direct.") {
		t.Errorf("the way to a port of a host is %s", r.body)
	}
	c.live(id, "null")
	c.migration(id, "completed")
	c.status(id, "ACTIVE")
	if at := c.hostOf(id); at == from {
		t.Errorf("the server is still on host %s", at)
	}
	from = c.hostOf(id)
	m, _ = c.machines[from].Machine(id)
	if m.Hardware != want || len(m.Blanks) != 1 || m.Blanks[0].Format != "secure" {
		t.Errorf("after its move the machine has %+v and disks %+v, want %+v and variables of a secure firmware", m.Hardware, m.Blanks, want)
	}
	c.must(202, "admin", "POST", "/servers/"+id+"/action", `{"migrate":null}`)
	c.status(id, "VERIFY_RESIZE")
	m, _ = c.machines[c.hostOf(id)].Machine(id)
	if m.Hardware != want || len(m.Blanks) != 1 || !m.Blanks[0].Arrives || c.hostOf(id) == from {
		t.Errorf("on host %s the machine has %+v and disks %+v, want the same with the variables that it had on %s", c.hostOf(id), m.Hardware, m.Blanks, from)
	}
}

// An image may want a config drive for its servers, at their creation or in a rebuild.
func TestDriveThatAnImageWants(t *testing.T) {
	shelf := &propertied{}
	c := start(t, options{configure: shelf.stock})
	want := func(id, shown string) {
		t.Helper()
		c.status(id, "ACTIVE")
		for _, path := range []string{"/servers/" + id, "/servers/detail"} {
			r := c.must(200, "demo", "GET", path, "")
			if !strings.Contains(string(r.body), `"config_drive":"`+shown+`"`) {
				t.Errorf("%s shows %s, want the drive to be %q", path, r.body, shown)
			}
		}
		if shown != "" {
			drive := c.onDrive(t, id, "meta_data.json")
			if !strings.Contains(drive, "s3cret") {
				t.Errorf("the drive says %s, not the password", drive)
			}
		}
	}
	shelf.properties = map[string]string{"img_config_drive": "optional"}
	id := c.server("web", "")
	want(id, "")
	rebuild := fmt.Sprintf(`{"rebuild":{"imageRef":%q,"adminPass":"s3cret"}}`, imageID)
	shelf.properties = map[string]string{"img_config_drive": "always"}
	c.must(400, "demo", "POST", "/servers/"+id+"/action", rebuild)
	shelf.properties = map[string]string{"img_config_drive": "mandatory"}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", rebuild)
	want(id, "True")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	id = c.server("new", `,"adminPass":"s3cret"`)
	want(id, "True")
}

// Hosts without the firmware are not chosen.
func TestNoFirmware(t *testing.T) {
	shelf := &propertied{properties: map[string]string{"hw_firmware_type": "uefi"}}
	c := start(t, options{hosts: 1, capacity: virt.Capacity{Traits: []string{"COMPUTE_FIRMWARE_BIOS"}}, configure: shelf.stock})
	id := c.server("web", "")
	r := c.status(id, "ERROR")
	if !strings.Contains(string(r.body), "No valid host was found") {
		t.Errorf("got %s, want that no host was found", r.body)
	}
}

// A flavor's quotas come to the host with the server, and go with a resize.
func TestQuotas(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.flavor("10", 0, 0)
	specs := func(all string) {
		c.must(200, "admin@2.86", "POST", "/flavors/10/os-extra_specs", `{"extra_specs":{`+all+`}}`)
	}
	create := func() reply {
		return c.as("demo@2.96", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"10","networks":"auto"}}`, imageID))
	}
	for name, bad := range map[string]string{
		"cpu_shares": "1", "cpu_period": "5", "cpu_quota": "10", "disk_total_iops_sec": "1000", "disk_read_bytes_sec_max": "5", "disk_write_iops_sec_max": "3",
		"vif_inbound_average": "9999999999",
	} {
		specs(`"quota:disk_read_iops_sec":"10","quota:disk_write_iops_sec":"5","quota:` + name + `":"` + bad + `"`)
		if r := create(); r.status != 400 || !strings.Contains(string(r.body), "quota:") {
			t.Errorf("%s=%s: got %d %s, want 400", name, bad, r.status, r.body)
		}
		c.must(200, "admin", "DELETE", "/flavors/10/os-extra_specs/quota:"+name, "")
	}
	specs(`"quota:cpu_quota":"-1","quota:cpu_shares":"512","quota:cpu_period":"20000","quota:disk_write_bytes_sec":"10000000000",
		"quota:vif_inbound_average":"100","quota:vif_inbound_burst":"50","quota:vif_outbound_average":"200","quota:cpu_shares_level":"high"`)
	r := create()
	if r.status != 202 {
		t.Fatalf("got %d %s, want 202", r.status, r.body)
	}
	id := r.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	quotas := func() *nodeapi.Quotas {
		m, _ := c.machines["node-1"].Machine(id)
		return m.Quotas
	}
	passes := func(want string) {
		t.Helper()
		var got string
		err := c.db.Read(c.ctx, func(tx *db.Tx) error {
			return tx.Get(c.ctx, &got, "SELECT limits FROM test_ports WHERE server = ?", id)
		})
		if err != nil || got != want {
			t.Errorf("its port lets pass %s, %v; want %s", got, err, want)
		}
	}
	passes("{800 400 1600 0}")
	want := &nodeapi.Quotas{CPUShares: 512, Disks: map[string]int64{"read_iops_sec": 10, "write_iops_sec": 5, "write_bytes_sec": 10000000000}}
	if got := quotas(); !reflect.DeepEqual(got, want) {
		t.Errorf("the machine has %+v, want %+v", got, want)
	}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"resize":{"flavorRef":"2"}}`)
	c.status(id, "VERIFY_RESIZE")
	if got := quotas(); got != nil {
		t.Errorf("the machine has %+v after its resize, want none", got)
	}
	passes("{0 0 0 0}")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"revertResize":null}`)
	c.status(id, "ACTIVE")
	if got := quotas(); !reflect.DeepEqual(got, want) {
		t.Errorf("the machine has %+v after the way back, want %+v", got, want)
	}
	passes("{800 400 1600 0}")
}
