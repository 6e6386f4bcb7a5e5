package volume

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// The states of a volume whose bytes are made anew.
const (
	Reverting   = "reverting"
	Downloading = "downloading" // from an image
)

// remakeState is what the plans keep that make a volume's bytes anew.
type remakeState struct {
	Volume   string
	Host     string
	Snapshot string // whose bytes it gets again
	Image    string // or those of this image
	Metadata map[string]string
	Before   string // the status to go back to
}

// Revert begins to give a volume the bytes of its newest snapshot.
func (s *Service) Revert(ctx context.Context, who Viewer, id, snapshot string) error {
	return unexpected("revert volume "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		from, err := findSnapshot(ctx, tx, who, snapshot)
		if err != nil {
			return err
		}
		var newest string
		err = tx.Get(ctx, &newest, "SELECT COALESCE((SELECT id FROM snapshots WHERE volume = ? ORDER BY created_at DESC, id DESC LIMIT 1), '')", v.ID)
		switch {
		case err != nil:
			return err
		case from.Volume != v.ID || newest != from.ID:
			return errs.BadRequestf("Invalid input received: Specified snapshot %s is None or not the latest one of volume %s.", from.ID, v.ID)
		case from.SizeGB > v.SizeGB || from.SizeGB < v.SizeGB:
			return errs.BadRequestf("Invalid input received: Volume %s has %d GiB and the snapshot %d.", v.ID, v.SizeGB, from.SizeGB)
		case v.Status != Available:
			return errs.BadRequestf("Invalid volume: Can't revert volume %s to its latest snapshot. Volume status must be available.", v.ID)
		case from.Status != Available:
			return errs.BadRequestf("Invalid snapshot: Can't revert volume to snapshot %s, whose status is %s.", from.ID, from.Status)
		}
		err = copying(ctx, tx, v.ID, "volume")
		if err == nil {
			err = setStatus(ctx, tx, v.ID, Available, Reverting)
		}
		if err == nil {
			err = setSnapshotStatus(ctx, tx, from.ID, Available, Restoring)
		}
		if err == nil {
			err = s.emit(ctx, tx, "volume.revert.start", v.ID)
		}
		if err != nil {
			return err
		}
		state := remakeState{Volume: v.ID, Host: v.Host, Snapshot: from.ID, Before: Available}
		_, err = work.Start(ctx, tx, s.revertPlan(), v.ID, state, who.options(v.Project)...)
		return err
	}))
}

func (s *Service) revertPlan() work.Plan[remakeState] {
	return work.Plan[remakeState]{
		Name: "volume.revert", Action: "revert", Deadline: copyDeadline,
		Steps: s.remakeSteps(func(ctx context.Context, tx *db.Tx, state *remakeState) error {
			err := setSnapshotStatus(ctx, tx, state.Snapshot, Restoring, Available)
			if err == nil {
				err = setStatus(ctx, tx, state.Volume, Reverting, state.Before)
			}
			if err != nil {
				return err
			}
			return s.emit(ctx, tx, "volume.revert.end", state.Volume)
		}),
		Undone: func(ctx context.Context, tx *db.Tx, state *remakeState, _ error) error {
			err := setSnapshotStatus(ctx, tx, state.Snapshot, Restoring, Available)
			if err != nil {
				return err
			}
			return setStatus(ctx, tx, state.Volume, Reverting, Failed)
		},
	}
}

// remakeSteps want a revision of the volume that never was, made from its new
// source. Any other document of the volume names none, so the host makes bytes
// anew while such a plan waits for it, and never else.
func (s *Service) remakeSteps(finish func(ctx context.Context, tx *db.Tx, state *remakeState) error) []work.Step[remakeState] {
	wait := func(ctx context.Context, state *remakeState) error { return s.wait(ctx, state.Host, state.Volume) }
	return []work.Step[remakeState]{
		{Name: "wait until nobody has it", Do: wait},
		{Name: "want its bytes anew", Tx: func(ctx context.Context, tx *db.Tx, state *remakeState) error {
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			generation := v.Generation
			v.Revision++
			err = updateRow(ctx, tx, &v, v.ID, generation, "revision")
			if err != nil {
				return err
			}
			document := nodeapi.Volume{ID: v.ID, SizeGB: int(v.SizeGB), Image: state.Image, Source: state.Snapshot, Revision: v.Revision, Encrypted: v.Key != ""}
			return s.wantDocument(ctx, tx, v, document)
		}, UndoTx: func(ctx context.Context, tx *db.Tx, state *remakeState) error {
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			return s.want(ctx, tx, v)
		}},
		{Name: "wait for its bytes", Do: wait},
		{Name: "finish", Tx: finish},
	}
}

// Reimage begins to give a volume the bytes of an image. With reserved it takes
// a volume that is reserved, too.
func (s *Service) Reimage(ctx context.Context, who Viewer, id, image string, reserved bool) error {
	v, err := s.Volume(ctx, who, id)
	if err != nil {
		return err
	}
	like := Volume{Image: image, SizeGB: v.SizeGB}
	err = s.fromImage(ctx, who, &like)
	if err != nil {
		return err
	}
	return unexpected("reimage volume "+id, s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if v.Status != Available && v.Status != Failed && !(reserved && v.Status == Reserved) {
			return errs.Conflictf("Invalid volume: Volume %s status must be available or error to be re-imaged, but current status is: %s.", v.ID, v.Status)
		}
		var connected int
		err = tx.Get(ctx, &connected, "SELECT COUNT(*) FROM volume_attachments WHERE volume = ? AND epoch > 0", v.ID)
		if err == nil && connected > 0 {
			err = errs.Conflictf("Invalid volume: Volume %s is still connected to a host.", v.ID)
		}
		if err == nil {
			err = copying(ctx, tx, v.ID, "volume")
		}
		if err == nil {
			err = setStatus(ctx, tx, v.ID, v.Status, Downloading)
		}
		if err != nil {
			return err
		}
		state := remakeState{Volume: v.ID, Host: v.Host, Image: image, Metadata: like.ImageMetadata.V, Before: v.Status}
		if v.Status == Failed {
			state.Before, err = standing(ctx, tx, v.ID) // a server may have it
			if err != nil {
				return err
			}
		}
		_, err = work.Start(ctx, tx, s.reimagePlan(), v.ID, state, who.options(v.Project)...)
		return err
	}))
}

func (s *Service) reimagePlan() work.Plan[remakeState] {
	return work.Plan[remakeState]{
		Name: "volume.reimage", Action: "reimage", Deadline: copyDeadline,
		Steps: s.remakeSteps(func(ctx context.Context, tx *db.Tx, state *remakeState) error {
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			generation := v.Generation
			v.Image, v.Source, v.Snapshot, v.Bootable = state.Image, "", "", true
			v.ImageMetadata, v.Status = db.Of(state.Metadata), state.Before
			return updateRow(ctx, tx, &v, v.ID, generation, "image", "source", "snapshot", "bootable", "image_metadata", "status")
		}),
		Undone: func(ctx context.Context, tx *db.Tx, state *remakeState, _ error) error {
			return setStatus(ctx, tx, state.Volume, Downloading, Failed)
		},
	}
}
