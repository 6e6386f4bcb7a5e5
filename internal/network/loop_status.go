package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nacre/internal/db"
	"nacre/internal/loop"
	"nacre/internal/quota"
	"nacre/internal/work"
)

const (
	statusLoop  = "network.status"
	statusEvery = 10 * time.Second // hints may be lost
)

// statuses is how many ports have their status written at a time: requests wait that
// long, some milliseconds.
const statuses = 100

// recheck has the status loop look at a port.
func (s *Service) recheck(port string) {
	s.mu.Lock()
	s.stale[port] = true
	s.mu.Unlock()
	s.nudge(statusLoop)
}

// recheckChannel announces ports that the status loop is to look at, on whichever
// server it runs.
const recheckChannel = "network.recheck"

// recheckAfter is recheck once the transaction is on disk.
func recheckAfter(tx *db.Tx, port string) { tx.Notify(recheckChannel, port) }

// followFabric brings the status of ports in line with what the fabric reports.
// Ports that somebody hinted at are looked at as soon as possible, and now and then
// those whose report has changed; at first that is all of them.
func (s *Service) followFabric(ctx context.Context) error {
	if loop.Fresh(ctx) {
		s.up = nil
	}
	s.mu.Lock()
	stale := s.stale
	s.stale = map[string]bool{}
	s.mu.Unlock()
	now := s.clock.Now()
	var err error
	if s.up == nil || len(stale) == 0 || stale[""] || now.Sub(s.compared) >= statusEvery {
		err = s.followAll(ctx, stale)
		s.compared = now
	} else {
		err = s.followSome(ctx, stale)
	}
	if err != nil {
		s.keepStale(stale)
	}
	return err
}

// followSome brings the status of these ports in line, however many others there are.
func (s *Service) followSome(ctx context.Context, stale map[string]bool) error {
	up, err := s.reported(ctx, slices.Collect(maps.Keys(stale))...)
	if err == nil {
		err = s.setStatus(ctx, stale, up)
	}
	if err != nil {
		return err
	}
	for id := range stale {
		delete(s.up, id)
	}
	maps.Copy(s.up, up)
	return nil
}

// followAll adds to the ports those whose report has changed.
func (s *Service) followAll(ctx context.Context, stale map[string]bool) error {
	up, err := s.reported(ctx)
	if err != nil {
		return err
	}
	for id := range up {
		if !s.up[id] {
			stale[id] = true
		}
	}
	for id := range s.up {
		if !up[id] {
			stale[id] = true
		}
	}
	if s.up == nil {
		err = s.allActive(ctx, stale)
	}
	if err == nil && len(stale) > 0 {
		err = s.setStatus(ctx, stale, up)
	}
	if err == nil {
		s.up = up
	}
	return err
}

// reported is which of the ports are up, or of all.
func (s *Service) reported(ctx context.Context, ports ...string) (map[string]bool, error) {
	ids, err := s.fabric.Up(ctx, ports...)
	if err != nil {
		return nil, fmt.Errorf("ask the fabric what is up: %w", err)
	}
	up := make(map[string]bool, len(ids))
	for _, id := range ids {
		up[id] = true
	}
	return up, nil
}

func (s *Service) keepStale(stale map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range stale {
		s.stale[id] = true
	}
}

// allActive adds the ports that the database has as up.
func (s *Service) allActive(ctx context.Context, stale map[string]bool) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var ids []string
		err := tx.All(ctx, &ids, `SELECT id FROM ports WHERE status = 'ACTIVE'`)
		if err != nil {
			return fmt.Errorf("list active ports: %w", err)
		}
		for _, id := range ids {
			stale[id] = true
		}
		return nil
	})
}

type portStatus struct {
	ID     string `bun:"id"`
	Status string `bun:"status"`
	Host   string `bun:"host"`
	Device string `bun:"device_id"`
	Owner  string `bun:"device_owner"`
}

// setStatus writes the status of the ports and wakes whoever waits for it.
func (s *Service) setStatus(ctx context.Context, ports, up map[string]bool) error {
	for ids := range slices.Chunk(slices.Collect(maps.Keys(ports)), statuses) {
		var changed int
		err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
			changed, err = moveStatus(ctx, tx, ids, up)
			return err
		})
		if err != nil {
			return err
		}
		if changed > 0 {
			loop.Did(ctx, "ports", changed)
		}
	}
	return nil
}

