package compute

import (
	"context"
	"fmt"
	"strings"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/vif"
)

// Topic is where events of this service go.
const Topic = "notifications.nova"

// told is what is stored of what happened to a server: facts, from which the
// versioned notification and the unversioned one are worded when they leave
// (notification.go). Rows in the outbox have its fields' names.
type told struct {
	Server  Server
	Zone    string // where the server is, or was asked for
	Ports   []vif.Port
	Tags    []string  // creations and updates
	KeyPair []KeyPair // creations: the one it was made with, if it is still there
	Volume  string    // volumes that come and go
	Swap    string    // the one that takes its place
	Before  *Server   // updates: as it was
}

// tell tells what happens to a server, in the transaction in which it happens.
func (s *Service) tell(ctx context.Context, tx *db.Tx, action string, server Server) error {
	return s.tellFacts(ctx, tx, action, told{Server: server})
}

// tellOfVolume tells that a volume comes to a server or goes.
func (s *Service) tellOfVolume(ctx context.Context, tx *db.Tx, action string, server Server, volume string) error {
	return s.tellFacts(ctx, tx, action, told{Server: server, Volume: volume})
}

// tellUpdate tells that a server was changed from what it was before.
func (s *Service) tellUpdate(ctx context.Context, tx *db.Tx, before, server Server) error {
	return s.tellFacts(ctx, tx, "update", told{Server: server, Before: &before})
}

func (s *Service) tellFacts(ctx context.Context, tx *db.Tx, action string, facts told) error {
	if !bus.Emits(tx) {
		return nil
	}
	server := facts.Server
	ports, err := s.networks.PortsOf(ctx, tx, server.ID)
	if err != nil {
		return fmt.Errorf("tell of %s: %w", action, err)
	}
	facts.Ports, facts.Zone = ports[server.ID], server.Zone
	if server.Host != "" {
		facts.Zone = s.ZoneOf(server.Host)
	}
	creation := strings.HasPrefix(action, "create.")
	if creation || action == "update" {
		facts.Tags, err = tagsOf(ctx, tx, server.ID)
	}
	if err == nil && creation && server.KeyName != nil {
		err = tx.All(ctx, &facts.KeyPair, "SELECT * FROM keypairs WHERE user_id = ? AND name = ?", server.UserID, *server.KeyName)
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", action, err)
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "instance." + action, Resource: server.ID, Payload: facts})
}

// tellID is tell for steps that don't have the server at hand.
func (s *Service) tellID(ctx context.Context, tx *db.Tx, action, id string) error {
	if !bus.Emits(tx) {
		return nil
	}
	server, err := anyServer(ctx, tx, "", id)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, action, server)
}

func tagsOf(ctx context.Context, tx *db.Tx, server string) ([]string, error) {
	list := []string{}
	err := tx.All(ctx, &list, "SELECT tag FROM server_tags WHERE server = ? ORDER BY tag", server)
	if err != nil {
		return nil, fmt.Errorf("read tags of server %s: %w", server, err)
	}
	return list, nil
}

// toldFlavor is what is stored of what happened to a flavor.
type toldFlavor struct {
	Flavor   Flavor
	Projects []string // updates: who has access
}

// tellFlavor tells of a flavor, in the transaction that changes it.
func tellFlavor(ctx context.Context, tx *db.Tx, action string, f Flavor) error {
	facts := toldFlavor{Flavor: f, Projects: []string{}}
	if action == "update" {
		err := tx.All(ctx, &facts.Projects, "SELECT project FROM flavor_access WHERE flavor = ? ORDER BY project", f.ID)
		if err != nil {
			return fmt.Errorf("read access to flavor %s: %w", f.ID, err)
		}
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "flavor." + action, Resource: f.ID, Payload: facts})
}

// tellKeyPair tells of a key pair. Nothing lies between the start and the end of
// what one transaction does; listeners may wait for either.
func tellKeyPair(ctx context.Context, tx *db.Tx, action string, pair KeyPair) error {
	for _, phase := range []string{".start", ".end"} {
		err := bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "keypair." + action + phase, Resource: pair.UserID + "/" + pair.Name, Payload: pair})
		if err != nil {
			return err
		}
	}
	return nil
}
