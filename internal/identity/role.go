package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Role is a name that policy rules ask for.
type Role struct {
	bun.BaseModel `bun:"table:roles"`

	ID          string `bun:",pk"`
	DomainID    string // "" for a role of the whole cloud
	Name        string
	Description *string
	Options     Extra
	Extra       Extra
	CreatedAt   db.Time
}

// Implication says that who has the prior role has the implied one too.
type Implication struct {
	bun.BaseModel `bun:"table:role_implications"`

	PriorID   string `bun:",pk"`
	ImpliedID string `bun:",pk"`
}

// Roles lists the roles of a domain ("" for those of the whole cloud) by name.
func (s *Service) Roles(ctx context.Context, domain, name string) ([]Role, error) {
	var out []Role
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return equal(tx.NewSelect().Model(&out).Where("domain_id = ?", domain).Order("name", "id"), "name", name).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	return out, nil
}

// Role finds a role by id.
func (s *Service) Role(ctx context.Context, id string) (Role, error) {
	return get[Role](ctx, s, "role", id)
}

func readRole(ctx context.Context, tx *db.Tx, id string) (Role, error) {
	return find[Role](ctx, tx, "role", id)
}

// CreateRole adds a role.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	r.ID, r.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if r.DomainID != "" {
			_, err := readDomain(ctx, tx, r.DomainID)
			if err != nil {
				return err
			}
		}
		err := unlikeOthers(ctx, tx, r)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &r)
		if err != nil {
			return duplicate(err, "role", r.Name)
		}
		return tell(ctx, tx, "role", created, r.ID)
	})
	if err != nil {
		return Role{}, fmt.Errorf("create role %q: %w", r.Name, err)
	}
	return r, nil
}

// unlikeOthers refuses a role of the whole cloud whose name is that of another in
// other letters: rules don't look at the case, and would take Admin for admin.
func unlikeOthers(ctx context.Context, tx *db.Tx, r Role) error {
	if r.DomainID != "" {
		return nil // no rule ever sees it
	}
	var names []string
	err := tx.All(ctx, &names, `SELECT name FROM roles WHERE domain_id = '' AND id <> ?`, r.ID)
	if err != nil {
		return fmt.Errorf("read names of roles: %w", err)
	}
	for _, name := range names {
		if strings.EqualFold(name, r.Name) {
			return nameTaken("role", r.Name)
		}
	}
	return nil
}

// UpdateRole changes a role by the function.
func (s *Service) UpdateRole(ctx context.Context, id string, change func(r *Role) error) (Role, error) {
	var r Role
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		r, err = readRole(ctx, tx, id)
		if err != nil {
			return err
		}
		before := r
		err = change(&r)
		if err != nil {
			return err
		}
		err = fixed("update", "role", id, before.Options, r.Options)
		if err != nil {
			return err
		}
		if r.Name != before.Name {
			err = unlikeOthers(ctx, tx, r)
			if err != nil {
				return err
			}
		}
		_, err = tx.Update(ctx, &r, "name", "description", "options", "extra")
		if err != nil {
			return duplicate(err, "role", r.Name)
		}
		err = tell(ctx, tx, "role", updated, id)
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return Role{}, fmt.Errorf("update role %s: %w", id, err)
	}
	return r, nil
}

