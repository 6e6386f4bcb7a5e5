package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// What plans that take a server to another host have in common. Both hosts have a
// document about the machine meanwhile. The one that has the server's host in its
// row has the guest; the other has at most a machine that does not run, and a
// disk. Before a guest starts on one host, the other one has said that it is dead
// there.

// hostKnown tells whether there is a compute host of that name.
func (s *Service) hostKnown(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state[name].service.ID != ""
}

// claimElsewhere takes room for the server on another host than its own. What it
// has is the migration's from then on.
func (s *Service) claimElsewhere(ctx context.Context, tx *db.Tx, server Server, migration, forced string) (host string, err error) {
	err = s.pass(ctx, tx, server.ID, migration, "MIGRATION")
	if err != nil {
		return "", err
	}
	claimed, err := s.claimHost(ctx, tx, server, forced, server.Host)
	return claimed.Host, err
}

// reclaim frees what the server has, and gives it back what it had before it
// moved.
func (s *Service) reclaim(ctx context.Context, tx *db.Tx, server, migration string) error {
	err := s.release(ctx, tx, server)
	if err != nil {
		return err
	}
	return s.pass(ctx, tx, migration, server, "INSTANCE")
}

// bring has the ports and volumes of a server that does not run go to a host, and
// the server with them.
func (s *Service) bring(ctx context.Context, tx *db.Tx, server *Server, to string) error {
	err := s.eachPort(ctx, tx, server.ID, func(port string) error { return s.networks.BindPort(ctx, tx, port, to) })
	if err != nil {
		return err
	}
	volumes, err := attachmentsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range volumes {
		if a.Epoch == 0 {
			continue // reserved, and not connected yet
		}
		err = s.connectVolume(ctx, tx, a, to)
		if err != nil {
			return err
		}
	}
	server.Host = to
	return nil
}

// keepDisk has the server's host keep no more of the machine than its disk.
func (s *Service) keepDisk(ctx context.Context, tx *db.Tx, server Server) error {
	machine, err := s.machine(ctx, tx, server)
	if err != nil {
		return err
	}
	machine.Running, machine.Paused, machine.Suspended, machine.Disks, machine.NICs = false, false, false, nil, nil
	_, err = s.hosts.Want(ctx, tx, server.Host, nodeapi.KindMachine, server.ID, machine)
	return err
}

// changePlace changes a server that does not run and wants it on a host. The host
// that it leaves keeps its disk.
func (s *Service) changePlace(ctx context.Context, tx *db.Tx, state *resizeState, to, action string, do func(*Server)) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	if server.Host != to {
		err = s.keepDisk(ctx, tx, server)
		if err == nil {
			err = s.bring(ctx, tx, &server, to)
		}
		if err == nil {
			err = s.save(ctx, tx, &server, "host")
		}
		if err != nil {
			return err
		}
	}
	return s.resizeWant(ctx, tx, state, action, do)
}

// expel has a host forget the machine and waits until it is certain that no guest
// runs there. A host that is down is waited for, unless an operator vouches that
// it is dead.
func (s *Service) expel(ctx context.Context, id, host string) error {
	var gone bool
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := s.hosts.Forget(ctx, tx, host, nodeapi.KindMachine, id)
		if err != nil {
			return err
		}
		gone, err = s.hosts.Observed(ctx, tx, host, nodeapi.KindMachine, id, nil)
		return err
	})
	switch {
	case err != nil || gone:
		return err
	case s.forcedDown(host):
		return nil
	case !s.hostUp(host):
		return work.NotYet("waiting for host %s, which is down, to say that the guest does not run there", host)
	}
	return work.NotYet("waiting for host %s to remove the machine", host)
}

func (s *Service) forcedDown(host string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state[host].service.ForcedDown
}
