package compute

import (
	"context"

	"nacre/internal/db"
)

// arrive connects a server's volumes to its host and binds its ports there. A
// volume's new epoch cuts off whoever had the former.
func (s *Service) arrive(ctx context.Context, tx *db.Tx, server Server) error {
	list, err := attachmentsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.connectVolume(ctx, tx, a, server.Host)
		if err != nil {
			return err
		}
	}
	return s.eachPort(ctx, tx, server.ID, func(port string) error { return s.networks.BindPort(ctx, tx, port, server.Host) })
}

// depart takes a server's volumes and ports from its host. They stay the server's.
func (s *Service) depart(ctx context.Context, tx *db.Tx, server string) error {
	list, err := attachmentsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	for _, a := range list {
		err = s.disconnectVolume(ctx, tx, a)
		if err != nil {
			return err
		}
	}
	return s.eachPort(ctx, tx, server, func(port string) error { return s.networks.UnbindPort(ctx, tx, port) })
}

func (s *Service) disconnectVolume(ctx context.Context, tx *db.Tx, a Attachment) error {
	err := s.volumes.Disconnect(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	a.Epoch, a.Grown = 0, 0
	_, err = tx.Update(ctx, &a, "epoch", "grown")
	return err
}

// eachPort does it with each card that the server has.
func (s *Service) eachPort(ctx context.Context, tx *db.Tx, server string, do func(port string) error) error {
	cards, err := cardsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	ports, err := s.networks.PortsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, p := range ports[server] {
		has[p.ID] = true
	}
	for _, card := range cards {
		if !has[card.Port] {
			continue // somebody deleted it
		}
		err = do(card.Port)
		if err != nil {
			return err
		}
	}
	return nil
}

// there says that the server has what was connected to its host.
func (s *Service) there(ctx context.Context, tx *db.Tx, server string) error {
	list, err := attachmentsOf(ctx, tx, server)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.State == detaching {
			continue
		}
		err = s.volumes.Complete(ctx, tx, a.ID)
		if err != nil {
			return err
		}
	}
	return settle(ctx, tx, server)
}
