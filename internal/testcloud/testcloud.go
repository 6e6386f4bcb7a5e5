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
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/db"
	"nacre/internal/work"
)

// Cloud is a running cloud. Its end belongs to the test.
type Cloud struct {
	App *app.Cloud
	URL string

	t      testing.TB
	server *httptest.Server
	mu     sync.Mutex // guards tokens
	tokens map[string]string
}

// Option refines a cloud.
type Option func(*app.Config)

// Nodes sets how many hosts there are; one if nobody says.
func Nodes(n int) Option { return func(c *app.Config) { c.Hosts = n } }

// Dir uses an existing data folder, to go on where an earlier cloud stopped.
func Dir(path string) Option { return func(c *app.Config) { c.DataDir = path } }

// Start runs a cloud until the test ends.
func Start(t testing.TB, options ...Option) *Cloud {
	t.Helper()
	config := app.Config{Hosts: 1, Log: slog.New(slog.DiscardHandler)}
	if os.Getenv("NACRE_TEST_LOG") != "" {
		config.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, o := range options {
		o(&config)
	}
	if config.DataDir == "" {
		config.DataDir = t.TempDir()
	}
	c := &Cloud{t: t, tokens: map[string]string{}}
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.App.Handler.ServeHTTP(w, r)
	}))
	config.Listen = c.server.Listener.Addr().String()
	cloud, err := app.Start(context.Background(), config)
	if err != nil {
		t.Fatalf("start cloud: %v", err)
	}
	c.App, c.URL = cloud, "http://"+config.Listen
	c.server.Start()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cloud.Background(ctx)
	}()
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
		stop()
		<-ended
		err := cloud.Close()
		if err != nil {
			t.Errorf("close cloud: %v", err)
		}
	})
	c.until("the hosts to come up", func(ctx context.Context) (bool, error) {
		all, err := cloud.Hosts.List(ctx)
		up := 0
		for _, h := range all {
			if h.Up {
				up++
			}
		}
		return up >= cloud.Config.Hosts, err
	})
	return c
}

// patience is how long Settle and Until wait at most.
const patience = 30 * time.Second

