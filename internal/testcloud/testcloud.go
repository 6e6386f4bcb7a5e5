// Package testcloud is the whole product inside a test: the real services,
// database, work engine and node agents on simulated hosts, in one process and
// in a folder of its own.
//
// Tests speak to it as users do, through the public API. Plans and loops run
// in the background as they do in production; Settle waits until nothing is
// under way any more. What a test then judges is the difference between two
// Snapshots.
package testcloud

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/app"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/fabric"
	"nacre/internal/hosts/hoststest"
	"nacre/internal/work"
)

// Cloud is a running cloud. Its end belongs to the test.
type Cloud struct {
	App     *app.Cloud
	URL     string
	S3      string       // URL of the S3 API
	Servers []*app.Cloud // App is the first
	URLs    []string     // of each, URL is the first

	t      testing.TB
	still  bool
	errors *recorder
	asked  atomic.Int64 // how many requests users have sent
	mu     sync.Mutex   // guards tokens
	tokens map[string]string
}

// Option refines a cloud.
type Option func(*options)

type options struct {
	app.Config
	still   bool
	calm    bool
	own     bool
	servers int
	readers []slog.Handler
}

// Network has the cloud run on a network that the test has made, and on no host:
// the test plugs ports in by itself. The physical networks are as the setting of
// that name has them.
func Network(c fabric.Cluster, physical string) Option {
	return func(o *options) { o.Server, o.Config.Fabric, o.PhysicalNetworks, o.Hosts = true, c, physical, 0 }
}

// Nodes sets how many hosts there are; one if nobody says.
func Nodes(n int) Option { return func(o *options) { o.Hosts = n } }

// Scenario has the hosts meet what the file says. It also says how many there are.
func Scenario(path string) Option { return func(o *options) { o.Scenario = path } }

// CPUs divides the processors of each host, as the settings cpu_dedicated_set and
// cpu_shared_set do.
func CPUs(dedicated, shared string) Option {
	return func(o *options) { o.CPUDedicatedSet, o.CPUSharedSet = dedicated, shared }
}

// Stores sets further stores of images, as the setting image_stores does.
func Stores(setting string) Option { return func(o *options) { o.ImageStores = setting } }

// Reclaimed sets for how many seconds deleted servers can be restored.
func Reclaimed(seconds int) Option {
	return func(o *options) { o.ReclaimInstanceInterval = seconds }
}

// Converted makes imported images raw, as the setting image_conversion does.
func Converted() Option { return func(o *options) { o.ImageConversion = "raw" } }

// ShelvedFor sets for how many seconds shelved servers keep their hosts, as the
// setting shelved_offload_time does.
func ShelvedFor(seconds int) Option { return func(o *options) { o.ShelvedOffloadTime = seconds } }

// Dir uses an existing data folder, to go on where an earlier cloud stopped.
func Dir(path string) Option { return func(o *options) { o.DataDir = path } }

// OwnDB uses the database that the data folder names, SQLite in a fresh one,
// whatever tests run on.
func OwnDB() Option { return func(o *options) { o.own = true } }

// TokenProvider sets the kind of new tokens, as the setting token_provider does.
func TokenProvider(kind string) Option { return func(o *options) { o.Config.TokenProvider = kind } }

// PolicyFile lays an operator's file over the policy rules.
func PolicyFile(path string) Option { return func(o *options) { o.Config.PolicyFile = path } }

// Federation sets by which identity providers users sign in, as the settings'
// section of that name does.
func Federation(f app.Federation) Option { return func(o *options) { o.Config.Federation = f } }

// VendorData sets what guests are told by the operator.
func VendorData(v app.VendorData) Option { return func(o *options) { o.Config.VendorData = v } }

// Read has the test read the cloud's log.
func Read(log slog.Handler) Option { return func(o *options) { o.readers = append(o.readers, log) } }

// Broker connects the cloud with a RabbitMQ broker.
func Broker(url string) Option { return func(o *options) { o.Bus = url } }

// Still leaves the plans alone until the test turns the engine, which Settle
// does.
func Still() Option { return func(o *options) { o.still = true } }

