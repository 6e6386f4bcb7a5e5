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

// Groups lists groups by name. More tells that the directory of the domain has
// more than a list may have.
func (s *Service) Groups(ctx context.Context, domain, name string) (groups []Group, more bool, err error) {
	all, err := s.currentRealms(ctx)
	if err != nil {
		return nil, false, err
	}
	r := all[domain]
	of := ""
	if r != nil {
		of = domain
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		q := ownRows(tx.NewSelect().Model(&groups).Order("name", "id"), of, all)
		return equal(equal(q, "domain_id", domain), "name", name).Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list groups: %w", err)
	}
	if r != nil {
		return s.groupsFrom(ctx, r, name, groups)
	}
	return groups, false, nil
}

// GroupsOf lists the groups that a user is in, by name.
func (s *Service) GroupsOf(ctx context.Context, user, name string) ([]Group, error) {
	_, err := s.User(ctx, user) // asks the directory of the domain, if it has one
	if err != nil {
		return nil, err
	}
	var groups []Group
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&groups).Order("name", "id").Where("id IN ("+groupsOf+")", Holder{User: user}.args(tx)...)
		return equal(q, "name", name).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list groups of user %s: %w", user, err)
	}
	return groups, nil
}

func readGroup(ctx context.Context, tx *db.Tx, id string) (Group, error) {
	return find[Group](ctx, tx, "group", id)
}

// CreateGroup adds a group.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	g.ID, g.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.refuseRealmDomain(ctx, g.DomainID)
	if err != nil {
		return Group{}, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readDomain(ctx, tx, g.DomainID)
		if err == nil {
			err = makeRoom(ctx, tx, "user_groups", g.DomainID, g.Name)
		}
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
		err = refuseRealm(ctx, tx, id)
		if err != nil {
			return err
		}
		before := g
		err = change(&g)
		if err == nil && g.Name != before.Name {
			err = makeRoom(ctx, tx, "user_groups", g.DomainID, g.Name)
		}
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
		err = refuseRealm(ctx, tx, id)
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
		if err == nil {
			err = refuseMember(ctx, tx, group, user)
		}
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

// refuseMember refuses members of groups that a directory has, and of ours whom a
// directory knows.
func refuseMember(ctx context.Context, tx *db.Tx, group, user string) error {
	groups, err := refuseRealm(ctx, tx, group), refuseRealm(ctx, tx, user)
	if (groups == nil) != (err == nil) {
		return errs.Forbiddenf("Group membership across backend boundaries is not allowed. Group in question is %s, user is %s.", group, user)
	}
	return err
}

func notMember(group, user string) error {
	return errs.NotFoundf("User '%s' not found in group '%s'.", user, group)
}

// CheckMember finds out whether the user is in the group.
func (s *Service) CheckMember(ctx context.Context, group, user string) error {
	_, err := s.User(ctx, user)
	if err != nil {
		return err
	}
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
		if err == nil {
			err = refuseMember(ctx, tx, group, user)
		}
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
