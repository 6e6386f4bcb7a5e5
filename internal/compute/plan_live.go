package compute

import (
	"context"
	"errors"

	"nacre/internal/compute/numa"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// A live migration takes a guest to another host while it runs. Ports and volumes
// are ready on both hosts meanwhile. One guest at most runs at any instant: the
// one that arrives waits until its former host has let go of it for good and says
// so, host to host, which costs no more than a way through the servers. Once the
// guest is sent, the plan does not guess where it is: it waits until the hosts have
// said so, and makes that its home. A guest that is called back has stayed, or has
// gone in spite of it.

// LiveMove is how a server is to move while it runs.
type LiveMove struct {
	Host   string // "" for the best one
	Anyway bool   // whatever its rules say
	Block  *bool  // whether disks of the host's own go along; nil: as it has to be
	Early  bool   // tell now what else is found out later
}

type liveState struct {
	Server, Migration string
	Source, Dest      string // Dest is "" until it is chosen
	Forced            string
	Anyway            bool `json:",omitempty"`
	Block             *bool
	Arrived           bool   // the guest is on the other host
	Problem           string // why it is not
}

// LiveMigrateServer takes a server that runs to another host.
func (s *Service) LiveMigrateServer(ctx context.Context, act Act, move LiveMove) error {
	if move.Host != "" && !s.hostKnown(move.Host) {
		return errs.BadRequestf("Compute host %s could not be found.", move.Host)
	}
	id := s.newID()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "os-migrateLive", Active, PausedState)
		if err == nil && move.Host != "" && move.Host == server.Host {
			err = errs.BadRequestf("Unable to migrate instance (%s) to current host (%s).", server.ID, server.Host)
		}
		if err == nil {
			err = s.portable(ctx, tx, server)
		}
		if err == nil && move.Early {
			err = blockable(server, move.Block)
		}
		if err != nil {
			return err
		}
		server.TaskState = MigratingTask
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		_, err = s.addMigration(ctx, tx, Migration{
			ID: id, Server: server.ID, Kind: LiveMigration, Status: Accepted, Source: server.Host,
			OldFlavor: server.FlavorID, NewFlavor: server.FlavorID, Project: server.Project, UserID: act.User,
		})
		if err != nil {
			return err
		}
		state := liveState{Server: server.ID, Migration: id, Source: server.Host, Forced: move.Host, Anyway: move.Anyway, Block: move.Block}
		_, err = work.Start(ctx, tx, s.livePlan(), server.ID, state, act.options(server)...)
		return err
	})
}

// blockable refuses to leave a disk behind that only its host has.
func blockable(server Server, block *bool) error {
	if block != nil && !*block && (server.Image != "" || len(server.blanks()) > 0) {
		return errs.BadRequestf("Live migration can not be used without shared storage except a booted from volume VM which does not have a local disk: instance %s.", server.ID)
	}
	return nil
}

