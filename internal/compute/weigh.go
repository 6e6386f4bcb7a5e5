package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
)

// Builds that fail on a host are counted while somebody wants to know: when the
// weigher of them is selected.

// buildFailed counts a build that failed on the host that was chosen for it, if one
// was.
func (s *Service) buildFailed(ctx context.Context, tx *db.Tx, server string) error {
	if !slices.Contains(s.weighers, scheduler.BuildFailure) {
		return nil
	}
	var host string
	err := tx.Get(ctx, &host, "SELECT chosen FROM schedules WHERE server = ?", server)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && host == "") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read host of failed server %s: %w", server, err)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO failed_builds (host, n) VALUES (?, 1)
		ON CONFLICT (host) DO UPDATE SET n = failed_builds.n + 1`, host)
	if err != nil {
		return fmt.Errorf("count failed build on host %s: %w", host, err)
	}
	return nil
}

// buildWorked forgets the failures of a host.
func (s *Service) buildWorked(ctx context.Context, tx *db.Tx, host string) error {
	if !slices.Contains(s.weighers, scheduler.BuildFailure) {
		return nil
	}
	_, err := tx.Exec(ctx, "DELETE FROM failed_builds WHERE host = ?", host)
	if err != nil {
		return fmt.Errorf("forget failed builds on host %s: %w", host, err)
	}
	return nil
}
