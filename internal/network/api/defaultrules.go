package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

var defaultRuleList = listed{"default_security_group_rules", map[string]db.Filter{
	"id": {Column: "id"}, "description": {Column: "description"}, "direction": {Column: "direction"}, "ethertype": {Column: "ethertype"},
	"protocol": {Column: "protocol"}, "port_range_min": {Column: "port_min", Match: db.Number},
	"port_range_max": {Column: "port_max", Match: db.Number}, "remote_ip_prefix": {Column: "remote_ip_prefix"},
	"remote_group_id": {Column: "remote_group_id"}, "remote_address_group_id": {Column: "remote_address_group_id"},
	"used_in_default_sg": {Column: "used_in_default", Match: db.Flag}, "used_in_non_default_sg": {Column: "used_in_others", Match: db.Flag},
}}

type defaultRuleBody struct {
	owner
	trafficBody
	Description *string   `json:"description" check:"max=255"`
	InDefault   *api.Bool `json:"used_in_default_sg"`
	InOthers    *api.Bool `json:"used_in_non_default_sg"`
}

type defaultRulesRequest struct {
	Rule  *defaultRuleBody  `json:"default_security_group_rule"`
	Rules []defaultRuleBody `json:"default_security_group_rules"`
}

type defaultRuleView struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	trafficShort
	InDefault bool `json:"used_in_default_sg"`
	InOthers  bool `json:"used_in_non_default_sg"`
}

// trafficShort is trafficView without the normalized range.
type trafficShort struct {
	Direction       string  `json:"direction"`
	Ethertype       string  `json:"ethertype"`
	Protocol        *string `json:"protocol"`
	PortMin         *int    `json:"port_range_min"`
	PortMax         *int    `json:"port_range_max"`
	RemotePrefix    *string `json:"remote_ip_prefix"`
	RemoteGroup     *string `json:"remote_group_id"`
	RemoteAddresses *string `json:"remote_address_group_id"`
}

func viewDefaultRule(r network.DefaultRule) any {
	v := viewTraffic(r.Traffic)
	return defaultRuleView{
		ID: r.ID, Description: r.Description, InDefault: r.InDefault, InOthers: r.InOthers,
		trafficShort: trafficShort{v.Direction, v.Ethertype, v.Protocol, v.PortMin, v.PortMax, v.RemotePrefix, v.RemoteGroup, v.RemoteAddresses},
	}
}

func (h handlers) defaultRules() resource[network.DefaultRule] {
	return resource[network.DefaultRule]{"default_security_group_rule", defaultRuleList, h.findDefaultRule, h.net.DefaultRules, plain(viewDefaultRule), anyRevision(h.net.DeleteDefaultRule)}
}

func (h handlers) findDefaultRule(c *api.Call) (network.DefaultRule, error) {
	r, err := h.net.DefaultRule(c.Context(), c.PathValue("default_security_group_rule_id"))
	if err != nil {
		return r, err
	}
	return r, c.AuthorizeOwn()
}

func (h handlers) createDefaultRules(c *api.Call, in defaultRulesRequest) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	bodies, err := oneOrMany("default_security_group_rule", in.Rule, in.Rules)
	if err != nil {
		return nil, err
	}
	var list []network.DefaultRule
	for _, b := range bodies {
		err = b.checkPorts()
		if err != nil {
			return nil, err
		}
		list = append(list, network.DefaultRule{
			Common: network.Common{Description: text(b.Description)}, Traffic: b.traffic(),
			InDefault: b.InDefault != nil && bool(*b.InDefault), InOthers: b.InOthers == nil || bool(*b.InOthers),
		})
	}
	rows, err := h.net.CreateDefaultRules(c.Context(), list...)
	return h.defaultRules().several(c, in.Rule != nil, rows, err)
}

const statefulnessName = "security_groups_default_statefulness"

var statefulnessList = listed{statefulnessName, map[string]db.Filter{
	"id": {Column: "id"}, "project_id": {Column: "project_id"}, "tenant_id": {Column: "project_id"}, "stateful": {Column: "stateful", Match: db.Flag},
}}

type statefulnessRequest struct {
	Default struct {
		Project  api.Opt[string] `json:"project_id" check:"max=255"`
		Tenant   api.Opt[string] `json:"tenant_id" check:"max=255"`
		Stateful api.Bool        `json:"stateful" check:"required"`
	} `json:"security_groups_default_statefulness" check:"required"`
}

type statefulnessChange struct {
	Default struct {
		Stateful api.Bool `json:"stateful" check:"required"`
	} `json:"security_groups_default_statefulness" check:"required"`
}

type statefulnessView struct {
	ID       string  `json:"id"`
	Project  *string `json:"project_id"`
	Tenant   *string `json:"tenant_id"`
	Stateful bool    `json:"stateful"`
}

func viewStatefulness(d network.Statefulness) any {
	return statefulnessView{d.ID, null(d.Project), null(d.Project), d.Stateful}
}

func (h handlers) statefulness() resource[network.Statefulness] {
	return resource[network.Statefulness]{statefulnessName, statefulnessList, h.findStatefulness, h.net.Statefulnesses, plain(viewStatefulness), anyRevision(h.net.DeleteStatefulness)}
}

func (h handlers) findStatefulness(c *api.Call) (network.Statefulness, error) {
	d, err := h.net.Statefulness(c.Context(), scope(c), c.PathValue("security_groups_default_statefulness_id"))
	if err != nil {
		return d, err
	}
	return d, c.Authorize(target(d.Project, nil))
}

// createStatefulness sets the default of a project; null, which only admins may
// say, is the default of all.
func (h handlers) createStatefulness(c *api.Call, in statefulnessRequest) (map[string]any, error) {
	b := in.Default
	asked := b.Project
	if !asked.Set {
		asked = b.Tenant
	}
	project := ""
	if !asked.Null || !c.Caller.Admin() {
		o := owner{}
		if asked.Set {
			o.Project = &asked.V
		}
		var err error
		project, err = o.project(c)
		if err != nil {
			return nil, err
		}
	}
	err := c.Authorize(target(project, nil))
	if err != nil {
		return nil, err
	}
	d, err := h.net.CreateStatefulness(c.Context(), project, bool(b.Stateful))
	return h.statefulness().shown(c, d, err)
}

func (h handlers) updateStatefulness(c *api.Call, in statefulnessChange) (map[string]any, error) {
	d, err := h.findStatefulness(c)
	if err != nil {
		return nil, err
	}
	d, err = h.net.UpdateStatefulness(c.Context(), d.ID, bool(in.Default.Stateful))
	return h.statefulness().shown(c, d, err)
}
