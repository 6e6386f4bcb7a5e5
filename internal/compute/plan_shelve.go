package compute

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/loop"
	"nacre/internal/work"
)

type shelveState struct {
	snapshotState
	State   VMState // when it was asked for
	Running bool
	Rest    Rest
}

// shelvable are the states in which a server may be shelved.
var shelvable = []VMState{Active, Stopped, PausedState, Suspended}

// ShelveServer stops a server and makes an image of its root disk, so that it
// needs no host. One whose root disk is a volume leaves its host at once.
func (s *Service) ShelveServer(ctx context.Context, act Act) error {
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	err = act.allow(server, "shelve", shelvable...)
	if err != nil {
		return err
	}
	if server.Image == "" {
		return s.offload(ctx, act, "shelve", shelvable...)
	}
	// The image is the owner's, whoever shelves the server.
	owner := auth.Caller{User: server.UserID, Project: server.Project}
	state := shelveState{snapshotState: snapshotState{Server: server.ID, Image: s.newID(), Caller: askerOf(owner)}}
	err = s.images.CreateImage(ctx, owner, NewImage{
		ID: state.Image, Name: server.Name + "-shelved", MinDiskGB: server.Flavor.V.Disk, Properties: snapshotProperties(server, owner.User),
	})
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "shelve", shelvable...)
		if err != nil {
			return err
		}
		state.State, state.Running, state.Rest = server.VMState, server.Running, server.Rest
		server.TaskState = Shelving
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.shelvePlan(), server.ID, state, append(act.options(server), server.shutdown())...)
		return err
	})
	if err != nil {
		s.dropImage(context.WithoutCancel(ctx), state.Image)
	}
	return err
}

func (s *Service) shelvePlan() work.Plan[shelveState] {
	return work.Plan[shelveState]{
		Name: "server.shelve", Action: "shelve", Deadline: createDeadline,
		Steps: []work.Step[shelveState]{
			{Name: "begin", Tx: func(ctx context.Context, tx *db.Tx, state *shelveState) error {
				return s.tellID(ctx, tx, "shelve.start", state.Server)
			}, Undo: func(ctx context.Context, state *shelveState) error { return s.dropImage(ctx, state.Image) }},
			{Name: "stop", Tx: func(ctx context.Context, tx *db.Tx, state *shelveState) error {
				return s.rest(ctx, tx, state.Server, false, Awake)
			}, UndoTx: func(ctx context.Context, tx *db.Tx, state *shelveState) error {
				return s.rest(ctx, tx, state.Server, state.Running, state.Rest)
			}},
			{Name: "wait until it has stopped", Do: func(ctx context.Context, state *shelveState) error {
				return s.waitPower(ctx, state.Server, false)
			}},
			{Name: "upload the disk", Do: func(ctx context.Context, state *shelveState) error {
				return s.snapshotUpload(ctx, &state.snapshotState)
			}},
			{Name: "finish", Tx: s.shelveFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *shelveState, _ error) error {
			return s.idle(ctx, tx, state.Server)
		},
	}
}

// rest wants the machine of a server on or off.
func (s *Service) rest(ctx context.Context, tx *db.Tx, id string, running bool, rest Rest) error {
	server, err := s.change(ctx, tx, id, func(server *Server) error {
		server.Running, server.Rest = running, rest
		return nil
	}, "running", "rest")
	if err != nil || server.Host == "" {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) shelveFinish(ctx context.Context, tx *db.Tx, state *shelveState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState = Shelved, Shutdown
		server.Shelf = db.Of(&Shelf{Image: state.Image, Since: db.At(s.clock.Now())})
		server.TaskState = ""
		return nil
	}, "vm_state", "power_state", "shelf", "task_state")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "shelve.end", server)
	if err != nil || s.shelvedFor != 0 || server.TaskState == DeletingTask {
		return err
	}
	return s.startOffload(ctx, tx, server)
}

// offloadState is what the plan keeps that takes a shelved server from its host.
type offloadState struct {
	Server  string
	State   VMState
	Running bool
	Rest    Rest
}

