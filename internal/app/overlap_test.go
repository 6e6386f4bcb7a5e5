package app_test

import (
	"fmt"
	"testing"

	"nacre/internal/testcloud"
	"nacre/internal/work"
)

// A volume that is being attached cannot be detached yet, and a server that is
// deleted meanwhile takes the half-made attachment with it: nothing waits for
// what is gone.
func TestDetachAndDeleteWhileAttaching(t *testing.T) {
	cloud := testcloud.Start(t)
	s := &stage{cloud: cloud, demo: cloud.Demo()}
	withServer(t, s)
	withVolume(t, s)
	cloud.App.Engine.Interfere(func(p work.Point) error {
		if p.Plan == "server.attach_volume" && !p.Undo {
			return work.NotYet("the test holds it")
		}
		return nil
	})
	attach(t, s)
	attachment := s.path("/compute/v2.1/servers/%s/os-volume_attachments/%s", s.server, s.volume)
	s.demo.Must(t, 409, "DELETE", attachment, nil)
	s.demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+s.server, nil)
	cloud.Settle(t)
	var v struct{ Volume struct{ Status string } }
	s.demo.Must(t, 200, "GET", "/volume/v3/volumes/"+s.volume, nil).JSON(t, &v)
	if v.Volume.Status != "available" {
		t.Errorf("the volume is %s, want available", v.Volume.Status)
	}
}

// A detach that is cancelled by the removal of its server gives way, whatever
// else has happened to the attachment.
func TestDeleteWhileDetaching(t *testing.T) {
	cloud := testcloud.Start(t)
	s := &stage{cloud: cloud, demo: cloud.Demo()}
	withAttached(t, s)
	cloud.App.Engine.Interfere(func(p work.Point) error {
		if p.Plan == "server.detach_volume" && p.Step == "begin" && !p.Undo {
			return work.NotYet("the test holds it")
		}
		return nil
	})
	s.demo.Must(t, 202, "DELETE", fmt.Sprintf("/compute/v2.1/servers/%s/os-volume_attachments/%s", s.server, s.volume), nil)
	s.demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+s.server, nil)
	cloud.Settle(t)
	var v struct{ Volume struct{ Status string } }
	s.demo.Must(t, 200, "GET", "/volume/v3/volumes/"+s.volume, nil).JSON(t, &v)
	if v.Volume.Status != "available" {
		t.Errorf("the volume is %s, want available", v.Volume.Status)
	}
}
