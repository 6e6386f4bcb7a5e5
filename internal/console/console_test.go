package console

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// cloud is an identity service with two users, and one path that says whose
// token came along.
type cloud struct {
	clock *clock.Manual

	mu     sync.Mutex // guards what follows
	tokens map[string]token
	codes  map[string]code
	count  int
}

// code is that somebody has signed in at the provider.
type code struct{ user, nonce, challenge string }

const clientSecret = "known in this process"

type token struct {
	user, project string
	expires       time.Time
}

var projectsOf = map[string][]name{
	"demo":   {{ID: "p-web", Name: "web"}, {ID: "p-demo", Name: "demo"}},
	"nobody": {},
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	caller, known := c.tokens[r.Header.Get("X-Auth-Token")]
	switch r.Method + " " + r.URL.Path {
	case "POST /identity/v3/auth/tokens":
		c.issue(w, r)
	case "DELETE /identity/v3/auth/tokens":
		delete(c.tokens, r.Header.Get("X-Subject-Token"))
		w.WriteHeader(204)
	case "GET /identity/v3/auth/projects":
		if !known {
			w.WriteHeader(401)
			return
		}
		reply(w, 200, map[string]any{"projects": projectsOf[caller.user]})
	case "GET /identity/v3/auth/tokens":
		if !known {
			w.WriteHeader(401)
			return
		}
		w.Header().Set("X-Subject-Token", r.Header.Get("X-Subject-Token"))
		reply(w, 200, map[string]any{"token": map[string]any{"user": userOf(caller.user), "expires_at": caller.expires}})
	case "GET /oidc/.well-known/openid-configuration":
		reply(w, 200, map[string]string{"issuer": issuerOf(r), "token_endpoint": issuerOf(r) + "/token", "jwks_uri": issuerOf(r) + "/jwks"})
	case "GET /oidc/jwks":
		reply(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKey.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	case "GET /oidc/authorize":
		c.authorize(w, r)
	case "POST /oidc/token":
		c.trade(w, r)
	case "GET /whose":
		fmt.Fprintf(w, "%s in %s", caller.user, caller.project)
	default:
		w.WriteHeader(404)
	}
}

func issuerOf(r *http.Request) string { return "http://" + r.Host + "/oidc" }

func userOf(user string) name {
	return name{ID: "u-" + user, Name: user, Domain: &name{ID: "default", Name: "Default"}}
}

// signingKey is the provider's.
var signingKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

// authorize signs in whom the request names, without a question.
func (c *cloud) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != "dashboard" || q.Get("redirect_uri") != "/dashboard/session/callback" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		w.WriteHeader(400)
		return
	}
	c.count++
	made := fmt.Sprintf("code-%d", c.count)
	c.codes[made] = code{q.Get("login_hint"), q.Get("nonce"), q.Get("code_challenge")}
	back := url.Values{"code": {made}, "state": {q.Get("state")}, "iss": {issuerOf(r)}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

// trade gives tokens for a code.
func (c *cloud) trade(w http.ResponseWriter, r *http.Request) {
	client, secret, _ := r.BasicAuth()
	got, known := c.codes[r.FormValue("code")]
	delete(c.codes, r.FormValue("code"))
	if client != "dashboard" || secret != url.QueryEscape(clientSecret) || !known || oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != got.challenge {
		reply(w, 400, map[string]string{"error": "invalid_grant"})
		return
	}
	c.count++
	access := fmt.Sprintf("token-%d", c.count)
	c.tokens[access] = token{user: got.user, expires: c.clock.Now().Add(time.Hour)}
	sum := sha256.Sum256([]byte(access))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: signingKey, KeyID: "k"}}, nil)
	if err != nil {
		panic(err)
	}
	id, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": issuerOf(r), "aud": "dashboard", "sub": "u-" + got.user, "nonce": got.nonce, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		"iat": c.clock.Now().Unix(), "exp": c.clock.Now().Add(time.Minute).Unix(),
	}).Serialize()
	if err != nil {
		panic(err)
	}
	reply(w, 200, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "id_token": id})
}

