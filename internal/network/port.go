package network

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// Owners of ports that belong to the network service itself.
const (
	OwnerRouterInterface = "network:router_interface"
	OwnerGateway         = "network:router_gateway"
	OwnerFloating        = "network:floatingip"
	OwnerDistributed     = "network:distributed" // the metadata port
)

// Port is a connection to a network.
type Port struct {
	bun.BaseModel `bun:"table:ports,alias:ports"`
	Common

	Name         string                  `bun:"name"`
	Network      string                  `bun:"network_id"`
	MAC          string                  `bun:"mac_address"`
	AdminUp      bool                    `bun:"admin_up"`
	Status       string                  `bun:"status"`
	Device       string                  `bun:"device_id"`
	Owner        string                  `bun:"device_owner"`
	PortSecurity bool                    `bun:"port_security"`
	FixedIPs     db.JSON[[]FixedIP]      `bun:"fixed_ips"`
	Groups       db.JSON[[]string]       `bun:"security_groups"`
	Pairs        db.JSON[[]AddressPair]  `bun:"allowed_pairs"`
	VNICType     string                  `bun:"vnic_type"`
	Server       string                  `bun:"server"` // whose card it is; only compute says so
	Host         string                  `bun:"host"`
	Profile      db.JSON[map[string]any] `bun:"profile"`
	DNSName      string                  `bun:"dns_name"`
	DNSDomain    string                  `bun:"dns_domain"` // where it is known outside
	DHCPOptions  db.JSON[[]DHCPOption]   `bun:"dhcp_options"`
	QoS          string                  `bun:"qos_policy_id"` // "" for the network's
	Limits       db.JSON[CardLimits]     `bun:"card_limits"`   // that its server has

	NetworkQoS string        `bun:"-"`
	Trunk      *TrunkDetails `bun:"-"` // nil: it is no trunk
}

// FixedIP is an address of a port.
type FixedIP struct {
	Subnet string `json:"subnet_id"`
	IP     string `json:"ip_address"`
}

// AddressPair is an address that a port may use besides its own.
type AddressPair struct {
	MAC string `json:"mac_address"`
	IP  string `json:"ip_address"`
}

// NewPort is a port to be made. Nil and empty fields get defaults.
type NewPort struct {
	ID                                  string
	Project, Network, Name, Description string
	Tags                                []string
	MAC                                 string
	AdminUp                             *bool
	Device, Owner                       string
	PortSecurity                        *bool
	FixedIPs                            *[]FixedIP // nil: one of each version; empty: none
	Groups                              *[]string  // nil: the project's default group
	Pairs                               []AddressPair
	VNICType, Host, QoS                 string
	DNSName, DNSDomain                  string
	DHCPOptions                         []DHCPOptionChange
	Profile                             map[string]any

	server    string // whose card it is
	uncounted bool   // not on anybody's quota
}

// PortChange says what to change. Nil stays as it is.
type PortChange struct {
	Name, Description  *string
	MAC                *string
	AdminUp            *bool
	Device, Owner      *string
	PortSecurity       *bool
	FixedIPs           *[]FixedIP
	Groups             *[]string
	Pairs              *[]AddressPair
	VNICType, Host     *string
	DNSName, DNSDomain *string
	DHCPOptions        []DHCPOptionChange
	QoS                *string
	Profile            *map[string]any
}

func portNotFound(id string) error {
	return errs.NotFoundf("Port %s could not be found.", id).Typed("PortNotFound")
}

func visiblePorts(q *bun.SelectQuery, s Scope) *bun.SelectQuery {
	return q.Where(`(ports.project_id = ? OR ports.network_id IN (SELECT id FROM networks WHERE project_id = ?))`, s.Project, s.Project)
}

var portKind = kind{name: "port", table: "ports", missing: portNotFound, visible: visiblePorts, onNetwork: true}

// Port finds a port that the scope may see, with its network.
func (s *Service) Port(ctx context.Context, scope Scope, id string) (p Port, on Network, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = one[Port](ctx, tx, portKind, scope, id)
		if err != nil {
			return err
		}
		on, err = networkFor(ctx, tx, scope, p.Network)
		if err != nil {
			return err
		}
		return describePorts(ctx, tx, []*Port{&p})
	})
	return p, on, err
}

