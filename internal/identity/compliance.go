package identity

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Compliance are rules about passwords and accounts. Zero values demand nothing.
type Compliance struct {
	// LockoutAttempts is how many wrong passwords lock an account, for
	// LockoutDuration; 0 of that is for ever.
	LockoutAttempts int
	LockoutDuration time.Duration
	// PasswordLifetime is after how long a password must be changed.
	PasswordLifetime time.Duration
	// MinimumAge is how long users must keep a password that they have chosen.
	MinimumAge time.Duration
	// Unique is how many passwords, the present one among them, users must not
	// choose again.
	Unique int
	// InactiveAfter disables accounts that nobody has signed in with for so long.
	InactiveAfter time.Duration
	// ChangeAtFirstUse lets a password that an administrator has set expire at once.
	ChangeAtFirstUse bool
	// Pattern is what a password must match, and PatternDescription tells users.
	Pattern            string
	PatternDescription string

	pattern *regexp.Regexp
}

func (c Compliance) compiled() (Compliance, error) {
	if c.Pattern == "" {
		return c, nil
	}
	var err error
	c.pattern, err = regexp.Compile(c.Pattern)
	if err != nil {
		return c, fmt.Errorf("pattern of passwords: %w", err)
	}
	return c, nil
}

// Compliance are the rules of this cloud.
func (s *Service) Compliance() Compliance { return s.compliance }

// exempt tells whether one of a user's options says so.
func (u User) exempt(option string) bool { return u.Options.V[option] == true }

func (c Compliance) locked(u User, now time.Time) bool {
	if c.LockoutAttempts == 0 || u.FailedAttempts < int64(c.LockoutAttempts) || u.exempt("ignore_lockout_failure_attempts") {
		return false
	}
	return !c.lockEnded(u, now)
}

func (c Compliance) lockEnded(u User, now time.Time) bool {
	return c.LockoutDuration > 0 && now.Sub(u.FailedAt.Time()) >= c.LockoutDuration
}

func (c Compliance) inactive(u User, now time.Time) bool {
	return c.InactiveAfter > 0 && !u.exempt("ignore_user_inactivity") && now.Sub(max(u.ActiveAt, u.CreatedAt).Time()) >= c.InactiveAfter
}

// noteAttempt keeps what the rules need to know of a sign-in to an account that
// is open. That of nobody is written down too: else the time of the answer would
// tell who is somebody.
func (s *Service) noteAttempt(ctx context.Context, u account, right bool) error {
	if u.realm != nil {
		return nil // the directory has its own rules
	}
	c, now := s.compliance, s.clock.Now()
	var statement string
	args := []any{db.At(now), u.ID}
	switch {
	case u.ID == nobody.ID && c.LockoutAttempts > 0:
		statement = `UPDATE nobody SET failed_attempts = failed_attempts + 1, failed_at = ? WHERE id = ?`
	case !right && c.LockoutAttempts > 0:
		statement = `UPDATE users SET failed_attempts = failed_attempts + 1, failed_at = ? WHERE id = ?`
		if u.FailedAttempts >= int64(c.LockoutAttempts) { // a lock has ended: counting begins anew
			statement = `UPDATE users SET failed_attempts = 1, failed_at = ? WHERE id = ?`
		}
	case right && (u.FailedAttempts > 0 || (c.InactiveAfter > 0 && now.Sub(u.ActiveAt.Time()) > 24*time.Hour)):
		statement = `UPDATE users SET failed_attempts = 0, failed_at = 0, active_at = ? WHERE id = ?`
	default:
		return nil
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
}

// checkPassword refuses a password that the rules don't allow.
func (c Compliance) checkPassword(password string) error {
	if c.pattern == nil || c.pattern.MatchString(password) {
		return nil
	}
	detail := c.PatternDescription
	if detail == "" {
		detail = "it does not match the pattern " + c.Pattern
	}
	return errs.BadRequestf("Password validation error: The password does not match the requirements: %s.", detail)
}

// checkOwnChange refuses users a change of their password that comes too early,
// or back to a former one.
func (s *Service) checkOwnChange(ctx context.Context, u User, password string) error {
	c := s.compliance
	if u.exempt("lock_password") {
		return errs.BadRequestf("Password validation error: You cannot change your password at this time due to password policy " +
			"disallowing password changes. Please contact your administrator to reset your password.")
	}
	kept := s.clock.Now().Sub(u.PasswordChangedAt.Time())
	if c.MinimumAge > 0 && u.PasswordByUser && kept < c.MinimumAge {
		const day = 24 * time.Hour
		return errs.BadRequestf("Password validation error: You cannot change your password at this time due to the minimum password age. "+
			"Once you change your password, it must be used for %d day(s) before it can be changed. Please try again in %d day(s) "+
			"or contact your administrator to reset your password.", (c.MinimumAge+day-1)/day, (c.MinimumAge-kept+day-1)/day)
	}
	if c.Unique == 0 {
		return nil
	}
	var former []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &former, `SELECT hash FROM former_passwords WHERE user_id = ? ORDER BY changed_at DESC LIMIT ?`, u.ID, c.Unique-1)
	})
	if err != nil {
		return fmt.Errorf("read former passwords of user %s: %w", u.ID, err)
	}
	for _, hash := range append(former, u.PasswordHash) {
		same, err := s.passwords.compare(ctx, s.passwords.dear, hash, password)
		if err != nil {
			return err
		}
		if same {
			return errs.BadRequestf("Password validation error: The new password cannot be identical to a previous password. "+
				"The total number which includes the new password must be unique is %d.", c.Unique)
		}
	}
	return nil
}

// setPassword puts a hash in place of the one that a user has, which is kept as
// long as the rules need it.
func (s *Service) setPassword(ctx context.Context, tx *db.Tx, u *User, hash string, byUser bool, now time.Time) error {
	c := s.compliance
	if c.Unique > 1 && u.PasswordHash != "" {
		_, err := tx.Exec(ctx, `INSERT INTO former_passwords (user_id, changed_at, hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			u.ID, db.At(now), u.PasswordHash)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM former_passwords WHERE user_id = ? AND changed_at NOT IN (
			SELECT changed_at FROM former_passwords WHERE user_id = ? ORDER BY changed_at DESC LIMIT ?)`, u.ID, u.ID, c.Unique-1)
		if err != nil {
			return err
		}
	}
	c.dress(u, hash, byUser, now)
	return nil
}

// dress gives a user a password and the time until which it is good.
func (c Compliance) dress(u *User, hash string, byUser bool, now time.Time) {
	u.PasswordHash, u.PasswordByUser, u.PasswordChangedAt, u.PasswordExpiresAt = hash, byUser, db.At(now), 0
	switch {
	case !byUser && c.ChangeAtFirstUse && !u.exempt("ignore_change_password_upon_first_use"):
		u.PasswordExpiresAt = db.At(now)
	case c.PasswordLifetime > 0 && !u.exempt("ignore_password_expiry"):
		u.PasswordExpiresAt = db.At(now.Add(c.PasswordLifetime).Truncate(time.Second))
	}
}
