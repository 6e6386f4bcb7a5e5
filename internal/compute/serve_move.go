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

// serveDisk gives a node a disk of a machine that comes to it from another host:
// whose document says so.
func (s *Service) serveDisk(ctx context.Context, host, id string) (func(*nodeapi.Stream) error, error) {
	server, disk := nodeapi.ParseDiskID(id)
	machines, err := s.machinesOf(ctx, server)
	if err != nil {
		return nil, err
	}
	from := origin(machines[host], disk)
	if from == "" || from == host {
		return nil, errs.NotFoundf("The disk %q of instance %s does not come to host %s.", disk, server, host)
	}
	far, err := s.hosts.Tunnel(ctx, from, nodeapi.StreamRoot, id)
	if err != nil {
		return nil, err
	}
	return func(near *nodeapi.Stream) error {
		defer far.Close()
		_, err := io.Copy(near, far)
		return err
	}, nil
}

// origin is the host that a disk of the machine comes from, "" for none.
func origin(m nodeapi.Machine, disk string) string {
	if disk == nodeapi.RootDisk && m.Root != nil {
		return m.Root.From
	}
	for _, b := range m.Blanks {
		if b.Name == disk {
			return b.From
		}
	}
	return ""
}

// serveMove carries what a node sends of a machine that goes to another host: both
// hosts' documents say by which move.
func (s *Service) serveMove(ctx context.Context, host, id string) (func(*nodeapi.Stream) error, error) {
	machine, move, _, ok := nodeapi.ParseMoveID(id)
	if !ok {
		return nil, errs.BadRequestf("%q names no move.", id)
	}
	machines, err := s.machinesOf(ctx, machine)
	if err != nil {
		return nil, err
	}
	dest := ""
	for name, m := range machines {
		if m.Incoming != nil && m.Incoming.Move == move {
			dest = name
		}
	}
	from := machines[host].Outgoing
	if from == nil || from.Move != move || dest == "" || dest == host {
		return nil, errs.NotFoundf("Instance %s does not go anywhere from host %s by move %s.", machine, host, move)
	}
	far, err := s.hosts.Tunnel(ctx, dest, nodeapi.StreamMove, id)
	if err != nil {
		return nil, err
	}
	return func(near *nodeapi.Stream) error {
		nodeapi.Splice(nodeapi.Resetting{Stream: near}, far)
		return nil
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
