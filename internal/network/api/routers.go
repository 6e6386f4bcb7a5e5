package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

var routerList = listed{"routers", columns(map[string]db.Filter{
	"name": {Column: "name"}, "status": {Column: "status"}, "admin_state_up": {Column: "admin_up", Match: db.Flag},
})}

type gatewayBody struct {
	Network  *string     `json:"network_id"`
	SNAT     *api.Bool   `json:"enable_snat"`
	FixedIPs []fixedBody `json:"external_fixed_ips" check:"nullable"`

	QoS api.Opt[string] `json:"qos_policy_id" check:"pattern=uuid"`
}

type routerAttributes struct {
	Name        *string              `json:"name" check:"max=255"`
	Description *string              `json:"description" check:"max=255"`
	AdminUp     *api.Bool            `json:"admin_state_up"`
	Gateway     api.Opt[gatewayBody] `json:"external_gateway_info"`
}

type routerRequest struct {
	Router struct {
		owner
		routerAttributes
		ZoneHints []string `json:"availability_zone_hints"`
		Tags      []string `json:"tags"`
	} `json:"router" check:"required"`
}

type routerChange struct {
	Router struct {
		routerAttributes
		Routes api.Opt[[]routeBody] `json:"routes"`
	} `json:"router" check:"required"`
}

type routesRequest struct {
	Router struct {
		Routes []routeBody `json:"routes" check:"required"`
	} `json:"router" check:"required"`
}

type interfaceRequest struct {
	Subnet *string `json:"subnet_id" check:"pattern=uuid"`
	Port   *string `json:"port_id" check:"pattern=uuid"`
}

type gatewayView struct {
	Network  string            `json:"network_id"`
	FixedIPs []network.FixedIP `json:"external_fixed_ips"`
	SNAT     bool              `json:"enable_snat"`
	QoS      *string           `json:"qos_policy_id"`
}

type routerView struct {
	commonView
	Name      string          `json:"name"`
	AdminUp   bool            `json:"admin_state_up"`
	Status    string          `json:"status"`
	Gateway   *gatewayView    `json:"external_gateway_info"`
	Routes    []network.Route `json:"routes"`
	ZoneHints []string        `json:"availability_zone_hints"`
	Zones     []string        `json:"availability_zones"`
}

type interfaceView struct {
	ID      string   `json:"id"` // of the router
	Tenant  string   `json:"tenant_id"`
	Project string   `json:"project_id"`
	Port    string   `json:"port_id"`
	Network string   `json:"network_id"`
	Subnet  string   `json:"subnet_id"`
	Subnets []string `json:"subnet_ids"`
	Tags    []string `json:"tags"`
}

func (h handlers) viewRouter(r network.Router) any {
	v := routerView{
		commonView: viewCommon(r.Common), Name: r.Name, AdminUp: r.AdminUp, Status: r.Status, Routes: r.Routes.V,
		ZoneHints: r.ZoneHints.V, Zones: []string{h.net.Zone()},
	}
	if r.GatewayNetwork != "" {
		v.Gateway = &gatewayView{Network: r.GatewayNetwork, FixedIPs: r.GatewayIPs, SNAT: r.SNAT, QoS: null(r.GatewayQoS)}
	}
	return v
}

// gateway turns the request's gateway into the service's form: nil when it was
// not given, none when it was null or empty.
func (a routerAttributes) gateway() *network.Gateway {
	if !a.Gateway.Set {
		return nil
	}
	b := a.Gateway.V
	g := network.Gateway{Network: text(b.Network), SNAT: truth(b.SNAT), QoS: chosen(b.QoS)}
	for _, f := range b.FixedIPs {
		g.FixedIPs = append(g.FixedIPs, network.FixedIP(f))
	}
	return &g
}

// guard checks the rules of the attributes that are set.
func (a routerAttributes) guard(c *api.Call, prefix, project string) error {
	b := a.Gateway.V
	return guards(c, prefix, target(project, nil), map[string]bool{
		"external_gateway_info":                    a.Gateway.Set,
		"external_gateway_info:network_id":         b.Network != nil,
		"external_gateway_info:enable_snat":        b.SNAT != nil,
		"external_gateway_info:external_fixed_ips": len(b.FixedIPs) > 0,
	})
}

func (h handlers) routers() resource[network.Router] {
	return resource[network.Router]{"router", routerList, h.findRouter, h.net.Routers, plain(h.viewRouter), h.net.DeleteRouter}
}

