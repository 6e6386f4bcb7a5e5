package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/await"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/compute"
	computeapi "nacre/internal/compute/api"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/hosts"
	"nacre/internal/loop"
	"nacre/internal/node"
	"nacre/internal/placement"
	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
	"nacre/internal/work"
)

// cloud is compute with real placement, hosts, plans and simulated nodes;
// image, network and volume service are small ones in the same database.
type cloud struct {
	links sync.Map // the nodes' ends of their connections, by host
	mute  sync.Map // hosts that connect no more

	t         testing.TB
	ctx       context.Context
	db        *db.DB
	engine    *work.Engine
	hosts     *hosts.Service
	compute   *compute.Service
	placement *placement.Service
	machines  map[string]*virtsim.Host
	handler   http.Handler
	policy    *auth.Policy
}

type options struct {
	hosts     int
	capacity  virt.Capacity
	still     bool        // the engine is turned by the test
	clock     clock.Clock // of plans; the machine's, if nil
	log       io.Writer
	addresses map[string]string // of hosts, by name

	configure func(*compute.Options)
}

func start(t testing.TB, o options) *cloud {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	if o.clock != nil {
		d.UseClock(o.clock)
	}
	if o.log == nil {
		o.log = io.Discard
	}
	if o.hosts == 0 {
		o.hosts = 1
	}
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := &cloud{t: t, ctx: ctx, db: d, machines: map[string]*virtsim.Host{}}
	c.engine = work.New(work.Options{DB: d, Clock: o.clock, Log: log})
	c.hosts, err = hosts.New(ctx, hosts.Options{DB: d, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c.placement, err = placement.New(ctx, placement.Options{DB: d})
	if err != nil {
		t.Fatal(err)
	}
	others := newOthers(t, d, c.hosts)
	settings := compute.Options{
		DB: d, Log: log, Engine: c.engine, Hosts: c.hosts, Placement: c.placement,
		Images: images{&sync.Map{}}, Networks: networks{others}, Volumes: volumes{others}, Consoles: consoles{},
		ConfigDrive: func(files map[string][]byte) ([]byte, error) { return json.Marshal(files) },
	}
	if o.configure != nil {
		o.configure(&settings)
	}
	c.compute, err = compute.New(ctx, settings)
	if err != nil {
		t.Fatal(err)
	}
	err = c.compute.Bootstrap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.serve(log)
	var running sync.WaitGroup
	running.Go(func() { c.hosts.Run(ctx) })
	if !o.still {
		running.Go(func() { c.engine.Run(ctx) })
	}
	network := fabricsim.New()
	for i := range o.hosts {
		c.addHost(&running, network, fmt.Sprintf("node-%d", i+1), o, log)
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		d.Close()
	})
	c.until("hosts are up", func() bool {
		list, err := c.compute.Hypervisors(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ready := 0
		for _, h := range list {
			if h.Up() && h.Offer.ID != "" {
				ready++
			}
		}
		return ready == o.hosts
	})
	return c
}

func (c *cloud) addHost(running *sync.WaitGroup, network *fabricsim.Cluster, name string, o options, log *slog.Logger) {
	machines, err := virtsim.New(virtsim.Options{Capacity: o.capacity})
	if err != nil {
		c.t.Fatal(err)
	}
	disks, err := blocksim.New(blocksim.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.machines[name] = machines
	agent, err := node.New(node.Options{
		Name: name, Virt: machines, Fabric: network.Host(name), Block: disks, Log: log, BootID: "boot", Address: o.addresses[name],
		Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			_, mute := c.mute.Load(name)
			if mute {
				return nil, errors.New("the test keeps the host from connecting")
			}
			ours, theirs := net.Pipe()
			c.links.Store(name, ours)
			running.Go(func() { c.hosts.Serve(ctx, name, theirs) })
			return ours, nil
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	running.Go(func() {
		agent.Run(c.ctx)
		machines.Close()
	})
}

// cut ends the connection of a host, which connects again.
func (c *cloud) cut(host string) {
	link, _ := c.links.Load(host)
	link.(io.Closer).Close()
}

func (c *cloud) serve(log *slog.Logger) {
	policy, err := auth.NewPolicy(append(append([]auth.Rule{}, auth.BaseRules...), compute.Policy...))
	if err != nil {
		c.t.Fatal(err)
	}
	k := api.New(api.Options{Tokens: tokens{}, Policy: policy, Clock: clock.Real{}, Log: log, PublicURL: "http://cloud"})
	k.Add(computeapi.New(c.compute))
	k.Add(computeapi.Discovery())
	c.handler, c.policy = k, policy
}

// until waits for a condition.
func (c *cloud) until(what string, ok func() bool) {
	c.t.Helper()
	await.Until(c.t, what, 20*time.Second, ok)
}

// tokens knows callers by name: user-project-role.
type tokens struct{}

func (tokens) Caller(_ context.Context, token string) (auth.Caller, error) {
	switch token {
	case "demo":
		return auth.Caller{User: "demo-user", Project: "demo", Roles: []string{"member", "reader"}}, nil
	case "second":
		return auth.Caller{User: "second-user", Project: "demo", Roles: []string{"member", "reader"}}, nil
	case "other":
		return auth.Caller{User: "other-user", Project: "other", Roles: []string{"member", "reader"}}, nil
	case "service":
		return auth.Caller{User: "cinder", Project: "service", Roles: []string{"service"}}, nil
	case "reader":
		return auth.Caller{User: "reader-user", Project: "demo", Roles: []string{"reader"}}, nil
	case "admin":
		return auth.Caller{User: "admin-user", Project: "admin", Roles: []string{"admin", "manager", "member", "reader"}}, nil
	}
	return auth.Caller{}, errs.Unauthorizedf("no such token")
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// at walks into the JSON body: keys, and numbers for lists.
func (r reply) at(t testing.TB, path ...any) any {
	t.Helper()
	var value any
	err := json.Unmarshal(r.body, &value)
	if err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[s]
		case int:
			l, _ := value.([]any)
			if s >= len(l) {
				return nil
			}
			value = l[s]
		}
	}
	return value
}

// as makes a request as a caller, with a microversion when it has the form
// "demo@2.96".
func (c *cloud) as(who, method, path, body string) reply {
	name, version, _ := strings.Cut(who, "@")
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/compute/v2.1"+path, reader)
	r.Header.Set("X-Auth-Token", name)
	if version != "" {
		r.Header.Set("OpenStack-API-Version", "compute "+version)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), bytes.TrimSpace(w.Body.Bytes())}
}

// must is as, for what has to succeed with that status.
func (c *cloud) must(status int, who, method, path, body string) reply {
	c.t.Helper()
	r := c.as(who, method, path, body)
	if r.status != status {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, r.status, r.body, status)
	}
	return r
}

const imageID = "11111111-1111-4111-8111-111111111111"

// server makes a server and returns its id.
func (c *cloud) server(name, more string) string {
	c.t.Helper()
	body := fmt.Sprintf(`{"server":{"name":%q,"imageRef":%q,"flavorRef":"1","networks":"auto"%s}}`, name, imageID, more)
	return c.must(202, "demo@2.96", "POST", "/servers", body).at(c.t, "server", "id").(string)
}

// active makes a server and waits until it is there.
func (c *cloud) active(name, more string) string {
	c.t.Helper()
	id := c.server(name, more)
	c.status(id, "ACTIVE")
	return id
}

// status waits until the server has it and nothing is being done to it.
func (c *cloud) status(id, want string) reply {
	c.t.Helper()
	var r reply
	c.until("server is "+want, func() bool {
		r = c.must(200, "admin@2.96", "GET", "/servers/"+id, "")
		got := r.at(c.t, "server", "status")
		if got == "ERROR" && want != "ERROR" {
			c.t.Fatalf("server is in ERROR: %s", r.body)
		}
		return got == want && r.at(c.t, "server", "OS-EXT-STS:task_state") == nil
	})
	return r
}

// once runs a loop of the service, which nothing else runs here.
func (c *cloud) once(name string) {
	c.t.Helper()
	loops := c.compute.Loops()
	at := slices.IndexFunc(loops, func(l loop.Loop) bool { return l.Name == name })
	if at < 0 {
		c.t.Fatalf("there is no loop %s", name)
	}
	err := loops[at].Once(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
}

// gone waits until the server is deleted.
func (c *cloud) gone(id string) {
	c.t.Helper()
	c.until("server is gone", func() bool { return c.as("admin", "GET", "/servers/"+id, "").status == 404 })
}
