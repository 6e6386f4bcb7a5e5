package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// InjectNetworkInfo tells the host once more what the server's cards are.
func (s *Service) InjectNetworkInfo(ctx context.Context, act Act) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.unlocked(server)
		if err != nil {
			return err
		}
		if server.Host == "" {
			return errs.Conflictf("Instance %s is not ready", server.ID)
		}
		return s.want(ctx, tx, server)
	})
}

// UserData returns what a server was given for its guest, in base 64.
func (s *Service) UserData(ctx context.Context, id string) (string, error) {
	var row secrets
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = secretsOf(ctx, tx, id)
		return err
	})
	return row.UserData, err
}
