package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func shadowID(domain, unique string) string {
	sum := sha256.Sum256([]byte(domain + "user" + unique))
	return hex.EncodeToString(sum[:])
}

// TestFederatedSignIn walks from a token of the provider to a project.
func TestFederatedSignIn(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	domain := c.call(t, "GET", "/v3/OS-FEDERATION/identity_providers/acme", admin, "").want(200).text("identity_provider", "domain_id")
	unscoped := c.present(t, p.bearer()).want(201)
	c.golden(t, "token_federated", unscoped.body)
	if id, want := unscoped.text("token", "user", "id"), shadowID(domain, "ann"); id != want {
		t.Errorf("the user is %s, want %s as Keystone derives it", id, want)
	}
	for _, path := range []string{"/v3/auth/projects", "/v3/OS-FEDERATION/projects"} {
		if got := c.call(t, "GET", path, unscoped.token(), "").want(200).names("projects", "name"); !slices.Equal(got, []string{"demo"}) {
			t.Errorf("%s lists %v", path, got)
		}
	}
	for _, method := range []string{"token", "mapped", "saml2"} {
		body := strings.ReplaceAll(byToken(unscoped.token(), onDemo), `"token"`, `"`+method+`"`)
		scoped := c.call(t, "POST", "/v3/auth/tokens", "", body).want(201)
		c.golden(t, "token_federated_project", scoped.body)
		shown := c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", scoped.token()).want(200)
		if shown.text("token", "user", "OS-FEDERATION", "protocol", "id") != "openid" || shown.text("token", "roles", 0, "name") != "member" {
			t.Errorf("shown: %s", shown.body)
		}
		if scoped.text("token", "expires_at") != unscoped.text("token", "expires_at") {
			t.Errorf("rescoping stretches the token to %s", scoped.text("token", "expires_at"))
		}
	}
	c.call(t, "POST", "/v3/auth/tokens", "", strings.ReplaceAll(byToken(c.demo(t), onDemo), `"token"`, `"mapped"`)).want(401)
	if again := c.call(t, "GET", acmeAuth, "", "", "Authorization", "bearer "+p.bearer()).want(201); again.text("token", "user", "id") != unscoped.text("token", "user", "id") {
		t.Errorf("comes back as %s", again.body)
	}
	user := unscoped.text("token", "user", "id")
	shown := c.call(t, "GET", "/v3/users/"+user, admin, "").want(200)
	c.golden(t, "user_federated", shown.body)
	for query, want := range map[string]int{"idp_id=acme": 1, "idp_id=acme&protocol_id=openid&unique_id=ann": 1, "idp_id=other": 0, "unique_id=bob": 0, "protocol_id=saml2": 0} {
		if got := c.call(t, "GET", "/v3/users?"+query, admin, "").want(200).names("users", "id"); len(got) != want || want == 1 && got[0] != user {
			t.Errorf("%s lists %v", query, got)
		}
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("ann", domain, "", "")).want(401)
}

// TestFederatedNames: a provider may call its users anew, and several the same.
func TestFederatedNames(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	c.rules(t, `[{"local":[{"user":{"id":"{0}","name":"{1}","email":"{2}"},"domain":{"id":"default"}}],"remote":[{"type":"OIDC-sub"},{"type":"OIDC-preferred_username"},{"type":"OIDC-email"}]}]`, "2.0")
	first := c.present(t, p.bearer()).want(201)
	if first.text("token", "user", "name") != "ann" || first.text("token", "user", "id") != shadowID("default", "sub-1") || first.text("token", "user", "domain", "id") != "default" {
		t.Errorf("first: %s", first.body)
	}
	p.set("sub", "Sub 2/ü")
	second := c.present(t, p.bearer()).want(201)
	id := second.text("token", "user", "id")
	if id != shadowID("default", "Sub%202/%C3%BC") || second.text("token", "user", "name") != "ann ("+id[:8]+")" {
		t.Errorf("second: %s", second.body)
	}
	p.set("preferred_username", "demo") // as a local user
	p.set("email", "new@acme.example")
	third := c.present(t, p.bearer()).want(201)
	if third.text("token", "user", "id") != id || third.text("token", "user", "name") != "demo ("+id[:8]+")" {
		t.Errorf("third: %s", third.body)
	}
	shown := c.call(t, "GET", "/v3/users/"+id, c.admin(t), "").want(200)
	if shown.text("user", "email") != "new@acme.example" {
		t.Errorf("shown: %s", shown.body)
	}
}