func (c *cloud) issue(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Auth struct {
			Identity struct {
				Methods []string
				Token   struct{ ID string }
			}
			Scope struct{ Project struct{ ID string } }
		}
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	if err != nil {
		w.WriteHeader(400)
		return
	}
	made := token{expires: c.clock.Now().Add(time.Hour)}
	id := in.Auth.Identity
	former, known := c.tokens[id.Token.ID]
	if !known {
		refuse(w, 401, "The request you have made requires authentication.")
		return
	}
	made.user, made.expires = former.user, former.expires
	body := map[string]any{
		"user":       userOf(made.user),
		"expires_at": made.expires,
	}
	wanted := in.Auth.Scope.Project.ID
	if wanted != "" {
		for _, p := range projectsOf[made.user] {
			if p.ID == wanted {
				made.project = p.Name
				body["project"] = p
				body["roles"] = []name{{ID: "1", Name: "member"}}
			}
		}
		if made.project == "" {
			refuse(w, 401, "The request you have made requires authentication.")
			return
		}
	}
	c.count++
	key := fmt.Sprintf("token-%d", c.count)
	c.tokens[key] = made
	w.Header().Set("X-Subject-Token", key)
	reply(w, 201, map[string]any{"token": body})
}

func (c *cloud) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tokens)
}

// browser is a page of the dashboard as the server sees it.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
	header map[string]string
}

func start(t *testing.T) (*cloud, *browser) {
	t.Helper()
	c := &cloud{clock: clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), tokens: map[string]token{}, codes: map[string]code{}}
	return c, newBrowser(t, c.serve(t, dbtest.Open(t), 0))
}

