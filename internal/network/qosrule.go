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
)

// Kinds of QoS rules. The fabric guarantees no bandwidth: a policy may ask for a
// minimum, and then it can't be given to anything.
const (
	BandwidthLimit   = "bandwidth_limit"
	DSCPMarking      = "dscp_marking"
	MinimumBandwidth = "minimum_bandwidth"
)

// DSCPMarks are the marks that may be set.
var DSCPMarks = []int{0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56}

// QoSRule is one limit, or one mark, of a policy.
type QoSRule struct {
	bun.BaseModel `bun:"table:qos_rules,alias:qos_rules"`

	ID        string  `bun:"id,pk"`
	Policy    string  `bun:"policy_id"`
	Kind      string  `bun:"kind"`
	Direction string  `bun:"direction"`
	MaxKbps   int64   `bun:"max_kbps"`
	MaxBurst  int64   `bun:"max_burst"`
	MinKbps   int64   `bun:"min_kbps"`
	DSCP      int     `bun:"dscp_mark"`
	CreatedAt db.Time `bun:"created_at"`
}

// Key names the row, for links to pages.
func (r QoSRule) Key() string { return r.ID }

// QoSRuleChange says what to set. Nil stays as it is.
type QoSRuleChange struct {
	Direction                  *string
	MaxKbps, MaxBurst, MinKbps *int64
	DSCP                       *int
}

func qosRuleNotFound(policy, id string) error {
	return errs.NotFoundf("QoS rule %s for policy %s could not be found.", id, policy).Typed("QosRuleNotFound")
}

// QoSRule finds a rule of a kind. The policy "" is whichever has it.
func (s *Service) QoSRule(ctx context.Context, kind, policy, id string) (r QoSRule, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = readQoSRule(ctx, tx, kind, policy, id)
		return err
	})
	return r, err
}

// QoSRules lists rules; the query narrows them to a policy and a kind.
func (s *Service) QoSRules(ctx context.Context, q Query) (list []QoSRule, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err = page(ctx, tx, tx.NewSelect().Model(&list), "qos_rules", q, &list, func(id string) error { return qosRuleNotFound("", id) })
		return err
	})
	return list, err
}

func readQoSRule(ctx context.Context, tx *db.Tx, kind, policy, id string) (QoSRule, error) {
	var r QoSRule
	err := tx.Held(tx.NewSelect().Model(&r).Where("id = ? AND kind = ? AND (? = '' OR policy_id = ?)", id, kind, policy, policy)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return QoSRule{}, qosRuleNotFound(policy, id)
	}
	if err != nil {
		return QoSRule{}, fmt.Errorf("read QoS rule %s: %w", id, err)
	}
	return r, nil
}

func withQoSRules(ctx context.Context, tx *db.Tx, list []*QoSPolicy) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	byID := map[string]*QoSPolicy{}
	for i, p := range list {
		ids[i] = p.ID
		byID[p.ID] = p
		p.Rules = []QoSRule{}
	}
	rules, err := rowsOf[QoSRule](ctx, tx, "policy_id", ids)
	if err != nil {
		return fmt.Errorf("list QoS rules: %w", err)
	}
	for _, r := range rules {
		byID[r.Policy].Rules = append(byID[r.Policy].Rules, r)
	}
	return nil
}

// CreateQoSRule adds a rule to a policy. Whatever has the policy has the rule.
func (s *Service) CreateQoSRule(ctx context.Context, policy, kind string, in QoSRuleChange) (QoSRule, error) {
	var r QoSRule
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPolicy(ctx, tx, policy)
		if err != nil {
			return err
		}
		r = QoSRule{ID: s.newID(), Policy: policy, Kind: kind, Direction: Egress, CreatedAt: db.At(tx.Now())}
		err = r.change(p, in)
		if err != nil {
			return err
		}
		if !r.carriedOut() {
			user, err := policyUser(ctx, tx, policy)
			if err != nil {
				return err
			}
			if user != "" {
				return notCarriedOut(kind, user)
			}
		}
		err = tx.Insert(ctx, &r)
		if err != nil {
			return fmt.Errorf("insert QoS rule: %w", err)
		}
		return bumpPolicy(ctx, tx, policy)
	})
	return r, err
}

