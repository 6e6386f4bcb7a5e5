package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Group is a security group: what may reach its members and what they may reach.
type Group struct {
	bun.BaseModel `bun:"table:security_groups,alias:security_groups"`
	Common

	Name      string  `bun:"name"`
	DefaultOf *string `bun:"default_of"`
	Stateful  bool    `bun:"stateful"` // replies to what is allowed are allowed

	Rules  []Rule `bun:"-"`
	Shared bool   `bun:"-"` // with who asks
}

// NewGroup is a group to be made.
type NewGroup struct {
	Project, Name, Description string
	Tags                       []string
	Stateful                   *bool
}

// GroupChange says what to change. Nil stays as it is.
type GroupChange struct {
	Name, Description *string
	Stateful          *bool
}

const defaultGroup = "default"

func groupNotFound(id string) error {
	return errs.NotFoundf("Security group %s does not exist", id).Typed("SecurityGroupNotFound")
}

func owned(q *bun.SelectQuery, table string, s Scope) *bun.SelectQuery {
	if s.All {
		return q
	}
	return q.Where("?.project_id = ?", bun.Ident(table), s.Project)
}

var groupKind = kind{name: "security_group", object: "security_group", table: "security_groups", missing: groupNotFound}

// Group finds a security group that the scope may see, with its rules.
func (s *Service) Group(ctx context.Context, scope Scope, id string) (g Group, err error) {
	return look(ctx, s, groupKind, scope, id, wholeGroups)
}

// Groups lists security groups with their rules. A project that looks for the
// first time has its default group made.
func (s *Service) Groups(ctx context.Context, q Query, own string) (list []Group, err error) {
	if own != "" {
		err = s.haveDefaultGroup(ctx, own)
		if err != nil {
			return nil, err
		}
	}
	return browse(ctx, s, groupKind, q, wholeGroups)
}

// wholeGroups fills in rules, and which groups are shared with the scope.
func wholeGroups(ctx context.Context, tx *db.Tx, scope Scope, list []*Group) error {
	err := withRules(ctx, tx, list)
	if err != nil {
		return err
	}
	return withShared(ctx, tx, groupKind, scope, list, func(g *Group) (string, *bool) { return g.ID, &g.Shared })
}

// haveDefaultGroup makes the default group of a project if it is missing.
func (s *Service) haveDefaultGroup(ctx context.Context, project string) error {
	id := ""
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		id, err = defaultGroupOf(ctx, tx, project)
		return err
	})
	if err != nil || id != "" {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := s.ensureDefaultGroup(ctx, tx, project)
		return err
	})
}

func defaultGroupOf(ctx context.Context, tx *db.Tx, project string) (id string, err error) {
	err = tx.Get(ctx, &id, `SELECT id FROM security_groups WHERE default_of = ?`, project)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read default security group: %w", err)
	}
	return id, nil
}

// ensureDefaultGroup finds or makes the project's default group: its members
// reach everything, and only each other reach them. It is counted, whatever
// the quota says.
func (s *Service) ensureDefaultGroup(ctx context.Context, tx *db.Tx, project string) (id string, err error) {
	if project == "" {
		return "", nil
	}
	id, err = defaultGroupOf(ctx, tx, project)
	if err != nil || id != "" {
		return id, err
	}
	g := Group{
		Common: s.common(tx, project, "Default security group", nil), Name: defaultGroup, DefaultOf: &project,
	}
	err = s.insertGroup(ctx, tx, &g, nil, count)
	if err != nil {
		return "", err
	}
	err = quota.Count(ctx, tx, project, quota.SecurityGroups(1))
	if err != nil {
		return "", err
	}
	return g.ID, tellAndDirty(ctx, tx, created, g, fabric.KindGroup, g.ID)
}

func count(ctx context.Context, tx *db.Tx, project string, item quota.Item) error {
	return quota.Count(ctx, tx, project, item)
}

// insertGroup writes a new group with the rules that it starts with, of which the
// quota takes note by one of reserve and count.
func (s *Service) insertGroup(ctx context.Context, tx *db.Tx, g *Group, stateful *bool, take func(context.Context, *db.Tx, string, quota.Item) error) error {
	byDefault, err := statefulIn(ctx, tx, g.Project)
	if err != nil {
		return err
	}
	g.Stateful = or(stateful, byDefault)
	g.Rules, err = s.firstRules(ctx, tx, *g)
	if err != nil {
		return err
	}
	err = tx.Insert(ctx, g)
	if err == nil && len(g.Rules) > 0 {
		err = tx.Insert(ctx, &g.Rules)
	}
	if err != nil {
		return fmt.Errorf("insert security group: %w", err)
	}
	return take(ctx, tx, g.Project, quota.SecurityGroupRules(len(g.Rules)))
}

func withRules(ctx context.Context, tx *db.Tx, list []*Group) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	byID := map[string]*Group{}
	for i, g := range list {
		ids[i] = g.ID
		byID[g.ID] = g
		g.Rules = []Rule{}
	}
	rules, err := rowsOf[Rule](ctx, tx, "group_id", ids)
	if err != nil {
		return fmt.Errorf("list security group rules: %w", err)
	}
	for _, r := range rules {
		r.OfDefault = byID[r.Group].DefaultOf != nil
		byID[r.Group].Rules = append(byID[r.Group].Rules, r)
	}
	return nil
}

