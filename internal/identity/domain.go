package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Extra holds attributes that a client has set and only it understands.
type Extra = db.JSON[map[string]any]

// Domain is a separate realm of projects, users and groups.
type Domain struct {
	bun.BaseModel `bun:"table:domains"`

	ID          string `bun:",pk"`
	Name        string
	NameKey     string // folded, since domain names match regardless of case
	Description string
	Enabled     bool
	Tags        db.JSON[[]string]
	Options     Extra
	Extra       Extra
	CreatedAt   db.Time
}

func domainKey(name string) string { return strings.ToLower(name) }

// Domains lists the domains by name. Empty filters match all.
func (s *Service) Domains(ctx context.Context, name string, enabled *bool) ([]Domain, error) {
	var out []Domain
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&out).Order("name", "id")
		if name != "" {
			q = q.Where("name_key = ?", domainKey(name))
		}
		if enabled != nil {
			q = q.Where("enabled = ?", *enabled)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return out, nil
}

// Domain finds a domain by id.
func (s *Service) Domain(ctx context.Context, id string) (Domain, error) {
	return get[Domain](ctx, s, "domain", id)
}

func readDomain(ctx context.Context, tx *db.Tx, id string) (Domain, error) {
	return find[Domain](ctx, tx, "domain", id)
}

// domainID finds a domain by id or else by name.
func domainID(ctx context.Context, tx *db.Tx, ref Ref) (string, error) {
	if ref.ID != "" {
		return ref.ID, nil
	}
	var id string
	err := tx.Get(ctx, &id, `SELECT id FROM domains WHERE name_key = ?`, domainKey(ref.Name))
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.NotFoundf("Could not find domain: %s.", ref.Name)
	}
	if err != nil {
		return "", fmt.Errorf("find domain %q: %w", ref.Name, err)
	}
	return id, nil
}

// CreateDomain adds a domain. Its id and time are set here.
func (s *Service) CreateDomain(ctx context.Context, d Domain) (Domain, error) {
	d.ID, d.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := insertDomain(ctx, tx, &d)
		if err != nil {
			return err
		}
		return tell(ctx, tx, "domain", created, d.ID)
	})
	if err != nil {
		return Domain{}, fmt.Errorf("create domain %q: %w", d.Name, err)
	}
	return d, nil
}

func insertDomain(ctx context.Context, tx *db.Tx, d *Domain) error {
	d.NameKey = domainKey(d.Name)
	return duplicate(tx.Insert(ctx, d), "domain", d.Name)
}

// UpdateDomain changes a domain by the function. Disabling it ends the tokens
// of its users and scopes.
func (s *Service) UpdateDomain(ctx context.Context, id string, change func(d *Domain) error) (Domain, error) {
	now := s.clock.Now()
	var d Domain
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		d, err = readDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		before := d
		err = change(&d)
		if err != nil {
			return err
		}
		err = fixed("update", "domain", id, before.Options, d.Options)
		if err != nil {
			return err
		}
		d.NameKey = domainKey(d.Name)
		_, err = tx.Update(ctx, &d, "name", "name_key", "description", "enabled", "tags", "options", "extra")
		if err != nil {
			return duplicate(err, "domain", d.Name)
		}
		err = tellUpdated(ctx, tx, "domain", id, before.Enabled, d.Enabled)
		if err != nil {
			return err
		}
		return s.scopeChanged(ctx, tx, now, domainSubject(id), before.Enabled, d.Enabled, before.Name != d.Name)
	})
	if err != nil {
		return Domain{}, fmt.Errorf("update domain %s: %w", id, err)
	}
	return d, nil
}

// DeleteDomain removes a disabled domain with all that is in it.
func (s *Service) DeleteDomain(ctx context.Context, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		d, err := readDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		if id == DefaultDomain {
			return errs.Forbiddenf("You are not authorized to perform the requested action: delete the default domain.")
		}
		err = fixed("delete", "domain", id, d.Options, d.Options)
		if err != nil {
			return err
		}
		if d.Enabled {
			return errs.Forbiddenf("Cannot delete a domain that is enabled, please disable it first.")
		}
		for _, part := range [][2]string{{"user", "users"}, {"group", "user_groups"}, {"project", "projects"}, {"role", "roles"}} {
			err = tellAllDeleted(ctx, tx, part[0], part[1], id)
			if err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`DELETE FROM grants WHERE actor_kind = 'user' AND actor_id IN (SELECT id FROM users WHERE domain_id = ?)`,
			`DELETE FROM grants WHERE actor_kind = 'group' AND actor_id IN (SELECT id FROM user_groups WHERE domain_id = ?)`,
			`DELETE FROM grants WHERE target_kind = 'project' AND target_id IN (SELECT id FROM projects WHERE domain_id = ?)`,
			`DELETE FROM grants WHERE target_kind = 'domain' AND target_id = ?`,
			`DELETE FROM limits WHERE domain_id = ?`,
			`DELETE FROM limits WHERE project_id IN (SELECT id FROM projects WHERE domain_id = ?)`,
			`DELETE FROM credentials WHERE user_id IN (SELECT id FROM users WHERE domain_id = ?)`,
			`DELETE FROM credentials WHERE project_id IN (SELECT id FROM projects WHERE domain_id = ?)`,
			`DELETE FROM user_groups WHERE domain_id = ?`,
			`DELETE FROM id_mapping WHERE domain_id = ?`,
			`DELETE FROM users WHERE domain_id = ?`,
			`DELETE FROM projects WHERE domain_id = ?`,
			`DELETE FROM roles WHERE domain_id = ?`,
			`DELETE FROM domains WHERE id = ?`,
		} {
			_, err := tx.Exec(ctx, statement, id)
			if err != nil {
				return err
			}
		}
		err = tell(ctx, tx, "domain", deleted, id)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, domainSubject(id))
	})
	if err != nil {
		return fmt.Errorf("delete domain %s: %w", id, err)
	}
	return nil
}

// fixed refuses to change what carries the option immutable, unless the change
// takes the option away.
func fixed(act, kind, id string, before, after Extra) error {
	was, is := before.V["immutable"] == true, after.V["immutable"] == true
	if was && is {
		return errs.Forbiddenf("Unable to %s immutable %s resource: `%s. Set resource option \"immutable\" to false first.", act, kind, id)
	}
	return nil
}

// duplicate turns a broken unique index into Keystone's conflict.
func duplicate(err error, kind, name string) error {
	if err != nil && db.IsDuplicate(err) {
		return nameTaken(kind, name)
	}
	return err
}

func nameTaken(kind, name string) error {
	return errs.Conflictf("Conflict occurred attempting to store %s - Duplicate entry found with name %s.", kind, name)
}
