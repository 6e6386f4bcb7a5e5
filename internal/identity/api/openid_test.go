package api_test

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// program is a client of OpenID Connect, made of libraries that others wrote.
type program struct {
	c        *cloud
	oauth    oauth2.Config
	provider *oidc.Provider
	verifier string // of PKCE
}

const callback = "http://127.0.0.1:9/callback"

// program registers a client that asks for these scopes.
func (c *cloud) program(t *testing.T, public bool, scopes ...string) *program {
	t.Helper()
	body, err := json.Marshal(map[string]any{"client": map[string]any{"name": "Grafana", "redirect_uris": []string{callback}, "public": public}})
	if err != nil {
		t.Fatal(err)
	}
	made := c.call(t, "POST", "/oidc/clients", c.admin(t), string(body)).want(201)
	provider, err := oidc.NewProvider(t.Context(), c.server.URL+"/oidc")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{c: c, provider: provider, verifier: oauth2.GenerateVerifier()}
	p.oauth = oauth2.Config{ClientID: made.text("client", "id"), Endpoint: provider.Endpoint(), RedirectURL: callback, Scopes: append([]string{"openid"}, scopes...)}
	if !public {
		p.oauth.ClientSecret = made.text("client", "secret")
	}
	return p
}

// browse sends a request as a browser does, without following where it leads.
func browse(t *testing.T, method, address, body string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return reply{t, response.StatusCode, response.Header, []byte(readAll(t, response.Body))}
}

var formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)

// address is where the program sends its user.
func (p *program) address(options ...oauth2.AuthCodeOption) string {
	return p.oauth.AuthCodeURL("state-1", append([]oauth2.AuthCodeOption{oidc.Nonce("nonce-1"), oauth2.S256ChallengeOption(p.verifier)}, options...)...)
}

// typed is what somebody types into the form.
func (c *cloud) typed() url.Values {
	return url.Values{"user": {"demo"}, "domain": {"Default"}, "password": {c.boot.DemoPassword}}
}

// submit opens the page at an address, and sends its form.
func submit(t *testing.T, address string, typed url.Values, headers ...string) reply {
	t.Helper()
	found := formAction.FindSubmatch(browse(t, "GET", address, "").want(200).body)
	if found == nil {
		t.Fatal("the page has no form")
	}
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	action, err := base.Parse(html.UnescapeString(string(found[1])))
	if err != nil {
		t.Fatal(err)
	}
	return browse(t, "POST", action.String(), typed.Encode(), headers...)
}

// sentTo is where an answer sends the browser.
func (r reply) sentTo() url.Values {
	r.t.Helper()
	u, err := url.Parse(r.want(303).header.Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), callback+"?") {
		r.t.Fatalf("sent to %q, want the callback: %v", r.header.Get("Location"), err)
	}
	return u.Query()
}

// code signs the demo user in, and gives the code that the program gets.
func (p *program) code(t *testing.T) string {
	t.Helper()
	back := submit(t, p.address(), p.c.typed()).sentTo()
	if back.Get("state") != "state-1" || back.Get("iss") != p.c.server.URL+"/oidc" || back.Get("code") == "" {
		t.Fatalf("got %v, want a code, the state and the issuer", back)
	}
	return back.Get("code")
}

