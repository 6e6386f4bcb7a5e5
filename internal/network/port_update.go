package network

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// UpdatePort changes a port, provided it has the revision.
func (s *Service) UpdatePort(ctx context.Context, scope Scope, id string, revision int64, in PortChange) (Port, error) {
	var p Port
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readPort(ctx, tx, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		device, owner := or(in.Device, p.Device), or(in.Owner, p.Owner)
		moved := device != p.Device || owner != p.Owner
		switch {
		case moved && (ours(owner) || ours(p.Owner)):
			return notYours(device)
		case moved && (p.Server != "" || p.Owner == OwnerSubport):
			return portInUse(id)
		}
		err = s.changePort(ctx, tx, scope, &p, in)
		if err != nil {
			return err
		}
		return describePorts(ctx, tx, []*Port{&p})
	})
	return p, err
}

// changePort applies the change to the row and to what repeats it.
func (s *Service) changePort(ctx context.Context, tx *db.Tx, scope Scope, p *Port, in PortChange) error {
	n, err := readNetwork(ctx, tx, p.Network)
	if err != nil {
		return err
	}
	if in.MAC != nil && !strings.EqualFold(*in.MAC, p.MAC) {
		if p.Host != "" {
			return errs.Conflictf("Unable to complete operation on port %s, port is already bound, port type: ovs, old_mac %s, new_mac %s.", p.ID, p.MAC, *in.MAC).Typed("PortBound")
		}
		p.MAC, err = chooseMAC(ctx, tx, n, *in.MAC)
		if err != nil {
			return err
		}
	}
	set(&p.Name, in.Name)
	set(&p.Description, in.Description)
	set(&p.AdminUp, in.AdminUp)
	set(&p.Device, in.Device)
	set(&p.Owner, in.Owner)
	set(&p.PortSecurity, in.PortSecurity)
	set(&p.VNICType, in.VNICType)
	set(&p.DNSName, in.DNSName)
	set(&p.DNSDomain, in.DNSDomain)
	err = p.options(in.DHCPOptions)
	if err != nil {
		return err
	}
	set(&p.Profile.V, in.Profile)
	if in.QoS != nil {
		err = exchangePolicy(ctx, tx, scope, p.QoS, *in.QoS)
		p.QoS = *in.QoS
		if err != nil {
			return err
		}
	}
	if in.Pairs != nil {
		p.Pairs.V = slices.Clone(*in.Pairs)
	}
	if in.Host != nil && *in.Host != p.Host {
		p.Host, p.Status = *in.Host, "DOWN"
		recheckAfter(tx, p.ID)
	}
	if in.FixedIPs != nil {
		err = s.changeAddresses(ctx, tx, n, p, *in.FixedIPs)
		if err != nil {
			return err
		}
	}
	if in.Groups != nil {
		p.Groups, err = s.chooseGroups(ctx, tx, scope, *p, in.Groups)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM port_groups WHERE port_id = ?`, p.ID)
		if err != nil {
			return fmt.Errorf("leave security groups: %w", err)
		}
		err = joinGroups(ctx, tx, *p)
		if err != nil {
			return err
		}
	}
	err = p.check()
	if err != nil {
		return err
	}
	return savePort(ctx, tx, p)
}

// savePort writes a changed port and notes that the fabric must hear of it.
func savePort(ctx context.Context, tx *db.Tx, p *Port) error {
	p.touch(tx)
	_, err := tx.Update(ctx, p, "name", "description", "mac_address", "admin_up", "status", "device_id", "device_owner",
		"port_security", "fixed_ips", "security_groups", "allowed_pairs", "vnic_type", "server", "host", "profile", "dns_name", "dns_domain", "dhcp_options",
		"qos_policy_id", "card_limits", "revision", "updated_at")
	if err != nil {
		return fmt.Errorf("update port %s: %w", p.ID, err)
	}
	err = followTrunk(ctx, tx, p.ID, p.Host, p.Status)
	if err != nil {
		return err
	}
	return portDirty(ctx, tx, updated, *p)
}

// changeAddresses gives the port other addresses. Floating IPs that pointed at
// one that it loses point nowhere afterwards.
func (s *Service) changeAddresses(ctx context.Context, tx *db.Tx, n Network, p *Port, asked []FixedIP) error {
	had := map[string]bool{}
	for _, f := range p.FixedIPs.V {
		had[f.Subnet+" "+f.IP] = true
	}
	// An entry that names only a subnet keeps the port's address there.
	asked = slices.Clone(asked)
	for i, f := range asked {
		for _, old := range p.FixedIPs.V {
			taken := slices.ContainsFunc(asked, func(o FixedIP) bool { return o.IP == old.IP })
			if f.IP == "" && f.Subnet == old.Subnet && !taken {
				asked[i] = old
				break
			}
		}
	}
	chosen, err := s.chooseAddresses(ctx, tx, n, &asked, p.MAC, p.Owner, had)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, c := range chosen {
		keep[c.Subnet+" "+c.IP] = true
	}
	for _, f := range p.FixedIPs.V {
		if keep[f.Subnet+" "+f.IP] {
			continue
		}
		_, err = tx.Exec(ctx, `DELETE FROM port_ips WHERE subnet_id = ? AND ip_address = ?`, f.Subnet, f.IP)
		if err != nil {
			return fmt.Errorf("give address %s back: %w", f.IP, err)
		}
		err = freeFloating(ctx, tx, p.ID, f.IP)
		if err != nil {
			return err
		}
	}
	for _, c := range chosen {
		if had[c.Subnet+" "+c.IP] {
			continue
		}
		err = takeAddress(ctx, tx, p.ID, c.FixedIP, c.cidr)
		if err != nil {
			return err
		}
	}
	p.FixedIPs = db.Of(fixed(chosen))
	return nil
}

// AddPairs lets a port use further addresses, in addition to those that it may.
func (s *Service) AddPairs(ctx context.Context, scope Scope, id string, revision int64, pairs []AddressPair) (Port, error) {
	return s.changePairs(ctx, scope, id, revision, pairs, func(have []AddressPair, pair AddressPair) []AddressPair {
		if slices.Contains(have, pair) {
			return have
		}
		return append(have, pair)
	})
}

// RemovePairs takes addresses back that a port may use; missing ones are a success.
func (s *Service) RemovePairs(ctx context.Context, scope Scope, id string, revision int64, pairs []AddressPair) (Port, error) {
	return s.changePairs(ctx, scope, id, revision, pairs, func(have []AddressPair, pair AddressPair) []AddressPair {
		return slices.DeleteFunc(have, func(p AddressPair) bool { return p == pair })
	})
}

func (s *Service) changePairs(ctx context.Context, scope Scope, id string, revision int64, pairs []AddressPair,
	change func(have []AddressPair, pair AddressPair) []AddressPair) (Port, error) {
	var p Port
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readPort(ctx, tx, id)
		if err != nil {
			return err
		}
		err = p.revised(revision)
		if err != nil {
			return err
		}
		named := Port{MAC: p.MAC, PortSecurity: true, Pairs: db.Of(slices.Clone(pairs))}
		err = named.check() // spells them as they are kept
		if err != nil {
			return err
		}
		have := slices.Clone(p.Pairs.V)
		for _, pair := range named.Pairs.V {
			have = change(have, pair)
		}
		return s.changePort(ctx, tx, scope, &p, PortChange{Pairs: &have})
	})
	return p, err
}