// portable refuses a guest that does not survive it: an emulator does not know which
// of its huge pages a guest writes to while they are sent.
func (s *Service) portable(ctx context.Context, tx *db.Tx, server Server) error {
	topology, _, err := topologyOf(ctx, tx, server)
	if err != nil || topology == nil || !numa.Huge(*topology) {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.state[server.Host].host.Info.Emulated {
		return errs.BadRequestf("Migration pre-check error: Instance %s has its memory in huge pages, and host %s emulates its processors: it can be migrated while it is off.", server.ID, server.Host)
	}
	return nil
}

func (s *Service) livePlan() work.Plan[liveState] {
	return work.Plan[liveState]{
		Name: "server.live_migrate", Action: "live-migration", Deadline: moveDeadline, Undone: s.liveUndone,
		Steps: []work.Step[liveState]{
			{Name: "claim a host", Tx: s.liveClaim, UndoTx: s.undoLiveClaim},
			{Name: "prepare the host", Tx: s.livePrepare, Undo: s.undoLivePrepare},
			{Name: "wait until the host is ready", Do: s.liveReady},
			{Name: "send the guest", Tx: s.liveSend, NoReturn: true},
			{Name: "wait until one of the hosts has it", Do: s.liveDecide},
			{Name: "clear the host that has it not", Do: s.liveClear},
			{Name: "be at home where it is", Tx: s.liveHome},
			{Name: "wait until both hosts know", Do: s.liveKnown},
			{Name: "finish", Tx: s.liveFinish},
		},
	}
}

func (s *Service) liveClaim(ctx context.Context, tx *db.Tx, state *liveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err == nil {
		err = blockable(server, state.Block)
	}
	if err != nil {
		return err
	}
	state.Dest, err = s.claimElsewhere(ctx, tx, server, state.Migration, destination{state.Forced, state.Anyway})
	if err != nil {
		return err
	}
	return s.setMigration(ctx, tx, state.Migration, Preparing, state.Dest)
}

func (s *Service) undoLiveClaim(ctx context.Context, tx *db.Tx, state *liveState) error {
	if state.Dest == "" {
		return nil
	}
	return s.reclaim(ctx, tx, state.Server, state.Migration)
}

// livePrepare has ports and volumes ready on both hosts, and wants the machine to
// come to the other one.
func (s *Service) livePrepare(ctx context.Context, tx *db.Tx, state *liveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err == nil {
		err = s.tell(ctx, tx, "live_migration_pre.start", server)
	}
	if err != nil {
		return err
	}
	var seen nodeapi.MachineObserved
	_, err = s.hosts.Observed(ctx, tx, state.Source, nodeapi.KindMachine, state.Server, &seen)
	if err != nil {
		return err
	}
	machine, err := s.machine(ctx, tx, server)
	if err != nil {
		return err
	}
	there := server
	there.Host = state.Dest
	machine.Topology, _, err = topologyOf(ctx, tx, there)
	if err != nil {
		return err
	}
	machine.Incoming = &nodeapi.Incoming{Move: state.Migration, Layout: seen.Layout}
	for i := range machine.Disks {
		machine.Disks[i].Epoch, err = s.volumes.Prepare(ctx, tx, machine.Disks[i].Attachment, state.Dest)
		if err != nil {
			return err
		}
	}
	for _, nic := range machine.NICs {
		err = s.networks.PreparePort(ctx, tx, nic.Port, state.Dest)
		if err != nil {
			return err
		}
	}
	_, err = s.hosts.Want(ctx, tx, state.Dest, nodeapi.KindMachine, server.ID, machine)
	return err
}

// undoLivePrepare throws away what was made ready on the other host, where no guest
// was sent.
func (s *Service) undoLivePrepare(ctx context.Context, state *liveState) error {
	err := s.expelled(ctx, state.Server, state.Dest)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", state.Server)
		if err == nil {
			err = s.tell(ctx, tx, "live_migration_rollback_dest.start", server)
		}
		if err == nil {
			err = s.atHome(ctx, tx, &server, state.Source, state.Dest)
		}
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, "live_migration_rollback_dest.end", server)
	})
}

// atHome says on which of two hosts a server is: the other one has its ports and
// volumes no longer.
func (s *Service) atHome(ctx context.Context, tx *db.Tx, server *Server, host, other string) error {
	err := s.eachPort(ctx, tx, server.ID, func(port string) error {
		err := s.networks.BindPort(ctx, tx, port, host)
		if err != nil {
			return err
		}
		return s.networks.UnpreparePort(ctx, tx, port, other)
	})
	if err != nil {
		return err
	}
	volumes, err := attachmentsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range volumes {
		if a.Epoch == 0 {
			continue
		}
		a.Epoch, err = s.volumes.Moved(ctx, tx, a.ID, host)
		if err == nil {
			_, err = tx.Update(ctx, &a, "epoch")
		}
		if err != nil {
			return err
		}
	}
	server.Host = host
	return s.save(ctx, tx, server, "host")
}

