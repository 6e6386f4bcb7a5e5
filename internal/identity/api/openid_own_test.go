package api_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"nacre/internal/identity"
)

// own is the cloud's dashboard as a client.
func (c *cloud) own(t *testing.T) *program {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), c.server.URL+"/oidc")
	if err != nil {
		t.Fatal(err)
	}
	return &program{c: c, provider: provider, verifier: oauth2.GenerateVerifier(), oauth: oauth2.Config{
		ClientID: identity.OwnClient, ClientSecret: c.service.OwnSecret(), Endpoint: provider.Endpoint(), RedirectURL: identity.OwnRedirect,
		Scopes: []string{"openid", "profile"},
	}}
}

// ownCode signs the demo user in at the dashboard.
func (p *program) ownCode(t *testing.T) string {
	t.Helper()
	return p.codeBy(t, p.c.typed())
}

func (p *program) codeBy(t *testing.T, typed url.Values) string {
	t.Helper()
	to := submit(t, p.address(), typed).want(303).header.Get("Location")
	u, err := url.Parse(to)
	if err != nil || u.Host != "" || u.Path != identity.OwnRedirect || u.Query().Get("code") == "" {
		t.Fatalf("sent to %q, want the dashboard with a code", to)
	}
	return u.Query().Get("code")
}

// The dashboard gets what the user would get by the password: a token from which
// others can be made, for the default project or none.
func TestOpenIDOwnClient(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.own(t)
	token := p.exchange(t, p.ownCode(t))
	if id := p.idToken(t, token); id.Nonce != "nonce-1" || id.Subject != c.find(t, c.admin(t), "users", "demo") {
		t.Errorf("the ID token is of %s with nonce %s", id.Subject, id.Nonce)
	}
	made := c.call(t, "POST", "/v3/auth/tokens", "", byToken(token.AccessToken, onDemo)).want(201)
	if made.text("token", "methods", 0) != "token" || made.text("token", "methods", 1) != "password" {
		t.Errorf("got %s, want a token by the token and the password", made.body)
	}
}

// Nobody else is the dashboard: not without its secret, not at another address,
// and no code is good twice, late, or once the user is disabled.
func TestAttackOpenIDOwnClient(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.own(t)
	for _, secret := range []string{"", "x", c.boot.DemoPassword} {
		stranger := *p
		stranger.oauth.ClientSecret = secret
		_, err := stranger.oauth.Exchange(t.Context(), p.ownCode(t), oauth2.VerifierOption(p.verifier))
		refusedWith(t, err, "invalid_client")
	}
	for _, uri := range []string{"https://evil.example" + identity.OwnRedirect, "//evil.example/", c.server.URL + identity.OwnRedirect, "/", ""} {
		r := browse(t, "POST", p.address(oauth2.SetAuthURLParam("redirect_uri", uri)), c.typed().Encode())
		if r.status != 400 || r.header.Get("Location") != "" {
			t.Errorf("%q: got %d and Location %q, want 400 and none", uri, r.status, r.header.Get("Location"))
		}
	}
	try := func(code string, options ...oauth2.AuthCodeOption) {
		t.Helper()
		_, err := p.oauth.Exchange(t.Context(), code, options...)
		refusedWith(t, err, "invalid_grant")
	}
	right := oauth2.VerifierOption(p.verifier)
	try(p.ownCode(t), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	try(p.ownCode(t))
	code := p.ownCode(t)
	p.exchange(t, code)
	try(code, right)
	code = p.ownCode(t)
	c.clock.Advance(time.Minute)
	try(code, right)

	admin := c.admin(t)
	me := c.find(t, admin, "users", "demo")
	code = p.ownCode(t)
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":false}}`).want(200)
	try(code, right)
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":true}}`).want(200)
	try(code, right)

	// It is none of the clients that people register, see or take away.
	for _, r := range []reply{c.call(t, "GET", "/oidc/clients", admin, ""), c.call(t, "GET", "/v3/OS-OAUTH1/consumers", admin, "")} {
		if strings.Contains(string(r.want(200).body), identity.OwnClient) {
			t.Errorf("the dashboard is listed: %s", r.body)
		}
	}
	c.call(t, "DELETE", "/oidc/clients/"+identity.OwnClient, admin, "").want(404)
}

// Whoever must change the password does so on the way; what the rules about
// passwords refuse is said.
func TestOpenIDExpiredPassword(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) { o.Compliance.ChangeAtFirstUse, o.Compliance.Unique = true, 2 })
	admin := c.admin(t)
	c.call(t, "PATCH", "/v3/users/"+c.find(t, admin, "users", "demo"), admin, `{"user":{"password":"set by somebody"}}`).want(200)
	p := c.own(t)
	typed := c.typed()
	typed.Set("password", "set by somebody")
	says := func(text string) {
		t.Helper()
		r := submit(t, p.address(), typed).want(401)
		if !strings.Contains(string(r.body), text) || !strings.Contains(string(r.body), `name="new_password"`) {
			t.Errorf("got %s, want %q and a field for a new password", r.body, text)
		}
	}
	says("has expired")
	typed.Set("new_password", "set by somebody")
	says("cannot be identical")
	wrong := url.Values{"user": {"demo"}, "domain": {"Default"}, "password": {"wrong"}, "new_password": {"my own secret"}}
	if r := submit(t, p.address(), wrong).want(401); strings.Contains(string(r.body), "expired") {
		t.Errorf("a stranger hears that the password has expired: %s", r.body)
	}
	typed.Set("new_password", "my own secret")
	submit(t, p.address(), typed).want(303)
	typed.Del("new_password")
	submit(t, p.address(), typed).want(401)
	typed.Set("password", "my own secret")
	p.exchange(t, p.codeBy(t, typed))
}

// The dashboard's sign-in offers those providers elsewhere that a browser can
// sign in by; those of other programs do not.
func TestOpenIDOwnOffersProviders(t *testing.T) {
	t.Parallel()
	c, _ := federated(t)
	back := "origin=" + url.QueryEscape(c.server.URL+"/dashboard/websso")
	own := string(browse(t, "GET", c.own(t).address(), "").want(200).body)
	if !strings.Contains(own, "Sign in with ") || !strings.Contains(own, back) {
		t.Errorf("got %s, want a link to the provider that leads back by %s", own, back)
	}
	other := browse(t, "GET", c.program(t, false).address(), "").want(200)
	if strings.Contains(string(other.body), back) {
		t.Error("another program's sign-in offers providers")
	}
}