// TestFederatedGroups: groups are those of the last sign-in.
func TestFederatedGroups(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	p.set("groups", []any{"ops", "ghosts"})
	unscoped := c.present(t, p.bearer()).want(201).token()
	scoped := c.token(t, byToken(unscoped, onDemo))
	c.call(t, "GET", "/v3/auth/catalog", scoped, "").want(200)
	p.set("groups", []any{"ghosts"})
	poor := c.present(t, p.bearer()).want(201)
	for _, token := range []string{unscoped, scoped} {
		c.call(t, "GET", "/v3/auth/catalog", token, "").want(401)
	}
	if list := c.call(t, "GET", "/v3/auth/projects", poor.token(), "").want(200).names("projects", "name"); len(list) != 0 {
		t.Errorf("without groups: %v", list)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", byToken(poor.token(), onDemo)).want(401)
	p.set("groups", []any{"ops"})
	unscoped = c.present(t, p.bearer()).want(201).token()
	scoped = c.token(t, byToken(unscoped, onDemo))
	group := c.find(t, admin, "groups", "ops")
	c.call(t, "DELETE", "/v3/projects/"+c.find(t, admin, "projects", "demo")+"/groups/"+group+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	c.call(t, "GET", "/v3/auth/catalog", scoped, "").want(401)
	c.call(t, "DELETE", "/v3/groups/"+group, admin, "").want(204)
	c.present(t, p.bearer()).want(201)
}

// TestAuthorizationTTL: for all but the tokens of sign-ins, a provider's groups
// count as long as the provider's time to live says.
func TestAuthorizationTTL(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	group := c.find(t, admin, "groups", "ops")
	unscoped := c.present(t, p.bearer()).want(201)
	user := unscoped.text("token", "user", "id")
	scoped := c.token(t, byToken(unscoped.token(), onDemo))
	made := c.call(t, "POST", "/v3/users/"+user+"/application_credentials", scoped, `{"application_credential":{"name":"x","secret":"secret of x"}}`).want(201)
	use := `{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"` + made.text("application_credential", "id") + `","secret":"secret of x"}}}}`
	c.call(t, "POST", "/v3/auth/tokens", "", use).want(401) // the role goes with the sign-in
	c.call(t, "HEAD", "/v3/groups/"+group+"/users/"+user, admin, "").want(404)
	c.call(t, "PATCH", "/v3/OS-FEDERATION/identity_providers/acme", admin, `{"identity_provider":{"authorization_ttl":90}}`).want(200)
	c.call(t, "HEAD", "/v3/groups/"+group+"/users/"+user, admin, "").want(204)
	for path, list := range map[string]string{"/v3/groups/" + group + "/users": "users", "/v3/users/" + user + "/groups": "groups", "/v3/users/" + user + "/projects": "projects"} {
		if got := c.call(t, "GET", path, admin, "").want(200).names(list, "id"); len(got) != 1 {
			t.Errorf("%s lists %v", path, got)
		}
	}
	if got := c.call(t, "GET", "/v3/role_assignments?effective&user.id="+user, admin, "").want(200).get("role_assignments").([]any); len(got) != 2 {
		t.Errorf("effective: %v", got)
	}
	c.clock.Advance(45 * time.Minute)
	token := c.token(t, use)
	c.call(t, "GET", "/v3/auth/catalog", token, "").want(200)
	c.clock.Advance(45*time.Minute - time.Second)
	c.call(t, "GET", "/v3/auth/catalog", token, "").want(200)
	c.clock.Advance(time.Second)
	c.call(t, "GET", "/v3/auth/catalog", token, "").want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", use).want(401)
	c.call(t, "HEAD", "/v3/groups/"+group+"/users/"+user, c.admin(t), "").want(404)
	c.present(t, p.bearer()).want(201)
	c.call(t, "GET", "/v3/auth/catalog", c.token(t, use), "").want(200)
}

// TestFederatedProjects: a mapping makes projects, with roles that exist.
func TestFederatedProjects(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	rules := func(role, domain string) string {
		return `[{"local":[{"user":{"name":"{0}"},"projects":[{"name":"Of {0}","roles":[{"name":"` + role + `"}]` + domain + `},{"name":"demo","roles":[{"name":"reader"}],"domain":{"id":"default"}}]}],"remote":[{"type":"OIDC-preferred_username"}]}]`
	}
	c.rules(t, rules("emperor", ""), "2.0")
	c.present(t, p.bearer()).want(404)
	if got := c.call(t, "GET", "/v3/users?idp_id=acme", c.admin(t), "").want(200).names("users", "id"); len(got) != 0 {
		t.Errorf("a sign-in that failed leaves %v", got)
	}
	c.rules(t, rules("member", ""), "2.0")
	token := c.present(t, p.bearer()).want(201)
	c.present(t, p.bearer()).want(201)
	projects := c.call(t, "GET", "/v3/auth/projects", token.token(), "").want(200)
	if got := projects.names("projects", "name"); !slices.Equal(got, []string{"Of ann", "demo"}) {
		t.Errorf("projects: %v", got)
	}
	if got := projects.text("projects", 0, "domain_id"); got != token.text("token", "user", "domain", "id") {
		t.Errorf("the project is in domain %s", got)
	}
	scoped := c.call(t, "POST", "/v3/auth/tokens", "", byToken(token.token(), `{"project":{"id":"`+projects.text("projects", 0, "id")+`"}}`)).want(201)
	if got := scoped.text("token", "roles", 0, "name"); got != "member" {
		t.Errorf("role %s", got)
	}
	for version, status := range map[string]int{"1.0": 400, "2.0": 200} {
		c.call(t, "PATCH", "/v3/OS-FEDERATION/mappings/m", c.admin(t), `{"mapping":{"schema_version":"`+version+`","rules":`+rules("member", `,"domain":{"id":"default"}`)+`}}`).want(status)
	}
	c.present(t, p.bearer()).want(201)
	c.call(t, "POST", "/v3/auth/tokens", "", byToken(token.token(), `{"project":{"name":"Of ann","domain":{"id":"default"}}}`)).want(201)
}

// TestFederatedLocalUser: a mapping may mean a user of ours.
func TestFederatedLocalUser(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	rules := func(user string) string {
		return `[{"local":[{"user":` + user + `}],"remote":[{"type":"OIDC-preferred_username"}]}]`
	}
	c.rules(t, rules(`{"name":"{0}","type":"local","domain":{"name":"Default"}}`), "1.0")
	c.present(t, p.bearer()).want(401)
	p.set("preferred_username", "demo")
	token := c.present(t, p.bearer()).want(201)
	if token.text("token", "user", "id") != c.find(t, c.admin(t), "users", "demo") || token.get("token", "methods").([]any)[0] != "mapped" ||
		token.get("token", "user").(map[string]any)["OS-FEDERATION"] != nil {
		t.Errorf("token: %s", token.body)
	}
	c.rules(t, rules(`{"id":"`+c.find(t, c.admin(t), "users", "demo")+`","type":"local"}`), "1.0")
	c.present(t, p.bearer()).want(201)
	c.call(t, "PATCH", "/v3/users/"+c.find(t, c.admin(t), "users", "demo"), c.admin(t), `{"user":{"enabled":false}}`).want(200)
	c.present(t, p.bearer()).want(401)
}

// TestProviderEnds: who has come by a provider goes with it.
func TestProviderEnds(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	const acme, openid = "/v3/OS-FEDERATION/identity_providers/acme", "/v3/OS-FEDERATION/identity_providers/acme/protocols/openid"
	c.call(t, "PATCH", acme, admin, `{"identity_provider":{"authorization_ttl":6000}}`).want(200)
	unscoped := c.present(t, p.bearer()).want(201)
	user := unscoped.text("token", "user", "id")
	scoped := c.token(t, byToken(unscoped.token(), onDemo))
	made := c.call(t, "POST", "/v3/users/"+user+"/application_credentials", scoped, `{"application_credential":{"name":"x","secret":"secret of x"}}`).want(201)
	use := `{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"` + made.text("application_credential", "id") + `","secret":"secret of x"}}}}`
	byCredential := c.token(t, use)
	c.call(t, "PATCH", acme, admin, `{"identity_provider":{"enabled":false}}`).want(200)
	ended := func(tokens ...string) {
		t.Helper()
		for _, token := range tokens {
			c.call(t, "GET", "/v3/auth/projects", token, "").want(401)
		}
	}
	ended(unscoped.token(), scoped, byCredential)
	c.present(t, p.bearer()).want(403)
	c.call(t, "POST", "/v3/auth/tokens", "", use).want(401)
	c.call(t, "PATCH", acme, admin, `{"identity_provider":{"enabled":true}}`).want(200)
	ended(unscoped.token(), scoped, byCredential)
	token := c.present(t, p.bearer()).want(201).token()
	c.token(t, use)
	c.call(t, "DELETE", openid, admin, "").want(204)
	ended(token)
	c.present(t, p.bearer()).want(404)
	c.call(t, "POST", "/v3/auth/tokens", "", use).want(401)
	if shown := c.call(t, "GET", "/v3/users/"+user, admin, "").want(200); shown.get("user", "enabled") != false || shown.get("user").(map[string]any)["federated"] != nil {
		t.Errorf("a user whom nobody knows: %s", shown.body)
	}
	c.call(t, "PUT", openid, admin, `{"protocol":{"mapping_id":"m"}}`).want(201)
	c.present(t, p.bearer()).want(409) // somebody else's id, until the old user is gone
	c.call(t, "DELETE", "/v3/users/"+user, admin, "").want(204)
	token = c.present(t, p.bearer()).want(201).token()
	c.call(t, "DELETE", acme, admin, "").want(204)
	ended(token)
	c.present(t, p.bearer()).want(404)
}

// TestOpaqueTokens: what is no JWT is shown to the provider.
func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	p.opaque = true
	token := c.present(t, p.bearer()).want(201)
	if token.text("token", "user", "name") != "ann" {
		t.Errorf("token: %s", token.body)
	}
	c.present(t, "opaque-unknown").want(401)
	for claim, value := range map[string]any{"active": false, "client_id": "grafana", "iss": "https://evil.example"} {
		p.set("introspect_"+claim, value)
		c.present(t, p.bearer()).want(401)
		p.set("introspect_"+claim, map[string]any{"active": true, "client_id": acmeClient, "iss": p.server.URL}[claim])
	}
	c.present(t, p.bearer()).want(201)
	p.set("introspect_scope", "profile") // without openid nothing more is asked for, so the mapping lacks names
	c.present(t, p.bearer()).want(401)
}

// TestLinkedUser: an administrator says as whom a provider knows a user of ours.
func TestLinkedUser(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	link := func(protocol, unique string) string {
		return `"federated":[{"idp_id":"acme","protocols":[{"protocol_id":"` + protocol + `","unique_id":"` + unique + `"}]}]`
	}
	c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"anna","password":"secret of anna",`+link("saml2", "ann")+`}}`).want(400)
	made := c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"anna","password":"secret of anna",`+link("openid", "ann")+`}}`).want(201)
	c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"anne",`+link("openid", "ann")+`}}`).want(409)
	c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"anne","federated":[{"idp_id":"acme","protocols":[]}]}}`).want(400)
	if got := c.present(t, p.bearer()).want(201).text("token", "user", "id"); got != made.text("user", "id") {
		t.Errorf("comes as %s, want %s", got, made.text("user", "id"))
	}
	token := c.present(t, p.bearer()).want(201).token()
	c.call(t, "PATCH", "/v3/users/"+made.text("user", "id"), admin, `{"user":{"federated":[]}}`).want(200)
	c.call(t, "GET", "/v3/auth/projects", token, "").want(401)
	if got := c.present(t, p.bearer()).want(201).text("token", "user", "id"); got == made.text("user", "id") {
		t.Error("a link that was taken away still counts")
	}
}

// TestProviderAway: a provider that does not answer is not the user's fault, and is
// not asked for each who comes.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	p.server.Close()
	for range 3 {
		c.present(t, p.bearer()).want(http.StatusServiceUnavailable)
	}
}
