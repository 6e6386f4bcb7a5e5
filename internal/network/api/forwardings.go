package api

import (
	"context"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var forwardingList = listed{"port_forwardings", map[string]db.Filter{
	"id": {Column: "id"}, "internal_port_id": {Column: "fixed_port"}, "internal_ip_address": {Column: "fixed_ip"}, "protocol": {Column: "protocol"},
	"external_port": {Column: "external_min", Match: db.Number}, "internal_port": {Column: "internal_min", Match: db.Number},
	"description": {Column: "description"},
}}

type forwardingAttributes struct {
	Description   *string  `json:"description" check:"max=255"`
	FixedIP       *string  `json:"internal_ip_address"`
	External      *api.Int `json:"external_port" check:"min=1,max=65535"`
	Internal      *api.Int `json:"internal_port" check:"min=1,max=65535"`
	ExternalRange *string  `json:"external_port_range"`
	InternalRange *string  `json:"internal_port_range"`
}

type forwardingRequest struct {
	Forwarding struct {
		owner
		forwardingAttributes
		FixedPort string `json:"internal_port_id" check:"required,pattern=uuid"`
		Protocol  string `json:"protocol" check:"required"`
	} `json:"port_forwarding" check:"required"`
}

type forwardingChange struct {
	Forwarding struct {
		forwardingAttributes
		FixedPort *string `json:"internal_port_id" check:"pattern=uuid"`
		Protocol  *string `json:"protocol"`
	} `json:"port_forwarding" check:"required"`
}

// forwardingView is what a floating IP shows of a port forwarding.
type forwardingView struct {
	ID        string `json:"id"`
	Protocol  string `json:"protocol"`
	FixedIP   string `json:"internal_ip_address"`
	FixedPort string `json:"internal_port_id"`
	External  *int   `json:"external_port"` // null for several
	Internal  *int   `json:"internal_port"`
}

type fullForwardingView struct {
	forwardingView
	ExternalRange string `json:"external_port_range"`
	InternalRange string `json:"internal_port_range"`
	Description   string `json:"description"`
}

func viewForwarding(f network.Forwarding) forwardingView {
	return forwardingView{
		ID: f.ID, Protocol: f.Protocol, FixedIP: f.FixedIP, FixedPort: f.FixedPort, External: single(f.External), Internal: single(f.Internal),
	}
}

func viewFullForwarding(f network.Forwarding) any {
	return fullForwardingView{viewForwarding(f), f.External.String(), f.Internal.String(), f.Description}
}

func single(r network.PortRange) *int {
	if r.Min != r.Max {
		return nil
	}
	return &r.Min
}

// change turns the attributes into the service's form.
func (a forwardingAttributes) change() (network.ForwardingChange, error) {
	in := network.ForwardingChange{Description: a.Description, FixedIP: a.FixedIP}
	var err error
	in.External, err = portRange("external_port", a.External, a.ExternalRange)
	if err == nil {
		in.Internal, err = portRange("internal_port", a.Internal, a.InternalRange)
	}
	return in, err
}

// portRange reads ports that are given as one number or as two with a colon.
func portRange(name string, one *api.Int, text *string) (*network.PortRange, error) {
	if one != nil && text != nil {
		return nil, errs.BadRequestf("Bad port_forwarding request: only one of %s and %s_range may be given.", name, name).Typed("BadRequest")
	}
	if one != nil {
		return &network.PortRange{Min: int(*one), Max: int(*one)}, nil
	}
	if text == nil {
		return nil, nil
	}
	from, to, several := strings.Cut(*text, ":")
	if !several {
		to = from
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil {
		return nil, errs.BadRequestf("Invalid input for %s_range. Reason: '%s' is not a range of ports.", name, *text).Typed("HTTPBadRequest")
	}
	return &network.PortRange{Min: first, Max: last}, nil
}

// findForwarding finds the port forwarding of the path, and its floating IP.
func (h handlers) findForwarding(c *api.Call) (network.Forwarding, error) {
	fip, err := h.findFloating(c)
	if err != nil {
		return network.Forwarding{}, err
	}
	return h.net.Forwarding(c.Context(), fip.ID, c.PathValue("port_forwarding_id"))
}

func (h handlers) showForwarding(c *api.Call) (map[string]any, error) {
	f, err := h.findForwarding(c)
	if err != nil {
		return nil, err
	}
	return show(c, "port_forwarding", viewFullForwarding(f)), nil
}

func (h handlers) listForwardings(c *api.Call) (map[string]any, error) {
	fip, err := h.findFloating(c)
	if err != nil {
		return nil, err
	}
	return listOf(c, forwardingList, func(ctx context.Context, q network.Query) ([]network.Forwarding, error) {
		q.Where = append(q.Where, db.Cond{Filter: db.Filter{Column: "floating_ip"}, Values: []any{fip.ID}})
		return h.net.Forwardings(ctx, q)
	}, viewFullForwarding)
}

func (h handlers) createForwarding(c *api.Call, in forwardingRequest) (map[string]any, error) {
	fip, err := h.findFloating(c)
	if err != nil {
		return nil, err
	}
	b := in.Forwarding
	change, err := b.change()
	if err != nil {
		return nil, err
	}
	change.FixedPort, change.Protocol = &b.FixedPort, &b.Protocol
	f, err := h.net.CreateForwarding(c.Context(), scope(c), fip.ID, change)
	if err != nil {
		return nil, err
	}
	c.Log("port_forwarding_id", f.ID)
	return show(c, "port_forwarding", viewFullForwarding(f)), nil
}

func (h handlers) updateForwarding(c *api.Call, in forwardingChange) (map[string]any, error) {
	f, err := h.findForwarding(c)
	if err != nil {
		return nil, err
	}
	b := in.Forwarding
	change, err := b.change()
	if err != nil {
		return nil, err
	}
	change.FixedPort, change.Protocol = b.FixedPort, b.Protocol
	f, err = h.net.UpdateForwarding(c.Context(), scope(c), f.Floating, f.ID, change)
	if err != nil {
		return nil, err
	}
	return show(c, "port_forwarding", viewFullForwarding(f)), nil
}

func (h handlers) deleteForwarding(c *api.Call) error {
	f, err := h.findForwarding(c)
	if err != nil {
		return err
	}
	return h.net.DeleteForwarding(c.Context(), f.Floating, f.ID)
}
