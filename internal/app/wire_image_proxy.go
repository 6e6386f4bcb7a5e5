package app

import (
	"context"
	"maps"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/image"
)

func imageDetails(i image.Image) compute.ImageDetails {
	return compute.ImageDetails{
		Image: compute.Image{
			ID: i.ID, Name: i.Name, Status: i.Status, MinDiskGB: i.MinDisk, MinRAMMB: i.MinRAM, Properties: i.Properties.V,
		},
		Project: i.Owner, FileBytes: max(i.Size, 0), CreatedAt: i.CreatedAt.Time(), UpdatedAt: i.UpdatedAt.Time(),
	}
}

// Images lists what the caller sees, newest first.
func (a computeImages) Images(ctx context.Context, caller auth.Caller) ([]compute.ImageDetails, error) {
	list, _, err := a.images.List(ctx, viewerOf(caller), image.Query{}, db.Page{Sort: []db.Sort{{Column: "created_at", Desc: true}}})
	out := make([]compute.ImageDetails, len(list))
	for i, one := range list {
		out[i] = imageDetails(one)
	}
	return out, err
}

// ImageDetails finds an image that the caller sees.
func (a computeImages) ImageDetails(ctx context.Context, caller auth.Caller, id string) (compute.ImageDetails, error) {
	i, err := a.images.Image(ctx, viewerOf(caller), id)
	return imageDetails(i), err
}

// SetImageProperties adds and removes properties.
func (a computeImages) SetImageProperties(ctx context.Context, id string, set map[string]string, remove []string) error {
	var changes []image.Change
	for _, name := range remove {
		changes = append(changes, image.Change{Op: image.Remove, Name: name})
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		changes = append(changes, image.Change{Op: image.Add, Name: name, Value: set[name]})
	}
	_, err := a.images.Update(ctx, id, changes)
	return err
}
