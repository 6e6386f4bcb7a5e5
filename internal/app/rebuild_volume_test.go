package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/testcloud"
)

// withAggregate is a host in an aggregate, whose path is s.other.
func withAggregate(t *testing.T, s *stage) {
	const path = "/compute/v2.1/os-aggregates"
	admin := s.cloud.Admin()
	var made struct{ Aggregate struct{ ID int } }
	admin.Must(t, 200, "POST", path, `{"aggregate":{"name":"all"}}`).JSON(t, &made)
	s.other = fmt.Sprintf("%s/%d", path, made.Aggregate.ID)
	admin.Must(t, 200, "POST", s.other+"/action", `{"add_host":{"host":"node-1"}}`)
	t.Cleanup(func() {
		admin.Must(t, 200, "POST", s.other+"/action", `{"remove_host":{"host":"node-1"}}`)
		admin.Must(t, 200, "DELETE", s.other, nil)
	})
}

// rebuilt is a server whose root disk is a volume, and what it may be rebuilt from.
type rebuilt struct {
	cloud          *testcloud.Cloud
	user           testcloud.User
	server, volume string
}

func startRebuilt(t *testing.T) rebuilt {
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	s := &stage{cloud: cloud, demo: cloud.Demo()}
	s.net = s.demo.Network(t, "private")
	withBootVolume(t, s)
	var disks struct {
		List []struct{ VolumeID string } `json:"volumeAttachments"`
	}
	s.demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+s.server+"/os-volume_attachments", nil).JSON(t, &disks)
	return rebuilt{cloud, s.demo, s.server, disks.List[0].VolumeID}
}

// image makes an image of a few bytes.
func (r rebuilt) image(t *testing.T, name string, more string) string {
	var made struct{ ID string }
	r.user.Must(t, 201, "POST", "/image/v2/images", `{"name":"`+name+`","disk_format":"raw","container_format":"bare"`+more+`}`).JSON(t, &made)
	r.user.Must(t, 204, "PUT", "/image/v2/images/"+made.ID+"/file", make([]byte, 4096))
	return made.ID
}

func (r rebuilt) rebuild(t *testing.T, status int, version, image string) testcloud.Reply {
	t.Helper()
	reply := r.user.Must(t, status, "POST", "/compute/v2.1/servers/"+r.server+"/action", map[string]any{"rebuild": map[string]any{"imageRef": image}},
		"OpenStack-API-Version", "compute "+version)
	r.cloud.Settle(t)
	return reply
}

// is checks the server, its volume, and whose bytes the volume has.
func (r rebuilt) is(t *testing.T, server, volume, image string) {
	t.Helper()
	var shown struct {
		Volume struct {
			Status      string
			Attachments []struct {
				Server string `json:"server_id"`
			}
			Image map[string]string `json:"volume_image_metadata"`
		}
	}
	r.user.Must(t, 200, "GET", "/volume/v3/volumes/"+r.volume, nil).JSON(t, &shown)
	v := shown.Volume
	if got := r.user.ServerStatus(t, r.server); got != server || v.Status != volume || v.Image["image_id"] != image {
		t.Errorf("server %s, volume %s of image %s, want %s, %s, %s: %s", got, v.Status, v.Image["image_id"], server, volume, image,
			r.user.Do(t, "GET", "/compute/v2.1/servers/"+r.server, nil).Body)
	}
	if volume == "in-use" && (len(v.Attachments) != 1 || v.Attachments[0].Server != r.server) {
		t.Errorf("the volume is attached as %v, want to the server", v.Attachments)
	}
}

