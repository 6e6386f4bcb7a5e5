package image

import (
	"context"
	"time"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Topic is where events of this service go.
const Topic = "notifications.glance"

// Notifications words them as Glance does, in the name of the host.
func Notifications(host string) oslo.Service {
	return oslo.Service{Exchange: "glance", Render: oslo.Plain("image." + host)}
}

// event is what Glance tells of an image.
type event struct {
	ID              string            `json:"id"`
	Name            *string           `json:"name"`
	Status          string            `json:"status"`
	CreatedAt       string            `json:"created_at"`
	UpdatedAt       string            `json:"updated_at"`
	MinDisk         int64             `json:"min_disk"`
	MinRAM          int64             `json:"min_ram"`
	Protected       bool              `json:"protected"`
	Checksum        *string           `json:"checksum"`
	Owner           *string           `json:"owner"`
	DiskFormat      *string           `json:"disk_format"`
	ContainerFormat *string           `json:"container_format"`
	Size            *int64            `json:"size"`
	VirtualSize     *int64            `json:"virtual_size"`
	IsPublic        bool              `json:"is_public"`
	Visibility      string            `json:"visibility"`
	Properties      map[string]string `json:"properties"`
	Tags            []string          `json:"tags"`
	Deleted         bool              `json:"deleted"`
	DeletedAt       *string           `json:"deleted_at"`
}

// emit tells of a change, in the transaction of the change.
func emit(ctx context.Context, tx *db.Tx, kind string, i Image) error {
	e := event{
		ID: i.ID, Name: textOrNull(i.Name), Status: i.Status,
		CreatedAt: i.CreatedAt.Time().Format(time.RFC3339), UpdatedAt: i.UpdatedAt.Time().Format(time.RFC3339),
		MinDisk: i.MinDisk, MinRAM: i.MinRAM, Protected: i.Protected, Checksum: textOrNull(i.Checksum),
		Owner: textOrNull(i.Owner), DiskFormat: textOrNull(i.DiskFormat), ContainerFormat: textOrNull(i.ContainerFormat),
		Size: knownOrNull(i.Size), VirtualSize: knownOrNull(i.VirtualSize),
		IsPublic: i.Visibility == Public, Visibility: i.Visibility,
		Properties: i.Properties.V, Tags: i.Tags.V,
	}
	if kind == "image.delete" {
		now := tx.Now().Format(time.RFC3339)
		e.Status, e.Deleted, e.DeletedAt = "deleted", true, &now
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: kind, Resource: i.ID, Payload: e})
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func knownOrNull(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// memberEvent is what Glance tells of a membership.
type memberEvent struct {
	Image     string  `json:"image_id"`
	Member    string  `json:"member_id"`
	Status    string  `json:"status"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
	Deleted   bool    `json:"deleted"`
	DeletedAt *string `json:"deleted_at"`
}

func emitMember(ctx context.Context, tx *db.Tx, kind string, m Member) error {
	e := memberEvent{
		Image: m.Image, Member: m.Member, Status: m.Status,
		CreatedAt: m.CreatedAt.Time().Format(time.RFC3339), UpdatedAt: m.UpdatedAt.Time().Format(time.RFC3339),
	}
	if kind == "image.member.delete" {
		now := tx.Now().Format(time.RFC3339)
		e.Deleted, e.DeletedAt = true, &now
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: kind, Resource: m.Image, Payload: e})
}
