package identity

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/directory"
	"nacre/internal/errs"
)

// Kinds of what a directory has.
const (
	userEntity  = "user"
	groupEntity = "group"
)

// keepBatch is how many rows one transaction reads or writes.
const keepBatch = 200

// idMapping says which entry of a directory a user or group of ours is.
type idMapping struct {
	bun.BaseModel `bun:"table:id_mapping"`

	PublicID   string `bun:",pk"`
	DomainID   string
	EntityType string
	LocalID    string
	Gone       bool
}

// storedID is an id of a directory as text of a database.
func storedID(local string) string {
	if utf8.ValidString(local) && !strings.Contains(local, "\x00") && !strings.HasPrefix(local, "base64:") {
		return local
	}
	return "base64:" + base64.StdEncoding.EncodeToString([]byte(local))
}

func (m idMapping) local() (string, error) {
	text, encoded := strings.CutPrefix(m.LocalID, "base64:")
	if !encoded {
		return text, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	return string(raw), err
}

func readMapping(ctx context.Context, tx *db.Tx, id string) (idMapping, error) {
	var m idMapping
	err := tx.NewSelect().Model(&m).Where("public_id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return m, errs.NotFoundf("No directory knows %s.", id)
	}
	if err != nil {
		return m, fmt.Errorf("read id mapping of %s: %w", id, err)
	}
	return m, nil
}

// kept is an entry of a directory as a row of ours.
type kept[T any] struct {
	id, local string
	row       T
}

func userOf(domain string, u directory.User) kept[User] {
	id := publicID(domain, userEntity, u.ID)
	return kept[User]{id, u.ID, User{ID: id, DomainID: domain, Name: u.Name, Enabled: u.Enabled, Description: u.Description, Email: u.Email,
		DefaultProjectID: u.DefaultProject, Options: db.Of(map[string]any{}), Extra: db.Of(u.Extra)}}
}

func groupOf(domain string, g directory.Group) kept[Group] {
	id := publicID(domain, groupEntity, g.ID)
	return kept[Group]{id, g.ID, Group{ID: id, DomainID: domain, Name: g.Name, Description: g.Description, Extra: db.Of(g.Extra)}}
}

// keepUsers makes the rows of users what a directory has said, and returns the
// users as it has said.
func (s *Service) keepUsers(ctx context.Context, r *realm, people []directory.User) ([]User, error) {
	var all []kept[User]
	for _, p := range people {
		all = append(all, userOf(r.domain, p))
	}
	return keep(ctx, s, r, userEntity, all, sameUser, s.keepUser)
}

func (s *Service) keepGroups(ctx context.Context, r *realm, groups []directory.Group) ([]Group, error) {
	var all []kept[Group]
	for _, g := range groups {
		all = append(all, groupOf(r.domain, g))
	}
	return keep(ctx, s, r, groupEntity, all, sameGroup, s.keepGroup)
}

// keep writes the rows that are not what the directory says.
func keep[T any](ctx context.Context, s *Service, r *realm, entity string, all []kept[T],
	same func(have, said T) bool, write func(ctx context.Context, tx *db.Tx, have *T, said T) error,
) ([]T, error) {
	rows := make([]T, 0, len(all))
	for batch := range slices.Chunk(all, keepBatch) {
		ids := make([]string, len(batch))
		for i, k := range batch {
			ids[i] = k.id
		}
		var have map[string]*T
		var good, changed []kept[T]
		look := func(tx *db.Tx) error {
			taken, err := readTaken(ctx, tx, ids)
			if err != nil {
				return err
			}
			have, err = readKept[T](ctx, tx, ids)
			good, changed = nil, nil
			for _, k := range batch {
				if taken[k.id] {
					continue
				}
				good = append(good, k)
				if have[k.id] == nil || !same(*have[k.id], k.row) {
					changed = append(changed, k)
				}
			}
			return err
		}
		err := s.db.Read(ctx, look)
		if err == nil && len(changed) > 0 {
			err = s.db.Write(ctx, func(tx *db.Tx) error {
				err := look(tx)
				for _, k := range changed {
					if err == nil {
						err = keepMapping(ctx, tx, idMapping{PublicID: k.id, DomainID: r.domain, EntityType: entity, LocalID: storedID(k.local)})
					}
					if err == nil {
						err = write(ctx, tx, have[k.id], k.row)
					}
				}
				return err
			})
		}
		if err != nil {
			return nil, fmt.Errorf("keep what the directory of domain %s says: %w", r.domain, err)
		}
		for _, k := range good {
			rows = append(rows, k.row)
		}
	}
	return rows, nil
}

// readTaken tells which of the ids are those of users whom identity providers know:
// an id follows from what the other system says, and two systems may say the same
// of two people. Who was here first keeps it; the other is nobody.
func readTaken(ctx context.Context, tx *db.Tx, ids []string) (map[string]bool, error) {
	var rows []string
	err := tx.All(ctx, &rows, `SELECT id FROM users WHERE id IN (?) AND id NOT IN (SELECT public_id FROM id_mapping WHERE public_id IN (?))`, db.In(ids), db.In(ids))
	taken := map[string]bool{}
	for _, id := range rows {
		taken[id] = true
	}
	return taken, err
}

// readKept reads the rows of entries that are known and not gone.
func readKept[T any](ctx context.Context, tx *db.Tx, ids []string) (map[string]*T, error) {
	var rows []T
	err := tx.NewSelect().Model(&rows).Where("id IN (SELECT public_id FROM id_mapping WHERE gone = 0 AND public_id IN (?))", db.In(ids)).Scan(ctx)
	out := map[string]*T{}
	for i := range rows {
		switch row := any(&rows[i]).(type) {
		case *User:
			out[row.ID] = &rows[i]
		case *Group:
			out[row.ID] = &rows[i]
		}
	}
	return out, err
}

func keepMapping(ctx context.Context, tx *db.Tx, m idMapping) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO id_mapping (public_id, domain_id, entity_type, local_id) VALUES (?, ?, ?, ?)
		ON CONFLICT (public_id) DO UPDATE SET gone = 0`, m.PublicID, m.DomainID, m.EntityType, m.LocalID)
	return err
}

func sameUser(have, said User) bool {
	return sameName(have.Name, said.Name, said.ID) && have.Enabled == said.Enabled && have.DefaultProjectID == said.DefaultProjectID &&
		reflect.DeepEqual(have.Description, said.Description) && reflect.DeepEqual(have.Email, said.Email) && sameExtra(have.Extra, said.Extra)
}

func sameGroup(have, said Group) bool {
	return sameName(have.Name, said.Name, said.ID) && have.Description == said.Description && sameExtra(have.Extra, said.Extra)
}

func sameExtra(have, said Extra) bool {
	return len(have.V) == 0 && len(said.V) == 0 || reflect.DeepEqual(have.V, said.V)
}

// sameName tells whether a row has the name that a directory has said, as far as
// it can: another row may have it.
func sameName(have, said, id string) bool {
	return have == said || have == nameBeside(said, id) || have == id
}

// makeRoom gives a name that the row of an entry has to one of our own users or
// groups.
func makeRoom(ctx context.Context, tx *db.Tx, table, domain, name string) error {
	_, err := tx.Exec(ctx, `UPDATE `+table+` SET name = id WHERE domain_id = ? AND name = ? AND id IN (SELECT public_id FROM id_mapping)`,
		domain, name)
	return err
}

func (s *Service) keepUser(ctx context.Context, tx *db.Tx, have *User, said User) error {
	var err error
	said.Name, err = freeName(ctx, tx, "users", said.DomainID, said.Name, said.ID)
	if err != nil {
		return err
	}
	if have == nil {
		said.CreatedAt = db.At(tx.Now())
		_, err = tx.NewInsert().Model(&said).On("CONFLICT (id) DO NOTHING").Exec(ctx) // it may have been gone
		if err != nil {
			return err
		}
	}
	_, err = tx.Update(ctx, &said, "name", "enabled", "description", "email", "default_project_id", "extra")
	if err != nil || have == nil { // nobody has a token yet
		return err
	}
	switch {
	case have.Enabled && !said.Enabled:
		return s.endTokens(ctx, tx, s.clock.Now(), userSubject(said.ID))
	case have.Enabled == said.Enabled && have.Name == said.Name:
		return nil
	}
	_, err = s.bump(ctx, tx)
	return err
}

func (s *Service) keepGroup(ctx context.Context, tx *db.Tx, have *Group, said Group) error {
	var err error
	said.Name, err = freeName(ctx, tx, "user_groups", said.DomainID, said.Name, said.ID)
	if err != nil {
		return err
	}
	if have == nil {
		said.CreatedAt = db.At(tx.Now())
		_, err = tx.NewInsert().Model(&said).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
	}
	_, err = tx.Update(ctx, &said, "name", "description", "extra")
	return err
}

// keepMembership makes the groups of a user those that the directory has said.
func (s *Service) keepMembership(ctx context.Context, user string, groups []Group) error {
	said := map[string]bool{}
	for _, g := range groups {
		said[g.ID] = true
	}
	now := s.clock.Now()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var have []string
		err := tx.All(ctx, &have, `SELECT group_id FROM group_members WHERE user_id = ? AND group_id IN (SELECT public_id FROM id_mapping)`, user)
		if err != nil {
			return err
		}
		var left []string
		for _, id := range have {
			if !said[id] {
				left = append(left, id)
			}
		}
		joined := 0
		for id := range said {
			if slices.Contains(have, id) {
				continue
			}
			joined++
			_, err = tx.Exec(ctx, `INSERT INTO group_members (group_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, user)
			if err != nil {
				return err
			}
		}
		if len(left) > 0 {
			_, err = tx.Exec(ctx, `DELETE FROM group_members WHERE user_id = ? AND group_id IN (?)`, user, db.In(left))
			if err != nil {
				return err
			}
			return s.endTokens(ctx, tx, now, userSubject(user))
		}
		if joined > 0 {
			_, err = s.bump(ctx, tx)
		}
		return err
	})
}

