package app_test

import (
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
