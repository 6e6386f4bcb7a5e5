package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/identity"
	identityapi "nacre/internal/identity/api"
	"nacre/internal/identity/oidc"
	"nacre/internal/identity/saml"
)

// horizon is a dashboard that tokens may be sent to.
const horizon = "https://horizon.example.org/auth/websso/"

// cloud is an identity service behind the real kernel.
type cloud struct {
	log     io.Writer
	set     []func(o *identity.Options)
	openID  []oidc.Settings
	saml    []saml.Settings
	public  string // URL that it believes to have; "" is where it is asked
	dir     string
	clock   *clock.Manual
	service *identity.Service
	kernel  *api.Kernel
	db      *db.DB
	server  *httptest.Server
	boot    identity.Bootstrapped
	stop    func()
}

var bootServices = []identity.NewService{
	{Type: "identity", Name: "keystone", Path: "/identity"},
	{Type: "compute", Name: "nova", Path: "/compute/v2.1"},
	{Type: "object-store", Name: "swift", Path: "/v1/AUTH_$(project_id)s"},
}

// start makes a cloud; options may be set.
func start(t testing.TB, set ...func(o *identity.Options)) *cloud {
	t.Helper()
	return open(t, &cloud{set: set})
}

// startLogged is start with a place for all that is logged.
func startLogged(t testing.TB, log io.Writer, set ...func(o *identity.Options)) *cloud {
	t.Helper()
	return open(t, &cloud{log: log, set: set})
}

// open makes a cloud of what was chosen for it.
func open(t testing.TB, c *cloud) *cloud {
	t.Helper()
	if c.log == nil {
		c.log = io.Discard
	}
	c.dir, c.clock = t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 250000000, time.UTC))
	c.open(t)
	t.Cleanup(func() { c.stop() })
	return c
}

// open starts the service on the folder, as a process does.
func (c *cloud) open(t testing.TB) {
	t.Helper()
	database, err := db.Open(context.Background(), dbtest.SourceIn(t, c.dir))
	if err != nil {
		t.Fatal(err)
	}
	database.UseClock(c.clock)
	log := slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sealer, err := auth.OpenSealer(filepath.Join(c.dir, "credential-keys"))
	if err != nil {
		t.Fatal(err)
	}
	o := identity.Options{DB: database, Sealer: sealer, Clock: c.clock, Log: log, PasswordCost: 5}
	c.db = database
	for _, set := range c.set {
		set(&o)
	}
	c.service, err = identity.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := c.service.Bootstrap(context.Background(), identity.Bootstrap{Services: bootServices})
	if err != nil {
		t.Fatal(err)
	}
	if boot.New {
		c.boot = boot
	}
	policy, err := auth.NewPolicy(slices.Concat(auth.BaseRules, identity.Policy, identityapi.OpenIDPolicy))
	if err != nil {
		t.Fatal(err)
	}
	parties, err := oidc.Open(c.openID, c.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	assertors, err := saml.Open(c.saml)
	if err != nil {
		t.Fatal(err)
	}
	federation := identityapi.Federation{OpenID: parties, SAML: assertors, Dashboards: []string{horizon}}
	c.kernel = api.New(api.Options{Tokens: c.service, Policy: policy, Clock: c.clock, Log: log, PublicURL: c.public})
	for _, s := range []api.Service{identityapi.New(c.service, federation), identityapi.OpenID(c.service, federation), identityapi.Discovery(),
		{Name: "nacre", Type: "nacre", Mount: "/nacre/v1", Spec: "/nacre/v1", Envelope: api.Keystone, Routes: identityapi.SignInRoutes(c.service, federation)}} {
		c.kernel.Add(s)
		for _, r := range s.Routes {
			if !r.Public && !policy.Has(r.Rule) {
				t.Fatalf("route %s %s names unknown rule %q", r.Method, r.Path, r.Rule)
			}
		}
	}
	c.server = httptest.NewServer(c.kernel)
	c.stop = func() {
		c.server.Close()
		c.service.Close()
		err := database.Close()
		if err != nil {
			t.Error(err)
		}
	}
}

// beside starts another server on the same database.
func (c *cloud) beside(t testing.TB) *cloud {
	t.Helper()
	other := &cloud{set: c.set, dir: c.dir, clock: c.clock, boot: c.boot, log: c.log}
	other.open(t)
	t.Cleanup(func() { other.stop() })
	return other
}

// reply is an answer, its body read.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// call sends a request. The body is JSON text, "" for none.
func (c *cloud) call(t testing.TB, method, path, token, body string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequest(method, c.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("X-Auth-Token", token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{t, response.StatusCode, response.Header, text}
}

// want checks the status.
func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("got status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// get reads a value by its keys.
func (r reply) get(keys ...any) any {
	r.t.Helper()
	var value any
	err := json.Unmarshal(r.body, &value)
	if err != nil {
		r.t.Fatalf("%v in %s", err, r.body)
	}
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			m, ok := value.(map[string]any)
			if !ok {
				r.t.Fatalf("no %q in %s", k, r.body)
			}
			value = m[k]
		case int:
			list, ok := value.([]any)
			if !ok || k >= len(list) {
				r.t.Fatalf("no item %d in %s", k, r.body)
			}
			value = list[k]
		}
	}
	return value
}

func (r reply) text(keys ...any) string {
	r.t.Helper()
	text, ok := r.get(keys...).(string)
	if !ok {
		r.t.Fatalf("no text at %v in %s", keys, r.body)
	}
	return text
}

// names lists one attribute of each object of a list.
func (r reply) names(list, attribute string) []string {
	r.t.Helper()
	items, ok := r.get(list).([]any)
	if !ok {
		r.t.Fatalf("no list %q in %s", list, r.body)
	}
	out := []string{}
	for _, item := range items {
		out = append(out, item.(map[string]any)[attribute].(string))
	}
	return out
}

// password is the body of a token request; scope is JSON or "".
func password(user, domain, secret, scope string) string {
	body := map[string]any{"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
		"user": map[string]any{"name": user, "password": secret, "domain": map[string]any{"name": domain}}}}}
	return authBody(body, scope)
}

