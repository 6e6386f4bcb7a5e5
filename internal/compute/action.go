package compute

import (
	"context"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// Act is one request about a server that exists.
type Act struct {
	Server  string
	Project string // "" for any
	User    string
	By      string // the user's project
	Request string // request id
	Admin   bool   // may act on a locked server
}

func (a Act) options(server Server) []work.Option {
	return []work.Option{
		work.Project(server.Project),
		work.By(work.Caller{User: a.User, Project: a.By, Request: a.Request}),
	}
}

// unlocked refuses to touch a locked server.
func (a Act) unlocked(server Server) error {
	if server.Locked && !a.Admin {
		return errs.Conflictf("Instance %s is locked", server.ID)
	}
	return nil
}

// allow refuses an action on a server that is locked, is not in one of the states, or
// about which something is being done.
func (a Act) allow(server Server, action string, states ...VMState) error {
	err := a.unlocked(server)
	if err != nil {
		return err
	}
	return ready(server, action, states...)
}

// ready is allow for what changes nothing about a server, which may be locked.
func ready(server Server, action string, states ...VMState) error {
	err := mustBe(server, action, states...)
	if err == nil && server.TaskState != "" {
		return errs.Conflictf("Cannot '%s' instance %s while it is in task_state %s", action, server.ID, server.TaskState)
	}
	return err
}

// mustBe refuses an action on a server that is not in one of the states.
func mustBe(server Server, action string, states ...VMState) error {
	if !slices.Contains(states, server.VMState) {
		return errs.Conflictf("Cannot '%s' instance %s while it is in vm_state %s", action, server.ID, server.VMState)
	}
	return nil
}

// settled are the states of servers that are there, and neither being built nor moved nor failed.
var settled = []VMState{Active, Stopped, PausedState, Suspended}

// History returns what was and is being done to a server, newest first. It is
// there for deleted servers too.
func (s *Service) History(ctx context.Context, project, id string) (Server, []work.Run, error) {
	var server Server
	var runs []work.Run
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = anyServer(ctx, tx, project, id)
		if err != nil {
			return err
		}
		runs, err = work.History(ctx, tx, id)
		return err
	})
	if err != nil {
		return server, nil, fmt.Errorf("read history of server %s: %w", id, err)
	}
	return server, runs, nil
}
