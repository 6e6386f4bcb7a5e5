package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// once makes the browser stop at every redirect.
func (b *browser) once() *browser {
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// step follows one redirect.
func (b *browser) step(r *http.Response) *http.Response {
	b.t.Helper()
	to := r.Header.Get("Location")
	if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
		b.t.Fatalf("got %d to %q, want 303 to a place of ours", r.StatusCode, to)
	}
	reply, _ := b.do("GET", to, "")
	return reply
}

func TestSignInChoosesFirstProjectByName(t *testing.T) {
	_, b := start(t)
	b.want("GET", "/dashboard/session", "", 401, "Nobody is signed in")
	began := b.once().signIn("demo", "&to=/dashboard/instances%3Fa%3Db&ui_locales=zh-CN")
	for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=/dashboard/session/callback", "Max-Age=600"} {
		if !strings.Contains(began.Header.Get("Set-Cookie"), part) {
			t.Errorf("cookie %q lacks %s", began.Header.Get("Set-Cookie"), part)
		}
	}
	if !strings.Contains(began.Header.Get("Location"), "ui_locales=zh-CN") {
		t.Errorf("sent to %s, want the language along", began.Header.Get("Location"))
	}
	done := b.step(b.step(began))
	if done.Header.Get("Location") != "/dashboard/instances?a=b" {
		t.Errorf("sent to %s, want where the user wanted to go", done.Header.Get("Location"))
	}
	var cookies string
	for _, c := range done.Header.Values("Set-Cookie") {
		cookies += c + "\n"
	}
	for _, part := range []string{"HttpOnly; SameSite=Strict", "Path=/; Max-Age=3600", "Max-Age=0"} {
		if !strings.Contains(cookies, part) {
			t.Errorf("cookies %q lack %s", cookies, part)
		}
	}
	b.want("GET", "/dashboard/session", "", 200, `"roles":["member"]`)
	b.want("GET", "/whose", "", 200, "demo in demo")
}

func TestSignInKeepsWishedProject(t *testing.T) {
	_, b := start(t)
	b.in("demo", "&project=p-web")
	b.want("GET", "/whose", "", 200, "demo in web")
	b.in("demo", "&project=p-gone")
	b.want("GET", "/whose", "", 200, "demo in demo")
}

// A sign-in that one server has begun is finished by another, and two tabs may
// sign in at once.
func TestSignInsSideBySide(t *testing.T) {
	_, b := start(t)
	b.once()
	first, second := b.step(b.signIn("demo", "")), b.step(b.signIn("demo", ""))
	for _, tab := range []*http.Response{first, second} {
		if to := b.step(tab).Header.Get("Location"); to != "/dashboard/" {
			t.Errorf("sent to %q, want the dashboard", to)
		}
	}
	b.want("GET", "/whose", "", 200, "demo in demo")
}

