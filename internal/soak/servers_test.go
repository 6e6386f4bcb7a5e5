package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/db/dbtest"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/testcloud"
)

// member is a process of a cluster, which the test kills.
type member struct {
	*Process
	part Part
	dir  string
	url  string
}

// rig is a cluster of real processes on one PostgreSQL database, without links
// between them that can be cut.
type rig struct {
	t       testing.TB
	dir     string
	db      string
	bus     string // of a broker; "" for none
	fabric  string
	servers []*member
	nodes   []*member
	admin   app.Secrets
}

// newRig starts servers, and a process of nodes called node-1 and so on.
func newRig(t testing.TB, servers, nodes int) *rig {
	t.Helper()
	return newRigOn(t, os.Getenv("NACRE_TEST_BUS"), servers, nodes)
}

// newRigOn is newRig with a broker between the servers.
func newRigOn(t testing.TB, bus string, servers, nodes int) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), db: dbtest.PostgresSource(t), bus: bus}
	listener, err := fabricsim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.fabric = listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = fabricsim.Serve(ctx, fabricsim.New(), listener) })
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	for range servers {
		r.addServer()
	}
	r.admin, err = ReadSecrets(r.servers[0].dir)
	if err != nil {
		t.Fatal(err)
	}
	r.addNodes("node", nodes, r.servers...)
	t.Cleanup(func() {
		if t.Failed() {
			r.explain()
		}
	})
	return r
}

// explain says how things stand when a test has failed.
func (r *rig) explain() {
	for _, m := range r.servers {
		for _, path := range []string{"/nacre/v1/plans?unfinished=true", "/nacre/v1/nodes", "/compute/v2.1/servers/detail?all_tenants=1"} {
			status, body, err := r.user(m, "admin").Do("GET", path, nil)
			r.t.Logf("%s of %s: %d %v %s", path, m.Name, status, err, body)
		}
	}
}

// addServer starts a server and waits until it answers, since the next one needs
// what the first settles: the key file.
func (r *rig) addServer() *member {
	name := fmt.Sprintf("server-%d", len(r.servers)+1)
	listen := testcloud.FreeAddress(r.t)
	m := r.member(name, "https://"+listen, Part{Cloud: &app.Config{
		Server: true, Listen: listen, DataDir: filepath.Join(r.dir, name), DB: r.db, Bus: r.bus, SimFabric: r.fabric,
		Blobs: filepath.Join(r.dir, "blobs"), KeyFile: filepath.Join(r.dir, "keys"), LogLevel: "warn",
	}})
	r.servers = append(r.servers, m)
	m.Start()
	m.Ready(m.url)
	return m
}

// addNodes starts a process that imagines hosts, which go to these servers.
func (r *rig) addNodes(name string, count int, servers ...*member) *member {
	var token struct{ Token string }
	err := app.AskOwn(r.t.Context(), r.servers[0].dir, "POST", "/nacre/v1/join-tokens", map[string]any{"uses": count}, &token)
	if err != nil {
		r.t.Fatal(err)
	}
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.url)
	}
	m := r.member(name, "", Part{Node: &app.NodeConfig{
		Servers: urls, Join: token.Token, DataDir: filepath.Join(r.dir, name), Name: name, Simulated: count, SimFabric: r.fabric, LogLevel: "error",
	}})
	r.nodes = append(r.nodes, m)
	m.Start()
	return m
}

func (r *rig) member(name, url string, p Part) *member {
	m := &member{part: p, dir: filepath.Join(r.dir, name), url: url}
	m.Process = Ours(r.t, name, func() Part { return m.part })
	return m
}

// user asks one server.
func (r *rig) user(m *member, name string) *Client {
	pass := r.admin.Demo
	if name == "admin" {
		pass = r.admin.Admin
	}
	return NewClient(r.t, filepath.Join(m.dir, "ca.pem"), name, pass, m.url)
}

type nodeRow struct {
	Name, Server string
	Up           bool
}

// nodesAt is what a server says of the nodes, by name.
func (r *rig) nodesAt(m *member) map[string]nodeRow {
	var reply struct{ Nodes []nodeRow }
	err := app.AskOwn(r.t.Context(), m.dir, "GET", "/nacre/v1/nodes", nil, &reply)
	if err != nil {
		r.t.Log(err)
	}
	out := map[string]nodeRow{}
	for _, n := range reply.Nodes {
		out[n.Name] = n
	}
	return out
}

