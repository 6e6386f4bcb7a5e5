package compute

import (
	"context"
	"fmt"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/vif"
	"nacre/internal/work"
)

// portState is what the plans about one card keep.
type portState struct {
	Server string
	Port   string
}

// cardStates are the states of servers whose cards may change.
var cardStates = []VMState{Active, PausedState, Stopped}

// AttachPort gives a server another card, which exists when this returns and
// is plugged in soon after.
func (s *Service) AttachPort(ctx context.Context, act Act, caller auth.Caller, in NewCard) (vif.Port, error) {
	err := s.checkCard(ctx, act, caller, &in)
	if err != nil {
		return vif.Port{}, err
	}
	var port vif.Port
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "attach_interface", cardStates...)
		if err != nil {
			return err
		}
		row := Card{Server: server.ID, Port: in.Port, Ours: in.Port == "", Tag: in.Tag, State: attaching}
		err = tx.Get(ctx, &row.Seq, "SELECT COALESCE(MAX(seq), -1) + 1 FROM server_ports WHERE server = ?", server.ID)
		if err != nil {
			return fmt.Errorf("count ports of server %s: %w", server.ID, err)
		}
		zone := s.ZoneOf(server.Host)
		if row.Ours {
			row.Port = s.newID()
			err = s.networks.CreatePort(ctx, tx, NewPort{
				ID: row.Port, Project: server.Project, Network: in.Network, FixedIP: in.FixedIP,
				Server: server.ID, Zone: zone, DNSName: server.Hostname,
			})
		} else {
			err = s.networks.TakePort(ctx, tx, row.Port, server.ID, zone)
		}
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil {
			return fmt.Errorf("insert port: %w", err)
		}
		_, err = work.Start(ctx, tx, s.attachPortPlan(), server.ID, portState{server.ID, row.Port}, act.options(server)...)
		if err != nil {
			return err
		}
		ports, err := s.networks.PortsOf(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		for _, p := range ports[server.ID] {
			if p.ID == row.Port {
				port = p
			}
		}
		return nil
	})
	return port, err
}

// checkCard finds the network or port that was asked for.
func (s *Service) checkCard(ctx context.Context, act Act, caller auth.Caller, in *NewCard) error {
	switch {
	case in.Port != "":
		p, err := s.networks.FreePort(ctx, caller, in.Port)
		in.Network = p.Network
		return err
	case in.Network != "":
		_, err := s.networks.Network(ctx, caller, *in)
		if errs.Is(err, errs.NotFound) {
			return errs.NotFoundf("Network %s could not be found.", in.Network)
		}
		return err
	}
	all, err := s.networks.Available(ctx, caller)
	if err != nil {
		return err
	}
	switch len(all) {
	case 0:
		return errs.BadRequestf("No networks found.")
	case 1:
		in.Network = all[0].ID
		return nil
	}
	return errs.Conflictf("Multiple possible networks found, use a Network ID to be more specific.")
}

func (s *Service) attachPortPlan() work.Plan[portState] {
	return work.Plan[portState]{
		Name: "server.attach_interface", Action: "attach_interface", Deadline: changeDeadline,
		Steps: []work.Step[portState]{
			{Name: "bind port", Tx: s.plugBind, Undo: s.undoPlug},
			{Name: "wait for the card", Do: func(ctx context.Context, state *portState) error { return s.waitSettled(ctx, state.Server) }},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *portState) error {
				err := s.plugFinish(ctx, tx, state)
				if err != nil {
					return err
				}
				return s.tellID(ctx, tx, "interface_attach.end", state.Server)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *portState, _ error) error {
			return s.dropCard(ctx, tx, state, "interface_attach.error")
		},
	}
}

func (s *Service) plugBind(ctx context.Context, tx *db.Tx, state *portState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	err = s.networks.BindPort(ctx, tx, state.Port, server.Host)
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "interface_attach.start", server)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) plugFinish(ctx context.Context, tx *db.Tx, state *portState) error {
	_, err := tx.Exec(ctx, "UPDATE server_ports SET state = ? WHERE server = ? AND port = ?", attached, state.Server, state.Port)
	return err
}

