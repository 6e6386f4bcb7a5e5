package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

// PAOS is the media type by which a client says that it carries requests to the
// identity provider itself.
const PAOS = "application/vnd.paos+xml"

const (
	paosBinding = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS"
	ecpService  = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
)

// Request asks a provider to say who somebody is.
type Request struct {
	ID       string
	Audience string // who we are
	At       time.Time
	Consumer string // where the answer is to be brought
	SignOn   string // where the request goes; "" when the client knows
}

func (r Request) element(binding string) *etree.Element {
	create := true
	request := saml.AuthnRequest{
		ID: r.ID, IssueInstant: r.At.UTC(), Version: "2.0", Destination: r.SignOn,
		AssertionConsumerServiceURL: r.Consumer, ProtocolBinding: binding,
		Issuer:       &saml.Issuer{Format: entityFormat, Value: r.Audience},
		NameIDPolicy: &saml.NameIDPolicy{AllowCreate: &create},
	}
	return request.Element()
}

// Envelope is the request for a client that carries it by itself.
func (r Request) Envelope(relay string) ([]byte, error) {
	envelope := etree.NewElement("soap:Envelope")
	envelope.CreateAttr("xmlns:soap", nsSOAP)
	envelope.CreateAttr("xmlns:paos", nsPAOS)
	envelope.CreateAttr("xmlns:ecp", nsECP)
	envelope.CreateAttr("xmlns:saml", nsAssertion)
	header := envelope.CreateElement("soap:Header")
	part := func(name string) *etree.Element {
		el := header.CreateElement(name)
		el.CreateAttr("soap:mustUnderstand", "1")
		el.CreateAttr("soap:actor", nextActor)
		return el
	}
	paos := part("paos:Request")
	paos.CreateAttr("responseConsumerURL", r.Consumer)
	paos.CreateAttr("service", ecpService)
	ecp := part("ecp:Request")
	ecp.CreateAttr("IsPassive", "0")
	issuer := saml.Issuer{Value: r.Audience}
	ecp.AddChild(issuer.Element())
	part("ecp:RelayState").SetText(relay)
	envelope.CreateElement("soap:Body").AddChild(r.element(paosBinding))
	return Write(envelope)
}

// Redirect is where a browser is sent with the request.
func (r Request) Redirect(relay string) (string, error) {
	document, err := Write(r.element(saml.HTTPPostBinding))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write(document)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("write SAML request: %w", err)
	}
	u, err := url.Parse(r.SignOn)
	if err != nil {
		return "", fmt.Errorf("write SAML request: %w", err)
	}
	q := u.Query()
	q.Set("SAMLRequest", base64.StdEncoding.EncodeToString(b.Bytes()))
	q.Set("RelayState", relay)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// ServiceMetadata describes us as a service provider to one that knows users.
func ServiceMetadata(entity, posted, carried string) ([]byte, error) {
	root := etree.NewElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("entityID", entity)
	sp := root.CreateElement("md:SPSSODescriptor")
	sp.CreateAttr("AuthnRequestsSigned", "false")
	sp.CreateAttr("WantAssertionsSigned", "true")
	sp.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for i, at := range []struct{ binding, location string }{{saml.HTTPPostBinding, posted}, {paosBinding, carried}} {
		consumer := sp.CreateElement("md:AssertionConsumerService")
		consumer.CreateAttr("Binding", at.binding)
		consumer.CreateAttr("Location", at.location)
		consumer.CreateAttr("index", fmt.Sprint(i+1))
	}
	return Write(root)
}
