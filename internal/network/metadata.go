package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/db"
)

// metadataPort reads the port by which a network's guests reach the metadata
// service; found is false when the network has none.
func metadataPort(ctx context.Context, tx *db.Tx, network string) (p Port, found bool, err error) {
	err = tx.NewSelect().Model(&p).Where("device_id = ?", metadataDevice(network)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Port{}, false, nil
	}
	if err != nil {
		return Port{}, false, fmt.Errorf("read metadata port of network %s: %w", network, err)
	}
	return p, true, nil
}

func metadataDevice(network string) string { return "ovnmeta-" + network }

// ensureMetadataPort gives a network with DHCP its metadata port, with an
// address in each such IPv4 subnet that has one left. Over IPv6 guests reach it
// by a link-local address, which is the same on every network.
func (s *Service) ensureMetadataPort(ctx context.Context, tx *db.Tx, n Network) error {
	subnets, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	p, found, err := metadataPort(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	var want []FixedIP
	needed := false
	for _, sub := range subnets {
		if !sub.DHCP || n.External {
			continue
		}
		needed = true
		if sub.IPVersion != 4 {
			continue
		}
		has := slices.IndexFunc(p.FixedIPs.V, func(f FixedIP) bool { return f.Subnet == sub.ID })
		if has >= 0 {
			want = append(want, p.FixedIPs.V[has])
			continue
		}
		ip, free, err := s.freeAddress(ctx, tx, sub)
		if err != nil {
			return err
		}
		if free {
			want = append(want, FixedIP{sub.ID, ip.String()})
		}
	}
	switch {
	case !needed && !found:
		return nil
	case !needed:
		return removePort(ctx, tx, p)
	case !found:
		_, err = s.createPort(ctx, tx, Scope{All: true}, n, NewPort{
			Project: n.Project, Network: n.ID, Device: metadataDevice(n.ID), Owner: OwnerDistributed,
			FixedIPs: &want, uncounted: true,
		})
		return err
	case slices.Equal(want, p.FixedIPs.V):
		return nil
	}
	err = s.changeAddresses(ctx, tx, n, &p, want)
	if err != nil {
		return err
	}
	return savePort(ctx, tx, &p)
}

// leaveMetadataPort takes the metadata port's address in a subnet back.
func (s *Service) leaveMetadataPort(ctx context.Context, tx *db.Tx, n Network, sub Subnet) error {
	p, found, err := metadataPort(ctx, tx, n.ID)
	if err != nil || !found {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(p.FixedIPs.V), func(f FixedIP) bool { return f.Subnet == sub.ID })
	if len(rest) == len(p.FixedIPs.V) {
		return nil
	}
	err = s.changeAddresses(ctx, tx, n, &p, rest)
	if err != nil {
		return err
	}
	return savePort(ctx, tx, &p)
}

func (s *Service) removeMetadataPort(ctx context.Context, tx *db.Tx, network string) error {
	p, found, err := metadataPort(ctx, tx, network)
	if err != nil || !found {
		return err
	}
	return removePort(ctx, tx, p)
}
