package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// jwsAlgorithm is the only one that we sign with and believe, whatever a token
// says of itself.
const jwsAlgorithm = jose.ES256

// keyPair signs tokens and checks their signatures.
type keyPair struct {
	id     string // stands in the header of what it has signed
	public *ecdsa.PublicKey
	signer jose.Signer
}

// newKeyPair makes a private key, in the form of PKCS 8.
func newKeyPair() []byte {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err) // the curve is one of those that are known
	}
	return der
}

func openKeyPair(number int, der []byte) (keyPair, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	private, is := parsed.(*ecdsa.PrivateKey)
	if err != nil || !is || private.Curve != elliptic.P256() {
		return keyPair{}, errors.New("is no private key for " + string(jwsAlgorithm))
	}
	pair := keyPair{id: strconv.Itoa(number), public: &private.PublicKey}
	signing := jose.SigningKey{Algorithm: jwsAlgorithm, Key: jose.JSONWebKey{Key: private, KeyID: pair.id}}
	pair.signer, err = jose.NewSigner(signing, new(jose.SignerOptions).WithType("JWT"))
	return pair, err
}

// claims are a token as Keystone's provider of that name spells it.
type claims struct {
	User          string   `json:"sub"`
	IssuedAt      int64    `json:"iat"`
	ExpiresAt     int64    `json:"exp"`
	Methods       []string `json:"openstack_methods"`
	AuditIDs      []string `json:"openstack_audit_ids"`
	System        string   `json:"openstack_system,omitempty"`
	Domain        string   `json:"openstack_domain_id,omitempty"`
	Project       string   `json:"openstack_project_id,omitempty"`
	Trust         string   `json:"openstack_trust_id,omitempty"`
	AccessToken   string   `json:"openstack_access_token_id,omitempty"`
	AppCredential string   `json:"openstack_app_cred_id,omitempty"`
	Thumbprint    string   `json:"openstack_thumbprint,omitempty"`
	IDP           string   `json:"openstack_idp_id,omitempty"`
	Protocol      string   `json:"openstack_protocol_id,omitempty"`
}

// wholeSystem is the only system that a token can be for.
const wholeSystem = "all"

// sign makes a token of three parts: header, claims, signature.
func (p keyPair) sign(t Token) (string, error) {
	c := claims{
		User: t.User, IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(), Methods: t.Methods, AuditIDs: t.AuditIDs,
		Domain: t.Domain, Project: t.Project, Trust: t.Trust, AccessToken: t.AccessToken, AppCredential: t.AppCredential,
		Thumbprint: t.Thumbprint,
		IDP:        t.IDP, Protocol: t.Protocol,
	}
	if t.System {
		c.System = wholeSystem
	}
	err := c.check()
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed.CompactSerialize()
}

// verify opens what one of the pairs has signed.
func verify(pairs []keyPair, text string) (Token, error) {
	if len(text) > maxToken {
		return Token{}, errToken
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jwsAlgorithm})
	if err != nil {
		return Token{}, errToken
	}
	// The id saves us from trying all: checking a signature is dear.
	at := slices.IndexFunc(pairs, func(p keyPair) bool { return p.id == signed.Signatures[0].Header.KeyID })
	if at < 0 {
		return Token{}, errToken
	}
	payload, err := signed.Verify(pairs[at].public)
	if err != nil {
		return Token{}, errToken
	}
	var c claims
	err = json.Unmarshal(payload, &c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	return Token{
		User: c.User, IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(), Methods: c.Methods, AuditIDs: c.AuditIDs,
		System: c.System != "", Domain: c.Domain, Project: c.Project, Trust: c.Trust, AccessToken: c.AccessToken, AppCredential: c.AppCredential,
		Thumbprint: c.Thumbprint,
		IDP:        c.IDP, Protocol: c.Protocol,
	}, nil
}

// check finds what no token of ours says. The form of a Fernet token leaves no
// room for that.
func (c claims) check() error {
	given := func(values ...string) (n int) {
		for _, v := range values {
			if v != "" {
				n++
			}
		}
		return n
	}
	delegated := given(c.Trust, c.AccessToken, c.AppCredential, c.Thumbprint)
	switch {
	case c.User == "":
		return errors.New("payload has no user")
	case c.System != "" && c.System != wholeSystem:
		return errors.New("payload has an unknown system")
	case given(c.System, c.Domain, c.Project) > 1:
		return errors.New("payload has several scopes")
	case delegated > 1 || delegated == 1 && c.Project == "":
		return errors.New("payload is bound to something without a project, or to several")
	case (c.IDP == "") != (c.Protocol == "") || c.IDP != "" && (delegated > 0 || c.System != ""):
		return errors.New("payload has a part of an identity provider, or a delegation besides")
	case len(c.AuditIDs) > 2:
		return errors.New("payload has too many audit ids")
	}
	for _, id := range c.AuditIDs {
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) != auditSize {
			return errors.New("payload has a malformed audit id")
		}
	}
	_, err := methodMask(c.Methods)
	return err
}