// moveStatus writes the status of the ports that have another one, and tells how
// many these are.
func moveStatus(ctx context.Context, tx *db.Tx, ids []string, up map[string]bool) (changed int, err error) {
	var rows []portStatus
	err = tx.All(ctx, &rows, `SELECT id, status, host, device_id, device_owner FROM ports WHERE id IN (?) ORDER BY id`+tx.Hold(), db.In(ids))
	if err != nil {
		return 0, fmt.Errorf("read status of ports: %w", err)
	}
	moved := map[string]portStatus{} // as they are then
	to := map[string][]string{}      // ids, by status
	for _, p := range rows {
		status := "DOWN"
		if p.Host != "" && up[p.ID] {
			status = "ACTIVE"
		}
		if isService(p.Owner) || status == p.Status {
			continue
		}
		p.Status = status
		moved[p.ID], to[status] = p, append(to[status], p.ID)
		if p.Device != "" {
			work.Wake(tx, p.Device)
		}
	}
	if len(moved) == 0 {
		return 0, nil
	}
	for status, ids := range to {
		_, err = tx.Exec(ctx, `UPDATE ports SET status = ?, revision = revision + 1, updated_at = ? WHERE id IN (?)`, status, db.At(tx.Now()), db.In(ids))
		if err != nil {
			return 0, fmt.Errorf("set status of ports: %w", err)
		}
	}
	ids = slices.Collect(maps.Keys(moved))
	var parents []string
	err = tx.All(ctx, &parents, `SELECT port_id FROM trunks WHERE port_id IN (?) ORDER BY port_id`, db.In(ids))
	if err != nil {
		return 0, fmt.Errorf("look for trunks: %w", err)
	}
	for _, id := range parents {
		err = followTrunk(ctx, tx, id, moved[id].Host, moved[id].Status)
		if err != nil {
			return 0, err
		}
	}
	return len(moved), tellPorts(ctx, tx, ids)
}

// recount repairs the usage that quotas are compared with.
func (s *Service) recount(ctx context.Context) error {
	for _, part := range []struct{ resource, query string }{
		{quota.Network, `SELECT project_id AS project, COUNT(*) AS n FROM networks GROUP BY project_id`},
		{quota.Subnet, `SELECT project_id AS project, COUNT(*) AS n FROM subnets GROUP BY project_id`},
		{quota.Port, `SELECT project_id AS project, COUNT(*) AS n FROM ports WHERE project_id <> '' AND device_owner <> 'network:distributed' GROUP BY project_id`},
		{quota.Router, `SELECT project_id AS project, COUNT(*) AS n FROM routers GROUP BY project_id`},
		{quota.FloatingIP, `SELECT project_id AS project, COUNT(*) AS n FROM floating_ips GROUP BY project_id`},
		{quota.Trunk, `SELECT project_id AS project, COUNT(*) AS n FROM trunks GROUP BY project_id`},
		{quota.SecurityGroup, `SELECT project_id AS project, COUNT(*) AS n FROM security_groups GROUP BY project_id`},
		{quota.SubnetPool, `SELECT project_id AS project, COUNT(*) AS n FROM subnetpools GROUP BY project_id`},
		{quota.RBACPolicy, `SELECT project_id AS project, COUNT(*) AS n FROM rbac_policies GROUP BY project_id`},
		{quota.SecurityGroupRule, `SELECT project_id AS project, COUNT(*) AS n FROM security_group_rules GROUP BY project_id`},
	} {
		wrong := 0
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			var rows []struct {
				Project string `bun:"project"`
				N       int64  `bun:"n"`
			}
			err := tx.Freeze(ctx)
			if err != nil {
				return err
			}
			err = tx.All(ctx, &rows, part.query)
			if err != nil {
				return err
			}
			counted := map[string]int64{}
			for _, r := range rows {
				counted[r.Project] = r.N
			}
			wrong, err = quota.Recount(ctx, tx, part.resource, counted)
			return err
		})
		if err != nil {
			return fmt.Errorf("recount %s: %w", part.resource, err)
		}
		if wrong > 0 {
			loop.Did(ctx, part.resource, wrong)
		}
	}
	return nil
}
