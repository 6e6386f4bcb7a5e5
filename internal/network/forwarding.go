package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
)

// Forwarding leads ports of a floating IP to ports of an inner address. A
// floating IP either has forwardings or belongs to one port whole.
type Forwarding struct {
	bun.BaseModel `bun:"table:port_forwardings,alias:port_forwardings"`

	ID          string    `bun:"id,pk"`
	Floating    string    `bun:"floating_ip"`
	Description string    `bun:"description"`
	FixedPort   string    `bun:"fixed_port"`
	FixedIP     string    `bun:"fixed_ip"`
	Protocol    string    `bun:"protocol"`
	External    PortRange `bun:"embed:external_"`
	Internal    PortRange `bun:"embed:internal_"`
	CreatedAt   db.Time   `bun:"created_at"`
}

// PortRange is a range of TCP or UDP ports, ends included.
type PortRange struct {
	Min int `bun:"min"`
	Max int `bun:"max"`
}

func (r PortRange) String() string            { return fmt.Sprintf("%d:%d", r.Min, r.Max) }
func (r PortRange) size() int                 { return r.Max - r.Min }
func (r PortRange) overlaps(o PortRange) bool { return r.Min <= o.Max && o.Min <= r.Max }

// Key names the row, for links to pages.
func (f Forwarding) Key() string { return f.ID }

// ForwardingChange says what to set. Nil stays as it is.
type ForwardingChange struct {
	Description        *string
	FixedPort, FixedIP *string
	Protocol           *string
	External, Internal *PortRange
}

func forwardingNotFound(id string) error {
	return errs.NotFoundf("Port Forwarding %s could not be found.", id).Typed("PortForwardingNotFound")
}

func badForwarding(format string, args ...any) error {
	return errs.BadRequestf("Bad port_forwarding request: %s.", fmt.Sprintf(format, args...)).Typed("BadRequest")
}

// Forwarding finds a port forwarding of a floating IP.
func (s *Service) Forwarding(ctx context.Context, floating, id string) (f Forwarding, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		f, err = readForwarding(ctx, tx, floating, id)
		return err
	})
	return f, err
}

// Forwardings lists port forwardings; the query narrows them to a floating IP.
func (s *Service) Forwardings(ctx context.Context, q Query) (list []Forwarding, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err = page(ctx, tx, tx.NewSelect().Model(&list), "port_forwardings", q, &list, forwardingNotFound)
		return err
	})
	return list, err
}

func readForwarding(ctx context.Context, tx *db.Tx, floating, id string) (Forwarding, error) {
	var f Forwarding
	err := tx.Held(tx.NewSelect().Model(&f).Where("id = ? AND floating_ip = ?", id, floating)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Forwarding{}, forwardingNotFound(id)
	}
	if err != nil {
		return Forwarding{}, fmt.Errorf("read port forwarding %s: %w", id, err)
	}
	return f, nil
}

// forwardingsBy reads port forwardings by a column.
func forwardingsBy(ctx context.Context, tx *db.Tx, column string, ids ...string) ([]Forwarding, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := rowsOf[Forwarding](ctx, tx, column, ids)
	if err != nil {
		return nil, fmt.Errorf("list port forwardings: %w", err)
	}
	return list, nil
}

// withForwardings fills in the port forwardings of floating IPs.
func withForwardings(ctx context.Context, tx *db.Tx, list []*FloatingIP) error {
	ids := make([]string, len(list))
	byID := map[string]*FloatingIP{}
	for i, f := range list {
		ids[i] = f.ID
		byID[f.ID] = f
	}
	rows, err := forwardingsBy(ctx, tx, "floating_ip", ids...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		byID[r.Floating].Forwardings = append(byID[r.Floating].Forwardings, r)
	}
	return nil
}

// CreateForwarding opens ports of a floating IP.
func (s *Service) CreateForwarding(ctx context.Context, scope Scope, floating string, in ForwardingChange) (Forwarding, error) {
	var f Forwarding
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		f = Forwarding{ID: s.newID(), Floating: floating, CreatedAt: db.At(tx.Now())}
		return s.placeForwarding(ctx, tx, scope, &f, in, func() error { return tx.Insert(ctx, &f) })
	})
	return f, err
}

// UpdateForwarding changes where ports of a floating IP lead.
func (s *Service) UpdateForwarding(ctx context.Context, scope Scope, floating, id string, in ForwardingChange) (Forwarding, error) {
	var f Forwarding
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		f, err = readForwarding(ctx, tx, floating, id)
		if err != nil {
			return err
		}
		return s.placeForwarding(ctx, tx, scope, &f, in, func() error {
			_, err := tx.Update(ctx, &f, "description", "fixed_port", "fixed_ip", "protocol",
				"external_min", "external_max", "internal_min", "internal_max")
			return err
		})
	})
	return f, err
}

