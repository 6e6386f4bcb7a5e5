package qemu

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// Records and layouts name places as they did when there were only ports.
func TestPlaceText(t *testing.T) {
	places := map[place]string{{"", 0}: "root", {"", 7}: "", {"scsi", 254}: "a", {"sata", 6}: "b", {"ide", 3}: "c", {"usb", 1}: "d"}
	text, err := json.Marshal(places)
	want := `{"0":"root","7":"","ide:3":"c","sata:6":"b","scsi:254":"a","usb:1":"d"}`
	if err != nil || string(text) != want {
		t.Errorf("places are %s, %v; want %s", text, err, want)
	}
	var back map[place]string
	err = json.Unmarshal(text, &back)
	if err != nil || !maps.Equal(places, back) {
		t.Errorf("they are read as %v, %v; want %v", back, err, places)
	}
	for _, bad := range []string{"", "x", "-1", "scsi:", "fdc:1", "scsi:-2", "sata:24", "128"} {
		if json.Unmarshal([]byte(`{"`+bad+`":""}`), &back) == nil {
			t.Errorf("%q is taken for a place", bad)
		}
	}
}

// Where the disks of a machine are.
func TestBuses(t *testing.T) {
	for name, test := range map[string]struct {
		hardware nodeapi.Hardware
		bus      string
		rescue   *virt.Rescue
		has, not []string
	}{
		"virtio": {has: []string{
			`"bus":"port0","drive":"root","driver":"virtio-blk-pci","id":"root"}`, `"bus":"port1","drive":"v1","driver":"virtio-blk-pci"`, `"driver":"scsi-cd","id":"config","scsi-id":0`,
			"virtio-scsi-pci,id=scsi",
		}, not: []string{"ahci", "xhci"}},
		"scsi": {hardware: nodeapi.Hardware{DiskBus: "scsi", CDROMBus: "sata"}, bus: "scsi", has: []string{
			"lsi53c895a,id=scsi", `"bus":"scsi.0","drive":"root","driver":"scsi-hd","id":"root","scsi-id":0}`, `"id":"disk-1","scsi-id":1`,
			`"bus":"ide.0","drive":"config","driver":"ide-cd"`,
		}},
		"virtio-scsi": {hardware: nodeapi.Hardware{DiskBus: "scsi", SCSI: "virtio-scsi"}, bus: "scsi", has: []string{
			"virtio-scsi-pci,id=scsi", `"driver":"scsi-cd","id":"config","scsi-id":0`, `"id":"root","scsi-id":1`,
		}, not: []string{"lsi53c895a"}},
		"sata": {bus: "sata", has: []string{`"bus":"ide.0","drive":"root","driver":"ide-hd"`, `"bus":"ide.1","drive":"v1"`}, not: []string{"ahci"}},
		"sata of pc": {hardware: nodeapi.Hardware{MachineType: "pc"}, bus: "sata", has: []string{
			"-machine pc ", "ich9-ahci,id=sata0", `"bus":"sata0.1","drive":"v1","driver":"ide-hd"`,
		}, not: []string{"pcie-root-port"}},
		"ide": {hardware: nodeapi.Hardware{MachineType: "pc-i440fx-7.2", CDROMBus: "ide"}, bus: "ide", has: []string{
			`"bus":"ide.0","drive":"config","driver":"ide-cd","id":"config","unit":0}`, `"bus":"ide.0","drive":"root","driver":"ide-hd","id":"root","unit":1}`,
			`"bus":"ide.1","drive":"v1","driver":"ide-hd","id":"disk-1","serial":"1","unit":0}`, `"addr":"0xc","bus":"pci.0"`,
		}, not: []string{"pcie-root-port", "ahci"}},
		"usb":                    {bus: "usb", has: []string{"qemu-xhci,id=usb,p2=15,p3=15", `"driver":"usb-storage","id":"root","port":"1","removable":false}`, `"port":"2"`}},
		"cdrom that comes later": {hardware: nodeapi.Hardware{DiskBus: "usb"}, has: []string{"qemu-xhci,id=usb"}},
		"rescue": {bus: "scsi", rescue: &virt.Rescue{Device: "disk", Bus: "sata"}, has: []string{
			`"bootindex":1,"bus":"ide.0","drive":"rescue","driver":"ide-hd"`, `"bootindex":2,"bus":"scsi.0","drive":"root"`,
		}},
		"rescue in place of the first": {bus: "scsi", rescue: &virt.Rescue{Bus: "scsi"}, has: []string{
			`"drive":"rescue","driver":"scsi-hd","id":"rescue","scsi-id":1}`, `"drive":"root","driver":"scsi-hd","id":"root","scsi-id":2}`,
		}},
	} {
		m := virt.Machine{
			ID: "m", MemoryMB: 64, Hardware: test.hardware, Root: &virt.Root{Bus: test.bus}, Rescue: test.rescue,
			Disks: []virt.Disk{{ID: "1", Bus: test.bus}}, NICs: []virt.NIC{{ID: "n"}},
		}
		err := checkMachine(m)
		if err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		args := strings.Join(arguments(m, settings{accel: emulation, tapFDs: []int{9}, hasConfigDrive: true}), " ") + " "
		for _, has := range test.has {
			if !strings.Contains(args, has) {
				t.Errorf("%s: %q is not in %s", name, has, args)
			}
		}
		for _, not := range test.not {
			if strings.Contains(args, not) {
				t.Errorf("%s: %q is in %s", name, not, args)
			}
		}
	}
	five := virt.Machine{Hardware: nodeapi.Hardware{MachineType: "pc"}, Root: &virt.Root{Bus: "ide"}, Disks: make([]virt.Disk, 4)}
	for i := range five.Disks {
		five.Disks[i] = virt.Disk{ID: itoa(i), Bus: "ide"}
	}
	for _, m := range []virt.Machine{
		five, {Root: &virt.Root{Bus: "fdc"}},
		{Hardware: nodeapi.Hardware{MachineType: "pc"}, Blanks: []virt.Blank{{Name: nodeapi.Variables, Format: "secure"}}},
	} {
		if err := checkMachine(m); !errs.Is(err, errs.BadRequest) {
			t.Errorf("%+v gives %v, want a refusal", m, err)
		}
	}
}

// A guest that comes from another host finds its disks where they were, whatever is
// free before them, and on the bus that they were on.
func TestKeptPlaces(t *testing.T) {
	l := layout{Ports: []string{"", "nic-n"}, Units: map[place]string{{"scsi", 4}: "root", {"scsi", 0}: "disk-1"}}
	m := virt.Machine{ID: "m", MemoryMB: 64, Root: &virt.Root{Bus: "sata"}, Disks: []virt.Disk{{ID: "1", Bus: "scsi"}}, NICs: []virt.NIC{{ID: "n"}}}
	args := strings.Join(arguments(m, settings{accel: emulation, tapFDs: []int{9}, hasConfigDrive: true, kept: l.kept()}), " ")
	for _, has := range []string{
		`"id":"root","scsi-id":4`, `"id":"disk-1","scsi-id":0`, `"id":"config","scsi-id":1`, `"bus":"port1","csum":false,"driver":"virtio-net-pci"`, "virtio-scsi-pci,id=scsi", "-incoming defer",
	} {
		if !strings.Contains(args, has) {
			t.Errorf("%q is not in %s", has, args)
		}
	}
}
