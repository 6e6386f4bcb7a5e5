package compute

import (
	"context"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// resizeState is what the plans about the size and the place of a server keep.
// Flavor is the one that it gets, Former the one that it has; Source is the host
// that it was on, Dest the one that it goes to: the same, when it stays.
type resizeState struct {
	Server         string
	Flavor, Former Flavor
	State          VMState // when it was asked for
	Running        bool

	Migration    string
	Source, Dest string // Dest is "" until it is chosen
	Forced       string // the only host to go to, "" for any
	Away         bool   // it may not stay
	AutoDisk     *bool
}

// moves tells whether the server goes to another host.
func (r *resizeState) moves() bool { return r.Dest != r.Source }

// moveDeadline is how long a server may be on its way to another host: its disk
// goes with it.
const moveDeadline = time.Hour

// ResizeServer gives a server another flavor. It holds room for both until that
// is confirmed or taken back. It stays on its host, whose disk it has, if there is
// room for it.
func (s *Service) ResizeServer(ctx context.Context, act Act, caller auth.Caller, id string, autoDisk *bool) error {
	flavor, err := s.Flavor(ctx, flavorScope(caller), id)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Flavor %s could not be found.", id)
	}
	if err != nil {
		return err
	}
	return s.startMove(ctx, act, "resize", resizeState{Flavor: flavor, AutoDisk: autoDisk}, func(server Server) error {
		former := server.Flavor.V
		err := checkHardware(server.ImageProperties.V, flavor)
		if err != nil {
			return err
		}
		switch {
		case flavor.ID == former.ID:
			return errs.BadRequestf("When resizing, instances must change flavor!")
		case server.Image != "" && flavor.Disk == 0 && former.Disk != 0:
			return errs.BadRequestf("Server disk was unable to be resized because: Resize to zero disk flavor is not allowed.")
		case server.Image != "" && flavor.Disk < former.Disk:
			return errs.BadRequestf("The size of the disk of flavor %s is too small for instance %s: disks do not shrink.", flavor.ID, server.ID)
		case flavor.Ephemeral < former.Ephemeral:
			return errs.BadRequestf("The ephemeral disks of flavor %s are too small for instance %s: Unable to resize disk down.", flavor.ID, server.ID)
		}
		server.Flavor.V = flavor
		return server.checkTopology()
	})
}

// MigrateServer takes a server to another host, to the named one unless that is
// "". It does not run meanwhile.
func (s *Service) MigrateServer(ctx context.Context, act Act, host string) error {
	if host != "" && !s.hostKnown(host) {
		return errs.BadRequestf("Compute host %s could not be found.", host)
	}
	return s.startMove(ctx, act, "migrate", resizeState{Forced: host, Away: true}, func(server Server) error {
		if host != "" && host == server.Host {
			return errs.BadRequestf("Cannot migrate to the host where the server exists.")
		}
		return nil
	})
}

// startMove begins to give a server another flavor, another host, or both.
func (s *Service) startMove(ctx context.Context, act Act, action string, state resizeState, check func(Server) error) error {
	state.Migration = s.newID()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		state := state
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, action, Active, Stopped)
		if err == nil {
			err = check(server)
		}
		if err != nil {
			return err
		}
		kind := ResizeMove
		if action == "migrate" {
			kind, state.Flavor = ColdMigration, server.Flavor.V
		}
		vcpus, ram := server.holds()
		server.OtherFlavor, server.TaskState = db.Of(&state.Flavor), ResizePrep
		if state.AutoDisk != nil {
			server.AutoDisk = *state.AutoDisk
		}
		more, moreRAM := server.holds()
		err = take(ctx, tx, server.Project, server.UserID, quota.VCPUs(int(more-vcpus)), quota.Memory(int(moreRAM-ram)))
		if err != nil {
			return err
		}
		err = s.save(ctx, tx, &server, "other_flavor", "auto_disk", "task_state")
		if err != nil {
			return err
		}
		_, err = s.addMigration(ctx, tx, Migration{
			ID: state.Migration, Server: server.ID, Kind: kind, Status: PreMigrating, Source: server.Host,
			OldFlavor: server.FlavorID, NewFlavor: state.Flavor.ID, Project: server.Project, UserID: act.User,
		})
		if err != nil {
			return err
		}
		state.Server, state.Former, state.State, state.Running, state.Source = server.ID, server.Flavor.V, server.VMState, server.Running, server.Host
		_, err = work.Start(ctx, tx, s.resizePlan(), server.ID, state, append(act.options(server), work.As(action), server.shutdown())...)
		return err
	})
}

