package compute

import (
	"context"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// ExternalEvent is what another service tells about a server.
type ExternalEvent struct {
	Server string
	Name   string
	Status string // completed, failed or in-progress
	Tag    string // a port, a volume …
}

// Outcome is what became of an event: 200, or why it was not heard.
type Outcome int

// needTag are events that mean nothing without what they are about.
var needTag = []string{"volume-extended", "power-update", "accelerator-request-bound"}

// HearEvents acts on what other services tell, and says of each what became of it.
// Events about servers that are on no host have nowhere to go.
func (s *Service) HearEvents(ctx context.Context, events []ExternalEvent) ([]Outcome, error) {
	outcomes := make([]Outcome, len(events))
	for i, e := range events {
		server, err := s.Server(ctx, "", e.Server)
		switch {
		case errs.Is(err, errs.NotFound):
			outcomes[i] = 404
			continue
		case err != nil:
			return nil, err
		case e.Tag == "" && slices.Contains(needTag, e.Name):
			outcomes[i] = 400
			continue
		case server.Host == "":
			outcomes[i] = 422
			continue
		}
		err = s.hearOne(ctx, server, e)
		if err != nil {
			return nil, fmt.Errorf("hear %s of server %s: %w", e.Name, e.Server, err)
		}
		outcomes[i] = 200
	}
	return outcomes, nil
}

// hearOne looks at what the event is about: the facts are in the rows, so it is a hint
// that they have changed. What waits for it looks again.
func (s *Service) hearOne(ctx context.Context, server Server, e ExternalEvent) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		work.Wake(tx, server.ID)
		switch e.Name {
		case "network-changed":
			return s.wantAgain(ctx, tx, server.ID)
		case "network-vif-deleted":
			n, err := tx.Exec(ctx, "UPDATE server_ports SET state = ? WHERE server = ? AND port = ? AND state = ?", detaching, server.ID, e.Tag, attached)
			if err != nil || n == 0 {
				return err
			}
			_, err = work.Start(ctx, tx, s.detachPortPlan(), server.ID, portState{server.ID, e.Tag}, work.Project(server.Project))
			return err
		case "volume-extended":
			a, err := attachmentOf(ctx, tx, server.ID, e.Tag)
			if errs.Is(err, errs.NotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			size, err := s.volumes.Size(ctx, tx, a.Volume)
			if err != nil {
				return err
			}
			return s.Extended(ctx, tx, server.ID, a.Volume, size)
		case "power-update":
			tx.After(func() { s.machineObserved(server.ID) })
		}
		return nil
	})
}

// AssistSnapshot is asked by volume services whose volumes are files that compute
// has open: it would have the guest go on in a new file. Volumes reach guests by
// NBD here, and their own service copies them, so there is no such volume.
func (s *Service) AssistSnapshot(ctx context.Context, volume string) error {
	var servers []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &servers, "SELECT server FROM server_volumes WHERE volume = ?", volume)
	})
	switch {
	case err != nil:
		return fmt.Errorf("read who has volume %s: %w", volume, err)
	case len(servers) == 0:
		return errs.BadRequestf("No volume Block Device Mapping found with volume %s.", volume)
	case len(servers) > 1:
		return errs.BadRequestf("Block Device Mapping for volume %s is multi-attach.", volume)
	}
	return errs.BadRequestf("Invalid volume: the disk of volume %s is no file that compute could take a snapshot of; the volume service does it alone.", volume)
}
