package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Project owns resources. Projects may stand below others; at the top the
// parent is the domain.
type Project struct {
	bun.BaseModel `bun:"table:projects"`

	ID          string `bun:",pk"`
	DomainID    string
	ParentID    string
	Name        string
	Description string
	Enabled     bool
	Tags        db.JSON[[]string]
	Options     Extra
	Extra       Extra
	CreatedAt   db.Time
}

// ProjectFilter narrows a list; empty fields match all.
type ProjectFilter struct {
	IDs       []string // nil: all; empty: none
	DomainID  string
	ParentID  string
	Name      string
	NameParts NameParts
	Enabled   *bool
	Tags      []string // all of them
	TagsAny   []string
	NotTags   []string // not all of them
	NotAny    []string // none of them
}

// Projects lists projects by name.
func (s *Service) Projects(ctx context.Context, f ProjectFilter) ([]Project, error) {
	if f.IDs != nil && len(f.IDs) == 0 {
		return nil, nil
	}
	var out []Project
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&out).Order("name", "id")
		if f.IDs != nil {
			q = q.Where("id IN (?)", db.In(f.IDs))
		}
		q = equal(q, "domain_id", f.DomainID)
		q = equal(q, "parent_id", f.ParentID)
		q = equal(q, "name", f.Name)
		if f.Enabled != nil {
			q = q.Where("enabled = ?", *f.Enabled)
		}
		return f.NameParts.where(q).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return slices.DeleteFunc(out, func(p Project) bool { return !f.tagged(p.Tags.V) }), nil
}

func (f ProjectFilter) tagged(tags []string) bool {
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	all := func(list []string) bool {
		return !slices.ContainsFunc(list, func(tag string) bool { return !has(tag) })
	}
	return all(f.Tags) &&
		(len(f.TagsAny) == 0 || slices.ContainsFunc(f.TagsAny, has)) &&
		(len(f.NotTags) == 0 || !all(f.NotTags)) &&
		!slices.ContainsFunc(f.NotAny, has)
}

// equal adds a condition unless the value is empty.
func equal(q *bun.SelectQuery, column, value string) *bun.SelectQuery {
	if value == "" {
		return q
	}
	return q.Where("? = ?", bun.Ident(column), value)
}

// NameParts filters names as name__contains and its kin do.
type NameParts struct{ Contains, StartsWith, EndsWith string }

func (n NameParts) where(q *bun.SelectQuery) *bun.SelectQuery {
	if n.Contains != "" {
		q = q.Where(`LOWER(name) LIKE ? ESCAPE '\'`, db.AnyCase(db.Like(n.Contains)))
	}
	if n.StartsWith != "" {
		q = q.Where(`LOWER(name) LIKE ? ESCAPE '\'`, db.AnyCase(db.Like(n.StartsWith)[1:]))
	}
	if n.EndsWith != "" {
		pattern := db.Like(n.EndsWith)
		q = q.Where(`LOWER(name) LIKE ? ESCAPE '\'`, db.AnyCase(pattern[:len(pattern)-1]))
	}
	return q
}

// Project finds a project by id.
func (s *Service) Project(ctx context.Context, id string) (Project, error) {
	return get[Project](ctx, s, "project", id)
}

func readProject(ctx context.Context, tx *db.Tx, id string) (Project, error) {
	return find[Project](ctx, tx, "project", id)
}

