package compute

import (
	"cmp"
	"fmt"
	"slices"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Ephemeral and swap disks live and die with a server, beside its root disk. A
// flavor says how large they are together; a request may split the ephemeral one,
// give it another file system, or make them smaller. What the request leaves open
// follows the flavor, also when that is another one after a resize. They are in no
// image, and empty wherever the server is built anew: after a rebuild, an
// evacuation, or on the shelf.

// LocalDisk is an ephemeral or swap disk that was asked for with a server.
type LocalDisk struct {
	Swap   bool    `json:"swap,omitempty"`
	Size   int64   `json:"size,omitempty"`   // GiB, MiB of swap; 0: the flavor's
	Format string  `json:"format,omitempty"` // file system of an ephemeral one
	Tag    *string `json:"tag,omitempty"`
	Bus    string  `json:"bus,omitempty"` // "" is that of the server's disks
}

// mostLocal is how many disks of a server may live with it.
const mostLocal = 3

// defaultFormat is the file system of ephemeral disks.
const defaultFormat = "ext4"

var fileSystems = []string{"ext2", "ext3", "ext4", "xfs"}

// localDisk checks a disk that starts empty and lives with the server.
func localDisk(d BlockDevice) (LocalDisk, error) {
	out := LocalDisk{Swap: d.Format == "swap", Size: d.SizeGB, Tag: d.Tag, Bus: d.Bus}
	switch {
	case d.Type != "" && d.Type != "disk":
		return out, errs.BadRequestf("Block Device Mapping is Invalid: device type '%s' of a blank disk is not supported", d.Type)
	case d.BootIndex != nil && *d.BootIndex == 0: // nothing is on it
		return out, errBootSequence
	case out.Swap || d.Format == "":
		return out, nil
	case !slices.Contains(fileSystems, d.Format):
		return out, errs.BadRequestf("Block Device Mapping is Invalid: %s format is not supported", d.Format)
	}
	out.Format = d.Format
	return out, nil
}

// checkLocal tells whether a flavor has room for the disks.
func checkLocal(server Server) error {
	flavor := server.Flavor.V
	ephemeral, swaps := int64(0), 0
	for _, d := range server.LocalDisks.V {
		switch {
		case d.Swap && d.Size > flavor.Swap:
			return errs.BadRequestf("Swap drive requested is larger than instance type allows.")
		case d.Swap:
			swaps++
		case d.Size == 0:
			ephemeral += flavor.Ephemeral
		default:
			ephemeral += d.Size
		}
	}
	local := len(server.blanks())
	if server.Image != "" {
		local++
	}
	switch {
	case ephemeral > flavor.Ephemeral:
		return errs.BadRequestf("Ephemeral disks requested are larger than the instance type allows. " +
			"If no size is given in one block device mapping, flavor ephemeral size will be used.")
	case swaps > 1:
		return errs.BadRequestf("Block Device Mapping is Invalid: More than one swap drive requested.")
	case local > mostLocal:
		return errs.BadRequestf("Block Device Mapping is Invalid: You specified more local devices than the limit allows")
	}
	return nil
}

// blanks are the ephemeral and swap disks that the server has.
func (server Server) blanks() []nodeapi.Blank {
	flavor := server.Flavor.V
	asked := server.LocalDisks.V
	if !slices.ContainsFunc(asked, func(d LocalDisk) bool { return !d.Swap }) {
		asked = append([]LocalDisk{{}}, asked...)
	}
	if !slices.ContainsFunc(asked, func(d LocalDisk) bool { return d.Swap }) {
		asked = append(slices.Clone(asked), LocalDisk{Swap: true})
	}
	var ephemeral, swap []nodeapi.Blank
	for _, d := range asked {
		bus := cmp.Or(d.Bus, server.Buses.V.Disk)
		if d.Swap {
			size := flavor.Swap
			if d.Size > 0 {
				size = min(size, d.Size)
			}
			if size > 0 {
				swap = []nodeapi.Blank{{Name: swapName, SizeMB: int(size), Format: "swap", Rebuilds: server.Rebuilds, Bus: bus}}
			}
			continue
		}
		size, format := d.Size, d.Format
		if size == 0 {
			size = flavor.Ephemeral
		}
		if format == "" {
			format = defaultFormat
		}
		if size > 0 {
			name := fmt.Sprintf("ephemeral%d", len(ephemeral))
			ephemeral = append(ephemeral, nodeapi.Blank{Name: name, SizeMB: int(size) << 10, Format: format, Rebuilds: server.Rebuilds, Bus: bus})
		}
	}
	return append(ephemeral, swap...)
}

const swapName = "swap"

// tagOf is the tag of one of the server's blank disks.
func (server Server) tagOf(name string) *string {
	n := 0
	for _, d := range server.LocalDisks.V {
		of := swapName
		if !d.Swap {
			of = fmt.Sprintf("ephemeral%d", n)
			n++
		}
		if of == name {
			return d.Tag
		}
	}
	return nil
}

// blankDevices is what the API calls the server's blank disks, in their order: the
// first names that no volume has.
func (server Server) blankDevices(volumes []Attachment) []string {
	taken := map[string]bool{server.RootDevice: true}
	for _, a := range volumes {
		taken[a.Device] = true
	}
	var names []string
	for _, b := range server.blanks() {
		name := freeDevice(taken, b.Bus)
		taken[name] = true
		names = append(names, name)
	}
	return names
}
