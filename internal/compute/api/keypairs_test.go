package api_test

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A key pair of type x509 is a certificate for the authentication of a client.
func TestCertificateKeyPair(t *testing.T) {
	c := start(t, options{})
	made := c.must(201, "demo@2.2", "POST", "/os-keypairs", `{"keypair":{"name":"winrm","type":"x509"}}`)
	public, private := made.at(t, "keypair", "public_key").(string), made.at(t, "keypair", "private_key").(string)
	_, err := tls.X509KeyPair([]byte(public), []byte(private))
	if err != nil {
		t.Fatalf("the private key does not belong to the certificate: %v", err)
	}
	block, _ := pem.Decode([]byte(public))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	user := made.at(t, "keypair", "user_id").(string)
	if certificate.Subject.CommonName != user || !slices.Equal(certificate.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("the certificate is of %s for %v, want %s and client authentication", certificate.Subject, certificate.ExtKeyUsage, user)
	}
	if !strings.Contains(string(certificate.Raw), user+"@localhost") {
		t.Error("the certificate does not name its principal")
	}
	sum := sha1.Sum(certificate.Raw)
	want := strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":")
	if got := made.at(t, "keypair", "fingerprint"); got != want {
		t.Errorf("fingerprint %v, want %s", got, want)
	}

	quoted, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	again := c.must(201, "demo@2.92", "POST", "/os-keypairs", `{"keypair":{"name":"imported","type":"x509","public_key":`+string(quoted)+`}}`)
	if got := again.at(t, "keypair", "fingerprint"); got != want {
		t.Errorf("imported it has fingerprint %v, want %s", got, want)
	}
	for _, wrong := range []string{`"ssh-ed25519 AAAA"`, `"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"`} {
		c.must(400, "demo@2.92", "POST", "/os-keypairs", `{"keypair":{"name":"wrong","type":"x509","public_key":`+wrong+`}}`)
	}
	for _, pair := range c.must(200, "demo@2.2", "GET", "/os-keypairs", "").at(t, "keypairs").([]any) {
		if got := pair.(map[string]any)["keypair"].(map[string]any)["type"]; got != "x509" {
			t.Errorf("listed as %v, want x509", got)
		}
	}
}
