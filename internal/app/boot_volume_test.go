package app_test

import (
	"encoding/json"
	"maps"
	"testing"

	"nacre/internal/testcloud"
)

// A server boots from a snapshot of a volume: from a volume that is made of it
// and goes with the server.
func TestBootFromSnapshot(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	volumes := "/volume/v3/" + demo.Project(t)
	root := made(t, demo, "POST", volumes+"/volumes", "volume", map[string]any{"volume": map[string]any{"size": 1, "imageRef": demo.Image(t, "cirros")}})
	empty := made(t, demo, "POST", volumes+"/volumes", "volume", map[string]any{"volume": map[string]any{"size": 1}})
	cloud.Settle(t)
	snapshot := func(volume string) string {
		id := made(t, demo, "POST", volumes+"/snapshots", "snapshot", map[string]any{"snapshot": map[string]any{"volume_id": volume}})
		cloud.Settle(t)
		return id
	}
	server := func(snapshot string, size int) map[string]any {
		return map[string]any{"server": map[string]any{"name": "copy", "flavorRef": demo.Flavor(t, "m1.tiny"), "networks": "none",
			"block_device_mapping_v2": []any{map[string]any{"boot_index": 0, "uuid": snapshot, "source_type": "snapshot", "destination_type": "volume",
				"volume_size": size, "delete_on_termination": true}}}}
	}
	demo.Must(t, 400, "POST", "/compute/v2.1/servers", server(snapshot(empty), 1), "OpenStack-API-Version", "compute 2.79")

	id := made(t, demo, "POST", "/compute/v2.1/servers", "server", server(snapshot(root), 2))
	cloud.Settle(t)
	if got := demo.ServerStatus(t, id); got != "ACTIVE" {
		t.Fatalf("the server is %s: %s", got, demo.Do(t, "GET", "/compute/v2.1/servers/"+id, nil).Body)
	}
	var disks struct {
		List []struct{ VolumeID string } `json:"volumeAttachments"`
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+id+"/os-volume_attachments", nil).JSON(t, &disks)
	if len(disks.List) != 1 {
		t.Fatalf("the server has volumes %v, want one", disks.List)
	}
	var volume struct {
		Volume struct {
			Size     int
			Bootable string
			Snapshot string `json:"snapshot_id"`
		}
	}
	demo.Must(t, 200, "GET", volumes+"/volumes/"+disks.List[0].VolumeID, nil).JSON(t, &volume)
	if volume.Volume.Size != 2 || volume.Volume.Bootable != "true" || volume.Volume.Snapshot == "" {
		t.Errorf("the root volume is %+v, want 2 GiB, bootable, made of a snapshot", volume.Volume)
	}
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+id, nil)
	cloud.Settle(t)
	demo.Must(t, 404, "GET", volumes+"/volumes/"+disks.List[0].VolumeID, nil)
}

// An image of a server whose root disk is a volume consists of snapshots of its
// volumes. A server that boots from it has volumes made of these.
func TestImageOfVolumes(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	volumes := "/volume/v3/" + demo.Project(t)
	data := demo.CreateVolume(t, "data", 2)
	cloud.Settle(t)
	create := func(name string, more map[string]any) string {
		body := map[string]any{"name": name, "flavorRef": demo.Flavor(t, "m1.tiny"), "networks": "none"}
		maps.Copy(body, more)
		r := demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": body}, "OpenStack-API-Version", "compute 2.79")
		var reply struct{ Server struct{ ID string } }
		r.JSON(t, &reply)
		cloud.Settle(t)
		if got := demo.ServerStatus(t, reply.Server.ID); got != "ACTIVE" {
			t.Fatalf("server %s is %s: %s", name, got, demo.Do(t, "GET", "/compute/v2.1/servers/"+reply.Server.ID, nil).Body)
		}
		return reply.Server.ID
	}
	first := create("first", map[string]any{"block_device_mapping_v2": []any{
		map[string]any{"boot_index": 0, "uuid": demo.Image(t, "cirros"), "source_type": "image", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true},
		map[string]any{"boot_index": -1, "uuid": data, "source_type": "volume", "destination_type": "volume"},
	}})
	action := "/compute/v2.1/servers/" + first + "/action"
	demo.Must(t, 400, "POST", action, map[string]any{"createBackup": map[string]any{"name": "b", "backup_type": "daily", "rotation": 1}})
	demo.Must(t, 202, "POST", action, map[string]any{"createImage": map[string]any{"name": "of-volumes"}})
	cloud.Settle(t)
	image := demo.Image(t, "of-volumes")
	var shown struct{ Status, Block_device_mapping string }
	demo.Must(t, 200, "GET", "/image/v2/images/"+image, nil).JSON(t, &shown)
	var disks []struct {
		Snapshot string `json:"snapshot_id"`
		Size     int    `json:"volume_size"`
	}
	err := json.Unmarshal([]byte(shown.Block_device_mapping), &disks)
	if err != nil || shown.Status != "active" || len(disks) != 2 || disks[0].Size != 1 || disks[1].Size != 2 {
		t.Fatalf("the image is %+v (%v), want it active, with a disk of 1 and one of 2 GiB", shown, err)
	}

	second := create("second", map[string]any{"imageRef": image})
	var attached struct {
		List []struct{ VolumeID string } `json:"volumeAttachments"`
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+second+"/os-volume_attachments", nil).JSON(t, &attached)
	if len(attached.List) != 2 {
		t.Fatalf("the second server has %v, want two volumes", attached.List)
	}
	for i, a := range attached.List {
		var one struct {
			Volume struct {
				Snapshot string `json:"snapshot_id"`
			}
		}
		demo.Must(t, 200, "GET", volumes+"/volumes/"+a.VolumeID, nil).JSON(t, &one)
		if one.Volume.Snapshot != disks[i].Snapshot {
			t.Errorf("disk %d is made of %q, want of %q", i, one.Volume.Snapshot, disks[i].Snapshot)
		}
	}
}
