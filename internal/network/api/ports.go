package api

import (
	"context"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var portList = listed{"ports", columns(map[string]db.Filter{
	"name": {Column: "name"}, "network_id": {Column: "network_id"}, "mac_address": {Column: "mac_address"}, "status": {Column: "status"},
	"admin_state_up": {Column: "admin_up", Match: db.Flag}, "device_id": {Column: "device_id"}, "device_owner": {Column: "device_owner"},
	"port_security_enabled": {Column: "port_security", Match: db.Flag}, "binding:host_id": {Column: "host"},
	"binding:vnic_type": {Column: "vnic_type"},
	"dns_name":          {Column: "dns_name"}, "dns_domain": {Column: "dns_domain"},
	"fixed_ips": byHandler, "security_groups": byHandler,
})}

type fixedBody struct {
	Subnet string `json:"subnet_id"`
	IP     string `json:"ip_address"`
}

type pairBody struct {
	MAC string `json:"mac_address"`
	IP  string `json:"ip_address" check:"required"`
}

// portAttributes are what both creation and update take.
type portAttributes struct {
	Name         *string         `json:"name" check:"max=255"`
	Description  *string         `json:"description" check:"max=255"`
	AdminUp      *api.Bool       `json:"admin_state_up"`
	MAC          api.Opt[string] `json:"mac_address"`
	Device       *string         `json:"device_id" check:"max=255"`
	Owner        *string         `json:"device_owner" check:"max=255"`
	PortSecurity *api.Bool       `json:"port_security_enabled"`
	FixedIPs     *[]fixedBody    `json:"fixed_ips"`
	Groups       *[]string       `json:"security_groups"`
	Pairs        *[]pairBody     `json:"allowed_address_pairs"`
	VNICType     *string         `json:"binding:vnic_type" check:"enum=normal"`
	Host         *string         `json:"binding:host_id" check:"max=255"`
	Profile      *map[string]any `json:"binding:profile"`
	QoS          api.Opt[string] `json:"qos_policy_id" check:"pattern=uuid"`
	DNSName      *string         `json:"dns_name" check:"max=255"`
	DNSDomain    *string         `json:"dns_domain" check:"max=255"`
	Options      []optionBody    `json:"extra_dhcp_opts" check:"nullable"`
}

type optionBody struct {
	Name    string  `json:"opt_name" check:"required,max=64"`
	Value   *string `json:"opt_value" check:"max=255"`
	Version api.Int `json:"ip_version"`
}

func options(in []optionBody) []network.DHCPOptionChange {
	var out []network.DHCPOptionChange
	for _, o := range in {
		out = append(out, network.DHCPOptionChange{Name: o.Name, Value: o.Value, Version: int(o.Version)})
	}
	return out
}

type portBody struct {
	owner
	portAttributes
	Network string   `json:"network_id" check:"required,pattern=uuid"`
	Tags    []string `json:"tags"`
}

type portsRequest struct {
	Port  *portBody  `json:"port"`
	Ports []portBody `json:"ports"`
}

type portChange struct {
	Port portAttributes `json:"port" check:"required"`
}

type portView struct {
	commonView
	Name         string                `json:"name"`
	Network      string                `json:"network_id"`
	MAC          string                `json:"mac_address"`
	AdminUp      bool                  `json:"admin_state_up"`
	Status       string                `json:"status"`
	Device       string                `json:"device_id"`
	Owner        string                `json:"device_owner"`
	FixedIPs     []network.FixedIP     `json:"fixed_ips"`
	Pairs        []network.AddressPair `json:"allowed_address_pairs"`
	Groups       []string              `json:"security_groups"`
	PortSecurity bool                  `json:"port_security_enabled"`
	VNICType     string                `json:"binding:vnic_type"`
	QoS          *string               `json:"qos_policy_id"`
	NetworkQoS   *string               `json:"qos_network_policy_id"`
	Options      []network.DHCPOption  `json:"extra_dhcp_opts"`
	DNSName      string                `json:"dns_name"`
	DNSDomain    string                `json:"dns_domain"`
	Assignments  []network.Assignment  `json:"dns_assignment"`

	Trunk *network.TrunkDetails `json:"trunk_details,omitempty"`
}

type boundPortView struct {
	portView
	Host    string         `json:"binding:host_id"`
	Profile map[string]any `json:"binding:profile"`
	VIFType string         `json:"binding:vif_type"`
	Details map[string]any `json:"binding:vif_details"`
}

func viewPort(c *api.Call) func(p network.Port) any {
	binding := c.May("get_port:binding:host_id", auth.Target{Project: c.Caller.Project})
	return func(p network.Port) any {
		v := portView{
			commonView: viewCommon(p.Common), Name: p.Name, Network: p.Network, MAC: p.MAC, AdminUp: p.AdminUp, Status: p.Status,
			Device: p.Device, Owner: p.Owner, FixedIPs: p.FixedIPs.V, Pairs: p.Pairs.V, Groups: p.Groups.V,
			PortSecurity: p.PortSecurity, VNICType: p.VNICType, QoS: null(p.QoS), NetworkQoS: null(p.NetworkQoS), Trunk: p.Trunk,
			Options: p.DHCPOptions.V, DNSName: p.DNSName, DNSDomain: p.DNSDomain, Assignments: p.Assignments(),
		}
		if !binding {
			return v
		}
		b := boundPortView{portView: v, Host: p.Host, Profile: p.Profile.V}
		b.VIFType, b.Details = vif(p.Host)
		return b
	}
}

func fixedIPs(in *[]fixedBody) *[]network.FixedIP {
	if in == nil {
		return nil
	}
	out := make([]network.FixedIP, len(*in))
	for i, f := range *in {
		out[i] = network.FixedIP(f)
	}
	return &out
}

func pairs(in *[]pairBody) *[]network.AddressPair {
	if in == nil {
		return nil
	}
	out := make([]network.AddressPair, len(*in))
	for i, p := range *in {
		out[i] = network.AddressPair(p)
	}
	return &out
}

// guard checks the rules of the attributes that are set.
func (a portAttributes) guard(c *api.Call, prefix string, t auth.Target) error {
	ip, subnet := false, false
	if a.FixedIPs != nil {
		for _, f := range *a.FixedIPs {
			ip, subnet = ip || f.IP != "", subnet || f.Subnet != ""
		}
	}
	if a.Groups != nil {
		groups := slices.Sorted(slices.Values(*a.Groups))
		if len(slices.Compact(groups)) < len(*a.Groups) {
			return errs.BadRequestf("Invalid input for security_groups. Reason: Duplicate items in the list: '%s'.", strings.Join(*a.Groups, ", ")).Typed("HTTPBadRequest")
		}
	}
	t.Attrs["device_owner"] = text(a.Owner)
	return guards(c, prefix, t, map[string]bool{
		"device_id": a.Device != nil, "device_owner": text(a.Owner) != "", "mac_address": a.MAC.Set,
		"fixed_ips": ip || subnet, "fixed_ips:ip_address": ip, "fixed_ips:subnet_id": subnet && !ip,
		"port_security_enabled": a.PortSecurity != nil, "allowed_address_pairs": a.Pairs != nil && len(*a.Pairs) > 0,
		"binding:host_id": a.Host != nil, "binding:vnic_type": a.VNICType != nil,
		"binding:profile": a.Profile != nil && len(*a.Profile) > 0,
	})
}

func (h handlers) ports() resource[network.Port] {
	find := func(c *api.Call) (network.Port, error) {
		p, _, err := h.findPort(c)
		return p, err
	}
	return resource[network.Port]{"port", portList, find, h.net.Ports, viewPort, h.net.DeletePort}
}

func (h handlers) findPort(c *api.Call) (network.Port, network.Network, error) {
	p, on, err := h.net.Port(c.Context(), scope(c), c.PathValue("port_id"))
	if err != nil {
		return network.Port{}, network.Network{}, err
	}
	return p, on, c.Authorize(target(p.Project, &on))
}

func (h handlers) listPorts(c *api.Call) (map[string]any, error) {
	ports := h.ports()
	ports.rows = func(ctx context.Context, q network.Query) ([]network.Port, error) {
		q.In = map[string][]string{"security_groups": c.Query()["security_groups"]}
		for _, part := range c.Query()["fixed_ips"] {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "ip_address", "subnet_id":
				q.In[name] = append(q.In[name], value)
			case "ip_address_substr":
				q.In["ip_prefix"] = append(q.In["ip_prefix"], value)
			}
		}
		return h.net.Ports(ctx, q)
	}
	return ports.all(c)
}

