package api_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/hosts"
	"nacre/internal/node"
	virtsim "nacre/internal/virt/simulated"
	"nacre/internal/volume"
	volumeapi "nacre/internal/volume/api"
	"nacre/internal/work"
)

const (
	demo  = "11111111111111111111111111111111"
	other = "22222222222222222222222222222222"
)

// bearers are the callers of tests, by their token.
var bearers = map[string]auth.Caller{
	"demo":   {User: "u-demo", Project: demo, Roles: []string{"member", "reader"}},
	"reader": {User: "u-reader", Project: demo, Roles: []string{"reader"}},
	"other":  {User: "u-other", Project: other, Roles: []string{"member", "reader"}},
	"admin":  {User: "u-admin", Project: "33333333333333333333333333333333", Roles: []string{"admin", "manager", "member", "reader"}},
	"system": {User: "u-admin", System: true, Roles: []string{"admin", "manager", "member", "reader"}},
}

type tokens struct{}

func (tokens) Caller(_ context.Context, token string) (auth.Caller, error) {
	caller, known := bearers[token]
	if !known {
		return auth.Caller{}, errs.Unauthorizedf("no such token")
	}
	return caller, nil
}

// imageShelf is an image service with two images. It takes no others.
type imageShelf struct{}

func (imageShelf) CreateImage(context.Context, volume.NewImage) error {
	return errs.Forbiddenf("This shelf is full.")
}

func (imageShelf) Upload(context.Context, volume.NewImage, io.Reader) error {
	return errs.Forbiddenf("This shelf is full.")
}

func (imageShelf) DeleteImage(context.Context, string) error { return nil }

func (imageShelf) Image(_ context.Context, who volume.Viewer, id string) (volume.Image, error) {
	image := volume.Image{
		ID: id, Name: "cirros", Status: "active", DiskFormat: "qcow2", ContainerFormat: "bare", Checksum: "abc",
		SizeBytes: 16 << 20, VirtualBytes: 2 << 30, MinDiskGB: 2, Properties: map[string]string{"os_distro": "debian"},
	}
	switch id {
	case goodImage:
		return image, nil
	case badImage:
		image.Usable = errs.BadRequestf("Image has a backing file.")
		return image, nil
	}
	return volume.Image{}, errs.NotFoundf("No image found with ID %s", id)
}

const (
	goodImage = "aaaaaaaa-0000-4000-8000-000000000001"
	badImage  = "aaaaaaaa-0000-4000-8000-000000000002"
	nowhere   = "aaaaaaaa-0000-4000-8000-00000000dead"
)

// cloud is block storage behind the real kernel, on simulated hosts.
type cloud struct {
	t       testing.TB
	url     string
	service *volume.Service
	engine  *work.Engine
	hosts   *hosts.Service
	db      *db.DB
	disks   []*blocksim.Host
	ctx     context.Context
}

