package soak

import (
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// victim is a whole cloud in a process of its own, which the test kills and starts
// again on the same folder.
type victim struct {
	t       *testing.T
	dir     string // its data folder
	listen  string
	process *process
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, dir: filepath.Join(t.TempDir(), "cloud"), listen: testcloud.FreeAddress(t)}
	v.process = ours(t, "the cloud", func() part {
		return part{Cloud: &app.Config{DataDir: v.dir, DB: dbtest.SourceIn(t, v.dir), Listen: v.listen, Hosts: 3, LogLevel: "error"}}
	})
	return v
}

func (v *victim) start() {
	v.t.Helper()
	v.process.start()
	v.process.ready("http://" + v.listen)
}

// The cloud is killed with -9 at random moments while users work. Afterwards
// nothing is stuck, nothing acknowledged is lost, and nothing is left over.
func TestKilledAtRandomMoments(t *testing.T) {
	const kills = 32
	seed := seeded(t)
	v := newVictim(t)
	v.start()
	known, err := secrets(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + v.listen
	admin, demo := newClient(t, "", "admin", known.Admin, url), newClient(t, "", "demo", known.Demo, url)
	var networks, images []struct{ ID, Name string }
	demo.list(t, "/network/v2.0/networks?name=private", "networks", &networks)
	demo.list(t, "/image/v2/images?name=cirros", "images", &images)

	servers, volumes, made := newLedger(), newLedger(), newLedger()
	var answered, lost atomic.Int64
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range 4 {
		w := &worker{c: demo, r: dice(seed, uint64(i)), servers: servers, volumes: volumes, images: made,
			answered: &answered, lost: &lost, network: networks[0].ID, image: images[0].ID,
			unexpected: func(what string, status int, body []byte) { t.Errorf("%s: unexpected %d %s", what, status, body) }}
		working.Go(func() {
			var has things
			for {
				pause := time.Duration(w.r.IntN(8)) * time.Millisecond
				select {
				case <-stop:
					return
				case <-time.After(pause):
					w.turn(&has)
				}
			}
		})
	}
	r := dice(seed, 99)
	for range kills {
		<-time.After(time.Duration(50+r.IntN(600)) * time.Millisecond)
		v.process.kill()
		v.start()
	}
	close(stop)
	working.Wait()
	t.Logf("%d kills, %d requests answered, %d not; acknowledged: %d servers made, %d removed, %d volumes made, %d removed, %d images made, %d removed", kills,
		answered.Load(), lost.Load(), len(servers.created), len(servers.removed), len(volumes.created), len(volumes.removed), len(made.created), len(made.removed))
	if len(servers.removed) < 10 || len(volumes.removed) < 10 || len(made.removed) < 10 {
		t.Errorf("the users got hardly anything done, so this run proves little")
	}
	audit(t, filepath.Dir(v.dir), admin, servers, volumes, made)
	v.process.kill()
	autopsy(t, v)
}

// autopsy goes on with the folder of the killed cloud in this process, where it
// can see the hosts: once everything was removed, nothing is left but what a
// fresh cloud has.
func autopsy(t *testing.T, v *victim) {
	t.Helper()
	fresh := testcloud.Start(t, testcloud.Nodes(3))
	fresh.Settle(t)
	cloud := testcloud.Start(t, testcloud.Dir(v.dir), testcloud.Nodes(3))
	cloud.Settle(t)
	cloud.Demo().RemoveAll(t)
	cloud.Settle(t)
	want := shape(fresh.Snapshot(t))
	cloud.Same(t, want, func() testcloud.World { return shape(cloud.Snapshot(t)) })
}

// shape is a world without anything that two fresh clouds do not share.
func shape(w testcloud.World) testcloud.World {
	w = w.Plain()
	for kind, lines := range w {
		for i, line := range lines {
			lines[i] = random.ReplaceAllString(line, "ID")
		}
		slices.Sort(w[kind])
	}
	delete(w, "catalog_endpoints")
	delete(w, "users") // their password hashes
	return w
}

var random = regexp.MustCompile(`[0-9a-f]{32}`)