// Ports lists ports. Query.In knows ip_address, ip_prefix and subnet_id, which
// narrow by fixed_ips, and security_groups.
func (s *Service) Ports(ctx context.Context, q Query) (list []Port, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		sel := portKind.see(tx.NewSelect().Model(&list), q.Scope)
		for _, column := range []string{"ip_address", "subnet_id"} {
			if len(q.In[column]) > 0 {
				sel = sel.Where("ports.id IN (SELECT port_id FROM port_ips WHERE ? IN (?))", bun.Ident(column), db.In(q.In[column]))
			}
		}
		if part := q.In["ip_prefix"]; len(part) > 0 {
			sel = sel.Where(`ports.id IN (SELECT port_id FROM port_ips WHERE ip_address LIKE ? ESCAPE '\')`, db.AnyCase(db.Like(part[0])))
		}
		if len(q.In["security_groups"]) > 0 {
			sel = sel.Where("ports.id IN (SELECT port_id FROM port_groups WHERE group_id IN (?))", db.In(q.In["security_groups"]))
		}
		err = page(ctx, tx, sel, "ports", q, &list, portNotFound)
		if err != nil {
			return err
		}
		refs := make([]*Port, len(list))
		for i := range list {
			refs[i] = &list[i]
		}
		return describePorts(ctx, tx, refs)
	})
	return list, err
}

// describePorts fills in what ports show of other rows.
func describePorts(ctx context.Context, tx *db.Tx, list []*Port) error {
	if len(list) == 0 {
		return nil
	}
	networks := make([]string, len(list))
	for i, p := range list {
		networks[i] = p.Network
	}
	policies, err := networkPolicies(ctx, tx, distinct(networks))
	if err != nil {
		return err
	}
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	trunks, err := trunkDetails(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, p := range list {
		p.NetworkQoS, p.Trunk = policies[p.Network], trunks[p.ID]
	}
	return nil
}

func readPort(ctx context.Context, tx *db.Tx, id string) (Port, error) {
	var p Port
	err := tx.Get(ctx, &p, "SELECT * FROM ports WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Port{}, portNotFound(id)
	}
	if err != nil {
		return Port{}, fmt.Errorf("read port %s: %w", id, err)
	}
	return p, nil
}

// CreatePorts makes ports on networks that the scope may see, all or none.
func (s *Service) CreatePorts(ctx context.Context, scope Scope, list ...NewPort) ([]Port, error) {
	var made []Port
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			if ours(in.Owner) {
				return notYours(in.Device)
			}
			n, err := seenNetwork(ctx, tx, scope, in.Network)
			if err != nil {
				return err
			}
			p, err := s.createPort(ctx, tx, scope, n, in)
			if err != nil {
				return err
			}
			made = append(made, p)
		}
		return nil
	})
	return made, err
}

func (s *Service) createPort(ctx context.Context, tx *db.Tx, scope Scope, n Network, in NewPort) (Port, error) {
	p := Port{
		Common: s.common(tx, in.Project, in.Description, in.Tags),
		Name:   in.Name, Network: n.ID, AdminUp: or(in.AdminUp, true), Status: "DOWN", Device: in.Device, Owner: in.Owner,
		PortSecurity: or(in.PortSecurity, n.PortSecurity), Pairs: db.Of(list(in.Pairs)),
		VNICType: in.VNICType, Server: in.server, Host: in.Host, Profile: db.Of(in.Profile), DNSName: in.DNSName, DNSDomain: in.DNSDomain,
		QoS: in.QoS, NetworkQoS: n.QoS,
	}
	if in.ID != "" {
		p.ID = in.ID
	}
	if p.VNICType == "" {
		p.VNICType = "normal"
	}
	if p.Profile.V == nil {
		p.Profile.V = map[string]any{}
	}
	if isService(p.Owner) && in.PortSecurity == nil {
		p.PortSecurity = false
	}
	err := usablePolicy(ctx, tx, scope, p.QoS)
	if err != nil {
		return Port{}, err
	}
	err = p.options(in.DHCPOptions)
	if err != nil {
		return Port{}, err
	}
	mac, err := chooseMAC(ctx, tx, n, in.MAC)
	if err != nil {
		return Port{}, err
	}
	p.MAC = mac
	chosen, err := s.chooseAddresses(ctx, tx, n, in.FixedIPs, p.MAC, p.Owner, nil)
	if err != nil {
		return Port{}, err
	}
	p.FixedIPs = db.Of(fixed(chosen))
	p.Groups, err = s.chooseGroups(ctx, tx, scope, p, in.Groups)
	if err != nil {
		return Port{}, err
	}
	err = p.check()
	if err != nil {
		return Port{}, err
	}
	err = tx.Insert(ctx, &p)
	if err != nil {
		return Port{}, fmt.Errorf("insert port: %w", err)
	}
	for _, c := range chosen {
		err = takeAddress(ctx, tx, p.ID, c.FixedIP, c.cidr)
		if err != nil {
			return Port{}, err
		}
	}
	err = joinGroups(ctx, tx, p)
	if err != nil {
		return Port{}, err
	}
	err = portDirty(ctx, tx, created, p)
	if err != nil || in.uncounted {
		return p, err
	}
	// Last, since from here on the project's other ports wait for the commit.
	return p, reserve(ctx, tx, in.Project, quota.Ports(1))
}