// DeleteRole removes a role with its grants and implications. Tokens in use
// lose it.
func (s *Service) DeleteRole(ctx context.Context, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		r, err := readRole(ctx, tx, id)
		if err != nil {
			return err
		}
		err = fixed("delete", "role", id, r.Options, r.Options)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM roles WHERE id = ?`, id)
		if err != nil {
			return err
		}
		err = tell(ctx, tx, "role", deleted, id)
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete role %s: %w", id, err)
	}
	return nil
}

// Implications lists all implications.
func (s *Service) Implications(ctx context.Context) ([]Implication, error) {
	var out []Implication
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.NewSelect().Model(&out).Order("prior_id", "implied_id").Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list role implications: %w", err)
	}
	return out, nil
}

// CreateImplication makes a role imply another. Once more is a success; a
// circle is refused.
func (s *Service) CreateImplication(ctx context.Context, prior, implied string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		for _, id := range []string{prior, implied} {
			_, err := readRole(ctx, tx, id)
			if err != nil {
				return err
			}
		}
		// Two implications may close a circle that neither does alone.
		err := tx.Lock(ctx, "role implications")
		if err != nil {
			return err
		}
		g, err := readRoleGraph(ctx, tx)
		if err != nil {
			return err
		}
		if slices.Contains(g.closure([]string{implied}), prior) {
			return errs.Forbiddenf("Create implied role between %s and %s would form a circle.", prior, implied)
		}
		_, err = tx.Exec(ctx, `INSERT INTO role_implications (prior_id, implied_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, prior, implied)
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("imply role %s by %s: %w", implied, prior, err)
	}
	return nil
}

// DeleteImplication takes an implication back.
func (s *Service) DeleteImplication(ctx context.Context, prior, implied string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM role_implications WHERE prior_id = ? AND implied_id = ?`, prior, implied)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.NotFoundf("%s does not imply %s.", prior, implied)
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("end implication of role %s by %s: %w", implied, prior, err)
	}
	return nil
}

// RoleRef is a role as a token shows it.
type RoleRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// roleGraph is all roles and implications at a revision.
type roleGraph struct {
	revision int64
	roles    map[string]Role
	implied  map[string][]string
}

func readRoleGraph(ctx context.Context, tx *db.Tx) (*roleGraph, error) {
	var roles []Role
	err := tx.NewSelect().Model(&roles).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	var implications []Implication
	err = tx.NewSelect().Model(&implications).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read role implications: %w", err)
	}
	g := &roleGraph{roles: make(map[string]Role, len(roles)), implied: map[string][]string{}}
	for _, r := range roles {
		g.roles[r.ID] = r
	}
	for _, i := range implications {
		g.implied[i.PriorID] = append(g.implied[i.PriorID], i.ImpliedID)
	}
	return g, nil
}

// roleGraph gives the graph at the revision at least.
func (s *Service) roleGraph(ctx context.Context, tx *db.Tx, revision int64) (*roleGraph, error) {
	known := s.roles.Load()
	if known != nil && known.revision == revision {
		return known, nil
	}
	g, err := readRoleGraph(ctx, tx)
	if err != nil {
		return nil, err
	}
	g.revision = revision
	s.roles.Store(g)
	return g, nil
}

// closure adds what the roles imply.
func (g *roleGraph) closure(ids []string) []string {
	seen := map[string]bool{}
	var out []string
	queue := slices.Clone(ids)
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		_, exists := g.roles[id]
		if seen[id] || !exists {
			continue
		}
		seen[id] = true
		queue = append(queue, g.implied[id]...)
		out = append(out, id)
	}
	return out
}

// refs names roles as a token shows them, sorted. Roles of a domain only stand
// for what they imply.
func (g *roleGraph) refs(ids []string) []RoleRef {
	var out []RoleRef
	for _, r := range g.named(ids) {
		if r.DomainID == "" {
			out = append(out, RoleRef{ID: r.ID, Name: r.Name})
		}
	}
	return out
}

// expand is refs of the closure.
func (g *roleGraph) expand(ids []string) []RoleRef { return g.refs(g.closure(ids)) }

// named gives the roles of these ids that still exist, by name.
func (g *roleGraph) named(ids []string) []Role {
	var out []Role
	for _, id := range ids {
		r, exists := g.roles[id]
		if exists {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// RoleName names a role by id or else by its name, which is unique among the
// roles of the whole cloud.
type RoleName struct{ ID, Name string }

// find gives the ids of the roles.
func (g *roleGraph) find(names []RoleName) ([]string, error) {
	var ids []string
	for _, n := range names {
		id := n.ID
		for known, r := range g.roles {
			if n.ID == "" && r.Name == n.Name && r.DomainID == "" {
				id = known
			}
		}
		_, exists := g.roles[id]
		if !exists {
			return nil, errs.NotFoundf("Could not find role: %s.", n.ID+n.Name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
