package api_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"html"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	saml2 "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"nacre/internal/identity/saml"
)

// The library's provider has the time of the clouds of these tests.
func init() {
	saml2.TimeNow = func() time.Time { return time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC) }
}

const (
	paos     = "application/vnd.paos+xml"
	eastAuth = "/v3/OS-FEDERATION/identity_providers/east/protocols/saml2/auth"
	k2kRules = `[{"local":[{"user":{"name":"{0} of {1}"}},{"group":{"name":"guests","domain":{"id":"default"}}}],
		"remote":[{"type":"openstack_user"},{"type":"openstack_user_domain"},{"type":"openstack_roles","any_one_of":["member"]}]}]`
)

// takes makes a cloud that takes the users of a provider whose metadata is in a
// file. They are members of its project demo.
func takes(t *testing.T, metadata, entity, rules string) *cloud {
	t.Helper()
	c := open(t, &cloud{saml: []saml.Settings{{IDP: "east", Name: "East", MetadataFile: metadata}}})
	admin := c.admin(t)
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "guests", "domain_id": "default"})
	c.expect(t, []expectation{
		{admin, "PUT", "/projects/" + c.find(t, admin, "projects", "demo") + "/groups/" + group + "/roles/" + c.find(t, admin, "roles", "member"), "", 204},
		{admin, "PUT", "/OS-FEDERATION/mappings/m", `{"mapping":{"rules":` + rules + `}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/east", `{"identity_provider":{"enabled":true,"remote_ids":["` + entity + `"]}}`, 201},
		{admin, "PUT", "/OS-FEDERATION/identity_providers/east/protocols/saml2", `{"protocol":{"mapping_id":"m"}}`, 201},
	})
	return c
}

// twoClouds are one that says who its users are, and one that believes it.
func twoClouds(t *testing.T) (east, west *cloud) {
	t.Helper()
	east = start(t)
	file := filepath.Join(t.TempDir(), "east.xml")
	described := east.call(t, "GET", "/v3/OS-FEDERATION/saml2/metadata", "", "").want(200)
	err := os.WriteFile(file, described.body, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	west = takes(t, file, east.server.URL+"/identity/v3/OS-FEDERATION/saml2/idp", k2kRules)
	at := west.server.URL + eastAuth
	east.call(t, "PUT", "/v3/OS-FEDERATION/service_providers/west", east.admin(t), `{"service_provider":{"auth_url":"`+at+`","sp_url":"`+at+`","enabled":true}}`).want(201)
	return east, west
}

// carry gets an answer at one cloud for the other.
func (c *cloud) carry(t *testing.T, token string) string {
	t.Helper()
	return string(c.call(t, "POST", "/v3/auth/OS-FEDERATION/saml2/ecp", "", asking(token, "west")).want(200).body)
}

// bring brings an answer to a cloud.
func (c *cloud) bring(t *testing.T, answer string, headers ...string) reply {
	t.Helper()
	return browse(t, "POST", c.server.URL+eastAuth, answer, append([]string{"Content-Type", paos}, headers...)...)
}

// A user of one cloud gets a token of another.
func TestKeystoneToKeystone(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	there := west.bring(t, east.carry(t, east.demo(t))).want(201)
	if got := there.text("token", "user", "name"); got != "demo of Default" {
		t.Errorf("the user is %q", got)
	}
	if got := there.text("token", "user", "OS-FEDERATION", "identity_provider", "id"); got != "east" {
		t.Errorf("by %q", got)
	}
	if there.text("token", "expires_at") != "2026-12-01T09:00:00.000000Z" {
		t.Errorf("it is good until %s, want no longer than the token of the other cloud", there.text("token", "expires_at"))
	}
	scoped := west.call(t, "POST", "/v3/auth/tokens", "", byToken(there.token(), onDemo)).want(201)
	if scoped.text("token", "roles", 0, "name") != "member" {
		t.Errorf("scoped: %s", scoped.body)
	}
	// A token gets shorter by being taken abroad, never longer.
	old := east.demo(t)
	east.clock.Advance(59 * time.Minute)
	west.clock.Advance(59 * time.Minute)
	late := west.bring(t, east.carry(t, old)).want(201)
	if late.text("token", "expires_at") != "2026-12-01T09:00:00.000000Z" {
		t.Errorf("it is good until %s, want until the first token's end", late.text("token", "expires_at"))
	}
	// Users without the role that the mapping asks for stay out.
	west.call(t, "PATCH", "/v3/OS-FEDERATION/mappings/m", west.admin(t), `{"mapping":{"rules":`+strings.Replace(k2kRules, `"member"`, `"astronaut"`, 1)+`}}`).want(200)
	west.bring(t, east.carry(t, east.demo(t))).want(401)
}

func TestSAMLProviderEnds(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	admin := west.admin(t)
	const idp = "/OS-FEDERATION/identity_providers/east"
	there := west.bring(t, east.carry(t, east.demo(t))).want(201).token()
	west.call(t, "PATCH", "/v3"+idp, admin, `{"identity_provider":{"enabled":false}}`).want(200)
	west.bring(t, east.carry(t, east.demo(t))).want(403)
	west.call(t, "GET", "/v3/auth/projects", there, "").want(401)
	west.call(t, "PATCH", "/v3"+idp, admin, `{"identity_provider":{"enabled":true,"remote_ids":["https://somebody.else"]}}`).want(200)
	west.bring(t, east.carry(t, east.demo(t))).want(403)
	west.call(t, "DELETE", "/v3"+idp+"/protocols/saml2", admin, "").want(204)
	west.bring(t, east.carry(t, east.demo(t))).want(404)
}

// The keys of a provider are those that its file has now.
func TestSAMLMetadataChanges(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	file := west.saml[0].MetadataFile
	another := start(t).call(t, "GET", "/v3/OS-FEDERATION/saml2/metadata", "", "").want(200)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string, hour int) {
		err := os.WriteFile(file, []byte(text), 0o600)
		if err == nil {
			err = os.Chtimes(file, time.Time{}, time.Date(2026, 12, 1, hour, 0, 0, 0, time.UTC))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	west.bring(t, east.carry(t, east.demo(t))).want(201)
	put(regexp.MustCompile(`entityID="[^"]*"`).ReplaceAllString(string(another.body), `entityID="`+east.server.URL+`/identity/v3/OS-FEDERATION/saml2/idp"`), 1)
	west.bring(t, east.carry(t, east.demo(t))).want(401)
	put("nonsense", 2)
	west.bring(t, east.carry(t, east.demo(t))).want(500)
	put(string(content), 3)
	west.bring(t, east.carry(t, east.demo(t))).want(201)
}

func TestSAMLSettingsAreChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate := base64.StdEncoding.EncodeToString(newIDP(t).Certificate.Raw)
	key := `<KeyDescriptor><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>` + certificate + `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`
	entity := func(id, attributes, inside string) string {
		return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="` + id + `"><IDPSSODescriptor ` + attributes + `>` + inside + `</IDPSSODescriptor></EntityDescriptor>`
	}
	for name, text := range map[string]string{
		"right": entity("https://a", "", key), "empty": "", "no entity": entity("", "", key), "no keys": entity("https://a", "", ""), "text": "x",
		"bad certificate": entity("https://a", "", strings.Replace(key, certificate, "AAAA", 1)),
		"wants signed":    entity("https://a", `WantAuthnRequestsSigned="true"`, key),
		"plain http":      entity("https://a", "", key+`<SingleSignOnService Binding="`+saml2.HTTPRedirectBinding+`" Location="http://idp.example/"/>`),
	} {
		file := filepath.Join(dir, name)
		err := os.WriteFile(file, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = saml.Open([]saml.Settings{{IDP: "a", MetadataFile: file}})
		if (err == nil) != (name == "right") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range [][]saml.Settings{{{IDP: "a"}}, {{MetadataFile: filepath.Join(dir, "right")}}, {{IDP: "a", MetadataFile: filepath.Join(dir, "missing")}},
		{{IDP: "a", MetadataFile: filepath.Join(dir, "right")}, {IDP: "a", MetadataFile: filepath.Join(dir, "right")}}} {
		_, err := saml.Open(s)
		if err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

// idp is an identity provider that is not ours: the library's. Whoever comes to it
// is signed in as ann.
type idp struct {
	saml2.IdentityProvider

	services map[string]*saml2.EntityDescriptor
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: saml2.TimeNow().Add(-time.Hour), NotAfter: saml2.TimeNow().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{services: map[string]*saml2.EntityDescriptor{}}
	p.IdentityProvider = saml2.IdentityProvider{Key: key, Certificate: certificate, Logger: log.New(io.Discard, "", 0), ServiceProviderProvider: p, SessionProvider: p,
		SignatureMethod: dsig.RSASHA256SignatureMethod}
	mux := http.NewServeMux()
	mux.HandleFunc("/sso", p.ServeSSO)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p.MetadataURL, p.SSOURL = *base.JoinPath("metadata"), *base.JoinPath("sso")
	return p
}

// GetServiceProvider implements saml2.ServiceProviderProvider.
func (p *idp) GetServiceProvider(_ *http.Request, id string) (*saml2.EntityDescriptor, error) {
	if p.services[id] == nil {
		return nil, os.ErrNotExist
	}
	return p.services[id], nil
}

// GetSession implements saml2.SessionProvider.
func (p *idp) GetSession(http.ResponseWriter, *http.Request, *saml2.IdpAuthnRequest) *saml2.Session {
	return &saml2.Session{ID: "s", NameID: "ann", UserName: "ann", UserEmail: "ann@idp.example", Groups: []string{"staff", "crew"},
		CreateTime: saml2.TimeNow(), ExpireTime: saml2.TimeNow().Add(30 * time.Minute), Index: "1"}
}

// knowing makes a cloud that takes the users of the library's provider, which
// knows the cloud.
func knowing(t *testing.T) (*cloud, *idp) {
	t.Helper()
	p := newIDP(t)
	text, err := xml.Marshal(p.Metadata())
	file := filepath.Join(t.TempDir(), "idp.xml")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := takes(t, file, p.MetadataURL.String(), `[{"local":[{"user":{"name":"{0}","email":"{1}"}},{"group":{"name":"guests","domain":{"id":"default"}}}],
		"remote":[{"type":"REMOTE_USER"},{"type":"eduPersonPrincipalName"},{"type":"eduPersonAffiliation","any_one_of":["crew"]}]}]`)
	var us saml2.EntityDescriptor
	r := c.call(t, "GET", "/nacre/v1/saml/east/saml2/metadata", "", "").want(200)
	err = xml.Unmarshal(r.body, &us)
	if err != nil {
		t.Fatal(err)
	}
	if want := c.server.URL + "/nacre/v1/saml/east/saml2/metadata"; us.EntityID != want {
		t.Errorf("we are %s, want %s", us.EntityID, want)
	}
	p.services[us.EntityID] = &us
	return c, p
}

const eastWebsso = "/v3/auth/OS-FEDERATION/identity_providers/east/protocol/saml2/websso"

var formValue = regexp.MustCompile(`name="(SAMLResponse|RelayState)" value="([^"]*)"`)

