package api

import (
	"regexp"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

type diskRequest struct {
	BootIndex   *bootIndex `json:"boot_index"`
	Source      string     `json:"source_type" check:"enum=volume|image|snapshot|blank"`
	Destination string     `json:"destination_type" check:"enum=local|volume"`
	UUID        string     `json:"uuid" check:"pattern=hostname,min=1,max=255"`
	Size        *count     `json:"volume_size" check:"max=2147483647,notnull"`
	Type        *string    `json:"volume_type" since:"2.67" check:"max=255"`
	Device      string     `json:"device_name" check:"min=1,max=255,pattern=disk"`
	Delete      api.Bool   `json:"delete_on_termination"`
	Tag         *string    `json:"tag" since:"2.32" check:"min=1,max=60,pattern=tag,notnull"`
	Format      string     `json:"guest_format" check:"max=255"`
	Bus         string     `json:"disk_bus" check:"max=255"`
	DeviceType  string     `json:"device_type" check:"max=255"`
	NoDevice    given      `json:"no_device"`

	// Known to Nova, and overruled there by the source and its id.
	Connection string `json:"connection_info" check:"max=16777215"`
	Image      string `json:"image_id" check:"pattern=uuid"`
	Snapshot   string `json:"snapshot_id" check:"pattern=uuid"`
	Volume     string `json:"volume_id" check:"pattern=uuid"`
	Virtual    string `json:"virtual_name" check:"max=255"`
}

// oldDiskRequest is a disk as EC2 describes it: a volume, what is made from a
// snapshot, or by a virtual name an empty one.
type oldDiskRequest struct {
	Device     string   `json:"device_name" check:"min=1,max=255,pattern=disk"`
	Volume     string   `json:"volume_id" check:"pattern=uuid"`
	Snapshot   string   `json:"snapshot_id" check:"pattern=uuid"`
	Virtual    string   `json:"virtual_name" check:"max=255"`
	Size       *count   `json:"volume_size" check:"max=2147483647,notnull"`
	Delete     api.Bool `json:"delete_on_termination"`
	NoDevice   given    `json:"no_device"`
	Connection string   `json:"connection_info" check:"max=16777215"`
}

// bootIndex is a number, perhaps sent as text; null and negative don't boot.
type bootIndex int

// JSONSchema implements api.Schemer.
func (bootIndex) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^-?[0-9]+$"}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *bootIndex) UnmarshalJSON(b []byte) error { return (*integer)(n).UnmarshalJSON(b) }

// given is any value at all, which is true as in Python: null, false, nought and what
// is empty are not.
type given bool

// JSONSchema implements api.Schemer.
func (given) JSONSchema() map[string]any { return map[string]any{} }

// UnmarshalJSON implements json.Unmarshaler.
func (g *given) UnmarshalJSON(b []byte) error {
	*g = given(!slices.Contains([]string{"null", "false", "0", `""`, "[]", "{}"}, string(b)))
	return nil
}

func (in createRequest) disks(c *api.Call, out *compute.NewServer) error {
	if len(in.Server.Disks) > 0 && len(in.Server.OldDisks) > 0 {
		return errs.BadRequestf("Using different block_device_mapping syntaxes is not allowed in the same request.")
	}
	for _, d := range in.Server.Disks {
		if d.Tag != nil && c.Version > api.V(2, 32) && c.Version < api.V(2, 42) {
			return errs.BadRequestf("Invalid input for field/attribute 0. Value: %s. Additional properties are not allowed ('tag' was unexpected)", *d.Tag)
		}
		err := in.checkDisk(d)
		if err != nil {
			return err
		}
		out.Disks = append(out.Disks, d.disk())
	}
	return in.oldDisks(out)
}

// checkDisk refuses what no server can have.
func (in createRequest) checkDisk(d diskRequest) error {
	boots := d.BootIndex != nil && *d.BootIndex == 0
	what := ""
	switch {
	case bool(d.NoDevice):
		return nil
	case d.Source == "":
		what = "Some required fields are missing"
	case d.Source == "blank" && d.UUID != "":
		what = "Invalid device UUID."
	case d.Source != "blank" && d.UUID == "":
		what = "Missing device UUID."
	case d.Source == "image" && d.destination() == "local" && (in.Server.Image == "" || !boots):
		what = "Mapping image to local is not supported."
	case d.Type != nil && d.Destination == "local":
		what = "Specifying a volume_type with destination_type=local is not supported."
	case d.Type != nil && d.Source == "volume":
		what = "Specifying volume type to existing volume is not supported."
	case in.Server.Image != "" && d.Destination == "volume" && isRoot(d.Device):
		return errs.BadRequestf("The volume cannot be assigned the same device name as the root device %s", rootName)
	default:
		return nil
	}
	return errs.BadRequestf("Block Device Mapping is Invalid: %s", what)
}

// disk is what compute takes.
func (d diskRequest) disk() compute.BlockDevice {
	if d.NoDevice {
		return compute.BlockDevice{Absent: true}
	}
	out := compute.BlockDevice{
		Source: d.Source, Destination: d.destination(), ID: d.UUID, DeleteOnTermination: bool(d.Delete), Tag: d.Tag,
		Device: d.Device, Format: d.Format, Bus: d.Bus, Type: d.DeviceType,
	}
	if d.BootIndex != nil && *d.BootIndex >= 0 {
		n := int(*d.BootIndex)
		out.BootIndex = &n
	}
	if d.Size != nil {
		out.SizeGB = int64(*d.Size)
	}
	if d.Type != nil {
		out.VolumeType = *d.Type
	}
	return out
}

// destination is where the disk is kept: what is or was a volume stays one, the rest is
// local where nothing else is said.
func (d diskRequest) destination() string {
	switch {
	case d.Destination != "":
		return d.Destination
	case d.Source == "volume" || d.Source == "snapshot":
		return "volume"
	}
	return "local"
}

// rootName is what the root disk is called where requests speak of it.
const rootName = "vda"

func isRoot(device string) bool { return strings.TrimPrefix(device, "/dev/") == rootName }

var ephemeralName = regexp.MustCompile(`^ephemeral(0|[1-9][0-9]*)$`)

// oldDisks adds the disks of the older form, in which the disk is booted from that is
// called as the root disk. Where none is, the image is.
func (in createRequest) oldDisks(out *compute.NewServer) error {
	boots := false
	for _, d := range in.Server.OldDisks {
		one := compute.BlockDevice{Destination: "volume", Device: d.Device, DeleteOnTermination: bool(d.Delete), Absent: bool(d.NoDevice)}
		if d.Size != nil {
			one.SizeGB = int64(*d.Size)
		}
		switch {
		case d.Virtual == "swap":
			one.Source, one.Destination, one.Format = "blank", "local", "swap"
		case ephemeralName.MatchString(d.Virtual):
			one.Source, one.Destination = "blank", "local"
		case d.Snapshot != "":
			one.Source, one.ID = "snapshot", d.Snapshot
		case d.Volume != "":
			one.Source, one.ID = "volume", d.Volume
		case !one.Absent:
			return errs.BadRequestf("Block Device Mapping is Invalid: Unrecognized legacy format.")
		}
		if isRoot(d.Device) && one.ID != "" && !one.Absent {
			boots = true
			one.BootIndex = new(int)
		}
		out.Disks = append(out.Disks, one)
	}
	if len(in.Server.OldDisks) > 0 && !boots && in.Server.Image != "" {
		image := compute.BlockDevice{Source: "image", Destination: "local", ID: in.Server.Image, BootIndex: new(int)}
		out.Disks = append([]compute.BlockDevice{image}, out.Disks...)
	}
	return nil
}
