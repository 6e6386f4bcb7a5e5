package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// PolicyAssociation says which policy something of the catalog has: an endpoint,
// a service, or a service in a region and the regions below it.
type PolicyAssociation struct {
	bun.BaseModel `bun:"table:policy_associations"`

	EndpointID string `bun:",pk"`
	ServiceID  string `bun:",pk"`
	RegionID   string `bun:",pk"`
	PolicyID   string
}

// checkAssociation refuses an association of what does not exist.
func checkAssociation(ctx context.Context, tx *db.Tx, a PolicyAssociation) error {
	_, err := find[PolicyBlob](ctx, tx, "policy", a.PolicyID)
	if err == nil && a.EndpointID != "" {
		_, err = find[Endpoint](ctx, tx, "endpoint", a.EndpointID)
	}
	if err == nil && a.ServiceID != "" {
		_, err = find[CatalogService](ctx, tx, "service", a.ServiceID)
	}
	if err == nil && a.RegionID != "" {
		_, err = find[Region](ctx, tx, "region", a.RegionID)
	}
	return err
}

func noAssociation() error { return errs.NotFoundf("Could not find policy association.") }

// Associate gives something of the catalog a policy, in place of the one it had.
func (s *Service) Associate(ctx context.Context, a PolicyAssociation) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkAssociation(ctx, tx, a)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&a).On("CONFLICT (endpoint_id, service_id, region_id) DO UPDATE").Set("policy_id = excluded.policy_id").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("associate policy %s: %w", a.PolicyID, err)
	}
	return nil
}

// Associated finds out whether the association exists.
func (s *Service) Associated(ctx context.Context, a PolicyAssociation) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		err := checkAssociation(ctx, tx, a)
		if err != nil {
			return err
		}
		found, err := tx.NewSelect().Model(&a).WherePK().Where("policy_id = ?", a.PolicyID).Exists(ctx)
		if err == nil && !found {
			err = noAssociation()
		}
		return err
	})
}

// Dissociate takes an association back.
func (s *Service) Dissociate(ctx context.Context, a PolicyAssociation) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := checkAssociation(ctx, tx, a)
		if err != nil {
			return err
		}
		result, err := tx.NewDelete().Model(&a).WherePK().Where("policy_id = ?", a.PolicyID).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			err = noAssociation()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("dissociate policy %s: %w", a.PolicyID, err)
	}
	return nil
}

// regionsAbove lists a region and those it lies in, the nearest first.
const regionsAbove = `
	WITH RECURSIVE above (id, depth) AS (
		SELECT id, 0 FROM regions WHERE id = ?
		UNION SELECT r.parent_id, above.depth + 1 FROM regions r JOIN above ON r.id = above.id WHERE r.parent_id <> '' AND above.depth < 64)`

// PolicyOfEndpoint finds the policy of an endpoint: its own, else that of its
// service in the nearest region around it, else that of its service.
func (s *Service) PolicyOfEndpoint(ctx context.Context, id string) (PolicyBlob, error) {
	e, err := s.Endpoint(ctx, id)
	if err != nil {
		return PolicyBlob{}, err
	}
	var policy string
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &policy, regionsAbove+`
			SELECT policy_id FROM (
				SELECT policy_id, -1 AS distance FROM policy_associations WHERE endpoint_id = ?
				UNION ALL SELECT a.policy_id, above.depth FROM policy_associations a JOIN above ON a.region_id = above.id WHERE a.service_id = ?
				UNION ALL SELECT policy_id, 1000 FROM policy_associations WHERE service_id = ? AND region_id = '') AS found
			ORDER BY distance LIMIT 1`, e.RegionID, id, e.ServiceID, e.ServiceID)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return PolicyBlob{}, errs.NotFoundf("No policy is associated with endpoint %s.", id)
	}
	if err != nil {
		return PolicyBlob{}, fmt.Errorf("find policy of endpoint %s: %w", id, err)
	}
	return s.PolicyBlob(ctx, policy)
}

// EndpointsOfPolicy lists the endpoints that are associated with a policy, by
// themselves, their service, or their service and a region around them.
func (s *Service) EndpointsOfPolicy(ctx context.Context, id string) ([]Endpoint, error) {
	_, err := s.PolicyBlob(ctx, id)
	if err != nil {
		return nil, err
	}
	return list[Endpoint](ctx, s, "endpoints", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where(`id IN (
			WITH RECURSIVE below (service_id, region_id, depth) AS (
				SELECT service_id, region_id, 0 FROM policy_associations WHERE policy_id = ? AND region_id <> ''
				UNION SELECT below.service_id, r.id, below.depth + 1 FROM regions r JOIN below ON r.parent_id = below.region_id WHERE below.depth < 64)
			SELECT e.id FROM catalog_endpoints e JOIN policy_associations a ON a.policy_id = ?
				AND (a.endpoint_id = e.id OR (a.service_id = e.service_id AND a.region_id = ''))
			UNION SELECT e.id FROM catalog_endpoints e JOIN below ON below.service_id = e.service_id AND below.region_id = e.region_id)`, id, id).
			Order("position", "id")
	})
}
