package api_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	acmeWebsso = "/v3/auth/OS-FEDERATION/identity_providers/acme/protocol/openid/websso"
	anyWebsso  = "/v3/auth/OS-FEDERATION/websso/openid"
)

// sentOn is where an answer leads a browser.
func (r reply) sentOn() string {
	r.t.Helper()
	return r.want(302).header.Get("Location")
}

// cookie is what an answer makes a browser carry.
func (r reply) cookie() string {
	text, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return text
}

// attempt leads a browser to the provider and to where it is sent back; it gives
// the address and the cookie.
func (c *cloud) attempt(t *testing.T) (string, string) {
	t.Helper()
	begun := browse(t, "GET", c.server.URL+acmeWebsso+"?origin="+url.QueryEscape(horizon), "")
	return browse(t, "GET", begun.sentOn(), "").sentOn(), begun.cookie()
}

var selfPosting = regexp.MustCompile(`<form method="post" action="([^"]*)">\s*<input type="hidden" name="token" value="([^"]*)">`)

// TestWebSSO leads a browser through a sign-in.
func TestWebSSO(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	origins := map[string]string{horizon: acmeWebsso, c.server.URL + "/dashboard/websso": anyWebsso}
	for origin, path := range origins {
		begun := browse(t, "GET", c.server.URL+path+"?origin="+url.QueryEscape(origin), "")
		if path == anyWebsso { // the one provider that has the protocol
			begun = browse(t, "GET", begun.sentOn(), "")
		}
		to, err := url.Parse(begun.sentOn())
		if err != nil {
			t.Fatal(err)
		}
		q := to.Query()
		if to.Path != "/authorize" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" ||
			q.Get("redirect_uri") != c.server.URL+acmeWebsso || q.Get("client_id") != acmeClient || q.Get("scope") != "openid profile email" {
			t.Fatalf("sent to %s", to)
		}
		cookie := begun.header.Get("Set-Cookie")
		for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=" + acmeWebsso} {
			if !strings.Contains(cookie, part) {
				t.Errorf("the cookie lacks %s: %s", part, cookie)
			}
		}
		if strings.Contains(cookie, q.Get("nonce")) || strings.Contains(to.String(), "verifier") {
			t.Errorf("the attempt can be read: %s", cookie)
		}
		page := browse(t, "GET", browse(t, "GET", to.String(), "").sentOn(), "", "Cookie", begun.cookie()).want(200)
		form := selfPosting.FindSubmatch(page.body)
		if form == nil || html.UnescapeString(string(form[1])) != origin {
			t.Fatalf("page: %s", page.body)
		}
		if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action "+origin+";") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("policy %s", policy)
		}
		if page.header.Get("Cache-Control") != "no-store" || page.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("headers %v", page.header)
		}
		token := html.UnescapeString(string(form[2]))
		if got := c.call(t, "GET", "/v3/auth/projects", token, "").want(200).names("projects", "name"); len(got) != 1 {
			t.Errorf("projects: %v", got)
		}
	}
	if p.asked["/userinfo"] == 0 {
		t.Error("the provider was not asked for more than the ID token says")
	}
}

// The token goes to trusted dashboards alone, letter by letter.
func TestAttackWebSSOOpenRedirect(t *testing.T) {
	t.Parallel()
	c, _ := federated(t)
	for _, origin := range []string{
		"https://evil.example/", "https://horizon.example.org.evil.example/auth/websso/", "https://horizon.example.org@evil.example/auth/websso/",
		horizon + "../../x", horizon + "?", horizon + "#", strings.ToUpper(horizon), strings.TrimSuffix(horizon, "/"), "//horizon.example.org/auth/websso/",
		"javascript:alert(1)", " " + horizon, horizon + "\n", "http://horizon.example.org/auth/websso/", c.server.URL + "/dashboard/websso/../x", "/dashboard/websso",
	} {
		for _, path := range []string{acmeWebsso, anyWebsso} {
			answer := browse(t, "GET", c.server.URL+path+"?origin="+url.QueryEscape(origin), "").want(401)
			if answer.header.Get("Location") != "" || answer.header.Get("Set-Cookie") != "" {
				t.Errorf("%q leads to %q", origin, answer.header.Get("Location"))
			}
		}
	}
	for _, path := range []string{acmeWebsso, anyWebsso} {
		browse(t, "GET", c.server.URL+path, "").want(400)
		browse(t, "POST", c.server.URL+path, "origin="+url.QueryEscape(horizon)).want(400)
	}
	// What comes back cannot choose another one.
	back, cookie := c.attempt(t)
	page := browse(t, "GET", back+"&origin=https%3A%2F%2Fevil.example%2F", "", "Cookie", cookie).want(200)
	if strings.Contains(string(page.body), "evil.example") {
		t.Errorf("page: %s", page.body)
	}
}