// until looks at a condition until it holds, and fails the test when it does
// not in time.
func (c *Cloud) until(what string, holds func(ctx context.Context) (bool, error)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		ok, err := holds(ctx)
		if err != nil && ctx.Err() == nil {
			c.t.Fatalf("wait for %s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("waited %s for %s", patience, what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Until waits for a condition that the test looks at through the API.
func (c *Cloud) Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	c.until(what, func(context.Context) (bool, error) { return holds(), nil })
}

// Settle waits until no plan is unfinished.
func (c *Cloud) Settle(t testing.TB) {
	t.Helper()
	var left []work.Run
	defer func() {
		if t.Failed() {
			for _, r := range left {
				t.Logf("plan %s of %s: %s: %s", r.Name, r.Resource, r.Step, r.Reason)
			}
		}
	}()
	c.until("the plans to end", func(ctx context.Context) (bool, error) {
		err := c.App.DB.Read(ctx, func(tx *db.Tx) error {
			var err error
			left, err = work.List(ctx, tx, work.Query{Unfinished: true})
			return err
		})
		return len(left) == 0, err
	})
}

// User is somebody who asks the cloud.
type User struct {
	cloud *Cloud
	name  string
	pass  string
	scope string // project name
}

// Admin is the operator, in project admin.
func (c *Cloud) Admin() User {
	return User{c, "admin", c.App.Secrets.Admin, "admin"}
}

// Demo is a plain member of project demo.
func (c *Cloud) Demo() User {
	return User{c, "demo", c.App.Secrets.Demo, "demo"}
}

// Token signs the user in, once.
func (u User) Token() string {
	u.cloud.mu.Lock()
	defer u.cloud.mu.Unlock()
	token, known := u.cloud.tokens[u.name]
	if known {
		return token
	}
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"id":"default"}}}},
		"scope":{"project":{"name":%q,"domain":{"id":"default"}}}}}`, u.name, u.pass, u.scope)
	reply, err := http.Post(u.cloud.URL+"/identity/v3/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		u.cloud.t.Fatalf("sign in as %s: %v", u.name, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(reply.Body)
		u.cloud.t.Fatalf("sign in as %s: %s %s", u.name, reply.Status, text)
	}
	token = reply.Header.Get("X-Subject-Token")
	u.cloud.tokens[u.name] = token
	return token
}

// Reply is what the cloud answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON reads the body into a value.
func (r Reply) JSON(t testing.TB, into any) {
	t.Helper()
	err := json.Unmarshal(r.Body, into)
	if err != nil {
		t.Fatalf("reply is not what the test expects: %v: %s", err, r.Body)
	}
}

// Map reads the body as a JSON object.
func (r Reply) Map(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	r.JSON(t, &m)
	return m
}

// Do asks the cloud. body is JSON text, bytes, a value to be written as JSON, or
// nil. headers are pairs of name and value.
func (u User) Do(t testing.TB, method, path string, body any, headers ...string) Reply {
	t.Helper()
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
		kind = ""
	case string:
		content = strings.NewReader(b)
	case []byte:
		content, kind = bytes.NewReader(b), "application/octet-stream"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatalf("write body: %v", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, u.cloud.URL+path, content)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	r.Header.Set("X-Auth-Token", u.Token())
	if strings.HasPrefix(path, "/compute/") {
		r.Header.Set("OpenStack-API-Version", "compute 2.96")
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("%s %s: read the reply: %v", method, path, err)
	}
	return Reply{reply.StatusCode, reply.Header, text}
}

// Must asks the cloud and fails the test unless it answers with the status.
func (u User) Must(t testing.TB, status int, method, path string, body any, headers ...string) Reply {
	t.Helper()
	r := u.Do(t, method, path, body, headers...)
	if r.Status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, r.Status, r.Body, status)
	}
	return r
}

// find returns the id of the first thing in a listing that has the name.
func (u User) find(t testing.TB, path, collection, name string) string {
	t.Helper()
	var list map[string]json.RawMessage
	u.Must(t, 200, "GET", path, nil).JSON(t, &list)
	var items []struct{ ID, Name string }
	err := json.Unmarshal(list[collection], &items)
	if err != nil {
		t.Fatalf("list %s: %v", collection, err)
	}
	for _, i := range items {
		if i.Name == name {
			return i.ID
		}
	}
	t.Fatalf("there is no %s in %s: %v", name, collection, items)
	return ""
}

// Image, Network and Flavor find ids by name.
func (u User) Image(t testing.TB, name string) string {
	return u.find(t, "/image/v2/images", "images", name)
}

// Network finds a network by name.
func (u User) Network(t testing.TB, name string) string {
	return u.find(t, "/network/v2.0/networks", "networks", name)
}

// Flavor finds a flavor by name.
func (u User) Flavor(t testing.TB, name string) string {
	return u.find(t, "/compute/v2.1/flavors", "flavors", name)
}

// CreateServer asks for a small server on the private network and returns its id.
func (u User) CreateServer(t testing.TB, name string) string {
	t.Helper()
	r := u.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": name, "flavorRef": u.Flavor(t, "m1.tiny"), "imageRef": u.Image(t, "cirros"),
		"networks": []any{map[string]any{"uuid": u.Network(t, "private")}},
	}})
	var reply struct{ Server struct{ ID string } }
	r.JSON(t, &reply)
	return reply.Server.ID
}

// ServerStatus is the status of a server, "" when there is none.
func (u User) ServerStatus(t testing.TB, id string) string {
	t.Helper()
	r := u.Do(t, "GET", "/compute/v2.1/servers/"+id, nil)
	if r.Status == http.StatusNotFound {
		return ""
	}
	var reply struct{ Server struct{ Status string } }
	r.JSON(t, &reply)
	return reply.Server.Status
}

// MustCreateServer creates a server and waits until it is ACTIVE.
func (u User) MustCreateServer(t testing.TB, name string) string {
	t.Helper()
	id := u.CreateServer(t, name)
	u.cloud.Settle(t)
	status := u.ServerStatus(t, id)
	if status != "ACTIVE" {
		t.Fatalf("server %s is %s: %s", name, status, u.Do(t, "GET", "/compute/v2.1/servers/"+id, nil).Body)
	}
	return id
}
