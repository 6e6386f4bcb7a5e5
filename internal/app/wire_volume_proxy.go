package app

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// volumeProxy is the volume service as compute's deprecated calls pass it on.
type volumeProxy struct{ volumes computeVolumes }

// viewer is the caller, whom the policy of the volume service lets do it with what
// the project has.
func (a volumeProxy) viewer(caller auth.Caller, rule, project string) (volume.Viewer, error) {
	who := a.volumes.viewer(caller)
	if !who.May(rule, project) {
		return who, errs.Forbiddenf("Policy doesn't allow %s to be performed.", rule)
	}
	return who, nil
}

func volumeDetails(v volume.Volume, types map[string]string) compute.VolumeDetails {
	out := compute.VolumeDetails{
		ID: v.ID, Project: v.Project, Name: v.Name, Description: v.Description, Status: v.Status, Zone: v.Zone, SizeGB: v.SizeGB,
		Type: types[v.Type], Snapshot: v.Snapshot, Metadata: v.AllMetadata(), CreatedAt: v.CreatedAt.Time(),
	}
	for _, held := range v.Attachments {
		if out.Server == "" && (held.Status == volume.Attached || held.Status == volume.Detaching) {
			out.Server, out.Device = held.Server, held.Device
		}
	}
	return out
}

// newest are the rows of the caller's project from the first on, newest first.
func newest[T any](ctx context.Context, caller auth.Caller, first, most int, list func(context.Context, volume.Query, db.Page) ([]T, bool, error)) ([]T, error) {
	if caller.Project == "" {
		return nil, nil
	}
	page := db.Page{Limit: first + most, Sort: []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}}}
	rows, _, err := list(ctx, volume.Query{Project: caller.Project, Attachments: true}, page)
	return rows[min(first, len(rows)):], err
}

// Volumes lists volumes of the caller's project.
func (a volumeProxy) Volumes(ctx context.Context, caller auth.Caller, first, most int) ([]compute.VolumeDetails, error) {
	_, err := a.viewer(caller, "volume:get_all", caller.Project)
	if err != nil {
		return nil, err
	}
	rows, err := newest(ctx, caller, first, most, a.volumes.Service.Volumes)
	if err != nil {
		return nil, err
	}
	types, err := a.volumes.TypeNames(ctx)
	out := make([]compute.VolumeDetails, len(rows))
	for i, v := range rows {
		out[i] = volumeDetails(v, types)
	}
	return out, err
}

// Volume finds a volume that the caller sees.
func (a volumeProxy) Volume(ctx context.Context, caller auth.Caller, id string) (compute.VolumeDetails, error) {
	v, err := a.volumes.Service.Volume(ctx, a.volumes.viewer(caller), id)
	if err != nil {
		return compute.VolumeDetails{}, err
	}
	_, err = a.viewer(caller, "volume:get", v.Project)
	if err != nil {
		return compute.VolumeDetails{}, err
	}
	types, err := a.volumes.TypeNames(ctx)
	return volumeDetails(v, types), err
}

// CreateVolume begins to make a volume.
func (a volumeProxy) CreateVolume(ctx context.Context, caller auth.Caller, in compute.NewVolume) (compute.VolumeDetails, error) {
	who, err := a.viewer(caller, "volume:create", caller.Project)
	if err != nil {
		return compute.VolumeDetails{}, err
	}
	v, err := a.volumes.Service.CreateVolume(ctx, who, newVolume(in))
	if err != nil {
		return compute.VolumeDetails{}, err
	}
	types, err := a.volumes.TypeNames(ctx)
	return volumeDetails(v, types), err
}

// DeleteVolume begins to delete a volume.
func (a volumeProxy) DeleteVolume(ctx context.Context, caller auth.Caller, v compute.VolumeDetails) error {
	who, err := a.viewer(caller, "volume:delete", v.Project)
	if err != nil {
		return err
	}
	return a.volumes.Service.DeleteVolume(ctx, who, v.ID, false, false)
}

func snapshotDetails(s volume.Snapshot) compute.SnapshotDetails {
	return compute.SnapshotDetails{
		ID: s.ID, Project: s.Project, Volume: s.Volume, Name: s.Name, Description: s.Description, Status: s.Status, SizeGB: s.SizeGB,
		CreatedAt: s.CreatedAt.Time(),
	}
}

// Snapshots lists snapshots of the caller's project.
func (a volumeProxy) Snapshots(ctx context.Context, caller auth.Caller, first, most int) ([]compute.SnapshotDetails, error) {
	_, err := a.viewer(caller, "volume:get_all_snapshots", caller.Project)
	if err != nil {
		return nil, err
	}
	rows, err := newest(ctx, caller, first, most, a.volumes.Snapshots)
	out := make([]compute.SnapshotDetails, len(rows))
	for i, s := range rows {
		out[i] = snapshotDetails(s)
	}
	return out, err
}

// Snapshot finds a snapshot that the caller sees.
func (a volumeProxy) Snapshot(ctx context.Context, caller auth.Caller, id string) (compute.SnapshotDetails, error) {
	s, err := a.volumes.Service.Snapshot(ctx, a.volumes.viewer(caller), id)
	if err == nil {
		_, err = a.viewer(caller, "volume:get_snapshot", s.Project)
	}
	return snapshotDetails(s), err
}

// CreateSnapshot begins to copy a volume.
func (a volumeProxy) CreateSnapshot(ctx context.Context, caller auth.Caller, id, name, description string, force bool) (compute.SnapshotDetails, error) {
	who, err := a.viewer(caller, "volume:create_snapshot", caller.Project)
	if err != nil {
		return compute.SnapshotDetails{}, err
	}
	s, err := a.volumes.CreateSnapshot(ctx, who, id, name, description, nil, force)
	return snapshotDetails(s), err
}

// DeleteSnapshot begins to delete a snapshot.
func (a volumeProxy) DeleteSnapshot(ctx context.Context, caller auth.Caller, s compute.SnapshotDetails) error {
	who, err := a.viewer(caller, "volume:delete_snapshot", s.Project)
	if err != nil {
		return err
	}
	return a.volumes.Service.DeleteSnapshot(ctx, who, s.ID, false)
}
