package compute

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"nacre/internal/errs"
)

// A key pair of type x509 is a certificate with which its user signs in to
// Windows guests through WinRM. It names the user as User Principal Name.
var (
	subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	principalName  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

const certificateYears = 10

// makeCertificate makes an RSA key of 2048 bits and a certificate that it signs
// itself, for the authentication of a client.
func makeCertificate(user string, now time.Time) (public, private string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	names, err := principal(user + "@localhost")
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return "", "", err
	}
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: user}, NotBefore: now, NotAfter: now.AddDate(certificateYears, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, ExtraExtensions: []pkix.Extension{{Id: subjectAltName, Value: names}},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), nil
}

// principal is the value of a subjectAltName with one otherName (RFC 5280,
// 4.2.1.6): SEQUENCE { [0] { OID, [0] { UTF8String } } }.
func principal(name string) ([]byte, error) {
	text, err := asn1.MarshalWithParams(name, "utf8,explicit,tag:0")
	if err != nil {
		return nil, err
	}
	other := struct {
		ID   asn1.ObjectIdentifier
		Name asn1.RawValue
	}{principalName, asn1.RawValue{FullBytes: text}}
	inner, err := asn1.MarshalWithParams(other, "tag:0")
	if err != nil {
		return nil, err
	}
	return asn1.Marshal([]asn1.RawValue{{FullBytes: inner}})
}

// certificateFingerprint is the SHA-1 of a certificate in PEM.
func certificateFingerprint(text string) (string, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "", errs.BadRequestf("Keypair data is invalid: failed to generate X509 fingerprint. Error message: the public key is not a certificate in PEM")
	}
	_, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", errs.BadRequestf("Keypair data is invalid: failed to generate X509 fingerprint. Error message: %v", err)
	}
	sum := sha1.Sum(block.Bytes)
	return colons(sum[:]), nil
}

// colons writes a sum as pairs of hexadecimal digits.
func colons(sum []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")
}
