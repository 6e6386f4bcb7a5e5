package compute

import (
	"context"
	"fmt"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// extendedState is what the plan keeps that waits for a guest to see a larger
// volume.
type extendedState struct {
	Server string
	Volume string
}

// Extended hears that a volume of a server has grown: the guest is to see it. A
// server that is gone is a success. Whoever extended the volume finds among the
// server's actions whether the guest has seen it.
func (s *Service) Extended(ctx context.Context, tx *db.Tx, server, volume string, size int64) error {
	n, err := tx.Exec(ctx, "UPDATE server_volumes SET grown = ? WHERE server = ? AND volume = ?", size, server, volume)
	if err != nil {
		return fmt.Errorf("note the size of volume %s: %w", volume, err)
	}
	found, err := getServer(ctx, tx, "", server)
	if n == 0 || errs.Is(err, errs.NotFound) || err == nil && found.Host == "" {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.want(ctx, tx, found)
	if err != nil {
		return err
	}
	by := bus.InitiatorOf(ctx)
	_, err = work.Start(ctx, tx, s.extendedPlan(), server, extendedState{server, volume},
		work.Project(found.Project), work.By(work.Caller{User: by.User, Project: by.Project, Request: by.RequestID}))
	return err
}

// extendedPlan has the names that clients look for.
func (s *Service) extendedPlan() work.Plan[extendedState] {
	return work.Plan[extendedState]{
		Name: "server.extend_volume", Action: "extend_volume", Deadline: changeDeadline,
		Steps: []work.Step[extendedState]{
			{Name: "compute_extend_volume", Do: func(ctx context.Context, state *extendedState) error {
				err := s.waitSettled(ctx, state.Server)
				if errs.Is(err, errs.NotFound) {
					return nil
				}
				return err
			}},
		},
	}
}
