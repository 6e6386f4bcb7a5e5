package network

import (
	"context"
	"errors"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/fabric"
	"nacre/internal/loop"
)

const (
	fabricLoop = "network.fabric"
	batch      = 500 // objects that the fabric is told of at a time
)

// tellFabric makes the fabric as the rows say, for all that changed since it
// was last told; after a start, for everything.
func (s *Service) tellFabric(ctx context.Context) error {
	if loop.Fresh(ctx) || !s.resynced {
		s.resynced = false
		err := s.resync(ctx)
		if err != nil {
			return fmt.Errorf("compare with the fabric: %w", err)
		}
		s.resynced = true
	}
	for {
		var rows []dirtyRow
		var t translation
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			var err error
			rows, err = nextDirty(ctx, tx, batch)
			if err != nil || len(rows) == 0 {
				return err
			}
			t, err = translate(ctx, tx, rows)
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		told, failed := s.apply(ctx, rows, t)
		if len(told) > 0 {
			loop.Did(ctx, "told", len(told))
			err = s.settled(ctx, told)
			if err != nil {
				return err
			}
		}
		if failed != nil {
			return failed
		}
	}
}

// apply tells the fabric. When it refuses the batch, each object is tried for
// itself, so that one that cannot be made does not hold up the others.
func (s *Service) apply(ctx context.Context, rows []dirtyRow, t translation) (told []dirtyRow, err error) {
	err = s.tell(ctx, t)
	if err == nil {
		return rows, nil
	}
	if len(rows) == 1 || ctx.Err() != nil {
		return nil, fmt.Errorf("tell the fabric of %s %s: %w", rows[0].Kind, rows[0].ID, err)
	}
	var failures error
	for _, r := range rows {
		var one translation
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			var err error
			one, err = translate(ctx, tx, []dirtyRow{r})
			return err
		})
		if err == nil {
			err = s.tell(ctx, one)
		}
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("tell the fabric of %s %s: %w", r.Kind, r.ID, err))
			continue
		}
		told = append(told, r)
	}
	return told, failures
}

// tell removes ports first, since others may have their addresses now, and the
// rest last, since what is left of it may still be referred to before.
func (s *Service) tell(ctx context.Context, t translation) error {
	var ports, rest []fabric.Ref
	for _, ref := range t.gone {
		if ref.Kind == fabric.KindPort {
			ports = append(ports, ref)
		} else {
			rest = append(rest, ref)
		}
	}
	if len(ports) > 0 {
		err := s.fabric.Remove(ctx, ports...)
		if err != nil {
			return err
		}
	}
	w := t.want
	if len(w.Networks)+len(w.Ports)+len(w.AddressGroups)+len(w.Groups)+len(w.Routers) > 0 {
		err := s.fabric.Ensure(ctx, t.want)
		if err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return s.fabric.Remove(ctx, rest...)
	}
	return nil
}

// settled forgets the changes. What a router has is up once the fabric has it. A
// server that stood still and has lost the loop meanwhile may have told the fabric
// something older than its successor did: that one then tells it again.
func (s *Service) settled(ctx context.Context, told []dirtyRow) error {
	var routers []string
	for _, r := range told {
		if r.Kind == fabric.KindRouter {
			routers = append(routers, r.ID)
		}
	}
	return s.db.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		held, err := loop.Held(ctx, tx)
		if err != nil {
			return err
		}
		if !held {
			for _, r := range told {
				err = dirty(ctx, tx, r.Kind, r.ID)
				if err != nil {
					return err
				}
			}
			return nil
		}
		if len(routers) > 0 {
			_, err := tx.Exec(ctx, `UPDATE ports SET status = 'ACTIVE' WHERE device_id IN (?) AND device_owner IN (?, ?) AND status <> 'ACTIVE'`,
				db.In(routers), OwnerRouterInterface, OwnerGateway)
			if err != nil {
				return fmt.Errorf("raise status of router ports: %w", err)
			}
		}
		return clean(ctx, tx, told)
	})
}

// resync notes everything as changed, and removes from the fabric what nobody
// asked for.
func (s *Service) resync(ctx context.Context) error {
	present, err := s.fabric.List(ctx)
	if err != nil {
		return err
	}
	known := map[fabric.Ref]bool{}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		clear(known)
		for _, part := range []struct {
			kind  fabric.Kind
			query string
		}{
			{fabric.KindNetwork, `SELECT id FROM networks`},
			{fabric.KindAddressGroup, `SELECT id FROM address_groups`},
			{fabric.KindGroup, `SELECT id FROM security_groups`},
			{fabric.KindPort, `SELECT id FROM ports WHERE device_owner NOT IN ('network:router_interface', 'network:router_gateway', 'network:floatingip')`},
			{fabric.KindRouter, `SELECT id FROM routers`},
		} {
			var ids []string
			err := tx.All(ctx, &ids, part.query)
			if err != nil {
				return err
			}
			for _, id := range ids {
				known[fabric.Ref{Kind: part.kind, ID: id}] = true
			}
			_, err = tx.Exec(ctx, `
				INSERT INTO network_dirty (kind, id) SELECT ?, x.id FROM (`+part.query+`) AS x WHERE true
				ON CONFLICT (kind, id) DO UPDATE SET generation = network_dirty.generation + 1`, part.kind)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var strangers []fabric.Ref
	for _, ref := range present {
		if !known[ref] {
			strangers = append(strangers, ref)
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	loop.Did(ctx, "strangers_removed", len(strangers))
	return s.fabric.Remove(ctx, strangers...)
}
