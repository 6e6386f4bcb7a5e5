package identity

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
)

// Loops rotate the keys of tokens and those of ID tokens, forget what ended tokens
// that have expired since, and seal with the present key what an older one has
// sealed.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "identity.rotate-keys", Every: time.Minute, Once: s.rotateKeys, Everywhere: true}, // each server reads the keys
		{Name: "identity.rotate-signing-keys", Every: time.Minute, Once: s.rotateSigningKeys},
		{Name: "identity.forget-ended", Every: time.Hour, Once: s.forgetEnded},
		{Name: "identity.reseal-credentials", Every: time.Minute, Once: s.resealAll},
	}
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