// An answer of the provider is good once, for the browser that has begun, and not
// for long.
func TestAttackWebSSOReplay(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	back, _ := c.attempt(t)
	other, otherCookie := c.attempt(t)
	browse(t, "GET", back, "").want(401)                        // another browser: somebody would be signed in as somebody else
	browse(t, "GET", back, "", "Cookie", otherCookie).want(401) // another attempt of the same browser
	state := regexp.MustCompile(`state=[^&]*`).FindString(other)
	mixed := regexp.MustCompile(`state=[^&]*`).ReplaceAllString(back, state)
	browse(t, "GET", mixed, "", "Cookie", otherCookie).want(401) // the code of another attempt: PKCE and nonce
	back, cookie := c.attempt(t)
	browse(t, "GET", back, "", "Cookie", cookie+"x").want(401)
	page := browse(t, "GET", back, "", "Cookie", cookie).want(200)
	browse(t, "GET", back, "", "Cookie", cookie).want(401)
	if gone := page.header.Get("Set-Cookie"); !strings.Contains(gone, "Max-Age=0") {
		t.Errorf("the attempt stays with the browser: %s", gone)
	}
	// Even where a provider takes a code twice, the attempt is over.
	again, cookie := c.attempt(t)
	u, err := url.Parse(again)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("code")
	p.mu.Lock()
	asked := p.codes[code]
	p.mu.Unlock()
	browse(t, "GET", again, "", "Cookie", cookie).want(200)
	p.mu.Lock()
	p.codes[code] = asked
	p.mu.Unlock()
	browse(t, "GET", again, "", "Cookie", cookie).want(401)

	late, cookie := c.attempt(t)
	c.clock.Advance(11 * time.Minute)
	browse(t, "GET", late, "", "Cookie", cookie).want(401)
	for _, query := range []string{"?state=", "?state=x", "?state=x&code=y", "?state=x&error=access_denied"} {
		browse(t, "GET", c.server.URL+acmeWebsso+query, "").want(401)
	}
	refused, cookie := c.attempt(t)
	browse(t, "GET", strings.Replace(refused, "code=", "error=access_denied&was=", 1), "", "Cookie", cookie).want(401)
	twice, cookie := c.attempt(t)
	browse(t, "GET", twice+"&code=x", "", "Cookie", cookie).want(401)
}

// An ID token is for this attempt, for us, by the provider, and now.
func TestAttackWebSSOTokens(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	for name, bend := range map[string]func(id map[string]any){
		"nonce":             func(id map[string]any) { id["nonce"] = "another" },
		"no nonce":          func(id map[string]any) { delete(id, "nonce") },
		"audience":          func(id map[string]any) { id["aud"] = "grafana" },
		"no audience":       func(id map[string]any) { delete(id, "aud") },
		"several audiences": func(id map[string]any) { id["aud"] = []string{"grafana", acmeClient} },
		"party":             func(id map[string]any) { id["aud"], id["azp"] = []string{"grafana", acmeClient}, "grafana" },
		"issuer":            func(id map[string]any) { id["iss"] = "https://evil.example" },
		"expired":           func(id map[string]any) { id["exp"] = c.clock.Now().Add(-time.Second).Unix() },
		"never expires":     func(id map[string]any) { delete(id, "exp") },
		"access token":      func(id map[string]any) { id["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" },
		"another user":      func(id map[string]any) { id["sub"] = "sub-2" }, // than the access token's
		"no user":           func(id map[string]any) { delete(id, "sub") },
		"not yet":           func(id map[string]any) { id["nbf"] = c.clock.Now().Add(time.Hour).Unix() },
	} {
		p.mu.Lock()
		p.bend = bend
		p.mu.Unlock()
		back, cookie := c.attempt(t)
		answer := browse(t, "GET", back, "", "Cookie", cookie)
		if answer.status != 401 {
			t.Errorf("%s: got %d: %s", name, answer.status, answer.body)
		}
	}
	p.mu.Lock()
	p.bend = nil
	p.mu.Unlock()
	back, cookie := c.attempt(t)
	browse(t, "GET", back, "", "Cookie", cookie).want(200)
}