func (h handlers) createPorts(c *api.Call, in portsRequest) (map[string]any, error) {
	bodies, err := oneOrMany("port", in.Port, in.Ports)
	if err != nil {
		return nil, err
	}
	var list []network.NewPort
	for _, b := range bodies {
		on, err := h.net.Network(c.Context(), scope(c), b.Network)
		if err != nil {
			return nil, err
		}
		project, t, err := b.creates(c, "port", &on, b.Tags)
		if err != nil {
			return nil, err
		}
		err = b.guard(c, "create_port", t)
		if err != nil {
			return nil, err
		}
		p := network.NewPort{
			Project: project, Network: on.ID, Name: text(b.Name), Description: text(b.Description), Tags: b.Tags, MAC: b.MAC.V,
			AdminUp: truth(b.AdminUp), Device: text(b.Device), Owner: text(b.Owner), PortSecurity: truth(b.PortSecurity),
			FixedIPs: fixedIPs(b.FixedIPs), Groups: b.Groups, VNICType: text(b.VNICType), Host: text(b.Host), DNSName: text(b.DNSName), DNSDomain: text(b.DNSDomain),
			DHCPOptions: options(b.Options), QoS: b.QoS.V,
		}
		if b.Pairs != nil {
			p.Pairs = *pairs(b.Pairs)
		}
		if b.Profile != nil {
			p.Profile = *b.Profile
		}
		list = append(list, p)
	}
	rows, err := h.net.CreatePorts(c.Context(), scope(c), list...)
	return h.ports().several(c, in.Port != nil, rows, err)
}

func (h handlers) updatePort(c *api.Call, in portChange) (map[string]any, error) {
	p, on, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	rev, err := revision(c)
	if err != nil {
		return nil, err
	}
	b := in.Port
	err = b.guard(c, "update_port", target(p.Project, &on))
	if err != nil {
		return nil, err
	}
	p, err = h.net.UpdatePort(c.Context(), scope(c), p.ID, rev, network.PortChange{
		Name: b.Name, Description: b.Description, MAC: chosen(b.MAC), AdminUp: truth(b.AdminUp), Device: b.Device, Owner: b.Owner,
		PortSecurity: truth(b.PortSecurity), FixedIPs: fixedIPs(b.FixedIPs), Groups: b.Groups, Pairs: pairs(b.Pairs),
		VNICType: b.VNICType, Host: b.Host, Profile: b.Profile, DNSName: b.DNSName, DNSDomain: b.DNSDomain, DHCPOptions: options(b.Options), QoS: chosen(b.QoS),
	})
	return h.ports().shown(c, p, err)
}
