package identity

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// EndpointGroup is the endpoints that have all of some attributes.
type EndpointGroup struct {
	bun.BaseModel `bun:"table:endpoint_groups"`

	ID          string `bun:",pk"`
	Name        string
	Description *string
	Filters     db.JSON[map[string]string]
	Extra       Extra
}

// EndpointFilters are the attributes that a group may ask for.
var EndpointFilters = []string{"service_id", "region_id", "interface"}

func (g EndpointGroup) has(e Endpoint) bool {
	for name, value := range g.Filters.V {
		own := map[string]string{"service_id": e.ServiceID, "region_id": e.RegionID, "interface": e.Interface}[name]
		if own != value {
			return false
		}
	}
	return true
}

const endpointGroupKind = "endpoint group"

// EndpointGroups lists endpoint groups; an empty name is any.
func (s *Service) EndpointGroups(ctx context.Context, name string) ([]EndpointGroup, error) {
	return list[EndpointGroup](ctx, s, "endpoint groups", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(q.Order("id"), "name", name)
	})
}

// EndpointGroup finds an endpoint group by id.
func (s *Service) EndpointGroup(ctx context.Context, id string) (EndpointGroup, error) {
	return get[EndpointGroup](ctx, s, endpointGroupKind, id)
}

// CreateEndpointGroup adds an endpoint group.
func (s *Service) CreateEndpointGroup(ctx context.Context, g EndpointGroup) (EndpointGroup, error) {
	g.ID = s.newID()
	return insert(ctx, s, endpointGroupKind, g.ID, g, complete)
}

// UpdateEndpointGroup changes an endpoint group by the function.
func (s *Service) UpdateEndpointGroup(ctx context.Context, id string, change func(g *EndpointGroup) error) (EndpointGroup, error) {
	return update(ctx, s, endpointGroupKind, id, thenStale(ctx, s, change), "name", "description", "filters", "extra")
}

// DeleteEndpointGroup removes an endpoint group; projects that had nothing else
// see the whole catalog again.
func (s *Service) DeleteEndpointGroup(ctx context.Context, id string) error {
	return remove[EndpointGroup](ctx, s, endpointGroupKind, id, s.stale(ctx))
}

// EndpointsIn lists the endpoints that a group has.
func (s *Service) EndpointsIn(ctx context.Context, group string) ([]Endpoint, error) {
	g, err := s.EndpointGroup(ctx, group)
	if err != nil {
		return nil, err
	}
	all, err := s.Endpoints(ctx, EndpointFilter{})
	return slices.DeleteFunc(all, func(e Endpoint) bool { return !g.has(e) }), err
}

// projectLink is what a project and something of the catalog are joined by.
type projectLink struct {
	table, column, kind string
}

var (
	endpointLink = projectLink{"project_endpoints", "endpoint_id", "endpoint"}
	groupLink    = projectLink{"project_endpoint_groups", "endpoint_group_id", endpointGroupKind}
)

// check finds out whether both ends exist.
func (l projectLink) check(ctx context.Context, tx *db.Tx, project, id string) error {
	_, err := readProject(ctx, tx, project)
	if err != nil {
		return err
	}
	if l.kind == endpointLink.kind {
		_, err = find[Endpoint](ctx, tx, l.kind, id)
		return err
	}
	_, err = find[EndpointGroup](ctx, tx, l.kind, id)
	return err
}

func (l projectLink) missing(project, id string) error {
	return errs.NotFoundf("Could not find %s %s in project %s.", l.kind, id, project)
}

func (s *Service) linked(ctx context.Context, l projectLink, project, id string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		err := l.check(ctx, tx, project, id)
		if err != nil {
			return err
		}
		var n int
		err = tx.Get(ctx, &n, `SELECT COUNT(*) FROM `+l.table+` WHERE project_id = ? AND `+l.column+` = ?`, project, id)
		if err == nil && n == 0 {
			err = l.missing(project, id)
		}
		return err
	})
}

func (s *Service) link(ctx context.Context, l projectLink, project, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := l.check(ctx, tx, project, id)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO `+l.table+` (project_id, `+l.column+`) VALUES (?, ?) ON CONFLICT DO NOTHING`, project, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.Conflictf("Conflict occurred attempting to store %s - Duplicate entry.", l.table)
		}
		return s.stale(ctx)(tx)
	})
	if err != nil {
		return fmt.Errorf("give project %s the %s %s: %w", project, l.kind, id, err)
	}
	return nil
}

func (s *Service) unlink(ctx context.Context, l projectLink, project, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM `+l.table+` WHERE project_id = ? AND `+l.column+` = ?`, project, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return l.missing(project, id)
		}
		return s.stale(ctx)(tx)
	})
	if err != nil {
		return fmt.Errorf("take the %s %s from project %s: %w", l.kind, id, project, err)
	}
	return nil
}

