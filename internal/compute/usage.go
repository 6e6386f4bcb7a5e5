package compute

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
)

// UsageOfServer is how long a server was there within a span of time.
type UsageOfServer struct {
	Server Server
	Hours  float64
	Until  time.Time // deleted, or the end of the span
}

// Usage lists the servers of a project ("" for all) that were there between
// start and end, also those that are deleted by now.
func (s *Service) Usage(ctx context.Context, project string, start, end time.Time) ([]UsageOfServer, error) {
	var servers []Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&servers).ModelTableExpr("servers").OrderExpr("project, created_at, id").
			Where("launched_at > 0 AND launched_at < ? AND (deleted_at = 0 OR deleted_at > ?)", db.At(end), db.At(start))
		if project != "" {
			q = q.Where("project = ?", project)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	list := make([]UsageOfServer, len(servers))
	for i, server := range servers {
		from, until := server.LaunchedAt.Time(), end
		if from.Before(start) {
			from = start
		}
		if server.DeletedAt > 0 && server.DeletedAt.Time().Before(end) {
			until = server.DeletedAt.Time()
		}
		list[i] = UsageOfServer{Server: server, Hours: max(0, until.Sub(from).Hours()), Until: until}
	}
	return list, nil
}
