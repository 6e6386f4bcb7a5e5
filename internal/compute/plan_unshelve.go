package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// Unshelve says where a shelved server is to go. The zero value is anywhere that
// its zone allows.
type Unshelve struct {
	Zone *string // nil keeps; "" is any from now on
	Host string
}

type unshelveState struct {
	Server string
	Host   string // the one to take, "" for any
	State  VMState
	Zone   string // until now
	Image  string // that was made when it was shelved
	Placed bool   // it had no host
	Since  db.Time
}

// UnshelveServer lets a shelved server run again: where it was, or, when it has
// left its host, on another one.
func (s *Service) UnshelveServer(ctx context.Context, act Act, in Unshelve) error {
	if in.Zone != nil && *in.Zone != "" && !s.zoneExists(*in.Zone) {
		return errs.BadRequestf("The requested availability zone is not available")
	}
	if in.Host != "" && !s.hostKnown(in.Host) {
		return errs.BadRequestf("Compute host %s could not be found.", in.Host)
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "unshelve", Shelved, Offloaded)
		if err != nil {
			return err
		}
		if (in.Zone != nil || in.Host != "") && server.VMState != Offloaded {
			return errs.Conflictf("Specifying an availability zone or a host when unshelving server %s with status %s is not supported. It must be SHELVED_OFFLOADED.",
				server.ID, server.Status())
		}
		state := unshelveState{Server: server.ID, Host: in.Host, State: server.VMState, Zone: server.Zone, Placed: server.Host == ""}
		if shelf := server.Shelf.V; shelf != nil {
			state.Image, state.Since = shelf.Image, shelf.Since
		}
		if in.Zone != nil {
			server.Zone = *in.Zone
		}
		if in.Host != "" && server.Zone != "" && s.ZoneOf(in.Host) != server.Zone {
			return errs.Conflictf("Host \"%s\" is not in the availability zone \"%s\".", in.Host, server.Zone)
		}
		server.TaskState = Unshelving
		err = s.save(ctx, tx, &server, "task_state", "zone")
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.unshelvePlan(), server.ID, state, act.options(server)...)
		return err
	})
}

func (s *Service) unshelvePlan() work.Plan[unshelveState] {
	return work.Plan[unshelveState]{
		Name: "server.unshelve", Action: "unshelve", Deadline: createDeadline,
		Steps: []work.Step[unshelveState]{
			{Name: "claim host", Tx: s.unshelveClaim, UndoTx: s.undoUnshelveClaim},
			{Name: "connect volumes and ports", Tx: s.unshelveConnect, Undo: s.undoUnshelveConnect},
			{Name: "wait running", Do: s.unshelveWait},
			{Name: "finish", Tx: s.unshelveFinish, NoReturn: true},
			{Name: "remove the image", Do: func(ctx context.Context, state *unshelveState) error {
				if state.Image == "" {
					return nil
				}
				return s.dropImage(ctx, state.Image)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *unshelveState, _ error) error {
			_, err := s.change(ctx, tx, state.Server, func(server *Server) error {
				server.Zone = state.Zone
				server.TaskState = ""
				return nil
			}, "zone", "task_state")
			return err
		},
	}
}

// unshelveClaim takes room on a host, where the disk is to be made of the image
// that was taken of it.
func (s *Service) unshelveClaim(ctx context.Context, tx *db.Tx, state *unshelveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "unshelve.start", server)
	if err != nil || !state.Placed {
		return err
	}
	server, err = s.claimHost(ctx, tx, server, destination{Host: state.Host})
	if err != nil {
		return err
	}
	// A host that it was on before, and that was down when it left, may have its
	// old disk.
	server.Rebuilds++
	server.DiskImage, server.TaskState = state.Image, Spawning
	return s.save(ctx, tx, &server, "host", "rebuilds", "disk_image", "task_state")
}

func (s *Service) undoUnshelveClaim(ctx context.Context, tx *db.Tx, state *unshelveState) error {
	if !state.Placed {
		return nil
	}
	err := s.release(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Host, server.DiskImage = "", ""
		return nil
	}, "host", "disk_image")
	return err
}

func (s *Service) unshelveConnect(ctx context.Context, tx *db.Tx, state *unshelveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err == nil && state.Placed {
		err = s.arrive(ctx, tx, server)
	}
	if err != nil {
		return err
	}
	return s.rest(ctx, tx, server.ID, true, Awake)
}

func (s *Service) undoUnshelveConnect(ctx context.Context, state *unshelveState) error {
	if state.Placed {
		err := s.forget(ctx, state.Server)
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if !state.Placed {
			return s.rest(ctx, tx, state.Server, false, Awake)
		}
		_, err := s.change(ctx, tx, state.Server, func(server *Server) error {
			server.Running = false
			return nil
		}, "running")
		if err != nil {
			return err
		}
		return s.depart(ctx, tx, state.Server)
	})
}

func (s *Service) unshelveWait(ctx context.Context, state *unshelveState) error {
	return s.waitUp(ctx, state.Server, true)
}

func (s *Service) unshelveFinish(ctx context.Context, tx *db.Tx, state *unshelveState) error {
	err := s.there(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState, server.Shelf = Active, Running, db.Of[*Shelf](nil)
		server.TaskState = ""
		server.LaunchedAt = db.At(s.clock.Now())
		return nil
	}, "vm_state", "power_state", "shelf", "task_state", "launched_at")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "unshelve.end", server)
}
