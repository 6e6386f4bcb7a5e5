package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"nacre/internal/identity"
	"nacre/internal/identity/oidc"
)

// acme is an OpenID Connect provider: discovery, keys, code flow with PKCE,
// password and client credentials, introspection, user information. Whoever comes
// to its sign-in page is signed in as its user.
type acme struct {
	server *httptest.Server
	key    *ecdsa.PrivateKey
	now    func() time.Time
	opaque bool // access tokens are no JWTs

	mu     sync.Mutex // guards all below
	user   map[string]any
	codes  map[string]url.Values // what was asked for with a code
	tokens map[string]map[string]any
	bend   func(idToken map[string]any) // makes ID tokens wrong
	asked  map[string]int
}

const (
	acmeClient = "nacre"
	acmeSecret = "secret of nacre"
)

func newAcme(t testing.TB, now func() time.Time) *acme {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &acme{key: key, now: now, codes: map[string]url.Values{}, tokens: map[string]map[string]any{}, asked: map[string]int{}}
	p.user = map[string]any{"sub": "sub-1", "preferred_username": "ann", "email": "ann@acme.example", "groups": []any{"ops"}}
	mux := http.NewServeMux()
	for path, do := range map[string]func(w http.ResponseWriter, r *http.Request){
		"/.well-known/openid-configuration": p.describe, "/keys": p.keys, "/authorize": p.authorize, "/token": p.token,
		"/introspect": p.introspect, "/userinfo": p.userInfo,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked[path]++
			do(w, r)
		})
	}
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func (p *acme) settings() oidc.Settings {
	return oidc.Settings{IDP: "acme", Name: "Acme Inc.", Issuer: p.server.URL, ClientID: acmeClient, ClientSecret: acmeSecret}
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	err := json.NewEncoder(w).Encode(value)
	if err != nil {
		panic(err)
	}
}

func (p *acme) describe(w http.ResponseWriter, _ *http.Request) {
	at := p.server.URL
	answer(w, 200, map[string]any{
		"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "jwks_uri": at + "/keys",
		"introspection_endpoint": at + "/introspect", "userinfo_endpoint": at + "/userinfo",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		"grant_types_supported":                 []string{"authorization_code", "password", "client_credentials"},
	})
}

func (p *acme) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
}

// authorize is the sign-in page.
func (p *acme) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code := rand.Text()
	p.codes[code] = q
	w.Header().Set("Location", q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode())
	w.WriteHeader(302)
}

func (p *acme) client(r *http.Request) bool {
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	return id == acmeClient && secret == acmeSecret
}

func (p *acme) token(w http.ResponseWriter, r *http.Request) {
	who := maps.Clone(p.user)
	reply := map[string]any{"token_type": "Bearer", "expires_in": 300}
	fail := func(word string) { answer(w, 400, map[string]any{"error": word}) }
	switch r.FormValue("grant_type") {
	case "authorization_code":
		asked, found := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		proven := asked.Get("code_challenge_method") == "S256" && asked.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(sum[:])
		if !found || !p.client(r) || asked.Get("redirect_uri") != r.FormValue("redirect_uri") || (asked.Has("code_challenge") && !proven) {
			fail("invalid_grant")
			return
		}
		id := p.claims(map[string]any{"sub": who["sub"], "nonce": asked.Get("nonce")})
		if p.bend != nil {
			p.bend(id)
		}
		reply["id_token"] = p.sign(id)
	case "password":
		if !p.client(r) || r.FormValue("username") != who["preferred_username"] || r.FormValue("password") != "password of ann" {
			fail("invalid_grant")
			return
		}
		reply["id_token"] = p.sign(p.claims(who))
	case "client_credentials":
		if !p.client(r) {
			fail("invalid_client")
			return
		}
		who = map[string]any{"sub": "service-account", "preferred_username": "robot", "email": "robot@acme.example", "groups": []any{"ops"}}
	default:
		fail("unsupported_grant_type")
		return
	}
	reply["access_token"] = p.access(who)
	answer(w, 200, reply)
}

