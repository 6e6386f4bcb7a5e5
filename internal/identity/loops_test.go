package identity

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
)

// keyNumbers lists the numbers of the keys.
func keyNumbers(t *testing.T, p process) (numbers []int) {
	t.Helper()
	err := p.db.Read(t.Context(), func(tx *db.Tx) error {
		return tx.All(t.Context(), &numbers, `SELECT number FROM fernet_keys ORDER BY number`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// A cloud whose keys were files goes on with them.
func TestKeysOfAFolderAreTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "fernet-keys")
	err := os.Mkdir(folder, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	former := []auth.Key{auth.NewKey(0), auth.NewKey(6), auth.NewKey(7)}
	for _, k := range former {
		err = os.WriteFile(filepath.Join(folder, strconv.Itoa(k.Number)), []byte(k.Secret), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	var keys auth.Keys
	err = keys.Set(former)
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Encode(auth.Token{User: "u", IssuedAt: time.Unix(1e9, 0), ExpiresAt: time.Unix(2e9, 0), AuditIDs: []string{"AAAAAAAAAAAAAAAAAAAAAA"}})
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, clock.Real{}, bcrypt.MinCost)
	_, err = p.keys.Decode(token)
	if err != nil {
		t.Errorf("a token from before: %v", err)
	}
	if got := keyNumbers(t, p); !slices.Equal(got, []int{0, 6, 7}) {
		t.Errorf("got keys %v, want 0, 6, 7", got)
	}
}

// A key file with a new first line opens what was sealed before, and seals it
// anew: then the older line can go.
func TestKeysAreSealedAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startProcess(t, dir, clock.Real{}, bcrypt.MinCost)
	file := filepath.Join(dir, "credential-keys")
	former, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next := make([]byte, 32)
	next[0] = 7
	line := base64.StdEncoding.EncodeToString(next) + "\n"
	for _, content := range []string{line + string(former), line} {
		err = os.WriteFile(file, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		startProcess(t, dir, clock.Real{}, bcrypt.MinCost) // fails when it cannot open the keys
	}
}

// TestKeysRotate lets two servers share their keys over some days.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
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
	if got := keyNumbers(t, here); !slices.Equal(got, []int{0, 1}) {
		t.Fatalf("keys %v at first, want 0 and 1", got)
	}
	for day, want := range [][]int{{0, 1, 2}, {0, 2, 3}, {0, 3, 4}} {
		c.Advance(defaultKeyPeriod - 30*time.Minute)
		turn(here)
		before := signIn(t, here, "demo", boot.DemoPassword)
		c.Advance(30 * time.Minute)
		turn(here)
		turn(there) // it finds that the other has rotated
		turn(here)
		if got := keyNumbers(t, here); !slices.Equal(got, want) {
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
