package api

import (
	"time"

	"nacre/internal/api"
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
		ID: h.ID, Type: "OVN Controller Gateway agent", Binary: "ovn-controller", Host: h.Name, AdminUp: true, Alive: h.Up,
		CreatedAt: h.CreatedAt, StartedAt: h.CreatedAt, Heartbeat: h.SeenAt,
	}
}

func (h handlers) listAgents(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	hosts, err := h.net.Agents(c.Context())
	if err != nil {
		return nil, err
	}
	q := c.Query()
	views := []agentView{}
	for _, host := range hosts {
		v := viewAgent(host)
		alive, asked := api.ParseBool(q.Get("alive"))
		switch {
		case q.Has("host") && q.Get("host") != v.Host:
		case q.Has("agent_type") && q.Get("agent_type") != v.Type:
		case q.Has("binary") && q.Get("binary") != v.Binary:
		case asked && alive != v.Alive:
		default:
			views = append(views, v)
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
