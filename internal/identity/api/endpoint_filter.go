package api

import (
	"context"
	"slices"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) endpointFilters() []api.Route {
	const groups, group = "/OS-EP-FILTER/endpoint_groups", "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}"
	const endpoint = "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}"
	k, s := h.endpointGroupKind(), h.identity
	in := api.Get(h.showGroupInProject)
	return []api.Route{
		{Method: "POST", Path: groups, Rule: "identity:create_endpoint_group", OK: 201, Do: api.Body(h.createEndpointGroup)},
		{Method: "GET", Path: group, Rule: "identity:get_endpoint_group", Do: api.Get(k.show)},
		{Method: "HEAD", Path: group, Rule: "identity:get_endpoint_group", Do: api.Get(k.show)},
		{Method: "PATCH", Path: group, Rule: "identity:update_endpoint_group", Do: api.Body(h.updateEndpointGroup)},
		{Method: "DELETE", Path: group, Rule: "identity:delete_endpoint_group", OK: 204, Do: api.Empty(k.delete)},
		{Method: "GET", Path: groups, Rule: "identity:list_endpoint_groups", Do: api.Get(k.list)},
		{Method: "PUT", Path: endpoint, Rule: "identity:add_endpoint_to_project", OK: 204, Do: api.Empty(pair("endpoint_id", s.AddEndpointToProject))},
		{Method: "GET", Path: endpoint, Rule: "identity:check_endpoint_in_project", OK: 204, Do: api.Empty(pair("endpoint_id", s.EndpointInProject))},
		{Method: "HEAD", Path: endpoint, Rule: "identity:check_endpoint_in_project", OK: 204, Do: api.Empty(pair("endpoint_id", s.EndpointInProject))},
		{Method: "DELETE", Path: endpoint, Rule: "identity:remove_endpoint_from_project", OK: 204, Do: api.Empty(pair("endpoint_id", s.RemoveEndpointFromProject))},
		{Method: "GET", Path: "/OS-EP-FILTER/projects/{project_id}/endpoints", Rule: "identity:list_endpoints_for_project",
			Do: api.Get(listOf("endpoints", viewAnyEndpoint, "project_id", s.EndpointsOfProject))},
		{Method: "GET", Path: "/OS-EP-FILTER/endpoints/{endpoint_id}/projects", Rule: "identity:list_projects_for_endpoint",
			Do: api.Get(listOf("projects", viewAnyProject, "endpoint_id", s.ProjectsWithEndpoint))},
		{Method: "PUT", Path: group + "/projects/{project_id}", Rule: "identity:add_endpoint_group_to_project", OK: 204, Do: api.Empty(pair("endpoint_group_id", s.AddEndpointGroupToProject))},
		{Method: "GET", Path: group + "/projects/{project_id}", Rule: "identity:get_endpoint_group_in_project", Do: in},
		{Method: "HEAD", Path: group + "/projects/{project_id}", Rule: "identity:get_endpoint_group_in_project", Do: in},
		{Method: "DELETE", Path: group + "/projects/{project_id}", Rule: "identity:remove_endpoint_group_from_project", OK: 204, Do: api.Empty(pair("endpoint_group_id", s.RemoveEndpointGroupFromProject))},
		{Method: "GET", Path: group + "/projects", Rule: "identity:list_projects_associated_with_endpoint_group",
			Do: api.Get(listOf("projects", viewAnyProject, "endpoint_group_id", s.ProjectsWithGroup))},
		{Method: "GET", Path: group + "/endpoints", Rule: "identity:list_endpoints_associated_with_endpoint_group",
			Do: api.Get(listOf("endpoints", viewAnyEndpoint, "endpoint_group_id", s.EndpointsIn))},
		{Method: "GET", Path: "/OS-EP-FILTER/projects/{project_id}/endpoint_groups", Rule: "identity:list_endpoint_groups_for_project",
			Do: api.Get(listOf("endpoint_groups", viewEndpointGroup, "project_id", s.GroupsOfProject))},
	}
}

func (h handlers) endpointGroupKind() kind[identity.EndpointGroup] {
	return kind[identity.EndpointGroup]{
		one: "endpoint_group", many: "endpoint_groups", param: "endpoint_group_id", view: viewEndpointGroup,
		all: func(c *api.Call) ([]identity.EndpointGroup, error) {
			return h.identity.EndpointGroups(c.Context(), c.Query().Get("name"))
		},
		get: h.identity.EndpointGroup, remove: h.identity.DeleteEndpointGroup,
	}
}

// pair does something with the project and the other thing that the path names.
func pair(other string, do func(ctx context.Context, project, id string) error) func(c *api.Call) error {
	return func(c *api.Call) error {
		err := c.Authorize(auth.Target{})
		if err != nil {
			return err
		}
		return do(c.Context(), c.PathValue("project_id"), c.PathValue(other))
	}
}

