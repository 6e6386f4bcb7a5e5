package compute

import (
	"context"
	"errors"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/vif"
	"nacre/internal/work"
)

type createState struct {
	Server     string
	Host       string          `json:",omitempty"` // the only one to take, "" for any
	Anyway     bool            `json:",omitempty"` // it is to be taken whatever its rules say
	Groups     []string        `json:",omitempty"`
	Ports      []plannedPort   `json:",omitempty"`
	NewVolumes []plannedVolume `json:",omitempty"`
	Caller     asker
}

// asker is what a plan keeps of who asked for it: its state is written at each step.
type asker struct {
	User, Project string
	Roles         []string
}

func askerOf(c auth.Caller) asker { return asker{User: c.User, Project: c.Project, Roles: c.Roles} }

func (a asker) caller() auth.Caller {
	return auth.Caller{User: a.User, Project: a.Project, Roles: a.Roles}
}

type plannedPort struct {
	ID      string
	Network string
	FixedIP string `json:",omitempty"`
	Ours    bool   // to be made; otherwise it exists and is taken
}

type plannedVolume struct {
	NewVolume
	Attachment string
}

// createPlan brings a new server to life.
func (s *Service) createPlan() work.Plan[createState] {
	return work.Plan[createState]{
		Name: "server.create", Action: "create", Deadline: createDeadline,
		Steps: []work.Step[createState]{
			{Name: "claim host", Tx: s.createClaim, UndoTx: s.undoClaim},
			{Name: "make volumes", Do: s.createVolumes, Undo: s.undoVolumes},
			{Name: "connect volumes and ports", Tx: s.createConnect, Undo: s.undoConnect},
			{Name: "wait running", Do: s.createWait, Woken: true},
			{Name: "finish", Tx: s.createFinish},
		},
		Undone: s.createFailed,
	}
}

func (s *Service) createClaim(ctx context.Context, tx *db.Tx, state *createState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	server, err = s.claimHost(ctx, tx, server, destination{state.Host, state.Anyway})
	if err != nil {
		return err
	}
	server.TaskState = Networking
	if len(state.NewVolumes) > 0 {
		server.TaskState = Volumes
	}
	err = s.save(ctx, tx, &server, "host", "task_state")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "create.start", server)
}

func (s *Service) undoClaim(ctx context.Context, tx *db.Tx, state *createState) error {
	err := s.release(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Host = ""
		return nil
	}, "host")
	return err
}

// createVolumes makes the volumes that start with the server, all at once, and
// waits until they have their bytes. Whoever is to be asked for the server's config
// drive is asked here: a step of its own would take the time of every server.
func (s *Service) createVolumes(ctx context.Context, state *createState) error {
	err := s.keepVendorData(ctx, state.Server)
	if err != nil {
		return err
	}
	for _, v := range state.NewVolumes {
		err := s.volumes.CreateVolume(ctx, state.Caller.caller(), v.NewVolume)
		if err != nil {
			return err
		}
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		for _, v := range state.NewVolumes {
			status, err := s.volumes.Status(ctx, tx, v.ID)
			switch {
			case err != nil:
				return err
			case status == "error":
				return errs.New(errs.Internal, "Build of instance %s aborted: Volume %s did not finish being created: its status is error.", state.Server, v.ID)
			case status != "available":
				return work.NotYet("waiting for volume %s, which is %s", v.ID, status)
			}
		}
		return nil
	})
}

