package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Router joins networks, and leads out of the cloud by its gateway.
type Router struct {
	bun.BaseModel `bun:"table:routers,alias:routers"`
	Common

	Name           string           `bun:"name"`
	AdminUp        bool             `bun:"admin_up"`
	Status         string           `bun:"status"`
	GatewayNetwork string           `bun:"gateway_network"`
	GatewayPort    string           `bun:"gateway_port"`
	SNAT           bool             `bun:"enable_snat"`
	Routes         db.JSON[[]Route] `bun:"routes"`
	GatewayQoS     string           `bun:"gateway_qos"` // "" for the external network's

	ZoneHints db.JSON[[]string] `bun:"zone_hints"`

	GatewayIPs []FixedIP `bun:"-"`
}

// Gateway says how a router should reach the outside.
type Gateway struct {
	Network  string    // "" for not at all
	SNAT     *bool     // nil: as it is, or on
	FixedIPs []FixedIP // none: any address
	QoS      *string   // nil: as it is, or none
}

// NewRouter is a router to be made.
type NewRouter struct {
	Project, Name, Description string
	Tags                       []string
	AdminUp                    *bool
	Gateway                    *Gateway
	ZoneHints                  []string
}

// RouterChange says what to change. Nil stays as it is.
type RouterChange struct {
	Name, Description *string
	AdminUp           *bool
	Gateway           *Gateway
	Routes            *[]Route
}

func routerNotFound(id string) error {
	return errs.NotFoundf("Router %s could not be found", id).Typed("RouterNotFound")
}

var routerKind = kind{name: "router", table: "routers", missing: routerNotFound}

// Router finds a router that the scope may see.
func (s *Service) Router(ctx context.Context, scope Scope, id string) (r Router, err error) {
	return look(ctx, s, routerKind, scope, id, unscoped(withGateways))
}

// Routers lists routers.
func (s *Service) Routers(ctx context.Context, q Query) (list []Router, err error) {
	return browse(ctx, s, routerKind, q, unscoped(withGateways))
}

// withGateways fills in the addresses of gateway ports.
func withGateways(ctx context.Context, tx *db.Tx, list []*Router) error {
	byPort := map[string]*Router{}
	var ids []string
	for _, r := range list {
		if r.GatewayPort != "" {
			byPort[r.GatewayPort] = r
			ids = append(ids, r.GatewayPort)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var ports []struct {
		ID       string             `bun:"id"`
		FixedIPs db.JSON[[]FixedIP] `bun:"fixed_ips"`
	}
	err := tx.All(ctx, &ports, `SELECT id, fixed_ips FROM ports WHERE id IN (?)`, db.In(ids))
	if err != nil {
		return fmt.Errorf("read gateway ports: %w", err)
	}
	for _, p := range ports {
		byPort[p.ID].GatewayIPs = p.FixedIPs.V
	}
	return nil
}

func readRouter(ctx context.Context, tx *db.Tx, id string) (Router, error) {
	var r Router
	err := tx.Get(ctx, &r, "SELECT * FROM routers WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Router{}, routerNotFound(id)
	}
	if err != nil {
		return Router{}, fmt.Errorf("read router %s: %w", id, err)
	}
	return r, withGateways(ctx, tx, []*Router{&r})
}

// CreateRouter makes a router.
func (s *Service) CreateRouter(ctx context.Context, scope Scope, in NewRouter) (Router, error) {
	var r Router
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		r = Router{
			Common: s.common(tx, in.Project, in.Description, in.Tags), Name: in.Name,
			AdminUp: or(in.AdminUp, true), Status: "ACTIVE", SNAT: true, Routes: db.Of([]Route{}),
			ZoneHints: db.Of(list(in.ZoneHints)),
		}
		return s.insertRouter(ctx, tx, scope, &r, in.Gateway)
	})
	return r, err
}

func (s *Service) insertRouter(ctx context.Context, tx *db.Tx, scope Scope, r *Router, gateway *Gateway) error {
	err := reserve(ctx, tx, r.Project, quota.Routers(1))
	if err != nil {
		return err
	}
	if gateway != nil {
		err = s.changeGateway(ctx, tx, scope, r, *gateway)
		if err != nil {
			return err
		}
	}
	err = tx.Insert(ctx, r)
	if err != nil {
		return fmt.Errorf("insert router: %w", err)
	}
	return tellAndDirty(ctx, tx, created, *r, fabric.KindRouter, r.ID, s.zone)
}

