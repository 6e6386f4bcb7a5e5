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
	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// openIDKeyPlace is what the signing keys are sealed for in the database.
const openIDKeyPlace = "openid key"

// maxOpenIDKeys is how many keys are published: the next one, the one that
// signs, and those before it, whose signatures have expired by the time they go.
const maxOpenIDKeys = 4

type openIDKey struct {
	bun.BaseModel `bun:"table:openid_keys"`

	ID        string `bun:",pk"`
	Secret    string
	CreatedAt db.Time
}

// newOpenIDKey makes a key pair for ES256.
func (s *Service) newOpenIDKey(now time.Time) (openIDKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return openIDKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return openIDKey{}, err
	}
	return openIDKey{ID: s.newID(), Secret: s.sealer.Seal(openIDKeyPlace, string(der)), CreatedAt: db.At(now)}, nil
}

// readOpenIDKeys lists the keys, the newest first.
func readOpenIDKeys(ctx context.Context, tx *db.Tx) ([]openIDKey, error) {
	var rows []openIDKey
	return rows, tx.All(ctx, &rows, `SELECT * FROM openid_keys ORDER BY created_at DESC, id`)
}

// rotateOpenIDKeys publishes a further key when it is time, which makes the
// one published before sign; a client that keeps the list of keys for a while
// knows it by then. At first there are two, so that one can sign.
func (s *Service) rotateOpenIDKeys(ctx context.Context) error {
	now := s.clock.Now()
	made := 0
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = 0
		err := tx.Lock(ctx, "openid keys")
		if err != nil {
			return err
		}
		rows, err := readOpenIDKeys(ctx, tx)
		if err != nil {
			return err
		}
		switch {
		case len(rows) == 0:
			made = 2
		case now.Sub(rows[0].CreatedAt.Time()) >= s.keyPeriod:
			made = 1
		}
		for range made {
			key, err := s.newOpenIDKey(now)
			if err == nil {
				err = tx.Insert(ctx, &key)
			}
			if err != nil {
				return err
			}
		}
		for i, key := range rows {
			if i+made >= maxOpenIDKeys {
				_, err = tx.Exec(ctx, `DELETE FROM openid_keys WHERE id = ?`, key.ID)
			} else {
				err = s.resealOpenIDKey(ctx, tx, key)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	if made > 0 {
		loop.Did(ctx, "made", made)
	}
	return nil
}

func (s *Service) resealOpenIDKey(ctx context.Context, tx *db.Tx, row openIDKey) error {
	again, err := s.sealer.Renew(openIDKeyPlace, row.Secret)
	if err != nil || again == row.Secret {
		return err
	}
	row.Secret = again
	_, err = tx.Update(ctx, &row, "secret")
	return err
}

// openIDKeys lists the keys as JSON web keys, private halves included, the
// newest first.
func (s *Service) openIDKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	var rows []openIDKey
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		rows, err = readOpenIDKeys(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	keys := make([]jose.JSONWebKey, len(rows))
	for i, row := range rows {
		der, err := s.sealer.Open(openIDKeyPlace, row.Secret)
		if err != nil {
			return nil, fmt.Errorf("open signing key %s: %w", row.ID, err)
		}
		private, err := x509.ParsePKCS8PrivateKey([]byte(der))
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
