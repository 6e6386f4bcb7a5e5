package compute

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Extended hears that a volume of a server has grown: the guest is to see it. A
// server that is gone is a success.
func (s *Service) Extended(ctx context.Context, tx *db.Tx, server, volume string, size int64) error {
	n, err := tx.Exec(ctx, "UPDATE server_volumes SET grown = ? WHERE server = ? AND volume = ?", size, server, volume)
	if err != nil {
		return fmt.Errorf("note the size of volume %s: %w", volume, err)
	}
	found, err := getServer(ctx, tx, "", server)
	if n == 0 || errs.Is(err, errs.NotFound) || err == nil && found.Host == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, found)
}
