package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// unsigned is a JWT that says it needs no signature.
func unsigned(t *testing.T, header string, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode(body) + "."
}

// What a program presents must be signed by the provider, for us, and hold now.
func TestAttackFederatedTokens(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	claims := func(change func(claims map[string]any)) map[string]any {
		out := p.claims(p.user)
		change(out)
		return out
	}
	same := func(map[string]any) {}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(p.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := p.sign(claims(same))
	for name, token := range map[string]string{
		"no algorithm":           unsigned(t, `{"alg":"none","typ":"JWT"}`, claims(same)),
		"None":                   unsigned(t, `{"alg":"None","kid":"k1"}`, claims(same)),
		"no signature":           good[:strings.LastIndex(good, ".")+1],
		"public key as a secret": signedBy(jose.HS256, public, claims(same)),
		"DER as a secret":        signedBy(jose.HS256, der, claims(same)),
		"client secret":          signedBy(jose.HS256, []byte("secret of nacre, made longer for it"), claims(same)),
		"a stranger's key":       signedBy(jose.ES256, stranger, claims(same)),
		"audience":               p.sign(claims(func(c map[string]any) { c["aud"] = "grafana" })),
		"audience like ours":     p.sign(claims(func(c map[string]any) { c["aud"] = "nacre2" })),
		"party alone":            p.sign(claims(func(c map[string]any) { c["aud"], c["azp"] = "account", acmeClient })),
		"no audience":            p.sign(claims(func(c map[string]any) { delete(c, "aud") })),
		"issuer":                 p.sign(claims(func(c map[string]any) { c["iss"] = "https://evil.example" })),
		"issuer's slash":         p.sign(claims(func(c map[string]any) { c["iss"] = p.server.URL + "/" })),
		"no issuer":              p.sign(claims(func(c map[string]any) { delete(c, "iss") })),
		"expired":                p.sign(claims(func(cl map[string]any) { cl["exp"] = c.clock.Now().Add(-time.Second).Unix() })),
		"never expires":          p.sign(claims(func(c map[string]any) { delete(c, "exp") })),
		"not yet":                p.sign(claims(func(cl map[string]any) { cl["nbf"] = c.clock.Now().Add(time.Hour).Unix() })),
		"no subject":             p.sign(claims(func(c map[string]any) { delete(c, "sub") })),
		"an event":               p.sign(claims(func(c map[string]any) { c["events"] = map[string]any{"logout": map[string]any{}} })),
		"changed":                strings.Replace(good, ".", ".e", 1),
		"empty":                  "..",
		"token of ours":          c.demo(t),
	} {
		answer := c.present(t, token)
		if answer.status != 401 || answer.token() != "" {
			t.Errorf("%s: got %d: %s", name, answer.status, answer.body)
		}
	}
	c.present(t, good).want(201)
}

// A program's own key, or place to look for keys, is not believed.
func TestAttackFederatedKeys(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(p.claims(p.user))
	if err != nil {
		t.Fatal(err)
	}
	for name, headers := range map[string]map[jose.HeaderKey]any{
		"jku": {"jku": "http://127.0.0.1:1/keys"}, "x5u": {"x5u": "http://127.0.0.1:1/cert"}, "kid": {"kid": "../../k1"}, "logout": {"typ": "logout+jwt"},
	} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, &jose.SignerOptions{EmbedJWK: name == "kid", ExtraHeaders: headers})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		c.present(t, text).want(401)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{}).WithType("logout+jwt").WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	c.present(t, text).want(401)
}

// Headers that a proxy in front of Keystone would have set say nothing here.
func TestAttackFederatedHeaders(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	c.rules(t, `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"REMOTE_USER"}]},{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"HTTP_OIDC_SUB"}]}]`, "1.0")
	forged := []string{"REMOTE_USER", "admin", "Remote-User", "admin", "X-Remote-User", "admin", "OIDC-sub", "admin", "OIDC_CLAIM_sub", "admin",
		"HTTP_OIDC_SUB", "admin", "Oidc-Iss", p.server.URL, "HTTP_OIDC_ISS", p.server.URL, "X-User-Id", "admin", "X-Roles", "admin", "X-Identity-Status", "Confirmed"}
	c.call(t, "POST", acmeAuth, "", "", forged...).want(401)
	c.call(t, "GET", acmeAuth, "", "", forged...).want(401)
	token := c.present(t, p.bearer(), forged...).want(201)
	if name := token.text("token", "user", "name"); !strings.HasPrefix(name, "sub-1@") {
		t.Errorf("the user is %s", name)
	}
	for _, authorization := range []string{"Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer ", "bearer\t", "Token x", "Bearer x y"} {
		c.call(t, "POST", acmeAuth, "", "", "Authorization", authorization).want(401)
	}
}

