package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Topic is where events of this service go.
const Topic = "notifications.keystone"

// Notifications words events as Keystone does by default: in the form of the
// Cloud Auditing Data Federation, in the name of the host. Types of events that
// are opted out of are told to nobody.
func Notifications(host string, optOut []string) oslo.Service {
	return oslo.Service{Exchange: "keystone", Render: func(e bus.Record) ([]oslo.Notification, error) {
		if slices.Contains(optOut, e.Type) {
			return nil, nil
		}
		payload, err := audit(e)
		if err != nil {
			return nil, err
		}
		return []oslo.Notification{{Family: oslo.Unversioned, Type: e.Type, Publisher: "identity." + host, Payload: payload}}, nil
	}}
}

// Operations that are told of.
const (
	created  = "created"
	updated  = "updated"
	deleted  = "deleted"
	disabled = "disabled"
)

// told is what is stored of what happened; the resource and the operation are
// in the event's type.
type told struct {
	Grant  *Grant       `json:",omitempty"` // a role that was given or taken back
	SignIn *auditRecord `json:",omitempty"` // an attempt to sign in
}

// tell tells what happened to a resource, in the transaction in which it
// happens. What a cloud begins with is told to nobody.
func tell(ctx context.Context, tx *db.Tx, resource, operation, id string) error {
	name := eventName(resource)
	if name == "" {
		return nil
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "identity." + name + "." + operation, Resource: id, Payload: told{}})
}

// tellUpdated is tell for a resource that was changed and perhaps disabled.
func tellUpdated(ctx context.Context, tx *db.Tx, resource, id string, before, after bool) error {
	err := tell(ctx, tx, resource, updated, id)
	if err != nil || !before || after {
		return err
	}
	return tell(ctx, tx, resource, disabled, id)
}

// tellAllDeleted tells that all rows of a table that are in a domain go.
func tellAllDeleted(ctx context.Context, tx *db.Tx, resource, table, domain string) error {
	var ids []string
	err := tx.All(ctx, &ids, `SELECT id FROM `+table+` WHERE domain_id = ? ORDER BY id`, domain)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err = tell(ctx, tx, resource, deleted, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// tellGrant tells that a role was given or taken back.
func tellGrant(ctx context.Context, tx *db.Tx, operation string, g Grant) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "identity.role_assignment." + operation, Resource: g.ActorID, Payload: told{Grant: &g}})
}

// auditTypes are what the federation calls the resources.
var auditTypes = map[string]string{
	"group": "data/security/group", "project": "data/security/project", "role": "data/security/role",
	"user": "data/security/account/user", "domain": "data/security/domain", "region": "data/security/region",
	"endpoint": "data/security/endpoint", "service": "data/security/service", "policy": "data/security/policy",
	"role_assignment": "data/security/account/user", "OS-TRUST:trust": "data/security/trust",
}

// data are the fields of an audit event.
type data map[string]any

// audit is an event in the form of the federation. It says the same each time
// it is made, ids included.
func audit(e bus.Record) (data, error) {
	var facts told
	err := json.Unmarshal(e.Payload, &facts)
	if err != nil {
		return nil, err
	}
	id, err := idsOf(e)
	if err != nil {
		return nil, err
	}
	if facts.SignIn != nil {
		return facts.SignIn.event(e, id), nil
	}
	parts := strings.SplitN(e.Type, ".", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%s is no type of an event", e.Type)
	}
	resource, operation := parts[1], parts[2]
	kind, known := auditTypes[resource]
	if !known {
		kind = "unknown"
	}
	event := auditEvent(e, id)
	event["action"], event["outcome"] = operation+"."+resource, succeeded
	event["target"] = data{"typeURI": kind, "id": e.Resource}
	if facts.Grant == nil {
		event["resource_info"] = e.Resource
		return event, nil
	}
	event["target"] = data{"typeURI": kind, "id": id("target")}
	event["role"], event["inherited_to_projects"] = facts.Grant.RoleID, facts.Grant.Inherited
	event[facts.Grant.ActorKind] = facts.Grant.ActorID
	event[facts.Grant.TargetKind] = facts.Grant.TargetID
	return event, nil
}

// auditEvent is what all events have: when it was, who did it and who says so.
func auditEvent(e bus.Record, id func(of string) string) data {
	return data{
		"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity", "id": id("event"),
		"eventTime": e.At.UTC().Format("2006-01-02T15:04:05.000000+0000"),
		"initiator": auditInitiator(e.By, id("initiator")),
		"observer":  data{"typeURI": "service/security", "id": id("observer")},
	}
}

// auditInitiator is who did it.
func auditInitiator(by bus.Initiator, unknown string) data {
	who := data{"typeURI": "service/security/account/user", "id": unknown}
	set := func(key, value string) {
		if value != "" {
			who[key] = value
		}
	}
	set("id", by.User)
	set("user_id", by.User)
	set("username", by.UserName)
	set("name", by.UserName)
	set("project_id", by.Project)
	set("domain_id", by.Domain)
	set("request_id", by.RequestID)
	set("global_request_id", by.GlobalRequestID)
	if by.Address != "" || by.Agent != "" {
		who["host"] = data{"address": by.Address, "agent": by.Agent}
	}
	return who
}
