package compute

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// serveRoot gives a node the root disk of a machine that comes to it from another
// host: whose document says so.
func (s *Service) serveRoot(ctx context.Context, host, id string) (func(*nodeapi.Stream) error, error) {
	machines, err := s.machinesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	here, wanted := machines[host]
	if !wanted || here.Root == nil || here.Root.From == "" || here.Root.From == host {
		return nil, errs.NotFoundf("The disk of instance %s does not come to host %s.", id, host)
	}
	far, err := s.hosts.Tunnel(ctx, here.Root.From, nodeapi.StreamRoot, id)
	if err != nil {
		return nil, err
	}
	return func(near *nodeapi.Stream) error {
		defer far.Close()
		_, err := io.Copy(near, far)
		return err
	}, nil
}

// machinesOf is what each host should have of a server.
func (s *Service) machinesOf(ctx context.Context, id string) (map[string]nodeapi.Machine, error) {
	machines := map[string]nodeapi.Machine{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		documents, err := s.hosts.Documents(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, d := range documents {
			if d.Kind != nodeapi.KindMachine || d.Forgotten {
				continue
			}
			var m nodeapi.Machine
			err = json.Unmarshal(d.Desired, &m)
			if err != nil {
				return fmt.Errorf("read machine %s of host %s: %w", id, d.Host, err)
			}
			machines[d.Host] = m
		}
		return nil
	})
	return machines, err
}
