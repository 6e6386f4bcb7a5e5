package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// FloatingIP is an external address that leads to a port.
type FloatingIP struct {
	bun.BaseModel `bun:"table:floating_ips,alias:floating_ips"`
	Common

	Network   string `bun:"network_id"`
	Port      string `bun:"port_id"` // holds the address
	Address   string `bun:"address"`
	MAC       string `bun:"mac_address"`
	FixedPort string `bun:"fixed_port"` // "" for none
	FixedIP   string `bun:"fixed_ip"`
	Router    string `bun:"router_id"`
	Status    string `bun:"status"`
	DNSName   string `bun:"dns_name"`
	DNSDomain string `bun:"dns_domain"`
	QoS       string `bun:"qos_policy_id"` // "" for the external network's

	Details     *FixedPortDetails `bun:"-"`
	Forwardings []Forwarding      `bun:"-"`
	NetworkQoS  string            `bun:"-"`
}

// FixedPortDetails describe the port that a floating IP leads to.
type FixedPortDetails struct {
	Name    string `bun:"name" json:"name"`
	Network string `bun:"network_id" json:"network_id"`
	MAC     string `bun:"mac_address" json:"mac_address"`
	AdminUp bool   `bun:"admin_up" json:"admin_state_up"`
	Status  string `bun:"status" json:"status"`
	Device  string `bun:"device_id" json:"device_id"`
	Owner   string `bun:"device_owner" json:"device_owner"`
}

// NewFloatingIP is a floating IP to be made.
type NewFloatingIP struct {
	Project, Network, Description string
	Tags                          []string
	Subnet, Address               string // "" for any
	FixedPort, FixedIP            string // "" for none
	DNSName, DNSDomain            string
	QoS                           string // "" for the external network's
}

// FloatingIPChange says what to change. Nil stays as it is.
type FloatingIPChange struct {
	Description *string
	FixedPort   *string // "" for none
	FixedIP     string
	QoS         *string
}

func floatingNotFound(id string) error {
	return errs.NotFoundf("Floating IP %s could not be found", id).Typed("FloatingIPNotFound")
}

func badFloating(format string, args ...any) error {
	return errs.BadRequestf("Bad floatingip request: %s.", fmt.Sprintf(format, args...)).Typed("BadRequest")
}

var floatingKind = kind{name: "floatingip", table: "floating_ips", missing: floatingNotFound}

// FloatingIP finds a floating IP that the scope may see.
func (s *Service) FloatingIP(ctx context.Context, scope Scope, id string) (f FloatingIP, err error) {
	return look(ctx, s, floatingKind, scope, id, unscoped(withDetails))
}

// FloatingIPs lists floating IPs.
func (s *Service) FloatingIPs(ctx context.Context, q Query) (list []FloatingIP, err error) {
	return browse(ctx, s, floatingKind, q, unscoped(withDetails))
}

// withDetails fills in what floating IPs show of other rows: where they lead,
// whole or in part, and their networks' policies.
func withDetails(ctx context.Context, tx *db.Tx, list []*FloatingIP) error {
	if len(list) == 0 {
		return nil
	}
	err := withForwardings(ctx, tx, list)
	if err != nil {
		return err
	}
	var ids, networks []string
	for _, f := range list {
		networks = append(networks, f.Network)
	}
	policies, err := networkPolicies(ctx, tx, distinct(networks))
	if err != nil {
		return err
	}
	for _, f := range list {
		f.NetworkQoS = policies[f.Network]
	}
	for _, f := range list {
		if f.FixedPort != "" {
			ids = append(ids, f.FixedPort)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		ID string `bun:"id"`
		FixedPortDetails
	}
	err = tx.All(ctx, &rows, `
		SELECT id, name, network_id, mac_address, admin_up, status, device_id, device_owner FROM ports WHERE id IN (?)`, db.In(ids))
	if err != nil {
		return fmt.Errorf("read ports of floating IPs: %w", err)
	}
	byID := map[string]*FixedPortDetails{}
	for i := range rows {
		byID[rows[i].ID] = &rows[i].FixedPortDetails
	}
	for _, f := range list {
		f.Details = byID[f.FixedPort]
	}
	return nil
}

func readFloating(ctx context.Context, tx *db.Tx, id string) (FloatingIP, error) {
	var f FloatingIP
	err := tx.Get(ctx, &f, "SELECT * FROM floating_ips WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return FloatingIP{}, floatingNotFound(id)
	}
	if err != nil {
		return FloatingIP{}, fmt.Errorf("read floating IP %s: %w", id, err)
	}
	return f, nil
}

// FloatingPools lists the IPv4 subnets of external networks that the scope may see.
func (s *Service) FloatingPools(ctx context.Context, scope Scope) (list []Subnet, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		external := networkKind.see(tx.NewSelect().Table("networks").Column("id"), scope).Where("networks.external = 1")
		err := tx.NewSelect().Model(&list).Where("ip_version = 4 AND network_id IN (?)", external).Order("created_at", "id").Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list floating IP pools: %w", err)
	}
	return list, nil
}