// idOf is the id of a server.
func (r *rig) idOf(m *member) string {
	text, err := os.ReadFile(filepath.Join(m.dir, "owner"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// up waits until so many nodes are up, as a server sees it.
func (r *rig) up(m *member, count int) {
	r.t.Helper()
	await.Until(r.t, fmt.Sprintf("%d nodes to be up", count), 2*time.Minute, func() bool {
		up := 0
		for _, n := range r.nodesAt(m) {
			if n.Up {
				up++
			}
		}
		return up >= count
	})
	await.Until(r.t, "the server to know what nodes offer", time.Minute, func() bool {
		var reply struct{ Fits int }
		err := app.AskOwn(r.t.Context(), m.dir, "GET", "/nacre/v1/schedule/dry-run?flavor=1&count=1", nil, &reply)
		return err == nil && reply.Fits == 1
	})
}

// bootSome asks for servers on the network private, all at once, and returns their ids.
func bootSome(t testing.TB, c *Client, count int) []string {
	t.Helper()
	var networks, images []struct{ ID string }
	c.List(t, "/network/v2.0/networks?name=private", "networks", &networks)
	c.List(t, "/image/v2/images?name=cirros", "images", &images)
	ids := make([]string, count)
	var asking sync.WaitGroup
	for i := range ids {
		asking.Go(func() {
			status, body, err := c.Do("POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
				"name": fmt.Sprint("web-", i), "flavorRef": "1", "imageRef": images[0].ID, "networks": []any{map[string]any{"uuid": networks[0].ID}},
			}})
			if err != nil || status != 202 {
				t.Errorf("create server: %d %s %v", status, body, err)
				return
			}
			ids[i] = idOf(body, "server")
		})
	}
	asking.Wait()
	return ids
}

// statuses counts servers by their status.
func statuses(c *Client) map[string]int {
	status, body, err := c.Do("GET", "/compute/v2.1/servers/detail", nil)
	var reply struct{ Servers []struct{ Status string } }
	if err != nil || status != 200 || json.Unmarshal(body, &reply) != nil {
		return nil
	}
	count := map[string]int{}
	for _, s := range reply.Servers {
		count[s.Status]++
	}
	return count
}

// Whichever server is asked, the other has seen it; and when one is killed in the
// middle of its work, the other finishes that, and has its nodes.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 3)
	first, second := r.servers[0], r.servers[1]
	r.up(first, 3)
	r.up(second, 3)
	at := r.nodesAt(second)
	for name, n := range at {
		if n.Server != r.idOf(first) && n.Server != r.idOf(second) {
			t.Errorf("host %s is held by %q, want one of the servers", name, n.Server)
		}
	}
	demo := r.user(first, "demo")
	ids := bootSome(t, demo, 6)
	for _, id := range ids {
		status, body, err := r.user(second, "demo").Do("GET", "/compute/v2.1/servers/"+id, nil)
		if err != nil || status != 200 {
			t.Errorf("the other server does not know server %s: %d %s %v", id, status, body, err)
		}
	}
	r.killFrozen(first, second)
	left := r.user(second, "demo")
	await.Until(t, "all servers to be ACTIVE", time.Minute, func() bool { return statuses(left)["ACTIVE"] == len(ids) })
	await.Until(t, "all nodes to be at the server that is left", time.Minute, func() bool {
		there := 0
		for _, n := range r.nodesAt(second) {
			if n.Up && n.Server == r.idOf(second) {
				there++
			}
		}
		return there == 5
	})
	// It has taken over the loops too, without which no port would come up.
	more := bootSome(t, left, 3)
	await.Until(t, "servers made afterwards to be ACTIVE", time.Minute, func() bool {
		return statuses(left)["ACTIVE"] == len(ids)+len(more)
	})
	// Back again, the first knows all of it.
	first.Start()
	first.Ready(first.url)
	back := r.user(first, "demo")
	if got := statuses(back)["ACTIVE"]; got != len(ids)+len(more) {
		t.Errorf("the server that came back counts %d, want %d", got, len(ids)+len(more))
	}
}

