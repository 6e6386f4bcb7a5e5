package identity

import (
	"context"
	"database/sql"
	"errors"
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
}

// Catalog lists enabled services with their enabled endpoints. It is shared:
// nobody changes it.
func (s *Service) Catalog(ctx context.Context) ([]CatalogEntry, error) {
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	known := s.catalog.Load()
	if known != nil && known.revision >= revision {
		return known.entries, nil
	}
	var services []CatalogService
	var endpoints []Endpoint
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &revision, `SELECT revision FROM auth_revision`)
		if err != nil {
			return err
		}
		err = tx.NewSelect().Model(&services).Where("enabled").Order("position", "id").Scan(ctx)
		if err != nil {
			return err
		}
		return tx.NewSelect().Model(&endpoints).Where("enabled").Order("position", "id").Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	byService := map[string][]Endpoint{}
	for _, e := range endpoints {
		byService[e.ServiceID] = append(byService[e.ServiceID], e)
	}
	entries := make([]CatalogEntry, 0, len(services))
	for _, service := range services {
		entries = append(entries, CatalogEntry{Service: service, Endpoints: byService[service.ID]})
	}
	s.catalog.Store(&catalogAt{revision: revision, entries: entries})
	return entries, nil
}

// Services lists services; empty filters match all.
func (s *Service) Services(ctx context.Context, kind, name string) ([]CatalogService, error) {
	var out []CatalogService
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return equal(equal(tx.NewSelect().Model(&out).Order("position", "id"), "type", kind), "name", name).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	return out, nil
}

// Service finds a service by id.
func (s *Service) Service(ctx context.Context, id string) (CatalogService, error) {
	var out CatalogService
	err := s.db.Read(ctx, func(tx *db.Tx) error { return find(ctx, tx, &out, "service", id) })
	return out, err
}

// find reads a row of the catalog by id.
func find(ctx context.Context, tx *db.Tx, row any, kind, id string) error {
	err := tx.NewSelect().Model(row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return errs.NotFoundf("Could not find %s: %s.", kind, id)
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", kind, id, err)
	}
	return nil
}

// CreateService adds a service at the end of the catalog.
func (s *Service) CreateService(ctx context.Context, in CatalogService) (CatalogService, error) {
	in.ID, in.Position = s.newID(), s.clock.Now().UnixMicro()
	err := s.changeCatalog(ctx, "service", created, in.ID, func(tx *db.Tx) error { return tx.Insert(ctx, &in) })
	if err != nil {
		return CatalogService{}, fmt.Errorf("create service: %w", err)
	}
	return in, nil
}

// UpdateService changes a service by the function.
func (s *Service) UpdateService(ctx context.Context, id string, change func(*CatalogService) error) (CatalogService, error) {
	var out CatalogService
	err := s.changeCatalog(ctx, "service", updated, id, func(tx *db.Tx) error {
		out = CatalogService{}
		return alter(ctx, tx, &out, "service", id, change, "type", "name", "description", "enabled", "extra")
	})
	return out, err
}

// DeleteService removes a service with its endpoints.
func (s *Service) DeleteService(ctx context.Context, id string) error {
	return s.changeCatalog(ctx, "service", deleted, id, func(tx *db.Tx) error { return remove(ctx, tx, &CatalogService{}, "service", id) })
}

// EndpointFilter narrows a list; empty fields match all.
type EndpointFilter struct{ ServiceID, RegionID, Interface string }

// Endpoints lists endpoints.
func (s *Service) Endpoints(ctx context.Context, f EndpointFilter) ([]Endpoint, error) {
	var out []Endpoint
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := equal(tx.NewSelect().Model(&out).Order("position", "id"), "service_id", f.ServiceID)
		return equal(equal(q, "region_id", f.RegionID), "interface", f.Interface).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	return out, nil
}

// Endpoint finds an endpoint by id.
func (s *Service) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	var out Endpoint
	err := s.db.Read(ctx, func(tx *db.Tx) error { return find(ctx, tx, &out, "endpoint", id) })
	return out, err
}

// CreateEndpoint adds an endpoint, and its region when nobody has made it.
func (s *Service) CreateEndpoint(ctx context.Context, in Endpoint) (Endpoint, error) {
	in.ID, in.Position = s.newID(), s.clock.Now().UnixMicro()
	err := s.changeCatalog(ctx, "endpoint", created, in.ID, func(tx *db.Tx) error {
		err := checkEndpoint(ctx, tx, in)
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &in)
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("create endpoint: %w", err)
	}
	return in, nil
}

