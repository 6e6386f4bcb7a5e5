package identity

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/clock"
	"nacre/internal/db"
)

func TestEndedTokensAreForgotten(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost)
	boot, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	token := signIn(t, p, "demo", boot.DemoPassword)
	err = p.Revoke(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.UpdateUser(t.Context(), token.User, nil, func(u *User) error { u.Enabled = false; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after               time.Duration
		revocations, floors int
	}{{0, 1, 1}, {61 * time.Minute, 0, 1}, {time.Hour, 0, 0}} {
		c.Advance(step.after)
		err = p.forgetEnded(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, p, "revoked_tokens"); got != step.revocations {
			t.Errorf("%v later: %d revocations, want %d", step.after, got, step.revocations)
		}
		if got := count(t, p, "token_floors"); got != step.floors {
			t.Errorf("%v later: %d floors, want %d", step.after, got, step.floors)
		}
	}
}

func count(t *testing.T, p process, table string) (n int) {
	t.Helper()
	err := p.db.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &n, `SELECT COUNT(*) FROM `+table) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
