package volume

import (
	"context"
	"encoding/json"
	"strings"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Topic is where events of this service go.
const Topic = "notifications.cinder"

// publishers are who tells of what in Cinder.
var publishers = map[string]string{
	"volume": "volume", "snapshot": "snapshot", "transfer": "volume", "group": "group", "group_snapshot": "group_snapshot", "backup": "backup",
	"volume_type": "volumeType", "volume_type_project": "volumeType", "volume_type_extra_specs": "volumeTypeExtraSpecs",
	"qos_specs": "QoSSpecs", "group_type": "groupType",
}

// Notifications words them as Cinder does, in the name of the host.
func Notifications(host string) oslo.Service {
	return oslo.Service{Exchange: "cinder", Render: func(e bus.Record) ([]oslo.Notification, error) {
		about, _, _ := strings.Cut(e.Type, ".")
		return oslo.Plain(publishers[about] + "." + host)(e)
	}}
}

// usage is what Cinder tells of a volume.
type usage struct {
	Tenant      string            `json:"tenant_id"`
	User        string            `json:"user_id"`
	Zone        string            `json:"availability_zone"`
	ID          string            `json:"volume_id"`
	Type        string            `json:"volume_type"`
	Name        string            `json:"display_name"`
	LaunchedAt  string            `json:"launched_at"`
	CreatedAt   string            `json:"created_at"`
	Status      string            `json:"status"`
	Snapshot    *string           `json:"snapshot_id"`
	Size        int64             `json:"size"`
	Host        string            `json:"host"`
	Metadata    map[string]string `json:"metadata"`
	Attachments []usedBy          `json:"volume_attachment"`

	Replication         *string `json:"replication_status"` // nothing is replicated
	ReplicationExtended *string `json:"replication_extended_status"`
	ReplicationDriver   *string `json:"replication_driver_data"`
}

type usedBy struct {
	Server string `json:"instance_uuid"`
	Host   string `json:"attached_host"`
	Device string `json:"mountpoint"`
	Mode   string `json:"attach_mode"`
	Status string `json:"attach_status"`
}

// snapshotUsage is what Cinder tells of a snapshot.
type snapshotUsage struct {
	Tenant    string `json:"tenant_id"`
	User      string `json:"user_id"`
	Zone      string `json:"availability_zone"`
	ID        string `json:"snapshot_id"`
	Volume    string `json:"volume_id"`
	Size      int64  `json:"volume_size"`
	Name      string `json:"display_name"`
	CreatedAt string `json:"created_at"`
	Status    string `json:"status"`
	Deleted   string `json:"deleted"`
	Metadata  string `json:"metadata"`
}

// wireTime is the form of times in notifications.
const wireTime = "2006-01-02T15:04:05"

// emit tells of what happens to a volume, in the transaction that makes it
// happen. The volume is read anew; one that is gone has nothing to tell.
func (s *Service) emit(ctx context.Context, tx *db.Tx, event, id string) error {
	if !bus.Emits(tx) {
		return nil
	}
	v, err := getVolume(ctx, tx, id)
	if err != nil {
		return err
	}
	return emitVolume(ctx, tx, event, v)
}

// emitVolume is emit for a volume that is at hand.
func emitVolume(ctx context.Context, tx *db.Tx, event string, v Volume) error {
	if !bus.Emits(tx) {
		return nil
	}
	list := []Volume{v}
	err := withAttachments(ctx, tx, list)
	if err != nil {
		return err
	}
	v = list[0]
	u := usage{
		Tenant: v.Project, User: v.User, Zone: v.Zone, ID: v.ID, Type: v.Type, Name: v.Name,
		CreatedAt: v.CreatedAt.Time().Format(wireTime), Status: v.Status, Size: v.SizeGB, Host: v.Host, Metadata: v.Metadata.V,
		Attachments: []usedBy{},
	}
	if v.Status != Creating && v.Status != Failed {
		u.LaunchedAt = u.CreatedAt
	}
	if v.Snapshot != "" {
		u.Snapshot = &v.Snapshot
	}
	for _, a := range v.Attachments {
		u.Attachments = append(u.Attachments, usedBy{a.Server, a.Host, a.Device, a.Mode, a.Status})
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: event, Resource: v.ID, Payload: u})
}

// emitSnapshot is emit for snapshots.
func (s *Service) emitSnapshot(ctx context.Context, tx *db.Tx, event, id string) error {
	if !bus.Emits(tx) {
		return nil
	}
	snapshot, err := getSnapshot(ctx, tx, id)
	if err != nil {
		return err
	}
	metadata := ""
	if len(snapshot.Metadata.V) > 0 {
		text, err := json.Marshal(snapshot.Metadata.V)
		if err != nil {
			return err
		}
		metadata = string(text)
	}
	u := snapshotUsage{
		Tenant: snapshot.Project, User: snapshot.User, Zone: s.zone, ID: snapshot.ID, Volume: snapshot.Volume, Size: snapshot.SizeGB,
		Name: snapshot.Name, CreatedAt: snapshot.CreatedAt.Time().Format(wireTime), Status: snapshot.Status, Metadata: metadata,
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: event, Resource: snapshot.ID, Payload: u})
}

// emitType tells of a volume type, in the transaction that changes it.
func emitType(ctx context.Context, tx *db.Tx, change string, t Type) error {
	fields := map[string]any{
		"id": t.ID, "name": t.Name, "description": t.Description, "is_public": t.IsPublic, "extra_specs": t.ExtraSpecs.V,
		"created_at": t.CreatedAt.Time().Format(wireTime), "updated_at": nil, "deleted": change == "delete", "qos_specs_id": nil,
	}
	if t.Qos != "" {
		fields["qos_specs_id"] = t.Qos
	}
	if t.UpdatedAt != 0 {
		fields["updated_at"] = t.UpdatedAt.Time().Format(wireTime)
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "volume_type." + change, Resource: t.ID, Payload: map[string]any{"volume_types": fields}})
}

// emitSpecs tells of the extra specs of a volume type.
func emitSpecs(ctx context.Context, tx *db.Tx, change string, t Type) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "volume_type_extra_specs." + change, Resource: t.ID, Payload: map[string]any{
		"type_id": t.ID, "specs": t.ExtraSpecs.V,
	}})
}

// emitAccess tells who may use a volume type, or not any more.
func emitAccess(ctx context.Context, tx *db.Tx, change, kind, project string) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "volume_type_project.access." + change, Resource: kind, Payload: map[string]any{
		"volume_type_id": kind, "project_id": project,
	}})
}