// CreateFloatingIP takes an address of an external network.
func (s *Service) CreateFloatingIP(ctx context.Context, scope Scope, in NewFloatingIP) (FloatingIP, error) {
	var f FloatingIP
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := seenNetwork(ctx, tx, scope, in.Network)
		if err != nil {
			return err
		}
		if !n.External {
			return badFloating("Network %s is not a valid external network", n.ID)
		}
		err = checkNames(in.DNSName, in.DNSDomain)
		if err != nil {
			return err
		}
		if (in.DNSName == "") != (in.DNSDomain == "") {
			return badFloating("dns_domain and dns_name go together")
		}
		err = reserve(ctx, tx, in.Project, quota.FloatingIPs(1))
		if err != nil {
			return err
		}
		f = FloatingIP{Common: s.common(tx, in.Project, in.Description, in.Tags), Network: n.ID, Status: "DOWN", DNSName: in.DNSName, DNSDomain: in.DNSDomain, QoS: in.QoS}
		err = usablePolicy(ctx, tx, scope, f.QoS)
		if err != nil {
			return err
		}
		asked, err := askedFloating(ctx, tx, n, in)
		if err != nil {
			return err
		}
		p, err := s.createPort(ctx, tx, Scope{All: true}, n, NewPort{
			Network: n.ID, Device: f.ID, Owner: OwnerFloating, FixedIPs: &asked, uncounted: true,
		})
		if err != nil {
			return err
		}
		f.Port, f.MAC, f.Address = p.ID, p.MAC, p.FixedIPs.V[0].IP
		if in.FixedPort != "" {
			err = s.associate(ctx, tx, scope, &f, in.FixedPort, in.FixedIP)
			if err != nil {
				return err
			}
		} else if in.FixedIP != "" {
			return badFloating("fixed_ip_address cannot be specified without a port_id")
		}
		err = tx.Insert(ctx, &f)
		if err != nil {
			return fmt.Errorf("insert floating IP: %w", err)
		}
		err = withDetails(ctx, tx, []*FloatingIP{&f})
		if err != nil {
			return err
		}
		return tell(ctx, tx, created, f)
	})
	return f, err
}

// askedFloating turns what the client asked for into the address of a port: one
// IPv4 address.
func askedFloating(ctx context.Context, tx *db.Tx, n Network, in NewFloatingIP) ([]FixedIP, error) {
	if in.Address != "" {
		return []FixedIP{{Subnet: in.Subnet, IP: in.Address}}, nil
	}
	subnets, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return nil, err
	}
	for _, sub := range subnets {
		if (in.Subnet == "" && sub.IPVersion == 4 && sub.serves(OwnerFloating)) || in.Subnet == sub.ID {
			return []FixedIP{{Subnet: sub.ID}}, nil
		}
	}
	if in.Subnet != "" {
		return nil, invalid("Failed to create port on network %s, because fixed_ips included invalid subnet %s", n.ID, in.Subnet)
	}
	return nil, badFloating("Network %s does not contain any IPv4 subnet", n.ID)
}