// Whatever is not the answer to a sign-in that this browser has begun, begins no
// session: a code of somebody else, one that comes twice or late, an answer of
// another provider.
func TestAttackSignInForged(t *testing.T) {
	c, b := start(t)
	b.once()
	answer := func(change func(q url.Values)) string {
		t.Helper()
		back := b.step(b.signIn("demo", "")).Header.Get("Location")
		path, query, _ := strings.Cut(back, "?")
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		change(q)
		return path + "?" + q.Encode()
	}
	stranger := newBrowser(t, b.base).once()
	theirs := stranger.step(stranger.signIn("nobody", "")).Header.Get("Location")
	for name, to := range map[string]string{
		"of another browser":    theirs,
		"without a state":       answer(func(q url.Values) { q.Del("state") }),
		"with another state":    answer(func(q url.Values) { q.Set("state", q.Get("state")[:12]+"x") }),
		"of another provider":   answer(func(q url.Values) { q.Set("iss", "http://evil.example/oidc") }),
		"without a provider":    answer(func(q url.Values) { q.Del("iss") }),
		"with an unknown code":  answer(func(q url.Values) { q.Set("code", "x") }),
		"with another's code":   answer(func(q url.Values) { q.Set("code", strings.SplitN(strings.SplitN(theirs, "code=", 2)[1], "&", 2)[0]) }),
		"of a user who refused": answer(func(q url.Values) { q.Set("error", "access_denied") }),
	} {
		reply, _ := b.do("GET", to, "")
		if got := reply.Header.Get("Location"); !strings.HasPrefix(got, "/dashboard/sign-in?problem=") {
			t.Errorf("an answer %s leads to %q", name, got)
		}
		b.want("GET", "/dashboard/session", "", 401, "Nobody")
	}
	good := answer(func(url.Values) {})
	c.mu.Lock()
	for made, known := range c.codes { // an ID token for another sign-in
		known.nonce = "other"
		c.codes[made] = known
	}
	c.mu.Unlock()
	b.do("GET", good, "")
	b.want("GET", "/dashboard/session", "", 401, "Nobody")

	good = answer(func(url.Values) {})
	b.do("GET", good, "")
	b.want("GET", "/dashboard/session", "", 200, "demo")
	b.want("DELETE", "/dashboard/session", "", 204, "")
	b.do("GET", good, "")
	b.want("GET", "/dashboard/session", "", 401, "Nobody")
	b.want("POST", "/dashboard/session", `{"user":"demo","password":"secret"}`, 405, "start")
	b.want("POST", "/dashboard/session/start", "", 405, "")
	if c.held() != 0 {
		t.Errorf("got %d live tokens, want none", c.held())
	}
}

func TestAttackSignInLeadsElsewhere(t *testing.T) {
	_, b := start(t)
	b.once()
	for _, to := range []string{
		"https://evil.example/", "//evil.example/dashboard/", `/\evil.example/dashboard/`, `/dashboard/\evil`, "/dashboardx", "/compute", "javascript:alert(1)",
		"dashboard/", "", "/dashboard/\r\nSet-Cookie: x=y", "https:/dashboard/", "%",
	} {
		done := b.step(b.step(b.signIn("demo", "&to="+url.QueryEscape(to))))
		if got := done.Header.Get("Location"); got != "/dashboard/" {
			t.Errorf("%q leads to %q, want the start of the dashboard", to, got)
		}
	}
}

func TestSignInTakesTooLong(t *testing.T) {
	c, b := start(t)
	b.once()
	back := b.step(b.signIn("demo", ""))
	c.clock.Advance(time.Hour)
	b.client.Jar = newBrowser(t, b.base).client.Jar // the browser has dropped the cookie
	if to := b.step(back).Header.Get("Location"); to != "/dashboard/sign-in?problem=late" {
		t.Errorf("sent to %q, want what went wrong", to)
	}
}

// Whoever has signed in elsewhere comes with a token, by a form of our own page
// and no other.
func TestSignInElsewhere(t *testing.T) {
	c, b := start(t)
	b.once()
	c.tokens["from elsewhere"] = token{user: "demo", expires: c.clock.Now().Add(time.Hour)}
	send := func(from map[string]string, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequest("POST", b.base+"/dashboard/websso", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for key, value := range from {
			r.Header.Set(key, value)
		}
		reply, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		err = reply.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	const right = "token=from+elsewhere"
	for _, from := range []map[string]string{
		{}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
		{"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
	} {
		if reply := send(from, right); reply.StatusCode != 403 || reply.Header.Get("Set-Cookie") != "" {
			t.Errorf("from %v: got %d, want 403", from, reply.StatusCode)
		}
	}
	own := map[string]string{"Origin": b.base, "Sec-Fetch-Site": "same-origin"}
	for _, body := range []string{"", "token=", "token=x", "other=" + right} {
		if reply := send(own, body); reply.Header.Get("Location") != "/dashboard/sign-in?problem=failed" {
			t.Errorf("%q: got %d to %q, want what went wrong", body, reply.StatusCode, reply.Header.Get("Location"))
		}
	}
	if reply := send(own, right); reply.Header.Get("Location") != "/dashboard/" {
		t.Errorf("got %d to %q, want the dashboard", reply.StatusCode, reply.Header.Get("Location"))
	}
	b.want("GET", "/whose", "", 200, "demo in demo")
	b.want("GET", "/dashboard/websso", "", 405, "")
}
