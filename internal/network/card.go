package network

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/vif"
)

// cardRow is a server's port with one of the floating IPs that lead to it, if any.
type cardRow struct {
	ID        string            `bun:"id"`
	Project   string            `bun:"project_id"`
	Server    string            `bun:"server"`
	Network   string            `bun:"network_id"`
	MAC       string            `bun:"mac_address"`
	Status    string            `bun:"status"`
	FixedIPs  fixedIPs          `bun:"fixed_ips"`
	Groups    db.JSON[[]string] `bun:"security_groups"`
	CreatedAt db.Time           `bun:"created_at"`
	Floating  string            `bun:"floating"`
	To        string            `bun:"floats_to"`
	Since     db.Time           `bun:"floats_since"`
}

// fixedIPs is the column of the addresses, read a few times as fast as JSON in
// general: a list of servers reads thousands of them.
type fixedIPs db.JSON[[]FixedIP]

// Scan implements sql.Scanner.
func (f *fixedIPs) Scan(src any) error {
	text, ok := src.(string)
	if ok {
		f.V, ok = plainIPs(text)
	}
	if ok {
		return nil
	}
	return (*db.JSON[[]FixedIP])(f).Scan(src)
}

// plainIPs reads addresses as we write them; it is not ok with what says the same
// in other words, or something else.
func plainIPs(text string) (ips []FixedIP, ok bool) {
	text, ok = strings.CutPrefix(text, "[{")
	for ok {
		var ip FixedIP
		var first, second, third bool
		text, first = strings.CutPrefix(text, `"subnet_id":"`)
		ip.Subnet, text, second = strings.Cut(text, `","ip_address":"`)
		ip.IP, text, third = strings.Cut(text, `"}`)
		if !first || !second || !third || strings.ContainsAny(ip.Subnet, `"\`) || strings.ContainsAny(ip.IP, `"\`) {
			return nil, false
		}
		ips = append(ips, ip)
		if text == "]" {
			return ips, true
		}
		text, ok = strings.CutPrefix(text, ",{")
	}
	return nil, false
}

// PortsOf returns the ports of the servers, by server, each in the order of
// creation. That takes three queries, however many servers there are.
func (s *Service) PortsOf(ctx context.Context, tx *db.Tx, servers ...string) (map[string][]vif.Port, error) {
	if len(servers) == 0 {
		return nil, nil
	}
	rows := make([]cardRow, 0, len(servers)) // most have one port
	err := tx.All(ctx, &rows, `
		SELECT p.id, p.project_id, p.server, p.network_id, p.mac_address, p.status, p.fixed_ips, p.security_groups, p.created_at,
			COALESCE(f.address, '') AS floating, COALESCE(f.fixed_ip, '') AS floats_to, COALESCE(f.created_at, 0) AS floats_since
		FROM ? AS asked CROSS JOIN ports AS p LEFT JOIN floating_ips AS f ON f.fixed_port = p.id
		WHERE p.server = asked.value`, db.Each(servers))
	if err != nil {
		return nil, fmt.Errorf("list ports of servers: %w", err)
	}
	groups, err := groupNames(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	networks, err := networksOf(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	return cardsOf(rows, networks, groups), nil
}

// cardsOf makes the ports of what was read of them. All their parts stand in a few
// slices, which are made once.
func cardsOf(rows []cardRow, networks map[string]cardNetwork, groupNames map[string]string) map[string][]vif.Port {
	last := make(map[string]int, len(rows)) // row of each server, plus one
	before := make([]int, len(rows))        // the row before, of the same server, plus one
	addresses, groups := 0, 0
	for i := range rows {
		row := &rows[i]
		before[i], last[row.Server] = last[row.Server], i+1
		addresses, groups = addresses+len(row.FixedIPs.V), groups+len(row.Groups.V)
	}
	room := struct {
		ports     []vif.Port
		addresses []vif.Address
		groups    []vif.Group
	}{make([]vif.Port, 0, len(rows)), make([]vif.Address, 0, addresses), make([]vif.Group, 0, groups)}
	cards := make(map[string][]vif.Port, len(last))
	var own []*cardRow
	for server, at := range last {
		own = own[:0]
		for ; at > 0; at = before[at-1] {
			own = append(own, &rows[at-1])
		}
		// The database would write all of them twice to sort them.
		slices.SortFunc(own, func(a, b *cardRow) int {
			return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Since, b.Since), cmp.Compare(a.Floating, b.Floating))
		})
		first := len(room.ports)
		for i, row := range own {
			if i == 0 || row.ID != own[i-1].ID {
				from, groupsFrom := len(room.addresses), len(room.groups)
				for _, f := range row.FixedIPs.V {
					room.addresses = append(room.addresses, vif.Address{IP: f.IP, Subnet: f.Subnet})
				}
				for _, id := range row.Groups.V {
					room.groups = append(room.groups, vif.Group{ID: id, Name: groupNames[id]})
				}
				on := networks[row.Network]
				room.ports = append(room.ports, vif.Port{
					ID: row.ID, Project: row.Project, Server: server, Network: row.Network, NetworkName: on.Name, MAC: row.MAC, MTU: on.MTU,
					Status: row.Status, Addresses: slices.Clip(room.addresses[from:]), Groups: slices.Clip(room.groups[groupsFrom:]),
				})
			}
			port := &room.ports[len(room.ports)-1]
			for j := range port.Addresses {
				if row.Floating != "" && port.Addresses[j].IP == row.To {
					port.Addresses[j].Floating = append(port.Addresses[j].Floating, row.Floating)
				}
			}
		}
		cards[server] = slices.Clip(room.ports[first:])
	}
	return cards
}

