package saml

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// What a signature may be made by. SHA-1 is not there, and neither are forms of
// canonical XML in which comments count.
var (
	signatureMethods = []string{
		dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod,
	}
	digestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
	}
	canonicalMethods = []string{
		string(dsig.CanonicalXML10ExclusiveAlgorithmId), string(dsig.CanonicalXML11AlgorithmId), string(dsig.CanonicalXML10RecAlgorithmId),
	}
)

// shape finds the response and its one assertion, where they may stand: nothing in
// the document but these can be taken for either of them, and nothing but their
// own signatures is signed.
func shape(root *etree.Element) (response, assertion *etree.Element, err error) {
	response = root
	if is(root, nsSOAP, "Envelope") {
		body, err := only(root, nsSOAP, "Body")
		if err != nil {
			return nil, nil, err
		}
		if len(body.ChildElements()) != 1 {
			return nil, nil, errors.New("the envelope has more in it than a response")
		}
		response = body.ChildElements()[0]
	}
	if !is(response, nsProtocol, "Response") {
		return nil, nil, fmt.Errorf("got %s, want a response", response.Tag)
	}
	for _, el := range response.ChildElements() {
		if !slices.Contains([]string{"Issuer", "Signature", "Status", "Assertion", "EncryptedAssertion"}, el.Tag) {
			return nil, nil, fmt.Errorf("the response has %.60q in it", el.Tag)
		}
	}
	for _, el := range all(root) {
		space := el.NamespaceURI()
		switch {
		case el.Tag == "EncryptedAssertion" || el.Tag == "EncryptedID" || el.Tag == "EncryptedAttribute":
			return nil, nil, errors.New("what is said is encrypted, and no key of ours was published for that")
		case el.Tag == "Response" && space == nsProtocol && el != response:
			return nil, nil, errors.New("there is a second response")
		case el.Tag == "Assertion" && (space != nsAssertion || el.Parent() != response || assertion != nil):
			return nil, nil, errors.New("there is a second assertion, or one where none may stand")
		case el.Tag == "Assertion":
			assertion = el
		case el.Tag == "Signature" && (space != dsig.Namespace || el.Parent() != response && (assertion == nil || el.Parent() != assertion)):
			return nil, nil, errors.New("there is a signature where none may stand")
		case el.Tag == "Object" && space == dsig.Namespace, el.Tag == "Advice":
			return nil, nil, fmt.Errorf("there is %s, in which anything may stand", el.Tag)
		}
	}
	if assertion == nil {
		return nil, nil, errors.New("there is no assertion")
	}
	return response, assertion, nil
}

// proven gives the assertion of a response as the signature covers it: what comes
// back was made from the signed bytes. The signature of the response will do for
// the assertion in it; when both are signed, both must be right.
func proven(response, assertion *etree.Element, certificates []*x509.Certificate, now time.Time) (*etree.Element, error) {
	var signed *etree.Element
	if len(children(response, dsig.Namespace, dsig.SignatureTag)) > 0 {
		whole, err := verified(response, certificates, now)
		if err != nil {
			return nil, fmt.Errorf("signature of the response: %w", err)
		}
		_, signed, err = shape(whole)
		if err != nil {
			return nil, err
		}
	}
	if len(children(assertion, dsig.Namespace, dsig.SignatureTag)) > 0 {
		var err error
		signed, err = verified(assertion, certificates, now)
		if err != nil {
			return nil, fmt.Errorf("signature of the assertion: %w", err)
		}
	}
	if signed == nil {
		return nil, errors.New("nothing is signed")
	}
	if !is(signed, nsAssertion, "Assertion") {
		return nil, fmt.Errorf("what is signed is %s", signed.Tag)
	}
	return signed, nil
}

// verified checks the signature that stands in an element and is about it, by
// one of the certificates. What the signature itself says of its key is thrown
// away.
func verified(el *etree.Element, certificates []*x509.Certificate, now time.Time) (*etree.Element, error) {
	outer, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, err
	}
	alone, err := etreeutils.NSDetatch(outer, el)
	if err != nil {
		return nil, err
	}
	signature, err := only(alone, dsig.Namespace, dsig.SignatureTag)
	if err != nil {
		return nil, err
	}
	err = plain(signature, attr(el, dsig.DefaultIdAttr))
	if err != nil {
		return nil, err
	}
	for _, info := range children(signature, dsig.Namespace, dsig.KeyInfoTag) {
		signature.RemoveChild(info)
	}
	for _, c := range certificates {
		context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		context.Clock = dsig.NewFakeClockAt(now) // ours, which need not be the machine's
		var signed *etree.Element
		signed, err = context.Validate(alone)
		if err == nil {
			return signed, nil
		}
	}
	return nil, fmt.Errorf("no key of the provider has made it: %w", err)
}

// plain refuses a signature that is about anything but its own element, whole, by
// methods that we trust.
func plain(signature *etree.Element, id string) error {
	if !xmlName.MatchString(id) {
		return errors.New("what is signed has no ID")
	}
	info, err := only(signature, dsig.Namespace, dsig.SignedInfoTag)
	if err != nil {
		return err
	}
	reference, err := only(info, dsig.Namespace, dsig.ReferenceTag)
	if err != nil {
		return err
	}
	if attr(reference, dsig.URIAttr) != "#"+id {
		return errors.New("it is about another element")
	}
	transforms, err := only(reference, dsig.Namespace, dsig.TransformsTag)
	if err != nil {
		return err
	}
	steps := transforms.ChildElements()
	if len(steps) != 2 || attr(steps[0], dsig.AlgorithmAttr) != string(dsig.EnvelopedSignatureAltorithmId) ||
		!slices.Contains(canonicalMethods, attr(steps[1], dsig.AlgorithmAttr)) {
		return errors.New("it is about something other than the element as it stands")
	}
	for _, want := range []struct {
		in      *etree.Element
		tag     string
		methods []string
	}{
		{info, dsig.CanonicalizationMethodTag, canonicalMethods},
		{info, dsig.SignatureMethodTag, signatureMethods},
		{reference, dsig.DigestMethodTag, digestMethods},
	} {
		method, err := only(want.in, dsig.Namespace, want.tag)
		if err != nil {
			return err
		}
		if name := attr(method, dsig.AlgorithmAttr); !slices.Contains(want.methods, name) {
			return fmt.Errorf("%s is %.80q, which is not trusted", want.tag, name)
		}
	}
	return nil
}
