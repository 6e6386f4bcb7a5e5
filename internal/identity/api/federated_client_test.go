package api_test

import (
	"encoding/json"
	"html"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"nacre/internal/identity/oidc"
)

// TestKeystoneauth signs in by each of the plugins for OpenID Connect that the
// openstack command has, by tokens that are JWTs and by others.
func TestKeystoneauth(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	for _, opaque := range []bool{false, true} {
		p.mu.Lock()
		p.opaque = opaque
		p.mu.Unlock()
		code := browse(t, "GET", p.server.URL+"/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2F", "").sentOn()
		back, err := url.Parse(code)
		if err != nil {
			t.Fatal(err)
		}
		provider := []string{"--os-client-id", acmeClient, "--os-client-secret", acmeSecret,
			"--os-discovery-endpoint", p.server.URL + "/.well-known/openid-configuration"}
		for plugin, options := range map[string][]string{
			"v3oidcclientcredentials": provider,
			"v3oidcpassword":          append(provider, "--os-username", "ann", "--os-password", "password of ann"),
			"v3oidcauthcode":          append(provider, "--os-code", back.Query().Get("code"), "--os-redirect-uri", "http://127.0.0.1:9/"),
			"v3oidcaccesstoken":       {"--os-access-token", p.bearer()},
		} {
			out := c.openstack(t, plugin, append(options, "token", "issue", "-f", "json")...)
			var issued struct {
				ID      string `json:"id"`
				Project string `json:"project_id"`
				User    string `json:"user_id"`
			}
			err := json.Unmarshal(out, &issued)
			if err != nil {
				t.Fatalf("%s: %v: %s", plugin, err, out)
			}
			name := "ann"
			if plugin == "v3oidcclientcredentials" {
				name = "robot"
			}
			shown := c.call(t, "GET", "/v3/auth/tokens", c.admin(t), "", "X-Subject-Token", issued.ID).want(200)
			if shown.text("token", "user", "name") != name || shown.text("token", "project", "id") != issued.Project || shown.text("token", "user", "id") != issued.User {
				t.Errorf("%s: %s", plugin, shown.body)
			}
		}
	}
}

// openstack runs the command as somebody who signs in by the provider.
func (c *cloud) openstack(t *testing.T, plugin string, arguments ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "/usr/bin/openstack", append([]string{"--os-auth-type", plugin, "--os-auth-url", c.server.URL + "/v3",
		"--os-identity-provider", "acme", "--os-protocol", "openid", "--os-project-name", "demo", "--os-project-domain-id", "default"}, arguments...)...)
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	var problem strings.Builder
	command.Stderr = &problem
	out, err := command.Output()
	if err != nil {
		t.Fatalf("openstack with %s: %v (install python3-openstackclient)\n%s", plugin, err, problem.String())
	}
	return out
}

// TestTwoClouds: the users of one cloud sign in at another, in a browser and by an
// access token that the first has given a program.
func TestTwoClouds(t *testing.T) {
	t.Parallel()
	home := start(t)
	const public = "http://127.0.0.1:7"
	body, err := json.Marshal(map[string]any{"client": map[string]any{"name": "The other cloud", "redirect_uris": []string{callback, public + acmeWebsso}, "public": false}})
	if err != nil {
		t.Fatal(err)
	}
	made := home.call(t, "POST", "/oidc/clients", home.admin(t), string(body)).want(201)
	settings := oidc.Settings{IDP: "acme", Issuer: home.server.URL + "/oidc", ClientID: made.text("client", "id"), ClientSecret: made.text("client", "secret"),
		Scopes: []string{"openid", "profile", "groups"}}
	c := open(t, &cloud{openID: []oidc.Settings{settings}, public: public})
	admin := c.admin(t)
	c.expect(t, []expectation{
		{admin, "PUT", "/OS-FEDERATION/mappings/m", `{"mapping":{"rules":[{"local":[{"user":{"id":"{0}","name":"{1}"}}],"remote":[{"type":"OIDC-sub"},{"type":"OIDC-preferred_username"}]}]}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/acme", `{"identity_provider":{"enabled":true,"remote_ids":["` + settings.Issuer + `"]}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/acme/protocols/openid", `{"protocol":{"mapping_id":"m"}}`, 201},
	})

	begun := browse(t, "GET", c.server.URL+acmeWebsso+"?origin="+url.QueryEscape(horizon), "")
	back := submit(t, begun.sentOn(), home.typed()).want(303).header.Get("Location")
	page := browse(t, "GET", strings.Replace(back, public, c.server.URL, 1), "", "Cookie", begun.cookie()).want(200)
	form := selfPosting.FindSubmatch(page.body)
	if form == nil {
		t.Fatalf("page: %s", page.body)
	}
	shown := c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", html.UnescapeString(string(form[2]))).want(200)
	if shown.text("token", "user", "name") != "demo" {
		t.Errorf("token: %s", shown.body)
	}

	program := &program{c: home, verifier: oauth2.GenerateVerifier(), oauth: oauth2.Config{ClientID: settings.ClientID, ClientSecret: settings.ClientSecret, RedirectURL: callback,
		Endpoint: oauth2.Endpoint{AuthURL: settings.Issuer + "/authorize", TokenURL: settings.Issuer + "/token"}, Scopes: settings.Scopes}}
	access := program.exchange(t, program.code(t)).AccessToken
	if got := c.present(t, access).want(201).text("token", "user", "id"); got != shown.text("token", "user", "id") {
		t.Errorf("comes by the access token as %s, want %s", got, shown.text("token", "user", "id"))
	}
	// Tokens that another program got there are none for us.
	grafana := home.program(t, false, "profile")
	c.present(t, grafana.exchange(t, grafana.code(t)).AccessToken).want(401)
	home.call(t, "PATCH", "/v3/users/"+home.find(t, home.admin(t), "users", "demo"), home.admin(t), `{"user":{"enabled":false}}`).want(200)
	c.present(t, access).want(401)
}
