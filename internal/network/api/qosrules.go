package api

import (
	"context"
	"slices"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

// Each kind of QoS rules has the same calls, below its policy and, by an alias,
// without naming it.

type limitAttributes struct {
	Max       *api.Int `json:"max_kbps" check:"min=0,max=2147483647"`
	Burst     *api.Int `json:"max_burst_kbps" check:"min=0,max=2147483647"`
	Direction *string  `json:"direction" check:"enum=ingress|egress"`
}

type limitRequest struct {
	Rule struct {
		limitAttributes
		Max *api.Int `json:"max_kbps" check:"required,min=0,max=2147483647"`
	} `json:"bandwidth_limit_rule" check:"required"`
}

type limitChange struct {
	Rule limitAttributes `json:"bandwidth_limit_rule" check:"required"`
}

type limitAliasChange struct {
	Rule limitAttributes `json:"alias_bandwidth_limit_rule" check:"required"`
}

type markAttributes struct {
	Mark *api.Int `json:"dscp_mark" check:"required"`
}

type markRequest struct {
	Rule markAttributes `json:"dscp_marking_rule" check:"required"`
}

type markAliasChange struct {
	Rule markAttributes `json:"alias_dscp_marking_rule" check:"required"`
}

type minimumAttributes struct {
	Min       *api.Int `json:"min_kbps" check:"min=0,max=2147483647"`
	Direction *string  `json:"direction" check:"enum=egress"`
}

type minimumRequest struct {
	Rule struct {
		minimumAttributes
		Min *api.Int `json:"min_kbps" check:"required,min=0,max=2147483647"`
	} `json:"minimum_bandwidth_rule" check:"required"`
}

type minimumChange struct {
	Rule minimumAttributes `json:"minimum_bandwidth_rule" check:"required"`
}

type minimumAliasChange struct {
	Rule minimumAttributes `json:"alias_minimum_bandwidth_rule" check:"required"`
}

func (a limitAttributes) change() network.QoSRuleChange {
	return network.QoSRuleChange{Direction: a.Direction, MaxKbps: (*int64)(a.Max), MaxBurst: (*int64)(a.Burst)}
}

func (a markAttributes) change() network.QoSRuleChange {
	mark := int(*a.Mark)
	return network.QoSRuleChange{DSCP: &mark}
}

func (a minimumAttributes) change() network.QoSRuleChange {
	return network.QoSRuleChange{Direction: a.Direction, MinKbps: (*int64)(a.Min)}
}

type limitView struct {
	ID        string `json:"id"`
	Max       int64  `json:"max_kbps"`
	Burst     int64  `json:"max_burst_kbps"`
	Direction string `json:"direction"`
}

type markView struct {
	ID   string `json:"id"`
	Mark int    `json:"dscp_mark"`
}

type minimumView struct {
	ID        string `json:"id"`
	Min       int64  `json:"min_kbps"`
	Direction string `json:"direction"`
}

func viewLimit(r network.QoSRule) limitView {
	return limitView{r.ID, r.MaxKbps, r.MaxBurst, r.Direction}
}
func viewMark(r network.QoSRule) markView       { return markView{r.ID, r.DSCP} }
func viewMinimum(r network.QoSRule) minimumView { return minimumView{r.ID, r.MinKbps, r.Direction} }

// qosRules answers the calls of one kind of rules.
type qosRules struct {
	handlers
	kind string
	id   string // the name of the rule's id in paths
	list listed
	view func(network.QoSRule) any
}

func (h handlers) limitRules() qosRules {
	return qosRules{h, network.BandwidthLimit, "rule_id", listed{"bandwidth_limit_rules", map[string]db.Filter{
		"id": {Column: "id"}, "max_kbps": {Column: "max_kbps", Match: db.Number}, "max_burst_kbps": {Column: "max_burst", Match: db.Number},
		"direction": {Column: "direction"},
	}}, func(r network.QoSRule) any { return viewLimit(r) }}
}

func (h handlers) markRules() qosRules {
	return qosRules{h, network.DSCPMarking, "dscp_rule_id", listed{"dscp_marking_rules", map[string]db.Filter{
		"id": {Column: "id"}, "dscp_mark": {Column: "dscp_mark", Match: db.Number},
	}}, func(r network.QoSRule) any { return viewMark(r) }}
}

func (h handlers) minimumRules() qosRules {
	return qosRules{h, network.MinimumBandwidth, "rule_id", listed{"minimum_bandwidth_rules", map[string]db.Filter{
		"id": {Column: "id"}, "min_kbps": {Column: "min_kbps", Match: db.Number}, "direction": {Column: "direction"},
	}}, func(r network.QoSRule) any { return viewMinimum(r) }}
}

// routes are the rows of the kind; the bodies of its creation and changes differ.
func (q qosRules) routes(create, update, updateAlias api.Handler) []api.Route {
	below, one := "/v2.0/qos/policies/{policy_id}/"+q.kind+"_rules", "/{"+q.id+"}"
	alias := "/v2.0/qos/alias_" + q.kind + "_rules" + one
	return []api.Route{
		{Method: "GET", Path: below, Rule: "get_policy_" + q.kind + "_rule", Do: api.Get(q.all)},
		{Method: "POST", Path: below, Rule: "create_policy_" + q.kind + "_rule", OK: 201, Do: create},
		{Method: "GET", Path: below + one, Rule: "get_policy_" + q.kind + "_rule", Do: api.Get(q.show)},
		{Method: "PUT", Path: below + one, Rule: "update_policy_" + q.kind + "_rule", Do: update},
		{Method: "DELETE", Path: below + one, Rule: "delete_policy_" + q.kind + "_rule", OK: 204, Do: api.Empty(q.delete)},
		{Method: "GET", Path: alias, Rule: "get_alias_" + q.kind + "_rule", Do: api.Get(q.show)},
		{Method: "PUT", Path: alias, Rule: "update_alias_" + q.kind + "_rule", Do: updateAlias},
		{Method: "DELETE", Path: alias, Rule: "delete_alias_" + q.kind + "_rule", OK: 204, Do: api.Empty(q.delete)},
	}
}

func (h handlers) qosRuleRoutes() []api.Route {
	limits, marks, minima := h.limitRules(), h.markRules(), h.minimumRules()
	return slices.Concat(limits.routes(
		api.Body(func(c *api.Call, in limitRequest) (map[string]any, error) {
			in.Rule.limitAttributes.Max = in.Rule.Max
			return limits.create(c, in.Rule.limitAttributes.change())
		}),
		api.Body(func(c *api.Call, in limitChange) (map[string]any, error) { return limits.update(c, in.Rule.change()) }),
		api.Body(func(c *api.Call, in limitAliasChange) (map[string]any, error) {
			return limits.update(c, in.Rule.change())
		}),
	), marks.routes(
		api.Body(func(c *api.Call, in markRequest) (map[string]any, error) { return marks.create(c, in.Rule.change()) }),
		api.Body(func(c *api.Call, in markRequest) (map[string]any, error) { return marks.update(c, in.Rule.change()) }),
		api.Body(func(c *api.Call, in markAliasChange) (map[string]any, error) {
			return marks.update(c, in.Rule.change())
		}),
	), minima.routes(
		api.Body(func(c *api.Call, in minimumRequest) (map[string]any, error) {
			in.Rule.minimumAttributes.Min = in.Rule.Min
			return minima.create(c, in.Rule.minimumAttributes.change())
		}),
		api.Body(func(c *api.Call, in minimumChange) (map[string]any, error) { return minima.update(c, in.Rule.change()) }),
		api.Body(func(c *api.Call, in minimumAliasChange) (map[string]any, error) {
			return minima.update(c, in.Rule.change())
		}),
	))
}

// name is the envelope of one rule.
func (q qosRules) name(c *api.Call) string {
	if c.PathValue("policy_id") == "" {
		return "alias_" + q.kind + "_rule"
	}
	return q.kind + "_rule"
}

// find finds the rule of the path; by an alias, its policy too.
func (q qosRules) find(c *api.Call) (network.QoSRule, error) {
	policy := c.PathValue("policy_id")
	if policy != "" {
		_, err := q.findPolicy(c)
		if err != nil {
			return network.QoSRule{}, err
		}
		return q.net.QoSRule(c.Context(), q.kind, policy, c.PathValue(q.id))
	}
	r, err := q.net.QoSRule(c.Context(), q.kind, "", c.PathValue(q.id))
	if err != nil {
		return network.QoSRule{}, err
	}
	p, err := q.net.QoSPolicy(c.Context(), scope(c), r.Policy)
	if err != nil {
		return network.QoSRule{}, err
	}
	return r, authorizeShared(c, p.Project, p.Shared, q.net.QoSPolicy, p.ID)
}

func (q qosRules) show(c *api.Call) (map[string]any, error) {
	r, err := q.find(c)
	if err != nil {
		return nil, err
	}
	return show(c, q.name(c), q.view(r)), nil
}

func (q qosRules) all(c *api.Call) (map[string]any, error) {
	p, err := q.findPolicy(c)
	if err != nil {
		return nil, err
	}
	return listOf(c, q.list, func(ctx context.Context, query network.Query) ([]network.QoSRule, error) {
		for column, value := range map[string]string{"policy_id": p.ID, "kind": q.kind} {
			query.Where = append(query.Where, db.Cond{Filter: db.Filter{Column: column}, Values: []any{value}})
		}
		return q.net.QoSRules(ctx, query)
	}, q.view)
}

func (q qosRules) create(c *api.Call, in network.QoSRuleChange) (map[string]any, error) {
	// Who may make no rules at all hears so, whether the policy is there or not.
	rule := "create_policy_" + q.kind + "_rule"
	err := guard(c, true, rule, target(c.Caller.Project, nil))
	if err != nil {
		return nil, err
	}
	p, err := q.findPolicy(c)
	if err != nil {
		return nil, err
	}
	r, err := q.net.CreateQoSRule(c.Context(), p.ID, q.kind, in)
	if err != nil {
		return nil, err
	}
	c.Log("qos_rule_id", r.ID)
	return show(c, q.name(c), q.view(r)), nil
}

func (q qosRules) update(c *api.Call, in network.QoSRuleChange) (map[string]any, error) {
	r, err := q.find(c)
	if err != nil {
		return nil, err
	}
	r, err = q.net.UpdateQoSRule(c.Context(), r.Policy, q.kind, r.ID, in)
	if err != nil {
		return nil, err
	}
	return show(c, q.name(c), q.view(r)), nil
}

func (q qosRules) delete(c *api.Call) error {
	r, err := q.find(c)
	if err != nil {
		return err
	}
	return q.net.DeleteQoSRule(c.Context(), r.Policy, q.kind, r.ID)
}