// MayFail is for a test that breaks things: else an error in the cloud's log
// fails the test.
func MayFail() Option { return func(o *options) { o.calm = true } }

// Servers has the cloud run on n servers with one PostgreSQL database, and its
// hosts in nodes that join them, as in production: each with a certificate and a
// WebSocket of its own. Users ask one server after the other. It is also what
// NACRE_TEST_SERVERS=n does to every test that does not turn plans by hand or go
// on with a folder.
func Servers(n int) Option { return func(o *options) { o.servers = n } }

// Ahead sets the cloud's clock ahead, to go on with a folder some time later.
func Ahead(by time.Duration) Option { return func(o *options) { o.Clock = ahead{by: by} } }

// ahead is a clock that is so much ahead of the machine's.
type ahead struct {
	clock.Real
	by time.Duration
}

// Now implements clock.Clock.
func (a ahead) Now() time.Time { return a.Real.Now().Add(a.by) }

// Start runs a cloud until the test ends.
func Start(t testing.TB, opts ...Option) *Cloud {
	t.Helper()
	set := options{Config: app.Config{Hosts: 1}}
	for _, o := range opts {
		o(&set)
	}
	if text := os.Getenv("NACRE_TEST_SERVERS"); text != "" && !set.still && !set.own && set.DataDir == "" && set.servers == 0 {
		var err error
		set.servers, err = strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
	}
	if set.Bus == "" {
		set.Bus = os.Getenv("NACRE_TEST_BUS") // the address of a broker, to run all tests with it
	}
	errors := &recorder{}
	set.Log = logTo(errors, set.readers...)
	c := &Cloud{t: t, still: set.still, errors: errors, tokens: map[string]string{}}
	if !set.calm {
		t.Cleanup(func() {
			for _, line := range c.Errors() {
				t.Errorf("the cloud logged %s", line)
			}
		})
	}
	if set.DataDir == "" {
		set.DataDir = t.TempDir()
	}
	if set.servers > 0 {
		c.startCluster(t, set)
	} else {
		if !set.own {
			set.DB = dbtest.SourceIn(t, set.DataDir)
		}
		c.startServer(t, set.Config)
	}
	c.App, c.URL = c.Servers[0], c.URLs[0]
	for _, s := range c.Servers {
		c.until(t, "the hosts to come up", func(ctx context.Context) (bool, error) {
			all, err := s.Compute.Hypervisors(ctx)
			ready := 0
			for _, h := range all {
				if h.Up() && h.Offer.ID != "" { // with its inventory
					ready++
				}
			}
			return ready >= set.Hosts, err
		})
	}
	return c
}

// Reach is a cloud that runs in a process of its own, as far as its users reach it.
func Reach(t testing.TB, url string, secrets app.Secrets) *Cloud {
	return &Cloud{
		App: &app.Cloud{Secrets: secrets}, URL: url, URLs: []string{url},
		t: t, errors: &recorder{}, tokens: map[string]string{},
	}
}

// startServer runs a server until the test ends.
func (c *Cloud) startServer(t testing.TB, config app.Config) *app.Cloud {
	t.Helper()
	var cloud *app.Cloud
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cloud.Handler.ServeHTTP(w, r)
	}))
	config.Listen = server.Listener.Addr().String()
	config.PublicURL = "http://" + config.Listen
	cloud, err := app.Start(context.Background(), config)
	if err != nil {
		t.Fatalf("start cloud: %v", err)
	}
	checkEvents(t, cloud)
	s3 := httptest.NewServer(cloud.S3)
	if c.S3 == "" {
		c.S3 = s3.URL
	}
	c.Servers, c.URLs = append(c.Servers, cloud), append(c.URLs, config.PublicURL)
	server.Start()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c.still {
			cloud.Surroundings(ctx)
			return
		}
		cloud.Background(ctx)
	}()
	t.Cleanup(func() {
		for _, listening := range []*httptest.Server{server, s3} {
			listening.CloseClientConnections()
			listening.Close()
		}
		stop()
		<-ended
		err := cloud.Close()
		if err != nil {
			t.Errorf("close cloud: %v", err)
		}
	})
	return cloud
}

