// Package saml is what SAML 2.0 asks of a cloud that tells other clouds who its
// users are, and of one that believes what others tell: documents in and out,
// with no database behind them.
//
// XML signatures have been broken again and again in the same way: one part of
// a program verifies one part of a document, and another part believes another.
// So reading here goes one way only. A document is first held against a shape
// that leaves no room (no DOCTYPE, no second element of the same ID, one
// assertion, at the one place where it may stand). Then the signature is verified
// with a key that was configured, by an algorithm of a short list. And what is
// believed is read from the very bytes that the signature was computed over,
// never from the document that came.
//
// Types and spelling of the documents that we write are those of
// github.com/crewjam/saml; signatures are made and verified by
// github.com/russellhaering/goxmldsig.
package saml

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Key signs assertions; others know it by its certificate.
type Key struct {
	Private     *rsa.PrivateKey
	Certificate *x509.Certificate
}

// Skew is by how much the clocks of clouds may differ.
const Skew = 2 * time.Minute

// keyBits is the size of keys. RSA, since every SAML library knows it.
const keyBits = 2048

// NewKey makes a key with a certificate of its own, good until a time.
func NewKey(now, until time.Time) (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Key{}, fmt.Errorf("make SAML key: %w", err)
	}
	var serial [16]byte
	_, err = rand.Read(serial[:])
	if err != nil {
		return Key{}, fmt.Errorf("make SAML key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: "Nacre SAML"},
		NotBefore: now.Add(-Skew), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return Key{}, fmt.Errorf("make SAML certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return Key{private, certificate}, err
}

// Encode writes a key as PEM, to be sealed.
func (k Key) Encode() (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return "", fmt.Errorf("write SAML key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate.Raw})), nil
}

// DecodeKey reads what Encode has written.
func DecodeKey(text string) (Key, error) {
	private, rest := pem.Decode([]byte(text))
	if private == nil {
		return Key{}, errors.New("read SAML key: it is no PEM")
	}
	certificate, _ := pem.Decode(rest)
	if certificate == nil {
		return Key{}, errors.New("read SAML key: it has no certificate")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("read SAML key: %w", err)
	}
	k := Key{}
	k.Private, _ = parsed.(*rsa.PrivateKey)
	if k.Private == nil {
		return Key{}, errors.New("read SAML key: it is not RSA")
	}
	k.Certificate, err = x509.ParseCertificate(certificate.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("read SAML certificate: %w", err)
	}
	return k, nil
}

// signer is the key as the signature library takes it.
func (k Key) signer() (crypto.Signer, [][]byte) { return k.Private, [][]byte{k.Certificate.Raw} }

// NewID is an ID of a document. It begins with a letter, as XML wants it, and
// cannot be guessed.
func NewID() string {
	var b [16]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return "id-" + hex.EncodeToString(b[:])
}
