package app

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/image"
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
		Properties: found.Properties.V, ISO: found.DiskFormat == "iso", Bootable: found.Usable(),
	}, nil
}
