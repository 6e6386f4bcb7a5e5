package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

const (
	// defaultKeyPeriod is how long a key seals tokens.
	defaultKeyPeriod = 24 * time.Hour
	// leastKeyAge is how long a key is staged at least. Servers learn of it within
	// 100 ms, and of no token before; the rest bounds how many keys there can be.
	leastKeyAge = time.Minute
	// keyGrace is for how long a key opens tokens beyond their lifetime, for clocks
	// of servers that differ.
	keyGrace = time.Hour
)

// ring are the keys of one kind of tokens. A cloud has all of them, whichever kind
// it makes: when its servers are told to make another, one after the other, each
// can open what the others make.
type ring struct {
	kind  auth.Provider
	table string
	place string // what the keys are sealed for in the database
}

var rings = []ring{{auth.Fernet, "fernet_keys", "fernet key"}, {auth.JWS, "jws_keys", "jws key"}}

type keyRow struct {
	Number    int
	Secret    string
	CreatedAt db.Time
	RetiredAt db.Time
}

// openKeys reads the keys, and makes the first ones: a primary and a staged one
// of each kind. Fernet keys of a folder in Keystone's form, if there is one, are
// taken over.
func (s *Service) openKeys(ctx context.Context, folder string) error {
	first, err := auth.ReadKeys(folder)
	if err == nil && len(first) > 0 {
		err = new(auth.Keys).Set(first)
	}
	if err != nil {
		return fmt.Errorf("read key repository %s: %w", folder, err)
	}
	for _, r := range rings {
		highest, staged := 0, false
		for _, k := range first {
			if k.Kind == r.kind {
				highest, staged = max(highest, k.Number), staged || k.Number == 0
			}
		}
		if highest == 0 {
			first = append(first, auth.NewKey(r.kind, 1))
		}
		if !staged {
			first = append(first, auth.NewKey(r.kind, 0))
		}
	}
	now := s.clock.Now()
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		made := false
		for _, r := range rings {
			rows, err := r.read(ctx, tx)
			if err != nil {
				return err
			}
			for _, row := range rows {
				err = s.resealKey(ctx, tx, r, row)
				if err != nil {
					return err
				}
			}
			for _, k := range first {
				if len(rows) > 0 || k.Kind != r.kind {
					continue
				}
				err = s.insertKey(ctx, tx, r, k, now)
				if err != nil {
					return err
				}
				made = true
			}
		}
		if !made {
			return nil
		}
		return s.keysChanged(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("open the keys of tokens: %w", err)
	}
	return s.learnKeys(ctx)
}

// read lets one transaction at a time change the keys.
func (r ring) read(ctx context.Context, tx *db.Tx) ([]keyRow, error) {
	err := tx.Lock(ctx, "fernet keys") // of all kinds
	if err != nil {
		return nil, err
	}
	return r.list(ctx, tx)
}

func (r ring) list(ctx context.Context, tx *db.Tx) ([]keyRow, error) {
	var rows []keyRow
	return rows, tx.All(ctx, &rows, `SELECT number, secret, created_at, retired_at FROM `+r.table+` ORDER BY number`)
}

func (s *Service) insertKey(ctx context.Context, tx *db.Tx, r ring, k auth.Key, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO `+r.table+` (number, secret, created_at) VALUES (?, ?, ?)`,
		k.Number, s.sealer.Seal(r.place, k.Secret), db.At(now))
	return err
}

func (s *Service) resealKey(ctx context.Context, tx *db.Tx, r ring, row keyRow) error {
	again, err := s.sealer.Renew(r.place, row.Secret)
	if err != nil || again == row.Secret {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE `+r.table+` SET secret = ? WHERE number = ?`, again, row.Number)
	return err
}

