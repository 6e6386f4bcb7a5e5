package compute

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
	"nacre/internal/work"
)

// ConfirmResize lets go of what a resized server had before.
func (s *Service) ConfirmResize(ctx context.Context, act Act) error {
	return s.afterResize(ctx, act, "confirmResize", ResizeConfirming, Confirming, s.confirmPlan())
}

// RevertResize gives a resized server its former flavor and host back.
func (s *Service) RevertResize(ctx context.Context, act Act) error {
	return s.afterResize(ctx, act, "revertResize", ResizeReverting, Reverting, s.revertPlan())
}

func (s *Service) afterResize(ctx context.Context, act Act, action string, task Task, status MigrationStatus, plan work.Plan[resizeState]) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, action, Resized)
		if err != nil {
			return err
		}
		if server.OtherFlavor.V == nil {
			return errs.BadRequestf("Instance has not been resized.")
		}
		server.TaskState = task
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		state := resizeState{
			Server: server.ID, Flavor: *server.OtherFlavor.V, Former: server.Flavor.V, State: Resized, Running: server.Running,
			Source: server.Host, Dest: server.Host,
		}
		open, err := openMigrations(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		for _, m := range open { // there is none of a server that was resized before migrations were written down
			if m.Kind != ResizeMove && m.Kind != ColdMigration {
				continue // an evacuation that has yet to find out that it is none
			}
			state.Migration, state.Source, state.Dest = m.ID, m.Source, m.Dest
			err = s.setMigration(ctx, tx, m.ID, status, "")
			if err != nil {
				return err
			}
		}
		_, err = work.Start(ctx, tx, plan, server.ID, state, act.options(server)...)
		return err
	})
}

// resizeIdle is what is left of a confirmation, or of its opposite, that was given up.
func (s *Service) resizeIdle(ctx context.Context, tx *db.Tx, state *resizeState, _ error) error {
	err := s.setMigration(ctx, tx, state.Migration, Finished, "")
	if err != nil {
		return err
	}
	return s.idle(ctx, tx, state.Server)
}

func (s *Service) confirmPlan() work.Plan[resizeState] {
	return work.Plan[resizeState]{
		Name: "server.confirm_resize", Action: "confirmResize", Deadline: changeDeadline, Undone: s.resizeIdle,
		Steps: []work.Step[resizeState]{
			{Name: "begin", NoReturn: true, Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.tellID(ctx, tx, "resize_confirm.start", state.Server)
			}},
			{Name: "remove the disk on the former host", Do: func(ctx context.Context, state *resizeState) error {
				return s.leave(ctx, state, state.Source)
			}},
			{Name: "let go of the former size", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.settleResize(ctx, tx, state, Confirmed, "resize_confirm.end")
			}},
		},
	}
}

// leave removes what a host still has of a server that has moved. One that is down
// is not waited for: it forgets the machine, which does not run, when it is back.
func (s *Service) leave(ctx context.Context, state *resizeState, host string) error {
	if !state.moves() {
		return nil
	}
	return s.expelled(ctx, state.Server, host)
}

// settleResize ends a resize one way or the other: the server has one flavor and
// one host.
func (s *Service) settleResize(ctx context.Context, tx *db.Tx, state *resizeState, status MigrationStatus, action string) error {
	server, err := s.endResize(ctx, tx, state.Server, func(server *Server) {
		server.TaskState, server.VMState = "", Stopped
		if server.PowerState = Shutdown; server.Running {
			server.VMState, server.PowerState = Active, Running
		}
	})
	if err != nil {
		return err
	}
	switch {
	case !state.moves():
		if status == Confirmed {
			err = s.dropCells(ctx, tx, state.Migration)
		} else {
			err = s.passCells(ctx, tx, state.Migration, server.ID)
		}
		if err == nil {
			err = s.claimBoth(ctx, tx, server)
		}
	case status == Confirmed:
		err = s.release(ctx, tx, state.Migration)
	default:
		err = s.reclaim(ctx, tx, state.Server, state.Migration)
	}
	if err == nil {
		err = s.setMigration(ctx, tx, state.Migration, status, "")
	}
	if err == nil {
		err = s.want(ctx, tx, server) // its disk no longer comes from elsewhere
	}
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, action, server)
}

func (s *Service) revertPlan() work.Plan[resizeState] {
	return work.Plan[resizeState]{
		Name: "server.revert_resize", Action: "revertResize", Deadline: changeDeadline, Undone: s.resizeIdle,
		Steps: []work.Step[resizeState]{
			{Name: "stop", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.resizeWant(ctx, tx, state, "resize_revert.start", func(server *Server) {
					server.TaskState, server.Running = ResizeReverting, false
				})
			}, UndoTx: s.undoResize},
			{Name: "wait until it has stopped", Do: s.resizeStopped},
			{Name: "change size and host", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.changePlace(ctx, tx, state, state.Source, "", func(server *Server) {
					server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Flavor}, state.Flavor.ID, db.Of(&state.Former)
					server.Running = state.Running
				})
			}, Undo: s.undoRevert},
			{Name: "wait until it runs", Do: s.resizeStarted, NoReturn: true},
			{Name: "leave the other host", Do: func(ctx context.Context, state *resizeState) error {
				return s.leave(ctx, state, state.Dest)
			}},
			{Name: "let go of the other size", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.settleResize(ctx, tx, state, Reverted, "resize_revert.end")
			}},
		},
	}
}

// undoRevert goes back to the host where the server was resized to, which has
// kept its disk. The guest on the former host is stopped first.
func (s *Service) undoRevert(ctx context.Context, state *resizeState) error {
	server, err := s.Server(ctx, "", state.Server)
	if err != nil {
		return err
	}
	if server.Host != state.Dest {
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			return s.resizeWant(ctx, tx, state, "", func(server *Server) { server.Running = false })
		})
		if err == nil {
			err = s.waitPower(ctx, state.Server, false)
		}
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		return s.changePlace(ctx, tx, state, state.Dest, "", func(server *Server) {
			server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Former}, state.Former.ID, db.Of(&state.Flavor)
			server.Running = state.Running
		})
	})
}

// confirmLoop confirms resizes that nobody has looked at for as long as operators
// give them.
const confirmLoop = "compute.confirm"

// confirmAll confirms what has waited too long.
func (s *Service) confirmAll(ctx context.Context) error {
	if s.confirmAfter <= 0 {
		return nil
	}
	var ids []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &ids, `
			SELECT servers.id FROM servers JOIN migrations ON migrations.server = servers.id
			WHERE `+seldom+` AND servers.vm_state = ? AND servers.task_state = '' AND migrations.status = ? AND migrations.updated_at <= ?`,
			Resized, Finished, db.At(s.clock.Now().Add(-s.confirmAfter)))
	})
	if err != nil {
		return fmt.Errorf("list resizes to confirm: %w", err)
	}
	for _, id := range ids {
		err = s.ConfirmResize(ctx, Act{Server: id, Admin: true})
		if _, classified := errs.As(err); err != nil && !classified {
			return err // otherwise somebody else was faster
		}
		loop.Did(ctx, "server_id", id)
	}
	return nil
}

// confirmEvery is how often the loop looks.
const confirmEvery = time.Minute
