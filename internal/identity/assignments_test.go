package identity

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// What a filter is answered from the few rows that it needs is what it would be
// answered from all of them.
func TestAssignmentsOfSomeAreThoseOfAll(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), clock.Real{}, bcrypt.MinCost)
	_, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	name := func(kind string, n int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(kind, rapid.IntRange(0, n-1).Draw(t, kind)) })
	}
	user, group, project, role := name("u", 3), name("g", 2), name("p", 5), name("r", 3)
	err = p.db.Write(t.Context(), func(tx *db.Tx) error {
		for _, insert := range []string{
			`INSERT INTO users (id, domain_id, name, enabled, created_at) VALUES ('u0', 'default', 'u0', 1, 0), ('u1', 'default', 'u1', 1, 0), ('u2', 'default', 'u2', 1, 0)`,
			`INSERT INTO user_groups (id, domain_id, name, created_at) VALUES ('g0', 'default', 'g0', 0), ('g1', 'default', 'g1', 0)`,
			`INSERT INTO projects (id, domain_id, parent_id, name, enabled, created_at) VALUES ('p0', 'default', 'default', 'p0', 1, 0), ('p1', 'default', 'p0', 'p1', 1, 0),
				('p2', 'default', 'p1', 'p2', 1, 0), ('p3', 'default', 'p0', 'p3', 1, 0), ('p4', 'default', 'default', 'p4', 1, 0)`,
			`INSERT INTO roles (id, name, created_at) VALUES ('r0', 'r0', 0), ('r1', 'r1', 0), ('r2', 'r2', 0)`,
			`INSERT INTO role_implications (prior_id, implied_id) VALUES ('r0', 'r1')`,
			`INSERT INTO group_members (group_id, user_id) VALUES ('g0', 'u0'), ('g0', 'u1'), ('g1', 'u1')`,
		} {
			_, err := tx.Exec(t.Context(), insert)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	maybe := func(t *rapid.T, g *rapid.Generator[string], label string) string {
		if rapid.Bool().Draw(t, label) {
			return g.Draw(t, label)
		}
		return ""
	}
	rapid.Check(t, func(r *rapid.T) {
		grants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Grant {
			g := Grant{ActorKind: ActorUser, TargetKind: TargetProject, RoleID: role.Draw(t, "role"), Inherited: rapid.Bool().Draw(t, "inherited")}
			if rapid.Bool().Draw(t, "by group") {
				g.ActorKind, g.ActorID = ActorGroup, group.Draw(t, "actor")
			} else {
				g.ActorID = user.Draw(t, "actor")
			}
			g.TargetID = project.Draw(t, "target")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				g.TargetKind, g.TargetID = TargetDomain, "default"
			case 1:
				g.TargetKind, g.TargetID, g.Inherited = TargetSystem, SystemID, false
			}
			return g
		}), 0, 8).Draw(r, "grants")
		err := p.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM grants`)
			for _, g := range grants {
				if err == nil {
					_, err = tx.Exec(t.Context(), `INSERT INTO grants (actor_kind, actor_id, target_kind, target_id, role_id, inherited) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
						g.ActorKind, g.ActorID, g.TargetKind, g.TargetID, g.RoleID, g.Inherited)
				}
			}
			return err
		})
		if err != nil {
			r.Fatal(err)
		}
		for range 12 {
			f := AssignmentFilter{Effective: rapid.Bool().Draw(r, "effective"), User: maybe(r, user, "user"), Role: maybe(r, role, "of role")}
			switch rapid.IntRange(0, 4).Draw(r, "where") {
			case 0:
				f.Project, f.Subtree = project.Draw(r, "project"), rapid.Bool().Draw(r, "subtree")
			case 1:
				f.Domain = "default"
			case 2:
				f.System = true
			}
			if f.User == "" && !f.Effective {
				f.Group = maybe(r, group, "group")
			}
			all, err := p.Assignments(t.Context(), AssignmentFilter{Effective: f.Effective})
			if err != nil {
				r.Fatal(err)
			}
			targets := []string{f.Project}
			if f.Subtree {
				targets = append(targets, map[string][]string{"p0": {"p1", "p2", "p3"}, "p1": {"p2"}}[f.Project]...)
			}
			want := slices.DeleteFunc(all, func(a Assignment) bool { return !f.matches(a.Grant, targets) })
			got, err := p.Assignments(t.Context(), f)
			if err != nil {
				r.Fatal(err)
			}
			if len(want)+len(got) > 0 && !cmp.Equal(want, got) {
				r.Errorf("%+v:\n%s", f, cmp.Diff(want, got))
			}
		}
	})
}
