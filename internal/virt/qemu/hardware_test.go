package qemu

import (
	"strings"
	"testing"

	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// TestHardware: each word about a machine's hardware and what QEMU is told for it.
func TestHardware(t *testing.T) {
	usual := "-device VGA -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng"
	for name, test := range map[string]struct {
		hardware nodeapi.Hardware
		format   string // of the firmware's variables
		has, not []string
	}{
		"usual":        {has: []string{"-machine q35 -boot strict=on ", usual, `"driver":"virtio-net-pci"`}, not: []string{"i6300esb", "pflash", "usb-tablet", "-spice"}},
		"type":         {hardware: nodeapi.Hardware{MachineType: "pc-q35-6.2"}, has: []string{"-machine pc-q35-6.2 ", usual}},
		"boot menu":    {hardware: nodeapi.Hardware{BootMenu: true}, has: []string{"-boot strict=on,menu=on"}},
		"screen":       {hardware: nodeapi.Hardware{Video: "cirrus", VideoMB: 16}, has: []string{"-device cirrus-vga,vgamem_mb=16 "}},
		"odd memory":   {hardware: nodeapi.Hardware{Video: "qxl", VideoMB: 20}, has: []string{"-device qxl-vga,vgamem_mb=32 ", "-spice unix=on,addr=run/spice.sock,disable-ticketing=on ", "-vnc unix:"}},
		"bochs":        {hardware: nodeapi.Hardware{Video: "bochs", VideoMB: 64}, has: []string{"-device bochs-display,vgamem=64M "}},
		"virtio":       {hardware: nodeapi.Hardware{Video: "virtio", VideoMB: 64}, has: []string{"-device virtio-vga "}},
		"no screen":    {hardware: nodeapi.Hardware{Video: "none"}, not: []string{"VGA", "vga"}},
		"watchdog":     {hardware: nodeapi.Hardware{Watchdog: "reset"}, has: []string{"-device i6300esb -action watchdog=reset"}},
		"no RNG":       {hardware: nodeapi.Hardware{NoRNG: true}, not: []string{"virtio-rng"}},
		"slow RNG":     {hardware: nodeapi.Hardware{RNGBytes: 2048, RNGPeriod: 500}, has: []string{"virtio-rng-pci,rng=rng,max-bytes=2048,period=500"}},
		"RNG a second": {hardware: nodeapi.Hardware{RNGBytes: 2048}, has: []string{"max-bytes=2048,period=1000"}},
		"card":         {hardware: nodeapi.Hardware{NIC: "e1000e"}, has: []string{`"driver":"e1000e"`}, not: []string{"virtio-net-pci"}},
		"pointer":      {hardware: nodeapi.Hardware{Tablet: true}, has: []string{"-device usb-tablet,bus=pointer.0"}},
		"UEFI":         {format: "uefi", has: []string{"pflash0=firmware,pflash1=nvram", "OVMF_CODE_4M.fd", `"filename":"nvram.qcow2"`}, not: []string{"smm=on", `"id":"nvram"`}},
		"secure boot":  {format: "secure", has: []string{"-machine q35,smm=on,pflash0=firmware,pflash1=nvram", "OVMF_CODE_4M.ms.fd", "driver=cfi.pflash01,property=secure,value=on"}},
	} {
		m := virt.Machine{ID: "m", MemoryMB: 64, Hardware: test.hardware, NICs: []virt.NIC{{ID: "n"}}}
		if test.format != "" {
			m.Blanks = []virt.Blank{{Name: nodeapi.Variables, Format: test.format}}
		}
		err := checkMachine(m)
		if err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		args := strings.Join(arguments(m, settings{accel: emulation, tapFDs: []int{9}}), " ") + " "
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
	for _, h := range []nodeapi.Hardware{{Video: "vmvga"}, {NIC: "ne2k_pci,x"}, {DiskBus: "fdc"}, {CDROMBus: "scsi,x"}, {SCSI: "buslogic"}, {MachineType: "pc-i440fx"}, {Watchdog: "shout"}, {MachineType: "pc,dumpdtb=/x"}} {
		if checkMachine(virt.Machine{Hardware: h}) == nil {
			t.Errorf("%+v can be built, want an error", h)
		}
	}
}
