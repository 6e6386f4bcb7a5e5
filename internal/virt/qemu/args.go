package qemu

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// Devices that come and go carry their volume's or port's id in their name.
const (
	diskPrefix = "disk-"
	nicPrefix  = "nic-"
)

// sparePorts is how many devices a running guest can get at least.
const sparePorts = 8

// settings are what the command line needs besides the definition.
type settings struct {
	accel          accelerator
	hasConfigDrive bool
	consoleFD      int
	tapFDs         []int            // one per card
	kept           map[place]string // where devices have to sit; nil: as they come
}

// options is a part of the command line or a QMP argument.
type options map[string]any

func (o options) String() string {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return string(data)
}

// arguments writes the command line. It starts in the machine's folder, and
// paths that QEMU makes are relative to that, since a socket's path has little
// room. Options that carry foreign text are JSON, where a comma means nothing.
func arguments(m virt.Machine, s settings) []string {
	args := []string{
		"-name", "guest=" + processName(m),
		"-nodefaults", "-no-user-config", "-no-shutdown",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-pidfile", "run/pid",
		"-rtc", "base=utc",
		"-display", "none",
		"-vnc", "unix:run/vnc.sock",
		"-qmp", "unix:run/qmp.sock,server=on,wait=off",
		"-add-fd", fmt.Sprintf("set=1,fd=%d", s.consoleFD),
		"-chardev", "socket,id=serial,path=run/serial.sock,server=on,wait=off,logfile=/dev/fdset/1,logappend=on",
		"-serial", "chardev:serial",
		"-device", "virtio-balloon-pci,id=balloon,free-page-reporting=on",
		// Guests recognise by these names that there is metadata for them.
		"-smbios", "type=1,manufacturer=Nacre,product=OpenStack Nova,serial=" + m.ID + ",family=Virtual Machine",
	}
	if m.Hardware.SPICE() {
		args = append(args, "-spice", "unix=on,addr=run/spice.sock,disable-ticketing=on") // the folder is the guest's alone
	}
	args = append(args, machineArgs(m)...)
	args = append(args, extraArgs(m.Hardware)...)
	if isUUID.MatchString(m.ID) {
		args = append(args, "-uuid", m.ID)
	}
	args = append(args, topologyArgs(m, s.accel)...)
	args = append(args, s.accel.args()...)
	if m.Agent {
		args = append(args,
			"-chardev", "socket,id=agent,path=run/agent.sock,server=on,wait=off",
			"-device", "virtio-serial-pci,id=agents",
			"-device", "virtserialport,bus=agents.0,chardev=agent,name=org.qemu.guest_agent.0",
		)
	}
	ports := portsFor(len(m.Blanks) + len(m.Disks) + len(m.NICs) + 2)
	if s.kept != nil {
		ports = portsOf(s.kept)
		args = append(args, "-incoming", "defer")
	}
	pc := isPC(m.Hardware.MachineType)
	for i := range ports {
		if !pc {
			args = append(args, "-device", rootPort(i, m.Hardware.NIC).String())
		}
	}
	devices, controllers := deviceArgs(m, s, pc)
	return append(append(args, controllers...), devices...)
}

// deviceArgs are the devices that have places, and the controllers that these need.
func deviceArgs(m virt.Machine, s settings, pc bool) (args, controllers []string) {
	sites := &sites{pc: pc, kept: s.kept, taken: map[place]bool{}}
	boot := 1
	disk := func(node, o options, name, bus string, cdrom bool) {
		at := sites.find(name, bus)
		at.at(o, pc)
		at.disk(o, cdrom)
		o["id"] = name
		args = append(args, "-blockdev", node.String(), "-device", o.String())
	}
	// The first unit of SCSI is its, unless another bus is asked for. A guest of a host
	// that did not name its device yet has it there in any case.
	if s.hasConfigDrive {
		bus := cmp.Or(m.Hardware.CDROMBus, busSCSI)
		if s.kept != nil {
			bus = busSCSI
		}
		disk(options{"driver": "raw", "node-name": configName, "read-only": true, "file": options{"driver": "file", "filename": "config.iso"}},
			options{"drive": configName}, configName, bus, true)
	}
	rescue := func() {
		disk(rescueNode(*m.Rescue), options{"drive": rescueName, "bootindex": 1}, rescueName, rescueBus(*m.Rescue), m.Rescue.Device == "cdrom")
	}
	if m.Rescue != nil {
		boot++ // its disk is the first in any case
		if m.Rescue.Device == "" {
			rescue()
		}
	}
	for _, name := range diskOrder(m) {
		bus, cdrom := busOf(m, name)
		node, o := localNode(name), options{"drive": name}
		for _, d := range m.Disks {
			if name == diskPrefix+d.ID {
				node, o = diskNode(d), diskDevice(d)
			}
		}
		if cdrom {
			node["read-only"] = true
		}
		if !blankName.MatchString(name) { // nobody boots from an empty disk
			o["bootindex"] = boot
			boot++
		}
		disk(node, o, name, bus, cdrom)
	}
	for i, n := range m.NICs {
		o := nicDevice(n, m.Hardware.NIC)
		sites.find(nicPrefix+n.ID, busVirtio).at(o, pc)
		args = append(args, "-netdev", fmt.Sprintf("tap,id=%s%s,fd=%d", nicPrefix, n.ID, s.tapFDs[i]), "-device", o.String())
	}
	if m.Rescue != nil && m.Rescue.Device != "" {
		rescue()
	}
	return args, sites.controllerArgs(m.Hardware)
}