// A claim that names another user, of ours or of another provider, makes nobody
// that user.
func TestAttackMappingOtherUser(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	me := c.find(t, admin, "users", "admin")
	c.rules(t, `[{"local":[{"user":{"id":"{0}","name":"{1}"},"domain":{"id":"default"}}],"remote":[{"type":"OIDC-sub"},{"type":"OIDC-preferred_username"}]}]`, "2.0")
	p.set("sub", me)
	p.set("preferred_username", "admin")
	token := c.present(t, p.bearer()).want(201)
	if token.text("token", "user", "id") == me || token.text("token", "user", "name") == "admin" {
		t.Errorf("the provider makes its user the administrator: %s", token.body)
	}
	if list := c.call(t, "GET", "/v3/auth/projects", token.token(), "").want(200).names("projects", "name"); len(list) != 0 {
		t.Errorf("projects: %v", list)
	}
	// Another provider with the same domain and the same claims is not the same user.
	c.expect(t, []expectation{
		{admin, "PUT", "/OS-FEDERATION/identity_providers/other", `{"identity_provider":{"enabled":true,"domain_id":"default"}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/other/protocols/openid", `{"protocol":{"mapping_id":"m"}}`, 201},
		{"", "POST", "/OS-FEDERATION/identity_providers/other/protocols/openid/auth", "", 404}, // not set up
	})
	_, err := c.service.SignInFederated(t.Context(), assertion("other", map[string][]string{"OIDC-sub": {me}, "OIDC-preferred_username": {"admin"}}))
	if err == nil {
		t.Error("another provider signs in the user of the first")
	}
}

// A claim cannot name a group of another domain, nor several groups in one text.
func TestAttackMappingOtherGroup(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	admin := c.admin(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "Elsewhere"})
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "admins", "domain_id": domain})
	c.call(t, "PUT", "/v3/projects/"+c.find(t, admin, "projects", "admin")+"/groups/"+group+"/roles/"+c.find(t, admin, "roles", "admin"), admin, "").want(204)
	for _, groups := range []any{
		[]any{"admins"}, []any{group}, "admins;" + group, "['" + group + "']", `JSON:{"name":"admins","domain":{"id":"` + domain + `"}}`,
		[]any{map[string]any{"name": "admins", "domain": map[string]any{"id": domain}}}, []any{[]any{"admins"}}, "{0}", "ops;admins",
	} {
		p.set("groups", groups)
		answer := c.present(t, p.bearer())
		if answer.status == 401 {
			continue // no group at all
		}
		if got := answer.want(201).get("token", "user", "OS-FEDERATION", "groups").([]any); len(got) != 0 {
			t.Errorf("%v makes a member of %v", groups, got)
		}
	}
	// The email, which users choose themselves, is one value wherever it stands.
	p.set("groups", []any{"ops"})
	p.set("email", "ann@acme.example;admins")
	if got := c.present(t, p.bearer()).want(201).get("token", "user", "OS-FEDERATION", "groups").([]any); len(got) != 1 {
		t.Errorf("groups: %v", got)
	}
	// Ids that a mapping takes from a claim must be those of groups.
	c.rules(t, `[{"local":[{"user":{"name":"{0}"}},{"group_ids":"{1}"}],"remote":[{"type":"OIDC-preferred_username"},{"type":"OIDC-groups"}]}]`, "1.0")
	p.set("groups", []any{"ghost"})
	c.present(t, p.bearer()).want(401)
}

// Two claims that would have one name as a variable have none.
func TestAttackMappingAlikeClaims(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	c.rules(t, `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"HTTP_OIDC_PREFERRED_USERNAME"}]}]`, "1.0")
	c.present(t, p.bearer()).want(201)
	for _, claim := range []string{"preferred-username", "Preferred_Username", "preferred.username"} {
		claims := maps.Clone(p.user)
		claims[claim] = "admin"
		c.present(t, p.sign(p.claims(claims))).want(401)
	}
}

// What one provider says is not what another has said.
func TestAttackMappingRemoteID(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	const acme = "/v3/OS-FEDERATION/identity_providers/acme"
	c.call(t, "PATCH", acme, c.admin(t), `{"identity_provider":{"remote_ids":["https://other.example"]}}`).want(200)
	c.present(t, p.bearer()).want(403)
	c.call(t, "PATCH", acme, c.admin(t), `{"identity_provider":{"remote_ids":["https://other.example","`+p.server.URL+`"]}}`).want(200)
	c.present(t, p.bearer()).want(201)
}

// Whom no rule is about gets no token, and leaves no trace.
func TestAttackMappingNobody(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	c.rules(t, `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"OIDC-preferred_username"},{"type":"OIDC-groups","any_one_of":["staff"]}]}]`, "1.0")
	p.set("groups", "x;staff")
	answer := c.present(t, p.bearer()).want(401)
	if answer.token() != "" || strings.Contains(string(answer.body), "ann") {
		t.Errorf("answer: %s", answer.body)
	}
	if list := c.call(t, "GET", "/v3/users?idp_id=acme", c.admin(t), "").want(200).names("users", "id"); len(list) != 0 {
		t.Errorf("users: %v", list)
	}
}

// Guessing tokens is slowed down, for whoever guesses alone.
func TestAttackFederatedGuessing(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	last := 0
	for range 100 {
		last = c.present(t, "guess").status
		if last == 429 {
			break
		}
	}
	if last != 429 {
		t.Errorf("a hundred guesses: got %d, want 429", last)
	}
	if p.asked["/introspect"] > 50 {
		t.Errorf("the provider was asked %d times", p.asked["/introspect"])
	}
}
