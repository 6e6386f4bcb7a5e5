package api_test

import (
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Nobody is sent anywhere but to what the client has registered, letter by letter.
func TestAttackOpenIDRedirectMismatch(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false)
	for _, uri := range []string{
		"https://evil.example/callback", callback + "/../x", callback + "?x=1", callback + "#x", callback + "/", "http://127.0.0.1:9", "",
		"http://127.0.0.1:9@evil.example/callback", strings.ToUpper(callback), "//evil.example", "javascript:alert(1)",
	} {
		address := p.address(oauth2.SetAuthURLParam("redirect_uri", uri))
		for _, r := range []reply{browse(t, "GET", address, ""), browse(t, "POST", address, c.typed().Encode())} {
			if r.status != 400 || r.header.Get("Location") != "" {
				t.Errorf("%q: got %d and Location %q, want 400 and none", uri, r.status, r.header.Get("Location"))
			}
		}
	}
	twice := browse(t, "GET", p.address()+"&redirect_uri="+url.QueryEscape("https://evil.example/"), "")
	if twice.status != 400 {
		t.Errorf("two redirect URIs: got %d, want 400", twice.status)
	}
	code := p.code(t)
	p.oauth.RedirectURL = "https://evil.example/callback"
	_, err := p.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(p.verifier))
	refusedWith(t, err, "invalid_grant")
}

// Errors go to the client only where it is known; an unknown client's go nowhere.
func TestAttackOpenIDOpenRedirect(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false)
	bad := browse(t, "GET", p.address(oauth2.SetAuthURLParam("response_type", "token")), "").sentTo()
	if bad.Get("error") != "unsupported_response_type" || bad.Get("state") != "state-1" {
		t.Errorf("got %v, want unsupported_response_type and the state", bad)
	}
	for name, value := range map[string]string{"client_id": "nobody", "redirect_uri": "https://evil.example"} {
		r := browse(t, "GET", p.address(oauth2.SetAuthURLParam(name, value), oauth2.SetAuthURLParam("response_type", "token")), "")
		if r.status != 400 || r.header.Get("Location") != "" {
			t.Errorf("%s: got %d and %q, want 400", name, r.status, r.header.Get("Location"))
		}
	}
	admin := c.admin(t)
	for _, uri := range []string{"http://evil.example/", "javascript:alert(1)", "https://*.example/", "https://x.example/#f", "https://user@x.example/", "x"} {
		c.call(t, "POST", "/oidc/clients", admin, `{"client":{"name":"x","redirect_uris":["`+uri+`"]}}`).want(400)
	}
	c.call(t, "POST", "/oidc/clients", c.demo(t), `{"client":{"name":"x","redirect_uris":["https://x.example/"]}}`).want(403)
}

// No code without a challenge, none by the plain method, and no tokens without
// the verifier.
func TestAttackOpenIDPKCEDowngrade(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, public := range []bool{true, false} {
		p := c.program(t, public)
		none := p.oauth.AuthCodeURL("state-1")
		for name, address := range map[string]string{
			"none":   none,
			"plain":  none + "&code_challenge=" + p.verifier + "&code_challenge_method=plain",
			"method": none + "&code_challenge=" + p.verifier,
			"short":  none + "&code_challenge=abc&code_challenge_method=S256",
		} {
			if got := browse(t, "GET", address, "").sentTo(); got.Get("error") != "invalid_request" || got.Get("code") != "" {
				t.Errorf("%s: got %v, want invalid_request", name, got)
			}
			if got := browse(t, "POST", address, c.typed().Encode()).sentTo(); got.Get("code") != "" {
				t.Errorf("%s: got a code", name)
			}
		}
		code := p.code(t)
		for _, options := range [][]oauth2.AuthCodeOption{nil, {oauth2.VerifierOption(oauth2.GenerateVerifier())}, {oauth2.VerifierOption(oauth2.S256ChallengeFromVerifier(p.verifier))}} {
			_, err := p.oauth.Exchange(t.Context(), code, options...)
			refusedWith(t, err, "invalid_grant")
		}
		p.exchange(t, code)
	}
}