// cardNetwork is what a card shows of its network. Few networks have many cards, so
// they are not joined to each.
type cardNetwork struct {
	ID   string
	Name string
	MTU  int `bun:"mtu"`
}

func networksOf(ctx context.Context, tx *db.Tx, rows []cardRow) (map[string]cardNetwork, error) {
	byID := map[string]cardNetwork{}
	for _, row := range rows {
		byID[row.Network] = cardNetwork{}
	}
	if len(byID) == 0 {
		return byID, nil
	}
	var networks []cardNetwork
	err := tx.All(ctx, &networks, "SELECT id, name, mtu FROM networks WHERE id IN (?)", db.In(slices.Collect(maps.Keys(byID))))
	if err != nil {
		return nil, fmt.Errorf("read networks of ports: %w", err)
	}
	for _, n := range networks {
		byID[n.ID] = n
	}
	return byID, nil
}

// groupNames are the names of the security groups of the cards, by id.
func groupNames(ctx context.Context, tx *db.Tx, rows []cardRow) (map[string]string, error) {
	names := map[string]string{}
	for _, row := range rows {
		for _, id := range row.Groups.V {
			names[id] = ""
		}
	}
	if len(names) == 0 {
		return names, nil
	}
	var groups []struct{ ID, Name string }
	err := tx.All(ctx, &groups, "SELECT id, name FROM security_groups WHERE id IN (?)", db.In(slices.Collect(maps.Keys(names))))
	if err != nil {
		return nil, fmt.Errorf("read security groups of ports: %w", err)
	}
	for _, g := range groups {
		names[g.ID] = g.Name
	}
	return names, nil
}

// ByAddress narrows a query of servers to those of whose cards an address, or a
// floating one that leads there, contains the text. CROSS JOIN makes SQLite begin
// with the addresses: it would go through all servers.
func (s *Service) ByAddress(servers *bun.SelectQuery, text string) *bun.SelectQuery {
	return servers.ModelTableExpr(`(
		SELECT p.server FROM port_ips AS i JOIN ports AS p ON p.id = i.port_id WHERE i.ip_address LIKE ?0 ESCAPE '\'
		UNION SELECT p.server FROM floating_ips AS f JOIN port_ips AS i ON i.port_id = f.fixed_port AND i.ip_address = f.fixed_ip
			JOIN ports AS p ON p.id = f.fixed_port WHERE f.address LIKE ?0 ESCAPE '\') AS found CROSS JOIN servers`,
		db.Like(text)).Where("servers.id = found.server")
}

// NetworkInfo returns the ports of a server with their subnets and the metadata
// ports of their networks.
func (s *Service) NetworkInfo(ctx context.Context, tx *db.Tx, server string) ([]vif.Port, error) {
	all, err := s.PortsOf(ctx, tx, server)
	cards := all[server]
	if err != nil || len(cards) == 0 {
		return cards, err
	}
	devices := make([]string, len(cards))
	for i, c := range cards {
		devices[i] = metadataDevice(c.Network)
	}
	doors, err := rowsOf[Port](ctx, tx, "device_id", distinct(devices))
	if err != nil {
		return nil, fmt.Errorf("read metadata ports: %w", err)
	}
	var ids []string
	for _, c := range cards {
		for _, a := range c.Addresses {
			ids = append(ids, a.Subnet)
		}
	}
	for _, p := range doors {
		for _, f := range p.FixedIPs.V {
			ids = append(ids, f.Subnet)
		}
	}
	subnets, err := readSubnets(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for i := range cards {
		c := &cards[i]
		for j := range c.Addresses {
			on := subnets[c.Addresses[j].Subnet]
			c.Addresses[j].On = on.told()
		}
		at := slices.IndexFunc(doors, func(p Port) bool { return p.Network == c.Network })
		if at >= 0 {
			c.Metadata = doors[at].door(subnets)
		}
	}
	return cards, nil
}

// told is what guests are told of the subnet.
func (s *Subnet) told() *vif.Subnet {
	out := &vif.Subnet{CIDR: s.CIDR, Gateway: s.Gateway, DNS: s.DNS.V, DHCP: s.DHCP}
	for _, r := range s.Routes.V {
		out.Routes = append(out.Routes, vif.Route(r))
	}
	return out
}

// door is a metadata port as guests and their hosts know it.
func (p Port) door(subnets map[string]Subnet) *vif.Door {
	d := &vif.Door{Port: p.ID, MAC: p.MAC}
	for _, f := range p.FixedIPs.V {
		bits := netip.MustParsePrefix(subnets[f.Subnet].CIDR).Bits()
		d.CIDRs = append(d.CIDRs, netip.PrefixFrom(netip.MustParseAddr(f.IP), bits).String())
	}
	return d
}

// PortDown finds a port of the server that the network does not report up, "" for
// none.
func (s *Service) PortDown(ctx context.Context, tx *db.Tx, server string) (port string, err error) {
	err = tx.Get(ctx, &port, "SELECT id FROM ports WHERE server = ? AND status <> 'ACTIVE' ORDER BY created_at, id LIMIT 1", server)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for ports of %s that are down: %w", server, err)
	}
	return port, nil
}

func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }
