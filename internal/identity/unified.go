package identity

import (
	"context"
	"fmt"

	"nacre/internal/db"
)

// UnifiedLimits returns what operators have registered of a service's resources:
// the project's own limit, or the one of every project. Resources that nobody
// registered are not in it. Services ask in the transaction that they decide in.
func UnifiedLimits(ctx context.Context, tx *db.Tx, serviceType, project string, resources ...string) (map[string]int64, error) {
	limits := map[string]int64{}
	if len(resources) == 0 {
		return limits, nil
	}
	var rows []struct {
		Name string
		Own  *int64
		All  int64
	}
	err := tx.All(ctx, &rows, `
		SELECT r.resource_name AS name, l.resource_limit AS own, r.default_limit AS "all"
		FROM registered_limits AS r JOIN catalog_services AS s ON s.id = r.service_id
		LEFT JOIN limits AS l ON l.registered_id = r.id AND l.project_id = ?
		WHERE s.type = ? AND r.resource_name IN (?) ORDER BY r.region_id DESC`, project, serviceType, db.In(resources))
	if err != nil {
		return nil, fmt.Errorf("read unified limits of project %s: %w", project, err)
	}
	for _, r := range rows { // those without a region come last
		limits[r.Name] = r.All
		if r.Own != nil {
			limits[r.Name] = *r.Own
		}
	}
	return limits, nil
}
