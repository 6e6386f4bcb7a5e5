package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"nacre/internal/db"
)

// Addresses of automatic subnets belong to every port of the network: guests make
// them by themselves, whether the port came before the subnet or after.

// spread gives the ports of the network their addresses in a new subnet.
func spread(ctx context.Context, tx *db.Tx, sub Subnet) error {
	if !sub.automatic() {
		return nil
	}
	return eachGuestPort(ctx, tx, sub, func(p *Port) (bool, error) {
		f := FixedIP{sub.ID, eui64(netip.MustParsePrefix(sub.CIDR), p.MAC).String()}
		p.FixedIPs = db.Of(append(slices.Clone(p.FixedIPs.V), f))
		return true, takeAddress(ctx, tx, p.ID, f, sub.CIDR)
	})
}

// gather takes the addresses of a subnet that goes back. A router's stay: it has
// to leave first.
func gather(ctx context.Context, tx *db.Tx, sub Subnet) error {
	return eachGuestPort(ctx, tx, sub, func(p *Port) (bool, error) {
		left := slices.DeleteFunc(slices.Clone(p.FixedIPs.V), func(f FixedIP) bool { return f.Subnet == sub.ID })
		if len(left) == len(p.FixedIPs.V) {
			return false, nil
		}
		p.FixedIPs = db.Of(left)
		_, err := tx.Exec(ctx, `DELETE FROM port_ips WHERE subnet_id = ? AND port_id = ?`, sub.ID, p.ID)
		return true, err
	})
}

// eachGuestPort changes the ports of a network that are not its service's own.
func eachGuestPort(ctx context.Context, tx *db.Tx, sub Subnet, change func(*Port) (bool, error)) error {
	ports, err := rowsOf[Port](ctx, tx, "network_id", []string{sub.Network})
	if err != nil {
		return fmt.Errorf("list ports of network %s: %w", sub.Network, err)
	}
	for _, p := range ports {
		if isService(p.Owner) {
			continue
		}
		changed, err := change(&p)
		if err == nil && changed {
			err = savePort(ctx, tx, &p)
		}
		if err != nil {
			return fmt.Errorf("change addresses of port %s: %w", p.ID, err)
		}
	}
	return nil
}
