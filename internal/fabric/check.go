package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Check refuses what no driver could make: addresses that are none, protocols that
// nobody knows. Drivers call it first, so that their mapping has nothing left to
// fail with, and so that all refuse the same. That what is referred to exists
// is for the driver to see.
func (t Topology) Check() error {
	for _, n := range t.Networks {
		err := n.check()
		if err != nil {
			return fmt.Errorf("network %s: %w", n.ID, err)
		}
	}
	for _, g := range t.Groups {
		for _, r := range g.Rules {
			err := r.check()
			if err != nil {
				return fmt.Errorf("rule %s of group %s: %w", r.ID, g.ID, err)
			}
		}
	}
	for _, g := range t.AddressGroups {
		for _, cidr := range g.CIDRs {
			_, err := netip.ParsePrefix(cidr)
			if err != nil {
				return fmt.Errorf("address group %s: %w", g.ID, err)
			}
		}
	}
	for _, p := range t.Ports {
		err := p.check()
		if err != nil {
			return fmt.Errorf("port %s: %w", p.ID, err)
		}
	}
	for _, r := range t.Routers {
		err := r.check()
		if err != nil {
			return fmt.Errorf("router %s: %w", r.ID, err)
		}
	}
	return nil
}

func (n Network) check() error {
	if n.VLAN < 0 || n.VLAN > 4095 {
		return fmt.Errorf("VLAN %d", n.VLAN)
	}
	for _, s := range n.Subnets {
		_, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			return err
		}
		for _, address := range slices.Concat([]string{s.Gateway, s.MetadataIP}, s.DNS) {
			err = checkOptional(address)
			if err != nil {
				return err
			}
		}
		err = checkRoutes(s.Routes)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p Port) check() error {
	_, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	err = p.QoS.check()
	if err != nil {
		return err
	}
	if (p.Trunk != "") != (p.VLAN != 0) || p.VLAN < 0 || p.VLAN > 4094 {
		return fmt.Errorf("VLAN %d of trunk %q", p.VLAN, p.Trunk)
	}
	for _, ip := range p.IPs {
		_, err = netip.ParseAddr(ip)
		if err != nil {
			return err
		}
	}
	for _, pair := range p.AllowedPairs {
		if pair.MAC != "" {
			_, err = net.ParseMAC(pair.MAC)
			if err != nil {
				return err
			}
		}
		_, err = netip.ParseAddr(pair.IP)
		if err != nil {
			_, err = netip.ParsePrefix(pair.IP)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q QoS) check() error {
	for _, n := range []int{q.Egress.Rate, q.Egress.Burst, q.Ingress.Rate, q.Ingress.Burst} {
		if n < 0 {
			return fmt.Errorf("rate %d", n)
		}
	}
	if q.DSCP < 0 || q.DSCP > 63 {
		return fmt.Errorf("DSCP %d", q.DSCP)
	}
	return nil
}

func (f Forwarding) check() error {
	for _, ip := range []string{f.External, f.Internal} {
		_, err := netip.ParseAddr(ip)
		if err != nil {
			return err
		}
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, f.Protocol) {
		return fmt.Errorf("protocol %q", f.Protocol)
	}
	for _, r := range [][2]int{{f.ExternalMin, f.ExternalMax}, {f.InternalMin, f.InternalMax}} {
		if r[0] < 1 || r[1] < r[0] || r[1] > 65535 {
			return fmt.Errorf("ports %d to %d", r[0], r[1])
		}
	}
	inner := f.InternalMax - f.InternalMin
	if inner != 0 && inner != f.ExternalMax-f.ExternalMin {
		return fmt.Errorf("ports %d to %d lead to %d to %d", f.ExternalMin, f.ExternalMax, f.InternalMin, f.InternalMax)
	}
	return f.QoS.check()
}

// protocols are the names that a rule may use besides numbers.
var protocols = []string{"", "tcp", "udp", "sctp", "icmp", "icmpv6", "ipv6-icmp"}

func (r Rule) check() error {
	if r.RemoteCIDR != "" {
		prefix, err := netip.ParsePrefix(r.RemoteCIDR)
		if err != nil {
			return err
		}
		if prefix.Addr().Is6() != r.IPv6 {
			return fmt.Errorf("address range %s is of the other IP version", r.RemoteCIDR)
		}
	}
	if slices.Contains(protocols, r.Protocol) {
		return nil
	}
	number, err := strconv.ParseUint(r.Protocol, 10, 8)
	if err != nil || strconv.FormatUint(number, 10) != r.Protocol {
		return fmt.Errorf("protocol %q", r.Protocol)
	}
	return nil
}

func (r Router) check() error {
	for _, rp := range r.AllPorts() {
		_, err := net.ParseMAC(rp.MAC)
		if err != nil {
			return err
		}
		if len(rp.CIDRs) == 0 {
			return errors.New("port " + rp.ID + " has no address")
		}
		for _, cidr := range rp.CIDRs {
			_, err = netip.ParsePrefix(cidr)
			if err != nil {
				return err
			}
		}
	}
	for _, f := range r.Forwardings {
		err := f.check()
		if err != nil {
			return fmt.Errorf("port forwarding %s: %w", f.ID, err)
		}
	}
	for _, nat := range r.NATs {
		err := nat.QoS.check()
		if err != nil {
			return fmt.Errorf("floating IP %s: %w", nat.ID, err)
		}
		for _, ip := range []string{nat.External, nat.Internal} {
			_, err := netip.ParseAddr(ip)
			if err != nil {
				return err
			}
		}
	}
	if r.Gateway != nil {
		err := r.Gateway.QoS.check()
		if err != nil {
			return err
		}
		for _, hop := range r.Gateway.NextHops {
			err := checkOptional(hop)
			if err != nil {
				return err
			}
		}
	}
	return checkRoutes(r.Routes)
}

func checkRoutes(routes []Route) error {
	for _, r := range routes {
		_, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			return err
		}
		_, err = netip.ParseAddr(r.NextHop)
		if err != nil {
			return err
		}
	}
	return nil
}

func checkOptional(address string) error {
	if address == "" {
		return nil
	}
	_, err := netip.ParseAddr(address)
	return err
}
