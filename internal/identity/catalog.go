package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// CatalogService is a service as the catalog lists it.
type CatalogService struct {
	bun.BaseModel `bun:"table:catalog_services"`

	ID          string `bun:",pk"`
	Type        string
	Name        string
	Description string
	Enabled     bool
	Extra       Extra
	Position    int64 // order in the catalog
}

// Endpoint is one address of a service. The URL may contain PublicURL and
// $(project_id)s.
type Endpoint struct {
	bun.BaseModel `bun:"table:catalog_endpoints"`

	ID        string `bun:",pk"`
	ServiceID string
	RegionID  string
	Interface string // public, internal, admin
	URL       string `bun:"url"`
	Enabled   bool
	Extra     Extra
	Position  int64
}

// Region is a part of the cloud.
type Region struct {
	bun.BaseModel `bun:"table:regions"`

	ID          string `bun:",pk"`
	ParentID    string
	Description string
	Extra       Extra
}

// PublicURL in an endpoint's URL stands for this cloud's own address, so that a
// cloud that moves keeps its catalog.
const PublicURL = "$(public_url)s"

// Address is the URL of an endpoint for a cloud at base, and whether it can be
// told: one that names a project has no meaning outside of projects.
func (e Endpoint) Address(base, project string) (string, bool) {
	address := e.Shown(base)
	for _, name := range []string{"$(project_id)s", "$(tenant_id)s", "%(project_id)s", "%(tenant_id)s"} {
		if strings.Contains(address, name) && project == "" {
			return "", false
		}
		address = strings.ReplaceAll(address, name, project)
	}
	return address, true
}

// Shown is the URL as the endpoints API shows it, project and all unfilled.
func (e Endpoint) Shown(base string) string { return strings.ReplaceAll(e.URL, PublicURL, base) }

// CatalogEntry is a service with its endpoints.
type CatalogEntry struct {
	Service   CatalogService
	Endpoints []Endpoint
}

type catalogAt struct {
	revision int64
	entries  []CatalogEntry
	visible  visible

	providers []ServiceProvider
}

// of gives the part of the catalog that a project sees.
func (c *catalogAt) of(project string) []CatalogEntry {
	seen, narrowed := c.visible[project]
	if !narrowed {
		return c.entries
	}
	var out []CatalogEntry
	for _, entry := range c.entries {
		var endpoints []Endpoint
		for _, e := range entry.Endpoints {
			if seen[e.ID] {
				endpoints = append(endpoints, e)
			}
		}
		if len(endpoints) > 0 {
			out = append(out, CatalogEntry{Service: entry.Service, Endpoints: endpoints})
		}
	}
	return out
}

// Catalog lists enabled services with their enabled endpoints, as far as they
// are for the project. It is shared: nobody changes it.
func (s *Service) Catalog(ctx context.Context, project string) ([]CatalogEntry, error) {
	c, err := s.currentCatalog(ctx)
	if err != nil {
		return nil, err
	}
	return c.of(project), nil
}

// OpenProviders lists the enabled service providers, which tokens tell of.
func (s *Service) OpenProviders(ctx context.Context) ([]ServiceProvider, error) {
	c, err := s.currentCatalog(ctx)
	if err != nil {
		return nil, err
	}
	return c.providers, nil
}

func (s *Service) currentCatalog(ctx context.Context) (*catalogAt, error) {
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	known := s.catalog.Load()
	if known != nil && known.revision >= revision {
		return known, nil
	}
	fresh := &catalogAt{}
	var services []CatalogService
	var endpoints []Endpoint
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &revision, `SELECT revision FROM auth_revision`)
		if err != nil {
			return err
		}
		err = tx.NewSelect().Model(&services).Where("enabled = 1").Order("position", "id").Scan(ctx)
		if err != nil {
			return err
		}
		err = tx.NewSelect().Model(&endpoints).Where("enabled = 1").Order("position", "id").Scan(ctx)
		if err != nil {
			return err
		}
		fresh.visible, err = readVisible(ctx, tx, endpoints)
		if err != nil {
			return err
		}
		return tx.NewSelect().Model(&fresh.providers).Where("enabled = 1").Order("id").Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	byService := map[string][]Endpoint{}
	for _, e := range endpoints {
		byService[e.ServiceID] = append(byService[e.ServiceID], e)
	}
	fresh.revision, fresh.entries = revision, make([]CatalogEntry, 0, len(services))
	for _, service := range services {
		fresh.entries = append(fresh.entries, CatalogEntry{Service: service, Endpoints: byService[service.ID]})
	}
	s.catalog.Store(fresh)
	return fresh, nil
}

// Services lists services; empty filters match all.
func (s *Service) Services(ctx context.Context, kind, name string) ([]CatalogService, error) {
	return list[CatalogService](ctx, s, "services", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(equal(q.Order("position", "id"), "type", kind), "name", name)
	})
}

// Service finds a service by id.
func (s *Service) Service(ctx context.Context, id string) (CatalogService, error) {
	return get[CatalogService](ctx, s, "service", id)
}

// CreateService adds a service at the end of the catalog.
func (s *Service) CreateService(ctx context.Context, in CatalogService) (CatalogService, error) {
	in.ID, in.Position = s.newID(), s.clock.Now().UnixMicro()
	return insert(ctx, s, "service", in.ID, in, thenStale(ctx, s, unchanged[CatalogService]))
}