// A server whose root disk is a volume is rebuilt: before 2.93 from the image that
// the volume was made of, whose bytes it keeps; since then from any.
func TestRebuildOfVolume(t *testing.T) {
	t.Parallel()
	r := startRebuilt(t)
	cirros := r.user.Image(t, "cirros")
	other := r.image(t, "other", "")
	refused := func(version, image, reason string) {
		t.Helper()
		reply := r.rebuild(t, 400, version, image)
		if !strings.Contains(string(reply.Body), reason) {
			t.Errorf("refused by %s, want %q", reply.Body, reason)
		}
	}
	refused("2.92", other, "Unable to rebuild with a different image for a volume-backed server.")
	refused("2.93", r.image(t, "large", `,"min_disk":2`), "Volume is smaller than the minimum size specified in image metadata")
	refused("2.93", r.image(t, "greedy", `,"min_ram":4096`), "Flavor's memory is too small")

	revision := r.revision(t)
	r.rebuild(t, 202, "2.92", cirros)
	r.is(t, "ACTIVE", "in-use", cirros)
	if got := r.revision(t); got != revision {
		t.Errorf("the bytes were made anew, want them kept before 2.93")
	}
	r.rebuild(t, 202, "2.93", cirros)
	r.is(t, "ACTIVE", "in-use", cirros)
	if got := r.revision(t); got != revision+1 {
		t.Errorf("the bytes were made anew %d times, want once", got-revision)
	}
	r.rebuild(t, 202, "2.93", other)
	r.is(t, "ACTIVE", "in-use", other)

	r.user.Act(t, r.server, "os-stop")
	r.cloud.Settle(t)
	r.rebuild(t, 202, "2.93", cirros)
	r.is(t, "SHUTOFF", "in-use", cirros)
	r.user.Act(t, r.server, "os-start")
	r.cloud.Settle(t)
	r.is(t, "ACTIVE", "in-use", cirros)
}

// revision tells how many times the volume's bytes were made anew.
func (r rebuilt) revision(t *testing.T) (n int) {
	err := r.cloud.App.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Get(t.Context(), &n, "SELECT revision FROM volumes WHERE id = ?", r.volume)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A volume that did not get its bytes is in error, and so is the server: off,
// without a disk, in no transient state. Another rebuild mends both.
func TestRebuildOfVolumeFails(t *testing.T) {
	t.Parallel()
	r := startRebuilt(t)
	cirros := r.user.Image(t, "cirros")
	var broken atomic.Bool // the next time
	broken.Store(true)
	for _, host := range r.cloud.App.Simulated.Disks {
		host.SetFault(func(call, volume string, done bool) error {
			if call == "Ensure" && volume == r.volume && !done && broken.CompareAndSwap(true, false) {
				return errs.BadRequestf("the image cannot be read")
			}
			return nil
		})
	}
	r.rebuild(t, 202, "2.93", cirros)
	r.is(t, "ERROR", "error", cirros)
	var shown struct {
		Server struct {
			Task  *string `json:"OS-EXT-STS:task_state"`
			Power int     `json:"OS-EXT-STS:power_state"`
			Fault struct{ Message string }
		}
	}
	r.user.Must(t, 200, "GET", "/compute/v2.1/servers/"+r.server, nil).JSON(t, &shown)
	if shown.Server.Task != nil || shown.Server.Fault.Message == "" {
		text, _ := json.Marshal(shown)
		t.Errorf("the server is left as %s, want no task and a fault", text)
	}
	reply := r.user.Must(t, 409, "POST", "/compute/v2.1/servers/"+r.server+"/action", `{"reboot":{"type":"HARD"}}`)
	if !strings.Contains(string(reply.Body), "has no bytes") {
		t.Errorf("the reboot was refused by %s", reply.Body)
	}
	r.rebuild(t, 202, "2.93", cirros)
	r.is(t, "ACTIVE", "in-use", cirros)

	broken.Store(true)
	r.user.Must(t, 202, "POST", "/compute/v2.1/servers/"+r.server+"/action", map[string]any{"rebuild": map[string]any{"imageRef": cirros}})
	r.cloud.Settle(t)
	r.user.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+r.server, nil)
	r.cloud.Settle(t)
	r.user.Must(t, 404, "GET", "/volume/v3/volumes/"+r.volume, nil)
}
