package volume

import (
	"context"
	"encoding/json"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// The states of what is taken over from a host's store or let go into it.
const (
	Managing        = "managing"
	ErrorManaging   = "error_managing"
	Unmanaging      = "unmanaging"
	ErrorUnmanaging = "error_unmanaging"
)

// Manageable is something in a host's store as an operator sees it.
type Manageable struct {
	Name   string // what it is referred to by
	SizeGB int64
	ID     string // of the volume or snapshot that it is; "" if it is none
	Of     string // the volume that it is a snapshot of
	Why    string // why it cannot be taken over; "" if it can
}

// Volumes and snapshots are let go under these names, which are Cinder's.
func volumeName(id string) string   { return "volume-" + id }
func snapshotName(id string) string { return "_snapshot-" + id }

// strays asks a host what could become volumes of it.
func (s *Service) strays(ctx context.Context, host string) ([]Manageable, error) {
	raw, err := s.hosts.Ask(ctx, host, nodeapi.QueryStrays, nil)
	if err != nil {
		return nil, fmt.Errorf("ask host %s for what could become volumes: %w", host, err)
	}
	var reply nodeapi.StraysReply
	err = json.Unmarshal(raw, &reply)
	if err != nil {
		return nil, fmt.Errorf("read what could become volumes of host %s: %w", host, err)
	}
	var list []Manageable
	for _, stray := range reply.Strays {
		list = append(list, Manageable{Name: stray.Name, SizeGB: int64(stray.SizeGB), Why: stray.Refused})
	}
	return list, nil
}

// Manageables lists what a host has in its store: volumes, or snapshots, and what
// could become one.
func (s *Service) Manageables(ctx context.Context, host string, snapshots bool) ([]Manageable, error) {
	_, known := s.knownHost(host)
	if !known {
		return nil, errs.BadRequestf("Invalid input received: Service cinder-volume could not be found on host %s.", host)
	}
	list, err := s.strays(ctx, host)
	if err != nil {
		return nil, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if snapshots {
			var rows []Snapshot
			err := tx.All(ctx, &rows, "SELECT * FROM snapshots WHERE host = ? ORDER BY id", host)
			for _, row := range rows {
				list = append(list, Manageable{snapshotName(row.ID), row.SizeGB, row.ID, row.Volume, "already managed"})
			}
			return err
		}
		var rows []Volume
		err := tx.All(ctx, &rows, "SELECT * FROM volumes WHERE host = ? ORDER BY id", host)
		for _, row := range rows {
			list = append(list, Manageable{Name: volumeName(row.ID), SizeGB: row.SizeGB, ID: row.ID, Why: "already managed"})
		}
		return err
	})
	return list, unexpected("list what host "+host+" has", err)
}

// reference finds what is to be taken over.
func (s *Service) reference(ctx context.Context, host, name string) (Manageable, error) {
	list, err := s.strays(ctx, host)
	if err != nil {
		return Manageable{}, err
	}
	for _, stray := range list {
		if stray.Name != name {
			continue
		}
		if stray.Why != "" {
			return stray, errs.BadRequestf("Manage existing volume failed due to invalid backend reference %s: %s", name, stray.Why)
		}
		return stray, nil
	}
	return Manageable{}, errs.BadRequestf("Manage existing volume failed due to invalid backend reference %s: host %s has no such thing.", name, host)
}

// NewManaged says what is to be taken over, and as what.
type NewManaged struct {
	Host        string // of a volume
	Volume      string // of a snapshot
	Reference   string
	Name        string
	Description string
	Type        string
	Zone        string
	Bootable    bool
	Metadata    map[string]string
}

// ManageVolume takes over something in a host's store as a volume.
func (s *Service) ManageVolume(ctx context.Context, who Viewer, in NewManaged) (Volume, error) {
	if in.Zone != "" && in.Zone != s.zone {
		return Volume{}, errs.BadRequestf("Availability zone '%s' is invalid.", in.Zone)
	}
	_, known := s.knownHost(in.Host)
	if !known {
		return Volume{}, errs.BadRequestf("Invalid input received: Service cinder-volume could not be found on host %s.", in.Host)
	}
	stray, err := s.reference(ctx, in.Host, in.Reference)
	if err != nil {
		return Volume{}, err
	}
	v := Volume{
		ID: s.newID(), Project: who.Project, User: who.User, Name: in.Name, Description: in.Description, SizeGB: stray.SizeGB,
		Status: Managing, Zone: s.zone, Host: in.Host, Bootable: in.Bootable,
		Metadata: db.Of(in.Metadata), ImageMetadata: db.Of(map[string]string{}),
	}
	if in.Metadata == nil {
		v.Metadata.V = map[string]string{}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		row := v
		err := s.insert(ctx, tx, who, in.Type, &row)
		if err == nil && row.Key != "" {
			err = errs.BadRequestf("Invalid input received: What is in a store is not encrypted, and volumes of type %s are.", in.Type)
		}
		if err != nil {
			return err
		}
		v = row
		err = s.emit(ctx, tx, "volume.manage_existing.start", v.ID)
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.managePlan(), v.ID, manageState{ID: v.ID, Host: in.Host, Name: in.Reference}, who.options(v.Project)...)
		return err
	})
	return v, unexpected("manage "+in.Reference, err)
}