// associate points the floating IP at an address of a port.
func (s *Service) associate(ctx context.Context, tx *db.Tx, scope Scope, f *FloatingIP, port, ip string) error {
	p, err := readPort(ctx, tx, port)
	if err != nil {
		return err
	}
	if !scope.All && p.Project != scope.Project {
		n, err := readNetwork(ctx, tx, p.Network)
		if err == nil && n.Project == scope.Project {
			return badFloating("Cannot process floating IP association with Port %s, since that port is owned by a different project", port)
		}
		return portNotFound(port)
	}
	at := slices.IndexFunc(p.FixedIPs.V, func(fixed FixedIP) bool {
		if ip != "" {
			return fixed.IP == ip
		}
		return netip.MustParseAddr(fixed.IP).Is4()
	})
	switch {
	case at < 0 && ip != "":
		return badFloating("Port %s does not have fixed ip %s", port, ip)
	case at < 0:
		return badFloating("Cannot add floating IP to port %s that has no fixed IPv4 addresses", port)
	}
	target := p.FixedIPs.V[at]
	var taken []string
	err = tx.All(ctx, &taken, `SELECT id FROM floating_ips WHERE fixed_port = ? AND fixed_ip = ? AND network_id = ? AND id <> ?`,
		port, target.IP, f.Network, f.ID)
	if err != nil {
		return fmt.Errorf("look for floating IPs of port %s: %w", port, err)
	}
	if len(taken) > 0 {
		return floatingTaken(*f, port, target.IP)
	}
	err = notForwarded(ctx, tx, *f, port, target.IP)
	if err != nil {
		return err
	}
	err = lockFloating(ctx, tx)
	if err != nil {
		return err
	}
	router, err := routerTo(ctx, tx, target.Subnet, f.Network)
	if err != nil {
		return err
	}
	if router == "" {
		return errs.NotFoundf("External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.",
			f.Network, target.Subnet, port).Typed("ExternalGatewayForFloatingIPNotFound")
	}
	err = dirty(ctx, tx, fabric.KindRouter, f.Router, router)
	if err != nil {
		return err
	}
	f.FixedPort, f.FixedIP, f.Router, f.Status = port, target.IP, router, "ACTIVE"
	return nil
}

func floatingTaken(f FloatingIP, port, ip string) error {
	return errs.Conflictf("Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that fixed IP already has a floating IP on external network %s.",
		f.Address, f.ID, port, ip, f.Network).Typed("FloatingIPPortAlreadyAssociated")
}

// lockFloating makes sure that the ways of floating IPs stay as they are: no
// router loses the interface or the gateway that another transaction decides by.
func lockFloating(ctx context.Context, tx *db.Tx) error {
	return tx.Lock(ctx, "ways of floating IPs")
}

// routerTo finds the router that joins the subnet and the external network; the
// one that is the subnet's gateway comes first.
func routerTo(ctx context.Context, tx *db.Tx, subnet, external string) (string, error) {
	var routers []string
	err := tx.All(ctx, &routers, `
		SELECT r.id FROM routers AS r
		JOIN ports AS p ON p.device_id = r.id AND p.device_owner = ?
		JOIN port_ips AS i ON i.port_id = p.id
		JOIN subnets AS s ON s.id = i.subnet_id
		WHERE i.subnet_id = ? AND r.gateway_network = ?
		ORDER BY CASE WHEN i.ip_address = s.gateway_ip THEN 0 ELSE 1 END, r.created_at LIMIT 1`,
		OwnerRouterInterface, subnet, external)
	if err != nil {
		return "", fmt.Errorf("find router of subnet %s: %w", subnet, err)
	}
	if len(routers) == 0 {
		return "", nil
	}
	return routers[0], nil
}

