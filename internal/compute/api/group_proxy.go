package api

import (
	"net/netip"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// untilNetwork is the last microversion that passes calls on to the network
// service; untilActions is that of the actions that do.
var (
	untilNetwork = api.V(2, 35)
	untilActions = api.V(2, 43)
)

// groupProxyRoutes is security groups, which the network service has, and
// which of them a server is in.
func (h handlers) groupProxyRoutes() []api.Route {
	const path, action = "/os-security-groups", "/servers/{server_id}/action"
	return []api.Route{
		{Method: "GET", Path: path, Until: untilNetwork, Rule: "os_compute_api:os-security-groups:get", Do: api.Get(h.listGroupDetails)},
		{Method: "POST", Path: path, Until: untilNetwork, Rule: "os_compute_api:os-security-groups:create", Do: api.Body(h.createGroup)},
		{Method: "GET", Path: path + "/{security_group_id}", Until: untilNetwork, Rule: "os_compute_api:os-security-groups:show", Do: api.Get(h.showGroup)},
		{Method: "PUT", Path: path + "/{security_group_id}", Until: untilNetwork, Rule: "os_compute_api:os-security-groups:update", Do: api.Body(h.updateGroup)},
		{Method: "DELETE", Path: path + "/{security_group_id}", Until: untilNetwork, Rule: "os_compute_api:os-security-groups:delete", OK: 202, Do: api.Empty(h.deleteGroup)},
		{Method: "POST", Path: "/os-security-group-rules", Until: untilNetwork, Rule: "os_compute_api:os-security-groups:rule:create", Do: api.Body(h.createRule)},
		{Method: "DELETE", Path: "/os-security-group-rules/{security_group_rule_id}", Until: untilNetwork, Rule: "os_compute_api:os-security-groups:rule:delete", OK: 202, Do: api.Empty(h.deleteRule)},
		{Method: "POST", Path: action, Action: "addSecurityGroup", Rule: "os_compute_api:os-security-groups:add", OK: 202, Do: api.BodyEmpty(h.addGroup)},
		{Method: "POST", Path: action, Action: "removeSecurityGroup", Rule: "os_compute_api:os-security-groups:remove", OK: 202, Do: api.BodyEmpty(h.removeGroup)},
	}
}

// passedOn words a refusal of the network service as Nova does, which knows
// no conflicts here but full quotas.
func passedOn(err error) error {
	e, classified := errs.As(err)
	switch {
	case !classified || e.Kind != errs.Conflict:
		return err
	case e.Type == "OverQuota":
		return errs.Forbiddenf("%s", e.Message).Because(err)
	}
	return errs.BadRequestf("%s", e.Message).Because(err)
}

type groupView struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Project     string     `json:"tenant_id"`
	Rules       []ruleView `json:"rules"`
}

type ruleView struct {
	ID       string         `json:"id"`
	Parent   string         `json:"parent_group_id"`
	Protocol *string        `json:"ip_protocol"`
	From     *int           `json:"from_port"`
	To       *int           `json:"to_port"`
	Range    ruleRange      `json:"ip_range"`
	Group    ruleGroupOfRow `json:"group"`
}

type ruleRange struct {
	CIDR string `json:"cidr,omitempty"`
}

type ruleGroupOfRow struct {
	Name    string `json:"name,omitempty"`
	Project string `json:"tenant_id,omitempty"`
}

func viewRule(r compute.GroupRule) ruleView {
	v := ruleView{ID: r.ID, Parent: r.Group, Protocol: orNull(r.Protocol), From: r.From, To: r.To}
	if r.Remote == "" {
		v.Range.CIDR = r.CIDR
		return v
	}
	v.Group = ruleGroupOfRow{r.RemoteName, r.RemoteProject}
	return v
}

func viewGroup(g compute.GroupDetails) groupView {
	v := groupView{ID: g.ID, Name: g.Name, Description: g.Description, Project: g.Project, Rules: []ruleView{}}
	for _, r := range g.Rules {
		v.Rules = append(v.Rules, viewRule(r))
	}
	return v
}

