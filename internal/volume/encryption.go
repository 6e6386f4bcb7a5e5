package volume

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
	"nacre/internal/nodeapi"
)

// A type may say that its volumes are encrypted. Each such volume gets a key,
// which is sealed in the database and told to the host that has the volume, to
// nobody else: what lies on its disk is LUKS, made and opened by QEMU there. A
// copy of a volume has the same key, so copies need not be read to be made. A
// key that nothing needs any more is swept.

// Encryption is how volumes of a type are encrypted.
type Encryption struct {
	bun.BaseModel `bun:"table:volume_type_encryptions"`

	Type            string `bun:",pk"`
	ID              string
	Provider        string
	Cipher          string
	KeySize         int64
	ControlLocation string
	CreatedAt       db.Time
	UpdatedAt       db.Time
}

// luks are the names that clients have for LUKS.
var luks = []string{"luks", "luks2", "LuksEncryptor", "nova.volume.encryptors.luks.LuksEncryptor", "os_brick.encryptors.luks.LuksEncryptor"}

// makeable refuses what is not what QEMU makes, when a volume is to be made: it
// would not be encrypted as its type says.
func (e Encryption) makeable() error {
	switch {
	case !slices.Contains(luks, e.Provider):
		return errs.BadRequestf("Invalid input received: Encryption provider %s is not known: use luks.", e.Provider)
	case e.Cipher != "" && e.Cipher != "aes-xts-plain64":
		return errs.BadRequestf("Invalid input received: Cipher %s is not known: use aes-xts-plain64.", e.Cipher)
	case e.KeySize != 0 && e.KeySize != 256 && e.KeySize != 512:
		return errs.BadRequestf("Invalid input received: A key of %d bits does not fit aes-xts-plain64: use 256 or 512.", e.KeySize)
	}
	return nil
}

// sealer keeps secrets in the database.
type sealer interface {
	Seal(place, secret string) string
	Open(place, sealed string) (string, error)
}

func findEncryption(ctx context.Context, tx *db.Tx, kind string) (Encryption, error) {
	var e Encryption
	err := tx.Get(ctx, &e, "SELECT * FROM volume_type_encryptions WHERE type = ?", kind)
	if errors.Is(err, sql.ErrNoRows) {
		return Encryption{}, errs.NotFoundf("Volume type encryption for type %s does not exist.", kind)
	}
	return e, unexpected("read the encryption of type "+kind, err)
}

// EncryptionOf is how volumes of a type are encrypted; not found when they are
// not.
func (s *Service) EncryptionOf(ctx context.Context, kind string) (Encryption, error) {
	var e Encryption
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		e, err = findEncryption(ctx, tx, kind)
		return err
	})
	return e, err
}

// CreateEncryption says how volumes of a type are encrypted from now on.
func (s *Service) CreateEncryption(ctx context.Context, e Encryption) (Encryption, error) {
	e.ID = s.newID()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := findEncryption(ctx, tx, e.Type)
		if err == nil {
			return errs.BadRequestf("Volume type encryption for type %s already exists.", e.Type)
		}
		if !errs.Is(err, errs.NotFound) {
			return err
		}
		err = unusedType(ctx, tx, e.Type)
		if err != nil {
			return err
		}
		e.CreatedAt = db.At(tx.Now())
		return tx.Insert(ctx, &e)
	})
	return e, unexpected("create encryption of type "+e.Type, err)
}

// ChangeEncryption changes how volumes of a type are encrypted, while there are
// none.
func (s *Service) ChangeEncryption(ctx context.Context, kind string, do func(*Encryption)) (Encryption, error) {
	var e Encryption
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		e, err = findEncryption(ctx, tx, kind)
		if err == nil {
			err = unusedType(ctx, tx, kind)
		}
		if err != nil {
			return err
		}
		do(&e)
		e.UpdatedAt = db.At(tx.Now())
		_, err = tx.Update(ctx, &e, "provider", "cipher", "key_size", "control_location", "updated_at")
		return err
	})
	return e, unexpected("change encryption of type "+kind, err)
}

