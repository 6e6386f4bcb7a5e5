package network

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// farthest is the place from which on addresses are not counted: nobody fills
// an IPv6 subnet to there one by one.
const farthest = int64(1) << 62

// place is the distance of an address from the first one of its subnet, -1
// when it is too far to count.
func place(prefix netip.Prefix, ip netip.Addr) int64 {
	if ip.Is4() {
		a, base := ip.As4(), prefix.Addr().As4()
		return int64(binary.BigEndian.Uint32(a[:])) - int64(binary.BigEndian.Uint32(base[:]))
	}
	a, base := ip.As16(), prefix.Addr().As16()
	high := binary.BigEndian.Uint64(a[:8]) - binary.BigEndian.Uint64(base[:8])
	low, baseLow := binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(base[8:])
	if high != 0 || low-baseLow >= uint64(farthest) {
		return -1
	}
	return int64(low - baseLow)
}

// at is the address at a place.
func at(prefix netip.Prefix, place int64) netip.Addr {
	if prefix.Addr().Is4() {
		b := prefix.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(place))
		return netip.AddrFrom4(b)
	}
	b := prefix.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+uint64(place))
	return netip.AddrFrom16(b)
}

type span struct{ from, to int64 }

// spans are the subnet's pools as places.
func (sub *Subnet) spans(prefix netip.Prefix) []span {
	var list []span
	for _, p := range sub.Pools.V {
		from := place(prefix, netip.MustParseAddr(p.Start))
		to := place(prefix, netip.MustParseAddr(p.End))
		if from < 0 {
			continue
		}
		if to < 0 {
			to = farthest - 1
		}
		list = append(list, span{from, to})
	}
	return list
}

// freeAddress finds a free address of the subnet's pools. It goes on behind the
// one found last, so that a fresh subnet is filled in order, an address that
// was given back rests before it is used again, and nothing is scanned.
func (s *Service) freeAddress(ctx context.Context, tx *db.Tx, sub Subnet) (ip netip.Addr, found bool, err error) {
	prefix := netip.MustParsePrefix(sub.CIDR)
	spans := sub.spans(prefix)
	s.mu.Lock()
	cursor := s.cursors[sub.ID]
	s.mu.Unlock()
	order := make([]span, 0, len(spans)+1)
	for _, p := range spans {
		if p.from <= cursor && cursor <= p.to {
			order = append(order, span{cursor, p.to})
		}
	}
	for _, p := range append(order, spans...) {
		n, found, err := gap(ctx, tx, sub.ID, p)
		if err != nil {
			return netip.Addr{}, false, err
		}
		if found {
			s.mu.Lock()
			s.cursors[sub.ID] = n + 1
			s.mu.Unlock()
			return at(prefix, n), true, nil
		}
	}
	return netip.Addr{}, false, nil
}

// gap finds the first free place in a span by the index.
func gap(ctx context.Context, tx *db.Tx, subnet string, p span) (n int64, found bool, err error) {
	var used int
	err = tx.Get(ctx, &used, `SELECT COUNT(*) FROM port_ips WHERE subnet_id = ? AND place = ?`, subnet, p.from)
	if err != nil {
		return 0, false, fmt.Errorf("look for a free address: %w", err)
	}
	if used == 0 {
		return p.from, true, nil
	}
	err = tx.Get(ctx, &n, `
		SELECT a.place + 1 FROM port_ips AS a
		WHERE a.subnet_id = ? AND a.place >= ? AND a.place < ? AND NOT EXISTS (
			SELECT 1 FROM port_ips AS b WHERE b.subnet_id = a.subnet_id AND b.place = a.place + 1)
		ORDER BY a.place LIMIT 1`, subnet, p.from, p.to)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look for a free address: %w", err)
	}
	return n, true, nil
}

