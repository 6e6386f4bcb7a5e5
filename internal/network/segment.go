package network

import (
	"context"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Highest numbers of segments: what the headers have room for.
const (
	lastVLAN   = 4094
	lastTunnel = 1<<24 - 1
)

// placeSegment checks the provider attributes and fills in what is missing.
func (s *Service) placeSegment(ctx context.Context, tx *db.Tx, n *Network) error {
	switch n.Type {
	case "":
		if n.Physical != "" || n.Segment != 0 {
			return invalid("network_type required")
		}
		n.Type = Geneve
	case Geneve:
		if n.Physical != "" {
			return invalid("provider:physical_network specified for geneve network")
		}
		if n.Segment < 0 || n.Segment > lastTunnel {
			return invalid("segmentation_id out of range (1 through %d)", lastTunnel)
		}
	case Flat, VLAN:
		if n.Physical == "" && n.Type == VLAN && n.Segment == 0 && len(s.physical) > 0 {
			n.Physical = s.physical[0]
		}
		if n.Physical == "" {
			return invalid("physical_network required for %s provider network", n.Type)
		}
		if !slices.Contains(s.physical, n.Physical) {
			return invalid("physical_network '%s' unknown for %s provider network", n.Physical, n.Type)
		}
		if n.Type == Flat && n.Segment != 0 {
			return invalid("segmentation_id prohibited for flat provider network")
		}
		if n.Segment < 0 || n.Segment > lastVLAN {
			return invalid("segmentation_id out of range (1 through %d)", lastVLAN)
		}
	default:
		return invalid("network_type value '%s' not supported", n.Type)
	}
	if n.Type != Flat && n.Segment == 0 {
		err := freeSegment(ctx, tx, n)
		if err != nil {
			return err
		}
	}
	return n.fitMTU()
}

// fitMTU checks the MTU, or makes it what the network carries.
func (n *Network) fitMTU() error {
	largest := physicalMTU
	if n.Type == Geneve {
		largest = overlayMTU
	}
	if n.MTU == 0 {
		n.MTU = largest
	}
	if n.MTU < 0 {
		return badField("mtu", "'%d' is too small - must be at least '0'", n.MTU)
	}
	if n.MTU > largest {
		return invalid("Requested MTU is too big, maximum is %d", largest)
	}
	return nil
}

// carries refuses subnets of an IP version that needs larger packets.
func (n *Network) carries(version int) error {
	smallest := 68
	if version == 6 {
		smallest = 1280
	}
	if n.MTU < smallest {
		return errs.Conflictf("Invalid MTU %d for network %s: its subnets of IPv%d need at least %d.", n.MTU, n.ID, version, smallest).
			Typed("NetworkMTUSubnetConflict")
	}
	return nil
}

// freeSegment numbers a network by the lowest number that none of its kind has.
func freeSegment(ctx context.Context, tx *db.Tx, n *Network) error {
	err := tx.Lock(ctx, "segment numbers")
	if err != nil {
		return err
	}
	last := lastTunnel
	if n.Type == VLAN {
		last = lastVLAN
	}
	var free []int
	err = tx.All(ctx, &free, `
		SELECT a.n + 1 FROM (SELECT 0 AS n UNION ALL SELECT segmentation_id FROM networks WHERE network_type = ? AND physical_network = ?) AS a
		WHERE a.n < ? AND NOT EXISTS (
			SELECT 1 FROM networks AS b WHERE b.network_type = ? AND b.physical_network = ? AND b.segmentation_id = a.n + 1)
		ORDER BY a.n LIMIT 1`, n.Type, n.Physical, last, n.Type, n.Physical)
	if err != nil {
		return fmt.Errorf("number network: %w", err)
	}
	if len(free) == 0 {
		return errs.Unavailablef("Unable to create the network. No available network found in maximum allowed attempts.").Typed("NoNetworkAvailable")
	}
	n.Segment = free[0]
	return nil
}

// moveSegment changes the VLAN of a network; nothing else of a provider network
// can be changed.
func (n *Network) moveSegment(in NetworkChange) error {
	same := (in.Type == nil || *in.Type == n.Type) && (in.Physical == nil || *in.Physical == n.Physical)
	moved := in.Segment != nil && *in.Segment != n.Segment
	if !same || moved && n.Type != VLAN {
		return invalid("Plugin does not support updating the following provider network attributes: network_type, physical_network, segmentation_id")
	}
	if !moved {
		return nil
	}
	if *in.Segment < 1 || *in.Segment > lastVLAN {
		return invalid("segmentation_id out of range (1 through %d)", lastVLAN)
	}
	n.Segment = *in.Segment
	return nil
}

func segmentInUse(n Network) error {
	if n.Type == VLAN {
		return errs.Conflictf("Unable to create the network. The VLAN %d on physical network %s is in use.", n.Segment, n.Physical).Typed("VlanIdInUse")
	}
	if n.Type == Flat {
		return errs.Conflictf("Unable to create the flat network. Physical network %s is in use.", n.Physical).Typed("FlatNetworkInUse")
	}
	return errs.Conflictf("Unable to create the network. The tunnel ID %d is in use.", n.Segment).Typed("TunnelIdInUse")
}
