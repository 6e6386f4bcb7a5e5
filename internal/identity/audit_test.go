package identity

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Whoever cannot sign in hears the same after the same work: passwords compared,
// rows written. Timing is left out of it; work is what time is made of.
func TestAttackUsersAreToldApartByTheirRefusal(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost+1)
	p.compliance = Compliance{LockoutAttempts: 2, LockoutDuration: time.Hour, InactiveAfter: 30 * 24 * time.Hour}
	boot := must[Bootstrapped](t)(p.Bootstrap(ctx, Bootstrap{}))
	const right = "a long password"
	secret := right
	shut := must[Domain](t)(p.CreateDomain(ctx, Domain{Name: "shut", Enabled: true}))
	add := func(u User) string {
		t.Helper()
		return must[User](t)(p.CreateUser(ctx, u, &secret)).ID
	}
	open := add(User{DomainID: DefaultDomain, Name: "open", Enabled: true})
	locked := add(User{DomainID: DefaultDomain, Name: "locked", Enabled: true})
	expired := add(User{DomainID: DefaultDomain, Name: "expired", Enabled: true})
	disabled := add(User{DomainID: DefaultDomain, Name: "disabled"})
	inShut := add(User{DomainID: shut.ID, Name: "in a disabled domain", Enabled: true})
	must[Domain](t)(p.UpdateDomain(ctx, shut.ID, func(d *Domain) error { d.Enabled = false; return nil }))
	// The administrator's password was generated and is hashed at the low cost.
	admin, demo := Ref{Name: "admin", Domain: &Ref{ID: DefaultDomain}}, Ref{Name: "demo", Domain: &Ref{ID: DefaultDomain}}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE users SET failed_attempts = 2, failed_at = ? WHERE id = ? OR name = 'admin'`, db.At(c.Now()), locked)
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE users SET password_expires_at = ? WHERE id = ?`, db.At(c.Now()), expired)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failures := func() (n int) {
		t.Helper()
		err := p.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &n, `SELECT (SELECT SUM(failed_attempts) FROM users) + (SELECT SUM(failed_attempts) FROM nobody)`)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var costs []int
	p.passwords.matches = func(hash, password string) bool {
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil {
			t.Errorf("compared with %q: %v", hash, err)
		}
		costs = append(costs, cost)
		return compare(hash, password)
	}
	byID := func(id string) Ref { return Ref{ID: id} }
	for _, try := range []struct {
		name     string
		user     Ref
		password string
	}{
		{"a wrong password", byID(open), "wrong"},
		{"a wrong password, a generated one being right", demo, "wrong"},
		{"an unknown name", Ref{Name: "ghost", Domain: &Ref{ID: DefaultDomain}}, right},
		{"an unknown id", byID("ghost"), right},
		{"an unknown domain", Ref{Name: "open", Domain: &Ref{Name: "ghost"}}, right},
		{"a locked user", byID(locked), right},
		{"a locked user and a wrong password", byID(locked), "wrong"},
		{"a locked user with a generated password", admin, boot.AdminPassword},
		{"a disabled user", byID(disabled), right},
		{"a user of a disabled domain", byID(inShut), right},
		{"an expired password, and a wrong one", byID(expired), "wrong"},
	} {
		before := failures()
		costs = nil
		_, err := p.Issue(ctx, Login{Password: &PasswordLogin{User: try.user, Password: try.password}}, Scope{})
		refusal, is := errs.As(err)
		if !is || refusal.Kind != errs.Unauthorized || refusal.Message != "The request you have made requires authentication." || len(refusal.Headers) > 0 {
			t.Errorf("%s: got %v", try.name, err)
		}
		if !slices.Equal(costs, []int{bcrypt.MinCost, bcrypt.MinCost + 1}) {
			t.Errorf("%s: passwords are compared at the costs %v", try.name, costs)
		}
		if written := failures() - before; written != 1 {
			t.Errorf("%s: %d failures are written down, want 1", try.name, written)
		}
	}
}

// attachment reads what is attached to an audit record.
func attachment(t *testing.T, m bustest.Told, name string) (content string) {
	t.Helper()
	list, _ := m.Payload["attachments"].([]any)
	for _, each := range list {
		a := each.(map[string]any)
		if a["name"] == name {
			content = a["content"].(string)
		}
	}
	return content
}

