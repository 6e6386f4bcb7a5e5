package api

import (
	"cmp"
	"context"
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var groupList = listed{"security_groups", columns(map[string]db.Filter{
	"name": {Column: "name"}, "stateful": {Column: "stateful", Match: db.Flag},
	"shared": byHandler,
})}

var ruleList = listed{"security_group_rules", columns(map[string]db.Filter{
	"security_group_id": {Column: "group_id"}, "direction": {Column: "direction"}, "ethertype": {Column: "ethertype"},
	"protocol": {Column: "protocol"}, "port_range_min": {Column: "port_min", Match: db.Number},
	"port_range_max": {Column: "port_max", Match: db.Number}, "remote_ip_prefix": {Column: "remote_ip_prefix"},
	"remote_group_id": {Column: "remote_group_id"}, "remote_address_group_id": {Column: "remote_address_group_id"},
	"belongs_to_default_sg": byHandler,
})}

type groupBody struct {
	owner
	Name        string    `json:"name" check:"max=255"`
	Description *string   `json:"description" check:"max=255"`
	Tags        []string  `json:"tags"`
	Stateful    *api.Bool `json:"stateful"`
}

type groupsRequest struct {
	Group  *groupBody  `json:"security_group"`
	Groups []groupBody `json:"security_groups"`
}

type groupChange struct {
	Group struct {
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		Stateful    *api.Bool `json:"stateful"`
	} `json:"security_group" check:"required"`
}

// protocolName is a protocol by name or number.
type protocolName string

// UnmarshalJSON implements json.Unmarshaler.
func (p *protocolName) UnmarshalJSON(b []byte) error {
	var v any
	err := json.Unmarshal(b, &v)
	if err != nil {
		return err
	}
	word, isWord := v.(string)
	switch {
	case isWord:
		*p = protocolName(word)
	case v != nil:
		*p = protocolName(b)
	}
	return nil
}

// JSONSchema implements api.Schemer.
func (protocolName) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "integer", "null"}}
}

type ruleBody struct {
	owner
	trafficBody
	Group       string  `json:"security_group_id" check:"required,pattern=uuid"`
	Description *string `json:"description" check:"max=255"`
}

// trafficBody is what rules of groups and default rules have in common.
type trafficBody struct {
	Direction    string           `json:"direction" check:"required,enum=ingress|egress"`
	Ethertype    *string          `json:"ethertype"`
	Protocol     protocolName     `json:"protocol"`
	PortMin      api.Opt[api.Int] `json:"port_range_min"`
	PortMax      api.Opt[api.Int] `json:"port_range_max"`
	RemotePrefix *string          `json:"remote_ip_prefix"`
	RemoteGroup  *string          `json:"remote_group_id"`

	RemoteAddresses *string `json:"remote_address_group_id"`
}

// checkPorts refuses what is no port, nor a type or code of ICMP.
func (b trafficBody) checkPorts() error {
	const highest = 65535
	for _, port := range []int{int(b.PortMin.Or(0)), int(b.PortMax.Or(0))} {
		if port < 0 || port > highest {
			return errs.BadRequestf("Invalid value for port %d.", port).Typed("SecurityGroupInvalidPortValue")
		}
	}
	return nil
}

func (b trafficBody) traffic() network.Traffic {
	return network.Traffic{
		Direction: b.Direction, Ethertype: text(b.Ethertype), Protocol: string(b.Protocol),
		PortMin: int(b.PortMin.Or(-1)), PortMax: int(b.PortMax.Or(-1)),
		RemotePrefix: text(b.RemotePrefix), RemoteGroup: text(b.RemoteGroup), RemoteAddresses: text(b.RemoteAddresses),
	}
}

type rulesRequest struct {
	Rule  *ruleBody  `json:"security_group_rule"`
	Rules []ruleBody `json:"security_group_rules"`
}

type groupView struct {
	commonView
	Name     string `json:"name"`
	Stateful bool   `json:"stateful"`
	Shared   bool   `json:"shared"`
	Rules    []any  `json:"security_group_rules"`
}

type ruleView struct {
	commonView
	trafficView
	Group     string `json:"security_group_id"`
	OfDefault bool   `json:"belongs_to_default_sg"`
}

type trafficView struct {
	Direction    string  `json:"direction"`
	Ethertype    string  `json:"ethertype"`
	Protocol     *string `json:"protocol"`
	PortMin      *int    `json:"port_range_min"`
	PortMax      *int    `json:"port_range_max"`
	RemotePrefix *string `json:"remote_ip_prefix"`
	NormalPrefix *string `json:"normalized_cidr"`
	RemoteGroup  *string `json:"remote_group_id"`

	RemoteAddresses *string `json:"remote_address_group_id"`
}

func viewRule(r network.Rule) any {
	return ruleView{commonView: viewCommon(r.Common), trafficView: viewTraffic(r.Traffic), Group: r.Group, OfDefault: r.OfDefault}
}

