package api

import (
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/network"
)

type agentView struct {
	ID             string         `json:"id"`
	Type           string         `json:"agent_type"`
	Binary         string         `json:"binary"`
	Topic          string         `json:"topic"`
	Host           string         `json:"host"`
	AdminUp        bool           `json:"admin_state_up"`
	Alive          bool           `json:"alive"`
	Zone           string         `json:"availability_zone"`
	Description    string         `json:"description"`
	Configurations map[string]any `json:"configurations"`
	Synced         *bool          `json:"resources_synced"`
	CreatedAt      time.Time      `json:"created_at"`
	StartedAt      time.Time      `json:"started_at"`
	Heartbeat      time.Time      `json:"heartbeat_timestamp"`
}

// viewAgent shows a host's controller as Neutron shows OVN's, which are no
// agents of its own either.
func viewAgent(h network.Host) agentView {
	return agentView{
		ID: h.ID, Type: "OVN Controller Gateway agent", Binary: "ovn-controller", Host: h.Name, AdminUp: h.AdminUp, Alive: h.Up,
		Description: h.Description, Configurations: map[string]any{},
		CreatedAt: h.CreatedAt, StartedAt: h.CreatedAt, Heartbeat: h.SeenAt,
	}
}

func (h handlers) listAgents(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if errs.Is(err, errs.Forbidden) {
		return nothing(c, "agents"), nil
	}
	if err != nil {
		return nil, err
	}
	hosts, err := h.net.Agents(c.Context())
	if err != nil {
		return nil, err
	}
	views := []any{}
	for _, host := range hosts {
		v := viewAgent(host)
		keep, err := matches(c, map[string]string{
			"id": v.ID, "host": v.Host, "agent_type": v.Type, "binary": v.Binary, "topic": v.Topic, "description": v.Description,
			"availability_zone": v.Zone, "alive": word(v.Alive), "admin_state_up": word(v.AdminUp),
		})
		if err != nil {
			return nil, err
		}
		if keep {
			views = append(views, fields(c, v))
		}
	}
	return map[string]any{"agents": views}, nil
}

func (h handlers) showAgent(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	host, err := h.net.Agent(c.Context(), c.PathValue("agent_id"))
	if err != nil {
		return nil, err
	}
	return show(c, "agent", viewAgent(host)), nil
}

type agentRequest struct {
	Agent struct {
		AdminUp     *api.Bool `json:"admin_state_up"`
		Description *string   `json:"description" check:"max=255"`
	} `json:"agent" check:"required"`
}

func (h handlers) updateAgent(c *api.Call, in agentRequest) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	host, err := h.net.UpdateAgent(c.Context(), c.PathValue("agent_id"), truth(in.Agent.AdminUp), in.Agent.Description)
	if err != nil {
		return nil, err
	}
	return show(c, "agent", viewAgent(host)), nil
}

func (h handlers) deleteAgent(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.net.DeleteAgent(c.Context(), c.PathValue("agent_id"))
}
