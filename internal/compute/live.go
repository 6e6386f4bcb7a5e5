package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// What somebody may want of a live migration under way.
const (
	urgeHasty = "hasty" // that it ends, however long the guest stands still for that
	urgeBack  = "back"  // that the guest stays
	urgeGiven = "given" // the same, of the plan itself, which has given up
)

// LiveMigrationInfo is a live migration under way, with what its host tells of it.
type LiveMigrationInfo struct {
	Migration
	Move nodeapi.Move
}

// LiveMigrations are the live migrations of a server that are under way.
func (s *Service) LiveMigrations(ctx context.Context, server string) ([]LiveMigrationInfo, error) {
	list := []LiveMigrationInfo{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		open, err := openMigrations(ctx, tx, server)
		if err != nil {
			return err
		}
		for _, m := range open {
			if m.Kind != LiveMigration {
				continue
			}
			info := LiveMigrationInfo{Migration: m}
			var seen nodeapi.MachineObserved
			_, err = s.hosts.Observed(ctx, tx, m.Source, nodeapi.KindMachine, server, &seen)
			if err != nil {
				return err
			}
			if seen.Move != nil && seen.Move.Name == m.ID {
				info.Move = *seen.Move
			}
			list = append(list, info)
		}
		return nil
	})
	return list, err
}

// ServerMigration finds a migration of a server by its number.
func (s *Service) ServerMigration(ctx context.Context, server string, number int64) (Migration, error) {
	var m Migration
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		m, err = serverMigration(ctx, tx, server, number)
		return err
	})
	return m, err
}

func serverMigration(ctx context.Context, tx *db.Tx, server string, number int64) (Migration, error) {
	var m Migration
	err := tx.Get(ctx, &m, "SELECT * FROM migrations WHERE server = ? AND seq = ?", server, number)
	if errors.Is(err, sql.ErrNoRows) {
		return m, errs.NotFoundf("Migration %d for server %s could not be found.", number, server)
	}
	if err != nil {
		return m, fmt.Errorf("read migration %d of server %s: %w", number, server, err)
	}
	return m, nil
}

// inStage finds a live migration of a server that is in one of the stages.
func (s *Service) inStage(ctx context.Context, tx *db.Tx, act Act, number int64, action string, stages []MigrationStatus) (Server, Migration, error) {
	server, err := getServer(ctx, tx, act.Project, act.Server)
	if err == nil {
		err = act.unlocked(server)
	}
	if err == nil && server.TaskState != MigratingTask {
		err = errs.Conflictf("Cannot '%s' instance %s while it is in task_state %s", action, server.ID, server.TaskState)
	}
	if err != nil {
		return server, Migration{}, err
	}
	m, err := serverMigration(ctx, tx, server.ID, number)
	if err == nil && (m.Kind != LiveMigration || !slices.Contains(stages, m.Status)) {
		err = errs.BadRequestf("Migration %d state of instance %s is %s. Cannot %s while the migration is in this state.", number, server.ID, m.Status, action)
	}
	return server, m, err
}

// ForceComplete has a live migration end, however long the guest stands still for
// that.
func (s *Service) ForceComplete(ctx context.Context, act Act, number int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, m, err := s.inStage(ctx, tx, act, number, "force_complete", []MigrationStatus{RunningMove})
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE migrations SET urge = ? WHERE id = ? AND urge = ''", urgeHasty, m.ID)
		}
		if err == nil {
			err = s.tell(ctx, tx, "live_migration_force_complete.start", server)
		}
		if err == nil {
			err = s.want(ctx, tx, server)
		}
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, "live_migration_force_complete.end", server)
	})
}

// AbortMigration calls a guest back that is on its way; also, with early, one that
// has not set out yet.
func (s *Service) AbortMigration(ctx context.Context, act Act, number int64, early bool) error {
	stages := []MigrationStatus{RunningMove}
	if early {
		stages = append(stages, Accepted, Preparing)
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, _, err := s.inStage(ctx, tx, act, number, "abort live migration", stages)
		if err == nil {
			err = s.tell(ctx, tx, "live_migration_abort.start", server)
		}
		if err == nil {
			err = s.callBackTx(ctx, tx, server, urgeBack)
		}
		if err != nil {
			return err
		}
		return work.Cancel(ctx, tx, server.ID) // if it has not set out yet
	})
}

// callBack gives up on a guest that is on its way: it stays, if it has not gone.
func (s *Service) callBack(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", id)
		if err != nil {
			return err
		}
		return s.callBackTx(ctx, tx, server, urgeGiven)
	})
}

// callBackTx has a guest stay that is on its way, on whose behalf urge tells. A server without a live migration under
// way has nothing to call back.
func (s *Service) callBackTx(ctx context.Context, tx *db.Tx, server Server, urge string) error {
	open, err := openMigrations(ctx, tx, server.ID)
	for _, m := range open {
		if err != nil || m.Kind != LiveMigration {
			continue
		}
		_, err = tx.Exec(ctx, "UPDATE migrations SET urge = ? WHERE id = ? AND urge <> ?", urge, m.ID, urgeBack)
		if err == nil && m.Status == RunningMove {
			err = s.want(ctx, tx, server)
		}
	}
	return err
}