// configName names the node and the device of a config drive.
const configName = "config"

// busOf is the bus of a machine's disk, and whether it is a CD.
func busOf(m virt.Machine, name string) (bus string, cdrom bool) {
	if name == nodeapi.RootDisk {
		return cmp.Or(m.Root.Bus, busVirtio), m.Root.CDROM
	}
	for _, b := range m.Blanks {
		if b.Name == name {
			return cmp.Or(b.Bus, busVirtio), false
		}
	}
	for _, d := range m.Disks {
		if diskPrefix+d.ID == name {
			return cmp.Or(d.Bus, busVirtio), d.CDROM
		}
	}
	return busVirtio, false
}

var (
	isUUID   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	unusable = regexp.MustCompile(`[^0-9A-Za-z._-]+`)
)

// processName is what the process list shows: the name as far as it is plain,
// and the id.
func processName(m virt.Machine) string {
	name := strings.Trim(unusable.ReplaceAllString(m.Name, "-"), "-")
	if len(name) > 40 {
		name = name[:40]
	}
	if name == "" {
		return m.ID
	}
	return name + "." + m.ID
}

// portsFor is how many ports a machine has that starts with so many devices:
// the spare ones on top, in whole slots of eight.
func portsFor(devices int) int { return (devices + sparePorts + 7) / 8 * 8 }

func portName(i int) string { return fmt.Sprintf("port%d", i) }

// rootPort is one place for a device that may come and go. Eight share a slot
// of the root bus.
func rootPort(i int, card string) options {
	reserve := 0 // there are not enough I/O ports for so many, and virtio needs none
	if i < ioPorts && slices.Contains([]string{"e1000", "rtl8139", "ne2k_pci", "pcnet"}, card) {
		reserve = 4096
	}
	return options{
		"driver": "pcie-root-port", "id": portName(i), "bus": "pcie.0",
		"addr": fmt.Sprintf("0x%x.0x%x", 0x10+i/8, i%8), "multifunction": i%8 == 0,
		"chassis": i + 1, "slot": i + 1,
		"io-reserve": reserve,
	}
}

// ioPorts is for how many cards there are I/O ports, of which each port of PCI takes
// a part as large as a bridge can have.
const ioPorts = 6

// diskOrder is the names of a machine's disks as the guest has them: the first one,
// the blank ones, the others.
func diskOrder(m virt.Machine) []string {
	var first, blanks, others []string
	if m.Root != nil {
		first = []string{"root"}
	}
	for _, b := range m.Blanks {
		if b.Name != nodeapi.Variables {
			blanks = append(blanks, b.Name)
		}
	}
	for _, d := range m.Disks {
		others = append(others, diskPrefix+d.ID)
	}
	if m.Root == nil && len(others) > 0 {
		first, others = others[:1], others[1:]
	}
	return slices.Concat(first, blanks, others)
}

// localNode is a disk that lives with the machine.
func localNode(name string) options {
	return options{
		"driver": "qcow2", "node-name": name, "discard": "unmap",
		"file": options{"driver": "file", "filename": name + ".qcow2", "discard": "unmap"},
	}
}

// diskNodeName names a volume's block node, within the 31 characters that QEMU
// allows.
func diskNodeName(id string) string {
	name := "v" + strings.ReplaceAll(id, "-", "")
	return name[:min(len(name), 31)]
}

func diskNode(d virt.Disk) options {
	return options{
		"driver": "nbd", "node-name": diskNodeName(d.ID), "export": d.Export, "discard": "unmap",
		"server": options{"type": "unix", "path": filepath.Clean(d.Socket)},
		// A volume that grows, and one of another host whose node starts anew, is
		// away for a moment.
		"reconnect-delay": 30, "read-only": d.ReadOnly || d.CDROM,
	}
}

func diskDevice(d virt.Disk) options {
	return options{
		"id": diskPrefix + d.ID, "drive": diskNodeName(d.ID),
		"serial": d.ID[:min(len(d.ID), 20)],
	}
}

// nicDevice leaves all offloads off: the userspace datapath of OVS hands on
// packets with checksums that nobody has filled in.
func nicDevice(n virt.NIC, model string) options {
	if driver := cards[model]; driver != "virtio-net-pci" {
		return options{"driver": driver, "id": nicPrefix + n.ID, "netdev": nicPrefix + n.ID, "mac": n.MAC, "romfile": ""}
	}
	o := options{
		"driver": "virtio-net-pci", "id": nicPrefix + n.ID, "netdev": nicPrefix + n.ID, "mac": n.MAC, "romfile": "",
		"csum": false, "gso": false,
		"host_tso4": false, "host_tso6": false, "host_ecn": false, "host_ufo": false,
		"guest_csum": false, "guest_tso4": false, "guest_tso6": false, "guest_ecn": false, "guest_ufo": false,
		"mrg_rxbuf": false,
	}
	if n.MTU > 0 {
		o["host_mtu"] = n.MTU
	}
	return o
}
