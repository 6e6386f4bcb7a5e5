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
)

// QoSPolicy is a set of limits and marks for whatever it is given to: a port, all
// ports of a network, a floating IP, a router's gateway. What has a policy of its
// own does not have its network's.
type QoSPolicy struct {
	bun.BaseModel `bun:"table:qos_policies,alias:qos_policies"`
	Common

	Name      string `bun:"name"`
	Shared    bool   `bun:"shared"`
	IsDefault bool   `bun:"is_default"`

	Rules []QoSRule `bun:"-"`
}

// NewQoSPolicy is a policy to be made.
type NewQoSPolicy struct {
	Project, Name, Description string
	Tags                       []string
	Shared, IsDefault          bool
}

// QoSPolicyChange says what to change. Nil stays as it is.
type QoSPolicyChange struct {
	Name, Description *string
	Shared, IsDefault *bool
}

func policyNotFound(id string) error {
	return errs.NotFoundf("QoS policy %s could not be found.", id).Typed("QosPolicyNotFound")
}

var policyKind = kind{name: "policy", object: "qos_policy", table: "qos_policies", missing: policyNotFound}

// wholePolicies fills in rules, and which policies are shared with the scope.
func wholePolicies(ctx context.Context, tx *db.Tx, scope Scope, list []*QoSPolicy) error {
	err := withQoSRules(ctx, tx, list)
	if err != nil {
		return err
	}
	return withShared(ctx, tx, policyKind, scope, list, func(p *QoSPolicy) (string, *bool) { return p.ID, &p.Shared })
}

// QoSPolicy finds a policy that the scope may see, with its rules.
func (s *Service) QoSPolicy(ctx context.Context, scope Scope, id string) (p QoSPolicy, err error) {
	return look(ctx, s, policyKind, scope, id, wholePolicies)
}

// QoSPolicies lists policies with their rules.
func (s *Service) QoSPolicies(ctx context.Context, q Query) (list []QoSPolicy, err error) {
	return browse(ctx, s, policyKind, q, wholePolicies)
}

func readPolicy(ctx context.Context, tx *db.Tx, id string) (QoSPolicy, error) {
	var p QoSPolicy
	err := tx.Get(ctx, &p, "SELECT * FROM qos_policies WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return QoSPolicy{}, policyNotFound(id)
	}
	if err != nil {
		return QoSPolicy{}, fmt.Errorf("read QoS policy %s: %w", id, err)
	}
	return p, withQoSRules(ctx, tx, []*QoSPolicy{&p})
}

func defaultExists(project string) error {
	return errs.Conflictf("A default QoS policy exists for project %s.", project).Typed("QoSPolicyDefaultAlreadyExists")
}

// CreateQoSPolicy makes a policy without rules.
func (s *Service) CreateQoSPolicy(ctx context.Context, in NewQoSPolicy) (QoSPolicy, error) {
	var p QoSPolicy
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p = QoSPolicy{Common: s.common(tx, in.Project, in.Description, in.Tags), Name: in.Name, Shared: in.Shared, IsDefault: in.IsDefault, Rules: []QoSRule{}}
		err := tx.Insert(ctx, &p)
		if db.IsDuplicate(err) {
			return defaultExists(in.Project)
		}
		if err != nil {
			return fmt.Errorf("insert QoS policy: %w", err)
		}
		err = s.setShared(ctx, tx, policyKind, p.ID, p.Project, AsShared, in.Shared)
		if err != nil {
			return err
		}
		return tell(ctx, tx, created, p)
	})
	return p, err
}

// UpdateQoSPolicy changes a policy, provided it has the revision.
func (s *Service) UpdateQoSPolicy(ctx context.Context, id string, revision int64, in QoSPolicyChange) (QoSPolicy, error) {
	var p QoSPolicy
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readPolicy(ctx, tx, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		if in.Shared != nil {
			err = s.setShared(ctx, tx, policyKind, id, p.Project, AsShared, *in.Shared)
			if err != nil {
				return err
			}
		}
		set(&p.Name, in.Name)
		set(&p.Description, in.Description)
		set(&p.Shared, in.Shared)
		set(&p.IsDefault, in.IsDefault)
		p.touch(tx)
		_, err = tx.Update(ctx, &p, "name", "description", "is_default", "revision", "updated_at")
		if db.IsDuplicate(err) {
			return defaultExists(p.Project)
		}
		if err != nil {
			return fmt.Errorf("update QoS policy %s: %w", id, err)
		}
		return tell(ctx, tx, updated, p)
	})
	return p, err
}

// DeleteQoSPolicy removes a policy that nothing has.
func (s *Service) DeleteQoSPolicy(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPolicy(ctx, tx, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		user, err := policyUser(ctx, tx, id)
		if err != nil {
			return err
		}
		if user != "" {
			return errs.Conflictf("QoS Policy %s is used by %s.", id, user).Typed("QosPolicyInUse")
		}
		err = policyKind.forget(ctx, tx, id)
		if err != nil {
			return err
		}
		err = policyKind.remove(ctx, tx, id)
		if err != nil {
			return err
		}
		return tell(ctx, tx, deleted, p)
	})
}

// policyUser names something that has the policy, "" for nothing.
func policyUser(ctx context.Context, tx *db.Tx, policy string) (string, error) {
	for _, user := range []struct{ kind, query string }{
		{"network", `SELECT id FROM networks WHERE qos_policy_id = ? LIMIT 1`},
		{"port", `SELECT id FROM ports WHERE qos_policy_id = ? AND qos_policy_id <> '' LIMIT 1`},
		{"floating IP", `SELECT id FROM floating_ips WHERE qos_policy_id = ? LIMIT 1`},
		{"router", `SELECT id FROM routers WHERE gateway_qos = ? LIMIT 1`},
	} {
		var ids []string
		err := tx.All(ctx, &ids, user.query, policy)
		if err != nil {
			return "", fmt.Errorf("look for users of QoS policy %s: %w", policy, err)
		}
		if len(ids) > 0 {
			return user.kind + " " + ids[0], nil
		}
	}
	return "", nil
}

