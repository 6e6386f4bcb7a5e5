package qemu

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strconv"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// The buses that disks may be on, in the words of image properties. A virtio disk is a
// PCI device and sits in a port, as cards do.
const (
	busVirtio = "virtio"
	busSCSI   = "scsi"
	busSATA   = "sata"
	busIDE    = "ide"
	busUSB    = "usb"
)

// place is where a device sits that has a name: in a port of PCI, or as a unit of a
// bus. It is written as 3, and as scsi:3.
type place struct {
	bus  string // "" for a port
	unit int
}

// MarshalText implements encoding.TextMarshaler.
func (p place) MarshalText() ([]byte, error) {
	if p.bus == "" {
		return strconv.AppendInt(nil, int64(p.unit), 10), nil
	}
	return fmt.Appendf(nil, "%s:%d", p.bus, p.unit), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *place) UnmarshalText(text []byte) error {
	bus, unit, named := strings.Cut(string(text), ":")
	if !named {
		bus, unit = "", bus
	}
	most := mostPorts
	if named {
		most = units[bus]
	}
	n, err := strconv.Atoi(unit)
	if err != nil || n < 0 || n >= most {
		return fmt.Errorf("%q is no place of a device", text)
	}
	*p = place{bus, n}
	return nil
}

// units is how many disks a bus has at most: the machine's own controller of IDE, the
// one of SCSI and of USB that we give it, and as many of SATA as that takes.
var units = map[string]int{busSCSI: 255, busSATA: 24, busIDE: 4, busUSB: 15}

// mostPorts is how many ports of PCI a machine has room for.
const mostPorts = 128

// sataPorts is how many disks a controller of SATA has.
const sataPorts = 6

// A machine of type pc has one bus of PCI, whose last slots are ports. The first ones
// are those of devices that stay.
const (
	pcFirst = 0x0c
	pcPorts = 0x20 - pcFirst
)

// isPC tells whether machines of the type have a bus of PCI and controllers of IDE,
// where those of type q35 have ports of PCI Express and a controller of SATA.
func isPC(machineType string) bool {
	return machineType == "pc" || strings.HasPrefix(machineType, "pc-i440fx-")
}

// on is the bus on which a disk of a machine is, "" where it sits in a port. What
// says IDE on a machine without gets the nearest to it.
func on(bus string, pc bool) string {
	switch {
	case bus == busVirtio:
		return ""
	case bus == busIDE && !pc:
		return busSATA
	}
	return bus
}

// at puts a device there, in QEMU's words.
func (p place) at(o options, pc bool) {
	switch {
	case p.bus == busSCSI:
		o["bus"], o["scsi-id"] = "scsi.0", p.unit
	case p.bus == busSATA:
		o["bus"] = fmt.Sprintf("%s.%d", sataName(p.unit/sataPorts, pc), p.unit%sataPorts)
	case p.bus == busIDE:
		o["bus"], o["unit"] = fmt.Sprintf("ide.%d", p.unit/2), p.unit%2
	case p.bus == busUSB:
		o["bus"], o["port"] = "usb.0", strconv.Itoa(p.unit+1)
	case pc:
		o["bus"], o["addr"] = "pci.0", fmt.Sprintf("0x%x", pcFirst+p.unit)
	default:
		o["bus"] = portName(p.unit)
	}
}

// address is where the guest sees on PCI what sits there, "" for what sits elsewhere.
// The ports of PCI Express are the only bridges, so that they are numbered in their order.
func (p place) address(pc bool) string {
	switch {
	case p.bus != "":
		return ""
	case pc:
		return fmt.Sprintf("0000:00:%02x.0", pcFirst+p.unit)
	}
	return fmt.Sprintf("0000:%02x:00.0", p.unit+1)
}

// sataName is what QEMU calls a controller of SATA. Machines of type q35 have one by
// themselves, by the name of what came before.
func sataName(n int, pc bool) string {
	if n == 0 && !pc {
		return "ide"
	}
	return fmt.Sprintf("sata%d", n)
}

// disk makes the device one of the kind that disks have there.
func (p place) disk(o options, cdrom bool) {
	kind := "hd"
	if cdrom {
		kind = "cd"
	}
	switch p.bus {
	case "":
		o["driver"] = "virtio-blk-pci"
	case busSCSI:
		o["driver"] = "scsi-" + kind
	case busUSB:
		o["driver"], o["removable"] = "usb-storage", cdrom
	default:
		o["driver"] = "ide-" + kind
	}
}

// sites gives out the places of a machine that starts.
type sites struct {
	pc    bool
	kept  map[place]string // where devices have to sit
	taken map[place]bool
}

// find returns the place that the device has had, or else the next one of the bus.
func (s *sites) find(name, bus string) place {
	at := place{bus: on(bus, s.pc)}
	for p, has := range s.kept {
		if has == name {
			at = p
		}
	}
	for s.taken[at] || s.kept[at] != "" && s.kept[at] != name {
		at.unit++
	}
	s.taken[at] = true
	return at
}

// scsiModels are QEMU's controllers for models of SCSI controllers, and how many disks
// each has.
var scsiModels = map[string]struct {
	device string
	room   int
}{
	"virtio-scsi": {"virtio-scsi-pci", 255}, "lsilogic": {"lsi53c895a", 7}, "lsisas1068": {"mptsas1068", 8},
	"lsisas1078": {"megasas", 64}, "vmpvscsi": {"pvscsi", 64},
}

