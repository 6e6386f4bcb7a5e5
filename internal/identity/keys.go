package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/loop"
)

// maxKeys is how many keys there are at most; DefaultMaxActiveKeys of Keystone.
const maxKeys = 3

// keyPlace is what the keys are sealed for in the database.
const keyPlace = "fernet key"

type keyRow struct {
	bun.BaseModel `bun:"table:fernet_keys"`

	Number    int `bun:",pk"`
	Secret    string
	CreatedAt db.Time
}

// openKeys reads the keys, and makes the first ones: those of a folder in
// Keystone's form, if there is one, else a primary and a staged one.
func (s *Service) openKeys(ctx context.Context, folder string) error {
	first, err := auth.ReadKeys(folder)
	if err == nil && len(first) > 0 {
		err = new(auth.Keys).Set(first)
	}
	if err != nil {
		return fmt.Errorf("read key repository %s: %w", folder, err)
	}
	highest := 0
	for _, k := range first {
		highest = max(highest, k.Number)
	}
	if highest == 0 {
		first = append(first, auth.NewKey(1))
	}
	if !slices.ContainsFunc(first, func(k auth.Key) bool { return k.Number == 0 }) {
		first = append(first, auth.NewKey(0))
	}
	now := s.clock.Now()
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		rows, err := readKeys(ctx, tx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			err = s.resealKey(ctx, tx, row)
			if err != nil {
				return err
			}
		}
		if len(rows) > 0 {
			return nil
		}
		for _, k := range first {
			err = s.insertKey(ctx, tx, k, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open the keys of tokens: %w", err)
	}
	return s.loadKeys(ctx)
}

// readKeys lets one transaction at a time change the keys.
func readKeys(ctx context.Context, tx *db.Tx) ([]keyRow, error) {
	err := tx.Lock(ctx, "fernet keys")
	if err != nil {
		return nil, err
	}
	var rows []keyRow
	return rows, tx.All(ctx, &rows, "SELECT * FROM fernet_keys ORDER BY number")
}

func (s *Service) insertKey(ctx context.Context, tx *db.Tx, k auth.Key, now time.Time) error {
	return tx.Insert(ctx, &keyRow{Number: k.Number, Secret: s.sealer.Seal(keyPlace, k.Secret), CreatedAt: db.At(now)})
}

func (s *Service) resealKey(ctx context.Context, tx *db.Tx, row keyRow) error {
	again, err := s.sealer.Renew(keyPlace, row.Secret)
	if err != nil || again == row.Secret {
		return err
	}
	row.Secret = again
	_, err = tx.Update(ctx, &row, "secret")
	return err
}

// loadKeys takes the keys of the database.
func (s *Service) loadKeys(ctx context.Context) error {
	var rows []keyRow
	err := s.db.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &rows, "SELECT * FROM fernet_keys") })
	if err != nil {
		return fmt.Errorf("read the keys of tokens: %w", err)
	}
	keys := make([]auth.Key, len(rows))
	for i, row := range rows {
		secret, err := s.sealer.Open(keyPlace, row.Secret)
		if err != nil {
			return fmt.Errorf("open the keys of tokens: %w", err)
		}
		keys[i] = auth.Key{Number: row.Number, Secret: secret}
	}
	return s.keys.Set(keys)
}

// rotateKeys makes the staged key the one that seals when it is time, and learns
// of the keys of whichever server did. The staged key was made at the last
// rotation, so its age says when that was.
func (s *Service) rotateKeys(ctx context.Context) error {
	next, now := auth.NewKey(0), s.clock.Now()
	rotated := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		rotated = false
		rows, err := readKeys(ctx, tx)
		if err != nil {
			return err
		}
		if len(rows) < 2 || rows[0].Number != 0 {
			return fmt.Errorf("the keys of tokens are damaged: %d are there, the first has number %d", len(rows), rows[0].Number)
		}
		if now.Sub(rows[0].CreatedAt.Time()) < s.keyPeriod {
			return nil
		}
		_, err = tx.Exec(ctx, "UPDATE fernet_keys SET number = ? WHERE number = 0", rows[len(rows)-1].Number+1)
		if err != nil {
			return err
		}
		// The oldest go; what they have sealed has expired.
		for _, old := range rows[1:max(1, len(rows)-maxKeys+2)] {
			_, err = tx.Exec(ctx, "DELETE FROM fernet_keys WHERE number = ?", old.Number)
			if err != nil {
				return err
			}
		}
		rotated = true
		return s.insertKey(ctx, tx, next, now)
	})
	if err != nil {
		return fmt.Errorf("rotate the keys of tokens: %w", err)
	}
	if rotated {
		loop.Did(ctx, "rotated", 1)
	}
	return s.loadKeys(ctx)
}
