package identity

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Kinds of actors and targets.
const (
	ActorUser     = "user"
	ActorGroup    = "group"
	TargetProject = "project"
	TargetDomain  = "domain"
	TargetSystem  = "system"
)

// SystemID stands for the one system as a target.
const SystemID = "all"

// Grant gives a role to an actor on a target.
type Grant struct {
	bun.BaseModel `bun:"table:grants"`

	ActorKind  string `bun:",pk"`
	ActorID    string `bun:",pk"`
	TargetKind string `bun:",pk"`
	TargetID   string `bun:",pk"`
	RoleID     string `bun:",pk"`
	Inherited  bool   `bun:",pk"` // holds on the projects below the target, not on it
}

// projectRoles finds the roles that somebody was given on a project, including
// what is inherited from the projects above it and from its domain.
func projectRoles(ctx context.Context, tx *db.Tx, h Holder, project string) ([]string, error) {
	var ids []string
	err := tx.All(ctx, &ids, `
		WITH RECURSIVE above (id) AS (
			SELECT parent_id FROM projects WHERE id = ?
			UNION SELECT p.parent_id FROM projects p JOIN above ON p.id = above.id)
		SELECT DISTINCT role_id FROM grants
		WHERE ((target_kind = 'project' AND target_id = ? AND inherited = 0) OR
			(inherited = 1 AND target_id IN (SELECT id FROM above))) AND `+heldBy,
		append([]any{project, project}, h.holds(tx)...)...)
	if err != nil {
		return nil, fmt.Errorf("read roles of user %s on project %s: %w", h.User, project, err)
	}
	return ids, nil
}

// targetRoles finds the roles that somebody was given on a domain or the system.
func targetRoles(ctx context.Context, tx *db.Tx, h Holder, kind, id string) ([]string, error) {
	var ids []string
	err := tx.All(ctx, &ids, `
		SELECT DISTINCT role_id FROM grants
		WHERE target_kind = ? AND target_id = ? AND inherited = 0 AND `+heldBy,
		append([]any{kind, id}, h.holds(tx)...)...)
	if err != nil {
		return nil, fmt.Errorf("read roles of user %s on %s %s: %w", h.User, kind, id, err)
	}
	return ids, nil
}

// ProjectsOf lists the enabled projects in which somebody has a role.
func (s *Service) ProjectsOf(ctx context.Context, h Holder) ([]Project, error) {
	var out []Project
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &out, `
			WITH RECURSIVE below (id) AS (
				SELECT id FROM projects WHERE parent_id IN (SELECT target_id FROM grants WHERE inherited = 1 AND `+heldBy+`)
				UNION SELECT p.id FROM projects p JOIN below ON p.parent_id = below.id)
			SELECT p.* FROM projects p JOIN domains d ON d.id = p.domain_id
			WHERE p.enabled = 1 AND d.enabled = 1 AND (p.id IN (SELECT id FROM below) OR p.id IN (
				SELECT target_id FROM grants WHERE target_kind = 'project' AND inherited = 0 AND `+heldBy+`))
			ORDER BY p.name, p.id`, slices.Concat(h.holds(tx), h.holds(tx))...)
	})
	if err != nil {
		return nil, fmt.Errorf("list projects of user %s: %w", h.User, err)
	}
	return out, nil
}

// DomainsOf lists the enabled domains on which somebody has a role.
func (s *Service) DomainsOf(ctx context.Context, h Holder) ([]Domain, error) {
	var out []Domain
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &out, `
			SELECT * FROM domains WHERE enabled = 1 AND id IN (
				SELECT target_id FROM grants WHERE target_kind = 'domain' AND inherited = 0 AND `+heldBy+`)
			ORDER BY name, id`, h.holds(tx)...)
	})
	if err != nil {
		return nil, fmt.Errorf("list domains of user %s: %w", h.User, err)
	}
	return out, nil
}

// OnSystem tells whether somebody has a role on the system.
func (s *Service) OnSystem(ctx context.Context, h Holder) (bool, error) {
	var ids []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		ids, err = targetRoles(ctx, tx, h, TargetSystem, SystemID)
		return err
	})
	return len(ids) > 0, err
}

