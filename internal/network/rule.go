package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Directions and ethertypes of rules.
const (
	Ingress = "ingress"
	Egress  = "egress"
	IPv4    = "IPv4"
	IPv6    = "IPv6"
)

// Rule allows traffic to or from the members of a group.
type Rule struct {
	bun.BaseModel `bun:"table:security_group_rules,alias:security_group_rules"`
	Common

	Group string `bun:"group_id"`
	Traffic

	OfDefault bool `bun:"-"` // of a default group
}

// Traffic is what a rule is about.
type Traffic struct {
	Direction       string `bun:"direction"`
	Ethertype       string `bun:"ethertype"`
	Protocol        string `bun:"protocol"` // as the user spelled it, "" for any
	PortMin         int    `bun:"port_min"` // -1 for any
	PortMax         int    `bun:"port_max"`
	RemotePrefix    string `bun:"remote_ip_prefix"`
	RemoteGroup     string `bun:"remote_group_id"`
	RemoteAddresses string `bun:"remote_address_group_id"`
}

var ruleKind = kind{name: "security_group_rule", table: "security_group_rules", missing: ruleNotFound}

func ruleNotFound(id string) error {
	return errs.NotFoundf("Security group rule %s does not exist", id).Typed("SecurityGroupRuleNotFound")
}

// rule begins the row of a rule of a group.
func (s *Service) rule(tx *db.Tx, g Group, r Rule) Rule {
	r.Common = s.common(tx, g.Project, r.Description, r.Tags.V)
	r.Revision = 0
	r.Group, r.OfDefault = g.ID, g.DefaultOf != nil
	return r
}

// protocols are the names that rules may use, with their numbers.
var protocols = map[string]int{
	"ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "igmp": 2, "ipip": 4,
	"ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
	"hopopt": 0, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}

// onlyIPv6 are protocols that IPv4 does not have.
var onlyIPv6 = []int{41, 43, 44, 58, 59, 60}

// number is a protocol's number; -1 for any, -2 for one that nobody knows.
func number(protocol string) int {
	if protocol == "" {
		return -1
	}
	n, named := protocols[protocol]
	if named {
		return n
	}
	n, err := strconv.Atoi(protocol)
	if err != nil || n < 0 || n > 255 {
		return -2
	}
	return n
}

// check checks a rule and brings it into the form it is kept in.
func (r *Traffic) check() error {
	if r.Ethertype == "" {
		r.Ethertype = IPv4
	}
	for _, known := range []string{IPv4, IPv6} {
		if strings.EqualFold(r.Ethertype, known) {
			r.Ethertype = known
		}
	}
	if r.Ethertype != IPv4 && r.Ethertype != IPv6 {
		return errs.BadRequestf("Security group rule for ethertype '%s' not supported. Allowed values are ['IPv4', 'IPv6'].", r.Ethertype).
			Typed("SecurityGroupRuleInvalidEtherType")
	}
	r.Protocol = strings.ToLower(r.Protocol)
	if r.Protocol == "any" || r.Protocol == "-1" {
		r.Protocol = ""
	}
	proto := number(r.Protocol)
	if proto == -2 {
		return errs.BadRequestf("Security group rule protocol %s not supported. Only protocol values [None, %s] and integer representations [0 to 255] are supported.",
			r.Protocol, strings.Join(slices.Sorted(func(yield func(string) bool) {
				for name := range protocols {
					if !yield(name) {
						return
					}
				}
			}), ", ")).Typed("SecurityGroupRuleInvalidProtocol")
	}
	if r.Ethertype == IPv4 && slices.Contains(onlyIPv6, proto) {
		return errs.BadRequestf("Invalid ethertype IPv4 for protocol %s.", r.Protocol).Typed("SecurityGroupEthertypeConflictWithProtocol")
	}
	if r.Ethertype == IPv6 && proto == 1 {
		r.Protocol, proto = "ipv6-icmp", 58
	}
	err := r.checkPorts(proto)
	if err != nil {
		return err
	}
	remotes := 0
	for _, remote := range []string{r.RemotePrefix, r.RemoteGroup, r.RemoteAddresses} {
		if remote != "" {
			remotes++
		}
	}
	if remotes > 1 {
		return errs.BadRequestf("Only remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.").Typed("SecurityGroupMultipleRemoteEntites")
	}
	return r.checkPrefix()
}

