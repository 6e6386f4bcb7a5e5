package app

import (
	"context"
	"io"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/image"
)

// CreateImage makes an image of a server, without bytes.
func (a computeImages) CreateImage(ctx context.Context, caller auth.Caller, in compute.NewImage) error {
	_, err := a.images.Create(ctx, image.NewImage{
		ID: in.ID, Name: in.Name, Owner: caller.Project, Visibility: image.Private, DiskFormat: "qcow2", ContainerFormat: "bare",
		MinDisk: in.MinDiskGB, MinRAM: in.MinRAMMB, Properties: in.Properties,
	})
	return err
}

// UploadImage gives the image its bytes.
func (a computeImages) UploadImage(ctx context.Context, id string, bytes io.Reader) error {
	return a.images.Upload(ctx, id, "", bytes)
}

// ImageStatus tells how far the image is.
func (a computeImages) ImageStatus(ctx context.Context, id string) (string, error) {
	found, err := a.images.Image(ctx, image.Viewer{Admin: true}, id)
	return found.Status, err
}

// DeleteImage removes the image.
func (a computeImages) DeleteImage(ctx context.Context, id string) error {
	return a.images.Delete(ctx, id)
}

// Backups are the backups of the kind, oldest first.
func (a computeImages) Backups(ctx context.Context, project, server, kind string) ([]string, error) {
	list, _, err := a.images.List(ctx, image.Viewer{Project: project}, image.Query{
		Properties: map[string]string{"image_type": "backup", "instance_uuid": server, "backup_type": kind},
	}, db.Page{Sort: []db.Sort{{Column: "created_at"}}})
	var ids []string
	for _, i := range list {
		ids = append(ids, i.ID)
	}
	return ids, err
}
