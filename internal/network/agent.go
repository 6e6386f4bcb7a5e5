package network

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Host is a machine with the network's controller on it, as far as the network
// service needs to know.
type Host struct {
	ID, Name  string
	Up        bool
	CreatedAt time.Time
	SeenAt    time.Time

	Description string // what operators said of its controller
	AdminUp     bool
}

// agentRow is what operators said of a host's controller.
type agentRow struct {
	bun.BaseModel `bun:"table:network_agents,alias:network_agents"`

	ID          string `bun:"id,pk"`
	Description string `bun:"description"`
	AdminUp     bool   `bun:"admin_up"`
	Gone        bool   `bun:"gone"` // until it is seen again
}

func agentNotFound(id string) error {
	return errs.NotFoundf("Agent %s could not be found.", id).Typed("AgentNotFound")
}

// Agents lists the hosts. Each has one agent: the controller of the switch. One
// that operators removed shows again once its host is up.
func (s *Service) Agents(ctx context.Context) ([]Host, error) {
	if s.hosts == nil {
		return nil, nil
	}
	hosts, err := s.hosts(ctx)
	if err != nil {
		return nil, err
	}
	var said []agentRow
	err = s.db.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &said, `SELECT * FROM network_agents`) })
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	byID := map[string]agentRow{}
	for _, row := range said {
		byID[row.ID] = row
	}
	var list []Host
	for _, h := range hosts {
		row, found := byID[h.ID]
		if found && row.Gone && !h.Up {
			continue
		}
		h.Description, h.AdminUp = row.Description, !found || row.AdminUp
		list = append(list, h)
	}
	return list, nil
}

// Agent finds a host by the id of its agent.
func (s *Service) Agent(ctx context.Context, id string) (Host, error) {
	hosts, err := s.Agents(ctx)
	if err != nil {
		return Host{}, err
	}
	for _, h := range hosts {
		if h.ID == id {
			return h, nil
		}
	}
	return Host{}, agentNotFound(id)
}

// UpdateAgent notes what operators say of an agent.
func (s *Service) UpdateAgent(ctx context.Context, id string, adminUp *bool, description *string) (Host, error) {
	h, err := s.Agent(ctx, id)
	if err != nil {
		return Host{}, err
	}
	set(&h.AdminUp, adminUp)
	set(&h.Description, description)
	return h, s.noteAgent(ctx, agentRow{ID: id, Description: h.Description, AdminUp: h.AdminUp}, updated)
}

// DeleteAgent forgets the agent of a host that is down.
func (s *Service) DeleteAgent(ctx context.Context, id string) error {
	h, err := s.Agent(ctx, id)
	if err != nil {
		return err
	}
	if h.Up {
		return errs.Conflictf("Agent %s is alive: it would be back at once.", id).Typed("AgentInUse")
	}
	return s.noteAgent(ctx, agentRow{ID: id, AdminUp: true, Gone: true}, deleted)
}

func (s *Service) noteAgent(ctx context.Context, row agentRow, change string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO network_agents (id, description, admin_up, gone) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET description = excluded.description, admin_up = excluded.admin_up, gone = excluded.gone`,
			row.ID, row.Description, row.AdminUp, row.Gone)
		if err != nil {
			return fmt.Errorf("note agent %s: %w", row.ID, err)
		}
		payload := facts{"agent": facts{"id": row.ID, "admin_state_up": row.AdminUp, "description": row.Description}}
		if change == deleted {
			payload = facts{"agent_id": row.ID}
		}
		return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "agent." + change + ".end", Resource: row.ID, Payload: payload})
	})
}