func viewTraffic(r network.Traffic) trafficView {
	v := trafficView{
		Direction: r.Direction, Ethertype: r.Ethertype, Protocol: null(r.Protocol), RemotePrefix: null(r.RemotePrefix),
		NormalPrefix: null(r.NormalPrefix()), RemoteGroup: null(r.RemoteGroup), RemoteAddresses: null(r.RemoteAddresses),
	}
	if r.PortMin >= 0 {
		v.PortMin = &r.PortMin
	}
	if r.PortMax >= 0 {
		v.PortMax = &r.PortMax
	}
	return v
}

func viewGroup(g network.Group) any {
	v := groupView{commonView: viewCommon(g.Common), Name: g.Name, Stateful: g.Stateful, Shared: g.Shared, Rules: []any{}}
	for _, r := range g.Rules {
		v.Rules = append(v.Rules, viewRule(r))
	}
	return v
}

// groups and rules are listed together with the caller's default group, which is
// made when somebody looks.
func (h handlers) groups() resource[network.Group] {
	return resource[network.Group]{"security_group", groupList, h.findGroup, nil, plain(viewGroup), nil}
}

func (h handlers) rules() resource[network.Rule] {
	return resource[network.Rule]{"security_group_rule", ruleList, h.findRule, nil, plain(viewRule), anyRevision(h.net.DeleteRule)}
}

func (h handlers) findGroup(c *api.Call) (network.Group, error) {
	g, err := h.net.Group(c.Context(), scope(c), c.PathValue("security_group_id"))
	if err != nil {
		return network.Group{}, err
	}
	return g, authorizeShared(c, g.Project, g.Shared, h.net.Group, g.ID)
}

func (h handlers) listGroups(c *api.Call) (map[string]any, error) {
	own := c.Caller.Project
	if c.Caller.Admin() { // asked for another project's groups, among which there is always a default
		own = cmp.Or(c.Query().Get("project_id"), c.Query().Get("tenant_id"), own)
	}
	groups := h.groups()
	groups.rows = func(ctx context.Context, q network.Query) ([]network.Group, error) {
		return h.net.Groups(ctx, q, own)
	}
	return groups.all(c)
}

func (h handlers) createGroups(c *api.Call, in groupsRequest) (map[string]any, error) {
	bodies, err := oneOrMany("security_group", in.Group, in.Groups)
	if err != nil {
		return nil, err
	}
	var list []network.NewGroup
	for _, b := range bodies {
		project, _, err := b.creates(c, "security_group", nil, b.Tags)
		if err != nil {
			return nil, err
		}
		list = append(list, network.NewGroup{
			Project: project, Name: b.Name, Description: text(b.Description), Tags: b.Tags, Stateful: truth(b.Stateful),
		})
	}
	rows, err := h.net.CreateGroups(c.Context(), list...)
	return h.groups().several(c, in.Group != nil, rows, err)
}

func (h handlers) updateGroup(c *api.Call, in groupChange) (map[string]any, error) {
	g, rev, err := h.groups().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Group
	g, err = h.net.UpdateGroup(c.Context(), scope(c), g.ID, rev, network.GroupChange{
		Name: b.Name, Description: b.Description, Stateful: truth(b.Stateful),
	})
	return h.groups().shown(c, g, err)
}

func (h handlers) deleteGroup(c *api.Call) error {
	g, rev, err := h.groups().change(c)
	if err != nil {
		return err
	}
	return h.net.DeleteGroup(c.Context(), g.ID, rev, c.Caller.Admin())
}

func (h handlers) findRule(c *api.Call) (network.Rule, error) {
	r, err := h.net.Rule(c.Context(), scope(c), c.PathValue("security_group_rule_id"))
	if err != nil {
		return network.Rule{}, err
	}
	return r, c.Authorize(target(r.Project, nil))
}

func (h handlers) listRules(c *api.Call) (map[string]any, error) {
	rules := h.rules()
	rules.rows = func(ctx context.Context, q network.Query) ([]network.Rule, error) {
		of, err := flag(c, "belongs_to_default_sg")
		if err != nil {
			return nil, err
		}
		q.OfDefault = of
		return h.net.Rules(ctx, q, c.Caller.Project)
	}
	return rules.all(c)
}

func (h handlers) createRules(c *api.Call, in rulesRequest) (map[string]any, error) {
	bodies, err := oneOrMany("security_group_rule", in.Rule, in.Rules)
	if err != nil {
		return nil, err
	}
	var list []network.Rule
	for _, b := range bodies {
		_, _, err := b.creates(c, "", nil, nil)
		if err != nil {
			return nil, err
		}
		err = b.checkPorts()
		if err != nil {
			return nil, err
		}
		list = append(list, network.Rule{
			Common: network.Common{Description: text(b.Description)}, Group: b.Group, Traffic: b.traffic(),
		})
	}
	rows, err := h.net.CreateRules(c.Context(), scope(c), list...)
	return h.rules().several(c, in.Rule != nil, rows, err)
}
