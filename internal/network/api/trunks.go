package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var trunkList = listed{"trunks", columns(map[string]db.Filter{
	"name": {Column: "name"}, "status": {Column: "status"}, "admin_state_up": {Column: "admin_up", Match: db.Flag}, "port_id": {Column: "port_id"},
})}

type subportBody struct {
	Port string   `json:"port_id" check:"required,pattern=uuid"`
	Type *string  `json:"segmentation_type"`
	VLAN *api.Int `json:"segmentation_id"`
}

type trunkRequest struct {
	Trunk struct {
		owner
		Name        *string       `json:"name" check:"max=255"`
		Description *string       `json:"description" check:"max=255"`
		AdminUp     *api.Bool     `json:"admin_state_up"`
		Port        string        `json:"port_id" check:"required,pattern=uuid"`
		Subports    []subportBody `json:"sub_ports"`
		Tags        []string      `json:"tags"`
	} `json:"trunk" check:"required"`
}

type trunkChange struct {
	Trunk struct {
		Name        *string   `json:"name" check:"max=255"`
		Description *string   `json:"description" check:"max=255"`
		AdminUp     *api.Bool `json:"admin_state_up"`
	} `json:"trunk" check:"required"`
}

type subportsRequest struct {
	Subports []subportBody `json:"sub_ports" check:"required"`
}

type subportView struct {
	Port string `json:"port_id"`
	Type string `json:"segmentation_type"`
	VLAN int    `json:"segmentation_id"`
}

type trunkView struct {
	commonView
	Name     string        `json:"name"`
	AdminUp  bool          `json:"admin_state_up"`
	Status   string        `json:"status"`
	Port     string        `json:"port_id"`
	Subports []subportView `json:"sub_ports"`
}

func viewTrunk(t network.Trunk) any {
	return trunkView{
		commonView: viewCommon(t.Common), Name: t.Name, AdminUp: t.AdminUp, Status: t.Status, Port: t.Port, Subports: viewSubports(t.Subports),
	}
}

func viewSubports(list []network.Subport) []subportView {
	views := make([]subportView, len(list))
	for i, sub := range list {
		views[i] = subportView{sub.Port, sub.Type, sub.VLAN}
	}
	return views
}

// subports turns the request's subports into the service's form. Whatever else
// is wrong, they must be whole, and different from each other.
func subports(bodies []subportBody) ([]network.Subport, error) {
	bad := func(b subportBody, what string) error {
		return errs.BadRequestf("Invalid input for sub_ports. Reason: Invalid subport details of port %s: %s.", b.Port, what).Typed("HTTPBadRequest")
	}
	var list []network.Subport
	ports, vlans := map[string]bool{}, map[api.Int]bool{}
	for _, b := range bodies {
		switch {
		case ports[b.Port]:
			return nil, bad(b, "the port is there twice")
		case b.Type == nil && b.VLAN == nil:
			b.Type = new(string)
			*b.Type = network.SegmentVLAN // which is then found to have no number
		case b.Type == nil || b.VLAN == nil && *b.Type != network.SegmentInherit:
			return nil, bad(b, "missing segmentation information, both segmentation_id and segmentation_type must be specified")
		case b.VLAN != nil && vlans[*b.VLAN]:
			return nil, bad(b, "its segmentation_id is there twice")
		}
		sub := network.Subport{Port: b.Port, Type: *b.Type}
		ports[b.Port] = true
		if b.VLAN != nil {
			sub.VLAN = int(*b.VLAN)
			vlans[*b.VLAN] = true
		}
		list = append(list, sub)
	}
	return list, nil
}

func (h handlers) trunks() resource[network.Trunk] {
	return resource[network.Trunk]{"trunk", trunkList, h.findTrunk, h.net.Trunks, plain(viewTrunk), h.net.DeleteTrunk}
}

func (h handlers) findTrunk(c *api.Call) (network.Trunk, error) {
	t, err := h.net.Trunk(c.Context(), scope(c), c.PathValue("trunk_id"))
	if err != nil {
		return network.Trunk{}, err
	}
	return t, c.Authorize(target(t.Project, nil))
}

func (h handlers) createTrunk(c *api.Call, in trunkRequest) (map[string]any, error) {
	b := in.Trunk
	project, _, err := b.creates(c, "trunk", nil, b.Tags)
	if err != nil {
		return nil, err
	}
	subs, err := subports(b.Subports)
	if err != nil {
		return nil, err
	}
	t, err := h.net.CreateTrunk(c.Context(), scope(c), network.NewTrunk{
		Project: project, Name: text(b.Name), Description: text(b.Description), Tags: b.Tags, AdminUp: truth(b.AdminUp), Port: b.Port,
		Subports: subs,
	})
	return h.trunks().made(c, t, err)
}

func (h handlers) updateTrunk(c *api.Call, in trunkChange) (map[string]any, error) {
	t, rev, err := h.trunks().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Trunk
	t, err = h.net.UpdateTrunk(c.Context(), t.ID, rev, network.TrunkChange{Name: b.Name, Description: b.Description, AdminUp: truth(b.AdminUp)})
	return h.trunks().shown(c, t, err)
}

// listSubports and the changes of subports answer without an envelope.
func (h handlers) listSubports(c *api.Call) (map[string]any, error) {
	t, err := h.findTrunk(c)
	if err != nil {
		return nil, err
	}
	return map[string]any{"sub_ports": viewSubports(t.Subports)}, nil
}

func (h handlers) addSubports(c *api.Call, in subportsRequest) (any, error) {
	t, err := h.findTrunk(c)
	if err != nil {
		return nil, err
	}
	subs, err := subports(in.Subports)
	if err != nil {
		return nil, err
	}
	t, err = h.net.AddSubports(c.Context(), scope(c), t.ID, subs)
	if err != nil {
		return nil, err
	}
	return viewTrunk(t), nil
}

func (h handlers) removeSubports(c *api.Call, in subportsRequest) (any, error) {
	t, err := h.findTrunk(c)
	if err != nil {
		return nil, err
	}
	var ports []string
	for _, sub := range in.Subports {
		ports = append(ports, sub.Port)
	}
	t, err = h.net.RemoveSubports(c.Context(), t.ID, ports)
	if err != nil {
		return nil, err
	}
	return viewTrunk(t), nil
}
