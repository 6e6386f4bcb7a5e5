package api

import (
	"errors"
	"slices"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

func authOf(project, user string) auth.Target { return auth.Target{Project: project, User: user} }

func authOwn(c *api.Call) auth.Target { return authOf(c.Caller.Project, c.Caller.User) }

// aggregateRoutes is the host aggregates API in the order of the API reference.
func (h handlers) aggregateRoutes() []api.Route {
	const one = "/os-aggregates/{aggregate_id}"
	return []api.Route{
		{Method: "GET", Path: "/os-aggregates", Rule: "os_compute_api:os-aggregates:index", Do: api.Get(h.listAggregates)},
		{Method: "POST", Path: "/os-aggregates", Rule: "os_compute_api:os-aggregates:create", Do: api.Body(h.createAggregate)},
		{Method: "GET", Path: one, Rule: "os_compute_api:os-aggregates:show", Do: api.Get(h.showAggregate)},
		{Method: "PUT", Path: one, Rule: "os_compute_api:os-aggregates:update", Do: api.Body(h.updateAggregate)},
		{Method: "DELETE", Path: one, Rule: "os_compute_api:os-aggregates:delete", Do: api.Empty(h.deleteAggregate)},
		{Method: "POST", Path: one + "/action", Action: "add_host", Rule: "os_compute_api:os-aggregates:add_host", Do: api.Body(h.addHost)},
		{Method: "POST", Path: one + "/action", Action: "remove_host", Rule: "os_compute_api:os-aggregates:remove_host", Do: api.Body(h.removeHost)},
		{Method: "POST", Path: one + "/action", Action: "set_metadata", Rule: "os_compute_api:os-aggregates:set_metadata", Do: api.Body(h.setAggregateMetadata)},
		{Method: "POST", Path: one + "/images", Rule: "compute:aggregates:images", Since: api.V(2, 81), OK: 202, Do: api.BodyEmpty(h.cacheImages)},
	}
}

type aggregateView struct {
	ID        int64              `json:"id"`
	UUID      string             `json:"uuid" since:"2.41"`
	Name      string             `json:"name"`
	Zone      *string            `json:"availability_zone"`
	Hosts     *[]string          `json:"hosts,omitempty"`
	Metadata  *map[string]string `json:"metadata,omitempty"`
	CreatedAt api.Micros         `json:"created_at"`
	UpdatedAt api.Micros         `json:"updated_at"`
	DeletedAt *string            `json:"deleted_at"`
	Deleted   bool               `json:"deleted"`
}

type aggregateReply struct {
	Aggregate aggregateView `json:"aggregate"`
}

type aggregatesReply struct {
	Aggregates []aggregateView `json:"aggregates"`
}

func viewAggregate(a compute.Aggregate) aggregateView {
	return aggregateView{
		ID: a.ID, UUID: a.UUID, Name: a.Name, Zone: orNull(a.Metadata.V["availability_zone"]), Hosts: &a.Hosts, Metadata: &a.Metadata.V,
		CreatedAt: api.Micros(a.CreatedAt.Time()), UpdatedAt: api.Micros(a.UpdatedAt.Time()),
	}
}

// aggregateID reads the path and authorizes the call.
func aggregateID(c *api.Call) (int64, error) {
	err := c.Authorize(authOwn(c))
	if err != nil {
		return 0, err
	}
	text := c.PathValue("aggregate_id")
	id, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errs.NotFoundf("Aggregate %s could not be found.", text)
	}
	if err != nil {
		return 0, errs.BadRequestf("Aggregate id %s is not an integer.", text)
	}
	return id, nil
}

func (h handlers) listAggregates(c *api.Call) (aggregatesReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return aggregatesReply{}, err
	}
	list, err := h.compute.Aggregates(c.Context())
	reply := aggregatesReply{}
	for _, a := range list {
		reply.Aggregates = append(reply.Aggregates, viewAggregate(a))
	}
	return reply, err
}

type createAggregateRequest struct {
	Aggregate struct {
		Name string  `json:"name" check:"required,min=1,max=255,pattern=name"`
		Zone *string `json:"availability_zone" check:"min=1,max=255,pattern=zone"`
	} `json:"aggregate" check:"required"`
}

