package network

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// shareNetwork has everybody see a network for ports, or for gateways, or nobody.
func (s *Service) shareNetwork(ctx context.Context, tx *db.Tx, n Network, shared, external bool) error {
	err := s.setShared(ctx, tx, networkKind, n.ID, n.Project, AsShared, shared)
	if errs.Is(err, errs.Conflict) {
		return errs.Conflictf("Unable to reconfigure sharing settings for network %s. Multiple tenants are using it.", n.Name).
			Typed("InvalidSharedSetting")
	}
	if err != nil {
		return err
	}
	if external || !n.External {
		return s.setShared(ctx, tx, networkKind, n.ID, n.Project, AsExternal, external)
	}
	return s.unsharedExternal(ctx, tx, n)
}

// unsharedExternal ends all that lets others reach the outside by the network.
func (s *Service) unsharedExternal(ctx context.Context, tx *db.Tx, n Network) error {
	var gone []RBACPolicy
	err := tx.All(ctx, &gone, `SELECT * FROM rbac_policies WHERE object_type = 'network' AND object_id = ? AND action = ?`+tx.Hold(), n.ID, AsExternal)
	if err != nil {
		return fmt.Errorf("read who reaches the outside by network %s: %w", n.ID, err)
	}
	for _, p := range gone {
		err = unshare(ctx, tx, p)
		if err != nil {
			return err
		}
	}
	return nil
}