// lose notes that a directory does not know somebody any more. What they had been
// given stays, since directories err too; their tokens end.
func (s *Service) lose(ctx context.Context, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE id_mapping SET gone = 1 WHERE public_id = ? AND gone = 0`, id)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE users SET enabled = 0 WHERE id = ?`, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM group_members WHERE user_id = ? OR group_id = ?`, id, id)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, userSubject(id))
	})
	if err != nil {
		return fmt.Errorf("note that %s is gone: %w", id, err)
	}
	return nil
}

// renew makes what we know of a user what the directory says now.
func (s *Service) renew(ctx context.Context, r *realm, m idMapping) (User, error) {
	local, err := m.local()
	if err != nil {
		return User{}, err
	}
	entry, err := ask(r, func(d *directory.Directory) (directory.User, error) { return d.User(ctx, local) })
	if errors.Is(err, directory.ErrNone) {
		err = s.lose(ctx, m.PublicID)
		if err == nil {
			err = errs.NotFoundf("Could not find user: %s.", m.PublicID)
		}
	}
	if err != nil {
		return User{}, err
	}
	return s.welcome(ctx, r, entry)
}

// welcome keeps what a directory says of a user, with the groups.
func (s *Service) welcome(ctx context.Context, r *realm, entry directory.User) (User, error) {
	groups, err := s.groupsIn(ctx, r, entry)
	if err != nil {
		return User{}, err
	}
	rows, err := s.keepUsers(ctx, r, []directory.User{entry})
	if err != nil {
		return User{}, err
	}
	if len(rows) == 0 {
		return User{}, unauthorized(fmt.Errorf("an identity provider has a user with the id of %s", entry.DN))
	}
	err = s.keepMembership(ctx, rows[0].ID, groups)
	if err != nil {
		return User{}, fmt.Errorf("keep groups of user %s: %w", rows[0].ID, err)
	}
	r.seen.note(rows[0].ID, s.clock.Now())
	return rows[0], nil
}

func (s *Service) groupsIn(ctx context.Context, r *realm, entry directory.User) ([]Group, error) {
	groups, err := ask(r, func(d *directory.Directory) ([]directory.Group, error) { return d.GroupsOf(ctx, entry) })
	if err != nil {
		return nil, err
	}
	return s.keepGroups(ctx, r, groups)
}

// realmAge is how old an answer of a directory may be that a token rests on.
const realmAge = 30 * time.Second