// UpdateRouter changes a router, provided it has the revision.
func (s *Service) UpdateRouter(ctx context.Context, scope Scope, id string, revision int64, in RouterChange) (Router, error) {
	var r Router
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		r, err = readRouter(ctx, tx, id)
		if err != nil {
			return err
		}
		err = r.revised(revision)
		if err != nil {
			return err
		}
		set(&r.Name, in.Name)
		set(&r.Description, in.Description)
		set(&r.AdminUp, in.AdminUp)
		if in.Gateway != nil {
			err = s.changeGateway(ctx, tx, scope, &r, *in.Gateway)
			if err != nil {
				return err
			}
		}
		if in.Routes != nil {
			r.Routes.V = list(*in.Routes)
			err = s.checkRouterRoutes(ctx, tx, r)
			if err != nil {
				return err
			}
		}
		r.touch(tx)
		_, err = tx.Update(ctx, &r, "name", "description", "admin_up", "gateway_network", "gateway_port", "enable_snat", "routes",
			"gateway_qos", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update router %s: %w", id, err)
		}
		return tellAndDirty(ctx, tx, updated, r, fabric.KindRouter, id, s.zone)
	})
	return r, err
}

// changeGateway moves the router's way out.
func (s *Service) changeGateway(ctx context.Context, tx *db.Tx, scope Scope, r *Router, g Gateway) error {
	if g.SNAT != nil {
		r.SNAT = *g.SNAT
	}
	if g.QoS != nil {
		err := exchangePolicy(ctx, tx, scope, r.GatewayQoS, *g.QoS)
		r.GatewayQoS = *g.QoS
		if err != nil {
			return err
		}
	}
	same := g.Network == r.GatewayNetwork && len(g.FixedIPs) == 0
	if same {
		return nil
	}
	if r.GatewayPort != "" {
		err := s.leaveGateway(ctx, tx, r, g.Network)
		if err != nil {
			return err
		}
	}
	if g.Network == "" {
		r.SNAT, r.GatewayQoS = true, ""
		return nil
	}
	n, err := seenNetwork(ctx, tx, scope, g.Network)
	if err != nil {
		return err
	}
	if !n.External {
		return errs.BadRequestf("Bad router request: Network %s is not an external network.", n.ID).Typed("BadRequest")
	}
	subnets, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	var asked *[]FixedIP
	if len(g.FixedIPs) > 0 {
		asked = &g.FixedIPs
	} else if len(subnets) == 0 {
		asked = &[]FixedIP{}
	}
	port, err := s.createPort(ctx, tx, Scope{All: true}, n, NewPort{
		Network: n.ID, Device: r.ID, Owner: OwnerGateway, FixedIPs: asked, uncounted: true,
	})
	if err != nil {
		return err
	}
	r.GatewayNetwork, r.GatewayPort, r.GatewayIPs = n.ID, port.ID, port.FixedIPs.V
	return nil
}

// leaveGateway removes the gateway port, unless floating IPs need it.
func (s *Service) leaveGateway(ctx context.Context, tx *db.Tx, r *Router, next string) error {
	if next != r.GatewayNetwork {
		err := lockFloating(ctx, tx)
		if err != nil {
			return err
		}
		var used int
		err = tx.Get(ctx, &used, `SELECT COUNT(*) FROM floating_ips WHERE router_id = ?`, r.ID)
		if err != nil {
			return fmt.Errorf("count floating IPs of router %s: %w", r.ID, err)
		}
		if used > 0 {
			return errs.Conflictf("Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more floating IPs.",
				r.ID, r.GatewayNetwork).Typed("RouterExternalGatewayInUseByFloatingIp")
		}
	}
	p, err := readPort(ctx, tx, r.GatewayPort)
	if err != nil {
		return err
	}
	err = removePort(ctx, tx, p)
	if err != nil {
		return err
	}
	r.GatewayNetwork, r.GatewayPort, r.GatewayIPs = "", "", nil
	return nil
}