// undoPlug takes the card out of the machine.
func (s *Service) undoPlug(ctx context.Context, state *portState) error {
	return s.unplugCard(ctx, state, func() error { return s.waitAnswer(ctx, state.Server) })
}

// withoutCard wants the machine without the card and waits until the guest has lost it.
func (s *Service) withoutCard(ctx context.Context, state *portState) error {
	return s.unplugCard(ctx, state, func() error { return s.waitSettled(ctx, state.Server) })
}

func (s *Service) unplugCard(ctx context.Context, state *portState, wait func() error) error {
	return s.without(ctx, state.Server, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE server_ports SET state = ? WHERE server = ? AND port = ?", detaching, state.Server, state.Port)
		return err
	}, wait)
}

// dropCard ends a card and tells of it as the action.
func (s *Service) dropCard(ctx context.Context, tx *db.Tx, state *portState, action string) error {
	var rows []Card
	err := tx.All(ctx, &rows, "SELECT * FROM server_ports WHERE server = ? AND port = ?", state.Server, state.Port)
	if err != nil {
		return fmt.Errorf("read port %s: %w", state.Port, err)
	}
	err = s.drop(ctx, tx, state.Server, rows)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM server_ports WHERE server = ? AND port = ?", state.Server, state.Port)
	if err != nil {
		return err
	}
	return s.tellID(ctx, tx, action, state.Server)
}

// DetachPort begins to take a card from a server.
func (s *Service) DetachPort(ctx context.Context, act Act, port string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "detach_interface", cardStates...)
		if err == nil {
			err = server.letsGo("detach_interface")
		}
		if err != nil {
			return err
		}
		cards, err := cardsOf(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(cards, func(c Card) bool { return c.Port == port })
		switch {
		case at < 0:
			return errs.NotFoundf("Port %s is not attached to the instance %s.", port, server.ID)
		case cards[at].State == detaching:
			return nil // it is on its way, whoever asks how often
		}
		_, err = tx.Exec(ctx, "UPDATE server_ports SET state = ? WHERE server = ? AND port = ?", detaching, server.ID, port)
		if err != nil {
			return fmt.Errorf("mark port %s: %w", port, err)
		}
		_, err = work.Start(ctx, tx, s.detachPortPlan(), server.ID, portState{server.ID, port}, act.options(server)...)
		return err
	})
}

// detachPortPlan waits for the guest to let the card go. One that doesn't in time keeps
// it. Its last step, which frees the port, has the name that clients wait for.
func (s *Service) detachPortPlan() work.Plan[portState] {
	return work.Plan[portState]{
		Name: "server.detach_interface", Action: "detach_interface", Deadline: letGoDeadline,
		Steps: []work.Step[portState]{
			{Name: "begin", Tx: func(ctx context.Context, tx *db.Tx, state *portState) error {
				return s.tellID(ctx, tx, "interface_detach.start", state.Server)
			}},
			{Name: "remove the card", Do: s.withoutCard, NoReturn: true},
			{Name: "compute_detach_interface", Tx: func(ctx context.Context, tx *db.Tx, state *portState) error {
				return s.dropCard(ctx, tx, state, "interface_detach.end")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *portState, _ error) error {
			err := s.plugFinish(ctx, tx, state)
			if err != nil {
				return err
			}
			return s.wantAgain(ctx, tx, state.Server)
		},
	}
}

// Cards lists the ports of a server with what compute knows of each.
func (s *Service) Cards(ctx context.Context, project, id string) (Server, []vif.Port, map[string]Card, error) {
	var server Server
	var ports []vif.Port
	cards := map[string]Card{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, project, id)
		if err != nil {
			return err
		}
		list, err := cardsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, card := range list {
			cards[card.Port] = card
		}
		all, err := s.networks.PortsOf(ctx, tx, id)
		ports = all[id]
		return err
	})
	return server, ports, cards, err
}
