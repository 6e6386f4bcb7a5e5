package api

import (
	"regexp"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) regions() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/regions/{region_id}", Rule: "identity:get_region", Do: api.Get(h.showRegion)},
		{Method: "PATCH", Path: "/regions/{region_id}", Rule: "identity:update_region", Do: api.Body(h.updateRegion)},
		{Method: "DELETE", Path: "/regions/{region_id}", Rule: "identity:delete_region", OK: 204, Do: api.Empty(h.deleteRegion)},
		{Method: "PUT", Path: "/regions/{region_id}", Rule: "identity:create_region", OK: 201, Do: api.Body(h.createRegion)},
		{Method: "GET", Path: "/regions", Rule: "identity:list_regions", Do: api.Get(h.listRegions)},
		{Method: "POST", Path: "/regions", Rule: "identity:create_region", OK: 201, Do: api.Body(h.createRegion)},
	}
}

func (h handlers) services() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/services", Rule: "identity:list_services", Do: api.Get(h.listServices)},
		{Method: "POST", Path: "/services", Rule: "identity:create_service", OK: 201, Do: api.Body(h.createService)},
		{Method: "GET", Path: "/services/{service_id}", Rule: "identity:get_service", Do: api.Get(h.showService)},
		{Method: "PATCH", Path: "/services/{service_id}", Rule: "identity:update_service", Do: api.Body(h.updateService)},
		{Method: "DELETE", Path: "/services/{service_id}", Rule: "identity:delete_service", OK: 204, Do: api.Empty(h.deleteService)},
	}
}

func (h handlers) endpoints() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/endpoints", Rule: "identity:list_endpoints", Do: api.Get(h.listEndpoints)},
		{Method: "POST", Path: "/endpoints", Rule: "identity:create_endpoint", OK: 201, Do: api.Body(h.createEndpoint)},
		{Method: "GET", Path: "/endpoints/{endpoint_id}", Rule: "identity:get_endpoint", Do: api.Get(h.showEndpoint)},
		{Method: "PATCH", Path: "/endpoints/{endpoint_id}", Rule: "identity:update_endpoint", Do: api.Body(h.updateEndpoint)},
		{Method: "DELETE", Path: "/endpoints/{endpoint_id}", Rule: "identity:delete_endpoint", OK: 204, Do: api.Empty(h.deleteEndpoint)},
	}
}

type regionView struct {
	ID          string   `json:"id"`
	Description string   `json:"description"`
	ParentID    *string  `json:"parent_region_id"`
	Links       selfLink `json:"links"`
}

type regionReply struct {
	Region open `json:"region"`
}

type regionsReply struct {
	Regions []open    `json:"regions"`
	Links   listLinks `json:"links"`
}

func viewRegion(c *api.Call, r identity.Region) open {
	return open{regionView{r.ID, r.Description, orNull(r.ParentID), selfLink{c.URL("/regions/" + r.ID)}}, r.Extra.V}
}

func (h handlers) listRegions(c *api.Call) (regionsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return regionsReply{}, err
	}
	regions, err := h.identity.Regions(c.Context(), c.Query().Get("parent_region_id"))
	reply := regionsReply{Links: links(c)}
	for _, r := range regions {
		reply.Regions = append(reply.Regions, viewRegion(c, r))
	}
	return reply, err
}

func (h handlers) showRegion(c *api.Call) (regionReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return regionReply{}, err
	}
	r, err := h.identity.Region(c.Context(), c.PathValue("region_id"))
	return regionReply{viewRegion(c, r)}, err
}

type regionFields struct {
	_           struct{}        `check:"open"`
	Description api.Opt[string] `json:"description"`
	ParentID    *string         `json:"parent_region_id"`
}

type regionRequest struct {
	_      struct{} `check:"open"`
	Region struct {
		_  struct{} `check:"open"`
		ID string   `json:"id" check:"max=255"`
		regionFields
	} `json:"region" check:"required"`
}

func (h handlers) createRegion(c *api.Call, in regionRequest) (regionReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return regionReply{}, err
	}
	id := c.PathValue("region_id")
	if id != "" && in.Region.ID != "" && id != in.Region.ID {
		return regionReply{}, errs.Conflictf("Conflicting region IDs specified: \"%s\" != \"%s\"", id, in.Region.ID)
	}
	if id == "" {
		id = in.Region.ID
	}
	extra, err := extraOf(c, "region", in.Region.regionFields)
	if err != nil {
		return regionReply{}, err
	}
	r, err := h.identity.CreateRegion(c.Context(), identity.Region{ID: id, ParentID: text(in.Region.ParentID),
		Description: in.Region.Description.V, Extra: db.Of(extra)})
	return regionReply{viewRegion(c, r)}, err
}

