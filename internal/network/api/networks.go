package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/network"
)

var networkList = listed{"networks", columns(map[string]db.Filter{
	"name": {Column: "name"}, "status": {Column: "status"}, "admin_state_up": {Column: "admin_up", Match: db.Flag},
	"router:external": {Column: "external", Match: db.Flag},
	"is_default":      {Column: "is_default", Match: db.Flag}, "mtu": {Column: "mtu", Match: db.Number},
	"port_security_enabled": {Column: "port_security", Match: db.Flag}, "provider:network_type": {Column: "network_type"},
	"provider:physical_network": {Column: "physical_network"}, "provider:segmentation_id": {Column: "segmentation_id", Match: db.Number},
	"dns_domain": {Column: "dns_domain"},
	"shared":     byHandler,
})}

type networkBody struct {
	owner
	Name         *string   `json:"name" check:"max=255"`
	Description  *string   `json:"description" check:"max=255"`
	AdminUp      *api.Bool `json:"admin_state_up"`
	Shared       *api.Bool `json:"shared"`
	External     *api.Bool `json:"router:external"`
	IsDefault    *api.Bool `json:"is_default"`
	PortSecurity *api.Bool `json:"port_security_enabled"`
	MTU          *api.Int  `json:"mtu"`
	Type         *string   `json:"provider:network_type" check:"max=32"`
	Physical     *string   `json:"provider:physical_network" check:"max=64"`
	Segment      *api.Int  `json:"provider:segmentation_id"`
	QoS          *string   `json:"qos_policy_id" check:"pattern=uuid"`
	DNSDomain    *string   `json:"dns_domain" check:"max=255"`
	ZoneHints    []string  `json:"availability_zone_hints"`
	Tags         []string  `json:"tags"`
}

type networksRequest struct {
	Network  *networkBody  `json:"network"`
	Networks []networkBody `json:"networks"`
}

type networkChange struct {
	Network struct {
		Name         *string   `json:"name" check:"max=255"`
		Description  *string   `json:"description" check:"max=255"`
		AdminUp      *api.Bool `json:"admin_state_up"`
		Shared       *api.Bool `json:"shared"`
		External     *api.Bool `json:"router:external"`
		IsDefault    *api.Bool `json:"is_default"`
		PortSecurity *api.Bool `json:"port_security_enabled"`
		MTU          *api.Int  `json:"mtu"`
		DNSDomain    *string   `json:"dns_domain" check:"max=255"`

		QoS      api.Opt[string] `json:"qos_policy_id" check:"pattern=uuid"`
		Type     *string         `json:"provider:network_type" check:"max=32"`
		Physical *string         `json:"provider:physical_network" check:"max=64"`
		Segment  *api.Int        `json:"provider:segmentation_id"`
	} `json:"network" check:"required"`
}

type networkView struct {
	commonView
	Name         string   `json:"name"`
	AdminUp      bool     `json:"admin_state_up"`
	MTU          int      `json:"mtu"`
	Status       string   `json:"status"`
	Subnets      []string `json:"subnets"`
	Shared       bool     `json:"shared"`
	External     bool     `json:"router:external"`
	IsDefault    bool     `json:"is_default"`
	PortSecurity bool     `json:"port_security_enabled"`
	QoS          *string  `json:"qos_policy_id"`
	DNSDomain    string   `json:"dns_domain"`
	Scope4       *string  `json:"ipv4_address_scope"`
	Scope6       *string  `json:"ipv6_address_scope"`
	ZoneHints    []string `json:"availability_zone_hints"`
	Zones        []string `json:"availability_zones"`
}

type providerView struct {
	networkView
	Type     string  `json:"provider:network_type"`
	Physical *string `json:"provider:physical_network"`
	Segment  *int    `json:"provider:segmentation_id"`
}