type groupDetailsReply struct {
	Groups []groupView `json:"security_groups"`
}

type groupReply struct {
	Group groupView `json:"security_group"`
}

func (h handlers) listGroupDetails(c *api.Call) (groupDetailsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return groupDetailsReply{}, err
	}
	_, all := c.Query()["all_tenants"]
	list, err := h.compute.Proxy().Groups(c.Context(), c.Caller, all && c.Caller.Admin())
	reply := groupDetailsReply{Groups: []groupView{}}
	for _, g := range list {
		reply.Groups = append(reply.Groups, viewGroup(g))
	}
	return reply, err
}

type groupChange struct {
	Group struct {
		Name        string `json:"name" check:"required,min=1,max=255"`
		Description string `json:"description" check:"required,max=255"`
	} `json:"security_group" check:"required"`
}

func (h handlers) createGroup(c *api.Call, in groupChange) (groupReply, error) {
	err := inProject(c)
	if err != nil {
		return groupReply{}, err
	}
	if strings.TrimSpace(in.Group.Name) == "" {
		return groupReply{}, errs.BadRequestf("Security group name cannot be empty")
	}
	g, err := h.compute.Proxy().CreateGroup(c.Context(), c.Caller, in.Group.Name, in.Group.Description)
	if err != nil {
		return groupReply{}, passedOn(err)
	}
	c.Log("security_group_id", g.ID)
	return groupReply{viewGroup(g)}, nil
}

// group finds the call's security group and authorizes the call for it.
func (h handlers) group(c *api.Call) (compute.GroupDetails, error) {
	id, err := networkID(c, "security_group_id", "Security group id")
	if err != nil {
		return compute.GroupDetails{}, err
	}
	g, err := h.compute.Proxy().Group(c.Context(), c.Caller, id)
	if err != nil {
		return compute.GroupDetails{}, err
	}
	return g, c.Authorize(auth.Target{Project: g.Project})
}

// networkID reads the id of something that the network service has.
func networkID(c *api.Call, parameter, name string) (string, error) {
	id := c.PathValue(parameter)
	if !uuidLike(id) {
		return "", errs.BadRequestf("%s should be uuid", name)
	}
	c.Log(parameter, id)
	return id, nil
}

func (h handlers) showGroup(c *api.Call) (groupReply, error) {
	g, err := h.group(c)
	return groupReply{viewGroup(g)}, err
}

func (h handlers) updateGroup(c *api.Call, in groupChange) (groupReply, error) {
	g, err := h.group(c)
	if err != nil {
		return groupReply{}, err
	}
	g, err = h.compute.Proxy().UpdateGroup(c.Context(), c.Caller, g.ID, in.Group.Name, in.Group.Description)
	return groupReply{viewGroup(g)}, passedOn(err)
}

func (h handlers) deleteGroup(c *api.Call) error {
	g, err := h.group(c)
	if err != nil {
		return err
	}
	return passedOn(h.compute.Proxy().DeleteGroup(c.Context(), c.Caller, g.ID))
}

type createRuleRequest struct {
	Rule struct {
		Parent   string  `json:"parent_group_id" check:"required"`
		Protocol *string `json:"ip_protocol"`
		From     *portNo `json:"from_port"`
		To       *portNo `json:"to_port"`
		CIDR     *string `json:"cidr"`
		Group    *string `json:"group_id"`

		_ struct{} `check:"open"`
	} `json:"security_group_rule" check:"required"`
}

// portNo is the number of a port, or of an ICMP type, perhaps sent as text.
type portNo int

// JSONSchema implements api.Schemer.
func (portNo) JSONSchema() map[string]any { return bootIndex(0).JSONSchema() }

// UnmarshalJSON implements json.Unmarshaler.
func (n *portNo) UnmarshalJSON(b []byte) error { return (*integer)(n).UnmarshalJSON(b) }

type createdRuleReply struct {
	Rule ruleView `json:"security_group_rule"`
}

