package compute

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// resizeState is what the plans about the size of a server keep. Flavor is the
// one that it gets, Former the one that it has.
type resizeState struct {
	Server         string
	Flavor, Former Flavor
	State          VMState // when it was asked for
	Running        bool
}

// ResizeServer gives a server another flavor. It holds room for both until that
// is confirmed or taken back. It stays on its host, whose disk it has.
func (s *Service) ResizeServer(ctx context.Context, act Act, caller auth.Caller, id string) error {
	flavor, err := s.Flavor(ctx, flavorScope(caller), id)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Flavor %s could not be found.", id)
	}
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "resize", Active, Stopped)
		if err != nil {
			return err
		}
		former := server.Flavor.V
		switch {
		case flavor.ID == former.ID:
			return errs.BadRequestf("When resizing, instances must change flavor!")
		case server.Image != "" && flavor.Disk == 0 && former.Disk != 0:
			return errs.BadRequestf("Resize to zero disk flavor is not allowed.")
		case server.Image != "" && flavor.Disk < former.Disk:
			return errs.BadRequestf("The size of the disk of flavor %s is too small for instance %s: disks do not shrink.", flavor.ID, server.ID)
		}
		vcpus, ram := server.holds()
		server.OtherFlavor, server.TaskState = db.Of(&flavor), ResizePrep
		more, moreRAM := server.holds()
		err = quota.Reserve(ctx, tx, server.Project, quota.VCPUs(int(more-vcpus)), quota.Memory(int(moreRAM-ram)))
		if err != nil {
			return overQuota(err)
		}
		err = s.save(ctx, tx, &server, "other_flavor", "task_state")
		if err != nil {
			return err
		}
		state := resizeState{Server: server.ID, Flavor: flavor, Former: former, State: server.VMState, Running: server.Running}
		_, err = work.Start(ctx, tx, s.resizePlan(), server.ID, state, act.options(server)...)
		return err
	})
}

func (s *Service) resizePlan() work.Plan[resizeState] {
	return work.Plan[resizeState]{
		Name: "server.resize", Action: "resize", Deadline: createDeadline,
		Steps: []work.Step[resizeState]{
			{Name: "claim room", Tx: s.resizeClaim, UndoTx: s.undoResizeClaim},
			{Name: "stop", Tx: s.resizeStop, UndoTx: s.undoResize},
			{Name: "wait until it has stopped", Do: s.resizeStopped},
			{Name: "change the size", Tx: s.resizeApply, UndoTx: s.undoResize},
			{Name: "wait until it runs", Do: s.resizeStarted},
			{Name: "finish", Tx: s.resizeFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *resizeState, _ error) error {
			server, err := s.endResize(ctx, tx, state.Server, func(server *Server) {
				server.VMState = state.State
				if server.TaskState != DeletingTask {
					server.TaskState = ""
				}
			})
			if err != nil {
				return err
			}
			return s.tell(ctx, tx, "resize.error", server)
		},
	}
}

// claimBoth takes the room that the server needs with either of its flavors.
func (s *Service) claimBoth(ctx context.Context, tx *db.Tx, server Server) error {
	s.mu.RLock()
	host, known := s.snapshot.Named(server.Host)
	s.mu.RUnlock()
	if !known {
		return work.NotYet("waiting for host %s to be known", server.Host)
	}
	want := map[string]int64{}
	flavors := []Flavor{server.Flavor.V}
	if server.OtherFlavor.V != nil {
		flavors = append(flavors, *server.OtherFlavor.V)
	}
	for _, f := range flavors {
		vcpus, ram, disk := f.amounts(server.Image == "")
		for class, amount := range map[string]int64{"VCPU": vcpus, "MEMORY_MB": ram, "DISK_GB": disk} {
			if amount > 0 {
				want[class] = max(want[class], amount)
			}
		}
	}
	err := s.placement.Claim(ctx, tx, server.ID, server.Project, server.UserID, host.ID, want)
	if errs.Is(err, errs.Conflict) {
		return errs.New(errs.Internal, "No valid host was found. Host %s has no room for the flavor.", server.Host).Because(err)
	}
	return err
}

func (s *Service) resizeClaim(ctx context.Context, tx *db.Tx, state *resizeState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "resize_prep.start", server)
	if err != nil {
		return err
	}
	err = s.claimBoth(ctx, tx, server)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "resize_prep.end", server)
}

