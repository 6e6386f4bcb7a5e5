package api_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"nacre/internal/db"
	"nacre/internal/identity"
)

const spURL = "https://west.example/identity/v3/OS-FEDERATION/identity_providers/east/protocols/saml2/auth"

// asking is the body that asks for an assertion.
func asking(token, provider string) string {
	return byToken(token, `{"service_provider":{"id":"`+provider+`"}}`)
}

// west makes a service provider that takes our users.
func (c *cloud) west(t *testing.T, admin string) {
	t.Helper()
	c.call(t, "PUT", "/v3/OS-FEDERATION/service_providers/west", admin, `{"service_provider":{"auth_url":"`+spURL+`","sp_url":"`+spURL+`","enabled":true,"relay_state_prefix":"ss:mem:"}}`).want(201)
}

// signers are the certificates that our metadata names.
func (c *cloud) signers(t *testing.T) (saml.EntityDescriptor, []*x509.Certificate) {
	t.Helper()
	r := c.call(t, "GET", "/v3/OS-FEDERATION/saml2/metadata", "", "").want(200)
	if got := r.header.Get("Content-Type"); got != "text/xml" {
		t.Errorf("metadata is %s", got)
	}
	var entity saml.EntityDescriptor
	err := xml.Unmarshal(r.body, &entity)
	if err != nil {
		t.Fatal(err)
	}
	var out []*x509.Certificate
	for _, k := range entity.IDPSSODescriptors[0].KeyDescriptors {
		der, err := base64.StdEncoding.DecodeString(k.KeyInfo.X509Data.X509Certificates[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, certificate)
	}
	return entity, out
}

// asserted verifies the assertion of a response with the library itself, and
// reads it.
func (c *cloud) asserted(t *testing.T, response *etree.Element, certificates []*x509.Certificate) saml.Assertion {
	t.Helper()
	validation := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: certificates})
	validation.Clock = dsig.NewFakeClockAt(c.clock.Now())
	signed, err := validation.Validate(response.FindElement("./Assertion"))
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	doc := etree.NewDocument()
	doc.SetRoot(signed)
	text, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	var assertion saml.Assertion
	err = xml.Unmarshal(text, &assertion)
	if err != nil {
		t.Fatal(err)
	}
	return assertion
}

func parseXML(t *testing.T, text []byte) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	err := doc.ReadFromBytes(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return doc.Root()
}