// What Keystone has words for is told in its words; names that are no user's are
// told to nobody.
func TestFailedSignInsAreRecorded(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost)
	p.compliance = Compliance{LockoutAttempts: 2, LockoutDuration: time.Hour}
	p.recorder.optOut = KeystoneOptOut
	boot := must[Bootstrapped](t)(p.Bootstrap(t.Context(), Bootstrap{}))
	ctx := bus.WithInitiator(t.Context(), bus.Initiator{RequestID: "req-1", Address: "192.0.2.7", Agent: "curl/8"})
	demo := demoID(t, p, boot)
	heard := p.listen(t)
	try := func(name, password string) {
		_, _ = p.Issue(ctx, Login{Password: &PasswordLogin{User: Ref{Name: name, Domain: &Ref{ID: DefaultDomain}}, Password: password}}, Scope{})
	}
	try("demo", boot.DemoPassword)
	try("my password, typed too early", "x")
	try("demo", "wrong")
	try("demo", "wrong")
	try("demo", boot.DemoPassword)
	c.Advance(time.Hour)
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE users SET password_expires_at = ? WHERE id = ?`, db.At(c.Now()), demo)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	try("demo", boot.DemoPassword)

	got := heard()
	generic := "The request you have made requires authentication."
	want := []struct{ user, reason string }{
		{"", generic}, {demo, generic}, {demo, generic}, {demo, "Maximum number of 2 login attempts exceeded."}, {demo, "Password for demo expired and must be changed"},
	}
	if len(got) != len(want) {
		t.Fatalf("told %d times, want %d: %+v", len(got), len(want), got)
	}
	for i, m := range got {
		initiator := m.Payload["initiator"].(map[string]any)
		user, _ := initiator["user_id"].(string)
		name, _ := initiator["username"].(string)
		host := initiator["host"].(map[string]any)
		reason := m.Payload["reason"].(map[string]any)
		target := m.Payload["target"].(map[string]any)
		if m.Type != "identity.authenticate" || m.Queue != "notifications.info" || m.Payload["action"] != "authenticate" || m.Payload["outcome"] != "failure" ||
			user != want[i].user || reason["reasonType"] != want[i].reason || reason["reasonCode"] != "401" || (name == "demo") != (user != "") ||
			host["address"] != "192.0.2.7" || host["agent"] != "curl/8" || initiator["request_id"] != "req-1" || initiator["id"] == "" ||
			target["typeURI"] != "service/security/account/user" || attachment(t, m, "methods") != "password" {
			t.Errorf("record %d is %s %+v", i, m.Type, m.Payload)
		}
	}
}

// demoID gives the id of the demo user.
func demoID(t *testing.T, p process, boot Bootstrapped) string {
	t.Helper()
	return signIn(t, p, "demo", boot.DemoPassword).User
}

// However often somebody fails to sign in, little is written; and the next record
// says how much was not.
func TestAttackFailuresFillTheDisk(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost)
	ctx := t.Context()
	must[Bootstrapped](t)(p.Bootstrap(ctx, Bootstrap{}))
	waiting := func() int { return count(t, p, "outbox") }
	before := waiting()
	fail := func(times int) {
		t.Helper()
		for range times {
			err := p.record(ctx, auditRecord{Methods: []string{"password"}}, Login{}, unauthorized(errPassword))
			if !errs.Is(err, errs.Unauthorized) {
				t.Fatal(err)
			}
		}
	}
	fail(int(auditBudget.burst) + 500)
	if got := waiting() - before; got != int(auditBudget.burst) {
		t.Errorf("%d failures wait in the outbox, want %v", got, auditBudget.burst)
	}
	err := p.record(ctx, auditRecord{}, Login{}, errs.New(errs.TooMany, "later"))
	if !errs.Is(err, errs.TooMany) || waiting()-before != int(auditBudget.burst) {
		t.Errorf("who is slowed down is recorded: %v", err)
	}
	heard := p.listen(t)
	c.Advance(time.Second)
	fail(100)
	got := heard()
	if len(got) != int(auditBudget.perSecond) || attachment(t, got[0], "unrecorded_failures") != "501" || attachment(t, got[1], "unrecorded_failures") != "" {
		t.Errorf("a second later %d failures are told, the first %v", len(got), got[0].Payload)
	}

	// A broker that is away gets no more than there is room for.
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO outbox (seq, topic, type, resource, payload, created_at) VALUES (1, 't', 't', '', '{}', 0), (?, 't', 't', '', '{}', 0)`, outboxRoom+2)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	before = waiting()
	fail(10)
	if got := waiting() - before; got != 0 {
		t.Errorf("%d failures were written into a full outbox", got)
	}
}
