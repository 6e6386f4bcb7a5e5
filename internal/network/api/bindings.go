package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

type bindingRequest struct {
	Binding struct {
		Host     string          `json:"host" check:"required,min=1,max=255"`
		VNICType *string         `json:"vnic_type" check:"enum=normal"`
		Profile  *map[string]any `json:"profile"`
	} `json:"binding" check:"required"`
}

type bindingView struct {
	Host     string         `json:"host"`
	Status   string         `json:"status"`
	VIFType  string         `json:"vif_type"`
	Details  map[string]any `json:"vif_details"`
	VNICType string         `json:"vnic_type"`
	Profile  map[string]any `json:"profile"`
}

func viewBinding(b network.Binding) bindingView {
	v := bindingView{Host: b.Host, Status: "INACTIVE", VNICType: b.VNICType, Profile: b.Profile.V}
	v.VIFType, v.Details = vif(b.Host)
	if b.Active {
		v.Status = "ACTIVE"
	}
	return v
}

// vif is how a card is connected on a host.
func vif(host string) (kind string, details map[string]any) {
	if host == "" {
		return "unbound", map[string]any{}
	}
	return "ovs", map[string]any{"port_filter": true, "connectivity": "l2", "bridge_name": "br-int", "datapath_type": "system"}
}

func (h handlers) listBindings(c *api.Call) (map[string]any, error) {
	p, _, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	list, err := h.net.Bindings(c.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	views := make([]bindingView, len(list))
	for i, b := range list {
		views[i] = viewBinding(b)
	}
	return map[string]any{"bindings": views}, nil
}

func (h handlers) showBinding(c *api.Call) (map[string]any, error) {
	p, _, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	b, err := h.net.Binding(c.Context(), p.ID, c.PathValue("host"))
	return map[string]any{"binding": viewBinding(b)}, err
}

func (h handlers) createBinding(c *api.Call, in bindingRequest) (map[string]any, error) {
	p, _, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	b := network.Binding{Port: p.ID, Host: in.Binding.Host, VNICType: p.VNICType, Profile: db.Of(map[string]any{})}
	if in.Binding.VNICType != nil {
		b.VNICType = *in.Binding.VNICType
	}
	if in.Binding.Profile != nil {
		b.Profile = db.Of(*in.Binding.Profile)
	}
	b, err = h.net.CreateBinding(c.Context(), b)
	return map[string]any{"binding": viewBinding(b)}, err
}

func (h handlers) activateBinding(c *api.Call) (any, error) {
	p, _, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	b, err := h.net.ActivateBinding(c.Context(), p.ID, c.PathValue("host"))
	return viewBinding(b), err
}

func (h handlers) deleteBinding(c *api.Call) error {
	p, _, err := h.findPort(c)
	if err != nil {
		return err
	}
	return h.net.DeleteBinding(c.Context(), p.ID, c.PathValue("host"))
}
