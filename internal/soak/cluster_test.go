package soak

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Two servers on PostgreSQL and RabbitMQ, and two processes of simulated hosts,
// lose processes and links at random moments while users work.
func TestClusterUnderFaults(t *testing.T) {
	seed := seeded(t)
	l := newLab(t)
	day := l.newDay(seed)
	day.work()
	f := l.wreck(seed, 200)
	day.end()
	l.repair()
	t.Logf("%s; %d requests answered, %d not; acknowledged: %d servers made, %d removed, %d volumes made, %d removed, %d images made, %d removed", f,
		day.answered.Load(), day.lost.Load(), len(day.servers.created), len(day.servers.removed), len(day.volumes.created), len(day.volumes.removed), len(day.images.created), len(day.images.removed))
	if len(day.servers.removed) < 10 || len(day.volumes.removed) < 10 {
		t.Errorf("the users got hardly anything done, so this run proves little")
	}
	admin := l.admin()
	audit(t, l.dir, admin, day.servers, day.volumes, day.images)
	day.history.check(t)
	day.tidy()
	l.empty(admin)
}

// day is what users do while things break.
type day struct {
	lab              *lab
	seed             uint64
	servers, volumes *ledger
	images           *ledger
	history          *history
	answered, lost   atomic.Int64
	network, image   string
	ports            []string
	container        string

	stop    chan struct{}
	working sync.WaitGroup
}

func (l *lab) newDay(seed uint64) *day {
	l.t.Helper()
	d := &day{lab: l, seed: seed, servers: newLedger(), volumes: newLedger(), images: newLedger(), history: newHistory(), stop: make(chan struct{})}
	demo := l.client("demo")
	var networks, images, projects []struct{ ID string }
	demo.list(l.t, "/network/v2.0/networks?name=private", "networks", &networks)
	demo.list(l.t, "/image/v2/images?name=cirros", "images", &images)
	demo.list(l.t, "/v3/auth/projects", "projects", &projects)
	d.network, d.image = networks[0].ID, images[0].ID
	for range 3 {
		var made struct{ Port struct{ ID string } }
		asked := time.Now()
		demo.must(l.t, "POST", "/network/v2.0/ports", map[string]any{"port": map[string]any{"network_id": d.network, "name": "first"}}, 201, &made)
		d.ports = append(d.ports, made.Port.ID)
		d.history.add(0, asked, question{thing: "port " + made.Port.ID, kind: "put", text: "first"}, answer{told: told})
	}
	d.container = "/v1/AUTH_" + projects[0].ID + "/shared"
	demo.must(l.t, "PUT", d.container, nil, 201, nil)
	return d
}

// work sets the users to work.
func (d *day) work() {
	for i := range 3 {
		w := d.worker(uint64(i))
		var has things
		d.user(w.r, func() { w.turn(&has) })
	}
	for i := range 4 {
		s := &sharer{worker: *d.worker(uint64(10 + i)), history: d.history, number: i + 1, ports: d.ports, objects: d.container}
		d.user(s.r, s.turn)
	}
}

func (d *day) worker(actor uint64) *worker {
	return &worker{c: d.lab.client("demo"), r: dice(d.seed, actor), servers: d.servers, volumes: d.volumes, images: d.images,
		answered: &d.answered, lost: &d.lost, network: d.network, image: d.image,
		unexpected: func(what string, status int, body []byte) { d.lab.t.Errorf("%s: unexpected %d %s", what, status, body) }}
}

func (d *day) user(r *rand.Rand, turn func()) {
	d.working.Go(func() {
		for {
			select {
			case <-d.stop:
				return
			case <-time.After(time.Duration(5+r.IntN(40)) * time.Millisecond):
				turn()
			}
		}
	})
}

func (d *day) end() {
	close(d.stop)
	d.working.Wait()
}