// A code that comes twice ends what came of it the first time; so does a refresh
// token.
func TestAttackOpenIDReplay(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false, "openstack", "offline_access")
	code := p.code(t)
	token := p.exchange(t, code)
	c.call(t, "GET", "/v3/auth/projects", token.AccessToken, "").want(200)
	_, err := p.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(p.verifier))
	refusedWith(t, err, "invalid_grant")
	c.call(t, "GET", "/v3/auth/projects", token.AccessToken, "").want(401)
	refresh := func(text string) reply {
		return p.form(t, "/oidc/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}})
	}
	refresh(token.RefreshToken).want(400)

	token = p.exchange(t, p.code(t))
	next := refresh(token.RefreshToken).want(200)
	c.call(t, "GET", "/v3/auth/projects", next.text("access_token"), "").want(200)
	refresh(token.RefreshToken).want(400)
	c.call(t, "GET", "/v3/auth/projects", next.text("access_token"), "").want(401)
	refresh(next.text("refresh_token")).want(400)

	late := p.code(t)
	c.clock.Advance(time.Minute)
	_, err = p.oauth.Exchange(t.Context(), late, oauth2.VerifierOption(p.verifier))
	refusedWith(t, err, "invalid_grant")
}

// A form that another site's page sends signs nobody in, and the page cannot be
// framed.
func TestAttackOpenIDCSRF(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false)
	page := browse(t, "GET", p.address(), "").want(200)
	if page.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || page.header.Get("Set-Cookie") != "" {
		t.Errorf("got %v, want a page that cannot be framed and sets no cookie", page.header)
	}
	for _, headers := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Content-Type", "application/json"}, {"Content-Type", "text/plain"},
	} {
		submit(t, p.address(), c.typed(), headers...).want(403)
	}
	submit(t, p.address(), c.typed(), "Origin", c.server.URL, "Sec-Fetch-Site", "same-origin").sentTo()

	evil := browse(t, "GET", p.address(oauth2.SetAuthURLParam("nonce", `"><script>`)), "").want(200)
	if strings.Contains(string(evil.body), "<script") {
		t.Error("the page has a script")
	}
}

// What one client has got is nothing to another.
func TestAttackOpenIDTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, scopes := range [][]string{{"offline_access"}, {"offline_access", "openstack"}} {
		mine, other := c.program(t, false, scopes...), c.program(t, false, scopes...)
		code := mine.code(t)
		_, err := other.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(mine.verifier))
		refusedWith(t, err, "invalid_grant")
		token := mine.exchange(t, code)
		other.form(t, "/oidc/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}}).want(400)
		for _, text := range []string{token.AccessToken, token.RefreshToken} {
			if other.form(t, "/oidc/introspect", url.Values{"token": {text}}).want(200).get("active") != false {
				t.Error("another client's token is active")
			}
			other.form(t, "/oidc/revoke", url.Values{"token": {text}}).want(200)
			if mine.form(t, "/oidc/introspect", url.Values{"token": {text}}).want(200).get("active") != true {
				t.Error("another client has ended the token")
			}
		}
		stranger := *other
		stranger.oauth.ClientSecret = "wrong"
		if got := stranger.form(t, "/oidc/introspect", url.Values{"token": {token.AccessToken}}).want(401).text("error"); got != "invalid_client" {
			t.Errorf("got %s, want invalid_client", got)
		}
		// A token that the user has got without a client is no client's.
		if other.form(t, "/oidc/introspect", url.Values{"token": {c.demo(t)}}).want(200).get("active") != false {
			t.Error("a user's own token is active for a client")
		}
		mine.form(t, "/oidc/revoke", url.Values{"token": {token.AccessToken}}).want(200)
		if mine.form(t, "/oidc/introspect", url.Values{"token": {token.AccessToken}}).want(200).get("active") != false {
			t.Error("a revoked token is active")
		}
	}
}

// A user who is disabled, or has another password, is signed out everywhere, and
// stays so.
func TestAttackOpenIDTokensOutliveTheUser(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	me := c.find(t, admin, "users", "demo")
	p := c.program(t, false, "offline_access")
	for name, change := range map[string]string{"disabled": `{"user":{"enabled":false}}`, "another password": `{"user":{"password":"` + c.boot.DemoPassword + `"}}`} {
		token, code := p.exchange(t, p.code(t)), p.code(t)
		c.call(t, "PATCH", "/v3/users/"+me, admin, change).want(200)
		c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":true}}`).want(200)
		for _, text := range []string{token.AccessToken, token.RefreshToken} {
			if p.form(t, "/oidc/introspect", url.Values{"token": {text}}).want(200).get("active") != false {
				t.Errorf("%s: a token is active", name)
			}
		}
		c.call(t, "GET", "/oidc/userinfo", "", "", "Authorization", "Bearer "+token.AccessToken).want(401)
		p.form(t, "/oidc/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}}).want(400)
		_, err := p.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(p.verifier))
		refusedWith(t, err, "invalid_grant")
	}
}
