package compute

import (
	"context"
	"time"

	"nacre/internal/auth"
)

// VolumeDetails is a volume as the deprecated calls show it.
type VolumeDetails struct {
	ID, Project, Name, Description, Status, Zone string

	SizeGB    int64
	Type      string // its name
	Snapshot  string // what it was made from; "" for something else
	Metadata  map[string]string
	CreatedAt time.Time

	Server, Device string // who has it, the first if several do; "" for nobody
}

// SnapshotDetails is a snapshot as the deprecated calls show it.
type SnapshotDetails struct {
	ID, Project, Volume, Name, Description, Status string

	SizeGB    int64
	CreatedAt time.Time
}

// VolumeProxy is what the deprecated calls about volumes and snapshots need from
// the volume service, whose policy they are under too. They find what the caller
// sees. Lists are of the caller's project, newest first, without the first ones.
type VolumeProxy interface {
	Volumes(ctx context.Context, caller auth.Caller, first, most int) ([]VolumeDetails, error)
	Volume(ctx context.Context, caller auth.Caller, id string) (VolumeDetails, error)
	CreateVolume(ctx context.Context, caller auth.Caller, v NewVolume) (VolumeDetails, error)
	DeleteVolume(ctx context.Context, caller auth.Caller, v VolumeDetails) error

	Snapshots(ctx context.Context, caller auth.Caller, first, most int) ([]SnapshotDetails, error)
	Snapshot(ctx context.Context, caller auth.Caller, id string) (SnapshotDetails, error)
	// CreateSnapshot copies a volume, with force also one in use.
	CreateSnapshot(ctx context.Context, caller auth.Caller, volume, name, description string, force bool) (SnapshotDetails, error)
	DeleteSnapshot(ctx context.Context, caller auth.Caller, s SnapshotDetails) error
}

// VolumeProxy is the volume service as the deprecated calls pass it on.
func (s *Service) VolumeProxy() VolumeProxy { return s.volumeProxy }