// placeForwarding applies the change, checks that it can be, and writes it.
func (s *Service) placeForwarding(ctx context.Context, tx *db.Tx, scope Scope, f *Forwarding, in ForwardingChange, write func() error) error {
	moved := in.FixedPort != nil && *in.FixedPort != f.FixedPort
	set(&f.Description, in.Description)
	set(&f.FixedPort, in.FixedPort)
	set(&f.FixedIP, in.FixedIP)
	set(&f.Protocol, in.Protocol)
	set(&f.External, in.External)
	set(&f.Internal, in.Internal)
	if moved && in.FixedIP == nil {
		f.FixedIP = ""
	}
	f.Protocol = strings.ToLower(f.Protocol)
	err := f.check()
	if err != nil {
		return err
	}
	fip, err := readFloating(ctx, tx, f.Floating) // held: one at a time decides about its ports
	if err != nil {
		return err
	}
	if fip.FixedPort != "" {
		return floatingTaken(fip, fip.FixedPort, fip.FixedIP)
	}
	err = lockFloating(ctx, tx)
	if err != nil {
		return err
	}
	router, err := s.forwardTo(ctx, tx, scope, fip, f)
	if err != nil {
		return err
	}
	err = f.clash(ctx, tx, fip)
	if err != nil {
		return err
	}
	err = write()
	if err != nil {
		return fmt.Errorf("write port forwarding: %w", err)
	}
	return tellForwarded(ctx, tx, fip, router)
}

func (f *Forwarding) check() error {
	if f.Protocol != "tcp" && f.Protocol != "udp" {
		return badField("protocol", "'%s' is not in ['tcp', 'udp']", f.Protocol)
	}
	for _, r := range []struct {
		name string
		PortRange
	}{{"external_port", f.External}, {"internal_port", f.Internal}} {
		if r.Min < 1 || r.Max > 65535 || r.Max < r.Min {
			return badField(r.name, "'%s' is not a range of ports from 1 to 65535", r.PortRange)
		}
	}
	if f.Internal.size() != 0 && f.Internal.size() != f.External.size() {
		return badForwarding("The number of internal ports (%s) must be one or that of external ports (%s)", f.Internal, f.External)
	}
	return nil
}

// forwardTo checks the port and its address, and finds the router on the way.
func (s *Service) forwardTo(ctx context.Context, tx *db.Tx, scope Scope, fip FloatingIP, f *Forwarding) (router string, err error) {
	p, err := readPort(ctx, tx, f.FixedPort)
	if err != nil {
		return "", err
	}
	if !scope.All && p.Project != scope.Project {
		return "", portNotFound(f.FixedPort)
	}
	at := slices.IndexFunc(p.FixedIPs.V, func(fixed FixedIP) bool {
		if f.FixedIP != "" {
			return fixed.IP == f.FixedIP
		}
		return netip.MustParseAddr(fixed.IP).Is4()
	})
	switch {
	case at < 0 && f.FixedIP != "":
		return "", badForwarding("Port %s does not have fixed ip %s", p.ID, f.FixedIP)
	case at < 0:
		return "", badForwarding("Port %s has no fixed IPv4 address", p.ID)
	}
	target := p.FixedIPs.V[at]
	if netip.MustParseAddr(target.IP).Is6() {
		return "", badForwarding("Internal IP address %s is not an IPv4 address", target.IP)
	}
	f.FixedIP = target.IP
	var bound []FloatingIP
	err = tx.NewSelect().Model(&bound).Where("fixed_port = ? AND fixed_ip = ?", p.ID, target.IP).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for floating IPs of port %s: %w", p.ID, err)
	}
	if len(bound) > 0 {
		return "", errs.Conflictf("Cannot create port forwarding to floating IP %s (%s) with port %s using fixed IP %s, as that port already has a binding floating IP.",
			fip.Address, fip.ID, p.ID, target.IP).Typed("PortHasBindingFloatingIP")
	}
	router, err = routerTo(ctx, tx, target.Subnet, fip.Network)
	if err != nil {
		return "", err
	}
	if router == "" {
		return "", errs.NotFoundf("External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.",
			fip.Network, target.Subnet, p.ID).Typed("ExternalGatewayForFloatingIPNotFound")
	}
	others, err := forwardingsBy(ctx, tx, "floating_ip", fip.ID)
	if err != nil {
		return "", err
	}
	elsewhere := slices.ContainsFunc(others, func(o Forwarding) bool { return o.ID != f.ID })
	if elsewhere && fip.Router != router {
		return "", badForwarding("Floating IP %s leads through router %s, and port %s is behind router %s", fip.ID, fip.Router, p.ID, router)
	}
	return router, nil
}