// ours tells whether ports of that owner are made by the service alone.
func ours(owner string) bool {
	return slices.Contains([]string{OwnerRouterInterface, OwnerGateway, OwnerFloating, OwnerDistributed}, owner)
}

// notYours refuses to let a port pass for one of the service's own, which would
// make it a part of somebody's router.
func notYours(device string) error {
	return errs.Conflictf("The following device_id %s is not owned by your tenant or matches another tenants router.", device).
		Typed("DeviceIDNotOwnedByTenant")
}

// isService tells whether the owner is the network service itself.
func isService(owner string) bool { return strings.HasPrefix(owner, "network:") }

func fixed(chosen []choice) []FixedIP {
	out := make([]FixedIP, len(chosen))
	for i, c := range chosen {
		out[i] = c.FixedIP
	}
	return out
}

// chooseMAC checks the address asked for, or makes one.
func chooseMAC(ctx context.Context, tx *db.Tx, n Network, asked string) (string, error) {
	if asked != "" {
		m, err := net.ParseMAC(asked)
		if err != nil || len(m) != 6 || m[0]&1 != 0 {
			return "", badField("mac_address", "'%s' is not a valid MAC address", asked)
		}
		free, err := freeMAC(ctx, tx, n.ID, m.String())
		if err != nil {
			return "", err
		}
		if !free {
			return "", errs.Conflictf("Unable to complete operation for network %s. The mac address %s is in use.", n.ID, asked).Typed("MacAddressInUse")
		}
		return m.String(), nil
	}
	for range 16 {
		m := RandomMAC()
		free, err := freeMAC(ctx, tx, n.ID, m)
		if err != nil || free {
			return m, err
		}
	}
	return "", errs.Unavailablef("Unable to generate unique mac on network %s.", n.ID).Typed("MacAddressGenerationFailure")
}

func freeMAC(ctx context.Context, tx *db.Tx, network, mac string) (bool, error) {
	var n int
	err := tx.Get(ctx, &n, `SELECT COUNT(*) FROM ports WHERE network_id = ? AND mac_address = ?`, network, mac)
	if err != nil {
		return false, fmt.Errorf("look up MAC address %s: %w", mac, err)
	}
	return n == 0, nil
}

