package volume

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// What stands here is for the compute service, which attaches and detaches
// inside the transactions of its own plans. An attachment's id is compute's
// choice, so that every call can be repeated.

// Status tells how far a volume is.
func (s *Service) Status(ctx context.Context, tx *db.Tx, volume string) (string, error) {
	v, err := getVolume(ctx, tx, volume)
	return v.Status, err
}

// Revision grows each time that a volume is to get other bytes.
func (s *Service) Revision(ctx context.Context, tx *db.Tx, volume string) (int64, error) {
	v, err := getVolume(ctx, tx, volume)
	return v.Revision, err
}

// Size is how large a volume is, in GiB.
func (s *Service) Size(ctx context.Context, tx *db.Tx, volume string) (int64, error) {
	v, err := getVolume(ctx, tx, volume)
	return v.SizeGB, err
}

// ReadOnly tells whether nobody may write to a volume.
func (s *Service) ReadOnly(ctx context.Context, tx *db.Tx, volume string) (bool, error) {
	v, err := getVolume(ctx, tx, volume)
	return v.Readonly == "True", err
}

// Writers is how many attachments of a volume may write to it.
func (s *Service) Writers(ctx context.Context, tx *db.Tx, volume string) (int, error) {
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM volume_attachments WHERE volume = ? AND mode <> 'ro'", volume)
	return n, unexpected("count who may write to volume "+volume, err)
}

// Reserve promises an available volume to the server. Reserving again is a
// success.
func (s *Service) Reserve(ctx context.Context, tx *db.Tx, attachment, volume, server string) error {
	existing, err := getAttachment(ctx, tx, attachment)
	if err == nil && existing.Volume == volume && existing.Server == server {
		return nil
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	v, err := getVolume(ctx, tx, volume)
	if err != nil {
		return err
	}
	_, err = s.reserve(ctx, tx, v, Attachment{ID: attachment, Server: server, Compute: true})
	return err
}

// Connect wants the volume exported to the host for the attachment and returns
// the export's epoch and what the guest's disk is limited to. Connecting again
// gives the same. The host's node finds the export by itself.
func (s *Service) Connect(ctx context.Context, tx *db.Tx, attachment, host, device string) (epoch int64, limits map[string]int64, err error) {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil {
		return 0, nil, err
	}
	a, err = s.connect(ctx, tx, a, host, device)
	if err != nil {
		return 0, nil, err
	}
	limits, err = a.Connection.V.limits()
	return a.Epoch, limits, err
}

// Disconnect ends the export of an attachment: the volume stays reserved for the
// server. Disconnecting again is a success.
func (s *Service) Disconnect(ctx context.Context, tx *db.Tx, attachment string) error {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil || a.Epoch == 0 {
		return err
	}
	a.Epoch, a.Host, a.Status, a.AttachedAt, a.Connection = 0, "", Reserved, 0, db.Of(Connection{})
	_, err = tx.Update(ctx, &a, "epoch", "host", "status", "attached_at", "connection")
	if err != nil {
		return fmt.Errorf("disconnect attachment %s: %w", attachment, err)
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err == nil {
		err = stand(ctx, tx, v)
	}
	if err != nil || v.Host == "" {
		return err
	}
	return s.want(ctx, tx, v)
}

// Prepare exports the volume once more, to the host that the attachment's machine
// is about to move to, and returns that export's epoch. Preparing again for the
// host gives the same.
func (s *Service) Prepare(ctx context.Context, tx *db.Tx, attachment, host string) (epoch int64, err error) {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil || a.NextHost == host {
		return a.NextEpoch, err
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err == nil {
		err = s.reachable(v, host)
	}
	if err != nil {
		return 0, err
	}
	generation := v.Generation
	v.Epoch++
	err = updateRow(ctx, tx, &v, v.ID, generation, "epoch")
	if err != nil {
		return 0, err
	}
	a.NextHost, a.NextEpoch = host, v.Epoch
	_, err = tx.Update(ctx, &a, "next_host", "next_epoch")
	if err != nil {
		return 0, fmt.Errorf("prepare attachment %s for host %s: %w", attachment, host, err)
	}
	return a.NextEpoch, s.want(ctx, tx, v)
}

// Moved ends one of the two exports: the host is where the machine is, be it the
// one that it was prepared for or the former one. It returns the epoch of the
// export that is left.
func (s *Service) Moved(ctx context.Context, tx *db.Tx, attachment, host string) (epoch int64, err error) {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil || a.NextHost == "" {
		return a.Epoch, err
	}
	if a.NextHost == host {
		a.Host, a.Epoch = a.NextHost, a.NextEpoch
	}
	a.NextHost, a.NextEpoch = "", 0
	_, err = tx.Update(ctx, &a, "host", "epoch", "next_host", "next_epoch")
	if err != nil {
		return 0, fmt.Errorf("move attachment %s to host %s: %w", attachment, host, err)
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err != nil {
		return 0, err
	}
	return a.Epoch, s.want(ctx, tx, v)
}

// Complete says that the server has the volume: it is in use, or is so still, when the
// server does not lose it after all.
func (s *Service) Complete(ctx context.Context, tx *db.Tx, attachment string) error {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil || a.Status == Attached {
		return err
	}
	kept := a.Status == Detaching
	a.Status = Attached
	if !kept {
		a.AttachedAt = db.At(tx.Now())
	}
	_, err = tx.Update(ctx, &a, "status", "attached_at")
	if err != nil {
		return err
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err == nil {
		err = stand(ctx, tx, v)
	}
	if err != nil {
		return fmt.Errorf("complete attachment %s: %w", attachment, err)
	}
	if kept {
		return nil
	}
	return s.emit(ctx, tx, "volume.attach.end", a.Volume)
}

// Detaching says that the server is about to lose the volume.
func (s *Service) Detaching(ctx context.Context, tx *db.Tx, attachment string) error {
	a, err := getAttachment(ctx, tx, attachment)
	if err != nil {
		return err
	}
	a.Status = Detaching
	_, err = tx.Update(ctx, &a, "status")
	if err != nil {
		return err
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err == nil {
		err = stand(ctx, tx, v)
	}
	if err != nil {
		return fmt.Errorf("begin to detach %s: %w", attachment, err)
	}
	return s.emit(ctx, tx, "volume.detach.start", a.Volume)
}

// Detach ends the attachment and its export: the volume is available again. A
// missing attachment is a success.
func (s *Service) Detach(ctx context.Context, tx *db.Tx, attachment string) error {
	a, err := getAttachment(ctx, tx, attachment)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM volume_attachments WHERE id = ?", a.ID)
	if err != nil {
		return fmt.Errorf("delete attachment %s: %w", a.ID, err)
	}
	v, err := getVolume(ctx, tx, a.Volume)
	if err != nil {
		return err
	}
	err = stand(ctx, tx, v)
	if err != nil {
		return err
	}
	err = s.emit(ctx, tx, "volume.detach.end", v.ID)
	if err != nil || a.Epoch == 0 || v.Host == "" {
		return err
	}
	return s.want(ctx, tx, v)
}

// Remove begins to delete a volume that is attached to nothing, whatever its
// state. A missing one is a success.
func (s *Service) Remove(ctx context.Context, tx *db.Tx, volume string) error {
	v, err := getVolume(ctx, tx, volume)
	if errs.Is(err, errs.NotFound) || err == nil && v.Status == Deleting {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.deletable(ctx, tx, v, false, true)
	if err != nil {
		return err
	}
	return s.startDelete(ctx, tx, Viewer{Project: v.Project, User: v.User}, v)
}
