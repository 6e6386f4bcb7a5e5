package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// What an operator forbids about images, sharing and growing of volumes is
// refused by the block storage itself and by compute on its behalf.
func TestVolumePolicies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	err := os.WriteFile(path, []byte(`
"volume:create_from_image": "role:admin"
"volume:multiattach": "role:admin"
"volume:extend_attached_volume": "role:admin"
"volume:multiattach_bootable_volume": "!"
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cloud := testcloud.Start(t, testcloud.Nodes(1), testcloud.PolicyFile(path))
	demo, admin := cloud.Demo(), cloud.Admin()
	var made struct{ Volume struct{ ID string } }
	refuse := func(who testcloud.User, path string, body any, rule string) {
		t.Helper()
		r := who.Do(t, "POST", path, body, "OpenStack-API-Version", "compute 2.60, volume 3.60")
		if r.Status != 403 || !strings.Contains(string(r.Body), rule) {
			t.Errorf("POST %s %v: got %d %s, want 403 by %s", path, body, r.Status, r.Body, rule)
		}
	}
	const volumes = "/volume/v3/volumes"
	admin.Must(t, 200, "POST", "/volume/v3/types", `{"volume_type":{"name":"shared","extra_specs":{"multiattach":"<is> True"}}}`)
	image := demo.Image(t, "cirros")
	refuse(demo, volumes, `{"volume":{"size":1,"imageRef":"`+image+`"}}`, "volume:create_from_image")
	refuse(demo, volumes, `{"volume":{"size":1,"volume_type":"shared"}}`, "volume:multiattach")
	volume, server := demo.CreateVolume(t, "v", 1), demo.MustCreateServer(t, "web")
	cloud.Settle(t)
	refuse(demo, volumes+"/"+volume+"/action", `{"os-retype":{"new_type":"shared"}}`, "volume:multiattach")
	attach := func(volume string) string { return `{"volumeAttachment":{"volumeId":"` + volume + `"}}` }
	demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/os-volume_attachments", attach(volume))
	cloud.Settle(t)
	refuse(demo, volumes+"/"+volume+"/action", `{"os-extend":{"new_size":2}}`, "volume:extend_attached_volume")

	admin.Must(t, 202, "POST", volumes, `{"volume":{"size":1,"volume_type":"shared","imageRef":"`+image+`"}}`).JSON(t, &made)
	cloud.Settle(t)
	const latest = "OpenStack-API-Version"
	var attachment struct{ Attachment struct{ ID string } }
	body := func(server string) string {
		return `{"attachment":{"volume_uuid":"` + made.Volume.ID + `","instance_uuid":"bbbbbbbb-0000-4000-8000-00000000000` + server + `","connector":{"host":"node-1"}}}`
	}
	admin.Must(t, 200, "POST", "/volume/v3/attachments", body("1"), latest, "volume 3.60").JSON(t, &attachment)
	admin.Must(t, 204, "POST", "/volume/v3/attachments/"+attachment.Attachment.ID+"/action", `{"os-complete":{}}`, latest, "volume 3.60")
	refuse(admin, "/volume/v3/attachments", body("2"), "volume:multiattach_bootable_volume")
	refuse(admin, "/compute/v2.1/servers/"+server+"/os-volume_attachments", attach(made.Volume.ID), "volume:multiattach_bootable_volume")
	admin.Must(t, 200, "DELETE", "/volume/v3/attachments/"+attachment.Attachment.ID, nil, latest, "volume 3.60")
}
