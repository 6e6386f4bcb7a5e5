package compute

import (
	"context"
	"errors"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// powerState is what a plan about the power of a server keeps.
type powerState struct {
	Server  string
	Task    Task
	Running bool    // wanted
	Before  bool    // wanted until now
	Soft    bool    // a soft reboot
	Hard    bool    // a hard reboot
	Name    string  // what notifications call it
	State   VMState // afterwards
	Rest    Rest    // wanted
	Rested  Rest    // until now

	Rescue  *Rescue // wanted
	Rescued *Rescue // until now

	SoftDeletedAt db.Time // until now
}

// StartServer powers a stopped server on.
func (s *Service) StartServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "start", powerState{Task: PoweringOn, Name: "power_on", Running: true, State: Active}, Stopped)
}

// StopServer powers a server off.
func (s *Service) StopServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "stop", powerState{Task: PoweringOff, Name: "power_off", State: Stopped}, Active, Errored)
}

// PauseServer lets the processors of a server stand still.
func (s *Service) PauseServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "pause", powerState{Task: Pausing, Name: "pause", Running: true, Rest: Stands, State: PausedState}, Active)
}

// UnpauseServer lets them go on.
func (s *Service) UnpauseServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "unpause", powerState{Task: Unpausing, Name: "unpause", Running: true, State: Active}, PausedState)
}

// SuspendServer keeps the memory of a server on its host and stops it.
func (s *Service) SuspendServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "suspend", powerState{Task: Suspending, Name: "suspend", Running: true, Rest: Suspends, State: Suspended}, Active)
}

// ResumeServer lets a suspended server go on where it was.
func (s *Service) ResumeServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "resume", powerState{Task: Resuming, Name: "resume", Running: true, State: Active}, Suspended)
}

// RebootServer restarts the guest, asking it first when soft.
func (s *Service) RebootServer(ctx context.Context, act Act, soft bool) error {
	state := powerState{Task: HardReboot, Name: "reboot", Running: true, Hard: true, State: Active}
	if soft {
		state.Task, state.Soft, state.Hard = Rebooting, true, false
		return s.power(ctx, act, "reboot", state, Active)
	}
	return s.power(ctx, act, "reboot", state, Active, Stopped, PausedState, Suspended, Errored)
}

func (s *Service) power(ctx context.Context, act Act, action string, state powerState, states ...VMState) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		hangs := state.Hard && server.TaskState == Rebooting // a hard reboot may follow a soft one that hangs
		asked := server
		if hangs {
			asked.TaskState = ""
		}
		err = act.allow(asked, action, states...)
		if err != nil {
			return err
		}
		if server.Host == "" {
			return act.allow(asked, action) // in ERROR without a host: there is nothing to power
		}
		if state.Running && server.Image == "" {
			err = connected(ctx, tx, action, server)
			if err != nil {
				return err
			}
		}
		if hangs {
			err = work.Cancel(ctx, tx, server.ID)
			if err != nil {
				return err
			}
		}
		state.SoftDeletedAt = server.SoftDeletedAt
		err = s.countAgain(ctx, tx, &server)
		if err != nil {
			return err
		}
		server.TaskState = state.Task
		err = s.save(ctx, tx, &server, "task_state", "soft_deleted_at")
		if err != nil {
			return err
		}
		state.Server, state.Before, state.Rested, state.Rescued = server.ID, server.Running, server.Rest, server.Rescue.V
		_, err = work.Start(ctx, tx, s.powerPlan(), server.ID, state, append(act.options(server), work.As(action), server.shutdown())...)
		return err
	})
}

// connected refuses to run a guest whose root disk is a volume that lost its bytes
// in a rebuild.
func connected(ctx context.Context, tx *db.Tx, action string, server Server) error {
	root, err := rootVolume(ctx, tx, server.ID)
	if err == nil && root.Epoch == 0 {
		return errs.Conflictf("Cannot '%s' instance %s while its root disk, volume %s, has no bytes. Rebuild it.", action, server.ID, root.Volume)
	}
	return err
}

// powerPlan starts, stops or reboots.
func (s *Service) powerPlan() work.Plan[powerState] {
	return work.Plan[powerState]{
		Name: "server.power", Action: "power", Deadline: changeDeadline,
		Steps: []work.Step[powerState]{
			{Name: "want", Tx: s.powerWant, UndoTx: s.undoPower},
			{Name: "wait", Do: s.powerWait},
			{Name: "finish", Tx: s.powerFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *powerState, _ error) error {
			err := s.idle(ctx, tx, state.Server)
			if err != nil || state.SoftDeletedAt == 0 {
				return err
			}
			return s.countNoMore(ctx, tx, state.Server, state.SoftDeletedAt)
		},
	}
}

// idle ends the task of a server.
func (s *Service) idle(ctx context.Context, tx *db.Tx, id string) error {
	_, err := s.change(ctx, tx, id, func(server *Server) error {
		server.TaskState = ""
		return nil
	}, "task_state")
	return err
}

func (s *Service) powerWant(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Running, server.Rest, server.Rescue = state.Running, state.Rest, db.Of(state.Rescue)
		if state.Soft {
			server.SoftReboots++
		}
		// A machine that doesn't run only records the counter, so a hard reboot of
		// a stopped server starts it.
		if state.Hard {
			server.HardReboots++
		}
		return nil
	}, "running", "rest", "rescue", "soft_reboots", "hard_reboots")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, state.Name+".start", server)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// undoPower wants the former state again. A reboot that may have happened
// cannot be taken back.
func (s *Service) undoPower(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Running, server.Rest, server.Rescue = state.Before, state.Rested, db.Of(state.Rescued)
		return nil
	}, "running", "rest", "rescue")
	if err != nil || server.Host == "" {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) powerWait(ctx context.Context, state *powerState) error {
	server, seen, err := s.seen(ctx, state.Server)
	if state.State == SoftDeleted && errors.Is(err, work.ErrNotYet) && !s.hostUp(server.Host) {
		return nil // it stops as soon as the host is back, and may be had back until then, too
	}
	if err != nil {
		return err
	}
	switch {
	case seen.SoftReboots < server.SoftReboots || seen.HardReboots < server.HardReboots:
		return work.NotYet("waiting for host %s to reboot the guest", server.Host)
	case state.Rest == Suspends && seen.Running:
		return work.NotYet("waiting for host %s to suspend the guest", server.Host)
	case state.Running && state.Rest != Suspends && !seen.Running && !state.Soft:
		return work.NotYet("waiting for host %s to start the guest", server.Host)
	case state.Running && seen.Paused != (state.Rest == Stands):
		return work.NotYet("waiting for host %s to let the guest stand still or go on", server.Host)
	case !state.Running && seen.Running:
		return work.NotYet("waiting for host %s to stop the guest", server.Host)
	}
	return nil
}

// powerOf is how the host sees a server in a state that a plan about its power
// ends in.
var powerOf = map[VMState]Power{Active: Running, Stopped: Shutdown, PausedState: Paused, Suspended: Shutdown, Rescued: Running, SoftDeleted: Shutdown}

func (s *Service) powerFinish(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState = state.State, powerOf[state.State]
		server.TaskState = ""
		server.Fault = db.Of[*Fault](nil)
		return nil
	}, "vm_state", "power_state", "task_state", "fault")
	if err == nil && state.State == SoftDeleted {
		err = s.countNoMore(ctx, tx, server.ID, db.At(s.clock.Now()))
	}
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, state.Name+".end", server)
}
