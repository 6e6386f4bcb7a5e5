package onehost

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"nacre/internal/await"
	"nacre/internal/virt/virttest"
)

// fromCD boots a server from an image in the format iso.
func fromCD(t *testing.T, demo user) {
	ctx := context.Background()
	image, err := images.Create(ctx, demo.image, images.CreateOpts{Name: "CD", DiskFormat: "iso", ContainerFormat: "bare"}).Extract()
	if err == nil {
		err = imagedata.Upload(ctx, demo.image, image.ID, bytes.NewReader(virttest.CD())).ExtractErr()
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := servers.Create(ctx, demo.compute, servers.CreateOpts{Name: "installer", FlavorRef: "1", ImageRef: image.ID, Networks: "none"}, nil).Extract()
	if err != nil {
		t.Fatal(err)
	}
	demo.server(t, made.ID, "ACTIVE")
	await.Until(t, "the CD's line on the console", 2*time.Minute, func() bool {
		log, err := servers.ShowConsoleOutput(ctx, demo.compute, made.ID, servers.ShowConsoleOutputOpts{Length: 50}).Extract()
		return err == nil && strings.Contains(log, virttest.CDSays)
	})
	err = servers.Delete(ctx, demo.compute, made.ID).ExtractErr()
	if err != nil {
		t.Error(err)
	}
}