// tidy removes what the users share.
func (d *day) tidy() {
	demo := d.lab.client("demo")
	for _, id := range d.ports {
		demo.must(d.lab.t, "DELETE", "/network/v2.0/ports/"+id, nil, 204, nil)
	}
	var objects []struct{ Name string }
	_, body, err := demo.do("GET", d.container+"?format=json", nil)
	decode(d.lab.t, body, err, &objects)
	for _, o := range objects {
		demo.must(d.lab.t, "DELETE", d.container+"/"+o.Name, nil, 204, nil)
	}
	demo.must(d.lab.t, "DELETE", d.container, nil, 204, nil)
}

// minutes is how long a run goes on at least.
func minutes(t *testing.T) time.Duration {
	text := os.Getenv("NACRE_SOAK_MINUTES")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Minute
}

// wreck breaks things until so many processes were killed, and as long as the run
// is meant to last. Everything runs when it returns.
func (l *lab) wreck(seed uint64, kills int64) *faults {
	l.t.Helper()
	f := &faults{until: time.Now().Add(minutes(l.t)), wanted: kills}
	var wreckers sync.WaitGroup
	for i, s := range l.servers {
		wreckers.Go(func() {
			f.often(dice(seed, uint64(100+i)), 600*time.Millisecond, func(r *rand.Rand) {
				f.hurt(r, s.process)
				s.ready("https://" + s.listen)
			})
		})
	}
	for i, n := range l.nodes {
		wreckers.Go(func() {
			f.often(dice(seed, uint64(200+i)), 500*time.Millisecond, func(r *rand.Rand) { f.hurt(r, n) })
		})
	}
	wreckers.Go(func() {
		f.often(dice(seed, 300), 12*time.Second, func(r *rand.Rand) {
			f.hurt(r, l.postgres)
			l.revive()
		})
	})
	wreckers.Go(func() { f.often(dice(seed, 301), 12*time.Second, func(r *rand.Rand) { f.hurtBroker(l, r) }) })
	wreckers.Go(func() {
		f.often(dice(seed, 302), 3*time.Second, func(r *rand.Rand) {
			way := l.links[r.IntN(len(l.links))]
			way.cut()
			pause(r, 2*time.Second)
			way.mend()
			f.cuts.Add(1)
		})
	})
	wreckers.Wait()
	return f
}

// repair waits until the cluster is whole again.
func (l *lab) repair() {
	l.t.Helper()
	for _, s := range l.servers {
		s.ready("https://" + s.listen)
	}
	l.awaitHosts()
}

// faults counts what was broken.
type faults struct {
	until                time.Time
	wanted               int64
	kills, freezes, cuts atomic.Int64
}

// String implements fmt.Stringer.
func (f *faults) String() string {
	return strconv.FormatInt(f.kills.Load(), 10) + " kills, " + strconv.FormatInt(f.freezes.Load(), 10) + " freezes, " +
		strconv.FormatInt(f.cuts.Load(), 10) + " cut links"
}

// often does harm again and again, with a pause of up to max before each.
func (f *faults) often(r *rand.Rand, max time.Duration, harm func(r *rand.Rand)) {
	for f.kills.Load() < f.wanted || time.Now().Before(f.until) {
		pause(r, max)
		harm(r)
	}
}

func pause(r *rand.Rand, max time.Duration) { <-time.After(time.Duration(r.Int64N(int64(max)))) }

// hurt kills a process and starts it again, or freezes it for a while.
func (f *faults) hurt(r *rand.Rand, p *process) {
	if r.IntN(5) == 0 {
		p.signal(unix.SIGSTOP)
		pause(r, 2*time.Second)
		p.signal(unix.SIGCONT)
		f.freezes.Add(1)
		return
	}
	p.kill()
	p.start()
	f.kills.Add(1)
}

// hurtBroker mostly freezes it: its start takes long.
func (f *faults) hurtBroker(l *lab, r *rand.Rand) {
	if r.IntN(4) > 0 {
		l.broker.Freeze()
		pause(r, 4*time.Second)
		l.broker.Thaw()
		f.freezes.Add(1)
		return
	}
	l.broker.Kill()
	err := l.broker.Run()
	if err != nil {
		l.t.Error(err)
	}
	f.kills.Add(1)
}
