package saml

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsSOAP      = "http://schemas.xmlsoap.org/soap/envelope/"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsECP       = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
	nsPAOS      = "urn:liberty:paos:2003-08"

	bearer       = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	success      = "urn:oasis:names:tc:SAML:2.0:status:Success"
	entityFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
	nextActor    = "http://schemas.xmlsoap.org/soap/actor/next"
)

// presentable is how long an assertion of ours may be presented. It is good for
// the way from here to there.
const presentable = 5 * time.Minute

// Said is what an identity provider says of a user.
type Said struct {
	Issuer    string
	Recipient string // URL at which it is presented
	User      string
	At        time.Time
	Until     time.Time // when what is said of the user ends
	// Attributes are written in this order.
	Attributes []Attribute
}

// Attribute is one thing that is said.
type Attribute struct {
	Name   string
	Values []string
}

// Respond writes a response with a signed assertion.
func Respond(k Key, said Said) (*etree.Element, error) {
	at, end := said.At.UTC(), said.At.UTC().Add(presentable)
	until := said.Until.UTC()
	if until.Before(end) {
		end = until
	}
	issuer := saml.Issuer{Format: entityFormat, Value: said.Issuer}
	statement := saml.AttributeStatement{}
	for _, a := range said.Attributes {
		attribute := saml.Attribute{Name: a.Name}
		for _, value := range a.Values {
			attribute.Values = append(attribute.Values, saml.AttributeValue{Type: "xs:string", Value: value})
		}
		statement.Attributes = append(statement.Attributes, attribute)
	}
	assertion := saml.Assertion{
		ID: NewID(), IssueInstant: at, Version: "2.0", Issuer: issuer,
		Subject: &saml.Subject{
			NameID: &saml.NameID{Value: said.User},
			SubjectConfirmations: []saml.SubjectConfirmation{{
				Method:                  bearer,
				SubjectConfirmationData: &saml.SubjectConfirmationData{NotOnOrAfter: end, Recipient: said.Recipient},
			}},
		},
		Conditions: &saml.Conditions{NotBefore: at, NotOnOrAfter: end},
		AuthnStatements: []saml.AuthnStatement{{
			AuthnInstant: at, SessionIndex: NewID(), SessionNotOnOrAfter: &until,
			AuthnContext: saml.AuthnContext{AuthnContextClassRef: &saml.AuthnContextClassRef{Value: "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"}},
		}},
		AttributeStatements: []saml.AttributeStatement{statement},
	}
	signature, err := sign(k, assertion.Element())
	if err != nil {
		return nil, err
	}
	assertion.Signature = signature
	response := saml.Response{
		ID: NewID(), IssueInstant: at, Version: "2.0", Destination: said.Recipient, Issuer: &issuer,
		Status:    saml.Status{StatusCode: saml.StatusCode{Value: success}},
		Assertion: &assertion,
	}
	return response.Element(), nil
}

// sign makes the signature of an element, to be put into it behind its issuer.
func sign(k Key, el *etree.Element) (*etree.Element, error) {
	signing, err := dsig.NewSigningContext(k.signer())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := signing.ConstructSignature(el, true)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

// ECP puts a response into the envelope in which a client that is no browser
// carries it, with the relay state that the service provider's software asks for.
func ECP(response *etree.Element, relayPrefix string) *etree.Element {
	envelope := etree.NewElement("soap:Envelope")
	envelope.CreateAttr("xmlns:soap", nsSOAP)
	header := envelope.CreateElement("soap:Header")
	relay := header.CreateElement("ecp:RelayState")
	relay.CreateAttr("xmlns:ecp", nsECP)
	relay.CreateAttr("soap:mustUnderstand", "1")
	relay.CreateAttr("soap:actor", nextActor)
	relay.SetText(relayPrefix + NewID())
	envelope.CreateElement("soap:Body").AddChild(response)
	return envelope
}

// Write writes a document.
func Write(root *etree.Element) ([]byte, error) {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	doc.SetRoot(root)
	body, err := doc.WriteToBytes()
	if err != nil {
		return nil, fmt.Errorf("write XML: %w", err)
	}
	return body, nil
}

// Metadata describes us as an identity provider: who we are, where we are, and by
// which keys what we say is known.
func Metadata(entity, at string, keys []Key) ([]byte, error) {
	root := etree.NewElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("xmlns:ds", dsig.Namespace)
	root.CreateAttr("entityID", entity)
	sso := root.CreateElement("md:IDPSSODescriptor")
	sso.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, k := range keys {
		key := sso.CreateElement("md:KeyDescriptor")
		key.CreateAttr("use", "signing")
		key.CreateElement("ds:KeyInfo").CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").
			SetText(base64.StdEncoding.EncodeToString(k.Certificate.Raw))
	}
	sso.CreateElement("md:NameIDFormat").SetText(string(saml.UnspecifiedNameIDFormat))
	service := sso.CreateElement("md:SingleSignOnService")
	service.CreateAttr("Binding", "urn:oasis:names:tc:SAML:2.0:bindings:URI")
	service.CreateAttr("Location", at)
	return Write(root)
}
