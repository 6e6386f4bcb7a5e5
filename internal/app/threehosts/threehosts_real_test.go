package threehosts

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// A cluster of real hosts.
func TestThreeHosts(t *testing.T) {
	l := newLab(t, 2)
	l.addImage()
	l.waitUp(l.servers[1])
}

// addImage gives the cloud the image that guests boot.
func (l *lab) addImage() {
	l.t.Helper()
	admin, ctx := l.servers[0].user("nacre"), context.Background()
	public := images.ImageVisibilityPublic
	made, err := images.Create(ctx, admin.image, images.CreateOpts{
		Name: "cirros", DiskFormat: "qcow2", ContainerFormat: "bare", Visibility: &public,
	}).Extract()
	l.must(err)
	path, err := buildGuest()
	l.must(err)
	bytes, err := os.Open(path)
	l.must(err)
	defer bytes.Close()
	l.must(imagedata.Upload(ctx, admin.image, made.ID, bytes).ExtractErr())
}

var _ = strings.TrimSpace
