package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// pairs are keys of both kinds that make signed tokens.
func pairs(t testing.TB) *Keys {
	t.Helper()
	k := &Keys{Makes: JWS}
	err := k.Set([]Key{NewKey(Fernet, 1), NewKey(JWS, 0), NewKey(JWS, 6), NewKey(JWS, 7)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var signedToken = Token{
	User: userHex, Project: projectHex, Trust: "t", Methods: []string{"token", "password"},
	AuditIDs: []string{"ZGVmZ2hpamtsbW5vcHFycw", "c3JxcG9ubWxramloZ2ZlZA"}, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour),
}

func part(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Whoever knows Keystone's signed tokens finds the same claims here, and checks
// the signature with the standard library alone.
func TestSignedTokenIsKeystones(t *testing.T) {
	t.Parallel()
	keys := pairs(t)
	text, err := keys.Encode(signedToken)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	var header, payload map[string]any
	err = errors.Join(json.Unmarshal(part(t, parts[0]), &header), json.Unmarshal(part(t, parts[1]), &payload))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "7"}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
	want = map[string]any{
		"sub": userHex, "iat": float64(issued.Unix()), "exp": float64(issued.Unix() + 3600),
		"openstack_methods": []any{"token", "password"}, "openstack_audit_ids": []any{"ZGVmZ2hpamtsbW5vcHFycw", "c3JxcG9ubWxramloZ2ZlZA"},
		"openstack_project_id": projectHex, "openstack_trust_id": "t",
	}
	if diff := cmp.Diff(want, payload); diff != "" {
		t.Errorf("claims differ (-want +got):\n%s", diff)
	}
	signature := part(t, parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	public := keys.active.Load().jws[0].public
	if len(signature) != 64 || !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Errorf("the signature %x is not that of the primary key", signature)
	}
}

// What a token says of how it is to be checked counts for nothing.
func TestForgedSignedTokens(t *testing.T) {
	t.Parallel()
	keys := pairs(t)
	text, err := keys.Encode(signedToken)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	ours := keys.active.Load().jws[0]
	public, err := x509.MarshalPKIXPublicKey(ours.public)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(algorithm jose.SignatureAlgorithm, key any, o *jose.SignerOptions, payload string) string {
		t.Helper()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o.WithType("JWT").WithHeader("kid", ours.id))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claims := string(part(t, parts[1]))
	encode := base64.RawURLEncoding.EncodeToString
	for name, forged := range map[string]string{
		"no algorithm":               encode([]byte(`{"alg":"none","kid":"7","typ":"JWT"}`)) + "." + parts[1] + ".",
		"no algorithm, signed":       encode([]byte(`{"alg":"none","kid":"7","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"our public key as a secret": sign(jose.HS256, public, &jose.SignerOptions{}, claims),
		"another pair":               sign(jose.ES256, theirs, &jose.SignerOptions{}, claims),
		"another pair, brought":      sign(jose.ES256, theirs, &jose.SignerOptions{EmbedJWK: true}, claims),
		"other claims":               parts[0] + "." + encode([]byte(strings.Replace(claims, projectHex, userHex, 1))) + "." + parts[2],
		"no signature":               parts[0] + "." + parts[1] + ".",
		"no key":                     encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"the staged key's number":    encode([]byte(`{"alg":"ES256","kid":"0","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"too long":                   text + strings.Repeat("A", 4000),
		"dots":                       "..",
		"two tokens":                 text + "." + text,
		"in JSON":                    `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		_, err := keys.Decode(forged)
		if !errors.Is(err, errToken) {
			t.Errorf("%s: got error %v, want %v", name, err, errToken)
		}
	}
	_, err = keys.Decode(text)
	if err != nil {
		t.Errorf("the token itself: %v", err)
	}
	// What our own key has signed is believed only in the form of a token.
	for _, odd := range []string{
		`{}`, `[]`, `{"sub":""}`, `{"sub":"u","openstack_methods":["magic"]}`, `{"sub":"u","openstack_system":"half"}`,
		`{"sub":"u","openstack_domain_id":"d","openstack_project_id":"p"}`, `{"sub":"u","openstack_trust_id":"t"}`,
		`{"sub":"u","openstack_project_id":"p","openstack_trust_id":"t","openstack_app_cred_id":"a"}`, `{"sub":"u","openstack_audit_ids":["x"]}`,
		`{"sub":"u","iat":"now"}`,
	} {
		signed, err := ours.signer.Sign([]byte(odd))
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		_, err = keys.Decode(text)
		if !errors.Is(err, errToken) {
			t.Errorf("%s: got error %v, want %v", odd, err, errToken)
		}
	}
}

func TestBadKeyPairs(t *testing.T) {
	t.Parallel()
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(large)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("key"), der} {
		err = new(Keys).Set([]Key{NewKey(Fernet, 1), {JWS, 5, base64.URLEncoding.EncodeToString(bad)}})
		if err == nil || err.Error() != "key 5 is no private key for ES256" {
			t.Errorf("%d bytes: got error %v", len(bad), err)
		}
	}
	err = (&Keys{Makes: JWS}).Set([]Key{NewKey(Fernet, 1)})
	if err == nil {
		t.Error("no key pair: got no error")
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := pairs(b)
	text, err := keys.Encode(signedToken)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := keys.Decode(text)
		if err != nil {
			b.Fatal(err)
		}
	}
}