func (r *Traffic) checkPorts(proto int) error {
	if r.PortMin < 0 && r.PortMax < 0 {
		return nil
	}
	switch proto {
	case -1:
		return errs.BadRequestf("Must also specify protocol if port range is given.").Typed("SecurityGroupProtocolRequiredWithPorts")
	case 1, 58:
		if r.PortMin < 0 {
			return errs.BadRequestf("ICMP code (port-range-max) %d is provided but ICMP type (port-range-min) is missing.", r.PortMax).
				Typed("SecurityGroupMissingIcmpType")
		}
		for field, value := range map[string]int{"port-range-min": r.PortMin, "port-range-max": r.PortMax} {
			if value > 255 {
				return errs.BadRequestf("Invalid value for ICMP %s (%s) %d. It must be 0 to 255.",
					map[string]string{"port-range-min": "type", "port-range-max": "code"}[field], field, value).Typed("SecurityGroupInvalidIcmpValue")
			}
		}
	case 6, 17, 33, 132, 136:
		if r.PortMin == 0 || r.PortMax == 0 {
			return errs.BadRequestf("Invalid value for port %d.", 0).Typed("SecurityGroupInvalidPortValue")
		}
		if r.PortMin < 0 || r.PortMax < 0 || r.PortMin > r.PortMax {
			return errs.BadRequestf("For TCP/UDP protocols, port_range_min must be <= port_range_max").Typed("SecurityGroupInvalidPortRange")
		}
	default:
		return errs.BadRequestf("Invalid protocol %s for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.", r.Protocol).
			Typed("SecurityGroupInvalidProtocolForPort")
	}
	return nil
}

func (r *Traffic) checkPrefix() error {
	if r.RemotePrefix == "" {
		return nil
	}
	prefix, err := netip.ParsePrefix(r.RemotePrefix)
	if err != nil {
		ip, addrErr := netip.ParseAddr(r.RemotePrefix)
		if addrErr != nil {
			return badField("remote_ip_prefix", "'%s' is not a valid IP subnet", r.RemotePrefix)
		}
		prefix = netip.PrefixFrom(ip, ip.BitLen())
		r.RemotePrefix = prefix.String()
	}
	if prefix.Addr().Is4() != (r.Ethertype == IPv4) {
		return errs.BadRequestf("Conflicting value ethertype %s for CIDR %s", r.Ethertype, r.RemotePrefix).Typed("SecurityGroupRuleParameterConflict")
	}
	return nil
}

// NormalPrefix is the remote prefix without host bits.
func (r *Traffic) NormalPrefix() string {
	prefix, err := netip.ParsePrefix(r.RemotePrefix)
	if err != nil {
		return r.RemotePrefix
	}
	return prefix.Masked().String()
}

// Rule finds a rule that the scope may see.
func (s *Service) Rule(ctx context.Context, scope Scope, id string) (r Rule, err error) {
	return look(ctx, s, ruleKind, scope, id, unscoped(ofDefault))
}

// Rules lists rules.
func (s *Service) Rules(ctx context.Context, q Query, own string) (list []Rule, err error) {
	if own != "" {
		err = s.haveDefaultGroup(ctx, own)
		if err != nil {
			return nil, err
		}
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = rows[Rule](ctx, tx, ruleKind, q, func(sel *bun.SelectQuery) *bun.SelectQuery {
			if q.OfDefault == nil {
				return sel
			}
			not := ""
			if !*q.OfDefault {
				not = "NOT "
			}
			return sel.Where("group_id " + not + "IN (SELECT id FROM security_groups WHERE default_of IS NOT NULL)")
		})
		if err != nil {
			return err
		}
		return ofDefault(ctx, tx, refs(list))
	})
	return list, err
}

// ofDefault says which rules are of default groups.
func ofDefault(ctx context.Context, tx *db.Tx, list []*Rule) error {
	if len(list) == 0 {
		return nil
	}
	var ids, found []string
	for _, r := range list {
		ids = append(ids, r.Group)
	}
	err := tx.All(ctx, &found, `SELECT id FROM security_groups WHERE default_of IS NOT NULL AND id IN (?)`, db.In(distinct(ids)))
	if err != nil {
		return fmt.Errorf("look for default groups: %w", err)
	}
	for _, r := range list {
		r.OfDefault = slices.Contains(found, r.Group)
	}
	return nil
}

// CreateRules adds rules to groups that the scope may see, all or none.
func (s *Service) CreateRules(ctx context.Context, scope Scope, list ...Rule) ([]Rule, error) {
	var made []Rule
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			r, err := s.createRule(ctx, tx, scope, in)
			if err != nil {
				return err
			}
			made = append(made, r)
		}
		return nil
	})
	return made, err
}

