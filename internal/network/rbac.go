package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// RBACPolicy lets a project, or all, see and use an object of another project.
type RBACPolicy struct {
	bun.BaseModel `bun:"table:rbac_policies,alias:rbac_policies"`
	Common

	ObjectType string `bun:"object_type"`
	Object     string `bun:"object_id"`
	Action     string `bun:"action"`
	Target     string `bun:"target"` // a project, or * for all
}

// Everybody is the target of a policy for all projects.
const Everybody = "*"

// Actions of policies.
const (
	AsShared   = "access_as_shared"
	AsExternal = "access_as_external"
)

// sharing is what policies can do for a kind of object: each action with the
// query for who uses which object thanks to it.
type sharing struct {
	kind  kind
	users map[string]string
}

// shareables are the kinds of objects that policies can be about.
var shareables = func() map[string]sharing {
	all := map[string]sharing{}
	for _, s := range []sharing{
		{networkKind, map[string]string{
			AsShared: `SELECT project_id, network_id AS object FROM ports WHERE device_owner NOT LIKE 'network:%'`,
			AsExternal: `SELECT project_id, gateway_network AS object FROM routers
				UNION SELECT project_id, network_id FROM floating_ips`,
		}},
		{groupKind, map[string]string{
			AsShared: `SELECT p.project_id, g.group_id AS object FROM ports AS p JOIN port_groups AS g ON g.port_id = p.id
				UNION SELECT project_id, remote_group_id FROM security_group_rules`,
		}},
		{addressGroupKind, map[string]string{AsShared: `SELECT project_id, remote_address_group_id AS object FROM security_group_rules`}},
		{addressScopeKind, map[string]string{AsShared: `SELECT project_id, address_scope_id AS object FROM subnetpools`}},
		{policyKind, map[string]string{
			AsShared: `SELECT project_id, qos_policy_id AS object FROM networks
				UNION SELECT project_id, qos_policy_id FROM ports
				UNION SELECT project_id, qos_policy_id FROM floating_ips
				UNION SELECT project_id, gateway_qos FROM routers`,
		}},
		{poolKind, map[string]string{AsShared: `SELECT project_id, subnetpool_id AS object FROM subnets`}},
	} {
		all[s.kind.object] = s
	}
	return all
}()

// ObjectTypes are what policies can be about, with the actions that each knows.
func ObjectTypes() map[string][]string {
	types := map[string][]string{}
	for name, s := range shareables {
		for action := range s.users {
			types[name] = append(types[name], action)
		}
		slices.Sort(types[name])
	}
	return types
}

var rbacKind = kind{name: "rbac_policy", table: "rbac_policies", missing: func(id string) error {
	return errs.NotFoundf("RBAC policy with ID %s not found", id).Typed("RbacPolicyNotFound")
}}

// shared keeps what is (or is not) shared with the scope's project.
func (k kind) shared(q *bun.SelectQuery, s Scope, want bool) *bun.SelectQuery {
	column, object := k.table+".id", k.object
	if k.object == "" { // what lies on a network is shared as the network is
		column, object = k.table+".network_id", networkKind.object
	}
	not := ""
	if !want {
		not = "NOT "
	}
	return q.Where("? "+not+"IN (SELECT object_id FROM rbac_policies WHERE object_type = ? AND action = ? AND target IN ('*', ?))",
		bun.Ident(column), object, AsShared, s.Project)
}

// sharedWith finds which of the objects are shared with the scope's project.
func (k kind) sharedWith(ctx context.Context, tx *db.Tx, s Scope, ids ...string) (map[string]bool, error) {
	shared := map[string]bool{}
	if len(ids) == 0 {
		return shared, nil
	}
	var found []string
	err := tx.All(ctx, &found, `SELECT object_id FROM rbac_policies WHERE object_type = ? AND action = ? AND target IN ('*', ?) AND object_id IN (?)`,
		k.object, AsShared, s.Project, db.In(ids))
	if err != nil {
		return nil, fmt.Errorf("look up what is shared: %w", err)
	}
	for _, id := range found {
		shared[id] = true
	}
	return shared, nil
}

// usable tells whether the scope may use an object of the project.
func (k kind) usable(ctx context.Context, tx *db.Tx, s Scope, id, project string) (bool, error) {
	if s.All || project == s.Project {
		return true, nil
	}
	shared, err := k.sharedWith(ctx, tx, s, id)
	return shared[id], err
}

// withShared says of each row whether it is shared with the scope's project.
func withShared[R any](ctx context.Context, tx *db.Tx, k kind, s Scope, list []*R, of func(*R) (id string, shared *bool)) error {
	ids := make([]string, len(list))
	for i, row := range list {
		ids[i], _ = of(row)
	}
	found, err := k.sharedWith(ctx, tx, s, ids...)
	for _, row := range list {
		id, shared := of(row)
		*shared = found[id]
	}
	return err
}