// UpdateFloatingIP changes a floating IP, provided it has the revision.
func (s *Service) UpdateFloatingIP(ctx context.Context, scope Scope, id string, revision int64, in FloatingIPChange) (FloatingIP, error) {
	var f FloatingIP
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		f, err = readFloating(ctx, tx, id)
		if err != nil {
			return err
		}
		err = f.revised(revision)
		if err != nil {
			return err
		}
		set(&f.Description, in.Description)
		if in.QoS != nil && *in.QoS != f.QoS {
			err = exchangePolicy(ctx, tx, scope, f.QoS, *in.QoS)
			f.QoS = *in.QoS
			if err == nil {
				err = dirty(ctx, tx, fabric.KindRouter, f.Router)
			}
			if err != nil {
				return err
			}
		}
		switch {
		case in.FixedPort == nil && in.FixedIP != "":
			return badFloating("fixed_ip_address cannot be specified without a port_id")
		case in.FixedPort == nil:
		case *in.FixedPort == "" && f.FixedPort == "": // nothing to take away; forwardings stay
		case *in.FixedPort == "":
			err = dirty(ctx, tx, fabric.KindRouter, f.Router)
			f.FixedPort, f.FixedIP, f.Router, f.Status = "", "", "", "DOWN"
		default:
			err = s.associate(ctx, tx, scope, &f, *in.FixedPort, in.FixedIP)
		}
		if err != nil {
			return err
		}
		f.touch(tx)
		_, err = tx.Update(ctx, &f, "description", "fixed_port", "fixed_ip", "router_id", "status", "qos_policy_id", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update floating IP %s: %w", id, err)
		}
		err = withDetails(ctx, tx, []*FloatingIP{&f})
		if err != nil {
			return err
		}
		return tell(ctx, tx, updated, f)
	})
	return f, err
}

// freeFloating has floating IPs that led to the port's address (all of them,
// if it is empty) lead nowhere, and their ports too.
func freeFloating(ctx context.Context, tx *db.Tx, port, ip string) error {
	err := freeForwardings(ctx, tx, port, ip)
	if err != nil {
		return err
	}
	var rows []FloatingIP
	err = tx.Held(tx.NewSelect().Model(&rows).Where("fixed_port = ? AND (? = '' OR fixed_ip = ?)", port, ip, ip)).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("list floating IPs of port %s: %w", port, err)
	}
	for _, f := range rows {
		err = dirty(ctx, tx, fabric.KindRouter, f.Router)
		if err != nil {
			return err
		}
		f.FixedPort, f.FixedIP, f.Router, f.Status = "", "", "", "DOWN"
		f.touch(tx)
		_, err = tx.Update(ctx, &f, "fixed_port", "fixed_ip", "router_id", "status", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("free floating IP %s: %w", f.ID, err)
		}
		err = tell(ctx, tx, updated, f)
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteFloatingIP gives the address back.
func (s *Service) DeleteFloatingIP(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		f, err := readFloating(ctx, tx, id)
		if err != nil {
			return err
		}
		err = f.revised(revision)
		if err != nil {
			return err
		}
		used, err := forwardingsBy(ctx, tx, "floating_ip", id)
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return errs.Conflictf("Floating IP %s in use by Port Forwarding resources.", id).Typed("FipInUseByPortForwarding")
		}
		return removeFloating(ctx, tx, f)
	})
}

func removeFloating(ctx context.Context, tx *db.Tx, f FloatingIP) error {
	err := floatingKind.remove(ctx, tx, f.ID)
	if err != nil {
		return err
	}
	p, err := readPort(ctx, tx, f.Port)
	if err != nil {
		return err
	}
	err = removePort(ctx, tx, p)
	if err != nil {
		return err
	}
	err = quota.Release(ctx, tx, f.Project, quota.FloatingIPs(1))
	if err != nil {
		return err
	}
	return tellAndDirty(ctx, tx, deleted, f, fabric.KindRouter, f.Router)
}

// removeIdleFloating deletes the floating IPs of a network that lead nowhere.
func removeIdleFloating(ctx context.Context, tx *db.Tx, network string) error {
	var idle []FloatingIP
	err := tx.All(ctx, &idle, `SELECT * FROM floating_ips WHERE network_id = ? AND router_id = ''`+tx.Hold(), network)
	if err != nil {
		return fmt.Errorf("list floating IPs of network %s: %w", network, err)
	}
	for _, f := range idle {
		err = removeFloating(ctx, tx, f)
		if err != nil {
			return err
		}
	}
	return nil
}