// Grants lists grants that match the fields which are set.
func (s *Service) Grants(ctx context.Context, like Grant, inherited *bool) ([]Grant, error) {
	var out []Grant
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&out).Order("actor_kind DESC", "actor_id", "target_kind", "target_id", "role_id", "inherited")
		q = equal(q, "actor_kind", like.ActorKind)
		q = equal(q, "actor_id", like.ActorID)
		q = equal(q, "target_kind", like.TargetKind)
		q = equal(q, "target_id", like.TargetID)
		q = equal(q, "role_id", like.RoleID)
		if inherited != nil {
			q = q.Where("inherited = ?", *inherited)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return out, nil
}

// CheckGrant finds out whether the grant exists.
func (s *Service) CheckGrant(ctx context.Context, g Grant) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		err := checkGrant(ctx, tx, g)
		if err != nil {
			return err
		}
		found, err := tx.NewSelect().Model(&g).WherePK().Exists(ctx)
		if err != nil {
			return fmt.Errorf("read grant: %w", err)
		}
		if !found {
			return noGrant(g)
		}
		return nil
	})
}

func noGrant(g Grant) error {
	return errs.NotFoundf("Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.",
		g.RoleID, g.ActorID, g.TargetID)
}

// checkGrant refuses a grant whose parts don't exist.
func checkGrant(ctx context.Context, tx *db.Tx, g Grant) error {
	if g.RoleID != "" {
		_, err := readRole(ctx, tx, g.RoleID)
		if err != nil {
			return err
		}
	}
	err := checkActor(ctx, tx, g)
	if err != nil {
		return err
	}
	switch g.TargetKind {
	case TargetProject:
		_, err = readProject(ctx, tx, g.TargetID)
	case TargetDomain:
		_, err = readDomain(ctx, tx, g.TargetID)
	}
	return err
}

func checkActor(ctx context.Context, tx *db.Tx, g Grant) error {
	if g.ActorKind == ActorGroup {
		_, err := readGroup(ctx, tx, g.ActorID)
		return err
	}
	_, err := readUser(ctx, tx, g.ActorID)
	return err
}

// CheckGrantParts finds out whether actor and target of a grant exist.
func (s *Service) CheckGrantParts(ctx context.Context, g Grant) error {
	return s.db.Read(ctx, func(tx *db.Tx) error { return checkGrant(ctx, tx, g) })
}

// CreateGrant gives a role. Once more is a success.
func (s *Service) CreateGrant(ctx context.Context, g Grant) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkGrant(ctx, tx, g)
		if err != nil {
			return err
		}
		added, err := addGrant(ctx, tx, g)
		if err != nil || !added {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("grant role %s: %w", g.RoleID, err)
	}
	return nil
}

// addGrant adds a grant, and tells whether there was none yet.
func addGrant(ctx context.Context, tx *db.Tx, g Grant) (bool, error) {
	result, err := tx.NewInsert().Model(&g).On("CONFLICT DO NOTHING").Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	return true, tellGrant(ctx, tx, created, g)
}

// RevokeGrant takes a role back and ends the tokens that rested on it.
func (s *Service) RevokeGrant(ctx context.Context, g Grant) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkGrant(ctx, tx, g)
		if err != nil {
			return err
		}
		result, err := tx.NewDelete().Model(&g).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n == 0 {
			return noGrant(g)
		}
		users, err := grantedUsers(ctx, tx, g)
		if err != nil {
			return err
		}
		if g.TargetKind == TargetProject {
			err = dropAppCredentials(ctx, tx, g.TargetID, users...)
			if err != nil {
				return err
			}
		}
		subjects := grantSubjects(g, users)
		err = tellGrant(ctx, tx, deleted, g)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, subjects...)
	})
	if err != nil {
		return fmt.Errorf("revoke role %s: %w", g.RoleID, err)
	}
	return nil
}

// grantedUsers lists the users who have a role by a grant.
func grantedUsers(ctx context.Context, tx *db.Tx, g Grant) ([]string, error) {
	if g.ActorKind == ActorUser {
		return []string{g.ActorID}, nil
	}
	return membersEver(ctx, tx, g.ActorID)
}

// grantSubjects names the subjects whose tokens rest on a grant. An inherited
// one holds on many projects, so that all tokens of its holders end.
func grantSubjects(g Grant, users []string) []string {
	subjects := make([]string, 0, len(users))
	for _, user := range users {
		if g.Inherited {
			subjects = append(subjects, userSubject(user))
			continue
		}
		subjects = append(subjects, grantSubject(user, g.TargetKind, g.TargetID))
	}
	return subjects
}