// RBACPolicy finds a policy that the scope may see.
func (s *Service) RBACPolicy(ctx context.Context, scope Scope, id string) (p RBACPolicy, err error) {
	return look[RBACPolicy](ctx, s, rbacKind, scope, id, nil)
}

// RBACPolicies lists policies.
func (s *Service) RBACPolicies(ctx context.Context, q Query) (list []RBACPolicy, err error) {
	return browse[RBACPolicy](ctx, s, rbacKind, q, nil)
}

// CreateRBACPolicy shares an object of the scope's project.
func (s *Service) CreateRBACPolicy(ctx context.Context, scope Scope, in RBACPolicy) (p RBACPolicy, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		of := shareables[in.ObjectType]
		if of.users[in.Action] == "" {
			return badField("action", "'%s' is not an action of a policy for %s", in.Action, in.ObjectType)
		}
		owner, err := ownerOf(ctx, tx, of.kind, in.Object)
		if err != nil {
			return err
		}
		if !scope.All && owner != scope.Project {
			return invalid("Only admins can manipulate policies on %ss they do not own", in.ObjectType)
		}
		err = reserve(ctx, tx, in.Project, quota.RBACPolicies(1))
		if err != nil {
			return err
		}
		err = poolReaches(ctx, tx, in)
		if err != nil {
			return err
		}
		p, err = s.share(ctx, tx, in)
		if err != nil {
			return err
		}
		err = p.bump(ctx, tx)
		if err != nil {
			return err
		}
		return tell(ctx, tx, created, p)
	})
	return p, err
}

// bump raises the revision of the network that a policy is about. Others have
// none that policies change.
func (p RBACPolicy) bump(ctx context.Context, tx *db.Tx) error {
	if p.ObjectType != networkKind.object {
		return nil
	}
	return bumpNetwork(ctx, tx, p.Object)
}

// poolReaches refuses to share a subnet pool with whoever does not share its
// address scope.
func poolReaches(ctx context.Context, tx *db.Tx, in RBACPolicy) error {
	if in.ObjectType != poolKind.object {
		return nil
	}
	p, err := hold[SubnetPool](ctx, tx, poolKind, in.Object)
	if err != nil || p.AddressScope == "" {
		return err
	}
	shared, err := addressScopeKind.sharedWith(ctx, tx, Scope{Project: in.Target}, p.AddressScope)
	if err == nil && !shared[p.AddressScope] {
		return errs.BadRequestf("Failed to create RBAC policy on object %s because target project doesn't have access to associated address scope.", in.Object).
			Typed("RbacPolicyInitError")
	}
	return err
}

func ownerOf(ctx context.Context, tx *db.Tx, k kind, id string) (project string, err error) {
	err = tx.Get(ctx, &project, `SELECT project_id FROM ? WHERE id = ?`+tx.Hold(), bun.Ident(k.table), id)
	return project, k.read(err, id)
}

// share writes a policy.
func (s *Service) share(ctx context.Context, tx *db.Tx, in RBACPolicy) (RBACPolicy, error) {
	in.Common = s.common(tx, in.Project, "", nil)
	err := tx.Insert(ctx, &in)
	if db.IsDuplicate(err) {
		return RBACPolicy{}, errs.Conflictf("An RBAC policy already exists with those values.").Typed("DuplicateRbacPolicy")
	}
	if err != nil {
		return RBACPolicy{}, fmt.Errorf("insert RBAC policy: %w", err)
	}
	err = reshared(ctx, tx, in.ObjectType, in.Object)
	if err != nil {
		return RBACPolicy{}, err
	}
	return in, nil
}