func (h handlers) createRule(c *api.Call, in createRuleRequest) (createdRuleReply, error) {
	r := in.Rule
	if !uuidLike(r.Parent) {
		return createdRuleReply{}, errs.BadRequestf("Security group id should be uuid")
	}
	g, err := h.compute.Proxy().Group(c.Context(), c.Caller, r.Parent)
	if err != nil {
		return createdRuleReply{}, err
	}
	err = c.Authorize(auth.Target{Project: g.Project})
	if err != nil {
		return createdRuleReply{}, err
	}
	rule := compute.GroupRule{Group: g.ID, From: (*int)(r.From), To: (*int)(r.To)}
	if r.Protocol != nil {
		rule.Protocol = strings.ToLower(*r.Protocol)
	}
	if r.Group != nil && *r.Group != "" {
		rule.Remote = *r.Group
	}
	err = checkRule(&rule, r.CIDR)
	if err != nil {
		return createdRuleReply{}, err
	}
	rule, err = h.compute.Proxy().CreateRule(c.Context(), c.Caller, rule)
	if err != nil {
		return createdRuleReply{}, passedOn(err)
	}
	c.Log("security_group_rule_id", rule.ID)
	return createdRuleReply{viewRule(rule)}, nil
}

// checkRule checks what Nova checks itself, and fills in what it does.
func checkRule(rule *compute.GroupRule, cidr *string) error {
	if rule.Remote == "" {
		rule.CIDR = "0.0.0.0/0"
		if cidr != nil && *cidr != "" {
			rule.CIDR = *cidr
		}
		_, err := netip.ParsePrefix(rule.CIDR)
		if err != nil {
			return errs.BadRequestf("Invalid cidr %s.", rule.CIDR)
		}
	}
	switch rule.Protocol {
	case "tcp", "udp", "icmp":
	case "":
		if rule.Remote != "" && rule.From == nil && rule.To == nil {
			return nil
		}
		return errs.BadRequestf("Invalid IP protocol None.")
	default:
		return errs.BadRequestf("Invalid IP protocol %s.", rule.Protocol)
	}
	if rule.From == nil || rule.To == nil {
		if rule.Remote != "" && rule.From == nil && rule.To == nil {
			return nil
		}
		return errs.BadRequestf("Not enough parameters to build a valid rule.")
	}
	from, to := *rule.From, *rule.To
	if rule.Protocol == "icmp" {
		if from < -1 || from > 255 || to < -1 || to > 255 || (from == -1 && to != -1) {
			return errs.BadRequestf("Invalid port range %d:%d. For ICMP, the type:code must be valid", from, to)
		}
		return nil
	}
	switch {
	case from > to:
		return errs.BadRequestf("Invalid port range %d:%d. Former value cannot be greater than the later", from, to)
	case from < 1 || to > 65535:
		return errs.BadRequestf("Invalid port range %d:%d. Valid TCP ports should be between 1-65535", from, to)
	}
	return nil
}

func (h handlers) deleteRule(c *api.Call) error {
	id, err := networkID(c, "security_group_rule_id", "Security group rule id")
	if err != nil {
		return err
	}
	_, project, err := h.compute.Proxy().Rule(c.Context(), c.Caller, id)
	if err != nil {
		return err
	}
	err = c.Authorize(auth.Target{Project: project})
	if err != nil {
		return err
	}
	return passedOn(h.compute.Proxy().DeleteRule(c.Context(), id))
}

type namedGroup struct {
	Name string `json:"name" check:"required,min=1"`
}

type addGroupRequest struct {
	Group namedGroup `json:"addSecurityGroup" check:"required"`
}

func (h handlers) addGroup(c *api.Call, in addGroupRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.AddGroup(c.Context(), act(c, server), c.Caller, in.Group.Name)
}

type removeGroupRequest struct {
	Group namedGroup `json:"removeSecurityGroup" check:"required"`
}

func (h handlers) removeGroup(c *api.Call, in removeGroupRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.RemoveGroup(c.Context(), act(c, server), c.Caller, in.Group.Name)
}
