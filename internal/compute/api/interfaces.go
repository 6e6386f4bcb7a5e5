package api

import (
	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
	"nacre/internal/vif"
)

// interfaceRoutes is the network cards of servers.
func (h handlers) interfaceRoutes() []api.Route {
	const path = "/servers/{server_id}/os-interface"
	return []api.Route{
		{Method: "GET", Path: path, Rule: "os_compute_api:os-attach-interfaces:list", Do: api.Get(h.listInterfaces)},
		{Method: "POST", Path: path, Rule: "os_compute_api:os-attach-interfaces:create", Do: api.Body(h.attachInterface)},
		{Method: "GET", Path: path + "/{port_id}", Rule: "os_compute_api:os-attach-interfaces:show", Do: api.Get(h.showInterface)},
		{Method: "DELETE", Path: path + "/{port_id}", Rule: "os_compute_api:os-attach-interfaces:delete", OK: 202, Do: api.Empty(h.detachInterface)},
	}
}

type interfaceView struct {
	Network string        `json:"net_id"`
	Port    string        `json:"port_id"`
	MAC     string        `json:"mac_addr"`
	State   string        `json:"port_state"`
	FixedIP []fixedIPView `json:"fixed_ips"`
	Tag     **string      `json:"tag,omitempty" since:"2.70"`
}

type fixedIPView struct {
	Subnet string `json:"subnet_id"`
	IP     string `json:"ip_address"`
}

type interfacesReply struct {
	Interfaces []interfaceView `json:"interfaceAttachments"`
}

type interfaceReply struct {
	Interface interfaceView `json:"interfaceAttachment"`
}

func viewInterface(p vif.Port, tag *string) interfaceView {
	v := interfaceView{Network: p.Network, Port: p.ID, MAC: p.MAC, State: p.Status, Tag: &tag}
	for _, a := range p.Addresses {
		v.FixedIP = append(v.FixedIP, fixedIPView{a.Subnet, a.IP})
	}
	return v
}

func (h handlers) listInterfaces(c *api.Call) (interfacesReply, error) {
	server, err := h.server(c)
	if err != nil {
		return interfacesReply{}, err
	}
	_, ports, cards, err := h.compute.Cards(c.Context(), server.Project, server.ID)
	reply := interfacesReply{}
	for _, p := range ports {
		reply.Interfaces = append(reply.Interfaces, viewInterface(p, cards[p.ID].Tag))
	}
	return reply, err
}

type attachInterfaceRequest struct {
	Interface *struct {
		Network  string  `json:"net_id" check:"pattern=uuid"`
		Port     string  `json:"port_id" check:"pattern=uuid"`
		Tag      *string `json:"tag" since:"2.49" check:"min=1,max=60,pattern=tag,notnull"`
		FixedIPs []struct {
			IP string `json:"ip_address" check:"required,format=ip"`
		} `json:"fixed_ips" check:"min=1,max=1"`
	} `json:"interfaceAttachment" check:"notnull"`
}

func (h handlers) attachInterface(c *api.Call, in attachInterfaceRequest) (interfaceReply, error) {
	server, err := h.server(c)
	if err != nil {
		return interfaceReply{}, err
	}
	card := compute.NewCard{}
	if r := in.Interface; r != nil {
		card = compute.NewCard{Network: r.Network, Port: r.Port, Tag: r.Tag, Outside: c.May(attachExternal, of(server))}
		if len(r.FixedIPs) > 0 {
			card.FixedIP = r.FixedIPs[0].IP
		}
	}
	switch {
	case card.Network != "" && card.Port != "":
		return interfaceReply{}, errs.BadRequestf("Must not input both network_id and port_id")
	case card.FixedIP != "" && card.Network == "":
		return interfaceReply{}, errs.BadRequestf("Must input network_id when request IP address")
	}
	p, err := h.compute.AttachPort(c.Context(), act(c, server), c.Caller, card)
	if err != nil {
		return interfaceReply{}, err
	}
	c.Log("port_id", p.ID)
	return interfaceReply{viewInterface(p, card.Tag)}, nil
}

func (h handlers) showInterface(c *api.Call) (interfaceReply, error) {
	server, err := h.server(c)
	if err != nil {
		return interfaceReply{}, err
	}
	_, ports, cards, err := h.compute.Cards(c.Context(), server.Project, server.ID)
	if err != nil {
		return interfaceReply{}, err
	}
	for _, p := range ports {
		if p.ID == c.PathValue("port_id") {
			return interfaceReply{viewInterface(p, cards[p.ID].Tag)}, nil
		}
	}
	return interfaceReply{}, errs.NotFoundf("Instance %s does not have fixed port %s attached", server.ID, c.PathValue("port_id"))
}

func (h handlers) detachInterface(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	c.Log("port_id", c.PathValue("port_id"))
	return h.compute.DetachPort(c.Context(), act(c, server), c.PathValue("port_id"))
}
