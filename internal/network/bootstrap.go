package network

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"nacre/internal/db"
)

// Bootstrap gives a fresh cloud its networks, in one transaction: the external
// network public with the range, the pools that subnets without a range of their
// own come from, and private with a router for the project demo. A cloud that
// ever had networks or security groups is left alone. A project that is "" gets
// nothing.
func (s *Service) Bootstrap(ctx context.Context, admin, demo, external string) error {
	out, err := netip.ParsePrefix(external)
	if err != nil {
		return fmt.Errorf("bootstrap network: range of the external network: %w", err)
	}
	// A site's own range of IPv6 is drawn, so that two sites can be joined.
	drawn := strings.ReplaceAll(s.newID(), "-", "")
	inner6 := "fd" + drawn[:2] + ":" + drawn[2:6] + ":" + drawn[6:10] + "::/48"
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var used int
		err := tx.Get(ctx, &used, `SELECT (SELECT COUNT(*) FROM networks) + (SELECT COUNT(*) FROM security_groups)`)
		if err != nil || used > 0 || admin == "" {
			return err
		}
		no := false
		public, err := s.createNetwork(ctx, tx, Scope{All: true}, NewNetwork{
			Project: admin, Name: "public", External: true, IsDefault: true, Type: Flat, Physical: s.physical[0],
		})
		if err != nil {
			return err
		}
		_, err = s.createSubnet(ctx, tx, Scope{All: true}, NewSubnet{
			Project: admin, Network: public.ID, Name: "public-subnet", CIDR: out.Masked().String(), DHCP: &no,
		})
		if err != nil {
			return err
		}
		for _, pool := range []struct {
			name, prefix string
			length       int
		}{{"shared-default-subnetpool-v4", "10.128.0.0/9", 26}, {"shared-default-subnetpool-v6", inner6, 64}} {
			_, err = s.createPool(ctx, tx, Scope{All: true}, NewSubnetPool{
				Project: admin, Name: pool.name, Prefixes: []string{pool.prefix}, Default: &pool.length, IsDefault: true, Shared: true,
			})
			if err != nil {
				return err
			}
		}
		if demo == "" {
			return nil
		}
		private, err := s.createNetwork(ctx, tx, Scope{All: true}, NewNetwork{Project: demo, Name: "private"})
		if err != nil {
			return err
		}
		inner, err := s.createSubnet(ctx, tx, Scope{All: true}, NewSubnet{
			Project: demo, Network: private.ID, Name: "private-subnet", CIDR: "10.0.0.0/24", DNS: s.dns,
		})
		if err != nil {
			return err
		}
		r := Router{Common: s.common(tx, demo, "", nil), Name: "router1", AdminUp: true, Status: "ACTIVE", SNAT: true, Routes: db.Of([]Route{}), ZoneHints: db.Of([]string{})}
		err = s.insertRouter(ctx, tx, Scope{Project: demo}, &r, &Gateway{Network: public.ID})
		if err != nil {
			return err
		}
		_, err = s.interfaceBySubnet(ctx, tx, Scope{Project: demo}, r, inner.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("bootstrap network: %w", err)
	}
	return nil
}
