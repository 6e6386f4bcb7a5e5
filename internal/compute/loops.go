package compute

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/hosts"
	"nacre/internal/loop"
	"nacre/internal/nodeapi"
	"nacre/internal/quota"
)

// Loops are what compute keeps true.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: "compute.power", Every: 30 * time.Second, Once: s.followPower},
		{Name: "compute.orphans", Every: time.Minute, Once: s.forgetOrphans},
		{Name: confirmLoop, Every: confirmEvery, Once: s.confirmAll},
		{Name: "compute.shelf", Every: shelfEvery, Once: s.clearShelf},
		{Name: "compute.reclaim", Every: reclaimEvery, Once: s.reclaimDeleted},
		{Name: "compute.quota", Every: 10 * time.Minute, Once: s.recount},
		{Name: followLoop, Every: 10 * time.Second, Once: s.load, Everywhere: true}, // what operators decided on other servers
	}
}

// followPower looks at the power state of every server, as the hint that a
// host reported may have been lost.
func (s *Service) followPower(ctx context.Context) error {
	var ids []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &ids, "SELECT id FROM servers WHERE deleted_at = 0 AND host <> '' AND task_state = ''")
	})
	if err != nil {
		return fmt.Errorf("list servers: %w", err)
	}
	for _, id := range ids {
		err = s.syncPower(ctx, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetOrphans makes hosts forget machines of servers that are elsewhere or
// gone.
func (s *Service) forgetOrphans(ctx context.Context) error {
	var documents []hosts.Document
	homes := map[string]string{}
	moving := map[string]bool{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		documents, err = s.hosts.OfKind(ctx, tx, nodeapi.KindMachine)
		if err != nil {
			return err
		}
		var rows []struct{ ID, Host string }
		// Read after the documents: a server's row, and that of its migration, is
		// there before its document.
		err = tx.All(ctx, &rows, "SELECT id, host FROM servers WHERE deleted_at = 0")
		for _, row := range rows {
			homes[row.ID] = row.Host
		}
		if err != nil {
			return err
		}
		var open []Migration
		err = tx.All(ctx, &open, "SELECT * FROM migrations WHERE status NOT IN (?)", db.In(over))
		for _, m := range open {
			moving[m.Server+" "+m.Source], moving[m.Server+" "+m.Dest] = true, true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list machines: %w", err)
	}
	for _, d := range documents {
		home, exists := homes[d.ID]
		if d.Forgotten || (exists && (home == d.Host || home == "" || moving[d.ID+" "+d.Host])) {
			continue
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error { return s.hosts.Forget(ctx, tx, d.Host, nodeapi.KindMachine, d.ID) })
		if err != nil {
			return err
		}
		loop.Did(ctx, "server_id", d.ID)
	}
	return nil
}

// recount sets right what quotas say is used.
func (s *Service) recount(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var servers []Server
		err := tx.Freeze(ctx)
		if err != nil {
			return err
		}
		err = tx.All(ctx, &servers, "SELECT project, flavor, other_flavor FROM servers WHERE deleted_at = 0 AND soft_deleted_at = 0")
		if err != nil {
			return fmt.Errorf("count servers: %w", err)
		}
		counts := map[string]map[string]int64{quota.Instances: {}, quota.Cores: {}, quota.RAM: {}}
		for _, server := range servers {
			counts[quota.Instances][server.Project]++
			vcpus, ram := server.holds()
			counts[quota.Cores][server.Project] += vcpus
			counts[quota.RAM][server.Project] += ram
		}
		for resource, counted := range counts {
			wrong, err := quota.Recount(ctx, tx, resource, counted)
			if err != nil {
				return err
			}
			if wrong > 0 {
				loop.Did(ctx, "resource", resource)
			}
		}
		return nil
	})
}