// Parents lists the projects above one, the nearest first.
func (s *Service) Parents(ctx context.Context, p Project) ([]Project, error) {
	var out []Project
	for p.ParentID != p.DomainID {
		var err error
		p, err = s.Project(ctx, p.ParentID)
		if err != nil {
			return nil, fmt.Errorf("list parents: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

// CreateProject adds a project. Its id and time are set here; without a parent
// it stands at the top of its domain.
func (s *Service) CreateProject(ctx context.Context, p Project) (Project, error) {
	p.ID, p.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.db.Write(ctx, func(tx *db.Tx) error { return insertProject(ctx, tx, &p, s.limitModel.depth()) })
	if err != nil {
		return Project{}, fmt.Errorf("create project %q: %w", p.Name, err)
	}
	return p, nil
}

func insertProject(ctx context.Context, tx *db.Tx, p *Project, maxDepth int) error {
	if p.ParentID == "" {
		p.ParentID = p.DomainID
	}
	_, err := readDomain(ctx, tx, p.DomainID)
	if err != nil {
		return err
	}
	depth := 1
	for up := p.ParentID; up != p.DomainID; depth++ {
		parent, err := readProject(ctx, tx, up)
		if err != nil {
			return err
		}
		if parent.DomainID != p.DomainID {
			return errs.BadRequestf("Cannot create project, the parent (%s) is acting as a domain, but this project's domain id (%s) does not match the parent's id.", up, p.DomainID)
		}
		if !parent.Enabled {
			return errs.Forbiddenf("cannot create a project in a branch containing a disabled project: %s.", up)
		}
		up = parent.ParentID
	}
	if depth >= maxDepth {
		return errs.Forbiddenf("Max hierarchy depth reached for %s branch.", p.ParentID)
	}
	err = tx.Insert(ctx, p)
	if err != nil {
		return duplicate(err, "project", p.Name)
	}
	return tell(ctx, tx, "project", created, p.ID)
}

// UpdateProject changes a project by the function. Disabling it ends the tokens
// scoped to it.
func (s *Service) UpdateProject(ctx context.Context, id string, change func(p *Project) error) (Project, error) {
	now := s.clock.Now()
	var p Project
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readProject(ctx, tx, id)
		if err != nil {
			return err
		}
		before := p
		err = change(&p)
		if err != nil {
			return err
		}
		err = fixed("update", "project", id, before.Options, p.Options)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &p, "name", "description", "enabled", "tags", "options", "extra")
		if err != nil {
			return duplicate(err, "project", p.Name)
		}
		err = tellUpdated(ctx, tx, "project", id, before.Enabled, p.Enabled)
		if err != nil {
			return err
		}
		return s.scopeChanged(ctx, tx, now, projectSubject(id), before.Enabled, p.Enabled, before.Name != p.Name)
	})
	if err != nil {
		return Project{}, fmt.Errorf("update project %s: %w", id, err)
	}
	return p, nil
}

// scopeChanged lets the tokens of a project or domain notice its change.
func (s *Service) scopeChanged(ctx context.Context, tx *db.Tx, now time.Time, subject string, was, is, renamed bool) error {
	if was && !is {
		return s.endTokens(ctx, tx, now, subject)
	}
	if was != is || renamed {
		_, err := s.bump(ctx, tx)
		return err
	}
	return nil
}

// DeleteProject removes a project that has none below it, with the grants on
// it. What it owns in other services is theirs to find.
func (s *Service) DeleteProject(ctx context.Context, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readProject(ctx, tx, id)
		if err != nil {
			return err
		}
		err = fixed("delete", "project", id, p.Options, p.Options)
		if err != nil {
			return err
		}
		var below int
		err = tx.Get(ctx, &below, `SELECT COUNT(*) FROM projects WHERE parent_id = ?`, id)
		if err != nil {
			return err
		}
		if below > 0 {
			return errs.Forbiddenf("Cannot delete the project %s since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree.", id)
		}
		for _, statement := range []string{
			`DELETE FROM grants WHERE target_kind = 'project' AND target_id = ?`,
			`UPDATE users SET default_project_id = '' WHERE default_project_id = ?`,
			`DELETE FROM credentials WHERE project_id = ?`,
			`DELETE FROM limits WHERE project_id = ?`,
			`DELETE FROM projects WHERE id = ?`,
		} {
			_, err := tx.Exec(ctx, statement, id)
			if err != nil {
				return err
			}
		}
		err = tell(ctx, tx, "project", deleted, id)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, projectSubject(id))
	})
	if err != nil {
		return fmt.Errorf("delete project %s: %w", id, err)
	}
	return nil
}
