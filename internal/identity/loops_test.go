package identity

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// keyFiles lists the numbers of the keys in the folder.
func keyFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestKeysRotate lets two servers share a folder of keys over five days.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), clock.NewManual(time.Now().Add(time.Minute)) // the first keys are made by the machine's clock
	here := startProcess(t, dir, c, bcrypt.MinCost)
	boot, err := here.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	there := startProcess(t, dir, c, bcrypt.MinCost)
	turn := func(p process) {
		t.Helper()
		err := p.rotateKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	turn(here)
	if got := keyFiles(t, dir); !slices.Equal(got, []string{"0", "1"}) {
		t.Fatalf("keys %v at first, want 0 and 1", got)
	}
	for day, want := range [][]string{{"0", "1", "2"}, {"0", "2", "3"}, {"0", "3", "4"}} {
		c.Advance(defaultKeyPeriod - 30*time.Minute)
		turn(here)
		before := signIn(t, here, "demo", boot.DemoPassword)
		c.Advance(30 * time.Minute)
		turn(here)
		turn(there) // it finds that the other has rotated
		turn(here)
		if got := keyFiles(t, dir); !slices.Equal(got, want) {
			t.Errorf("keys %v after day %d, want %v", got, day+1, want)
		}
		_, err = there.Caller(t.Context(), before.Token)
		if err != nil {
			t.Errorf("day %d: a token from before the rotation: %v", day+1, err)
		}
		after := signIn(t, here, "demo", boot.DemoPassword)
		_, err = there.Caller(t.Context(), after.Token)
		if err != nil {
			t.Errorf("day %d: a token from after the rotation: %v", day+1, err)
		}
	}
	// The other server knows the keys from its loop, not from its start: without
	// a turn it would know none of those that are there after three rotations.
	fresh := signIn(t, here, "demo", boot.DemoPassword)
	_, err = there.Caller(t.Context(), fresh.Token)
	if err != nil {
		t.Errorf("the other server doesn't know the keys: %v", err)
	}
}

func TestKeyPeriod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked, lifetime time.Duration
		keys            int
		want            time.Duration // 0: refused
	}{
		{0, time.Hour, 3, 24 * time.Hour},
		{0, 30 * time.Hour, 3, 30 * time.Hour},
		{0, 60 * time.Hour, 4, 30 * time.Hour},
		{time.Hour, time.Hour, 3, time.Hour},
		{59 * time.Minute, time.Hour, 3, 0},
		{20 * time.Minute, time.Hour, 5, 20 * time.Minute},
		{0, time.Hour, 2, 0},
	} {
		got, err := keyPeriod(c.asked, c.lifetime, c.keys)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%d keys, tokens of %v, asked for %v: got %v, %v, want %v", c.keys, c.lifetime, c.asked, got, err, c.want)
		}
		if err == nil && time.Duration(c.keys)*got < c.lifetime+2*got {
			t.Errorf("%d keys of %v are too few for tokens of %v", c.keys, got, c.lifetime)
		}
	}
}

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