// reshared brings up to date what networks and QoS policies repeat of this.
func reshared(ctx context.Context, tx *db.Tx, objectType, id string) error {
	switch objectType {
	case networkKind.object:
	case policyKind.object:
		_, err := tx.Exec(ctx, `
			UPDATE qos_policies SET shared = (SELECT COUNT(*) FROM rbac_policies WHERE object_type = 'qos_policy' AND object_id = qos_policies.id AND target = '*')
			WHERE id = ?`, id)
		if err != nil {
			return fmt.Errorf("note who shares QoS policy %s: %w", id, err)
		}
		return nil
	default:
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE networks SET
			shared = (SELECT COUNT(*) FROM rbac_policies WHERE object_type = 'network' AND object_id = networks.id AND action = ? AND target = '*'),
			external = (SELECT COUNT(*) FROM (SELECT 1 FROM rbac_policies WHERE object_type = 'network' AND object_id = ? AND action = ? LIMIT 1) AS any_policy)
		WHERE id = ?`, AsShared, id, AsExternal, id)
	if err != nil {
		return fmt.Errorf("note who shares network %s: %w", id, err)
	}
	return nil
}

// UpdateRBACPolicy lets another project share instead.
func (s *Service) UpdateRBACPolicy(ctx context.Context, id, target string) (p RBACPolicy, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		p, err = hold[RBACPolicy](ctx, tx, rbacKind, id)
		if err != nil {
			return err
		}
		was := p
		p.Target = target
		p.touch(tx)
		_, err = tx.Update(ctx, &p, "target", "revision", "updated_at")
		if db.IsDuplicate(err) {
			return errs.Conflictf("An RBAC policy already exists with those values.").Typed("DuplicateRbacPolicy")
		}
		if err != nil {
			return fmt.Errorf("update RBAC policy %s: %w", id, err)
		}
		ended := was
		if p.ObjectType == networkKind.object {
			ended.ID = "" // it may be handed on to those who use the network; users of others must do without
		}
		if target != Everybody && target != was.Target {
			err = stillUsed(ctx, tx, ended)
			if err != nil {
				return err
			}
		}
		err = reshared(ctx, tx, p.ObjectType, p.Object)
		if err != nil {
			return err
		}
		err = p.bump(ctx, tx)
		if err != nil {
			return err
		}
		return tell(ctx, tx, updated, p)
	})
	return p, err
}

// DeleteRBACPolicy ends what the policy let others do, unless they do it.
func (s *Service) DeleteRBACPolicy(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := hold[RBACPolicy](ctx, tx, rbacKind, id)
		if err != nil {
			return err
		}
		err = unshare(ctx, tx, p)
		if err != nil {
			return err
		}
		err = p.bump(ctx, tx)
		if err != nil {
			return err
		}
		return tell(ctx, tx, deleted, p)
	})
}

func unshare(ctx context.Context, tx *db.Tx, p RBACPolicy) error {
	err := rbacKind.remove(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	err = stillUsed(ctx, tx, p)
	if err != nil {
		return err
	}
	err = reshared(ctx, tx, p.ObjectType, p.Object)
	if err != nil {
		return err
	}
	return quota.Release(ctx, tx, p.Project, quota.RBACPolicies(1))
}

// stillUsed refuses to leave a project without the policy by which it uses an
// object. The policy's own row, if it is there, does not count. As in Neutron the
// owner's own use of anything but a network is enough to keep a policy for
// everybody.
func stillUsed(ctx context.Context, tx *db.Tx, p RBACPolicy) error {
	of := shareables[p.ObjectType]
	owner, err := ownerOf(ctx, tx, of.kind, p.Object)
	if err != nil {
		return err
	}
	if p.Target == Everybody && of.kind.object != networkKind.object {
		owner = ""
	}
	var lost []string
	err = tx.All(ctx, &lost, `SELECT users.project_id FROM (`+of.users[p.Action]+`) AS users WHERE users.object = ? AND users.project_id NOT IN ('', ?)
		AND NOT EXISTS (SELECT 1 FROM rbac_policies AS r WHERE r.object_type = ? AND r.object_id = ? AND r.action = ? AND r.id <> ? AND r.target IN ('*', users.project_id)) LIMIT 1`,
		p.Object, owner, p.ObjectType, p.Object, p.Action, p.ID)
	if err != nil {
		return fmt.Errorf("look who uses %s %s: %w", p.ObjectType, p.Object, err)
	}
	if len(lost) > 0 {
		return errs.Conflictf("RBAC policy on object %s cannot be removed because other objects depend on it.\nDetails: project %s uses it", p.Object, lost[0]).
			Typed("RbacPolicyInUse")
	}
	return nil
}

// setShared has everybody share an object by the action, or nobody but those who
// have a policy of their own.
func (s *Service) setShared(ctx context.Context, tx *db.Tx, k kind, id, project, action string, want bool) error {
	var have []RBACPolicy
	err := tx.Held(tx.NewSelect().Model(&have).Where("object_type = ? AND object_id = ? AND action = ? AND target = '*'", k.object, id, action)).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read who shares %s %s: %w", k.name, id, err)
	}
	switch {
	case want && len(have) == 0:
		_, err = s.share(ctx, tx, RBACPolicy{Common: Common{Project: project}, ObjectType: k.object, Object: id, Action: action, Target: Everybody})
		if err != nil {
			return err
		}
		return quota.Count(ctx, tx, project, quota.RBACPolicies(1))
	case !want && len(have) > 0:
		return unshare(ctx, tx, have[0])
	}
	return nil
}

// forget ends the policies about an object that is deleted.
func (k kind) forget(ctx context.Context, tx *db.Tx, id string) error {
	var gone []RBACPolicy
	err := tx.All(ctx, &gone, `DELETE FROM rbac_policies WHERE object_type = ? AND object_id = ? RETURNING *`, k.object, id)
	if err != nil {
		return fmt.Errorf("forget who shared %s %s: %w", k.name, id, err)
	}
	for _, p := range gone {
		err = quota.Release(ctx, tx, p.Project, quota.RBACPolicies(1))
		if err != nil {
			return err
		}
	}
	return nil
}
