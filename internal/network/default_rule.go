package network

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// parent stands in a default rule for the group that the rule is made for.
const parent = "PARENT"

// DefaultRule is a rule that new security groups start with.
type DefaultRule struct {
	bun.BaseModel `bun:"table:default_security_group_rules,alias:default_security_group_rules"`
	Common

	Traffic
	InDefault bool `bun:"used_in_default"` // in default groups of projects
	InOthers  bool `bun:"used_in_others"`  // in groups that users make
}

var defaultRuleKind = kind{name: "default_security_group_rule", table: "default_security_group_rules", missing: func(id string) error {
	return errs.NotFoundf("Default Security Group rule %s does not exist", id).Typed("DefaultSecurityGroupRuleNotFound")
}}

// DefaultRule finds a default rule.
func (s *Service) DefaultRule(ctx context.Context, id string) (r DefaultRule, err error) {
	return look[DefaultRule](ctx, s, defaultRuleKind, Scope{All: true}, id, nil)
}

// DefaultRules lists default rules, to everybody.
func (s *Service) DefaultRules(ctx context.Context, q Query) (list []DefaultRule, err error) {
	q.Scope = Scope{All: true}
	return browse[DefaultRule](ctx, s, defaultRuleKind, q, nil)
}

// CreateDefaultRules adds rules for the groups made from now on, all or none.
func (s *Service) CreateDefaultRules(ctx context.Context, list ...DefaultRule) ([]DefaultRule, error) {
	var made []DefaultRule
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			err := in.check()
			if err != nil {
				return err
			}
			if in.RemoteGroup != "" && in.RemoteGroup != parent {
				_, err = readGroup(ctx, tx, in.RemoteGroup)
				if err != nil {
					return err
				}
			}
			if in.RemoteAddresses != "" {
				_, err = hold[AddressGroup](ctx, tx, addressGroupKind, in.RemoteAddresses)
				if err != nil {
					return err
				}
			}
			err = sameDefault(ctx, tx, in)
			if err != nil {
				return err
			}
			in.Common = s.common(tx, "", in.Description, nil)
			err = tx.Insert(ctx, &in)
			if err != nil {
				return fmt.Errorf("insert default rule: %w", err)
			}
			made = append(made, in)
		}
		return nil
	})
	return made, err
}

// sameDefault refuses a default rule that there is already.
func sameDefault(ctx context.Context, tx *db.Tx, in DefaultRule) error {
	err := tx.Lock(ctx, "default rules")
	if err != nil {
		return err
	}
	var all []DefaultRule
	err = tx.All(ctx, &all, `SELECT * FROM default_security_group_rules`)
	if err != nil {
		return fmt.Errorf("look for the same default rule: %w", err)
	}
	for _, r := range all {
		if r.same(in.Traffic) && (r.InDefault && in.InDefault || r.InOthers && in.InOthers) {
			return errs.Conflictf("Default Security group rule template already exists. Rule template ID is %s.", r.ID).Typed("DefaultSecurityGroupRuleExists")
		}
	}
	return nil
}

// DeleteDefaultRule spares the groups made from now on the rule.
func (s *Service) DeleteDefaultRule(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := hold[DefaultRule](ctx, tx, defaultRuleKind, id)
		if err != nil {
			return err
		}
		return defaultRuleKind.remove(ctx, tx, id)
	})
}

// firstRules are the rules that a new group starts with.
func (s *Service) firstRules(ctx context.Context, tx *db.Tx, g Group) ([]Rule, error) {
	used := "used_in_others"
	if g.DefaultOf != nil {
		used = "used_in_default"
	}
	var templates []DefaultRule
	err := tx.All(ctx, &templates, `SELECT * FROM default_security_group_rules WHERE ? = 1 ORDER BY created_at, id`, bun.Ident(used))
	if err != nil {
		return nil, fmt.Errorf("read default rules: %w", err)
	}
	rules := []Rule{}
	for _, t := range templates {
		r := Rule{Traffic: t.Traffic}
		if r.RemoteGroup == parent {
			r.RemoteGroup = g.ID
		}
		rules = append(rules, s.rule(tx, g, r))
	}
	return rules, nil
}

// Statefulness says whether new groups of a project, or of all projects that say
// nothing, keep connections in mind.
type Statefulness struct {
	bun.BaseModel `bun:"table:default_statefulness,alias:default_statefulness"`
	Common

	Stateful bool `bun:"stateful"`
}

var statefulnessKind = kind{name: "security_groups_default_statefulness", table: "default_statefulness", missing: func(id string) error {
	return errs.NotFoundf("Security groups default statefulness %s could not be found.", id).Typed("SecurityGroupsDefaultStatefulnessNotFound")
}}

// Statefulness finds a default that the scope may see.
func (s *Service) Statefulness(ctx context.Context, scope Scope, id string) (d Statefulness, err error) {
	return look[Statefulness](ctx, s, statefulnessKind, scope, id, nil)
}

// Statefulnesses lists the defaults.
func (s *Service) Statefulnesses(ctx context.Context, q Query) (list []Statefulness, err error) {
	return browse[Statefulness](ctx, s, statefulnessKind, q, nil)
}

// CreateStatefulness sets the default of a project, or of all for "".
func (s *Service) CreateStatefulness(ctx context.Context, project string, stateful bool) (Statefulness, error) {
	var d Statefulness
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		d = Statefulness{Common: s.common(tx, project, "", nil), Stateful: stateful}
		err := tx.Insert(ctx, &d)
		if db.IsDuplicate(err) {
			return errs.Conflictf("A default statefulness for project '%s' already exists.", project).Typed("SecurityGroupsDefaultStatefulnessExists")
		}
		if err != nil {
			return fmt.Errorf("insert default statefulness: %w", err)
		}
		return nil
	})
	return d, err
}

// UpdateStatefulness changes a default.
func (s *Service) UpdateStatefulness(ctx context.Context, id string, stateful bool) (Statefulness, error) {
	var d Statefulness
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		d, err = hold[Statefulness](ctx, tx, statefulnessKind, id)
		if err != nil {
			return err
		}
		d.Stateful = stateful
		d.touch(tx)
		_, err = tx.Update(ctx, &d, "stateful", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update default statefulness %s: %w", id, err)
		}
		return nil
	})
	return d, err
}

// DeleteStatefulness leaves the project to the default of all.
func (s *Service) DeleteStatefulness(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := hold[Statefulness](ctx, tx, statefulnessKind, id)
		if err != nil {
			return err
		}
		return statefulnessKind.remove(ctx, tx, id)
	})
}

// statefulIn is the default of a project.
func statefulIn(ctx context.Context, tx *db.Tx, project string) (bool, error) {
	var found []int64
	err := tx.All(ctx, &found, `SELECT stateful FROM default_statefulness WHERE project_id IN (?, '') ORDER BY project_id DESC LIMIT 1`, project)
	if err != nil {
		return false, fmt.Errorf("read default statefulness: %w", err)
	}
	return len(found) == 0 || found[0] == 1, nil
}
