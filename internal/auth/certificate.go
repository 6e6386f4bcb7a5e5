package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
)

// Thumbprint names a certificate in the tokens that are bound to it. It is that of
// Keystone and its middleware: of the certificate's PEM, where RFC 8705 takes the
// DER in it.
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	return base64.URLEncoding.EncodeToString(sum[:])
}
