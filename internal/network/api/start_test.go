package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/fabric/simulated"
	"nacre/internal/golden"
	"nacre/internal/loop"
	"nacre/internal/network"
	networkapi "nacre/internal/network/api"
)

// The tokens of these tests say who bears them.
const (
	admin   = "admin"
	demo    = "demo"    // member of project demo
	other   = "other"   // member of project other
	looker  = "looker"  // reader of project demo
	service = "service" // another service
)

type tokens struct{}

func (tokens) Caller(_ context.Context, token string) (auth.Caller, error) {
	member := []string{"member", "reader"}
	roles := map[string][]string{
		admin: {"admin", "manager", "member", "reader"}, demo: member, other: member, looker: {"reader"}, service: {"service"},
	}[token]
	if roles == nil {
		return auth.Caller{}, errs.Unauthorizedf("no such token")
	}
	project := token
	if token == looker {
		project = demo
	}
	return auth.Caller{User: "user-" + token, Project: project, Roles: roles}, nil
}

// cloud is a network service behind the real kernel, on a simulated fabric.
// Nothing moves in it by itself: see settle.
type cloud struct {
	clock  *clock.Manual
	db     *db.DB
	net    *network.Service
	fabric *simulated.Cluster
	loops  *loop.Runner
	server *httptest.Server
}

func start(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{clock: clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)), fabric: simulated.New()}
	log := slog.New(slog.DiscardHandler)
	var err error
	c.db, err = db.Open(context.Background(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	c.db.UseClock(c.clock)
	c.loops = loop.New(loop.Options{Clock: c.clock, Log: log})
	var ids atomic.Int64
	newID := func() string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", ids.Add(1)) }
	c.net = network.New(network.Options{NewID: newID, Hosts: oneHost, DB: c.db, Clock: c.clock, Log: log, Fabric: c.fabric, Nudge: c.loops.Nudge, Physical: []string{"public", "lab"}})
	c.loops.Add(c.net.Loops()...)
	err = c.net.Bootstrap(context.Background(), admin, demo, "172.24.4.0/24")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy(slices.Concat(auth.BaseRules, network.Policy))
	if err != nil {
		t.Fatal(err)
	}
	kernel := api.New(api.Options{Tokens: tokens{}, Policy: policy, Clock: c.clock, Log: log})
	s := networkapi.New(c.net)
	kernel.Add(s)
	for _, r := range s.Routes {
		if !r.Public && !policy.Has(r.Rule) {
			t.Errorf("%s %s names the unknown rule %q", r.Method, r.Path, r.Rule)
		}
	}
	c.server = httptest.NewServer(kernel)
	t.Cleanup(func() {
		c.server.Close()
		c.net.Close()
		err := c.db.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return c
}

func oneHost(context.Context) ([]network.Host, error) {
	made := time.Date(2026, 12, 1, 7, 0, 0, 0, time.UTC)
	return []network.Host{{ID: "agent-1", Name: "node-1", Up: true, CreatedAt: made, SeenAt: made}}, nil
}

// settle turns the loops until nothing moves.
func (c *cloud) settle(t testing.TB) {
	t.Helper()
	for range 20 {
		moved, err := c.loops.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !moved {
			return
		}
	}
	t.Fatal("the loops never came to rest")
}

type reply struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// call sends a request below /network/v2.0. The body is JSON or empty.
func (c *cloud) call(t testing.TB, token, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.server.URL+"/network/v2.0"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{t, fmt.Sprintf("%s %s %s as %s", method, path, body, token), answer.StatusCode, answer.Header, content}
}

// want checks the status.
func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: got %d, want %d: %s", r.what, r.status, status, r.body)
	}
	return r
}

// refused checks the status, and type and part of the message of the error.
func (r reply) refused(status int, kind, message string) {
	r.t.Helper()
	var e struct {
		NeutronError struct{ Type, Message string }
	}
	err := json.Unmarshal(r.body, &e)
	if err != nil || r.status != status || e.NeutronError.Type != kind || !strings.Contains(e.NeutronError.Message, message) {
		r.t.Errorf("%s:\n got %d %s\nwant %d %s %q", r.what, r.status, r.body, status, kind, message)
	}
}

// object is a JSON object.
type object map[string]any

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

// one decodes the resource under the key.
func (r reply) one(key string) object {
	r.t.Helper()
	var body map[string]object
	err := json.Unmarshal(r.body, &body)
	if err != nil || body[key] == nil {
		r.t.Fatalf("%s: no %s in %s (%v)", r.what, key, r.body, err)
	}
	return body[key]
}

// many decodes the list under the key.
func (r reply) many(key string) []object {
	r.t.Helper()
	var body map[string]json.RawMessage
	var list []object
	err := json.Unmarshal(r.body, &body)
	if err == nil {
		err = json.Unmarshal(body[key], &list)
	}
	if err != nil {
		r.t.Fatalf("%s: no %s in %s (%v)", r.what, key, r.body, err)
	}
	return list
}

// make posts a resource and returns it.
func (c *cloud) make(t testing.TB, token, plural, singular, body string) object {
	t.Helper()
	return c.call(t, token, "POST", "/"+plural, `{"`+singular+`":`+body+`}`).want(201).one(singular)
}

// find returns the one resource of the name.
func (c *cloud) find(t testing.TB, plural, name string) object {
	t.Helper()
	list := c.call(t, admin, "GET", "/"+plural+"?name="+name, "").want(200).many(strings.ReplaceAll(plural, "-", "_"))
	if len(list) != 1 {
		t.Fatalf("%d %s are named %s, want 1", len(list), plural, name)
	}
	return list[0]
}

// tenant makes a network with a subnet, ready for ports.
func (c *cloud) tenant(t testing.TB, token, cidr string) (net, subnet string) {
	t.Helper()
	net = c.make(t, token, "networks", "network", `{"name":"n"}`).text("id")
	subnet = c.make(t, token, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,"cidr":"`+cidr+`"}`).text("id")
	return net, subnet
}

var neutral = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`fa:16:3e(:[0-9a-f]{2}){3}`), "MAC"},
	{regexp.MustCompile(`http://127.0.0.1:[0-9]+`), "http://cloud"},
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// golden compares a reply with testdata, ids and addresses made neutral.
func (r reply) golden(name string) {
	r.t.Helper()
	text := string(r.body)
	for _, n := range neutral {
		text = n.pattern.ReplaceAllString(text, n.with)
	}
	ids := map[string]string{}
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("ID%d", len(ids)+1)
		}
		return ids[id]
	})
	var pretty bytes.Buffer
	err := json.Indent(&pretty, []byte(text), "", "  ")
	if err != nil {
		r.t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
	pretty.WriteByte('\n')
	golden.Compare(r.t, name+".json", pretty.String())
}