// keysChanged tells all servers to read the keys before they believe or make
// another token.
func (s *Service) keysChanged(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE auth_revision SET keys_revision = keys_revision + 1`)
	tx.Notify(revisionChannel, "")
	return err
}

// learnKeys takes the keys of the database, whatever we know.
func (s *Service) learnKeys(ctx context.Context) error {
	s.revision.looking.Lock()
	defer s.revision.looking.Unlock()
	s.revision.keys = 0
	_, err := s.look(ctx, s.clock.Now().UnixMicro())
	return err
}

// readKeys takes the keys of the database.
func (s *Service) readKeys(ctx context.Context, tx *db.Tx) error {
	var keys []auth.Key
	for _, r := range rings {
		rows, err := r.list(ctx, tx)
		if err != nil {
			return fmt.Errorf("read the keys of tokens: %w", err)
		}
		for _, row := range rows {
			secret, err := s.sealer.Open(r.place, row.Secret)
			if err != nil {
				return fmt.Errorf("open the keys of tokens: %w", err)
			}
			keys = append(keys, auth.Key{Kind: r.kind, Number: row.Number, Secret: secret})
		}
	}
	return s.keys.Set(keys)
}

// rotateKeys makes the staged keys those that seal when it is time. A staged key
// was made at the last rotation, so its age says when that was.
func (s *Service) rotateKeys(ctx context.Context) error {
	rotated, err := s.turnKeys(ctx, s.keyPeriod)
	if rotated > 0 {
		loop.Did(ctx, "rotated", rotated)
	}
	return err
}

// RotateKeys makes the staged keys those that seal now. Tokens stay good: the
// former keys open them as long as they live.
func (s *Service) RotateKeys(ctx context.Context) error {
	rotated, err := s.turnKeys(ctx, leastKeyAge)
	if err == nil && rotated == 0 {
		err = errs.Conflictf("The next keys are less than %v old: not every server may know them. Try again after that time.", leastKeyAge)
	}
	return err
}

// turnKeys rotates the keys whose staged one has reached an age, and forgets those
// whose tokens have expired. It says of how many kinds it has rotated the keys.
func (s *Service) turnKeys(ctx context.Context, age time.Duration) (rotated int, err error) {
	now := s.clock.Now()
	next := make([]auth.Key, len(rings))
	for i, r := range rings {
		next[i] = auth.NewKey(r.kind, 0)
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		rotated = 0
		var gone int64
		for i, r := range rings {
			turned, dropped, err := s.turnRing(ctx, tx, r, next[i], now, age)
			if err != nil {
				return fmt.Errorf("%s: %w", r.kind, err)
			}
			gone += dropped
			if turned {
				rotated++
			}
		}
		if rotated == 0 && gone == 0 {
			return nil
		}
		return s.keysChanged(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("rotate the keys of tokens: %w", err)
	}
	// Servers of an earlier version say nothing when they have rotated.
	return rotated, s.learnKeys(ctx)
}

func (s *Service) turnRing(ctx context.Context, tx *db.Tx, r ring, next auth.Key, now time.Time, age time.Duration) (turned bool, dropped int64, err error) {
	rows, err := r.read(ctx, tx)
	if err != nil {
		return false, 0, err
	}
	if len(rows) < 2 || rows[0].Number != 0 {
		return false, 0, errors.New("the keys are damaged: there is no staged one, or no other")
	}
	if now.Sub(rows[0].CreatedAt.Time()) >= age {
		turned = true
		_, err = tx.Exec(ctx, `UPDATE `+r.table+` SET number = ? WHERE number = 0`, rows[len(rows)-1].Number+1)
		if err == nil {
			err = s.insertKey(ctx, tx, r, next, now)
		}
		if err != nil {
			return turned, 0, err
		}
	}
	// A key leaves when what it has sealed last has expired, however many came
	// after it: so no rotation ends a token.
	_, err = tx.Exec(ctx, `UPDATE `+r.table+` SET retired_at = ?
		WHERE retired_at = 0 AND number > 0 AND number < (SELECT MAX(number) FROM `+r.table+`)`, db.At(now))
	if err != nil {
		return turned, 0, err
	}
	dropped, err = tx.Exec(ctx, `DELETE FROM `+r.table+` WHERE retired_at > 0 AND retired_at < ?`, db.At(now.Add(-s.lifetime-keyGrace)))
	return turned, dropped, err
}

// TokenKey says of a key what anybody may know.
type TokenKey struct {
	Kind                 auth.Provider
	Number               int
	State                string // staged, primary or retired
	CreatedAt, RetiredAt time.Time
}

// TokenKeys lists the keys of tokens, kind by kind: the one that makes tokens
// first, the staged one last.
func (s *Service) TokenKeys(ctx context.Context) ([]TokenKey, error) {
	var keys []TokenKey
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		for _, r := range rings {
			rows, err := r.list(ctx, tx)
			if err != nil {
				return fmt.Errorf("list the keys of tokens: %w", err)
			}
			for i, row := range rows {
				k := TokenKey{Kind: r.kind, Number: row.Number, State: "retired", CreatedAt: row.CreatedAt.Time(), RetiredAt: row.RetiredAt.Time()}
				switch i {
				case 0:
					k.State = "staged"
				case len(rows) - 1:
					k.State = "primary"
				}
				keys = append(keys, k)
			}
		}
		return nil
	})
	slices.Reverse(keys)
	return keys, err
}
