package compute

import (
	"context"
	"fmt"

	"nacre/internal/db"
)

func insertTags(ctx context.Context, tx *db.Tx, server string, tags []string) error {
	seen := map[string]bool{}
	for _, tag := range tags {
		if seen[tag] {
			continue
		}
		seen[tag] = true
		_, err := tx.Exec(ctx, "INSERT INTO server_tags (server, tag) VALUES (?, ?)", server, tag)
		if err != nil {
			return fmt.Errorf("insert tag: %w", err)
		}
	}
	return nil
}
