package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

var subnetList = listed{"subnets", columns(map[string]db.Filter{
	"name": {Column: "name"}, "network_id": {Column: "network_id"}, "cidr": {Column: "cidr"}, "gateway_ip": {Column: "gateway_ip"},
	"ip_version": {Column: "ip_version", Match: db.Number}, "enable_dhcp": {Column: "enable_dhcp", Match: db.Flag},
	"ipv6_address_mode": {Column: "ipv6_address_mode"}, "ipv6_ra_mode": {Column: "ipv6_ra_mode"},
	"subnetpool_id": {Column: "subnetpool_id"},
	"shared":        byHandler,
})}

type poolBody struct {
	Start string `json:"start" check:"required"`
	End   string `json:"end" check:"required"`
}

type routeBody struct {
	Destination string `json:"destination" check:"required"`
	NextHop     string `json:"nexthop" check:"required"`
}

type subnetBody struct {
	owner
	Network      string          `json:"network_id" check:"required,pattern=uuid"`
	Name         *string         `json:"name" check:"max=255"`
	Description  *string         `json:"description" check:"max=255"`
	IPVersion    api.Int         `json:"ip_version"`
	CIDR         *string         `json:"cidr"`
	Gateway      api.Opt[string] `json:"gateway_ip"`
	DHCP         *api.Bool       `json:"enable_dhcp"`
	DNS          []string        `json:"dns_nameservers" check:"nullable"`
	Routes       []routeBody     `json:"host_routes" check:"nullable"`
	Pools        []poolBody      `json:"allocation_pools" check:"nullable"`
	AddressMode  *string         `json:"ipv6_address_mode" check:"enum=slaac|dhcpv6-stateful|dhcpv6-stateless"`
	RAMode       *string         `json:"ipv6_ra_mode" check:"enum=slaac|dhcpv6-stateful|dhcpv6-stateless"`
	ServiceTypes []string        `json:"service_types"`
	Pool         api.Opt[string] `json:"subnetpool_id"`
	DefaultPool  *api.Bool       `json:"use_default_subnetpool"`
	Prefixlen    *api.Int        `json:"prefixlen"`
	Tags         []string        `json:"tags"`
}

type subnetsRequest struct {
	Subnet  *subnetBody  `json:"subnet"`
	Subnets []subnetBody `json:"subnets"`
}

type subnetChange struct {
	Subnet struct {
		Name         *string              `json:"name" check:"max=255"`
		Description  *string              `json:"description" check:"max=255"`
		Gateway      api.Opt[string]      `json:"gateway_ip"`
		DHCP         *api.Bool            `json:"enable_dhcp"`
		DNS          api.Opt[[]string]    `json:"dns_nameservers"`
		Routes       api.Opt[[]routeBody] `json:"host_routes"`
		Pools        *[]poolBody          `json:"allocation_pools"`
		ServiceTypes *[]string            `json:"service_types"`
	} `json:"subnet" check:"required"`
}

type subnetView struct {
	commonView
	Name         string          `json:"name"`
	Network      string          `json:"network_id"`
	IPVersion    int             `json:"ip_version"`
	Pool         *string         `json:"subnetpool_id"`
	DHCP         bool            `json:"enable_dhcp"`
	RAMode       *string         `json:"ipv6_ra_mode"`
	AddressMode  *string         `json:"ipv6_address_mode"`
	Gateway      *string         `json:"gateway_ip"`
	CIDR         string          `json:"cidr"`
	Pools        []network.Pool  `json:"allocation_pools"`
	Routes       []network.Route `json:"host_routes"`
	DNS          []string        `json:"dns_nameservers"`
	ServiceTypes []string        `json:"service_types"`
}

func viewSubnet(s network.Subnet) any {
	return subnetView{
		commonView: viewCommon(s.Common), Name: s.Name, Network: s.Network, IPVersion: s.IPVersion, DHCP: s.DHCP,
		RAMode: null(s.RAMode), AddressMode: null(s.AddressMode), Gateway: null(s.Gateway), CIDR: s.CIDR, Pool: null(s.Pool),
		Pools: s.Pools.V, Routes: s.Routes.V, DNS: s.DNS.V, ServiceTypes: s.ServiceTypes.V,
	}
}

func pools(in []poolBody) []network.Pool {
	if in == nil {
		return nil
	}
	out := make([]network.Pool, len(in))
	for i, p := range in {
		out[i] = network.Pool(p)
	}
	return out
}

func routes(in []routeBody) []network.Route {
	out := make([]network.Route, len(in))
	for i, r := range in {
		out[i] = network.Route(r)
	}
	return out
}

func (h handlers) subnets() resource[network.Subnet] {
	return resource[network.Subnet]{"subnet", subnetList, h.findSubnet, h.net.Subnets, plain(viewSubnet), h.net.DeleteSubnet}
}

func (h handlers) findSubnet(c *api.Call) (network.Subnet, error) {
	s, on, err := h.net.Subnet(c.Context(), scope(c), c.PathValue("subnet_id"))
	if err != nil {
		return network.Subnet{}, err
	}
	return s, c.Authorize(target(s.Project, &on))
}

func (h handlers) createSubnets(c *api.Call, in subnetsRequest) (map[string]any, error) {
	bodies, err := oneOrMany("subnet", in.Subnet, in.Subnets)
	if err != nil {
		return nil, err
	}
	var list []network.NewSubnet
	for _, b := range bodies {
		on, err := h.net.Network(c.Context(), scope(c), b.Network)
		if err != nil {
			return nil, err
		}
		project, _, err := b.creates(c, "subnet", &on, b.Tags)
		if err != nil {
			return nil, err
		}
		sub := network.NewSubnet{
			Project: project, Network: on.ID, Name: text(b.Name), Description: text(b.Description), Tags: b.Tags,
			IPVersion: int(b.IPVersion), CIDR: text(b.CIDR), Pool: b.Pool.V, DHCP: truth(b.DHCP), DNS: b.DNS, Routes: routes(b.Routes), Pools: pools(b.Pools),
			AddressMode: text(b.AddressMode), RAMode: text(b.RAMode), ServiceTypes: b.ServiceTypes,
		}
		if b.Gateway.Set {
			sub.Gateway = &b.Gateway.V // "" for null
		}
		sub.DefaultPool = b.DefaultPool != nil && bool(*b.DefaultPool)
		sub.Prefixlen = number(b.Prefixlen)
		list = append(list, sub)
	}
	rows, err := h.net.CreateSubnets(c.Context(), scope(c), list...)
	return h.subnets().several(c, in.Subnet != nil, rows, err)
}

func (h handlers) updateSubnet(c *api.Call, in subnetChange) (map[string]any, error) {
	s, rev, err := h.subnets().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Subnet
	change := network.SubnetChange{
		Name: b.Name, Description: b.Description, DHCP: truth(b.DHCP), ServiceTypes: b.ServiceTypes,
	}
	if b.DNS.Set {
		change.DNS = &b.DNS.V // none for null
	}
	if b.Gateway.Set {
		change.Gateway = &b.Gateway.V
	}
	if b.Routes.Set {
		r := routes(b.Routes.V)
		change.Routes = &r
	}
	if b.Pools != nil {
		p := pools(*b.Pools)
		change.Pools = &p
	}
	s, err = h.net.UpdateSubnet(c.Context(), s.ID, rev, change)
	return h.subnets().shown(c, s, err)
}