func (s *Service) undoVolumes(ctx context.Context, state *createState) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		for _, v := range state.NewVolumes {
			err := s.volumes.DeleteVolume(ctx, tx, v.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// createConnect connects the volumes, binds the ports and wants the machine.
// All of it is in the database, so it happens at once or not at all.
func (s *Service) createConnect(ctx context.Context, tx *db.Tx, state *createState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	for _, v := range state.NewVolumes {
		err = s.volumes.Reserve(ctx, tx, v.Attachment, v.ID, server.ID)
		if err != nil {
			return err
		}
	}
	list, err := attachmentsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.connectVolume(ctx, tx, a, server.Host)
		if err != nil {
			return err
		}
	}
	err = s.bindPorts(ctx, tx, server, state)
	if err != nil {
		return err
	}
	server.TaskState = Spawning
	err = s.save(ctx, tx, &server, "task_state")
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) bindPorts(ctx context.Context, tx *db.Tx, server Server, state *createState) error {
	zone := s.ZoneOf(server.Host)
	for _, p := range state.Ports {
		var err error
		if p.Ours {
			err = s.networks.CreatePort(ctx, tx, NewPort{
				ID: p.ID, Project: server.Project, Network: p.Network, FixedIP: p.FixedIP, Groups: state.Groups,
				Server: server.ID, Zone: zone, DNSName: server.Hostname, Host: server.Host,
			})
		} else {
			err = s.networks.TakePort(ctx, tx, p.ID, server.ID, zone)
			if err == nil {
				err = s.networks.BindPort(ctx, tx, p.ID, server.Host)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// undoConnect makes the host forget the machine and waits until it is gone;
// only then the ports and volumes below it are taken away.
func (s *Service) undoConnect(ctx context.Context, state *createState) error {
	err := s.forget(ctx, state.Server)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		err := s.dropVolumes(ctx, tx, state.Server)
		if err != nil {
			return err
		}
		return s.dropPorts(ctx, tx, state.Server)
	})
}

// dropVolumes ends all attachments of the server.
func (s *Service) dropVolumes(ctx context.Context, tx *db.Tx, server string) error {
	list, err := attachmentsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.volumes.Detach(ctx, tx, a.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropPorts deletes the ports that were made for the server and frees others.
func (s *Service) dropPorts(ctx context.Context, tx *db.Tx, server string) error {
	cards, err := cardsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	return s.drop(ctx, tx, server, cards)
}

func (s *Service) drop(ctx context.Context, tx *db.Tx, server string, cards []Card) error {
	if len(cards) == 0 {
		return nil
	}
	ports, err := s.networks.PortsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	for _, card := range cards {
		// A port that the server never got may be somebody else's by now.
		has := slices.ContainsFunc(ports[server], func(p vif.Port) bool { return p.ID == card.Port })
		switch {
		case !has:
		case card.Ours:
			err = s.networks.DeletePort(ctx, tx, card.Port)
		default:
			err = s.networks.ReturnPort(ctx, tx, card.Port)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forget makes every host forget the machine and waits until it is gone. A host
// that is down is not waited for: it forgets as soon as it is back, and its
// volumes are fenced.
func (s *Service) forget(ctx context.Context, id string) error {
	var on []string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		on = nil
		documents, err := s.hosts.Documents(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, d := range documents {
			if d.Kind != nodeapi.KindMachine {
				continue
			}
			err = s.hosts.Forget(ctx, tx, d.Host, d.Kind, id)
			if err != nil {
				return err
			}
			on = append(on, d.Host)
		}
		return nil
	})
	for _, host := range on {
		if err != nil {
			break
		}
		err = s.waitGone(ctx, id, host)
	}
	return err
}

func (s *Service) waitGone(ctx context.Context, id, host string) error {
	var seen nodeapi.MachineObserved
	gone, err := s.hosts.Answer(ctx, host, nodeapi.KindMachine, id, &seen)
	switch {
	case err != nil:
		return err
	case gone || !s.hostUp(host):
		return nil
	case seen.Problem != "":
		return work.NotYet("host %s reports a problem and tries again: %s", host, seen.Problem)
	}
	return work.NotYet("waiting for host %s to remove the machine", host)
}

func (s *Service) createWait(ctx context.Context, state *createState) error {
	return s.waitUp(ctx, state.Server, true)
}

func (s *Service) createFinish(ctx context.Context, tx *db.Tx, state *createState) error {
	list, err := attachmentsOf(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.volumes.Complete(ctx, tx, a.ID)
		if err != nil {
			return err
		}
	}
	err = settle(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.TaskState, server.PowerState = Active, "", Running
		server.LaunchedAt = db.At(s.clock.Now())
		return nil
	}, "vm_state", "task_state", "power_state", "launched_at")
	if err != nil {
		return err
	}
	err = s.buildWorked(ctx, tx, server.Host)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "create.end", server)
}

// settle marks everything that was on its way to the server as there.
func settle(ctx context.Context, tx *db.Tx, server string) error {
	_, err := tx.Exec(ctx, "UPDATE server_ports SET state = ? WHERE server = ? AND state = ?", attached, server, attaching)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE server = ? AND state = ?", attached, server, attaching)
	return err
}

// createFailed leaves a server in ERROR that owns nothing but its row. One
// that was deleted meanwhile is left to the plan that deletes it.
func (s *Service) createFailed(ctx context.Context, tx *db.Tx, state *createState, cause error) error {
	// The request has reserved volumes that no step came to.
	err := s.dropVolumes(ctx, tx, state.Server)
	if err != nil {
		return err
	}
	for _, table := range []string{"server_volumes", "server_ports"} {
		_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE server = ?", state.Server)
		if err != nil {
			return err
		}
	}
	if errors.Is(cause, work.ErrCancelled) {
		return nil
	}
	fault := failure(cause)
	fault.Created = db.At(s.clock.Now())
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		// It may have run, and its host have told so, before it was given up.
		server.VMState, server.TaskState, server.PowerState, server.Fault = Errored, "", NoState, db.Of(&fault)
		return nil
	}, "vm_state", "task_state", "power_state", "fault")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "create.error", server)
	if err != nil {
		return err
	}
	return s.buildFailed(ctx, tx, server.ID)
}
