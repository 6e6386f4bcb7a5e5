package volume

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
	"nacre/internal/nodeapi"
)

// Loops are what the service keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "volume.orphans", Every: 5 * time.Minute, Once: s.removeOrphans},
		{Name: "volume.messages", Every: time.Hour, Once: s.forgetMessages},
		{Name: "volume.keys", Every: time.Hour, Once: s.sweepKeys},
		{Name: "volume.quota", Every: time.Hour, Once: s.recount},
	}
}

// removeOrphans forgets documents that no volume, no snapshot and no copy stands
// behind. Plans leave none; this is for what nobody has thought of.
func (s *Service) removeOrphans(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var rows []struct{ Host, ID string }
		err := tx.All(ctx, &rows, `
			SELECT host, id FROM documents
			WHERE kind = ? AND desired <> '' AND NOT EXISTS (SELECT 1 FROM volumes WHERE volumes.id = documents.id)
				AND NOT EXISTS (SELECT 1 FROM snapshots WHERE snapshots.id = documents.id)
				AND NOT EXISTS (SELECT 1 FROM volume_copies WHERE volume_copies.id = documents.id)
			LIMIT 100`, nodeapi.KindVolume)
		if err != nil {
			return fmt.Errorf("find orphaned documents: %w", err)
		}
		for _, row := range rows {
			err = s.hosts.Forget(ctx, tx, row.Host, nodeapi.KindVolume, row.ID)
			if err != nil {
				return err
			}
			loop.Did(ctx, "volume_id", row.ID, "host", row.Host)
		}
		return nil
	})
}