func (h handlers) updateRegion(c *api.Call, in regionRequest) (regionReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return regionReply{}, err
	}
	extra, err := extraOf(c, "region", in.Region.regionFields)
	if err != nil {
		return regionReply{}, err
	}
	r, err := h.identity.UpdateRegion(c.Context(), c.PathValue("region_id"), func(r *identity.Region) error {
		if in.Region.Description.Set {
			r.Description = in.Region.Description.V
		}
		set(&r.ParentID, in.Region.ParentID)
		r.Extra.V = merged(r.Extra.V, extra)
		return nil
	})
	return regionReply{viewRegion(c, r)}, err
}

func (h handlers) deleteRegion(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return h.identity.DeleteRegion(c.Context(), c.PathValue("region_id"))
}

type serviceView struct {
	ID          string   `json:"id"`
	Type        string   `json:"type"`
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Enabled     bool     `json:"enabled"`
	Links       selfLink `json:"links"`
}

type serviceReply struct {
	Service open `json:"service"`
}

type servicesReply struct {
	Services []open    `json:"services"`
	Links    listLinks `json:"links"`
}

func viewService(c *api.Call, s identity.CatalogService) open {
	return open{serviceView{s.ID, s.Type, s.Name, s.Description, s.Enabled, selfLink{c.URL("/services/" + s.ID)}}, s.Extra.V}
}

func (h handlers) listServices(c *api.Call) (servicesReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return servicesReply{}, err
	}
	services, err := h.identity.Services(c.Context(), c.Query().Get("type"), c.Query().Get("name"))
	reply := servicesReply{Links: links(c)}
	for _, s := range services {
		reply.Services = append(reply.Services, viewService(c, s))
	}
	return reply, err
}

func (h handlers) showService(c *api.Call) (serviceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return serviceReply{}, err
	}
	s, err := h.identity.Service(c.Context(), c.PathValue("service_id"))
	return serviceReply{viewService(c, s)}, err
}

type serviceCreate struct {
	_           struct{} `check:"open"`
	Type        string   `json:"type" check:"required,min=1,max=255"`
	Name        *string  `json:"name" check:"max=255"`
	Description *string  `json:"description"`
	Enabled     *bool    `json:"enabled"`
}

type createServiceRequest struct {
	_       struct{}      `check:"open"`
	Service serviceCreate `json:"service" check:"required"`
}

func (h handlers) createService(c *api.Call, in createServiceRequest) (serviceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return serviceReply{}, err
	}
	extra, err := extraOf(c, "service", in.Service)
	if err != nil {
		return serviceReply{}, err
	}
	s, err := h.identity.CreateService(c.Context(), identity.CatalogService{Type: in.Service.Type, Name: text(in.Service.Name),
		Description: text(in.Service.Description), Enabled: orTrue(in.Service.Enabled), Extra: db.Of(extra)})
	return serviceReply{viewService(c, s)}, err
}

type serviceUpdate struct {
	_           struct{} `check:"open"`
	Type        *string  `json:"type" check:"min=1,max=255"`
	Name        *string  `json:"name" check:"max=255"`
	Description *string  `json:"description"`
	Enabled     *bool    `json:"enabled"`
}

type updateServiceRequest struct {
	_       struct{}      `check:"open"`
	Service serviceUpdate `json:"service" check:"required"`
}

func (h handlers) updateService(c *api.Call, in updateServiceRequest) (serviceReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return serviceReply{}, err
	}
	extra, err := extraOf(c, "service", in.Service)
	if err != nil {
		return serviceReply{}, err
	}
	s, err := h.identity.UpdateService(c.Context(), c.PathValue("service_id"), func(s *identity.CatalogService) error {
		set(&s.Type, in.Service.Type)
		set(&s.Name, in.Service.Name)
		set(&s.Description, in.Service.Description)
		set(&s.Enabled, in.Service.Enabled)
		s.Extra.V = merged(s.Extra.V, extra)
		return nil
	})
	return serviceReply{viewService(c, s)}, err
}

func (h handlers) deleteService(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return h.identity.DeleteService(c.Context(), c.PathValue("service_id"))
}

type endpointView struct {
	ID        string   `json:"id"`
	Interface string   `json:"interface"`
	RegionID  *string  `json:"region_id"`
	ServiceID string   `json:"service_id"`
	URL       string   `json:"url"`
	Enabled   bool     `json:"enabled"`
	Region    *string  `json:"region"`
	Links     selfLink `json:"links"`
}

type endpointReply struct {
	Endpoint open `json:"endpoint"`
}

type endpointsReply struct {
	Endpoints []open    `json:"endpoints"`
	Links     listLinks `json:"links"`
}

func viewEndpoint(c *api.Call, e identity.Endpoint) open {
	region := orNull(e.RegionID)
	return open{endpointView{e.ID, e.Interface, region, e.ServiceID, e.Shown(c.Base()), e.Enabled, region,
		selfLink{c.URL("/endpoints/" + e.ID)}}, e.Extra.V}
}

