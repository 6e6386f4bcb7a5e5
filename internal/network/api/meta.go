package api

import (
	"encoding/json"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

type versionView struct {
	ID     string     `json:"id"`
	Status string     `json:"status"`
	Links  []api.Link `json:"links"`
}

func (h handlers) versions(c *api.Call) (map[string]any, error) {
	return map[string]any{"versions": []versionView{
		{ID: "v2.0", Status: "CURRENT", Links: []api.Link{{Rel: "self", Href: c.URL("/v2.0/")}}},
	}}, nil
}

type resourceView struct {
	Links      []api.Link `json:"links"`
	Name       string     `json:"name"`
	Collection string     `json:"collection"`
}

func (h handlers) resources(c *api.Call) (map[string]any, error) {
	var views []resourceView
	for _, r := range h.Routes() {
		// What can be listed is a resource: /v2.0/networks, /v2.0/qos/policies.
		path, below := strings.CutPrefix(r.Path, "/v2.0/")
		if r.Method != "GET" || !below || path == "" || strings.Contains(path, "{") || path == "floatingip-pools" {
			continue
		}
		plural := path[strings.LastIndex(path, "/")+1:]
		name := strings.TrimSuffix(plural, "s")
		switch stem, found := strings.CutSuffix(plural, "ies"); {
		case found:
			name = stem + "y"
		case strings.HasSuffix(plural, "ss"):
			name = plural
		}
		views = append(views, resourceView{[]api.Link{{Rel: "self", Href: c.URL(r.Path)}}, name, plural})
	}
	return map[string]any{"resources": views}, nil
}

type zoneView struct {
	Name     string `json:"name"`
	Resource string `json:"resource"`
	State    string `json:"state"`
}

func (h handlers) zones(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	views := []any{}
	for _, v := range []zoneView{{h.net.Zone(), "network", "available"}, {h.net.Zone(), "router", "available"}} {
		keep, err := matches(c, map[string]string{"name": v.Name, "resource": v.Resource, "state": v.State})
		if err != nil {
			return nil, err
		}
		if keep {
			views = append(views, fields(c, v))
		}
	}
	return map[string]any{"availability_zones": views}, nil
}

type providerOfService struct {
	Service string `json:"service_type"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

// listProviders lists who does what besides the plain network: OVN routes.
func (h handlers) listProviders(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	views := []any{}
	v := providerOfService{Service: "L3_ROUTER_NAT", Name: "ovn", Default: true}
	keep, err := matches(c, map[string]string{"service_type": v.Service, "name": v.Name, "default": word(v.Default)})
	if err != nil {
		return nil, err
	}
	if keep {
		views = append(views, fields(c, v))
	}
	return map[string]any{"service_providers": views}, nil
}

// matches compares what a row without a table has with the filters of the call.
// Truth values are spelled as word does.
func matches(c *api.Call, has map[string]string) (bool, error) {
	keep := true
	for name, values := range c.Query() {
		value, known := has[name]
		if !known && !slices.Contains(always, name) {
			return false, notFilter(name)
		}
		keep = keep && (!known || slices.ContainsFunc(values, func(v string) bool {
			b, isBool := boolean.Parse(v)
			return v == value || isBool && word(b) == value
		}))
	}
	return keep, nil
}

// checkZones refuses hints at zones that don't exist.
func (h handlers) checkZones(hints []string) error {
	for _, hint := range hints {
		if hint != h.net.Zone() {
			return errs.NotFoundf("AvailabilityZone %s could not be found.", hint).Typed("AvailabilityZoneNotFound")
		}
	}
	return nil
}

var availabilityList = listed{"network_ip_availabilities", map[string]db.Filter{
	"network_id": {Column: "id"}, "network_name": {Column: "name"}, "tenant_id": {Column: "project_id"}, "project_id": {Column: "project_id"},
	"ip_version": byHandler,
}}

type subnetUseView struct {
	ID        string          `json:"subnet_id"`
	Name      string          `json:"subnet_name"`
	CIDR      string          `json:"cidr"`
	IPVersion int             `json:"ip_version"`
	Total     json.RawMessage `json:"total_ips"`
	Used      int64           `json:"used_ips"`
}

type availabilityView struct {
	ID      string          `json:"network_id"`
	Name    string          `json:"network_name"`
	Project string          `json:"project_id"`
	Tenant  string          `json:"tenant_id"`
	Total   json.RawMessage `json:"total_ips"`
	Used    int64           `json:"used_ips"`
	Subnets []subnetUseView `json:"subnet_ip_availability"`
}

func viewAvailability(a network.Availability) availabilityView {
	v := availabilityView{
		ID: a.Network.ID, Name: a.Network.Name, Project: a.Network.Project, Tenant: a.Network.Project,
		Total: json.RawMessage(a.Total), Used: a.Used,
	}
	for _, s := range a.Subnets {
		v.Subnets = append(v.Subnets, subnetUseView{
			ID: s.Subnet.ID, Name: s.Subnet.Name, CIDR: s.Subnet.CIDR, IPVersion: s.Subnet.IPVersion,
			Total: json.RawMessage(s.Total), Used: s.Used,
		})
	}
	return v
}

func (h handlers) listAvailability(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if errs.Is(err, errs.Forbidden) {
		return nothing(c, "network_ip_availabilities"), nil
	}
	if err != nil {
		return nil, err
	}
	q, err := availabilityList.query(c)
	if err != nil {
		return nil, err
	}
	q.In = map[string][]string{"ip_version": c.Query()["ip_version"]}
	list, err := h.net.Availability(c.Context(), q)
	if err != nil {
		return nil, err
	}
	views := []availabilityView{}
	for _, a := range list {
		views = append(views, viewAvailability(a))
	}
	return map[string]any{"network_ip_availabilities": views}, nil
}

func (h handlers) showAvailability(c *api.Call) (map[string]any, error) {
	n, err := h.net.Network(c.Context(), scope(c), c.PathValue("network_id"))
	if err != nil {
		return nil, err
	}
	err = c.Authorize(target(n.Project, &n))
	if err != nil {
		return nil, err
	}
	list, err := h.net.Availability(c.Context(), network.Query{Scope: scope(c), Where: []db.Cond{
		{Filter: db.Filter{Column: "id"}, Values: []any{n.ID}},
	}})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return map[string]any{"network_ip_availability": viewAvailability(list[0])}, nil
}
