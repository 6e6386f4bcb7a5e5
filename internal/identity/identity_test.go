package identity

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
)

// process is one server on a shared database.
type process struct {
	*Service
	db *db.DB
}

func startProcess(t testing.TB, dir string, c clock.Clock, cost int) process {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.SourceIn(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := database.Close()
		if err != nil {
			t.Error(err)
		}
	})
	sealer, err := auth.OpenSealer(filepath.Join(dir, "credential-keys"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Options{DB: database, KeyFolder: filepath.Join(dir, "fernet-keys"), Sealer: sealer, Clock: c, PasswordCost: cost, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return process{s, database}
}

func signIn(t testing.TB, p process, user, password string) *Issued {
	t.Helper()
	issued, err := p.Issue(t.Context(), Login{Password: &PasswordLogin{
		User: Ref{Name: user, Domain: &Ref{Name: "Default"}}, Password: password}}, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// TestOtherServersFollow lets one server change what another has in memory.
func TestOtherServersFollow(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	here := startProcess(t, dir, c, bcrypt.MinCost)
	boot, err := here.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	there := startProcess(t, dir, c, bcrypt.MinCost)
	token := signIn(t, here, "demo", boot.DemoPassword)
	caller, err := there.Caller(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	if caller.UserName != "demo" || caller.ProjectName != "demo" || !slices.Equal(caller.Roles, []string{"member", "reader"}) {
		t.Errorf("the other server sees %+v", caller)
	}
	_, err = here.UpdateUser(t.Context(), token.User, nil, func(u *User) error { u.Enabled = false; return nil })
	if err != nil {
		t.Fatal(err)
	}
	_, err = here.Caller(t.Context(), token.Token)
	if !errs.Is(err, errs.Unauthorized) {
		t.Errorf("here, at once: got error %v, want unauthorized", err)
	}
	c.Advance(lookEvery)
	_, err = there.Caller(t.Context(), token.Token)
	if !errs.Is(err, errs.Unauthorized) {
		t.Errorf("there, after %v: got error %v, want unauthorized", lookEvery, err)
	}
}

// TestTokensAgree makes tokens for the same again and again while another server
// changes what they stand for: each says what the one made from nothing would.
func TestTokensAgree(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	here := startProcess(t, dir, c, bcrypt.MinCost)
	boot, err := here.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	there := startProcess(t, dir, c, bcrypt.MinCost)
	first := signIn(t, here, "demo", boot.DemoPassword)
	again := func(p process) (*Issued, error) {
		return p.Issue(t.Context(), Login{Token: first.Token}, Scope{Project: &Ref{ID: first.Project}})
	}
	for i := range 3 {
		c.Advance(time.Second)
		second, err := again(here)
		if err != nil {
			t.Fatal(err)
		}
		if second.AuditIDs[0] == first.AuditIDs[0] || second.AuditIDs[1] != first.AuditIDs[0] || !slices.Equal(second.Methods, []string{"token", "password"}) ||
			!second.ExpiresAt.Equal(first.ExpiresAt) || !second.IssuedAt.Equal(c.Now()) {
			t.Errorf("token %d made from the first: %+v", i, second)
		}
		fresh, err := there.open(t.Context(), second.Token)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(fresh.Roles, second.Roles) || fresh.ProjectName != second.ProjectName || fresh.UserName != second.UserName {
			t.Errorf("token %d is made as %+v and read as %+v", i, second, fresh)
		}
	}
	role, err := there.CreateRole(t.Context(), Role{Name: "short"})
	if err != nil {
		t.Fatal(err)
	}
	err = there.CreateGrant(t.Context(), Grant{ActorKind: ActorUser, ActorID: first.User, TargetKind: TargetProject, TargetID: first.Project, RoleID: role.ID})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(lookEvery)
	second, err := again(here)
	if err != nil || !slices.Contains(second.Roles, "short") {
		t.Errorf("with one more role: %+v, %v", second, err)
	}
	_, err = there.UpdateProject(t.Context(), first.Project, func(p *Project) error { p.Enabled = false; return nil })
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(lookEvery)
	_, err = again(here)
	if err == nil {
		t.Error("a token for a project that is disabled")
	}
}

// TestNoDatabaseNoToken: what is in memory counts only as long as we know that
// nothing has changed.
func TestNoDatabaseNoToken(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost)
	boot, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	token := signIn(t, p, "demo", boot.DemoPassword)
	_, err = p.Caller(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Caller(cancelled, token.Token)
	if err != nil {
		t.Errorf("what was read just now isn't used: %v", err)
	}
	c.Advance(lookEvery)
	_, err = p.Caller(cancelled, token.Token)
	if !errors.Is(err, context.Canceled) || errs.Is(err, errs.Unauthorized) {
		t.Errorf("got error %v, want the one of the database", err)
	}
	_, err = p.Caller(t.Context(), token.Token)
	if err != nil {
		t.Errorf("with the database back: %v", err)
	}
}

// TestForeignAuditID: a token sealed with our keys that doesn't say at which
// revision it was made could not be ended.
func TestForeignAuditID(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), clock.Real{}, bcrypt.MinCost)
	boot, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	own := signIn(t, p, "demo", boot.DemoPassword)
	for audit, valid := range map[string]bool{own.AuditIDs[0]: true, toCome: false, "ZGVmZ2hpamtsbW5vcHFycw": false} {
		text, err := p.keys.Encode(auth.Token{User: own.User, Project: own.Project, Methods: []string{"password"},
			AuditIDs: []string{audit}, IssuedAt: own.IssuedAt, ExpiresAt: own.ExpiresAt})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Caller(t.Context(), text)
		if valid != (err == nil) || (err != nil && !errs.Is(err, errs.Unauthorized)) {
			t.Errorf("audit id %s: got error %v, want valid %v", audit, err, valid)
		}
	}
}

func TestBootstrapAgain(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), clock.Real{}, bcrypt.MinCost)
	first, err := p.Bootstrap(t.Context(), Bootstrap{AdminPassword: "chosen", Services: []NewService{{Type: "image", Name: "glance", Path: "/image"}}})
	if err != nil {
		t.Fatal(err)
	}
	if !first.New || first.AdminPassword != "chosen" || len(first.DemoPassword) != secretLength {
		t.Errorf("first: %+v", first)
	}
	again, err := p.Bootstrap(t.Context(), Bootstrap{AdminPassword: "other", Services: []NewService{
		{Type: "image", Name: "glance", Path: "/elsewhere"}, {Type: "network", Name: "neutron", Path: "/network"}}})
	if err != nil {
		t.Fatal(err)
	}
	if again != (Bootstrapped{}) {
		t.Errorf("again: got %+v, want nothing made", again)
	}
	signIn(t, p, "admin", "chosen")
	entries, err := p.Catalog(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		address, _ := e.Endpoints[0].Address("https://cloud:5000", "")
		got = append(got, e.Service.Type+" "+address)
	}
	want := []string{"image https://cloud:5000/image", "network https://cloud:5000/network"}
	if !slices.Equal(got, want) {
		t.Errorf("catalog: got %v, want %v", got, want)
	}
	err = p.SetPassword(t.Context(), "default", "admin", "third")
	if err != nil {
		t.Fatal(err)
	}
	signIn(t, p, "admin", "third")
}

// TestFailuresTakeTheSameWork watches that neither an unknown user nor one with a
// cheap hash can be told from others by the time of the refusal: each is compared
// at the same costs.
func TestFailuresTakeTheSameWork(t *testing.T) {
	t.Parallel()
	p, err := newPasswords(bcrypt.MinCost + 1)
	if err != nil {
		t.Fatal(err)
	}
	dear, err := p.hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	cheap, err := p.hashGenerated(NewPassword())
	if err != nil {
		t.Fatal(err)
	}
	var costs []int
	p.matches = func(hash, password string) bool {
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil {
			t.Errorf("compared with %q: %v", hash, err)
		}
		costs = append(costs, cost)
		return compare(hash, password)
	}
	for name, hash := range map[string]string{"no": "", "a chosen": dear, "a generated": cheap} {
		costs = nil
		err := p.check(t.Context(), hash, "wrong")
		if !errors.Is(err, errPassword) {
			t.Fatalf("got error %v, want %v", err, errPassword)
		}
		if !slices.Equal(costs, []int{bcrypt.MinCost, bcrypt.MinCost + 1}) {
			t.Errorf("a user with %s password is compared at the costs %v", name, costs)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	p, err := newPasswords(bcrypt.MinCost + 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "x", strings.Repeat("x", 72), strings.Repeat("x", 73), strings.Repeat("x", maxPassword), "a\x00b", "密码"} {
		hash, err := p.hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		err = p.check(t.Context(), hash, password)
		if err != nil {
			t.Errorf("%.10q…: %v", password, err)
		}
		for _, wrong := range []string{password + "x", password + "\x00", strings.TrimSuffix(password, "x") + "y"} {
			err = p.check(t.Context(), hash, wrong)
			if !errors.Is(err, errPassword) {
				t.Errorf("%.10q… is accepted for %.10q…", wrong, password)
			}
		}
	}
	for _, hash := range []string{"", "x", longPrefix, "$2a$04$short"} {
		err = p.check(t.Context(), hash, "")
		if !errors.Is(err, errPassword) {
			t.Errorf("hash %q lets somebody in", hash)
		}
	}
	_, err = p.hash(t.Context(), strings.Repeat("x", maxPassword+1))
	if !errs.Is(err, errs.Forbidden) {
		t.Errorf("got error %v, want forbidden", err)
	}
}

func TestAuditIDCarriesRevision(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, revision := range []int64{0, 1, 255, 1 << 40, 1<<47 - 1} {
		id := newAuditID(revision)
		got, err := auditRevision(id)
		if err != nil || got != revision || len(id) != 22 || seen[id] {
			t.Errorf("revision %d: got %d from %q, %v", revision, got, id, err)
		}
		seen[id] = true
	}
	_, err := auditRevision("short")
	if err == nil {
		t.Error("a malformed audit id has a revision")
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache()
	kept := &Issued{}
	c.put("kept", kept)
	for range 20000 {
		c.put(NewPassword(), &Issued{})
		if c.get("kept") != kept {
			t.Fatal("a token in use was dropped")
		}
	}
	total := 0
	for i := range c.shards {
		total += len(c.shards[i].young) + len(c.shards[i].old)
	}
	if limit := len(c.shards) * 2 * generation; total > limit {
		t.Errorf("cache holds %d tokens, want at most %d", total, limit)
	}
}

// BenchmarkFirstSight validates a token of which nothing is in memory, as after
// each change of an authorization.
func BenchmarkFirstSight(b *testing.B) {
	p := startProcess(b, b.TempDir(), clock.Real{}, bcrypt.MinCost)
	boot, err := p.Bootstrap(b.Context(), Bootstrap{})
	if err != nil {
		b.Fatal(err)
	}
	token := signIn(b, p, "demo", boot.DemoPassword)
	for b.Loop() {
		p.tokens = newCache()
		_, err := p.Caller(b.Context(), token.Token)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// A message that says too much makes nobody's token invalid: the database is
// asked.
func TestAHintIsOnlyAHint(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)), bcrypt.MinCost)
	boot, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	err = p.db.Write(t.Context(), func(tx *db.Tx) error {
		tx.Notify(revisionChannel, "1000000")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	token := signIn(t, p, "demo", boot.DemoPassword)
	_, err = p.Caller(t.Context(), token.Token)
	if err != nil {
		t.Errorf("a token from after a wrong hint: %v", err)
	}
}
