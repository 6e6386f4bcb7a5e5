package app

import (
	"context"
	"io"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image"
	"nacre/internal/volume"
)

// volumeImages are images as volumes need them.
type volumeImages struct{ images *image.Service }

// Image returns an image that the viewer may use.
func (a volumeImages) Image(ctx context.Context, who volume.Viewer, id string) (volume.Image, error) {
	found, err := a.images.Image(ctx, image.Viewer{Project: who.Project, Admin: who.Admin}, id)
	if err != nil {
		return volume.Image{}, err
	}
	return volume.Image{
		ID: found.ID, Name: found.Name, Status: found.Status, DiskFormat: found.DiskFormat, ContainerFormat: found.ContainerFormat,
		Checksum: found.Checksum, SizeBytes: found.Size, VirtualBytes: max(found.VirtualSize, 0),
		MinDiskGB: found.MinDisk, MinRAMMB: found.MinRAM, Properties: found.Properties.V, Usable: found.Usable(),
	}, nil
}

// CreateImage makes an image without bytes. Making it again is a success.
func (a volumeImages) CreateImage(ctx context.Context, n volume.NewImage) error {
	_, err := a.images.Image(ctx, image.Viewer{Admin: true}, n.ID)
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	_, err = a.images.Create(ctx, image.NewImage{
		ID: n.ID, Name: n.Name, Owner: n.Project, Visibility: n.Visibility, DiskFormat: n.DiskFormat, ContainerFormat: n.ContainerFormat,
		MinDisk: n.MinDiskGB, MinRAM: n.MinRAMMB, Properties: n.Properties,
	})
	if errs.Is(err, errs.Conflict) {
		return nil // somebody else was faster
	}
	return err
}

// Upload gives an image its bytes, and then its protection, which would keep an
// image without bytes from being removed.
func (a volumeImages) Upload(ctx context.Context, n volume.NewImage, bytes io.Reader) error {
	found, err := a.images.Image(ctx, image.Viewer{Admin: true}, n.ID)
	if err == nil && found.Status != image.Active {
		err = a.images.Upload(ctx, n.ID, "", bytes)
	}
	if err != nil || !n.Protected {
		return err
	}
	_, err = a.images.Update(ctx, n.ID, []image.Change{{Op: image.Replace, Name: "protected", Value: true}})
	return err
}

// DeleteImage removes an image.
func (a volumeImages) DeleteImage(ctx context.Context, id string) error {
	err := a.images.Delete(ctx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// diskConverter converts what is uploaded from volumes, in the folder, where
// there is qemu-img.
func diskConverter(c Config) (volume.Converter, string, error) {
	tool, err := newConverter()
	if err != nil {
		return nil, "", nil
	}
	dir, err := workFolder(c, "volume-work")
	return tool, dir, err
}

// volumeServers are servers as volumes need them. Compute stands on volumes, and
// comes after them.
type volumeServers struct{ cloud *Cloud }

// HostOf is the host of a server of the project, or of any with "".
func (a volumeServers) HostOf(ctx context.Context, project, id string) (string, error) {
	found, err := a.cloud.Compute.Server(ctx, project, id)
	return found.Host, err
}

// Extended tells a server that a volume that it has is larger now.
func (a volumeServers) Extended(ctx context.Context, tx *db.Tx, server, volume string, size int64) error {
	return a.cloud.Compute.Extended(ctx, tx, server, volume, size)
}

// computeVolumes are volumes as compute needs them.
type computeVolumes struct {
	*volume.Service
	cloud *Cloud // whose policy comes after compute
}

func (a computeVolumes) viewer(caller auth.Caller) volume.Viewer {
	return volume.Viewer{Project: caller.Project, User: caller.User, Admin: caller.Admin(), May: func(rule, project string) bool {
		return a.cloud.policy.policy.Allows(rule, caller, auth.Target{Project: project})
	}}
}

// Volume returns a volume of the caller's project.
func (a computeVolumes) Volume(ctx context.Context, caller auth.Caller, id string) (compute.Volume, error) {
	who := a.viewer(caller)
	v, err := a.Service.Volume(ctx, who, id)
	if err == nil {
		err = who.MayShare(v)
	}
	return compute.Volume{
		ID: v.ID, Name: v.Name, Status: v.Status, SizeGB: v.SizeGB, Bootable: v.Bootable, Shared: v.Multiattach, Zone: v.Zone, ImageProperties: v.ImageMetadata.V,
	}, err
}

// Snapshot returns a snapshot of the caller's project.
func (a computeVolumes) Snapshot(ctx context.Context, caller auth.Caller, id string) (compute.VolumeSnapshot, error) {
	found, err := a.Service.Snapshot(ctx, a.viewer(caller), id)
	return compute.VolumeSnapshot{Volume: found.Volume, Status: found.Status, SizeGB: found.SizeGB}, err
}

// TakeSnapshot begins to copy a volume into a snapshot with the id.
func (a computeVolumes) TakeSnapshot(ctx context.Context, tx *db.Tx, caller auth.Caller, id, volume, name string) error {
	return a.Service.TakeSnapshot(ctx, tx, a.viewer(caller), id, volume, name)
}

// DeleteSnapshot begins to delete a snapshot.
func (a computeVolumes) DeleteSnapshot(ctx context.Context, caller auth.Caller, id string) error {
	err := a.Service.DeleteSnapshot(ctx, a.viewer(caller), id, true)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// TypeExists tells whether the caller may have volumes of the type.
func (a computeVolumes) TypeExists(ctx context.Context, caller auth.Caller, name string) error {
	_, err := a.TypeNamed(ctx, a.viewer(caller), name)
	return err
}

// CreateVolume begins to make a volume.
func (a computeVolumes) CreateVolume(ctx context.Context, caller auth.Caller, v compute.NewVolume) error {
	_, err := a.Service.CreateVolume(ctx, a.viewer(caller), newVolume(v))
	return err
}

func newVolume(v compute.NewVolume) volume.NewVolume {
	return volume.NewVolume{
		ID: v.ID, Name: v.Name, Description: v.Description, Metadata: v.Metadata, SizeGB: v.SizeGB, Type: v.Type, Zone: v.Zone,
		Image: v.Image, Source: v.Source, Snapshot: v.Snapshot,
	}
}

// Reimage begins to give a reserved volume the bytes of an image.
func (a computeVolumes) Reimage(ctx context.Context, caller auth.Caller, id, image string) error {
	return a.Service.Reimage(ctx, a.viewer(caller), id, image, true)
}

// DeleteVolume begins to delete a volume that is attached to nothing.
func (a computeVolumes) DeleteVolume(ctx context.Context, tx *db.Tx, id string) error {
	return a.Remove(ctx, tx, id)
}