// clash refuses ports that lead elsewhere already, and two ways to the same.
func (f *Forwarding) clash(ctx context.Context, tx *db.Tx, fip FloatingIP) error {
	same, err := forwardingsBy(ctx, tx, "floating_ip", fip.ID)
	if err != nil {
		return err
	}
	for _, o := range same {
		if o.ID == f.ID || o.Protocol != f.Protocol {
			continue
		}
		to := o.FixedPort == f.FixedPort && o.FixedIP == f.FixedIP && o.Internal.overlaps(f.Internal)
		if o.External.overlaps(f.External) || to {
			return badForwarding("A duplicate port_forwarding entry with same attributes already exists, conflicting values are %s %s to %s of %s (%s)",
				o.Protocol, o.External, o.Internal, o.FixedIP, o.ID)
		}
	}
	return nil
}

// tellForwarded brings a floating IP in line with its port forwardings: it is up
// while it has some, on the router that they lead through.
func tellForwarded(ctx context.Context, tx *db.Tx, fip FloatingIP, router string) error {
	err := dirty(ctx, tx, fabric.KindRouter, fip.Router, router)
	if err != nil {
		return err
	}
	fip.Router, fip.Status = router, "ACTIVE"
	if router == "" {
		fip.Status = "DOWN"
	}
	fip.touch(tx)
	_, err = tx.Update(ctx, &fip, "router_id", "status", "revision", "updated_at")
	if err != nil {
		return fmt.Errorf("update floating IP %s: %w", fip.ID, err)
	}
	err = withDetails(ctx, tx, []*FloatingIP{&fip})
	if err != nil {
		return err
	}
	return tell(ctx, tx, updated, fip)
}

// DeleteForwarding closes ports of a floating IP.
func (s *Service) DeleteForwarding(ctx context.Context, floating, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		f, err := readForwarding(ctx, tx, floating, id)
		if err != nil {
			return err
		}
		return removeForwardings(ctx, tx, f)
	})
}

// removeForwardings deletes port forwardings of one floating IP.
func removeForwardings(ctx context.Context, tx *db.Tx, list ...Forwarding) error {
	fip, err := readFloating(ctx, tx, list[0].Floating)
	if err != nil {
		return err
	}
	for _, f := range list {
		_, err = tx.Exec(ctx, `DELETE FROM port_forwardings WHERE id = ?`, f.ID)
		if err != nil {
			return fmt.Errorf("delete port forwarding %s: %w", f.ID, err)
		}
	}
	left, err := forwardingsBy(ctx, tx, "floating_ip", fip.ID)
	if err != nil {
		return err
	}
	router := fip.Router
	if len(left) == 0 {
		router = ""
	}
	return tellForwarded(ctx, tx, fip, router)
}

// freeForwardings closes what leads to the port's address, or to all of them if
// it is empty.
func freeForwardings(ctx context.Context, tx *db.Tx, port, ip string) error {
	list, err := forwardingsBy(ctx, tx, "fixed_port", port)
	if err != nil {
		return err
	}
	byFloating := map[string][]Forwarding{}
	for _, f := range list {
		if ip == "" || f.FixedIP == ip {
			byFloating[f.Floating] = append(byFloating[f.Floating], f)
		}
	}
	for _, some := range byFloating {
		err = removeForwardings(ctx, tx, some...)
		if err != nil {
			return err
		}
	}
	return nil
}

// notForwarded refuses to give a floating IP to one port while ports of it lead
// elsewhere, or to one whose address others lead to.
func notForwarded(ctx context.Context, tx *db.Tx, fip FloatingIP, port, ip string) error {
	own, err := forwardingsBy(ctx, tx, "floating_ip", fip.ID)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		return errs.Conflictf("Floating IP %s in use by Port Forwarding resources.", fip.ID).Typed("FipInUseByPortForwarding")
	}
	there, err := forwardingsBy(ctx, tx, "fixed_port", port)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(there, func(f Forwarding) bool { return f.FixedIP == ip }) {
		return errs.Conflictf("Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that port already has a port forwarding.",
			fip.Address, fip.ID, port, ip).Typed("PortHasPortForwarding")
	}
	return nil
}
