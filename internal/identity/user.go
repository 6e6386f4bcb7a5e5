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

// User is somebody who can sign in. The hash of the password leaves this
// package in no form.
type User struct {
	bun.BaseModel `bun:"table:users"`

	ID                string `bun:",pk"`
	DomainID          string
	Name              string
	PasswordHash      string `json:"-"`
	PasswordExpiresAt db.Time
	PasswordChangedAt db.Time
	PasswordByUser    bool // chosen by the user, not by an administrator
	FailedAttempts    int64
	FailedAt          db.Time
	ActiveAt          db.Time
	DefaultProjectID  string
	Enabled           bool
	Description       *string
	Email             *string
	Options           Extra
	Extra             Extra
	CreatedAt         db.Time

	Federated []FederatedID `bun:"-"` // as whom providers know the user
}

// String keeps the hash out of whatever prints a user.
func (u User) String() string { return "user " + u.ID }

// UserFilter narrows a list; empty fields match all.
type UserFilter struct {
	DomainID  string
	GroupID   string
	Name      string
	NameParts NameParts
	Enabled   *bool
	Federated FederatedID
}

// Users lists users by name. More tells that the directory of the domain has more
// than a list may have.
func (s *Service) Users(ctx context.Context, f UserFilter) (users []User, more bool, err error) {
	all, err := s.currentRealms(ctx)
	if err != nil {
		return nil, false, err
	}
	if f.GroupID != "" && len(all) > 0 {
		g, err := get[Group](ctx, s, "group", f.GroupID)
		if err != nil {
			return nil, false, err
		}
		r, m, err := s.home(ctx, "group", g.DomainID, g.ID)
		if err != nil {
			return nil, false, err
		}
		if r != nil {
			users, more, err = s.membersOf(ctx, r, m)
			return f.narrow(users), more, err
		}
	}
	r := all[f.DomainID]
	of := ""
	if r != nil {
		of = f.DomainID
	}
	var out []User
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		q := ownRows(tx.NewSelect().Model(&out).Order("name", "id"), of, all)
		q = equal(q, "domain_id", f.DomainID)
		q = equal(q, "name", f.Name)
		if f.Enabled != nil {
			q = q.Where("enabled = ?", *f.Enabled)
		}
		if f.GroupID != "" {
			q = q.Where("id IN (SELECT user_id FROM ("+membersNow+") AS m WHERE group_id = ?)", db.At(tx.Now()), f.GroupID)
		}
		if f.Federated != (FederatedID{}) {
			known := tx.NewSelect().Table("federated_users").Column("user_id")
			known = equal(equal(equal(known, "idp_id", f.Federated.IDP), "protocol_id", f.Federated.Protocol), "unique_id", f.Federated.Unique)
			q = q.Where("id IN (?)", known)
		}
		return f.NameParts.where(q).Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list users: %w", err)
	}
	if r != nil {
		return s.usersOf(ctx, r, f, out)
	}
	return out, false, nil
}

// User finds a user by id.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	var u User
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		u, err = readUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u.Federated, err = readFederatedIDs(ctx, tx, id)
		return err
	})
	if err != nil {
		return u, err
	}
	r, m, err := s.home(ctx, "user", u.DomainID, id)
	if err != nil || r == nil {
		return u, err
	}
	return s.renew(ctx, r, m)
}

func readUser(ctx context.Context, tx *db.Tx, id string) (User, error) {
	return find[User](ctx, tx, "user", id)
}

// CreateUser adds a user. Without a password nobody can sign in as it.
func (s *Service) CreateUser(ctx context.Context, u User, password *string) (User, error) {
	u.ID, u.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.refuseRealmDomain(ctx, u.DomainID)
	if err != nil {
		return User{}, err
	}
	if password != nil {
		err := s.compliance.checkPassword(*password)
		if err != nil {
			return User{}, err
		}
		hash, err := s.passwords.hash(ctx, *password)
		if err != nil {
			return User{}, err
		}
		s.compliance.dress(&u, hash, false, s.clock.Now())
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkUser(ctx, tx, u)
		if err == nil {
			err = makeRoom(ctx, tx, "users", u.DomainID, u.Name)
		}
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &u)
		if err != nil {
			return duplicate(err, "user", u.Name)
		}
		err = writeFederatedIDs(ctx, tx, u)
		if err != nil {
			return err
		}
		return tell(ctx, tx, "user", created, u.ID)
	})
	if err != nil {
		return User{}, fmt.Errorf("create user %q: %w", u.Name, err)
	}
	return u, nil
}

// checkUser refuses references to what doesn't exist.
func checkUser(ctx context.Context, tx *db.Tx, u User) error {
	_, err := readDomain(ctx, tx, u.DomainID)
	if err != nil || u.DefaultProjectID == "" {
		return err
	}
	var domains int
	err = tx.Get(ctx, &domains, `SELECT COUNT(*) FROM domains WHERE id = ?`, u.DefaultProjectID)
	if err != nil {
		return err
	}
	if domains > 0 {
		return errs.BadRequestf("User's default project ID cannot be a domain ID: %s", u.DefaultProjectID)
	}
	return nil
}

