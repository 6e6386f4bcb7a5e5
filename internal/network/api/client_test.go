package api_test

import (
	"context"
	"slices"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// all reads every page of a list.
func all[T any](t *testing.T, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) []T {
	t.Helper()
	pages, err := pager.AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	list, err := extract(pages)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestGophercloud walks through a tenant's day with a client that isn't ours.
func TestGophercloud(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	provider := &gophercloud.ProviderClient{TokenID: demo}
	client := &gophercloud.ServiceClient{
		ProviderClient: provider, Endpoint: c.server.URL + "/network/", ResourceBase: c.server.URL + "/network/v2.0/", Type: "network",
	}

	yes, no := true, false
	net, err := networks.Create(ctx, client, networks.CreateOpts{Name: "office", AdminStateUp: &yes, Description: "desks"}).Extract()
	must(err)
	gateway := "192.168.7.1"
	sub, err := subnets.Create(ctx, client, subnets.CreateOpts{
		NetworkID: net.ID, CIDR: "192.168.7.0/24", IPVersion: gophercloud.IPv4, GatewayIP: &gateway, EnableDHCP: &yes,
		DNSNameservers: []string{"9.9.9.9"}, AllocationPools: []subnets.AllocationPool{{Start: "192.168.7.10", End: "192.168.7.99"}},
		HostRoutes: []subnets.HostRoute{{DestinationCIDR: "10.0.0.0/8", NextHop: "192.168.7.2"}},
	}).Extract()
	must(err)
	if sub.GatewayIP != gateway || len(sub.HostRoutes) != 1 || sub.AllocationPools[0].End != "192.168.7.99" {
		t.Errorf("subnet is %+v", sub)
	}
	_, err = subnets.Update(ctx, client, sub.ID, subnets.UpdateOpts{DNSNameservers: &[]string{"1.1.1.1", "9.9.9.9"}}).Extract()
	must(err)

	group, err := groups.Create(ctx, client, groups.CreateOpts{Name: "web", Description: "web servers"}).Extract()
	must(err)
	rule, err := rules.Create(ctx, client, rules.CreateOpts{
		Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: group.ID, Protocol: rules.ProtocolTCP,
		PortRangeMin: 443, PortRangeMax: 443, RemoteIPPrefix: "0.0.0.0/0",
	}).Extract()
	must(err)
	group, err = groups.Get(ctx, client, group.ID).Extract()
	must(err)
	if !slices.ContainsFunc(group.Rules, func(r rules.SecGroupRule) bool { return r.ID == rule.ID && r.PortRangeMin == 443 }) {
		t.Errorf("group has rules %+v, want one for port 443", group.Rules)
	}

	port, err := ports.Create(ctx, client, ports.CreateOpts{
		NetworkID: net.ID, Name: "card", SecurityGroups: &[]string{group.ID},
		FixedIPs:            []ports.IP{{SubnetID: sub.ID, IPAddress: "192.168.7.50"}},
		AllowedAddressPairs: []ports.AddressPair{{IPAddress: "192.168.7.60"}},
	}).Extract()
	must(err)
	if port.FixedIPs[0].IPAddress != "192.168.7.50" || port.AllowedAddressPairs[0].MACAddress != port.MACAddress {
		t.Errorf("port is %+v", port)
	}

	isExternal := true
	found := all(t, networks.List(client, external.ListOptsExt{ListOptsBuilder: networks.ListOpts{Name: "public"}, External: &isExternal}), networks.ExtractNetworks)
	if len(found) != 1 {
		t.Fatalf("found %d external networks, want 1", len(found))
	}
	router, err := routers.Create(ctx, client, routers.CreateOpts{Name: "edge", AdminStateUp: &yes, GatewayInfo: &routers.GatewayInfo{NetworkID: found[0].ID}}).Extract()
	must(err)
	if router.GatewayInfo.NetworkID != found[0].ID || len(router.GatewayInfo.ExternalFixedIPs) != 1 {
		t.Errorf("router is %+v, want a gateway with one address", router)
	}
	joined, err := routers.AddInterface(ctx, client, router.ID, routers.AddInterfaceOpts{SubnetID: sub.ID}).Extract()
	must(err)
	if joined.SubnetID != sub.ID {
		t.Errorf("interface is %+v, want it on %s", joined, sub.ID)
	}

	floating, err := floatingips.Create(ctx, client, floatingips.CreateOpts{FloatingNetworkID: found[0].ID, PortID: port.ID}).Extract()
	must(err)
	if floating.FixedIP != "192.168.7.50" || floating.RouterID != router.ID || floating.Status != "ACTIVE" {
		t.Errorf("floating IP is %+v", floating)
	}
	nowhere := ""
	floating, err = floatingips.Update(ctx, client, floating.ID, floatingips.UpdateOpts{PortID: &nowhere}).Extract()
	must(err)
	if floating.PortID != "" || floating.Status != "DOWN" {
		t.Errorf("floating IP is %+v, want it to lead nowhere", floating)
	}

	usage, err := quotas.GetDetail(ctx, client, demo).Extract()
	must(err)
	if usage.Router.Used != 2 || usage.FloatingIP.Used != 1 || usage.Port.Limit != 500 {
		t.Errorf("usage is %+v, want 2 routers, 1 floating IP, 500 ports at most", usage)
	}
	for i := range 5 {
		_, err = networks.Create(ctx, client, networks.CreateOpts{Name: "more", AdminStateUp: &no}).Extract()
		must(err)
		if list := all(t, networks.List(client, networks.ListOpts{Name: "more", Limit: 2}), networks.ExtractNetworks); len(list) != i+1 {
			t.Errorf("pages of two hold %d networks, want %d", len(list), i+1)
		}
	}

	must(floatingips.Delete(ctx, client, floating.ID).ExtractErr())
	_, err = routers.RemoveInterface(ctx, client, router.ID, routers.RemoveInterfaceOpts{SubnetID: sub.ID}).Extract()
	must(err)
	must(routers.Delete(ctx, client, router.ID).ExtractErr())
	must(ports.Delete(ctx, client, port.ID).ExtractErr())
	must(rules.Delete(ctx, client, rule.ID).ExtractErr())
	must(groups.Delete(ctx, client, group.ID).ExtractErr())
	must(networks.Delete(ctx, client, net.ID).ExtractErr())
	err = networks.Get(ctx, client, net.ID).Err
	if !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("a deleted network answers %v, want 404", err)
	}
}
