package compute

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
	"nacre/internal/quota"
)

// DeleteServer ends a server. Where the cloud has an interval for reclaiming what
// was deleted, the server is turned off and keeps its host, disk, volumes and
// addresses for that long, while its project may use up its quota otherwise. What is
// being built or moved, has failed or has no host is deleted at once.
func (s *Service) DeleteServer(ctx context.Context, act Act) error {
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	switch {
	case server.VMState == SoftDeleted || server.TaskState == SoftDeleting:
		return act.unlocked(server)
	case s.reclaimAfter <= 0 || server.Host == "" || server.TaskState != "" || !slices.Contains(settled, server.VMState):
		return s.ForceDeleteServer(ctx, act)
	}
	return s.power(ctx, act, "delete", powerState{Task: SoftDeleting, Name: "soft_delete", State: SoftDeleted}, settled...)
}

// RestoreServer takes a deletion back: the server runs again.
func (s *Service) RestoreServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "restore", powerState{Task: Restoring, Name: "restore", Running: true, State: Active}, SoftDeleted)
}

// uses is what of its project's quota a server takes.
func (s *Server) uses() []quota.Item {
	vcpus, ram := s.holds()
	return []quota.Item{quota.Servers(1), quota.VCPUs(int(vcpus)), quota.Memory(int(ram))}
}

// countAgain takes the quota of a server that is to be restored, if it is one.
func (s *Service) countAgain(ctx context.Context, tx *db.Tx, server *Server) error {
	if server.SoftDeletedAt == 0 {
		return nil
	}
	server.SoftDeletedAt = 0
	return take(ctx, tx, server.Project, server.UserID, server.uses()...)
}

// countNoMore gives the quota of a server back that was deleted at a time and can
// be restored. The column says whether it was given back, so that it is once.
func (s *Service) countNoMore(ctx context.Context, tx *db.Tx, id string, at db.Time) error {
	var counted bool
	server, err := s.change(ctx, tx, id, func(server *Server) error {
		counted = server.SoftDeletedAt == 0
		server.SoftDeletedAt = at
		return nil
	}, "soft_deleted_at")
	if err != nil || !counted {
		return err
	}
	return quota.Release(ctx, tx, server.Project, server.uses()...)
}

// reclaimDeleted deletes servers for good whose interval is over.
func (s *Service) reclaimDeleted(ctx context.Context) error {
	if s.reclaimAfter <= 0 {
		return nil
	}
	var ids []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &ids, "SELECT id FROM servers WHERE "+seldom+" AND vm_state = ? AND task_state = '' AND deleted_at = 0 AND soft_deleted_at <= ?",
			SoftDeleted, db.At(s.clock.Now().Add(-s.reclaimAfter)))
	})
	if err != nil {
		return fmt.Errorf("list deleted servers: %w", err)
	}
	for _, id := range ids {
		err = s.ForceDeleteServer(ctx, Act{Server: id, Admin: true})
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reclaim server %s: %w", id, err)
		}
		loop.Did(ctx, "server_id", id)
	}
	return nil
}

// reclaimEvery is how often reclaimDeleted looks.
const reclaimEvery = time.Minute