// moveEnd is what a host makes of a server's move. One that has not answered the
// newest document has no phase.
type moveEnd struct {
	nodeapi.Move
	lost bool // the host is not waited for
}

// moving is what both hosts make of a server's move.
func (s *Service) moving(ctx context.Context, state *liveState) (source, dest moveEnd, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for _, end := range []struct {
			host string
			into *moveEnd
		}{{state.Source, &source}, {state.Dest, &dest}} {
			var seen nodeapi.MachineObserved
			answered, err := s.hosts.Observed(ctx, tx, end.host, nodeapi.KindMachine, state.Server, &seen)
			if err == nil {
				end.into.lost, err = s.lost(ctx, tx, state.Server, end.host)
			}
			if err != nil {
				return err
			}
			if answered && seen.Move != nil && seen.Move.Name == state.Migration {
				end.into.Move = *seen.Move
			}
		}
		return nil
	})
	return source, dest, err
}

func (s *Service) liveReady(ctx context.Context, state *liveState) error {
	var seen nodeapi.MachineObserved
	err := s.waitOn(ctx, state.Dest, state.Server, &seen)
	if err != nil {
		return err
	}
	_, dest, err := s.moving(ctx, state)
	if err != nil {
		return err
	}
	switch dest.Phase {
	case nodeapi.MoveReady:
		return nil
	case nodeapi.MoveLost:
		return errs.New(errs.Internal, "Host %s cannot take in the guest: %s", state.Dest, dest.Problem)
	}
	return work.NotYet("waiting for host %s to be ready for the guest", state.Dest)
}

