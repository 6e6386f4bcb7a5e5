package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// powerState is what a plan about the power of a server keeps.
type powerState struct {
	Server  string
	Task    Task
	Running bool // wanted
	Before  bool // wanted until now
	Soft    bool // a soft reboot
	Hard    bool // a hard reboot
}

// action is what notifications call it.
func (state powerState) action() string {
	switch {
	case state.Soft, state.Hard:
		return "reboot"
	case state.Running:
		return "power_on"
	}
	return "power_off"
}

// StartServer powers a stopped server on.
func (s *Service) StartServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "start", PoweringOn, powerState{Running: true}, func(server Server) error {
		return act.allow(server, "start", Stopped)
	})
}

// StopServer powers a server off.
func (s *Service) StopServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "stop", PoweringOff, powerState{Running: false}, func(server Server) error {
		return act.allow(server, "stop", Active, Errored)
	})
}

// RebootServer restarts the guest, asking it first when soft.
func (s *Service) RebootServer(ctx context.Context, act Act, soft bool) error {
	if soft {
		return s.power(ctx, act, "reboot", Rebooting, powerState{Running: true, Soft: true}, func(server Server) error {
			return act.allow(server, "reboot", Active)
		})
	}
	return s.power(ctx, act, "reboot", HardReboot, powerState{Running: true, Hard: true}, func(server Server) error {
		if server.TaskState == Rebooting {
			server.TaskState = "" // a hard reboot may follow a soft one that hangs
		}
		return act.allow(server, "reboot", Active, Stopped, Errored)
	})
}

func (s *Service) power(ctx context.Context, act Act, action string, task Task, state powerState, allow func(Server) error) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = allow(server)
		if err != nil {
			return err
		}
		if server.Host == "" {
			return act.allow(server, action) // in ERROR without a host: there is nothing to power
		}
		if server.TaskState == Rebooting { // gently, and it hangs
			err = work.Cancel(ctx, tx, server.ID)
			if err != nil {
				return err
			}
		}
		server.TaskState = task
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		state.Server, state.Task, state.Before = server.ID, task, server.Running
		_, err = work.Start(ctx, tx, s.powerPlan(), server.ID, state, append(act.options(server), work.As(action))...)
		return err
	})
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
			return s.idle(ctx, tx, state.Server)
		},
	}
}

// idle ends the task of a server that is not being deleted.
func (s *Service) idle(ctx context.Context, tx *db.Tx, id string) error {
	_, err := s.change(ctx, tx, id, func(server *Server) error {
		if server.TaskState != DeletingTask {
			server.TaskState = ""
		}
		return nil
	}, "task_state")
	return err
}

func (s *Service) powerWant(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Running = state.Running
		// Said again, since a plan that was cancelled may have ended its own task
		// after the request.
		server.TaskState = state.Task
		if state.Soft {
			server.SoftReboots++
		}
		// A machine that doesn't run only records the counter, so a hard reboot of
		// a stopped server starts it.
		if state.Hard {
			server.HardReboots++
		}
		return nil
	}, "running", "task_state", "soft_reboots", "hard_reboots")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, state.action()+".start", server)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// undoPower wants the former state again. A reboot that may have happened
// cannot be taken back.
func (s *Service) undoPower(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Running = state.Before
		return nil
	}, "running")
	if err != nil || server.Host == "" {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) powerWait(ctx context.Context, state *powerState) error {
	server, err := s.Server(ctx, "", state.Server)
	if err != nil {
		return err
	}
	var seen nodeapi.MachineObserved
	err = s.wait(ctx, server, &seen)
	if err != nil {
		return err
	}
	switch {
	case seen.SoftReboots < server.SoftReboots || seen.HardReboots < server.HardReboots:
		return work.NotYet("waiting for host %s to reboot the guest", server.Host)
	case state.Running && !seen.Running && !state.Soft:
		return work.NotYet("waiting for host %s to start the guest", server.Host)
	case !state.Running && seen.Running:
		return work.NotYet("waiting for host %s to stop the guest", server.Host)
	}
	return nil
}

func (s *Service) powerFinish(ctx context.Context, tx *db.Tx, state *powerState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState = Stopped, Shutdown
		if state.Running {
			server.VMState, server.PowerState = Active, Running
		}
		if server.TaskState != DeletingTask {
			server.TaskState = ""
		}
		server.Fault = db.Of[*Fault](nil)
		return nil
	}, "vm_state", "power_state", "task_state", "fault")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, state.action()+".end", server)
}
