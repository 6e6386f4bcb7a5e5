package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

var floatingList = listed{"floatingips", columns(map[string]db.Filter{
	"floating_network_id": {Column: "network_id"}, "floating_ip_address": {Column: "address"}, "fixed_ip_address": {Column: "fixed_ip"},
	"port_id": {Column: "fixed_port"}, "router_id": {Column: "router_id"}, "status": {Column: "status"},
})}

type floatingRequest struct {
	Floating struct {
		owner
		Network     string          `json:"floating_network_id" check:"required,pattern=uuid"`
		Subnet      *string         `json:"subnet_id"`
		Address     *string         `json:"floating_ip_address"`
		FixedPort   api.Opt[string] `json:"port_id"`
		FixedIP     *string         `json:"fixed_ip_address"`
		DNSName     *string         `json:"dns_name" check:"max=255"`
		DNSDomain   *string         `json:"dns_domain" check:"max=255"`
		Description *string         `json:"description" check:"max=255"`
		QoS         *string         `json:"qos_policy_id" check:"pattern=uuid"`
		Tags        []string        `json:"tags"`
	} `json:"floatingip" check:"required"`
}

type floatingChange struct {
	Floating floatingAttributes `json:"floatingip" check:"required"`
}

type floatingAttributes struct {
	FixedPort   api.Opt[string] `json:"port_id"`
	FixedIP     *string         `json:"fixed_ip_address"`
	Description *string         `json:"description" check:"max=255"`
	QoS         api.Opt[string] `json:"qos_policy_id" check:"pattern=uuid"`
}

type floatingView struct {
	commonView
	Address   string                    `json:"floating_ip_address"`
	Network   string                    `json:"floating_network_id"`
	Router    *string                   `json:"router_id"`
	Port      *string                   `json:"port_id"`
	DNSName   string                    `json:"dns_name"`
	DNSDomain string                    `json:"dns_domain"`
	FixedIP   *string                   `json:"fixed_ip_address"`
	Status    string                    `json:"status"`
	Details   *network.FixedPortDetails `json:"port_details"`

	Forwardings []forwardingView `json:"port_forwardings"`
	QoS         *string          `json:"qos_policy_id"`
	NetworkQoS  *string          `json:"qos_network_policy_id"`
}

func viewFloating(f network.FloatingIP) any {
	v := floatingView{
		commonView: viewCommon(f.Common), Address: f.Address, Network: f.Network, Router: null(f.Router), Port: null(f.FixedPort),
		DNSName: f.DNSName, DNSDomain: f.DNSDomain, FixedIP: null(f.FixedIP), Status: f.Status, Details: f.Details,
		QoS: null(f.QoS), NetworkQoS: null(f.NetworkQoS), Forwardings: make([]forwardingView, len(f.Forwardings)),
	}
	for i, w := range f.Forwardings {
		v.Forwardings[i] = viewForwarding(w)
	}
	return v
}

func (h handlers) floating() resource[network.FloatingIP] {
	return resource[network.FloatingIP]{"floatingip", floatingList, h.findFloating, h.net.FloatingIPs, plain(viewFloating), h.net.DeleteFloatingIP}
}

func (h handlers) findFloating(c *api.Call) (network.FloatingIP, error) {
	f, err := h.net.FloatingIP(c.Context(), scope(c), c.PathValue("floatingip_id"))
	if err != nil {
		return network.FloatingIP{}, err
	}
	return f, c.Authorize(target(f.Project, nil))
}

func (h handlers) createFloating(c *api.Call, in floatingRequest) (map[string]any, error) {
	b := in.Floating
	project, t, err := b.creates(c, "floatingip", nil, b.Tags)
	if err != nil {
		return nil, err
	}
	err = guard(c, b.Address != nil, "create_floatingip:floating_ip_address", t)
	if err != nil {
		return nil, err
	}
	f, err := h.net.CreateFloatingIP(c.Context(), scope(c), network.NewFloatingIP{
		Project: project, Network: b.Network, Description: text(b.Description), Tags: b.Tags, Subnet: text(b.Subnet),
		Address: text(b.Address), FixedPort: b.FixedPort.V, FixedIP: text(b.FixedIP), DNSName: text(b.DNSName), DNSDomain: text(b.DNSDomain), QoS: text(b.QoS),
	})
	return h.floating().made(c, f, err)
}

func (h handlers) updateFloating(c *api.Call, in floatingChange) (map[string]any, error) {
	f, rev, err := h.floating().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Floating
	change := network.FloatingIPChange{Description: b.Description, FixedIP: text(b.FixedIP), FixedPort: chosen(b.FixedPort), QoS: chosen(b.QoS)}
	if b == (floatingAttributes{}) {
		change.FixedPort = new(string) // a change of nothing has always meant: lead nowhere
	}
	f, err = h.net.UpdateFloatingIP(c.Context(), scope(c), f.ID, rev, change)
	return h.floating().shown(c, f, err)
}
