package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/hosts"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// What plans wait for: that a server's host has answered the newest document of it, and
// all is as desired. A refusal is a classified error.

// wait returns nil when that is so, with what the host saw.
func (s *Service) wait(ctx context.Context, server Server, into *nodeapi.MachineObserved) error {
	return s.waitOn(ctx, server.Host, server.ID, into)
}

// waitOn is wait for any host.
func (s *Service) waitOn(ctx context.Context, host, id string, into *nodeapi.MachineObserved) error {
	return s.db.Read(ctx, func(tx *db.Tx) error { return s.settled(ctx, tx, host, id, into) })
}

// settled is waitOn for who has a transaction.
func (s *Service) settled(ctx context.Context, tx *db.Tx, host, id string, into *nodeapi.MachineObserved) error {
	answered, err := s.hosts.Observed(ctx, tx, host, nodeapi.KindMachine, id, into)
	if err != nil {
		return err
	}
	return hosts.Waiting(host, s.hostUp(host), answered, into.Problem, into.Refused)
}

// seen is wait for who wants to know the server, too.
func (s *Service) seen(ctx context.Context, id string) (Server, nodeapi.MachineObserved, error) {
	var seen nodeapi.MachineObserved
	server, err := s.Server(ctx, "", id)
	if err == nil {
		err = s.wait(ctx, server, &seen)
	}
	return server, seen, err
}

// waitSettled is wait for who has but the id.
func (s *Service) waitSettled(ctx context.Context, id string) error {
	return s.at(ctx, id, func(tx *db.Tx, at place) error {
		return s.settled(ctx, tx, at.Host, id, new(nodeapi.MachineObserved))
	})
}

// waitAnswer is waitSettled, but the host may have a problem: what is undone waits for
// no guest.
func (s *Service) waitAnswer(ctx context.Context, id string) error {
	return s.at(ctx, id, func(tx *db.Tx, at place) error {
		answered, err := s.hosts.Observed(ctx, tx, at.Host, nodeapi.KindMachine, id, nil)
		if err != nil {
			return err
		}
		return hosts.Waiting(at.Host, s.hostUp(at.Host), answered, "", false)
	})
}

// waitPower is waitSettled, and the guest runs, or doesn't.
func (s *Service) waitPower(ctx context.Context, id string, running bool) error {
	return s.at(ctx, id, func(tx *db.Tx, at place) error { return s.powered(ctx, tx, at.Host, id, running) })
}

// powered is waitPower for who has a transaction.
func (s *Service) powered(ctx context.Context, tx *db.Tx, host, id string, running bool) error {
	var seen nodeapi.MachineObserved
	err := s.settled(ctx, tx, host, id, &seen)
	if err == nil && seen.Running != running {
		err = work.NotYet("waiting for host %s to %s the guest", host, map[bool]string{true: "start", false: "stop"}[running])
	}
	return err
}

// portPatience is how long a running guest waits for its network. A guest
// that boots before its network is better than none.
const portPatience = time.Minute

// waitUp is waitPower, and the network has reported the server's ports up.
func (s *Service) waitUp(ctx context.Context, id string, running bool) error {
	return s.at(ctx, id, func(tx *db.Tx, at place) error {
		err := s.powered(ctx, tx, at.Host, id, running)
		if err != nil || s.clock.Now().Sub(at.UpdatedAt.Time()) > portPatience {
			return err
		}
		port, err := s.networks.PortDown(ctx, tx, id)
		if err == nil && port != "" {
			err = work.NotYet("waiting for the network to report port %s up on host %s", port, at.Host)
		}
		return err
	})
}

// place is what waiting has to know of a server: every boot reads it a few times.
type place struct {
	Host      string
	UpdatedAt db.Time
}

// at looks, in one transaction, where a server is and at what is waited for there.
func (s *Service) at(ctx context.Context, id string, look func(tx *db.Tx, at place) error) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var at place
		err := tx.Get(ctx, &at, "SELECT host, updated_at FROM servers WHERE id = ? AND vm_state <> ?", id, Deleted)
		if errors.Is(err, sql.ErrNoRows) {
			return noServer(id)
		}
		if err != nil {
			return fmt.Errorf("read where server %s is: %w", id, err)
		}
		return look(tx, at)
	})
}