// UpdateUser changes a user by the function. Disabling it or a new password
// ends its tokens.
func (s *Service) UpdateUser(ctx context.Context, id string, password *string, change func(u *User) error) (User, error) {
	return s.updateUser(ctx, id, password, false, change)
}

func (s *Service) updateUser(ctx context.Context, id string, password *string, byUser bool, change func(u *User) error) (User, error) {
	hash := ""
	if password != nil {
		err := s.compliance.checkPassword(*password)
		if err != nil {
			return User{}, err
		}
		hash, err = s.passwords.hash(ctx, *password)
		if err != nil {
			return User{}, err
		}
	}
	now := s.clock.Now()
	var u User
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		u, err = readUser(ctx, tx, id)
		if err != nil {
			return err
		}
		err = refuseRealm(ctx, tx, id)
		if err != nil {
			return err
		}
		u.Federated, err = readFederatedIDs(ctx, tx, id)
		if err != nil {
			return err
		}
		before := u
		err = change(&u)
		if err != nil {
			return err
		}
		if u.Name != before.Name {
			err = makeRoom(ctx, tx, "users", u.DomainID, u.Name)
			if err != nil {
				return err
			}
		}
		if u.DefaultProjectID != before.DefaultProjectID {
			err = checkUser(ctx, tx, u)
			if err != nil {
				return err
			}
		}
		if password != nil {
			err = s.setPassword(ctx, tx, &u, hash, byUser, now)
			if err != nil {
				return err
			}
		}
		if u.Enabled && !before.Enabled { // whoever enables an account unlocks it
			u.FailedAttempts, u.ActiveAt = 0, db.At(now)
		}
		_, err = tx.Update(ctx, &u, "name", "password_hash", "password_expires_at", "password_changed_at", "password_by_user", "failed_attempts", "active_at", "default_project_id", "enabled",
			"description", "email", "options", "extra")
		if err != nil {
			return duplicate(err, "user", u.Name)
		}
		if !slices.Equal(u.Federated, before.Federated) {
			err = writeFederatedIDs(ctx, tx, u)
			if err != nil {
				return err
			}
		}
		err = tellUpdated(ctx, tx, "user", id, before.Enabled, u.Enabled)
		if err != nil {
			return err
		}
		return s.userChanged(ctx, tx, now, before, u)
	})
	if err != nil {
		return User{}, fmt.Errorf("update user %s: %w", id, err)
	}
	return u, nil
}

func (s *Service) userChanged(ctx context.Context, tx *db.Tx, now time.Time, before, after User) error {
	if before.Enabled && !after.Enabled {
		err := dropAppCredentials(ctx, tx, "", after.ID)
		if err != nil {
			return err
		}
	}
	if (before.Enabled && !after.Enabled) || before.PasswordHash != after.PasswordHash || !slices.Equal(before.Federated, after.Federated) {
		return s.endTokens(ctx, tx, now, userSubject(after.ID))
	}
	if before.Enabled != after.Enabled || before.Name != after.Name {
		_, err := s.bump(ctx, tx)
		return err
	}
	return nil
}

// ChangePassword is what users do for themselves: they need no token, but
// their present password.
func (s *Service) ChangePassword(ctx context.Context, id, original, password string) error {
	login := PasswordLogin{User: Ref{ID: id}, Password: original}
	u, err := s.authenticate(ctx, login)
	err = s.record(ctx, auditRecord{Methods: []string{"password"}}, Login{Password: &login}, err)
	if err != nil {
		return err
	}
	if original == password {
		return errs.BadRequestf("Password validation error: The new password cannot be identical to a previous password.")
	}
	err = s.checkOwnChange(ctx, u, password)
	if err != nil {
		return err
	}
	_, err = s.updateUser(ctx, u.ID, &password, true, unchanged[User])
	return err
}

// SetPassword sets a user's password; the commands on the machine use it.
func (s *Service) SetPassword(ctx context.Context, domain, name, password string) error {
	var id string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		u, err := findUser(ctx, tx, Ref{Name: name, Domain: &Ref{Name: domain}})
		id = u.ID
		return err
	})
	if err != nil {
		return fmt.Errorf("set password of %q: %w", name, err)
	}
	_, err = s.UpdateUser(ctx, id, &password, unchanged[User])
	return err
}

// DeleteUser removes a user with its grants and memberships.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readUser(ctx, tx, id)
		if err != nil {
			return err
		}
		err = refuseRealm(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM grants WHERE actor_kind = 'user' AND actor_id = ?`, id)
		if err != nil {
			return err
		}
		err = dropAppCredentials(ctx, tx, "", id)
		if err != nil {
			return err
		}
		err = dropCredentials(ctx, tx, "user_id", id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM users WHERE id = ?`, id)
		if err != nil {
			return err
		}
		err = tell(ctx, tx, "user", deleted, id)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, userSubject(id))
	})
	if err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	return nil
}
