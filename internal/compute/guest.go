package compute

import (
	"context"
	"encoding/json"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Diagnose asks a server's host what it counts about the guest.
func (s *Service) Diagnose(ctx context.Context, server Server) (nodeapi.Diagnostics, error) {
	var found nodeapi.Diagnostics
	if server.Host == "" {
		return found, errs.Conflictf("Instance %s is not ready", server.ID)
	}
	if server.PowerState != Running && server.PowerState != Paused {
		return found, errs.Conflictf("Cannot 'get_diagnostics' instance %s while it is in power state %s", server.ID, powerWords[server.PowerState])
	}
	reply, err := s.hosts.Ask(ctx, server.Host, nodeapi.QueryDiagnose, nodeapi.MachineQuery{Machine: server.ID})
	if err == nil {
		err = json.Unmarshal(reply, &found)
	}
	if err != nil {
		return found, fmt.Errorf("diagnose server %s: %w", server.ID, err)
	}
	return found, nil
}

// PowerWord is how a power state is spelled.
func (s *Server) PowerWord() string { return powerWords[s.PowerState] }

// ChangePassword has the agent in the guest change the administrator's password.
// Nothing of the password is kept, so it is asked at once or not at all; that it
// was asked is kept.
func (s *Service) ChangePassword(ctx context.Context, act Act, password string) error {
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	err = act.allow(server, "changePassword", Active)
	if err != nil {
		return err
	}
	began := s.clock.Now()
	_, failure := s.hosts.Ask(ctx, server.Host, nodeapi.QueryPassword, nodeapi.PasswordQuery{
		Machine: server.ID, User: server.administrator(), Password: password,
	})
	// It happened, or it did not, whether or not whoever asked still waits.
	ctx = context.WithoutCancel(ctx)
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		return work.Record(ctx, tx, "changePassword", server.ID, began, failure, act.options(server)...)
	})
	if failure != nil {
		err = failure
	}
	if err != nil {
		return fmt.Errorf("change the password of server %s: %w", server.ID, err)
	}
	return nil
}

// administrator is the account whose password is changed.
func (s *Server) administrator() string {
	properties := s.ImageProperties.V
	switch {
	case properties["os_admin_user"] != "":
		return properties["os_admin_user"]
	case properties["os_type"] == "windows":
		return "Administrator"
	}
	return "root"
}
