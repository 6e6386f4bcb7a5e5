package compute

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// UsageOfServer is how long a server was there within a span of time.
type UsageOfServer struct {
	Server Server
	Hours  float64
	Until  time.Time // deleted, or the end of the span
}

// Usage lists a page of the servers of a project ("" for all) that were there
// between start and end, also those that are deleted by now, by project and id.
func (s *Service) Usage(ctx context.Context, project string, start, end time.Time, page db.Page) ([]UsageOfServer, error) {
	page.Sort = []db.Sort{{Column: "project"}, {Column: "id"}}
	var servers []Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			_, err := anyServer(ctx, tx, project, page.Marker)
			if errs.Is(err, errs.NotFound) {
				return errs.BadRequestf("Marker %s could not be found.", page.Marker)
			}
			if err != nil {
				return err
			}
		}
		q := tx.NewSelect().Model(&servers).ModelTableExpr("servers").
			Where("launched_at > 0 AND launched_at < ? AND (deleted_at = 0 OR deleted_at > ?)", db.At(end), db.At(start))
		if project != "" {
			q = q.Where("project = ?", project)
		}
		return page.Cut(q, "servers", "id").Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	servers, _ = db.Trim(page, servers)
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
