package network

import (
	"context"
	"time"

	"nacre/internal/errs"
)

// Host is a machine with the network's controller on it, as far as the network
// service needs to know.
type Host struct {
	ID, Name  string
	Up        bool
	CreatedAt time.Time
	SeenAt    time.Time
}

// Agents lists the hosts. Each has one agent: the controller of the switch.
func (s *Service) Agents(ctx context.Context) ([]Host, error) {
	if s.hosts == nil {
		return nil, nil
	}
	return s.hosts(ctx)
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
	return Host{}, errs.NotFoundf("Agent %s could not be found.", id).Typed("AgentNotFound")
}
