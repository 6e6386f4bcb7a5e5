package compute

import (
	"context"
	"errors"
	"slices"

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
func (s *Service) claimElsewhere(ctx context.Context, tx *db.Tx, server Server, migration string, to destination) (host string, err error) {
	err = s.pass(ctx, tx, server.ID, migration, "MIGRATION")
	if err != nil {
		return "", err
	}
	claimed, err := s.claimHost(ctx, tx, server, to, server.Host)
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
// runs there. A host that is down is waited for, unless it is lost to the server.
func (s *Service) expel(ctx context.Context, id, host string) error {
	var gone, lost bool
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := s.hosts.Forget(ctx, tx, host, nodeapi.KindMachine, id)
		if err == nil {
			gone, err = s.hosts.Observed(ctx, tx, host, nodeapi.KindMachine, id, nil)
		}
		if err == nil {
			lost, err = s.lost(ctx, tx, id, host)
		}
		return err
	})
	switch {
	case err != nil || gone || lost:
		return err
	case !s.hostUp(host):
		return work.NotYet("waiting for host %s, which is down, to say that the guest does not run there", host)
	}
	return work.NotYet("waiting for host %s to remove the machine", host)
}

// expelled is expel for a machine that does not run: a host that is down is not
// waited for. It forgets the machine when it is back.
func (s *Service) expelled(ctx context.Context, id, host string) error {
	err := s.expel(ctx, id, host)
	if errors.Is(err, work.ErrNotYet) && !s.hostUp(host) {
		return nil
	}
	return err
}

// lost tells whether nobody waits for what a host has to say of a server: an
// operator vouches that the host is dead, or wants the server evacuated from it,
// which says the same of this server. Should it be alive, it hears that the machine
// is none of its any more before anything else, and its epochs are old.
func (s *Service) lost(ctx context.Context, tx *db.Tx, server, host string) (bool, error) {
	s.mu.RLock()
	forced := s.state[host].service.ForcedDown
	s.mu.RUnlock()
	if forced || s.hostUp(host) {
		return forced, nil
	}
	open, err := openMigrations(ctx, tx, server)
	return slices.ContainsFunc(open, func(m Migration) bool { return m.Kind == Evacuation && m.Source == host }), err
}