func readGroup(ctx context.Context, tx *db.Tx, id string) (Group, error) {
	var g Group
	err := tx.Get(ctx, &g, "SELECT * FROM security_groups WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Group{}, groupNotFound(id)
	}
	if err != nil {
		return Group{}, fmt.Errorf("read security group %s: %w", id, err)
	}
	return g, nil
}

// CreateGroups makes groups whose members may reach everything, all or none.
func (s *Service) CreateGroups(ctx context.Context, list ...NewGroup) ([]Group, error) {
	var made []Group
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			g, err := s.createGroup(ctx, tx, in)
			if err != nil {
				return err
			}
			made = append(made, g)
		}
		return nil
	})
	return made, err
}

func (s *Service) createGroup(ctx context.Context, tx *db.Tx, in NewGroup) (Group, error) {
	_, err := s.ensureDefaultGroup(ctx, tx, in.Project)
	if err != nil {
		return Group{}, err
	}
	if in.Name == defaultGroup {
		return Group{}, errs.Conflictf("Default security group already exists.").Typed("SecurityGroupDefaultAlreadyExists")
	}
	err = reserve(ctx, tx, in.Project, quota.SecurityGroups(1))
	if err != nil {
		return Group{}, err
	}
	g := Group{Common: s.common(tx, in.Project, in.Description, in.Tags), Name: in.Name}
	err = s.insertGroup(ctx, tx, &g, in.Stateful, reserve)
	if err != nil {
		return Group{}, err
	}
	return g, tellAndDirty(ctx, tx, created, g, fabric.KindGroup, g.ID)
}

// UpdateGroup changes a group, provided it has the revision.
func (s *Service) UpdateGroup(ctx context.Context, scope Scope, id string, revision int64, in GroupChange) (Group, error) {
	var g Group
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		g, err = readGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		err = g.revised(revision)
		if err != nil {
			return err
		}
		if g.DefaultOf != nil && in.Name != nil && *in.Name != g.Name {
			return errs.Conflictf("Updating default security group not allowed.").Typed("SecurityGroupCannotUpdateDefault")
		}
		if g.DefaultOf == nil && in.Name != nil && *in.Name == defaultGroup {
			return errs.Conflictf("Default security group already exists.").Typed("SecurityGroupDefaultAlreadyExists")
		}
		if in.Stateful != nil && *in.Stateful != g.Stateful {
			used, err := groupUsers(ctx, tx, id)
			if err != nil {
				return err
			}
			if used > 0 {
				return groupInUse(id)
			}
			err = dirty(ctx, tx, fabric.KindGroup, id)
			if err != nil {
				return err
			}
		}
		set(&g.Name, in.Name)
		set(&g.Description, in.Description)
		set(&g.Stateful, in.Stateful)
		g.touch(tx)
		_, err = tx.Update(ctx, &g, "name", "description", "stateful", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update security group %s: %w", id, err)
		}
		err = wholeGroups(ctx, tx, scope, []*Group{&g})
		if err != nil {
			return err
		}
		return tell(ctx, tx, updated, g)
	})
	return g, err
}

func groupInUse(id string) error {
	return errs.Conflictf("Security Group %s in use.", id).Typed("SecurityGroupInUse")
}

func groupUsers(ctx context.Context, tx *db.Tx, id string) (n int, err error) {
	err = tx.Get(ctx, &n, `SELECT COUNT(*) FROM port_groups WHERE group_id = ?`, id)
	if err != nil {
		return 0, fmt.Errorf("count members of security group %s: %w", id, err)
	}
	return n, nil
}

// DeleteGroup removes a group without members. Rules of other groups that name
// it as their remote group go with it.
func (s *Service) DeleteGroup(ctx context.Context, id string, revision int64, admin bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		g, err := readGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		err = g.revised(revision)
		if err != nil {
			return err
		}
		used, err := groupUsers(ctx, tx, id)
		if err != nil {
			return err
		}
		if used > 0 {
			return groupInUse(id)
		}
		if g.DefaultOf != nil && !admin {
			return errs.Conflictf("Insufficient rights for removing default security group.").Typed("SecurityGroupCannotRemoveDefault")
		}
		return removeGroup(ctx, tx, g)
	})
}

func removeGroup(ctx context.Context, tx *db.Tx, g Group) error {
	var rules []Rule
	err := tx.Held(tx.NewSelect().Model(&rules).Where("group_id = ? OR remote_group_id = ?", g.ID, g.ID)).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("list rules of security group %s: %w", g.ID, err)
	}
	for _, r := range rules {
		if r.Group == g.ID {
			g.Rules = append(g.Rules, r)
		}
		r.OfDefault = r.Group == g.ID && g.DefaultOf != nil
		err = removeRule(ctx, tx, r)
		if err != nil {
			return err
		}
	}
	err = groupKind.forget(ctx, tx, g.ID)
	if err != nil {
		return err
	}
	err = groupKind.remove(ctx, tx, g.ID)
	if err != nil {
		return err
	}
	err = quota.Release(ctx, tx, g.Project, quota.SecurityGroups(1))
	if err != nil {
		return err
	}
	return tellAndDirty(ctx, tx, deleted, g, fabric.KindGroup, g.ID)
}
