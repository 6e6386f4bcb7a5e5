package network

import (
	"fmt"
	"net/netip"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// complete checks a new subnet and fills in gateway and pools.
func (sub *Subnet) complete(in NewSubnet) error {
	prefix, err := sub.checkCIDR()
	if err != nil {
		return err
	}
	if !sub.DHCP && (sub.AddressMode != "" || sub.RAMode != "") {
		return invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	}
	if sub.AddressMode != "" && sub.RAMode != "" && sub.AddressMode != sub.RAMode {
		return invalid("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. If both attributes are set, they must be the same value",
			sub.RAMode, sub.AddressMode)
	}
	switch {
	case in.Gateway != nil:
		sub.Gateway = *in.Gateway
	case prefix.Bits() < prefix.Addr().BitLen()-1:
		sub.Gateway = prefix.Addr().Next().String()
	}
	err = sub.checkGateway(prefix)
	if err != nil {
		return err
	}
	if in.Pools == nil {
		sub.Pools = db.Of(sub.defaultPools(prefix))
	}
	return sub.checkRest(prefix)
}

func (sub *Subnet) checkCIDR() (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(sub.CIDR)
	if err != nil {
		return netip.Prefix{}, badField("cidr", "'%s' is not a valid IP subnet", sub.CIDR)
	}
	if prefix.Masked() != prefix {
		return netip.Prefix{}, badField("cidr", "'%s' isn't a recognized IP subnet cidr, '%s' is recommended", sub.CIDR, prefix.Masked())
	}
	sub.CIDR = prefix.String()
	version := 6
	if prefix.Addr().Is4() {
		version = 4
	}
	if sub.IPVersion == 0 {
		sub.IPVersion = version
	}
	if sub.IPVersion != version {
		return netip.Prefix{}, invalid("cidr: '%s' is not a valid IPv%d subnet", sub.CIDR, sub.IPVersion)
	}
	if sub.IPVersion == 4 && (sub.AddressMode != "" || sub.RAMode != "") {
		return netip.Prefix{}, invalid("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
	}
	if prefix.Bits() == 0 {
		return netip.Prefix{}, invalid("0 is not allowed as CIDR prefix length")
	}
	if sub.DHCP && prefix.Bits() == prefix.Addr().BitLen() {
		return netip.Prefix{}, invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
	}
	if prefix.Addr().IsMulticast() || prefix.Addr().IsLoopback() {
		return netip.Prefix{}, invalid("%s is not a range for hosts", sub.CIDR)
	}
	if sub.automatic() && prefix.Bits() != 64 {
		return netip.Prefix{}, invalid("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64", sub.CIDR)
	}
	return prefix, nil
}

// automatic tells whether ports get their address from their MAC, be it from us
// or from advertisements.
func (sub *Subnet) automatic() bool {
	for _, mode := range []string{sub.AddressMode, sub.RAMode} {
		if mode == "slaac" || mode == "dhcpv6-stateless" {
			return true
		}
	}
	return false
}

// badField is Neutron's answer to an attribute with a wrong value.
func badField(field, format string, args ...any) error {
	return errs.BadRequestf("Invalid input for %s. Reason: %s.", field, fmt.Sprintf(format, args...)).Typed("HTTPBadRequest")
}

func (sub *Subnet) checkGateway(prefix netip.Prefix) error {
	if sub.Gateway == "" {
		return nil
	}
	ip, err := netip.ParseAddr(sub.Gateway)
	if err != nil || ip.Zone() != "" {
		return badField("gateway_ip", "'%s' is not a valid IP address", sub.Gateway)
	}
	if ip.Is6() && ip.IsLinkLocalUnicast() && sub.IPVersion == 6 {
		sub.Gateway = ip.String()
		return nil
	}
	if !usable(prefix, ip) {
		return invalid("Gateway is not valid on subnet")
	}
	sub.Gateway = ip.String()
	return nil
}

// usable tells whether a host can have the address.
func usable(prefix netip.Prefix, ip netip.Addr) bool {
	if !prefix.Contains(ip) {
		return false
	}
	if prefix.Bits() >= ip.BitLen()-1 {
		return true
	}
	return ip != prefix.Addr() && (ip.Is6() || ip != last(prefix))
}

// last is the highest address of a prefix.
func last(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := prefix.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// defaultPools are all usable addresses but the gateway.
func (sub *Subnet) defaultPools(prefix netip.Prefix) []Pool {
	first, end := prefix.Addr(), last(prefix)
	if prefix.Bits() < prefix.Addr().BitLen()-1 {
		first = first.Next()
		if prefix.Addr().Is4() {
			end = end.Prev()
		}
	}
	gateway, err := netip.ParseAddr(sub.Gateway)
	if err != nil || gateway.Less(first) || end.Less(gateway) {
		return []Pool{{first.String(), end.String()}}
	}
	pools := []Pool{}
	if first.Less(gateway) {
		pools = append(pools, Pool{first.String(), gateway.Prev().String()})
	}
	if gateway.Less(end) {
		pools = append(pools, Pool{gateway.Next().String(), end.String()})
	}
	return pools
}

// checkRest checks pools, name servers and host routes.
func (sub *Subnet) checkRest(prefix netip.Prefix) error {
	type span struct{ from, to netip.Addr }
	var spans []span
	gateway, gatewayErr := netip.ParseAddr(sub.Gateway)
	for i, p := range sub.Pools.V {
		from, err1 := netip.ParseAddr(p.Start)
		to, err2 := netip.ParseAddr(p.End)
		if err1 != nil || err2 != nil || from.Is4() != prefix.Addr().Is4() || to.Is4() != prefix.Addr().Is4() || to.Less(from) {
			return errs.BadRequestf("The allocation pool %s-%s is not valid.", p.Start, p.End).Typed("InvalidAllocationPool")
		}
		if !usable(prefix, from) || !usable(prefix, to) {
			return errs.BadRequestf("The allocation pool %s-%s spans beyond the subnet cidr %s.", p.Start, p.End, sub.CIDR).Typed("OutOfBoundsAllocationPool")
		}
		for _, s := range spans {
			if !to.Less(s.from) && !s.to.Less(from) {
				return errs.Conflictf("Found overlapping allocation pools: %s-%s %s-%s for subnet %s.", s.from, s.to, from, to, sub.CIDR).Typed("OverlappingAllocationPools")
			}
		}
		if gatewayErr == nil && !gateway.Less(from) && !to.Less(gateway) {
			return errs.Conflictf("Gateway ip %s conflicts with allocation pool %s-%s.", sub.Gateway, p.Start, p.End).Typed("GatewayConflictWithAllocationPools")
		}
		spans = append(spans, span{from, to})
		sub.Pools.V[i] = Pool{from.String(), to.String()}
	}
	const mostServers, mostRoutes = 5, 20 // Neutron's defaults
	if len(sub.DNS.V) > mostServers {
		return errs.BadRequestf("Unable to complete operation for %s. The number of DNS nameservers exceeds the limit %d.", sub.ID, mostServers).Typed("DNSNameServersExhausted")
	}
	for _, server := range sub.DNS.V {
		_, err := netip.ParseAddr(server)
		if err != nil {
			return badField("dns_nameservers", "'%s' is not a valid nameserver", server)
		}
	}
	if len(sub.Routes.V) > mostRoutes {
		return errs.BadRequestf("Unable to complete operation for %s. The number of host routes exceeds the limit %d.", sub.ID, mostRoutes).Typed("HostRoutesExhausted")
	}
	return checkRoutes("host_routes", sub.Routes.V)
}

func checkRoutes(field string, routes []Route) error {
	for _, r := range routes {
		destination, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			return badField(field, "'%s' is not a valid IP subnet", r.Destination)
		}
		hop, err := netip.ParseAddr(r.NextHop)
		if err != nil || hop.Is4() != destination.Addr().Is4() {
			return badField(field, "'%s' is not a valid IP address", r.NextHop)
		}
	}
	return nil
}
