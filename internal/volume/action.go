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
		a, err := waiting(ctx, tx, id)
		if err != nil {
			return err
		}
		if a.ID != "" {
			a.Server, a.Device, a.Mode, a.Status, a.AttachedAt = server, device, mode, Attached, now
			_, err = tx.Update(ctx, &a, "server", "device", "mode", "status", "attached_at")
			return err
		}
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
		if !force && v.Status != InUse && v.Status != Detaching && v.Status != Available {
			return errs.BadRequestf("Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")
		}
		return setStatus(ctx, tx, id, v.Status, Available)
	}))
}

// Initialize connects a host in the older way: the export is for an attachment
// without a server, which Attach completes and Terminate ends.
func (s *Service) Initialize(ctx context.Context, who Viewer, id, host string, connector map[string]any) (Attachment, error) {
	raw, err := json.Marshal(connector)
	if err != nil {
		return Attachment{}, err
	}
	if host == "" {
		return Attachment{}, errs.BadRequestf("Invalid input received: Connector doesn't have required information: host")
	}
	attachment := s.newID()
	var a Attachment
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		switch v.Status {
		case Available, Reserved, Attaching:
		default:
			return errs.BadRequestf("Invalid volume: Volume %s is %s and cannot be connected.", v.ID, v.Status)
		}
		err = computeHolds(ctx, tx, id)
		if err == nil {
			err = copying(ctx, tx, id, "volume")
		}
		if err == nil {
			a, err = waiting(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		if a.ID == "" {
			a = Attachment{
				ID: attachment, Volume: id, Project: v.Project, Status: Attaching, Mode: "rw", Connector: db.Of(json.RawMessage(raw)),
				CreatedAt: db.At(tx.Now()),
			}
			if v.Readonly == "True" {
				a.Mode = "ro"
			}
			err = tx.Insert(ctx, &a)
			if err != nil {
				return err
			}
		}
		a, err = s.connect(ctx, tx, a, host, "")
		return err
	})
	return a, unexpected("connect volume "+id, err)
}

// waiting is the attachment of an initialized connection that no server has
// completed, if there is one.
func waiting(ctx context.Context, tx *db.Tx, volume string) (Attachment, error) {
	var list []Attachment
	err := tx.All(ctx, &list, "SELECT * FROM volume_attachments WHERE volume = ? AND compute = 0 AND server = '' AND status = ?", volume, Attaching)
	if err != nil || len(list) == 0 {
		return Attachment{}, unexpected("read connections of volume "+volume, err)
	}
	return list[0], nil
}

// Terminate ends a connection that Initialize made to the host. None is a
// success.
func (s *Service) Terminate(ctx context.Context, who Viewer, id, host string) error {
	return unexpected("disconnect volume "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = computeHolds(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM volume_attachments WHERE volume = ? AND compute = 0 AND status = ? AND server = '' AND host = ?",
			id, Attaching, host)
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE volume_attachments SET epoch = 0 WHERE volume = ? AND compute = 0 AND host = ?", id, host)
		}
		if err != nil || v.Host == "" {
			return err
		}
		return s.want(ctx, tx, v)
	}))
}
