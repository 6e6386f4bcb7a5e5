package api

import (
	"context"
	"maps"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) qos() []api.Route {
	const rule, one = "volume_extension:qos_specs_manage:", "/qos-specs/{qos_id}"
	return []api.Route{
		{Method: "GET", Path: one + "/disassociate_all", Rule: rule + "update", OK: 202, Do: h.onQos(h.service.DisassociateAll)},
		{Method: "PUT", Path: one + "/delete_keys", Rule: rule + "delete", OK: 202, Do: api.BodyEmpty(h.deleteQosKeys)},
		{Method: "GET", Path: one + "/associations", Rule: rule + "get_all", Do: api.Get(h.qosAssociations)},
		{Method: "GET", Path: one + "/associate", Rule: rule + "update", OK: 202, Do: h.onQosType(h.service.Associate)},
		{Method: "GET", Path: one + "/disassociate", Rule: rule + "update", OK: 202, Do: h.onQosType(h.service.Disassociate)},
		{Method: "GET", Path: one, Rule: rule + "get", Do: api.Get(h.showQos)},
		{Method: "PUT", Path: one, Rule: rule + "update", Do: api.Body(h.updateQos)},
		{Method: "DELETE", Path: one, Rule: rule + "delete", OK: 202, Do: api.Empty(h.deleteQos)},
		{Method: "POST", Path: "/qos-specs", Rule: rule + "create", Do: api.Body(h.createQos)},
		{Method: "GET", Path: "/qos-specs", Rule: rule + "get_all", Do: api.Get(h.listQos)},
	}
}

type qosView struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Consumer string            `json:"consumer"`
	Specs    map[string]string `json:"specs"`
}

type qosReply struct {
	Specs qosView    `json:"qos_specs"`
	Links []api.Link `json:"links"`
}

func viewQos(q volume.Qos) qosView { return qosView{q.ID, q.Name, q.Consumer, q.Specs.V} }

type qosBody struct {
	Specs specs `json:"qos_specs" check:"required"`
}

// consumer takes the consumer out of the specs of a request.
func consumer(specs map[string]string) (string, error) {
	who := specs["consumer"]
	delete(specs, "consumer")
	switch who {
	case "", "front-end", volume.BackEnd, "both":
		return who, nil
	}
	return "", errs.BadRequestf("Invalid input received: Valid consumer of QoS specs are: ['front-end', 'back-end', 'both']")
}

func (h handlers) createQos(c *api.Call, in qosBody) (qosReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return qosReply{}, err
	}
	asked := maps.Clone(map[string]string(in.Specs))
	name, err := nameOf(asked["name"], "QoS specs")
	if err != nil {
		return qosReply{}, err
	}
	delete(asked, "name")
	who, err := consumer(asked)
	if err != nil {
		return qosReply{}, err
	}
	if who == "" {
		who = volume.BackEnd
	}
	made, err := h.service.CreateQos(c.Context(), name, who, asked)
	return qosReply{viewQos(made), links(c, "/qos-specs/"+made.ID)}, err
}

var qosList = api.List{
	Sorts:   map[string]string{"id": "id", "name": "name", "consumer": "consumer", "created_at": "created_at", "updated_at": "updated_at"},
	Default: newestFirst,
	Filters: map[string]db.Filter{"id": {Column: "id"}, "name": {Column: "name"}, "consumer": {Column: "consumer"}},
}

func (h handlers) listQos(c *api.Call) (listReply, error) {
	l := listing[volume.Qos]{
		List: qosList, name: "qos_specs", links: "qos_specs_links", read: h.service.QosSpecs, all: true,
		id: func(q volume.Qos) string { return q.ID },
	}
	return l.answer(c, func(q volume.Qos) any { return viewQos(q) })
}

func (h handlers) showQos(c *api.Call) (qosReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return qosReply{}, err
	}
	found, err := h.service.QosSpec(c.Context(), c.PathValue("qos_id"))
	return qosReply{viewQos(found), links(c, "/qos-specs/"+found.ID)}, err
}

func (h handlers) updateQos(c *api.Call, in qosBody) (qosBody, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return qosBody{}, err
	}
	asked := maps.Clone(map[string]string(in.Specs))
	_, renamed := asked["name"]
	if renamed || len(asked) == 0 {
		return qosBody{}, errs.BadRequestf("Invalid qos specs: what is to be changed are specs or their consumer, and nothing else.")
	}
	who, err := consumer(asked)
	if err != nil {
		return qosBody{}, err
	}
	return in, h.service.ChangeQos(c.Context(), c.PathValue("qos_id"), who, asked)
}

func (h handlers) deleteQos(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	force, _ := boolean.Parse(c.Query().Get("force"))
	return h.service.DeleteQos(c.Context(), c.PathValue("qos_id"), force)
}

func (h handlers) deleteQosKeys(c *api.Call, in struct {
	Keys []string `json:"keys" check:"required"`
}) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.service.DeleteQosKeys(c.Context(), c.PathValue("qos_id"), in.Keys)
}

type associationView struct {
	Kind string `json:"association_type"`
	Name string `json:"name"`
	ID   string `json:"id"`
}

type associationsReply struct {
	Associations []associationView `json:"qos_associations"`
}

func (h handlers) qosAssociations(c *api.Call) (associationsReply, error) {
	reply := associationsReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	types, err := h.service.QosTypes(c.Context(), c.PathValue("qos_id"))
	for _, t := range types {
		reply.Associations = append(reply.Associations, associationView{"volume_type", t.Name, t.ID})
	}
	return reply, err
}

// onQos is a call that does something with specs and has nothing to say.
func (h handlers) onQos(do func(ctx context.Context, id string) error) api.Handler {
	return api.Empty(func(c *api.Call) error {
		err := c.AuthorizeOwn()
		if err != nil {
			return err
		}
		return do(c.Context(), c.PathValue("qos_id"))
	})
}

// onQosType is onQos for specs and the type that the query names.
func (h handlers) onQosType(do func(ctx context.Context, id, kind string) error) api.Handler {
	return api.Empty(func(c *api.Call) error {
		err := c.AuthorizeOwn()
		if err != nil {
			return err
		}
		kind := c.Query().Get("vol_type_id")
		if kind == "" {
			return errs.BadRequestf("Volume Type id must not be None.")
		}
		return do(c.Context(), c.PathValue("qos_id"), kind)
	})
}