// serve starts a server with the dashboard and returns its address.
func (c *cloud) serve(t *testing.T, d *db.DB, max int) string {
	t.Helper()
	dashboard := New(Options{API: c, DB: d, ClientSecret: clientSecret, Clock: c.clock, MaxRemembered: max, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	mux.Handle("/dashboard/", dashboard)
	mux.Handle("/", dashboard.WithSession(c))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func newBrowser(t *testing.T, base string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, base: base, client: &http.Client{Jar: jar}, header: map[string]string{
		"X-Nacre-Dashboard": "1", "Sec-Fetch-Site": "same-origin", "Origin": base,
	}}
}

func address(t *testing.T, base string) *url.URL {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (b *browser) do(method, path, body string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for key, value := range b.header {
		if value != "" {
			r.Header.Set(key, value)
		}
	}
	reply, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer reply.Body.Close()
	got, err := io.ReadAll(reply.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply, string(got)
}

func (b *browser) want(method, path, body string, status int, text string) *http.Response {
	b.t.Helper()
	reply, got := b.do(method, path, body)
	if reply.StatusCode != status || !strings.Contains(got, text) {
		b.t.Fatalf("%s %s: got %d %s, want %d with %q", method, path, reply.StatusCode, got, status, text)
	}
	return reply
}

// signIn goes to where a sign-in begins, and on to where it ends.
func (b *browser) signIn(user, query string) *http.Response {
	b.t.Helper()
	reply, _ := b.do("GET", "/dashboard/session/start?login_hint="+user+query, "")
	return reply
}

// in signs in, and checks that a session has begun.
func (b *browser) in(user, query string) {
	b.t.Helper()
	b.signIn(user, query)
	b.want("GET", "/dashboard/session", "", 200, `"name":"`+user+`"`)
}

func TestUserWithoutProject(t *testing.T) {
	_, b := start(t)
	b.in("nobody", "")
	b.want("GET", "/dashboard/session", "", 200, `"project":null`)
}

func TestForeignPagesAreStrangers(t *testing.T) {
	_, b := start(t)
	b.in("demo", "")
	for _, foreign := range []map[string]string{
		{"X-Nacre-Dashboard": ""},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "http://evil.example"},
		{"Origin": "null"},
	} {
		page := newBrowser(t, b.base)
		page.client = b.client
		for key, value := range foreign {
			page.header[key] = value
		}
		_, got := page.do("GET", "/whose", "")
		if got != " in " {
			t.Errorf("with %v: got %q, want nobody", foreign, got)
		}
		page.want("DELETE", "/dashboard/session", "", 403, "own page")
	}
}

func TestOwnTokenWins(t *testing.T) {
	_, b := start(t)
	b.in("demo", "")
	b.header["X-Auth-Token"] = "token-2" // the unscoped one
	b.want("GET", "/whose", "", 200, "demo in ")
	_, got := b.do("GET", "/whose", "")
	if got != "demo in " {
		t.Errorf("got %q, want the scope of the token that was sent", got)
	}
}

func TestChangeProject(t *testing.T) {
	_, b := start(t)
	b.want("PATCH", "/dashboard/session", `{"project":"p-web"}`, 401, "Nobody")
	b.in("demo", "")
	b.want("PATCH", "/dashboard/session", `{"project":"p-web"}`, 200, `"id":"p-web"`)
	b.want("GET", "/whose", "", 200, "demo in web")
	b.want("PATCH", "/dashboard/session", `{"project":"p-other"}`, 401, "requires authentication")
	b.want("GET", "/whose", "", 200, "demo in web")
}

func TestSignOutRevokesEveryToken(t *testing.T) {
	c, b := start(t)
	b.in("demo", "")
	for i := range 30 {
		project := []string{"p-web", "p-demo"}[i%2]
		b.want("PATCH", "/dashboard/session", `{"project":"`+project+`"}`, 200, project)
	}
	if c.held() > keptTokens+3 {
		t.Errorf("got %d live tokens after many changes, want at most %d", c.held(), keptTokens+3)
	}
	b.want("DELETE", "/dashboard/session", "", 204, "")
	if c.held() != 0 {
		t.Errorf("got %d live tokens, want none", c.held())
	}
	b.want("GET", "/dashboard/session", "", 401, "Nobody")
	b.want("DELETE", "/dashboard/session", "", 204, "")
}

func TestSessionEndsWithItsToken(t *testing.T) {
	c, b := start(t)
	b.in("demo", "")
	c.clock.Advance(59 * time.Minute)
	b.want("GET", "/whose", "", 200, "demo in demo")
	c.clock.Advance(time.Minute)
	b.want("GET", "/whose", "", 200, " in ")
	b.want("GET", "/dashboard/session", "", 401, "Nobody")
}

func built(t *testing.T) http.Handler {
	t.Helper()
	s, err := readSite(fstest.MapFS{
		"index.html":         {Data: []byte("<title>Nacre</title>" + strings.Repeat(" ", 2000))},
		"assets/app-1a2b.js": {Data: []byte("start()")},
		".keep":              {},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{API: http.NotFoundHandler(), DB: dbtest.Open(t)})
	d.site = s
	return d
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPagesAndFiles(t *testing.T) {
	h := built(t)
	for _, c := range []struct {
		path   string
		status int
		text   string
		cache  string
	}{
		{"/dashboard", 200, "<title>Nacre", "no-cache"},
		{"/dashboard/", 200, "<title>Nacre", "no-cache"},
		{"/dashboard/instances/1f", 200, "<title>Nacre", "no-cache"},
		{"/dashboard/vnc?token=x", 200, "<title>Nacre", "no-cache"},
		{"/dashboard/assets/app-1a2b.js", 200, "start()", "public, max-age=31536000, immutable"},
		{"/dashboard/assets/old-9z.js", 404, "Reload", ""},
		{"/dashboard/.keep", 404, "", ""},
	} {
		w := get(h, c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || w.Header().Get("Cache-Control") != c.cache {
			t.Errorf("%s: got %d %q, cache %q; want %d %q, cache %q",
				c.path, w.Code, w.Body, w.Header().Get("Cache-Control"), c.status, c.text, c.cache)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "script-src 'self';") || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: got policy %q and referrer policy %q", c.path, csp, w.Header().Get("Referrer-Policy"))
		}
	}
}

func TestUnchangedPageCosts304(t *testing.T) {
	h := built(t)
	first := get(h, "/dashboard/", "Accept-Encoding", "gzip")
	if first.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("got encoding %q, want gzip", first.Header().Get("Content-Encoding"))
	}
	again := get(h, "/dashboard/", "Accept-Encoding", "gzip", "If-None-Match", first.Header().Get("ETag"))
	if again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("got %d with %d bytes, want 304 with none", again.Code, again.Body.Len())
	}
}

func TestPagesAreReadOnly(t *testing.T) {
	w := httptest.NewRecorder()
	built(t).ServeHTTP(w, httptest.NewRequest("POST", "/dashboard/", nil))
	if w.Code != 405 {
		t.Errorf("got %d, want 405", w.Code)
	}
}

func TestBinaryWithoutDashboardSaysHowToBuildIt(t *testing.T) {
	d := New(Options{API: http.NotFoundHandler(), DB: dbtest.Open(t)})
	d.site = site{}
	w := get(d, "/dashboard/")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "make build") {
		t.Errorf("got %d %s, want 503 and how to build it", w.Code, w.Body)
	}
}
