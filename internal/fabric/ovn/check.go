package ovn

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"nacre/internal/fabric"
)

// check refuses a topology that cannot be mapped, so that the mapping itself has
// nothing left to fail with.
func check(p *plan, t fabric.Topology) error {
	networks, groups := map[string]bool{}, map[string]bool{}
	for _, n := range t.Networks {
		networks[n.ID] = true
		err := checkNetwork(n)
		if err != nil {
			return fmt.Errorf("network %s: %w", n.ID, err)
		}
	}
	for _, g := range t.Groups {
		groups[g.ID] = true
		for _, r := range g.Rules {
			_, err := match(g.ID, r)
			if err != nil {
				return fmt.Errorf("rule %s of group %s: %w", r.ID, g.ID, err)
			}
		}
	}
	network := func(id string) error {
		if !networks[id] && p.get(switches, switchID(id)) == nil {
			return fmt.Errorf("network %s does not exist", id)
		}
		return nil
	}
	for _, port := range t.Ports {
		err := network(port.Network)
		if err != nil {
			return fmt.Errorf("port %s: %w", port.ID, err)
		}
		for _, g := range port.Groups {
			if !groups[g] && p.get(portGroups, groupID(g)) == nil {
				return fmt.Errorf("port %s: group %s does not exist", port.ID, g)
			}
		}
		err = checkPort(port)
		if err != nil {
			return fmt.Errorf("port %s: %w", port.ID, err)
		}
	}
	for _, r := range t.Routers {
		for _, rp := range allPorts(r) {
			err := network(rp.Network)
			if err != nil {
				return fmt.Errorf("router %s: %w", r.ID, err)
			}
		}
		err := checkRouter(r)
		if err != nil {
			return fmt.Errorf("router %s: %w", r.ID, err)
		}
	}
	return nil
}

func checkNetwork(n fabric.Network) error {
	if n.VLAN < 0 || n.VLAN > 4095 {
		return fmt.Errorf("VLAN %d", n.VLAN)
	}
	for _, s := range n.Subnets {
		_, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			return err
		}
		for _, address := range append([]string{s.Gateway, s.MetadataIP}, s.DNS...) {
			err := checkAddress(address)
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

func checkPort(p fabric.Port) error {
	_, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	for _, ip := range p.IPs {
		_, err := netip.ParseAddr(ip)
		if err != nil {
			return err
		}
	}
	for _, pair := range p.AllowedPairs {
		if pair.MAC != "" {
			_, err := net.ParseMAC(pair.MAC)
			if err != nil {
				return err
			}
		}
		_, err := netip.ParseAddr(pair.IP)
		if err != nil {
			_, err = netip.ParsePrefix(pair.IP)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRouter(r fabric.Router) error {
	for _, rp := range allPorts(r) {
		_, err := net.ParseMAC(rp.MAC)
		if err != nil {
			return err
		}
		if len(rp.CIDRs) == 0 {
			return fmt.Errorf("port %s has no address", rp.ID)
		}
		for _, cidr := range rp.CIDRs {
			_, err := netip.ParsePrefix(cidr)
			if err != nil {
				return err
			}
		}
	}
	for _, nat := range r.NATs {
		for _, ip := range []string{nat.External, nat.Internal} {
			_, err := netip.ParseAddr(ip)
			if err != nil {
				return err
			}
		}
	}
	if r.Gateway != nil {
		for _, hop := range r.Gateway.NextHops {
			err := checkAddress(hop)
			if err != nil {
				return err
			}
		}
	}
	return checkRoutes(r.Routes)
}

func checkRoutes(routes []fabric.Route) error {
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

func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	_, err := netip.ParseAddr(address)
	return err
}

// checkNumber says whether the text is an IP protocol number.
func checkNumber(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 255 {
		return fmt.Errorf("protocol %q", text)
	}
	return nil
}

// allPorts are the router's interfaces, its gateway included.
func allPorts(r fabric.Router) []fabric.RouterPort {
	ports := append([]fabric.RouterPort(nil), r.Ports...)
	if r.Gateway != nil {
		ports = append(ports, r.Gateway.RouterPort)
	}
	return ports
}
