package compute

import (
	"context"
	"encoding/json"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// An image of a server whose root disk is a volume has no bytes: its property
// block_device_mapping lists snapshots of the server's volumes, in JSON as Nova
// writes it, and a server that boots from the image gets volumes made of these.

// mapping is the property, and mappingForm tells that it is of the newer form.
const mapping, mappingForm = "block_device_mapping", "bdm_v2"

// imageDisk is one disk of such an image.
type imageDisk struct {
	Source              string  `json:"source_type"`
	Destination         string  `json:"destination_type"`
	Snapshot            string  `json:"snapshot_id,omitempty"`
	Volume              string  `json:"volume_id,omitempty"`
	Image               string  `json:"image_id,omitempty"`
	BootIndex           *int    `json:"boot_index"`
	SizeGB              int64   `json:"volume_size"`
	Type                *string `json:"volume_type,omitempty"`
	Device              string  `json:"device_name,omitempty"`
	Tag                 *string `json:"tag,omitempty"`
	Format              *string `json:"guest_format,omitempty"`
	Bus                 string  `json:"disk_bus,omitempty"`
	DeviceType          string  `json:"device_type,omitempty"`
	DeleteOnTermination bool    `json:"delete_on_termination"`
}

// plannedSnapshot is a snapshot that such an image consists of.
type plannedSnapshot struct{ ID, Volume, Name string }

// imageOfVolumes plans a snapshot of each of the server's volumes, and says in
// the image's properties that it consists of them.
func (s *Service) imageOfVolumes(ctx context.Context, caller auth.Caller, server Server, image *NewImage) ([]plannedSnapshot, error) {
	var list []Attachment
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		list, err = attachmentsOf(ctx, tx, server.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	var planned []plannedSnapshot
	var disks []imageDisk
	for _, a := range list {
		v, err := s.volumes.Volume(ctx, caller, a.Volume)
		if err != nil {
			return nil, err
		}
		snapshot := plannedSnapshot{s.newID(), a.Volume, "snapshot for " + image.Name}
		planned = append(planned, snapshot)
		disks = append(disks, imageDisk{
			Source: "snapshot", Destination: "volume", Snapshot: snapshot.ID, BootIndex: a.BootIndex, SizeGB: v.SizeGB,
			Device: a.Device, Tag: a.Tag, DeleteOnTermination: a.DeleteOnTermination, Bus: a.Bus, DeviceType: deviceType(a.CDROM),
		})
	}
	for _, d := range server.LocalDisks.V {
		disk := imageDisk{Source: "blank", Destination: "local", SizeGB: d.Size, Tag: d.Tag, DeleteOnTermination: true, Bus: d.Bus}
		if d.Swap {
			d.Format = swapName
		}
		if d.Format != "" {
			disk.Format = &d.Format
		}
		disks = append(disks, disk)
	}
	text, err := json.Marshal(disks)
	if err != nil {
		return nil, err
	}
	image.MinDiskGB = 0
	delete(image.Properties, "base_image_ref")
	image.Properties[mapping], image.Properties[mappingForm], image.Properties["root_device_name"] = string(text), "True", server.RootDevice
	return planned, nil
}

// deviceType is what a disk is, where that is not the usual.
func deviceType(cdrom bool) string {
	if cdrom {
		return "cdrom"
	}
	return ""
}

// takeSnapshots takes the snapshots of an image, all at once, and waits for them.
// The guest is frozen meanwhile, if it can be.
func (s *Service) takeSnapshots(ctx context.Context, state *snapshotState) error {
	if len(state.Volumes) == 0 {
		return nil
	}
	server, err := s.Server(ctx, "", state.Server)
	if err != nil {
		return err
	}
	err = s.freeze(ctx, server, state)
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		for _, planned := range state.Volumes {
			err := s.volumes.TakeSnapshot(ctx, tx, state.Caller.caller(), planned.ID, planned.Volume, planned.Name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, planned := range state.Volumes {
		snapshot, err := s.volumes.Snapshot(ctx, state.Caller.caller(), planned.ID)
		switch {
		case err != nil:
			return err
		case snapshot.Status == "error":
			return errs.New(errs.Internal, "Snapshot %s of volume %s failed.", planned.ID, planned.Volume)
		case snapshot.Status != "available":
			return work.NotYet("waiting for snapshot %s, which is %s", planned.ID, snapshot.Status)
		}
	}
	whole := s.thaw(ctx, state.Image)
	if server.mustFreeze() && !whole {
		return work.NotYet("the guest of server %s was not frozen until its snapshots were taken: taking others", server.ID)
	}
	return nil
}

func (s *Service) undoSnapshots(ctx context.Context, state *snapshotState) error {
	s.thaw(ctx, state.Image)
	for _, planned := range state.Volumes {
		err := s.volumes.DeleteSnapshot(ctx, state.Caller.caller(), planned.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// expand puts the disks that an image consists of in the image's place. It returns
// an image that has bytes of its own, if there is one.
func (s *Service) expand(ctx context.Context, in *NewServer, f Flavor) (Image, error) {
	id := in.Image
	at := slices.IndexFunc(in.Disks, func(d BlockDevice) bool { return d.Source == "image" && d.Destination == "local" })
	if id == "" {
		return Image{}, nil
	}
	image, err := s.images.Image(ctx, in.Caller, id)
	text, isMapping := image.Properties[mapping]
	switch {
	case errs.Is(err, errs.NotFound):
		return Image{}, nil // prepareDisks says so, where nothing else is wrong before
	case err != nil || !isMapping:
		return image, err
	case image.MinRAMMB > f.RAM:
		return image, errs.BadRequestf("Flavor's memory is too small for requested image.")
	}
	var disks []imageDisk
	err = json.Unmarshal([]byte(text), &disks)
	if err != nil || len(disks) == 0 {
		return image, errs.BadRequestf("Block Device Mapping is Invalid: property %s of image %s lists no disks.", mapping, id)
	}
	var all []BlockDevice
	for _, d := range disks {
		format := ""
		if d.Format != nil {
			format = *d.Format
		}
		all = append(all, BlockDevice{
			Format: format, Source: d.Source, Destination: d.Destination, ID: d.Snapshot + d.Volume + d.Image, BootIndex: d.BootIndex, SizeGB: d.SizeGB,
			Tag: d.Tag, DeleteOnTermination: d.DeleteOnTermination, Bus: d.Bus, Type: d.DeviceType,
		})
	}
	for i, d := range in.Disks {
		if i != at {
			all = append(all, d)
		}
	}
	in.Image, in.Disks = "", all
	return Image{}, nil
}