// usablePolicy checks that a policy may be given to something; "" is none. While
// the transaction lasts the policy stays.
func usablePolicy(ctx context.Context, tx *db.Tx, scope Scope, id string) error {
	if id == "" {
		return nil
	}
	err := mayName(ctx, tx, policyKind, scope, id)
	if err != nil {
		return err
	}
	return enforceable(ctx, tx, id)
}

// exchangePolicy checks that the scope may take a policy off something and give
// it another; "" is none. An admin's limit is not a project's to lift.
func exchangePolicy(ctx context.Context, tx *db.Tx, scope Scope, was, is string) error {
	if was != "" && was != is {
		err := mayName(ctx, tx, policyKind, scope, was)
		if errs.Is(err, errs.NotFound) {
			return errs.Forbiddenf("Failed to remove provided policy %s because you are not authorized.", was).Typed("PolicyRemoveAuthorizationError")
		}
		if err != nil {
			return err
		}
	}
	return usablePolicy(ctx, tx, scope, is)
}

// enforceable checks that the fabric can do what a policy asks for.
func enforceable(ctx context.Context, tx *db.Tx, id string) error {
	p, err := readPolicy(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, r := range p.Rules {
		if !r.carriedOut() {
			return notCarriedOut(r.Kind, "the network that QoS policy "+id+" is for")
		}
	}
	return nil
}

// defaultPolicy is the policy that new networks of the project get, "" for none.
func defaultPolicy(ctx context.Context, tx *db.Tx, project string) (id string, err error) {
	err = tx.Get(ctx, &id, `SELECT id FROM qos_policies WHERE project_id = ? AND is_default = 1`+tx.Hold(), project)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read default QoS policy: %w", err)
	}
	return id, enforceable(ctx, tx, id)
}

// networkPolicies are the policies of networks, by network.
func networkPolicies(ctx context.Context, tx *db.Tx, networks []string) (map[string]string, error) {
	var rows []struct {
		ID     string `bun:"id"`
		Policy string `bun:"qos_policy_id"`
	}
	err := tx.All(ctx, &rows, `SELECT id, qos_policy_id FROM networks WHERE id IN (?) AND qos_policy_id <> ''`, db.In(networks))
	if err != nil {
		return nil, fmt.Errorf("read QoS policies of networks: %w", err)
	}
	byID := map[string]string{}
	for _, r := range rows {
		byID[r.ID] = r.Policy
	}
	return byID, nil
}

// policyDirty notes that whatever has the policy changed, by itself or from its
// network.
func policyDirty(ctx context.Context, tx *db.Tx, policy string) error {
	var ports, routers []string
	err := tx.All(ctx, &ports, `
		SELECT id FROM ports WHERE (qos_policy_id = ? AND qos_policy_id <> '' OR network_id IN (SELECT id FROM networks WHERE qos_policy_id = ?))
		AND device_owner NOT LIKE 'network:%'`, policy, policy)
	if err == nil {
		err = tx.All(ctx, &routers, `
			SELECT id FROM routers WHERE gateway_qos = ? OR gateway_network IN (SELECT id FROM networks WHERE qos_policy_id = ?)
			UNION SELECT router_id FROM floating_ips WHERE qos_policy_id = ?`, policy, policy, policy)
	}
	if err != nil {
		return fmt.Errorf("list what has QoS policy %s: %w", policy, err)
	}
	err = dirty(ctx, tx, fabric.KindPort, ports...)
	if err != nil {
		return err
	}
	return dirty(ctx, tx, fabric.KindRouter, routers...)
}

// networkQoSDirty notes that what has its network's policy changed.
func networkQoSDirty(ctx context.Context, tx *db.Tx, network string) error {
	err := portsDirty(ctx, tx, network)
	if err != nil {
		return err
	}
	var routers []string
	err = tx.All(ctx, &routers, `SELECT id FROM routers WHERE gateway_network = ?`, network)
	if err != nil {
		return fmt.Errorf("list gateways on network %s: %w", network, err)
	}
	return dirty(ctx, tx, fabric.KindRouter, routers...)
}

// qualities turns policies into what the fabric makes of them. Each is asked for
// by the policy of the thing itself and that of its network.
type qualities map[string]fabric.QoS

func readQualities(ctx context.Context, tx *db.Tx, policies ...string) (qualities, error) {
	q := qualities{}
	var ids []string
	for _, id := range policies {
		if id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return q, nil
	}
	rules, err := rowsOf[QoSRule](ctx, tx, "policy_id", distinct(ids))
	if err != nil {
		return nil, fmt.Errorf("read QoS rules: %w", err)
	}
	for _, r := range rules {
		one := q[r.Policy]
		limit := fabric.Limit{Rate: int(r.MaxKbps), Burst: int(r.MaxBurst)}
		switch {
		case !r.carriedOut():
			continue
		case r.Kind == DSCPMarking:
			one.Marks, one.DSCP = true, r.DSCP
		case r.Direction == Ingress:
			one.Ingress = limit
		default:
			one.Egress = limit
		}
		q[r.Policy] = one
	}
	return q, nil
}

func (q qualities) of(own, networks string) fabric.QoS {
	if own != "" {
		return q[own]
	}
	return q[networks]
}
