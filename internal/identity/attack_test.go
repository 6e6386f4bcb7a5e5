package identity

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/clock"
	"nacre/internal/errs"
)

// What ends a token here ends it on a server that has it in memory and hears
// nothing of the change: a tenth of a second later, and for ever.
func TestAttackRevokedOnAnotherServer(t *testing.T) {
	t.Parallel()
	type stage struct {
		process
		user, group, project, role, credential, trust string
		token                                         *Issued
	}
	grant := func(s stage) Grant {
		return Grant{ActorKind: ActorUser, ActorID: s.user, TargetKind: TargetProject, TargetID: s.project, RoleID: s.role}
	}
	off := false
	for name, change := range map[string]func(ctx context.Context, s stage) error{
		"revoked": func(ctx context.Context, s stage) error { return s.Revoke(ctx, s.token) },
		"password": func(ctx context.Context, s stage) error {
			return s.ChangePassword(ctx, s.user, "first", "second")
		},
		"user disabled": func(ctx context.Context, s stage) error {
			_, err := s.UpdateUser(ctx, s.user, nil, func(u *User) error { u.Enabled = off; return nil })
			return err
		},
		"user deleted": func(ctx context.Context, s stage) error { return s.DeleteUser(ctx, s.user) },
		"project disabled": func(ctx context.Context, s stage) error {
			_, err := s.UpdateProject(ctx, s.project, func(p *Project) error { p.Enabled = off; return nil })
			return err
		},
		"domain disabled": func(ctx context.Context, s stage) error {
			_, err := s.UpdateDomain(ctx, s.token.UserDomain, func(d *Domain) error { d.Enabled = off; return nil })
			return err
		},
		"role taken":    func(ctx context.Context, s stage) error { return s.RevokeGrant(ctx, grant(s)) },
		"role deleted":  func(ctx context.Context, s stage) error { return s.DeleteRole(ctx, s.role) },
		"left a group":  func(ctx context.Context, s stage) error { return s.RemoveMember(ctx, s.group, s.user) },
		"group deleted": func(ctx context.Context, s stage) error { return s.DeleteGroup(ctx, s.group) },
		"credential deleted": func(ctx context.Context, s stage) error {
			return s.DeleteAppCredential(ctx, s.credential)
		},
		"trust deleted": func(ctx context.Context, s stage) error { return s.DeleteTrust(ctx, s.trust) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := t.Context(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
			dir := t.TempDir()
			s := stage{process: startProcess(t, dir, c, bcrypt.MinCost)}
			there := startProcess(t, dir, c, bcrypt.MinCost)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Bootstrap(ctx, Bootstrap{})
			must(err)
			domain, err := s.CreateDomain(ctx, Domain{Name: "D", Enabled: true})
			must(err)
			secret := "first"
			user, err := s.CreateUser(ctx, User{Name: "u", DomainID: domain.ID, Enabled: true}, &secret)
			must(err)
			project, err := s.CreateProject(ctx, Project{Name: "p", DomainID: domain.ID, Enabled: true})
			must(err)
			role, err := s.CreateRole(ctx, Role{Name: "r"})
			must(err)
			group, err := s.CreateGroup(ctx, Group{Name: "g", DomainID: domain.ID})
			must(err)
			s.user, s.project, s.role, s.group = user.ID, project.ID, role.ID, group.ID
			given := grant(s)
			if name == "left a group" || name == "group deleted" {
				must(s.AddMember(ctx, group.ID, user.ID))
				given.ActorKind, given.ActorID = ActorGroup, group.ID
			}
			must(s.CreateGrant(ctx, given))
			login := Login{Password: &PasswordLogin{User: Ref{ID: user.ID}, Password: secret}}
			scope := Scope{Project: &Ref{ID: project.ID}}
			switch name {
			case "credential deleted":
				made, secret, err := s.CreateAppCredential(ctx, NewAppCredential{AppCredential: AppCredential{UserID: user.ID, ProjectID: project.ID, Name: "a"}, Held: []string{role.ID}})
				must(err)
				s.credential, login, scope = made.ID, Login{AppCredential: &AppCredentialLogin{ID: made.ID, Secret: secret}}, Scope{}
			case "trust deleted":
				made, err := s.CreateTrust(ctx, NewTrust{Trust: Trust{TrustorUserID: user.ID, TrusteeUserID: user.ID, ProjectID: &project.ID}, Roles: []RoleName{{ID: role.ID}}})
				must(err)
				s.trust, scope = made.ID, Scope{Trust: made.ID}
			}
			s.token, err = s.Issue(ctx, login, scope)
			must(err)
			_, err = there.Caller(ctx, s.token.Token)
			must(err)

			// Nothing lies between the two but the database: no hint arrives.
			heard := there.revision.hints.Load()
			must(change(ctx, s))
			if there.revision.hints.Load() != heard {
				t.Fatal("the other server heard of it")
			}
			c.Advance(lookEvery)
			for range 3 {
				_, err = there.Caller(ctx, s.token.Token)
				if !errs.Is(err, errs.Unauthorized) {
					t.Fatalf("got %v, want unauthorized", err)
				}
				c.Advance(time.Minute)
			}
		})
	}
}

// Whoever is refused has cost the same hashing, whatever the reason: by the time
// of the refusal nobody tells who is there.
func TestAttackTimeOfRefusal(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	p := startProcess(t, t.TempDir(), c, bcrypt.MinCost+1)
	boot, err := p.Bootstrap(ctx, Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	chosen := "chosen"
	user := func(name string, enabled bool, password *string) {
		_, err := p.CreateUser(ctx, User{Name: name, DomainID: DefaultDomain, Enabled: enabled}, password)
		if err != nil {
			t.Fatal(err)
		}
	}
	user("ann", true, &chosen)
	user("off", false, &chosen)
	user("bare", true, nil)
	demo := signIn(t, p, "demo", boot.DemoPassword)
	made, _, err := p.CreateAppCredential(ctx, NewAppCredential{Secret: chosen,
		AppCredential: AppCredential{UserID: demo.User, ProjectID: demo.Project, Name: "a"}, Held: []string{demo.RoleRefs[0].ID}})
	if err != nil {
		t.Fatal(err)
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
	byName := func(name string) Login {
		return Login{Password: &PasswordLogin{User: Ref{Name: name, Domain: &Ref{Name: "Default"}}, Password: "wrong"}}
	}
	for name, login := range map[string]Login{
		"nobody": byName("nobody"), "a chosen password": byName("ann"), "a generated one": byName("demo"), "disabled": byName("off"), "no password": byName("bare"),
		"no such domain": {Password: &PasswordLogin{User: Ref{Name: "ann", Domain: &Ref{Name: "nowhere"}}, Password: "wrong"}},
		"no such id":     {Password: &PasswordLogin{User: Ref{ID: "nobody"}, Password: "wrong"}},
		"credential":     {AppCredential: &AppCredentialLogin{ID: made.ID, Secret: "wrong"}},
		"no credential":  {AppCredential: &AppCredentialLogin{ID: "nobody", Secret: "wrong"}},
		"no such owner":  {AppCredential: &AppCredentialLogin{Name: "a", User: Ref{ID: "nobody"}, Secret: "wrong"}},
	} {
		costs = nil
		_, err := p.Issue(ctx, login, Scope{})
		if !errs.Is(err, errs.Unauthorized) {
			t.Errorf("%s: got %v, want unauthorized", name, err)
		}
		if !slices.Equal(costs, []int{bcrypt.MinCost, bcrypt.MinCost + 1}) {
			t.Errorf("%s was compared at the costs %v, want each once", name, costs)
		}
	}
}
