package api_test

import (
	"io"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// TestGophercloud goes through the life of an image with a real client.
func TestGophercloud(t *testing.T) {
	s := start(t, t.TempDir())
	client := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: demo}, Endpoint: s.url + "/image/", ResourceBase: s.url + "/image/v2/",
	}
	visibility := images.ImageVisibilityPrivate
	made, err := images.Create(ctx, client, images.CreateOpts{
		Name: "cirros", DiskFormat: "qcow2", ContainerFormat: "bare", MinDisk: 1, Tags: []string{"small"},
		Visibility: &visibility, Properties: map[string]string{"hw_disk_bus": "virtio"},
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	bytes := qcow2(func([]byte) {})
	err = imagedata.Upload(ctx, client, made.ID, strings.NewReader(bytes)).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	changed, err := images.Update(ctx, client, made.ID, images.UpdateOpts{
		images.ReplaceImageName{NewName: "cirros 珠"}, images.ReplaceImageTags{NewTags: []string{"a", "b"}},
		images.ReplaceImageMinDisk{NewMinDisk: 2}, images.ReplaceImageProtected{NewProtected: true},
		images.UpdateImageProperty{Op: images.AddOp, Name: "os_distro", Value: "cirros"},
		images.UpdateImageProperty{Op: images.RemoveOp, Name: "hw_disk_bus"},
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != "cirros 珠" || changed.MinDiskGigabytes != 2 || !changed.Protected || changed.Status != images.ImageStatusActive ||
		changed.SizeBytes != int64(len(bytes)) || changed.VirtualSize != 64<<20 || changed.Properties["os_distro"] != "cirros" ||
		changed.Properties["hw_disk_bus"] != nil || len(changed.Tags) != 2 {
		t.Errorf("got %+v", changed)
	}
	for range 2 {
		_, err = images.Create(ctx, client, images.CreateOpts{Name: "more"}).Extract()
		if err != nil {
			t.Fatal(err)
		}
	}
	pages, err := images.List(client, images.ListOpts{Limit: 1, Sort: "name:asc"}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := images.ExtractImages(pages)
	if err != nil || len(all) != 3 || all[0].ID != made.ID {
		t.Errorf("got %d images, %v, want 3", len(all), err)
	}
	body, err := imagedata.Download(ctx, client, made.ID).Extract()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || string(got) != bytes {
		t.Errorf("downloaded %d bytes, %v, want what was uploaded", len(got), err)
	}
	err = images.Delete(ctx, client, made.ID).ExtractErr()
	if !gophercloud.ResponseCodeIs(err, 403) {
		t.Errorf("deleted a protected image: %v", err)
	}
	_, err = images.Update(ctx, client, made.ID, images.UpdateOpts{images.ReplaceImageProtected{NewProtected: false}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	err = images.Delete(ctx, client, made.ID).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	_, err = images.Get(ctx, client, made.ID).Extract()
	if !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("found a deleted image: %v", err)
	}
}
