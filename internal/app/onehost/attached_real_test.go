package onehost

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/aggregates"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"

	"nacre/internal/await"
)

// at is the user at another microversion of compute.
func (u user) at(version string) user {
	compute := *u.compute
	compute.Microversion = version
	u.compute = &compute
	return u
}

// rebuild gives the volume that a guest boots from the bytes of an image: what
// the guest wrote to it is gone, what it wrote to another volume is not.
func (l volumeLab) rebuild(t *testing.T, server, address, image string) {
	g := l.c.must(address)
	g.run(t, "echo 'of the former life' | sudo tee /root/mark >/dev/null; sync")
	other := l.volume(t, volumes.CreateOpts{Name: "beside"})
	g.write(t, l.attach(t, server, g, other), 5, "beside the root disk")
	booted := g.uptime(t)
	g.Close()
	_, err := servers.Rebuild(context.Background(), l.demo.at("2.93").compute, server, servers.RebuildOpts{ImageRef: image}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	l.demo.server(t, server, "ACTIVE")
	g = l.c.must(address)
	defer g.Close()
	if now := g.uptime(t); now >= booted+60 {
		t.Errorf("the guest has been up for %.0f s: it was not started anew", now)
	}
	wantLine(t, "what was on the root disk", g.run(t, "sudo cat /root/mark 2>/dev/null || echo nothing"), "nothing")
	wantLine(t, "what was on the other volume", g.read(t, g.disk(t, other), 5), "beside the root disk")
	l.detach(t, server, other)
	l.delete(t, other)
}

// tagged attaches a volume and a card with tags, by which the guest finds them in
// its metadata, and says that the volume goes with the server.
func (l volumeLab) tagged(t *testing.T, server string, g shell) (goes string) {
	ctx := context.Background()
	u := l.demo.at("2.85")
	goes = l.volume(t, volumes.CreateOpts{Name: "tagged"})
	_, err := volumeattach.Create(ctx, u.compute, server, volumeattach.CreateOpts{VolumeID: goes, Tag: "database"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	g.disk(t, goes)
	var card struct {
		Attachment struct {
			MAC string `json:"mac_addr"`
		} `json:"interfaceAttachment"`
	}
	_, err = u.compute.Post(ctx, u.compute.ServiceURL("servers", server, "os-interface"), map[string]any{
		"interfaceAttachment": map[string]any{"net_id": l.network(t), "tag": "front"},
	}, &card, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}})
	if err != nil {
		t.Fatal(err)
	}
	tag := func(kind, name string) (serial, mac string) {
		var meta struct {
			Devices []struct {
				Type, Serial, MAC string
				Tags              []string
			}
		}
		text := g.run(t, "curl -s http://169.254.169.254/openstack/latest/meta_data.json")
		err := json.Unmarshal([]byte(text), &meta)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, d := range meta.Devices {
			if d.Type == kind && slices.Contains(d.Tags, name) {
				return d.Serial, d.MAC
			}
		}
		return "", ""
	}
	serial, _ := tag("disk", "database")
	wantLine(t, "the serial of the device with the tag", serial, goes)
	_, mac := tag("nic", "front")
	wantLine(t, "the address of the card with the tag", mac, card.Attachment.MAC)
	await.Until(t, "the guest to have the card", time.Minute, func() bool {
		return g.run(t, "cat /sys/class/net/*/address | grep -c -i "+mac+" || true") == "1"
	})

	path := fmt.Sprintf("servers/%s/os-volume_attachments/%s", server, goes)
	_, err = u.compute.Put(ctx, u.compute.ServiceURL(path), map[string]any{"volumeAttachment": map[string]any{"volumeId": goes, "delete_on_termination": true}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := volumeattach.Get(ctx, u.compute, server, goes).Extract()
	if err != nil || shown.DeleteOnTermination == nil || !*shown.DeleteOnTermination || shown.Tag == nil || *shown.Tag != "database" {
		t.Errorf("the attachment is %+v (%v), want it tagged and going with the server", shown, err)
	}
	return goes
}

// network is the one that the guests here are on.
func (l volumeLab) network(t *testing.T) string {
	t.Helper()
	pages, err := networks.List(l.demo.network, networks.ListOpts{Name: "private"}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := networks.ExtractNetworks(pages)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d networks named private, %v", len(all), err)
	}
	return all[0].ID
}

// removal deletes a server: the volume goes that is to go with it, and another one
// that it has stays.
func (l volumeLab) removal(t *testing.T, server, goes string) {
	ctx := context.Background()
	kept := l.volume(t, volumes.CreateOpts{Name: "kept"})
	_, err := volumeattach.Create(ctx, l.demo.compute, server, volumeattach.CreateOpts{VolumeID: kept}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, kept, "in-use")
	err = servers.Delete(ctx, l.demo.compute, server).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, kept, "available")
	await.Until(t, "the volume to go with the server", time.Minute, func() bool {
		_, err := volumes.Get(ctx, l.demo.volume, goes).Extract()
		return gophercloud.ResponseCodeIs(err, http.StatusNotFound)
	})
}

// ahead has the host fetch an image that no guest needs yet.
func ahead(t *testing.T, c *cloud, demo user) {
	ctx := context.Background()
	admin := c.user("nacre").at("2.81")
	made, err := images.Create(ctx, demo.image, images.CreateOpts{Name: "ahead", DiskFormat: "raw", ContainerFormat: "bare"}).Extract()
	if err == nil {
		err = imagedata.Upload(ctx, demo.image, made.ID, strings.NewReader(strings.Repeat("bytes", 1000))).ExtractErr()
	}
	if err != nil {
		t.Fatal(err)
	}
	group, err := aggregates.Create(ctx, admin.compute, aggregates.CreateOpts{Name: "all"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err == nil {
		_, err = aggregates.AddHost(ctx, admin.compute, group.ID, aggregates.AddHostOpts{Host: host}).Extract()
	}
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("os-aggregates/%d/images", group.ID)
	_, err = admin.compute.Post(ctx, admin.compute.ServiceURL(path), map[string]any{"cache": []any{map[string]any{"id": made.ID}}}, nil,
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusAccepted}})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the image to be on the host", time.Minute, func() bool {
		info, err := os.Stat(filepath.Join(c.data(), "images", made.ID+".raw"))
		return err == nil && info.Size() == 5000
	})
}