// patience is how long Settle and Until wait at most.
const patience = 60 * time.Second

// until looks at a condition until it holds, and fails the test when it does
// not in time.
func (c *Cloud) until(t testing.TB, what string, holds func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		ok, err := holds(ctx)
		if err != nil && ctx.Err() == nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", patience, what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Same waits until the world is as it was, and fails the test with the
// difference when it does not become so.
func (c *Cloud) Same(t testing.TB, want World, got func() World) {
	t.Helper()
	diff := ""
	ctx, cancel := context.WithTimeout(context.Background(), patience/4)
	defer cancel()
	for {
		diff = cmp.Diff(want, got())
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("the world is not as it was (-want +got):\n%s", diff)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Until waits for a condition that the test looks at through the API.
func (c *Cloud) Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	c.until(t, what, func(context.Context) (bool, error) { return holds(), nil })
}

// Settle waits until nothing moves: no plan is unfinished, no host owes an
// answer, and the network has been told everything.
func (c *Cloud) Settle(t testing.TB) {
	t.Helper()
	var left []string
	defer func() {
		if t.Failed() {
			for _, line := range left {
				t.Log("unfinished: " + line)
			}
		}
	}()
	calm := 0
	c.until(t, "everything to be still", func(ctx context.Context) (bool, error) {
		moved := false
		var err error
		if c.still {
			moved, err = c.App.Engine.Turn(ctx)
		}
		if err == nil {
			left, err = c.unfinished(ctx, true)
		}
		calm++
		if moved || len(left) > 0 {
			calm = 0
		}
		return calm > 0 && !c.still || calm > 1, err
	})
}

// Still waits until everything but the plans is at rest.
func (c *Cloud) Still(t testing.TB) {
	t.Helper()
	c.until(t, "hosts and network to be still", func(ctx context.Context) (bool, error) {
		left, err := c.unfinished(ctx, false)
		return len(left) == 0, err
	})
}

// unfinished lists what is under way, for people to read.
func (c *Cloud) unfinished(ctx context.Context, plans bool) (left []string, err error) {
	up, err := c.App.Simulated.Fabric.Up(ctx)
	if err != nil {
		return nil, err
	}
	err = c.App.DB.Read(ctx, func(tx *db.Tx) error {
		left = nil
		if plans {
			runs, err := work.List(ctx, tx, work.Query{Unfinished: true})
			if err != nil {
				return err
			}
			for _, r := range runs {
				left = append(left, fmt.Sprintf("plan %s of %s: %s: %s", r.Name, r.Resource, r.Step, r.Reason))
			}
		}
		owed, err := hoststest.Owed(ctx, tx)
		if err != nil {
			return err
		}
		var untold []string
		err = tx.All(ctx, &untold, "SELECT 'network has not been told of ' || kind || ' ' || id FROM network_dirty")
		if err != nil {
			return err
		}
		var active []string
		err = tx.All(ctx, &active, "SELECT id FROM ports WHERE status = 'ACTIVE' AND host <> ''")
		if err != nil {
			return err
		}
		slices.Sort(up)
		slices.Sort(active)
		if !slices.Equal(up, active) {
			left = append(left, fmt.Sprintf("ports %v are up, %v are ACTIVE", up, active))
		}
		left = append(append(left, owed...), untold...)
		return nil
	})
	return left, err
}

// FreeAddress finds a port that nobody listens on, nor on the one behind it, where S3
// is. It is below those that the kernel gives to connections, one of which could have
// it when a cloud that was killed starts again.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		at := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 10000 + 2*rand.IntN(11000)}
		free, err := net.ListenTCP("tcp", &at)
		if err != nil {
			continue
		}
		next, err := net.ListenTCP("tcp", &net.TCPAddr{IP: at.IP, Port: at.Port + 1})
		free.Close()
		if err == nil {
			next.Close()
			return at.String()
		}
	}
	t.Fatal("no two ports side by side are free")
	return ""
}