func (h handlers) listEndpoints(c *api.Call) (endpointsReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return endpointsReply{}, err
	}
	q := c.Query()
	endpoints, err := h.identity.Endpoints(c.Context(), identity.EndpointFilter{
		ServiceID: q.Get("service_id"), RegionID: q.Get("region_id"), Interface: q.Get("interface")})
	reply := endpointsReply{Links: links(c)}
	for _, e := range endpoints {
		reply.Endpoints = append(reply.Endpoints, viewEndpoint(c, e))
	}
	return reply, err
}

func (h handlers) showEndpoint(c *api.Call) (endpointReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return endpointReply{}, err
	}
	e, err := h.identity.Endpoint(c.Context(), c.PathValue("endpoint_id"))
	return endpointReply{viewEndpoint(c, e)}, err
}

type endpointCreate struct {
	_         struct{} `check:"open"`
	Interface string   `json:"interface" check:"required,enum=admin|internal|public"`
	ServiceID string   `json:"service_id" check:"required"`
	URL       string   `json:"url" check:"required,min=1,max=255"`
	RegionID  *string  `json:"region_id"`
	Region    *string  `json:"region"`
	Enabled   *bool    `json:"enabled"`
}

type createEndpointRequest struct {
	_        struct{}       `check:"open"`
	Endpoint endpointCreate `json:"endpoint" check:"required"`
}

// addressForm is how an endpoint's URL begins.
var addressForm = regexp.MustCompile(`^[a-zA-Z0-9+.-]+:.+`)

// substitution is a part of a URL that we would have to fill in.
var substitution = regexp.MustCompile(`[$%]\([^)]*\)s?`)

// checkAddress refuses a URL that could not be told to clients.
func checkAddress(url string) error {
	if !addressForm.MatchString(url) {
		return errs.BadRequestf("Invalid input for field 'url': '%s' is not a URL.", url)
	}
	for _, part := range substitution.FindAllString(url, -1) {
		switch part[1:] {
		case "(project_id)s", "(tenant_id)s":
		default:
			return errs.BadRequestf("Endpoint URL contains an unknown substitution: %s", part)
		}
	}
	return nil
}

func (h handlers) createEndpoint(c *api.Call, in createEndpointRequest) (endpointReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return endpointReply{}, err
	}
	err = checkAddress(in.Endpoint.URL)
	if err != nil {
		return endpointReply{}, err
	}
	extra, err := extraOf(c, "endpoint", in.Endpoint)
	if err != nil {
		return endpointReply{}, err
	}
	region := in.Endpoint.RegionID
	if region == nil {
		region = in.Endpoint.Region
	}
	e, err := h.identity.CreateEndpoint(c.Context(), identity.Endpoint{Interface: in.Endpoint.Interface, ServiceID: in.Endpoint.ServiceID,
		URL: in.Endpoint.URL, RegionID: text(region), Enabled: orTrue(in.Endpoint.Enabled), Extra: db.Of(extra)})
	return endpointReply{viewEndpoint(c, e)}, err
}

type endpointUpdate struct {
	_         struct{} `check:"open"`
	Interface *string  `json:"interface" check:"enum=admin|internal|public"`
	ServiceID *string  `json:"service_id"`
	URL       *string  `json:"url" check:"min=1,max=255"`
	RegionID  *string  `json:"region_id"`
	Region    *string  `json:"region"`
	Enabled   *bool    `json:"enabled"`
}

type updateEndpointRequest struct {
	_        struct{}       `check:"open"`
	Endpoint endpointUpdate `json:"endpoint" check:"required"`
}

func (h handlers) updateEndpoint(c *api.Call, in updateEndpointRequest) (endpointReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return endpointReply{}, err
	}
	if in.Endpoint.URL != nil {
		err = checkAddress(*in.Endpoint.URL)
		if err != nil {
			return endpointReply{}, err
		}
	}
	extra, err := extraOf(c, "endpoint", in.Endpoint)
	if err != nil {
		return endpointReply{}, err
	}
	e, err := h.identity.UpdateEndpoint(c.Context(), c.PathValue("endpoint_id"), func(e *identity.Endpoint) error {
		set(&e.Interface, in.Endpoint.Interface)
		set(&e.ServiceID, in.Endpoint.ServiceID)
		set(&e.URL, in.Endpoint.URL)
		set(&e.RegionID, in.Endpoint.Region)
		set(&e.RegionID, in.Endpoint.RegionID)
		set(&e.Enabled, in.Endpoint.Enabled)
		e.Extra.V = merged(e.Extra.V, extra)
		return nil
	})
	return endpointReply{viewEndpoint(c, e)}, err
}

func (h handlers) deleteEndpoint(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return h.identity.DeleteEndpoint(c.Context(), c.PathValue("endpoint_id"))
}