func (p *program) exchange(t *testing.T, code string) *oauth2.Token {
	t.Helper()
	token, err := p.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(p.verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// form posts a form as the program.
func (p *program) form(t *testing.T, path string, values url.Values) reply {
	t.Helper()
	values.Set("client_id", p.oauth.ClientID)
	if p.oauth.ClientSecret != "" {
		values.Set("client_secret", p.oauth.ClientSecret)
	}
	return p.c.form(t, path, values)
}

// refused checks that tokens are refused for the reason.
func refusedWith(t *testing.T, err error, word string) {
	t.Helper()
	e, ok := err.(*oauth2.RetrieveError)
	if !ok || e.ErrorCode != word {
		t.Errorf("got %v, want %s", err, word)
	}
}

// idToken verifies the ID token as the program would.
func (p *program) idToken(t *testing.T, token *oauth2.Token) *oidc.IDToken {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	verified, err := p.provider.Verifier(&oidc.Config{ClientID: p.oauth.ClientID, Now: p.c.clock.Now}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	err = verified.VerifyAccessToken(token.AccessToken)
	if err != nil {
		t.Error(err)
	}
	return verified
}

func TestOpenIDSignIn(t *testing.T) {
	t.Parallel()
	c := start(t)
	me := c.find(t, c.admin(t), "users", "demo")
	for _, public := range []bool{false, true} {
		p := c.program(t, public, "profile", "email", "groups", "offline_access")
		token := p.exchange(t, p.code(t))
		id := p.idToken(t, token)
		if id.Subject != me || id.Nonce != "nonce-1" {
			t.Errorf("got subject %s and nonce %s, want %s and nonce-1", id.Subject, id.Nonce, me)
		}
		info, err := p.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Name   string   `json:"preferred_username"`
			Groups []string `json:"groups"`
		}
		err = info.Claims(&claims)
		if err != nil || info.Subject != me || claims.Name != "demo" || claims.Groups == nil {
			t.Errorf("got %+v of %s (%v), want demo with a list of groups", claims, info.Subject, err)
		}
		// It tells who the user is, and is nothing to the cloud.
		c.call(t, "GET", "/v3/auth/projects", token.AccessToken, "").want(401)

		token.Expiry = time.Now().Add(-time.Hour)
		fresh, err := p.oauth.TokenSource(t.Context(), token).Token()
		if err != nil {
			t.Fatal(err)
		}
		if fresh.AccessToken == token.AccessToken || fresh.RefreshToken == token.RefreshToken || p.idToken(t, fresh).Subject != me {
			t.Errorf("got %+v after a refresh, want other tokens for the same user", fresh)
		}
	}
}

// A client that asks for the scope openstack gets a token of this cloud: for one
// project, and good for no more than what was delegated.
func TestOpenIDTokenOfTheCloud(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false, "openstack")
	token := p.exchange(t, p.code(t)).AccessToken
	shown := c.call(t, "GET", "/v3/auth/tokens", token, "", "X-Subject-Token", token).want(200)
	if shown.text("token", "project", "name") != "demo" || shown.text("token", "OS-OAUTH1", "consumer_id") != p.oauth.ClientID {
		t.Errorf("got %s, want a token for demo by the client", shown.body)
	}
	c.call(t, "GET", "/v3/auth/projects", "", "", "Authorization", "Bearer "+token).want(200)
	me := shown.text("token", "user", "id")
	for name, r := range map[string]reply{
		"another token":             c.call(t, "POST", "/v3/auth/tokens", "", byToken(token, onDemo)),
		"an application credential": c.call(t, "POST", "/v3/users/"+me+"/application_credentials", token, `{"application_credential":{"name":"x"}}`),
	} {
		if r.status != 403 {
			t.Errorf("%s: got %d, want 403: %s", name, r.status, r.body)
		}
	}
	info, err := p.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	if err != nil || info.Subject != me {
		t.Errorf("got %v, %v, want %s", info, err, me)
	}
	// It is an access token like others, and can be taken back.
	access := c.call(t, "GET", "/v3/users/"+me+"/OS-OAUTH1/access_tokens", c.admin(t), "").want(200).text("access_tokens", 0, "id")
	c.call(t, "DELETE", "/v3/users/"+me+"/OS-OAUTH1/access_tokens/"+access, c.admin(t), "").want(204)
	c.call(t, "GET", "/v3/auth/projects", token, "").want(401)
	if p.form(t, "/oidc/introspect", url.Values{"token": {token}}).want(200).get("active") != false {
		t.Error("the token is active after it was taken back")
	}
}

func TestOpenIDDevice(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, true, "profile")
	ctx := t.Context()
	device, err := p.oauth.DeviceAuth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	poll := func() reply {
		return p.form(t, "/oidc/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.DeviceCode}})
	}
	for _, want := range []string{"authorization_pending", "slow_down"} {
		if got := poll().want(400).text("error"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	wrong := c.typed()
	wrong.Set("password", "wrong")
	submit(t, device.VerificationURIComplete, wrong).want(401)
	browse(t, "POST", device.VerificationURI+"?user_code=BCDF-BCDF", c.typed().Encode()).want(404)
	done := submit(t, device.VerificationURI+"?user_code="+strings.ToLower(strings.ReplaceAll(device.UserCode, "-", "")), c.typed()).want(200)
	if !strings.Contains(string(done.body), "Signed in") {
		t.Errorf("got %s, want that it is done", done.body)
	}
	browse(t, "POST", device.VerificationURIComplete, c.typed().Encode()).want(404) // somebody has answered

	other := c.program(t, true, "profile")
	device2 := *device
	_, err = other.oauth.DeviceAccessToken(ctx, soon(&device2))
	refusedWith(t, err, "invalid_grant")
	token, err := p.oauth.DeviceAccessToken(ctx, soon(device))
	if err != nil {
		t.Fatal(err)
	}
	if p.idToken(t, token).Subject != c.find(t, c.admin(t), "users", "demo") {
		t.Error("the device has somebody else")
	}
	if got := poll().want(400).text("error"); got != "expired_token" {
		t.Errorf("got %s for a code that was used, want expired_token", got)
	}
}

// soon lets the library ask at once.
func soon(d *oauth2.DeviceAuthResponse) *oauth2.DeviceAuthResponse {
	d.Interval = 1
	d.Expiry = time.Time{}
	return d
}

// The password leads to the second step, in which a wrong passcode, one that was
// used, and one that comes too late are told apart.
func TestOpenIDSecondFactor(t *testing.T) {
	t.Parallel()
	c := start(t)
	twoFactors(t, c)
	p := c.program(t, false)
	says := func(r reply, text string) reply {
		t.Helper()
		if !strings.Contains(string(r.want(401).body), text) {
			t.Errorf("got %s, want %q", r.body, text)
		}
		return r
	}
	second := func(r reply, code string) url.Values {
		t.Helper()
		receipt := regexp.MustCompile(`name="receipt" value="([^"]+)"`).FindSubmatch(r.body)
		if receipt == nil {
			t.Fatalf("got %s, want the second step", r.body)
		}
		return url.Values{"user": {"demo"}, "domain": {"Default"}, "receipt": {string(receipt[1])}, "passcode": {code}}
	}
	says(submit(t, p.address(), c.typed(), "Accept-Language", "zh-CN"), "还需要第二因素")
	first := says(submit(t, p.address(), c.typed()), "A second factor is needed")
	if strings.Contains(string(first.body), `name="password"`) {
		t.Error("the second step asks for the password again")
	}
	code := passcode(t, c.clock.Now())
	says(submit(t, p.address(), second(first, "000000")), "This code is wrong")
	again := says(submit(t, p.address()+"&ui_locales=zh-CN", second(first, "")), "验证码不正确")
	if submit(t, p.address(), second(again, code)).sentTo().Get("code") == "" {
		t.Error("the right passcode gives no code")
	}
	says(submit(t, p.address(), second(first, code)), "This code was used before")
	c.clock.Advance(6 * time.Minute)
	late := says(submit(t, p.address(), second(first, passcode(t, c.clock.Now()))), "That took too long")
	if !strings.Contains(string(late.body), `name="password"`) {
		t.Error("whoever took too long is not asked for the password")
	}
	wrong := c.typed()
	wrong.Set("passcode", code)
	wrong.Set("password", "wrong")
	says(submit(t, p.address(), wrong), "password or domain is wrong") // nothing about the passcode
}

// Keys are published a period before they sign, and as long as what they have
// signed is good.
func TestOpenIDKeysRotate(t *testing.T) {
	t.Parallel()
	c := start(t)
	p := c.program(t, false)
	keys := func() []string {
		var ids []string
		for _, k := range c.call(t, "GET", "/oidc/jwks", "", "").want(200).get("keys").([]any) {
			key := k.(map[string]any)
			if key["d"] != nil || key["alg"] != "ES256" {
				t.Fatalf("got %v, want public keys for ES256", key)
			}
			ids = append(ids, key["kid"].(string))
		}
		return ids
	}
	rotate := func() {
		for _, l := range c.service.Loops() {
			if l.Name == "identity.rotate-signing-keys" {
				err := l.Once(context.Background())
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	token := p.exchange(t, p.code(t))
	for range 5 {
		before := keys()
		rotate()
		if !slices.Equal(keys(), before) {
			t.Fatal("the keys have changed before it was time")
		}
		c.clock.Advance(25 * time.Hour)
		rotate()
		after := keys()
		if len(after) > 4 || after[1] != before[0] {
			t.Errorf("got keys %v after %v, want the published one to sign", after, before)
		}
		p.idToken(t, p.exchange(t, p.code(t))) // by keys that the program has read
	}
	_, err := p.provider.Verifier(&oidc.Config{ClientID: p.oauth.ClientID, Now: c.clock.Now}).Verify(t.Context(), token.Extra("id_token").(string))
	if err == nil {
		t.Error("an old ID token is still good")
	}
}
