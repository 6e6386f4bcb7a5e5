package compute

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/ssh"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// KeyPair is a public key that a user's servers let in.
type KeyPair struct {
	bun.BaseModel `bun:"table:keypairs,alias:keypairs"`

	UserID      string `bun:",pk"`
	Name        string `bun:",pk"`
	Seq         int64
	Type        string // ssh or x509
	Fingerprint string
	PublicKey   string
	CreatedAt   db.Time
}

// countKeyPair counts one more key pair of a user, as far as the limits of who asks allow it.
func countKeyPair(ctx context.Context, tx *db.Tx, by auth.Caller, user string) error {
	err := quota.Count(ctx, tx, user, quota.KeyPairs(1))
	if err != nil {
		return err
	}
	limits, err := limitsFor(ctx, tx, by.Project, by.User, quota.KeyPair)
	if err != nil {
		return err
	}
	used, err := quota.Usage(ctx, tx, user, quota.KeyPair)
	if err == nil && limits[quota.KeyPair] >= 0 && used[quota.KeyPair] > limits[quota.KeyPair] {
		return errs.Forbiddenf("Quota exceeded, too many key pairs.")
	}
	return err
}

// CreateKeyPair keeps the public key, or makes a pair and returns its private
// key, which is kept nowhere.
func (s *Service) CreateKeyPair(ctx context.Context, by auth.Caller, user, name, kind string, public *string) (pair KeyPair, private string, err error) {
	pair = KeyPair{UserID: user, Name: name, Type: kind, CreatedAt: db.At(s.clock.Now())}
	if public != nil {
		pair.PublicKey = strings.TrimSpace(*public)
	} else {
		pair.PublicKey, private, err = s.makePair(kind, user)
		if err != nil {
			return pair, "", fmt.Errorf("make key pair: %w", err)
		}
	}
	pair.Fingerprint, err = fingerprint(kind, pair.PublicKey)
	if err != nil {
		return pair, "", err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := countKeyPair(ctx, tx, by, user)
		if err != nil {
			return err
		}
		err = tx.Lock(ctx, "key pair numbers")
		if err != nil {
			return err
		}
		err = tx.Get(ctx, &pair.Seq, "SELECT COALESCE(MAX(seq), 0) + 1 FROM keypairs")
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &pair)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Key pair '%s' already exists.", name)
		}
		if err != nil {
			return err
		}
		if public == nil {
			return tellKeyPair(ctx, tx, "create", pair)
		}
		return tellKeyPair(ctx, tx, "import", pair)
	})
	return pair, private, err
}

func (s *Service) makePair(kind, user string) (public, private string, err error) {
	if kind == "x509" {
		return makeCertificate(user, s.clock.Now())
	}
	return makeKey()
}

// makeKey makes an ECDSA key: every guest and client of the last decade takes
// it, and it is made in a moment.
func makeKey() (public, private string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "Generated-by-Nova")
	if err != nil {
		return "", "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", "", err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " Generated-by-Nova"
	return line, string(pem.EncodeToMemory(block)), nil
}

// fingerprint is of an ssh key the MD5 form, which is what the API has always
// shown.
func fingerprint(kind, public string) (string, error) {
	if kind == "x509" {
		return certificateFingerprint(public)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		return "", errs.BadRequestf("Keypair data is invalid: failed to generate fingerprint")
	}
	sum := md5.Sum(key.Marshal())
	return colons(sum[:]), nil
}

// KeyPair returns one key pair of a user.
func (s *Service) KeyPair(ctx context.Context, user, name string) (KeyPair, error) {
	var pair KeyPair
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		pair, err = keyPair(ctx, tx, user, name)
		return err
	})
	return pair, err
}

func keyPair(ctx context.Context, tx *db.Tx, user, name string) (KeyPair, error) {
	var pair KeyPair
	err := tx.Get(ctx, &pair, "SELECT * FROM keypairs WHERE user_id = ? AND name = ?"+tx.Hold(), user, name)
	if errors.Is(err, sql.ErrNoRows) {
		return pair, errs.NotFoundf("Keypair %s not found for user %s", name, user)
	}
	if err != nil {
		return pair, fmt.Errorf("read key pair %s: %w", name, err)
	}
	return pair, nil
}

// KeyPairs lists a user's key pairs by name.
func (s *Service) KeyPairs(ctx context.Context, user string, page db.Page) (list []KeyPair, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&list).Where("user_id = ?", user).OrderExpr("name")
		if page.Marker != "" {
			n, err := tx.NewSelect().Table("keypairs").Where("user_id = ? AND name = ?", user, page.Marker).Count(ctx)
			if err != nil {
				return err
			}
			if n == 0 {
				return errs.BadRequestf("Marker [%s] not found", page.Marker)
			}
			q = q.Where("name > ?", page.Marker)
		}
		if page.Limit > 0 {
			q = q.Limit(int64(page.Limit) + 1)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list key pairs: %w", err)
	}
	list, more = db.Trim(page, list)
	return list, more, nil
}

// DeleteKeyPair forgets a key pair. Servers that were made with it keep it.
func (s *Service) DeleteKeyPair(ctx context.Context, user, name string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		pair, err := keyPair(ctx, tx, user, name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM keypairs WHERE user_id = ? AND name = ?", user, name)
		if err != nil {
			return fmt.Errorf("delete key pair %s: %w", name, err)
		}
		err = tellKeyPair(ctx, tx, "delete", pair)
		if err != nil {
			return err
		}
		return quota.Release(ctx, tx, user, quota.KeyPairs(1))
	})
}