// OffloadServer takes a shelved server from its host.
func (s *Service) OffloadServer(ctx context.Context, act Act) error {
	return s.offload(ctx, act, "shelveOffload", Shelved)
}

func (s *Service) offload(ctx context.Context, act Act, action string, states ...VMState) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, action, states...)
		if err != nil {
			return err
		}
		return s.startOffload(ctx, tx, server, append(act.options(server), work.As(action))...)
	})
}

func (s *Service) startOffload(ctx context.Context, tx *db.Tx, server Server, options ...work.Option) error {
	state := offloadState{server.ID, server.VMState, server.Running, server.Rest}
	server.TaskState = Offloading
	err := s.save(ctx, tx, &server, "task_state")
	if err != nil {
		return err
	}
	_, err = work.Start(ctx, tx, s.offloadPlan(), server.ID, state, append([]work.Option{work.Project(server.Project), server.shutdown()}, options...)...)
	return err
}

// offloadPlan goes only forward once the guest has stopped: its image or its
// volumes have all that it is.
func (s *Service) offloadPlan() work.Plan[offloadState] {
	return work.Plan[offloadState]{
		Name: "server.shelve_offload", Action: "shelveOffload", Deadline: changeDeadline,
		Steps: []work.Step[offloadState]{
			{Name: "stop", Tx: func(ctx context.Context, tx *db.Tx, state *offloadState) error {
				err := s.tellID(ctx, tx, "shelve_offload.start", state.Server)
				if err != nil {
					return err
				}
				return s.rest(ctx, tx, state.Server, false, Awake)
			}, UndoTx: func(ctx context.Context, tx *db.Tx, state *offloadState) error {
				return s.rest(ctx, tx, state.Server, state.Running, state.Rest)
			}},
			{Name: "wait until it has stopped", Do: s.offloadStopped, NoReturn: true},
			{Name: "remove machine", Do: func(ctx context.Context, state *offloadState) error { return s.forget(ctx, state.Server) }},
			{Name: "finish", Tx: s.offloadFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *offloadState, _ error) error {
			return s.idle(ctx, tx, state.Server)
		},
	}
}

// offloadStopped does not wait for a host that is down where the guest had been
// stopped before.
func (s *Service) offloadStopped(ctx context.Context, state *offloadState) error {
	if state.State == Shelved {
		return nil
	}
	return s.waitPower(ctx, state.Server, false)
}

func (s *Service) offloadFinish(ctx context.Context, tx *db.Tx, state *offloadState) error {
	err := s.depart(ctx, tx, state.Server)
	if err == nil {
		err = s.release(ctx, tx, state.Server)
	}
	if err != nil {
		return err
	}
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState, server.Host = Offloaded, NoState, ""
		if server.Shelf.V == nil {
			server.Shelf = db.Of(&Shelf{Since: db.At(s.clock.Now())})
		}
		server.TaskState = ""
		return nil
	}, "vm_state", "power_state", "host", "shelf", "task_state")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "shelve_offload.end", server)
}

// clearShelf takes servers from their hosts that have been shelved for long.
func (s *Service) clearShelf(ctx context.Context) error {
	if s.shelvedFor < 0 {
		return nil
	}
	var servers []Server
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &servers, "SELECT * FROM servers WHERE "+seldom+" AND vm_state = ? AND task_state = '' AND deleted_at = 0", Shelved)
	})
	if err != nil {
		return fmt.Errorf("list shelved servers: %w", err)
	}
	for _, server := range servers {
		if server.Shelf.V != nil && s.clock.Now().Sub(server.Shelf.V.Since.Time()) < s.shelvedFor {
			continue
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error { return s.startOffload(ctx, tx, server) })
		if err != nil {
			return fmt.Errorf("offload server %s: %w", server.ID, err)
		}
		loop.Did(ctx, "server_id", server.ID)
	}
	return nil
}

// shelfEvery is how often clearShelf looks.
const shelfEvery = 10 * time.Second
