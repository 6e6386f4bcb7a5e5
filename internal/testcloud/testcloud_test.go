package testcloud_test

import (
	"testing"

	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// A user's whole way: a server with a volume and a floating IP comes, lives and
// goes, and when it is gone the world is as it was.
func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	cloud.Settle(t)
	before := cloud.Snapshot(t)

	server := demo.MustCreateServer(t, "web")
	path := "/compute/v2.1/servers/" + server
	var shown struct {
		Server struct {
			Name, Status string
			Addresses    map[string][]struct{ Addr string }
		}
	}
	demo.Must(t, 200, "GET", path, nil).JSON(t, &shown)
	if shown.Server.Name != "web" || len(shown.Server.Addresses["private"]) == 0 {
		t.Fatalf("got %+v, want a server web with an address on private", shown.Server)
	}
	demo.Act(t, server, "os-stop")
	cloud.Settle(t)
	wantStatus(t, demo, server, "SHUTOFF")
	demo.Act(t, server, "os-start")
	cloud.Settle(t)
	wantStatus(t, demo, server, "ACTIVE")

	volume := demo.CreateVolume(t, "data", 1)
	cloud.Settle(t)
	demo.Must(t, 200, "POST", path+"/os-volume_attachments", map[string]any{"volumeAttachment": map[string]any{"volumeId": volume}})
	cloud.Settle(t)
	if got := demo.VolumeStatus(t, volume); got != "in-use" {
		t.Errorf("the attached volume is %s, want in-use", got)
	}
	address := demo.FloatingIP(t, demo.PortOf(t, server))
	cloud.Settle(t)
	if world := cloud.Snapshot(t); len(world["guests"]) != 1 || len(world["taps"]) != 1 || len(world["disks"]) != 1 {
		t.Errorf("got guests %v, taps %v, disks %v, want one of each", world["guests"], world["taps"], world["disks"])
	}

	demo.Must(t, 202, "DELETE", path+"/os-volume_attachments/"+volume, nil)
	cloud.Settle(t)
	if got := demo.VolumeStatus(t, volume); got != "available" {
		t.Errorf("the detached volume is %s, want available", got)
	}
	demo.Must(t, 202, "DELETE", "/volume/v3/volumes/"+volume, nil)
	demo.Must(t, 204, "DELETE", "/network/v2.0/floatingips/"+address, nil)
	demo.Must(t, 204, "DELETE", path, nil)
	cloud.Settle(t)
	wantStatus(t, demo, server, "")
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

func wantStatus(t *testing.T, u testcloud.User, server, want string) {
	t.Helper()
	if got := u.ServerStatus(t, server); got != want {
		t.Errorf("the server is %q, want %q", got, want)
	}
}

// A cloud that is started again on its folder has everything it had.
func TestGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dbtest.SourceIn(t, dir) // stays until the end of this test, not of the first part
	var before testcloud.World
	t.Run("first", func(t *testing.T) {
		cloud := testcloud.Start(t, testcloud.Dir(dir))
		demo := cloud.Demo()
		server := demo.MustCreateServer(t, "web")
		volume := demo.CreateVolume(t, "data", 1)
		cloud.Settle(t)
		demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/os-volume_attachments", map[string]any{"volumeAttachment": map[string]any{"volumeId": volume}})
		cloud.Settle(t)
		before = cloud.Snapshot(t)
	})
	cloud := testcloud.Start(t, testcloud.Dir(dir))
	cloud.Settle(t)
	// The catalog has the addresses of each process.
	delete(before, "catalog_endpoints")
	cloud.Same(t, before, func() testcloud.World {
		after := cloud.Snapshot(t)
		delete(after, "catalog_endpoints")
		return after
	})
}
