package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/directory"
	"nacre/internal/errs"
)

// home is where the truth about a user or group is: the directory with the
// entry, or nil for our own tables. What a directory knew that the domain has no
// more is not found.
func (s *Service) home(ctx context.Context, kind, domain, id string) (*realm, idMapping, error) {
	var m idMapping
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		m, err = readMapping(ctx, tx, id)
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil, m, nil
	}
	if err != nil {
		return nil, m, err
	}
	r, err := s.realmOf(ctx, domain)
	if err == nil && r == nil {
		err = errs.NotFoundf("Could not find %s: %s.", kind, id)
	}
	return r, m, err
}

// Group finds a group by id.
func (s *Service) Group(ctx context.Context, id string) (Group, error) {
	g, err := get[Group](ctx, s, "group", id)
	if err != nil {
		return g, err
	}
	r, m, err := s.home(ctx, "group", g.DomainID, id)
	if err != nil || r == nil {
		return g, err
	}
	local, err := m.local()
	if err != nil {
		return g, err
	}
	entry, err := ask(r, func(d *directory.Directory) (directory.Group, error) { return d.Group(ctx, local) })
	if errors.Is(err, directory.ErrNone) {
		err = s.lose(ctx, id)
		if err == nil {
			err = errs.NotFoundf("Could not find group: %s.", id)
		}
	}
	if err != nil {
		return g, err
	}
	rows, err := s.keepGroups(ctx, r, []directory.Group{entry})
	if err != nil {
		return g, err
	}
	return rows[0], nil
}

// listed is a list of a directory.
type listed[T any] struct {
	rows []T
	more bool
}

// usersFrom lists the users of a realm that a question finds.
func (s *Service) usersFrom(ctx context.Context, r *realm, find func(d *directory.Directory) ([]directory.User, bool, error)) ([]User, bool, error) {
	found, err := ask(r, func(d *directory.Directory) (listed[directory.User], error) {
		rows, more, err := find(d)
		return listed[directory.User]{rows, more}, err
	})
	if err != nil {
		return nil, false, err
	}
	users, err := s.keepUsers(ctx, r, found.rows)
	return users, found.more, err
}

// membersOf lists the users in a group of a realm.
func (s *Service) membersOf(ctx context.Context, r *realm, m idMapping) ([]User, bool, error) {
	local, err := m.local()
	if err != nil {
		return nil, false, err
	}
	users, more, err := s.usersFrom(ctx, r, func(d *directory.Directory) ([]directory.User, bool, error) {
		return d.Members(ctx, local, r.most)
	})
	if errors.Is(err, directory.ErrNone) {
		err = errs.NotFoundf("Could not find group: %s.", m.PublicID)
	}
	return users, more, err
}

func (f UserFilter) directory() directory.Filter {
	return directory.Filter{Name: f.Name, Contains: f.NameParts.Contains, StartsWith: f.NameParts.StartsWith, EndsWith: f.NameParts.EndsWith}
}

// usersOf adds those that a directory has to the users of its domain.
func (s *Service) usersOf(ctx context.Context, r *realm, f UserFilter, own []User) ([]User, bool, error) {
	users, more, err := s.usersFrom(ctx, r, func(d *directory.Directory) ([]directory.User, bool, error) {
		return d.Users(ctx, f.directory(), r.most)
	})
	if err != nil {
		return nil, false, err
	}
	return f.narrow(append(own, users...)), more, nil
}

// narrow leaves of what a directory has answered what the filter is for, in order.
func (f UserFilter) narrow(users []User) []User {
	out := slices.DeleteFunc(users, func(u User) bool {
		return f.Enabled != nil && u.Enabled != *f.Enabled || f.Name != "" && !strings.EqualFold(u.Name, f.Name) || !f.NameParts.match(u.Name)
	})
	slices.SortFunc(out, func(a, b User) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return out
}

func (n NameParts) match(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, strings.ToLower(n.Contains)) && strings.HasPrefix(name, strings.ToLower(n.StartsWith)) &&
		strings.HasSuffix(name, strings.ToLower(n.EndsWith))
}

// groupsFrom adds those that a directory has to the groups of its domain.
func (s *Service) groupsFrom(ctx context.Context, r *realm, name string, own []Group) ([]Group, bool, error) {
	found, err := ask(r, func(d *directory.Directory) (listed[directory.Group], error) {
		rows, more, err := d.Groups(ctx, directory.Filter{Name: name}, r.most)
		return listed[directory.Group]{rows, more}, err
	})
	if err != nil {
		return nil, false, err
	}
	groups, err := s.keepGroups(ctx, r, found.rows)
	groups = append(own, groups...)
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return groups, found.more, err
}

// ownRows leaves out the rows of directories: of the given domain, or those that are
// gone or whose domain has no directory any more.
func ownRows(q *bun.SelectQuery, domain string, all map[string]*realm) *bun.SelectQuery {
	if domain != "" {
		return q.Where("id NOT IN (SELECT public_id FROM id_mapping WHERE domain_id = ?)", domain)
	}
	if len(all) == 0 {
		return q.Where("id NOT IN (SELECT public_id FROM id_mapping)")
	}
	return q.Where("id NOT IN (SELECT public_id FROM id_mapping WHERE gone = 1 OR domain_id NOT IN (?))", db.In(slices.Sorted(maps.Keys(all))))
}