func (s *Service) liveSend(ctx context.Context, tx *db.Tx, state *liveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err == nil {
		err = s.tell(ctx, tx, "live_migration_pre.end", server)
	}
	if err == nil {
		err = s.setMigration(ctx, tx, state.Migration, RunningMove, "")
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// liveDecide waits until it is certain which host has the guest. One that was sent,
// and not let run there, since a host has died in between, is let run later: it has
// arrived.
func (s *Service) liveDecide(ctx context.Context, state *liveState) error {
	server, err := s.Server(ctx, "", state.Server)
	if err != nil {
		return err
	}
	source, dest, err := s.moving(ctx, state)
	if err != nil {
		return err
	}
	gone := source.Phase == nodeapi.MoveGone || source.lost
	switch {
	case server.TaskState == DeletingTask: // it ends on both hosts
	case dest.Phase == nodeapi.MoveArrived, dest.Phase == nodeapi.MoveLoaded && gone:
		state.Arrived = true
	case source.Phase == nodeapi.MoveStays:
		state.Problem = "it has not left host " + state.Source + ": " + source.Problem
	case gone && (dest.Phase == nodeapi.MoveLost || dest.lost):
		state.Problem = "it has not arrived on host " + state.Dest + ": " + dest.Problem
	case source.lost && dest.Phase == nodeapi.MoveReady:
		state.Problem = "it was lost with host " + state.Source
	case dest.Phase == nodeapi.MoveLost, s.clock.Now().Sub(server.UpdatedAt.Time()) > moveDeadline:
		err = s.callBack(ctx, state.Server)
		if err != nil {
			return err
		}
		return work.NotYet("waiting for host %s to keep the guest, which host %s cannot take in: %s", state.Source, state.Dest, dest.Problem)
	case !s.hostUp(state.Source):
		return work.NotYet("waiting for host %s, which is down, to tell of the guest that it sends", state.Source)
	case !s.hostUp(state.Dest):
		return work.NotYet("waiting for host %s, which is down, to tell whether the guest has arrived", state.Dest)
	default:
		return work.NotYet("waiting for the guest to arrive on host %s: %d MiB of its memory are left", state.Dest, source.MemoryLeft>>20)
	}
	return nil
}

// liveClear makes certain that what waits on the other host never runs, before the
// guest here goes on.
func (s *Service) liveClear(ctx context.Context, state *liveState) error {
	if state.Arrived {
		return nil
	}
	err := s.expel(ctx, state.Server, state.Dest)
	server, readErr := s.Server(ctx, "", state.Server)
	if errors.Is(err, work.ErrNotYet) && readErr == nil && server.TaskState == DeletingTask {
		return nil // whoever deletes it looks after all hosts
	}
	return errors.Join(err, readErr)
}

// liveHome makes the host that has the guest the server's own, and lets the guest
// run there if it only waits for that.
func (s *Service) liveHome(ctx context.Context, tx *db.Tx, state *liveState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	home, other, start, end := state.Source, state.Dest, "live_migration_rollback.start", "live_migration_rollback.end"
	if state.Arrived {
		home, other, start, end = state.Dest, state.Source, "live_migration_post.start", "live_migration_post.end"
	}
	err = s.tell(ctx, tx, start, server)
	if err == nil {
		err = s.setMigration(ctx, tx, state.Migration, PostMigrating, "")
	}
	if err == nil {
		err = s.atHome(ctx, tx, &server, home, other)
	}
	if err == nil {
		err = s.want(ctx, tx, server)
	}
	if err == nil && state.Arrived {
		err = s.hosts.Forget(ctx, tx, other, nodeapi.KindMachine, server.ID)
	}
	if err == nil {
		err = s.tell(ctx, tx, end, server)
	}
	if err != nil || !state.Arrived {
		return err
	}
	return s.tell(ctx, tx, "live_migration_post_dest.start", server)
}

// liveKnown waits until the guest is at home, and dead where it was. A host that is
// down is not waited for: a former one forgets the guest, which does not run, when
// it is back, and from the one that it is on somebody may want it evacuated.
func (s *Service) liveKnown(ctx context.Context, state *liveState) error {
	server, err := s.Server(ctx, "", state.Server)
	if err != nil || server.TaskState == DeletingTask {
		return err
	}
	if state.Arrived {
		err = s.waitGone(ctx, state.Server, state.Source)
		if err != nil {
			return err
		}
	}
	var seen nodeapi.MachineObserved
	err = s.wait(ctx, server, &seen)
	_, classified := errs.As(err)
	if classified || errors.Is(err, work.ErrNotYet) && !s.hostUp(server.Host) {
		return nil // it is as it is; the next plan hears of it
	}
	return err
}

func (s *Service) liveFinish(ctx context.Context, tx *db.Tx, state *liveState) error {
	if state.Arrived {
		err := s.release(ctx, tx, state.Migration)
		if err != nil {
			return err
		}
		return s.liveOver(ctx, tx, state, Completed, "live_migration_post_dest.end")
	}
	err := s.reclaim(ctx, tx, state.Server, state.Migration)
	if err != nil {
		return err
	}
	s.log.Info("a guest was not moved", "server_id", state.Server, "source", state.Source, "dest", state.Dest, "reason", state.Problem)
	m, err := getMigration(ctx, tx, state.Migration)
	if err == nil && m.Urge == urgeBack {
		return s.liveOver(ctx, tx, state, Cancelled, "live_migration_abort.end")
	}
	return errors.Join(err, s.liveOver(ctx, tx, state, ErrorMove, ""))
}

func (s *Service) liveUndone(ctx context.Context, tx *db.Tx, state *liveState, cause error) error {
	if errors.Is(cause, work.ErrCancelled) {
		return s.liveOver(ctx, tx, state, Cancelled, "live_migration_abort.end")
	}
	return s.liveOver(ctx, tx, state, ErrorMove, "")
}

func (s *Service) liveOver(ctx context.Context, tx *db.Tx, state *liveState, status MigrationStatus, action string) error {
	err := s.setMigration(ctx, tx, state.Migration, status, "")
	if err == nil {
		err = s.idle(ctx, tx, state.Server)
	}
	if err != nil || action == "" {
		return err
	}
	return s.tellID(ctx, tx, action, state.Server)
}