func (s *Service) resizePlan() work.Plan[resizeState] {
	return work.Plan[resizeState]{
		Name: "server.resize", Action: "resize", Deadline: moveDeadline,
		Steps: []work.Step[resizeState]{
			{Name: "claim room", Tx: s.resizeClaim, UndoTx: s.undoResizeClaim},
			{Name: "stop", Tx: s.resizeStop, UndoTx: s.undoResize},
			{Name: "wait until it has stopped", Do: s.resizeStopped},
			{Name: "change size and host", Tx: s.resizeApply, Undo: s.undoApply},
			{Name: "wait until it runs", Do: s.resizeStarted},
			{Name: "finish", Tx: s.resizeFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *resizeState, _ error) error {
			err := s.setMigration(ctx, tx, state.Migration, ErrorMove, "")
			if err != nil {
				return err
			}
			server, err := s.endResize(ctx, tx, state.Server, func(server *Server) {
				server.VMState = state.State
				server.TaskState = ""
			})
			if err != nil {
				return err
			}
			return s.tell(ctx, tx, "resize.error", server)
		},
	}
}

// claimBoth takes the room that the server needs with either of its flavors on
// the host that it is on. Cores of its own are not the same ones with both.
func (s *Service) claimBoth(ctx context.Context, tx *db.Tx, server Server) error {
	s.mu.RLock()
	host, known := s.snapshot.Named(server.Host)
	s.mu.RUnlock()
	if !known {
		return work.NotYet("waiting for host %s to be known", server.Host)
	}
	want, _, err := server.demand(server.Flavor.V)
	if err != nil {
		return err
	}
	if server.OtherFlavor.V != nil {
		other, _, err := server.demand(*server.OtherFlavor.V)
		if err != nil {
			return err
		}
		want = either(want, other)
	}
	return s.claim(ctx, tx, server, host.ID, want)
}

// resizeClaim takes room where the server is or, if it may not stay or there is
// none, on the best other host. What it has on its host belongs to the migration
// in the second case.
func (s *Service) resizeClaim(ctx context.Context, tx *db.Tx, state *resizeState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "resize_prep.start", server)
	if err != nil {
		return err
	}
	state.Dest = ""
	if !state.Away {
		err = s.claimBoth(ctx, tx, server)
		if err == nil {
			err = s.claimCellsBeside(ctx, tx, server, state.Migration)
		}
		if err == nil {
			state.Dest = state.Source
		} else if errs.Is(err, errs.Conflict) {
			server.OtherFlavor.V = nil // the attempt has freed what it had
			err = s.claimBoth(ctx, tx, server)
		}
		if err != nil {
			return err
		}
	}
	if state.Dest == "" {
		server.Flavor = flavorColumn{state.Flavor}
		state.Dest, err = s.claimElsewhere(ctx, tx, server, state.Migration, destination{Host: state.Forced})
		if err != nil {
			return err
		}
	}
	err = s.setMigration(ctx, tx, state.Migration, PreMigrating, state.Dest)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "resize_prep.end", server)
}

func (s *Service) undoResizeClaim(ctx context.Context, tx *db.Tx, state *resizeState) error {
	switch state.Dest {
	case "":
		return nil
	case state.Source:
		server, err := getServer(ctx, tx, "", state.Server)
		if err != nil {
			return err
		}
		server.OtherFlavor.V = nil
		err = s.passCells(ctx, tx, state.Migration, server.ID)
		if err != nil {
			return err
		}
		return s.claimBoth(ctx, tx, server)
	}
	return s.reclaim(ctx, tx, state.Server, state.Migration)
}

