package api

import (
	"slices"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var policyList = listed{"policies", columns(map[string]db.Filter{
	"name": {Column: "name"}, "shared": byHandler, "is_default": {Column: "is_default", Match: db.Flag},
})}

type policyRequest struct {
	Policy struct {
		owner
		Name        string    `json:"name" check:"required,max=255"`
		Description *string   `json:"description" check:"max=255"`
		Shared      *api.Bool `json:"shared"`
		IsDefault   *api.Bool `json:"is_default"`
		Tags        []string  `json:"tags"`
	} `json:"policy" check:"required"`
}

type policyChange struct {
	Policy struct {
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Shared      *api.Bool `json:"shared"`
		IsDefault   *api.Bool `json:"is_default"`
	} `json:"policy" check:"required"`
}

type policyView struct {
	commonView
	Name      string `json:"name"`
	Shared    bool   `json:"shared"`
	IsDefault bool   `json:"is_default"`
	Rules     []any  `json:"rules"`
}

// ruleOfPolicyView is what a policy shows of a rule.
type ruleOfPolicyView struct {
	Policy string `json:"qos_policy_id"`
	Type   string `json:"type"`
}

func viewPolicy(p network.QoSPolicy) any {
	v := policyView{commonView: viewCommon(p.Common), Name: p.Name, Shared: p.Shared, IsDefault: p.IsDefault, Rules: []any{}}
	for _, r := range p.Rules {
		of := ruleOfPolicyView{r.Policy, r.Kind}
		switch r.Kind {
		case network.DSCPMarking:
			v.Rules = append(v.Rules, struct {
				markView
				ruleOfPolicyView
			}{viewMark(r), of})
		case network.MinimumBandwidth:
			v.Rules = append(v.Rules, struct {
				minimumView
				ruleOfPolicyView
			}{viewMinimum(r), of})
		default:
			v.Rules = append(v.Rules, struct {
				limitView
				ruleOfPolicyView
			}{viewLimit(r), of})
		}
	}
	return v
}

func (h handlers) policies() resource[network.QoSPolicy] {
	return resource[network.QoSPolicy]{"policy", policyList, h.findPolicy, h.net.QoSPolicies, plain(viewPolicy), h.net.DeleteQoSPolicy}
}

func (h handlers) findPolicy(c *api.Call) (network.QoSPolicy, error) {
	p, err := h.net.QoSPolicy(c.Context(), scope(c), c.PathValue("policy_id"))
	if err != nil {
		return network.QoSPolicy{}, err
	}
	return p, authorizeShared(c, p.Project, p.Shared, h.net.QoSPolicy, p.ID)
}

// mayShare lets admins alone show a policy to everybody, as with RBAC policies for
// all projects.
func mayShare(c *api.Call, shared *api.Bool, rule string) error {
	if shared != nil && bool(*shared) && !c.Caller.Admin() {
		return api.Neutron.Forbidden(rule)
	}
	return nil
}

func (h handlers) createPolicy(c *api.Call, in policyRequest) (map[string]any, error) {
	b := in.Policy
	project, _, err := b.creates(c, "policy", nil, b.Tags)
	if err != nil {
		return nil, err
	}
	err = mayShare(c, b.Shared, "create_policy")
	if err != nil {
		return nil, err
	}
	p, err := h.net.CreateQoSPolicy(c.Context(), network.NewQoSPolicy{
		Project: project, Name: b.Name, Description: text(b.Description), Tags: b.Tags,
		Shared: b.Shared != nil && bool(*b.Shared), IsDefault: b.IsDefault != nil && bool(*b.IsDefault),
	})
	return h.policies().made(c, p, err)
}

func (h handlers) updatePolicy(c *api.Call, in policyChange) (map[string]any, error) {
	p, rev, err := h.policies().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Policy
	err = mayShare(c, b.Shared, "update_policy")
	if err != nil {
		return nil, err
	}
	p, err = h.net.UpdateQoSPolicy(c.Context(), p.ID, rev, network.QoSPolicyChange{
		Name: b.Name, Description: b.Description, Shared: truth(b.Shared), IsDefault: truth(b.IsDefault),
	})
	return h.policies().shown(c, p, err)
}

type parameterView struct {
	Name   string `json:"parameter_name"`
	Type   string `json:"parameter_type"`
	Values any    `json:"parameter_values"`
}

type driverView struct {
	Name       string          `json:"name"`
	Parameters []parameterView `json:"supported_parameters"`
}

type ruleTypeView struct {
	Type    string       `json:"type"`
	Drivers []driverView `json:"drivers,omitempty"`
}

type span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// ruleTypes are the kinds of rules that are carried out.
var ruleTypes = []ruleTypeView{
	{network.BandwidthLimit, []driverView{{"ovn", []parameterView{
		{"max_kbps", "range", span{0, 1<<31 - 1}}, {"max_burst_kbps", "range", span{0, 1<<31 - 1}},
		{"direction", "choices", []string{network.Egress, network.Ingress}},
	}}}},
	{network.DSCPMarking, []driverView{{"ovn", []parameterView{{"dscp_mark", "choices", network.DSCPMarks}}}}},
}

// otherRuleTypes are kinds that OpenStack knows besides.
var otherRuleTypes = []string{network.MinimumBandwidth, "packet_rate_limit", "minimum_packet_rate"}

func (h handlers) listRuleTypes(c *api.Call) (map[string]any, error) {
	views := []ruleTypeView{}
	for _, t := range ruleTypes {
		views = append(views, ruleTypeView{Type: t.Type})
	}
	everything, _ := boolean.Parse(c.Query().Get("all_rules"))
	if everything {
		for _, name := range otherRuleTypes {
			views = append(views, ruleTypeView{Type: name})
		}
	}
	wanted := c.Query()["type"]
	if len(wanted) > 0 {
		views = slices.DeleteFunc(views, func(v ruleTypeView) bool { return !slices.Contains(wanted, v.Type) })
	}
	return map[string]any{"rule_types": views}, c.AuthorizeOwn()
}

func (h handlers) showRuleType(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	if !c.Caller.Admin() { // what the drivers can do is the operator's to know
		return nil, errs.Forbiddenf("Not authorized.").Typed("NotAuthorized")
	}
	for _, t := range ruleTypes {
		if t.Type == c.PathValue("rule_type") {
			return show(c, "rule_type", t), nil
		}
	}
	return nil, errs.NotFoundf("Rule type %s could not be found.", c.PathValue("rule_type")).Typed("QosRuleTypeNotFound")
}