// takeAddress records that the port has the address. It was free when it was
// chosen: who took it since makes us choose again.
func takeAddress(ctx context.Context, tx *db.Tx, port string, f FixedIP, cidr string) error {
	n, err := tx.Exec(ctx, `
		INSERT INTO port_ips (subnet_id, ip_address, port_id, place) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		f.Subnet, f.IP, port, place(netip.MustParsePrefix(cidr), netip.MustParseAddr(f.IP)))
	if err != nil {
		return fmt.Errorf("take address %s: %w", f.IP, err)
	}
	if n == 0 {
		return db.Again(addressTaken(f))
	}
	return nil
}

func addressTaken(f FixedIP) error {
	return errs.Conflictf("IP address %s already allocated in subnet %s", f.IP, f.Subnet).Typed("IpAddressAlreadyAllocated")
}

// choice is the outcome of choosing addresses for a port.
type choice struct {
	FixedIP
	cidr string
}

// chooseAddresses turns what was asked for into addresses: nil is one address
// for each IP version that the network has. What the port has already is kept.
func (s *Service) chooseAddresses(ctx context.Context, tx *db.Tx, n Network, asked *[]FixedIP, mac string, owner string, kept map[string]bool) ([]choice, error) {
	subnets, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return s.defaultAddresses(ctx, tx, n, subnets, mac, owner)
	}
	const mostAddresses = 5 // Neutron's max_fixed_ips_per_port
	if len(*asked) > mostAddresses && owner != OwnerDistributed {
		return nil, invalid("Exceeded maximum amount of fixed ips per port")
	}
	chosen := make([]choice, 0, len(*asked))
	seen := map[string]bool{}
	for _, f := range *asked {
		c, err := s.chooseAddress(ctx, tx, n, subnets, f, mac, owner)
		if err != nil {
			return nil, err
		}
		key := c.Subnet + " " + c.IP
		if seen[key] {
			return nil, invalid("Duplicate IP addresses for the same subnet: %s", c.IP)
		}
		seen[key] = true
		if f.IP != "" && !kept[key] {
			var used int
			err = tx.Get(ctx, &used, `SELECT COUNT(*) FROM port_ips WHERE subnet_id = ? AND ip_address = ?`, c.Subnet, c.IP)
			if err != nil {
				return nil, fmt.Errorf("look up address %s: %w", c.IP, err)
			}
			if used > 0 {
				return nil, addressTaken(c.FixedIP)
			}
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// chooseAddress serves one entry of fixed_ips: a subnet, an address, or both.
func (s *Service) chooseAddress(ctx context.Context, tx *db.Tx, n Network, subnets []Subnet, f FixedIP, mac, owner string) (choice, error) {
	ip, err := netip.ParseAddr(f.IP)
	if f.IP != "" && (err != nil || ip.Zone() != "") {
		return choice{}, badField("fixed_ips", "'%s' is not a valid IP address", f.IP)
	}
	for _, sub := range subnets {
		prefix := netip.MustParsePrefix(sub.CIDR)
		switch {
		case f.Subnet != "" && f.Subnet != sub.ID:
			continue
		case f.Subnet == "" && !prefix.Contains(ip):
			continue
		case f.IP != "" && !usable(prefix, ip):
			return choice{}, errs.BadRequestf("IP address %s is not a valid IP for the specified subnet.", f.IP).Typed("InvalidIpForSubnet")
		case f.IP != "" && sub.automatic() && !isService(owner) && ip != eui64(prefix, mac):
			return choice{}, errs.BadRequestf("IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for automatic addresses.",
				f.IP, sub.ID).Typed("AllocationOnAutoAddressSubnet")
		case f.IP != "":
			return choice{FixedIP{sub.ID, ip.String()}, sub.CIDR}, nil
		case sub.automatic():
			return choice{FixedIP{sub.ID, eui64(prefix, mac).String()}, sub.CIDR}, nil
		}
		ip, found, err := s.freeAddress(ctx, tx, sub)
		if err != nil {
			return choice{}, err
		}
		if !found {
			return choice{}, noAddress(n)
		}
		return choice{FixedIP{sub.ID, ip.String()}, sub.CIDR}, nil
	}
	if f.Subnet != "" {
		return choice{}, invalid("Failed to create port on network %s, because fixed_ips included invalid subnet %s", n.ID, f.Subnet)
	}
	return choice{}, errs.BadRequestf("IP address %s is not a valid IP for any of the subnets on the specified network.", f.IP).Typed("InvalidIpForNetwork")
}

// defaultAddresses gives a port an address from one subnet of each version,
// and the automatic ones.
func (s *Service) defaultAddresses(ctx context.Context, tx *db.Tx, n Network, subnets []Subnet, mac, owner string) ([]choice, error) {
	var chosen []choice
	wanted, given := map[int]bool{}, map[int]bool{}
	for _, sub := range subnets {
		if sub.automatic() {
			prefix := netip.MustParsePrefix(sub.CIDR)
			if owner != OwnerGateway && owner != OwnerFloating {
				chosen = append(chosen, choice{FixedIP{sub.ID, eui64(prefix, mac).String()}, sub.CIDR})
			}
			continue
		}
		if given[sub.IPVersion] || !sub.serves(owner) {
			continue
		}
		wanted[sub.IPVersion] = true
		ip, found, err := s.freeAddress(ctx, tx, sub)
		if err != nil {
			return nil, err
		}
		if found {
			given[sub.IPVersion] = true
			chosen = append(chosen, choice{FixedIP{sub.ID, ip.String()}, sub.CIDR})
		}
	}
	for version := range wanted {
		if !given[version] {
			return nil, noAddress(n)
		}
	}
	return chosen, nil
}

// serves tells whether the subnet is for ports of that owner.
func (sub *Subnet) serves(owner string) bool {
	if len(sub.ServiceTypes.V) == 0 {
		return true
	}
	for _, t := range sub.ServiceTypes.V {
		if t == owner {
			return true
		}
	}
	return false
}

func noAddress(n Network) error {
	return errs.Conflictf("No more IP addresses available on network %s.", n.ID).Typed("IpAddressGenerationFailure")
}

// eui64 is the address that a host makes of its MAC.
func eui64(prefix netip.Prefix, mac string) netip.Addr {
	m, err := net.ParseMAC(mac)
	if err != nil || len(m) != 6 {
		return prefix.Addr()
	}
	b := prefix.Addr().As16()
	copy(b[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(b)
}