// access makes an access token.
func (p *acme) access(who map[string]any) string {
	if !p.opaque {
		signed := p.sign(p.claims(who))
		p.tokens[signed] = who
		return signed
	}
	token := "opaque-" + rand.Text()
	p.tokens[token] = who
	return token
}

// claims are what a token of the provider says for us, of somebody.
func (p *acme) claims(of map[string]any) map[string]any {
	c := map[string]any{"iss": p.server.URL, "aud": acmeClient, "iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix()}
	maps.Copy(c, of)
	return c
}

func (p *acme) sign(claims map[string]any) string {
	return signedBy(jose.ES256, p.key, claims)
}

func signedBy(algorithm jose.SignatureAlgorithm, key any, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k1"))
	if err != nil {
		panic(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return text
}

func (p *acme) introspect(w http.ResponseWriter, r *http.Request) {
	who, found := p.tokens[r.FormValue("token")]
	if !p.client(r) || !found {
		answer(w, 200, map[string]any{"active": false})
		return
	}
	reply := map[string]any{"active": true, "client_id": acmeClient, "sub": who["sub"], "scope": "openid profile"}
	for _, name := range []string{"iss", "client_id", "scope", "active"} {
		if value, there := who["introspect_"+name]; there {
			reply[name] = value
		}
	}
	answer(w, 200, reply)
}

func (p *acme) userInfo(w http.ResponseWriter, r *http.Request) {
	var token string
	_, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token)
	who, found := p.tokens[token]
	if err != nil || !found {
		w.WriteHeader(401)
		return
	}
	answer(w, 200, who)
}

// set changes the user of the provider.
func (p *acme) set(claim string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user = maps.Clone(p.user)
	p.user[claim] = value
}

// bearer is an access token of the provider's user.
func (p *acme) bearer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.access(p.user)
}

// acmeRules make users of the provider's in the domain of the provider, and groups
// in the default domain.
const acmeRules = `[{"local":[{"user":{"name":"{0}","email":"{1}"}},{"groups":"{2}","domain":{"id":"default"}}],
	"remote":[{"type":"OIDC-preferred_username"},{"type":"HTTP_OIDC_EMAIL"},{"type":"OIDC_CLAIM_groups"}]}]`

const acmeAuth = "/v3/OS-FEDERATION/identity_providers/acme/protocols/openid/auth"

// federated makes a cloud that knows the provider, with a group ops whose members
// are members of project demo.
func federated(t *testing.T, set ...func(o *identity.Options)) (*cloud, *acme) {
	t.Helper()
	var c *cloud
	p := newAcme(t, func() time.Time { return c.clock.Now() })
	c = open(t, &cloud{openID: []oidc.Settings{p.settings()}, set: set})
	admin := c.admin(t)
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "ops", "domain_id": "default"})
	c.expect(t, []expectation{
		{admin, "PUT", "/projects/" + c.find(t, admin, "projects", "demo") + "/groups/" + group + "/roles/" + c.find(t, admin, "roles", "member"), "", 204},
		{admin, "PUT", "/OS-FEDERATION/mappings/m", `{"mapping":{"rules":` + acmeRules + `}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/acme", `{"identity_provider":{"enabled":true,"remote_ids":["` + p.server.URL + `"]}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/acme/protocols/openid", `{"protocol":{"mapping_id":"m"}}`, 201},
	})
	return c, p
}

// rules changes the rules of the provider's mapping.
func (c *cloud) rules(t *testing.T, rules, version string) {
	t.Helper()
	c.call(t, "PATCH", "/v3/OS-FEDERATION/mappings/m", c.admin(t), `{"mapping":{"schema_version":"`+version+`","rules":`+rules+`}}`).want(200)
}

// present signs in by a token of the provider.
func (c *cloud) present(t *testing.T, token string, headers ...string) reply {
	t.Helper()
	return c.call(t, "POST", acmeAuth, "", "", append([]string{"Authorization", "Bearer " + token}, headers...)...)
}

func (r reply) token() string { return r.header.Get("X-Subject-Token") }

// assertion is what a provider says by a protocol that has been spoken.
func assertion(idp string, attributes map[string][]string) identity.Assertion {
	return identity.Assertion{IDP: idp, Protocol: "openid", RemoteID: "https://" + idp, Attributes: attributes}
}