// DeleteEncryption lets volumes of a type be unencrypted, while there are none.
func (s *Service) DeleteEncryption(ctx context.Context, kind string) error {
	return unexpected("delete encryption of type "+kind, s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := findEncryption(ctx, tx, kind)
		if err == nil {
			err = unusedType(ctx, tx, kind)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM volume_type_encryptions WHERE type = ?", kind)
		return err
	}))
}

func unusedType(ctx context.Context, tx *db.Tx, kind string) error {
	var used int
	err := tx.Get(ctx, &used, "SELECT COUNT(*) FROM volumes WHERE type = ?", kind)
	if err == nil && used > 0 {
		return errs.BadRequestf("Cannot create, change or delete encryption specs. Volume type in use.")
	}
	return err
}

// encrypt gives a new volume the key that it needs: its own, or its source's.
func (s *Service) encrypt(ctx context.Context, tx *db.Tx, v *Volume) error {
	e, err := findEncryption(ctx, tx, v.Type)
	encrypted := err == nil
	if encrypted {
		err = e.makeable()
	}
	switch {
	case err != nil && !errs.Is(err, errs.NotFound):
		return err
	case v.Source+v.Snapshot != "" && encrypted != (v.Key != ""):
		return errs.BadRequestf("Invalid input received: A volume and what it is made from are both encrypted, or neither.")
	case !encrypted || v.Key != "":
		return nil
	case s.sealer == nil:
		return errs.BadRequestf("Invalid input received: There are no encrypted volumes here.")
	}
	secret := make([]byte, 32)
	_, err = rand.Read(secret)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	v.Key = s.newID()
	_, err = tx.Exec(ctx, "INSERT INTO volume_keys (id, secret, created_at) VALUES (?, ?, ?)",
		v.Key, s.sealer.Seal("volume_keys/"+v.Key, hex.EncodeToString(secret)), db.At(tx.Now()))
	return unexpected("keep the key of volume "+v.ID, err)
}

// secretOf opens a key.
func (s *Service) secretOf(ctx context.Context, tx *db.Tx, key string) (string, error) {
	var sealed string
	err := tx.Get(ctx, &sealed, "SELECT secret FROM volume_keys WHERE id = ?", key)
	if err != nil {
		return "", fmt.Errorf("read key %s: %w", key, err)
	}
	return s.sealer.Open("volume_keys/"+key, sealed)
}

// answerKey tells a node the key of what it has: of a volume, a snapshot or a copy
// whose document is wanted on that very host.
func (s *Service) answerKey(ctx context.Context, host string, payload json.RawMessage) (any, error) {
	var q nodeapi.KeyQuery
	err := json.Unmarshal(payload, &q)
	if err != nil {
		return nil, errs.BadRequestf("unreadable question")
	}
	var secret string
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var key string
		err := tx.Get(ctx, &key, `
			SELECT encryption_key FROM (
				SELECT id, encryption_key FROM volumes UNION ALL SELECT id, encryption_key FROM snapshots
				UNION ALL SELECT id, encryption_key FROM volume_copies
			) AS those WHERE id = ? AND encryption_key <> '' AND EXISTS (
				SELECT 1 FROM documents WHERE documents.id = those.id AND kind = ? AND host = ? AND desired <> '')`,
			q.Volume, nodeapi.KindVolume, host)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.NotFoundf("Host %s has no encrypted volume %s.", host, q.Volume)
		}
		if err != nil {
			return err
		}
		secret, err = s.secretOf(ctx, tx, key)
		return err
	})
	return nodeapi.KeyReply{Key: secret}, err
}

// sweepKeys removes keys that nothing needs any more.
func (s *Service) sweepKeys(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `
			DELETE FROM volume_keys WHERE NOT EXISTS (SELECT 1 FROM volumes WHERE encryption_key = volume_keys.id)
				AND NOT EXISTS (SELECT 1 FROM snapshots WHERE encryption_key = volume_keys.id)
				AND NOT EXISTS (SELECT 1 FROM volume_copies WHERE encryption_key = volume_keys.id)
				AND NOT EXISTS (SELECT 1 FROM volume_backups WHERE encryption_key = volume_keys.id)`)
		if err == nil && n > 0 {
			loop.Did(ctx, "removed_keys", n)
		}
		return err
	})
}
