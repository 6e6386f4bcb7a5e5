package volume

import (
	"context"
	"encoding/json"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// The calls here are older than attachments: they move a volume's state and
// leave it to the client to do what the state says. Nothing is exported by
// them.

// Move takes a volume from one of some states to another one.
func (s *Service) Move(ctx context.Context, who Viewer, id, what, to string, from ...string) error {
	_, err := s.change(ctx, who, id, func(ctx context.Context, tx *db.Tx, v *Volume) error {
		err := computeHolds(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, status := range from {
			if v.Status == status {
				v.Status = to
				return copying(ctx, tx, id, "volume")
			}
		}
		return errs.BadRequestf("Invalid volume: Volume status must be %s to %s, but current status is: %s.", from[0], what, v.Status)
	}, "status")
	return err
}

// computeHolds refuses to touch a volume that the compute service has attached.
func computeHolds(ctx context.Context, tx *db.Tx, volume string) error {
	var list []Attachment
	err := tx.All(ctx, &list, "SELECT * FROM volume_attachments WHERE volume = ? AND compute = 1", volume)
	if err != nil {
		return fmt.Errorf("read attachments of volume %s: %w", volume, err)
	}
	if len(list) > 0 {
		return notComputes(list[0])
	}
	return nil
}

// Attach says that a server or a host uses the volume.
func (s *Service) Attach(ctx context.Context, who Viewer, id, server, host, device, mode string) error {
	attachment := s.newID()
	_, err := s.change(ctx, who, id, func(ctx context.Context, tx *db.Tx, v *Volume) error {
		if v.Status != Available && v.Status != Attaching && v.Status != Reserved {
			return errs.BadRequestf("Invalid volume: volume %s is already attached or %s", v.ID, v.Status)
		}
		if v.Readonly == "True" && mode == "rw" {
			return errs.BadRequestf("Invalid volume: Volume %s is read-only and cannot be attached as %s.", v.ID, mode)
		}
		err := computeHolds(ctx, tx, id)
		if err != nil {
			return err
		}
		err = copying(ctx, tx, id, "volume")
		if err != nil {
			return err
		}
		v.Status = InUse
		now := db.At(tx.Now())
		return tx.Insert(ctx, &Attachment{
			ID: attachment, Volume: id, Project: v.Project, Server: server, Status: Attached, Mode: mode, Host: host, Device: device,
			Connector: db.Of(json.RawMessage("null")), AttachedAt: now, CreatedAt: now,
		})
	}, "status")
	return err
}

// Release says that nobody uses the volume any more: one attachment of it, or,
// with "", its only one. Force does so in any state.
func (s *Service) Release(ctx context.Context, who Viewer, id, attachment string, force bool) error {
	return unexpected("detach volume "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		list := make([]Volume, 1)
		var err error
		list[0], err = findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = withAttachments(ctx, tx, list)
		if err != nil {
			return err
		}
		v := list[0]
		if attachment == "" && len(v.Attachments) > 0 {
			attachment = v.Attachments[0].ID
		}
		for _, a := range v.Attachments {
			if a.ID != attachment {
				continue
			}
			err = notComputes(a)
			if err != nil {
				return err
			}
			err = s.Detach(ctx, tx, a.ID)
			if err != nil || !force || len(v.Attachments) > 1 {
				return err
			}
			return setStatus(ctx, tx, id, v.Status, Available) // whatever it was in
		}
		if !force && v.Status != InUse && v.Status != Detaching {
			return errs.BadRequestf("Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")
		}
		return setStatus(ctx, tx, id, v.Status, Available)
	}))
}