func (h handlers) findRouter(c *api.Call) (network.Router, error) {
	r, err := h.net.Router(c.Context(), scope(c), c.PathValue("router_id"))
	if err != nil {
		return network.Router{}, err
	}
	return r, c.Authorize(target(r.Project, nil))
}

func (h handlers) createRouter(c *api.Call, in routerRequest) (map[string]any, error) {
	b := in.Router
	project, _, err := b.creates(c, "router", nil, b.Tags)
	if err != nil {
		return nil, err
	}
	err = b.guard(c, "create_router", project)
	if err != nil {
		return nil, err
	}
	err = h.checkZones(b.ZoneHints)
	if err != nil {
		return nil, err
	}
	r, err := h.net.CreateRouter(c.Context(), scope(c), network.NewRouter{
		Project: project, Name: text(b.Name), Description: text(b.Description), Tags: b.Tags, AdminUp: truth(b.AdminUp), Gateway: b.gateway(),
		ZoneHints: b.ZoneHints,
	})
	return h.routers().made(c, r, err)
}

func (h handlers) updateRouter(c *api.Call, in routerChange) (map[string]any, error) {
	r, rev, err := h.routers().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Router
	err = b.guard(c, "update_router", r.Project)
	if err != nil {
		return nil, err
	}
	change := network.RouterChange{Name: b.Name, Description: b.Description, AdminUp: truth(b.AdminUp), Gateway: b.gateway()}
	if b.Gateway.Set && !b.Gateway.Null && b.Gateway.V.Network == nil && b.Gateway.V.SNAT != nil {
		change.Gateway.Network = r.GatewayNetwork // only the translation changes
	}
	if b.Routes.Set {
		list := routes(b.Routes.V) // none for null
		change.Routes = &list
	}
	r, err = h.net.UpdateRouter(c.Context(), scope(c), r.ID, rev, change)
	return h.routers().shown(c, r, err)
}

func viewInterface(i network.Interface) interfaceView {
	v := interfaceView{
		ID: i.Router, Tenant: i.Project, Project: i.Project, Port: i.Port, Network: i.Network, Subnets: i.Subnets, Tags: i.Tags,
	}
	if len(i.Subnets) > 0 {
		v.Subnet = i.Subnets[0]
	}
	return v
}

func (h handlers) addInterface(c *api.Call, in interfaceRequest) (interfaceView, error) {
	r, err := h.findRouter(c)
	if err != nil {
		return interfaceView{}, err
	}
	switch {
	case in.Subnet == nil && in.Port == nil:
		return interfaceView{}, badRouter("Either subnet_id or port_id must be specified")
	case in.Subnet != nil && in.Port != nil:
		return interfaceView{}, badRouter("Cannot specify both subnet-id and port-id")
	}
	i, err := h.net.AddInterface(c.Context(), scope(c), r.ID, text(in.Subnet), text(in.Port))
	if err != nil {
		return interfaceView{}, err
	}
	return viewInterface(i), nil
}

func (h handlers) removeInterface(c *api.Call, in interfaceRequest) (interfaceView, error) {
	r, err := h.findRouter(c)
	if err != nil {
		return interfaceView{}, err
	}
	if in.Subnet == nil && in.Port == nil {
		return interfaceView{}, badRouter("Either subnet_id or port_id must be specified")
	}
	i, err := h.net.RemoveInterface(c.Context(), r.ID, text(in.Subnet), text(in.Port))
	if err != nil {
		return interfaceView{}, err
	}
	return viewInterface(i), nil
}

func badRouter(sentence string) error {
	return errs.BadRequestf("Bad router request: %s.", sentence).Typed("BadRequest")
}

func (h handlers) addRoutes(c *api.Call, in routesRequest) (map[string]any, error) {
	r, err := h.findRouter(c)
	if err != nil {
		return nil, err
	}
	r, err = h.net.AddRoutes(c.Context(), r.ID, routes(in.Router.Routes))
	return h.routers().shown(c, r, err)
}

func (h handlers) removeRoutes(c *api.Call, in routesRequest) (map[string]any, error) {
	r, err := h.findRouter(c)
	if err != nil {
		return nil, err
	}
	r, err = h.net.RemoveRoutes(c.Context(), r.ID, routes(in.Router.Routes))
	return h.routers().shown(c, r, err)
}
