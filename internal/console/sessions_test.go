package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// cluster is two servers with one database.
func cluster(t *testing.T) (c *cloud, d *db.DB, first, second string) {
	t.Helper()
	c = &cloud{clock: clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), tokens: map[string]token{}, codes: map[string]code{}}
	d = dbtest.Open(t)
	return c, d, c.serve(t, d, 0), c.serve(t, d, 0)
}

// at makes the browser's next requests go to another server, with its cookies:
// to browsers both are one address, in the tests they differ in their port.
func (b *browser) at(base string) {
	b.t.Helper()
	for _, c := range b.cookies() {
		c.Name = "nacre_session_" + base[strings.LastIndexByte(base, ':')+1:]
		c.Path = "/"
		b.client.Jar.SetCookies(address(b.t, base), []*http.Cookie{c})
	}
	b.base = base
	b.header["Origin"] = base
}

func (b *browser) cookies() []*http.Cookie {
	for _, c := range b.client.Jar.Cookies(address(b.t, b.base)) {
		if strings.HasSuffix(c.Name, b.base[strings.LastIndexByte(b.base, ':')+1:]) {
			return []*http.Cookie{c}
		}
	}
	return nil
}

// TestAnyServerKnowsTheSession: a session goes on at another server, changes of
// it are seen by the very next request, and its end is an end everywhere.
func TestAnyServerKnowsTheSession(t *testing.T) {
	c, _, first, second := cluster(t)
	b := newBrowser(t, first)
	b.in("demo", "")
	b.want("GET", "/whose", "", 200, "demo in demo")
	b.at(second)
	b.want("GET", "/whose", "", 200, "demo in demo")
	b.want("PATCH", "/dashboard/session", `{"project":"p-web"}`, 200, "p-web")
	b.want("GET", "/whose", "", 200, "demo in web")
	b.at(first)
	b.want("GET", "/whose", "", 200, "demo in web")

	thief := newBrowser(t, first)
	thief.client.Jar.SetCookies(address(t, first), b.cookies())
	thief.want("GET", "/whose", "", 200, "demo in web")
	thief.at(second)
	thief.want("GET", "/whose", "", 200, "demo in web")
	b.want("DELETE", "/dashboard/session", "", 204, "")
	if c.held() != 0 {
		t.Errorf("got %d live tokens, want none", c.held())
	}
	for _, server := range []string{second, first} {
		thief.at(server)
		thief.want("GET", "/whose", "", 200, " in ")
		thief.want("GET", "/dashboard/session", "", 401, "Nobody")
	}
}

// TestRequestsAreNotLookedUpEach: for a moment the database is not needed; then
// it is, and whoever cannot be looked up is nobody.
func TestRequestsAreNotLookedUpEach(t *testing.T) {
	c, d, first, _ := cluster(t)
	b := newBrowser(t, first)
	b.in("demo", "")
	b.want("GET", "/whose", "", 200, "demo in demo")
	err := d.Close()
	if err != nil {
		t.Fatal(err)
	}
	b.want("GET", "/whose", "", 200, "demo in demo")
	c.clock.Advance(known)
	for _, path := range []string{"/whose", "/dashboard/session"} {
		b.want("GET", path, "", 503, "Try again")
	}
	b.want("DELETE", "/dashboard/session", "", 500, "")
}

