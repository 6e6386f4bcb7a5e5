package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// A cookie that somebody has put into the browser never becomes a session: each
// sign-in makes a secret of its own, and one that has ended stays ended.
func TestAttackSessionFixation(t *testing.T) {
	_, b := start(t)
	at, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	name := "nacre_session_" + at.Port()
	chosen := strings.Repeat("A", secretLength) + ".0"
	put := func(value string) {
		b.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	}
	put(chosen)
	b.in("demo", "")
	cookies := b.client.Jar.Cookies(at)
	if len(cookies) != 1 || cookies[0].Value == chosen {
		t.Fatalf("after the sign-in the cookies are %v", cookies)
	}
	own := cookies[0].Value
	thief := newBrowser(t, b.base)
	for _, value := range []string{chosen, own[:len(own)-3] + "x.0", strings.ToUpper(own), own + "0000000000000000000", "", ".", "a.b.c", "../../etc/passwd.0"} {
		thief.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
		thief.want("GET", "/whose", "", 200, " in ")
	}
	b.want("DELETE", "/dashboard/session", "", 204, "")
	put(own)
	b.want("GET", "/whose", "", 200, " in ")
	b.in("demo", "")
	if again := b.client.Jar.Cookies(at)[0].Value; again == own {
		t.Error("the second sign-in went on with the first one's secret")
	}
}

// Whoever is not signed in leaves nothing behind, in the database or in memory,
// whatever they ask for.
func TestAttackSessionFlood(t *testing.T) {
	c := &cloud{tokens: map[string]token{}}
	c.clock = clock.NewManual(clock.Real{}.Now())
	d := dbtest.Open(t)
	dashboard := New(Options{API: c, DB: d, Clock: c.clock})
	for i := range 2000 {
		for _, call := range [][3]string{
			{"GET", "/dashboard/?next=https://evil.example/" + fmt.Sprint(i), ""},
			{"GET", "/dashboard/session", ""},
			{"GET", "/dashboard/session/callback?code=x&state=" + fmt.Sprint(i), ""},
			{"POST", "/dashboard/websso", "token=x"},
			{"PATCH", "/dashboard/session", `{"project":"p-web"}`},
		} {
			r := httptest.NewRequest(call[0], call[1], strings.NewReader(call[2]))
			r.Header.Set(guard, "1")
			r.AddCookie(&http.Cookie{Name: cookieName(r), Value: fmt.Sprintf("%0*d.%d", secretLength, i, i)})
			w := httptest.NewRecorder()
			dashboard.ServeHTTP(w, r)
			if len(w.Result().Cookies()) > 0 && w.Result().Cookies()[0].MaxAge >= 0 {
				t.Fatalf("%s %s: a stranger got the cookie %v", call[0], call[1], w.Result().Cookies())
			}
		}
	}
	var rows int
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &rows, `SELECT COUNT(*) FROM dashboard_sessions`) })
	if err != nil || rows != 0 || len(dashboard.sessions.read) != 0 {
		t.Errorf("strangers left %d rows and %d sessions in memory, %v", rows, len(dashboard.sessions.read), err)
	}
}

// No address of the dashboard leads a browser to another site: it answers with
// its page, whatever the address and its parameters say.
func TestAttackDashboardRedirect(t *testing.T) {
	h := built(t)
	for _, path := range []string{
		"/dashboard//evil.example/", "/dashboard/https://evil.example/", "/dashboard/?next=https://evil.example/", "/dashboard/login?next=//evil.example",
		"/dashboard/%2f%2fevil.example/%2e%2e", "/dashboard/../../evil.example", `/dashboard/\evil.example`, "/dashboard/auth/login/?next=javascript:alert(1)", "/dashboard/%0d%0aLocation:%20https://evil.example",
	} {
		r := httptest.NewRequest("GET", "/dashboard/", nil)
		r.URL = &url.URL{Path: "/dashboard/", RawQuery: "next=https://evil.example"}
		parsed, err := url.Parse(path)
		if err == nil {
			r.URL = parsed
		}
		r.Host = "evil.example"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Header().Get("Location") != "" || w.Header().Get("Refresh") != "" || (w.Code != 200 && w.Code != 404) {
			t.Errorf("%s: got %d and %v", path, w.Code, w.Header())
		}
		if strings.Contains(w.Body.String(), "evil.example") {
			t.Errorf("%s: the page repeats the address", path)
		}
	}
}