func start(t testing.TB, number int) *cloud {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &cloud{t: t, ctx: ctx}
	database, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c.db = database
	c.engine = work.New(work.Options{DB: database, Log: log, Owner: "test"})
	c.hosts, err = hosts.New(ctx, hosts.Options{DB: database, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c.service = volume.New(volume.Options{DB: database, Log: log, Engine: c.engine, Hosts: c.hosts, Images: imageShelf{}})
	err = c.service.Bootstrap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy(slices.Concat(auth.BaseRules, volume.Policy))
	if err != nil {
		t.Fatal(err)
	}
	kernel := api.New(api.Options{Tokens: tokens{}, Policy: policy, Clock: clock.Real{}, Log: log})
	for _, s := range []api.Service{volumeapi.Discovery(), volumeapi.New(c.service)} {
		kernel.Add(s)
		for _, r := range s.Routes {
			if !r.Public && !policy.Has(r.Rule) {
				t.Fatalf("route %s %s names unknown rule %q", r.Method, r.Path, r.Rule)
			}
		}
	}
	server := httptest.NewServer(kernel)
	c.url = server.URL
	var running sync.WaitGroup
	running.Go(func() { c.engine.Run(ctx) })
	running.Go(func() { c.hosts.Run(ctx) })
	network := fabricsim.New()
	for i := range number {
		c.addHost(&running, fmt.Sprintf("node-%d", i+1), network)
	}
	t.Cleanup(func() {
		server.Close()
		cancel()
		running.Wait()
		err := database.Close()
		if err != nil {
			t.Error(err)
		}
	})
	c.until("the hosts are up", func() bool {
		backends, err := c.service.Backends(ctx)
		return err == nil && len(backends) == number
	})
	return c
}

func (c *cloud) addHost(running *sync.WaitGroup, name string, network *fabricsim.Cluster) {
	c.t.Helper()
	disks, err := blocksim.New(blocksim.Options{TotalGB: 100})
	if err != nil {
		c.t.Fatal(err)
	}
	machines, err := virtsim.New(virtsim.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	agent, err := node.New(node.Options{
		Name: name, BootID: "boot", Virt: machines, Fabric: network.Host(name), Block: disks, SharedExports: true,
		Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			ours, theirs := net.Pipe()
			running.Go(func() { c.hosts.Serve(ctx, name, theirs) })
			return ours, nil
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.disks = append(c.disks, disks)
	running.Go(func() { agent.Run(c.ctx) })
}

// until waits for a condition.
func (c *cloud) until(what string, holds func() bool) {
	c.t.Helper()
	await.Until(c.t, what, 20*time.Second, holds)
}

// reply is an answer, its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request at the newest microversion, or at the one given.
func (c *cloud) do(token, method, path, body string, version ...string) reply {
	c.t.Helper()
	request, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("X-Auth-Token", token)
	}
	if len(version) == 0 {
		version = []string{"3.71"}
	}
	if version[0] != "" {
		request.Header.Set("OpenStack-API-Version", "volume "+version[0])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, text}
}

// must is do with the status that is wanted; the body is read as an object.
func (c *cloud) must(status int, token, method, path, body string, version ...string) map[string]any {
	c.t.Helper()
	r := c.do(token, method, path, body, version...)
	if r.status != status {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, r.status, r.body, status)
	}
	if len(bytes.TrimSpace(r.body)) == 0 {
		return nil
	}
	var object map[string]any
	err := json.Unmarshal(r.body, &object)
	if err != nil {
		c.t.Fatalf("%s %s: %v in %s", method, path, err, r.body)
	}
	return object
}

// at follows keys into nested objects and lists.
func at(value any, keys ...any) any {
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[k]
		case int:
			list, _ := value.([]any)
			if k >= len(list) {
				return nil
			}
			value = list[k]
		}
	}
	return value
}

const base = "/volume/v3/" + demo

// create makes a volume and waits until it is available.
func (c *cloud) create(body string) string {
	c.t.Helper()
	id, _ := at(c.must(202, "demo", "POST", base+"/volumes", `{"volume":{`+body+`}}`), "volume", "id").(string)
	c.await(id, "available")
	return id
}

func (c *cloud) status(id string) string {
	c.t.Helper()
	r := c.do("admin", "GET", "/volume/v3/volumes/"+id, "")
	if r.status == 404 {
		return ""
	}
	var object any
	err := json.Unmarshal(r.body, &object)
	if err != nil {
		c.t.Fatal(err)
	}
	text, _ := at(object, "volume", "status").(string)
	return text
}

func (c *cloud) await(id, status string) {
	c.t.Helper()
	last := ""
	defer func() {
		if c.t.Failed() {
			c.t.Logf("volume %s is %s", id, last)
		}
	}()
	c.until("volume is "+status, func() bool { last = c.status(id); return last == status })
}

// bytes counts the volumes that the hosts have.
func (c *cloud) bytes() int {
	c.t.Helper()
	n := 0
	for _, d := range c.disks {
		list, err := d.List(c.ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		n += len(list)
	}
	return n
}

func (c *cloud) used(what string) any {
	c.t.Helper()
	return at(c.must(200, "demo", "GET", base+"/os-quota-sets/"+demo+"?usage=True", ""), "quota_set", what, "in_use")
}