func writeXML(t *testing.T, root *etree.Element) []byte {
	t.Helper()
	doc := etree.NewDocument()
	doc.SetRoot(root)
	text, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A cloud tells another who a user is: signed, by what its metadata names.
func TestSAMLAssertion(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	c.west(t, admin)
	group := c.create(t, admin, "groups", "group", map[string]any{"name": `crew "&<ü>`, "domain_id": "default"})
	c.call(t, "PUT", "/v3/groups/"+group+"/users/"+c.find(t, admin, "users", "demo"), admin, "").want(204)

	r := c.call(t, "POST", "/v3/auth/OS-FEDERATION/saml2", "", asking(demo, "west")).want(200)
	if r.header.Get("Content-Type") != "text/xml" || r.header.Get("X-Sp-Url") != spURL || r.header.Get("X-Auth-Url") != spURL {
		t.Errorf("headers %v", r.header)
	}
	entity, certificates := c.signers(t)
	if want := c.server.URL + "/identity/v3/OS-FEDERATION/saml2/idp"; entity.EntityID != want || len(certificates) != 2 {
		t.Errorf("entity %s with %d keys, want %s with 2", entity.EntityID, len(certificates), want)
	}
	said := c.asserted(t, parseXML(t, r.body), certificates)
	got := map[string][]string{}
	for _, a := range said.AttributeStatements[0].Attributes {
		for _, v := range a.Values {
			got[a.Name] = append(got[a.Name], v.Value)
		}
	}
	for name, want := range map[string][]string{
		"openstack_user": {"demo"}, "openstack_user_domain": {"Default"}, "openstack_project": {"demo"}, "openstack_project_domain": {"Default"},
		"openstack_groups": {`JSON:{"name":"crew \"\u0026\u003cü\u003e","domain":{"name":"Default"}}`},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !slices.Contains(got["openstack_roles"], "member") || len(got) != 6 {
		t.Errorf("attributes %v", got)
	}
	confirmed := said.Subject.SubjectConfirmations[0]
	if said.Issuer.Value != entity.EntityID || said.Subject.NameID.Value != "demo" || confirmed.Method != "urn:oasis:names:tc:SAML:2.0:cm:bearer" ||
		confirmed.SubjectConfirmationData.Recipient != spURL {
		t.Errorf("got %+v of %+v", said.Issuer, said.Subject)
	}
	if end, now := confirmed.SubjectConfirmationData.NotOnOrAfter, c.clock.Now(); !end.After(now) || end.After(now.Add(5*time.Minute)) {
		t.Errorf("it can be presented until %s", end)
	}
	// What is said ends with the token.
	if end := said.AuthnStatements[0].SessionNotOnOrAfter; !end.Equal(time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("it ends at %s, want with the token", end)
	}

	envelope := parseXML(t, c.call(t, "POST", "/v3/auth/OS-FEDERATION/saml2/ecp", "", asking(demo, "west")).want(200).body)
	relay := envelope.FindElement("./Header/RelayState")
	if envelope.Tag != "Envelope" || relay == nil || !strings.HasPrefix(relay.Text(), "ss:mem:") {
		t.Errorf("envelope %v with relay state %v", envelope.Tag, relay)
	}
	c.asserted(t, envelope.FindElement("./Body/Response"), certificates)
}

func TestSAMLAssertionIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	c.west(t, admin)
	c.call(t, "PUT", "/v3/OS-FEDERATION/service_providers/off", admin, `{"service_provider":{"auth_url":"`+spURL+`","sp_url":"`+spURL+`","enabled":false}}`).want(201)
	const at, ecp = "/auth/OS-FEDERATION/saml2", "/auth/OS-FEDERATION/saml2/ecp"
	unscoped := c.token(t, password("demo", "Default", c.boot.DemoPassword, `"unscoped"`))
	over := c.demo(t)
	c.call(t, "DELETE", "/v3/auth/tokens", over, "", "X-Subject-Token", over).want(204)
	user := c.find(t, admin, "users", "demo")
	credential := c.call(t, "POST", "/v3/users/"+user+"/application_credentials", demo, `{"application_credential":{"name":"a"}}`).want(201)
	restricted := c.token(t, fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}}}`,
		credential.text("application_credential", "id"), credential.text("application_credential", "secret")))
	for _, path := range []string{at, ecp} {
		c.expect(t, []expectation{
			{"", "POST", path, asking(demo, "ghost"), 404},
			{"", "POST", path, asking(demo, "off"), 403},
			{"", "POST", path, asking(over, "west"), 404},
			{"", "POST", path, asking("nonsense", "west"), 404},
			{"", "POST", path, asking(unscoped, "west"), 403},
			{"", "POST", path, asking(restricted, "west"), 403},
			{"", "POST", path, byToken(demo, onDemo), 400},
			{"", "POST", path, byToken(demo, ""), 400},
			{"", "POST", path, `{"auth":{"scope":{"service_provider":{"id":"west"}}}}`, 400},
			{"", "POST", path, `{}`, 400},
			{"", "POST", path, `<x/>`, 400},
			{"", "GET", path, "", 405},
		})
	}
}

// The key that signs was published half a year before, and none is ever seen.
func TestSAMLKeysRotate(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	c.west(t, admin)
	_, first := c.signers(t)
	for range 4 {
		c.clock.Advance(183 * 24 * time.Hour)
		for _, l := range c.service.Loops() {
			if l.Name == "identity.rotate-signing-keys" {
				err := l.Once(t.Context())
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		_, now := c.signers(t)
		if len(now) != 3 || !now[1].Equal(first[0]) {
			t.Fatalf("%d keys; the one that was published first does not sign", len(now))
		}
		r := c.call(t, "POST", "/v3/auth/OS-FEDERATION/saml2", "", asking(c.admin(t), "west")).want(200)
		// A cloud that has not looked since knows the key all the same.
		c.asserted(t, parseXML(t, r.body), first)
		if strings.Contains(string(r.body), "PRIVATE") {
			t.Error("the key is shown")
		}
		first = now
	}
}

// Keys are sealed in the database, and clouds that do no SAML have none.
func TestSAMLKeysAreSealed(t *testing.T) {
	t.Parallel()
	var options identity.Options
	c := start(t, func(o *identity.Options) { options = *o })
	rows := func() (texts []string) {
		err := options.DB.Read(t.Context(), func(tx *db.Tx) error { return tx.All(t.Context(), &texts, `SELECT secret FROM saml_keys`) })
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}
	if got := rows(); len(got) != 0 {
		t.Errorf("%d keys before anybody has asked", len(got))
	}
	c.signers(t)
	got := rows()
	if len(got) != 2 || strings.Contains(strings.Join(got, ""), "BEGIN") {
		t.Errorf("keys are kept as %q", got)
	}
}