// scsiModel is the model of a machine's SCSI controller. Disks on SCSI have lsilogic
// unless the image says otherwise, as with libvirt; drives for CDs alone have virtio-scsi.
func scsiModel(h nodeapi.Hardware) string {
	switch {
	case h.SCSI != "":
		return h.SCSI
	case h.DiskBus == busSCSI:
		return "lsilogic"
	}
	return "virtio-scsi"
}

// controllerArgs are the controllers of the places that are taken, and of the bus on
// which disks come while the guest runs.
func (s *sites) controllerArgs(h nodeapi.Hardware) []string {
	last := map[string]int{}
	for p := range s.taken {
		last[p.bus] = max(last[p.bus], p.unit+1)
	}
	for p := range s.kept {
		last[p.bus] = max(last[p.bus], p.unit+1)
	}
	var args []string
	if last[busSCSI] > 0 || h.DiskBus == busSCSI {
		args = append(args, "-device", scsiModels[scsiModel(h)].device+",id=scsi")
	}
	if last[busUSB] > 0 || h.DiskBus == busUSB {
		args = append(args, "-device", "qemu-xhci,id=usb,p2=15,p3=15")
	}
	for n := range (last[busSATA] + sataPorts - 1) / sataPorts {
		if name := sataName(n, s.pc); name != "ide" {
			args = append(args, "-device", "ich9-ahci,id="+name)
		}
	}
	return args
}

// checkBuses refuses disks where no machine has room for them.
func checkBuses(m virt.Machine) error {
	pc, disks, room := isPC(m.Hardware.MachineType), map[string]int{}, maps.Clone(units)
	model, known := scsiModels[scsiModel(m.Hardware)]
	if !known {
		return errs.BadRequestf("The SCSI model %q is not supported.", m.Hardware.SCSI)
	}
	room[busSCSI] = model.room
	buses := []string{m.Hardware.CDROMBus, m.Hardware.DiskBus}
	for _, name := range diskOrder(m) {
		bus, _ := busOf(m, name)
		buses = append(buses, bus)
		disks[on(bus, pc)]++
	}
	for _, bus := range buses {
		if bus != "" && bus != busVirtio && units[bus] == 0 {
			return errs.BadRequestf("Requested hardware '%s' is not supported by the 'qemu' virt driver", bus)
		}
	}
	for bus, n := range disks {
		if bus != "" && n > room[bus] {
			return errs.BadRequestf("No room for %d disks on bus '%s': there is for %d.", n, bus, room[bus])
		}
	}
	return nil
}

// vacancy returns the lowest free place for a device that comes while the guest runs.
func (h *Host) vacancy(g *guest, bus string) (place, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bus = on(bus, g.pc)
	if !nodeapi.HotPlugs(bus) {
		return place{}, errs.Conflictf("disk bus '%s' cannot be hotplugged", bus)
	}
	if bus != "" {
		for unit := range units[bus] {
			if p := (place{bus, unit}); g.ports[p] == "" {
				return p, nil
			}
		}
		return place{}, errs.Conflictf("the guest has no room for another disk on bus '%s'", bus)
	}
	free := place{unit: -1}
	for p, device := range g.ports {
		if p.bus == "" && device == "" && (free.unit < 0 || p.unit < free.unit) {
			free = p
		}
	}
	if free.unit < 0 {
		return place{}, errs.Conflictf("the guest has no free slot; it gets more when it is stopped and started")
	}
	return free, nil
}

// bussed is how QEMU names the buses that places are on.
var bussed = regexp.MustCompile(`^(port|pci|scsi|sata|ide|usb)(\d*)\.?(\d*)$`)

// findPlace asks a guest where a device sits. A device that sits elsewhere is not ours.
func findPlace(ctx context.Context, client *qmp.Client, device string, pc bool) (place, bool, error) {
	ask := func(property string, value any) error {
		return client.Execute(ctx, "qom-get", options{"path": peripheral + device, "property": property}, value)
	}
	var bus string
	err := ask("parent_bus", &bus)
	if err != nil {
		return place{}, false, err
	}
	parts := bussed.FindStringSubmatch(path.Base(bus))
	if parts == nil {
		return place{}, false, nil
	}
	controller, _ := strconv.Atoi(parts[2]) // digits, or nothing for 0
	line, _ := strconv.Atoi(parts[3])
	p, text := place{}, ""
	switch {
	case parts[1] == "port":
		p = place{unit: controller}
	case parts[1] == "pci":
		var slot int // and function
		err = ask("addr", &slot)
		p = place{unit: slot/8 - pcFirst}
	case parts[1] == "scsi":
		p.bus = busSCSI
		err = ask("scsi-id", &p.unit)
	case parts[1] == "usb":
		err = ask("port", &text)
		n, _ := strconv.Atoi(text)
		p = place{busUSB, n - 1}
	case parts[1] == "ide" && pc:
		p.bus = busIDE
		err = ask("unit", &p.unit)
		p.unit += 2 * line
	default:
		p = place{busSATA, controller*sataPorts + line}
	}
	return p, p.unit >= 0, err
}

// portsOf is how many ports of PCI there are among places.
func portsOf(ports map[place]string) int {
	n := 0
	for p := range ports {
		if p.bus == "" {
			n = max(n, p.unit+1)
		}
	}
	return n
}