func (h handlers) viewNetwork(c *api.Call) func(n network.Network) any {
	provider := c.May("get_network:provider:network_type", auth.Target{Project: c.Caller.Project})
	return func(n network.Network) any {
		v := networkView{
			commonView: viewCommon(n.Common), Name: n.Name, AdminUp: n.AdminUp, MTU: n.MTU, Status: n.Status, Subnets: n.Subnets,
			Shared: n.Shared, External: n.External, IsDefault: n.IsDefault, PortSecurity: n.PortSecurity, QoS: null(n.QoS),
			DNSDomain: n.DNSDomain, Scope4: null(n.Scopes[4]), Scope6: null(n.Scopes[6]), ZoneHints: n.ZoneHints.V, Zones: []string{h.net.Zone()},
		}
		if !provider {
			return v
		}
		p := providerView{networkView: v, Type: n.Type, Physical: null(n.Physical)}
		if n.Segment != 0 {
			p.Segment = &n.Segment
		}
		return p
	}
}

func (h handlers) networks() resource[network.Network] {
	return resource[network.Network]{"network", networkList, h.findNetwork, h.net.Networks, h.viewNetwork, h.net.DeleteNetwork}
}

func (h handlers) findNetwork(c *api.Call) (network.Network, error) {
	n, err := h.net.Network(c.Context(), scope(c), c.PathValue("network_id"))
	if err != nil {
		return network.Network{}, err
	}
	return n, c.Authorize(target(n.Project, &n))
}

func (h handlers) createNetworks(c *api.Call, in networksRequest) (map[string]any, error) {
	bodies, err := oneOrMany("network", in.Network, in.Networks)
	if err != nil {
		return nil, err
	}
	var list []network.NewNetwork
	for _, b := range bodies {
		project, t, err := b.creates(c, "network", nil, b.Tags)
		if err != nil {
			return nil, err
		}
		err = guards(c, "create_network", t, map[string]bool{
			"shared": b.Shared != nil && bool(*b.Shared), "router:external": b.External != nil && bool(*b.External),
			"is_default": b.IsDefault != nil && bool(*b.IsDefault), "port_security_enabled": b.PortSecurity != nil,
			"provider:network_type": b.Type != nil, "provider:physical_network": b.Physical != nil,
			"provider:segmentation_id": b.Segment != nil,
		})
		if err != nil {
			return nil, err
		}
		n := network.NewNetwork{
			Project: project, Name: text(b.Name), Description: text(b.Description), Tags: b.Tags, AdminUp: truth(b.AdminUp),
			Shared: b.Shared != nil && bool(*b.Shared), External: b.External != nil && bool(*b.External),
			IsDefault: b.IsDefault != nil && bool(*b.IsDefault), PortSecurity: truth(b.PortSecurity),
			Type: text(b.Type), Physical: text(b.Physical), QoS: text(b.QoS), DNSDomain: text(b.DNSDomain), ZoneHints: b.ZoneHints,
		}
		if b.MTU != nil {
			n.MTU = int(*b.MTU)
		}
		if b.Segment != nil {
			n.Segment = int(*b.Segment)
		}
		err = h.checkZones(b.ZoneHints)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	rows, err := h.net.CreateNetworks(c.Context(), scope(c), list...)
	return h.networks().several(c, in.Network != nil, rows, err)
}

func (h handlers) updateNetwork(c *api.Call, in networkChange) (map[string]any, error) {
	n, rev, err := h.networks().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Network
	err = guards(c, "update_network", target(n.Project, &n), map[string]bool{
		"shared": b.Shared != nil, "router:external": b.External != nil, "is_default": b.IsDefault != nil,
		"port_security_enabled": b.PortSecurity != nil, "provider:network_type": b.Type != nil,
		"provider:physical_network": b.Physical != nil, "provider:segmentation_id": b.Segment != nil,
	})
	if err != nil {
		return nil, err
	}
	change := network.NetworkChange{
		Name: b.Name, Description: b.Description, AdminUp: truth(b.AdminUp), Shared: truth(b.Shared), External: truth(b.External),
		IsDefault: truth(b.IsDefault), PortSecurity: truth(b.PortSecurity), QoS: chosen(b.QoS), DNSDomain: b.DNSDomain,
	}
	change.Type, change.Physical = b.Type, b.Physical
	if b.MTU != nil {
		mtu := int(*b.MTU)
		change.MTU = &mtu
	}
	if b.Segment != nil {
		segment := int(*b.Segment)
		change.Segment = &segment
	}
	n, err = h.net.UpdateNetwork(c.Context(), scope(c), n.ID, rev, change)
	return h.networks().shown(c, n, err)
}
