package volume_test

import (
	"testing"

	"nacre/internal/testcloud"
)

// A server gets volumes of its own host and of others, and loses them again.
func TestServerWithVolumes(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	var volumes []string
	for range 2 { // one on each host, since the emptier one is chosen
		var made struct{ Volume struct{ ID string } }
		demo.Must(t, 202, "POST", "/volume/v3/volumes", `{"volume":{"size":1}}`).JSON(t, &made)
		volumes = append(volumes, made.Volume.ID)
		cloud.Settle(t)
	}
	for _, id := range volumes {
		demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+id+`"}}`)
		cloud.Settle(t)
		status(t, demo, id, "in-use", server)
		r := demo.Do(t, "DELETE", "/volume/v3/volumes/"+id, nil)
		if r.Status != 400 {
			t.Errorf("delete of a volume in use: %d %s", r.Status, r.Body)
		}
	}
	demo.Must(t, 202, "DELETE", "/compute/v2.1/servers/"+server+"/os-volume_attachments/"+volumes[0], nil)
	cloud.Settle(t)
	status(t, demo, volumes[0], "available", "")
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+server, nil)
	cloud.Settle(t)
	status(t, demo, volumes[1], "available", "")
	for _, id := range volumes {
		demo.Must(t, 202, "DELETE", "/volume/v3/volumes/"+id, nil)
	}
	cloud.Settle(t)
	var left struct{ Volumes []any }
	demo.Must(t, 200, "GET", "/volume/v3/volumes", nil).JSON(t, &left)
	if len(left.Volumes) > 0 {
		t.Errorf("after deleting all, %v is left", left.Volumes)
	}
}

// A server that boots from a volume made of an image takes it along when it goes.
func TestBootFromVolume(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	var made struct{ Server struct{ ID string } }
	demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": "from-volume", "flavorRef": demo.Flavor(t, "m1.tiny"),
		"networks": []any{map[string]any{"uuid": demo.Network(t, "private")}},
		"block_device_mapping_v2": []any{map[string]any{
			"boot_index": 0, "uuid": demo.Image(t, "cirros"), "source_type": "image", "destination_type": "volume",
			"volume_size": 1, "delete_on_termination": true,
		}},
	}}).JSON(t, &made)
	cloud.Settle(t)
	if got := demo.ServerStatus(t, made.Server.ID); got != "ACTIVE" {
		t.Fatalf("server is %s: %s", got, demo.Do(t, "GET", "/compute/v2.1/servers/"+made.Server.ID, nil).Body)
	}
	var list struct {
		Volumes []struct{ ID, Status, Bootable string }
	}
	demo.Must(t, 200, "GET", "/volume/v3/volumes/detail", nil).JSON(t, &list)
	if len(list.Volumes) != 1 || list.Volumes[0].Status != "in-use" || list.Volumes[0].Bootable != "true" {
		t.Fatalf("volumes are %+v, want a bootable one in use", list.Volumes)
	}
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+made.Server.ID, nil)
	cloud.Settle(t)
	demo.Must(t, 404, "GET", "/volume/v3/volumes/"+list.Volumes[0].ID, nil)
}

func status(t *testing.T, who testcloud.User, id, status, server string) {
	t.Helper()
	var v struct {
		Volume struct {
			Status      string
			Attachments []struct {
				Server string `json:"server_id"`
			}
		}
	}
	who.Must(t, 200, "GET", "/volume/v3/volumes/"+id, nil).JSON(t, &v)
	got := ""
	if len(v.Volume.Attachments) > 0 {
		got = v.Volume.Attachments[0].Server
	}
	if v.Volume.Status != status || got != server {
		t.Errorf("volume %s is %s of server %q, want %s of %q", id, v.Volume.Status, got, status, server)
	}
}