func byToken(token, scope string) string {
	return authBody(map[string]any{"identity": map[string]any{"methods": []string{"token"}, "token": map[string]any{"id": token}}}, scope)
}

func authBody(body map[string]any, scope string) string {
	if scope != "" {
		body["scope"] = json.RawMessage(scope)
	}
	text, err := json.Marshal(map[string]any{"auth": body})
	if err != nil {
		panic(err)
	}
	return string(text)
}

const (
	onAdmin  = `{"project":{"name":"admin","domain":{"id":"default"}}}`
	onDemo   = `{"project":{"name":"demo","domain":{"id":"default"}}}`
	onDomain = `{"domain":{"id":"default"}}`
	onSystem = `{"system":{"all":true}}`
)

// token signs in and returns the token.
func (c *cloud) token(t testing.TB, body string) string {
	t.Helper()
	return c.call(t, "POST", "/v3/auth/tokens", "", body).want(201).header.Get("X-Subject-Token")
}

func (c *cloud) admin(t testing.TB) string {
	t.Helper()
	return c.token(t, password("admin", "Default", c.boot.AdminPassword, onAdmin))
}

func (c *cloud) demo(t testing.TB) string {
	t.Helper()
	return c.token(t, password("demo", "Default", c.boot.DemoPassword, onDemo))
}

// find gives the id of a thing by its name.
func (c *cloud) find(t testing.TB, token, collection, name string) string {
	t.Helper()
	return c.call(t, "GET", "/v3/"+collection+"?name="+name, token, "").want(200).text(collection, 0, "id")
}

// create posts an object and returns its id.
func (c *cloud) create(t testing.TB, token, collection, kind string, attributes map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{kind: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return c.call(t, "POST", "/v3/"+collection, token, string(body)).want(201).text(kind, "id")
}

func indent(t testing.TB, body []byte) string {
	t.Helper()
	var b bytes.Buffer
	err := json.Indent(&b, body, "", "  ")
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return b.String() + "\n"
}