// RandomMAC makes an address with OpenStack's prefix.
func RandomMAC() string {
	m := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0}
	_, err := rand.Read(m[3:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return m.String()
}

// chooseGroups checks the groups asked for; nil is the default group, for
// ports that can have one.
func (s *Service) chooseGroups(ctx context.Context, tx *db.Tx, scope Scope, p Port, asked *[]string) (db.JSON[[]string], error) {
	none := db.Of([]string{})
	switch {
	case asked == nil && (!p.PortSecurity || isService(p.Owner)):
		return none, nil
	case asked == nil:
		id, err := s.ensureDefaultGroup(ctx, tx, p.Project)
		return db.Of([]string{id}), err
	case len(*asked) == 0:
		return none, nil
	case !p.PortSecurity:
		return none, errs.BadRequestf("Port security must be enabled and port must have an IP address in order to use security groups.").
			Typed("PortSecurityAndIPRequiredForSecurityGroups")
	}
	ids := slices.Compact(slices.Sorted(slices.Values(*asked)))
	var known []Group
	query, args := `SELECT * FROM security_groups WHERE id IN (?)`, []any{db.In(ids)}
	if !scope.All {
		query += ` AND (project_id IN (?, ?) OR id IN (SELECT object_id FROM rbac_policies WHERE object_type = 'security_group' AND target IN ('*', ?, ?)))`
		args = append(args, scope.Project, p.Project, scope.Project, p.Project)
	}
	err := tx.All(ctx, &known, query, args...)
	if err != nil {
		return none, fmt.Errorf("look up security groups: %w", err)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(known, func(g Group) bool { return g.ID == id }) {
			return none, groupNotFound(id)
		}
	}
	for _, g := range known {
		if g.Stateful != known[0].Stateful {
			return none, errs.Conflictf("Error Cannot apply both stateful and stateless security groups on the same port at the same time while attempting the operation.").
				Typed("SecurityGroupConflict")
		}
	}
	return db.Of(ids), nil
}

func joinGroups(ctx context.Context, tx *db.Tx, p Port) error {
	for _, g := range p.Groups.V {
		_, err := tx.Exec(ctx, `INSERT INTO port_groups (port_id, group_id) VALUES (?, ?)`, p.ID, g)
		if err != nil {
			return fmt.Errorf("join security group: %w", err)
		}
	}
	return nil
}

// check checks what doesn't depend on other rows.
func (p *Port) check() error {
	if len(p.Pairs.V) > 0 && !p.PortSecurity {
		return errs.Conflictf("Port Security must be enabled in order to have allowed address pairs on a port.").Typed("AddressPairAndPortSecurityRequired")
	}
	if len(p.Groups.V) > 0 && !p.PortSecurity {
		return errs.Conflictf("Port has security group associated. Cannot disable port security or IP address until security group is removed.").
			Typed("PortSecurityPortHasSecurityGroup")
	}
	err := checkNames(p.DNSName, p.DNSDomain)
	if err != nil {
		return err
	}
	const mostPairs = 10 // Neutron's max_allowed_address_pair
	if len(p.Pairs.V) > mostPairs {
		return errs.BadRequestf("The number of allowed address pair exceeds the maximum %d.", mostPairs).Typed("AllowedAddressPairExhausted")
	}
	seen := map[AddressPair]bool{}
	for i, pair := range p.Pairs.V {
		prefix, err := netip.ParsePrefix(pair.IP)
		ip := prefix.Addr()
		if err != nil {
			ip, err = netip.ParseAddr(pair.IP)
		}
		if err != nil || ip.Zone() != "" {
			return badField("allowed_address_pairs", "'%s' is not a valid IP address", pair.IP)
		}
		if ip.IsMulticast() {
			return badField("allowed_address_pairs", "'%s' is a multicast address", pair.IP)
		}
		if pair.MAC == "" {
			pair.MAC = p.MAC
		}
		m, err := net.ParseMAC(pair.MAC)
		if err != nil {
			return badField("allowed_address_pairs", "'%s' is not a valid MAC address", pair.MAC)
		}
		pair.MAC = m.String()
		if seen[pair] {
			return errs.BadRequestf("Request contains duplicate address pair: mac_address %s ip_address %s.", pair.MAC, pair.IP).Typed("DuplicateAddressPairInRequest")
		}
		seen[pair] = true
		p.Pairs.V[i] = pair
	}
	return nil
}

// DeletePort removes a port that is not the network service's own.
func (s *Service) DeletePort(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPort(ctx, tx, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		switch p.Owner {
		case OwnerRouterInterface, OwnerGateway, OwnerFloating:
			return errs.Conflictf("Port %s cannot be deleted directly via the port API: has device owner %s.", id, p.Owner).Typed("ServicePortInUse")
		}
		err = notTrunked(ctx, tx, p)
		if err != nil {
			return err
		}
		return removePort(ctx, tx, p)
	})
}

// removePort deletes a port, gives back what it had, and frees its floating IPs
// and the ports of its trunk.
func removePort(ctx context.Context, tx *db.Tx, p Port) error {
	err := freeFloating(ctx, tx, p.ID, "")
	if err != nil {
		return err
	}
	err = leaveTrunk(ctx, tx, p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM ports WHERE id = ?`, p.ID)
	if err != nil {
		return fmt.Errorf("delete port %s: %w", p.ID, err)
	}
	if p.counted() {
		err = quota.Release(ctx, tx, p.Project, quota.Ports(1))
		if err != nil {
			return err
		}
	}
	if p.Device != "" {
		work.Wake(tx, p.Device)
	}
	return portDirty(ctx, tx, deleted, p)
}

// counted tells whether the port is on its project's quota.
func (p *Port) counted() bool { return p.Project != "" && p.Owner != OwnerDistributed }

// portDirty tells of a change and notes what of the fabric depends on the port.
func portDirty(ctx context.Context, tx *db.Tx, change string, p Port) error {
	err := tell(ctx, tx, change, p)
	if err != nil {
		return err
	}
	switch p.Owner {
	case OwnerRouterInterface, OwnerGateway:
		return dirty(ctx, tx, fabric.KindRouter, p.Device)
	case OwnerFloating:
		return nil
	case OwnerDistributed:
		err := dirty(ctx, tx, fabric.KindNetwork, p.Network)
		if err != nil {
			return err
		}
	}
	return dirty(ctx, tx, fabric.KindPort, p.ID)
}
