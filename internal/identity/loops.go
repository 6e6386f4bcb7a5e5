package identity

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// defaultKeyPeriod is how long a key seals tokens, unless tokens live so long
// that they need it longer.
const defaultKeyPeriod = 24 * time.Hour

// Loops rotate the keys that seal tokens and those that sign, forget what ended tokens that have
// expired since, and seal with the present key what an older one has sealed.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "identity.rotate-keys", Every: time.Minute, Once: s.rotateKeys, Everywhere: true}, // each server reads the keys
		{Name: "identity.rotate-signing-keys", Every: time.Minute, Once: s.rotateOpenIDKeys},
		{Name: "identity.forget-ended", Every: time.Hour, Once: s.forgetEnded},
		{Name: "identity.reseal-credentials", Every: time.Minute, Once: s.reseal},
	}
}

// keyPeriod checks the period for which a key seals, or chooses it. A key is
// kept as long as max_active_keys allows: one is staged, one seals, and the
// others open the tokens that were sealed before. So a token outlives no
// rotation that drops its key when keys × period ≥ lifetime + 2 periods.
func keyPeriod(asked, lifetime time.Duration, keys int) (time.Duration, error) {
	if keys < 3 {
		return 0, fmt.Errorf("%d active keys are too few: each rotation would end the tokens sealed before it", keys)
	}
	least := lifetime / time.Duration(keys-2)
	if least*time.Duration(keys-2) < lifetime {
		least++
	}
	switch {
	case asked == 0:
		return max(defaultKeyPeriod, least), nil
	case asked < least:
		return 0, fmt.Errorf("rotating %d keys every %s would end tokens before their lifetime of %s; the shortest period is %s",
			keys, asked, lifetime, least)
	}
	return asked, nil
}

// forgetEnded removes revocations of tokens that have expired, and floors below
// which there are none left. Both are removed by the next revocation too; this
// is for clouds in which there is none.
func (s *Service) forgetEnded(ctx context.Context) error {
	now := s.clock.Now()
	var gone int64
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		revocations, err := tx.Exec(ctx, `DELETE FROM revoked_tokens WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return err
		}
		floors, err := s.dropFloors(ctx, tx, now)
		if err != nil {
			return err
		}
		signIns, err := forgetOpenID(ctx, tx, now)
		gone = revocations + floors + signIns
		return err
	})
	if err != nil {
		return fmt.Errorf("forget ended tokens: %w", err)
	}
	if gone > 0 {
		loop.Did(ctx, "rows", int(gone))
	}
	return nil
}