// listOf lists what belongs to the thing that the path names.
func listOf[T any](key string, view func(c *api.Call, row T) any, param string, of func(ctx context.Context, id string) ([]T, error)) func(c *api.Call) (map[string]any, error) {
	return func(c *api.Call) (map[string]any, error) {
		err := c.Authorize(auth.Target{})
		if err != nil {
			return nil, err
		}
		rows, err := of(c.Context(), c.PathValue(param))
		return many(c, key, view, rows, err)
	}
}

func viewAnyProject(c *api.Call, p identity.Project) any { return viewProject(c, p) }

type endpointGroupView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description *string           `json:"description"`
	Filters     map[string]string `json:"filters"`
	Links       selfLink          `json:"links"`
}

func viewEndpointGroup(c *api.Call, g identity.EndpointGroup) any {
	return open{endpointGroupView{g.ID, g.Name, g.Description, g.Filters.V, selfLink{c.URL("/OS-EP-FILTER/endpoint_groups/" + g.ID)}}, g.Extra.V}
}

func checkFilters(filters map[string]string) error {
	if len(filters) == 0 {
		return errs.BadRequestf("filters field is required and cannot be empty")
	}
	for name, value := range filters {
		if !slices.Contains(identity.EndpointFilters, name) {
			return errs.BadRequestf("Invalid input for field 'filters': an endpoint group asks for service_id, region_id or interface.")
		}
		if name == "interface" && !slices.Contains([]string{"public", "internal", "admin"}, value) {
			return errs.BadRequestf("Invalid input for field 'filters': '%.32s' is not an interface.", value)
		}
	}
	return nil
}

type endpointGroupCreate struct {
	_           struct{}          `check:"open"`
	Name        string            `json:"name" check:"required,min=1,max=255,pattern=nonblank"`
	Description *string           `json:"description"`
	Filters     map[string]string `json:"filters" check:"required"`
}

type createEndpointGroupRequest struct {
	_             struct{}            `check:"open"`
	EndpointGroup endpointGroupCreate `json:"endpoint_group" check:"required"`
}

func (h handlers) createEndpointGroup(c *api.Call, in createEndpointGroupRequest) (map[string]any, error) {
	return h.endpointGroupKind().made(c, in.EndpointGroup, func(extra map[string]any) (identity.EndpointGroup, error) {
		err := checkFilters(in.EndpointGroup.Filters)
		if err != nil {
			return identity.EndpointGroup{}, err
		}
		return h.identity.CreateEndpointGroup(c.Context(), identity.EndpointGroup{Name: in.EndpointGroup.Name,
			Description: in.EndpointGroup.Description, Filters: db.Of(in.EndpointGroup.Filters), Extra: db.Of(extra)})
	})
}

type endpointGroupUpdate struct {
	_           struct{}           `check:"open,nonempty"`
	Name        *string            `json:"name" check:"min=1,max=255,pattern=nonblank"`
	Description api.Opt[string]    `json:"description"`
	Filters     *map[string]string `json:"filters"`
}

type updateEndpointGroupRequest struct {
	_             struct{}            `check:"open"`
	EndpointGroup endpointGroupUpdate `json:"endpoint_group" check:"required"`
}

func (h handlers) updateEndpointGroup(c *api.Call, in updateEndpointGroupRequest) (map[string]any, error) {
	return h.endpointGroupKind().made(c, in.EndpointGroup, func(extra map[string]any) (identity.EndpointGroup, error) {
		if in.EndpointGroup.Filters != nil {
			err := checkFilters(*in.EndpointGroup.Filters)
			if err != nil {
				return identity.EndpointGroup{}, err
			}
		}
		return h.identity.UpdateEndpointGroup(c.Context(), c.PathValue("endpoint_group_id"), func(g *identity.EndpointGroup) error {
			set(&g.Name, in.EndpointGroup.Name)
			setOptional(&g.Description, in.EndpointGroup.Description)
			set(&g.Filters.V, in.EndpointGroup.Filters)
			g.Extra.V = merged(g.Extra.V, extra)
			return nil
		})
	})
}

type groupInProject struct {
	GroupID   string   `json:"endpoint_group_id"`
	ProjectID string   `json:"project_id"`
	Links     selfLink `json:"links"`
}

func (h handlers) showGroupInProject(c *api.Call) (map[string]any, error) {
	err := pair("endpoint_group_id", h.identity.EndpointGroupInProject)(c)
	if err != nil {
		return nil, err
	}
	group, project := c.PathValue("endpoint_group_id"), c.PathValue("project_id")
	return map[string]any{"project_endpoint_group": groupInProject{group, project,
		selfLink{c.URL("/OS-EP-FILTER/endpoint_groups/" + group + "/projects/" + project)}}}, nil
}
