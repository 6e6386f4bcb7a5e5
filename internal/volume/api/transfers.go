package api

import (
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/volume"
)

// transfers are there twice: since 3.55 under a name that snapshots come along with.
func (h handlers) transfers() []api.Route {
	var routes []api.Route
	for _, at := range []struct {
		path  string
		since api.Version
	}{{"/os-volume-transfer", 0}, {"/volume-transfers", withSnapshots}} {
		one := at.path + "/{transfer_id}"
		routes = append(routes,
			api.Route{Method: "POST", Path: one + "/accept", Rule: "volume:accept_transfer", OK: 202, Since: at.since, Do: api.Body(h.acceptTransfer)},
			api.Route{Method: "POST", Path: at.path, Rule: "volume:create_transfer", OK: 202, Since: at.since, Do: api.Body(h.createTransfer)},
			api.Route{Method: "GET", Path: at.path, Rule: "volume:get_all_transfers", Since: at.since, Do: api.Get(h.listTransfers)},
			api.Route{Method: "GET", Path: one, Rule: "volume:get_transfer", Since: at.since, Do: api.Get(h.showTransfer)},
			api.Route{Method: "DELETE", Path: one, Rule: "volume:delete_transfer", OK: 202, Since: at.since, Do: api.Empty(h.deleteTransfer)},
			api.Route{Method: "GET", Path: at.path + "/detail", Rule: "volume:get_all_transfers", Since: at.since, Do: api.Get(h.listTransfersDetail)},
		)
	}
	return routes
}

var withSnapshots = api.V(3, 55)

// newer tells whether the call is at the newer name.
func newer(c *api.Call) bool { return strings.HasPrefix(c.Route().Path, "/volume-transfers") }

type transferSummary struct {
	ID     string     `json:"id"`
	Volume string     `json:"volume_id"`
	Name   *string    `json:"name"`
	Links  []api.Link `json:"links"`
}

type transferView struct {
	transferSummary
	CreatedAt   api.Micros `json:"created_at"`
	AuthKey     string     `json:"auth_key,omitempty"` // told once
	NoSnapshots any        `json:"no_snapshots,omitempty"`
	Source      string     `json:"source_project_id" since:"3.57"`
	Destination *string    `json:"destination_project_id" since:"3.57"`
	Accepted    bool       `json:"accepted" since:"3.57"`
}

type transferReply[V any] struct {
	Transfer V `json:"transfer"`
}

func summarizeTransfer(c *api.Call, t volume.Transfer) transferSummary {
	return transferSummary{t.ID, t.Volume, orNull(t.Name), links(c, "/os-volume-transfer/"+t.ID)}
}

func viewTransfer(c *api.Call, t volume.Transfer) transferView {
	view := transferView{transferSummary: summarizeTransfer(c, t), CreatedAt: stamp(t.CreatedAt), Source: t.Project}
	if c.Version >= withSnapshots {
		without := !t.Snapshots
		view.NoSnapshots = &without
	}
	return view
}

type createTransferRequest struct {
	Transfer struct {
		Volume      string    `json:"volume_id" check:"required,pattern=uuid"`
		Name        *string   `json:"name" check:"max=255"`
		NoSnapshots *api.Bool `json:"no_snapshots" since:"3.55"`
	} `json:"transfer" check:"required"`
}

func (h handlers) createTransfer(c *api.Call, in createTransferRequest) (transferReply[transferView], error) {
	v, err := h.service.Volume(c.Context(), viewer(c), in.Transfer.Volume)
	if err != nil {
		return transferReply[transferView]{}, err
	}
	err = c.Authorize(of(v.Project))
	if err != nil {
		return transferReply[transferView]{}, err
	}
	snapshots := newer(c) && (in.Transfer.NoSnapshots == nil || !bool(*in.Transfer.NoSnapshots))
	t, key, err := h.service.CreateTransfer(c.Context(), viewer(c), v.ID, first(in.Transfer.Name), snapshots)
	if err != nil {
		return transferReply[transferView]{}, err
	}
	view := viewTransfer(c, t)
	view.AuthKey = key
	return transferReply[transferView]{view}, nil
}

var transferList = api.List{
	Sorts:   map[string]string{"id": "id", "name": "name", "display_name": "name", "volume_id": "volume", "created_at": "created_at"},
	Default: newestFirst,
	Filters: map[string]db.Filter{"id": {Column: "id"}, "name": {Column: "name"}, "volume_id": {Column: "volume"}},
}

func (h handlers) transferList() listing[volume.Transfer] {
	return listing[volume.Transfer]{
		List: transferList, name: "transfers", links: "transfers_links", read: h.service.Transfers,
		id: func(t volume.Transfer) string { return t.ID },
	}
}

func (h handlers) listTransfers(c *api.Call) (listReply, error) {
	return h.transferList().answer(c, func(t volume.Transfer) any { return summarizeTransfer(c, t) })
}

func (h handlers) listTransfersDetail(c *api.Call) (listReply, error) {
	return h.transferList().answer(c, func(t volume.Transfer) any { return viewTransfer(c, t) })
}

func (h handlers) foundTransfer(c *api.Call) (volume.Transfer, error) {
	t, err := h.service.Transfer(c.Context(), viewer(c), c.PathValue("transfer_id"))
	if err != nil {
		return volume.Transfer{}, err
	}
	return t, c.Authorize(of(t.Project))
}

func (h handlers) showTransfer(c *api.Call) (transferReply[transferView], error) {
	t, err := h.foundTransfer(c)
	return transferReply[transferView]{viewTransfer(c, t)}, err
}

func (h handlers) deleteTransfer(c *api.Call) error {
	t, err := h.foundTransfer(c)
	if err != nil {
		return err
	}
	return h.service.DeleteTransfer(c.Context(), viewer(c), t.ID)
}

// authKey is a key, which clients also send as a number when it looks like one.
type authKey string

// UnmarshalJSON implements json.Unmarshaler.
func (k *authKey) UnmarshalJSON(b []byte) error {
	text, err := strconv.Unquote(string(b))
	if err != nil {
		text = string(b)
	}
	*k = authKey(text)
	return nil
}

// JSONSchema implements api.Schemer.
func (authKey) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "integer"}}
}

type acceptRequest struct {
	Accept struct {
		Key authKey `json:"auth_key" check:"required"`
	} `json:"accept" check:"required"`
}

func (h handlers) acceptTransfer(c *api.Call, in acceptRequest) (transferReply[transferSummary], error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return transferReply[transferSummary]{}, err
	}
	t, err := h.service.AcceptTransfer(c.Context(), viewer(c), c.PathValue("transfer_id"), string(in.Accept.Key))
	return transferReply[transferSummary]{summarizeTransfer(c, t)}, err
}