// UpdateService changes a service by the function.
func (s *Service) UpdateService(ctx context.Context, id string, change func(*CatalogService) error) (CatalogService, error) {
	return update(ctx, s, "service", id, thenStale(ctx, s, change), "type", "name", "description", "enabled", "extra")
}

// DeleteService removes a service with its endpoints.
func (s *Service) DeleteService(ctx context.Context, id string) error {
	return remove[CatalogService](ctx, s, "service", id, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM policy_associations
			WHERE service_id = ? OR endpoint_id IN (SELECT id FROM catalog_endpoints WHERE service_id = ?)`, id, id)
		if err != nil {
			return err
		}
		return s.stale(ctx)(tx)
	})
}

// EndpointFilter narrows a list; empty fields match all.
type EndpointFilter struct{ ServiceID, RegionID, Interface string }

// Endpoints lists endpoints.
func (s *Service) Endpoints(ctx context.Context, f EndpointFilter) ([]Endpoint, error) {
	return list[Endpoint](ctx, s, "endpoints", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = equal(q.Order("position", "id"), "service_id", f.ServiceID)
		return equal(equal(q, "region_id", f.RegionID), "interface", f.Interface)
	})
}

// Endpoint finds an endpoint by id.
func (s *Service) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	return get[Endpoint](ctx, s, "endpoint", id)
}

// CreateEndpoint adds an endpoint, and its region when nobody has made it.
func (s *Service) CreateEndpoint(ctx context.Context, in Endpoint) (Endpoint, error) {
	in.ID, in.Position = s.newID(), s.clock.Now().UnixMicro()
	return insert(ctx, s, "endpoint", in.ID, in, func(tx *db.Tx, row *Endpoint) error { return s.checkEndpoint(ctx, tx, *row) })
}

func (s *Service) checkEndpoint(ctx context.Context, tx *db.Tx, e Endpoint) error {
	_, err := find[CatalogService](ctx, tx, "service", e.ServiceID)
	if err != nil {
		return err
	}
	if e.RegionID != "" {
		_, err = tx.Exec(ctx, `INSERT INTO regions (id) VALUES (?) ON CONFLICT DO NOTHING`, e.RegionID)
		if err != nil {
			return err
		}
	}
	return s.stale(ctx)(tx)
}

// UpdateEndpoint changes an endpoint by the function.
func (s *Service) UpdateEndpoint(ctx context.Context, id string, change func(*Endpoint) error) (Endpoint, error) {
	return update(ctx, s, "endpoint", id, func(tx *db.Tx, row *Endpoint) error {
		err := change(row)
		if err != nil {
			return err
		}
		return s.checkEndpoint(ctx, tx, *row)
	}, "service_id", "region_id", "interface", "url", "enabled", "extra")
}

// DeleteEndpoint removes an endpoint.
func (s *Service) DeleteEndpoint(ctx context.Context, id string) error {
	return remove[Endpoint](ctx, s, "endpoint", id, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM policy_associations WHERE endpoint_id = ?`, id)
		if err != nil {
			return err
		}
		return s.stale(ctx)(tx)
	})
}

// Regions lists the regions below a parent; "" is all.
func (s *Service) Regions(ctx context.Context, parent string) ([]Region, error) {
	return list[Region](ctx, s, "regions", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(q.Order("id"), "parent_id", parent)
	})
}

// Region finds a region by id.
func (s *Service) Region(ctx context.Context, id string) (Region, error) {
	return get[Region](ctx, s, "region", id)
}

// CreateRegion adds a region; without an id it gets one.
func (s *Service) CreateRegion(ctx context.Context, in Region) (Region, error) {
	if in.ID == "" {
		in.ID = s.newID()
	}
	return insert(ctx, s, "region", in.ID, in, func(tx *db.Tx, _ *Region) error {
		if in.ParentID != "" {
			_, err := find[Region](ctx, tx, "region", in.ParentID)
			if err != nil {
				return err
			}
		}
		return s.stale(ctx)(tx)
	})
}

// UpdateRegion changes a region by the function.
func (s *Service) UpdateRegion(ctx context.Context, id string, change func(*Region) error) (Region, error) {
	return update(ctx, s, "region", id, thenStale(ctx, s, change), "parent_id", "description", "extra")
}

// DeleteRegion removes a region that is empty.
func (s *Service) DeleteRegion(ctx context.Context, id string) error {
	return remove[Region](ctx, s, "region", id, func(tx *db.Tx) error {
		var used int
		err := tx.Get(ctx, &used, `SELECT (SELECT COUNT(*) FROM catalog_endpoints WHERE region_id = ?) + (SELECT COUNT(*) FROM regions WHERE parent_id = ?) +
			(SELECT COUNT(*) FROM registered_limits WHERE region_id = ?)`, id, id, id)
		if err != nil {
			return err
		}
		if used > 0 {
			return errs.Forbiddenf("Unable to delete region %s because it or its child regions have associated endpoints.", id)
		}
		_, err = tx.Exec(ctx, `DELETE FROM policy_associations WHERE region_id = ?`, id)
		if err != nil {
			return err
		}
		return s.stale(ctx)(tx)
	})
}
