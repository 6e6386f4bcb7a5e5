package soak

import (
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Day is what users do while things break: workers with things of their own, and
// sharers who use the same ones.
type Day struct {
	// Deaf is for guests that let go of no disk while they run: users take disks
	// from stopped ones only.
	Deaf bool
	// Lives has users do with their servers whatever can be done with them, and an
	// administrator too.
	Lives bool

	Servers, Volumes, Images, Rules *Ledger
	Trunks, Floating                *Ledger
	History                         *History

	t              *testing.T
	seed           uint64
	client         func(user string) *Client
	answered, lost atomic.Int64
	accepted       atomic.Int64 // changes
	project        string
	network, image string
	public         string // network
	group          string // security group
	ports          []string
	container      string
	bucket         bucket // the container by S3

	mu   sync.Mutex     // guards done
	done map[string]int // by the name of the action

	stop    chan struct{}
	working sync.WaitGroup
}

// NewDay prepares what users share. They are clients of the user demo.
func NewDay(t *testing.T, seed uint64, client func(user string) *Client) *Day {
	t.Helper()
	d := &Day{
		t: t, seed: seed, client: client, stop: make(chan struct{}), done: map[string]int{},
		Servers: NewLedger(), Volumes: NewLedger(), Images: NewLedger(), Rules: NewLedger(), Trunks: NewLedger(), Floating: NewLedger(), History: NewHistory(),
	}
	demo := client("demo")
	var networks, external, images, projects, groups []struct{ ID string }
	demo.List(t, "/network/v2.0/networks?name=public", "networks", &external)
	demo.List(t, "/network/v2.0/networks?name=private", "networks", &networks)
	demo.List(t, "/image/v2/images?name=cirros", "images", &images)
	demo.List(t, "/v3/auth/projects", "projects", &projects)
	demo.List(t, "/network/v2.0/security-groups?name=default", "security_groups", &groups)
	d.network, d.image, d.group, d.public, d.project = networks[0].ID, images[0].ID, groups[0].ID, external[0].ID, projects[0].ID
	for range 3 {
		var made struct{ Port struct{ ID string } }
		asked := time.Now()
		demo.Must(t, "POST", "/network/v2.0/ports", map[string]any{"port": map[string]any{"network_id": d.network, "name": "first"}}, 201, &made)
		d.ports = append(d.ports, made.Port.ID)
		d.History.add(0, asked, question{thing: "port " + made.Port.ID, kind: "put", text: "first"}, answer{told: told})
	}
	d.container = "/v1/AUTH_" + projects[0].ID + "/shared"
	demo.Must(t, "PUT", d.container, nil, 201, nil)
	d.bucket = newBucket(t, client("admin"), demo, "shared", projects[0].ID)
	return d
}

// Work sets users to work, and one more who builds networks; each of whom waits for up to the pause between two
// things that it does.
func (d *Day) Work(workers, sharers int, pause time.Duration) {
	for i := range workers {
		w := d.worker(uint64(i))
		var has things
		d.user(w.r, pause, func() { w.turn(&has) })
	}
	n := &networker{worker: *d.worker(9), public: d.public}
	d.user(n.r, pause, n.turn)
	if d.Lives {
		o := &operator{worker: *d.worker(8)}
		o.c = o.admin
		d.user(o.r, 50*pause, o.turn)
	}
	for i := range sharers {
		s := &sharer{worker: *d.worker(uint64(10 + i)), history: d.History, number: i + 1, ports: d.ports, objects: d.container, bucket: d.bucket}
		d.user(s.r, pause, s.turn)
	}
}

func (d *Day) worker(actor uint64) *worker {
	return &worker{Day: d, c: d.client("demo"), admin: d.client("admin"), r: Dice(d.seed, actor)}
}

func (d *Day) user(r *rand.Rand, pause time.Duration, turn func()) {
	d.working.Go(func() {
		for {
			select {
			case <-d.stop:
				return
			case <-time.After(time.Duration(r.Int64N(int64(pause)))):
				turn()
			}
		}
	})
}

// End sends the users home and tells what they got done.
func (d *Day) End() {
	close(d.stop)
	d.working.Wait()
	d.t.Logf("%d requests answered, %d not; acknowledged: %d servers made, %d removed, %d volumes made, %d removed, %d images made, %d removed, %d rules made, %d removed",
		d.answered.Load(), d.lost.Load(), len(d.Servers.created), len(d.Servers.removed), len(d.Volumes.created), len(d.Volumes.removed),
		len(d.Images.created), len(d.Images.removed), len(d.Rules.created), len(d.Rules.removed))
	d.t.Logf("and %d trunks made, %d removed, %d floating IPs made, %d removed", len(d.Trunks.created), len(d.Trunks.removed),
		len(d.Floating.created), len(d.Floating.removed))
}

// Enough tells whether the users have made and removed so many servers and volumes.
func (d *Day) Enough(servers, volumes int) bool {
	return d.Servers.gone() >= servers && d.Volumes.gone() >= volumes
}

// MustEnough fails a test in which the users got hardly anything done.
func (d *Day) MustEnough(servers, volumes int) {
	d.t.Helper()
	if !d.Enough(servers, volumes) {
		d.t.Errorf("the users got hardly anything done, so this run proves little")
	}
}

// Tidy removes what the users share, and the rules that they have left.
func (d *Day) Tidy() {
	demo := d.client("demo")
	var rules []struct{ ID string }
	demo.List(d.t, "/network/v2.0/security-group-rules?protocol=tcp&security_group_id="+d.group, "security_group_rules", &rules)
	for _, r := range rules {
		demo.Must(d.t, "DELETE", "/network/v2.0/security-group-rules/"+r.ID, nil, 204, nil)
	}
	d.tidyNetwork()
	for _, id := range d.ports {
		demo.Must(d.t, "DELETE", "/network/v2.0/ports/"+id, nil, 204, nil)
	}
	var objects []struct{ Name string }
	_, body, err := demo.Do("GET", d.container+"?format=json", nil)
	if err == nil {
		err = json.Unmarshal(body, &objects)
	}
	if err != nil {
		d.t.Fatalf("read reply %s: %v", body, err)
	}
	for _, o := range objects {
		demo.Must(d.t, "DELETE", d.container+"/"+o.Name, nil, 204, nil)
	}
	demo.Must(d.t, "DELETE", d.container, nil, 204, nil) // and with it what was sent in parts and not completed
	d.bucket.remove(d.t, demo)
}
