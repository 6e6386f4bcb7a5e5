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
	s.demo.Must(t, 400, "DELETE", attachment, nil)
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

// A host is lost while a server is on its way there. The move is taken back, so the
// server is where its disk is, and there is nothing to evacuate any more.
func TestEvacuateWhileMigrating(t *testing.T) {
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	s := &stage{cloud: cloud, demo: cloud.Demo()}
	atHome(withServer)(t, s)
	arrived, begins := make(chan bool, 1), make(chan bool, 1)
	hold := func(c chan bool) error {
		select {
		case c <- true:
		default:
		}
		return work.NotYet("the test holds it")
	}
	cloud.App.Engine.Interfere(func(p work.Point) error {
		switch {
		case p.Plan == "server.resize" && p.Step == "wait until it runs" && !p.Undo:
			return hold(arrived)
		case p.Plan == "server.evacuate" && !p.Undo:
			return hold(begins)
		}
		return nil
	})
	migrate(t, s)
	<-arrived
	lose(t, s, "node-2", true)
	adminDoes("evacuate", map[string]any{})(t, s)
	<-begins
	// The end of the move is not the end of what waited behind it.
	s.demo.Must(t, 409, "POST", "/compute/v2.1/servers/"+s.server+"/action", map[string]any{"shelve": nil})
	cloud.App.Engine.Interfere(nil)
	cloud.Settle(t)
	var shown struct {
		Server struct {
			Status string
			Host   string `json:"OS-EXT-SRV-ATTR:host"`
		}
	}
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/servers/"+s.server, nil).JSON(t, &shown)
	if shown.Server.Status != "ACTIVE" || shown.Server.Host != "node-1" {
		t.Errorf("the server is %+v, want it to be ACTIVE where it came from", shown.Server)
	}
	var list struct{ Migrations []struct{ Status string } }
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/os-migrations?migration_type=evacuation", nil, "OpenStack-API-Version", "compute 2.59").JSON(t, &list)
	if len(list.Migrations) != 1 || list.Migrations[0].Status != "failed" {
		t.Errorf("the evacuation is %+v, want it to have failed: it would have made the disk anew", list.Migrations)
	}
}
