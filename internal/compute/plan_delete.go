package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

type deleteState struct {
	Server string
}

// ForceDeleteServer accepts the end of a server. Whatever was being done to it is
// undone first. Deleting what is being deleted is a success.
func (s *Service) ForceDeleteServer(ctx context.Context, act Act) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.unlocked(server)
		if err != nil {
			return err
		}
		if server.TaskState == DeletingTask {
			return nil
		}
		server.TaskState = DeletingTask
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		err = s.callBackTx(ctx, tx, server, urgeBack)
		if err == nil {
			err = work.Cancel(ctx, tx, server.ID)
		}
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.deletePlan(), server.ID, deleteState{server.ID}, act.options(server)...)
		return err
	})
}

// deletePlan removes a server, from the guest down. There is no way back from
// its first step.
func (s *Service) deletePlan() work.Plan[deleteState] {
	return work.Plan[deleteState]{
		Name: "server.delete", Action: "delete", Deadline: changeDeadline,
		Steps: []work.Step[deleteState]{
			{Name: "begin", Tx: s.deleteBegin, NoReturn: true},
			{Name: "remove machine", Do: func(ctx context.Context, state *deleteState) error { return s.forget(ctx, state.Server) }},
			{Name: "free volumes and ports", Tx: s.deleteParts},
			{Name: "remove the image of its shelved disk", Do: s.deleteShelf},
			{Name: "finish", Tx: s.deleteFinish},
		},
		// It was too late before it could begin, say behind an undo that took too
		// long: nothing has happened, and it may be asked for again.
		Undone: func(ctx context.Context, tx *db.Tx, state *deleteState, _ error) error {
			_, err := s.change(ctx, tx, state.Server, func(server *Server) error {
				server.TaskState = ""
				return nil
			}, "task_state")
			return err
		},
	}
}

// deleteBegin says again that the server is being deleted, whatever an operator has
// set its state to meanwhile.
func (s *Service) deleteBegin(ctx context.Context, tx *db.Tx, state *deleteState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.TaskState = DeletingTask
		return nil
	}, "task_state")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "delete.start", server)
}

func (s *Service) deleteParts(ctx context.Context, tx *db.Tx, state *deleteState) error {
	list, err := attachmentsOf(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.volumes.Detach(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if a.DeleteOnTermination {
			err = s.volumes.DeleteVolume(ctx, tx, a.Volume)
			if err != nil {
				return err
			}
		}
	}
	return s.dropPorts(ctx, tx, state.Server)
}

func (s *Service) deleteShelf(ctx context.Context, state *deleteState) error {
	server, err := s.Server(ctx, "", state.Server)
	if errs.Is(err, errs.NotFound) || err == nil && (server.Shelf.V == nil || server.Shelf.V.Image == "") {
		return nil
	}
	if err != nil {
		return err
	}
	return s.dropImage(ctx, server.Shelf.V.Image)
}

func (s *Service) deleteFinish(ctx context.Context, tx *db.Tx, state *deleteState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.release(ctx, tx, server.ID)
	if err == nil {
		err = s.endMigrations(ctx, tx, server.ID)
	}
	if err != nil {
		return err
	}
	for _, table := range []string{"server_volumes", "server_ports", "server_secrets", "schedules"} {
		_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE server = ?", server.ID)
		if err != nil {
			return err
		}
	}
	if server.SoftDeletedAt == 0 {
		err = quota.Release(ctx, tx, server.Project, server.uses()...)
		if err != nil {
			return err
		}
	}
	now := db.At(s.clock.Now())
	server.VMState, server.TaskState, server.PowerState, server.Running = Deleted, "", NoState, false
	server.DeletedAt, server.TerminatedAt = now, now
	err = s.save(ctx, tx, &server, "vm_state", "task_state", "power_state", "running", "deleted_at", "terminated_at")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "delete.end", server)
}
