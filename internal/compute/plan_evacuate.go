package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Evacuate says where a server of a lost host is to go.
type Evacuate struct {
	Host    string // "" for any
	Anyway  bool   // the host takes it whatever its rules say, if it has room
	Stopped bool   // it stays off there

	AdminPass string // as of NewServer; "" leaves what it had
}

type evacuateState struct {
	Server string
	Host   string // the one to take, "" for any
	Anyway bool   // whatever its rules say
	From   string
	Run    bool // there

	Migration string
	Moved     bool

	// Until now:
	Running bool
	Rest    Rest
	Rescue  *Rescue
	Image   string // that its disk was made of
}

// EvacuateServer builds a server of a host that is down anew on another one, with
// its volumes and addresses. A root disk on the lost host is lost. Should the host
// come back, it hears that the machine is none of its any more before anything
// else, and its exports and bindings are of an older epoch by then.
func (s *Service) EvacuateServer(ctx context.Context, act Act, in Evacuate) error {
	if in.Host != "" && !s.hostKnown(in.Host) {
		return errs.NotFoundf("Compute host %s not found.", in.Host)
	}
	migration := s.newID()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		// Whatever is being done to it waits for a host that may not come back, and is
		// called off; a deletion, which was acknowledged, is not.
		asked := server
		if asked.TaskState != DeletingTask && asked.TaskState != SoftDeleting {
			asked.TaskState = ""
		}
		err = act.allow(asked, "evacuate", Active, Stopped, Errored)
		switch {
		case err != nil:
			return err
		case server.Host == "":
			return errs.Conflictf("Instance %s is not ready", server.ID)
		case server.Host == in.Host:
			return errs.BadRequestf("The target host can't be the same one.")
		case s.hostUp(server.Host):
			return errs.BadRequestf("Compute service of %s is still in use.", server.Host)
		}
		err = work.Cancel(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		state := evacuateState{Server: server.ID, Host: in.Host, Anyway: in.Anyway, From: server.Host, Run: server.VMState != Stopped && !in.Stopped, Migration: migration}
		server.TaskState = Rebuilding
		err = s.save(ctx, tx, &server, "task_state")
		if err == nil && server.ConfigDrive && in.AdminPass != "" {
			_, err = tx.Exec(ctx, "UPDATE server_secrets SET admin_pass = ? WHERE server = ?", in.AdminPass, server.ID)
		}
		if err == nil {
			err = s.tell(ctx, tx, "evacuate", server)
		}
		if err == nil {
			_, err = s.addMigration(ctx, tx, Migration{
				ID: migration, Server: server.ID, Kind: Evacuation, Status: Accepted, Source: server.Host, Dest: in.Host,
				OldFlavor: server.FlavorID, NewFlavor: server.FlavorID, Project: server.Project, UserID: act.User,
			})
		}
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.evacuatePlan(), server.ID, state, act.options(server)...)
		return err
	})
}

func (s *Service) evacuatePlan() work.Plan[evacuateState] {
	return work.Plan[evacuateState]{
		Name: "server.evacuate", Action: "evacuate", Deadline: createDeadline,
		Steps: []work.Step[evacuateState]{
			{Name: "move to another host", Tx: s.evacuateMove, Undo: s.undoEvacuate},
			{Name: "wait", Do: s.evacuateWait},
			{Name: "finish", Tx: s.evacuateFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *evacuateState, cause error) error {
			err := s.setMigration(ctx, tx, state.Migration, Failed, "")
			if err == nil {
				err = s.idle(ctx, tx, state.Server)
			}
			if err != nil {
				return err
			}
			return s.tellID(ctx, tx, "rebuild.error", state.Server)
		},
	}
}

// evacuateMove is one transaction: the lost host has nothing of the server from
// the moment on in which the other one has. Its room there is the migration's until
// it is certain that the server does not come back.
func (s *Service) evacuateMove(ctx context.Context, tx *db.Tx, state *evacuateState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	if s.hostUp(state.From) {
		return errs.Conflictf("Compute service of %s is in use again.", state.From)
	}
	// A move that this has cancelled has brought it back to where its disk is, or was
	// over before it could be cancelled.
	if server.Host != state.From || server.VMState == Resized {
		return errs.Conflictf("Instance %s, which is on host %s, was moved meanwhile.", server.ID, server.Host)
	}
	err = s.tell(ctx, tx, "rebuild.start", server)
	if err != nil {
		return err
	}
	q, err := s.ask(ctx, tx, server, destination{state.Host, state.Anyway})
	if err != nil {
		return err
	}
	err = s.pass(ctx, tx, server.ID, state.Migration, "MIGRATION")
	if err != nil {
		return err
	}
	server, err = s.claimAs(ctx, tx, server, q, state.From)
	if err != nil {
		return err
	}
	err = s.setMigration(ctx, tx, state.Migration, PreMigrating, server.Host)
	if err != nil {
		return err
	}
	state.Moved = true
	state.Running, state.Rest, state.Rescue, state.Image = server.Running, server.Rest, server.Rescue.V, server.DiskImage
	server.Rebuilds++ // it may have been there before
	server.DiskImage, server.TaskState = "", RebuildSpawning
	server.Running, server.Rest, server.Rescue = state.Run, Awake, db.Of[*Rescue](nil)
	return s.moveTo(ctx, tx, server, state.From)
}

// moveTo makes the host of the server its own, from another one.
func (s *Service) moveTo(ctx context.Context, tx *db.Tx, server Server, from string) error {
	err := s.save(ctx, tx, &server, "host", "rebuilds", "disk_image", "task_state", "running", "rest", "rescue")
	if err == nil {
		err = s.arrive(ctx, tx, server)
	}
	if err == nil {
		err = s.hosts.Forget(ctx, tx, from, nodeapi.KindMachine, server.ID)
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// undoEvacuate gives the server back to its host, once the other one has nothing
// of it any more.
func (s *Service) undoEvacuate(ctx context.Context, state *evacuateState) error {
	server, err := s.Server(ctx, "", state.Server)
	if err != nil || !state.Moved || server.Host == state.From {
		return err
	}
	err = s.forget(ctx, state.Server)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", state.Server)
		if err != nil {
			return err
		}
		to := server.Host
		server.Host, server.DiskImage = state.From, state.Image
		server.Running, server.Rest, server.Rescue = state.Running, state.Rest, db.Of(state.Rescue)
		server.Rebuilds--
		err = s.reclaim(ctx, tx, server.ID, state.Migration)
		if err != nil {
			return err
		}
		return s.moveTo(ctx, tx, server, to)
	})
}

func (s *Service) evacuateWait(ctx context.Context, state *evacuateState) error {
	return s.waitUp(ctx, state.Server, state.Run)
}

func (s *Service) evacuateFinish(ctx context.Context, tx *db.Tx, state *evacuateState) error {
	err := s.there(ctx, tx, state.Server)
	if err == nil {
		err = s.release(ctx, tx, state.Migration)
	}
	if err == nil {
		err = s.setMigration(ctx, tx, state.Migration, Done, "")
	}
	if err != nil {
		return err
	}
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState = Stopped, Shutdown
		if state.Run {
			server.VMState, server.PowerState = Active, Running
		}
		server.TaskState = ""
		server.Fault = db.Of[*Fault](nil)
		server.LaunchedAt = db.At(s.clock.Now())
		return nil
	}, "vm_state", "power_state", "task_state", "fault", "launched_at")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "rebuild.end", server)
}
