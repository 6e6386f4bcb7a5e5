package identity

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
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
	var world *assigned
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		world, err = readAssigned(ctx, tx)
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

// assigned is all that decides who has which role.
type assigned struct {
	grants   []Grant
	members  map[string][]string // of groups
	children map[string][]string // of projects and domains
	roles    *roleGraph
}

func readAssigned(ctx context.Context, tx *db.Tx) (*assigned, error) {
	w := &assigned{members: map[string][]string{}, children: map[string][]string{}}
	err := tx.NewSelect().Model(&w.grants).
		Order("actor_kind DESC", "actor_id", "target_kind", "target_id", "role_id", "inherited").Scan(ctx)
	if err != nil {
		return nil, err
	}
	var pairs []struct{ Parent, Child string }
	err = tx.All(ctx, &pairs, `SELECT group_id AS parent, user_id AS child FROM group_members ORDER BY user_id`)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		w.members[p.Parent] = append(w.members[p.Parent], p.Child)
	}
	pairs = nil
	err = tx.All(ctx, &pairs, `SELECT parent_id AS parent, id AS child FROM projects ORDER BY id`)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		w.children[p.Parent] = append(w.children[p.Parent], p.Child)
	}
	w.roles, err = readRoleGraph(ctx, tx)
	return w, err
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