// killFrozen kills a server while it holds a guest frozen whose host is at another
// server: the guest goes on, long before its host would have it go on by itself. It
// is frozen for snapshots of a disk whose host stands still.
func (r *rig) killFrozen(holder, other *member) {
	r.t.Helper()
	near, far := r.addNodes("near", 1, other), r.addNodes("far", 1, other)
	r.up(holder, 5)
	admin := r.user(holder, "admin")
	var services []struct{ Host string }
	await.Until(r.t, "hosts for volumes", time.Minute, func() bool {
		admin.List(r.t, "/volume/v3/os-services?binary=cinder-volume", "services", &services)
		return len(services) == 5
	})
	for _, s := range services {
		if !strings.HasPrefix(s.Host, "far-") {
			admin.Must(r.t, "PUT", "/volume/v3/os-services/disable", object{"host": s.Host, "binary": "cinder-volume"}, 200, nil)
		}
	}
	is := func(path, key, status string) {
		await.Until(r.t, path+" to be "+status, time.Minute, func() bool {
			_, body, _ := admin.Do("GET", path, nil)
			return fieldOf(body, key, "status") == status
		})
	}
	var images []struct{ ID string }
	admin.List(r.t, "/image/v2/images?name=cirros", "images", &images)
	var disk struct{ Volume struct{ ID string } }
	admin.Must(r.t, "POST", "/volume/v3/volumes", object{"volume": object{"size": 1, "imageRef": images[0].ID}}, 202, &disk)
	root := "/volume/v3/volumes/" + disk.Volume.ID
	is(root, "volume", "available")
	admin.Must(r.t, "POST", root+"/action", object{"os-set_image_metadata": object{"metadata": object{"hw_qemu_guest_agent": "yes"}}}, 200, nil)
	var made struct{ Server struct{ ID string } }
	admin.Must(r.t, "POST", "/compute/v2.1/servers", object{"server": object{
		"name": "quiet", "flavorRef": "1", "networks": "none", "host": "near-1",
		"block_device_mapping_v2": []any{object{"boot_index": 0, "uuid": disk.Volume.ID, "source_type": "volume", "destination_type": "volume"}},
	}}, 202, &made)
	path := "/compute/v2.1/servers/" + made.Server.ID
	is(path, "server", "ACTIVE")
	frozen := func() bool {
		text, err := os.ReadFile(filepath.Join(near.dir, "hosts", "near-1", "machines.json"))
		if err != nil {
			r.t.Fatal(err)
		}
		return strings.Contains(string(text), `"Frozen":true`)
	}
	far.Signal(unix.SIGSTOP)
	admin.Must(r.t, "POST", path+"/action", object{"createImage": object{"name": "copy"}}, 202, nil)
	await.Until(r.t, "the guest to be frozen", 20*time.Second, frozen)
	holder.Kill()
	await.Until(r.t, "the guest to go on", 20*time.Second, func() bool { return !frozen() })
	far.Signal(unix.SIGCONT)
}

// A server that stood still for longer than its leases last does no harm when it
// goes on: its plans and loops are another's by then.
func TestServerStandsStill(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 2)
	first, second := r.servers[0], r.servers[1]
	r.up(first, 2)
	ids := bootSome(t, r.user(first, "demo"), 8)
	first.Signal(unix.SIGSTOP)
	left := r.user(second, "demo")
	await.Until(t, "all servers to be ACTIVE", 2*time.Minute, func() bool { return statuses(left)["ACTIVE"] == len(ids) })
	for _, id := range ids[:4] {
		status, body, err := left.Do("DELETE", "/compute/v2.1/servers/"+id, nil)
		if err != nil || status != 204 {
			t.Errorf("delete server %s: %d %s %v", id, status, body, err)
		}
	}
	await.Until(t, "the deleted servers to be gone", time.Minute, func() bool {
		count := statuses(left)
		return count["ACTIVE"] == len(ids)-4 && len(count) == 1
	})
	first.Signal(unix.SIGCONT)
	first.Ready(first.url)
	back := r.user(first, "demo")
	await.Until(t, "the server that goes on to see what is", time.Minute, func() bool {
		count := statuses(back)
		return count["ACTIVE"] == len(ids)-4 && len(count) == 1
	})
	r.up(first, 2)
}

// A node that is killed comes back with its certificate, and what should run
// there runs.
func TestNodeIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 2)
	r.up(r.servers[0], 2)
	demo := r.user(r.servers[0], "demo")
	ids := bootSome(t, demo, 6)
	r.nodes[0].Kill()
	r.nodes[0].part.Node.Join = "" // it needs no token any more
	r.nodes[0].Start()
	await.Until(t, "all servers to be ACTIVE", time.Minute, func() bool { return statuses(demo)["ACTIVE"] == len(ids) })
	r.up(r.servers[0], 2)
}

// A second server with another key file, or another folder of bytes, refuses.
func TestServersThatDoNotFitRefuse(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	for what, change := range map[string]func(c *app.Config){
		"key file": func(c *app.Config) { c.KeyFile = filepath.Join(r.dir, "no-such-file") },
		"folder":   func(c *app.Config) { c.Blobs = filepath.Join(r.dir, "unmounted") },
	} {
		config := *r.servers[0].part.Cloud
		config.DataDir, config.Listen = filepath.Join(r.dir, "other-"+what), testcloud.FreeAddress(t)
		change(&config)
		cloud, err := app.Start(t.Context(), config)
		if err == nil {
			err = errors.Join(errors.New("it started"), cloud.Close())
		}
		if !strings.Contains(err.Error(), what) {
			t.Errorf("another %s: got %v, want a refusal that names it", what, err)
		}
	}
}
