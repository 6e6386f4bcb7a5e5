package identity

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// AssignmentFilter narrows the list of assignments; empty fields match all.
type AssignmentFilter struct {
	User, Group, Role, Project, Domain string
	System                             bool
	Inherited                          *bool
	Effective                          bool // what users have in the end, rather than what was given
	Subtree                            bool // the project and all below it
}

// Assignment is a grant as it was given or, in an effective list, what a user
// has by it: by membership of a group, inherited from above, or implied.
type Assignment struct {
	Grant
	Given Grant
}

// Assignments lists who has which role where.
func (s *Service) Assignments(ctx context.Context, f AssignmentFilter) ([]Assignment, error) {
	if f.Effective && f.User != "" {
		err := s.freshenUser(ctx, f.User)
		if err != nil && !errs.Is(err, errs.Unauthorized) { // whoever may not sign in can still have roles
			return nil, err
		}
	}
	var world *assigned
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		world, err = readAssigned(ctx, tx, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list role assignments: %w", err)
	}
	targets := []string{f.Project}
	if f.Subtree {
		targets = append(targets, world.below(f.Project)...)
	}
	seen := map[Grant]bool{}
	var out []Assignment
	for _, given := range world.grants {
		list := []Grant{given}
		if f.Effective {
			list = world.effects(given)
		}
		for _, g := range list {
			if seen[g] || !f.matches(g, targets) {
				continue
			}
			seen[g] = true
			out = append(out, Assignment{Grant: g, Given: given})
		}
	}
	return out, nil
}

func (f AssignmentFilter) matches(g Grant, projects []string) bool {
	return (f.User == "" || (g.ActorKind == ActorUser && g.ActorID == f.User)) &&
		(f.Group == "" || (g.ActorKind == ActorGroup && g.ActorID == f.Group)) &&
		(f.Role == "" || g.RoleID == f.Role) &&
		(f.Project == "" || (g.TargetKind == TargetProject && slices.Contains(projects, g.TargetID))) &&
		(f.Domain == "" || (g.TargetKind == TargetDomain && g.TargetID == f.Domain)) &&
		(!f.System || g.TargetKind == TargetSystem) &&
		(f.Inherited == nil || g.Inherited == *f.Inherited)
}

// assigned is all that decides who has which role, as far as a filter can ask
// for it.
type assigned struct {
	grants   []Grant
	members  map[string][]string // of groups
	children map[string][]string // of projects and domains
	roles    *roleGraph
}

// readAssigned reads what may match the filter, and little else: there may be many
// users and projects, of whom one is asked for.
func readAssigned(ctx context.Context, tx *db.Tx, f AssignmentFilter) (*assigned, error) {
	w := &assigned{members: map[string][]string{}, children: map[string][]string{}}
	q := tx.NewSelect().Model(&w.grants).Order("actor_kind DESC", "actor_id", "target_kind", "target_id", "role_id", "inherited")
	err := f.narrow(tx, q).Scan(ctx)
	if err != nil {
		return nil, err
	}
	if f.Subtree || (f.Effective && slices.ContainsFunc(w.grants, func(g Grant) bool { return g.Inherited })) {
		err = w.readChildren(ctx, tx, f)
		if err != nil {
			return nil, err
		}
	}
	if f.Effective {
		err = w.readMembers(ctx, tx, f.User)
		if err != nil {
			return nil, err
		}
	}
	w.roles, err = readRoleGraph(ctx, tx)
	return w, err
}

// narrow leaves the grants by which somebody may have what the filter asks for.
func (f AssignmentFilter) narrow(tx *db.Tx, q *bun.SelectQuery) *bun.SelectQuery {
	switch {
	case f.User != "" && f.Effective:
		q = q.Where(heldBy, Holder{User: f.User}.holds(tx)...)
	case f.User != "":
		q = q.Where("actor_kind = ? AND actor_id = ?", ActorUser, f.User)
	case f.Group != "" && !f.Effective:
		q = q.Where("actor_kind = ? AND actor_id = ?", ActorGroup, f.Group)
	}
	switch {
	case f.Project != "" && f.Effective && !f.Subtree:
		q = q.Where("((target_kind = ? AND target_id = ?) OR inherited = ?)", TargetProject, f.Project, true)
	case f.Project != "" && !f.Subtree:
		q = q.Where("target_kind = ? AND target_id = ?", TargetProject, f.Project)
	case f.Domain != "":
		q = q.Where("target_kind = ? AND target_id = ?", TargetDomain, f.Domain)
	case f.System:
		q = q.Where("target_kind = ?", TargetSystem)
	}
	if f.Role != "" && !f.Effective {
		q = q.Where("role_id = ?", f.Role)
	}
	return q
}

// readMembers reads who is in groups: one user, or all of them.
func (w *assigned) readMembers(ctx context.Context, tx *db.Tx, user string) error {
	var pairs []struct{ Group, User string }
	q := tx.NewSelect().TableExpr("("+membersNow+") AS m", db.At(tx.Now())).ColumnExpr(`group_id AS "group", user_id AS "user"`).Order("user_id")
	err := equal(q, "user_id", user).Scan(ctx, &pairs)
	for _, p := range pairs {
		w.members[p.Group] = append(w.members[p.Group], p.User)
	}
	return err
}

// readChildren reads which projects are below which: all, or those that one is
// below.
func (w *assigned) readChildren(ctx context.Context, tx *db.Tx, f AssignmentFilter) error {
	var pairs []struct{ Parent, Child string }
	var err error
	if f.Project != "" && !f.Subtree {
		err = tx.All(ctx, &pairs, `
			WITH RECURSIVE above (parent, child) AS (
				SELECT parent_id, id FROM projects WHERE id = ?
				UNION SELECT p.parent_id, p.id FROM projects p JOIN above ON p.id = above.parent)
			SELECT parent, child FROM above ORDER BY child`, f.Project)
	} else {
		err = tx.All(ctx, &pairs, `SELECT parent_id AS parent, id AS child FROM projects ORDER BY id`)
	}
	for _, p := range pairs {
		w.children[p.Parent] = append(w.children[p.Parent], p.Child)
	}
	return err
}

// below lists all projects below a project or domain.
func (w *assigned) below(id string) []string {
	out := slices.Clone(w.children[id])
	for i := 0; i < len(out); i++ {
		out = append(out, w.children[out[i]]...)
	}
	return out
}

// effects lists what users have by a grant.
func (w *assigned) effects(given Grant) []Grant {
	users := []string{given.ActorID}
	if given.ActorKind == ActorGroup {
		users = w.members[given.ActorID]
	}
	kind, targets := given.TargetKind, []string{given.TargetID}
	if given.Inherited {
		kind, targets = TargetProject, w.below(given.TargetID)
	}
	// The given role comes first, whatever it is called.
	implied := map[string]bool{}
	for _, r := range w.roles.expand([]string{given.RoleID}) {
		implied[r.ID] = true
	}
	var roles []string
	if implied[given.RoleID] { // a role of a domain only stands for what it implies
		roles = []string{given.RoleID}
	}
	delete(implied, given.RoleID)
	roles = append(roles, slices.Sorted(maps.Keys(implied))...)
	var out []Grant
	for _, user := range users {
		for _, target := range targets {
			for _, role := range roles {
				out = append(out, Grant{ActorKind: ActorUser, ActorID: user, TargetKind: kind, TargetID: target,
					RoleID: role, Inherited: given.Inherited})
			}
		}
	}
	return out
}
