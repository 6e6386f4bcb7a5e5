package api

import (
	"bytes"
	"strconv"
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
	Size        *count     `json:"volume_size" check:"notnull"`
	Type        *string    `json:"volume_type" since:"2.67" check:"max=255"`
	Device      string     `json:"device_name" check:"min=1,max=255,pattern=disk"`
	Delete      api.Bool   `json:"delete_on_termination"`
	Tag         *string    `json:"tag" since:"2.32" check:"min=1,max=60,pattern=tag,notnull"`
	Format      string     `json:"guest_format" check:"max=255"`
	Bus         string     `json:"disk_bus" check:"max=255"`
	DeviceType  string     `json:"device_type" check:"max=255"`
	NoDevice    any        `json:"no_device"`

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
	Size       *count   `json:"volume_size" check:"notnull"`
	Delete     api.Bool `json:"delete_on_termination"`
	NoDevice   any      `json:"no_device"`
	Connection string   `json:"connection_info" check:"max=16777215"`
}

// bootIndex is a number, perhaps sent as text; null and negative don't boot.
type bootIndex int

// JSONSchema implements api.Schemer.
func (bootIndex) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^-?[0-9]+$"}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *bootIndex) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(string(bytes.Trim(b, `"`)))
	*n = bootIndex(v)
	return err
}

func (in createRequest) disks(c *api.Call, out *compute.NewServer) error {
	if len(in.Server.Disks) > 0 && len(in.Server.OldDisks) > 0 {
		return errs.BadRequestf("Using different block_device_mapping syntaxes is not allowed in the same request.")
	}
	for _, d := range in.Server.Disks {
		if d.Tag != nil && c.Version > api.V(2, 32) && c.Version < api.V(2, 42) {
			return errs.BadRequestf("Invalid input for field/attribute 0. Value: %s. Additional properties are not allowed ('tag' was unexpected)", *d.Tag)
		}
		one := compute.BlockDevice{
			Source: d.Source, Destination: d.Destination, ID: d.UUID, DeleteOnTermination: bool(d.Delete), Tag: d.Tag,
			Device: d.Device, Format: d.Format, Bus: d.Bus, Type: d.DeviceType,
		}
		if d.BootIndex != nil && *d.BootIndex >= 0 {
			n := int(*d.BootIndex)
			one.BootIndex = &n
		}
		if d.Size != nil {
			one.SizeGB = int64(*d.Size)
		}
		if d.Type != nil {
			one.VolumeType = *d.Type
		}
		if one.Destination == "" {
			one.Destination = "volume"
			if one.Source == "image" || one.Source == "blank" {
				one.Destination = "local"
			}
		}
		if one.ID == "" && one.Source != "blank" {
			return errs.BadRequestf("Block Device Mapping is Invalid: Missing device UUID.")
		}
		out.Disks = append(out.Disks, one)
	}
	return in.oldDisks(out)
}

// oldDisks adds the disks of the older form. Without an image the first of them
// that is not empty is booted from.
func (in createRequest) oldDisks(out *compute.NewServer) error {
	boots := in.Server.Image == ""
	for _, d := range in.Server.OldDisks {
		if d.NoDevice != nil {
			continue
		}
		one := compute.BlockDevice{Destination: "volume", Device: d.Device, DeleteOnTermination: bool(d.Delete)}
		if d.Size != nil {
			one.SizeGB = int64(*d.Size)
		}
		switch {
		case d.Volume != "":
			one.Source, one.ID = "volume", d.Volume
		case d.Snapshot != "":
			one.Source, one.ID = "snapshot", d.Snapshot
		case d.Virtual == "swap":
			one.Source, one.Destination, one.Format = "blank", "local", "swap"
		case strings.HasPrefix(d.Virtual, "ephemeral"):
			one.Source, one.Destination = "blank", "local"
		default:
			return errs.BadRequestf("Block Device Mapping is Invalid: Invalid legacy format: it names no volume, snapshot or virtual device.")
		}
		if boots && one.Source != "blank" {
			boots = false
			one.BootIndex = new(int)
		}
		out.Disks = append(out.Disks, one)
	}
	return nil
}