func (s *Service) resizeStop(ctx context.Context, tx *db.Tx, state *resizeState) error {
	err := s.setMigration(ctx, tx, state.Migration, Migrating, "")
	if err != nil {
		return err
	}
	return s.resizeWant(ctx, tx, state, "resize.start", func(server *Server) {
		server.TaskState, server.Running = ResizeMigrating, false
	})
}

// resizeWant changes the server, tells of it, unless the action is "", and wants its machine so.
func (s *Service) resizeWant(ctx context.Context, tx *db.Tx, state *resizeState, action string, do func(*Server)) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		do(server)
		return nil
	}, "task_state", "running", "flavor", "flavor_id", "other_flavor")
	if err != nil {
		return err
	}
	if action != "" {
		err = s.tell(ctx, tx, action, server)
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// undoResize wants the server as it was. A disk that has grown stays so.
func (s *Service) undoResize(ctx context.Context, tx *db.Tx, state *resizeState) error {
	return s.resizeWant(ctx, tx, state, "", func(server *Server) {
		server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Former}, state.Former.ID, db.Of(&state.Flavor)
		server.Running = state.Running
	})
}

func (s *Service) resizeStopped(ctx context.Context, state *resizeState) error {
	return s.waitPower(ctx, state.Server, false)
}

func (s *Service) resizeStarted(ctx context.Context, state *resizeState) error {
	if state.moves() && state.Running {
		return s.waitUp(ctx, state.Server, true)
	}
	return s.waitPower(ctx, state.Server, state.Running)
}

func (s *Service) resizeApply(ctx context.Context, tx *db.Tx, state *resizeState) error {
	err := s.setMigration(ctx, tx, state.Migration, PostMigrating, "")
	if err != nil {
		return err
	}
	return s.changePlace(ctx, tx, state, state.Dest, "resize.end", func(server *Server) {
		server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Flavor}, state.Flavor.ID, db.Of(&state.Former)
		server.TaskState, server.Running = ResizeFinish, state.Running
	})
}

// undoApply brings the server back to where it was. The guest on the other host is
// dead before the one here starts.
func (s *Service) undoApply(ctx context.Context, state *resizeState) error {
	if state.moves() {
		err := s.expel(ctx, state.Server, state.Dest)
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", state.Server)
		if err != nil {
			return err
		}
		if server.Host != state.Source {
			err = s.bring(ctx, tx, &server, state.Source)
		}
		if err == nil {
			err = s.save(ctx, tx, &server, "host")
		}
		if err != nil {
			return err
		}
		return s.undoResize(ctx, tx, state)
	})
}

func (s *Service) resizeFinish(ctx context.Context, tx *db.Tx, state *resizeState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.TaskState = Resized, ""
		server.PowerState = Shutdown
		if server.Running {
			server.PowerState = Running
		}
		server.LaunchedAt = db.At(s.clock.Now())
		return nil
	}, "vm_state", "task_state", "power_state", "launched_at")
	if err != nil {
		return err
	}
	err = s.setMigration(ctx, tx, state.Migration, Finished, "")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "resize_finish.start", server)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "resize_finish.end", server)
}

// endResize gives back what the other flavor held.
func (s *Service) endResize(ctx context.Context, tx *db.Tx, id string, do func(*Server)) (Server, error) {
	server, err := anyServer(ctx, tx, "", id)
	if err != nil {
		return server, err
	}
	vcpus, ram := server.holds()
	server.OtherFlavor = db.Of[*Flavor](nil)
	less, lessRAM := server.holds()
	err = quota.Release(ctx, tx, server.Project, quota.VCPUs(int(vcpus-less)), quota.Memory(int(ram-lessRAM)))
	if err != nil {
		return server, err
	}
	do(&server)
	return server, s.save(ctx, tx, &server, "other_flavor", "vm_state", "task_state", "power_state")
}
