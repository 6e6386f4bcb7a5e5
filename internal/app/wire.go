package app

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/image"
	"nacre/internal/volume"
)

// The adapters here let one service use another without knowing it: each
// consumer says what it needs in its own words, and this is the translation.

// viewerOf is how the image service sees a caller.
func viewerOf(caller auth.Caller) image.Viewer {
	return image.Viewer{Project: caller.Project, Admin: caller.Admin()}
}

// computeImages are images as compute needs them.
type computeImages struct{ images *image.Service }

// Image returns an image that the caller may use.
func (a computeImages) Image(ctx context.Context, caller auth.Caller, id string) (compute.Image, error) {
	found, err := a.images.Image(ctx, viewerOf(caller), id)
	if err != nil {
		return compute.Image{}, err
	}
	return compute.Image{
		ID: found.ID, Name: found.Name, Status: found.Status,
		MinDiskGB: found.MinDisk, MinRAMMB: found.MinRAM, SizeBytes: max(found.VirtualSize, 0),
		Properties: found.Properties.V, Bootable: found.Usable(),
	}, nil
}

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
