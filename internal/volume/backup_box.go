package volume

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"nacre/internal/db"
)

// box keeps the chunks of an encrypted volume's backup secret: each is sealed by a
// key that comes from the volume's, to its place. The box of a volume that is not
// encrypted is open.
type box struct {
	aead cipher.AEAD
	key  []byte // of checksums, which would tell who has the same bytes
}

func (s *Service) boxOf(ctx context.Context, b Backup) (box, error) {
	if b.Key == "" {
		return box{}, nil
	}
	var secret string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		secret, err = s.secretOf(ctx, tx, b.Key)
		return err
	})
	if err != nil {
		return box{}, err
	}
	derive := func(what string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(what))
		return mac.Sum(nil)
	}
	block, err := aes.NewCipher(derive("backup chunks"))
	if err != nil {
		return box{}, err
	}
	aead, err := cipher.NewGCM(block)
	return box{aead, derive("backup checksums")}, err
}

func (x box) sum(data []byte) string {
	if x.aead == nil {
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
	mac := hmac.New(sha256.New, x.key)
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}

func (x box) seal(place string, data []byte) []byte {
	if x.aead == nil {
		return data
	}
	nonce := make([]byte, x.aead.NonceSize())
	_, err := rand.Read(nonce)
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return x.aead.Seal(nonce, nonce, data, []byte(place))
}

func (x box) open(place string, data []byte) ([]byte, error) {
	if x.aead == nil {
		return data, nil
	}
	if len(data) < x.aead.NonceSize() {
		return nil, errors.New("too short")
	}
	return x.aead.Open(nil, data[:x.aead.NonceSize()], data[x.aead.NonceSize():], []byte(place))
}

// kindFor is the type of a new volume that a backup is restored to: for an
// encrypted one that of its original, or of whatever is encrypted; else the
// default.
func (s *Service) kindFor(ctx context.Context, b Backup) (string, error) {
	if b.Key == "" {
		return "", nil
	}
	var name string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &name, `
			SELECT COALESCE((SELECT volume_types.name FROM volume_types JOIN volume_type_encryptions ON volume_type_encryptions.type = volume_types.id
				LEFT JOIN volumes ON volumes.type = volume_types.id AND volumes.id = ?
				ORDER BY CASE WHEN volumes.id IS NULL THEN 1 ELSE 0 END, volume_types.created_at LIMIT 1), '')`, b.Volume)
	})
	return name, unexpected(fmt.Sprintf("find an encrypted type for backup %s", b.ID), err)
}
