package identity

import (
	"context"

	"nacre/internal/bus"
	"nacre/internal/db"
)

// topic is where Keystone's notifications go.
const topic = "notifications.keystone"

// Operations that are told of.
const (
	created  = "created"
	updated  = "updated"
	deleted  = "deleted"
	disabled = "disabled"
)

// tell tells what happened to a resource, in the transaction in which it
// happens. It is Keystone's basic form: whoever wants to know more asks the API.
// What a cloud begins with is told to nobody.
func tell(ctx context.Context, tx *db.Tx, resource, operation, id string) error {
	return bus.Emit(ctx, tx, bus.Event{
		Topic: topic, Type: "identity." + eventName(resource) + "." + operation, Resource: id,
		Payload: map[string]string{"resource_info": id},
	})
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

// cadfEvent is an event in the form of the Cloud Auditing Data Federation,
// which is the only one that Keystone has for role assignments.
type cadfEvent struct {
	TypeURI   string    `json:"typeURI"`
	EventType string    `json:"eventType"`
	ID        string    `json:"id"`
	EventTime string    `json:"eventTime"`
	Action    string    `json:"action"`
	Outcome   string    `json:"outcome"`
	Initiator cadfParty `json:"initiator"`
	Target    cadfParty `json:"target"`
	Observer  cadfParty `json:"observer"`

	Role      string `json:"role"`
	User      string `json:"user,omitempty"`
	Group     string `json:"group,omitempty"`
	Project   string `json:"project,omitempty"`
	Domain    string `json:"domain,omitempty"`
	System    string `json:"system,omitempty"`
	Inherited bool   `json:"inherited_to_projects"`
}

type cadfParty struct {
	TypeURI string `json:"typeURI"`
	ID      string `json:"id"`
}

// tellGrant tells that a role was given or taken back. The event has the id,
// which is made before the transaction.
func tellGrant(ctx context.Context, tx *db.Tx, operation, id string, g Grant) error {
	e := cadfEvent{
		TypeURI: "http://schemas.dmtf.org/cloud/audit/1.0/event", EventType: "activity", ID: id,
		EventTime: tx.Now().UTC().Format("2006-01-02T15:04:05.000000+0000"),
		Action:    operation + ".role_assignment", Outcome: "success",
		// Who asked is in the record of the request; a use case doesn't know.
		Initiator: cadfParty{TypeURI: "service/security/account/user", ID: "unknown"},
		Target:    cadfParty{TypeURI: "service/security/account/user", ID: g.ActorID},
		Observer:  cadfParty{TypeURI: "service/security", ID: "keystone"},
		Role:      g.RoleID, Inherited: g.Inherited,
	}
	switch g.ActorKind {
	case ActorUser:
		e.User = g.ActorID
	case ActorGroup:
		e.Group = g.ActorID
	}
	switch g.TargetKind {
	case TargetProject:
		e.Project = g.TargetID
	case TargetDomain:
		e.Domain = g.TargetID
	case TargetSystem:
		e.System = g.TargetID
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: topic, Type: "identity.role_assignment." + operation, Resource: g.ActorID, Payload: e})
}
