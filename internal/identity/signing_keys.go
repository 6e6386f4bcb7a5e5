package identity

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// signers are a table of keys that sign what others verify: the newest is only
// published, so that others know it when its time comes; the one before it
// signs; those before that stay published for what they have signed.
type signers struct {
	table string
	place string        // what they are sealed for in the database
	kept  int           // how many are published
	every time.Duration // how long a key signs
	make  func(now time.Time) (string, error)
}

type signingKey struct {
	ID        string
	Secret    string
	CreatedAt db.Time
}

// read lists the keys, the newest first.
func (r signers) read(ctx context.Context, tx *db.Tx) ([]signingKey, error) {
	var rows []signingKey
	return rows, tx.All(ctx, &rows, `SELECT id, secret, created_at FROM `+r.table+` ORDER BY created_at DESC, id`)
}

// due is how many keys are to be made. At first there are two, so that one can
// sign.
func (r signers) due(rows []signingKey, now time.Time) int {
	switch {
	case len(rows) == 0:
		return 2
	case now.Sub(rows[0].CreatedAt.Time()) >= r.every:
		return 1
	}
	return 0
}

// rotateSigners publishes a further key when it is time, which makes the one published
// before sign. What an older key of the cloud has sealed is sealed anew.
func (s *Service) rotateSigners(ctx context.Context, r signers) error {
	now := s.clock.Now()
	rows, err := s.sealedKeys(ctx, r)
	if err != nil {
		return err
	}
	fresh := make([]signingKey, r.due(rows, now)) // outside of the transaction: RSA keys take their time
	for i := range fresh {
		secret, err := r.make(now)
		if err != nil {
			return fmt.Errorf("make signing key: %w", err)
		}
		fresh[i] = signingKey{ID: s.newID(), Secret: s.sealer.Seal(r.place, secret), CreatedAt: db.At(now)}
	}
	made := 0
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Lock(ctx, r.table)
		if err != nil {
			return err
		}
		rows, err := r.read(ctx, tx)
		if err != nil {
			return err
		}
		made = min(r.due(rows, now), len(fresh)) // another server may have been faster
		for _, key := range fresh[:made] {
			_, err = tx.Exec(ctx, `INSERT INTO `+r.table+` (id, secret, created_at) VALUES (?, ?, ?)`, key.ID, key.Secret, key.CreatedAt)
			if err != nil {
				return err
			}
		}
		for i, key := range rows {
			if i+made >= r.kept {
				_, err = tx.Exec(ctx, `DELETE FROM `+r.table+` WHERE id = ?`, key.ID)
			} else {
				err = s.resealSigner(ctx, tx, r, key)
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

func (s *Service) resealSigner(ctx context.Context, tx *db.Tx, r signers, row signingKey) error {
	again, err := s.sealer.Renew(r.place, row.Secret)
	if err != nil || again == row.Secret {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE `+r.table+` SET secret = ? WHERE id = ?`, again, row.ID)
	return err
}

func (s *Service) sealedKeys(ctx context.Context, r signers) ([]signingKey, error) {
	var rows []signingKey
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		rows, err = r.read(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return rows, nil
}

// openSigners lists the keys, readable, the newest first.
func (s *Service) openSigners(ctx context.Context, r signers) ([]signingKey, error) {
	rows, err := s.sealedKeys(ctx, r)
	for i := range rows {
		rows[i].Secret, err = s.sealer.Open(r.place, rows[i].Secret)
		if err != nil {
			return nil, fmt.Errorf("open signing key %s: %w", rows[i].ID, err)
		}
	}
	return rows, err
}

// rotateSigningKeys rotates the keys of OpenID Connect, and of SAML once
// somebody has asked for them.
func (s *Service) rotateSigningKeys(ctx context.Context) error {
	err := s.rotateSigners(ctx, s.openIDSigners())
	if err != nil {
		return err
	}
	rows, err := s.sealedKeys(ctx, s.samlSigners())
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.rotateSigners(ctx, s.samlSigners())
}
