package compute

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"nacre/internal/compute/scheduler"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Disks are on the buses that the image of a server or the request for it says, and
// stay there: a server keeps what was said when it was made, also when images have come
// to say something else, until it is rebuilt.

const (
	busVirtio = "virtio"
	busIDE    = "ide"
)

// buses are those that disks may be on, cdromBuses those of drives for CDs.
var (
	buses      = []string{busVirtio, "scsi", "sata", busIDE, "usb"}
	cdromBuses = buses[1:]
)

// Buses are those of the disks that live with a server, "" is virtio. Its volumes have
// their own.
type Buses struct {
	Disk  string `json:"disk,omitempty"`  // of what is not said to be elsewhere, now and later
	Root  string `json:"root,omitempty"`  // of the root disk, if the request says so
	CDROM bool   `json:"cdrom,omitempty"` // the request says that the root disk is a CD
	Plain bool   `json:"plain,omitempty"` // the request says that it is a disk, or on which bus
	ISO   string `json:"iso,omitempty"`   // of the root disk whose image is that of a CD, if the request says nothing
}

// root is the bus of the server's first disk.
func (b Buses) root() string { return cmp.Or(b.Root, b.ISO, b.Disk) }

// cd tells whether the root disk is a CD, which is as large as its image.
func (b Buses) cd() bool { return b.CDROM || b.ISO != "" }

// mostDisks is how many names of disks a bus has.
func mostDisks(bus string) int {
	if bus == busIDE {
		return 4
	}
	return 26
}

// freeDevice is the first name on the bus that is not taken, "" when all are.
func freeDevice(taken map[string]bool, bus string) string {
	for i := range mostDisks(bus) {
		name := "/dev/" + nodeapi.DiskPrefix(bus) + string(rune('a'+i))
		if !taken[name] {
			return name
		}
	}
	return ""
}

// errTooMany tells that all names of a bus are taken.
func errTooMany(bus string) error {
	return errs.Forbiddenf("The maximum allowed number of disk devices (%d) to attach to a single instance has been exceeded.", mostDisks(bus))
}

// deviceNames gives each disk the name that the API calls it by, on its bus.
// The server's blank disks come after the one that it boots from.
func deviceNames(disks []BlockDevice, server Server) ([]string, error) {
	taken := map[string]bool{server.RootDevice: true}
	for _, name := range server.blankDevices(nil) {
		taken[name] = true
	}
	// A config drive is the last on its bus.
	if server.ConfigDrive && server.ImageProperties.V["hw_cdrom_bus"] == busIDE {
		taken["/dev/hdd"] = true
	}
	names := make([]string, len(disks))
	for i, d := range disks {
		if d.BootIndex != nil && *d.BootIndex == 0 {
			names[i] = server.RootDevice
		}
	}
	for i, d := range disks {
		if names[i] == "" {
			names[i] = freeDevice(taken, d.Bus)
			taken[names[i]] = true
		}
		if names[i] == "" {
			return nil, errTooMany(d.Bus)
		}
	}
	return names, nil
}

// chooseBuses says on which bus each disk of a new server is, and gives the server a
// machine that has them. The disk that it boots from is a CD if its image is that of one.
func (server *Server) chooseBuses(root *BlockDevice, volumes []BlockDevice, iso bool) error {
	properties := server.ImageProperties.V
	b := &server.Buses.V
	*b = Buses{}
	if root != nil {
		b.CDROM = root.Type == "cdrom"
		b.Plain = !b.CDROM && (root.Type != "" || root.Bus != "")
	}
	server.imageBuses(iso)
	choose := func(d *BlockDevice) error {
		switch {
		case d.Type == "lun" || d.Type == "floppy":
			return errs.BadRequestf("Block Device Mapping is Invalid: device type '%s' is not supported", d.Type)
		case d.Type != "cdrom":
			d.Bus = cmp.Or(d.Bus, b.Disk)
		case d.Bus == busVirtio:
			return errs.BadRequestf("Block Device Mapping is Invalid: a cdrom cannot be on bus '%s'", d.Bus)
		default:
			d.Bus = cmp.Or(d.Bus, cdromBus(properties))
		}
		if d.Bus == busVirtio && b.Disk == "" {
			d.Bus = ""
		}
		return nil
	}
	for i := range volumes {
		err := choose(&volumes[i])
		if err != nil {
			return err
		}
	}
	used := []string{b.Disk, cdromBus(properties)}
	if root != nil {
		first := *root
		err := choose(&first)
		if err != nil {
			return err
		}
		if first.Bus != b.Disk {
			b.Root = first.Bus
		}
	}
	for _, d := range server.LocalDisks.V {
		used = append(used, d.Bus)
	}
	for _, d := range volumes {
		used = append(used, d.Bus)
	}
	server.RootDevice = freeDevice(nil, b.root())
	return server.chooseMachine(append(used, b.root()))
}