// TestCopyOfTheDatabaseLetsNobodyIn: neither a cookie nor a token can be made
// of what the table has.
func TestCopyOfTheDatabaseLetsNobodyIn(t *testing.T) {
	_, d, first, _ := cluster(t)
	b := newBrowser(t, first)
	b.in("demo", "")
	var row sessionRow
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &row, "SELECT * FROM dashboard_sessions") })
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(b.cookies()[0].Value, ".")
	if strings.Contains(row.Hash+row.Sealed, secret) || strings.Contains(row.Sealed, "token-") || row.UserID != "u-demo" {
		t.Errorf("the row is %+v", row)
	}
	thief := newBrowser(t, first)
	for _, guess := range []string{row.Hash, row.Hash + ".0", row.Hash[:secretLength] + ".0", row.Sealed[:secretLength] + ".0", secret, secret + ".x", "." + secret, strings.ToLower(secret) + ".0"} {
		cookie := b.cookies()[0]
		cookie.Value = guess
		thief.client.Jar.SetCookies(address(t, first), []*http.Cookie{cookie})
		thief.want("GET", "/whose", "", 200, " in ")
	}
	// A row that was put in the place of another one opens nothing.
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE dashboard_sessions SET hash = ?", keyOf(strings.Repeat("A", secretLength)).hash)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cookie := b.cookies()[0]
	cookie.Value = strings.Repeat("A", secretLength) + ".0"
	thief.client.Jar.SetCookies(address(t, first), []*http.Cookie{cookie})
	thief.want("GET", "/whose", "", 503, "")
}

func TestOneUserCannotPushOutOthers(t *testing.T) {
	c := clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	s := newSessions(dbtest.Open(t), c, 10)
	begin := func(user string) session {
		t.Helper()
		g := grant{Token: "t", Who: who{User: name{ID: user}, ExpiresAt: c.Now().Add(time.Hour)}}
		made, err := s.add(t.Context(), g, g)
		if err != nil {
			t.Fatal(err)
		}
		_, ok, err := s.get(t.Context(), made.cookie())
		if err != nil || !ok {
			t.Fatalf("a new session is not found: %v", err)
		}
		return made
	}
	quiet, oldest := begin("quiet"), begin("loud")
	for range perUser {
		c.Advance(time.Second)
		begin("loud")
	}
	for _, want := range []struct {
		of    session
		there bool
	}{{quiet, true}, {oldest, false}} {
		_, ok, err := s.get(t.Context(), want.of.cookie())
		if err != nil || ok != want.there {
			t.Errorf("session of %s: found %v, %v, want %v", want.of.Now.Who.User.ID, ok, err, want.there)
		}
	}
	var n int
	err := s.db.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &n, "SELECT count(*) FROM dashboard_sessions") })
	if err != nil || n != perUser+1 {
		t.Errorf("got %d sessions, %v, want %d", n, err, perUser+1)
	}
	if len(s.read) > 10 {
		t.Errorf("%d sessions are remembered, want at most 10", len(s.read))
	}
}

func TestEndedSessionsAreForgotten(t *testing.T) {
	c, d, first, _ := cluster(t)
	b := newBrowser(t, first)
	b.in("demo", "")
	c.clock.Advance(time.Hour)
	dashboard := New(Options{API: c, DB: d, Clock: c.clock})
	err := dashboard.Loops()[0].Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = d.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &n, "SELECT count(*) FROM dashboard_sessions") })
	if err != nil || n != 0 {
		t.Errorf("got %d sessions, %v, want none", n, err)
	}
}

// TestChangesOfOneSessionAtOnce: two tabs choose a project at the same moment;
// no token that either was given is lost sight of.
func TestChangesOfOneSessionAtOnce(t *testing.T) {
	c, _, first, second := cluster(t)
	b := newBrowser(t, first)
	b.in("demo", "")
	other := newBrowser(t, first)
	other.client.Jar.SetCookies(address(t, first), b.cookies())
	other.at(second)
	done := make(chan int, 2)
	for i, tab := range []*browser{b, other} {
		go func() {
			reply, _ := tab.do("PATCH", "/dashboard/session", `{"project":"`+[]string{"p-web", "p-demo"}[i]+`"}`)
			done <- reply.StatusCode
		}()
	}
	for range 2 {
		if code := <-done; code != 200 && code != 409 {
			t.Errorf("got %d, want 200 or 409", code)
		}
	}
	b.want("DELETE", "/dashboard/session", "", 204, "")
	if c.held() != 0 {
		t.Errorf("got %d live tokens, want none", c.held())
	}
}
