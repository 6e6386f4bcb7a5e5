package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/volume"
)

func (h handlers) messages() []api.Route {
	const one = "/messages/{message_id}"
	since := api.V(3, 3)
	return []api.Route{
		{Method: "DELETE", Path: one, Rule: "message:delete", Since: since, OK: 204, Do: api.Empty(h.deleteMessage)},
		{Method: "GET", Path: one, Rule: "message:get", Since: since, Do: api.Get(h.showMessage)},
		{Method: "GET", Path: "/messages", Rule: "message:get_all", Since: since, Do: api.Get(h.listMessages)},
		{Method: "GET", Path: "/resource_filters", Rule: "any", Since: api.V(3, 33), Do: api.Get(h.resourceFilters)},
	}
}

type messageView struct {
	ID           string     `json:"id"`
	Event        string     `json:"event_id"`
	Text         string     `json:"user_message"`
	Level        string     `json:"message_level"`
	CreatedAt    api.Micros `json:"created_at"`
	Guaranteed   api.Micros `json:"guaranteed_until"`
	Request      string     `json:"request_id"`
	ResourceType string     `json:"resource_type"`
	Resource     string     `json:"resource_uuid"`
	Links        []api.Link `json:"links"`
}

type messageReply struct {
	Message messageView `json:"message"`
}

func viewMessage(c *api.Call, m volume.Message) messageView {
	return messageView{
		m.ID, m.Event, m.Text(), m.Level, stamp(m.CreatedAt), stamp(m.ExpiresAt), m.Request, m.ResourceType, m.Resource,
		links(c, "/messages/"+m.ID),
	}
}

var messageList = api.List{
	Sorts: map[string]string{
		"id": "id", "event_id": "event", "resource_uuid": "resource", "resource_type": "resource_type", "request_id": "request",
		"message_level": "level", "created_at": "created_at", "guaranteed_until": "expires_at",
	},
	Default: newestFirst,
	Filters: map[string]db.Filter{
		"event_id": {Column: "event"}, "resource_uuid": {Column: "resource"}, "resource_type": {Column: "resource_type"},
		"request_id": {Column: "request"}, "message_level": {Column: "level"},
	},
}

func (h handlers) listMessages(c *api.Call) (listReply, error) {
	l := listing[volume.Message]{
		List: messageList, name: "messages", links: "messages_links", read: h.service.Messages,
		id: func(m volume.Message) string { return m.ID },
	}
	return l.answer(c, func(m volume.Message) any { return viewMessage(c, m) })
}

func (h handlers) foundMessage(c *api.Call) (volume.Message, error) {
	m, err := h.service.Message(c.Context(), viewer(c), c.PathValue("message_id"))
	if err != nil {
		return volume.Message{}, err
	}
	return m, c.Authorize(of(m.Project))
}

func (h handlers) showMessage(c *api.Call) (messageReply, error) {
	m, err := h.foundMessage(c)
	return messageReply{viewMessage(c, m)}, err
}

func (h handlers) deleteMessage(c *api.Call) error {
	m, err := h.foundMessage(c)
	if err != nil {
		return err
	}
	return h.service.DeleteMessage(c.Context(), viewer(c), m.ID)
}
