package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// openIDSigners are the keys that sign ID tokens. They stay published until their
// signatures have expired.
func (s *Service) openIDSigners() signers {
	return signers{table: "openid_keys", place: "openid key", kept: 4, every: s.keyPeriod, make: newOpenIDKey}
}

// newOpenIDKey makes a key pair for ES256.
func newOpenIDKey(time.Time) (string, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return string(der), err
}

// openIDKeys lists the keys as JSON web keys, private halves included, the
// newest first.
func (s *Service) openIDKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	rows, err := s.openSigners(ctx, s.openIDSigners())
	if err != nil {
		return nil, err
	}
	keys := make([]jose.JSONWebKey, len(rows))
	for i, row := range rows {
		private, err := x509.ParsePKCS8PrivateKey([]byte(row.Secret))
		if err != nil {
			return nil, fmt.Errorf("read signing key %s: %w", row.ID, err)
		}
		keys[i] = jose.JSONWebKey{Key: private, KeyID: row.ID, Algorithm: string(jose.ES256), Use: "sig"}
	}
	return keys, nil
}

// OpenIDKeys are the public halves of all keys.
func (s *Service) OpenIDKeys(ctx context.Context) (jose.JSONWebKeySet, error) {
	keys, err := s.openIDKeys(ctx)
	for i := range keys {
		keys[i] = keys[i].Public()
	}
	return jose.JSONWebKeySet{Keys: keys}, err
}

// signJWT signs claims with the key that was published before the newest.
func (s *Service) signJWT(ctx context.Context, claims map[string]any) (string, error) {
	keys, err := s.openIDKeys(ctx)
	if err != nil {
		return "", err
	}
	if len(keys) < 2 {
		return "", fmt.Errorf("sign: %d keys are there, want 2 or more", len(keys))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: keys[1]}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}
