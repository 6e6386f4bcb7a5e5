package api_test

import (
	"io"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/objectstorage/v1/accounts"
	"github.com/gophercloud/gophercloud/v2/openstack/objectstorage/v1/containers"
	"github.com/gophercloud/gophercloud/v2/openstack/objectstorage/v1/objects"
)

// TestGophercloud goes through the life of objects with a real client.
func TestGophercloud(t *testing.T) {
	s := start(t, t.TempDir())
	client := &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{TokenID: demo}, Endpoint: s.url + account + "/"}
	_, err := accounts.Update(ctx, client, accounts.UpdateOpts{Metadata: map[string]string{"plan": "gold"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	_, err = containers.Create(ctx, client, "b öx", containers.CreateOpts{Metadata: map[string]string{"color": "red"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b c", "a//珠", "top"} {
		_, err = objects.Create(ctx, client, "b öx", name, objects.CreateOpts{
			Content: strings.NewReader(name), ContentType: "text/plain", Metadata: map[string]string{"x": "1"},
		}).Extract()
		if err != nil {
			t.Fatal(err)
		}
	}
	download := objects.Download(ctx, client, "b öx", "a//珠", nil)
	if download.Err != nil {
		t.Fatal(download.Err)
	}
	got, err := io.ReadAll(download.Body)
	if err != nil || string(got) != "a//珠" {
		t.Errorf("downloaded %q, %v", got, err)
	}
	pages, err := objects.List(client, "b öx", objects.ListOpts{Delimiter: "/", Limit: 1}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	list, err := objects.ExtractInfo(pages)
	if err != nil || len(list) != 2 || list[0].Subdir != "a/" || list[1].Name != "top" || list[1].LastModified.IsZero() {
		t.Errorf("listed %+v, %v", list, err)
	}
	_, err = objects.Update(ctx, client, "b öx", "top", objects.UpdateOpts{Metadata: map[string]string{"y": "2"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	_, err = objects.Copy(ctx, client, "b öx", "top", objects.CopyOpts{Destination: "/b öx/copy"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := objects.Get(ctx, client, "b öx", "copy", nil).ExtractMetadata()
	if err != nil || meta["Y"] != "2" || meta["X"] != "" {
		t.Errorf("metadata of the copy is %v, %v", meta, err)
	}
	box, err := containers.Get(ctx, client, "b öx", nil).Extract()
	if err != nil || box.ObjectCount != 4 || box.Date.IsZero() {
		t.Errorf("the container is %+v, %v", box, err)
	}
	sum, err := accounts.Get(ctx, client, nil).Extract()
	if err != nil || sum.ContainerCount != 1 || sum.ObjectCount != 4 {
		t.Errorf("the account is %+v, %v", sum, err)
	}
	boxes, err := containers.List(client, nil).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := containers.ExtractInfo(boxes)
	if err != nil || len(infos) != 1 || infos[0].Name != "b öx" || infos[0].Count != 4 {
		t.Errorf("the containers are %+v, %v", infos, err)
	}
	_, err = containers.Delete(ctx, client, "b öx").Extract()
	if !gophercloud.ResponseCodeIs(err, 409) {
		t.Errorf("deleted a container that is not empty: %v", err)
	}
	for _, name := range []string{"a/b c", "a//珠", "top", "copy"} {
		_, err = objects.Delete(ctx, client, "b öx", name, nil).Extract()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = containers.Delete(ctx, client, "b öx").Extract()
	if err != nil {
		t.Fatal(err)
	}
}