func checkEndpoint(ctx context.Context, tx *db.Tx, e Endpoint) error {
	var service CatalogService
	err := find(ctx, tx, &service, "service", e.ServiceID)
	if err != nil || e.RegionID == "" {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO regions (id) VALUES (?) ON CONFLICT DO NOTHING`, e.RegionID)
	return err
}

// UpdateEndpoint changes an endpoint by the function.
func (s *Service) UpdateEndpoint(ctx context.Context, id string, change func(*Endpoint) error) (Endpoint, error) {
	var out Endpoint
	err := s.changeCatalog(ctx, "endpoint", updated, id, func(tx *db.Tx) error {
		out = Endpoint{}
		err := alter(ctx, tx, &out, "endpoint", id, change, "service_id", "region_id", "interface", "url", "enabled", "extra")
		if err != nil {
			return err
		}
		return checkEndpoint(ctx, tx, out)
	})
	return out, err
}

// DeleteEndpoint removes an endpoint.
func (s *Service) DeleteEndpoint(ctx context.Context, id string) error {
	return s.changeCatalog(ctx, "endpoint", deleted, id, func(tx *db.Tx) error { return remove(ctx, tx, &Endpoint{}, "endpoint", id) })
}

// Regions lists the regions below a parent; "" is all.
func (s *Service) Regions(ctx context.Context, parent string) ([]Region, error) {
	var out []Region
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return equal(tx.NewSelect().Model(&out).Order("id"), "parent_id", parent).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list regions: %w", err)
	}
	return out, nil
}

// Region finds a region by id.
func (s *Service) Region(ctx context.Context, id string) (Region, error) {
	var out Region
	err := s.db.Read(ctx, func(tx *db.Tx) error { return find(ctx, tx, &out, "region", id) })
	return out, err
}

// CreateRegion adds a region; without an id it gets one.
func (s *Service) CreateRegion(ctx context.Context, in Region) (Region, error) {
	if in.ID == "" {
		in.ID = s.newID()
	}
	err := s.changeCatalog(ctx, "region", created, in.ID, func(tx *db.Tx) error {
		if in.ParentID != "" {
			err := find(ctx, tx, &Region{}, "region", in.ParentID)
			if err != nil {
				return err
			}
		}
		err := tx.Insert(ctx, &in)
		if err != nil && db.IsDuplicate(err) {
			return errs.Conflictf("Conflict occurred attempting to store region - Duplicate ID, %s.", in.ID)
		}
		return err
	})
	return in, err
}

// UpdateRegion changes a region by the function.
func (s *Service) UpdateRegion(ctx context.Context, id string, change func(*Region) error) (Region, error) {
	var out Region
	err := s.changeCatalog(ctx, "region", updated, id, func(tx *db.Tx) error {
		out = Region{}
		return alter(ctx, tx, &out, "region", id, change, "parent_id", "description", "extra")
	})
	return out, err
}

// DeleteRegion removes a region that is empty.
func (s *Service) DeleteRegion(ctx context.Context, id string) error {
	return s.changeCatalog(ctx, "region", deleted, id, func(tx *db.Tx) error {
		var used int
		err := tx.Get(ctx, &used, `SELECT (SELECT COUNT(*) FROM catalog_endpoints WHERE region_id = ?) + (SELECT COUNT(*) FROM regions WHERE parent_id = ?)`, id, id)
		if err != nil {
			return err
		}
		if used > 0 {
			return errs.Forbiddenf("Unable to delete region %s because it or its child regions have associated endpoints.", id)
		}
		return remove(ctx, tx, &Region{}, "region", id)
	})
}

// changeCatalog writes, tells of it, and makes what is kept of the catalog
// stale.
func (s *Service) changeCatalog(ctx context.Context, resource, operation, id string, do func(tx *db.Tx) error) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		err := do(tx)
		if err != nil {
			return err
		}
		err = tell(ctx, tx, resource, operation, id)
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
}

func alter[T any](ctx context.Context, tx *db.Tx, row *T, kind, id string, change func(*T) error, columns ...string) error {
	err := find(ctx, tx, row, kind, id)
	if err != nil {
		return err
	}
	err = change(row)
	if err != nil {
		return err
	}
	_, err = tx.Update(ctx, row, columns...)
	return err
}

func remove(ctx context.Context, tx *db.Tx, row any, kind, id string) error {
	err := find(ctx, tx, row, kind, id)
	if err != nil {
		return err
	}
	_, err = tx.NewDelete().Model(row).WherePK().Exec(ctx)
	return err
}
