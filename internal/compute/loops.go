package compute

import (
	"context"
	"encoding/json"
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

// eachHost does something for one host after the other, so that what is held and
// read at a time does not grow with the cloud.
func (s *Service) eachHost(ctx context.Context, do func(host string) error) error {
	all, err := s.hosts.List(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		err = do(h.Name)
		if err != nil {
			return err
		}
	}
	return nil
}

// followPower looks at the power state of every server, as the hint that a
// host reported may have been lost.
func (s *Service) followPower(ctx context.Context) error {
	return s.eachHost(ctx, func(host string) error {
		var differ []string
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			var err error
			differ, err = s.differing(ctx, tx, host)
			return err
		})
		if err != nil {
			return fmt.Errorf("compare servers of host %s: %w", host, err)
		}
		for _, id := range differ {
			err = s.syncPower(ctx, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// differing are the idle servers of a host that may not be as it sees them.
func (s *Service) differing(ctx context.Context, tx *db.Tx, host string) (ids []string, err error) {
	var servers []Server
	err = tx.All(ctx, &servers, "SELECT id, vm_state, power_state FROM servers WHERE host = ? AND deleted_at = 0 AND task_state = ''", host)
	if err != nil || len(servers) == 0 {
		return nil, err
	}
	documents, err := s.hosts.Seen(ctx, tx, host, nodeapi.KindMachine)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]hosts.Document, len(documents))
	for _, d := range documents {
		byID[d.ID] = d
	}
	for _, server := range servers {
		d, exists := byID[server.ID]
		if exists && (d.Forgotten || d.Answered != d.Generation) {
			continue // its answer will be heard
		}
		var seen nodeapi.MachineObserved
		if len(d.Observed) > 0 {
			err = json.Unmarshal(d.Observed, &seen)
			if err != nil {
				return nil, fmt.Errorf("read what was observed of server %s: %w", server.ID, err)
			}
		}
		state, power := server.settled(seen)
		if state != server.VMState || power != server.PowerState {
			ids = append(ids, server.ID)
		}
	}
	return ids, nil
}

// forgetOrphans makes hosts forget machines of servers that are elsewhere or
// gone.
func (s *Service) forgetOrphans(ctx context.Context) error {
	return s.eachHost(ctx, func(host string) error {
		var orphans []string
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			var err error
			orphans, err = s.orphansOn(ctx, tx, host)
			return err
		})
		if err != nil {
			return fmt.Errorf("list machines of host %s: %w", host, err)
		}
		for _, id := range orphans {
			err = s.db.Write(ctx, func(tx *db.Tx) error { return s.hosts.Forget(ctx, tx, host, nodeapi.KindMachine, id) })
			if err != nil {
				return err
			}
			loop.Did(ctx, "server_id", id)
		}
		return nil
	})
}

// orphansOn are a host's machines of servers that are elsewhere or gone.
func (s *Service) orphansOn(ctx context.Context, tx *db.Tx, host string) (orphans []string, err error) {
	documents, err := s.hosts.Seen(ctx, tx, host, nodeapi.KindMachine)
	if err != nil || len(documents) == 0 {
		return nil, err
	}
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = d.ID
	}
	// Read after the documents: a server's row, and that of its migration, is
	// there before its document.
	var home []string
	err = tx.All(ctx, &home, "SELECT id FROM servers WHERE id IN (?) AND host IN (?, '') AND deleted_at = 0", db.In(ids), host)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(home))
	for _, id := range home {
		known[id] = true
	}
	for _, d := range documents {
		if d.Forgotten || known[d.ID] {
			continue
		}
		var moving int
		err = tx.Get(ctx, &moving, "SELECT COUNT(*) FROM migrations WHERE server = ? AND (source = ? OR dest = ?) AND status NOT IN (?)",
			d.ID, host, host, db.In(over))
		if err != nil {
			return nil, err
		}
		if moving == 0 {
			orphans = append(orphans, d.ID)
		}
	}
	return orphans, nil
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