// account is who signs in, and where the password is known.
type account struct {
	User
	realm *realm // nil: here
	entry directory.User
}

// meet finds who signs in if the user is in a directory. The realm is there even
// when the directory has no such user.
func (s *Service) meet(ctx context.Context, ref Ref) (*realm, directory.User, error) {
	var none directory.User
	all, err := s.currentRealms(ctx)
	if err != nil || len(all) == 0 {
		return nil, none, err
	}
	var m idMapping
	var domain string
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		if ref.ID != "" {
			m, err = readMapping(ctx, tx, ref.ID)
			domain = m.DomainID
			return err
		}
		if ref.Domain == nil {
			return nil
		}
		domain, err = domainID(ctx, tx, *ref.Domain)
		if err != nil {
			return err
		}
		var own int
		err = tx.Get(ctx, &own, `SELECT COUNT(*) FROM users WHERE domain_id = ? AND name = ? AND id NOT IN (SELECT public_id FROM id_mapping WHERE domain_id = ?)`,
			domain, ref.Name, domain)
		if own > 0 {
			domain = ""
		}
		return err
	})
	r := all[domain]
	if errs.Is(err, errs.NotFound) || err == nil && r == nil && m.PublicID == "" {
		return nil, none, nil // our own tables say what is right
	}
	if err != nil {
		return nil, none, err
	}
	if r == nil {
		return nil, none, unauthorized(fmt.Errorf("the directory of user %s is not that of the domain any more", ref.ID))
	}
	entry, err := ask(r, func(d *directory.Directory) (directory.User, error) {
		if ref.ID == "" {
			return d.UserNamed(ctx, ref.Name)
		}
		local, err := m.local()
		if err != nil {
			return none, err
		}
		return d.User(ctx, local)
	})
	if errors.Is(err, directory.ErrNone) {
		err = errs.NotFoundf("Could not find user: %s.", cmp.Or(ref.ID, ref.Name)).Because(err)
	}
	return r, entry, err
}

// atHome names a user by the id if a directory has the user, so that our own
// tables know who is meant.
func (s *Service) atHome(ctx context.Context, ref Ref) (Ref, error) {
	if ref.ID != "" || ref.Name == "" {
		return ref, nil
	}
	r, entry, err := s.meet(ctx, ref)
	if err != nil || r == nil {
		return ref, err
	}
	return Ref{ID: publicID(r.domain, userEntity, entry.ID)}, nil
}

// realmAccount says whether somebody whom a directory knows may sign in.
func (s *Service) realmAccount(ctx context.Context, r *realm, entry directory.User) (account, error) {
	a := account{User: userOf(r.domain, entry).row, realm: r, entry: entry}
	domain, err := s.Domain(ctx, r.domain)
	if err == nil && !(entry.Enabled && domain.Enabled) {
		err = unauthorized(fmt.Errorf("user %s or its domain is disabled", a.ID))
	}
	return a, err
}

// bind finds out whether the password is right.
func (a account) bind(ctx context.Context, password string) error {
	_, err := ask(a.realm, func(d *directory.Directory) (struct{}, error) {
		return struct{}{}, d.Authenticate(ctx, a.entry.DN, password)
	})
	if errors.Is(err, directory.ErrPassword) {
		return fmt.Errorf("%w: %w", errPassword, err)
	}
	return err
}

// foreigner is somebody whom a token rests on and a directory knows.
type foreigner struct{ domain, id string }

// freshen asks directories again about users whom they were not asked about for
// too long, and tells whether it has.
func (s *Service) freshen(ctx context.Context, people []foreigner) (bool, error) {
	asked := false
	for _, p := range people {
		r, err := s.realmOf(ctx, p.domain)
		if err != nil {
			return asked, err
		}
		if r == nil {
			return asked, unauthorized(fmt.Errorf("the directory of user %s is not that of the domain any more", p.id))
		}
		if r.seen.since(p.id, s.clock.Now()) < realmAge {
			continue
		}
		asked = true
		_, err, _ = r.asking.Do(p.id, func() (any, error) {
			// Who waits with us has no part in our deadline.
			return nil, s.freshenOne(context.WithoutCancel(ctx), r, p.id)
		})
		if err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// freshenUser is freshen for a user whom a directory may know.
func (s *Service) freshenUser(ctx context.Context, id string) error {
	var p person
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readPerson(ctx, tx, id)
		return err
	})
	if !p.Mapped {
		return err
	}
	_, err = s.freshen(ctx, []foreigner{{p.DomainID, p.ID}})
	return err
}

func (s *Service) freshenOne(ctx context.Context, r *realm, id string) error {
	_, m, err := s.home(ctx, "user", r.domain, id)
	if err == nil {
		_, err = s.renew(ctx, r, m)
	}
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	return err
}

// seen remembers when users were last asked about, of some thousands of them.
type seen struct {
	mu         sync.Mutex // guards what follows
	young, old map[string]time.Time
}

const seenGeneration = 8192

func (s *seen) note(id string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= seenGeneration {
		s.young, s.old = map[string]time.Time{}, s.young
	}
	s.young[id] = at
}

// since is how long ago a user was asked about.
func (s *seen) since(id string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := s.young[id]
	if !found {
		at = s.old[id]
	}
	return now.Sub(at)
}