func (s *Service) createRule(ctx context.Context, tx *db.Tx, scope Scope, in Rule) (Rule, error) {
	err := in.check()
	if err != nil {
		return Rule{}, err
	}
	g, err := readGroup(ctx, tx, in.Group)
	if err != nil {
		return Rule{}, err
	}
	if !scope.All && g.Project != scope.Project {
		return Rule{}, groupNotFound(in.Group)
	}
	if in.RemoteGroup != "" {
		err = mayName(ctx, tx, groupKind, scope, in.RemoteGroup)
		if err != nil {
			return Rule{}, err
		}
	}
	if in.RemoteAddresses != "" {
		err = mayName(ctx, tx, addressGroupKind, scope, in.RemoteAddresses)
		if err != nil {
			return Rule{}, err
		}
	}
	err = sameRule(ctx, tx, in)
	if err != nil {
		return Rule{}, err
	}
	err = reserve(ctx, tx, g.Project, quota.SecurityGroupRules(1))
	if err != nil {
		return Rule{}, err
	}
	r := s.rule(tx, g, in)
	err = tx.Insert(ctx, &r)
	if err != nil {
		return Rule{}, fmt.Errorf("insert security group rule: %w", err)
	}
	err = tell(ctx, tx, created, r)
	if err != nil {
		return Rule{}, err
	}
	return r, bumpGroup(ctx, tx, g.ID)
}

// mayName holds an object that a rule names, which the scope may see.
func mayName(ctx context.Context, tx *db.Tx, k kind, scope Scope, id string) error {
	project, err := ownerOf(ctx, tx, k, id)
	if err != nil {
		return err
	}
	may, err := k.usable(ctx, tx, scope, id, project)
	if err == nil && !may {
		return k.missing(id)
	}
	return err
}

// sameRule refuses a rule that the group has already, also when the protocol is
// spelled in another way.
func sameRule(ctx context.Context, tx *db.Tx, in Rule) error {
	var rules []Rule
	err := tx.NewSelect().Model(&rules).Where("group_id = ?", in.Group).
		Where("direction = ? AND ethertype = ? AND port_min = ? AND port_max = ?", in.Direction, in.Ethertype, in.PortMin, in.PortMax).
		Where("remote_group_id = ?", in.RemoteGroup).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for the same rule: %w", err)
	}
	for _, r := range rules {
		if r.same(in.Traffic) {
			return errs.Conflictf("Security group rule already exists. Rule id is %s.", r.ID).Typed("SecurityGroupRuleExists")
		}
	}
	return nil
}

// same tells whether both are about the same traffic.
func (r *Traffic) same(other Traffic) bool {
	return r.Direction == other.Direction && r.Ethertype == other.Ethertype && number(r.Protocol) == number(other.Protocol) &&
		r.PortMin == other.PortMin && r.PortMax == other.PortMax && r.NormalPrefix() == other.NormalPrefix() &&
		r.RemoteGroup == other.RemoteGroup && r.RemoteAddresses == other.RemoteAddresses
}

// bumpGroup raises the group's revision, since its rules are part of it.
func bumpGroup(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, `UPDATE security_groups SET revision = revision + 1, updated_at = ? WHERE id = ?`, db.At(tx.Now()), id)
	if err != nil {
		return fmt.Errorf("update security group %s: %w", id, err)
	}
	return dirty(ctx, tx, fabric.KindGroup, id)
}

// DeleteRule removes a rule.
func (s *Service) DeleteRule(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var r Rule
		err := tx.Get(ctx, &r, "SELECT * FROM security_group_rules WHERE id = ?"+tx.Hold(), id)
		if errors.Is(err, sql.ErrNoRows) {
			return ruleNotFound(id)
		}
		if err != nil {
			return fmt.Errorf("read security group rule %s: %w", id, err)
		}
		err = ofDefault(ctx, tx, []*Rule{&r})
		if err != nil {
			return err
		}
		return removeRule(ctx, tx, r)
	})
}

func removeRule(ctx context.Context, tx *db.Tx, r Rule) error {
	_, err := tx.Exec(ctx, `DELETE FROM security_group_rules WHERE id = ?`, r.ID)
	if err != nil {
		return fmt.Errorf("delete security group rule %s: %w", r.ID, err)
	}
	err = quota.Release(ctx, tx, r.Project, quota.SecurityGroupRules(1))
	if err != nil {
		return err
	}
	err = tell(ctx, tx, deleted, r)
	if err != nil {
		return err
	}
	return bumpGroup(ctx, tx, r.Group)
}
