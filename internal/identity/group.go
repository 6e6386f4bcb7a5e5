package identity

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Group is a set of users that roles are given to at once.
type Group struct {
	bun.BaseModel `bun:"table:user_groups"`

	ID          string `bun:",pk"`
	DomainID    string
	Name        string
	Description string
	Extra       Extra
	CreatedAt   db.Time
}

// Groups lists groups by name; a user narrows it to those the user is in.
func (s *Service) Groups(ctx context.Context, domain, name, user string) ([]Group, error) {
	var out []Group
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := equal(equal(tx.NewSelect().Model(&out).Order("name", "id"), "domain_id", domain), "name", name)
		if user != "" {
			q = q.Where("id IN ("+groupsOf+")", Holder{User: user}.args(tx)...)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return out, nil
}

// Group finds a group by id.
func (s *Service) Group(ctx context.Context, id string) (Group, error) {
	return get[Group](ctx, s, "group", id)
}

func readGroup(ctx context.Context, tx *db.Tx, id string) (Group, error) {
	return find[Group](ctx, tx, "group", id)
}

// CreateGroup adds a group.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	g.ID, g.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readDomain(ctx, tx, g.DomainID)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &g)
		if err != nil {
			return duplicate(err, "group", g.Name)
		}
		return tell(ctx, tx, "group", created, g.ID)
	})
	if err != nil {
		return Group{}, fmt.Errorf("create group %q: %w", g.Name, err)
	}
	return g, nil
}

// UpdateGroup changes a group by the function.
func (s *Service) UpdateGroup(ctx context.Context, id string, change func(g *Group) error) (Group, error) {
	var g Group
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		g, err = readGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		err = change(&g)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &g, "name", "description", "extra")
		if err != nil {
			return duplicate(err, "group", g.Name)
		}
		return tell(ctx, tx, "group", updated, id)
	})
	if err != nil {
		return Group{}, fmt.Errorf("update group %s: %w", id, err)
	}
	return g, nil
}

// DeleteGroup removes a group and its grants; the tokens of its members end.
func (s *Service) DeleteGroup(ctx context.Context, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		everywhere := Grant{ActorKind: ActorGroup, ActorID: id, Inherited: true}
		users, err := grantedUsers(ctx, tx, everywhere)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM grants WHERE actor_kind = 'group' AND actor_id = ?`, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM user_groups WHERE id = ?`, id)
		if err != nil {
			return err
		}
		err = tell(ctx, tx, "group", deleted, id)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, grantSubjects(everywhere, users)...)
	})
	if err != nil {
		return fmt.Errorf("delete group %s: %w", id, err)
	}
	return nil
}

// AddMember puts a user into a group. Once more is a success.
func (s *Service) AddMember(ctx context.Context, group, user string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkMember(ctx, tx, group, user)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO group_members (group_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, group, user)
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("add user %s to group %s: %w", user, group, err)
	}
	return nil
}

func checkMember(ctx context.Context, tx *db.Tx, group, user string) error {
	_, err := readGroup(ctx, tx, group)
	if err != nil {
		return err
	}
	_, err = readUser(ctx, tx, user)
	return err
}

func notMember(group, user string) error {
	return errs.NotFoundf("User '%s' not found in group '%s'.", user, group)
}

// CheckMember finds out whether the user is in the group.
func (s *Service) CheckMember(ctx context.Context, group, user string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		err := checkMember(ctx, tx, group, user)
		if err != nil {
			return err
		}
		var n int
		err = tx.Get(ctx, &n, `SELECT COUNT(*) FROM (`+membersNow+`) AS m WHERE group_id = ? AND user_id = ?`, db.At(tx.Now()), group, user)
		if err != nil {
			return fmt.Errorf("read membership: %w", err)
		}
		if n == 0 {
			return notMember(group, user)
		}
		return nil
	})
}

// RemoveMember takes a user out of a group and ends the user's tokens.
func (s *Service) RemoveMember(ctx context.Context, group, user string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkMember(ctx, tx, group, user)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM group_members WHERE group_id = ? AND user_id = ?`, group, user)
		if err != nil {
			return err
		}
		if n == 0 {
			return notMember(group, user)
		}
		return s.endTokens(ctx, tx, now, userSubject(user))
	})
	if err != nil {
		return fmt.Errorf("remove user %s from group %s: %w", user, group, err)
	}
	return nil
}