// ManageSnapshot takes over something in the store of a volume's host as a
// snapshot of that volume.
func (s *Service) ManageSnapshot(ctx context.Context, who Viewer, in NewManaged) (Snapshot, error) {
	v, err := s.Volume(ctx, who, in.Volume)
	if err != nil {
		return Snapshot{}, err
	}
	stray, err := s.reference(ctx, v.Host, in.Reference)
	if err != nil {
		return Snapshot{}, err
	}
	if in.Metadata == nil {
		in.Metadata = map[string]string{}
	}
	snapshot := Snapshot{
		ID: s.newID(), Volume: v.ID, Project: v.Project, User: who.User, Name: in.Name, Description: in.Description, SizeGB: stray.SizeGB,
		Status: Managing, Type: v.Type, Host: v.Host, Metadata: db.Of(in.Metadata),
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := getVolume(ctx, tx, v.ID)
		if err != nil {
			return err
		}
		err = reserve(ctx, tx, v.Project, snapshotItems(v.Type, snapshot.SizeGB))
		if err != nil {
			return err
		}
		snapshot.CreatedAt = db.At(tx.Now())
		err = tx.Insert(ctx, &snapshot)
		if err != nil {
			return err
		}
		err = s.emitSnapshot(ctx, tx, "snapshot.manage_existing_snapshot.start", snapshot.ID)
		if err != nil {
			return err
		}
		state := manageState{ID: snapshot.ID, Snapshot: true, Host: v.Host, Name: in.Reference}
		_, err = work.Start(ctx, tx, s.managePlan(), snapshot.ID, state, who.options(v.Project)...)
		return err
	})
	return snapshot, unexpected("manage "+in.Reference, err)
}

// UnmanageVolume lets go of a volume: its bytes stay on its host.
func (s *Service) UnmanageVolume(ctx context.Context, who Viewer, id string) error {
	_, err := allVolumes.edit(ctx, s, who, id, "unmanage", func(tx *db.Tx, v *Volume) error {
		if v.Group != "" {
			return notDeletable
		}
		if v.Key != "" {
			return errs.BadRequestf("Invalid volume: Unmanaging encrypted volumes is not supported.")
		}
		err := s.deletable(ctx, tx, *v, false, false)
		if err != nil {
			return err
		}
		if v.Host == "" {
			return errs.BadRequestf("Invalid volume: Volume %s has no bytes to let go of.", id)
		}
		err = s.emit(ctx, tx, "volume.unmanage.start", id)
		if err != nil {
			return err
		}
		err = setStatus(ctx, tx, id, v.Status, Unmanaging)
		if err != nil {
			return err
		}
		state := manageState{ID: id, Host: v.Host, Name: volumeName(id)}
		_, err = work.Start(ctx, tx, s.unmanagePlan(), id, state, who.options(v.Project)...)
		return err
	})
	return err
}

// UnmanageSnapshot lets go of a snapshot.
func (s *Service) UnmanageSnapshot(ctx context.Context, who Viewer, id string) error {
	_, err := allSnapshots.edit(ctx, s, who, id, "unmanage", func(tx *db.Tx, snapshot *Snapshot) error {
		if snapshot.Status != Available || snapshot.Group != "" {
			return errs.BadRequestf("Invalid snapshot: Snapshot %s must be available and in no group snapshot to be unmanaged; it is %s.", id, snapshot.Status)
		}
		if snapshot.Key != "" {
			return errs.BadRequestf("Invalid snapshot: Unmanaging snapshots of encrypted volumes is not supported.")
		}
		err := copying(ctx, tx, id, "snapshot")
		if err != nil {
			return err
		}
		err = s.emitSnapshot(ctx, tx, "snapshot.delete.start", id)
		if err != nil {
			return err
		}
		err = setSnapshotStatus(ctx, tx, id, snapshot.Status, Unmanaging)
		if err != nil {
			return err
		}
		state := manageState{ID: id, Snapshot: true, Host: snapshot.Host, Name: snapshotName(id)}
		_, err = work.Start(ctx, tx, s.unmanagePlan(), id, state, who.options(snapshot.Project)...)
		return err
	})
	return err
}