func (h handlers) createAggregate(c *api.Call, in createAggregateRequest) (aggregateReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return aggregateReply{}, err
	}
	zone := ""
	if in.Aggregate.Zone != nil {
		zone = *in.Aggregate.Zone
	}
	a, err := h.compute.CreateAggregate(c.Context(), in.Aggregate.Name, zone)
	v := viewAggregate(a)
	v.Hosts, v.Metadata = nil, nil // as in Nova, which shows them from the next look on
	return aggregateReply{v}, err
}

func (h handlers) showAggregate(c *api.Call) (aggregateReply, error) {
	id, err := aggregateID(c)
	if err != nil {
		return aggregateReply{}, err
	}
	a, err := h.compute.Aggregate(c.Context(), id)
	return aggregateReply{viewAggregate(a)}, err
}

type updateAggregateRequest struct {
	Aggregate struct {
		Name string          `json:"name" check:"min=1,max=255,pattern=name"`
		Zone api.Opt[string] `json:"availability_zone" check:"min=1,max=255,pattern=zone"`
		_    struct{}        `check:"nonempty"`
	} `json:"aggregate" check:"required"`
}

func (h handlers) updateAggregate(c *api.Call, in updateAggregateRequest) (aggregateReply, error) {
	id, err := aggregateID(c)
	if err != nil {
		return aggregateReply{}, err
	}
	metadata := map[string]*string{}
	if in.Aggregate.Zone.Set {
		metadata["availability_zone"] = &in.Aggregate.Zone.V // null is "", which the zone may not be
	}
	a, err := h.compute.UpdateAggregate(c.Context(), id, in.Aggregate.Name, metadata)
	return aggregateReply{viewAggregate(a)}, err
}

func (h handlers) deleteAggregate(c *api.Call) error {
	id, err := aggregateID(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteAggregate(c.Context(), id)
}

type hostName struct {
	Host string `json:"host" check:"required,min=1,max=255,pattern=hostname"`
}

type addHostRequest struct {
	Add hostName `json:"add_host" check:"required"`
}

func (h handlers) addHost(c *api.Call, in addHostRequest) (aggregateReply, error) {
	id, err := aggregateID(c)
	if err != nil {
		return aggregateReply{}, err
	}
	a, err := h.compute.AddHost(c.Context(), id, in.Add.Host)
	return aggregateReply{viewAggregate(a)}, err
}

type removeHostRequest struct {
	Remove hostName `json:"remove_host" check:"required"`
}

func (h handlers) removeHost(c *api.Call, in removeHostRequest) (aggregateReply, error) {
	id, err := aggregateID(c)
	if err != nil {
		return aggregateReply{}, err
	}
	a, err := h.compute.RemoveHost(c.Context(), id, in.Remove.Host)
	return aggregateReply{viewAggregate(a)}, err
}

type setAggregateMetadataRequest struct {
	Set struct {
		Metadata aggregateMetadata `json:"metadata" check:"required"`
	} `json:"set_metadata" check:"required"`
}

// aggregateMetadata is a mapping whose null values take keys away.
type aggregateMetadata map[string]*string

// JSONSchema implements api.Schemer.
func (aggregateMetadata) JSONSchema() map[string]any {
	return map[string]any{
		"type": "object", "additionalProperties": false,
		"patternProperties": map[string]any{"^[a-zA-Z0-9-_:. ]{1,255}$": map[string]any{"type": []any{"string", "null"}, "maxLength": 255}},
	}
}

func (h handlers) setAggregateMetadata(c *api.Call, in setAggregateMetadataRequest) (aggregateReply, error) {
	id, err := aggregateID(c)
	if err != nil {
		return aggregateReply{}, err
	}
	a, err := h.compute.SetAggregateMetadata(c.Context(), id, in.Set.Metadata)
	return aggregateReply{viewAggregate(a)}, err
}

type cacheRequest struct {
	Cache []struct {
		ID string `json:"id" check:"required,pattern=uuid"`
	} `json:"cache" check:"required,min=1"`
}

func (h handlers) cacheImages(c *api.Call, in cacheRequest) error {
	id, err := aggregateID(c)
	if err != nil {
		return err
	}
	var images []string
	for _, image := range in.Cache {
		if slices.Contains(images, image.ID) {
			return errs.BadRequestf("Duplicate images in request")
		}
		images = append(images, image.ID)
	}
	return h.compute.CacheImages(c.Context(), c.Caller, c.RequestID(), id, images)
}
