package soak

import (
	"path/filepath"
	"regexp"
	"slices"
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
	config  app.Config // besides these
	process *Process
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, dir: filepath.Join(t.TempDir(), "cloud"), listen: testcloud.FreeAddress(t)}
	v.process = Ours(t, "the cloud", func() Part {
		c := v.config
		c.DataDir, c.DB, c.Listen, c.LogLevel = v.dir, dbtest.SourceIn(t, v.dir), v.listen, "error"
		return Part{Cloud: &c}
	})
	return v
}

func (v *victim) Start() {
	v.t.Helper()
	v.process.Start()
	v.process.Ready("http://" + v.listen)
}

// The cloud is killed with -9 at random moments while users work. Afterwards
// nothing is stuck, nothing acknowledged is lost, and nothing is left over.
func TestKilledAtRandomMoments(t *testing.T) {
	const kills = 32
	seed := Seeded(t)
	v := newVictim(t)
	v.config.Hosts = 3
	v.Start()
	known, err := ReadSecrets(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + v.listen
	admin, demo := NewClient(t, "", "admin", known.Admin, url), NewClient(t, "", "demo", known.Demo, url)
	day := NewDay(t, seed, func(user string) *Client { return map[string]*Client{"admin": admin, "demo": demo}[user] })
	day.Work(4, 2, 8*time.Millisecond)
	r := Dice(seed, 99)
	for killed := 0; killed < kills || !day.Enough(10, 10) && killed < 4*kills; killed++ {
		<-time.After(time.Duration(50+r.IntN(600)) * time.Millisecond)
		v.process.Kill()
		v.Start()
	}
	day.End()
	day.MustEnough(10, 10)
	auditHosts(t, filepath.Dir(v.dir), Audit(t, admin, day, NoExcuse))
	day.Tidy()
	v.process.Kill()
	autopsy(t, v, testcloud.Nodes(3))
}

// autopsy goes on with the folder of the killed cloud in this process, where it
// can see the hosts: once everything was removed, nothing is left but what a
// fresh cloud has.
func autopsy(t *testing.T, v *victim, hosts ...testcloud.Option) {
	t.Helper()
	fresh := testcloud.Start(t, hosts...)
	fresh.Settle(t)
	// Later, since the bytes of an object whose writer was killed are kept for a while:
	// the writer might live.
	cloud := testcloud.Start(t, append(hosts, testcloud.Dir(v.dir), testcloud.Ahead(5*time.Minute))...)
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

// random are ids, and the prefix of its own that each cloud has for IPv6.
var random = regexp.MustCompile(`[0-9a-f]{32}|fd[0-9a-f]{2}:[0-9a-f:]+::/48`)