func (s *Service) undoResizeClaim(ctx context.Context, tx *db.Tx, state *resizeState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	server.OtherFlavor.V = nil
	return s.claimBoth(ctx, tx, server)
}

func (s *Service) resizeStop(ctx context.Context, tx *db.Tx, state *resizeState) error {
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
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Former}, state.Former.ID, db.Of(&state.Flavor)
		server.Running = state.Running
		return nil
	}, "flavor", "flavor_id", "other_flavor", "running")
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) resizeStopped(ctx context.Context, state *resizeState) error {
	return s.waitPower(ctx, state.Server, false)
}

func (s *Service) resizeStarted(ctx context.Context, state *resizeState) error {
	return s.waitPower(ctx, state.Server, state.Running)
}

// waitPower waits until the guest runs, or doesn't.
func (s *Service) waitPower(ctx context.Context, id string, running bool) error {
	server, err := s.Server(ctx, "", id)
	if err != nil {
		return err
	}
	var seen nodeapi.MachineObserved
	err = s.wait(ctx, server, &seen)
	if err == nil && seen.Running != running {
		return work.NotYet("waiting for host %s to start or stop the guest", server.Host)
	}
	return err
}

func (s *Service) resizeApply(ctx context.Context, tx *db.Tx, state *resizeState) error {
	return s.resizeWant(ctx, tx, state, "resize.end", func(server *Server) {
		server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Flavor}, state.Flavor.ID, db.Of(&state.Former)
		server.TaskState, server.Running = ResizeFinish, state.Running
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

// ConfirmResize lets go of what a resized server had before.
func (s *Service) ConfirmResize(ctx context.Context, act Act) error {
	return s.afterResize(ctx, act, "confirmResize", ResizeConfirming, s.confirmPlan())
}

// RevertResize gives a resized server its former flavor back.
func (s *Service) RevertResize(ctx context.Context, act Act) error {
	return s.afterResize(ctx, act, "revertResize", ResizeReverting, s.revertPlan())
}

func (s *Service) afterResize(ctx context.Context, act Act, action string, task Task, plan work.Plan[resizeState]) error {
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
		}
		_, err = work.Start(ctx, tx, plan, server.ID, state, act.options(server)...)
		return err
	})
}

func (s *Service) resizeIdle(ctx context.Context, tx *db.Tx, state *resizeState, _ error) error {
	return s.idle(ctx, tx, state.Server)
}

func (s *Service) confirmPlan() work.Plan[resizeState] {
	return work.Plan[resizeState]{
		Name: "server.confirm_resize", Action: "confirmResize", Deadline: changeDeadline, Undone: s.resizeIdle,
		Steps: []work.Step[resizeState]{
			{Name: "let go of the former size", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				err := s.tellID(ctx, tx, "resize_confirm.start", state.Server)
				if err != nil {
					return err
				}
				return s.settleResize(ctx, tx, state, "resize_confirm.end")
			}},
		},
	}
}

// settleResize ends a resize one way or the other: the server has one flavor.
func (s *Service) settleResize(ctx context.Context, tx *db.Tx, state *resizeState, action string) error {
	server, err := s.endResize(ctx, tx, state.Server, func(server *Server) {
		server.TaskState, server.VMState = "", Stopped
		if server.PowerState = Shutdown; server.Running {
			server.VMState, server.PowerState = Active, Running
		}
	})
	if err != nil {
		return err
	}
	err = s.claimBoth(ctx, tx, server)
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
			{Name: "change the size", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.resizeWant(ctx, tx, state, "", func(server *Server) {
					server.Flavor, server.FlavorID, server.OtherFlavor = flavorColumn{state.Flavor}, state.Flavor.ID, db.Of(&state.Former)
					server.Running = state.Running
				})
			}, UndoTx: s.undoResize},
			{Name: "wait until it runs", Do: s.resizeStarted},
			{Name: "let go of the other size", Tx: func(ctx context.Context, tx *db.Tx, state *resizeState) error {
				return s.settleResize(ctx, tx, state, "resize_revert.end")
			}},
		},
	}
}