// EndpointInProject finds out whether a project has an endpoint of its own.
func (s *Service) EndpointInProject(ctx context.Context, project, endpoint string) error {
	return s.linked(ctx, endpointLink, project, endpoint)
}

// AddEndpointToProject gives a project an endpoint of its own.
func (s *Service) AddEndpointToProject(ctx context.Context, project, endpoint string) error {
	return s.link(ctx, endpointLink, project, endpoint)
}

// RemoveEndpointFromProject takes an endpoint from a project.
func (s *Service) RemoveEndpointFromProject(ctx context.Context, project, endpoint string) error {
	return s.unlink(ctx, endpointLink, project, endpoint)
}

// EndpointGroupInProject finds out whether a project has an endpoint group.
func (s *Service) EndpointGroupInProject(ctx context.Context, project, group string) error {
	return s.linked(ctx, groupLink, project, group)
}

// AddEndpointGroupToProject gives a project an endpoint group.
func (s *Service) AddEndpointGroupToProject(ctx context.Context, project, group string) error {
	return s.link(ctx, groupLink, project, group)
}

// RemoveEndpointGroupFromProject takes an endpoint group from a project.
func (s *Service) RemoveEndpointGroupFromProject(ctx context.Context, project, group string) error {
	return s.unlink(ctx, groupLink, project, group)
}

// ProjectsWithEndpoint lists the projects that have an endpoint of their own.
func (s *Service) ProjectsWithEndpoint(ctx context.Context, endpoint string) ([]Project, error) {
	_, err := s.Endpoint(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	return s.projectsWith(ctx, endpointLink, endpoint)
}

// ProjectsWithGroup lists the projects that have an endpoint group.
func (s *Service) ProjectsWithGroup(ctx context.Context, group string) ([]Project, error) {
	_, err := s.EndpointGroup(ctx, group)
	if err != nil {
		return nil, err
	}
	return s.projectsWith(ctx, groupLink, group)
}

func (s *Service) projectsWith(ctx context.Context, l projectLink, id string) ([]Project, error) {
	return list[Project](ctx, s, "projects", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("id IN (SELECT project_id FROM "+l.table+" WHERE "+l.column+" = ?)", id).Order("name", "id")
	})
}

// GroupsOfProject lists the endpoint groups that a project has.
func (s *Service) GroupsOfProject(ctx context.Context, project string) ([]EndpointGroup, error) {
	_, err := s.Project(ctx, project)
	if err != nil {
		return nil, err
	}
	return list[EndpointGroup](ctx, s, "endpoint groups", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("id IN (SELECT endpoint_group_id FROM project_endpoint_groups WHERE project_id = ?)", project).Order("id")
	})
}

// EndpointsOfProject lists the endpoints that a project has, by itself or by a
// group.
func (s *Service) EndpointsOfProject(ctx context.Context, project string) ([]Endpoint, error) {
	groups, err := s.GroupsOfProject(ctx, project)
	if err != nil {
		return nil, err
	}
	var own []string
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &own, `SELECT endpoint_id FROM project_endpoints WHERE project_id = ?`, project)
	})
	if err != nil {
		return nil, fmt.Errorf("list endpoints of project %s: %w", project, err)
	}
	all, err := s.Endpoints(ctx, EndpointFilter{})
	return slices.DeleteFunc(all, func(e Endpoint) bool {
		return !slices.Contains(own, e.ID) && !slices.ContainsFunc(groups, func(g EndpointGroup) bool { return g.has(e) })
	}), err
}

// visible tells which endpoints a project sees, by id; nil is all.
type visible map[string]map[string]bool // project → endpoints

// readVisible reads the associations of all projects that have any.
func readVisible(ctx context.Context, tx *db.Tx, endpoints []Endpoint) (visible, error) {
	v := visible{}
	show := func(project, endpoint string) {
		if v[project] == nil {
			v[project] = map[string]bool{}
		}
		if endpoint != "" {
			v[project][endpoint] = true
		}
	}
	var pairs []struct{ ProjectID, ID string }
	err := tx.All(ctx, &pairs, `SELECT project_id, endpoint_id AS id FROM project_endpoints`)
	if err != nil {
		return nil, fmt.Errorf("read endpoints of projects: %w", err)
	}
	for _, p := range pairs {
		show(p.ProjectID, p.ID)
	}
	var groups []EndpointGroup
	err = tx.NewSelect().Model(&groups).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read endpoint groups: %w", err)
	}
	pairs = nil
	err = tx.All(ctx, &pairs, `SELECT project_id, endpoint_group_id AS id FROM project_endpoint_groups`)
	if err != nil {
		return nil, fmt.Errorf("read endpoint groups of projects: %w", err)
	}
	for _, p := range pairs {
		show(p.ProjectID, "")
		for _, g := range groups {
			for _, e := range endpoints {
				if g.ID == p.ID && g.has(e) {
					show(p.ProjectID, e.ID)
				}
			}
		}
	}
	return v, nil
}
