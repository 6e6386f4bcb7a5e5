package identity

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

// keyNumbers lists the numbers of the Fernet keys.
func keyNumbers(t *testing.T, p process) (numbers []int) {
	t.Helper()
	keys, err := p.TokenKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Kind == auth.Fernet {
			numbers = append(numbers, k.Number)
		}
	}
	slices.Sort(numbers)
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
	former := []auth.Key{auth.NewKey(auth.Fernet, 0), auth.NewKey(auth.Fernet, 6), auth.NewKey(auth.Fernet, 7)}
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

// Two servers rotate the keys in turn, as often as they may, and all tokens live
// on until they expire, on both. One of them never looks after its keys of its
// own accord.
func TestRotationLogsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, kind := range []auth.Provider{auth.Fernet, auth.JWS} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir, c := t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
			here := startKind(t, dir, c, kind)
			boot, err := here.Bootstrap(t.Context(), Bootstrap{})
			if err != nil {
				t.Fatal(err)
			}
			there := startKind(t, dir, c, kind)
			var tokens []*Issued
			const turns = 100
			for turn := range turns {
				c.Advance(leastKeyAge)
				err = []process{here, there}[turn%2].RotateKeys(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, signIn(t, here, "demo", boot.DemoPassword))
				for i, token := range tokens {
					lives := c.Now().Before(token.ExpiresAt)
					for name, p := range map[string]process{"this": here, "the other": there} {
						_, err = p.Caller(t.Context(), token.Token)
						if (err == nil) != lives {
							t.Fatalf("%d rotations after it was made, a token that expires at %v is used at %v on %s server: %v", turn-i, token.ExpiresAt, c.Now(), name, err)
						}
					}
				}
			}
			err = here.RotateKeys(t.Context())
			if !errs.Is(err, errs.Conflict) {
				t.Errorf("rotating twice at once: got error %v, want a conflict", err)
			}
			// A staged and a primary one, and those that have retired since a token began
			// to live, of each kind.
			keys, err := here.TokenKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			most := 2 * (3 + int((time.Hour+keyGrace)/leastKeyAge))
			if len(keys) > most {
				t.Errorf("%d keys are kept, want %d at most", len(keys), most)
			}
		})
	}
}

// startKind is startProcess for a server that makes tokens of a kind.
func startKind(t testing.TB, dir string, c clock.Clock, kind auth.Provider) process {
	t.Helper()
	p := startProcess(t, dir, c, bcrypt.MinCost)
	p.keys.Makes = kind
	return p
}

// Servers are told to make the other kind of tokens one after the other, and back.
// Both kinds are good on all of them, before, meanwhile and after.
func TestKindsOfTokensChange(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	boot, err := startKind(t, dir, c, "").Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, kinds := range [][]auth.Provider{{auth.Fernet, auth.Fernet}, {auth.JWS, auth.Fernet}, {auth.JWS, auth.JWS}, {auth.Fernet, auth.JWS}, {auth.Fernet, auth.Fernet}} {
		servers := []process{startKind(t, dir, c, kinds[0]), startKind(t, dir, c, kinds[1])}
		for i, p := range servers {
			token := signIn(t, p, "demo", boot.DemoPassword)
			if signed := strings.Contains(token.Token, "."); signed != (kinds[i] == auth.JWS) {
				t.Errorf("a server that makes %s made %s", kinds[i], token.Token)
			}
			tokens = append(tokens, token.Token)
			again, err := p.Issue(t.Context(), Login{Token: tokens[0]}, Scope{})
			if err != nil {
				t.Fatal(err)
			}
			if !again.ExpiresAt.Equal(token.ExpiresAt) || again.AuditIDs[1] != mustValidate(t, p, tokens[0]).AuditIDs[0] {
				t.Errorf("a token made from another kind: %v %v", again.ExpiresAt, again.AuditIDs)
			}
		}
		for _, p := range servers {
			for _, token := range tokens {
				mustValidate(t, p, token)
			}
		}
	}
	// A revocation ends a token of either kind on every server.
	first, last := startKind(t, dir, c, auth.Fernet), startKind(t, dir, c, auth.JWS)
	signed := signIn(t, last, "demo", boot.DemoPassword)
	mustValidate(t, first, signed.Token)
	err = last.Revoke(t.Context(), signed)
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(lookEvery)
	_, err = first.Validate(t.Context(), signed.Token)
	if !errs.Is(err, errs.Unauthorized) {
		t.Errorf("a revoked signed token: got error %v, want unauthorized", err)
	}
}

func mustValidate(t *testing.T, p process, token string) *Issued {
	t.Helper()
	issued, err := p.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestUnknownKindOfTokens(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Options{TokenProvider: "uuid", PasswordCost: bcrypt.MinCost})
	if err == nil || !strings.Contains(err.Error(), "token_provider") {
		t.Errorf("got error %v, want one that names the setting", err)
	}
}