// checkRouterRoutes checks that the next hops are reachable and not ourselves.
func (s *Service) checkRouterRoutes(ctx context.Context, tx *db.Tx, r Router) error {
	const mostRoutes = 30 // Neutron's max_routes
	if len(r.Routes.V) > mostRoutes {
		return errs.BadRequestf("Unable to complete operation for %s. The number of routes exceeds the maximum %d.", r.ID, mostRoutes).Typed("RoutesExhausted")
	}
	err := checkRoutes("routes", r.Routes.V)
	if err != nil {
		return err
	}
	ports, err := routerPorts(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	subnets, err := subnetsByID(ctx, tx, ports)
	if err != nil {
		return err
	}
	for _, route := range r.Routes.V {
		hop := netip.MustParseAddr(route.NextHop)
		connected, own := false, false
		for _, p := range ports {
			for _, f := range p.FixedIPs.V {
				connected = connected || netip.MustParsePrefix(subnets[f.Subnet].CIDR).Contains(hop)
				own = own || f.IP == hop.String()
			}
		}
		if !connected {
			return invalidRoutes(r, "the nexthop is not connected with router")
		}
		if own {
			return invalidRoutes(r, "the nexthop is used by router")
		}
	}
	return nil
}

func invalidRoutes(r Router, reason string) error {
	return errs.BadRequestf("Invalid format for routes: %v, %s", r.Routes.V, reason).Typed("InvalidRoutes")
}

// AddRoutes adds routes to a router; those it has already stay.
func (s *Service) AddRoutes(ctx context.Context, id string, routes []Route) (Router, error) {
	return s.mendRoutes(ctx, id, func(have []Route) []Route {
		for _, r := range routes {
			if !slices.Contains(have, r) {
				have = append(have, r)
			}
		}
		return have
	})
}

// RemoveRoutes takes routes from a router; missing ones are a success.
func (s *Service) RemoveRoutes(ctx context.Context, id string, routes []Route) (Router, error) {
	return s.mendRoutes(ctx, id, func(have []Route) []Route {
		return slices.DeleteFunc(have, func(r Route) bool { return slices.Contains(routes, r) })
	})
}

func (s *Service) mendRoutes(ctx context.Context, id string, mend func([]Route) []Route) (Router, error) {
	var r Router
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		r, err = readRouter(ctx, tx, id)
		if err != nil {
			return err
		}
		r.Routes.V = list(mend(r.Routes.V))
		err = s.checkRouterRoutes(ctx, tx, r)
		if err != nil {
			return err
		}
		r.touch(tx)
		_, err = tx.Update(ctx, &r, "routes", "revision", "updated_at")
		if err != nil {
			return fmt.Errorf("update router %s: %w", id, err)
		}
		return tellAndDirty(ctx, tx, updated, r, fabric.KindRouter, id, s.zone)
	})
	return r, err
}

// DeleteRouter removes a router without interfaces, with its gateway.
func (s *Service) DeleteRouter(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		r, err := readRouter(ctx, tx, id)
		if err != nil {
			return err
		}
		err = r.revised(revision)
		if err != nil {
			return err
		}
		var used int
		err = tx.Get(ctx, &used, `SELECT COUNT(*) FROM ports WHERE device_id = ? AND device_owner = ?`, id, OwnerRouterInterface)
		if err != nil {
			return fmt.Errorf("count interfaces of router %s: %w", id, err)
		}
		if used > 0 {
			return errs.Conflictf("Router %s still has ports", id).Typed("RouterInUse")
		}
		return s.removeRouter(ctx, tx, r)
	})
}

// removeRouter deletes a router without interfaces, with its gateway.
func (s *Service) removeRouter(ctx context.Context, tx *db.Tx, r Router) error {
	if r.GatewayPort != "" {
		err := s.leaveGateway(ctx, tx, &r, "")
		if err != nil {
			return err
		}
	}
	err := routerKind.remove(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	err = quota.Release(ctx, tx, r.Project, quota.Routers(1))
	if err != nil {
		return err
	}
	return tellAndDirty(ctx, tx, deleted, r, fabric.KindRouter, r.ID, s.zone)
}