// imageBuses takes from the image what the request has left to it.
func (server *Server) imageBuses(iso bool) {
	b, properties := &server.Buses.V, server.ImageProperties.V
	b.Disk, b.ISO = "", ""
	if bus := properties["hw_disk_bus"]; bus != busVirtio {
		b.Disk = bus
	}
	if iso && server.Image != "" && b.Root == "" && !b.CDROM && !b.Plain {
		b.ISO = cdromBus(properties)
	}
}

// cdromBus is the bus of drives for CDs.
func cdromBus(properties map[string]string) string {
	return cmp.Or(properties["hw_cdrom_bus"], "scsi")
}

// chooseMachine keeps the type of machine that has the buses, as if the image had
// said it: one with IDE where that is asked for, and the usual one otherwise.
func (server *Server) chooseMachine(used []string) error {
	kind := server.ImageProperties.V["hw_machine_type"]
	switch {
	case !slices.Contains(used, busIDE):
		return nil
	case strings.Contains(kind, "q35"):
		return errNoIDE(kind)
	case kind == "":
		properties := maps.Clone(words(server.ImageProperties.V))
		properties["hw_machine_type"] = "pc"
		server.ImageProperties.V = properties
	}
	if server.firmware() == firmwareSecure {
		return errs.BadRequestf("Secure boot is not supported by machine type %s", server.ImageProperties.V["hw_machine_type"])
	}
	return nil
}

func errNoIDE(machine string) error {
	return errs.BadRequestf("Invalid image metadata. Error: IDE controllers are unsupported for machine type %s", machine)
}

// rebus says on which buses the disks of a server are that is rebuilt from an image
// whose properties it has already. Its volumes stay where they are.
func (server *Server) rebus(volumes []Attachment, iso bool) error {
	b := &server.Buses.V
	server.imageBuses(iso)
	used := []string{b.root(), b.Disk, cdromBus(server.ImageProperties.V)}
	for _, d := range server.LocalDisks.V {
		used = append(used, d.Bus)
	}
	if server.Image != "" {
		server.RootDevice = freeDevice(nil, b.root())
	}
	for _, a := range volumes {
		used = append(used, a.Bus)
	}
	return server.chooseMachine(used)
}

// plugs refuses to give a server that runs a disk on a bus without hot-plugging, or to
// take one from it.
func (server Server) plugs(action, bus string) error {
	runs := server.Running && slices.Contains([]VMState{Active, PausedState, Resized}, server.VMState)
	if runs && !nodeapi.HotPlugs(bus) {
		return errs.Conflictf("Cannot '%s' instance %s while it is in vm_state %s: disk bus '%s' cannot be hotplugged", action, server.ID, server.VMState, bus)
	}
	return nil
}

// letsGo refuses to take a device from a guest that stands still: only one that runs can
// let it go, and all else about the server would wait for that.
func (server Server) letsGo(action string) error {
	if server.VMState == PausedState {
		return errs.Conflictf("Cannot '%s' instance %s while it is in vm_state %s: its guest has to run to let a device go", action, server.ID, server.VMState)
	}
	return nil
}

// needHardware asks for a host that has the firmware, the buses and the cards.
func needHardware(server Server, r *scheduler.Request) {
	needFirmware(server, r)
	image := server.ImageProperties.V
	used := map[string]bool{server.Buses.V.Disk: true, server.Buses.V.root(): true, image["hw_cdrom_bus"]: true}
	for _, d := range server.LocalDisks.V {
		used[d.Bus] = true
	}
	for _, bus := range cdromBuses {
		if used[bus] {
			r.Required = append(r.Required, "COMPUTE_STORAGE_BUS_"+strings.ToUpper(bus))
		}
	}
	if model := image["hw_vif_model"]; model != "" && model != busVirtio {
		r.Required = append(r.Required, "COMPUTE_NET_VIF_MODEL_"+strings.ToUpper(model))
	}
}
