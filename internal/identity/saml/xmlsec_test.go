package saml

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dsig "github.com/russellhaering/goxmldsig"
)

// xmlsec1 is what Keystone, and the modules of Apache before it, sign and verify
// with: it takes what we say, and we take what it says.
func TestXMLSec(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	xmlsec := func(arg ...string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "/usr/bin/xmlsec1", append([]string{arg[0], "--id-attr:ID", nsAssertion + ":Assertion"}, arg[1:]...)...).CombinedOutput()
	}
	key, err := ours.Encode()
	if err != nil {
		t.Fatal(err)
	}
	private := file("key.pem", key)
	certificate := file("certificate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Certificate.Raw})))

	response, err := Respond(ours, Said{Issuer: provider, Recipient: here, User: "ann <&> ü", At: noon, Until: noon.Add(time.Hour),
		Attributes: []Attribute{{"openstack_groups", []string{`JSON:{"name":"a \"b\""}`, " spaces\n\tand tabs "}}}})
	if err != nil {
		t.Fatal(err)
	}
	said := string(written(t, ECP(response, "ss:mem:")))
	output, err := xmlsec("--verify", "--pubkey-cert-pem", certificate, file("said.xml", said))
	if err != nil {
		t.Errorf("%v (make packages installs what is missing): %s", err, output)
	}
	output, err = xmlsec("--verify", "--pubkey-cert-pem", certificate, file("changed.xml", strings.ReplaceAll(said, "ann", "root")))
	if err == nil {
		t.Errorf("xmlsec1 takes what was changed: %s", output)
	}

	for _, canonical := range canonicalMethods {
		assertion := assertionOf("ann")
		el := assertion.Element()
		el.InsertChildAt(1, parsed(t, `<ds:Signature xmlns:ds="`+dsig.Namespace+`"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="`+canonical+`"/>
			<ds:SignatureMethod Algorithm="`+dsig.RSASHA256SignatureMethod+`"/><ds:Reference URI="#`+assertion.ID+`"><ds:Transforms>
			<ds:Transform Algorithm="`+dsig.EnvelopedSignatureAltorithmId.String()+`"/><ds:Transform Algorithm="`+canonical+`"/></ds:Transforms>
			<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/>
			<ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>`))
		signed := filepath.Join(dir, "signed.xml")
		output, err = xmlsec("--sign", "--privkey-pem", private+","+certificate, "--output", signed, file("template.xml", string(written(t, enclosed(el)))))
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		document, err := os.ReadFile(signed)
		if err != nil {
			t.Fatal(err)
		}
		heard, err := believed.Accept(document, expected)
		if err != nil || heard.NameID != "ann" {
			t.Errorf("%s: got %+v, %v", canonical, heard, err)
		}
		refused(t, canonical, []byte(strings.ReplaceAll(string(document), "ann<", "root<")))
	}
}
