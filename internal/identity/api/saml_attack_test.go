package api_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	saml2 "github.com/crewjam/saml"
)

// An answer is good once, wherever and however it is brought again.
func TestAttackSAMLReplay(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	answer := east.carry(t, east.demo(t))
	west.bring(t, answer).want(201)
	west.bring(t, answer).want(401)
	envelope := parseXML(t, []byte(answer))
	envelope.FindElement("./Header/RelayState").SetText("another")
	envelope.FindElement("./Body/Response").CreateAttr("ID", "id-another")
	west.bring(t, string(writeXML(t, envelope))).want(401)
	west.clock.Advance(time.Hour) // when it is no longer remembered
	west.bring(t, answer).want(401)

	c, p := knowing(t)
	form, cookie := c.signInAtIDP(t)
	browse(t, "POST", c.server.URL+eastWebsso, form.Encode(), "Cookie", cookie).want(200)
	browse(t, "POST", c.server.URL+eastWebsso, form.Encode(), "Cookie", cookie).want(401)
	// One request has one answer, even if the provider gives two.
	id := requestID(t, c)
	c.bring(t, c.answer(t, p, id, func(*saml2.IdpAuthnRequest) {})).want(201)
	c.bring(t, c.answer(t, p, id, func(*saml2.IdpAuthnRequest) {})).want(401)
}

func requestID(t *testing.T, c *cloud) string {
	t.Helper()
	asked := c.call(t, "GET", eastAuth, "", "", "Accept", paos).want(200)
	return parseXML(t, asked.body).FindElement("./Body/AuthnRequest").SelectAttrValue("ID", "")
}

// An answer to a request that is not ours, is another provider's, or too old.
func TestAttackSAMLInResponseTo(t *testing.T) {
	t.Parallel()
	c, p := knowing(t)
	bring := func(request string) reply {
		t.Helper()
		return c.bring(t, c.answer(t, p, request, func(*saml2.IdpAuthnRequest) {}))
	}
	id := requestID(t, c)
	for _, forged := range []string{"id-x", "id-" + base64.RawURLEncoding.EncodeToString([]byte("a.b")), id[:len(id)-2], "id-" + strings.Repeat("A", 150), "x"} {
		bring(forged).want(401)
	}
	c.clock.Advance(11 * time.Minute)
	bring(id).want(401)
}

// An answer for somebody else is not one for us.
func TestAttackSAMLAnswerForOthers(t *testing.T) {
	t.Parallel()
	c, p := knowing(t)
	for name, bend := range map[string]func(r *saml2.IdpAuthnRequest){
		"audience": func(r *saml2.IdpAuthnRequest) {
			r.Assertion.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example"
		},
		"recipient": func(r *saml2.IdpAuthnRequest) {
			r.Assertion.Subject.SubjectConfirmations[0].SubjectConfirmationData.Recipient = "https://other.example"
		},
		"expired": func(r *saml2.IdpAuthnRequest) { r.Assertion.Conditions.NotOnOrAfter = saml2.TimeNow().Add(-time.Hour) },
		"early":   func(r *saml2.IdpAuthnRequest) { r.Assertion.Conditions.NotBefore = saml2.TimeNow().Add(time.Hour) },
		"issuer":  func(r *saml2.IdpAuthnRequest) { r.Assertion.Issuer.Value = "https://other.example" },
		"browser's": func(r *saml2.IdpAuthnRequest) {
			r.Assertion.Subject.SubjectConfirmations[0].SubjectConfirmationData.Recipient = c.server.URL + eastWebsso
		},
	} {
		if got := c.bring(t, c.answer(t, p, requestID(t, c), bend)); got.status != 401 {
			t.Errorf("%s: got %d, want 401", name, got.status)
		}
	}
	c.bring(t, c.answer(t, p, requestID(t, c), func(*saml2.IdpAuthnRequest) {})).want(201)
	// What a host header says of who we are does not count for an answer to another cloud.
	east, west := twoClouds(t)
	other := takes(t, west.saml[0].MetadataFile, east.server.URL+"/identity/v3/OS-FEDERATION/saml2/idp", k2kRules)
	other.bring(t, east.carry(t, east.demo(t))).want(401)
	// A provider speaks for itself only.
	stranger := start(t)
	stranger.call(t, "PUT", "/v3/OS-FEDERATION/service_providers/west", stranger.admin(t), `{"service_provider":{"auth_url":"`+west.server.URL+eastAuth+`","sp_url":"`+west.server.URL+eastAuth+`","enabled":true}}`).want(201)
	west.bring(t, stranger.carry(t, stranger.admin(t))).want(401)
}

func TestAttackSAMLHugeBody(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	answer := east.carry(t, east.demo(t))
	west.bring(t, answer+strings.Repeat(" ", 1<<20)).want(413)
	west.bring(t, "<!DOCTYPE x [<!ENTITY a \"x\">]>"+answer).want(401)
	west.bring(t, "").want(401)
	west.bring(t, `<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body><S:Fault/></S:Body></S:Envelope>`).want(401)
	west.bring(t, answer).want(201)
}

// Another site's page cannot sign a browser in as somebody else: an answer that
// the browser did not set out for is nobody's, and what programs bring cannot be
// sent by a form.
func TestAttackSAMLLoginCSRF(t *testing.T) {
	t.Parallel()
	c, p := knowing(t)
	form, cookie := c.signInAtIDP(t)
	at := c.server.URL + eastWebsso
	_, others := c.signInAtIDP(t)
	for name, headers := range map[string][]string{
		"no cookie": nil, "cookie of another attempt": {"Cookie", others}, "forged": {"Cookie", strings.Split(cookie, "=")[0] + "=x.y"},
	} {
		if got := browse(t, "POST", at, form.Encode(), headers...); got.status != 401 {
			t.Errorf("%s: got %d, want 401", name, got.status)
		}
	}
	unasked := base64.StdEncoding.EncodeToString([]byte(c.answer(t, p, "", func(r *saml2.IdpAuthnRequest) {
		r.Assertion.Subject.SubjectConfirmations[0].SubjectConfirmationData.Recipient = at
	})))
	browse(t, "POST", at, url.Values{"SAMLResponse": {unasked}, "RelayState": {form.Get("RelayState")}}.Encode(), "Cookie", cookie).want(401)
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "text/xml", ""} {
		if got := browse(t, "POST", c.server.URL+eastAuth, c.answer(t, p, "", func(*saml2.IdpAuthnRequest) {}), "Content-Type", kind); got.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: got %d, want 415", kind, got.status)
		}
	}
}

// What Apache would put into the environment is nothing when it comes as a header.
func TestAttackSAMLHeaders(t *testing.T) {
	t.Parallel()
	east, west := twoClouds(t)
	for _, name := range []string{"REMOTE_USER", "Remote-User", "X-Remote-User", "openstack_user", "Shib-Identity-Provider", "MELLON_IDP", "Shib-Session-ID"} {
		west.call(t, "GET", eastAuth, "", "", name, "admin").want(401)
		west.bring(t, "", name, "admin").want(401)
		there := west.bring(t, east.carry(t, east.demo(t)), name, "admin").want(201)
		if got := there.text("token", "user", "name"); got != "demo of Default" {
			t.Errorf("%s makes %q of the user", name, got)
		}
	}
}
