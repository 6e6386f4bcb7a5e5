package network

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"

	"nacre/internal/db"
)

// Availability is how many addresses of a network there are and are in use.
// Totals are decimal numbers that may be larger than any integer.
type Availability struct {
	Network Network
	Total   string
	Used    int64
	Subnets []SubnetUse
}

// SubnetUse is one subnet's part in it.
type SubnetUse struct {
	Subnet Subnet
	Total  string
	Used   int64
}

// Availability counts addresses for the networks of a query. Query.In knows
// ip_version, which leaves the subnets of others out.
func (s *Service) Availability(ctx context.Context, q Query) ([]Availability, error) {
	networks, err := s.Networks(ctx, q)
	if err != nil || len(networks) == 0 {
		return nil, err
	}
	ids := make([]string, len(networks))
	for i, n := range networks {
		ids[i] = n.ID
	}
	var subnets []Subnet
	var counts []struct {
		Subnet string `bun:"subnet_id"`
		N      int64  `bun:"n"`
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		subnets, err = rowsOf[Subnet](ctx, tx, "network_id", ids)
		if err != nil {
			return err
		}
		return tx.All(ctx, &counts, `
			SELECT i.subnet_id, COUNT(*) AS n FROM port_ips AS i JOIN subnets AS s ON s.id = i.subnet_id
			WHERE s.network_id IN (?) GROUP BY i.subnet_id`, db.In(ids))
	})
	if err != nil {
		return nil, fmt.Errorf("count addresses: %w", err)
	}
	used := map[string]int64{}
	for _, c := range counts {
		used[c.Subnet] = c.N
	}
	var list []Availability
	versions := q.In["ip_version"]
	for _, n := range networks {
		a := Availability{Network: n}
		sum := new(big.Int)
		for _, sub := range subnets {
			if sub.Network != n.ID || len(versions) > 0 && !slices.Contains(versions, strconv.Itoa(sub.IPVersion)) {
				continue
			}
			total := sub.size()
			sum.Add(sum, total)
			a.Used += used[sub.ID]
			a.Subnets = append(a.Subnets, SubnetUse{Subnet: sub, Total: total.String(), Used: used[sub.ID]})
		}
		a.Total = sum.String()
		list = append(list, a)
	}
	return list, nil
}

// size is how many addresses the subnet's pools have; without pools, all but
// those that no host can have.
func (sub *Subnet) size() *big.Int {
	total := new(big.Int)
	for _, p := range sub.Pools.V {
		from := new(big.Int).SetBytes(netip.MustParseAddr(p.Start).AsSlice())
		to := new(big.Int).SetBytes(netip.MustParseAddr(p.End).AsSlice())
		total.Add(total, to.Sub(to, from).Add(to, big.NewInt(1)))
	}
	if len(sub.Pools.V) > 0 {
		return total
	}
	prefix := netip.MustParsePrefix(sub.CIDR)
	total.Lsh(big.NewInt(1), uint(prefix.Addr().BitLen()-prefix.Bits()))
	if sub.IPVersion == 4 && prefix.Bits() < 31 {
		total.Sub(total, big.NewInt(2))
	}
	return total
}