// UpdateQoSRule changes a rule of a policy.
func (s *Service) UpdateQoSRule(ctx context.Context, policy, kind, id string, in QoSRuleChange) (QoSRule, error) {
	var r QoSRule
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPolicy(ctx, tx, policy)
		if err != nil {
			return err
		}
		r, err = readQoSRule(ctx, tx, kind, policy, id)
		if err != nil {
			return err
		}
		err = r.change(p, in)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &r, "direction", "max_kbps", "max_burst", "min_kbps", "dscp_mark")
		if err != nil {
			return fmt.Errorf("update QoS rule %s: %w", id, err)
		}
		return bumpPolicy(ctx, tx, policy)
	})
	return r, err
}

// change applies a change and checks what comes of it. The policy is held, so
// that nobody adds a rule meanwhile.
func (r *QoSRule) change(p QoSPolicy, in QoSRuleChange) error {
	set(&r.Direction, in.Direction)
	set(&r.MaxKbps, in.MaxKbps)
	set(&r.MaxBurst, in.MaxBurst)
	set(&r.MinKbps, in.MinKbps)
	set(&r.DSCP, in.DSCP)
	if !slices.Contains(DSCPMarks, r.DSCP) {
		return badField("dscp_mark", "'%d' is not in %d", r.DSCP, DSCPMarks)
	}
	for _, o := range p.Rules {
		if o.ID != r.ID && o.Kind == r.Kind && o.Direction == r.Direction {
			return errs.Conflictf("Rule %s conflicts with rule %s which already exists in QoS Policy %s.", r.Kind, o.ID, p.ID).Typed("QoSRulesConflict")
		}
		if o.Direction == r.Direction && (crossed(*r, o) || crossed(o, *r)) {
			return errs.Conflictf("Unable to add the rule with value %d to the policy %s as the existing rule of type %s has value %d.",
				r.MinKbps+r.MaxKbps, p.ID, o.Kind, o.MinKbps+o.MaxKbps).Typed("QoSRuleParameterConflict")
		}
	}
	return nil
}

// crossed tells whether more is asked for at least than is let through at most.
func crossed(least, most QoSRule) bool {
	return least.Kind == MinimumBandwidth && most.Kind == BandwidthLimit && least.MinKbps > most.MaxKbps
}

func (r QoSRule) carriedOut() bool { return r.Kind != MinimumBandwidth }

func notCarriedOut(kind, by string) error {
	return errs.Conflictf("Rule %s is not supported by %s.", kind, by).Typed("QosRuleNotSupported")
}

// DeleteQoSRule removes a rule of a policy.
func (s *Service) DeleteQoSRule(ctx context.Context, policy, kind, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readPolicy(ctx, tx, policy)
		if err != nil {
			return err
		}
		_, err = readQoSRule(ctx, tx, kind, policy, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM qos_rules WHERE id = ?`, id)
		if err != nil {
			return fmt.Errorf("delete QoS rule %s: %w", id, err)
		}
		return bumpPolicy(ctx, tx, policy)
	})
}

// bumpPolicy raises a policy's revision, since its rules are part of it, and has
// whatever it is given to follow.
func bumpPolicy(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, `UPDATE qos_policies SET revision = revision + 1, updated_at = ? WHERE id = ?`, db.At(tx.Now()), id)
	if err != nil {
		return fmt.Errorf("update QoS policy %s: %w", id, err)
	}
	p, err := readPolicy(ctx, tx, id)
	if err != nil {
		return err
	}
	err = tell(ctx, tx, updated, p)
	if err != nil {
		return err
	}
	return policyDirty(ctx, tx, id)
}