// signInAtIDP sends a browser away and to the provider, and gives the form that it
// comes back with, and the cookie.
func (c *cloud) signInAtIDP(t *testing.T) (url.Values, string) {
	t.Helper()
	away := browse(t, "GET", c.server.URL+eastWebsso+"?origin="+url.QueryEscape(horizon), "").want(302)
	page := browse(t, "GET", away.header.Get("Location"), "").want(200)
	form := url.Values{}
	for _, m := range formValue.FindAllStringSubmatch(string(page.body), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	cookie, _, _ := strings.Cut(away.header.Get("Set-Cookie"), ";")
	return form, cookie
}

// A browser goes to a provider that isn't ours, and comes back with a token.
func TestSAMLWebSSO(t *testing.T) {
	t.Parallel()
	c, _ := knowing(t)
	form, cookie := c.signInAtIDP(t)
	back := browse(t, "POST", c.server.URL+eastWebsso, form.Encode(), "Cookie", cookie).want(200)
	token := regexp.MustCompile(`name="token" value="([^"]*)"`).FindSubmatch(back.body)
	if token == nil || !strings.Contains(string(back.body), `action="`+horizon+`"`) {
		t.Fatalf("got %s", back.body)
	}
	shown := c.call(t, "GET", "/v3/auth/tokens", c.admin(t), "", "X-Subject-Token", string(token[1])).want(200)
	if shown.text("token", "user", "name") != "ann" || !slices.Equal(c.call(t, "GET", "/v3/auth/projects", string(token[1]), "").want(200).names("projects", "name"), []string{"demo"}) {
		t.Errorf("signed in: %s", shown.body)
	}
	offers := c.call(t, "GET", "/nacre/v1/websso", "", "").want(200)
	if got := offers.names("providers", "name"); !slices.Equal(got, []string{"East"}) {
		t.Errorf("offered are %v", got)
	}
	chosen := browse(t, "GET", c.server.URL+"/v3/auth/OS-FEDERATION/websso/saml2?origin="+url.QueryEscape(horizon), "").want(302)
	if !strings.HasPrefix(chosen.header.Get("Location"), c.server.URL+eastWebsso) {
		t.Errorf("led to %s", chosen.header.Get("Location"))
	}
	browse(t, "GET", c.server.URL+eastWebsso+"?origin=https%3A%2F%2Fevil.example%2F", "").want(401)
	browse(t, "GET", c.server.URL+eastWebsso, "").want(400)
	browse(t, "GET", c.server.URL+"/nacre/v1/saml/ghost/saml2/metadata", "").want(404)
}

// A program is given a request, has it answered, and brings the answer.
func TestSAMLECP(t *testing.T) {
	t.Parallel()
	c, p := knowing(t)
	asked := c.call(t, "GET", eastAuth, "", "", "Accept", "application/json,"+paos, "PAOS", `ver="urn:liberty:paos:2003-08";"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"`).want(200)
	if got := asked.header.Get("Content-Type"); got != paos {
		t.Errorf("the request is %s", got)
	}
	envelope := parseXML(t, asked.body)
	consumer := envelope.FindElement("./Header/Request[@responseConsumerURL]").SelectAttrValue("responseConsumerURL", "")
	if consumer != c.server.URL+eastAuth || envelope.FindElement("./Header/RelayState") == nil {
		t.Errorf("the answer is to be brought to %q", consumer)
	}
	answer := c.answer(t, p, envelope.FindElement("./Body/AuthnRequest").SelectAttrValue("ID", ""), func(*saml2.IdpAuthnRequest) {})
	there := c.bring(t, answer).want(201)
	if there.text("token", "user", "name") != "ann" || there.text("token", "expires_at") != "2026-12-01T09:00:00.000000Z" {
		t.Errorf("signed in: %s", there.body)
	}
	c.call(t, "GET", eastAuth, "", "").want(401)
	c.call(t, "GET", eastAuth, "", "", "Accept", "application/json").want(401)
}

// answer has the provider answer a request; the function may bend it.
func (c *cloud) answer(t *testing.T, p *idp, request string, bend func(r *saml2.IdpAuthnRequest)) string {
	t.Helper()
	us := p.services[c.server.URL+"/nacre/v1/saml/east/saml2/metadata"]
	r := &saml2.IdpAuthnRequest{
		IDP: &p.IdentityProvider, Now: saml2.TimeNow(), HTTPRequest: httptest.NewRequest("POST", "/sso", nil), ServiceProviderMetadata: us, SPSSODescriptor: &us.SPSSODescriptors[0],
		ACSEndpoint: &saml2.IndexedEndpoint{Binding: "urn:oasis:names:tc:SAML:2.0:bindings:PAOS", Location: c.server.URL + eastAuth},
		Request:     saml2.AuthnRequest{ID: request, IssueInstant: saml2.TimeNow(), Issuer: &saml2.Issuer{Value: us.EntityID}},
	}
	err := saml2.DefaultAssertionMaker{}.MakeAssertion(r, p.GetSession(nil, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	bend(r)
	err = r.MakeResponse()
	if err != nil {
		t.Fatal(err)
	}
	text, err := saml.Write(saml.ECP(r.ResponseEl, ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The plugin v3samlpassword of keystoneauth carries the request to the provider,
// which asks for the password.
func TestSAMLPassword(t *testing.T) {
	t.Parallel()
	c, p := knowing(t)
	ecp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		if err != nil || user != "ann" || secret != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		request := parseXML(t, body).FindElement("./Body/AuthnRequest")
		envelope := parseXML(t, []byte(c.answer(t, p, request.SelectAttrValue("ID", ""), func(*saml2.IdpAuthnRequest) {})))
		response := envelope.FindElement("./Header").ChildElements()[0] // becomes the relay state
		response.Tag = "Response"
		response.CreateAttr("AssertionConsumerServiceURL", request.SelectAttrValue("AssertionConsumerServiceURL", ""))
		_, err = w.Write(writeXML(t, envelope))
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(ecp.Close)
	output, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/samlpassword.py", c.server.URL+"/v3", ecp.URL).CombinedOutput()
	if got := strings.TrimSpace(string(output)); err != nil || got != "ann demo member,reader" {
		t.Errorf("%v (make packages installs what is missing): %s", err, output)
	}
}
