package fulldisk

import (
	"bytes"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// The disk of a whole cloud gets full. What users ask is refused with a reason,
// what they have stays whole, and with space again it goes on where it was.
func TestCloud(t *testing.T) {
	disk := newDisk(t, 256<<20)
	cloud := testcloud.Start(t, testcloud.Dir(disk.path("cloud")), testcloud.OwnDB(), testcloud.MayFail())
	demo := cloud.Demo()
	container := "/v1/AUTH_" + demo.Project(t) + "/things"
	demo.Must(t, 201, "PUT", container, nil)
	old, large := bytes.Repeat([]byte("old "), 1000), bytes.Repeat([]byte("new "), 1<<20)
	demo.Must(t, 201, "PUT", container+"/kept", old)
	server := demo.MustCreateServer(t, "before")
	image := newImage(t, demo)
	cloud.Settle(t)

	disk.fill(0)
	refused := 0
	for range 30 { // what has a page to spare may still be written
		for _, ask := range []func() testcloud.Reply{
			func() testcloud.Reply { return demo.Do(t, "PUT", container+"/kept", large) },
			func() testcloud.Reply { return demo.Do(t, "PUT", container+"/torn", large) },
			func() testcloud.Reply {
				return demo.Do(t, "PUT", "/image/v2/images/"+image+"/file", large, "Content-Type", "application/octet-stream")
			},
			func() testcloud.Reply {
				return demo.Do(t, "POST", "/network/v2.0/networks", map[string]any{"network": map[string]any{"name": "n", "description": strings.Repeat("x", 250)}})
			},
			func() testcloud.Reply {
				return demo.Do(t, "POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{"size": 1, "name": "v"}})
			},
		} {
			reply := ask()
			switch {
			case reply.Status == 507:
				refused++
				if text := string(reply.Body); !strings.Contains(text, "Insufficient Storage") && !strings.Contains(text, "no space left") {
					t.Errorf("the refusal does not say why: %s", text)
				}
			case reply.Status >= 500:
				t.Fatalf("on a full disk: %d %s", reply.Status, reply.Body)
			}
		}
	}
	if refused < 100 {
		t.Errorf("%d requests were refused, so the disk was hardly full", refused)
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+server, nil)
	same(t, demo, container+"/kept", old)
	demo.Must(t, 404, "GET", container+"/torn", nil)

	disk.free()
	var shown struct{ Status string }
	demo.Must(t, 200, "GET", "/image/v2/images/"+image, nil).JSON(t, &shown)
	if shown.Status != "queued" {
		t.Errorf("an image for which there was no room is %s, want queued", shown.Status)
	}
	demo.Must(t, 204, "PUT", "/image/v2/images/"+image+"/file", large, "Content-Type", "application/octet-stream")
	demo.Must(t, 201, "PUT", container+"/kept", large)
	same(t, demo, container+"/kept", large)
	demo.MustCreateServer(t, "after")
	cloud.Settle(t)
	if got := demo.ServerStatus(t, server); got != "ACTIVE" {
		t.Errorf("the server from before is %s", got)
	}
}

// newImage makes an image without bytes.
func newImage(t *testing.T, u testcloud.User) string {
	t.Helper()
	var made struct{ ID string }
	u.Must(t, 201, "POST", "/image/v2/images", map[string]any{"name": "i", "disk_format": "raw", "container_format": "bare"}).JSON(t, &made)
	return made.ID
}

// same reads an object.
func same(t *testing.T, u testcloud.User, path string, want []byte) {
	t.Helper()
	got := u.Must(t, 200, "GET", path, nil).Body
	if !bytes.Equal(got, want) {
		t.Errorf("the object has %d bytes, %.20q…, want the %d that were acknowledged", len(got), got, len(want))
	}
}
