package volume

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// volumeState is what the plans about one volume keep.
type volumeState struct {
	Volume string
	Host   string
	SizeGB int64  // extend: the new size
	Before string // extend: the status to go back to
	Backup string // create: whose bytes it gets; "" for none
	Beside string // create: the server whose host it is to be on; "" for any
}

func (s *Service) createPlan() work.Plan[volumeState] {
	return work.Plan[volumeState]{
		Name: "volume.create", Action: "create", Deadline: copyDeadline,
		Steps: []work.Step[volumeState]{
			{Name: "wait for the source", Do: s.waitSource},
			{Name: "choose host", Do: s.chooseHost},
			{Name: "want the volume", Tx: s.wantCreated, UndoTx: s.undoCreated},
			{Name: "wait for its bytes", Do: s.waitBytes},
			{Name: "restore its backup", Do: s.fillFromBackup},
			{Name: "finish", Tx: s.finishCreate},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *volumeState, cause error) error {
			s.log.Warn("volume was not created", "volume_id", state.Volume, "reason", cause)
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			err = s.tell(ctx, tx, v.message(actCreate, whyCreateFailed), cause)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "UPDATE volumes SET host = '', generation = generation + 1 WHERE id = ?", state.Volume)
			if err != nil {
				return err
			}
			err = s.giveBack(ctx, tx, state.Backup, false)
			if err != nil {
				return err
			}
			if state.Backup != "" {
				return setStatus(ctx, tx, state.Volume, Creating, ErrorRestoring)
			}
			return setStatus(ctx, tx, state.Volume, Creating, Failed)
		},
	}
}

// fillFromBackup writes the backup that the volume is made from.
func (s *Service) fillFromBackup(ctx context.Context, state *volumeState) error {
	if state.Backup == "" {
		return nil
	}
	return s.restoreTo(ctx, state.Backup, state.Volume)
}

// waitSource waits until the source's host has ended its last export, since a
// volume that somebody writes to cannot be copied.
func (s *Service) waitSource(ctx context.Context, state *volumeState) error {
	v, err := s.row(ctx, state.Volume)
	if err != nil || v.Source == "" {
		return err
	}
	return s.wait(ctx, v.Host, v.Source)
}

// chooseHost picks where the bytes will be, unless the source or the group has
// decided. A volume that is to be beside a server waits until the server has a
// host.
func (s *Service) chooseHost(ctx context.Context, state *volumeState) error {
	v, err := s.row(ctx, state.Volume)
	if err != nil {
		return err
	}
	var bound []string // hosts that have to be the volume's
	if state.Beside != "" {
		beside, err := s.servers.HostOf(ctx, "", state.Beside)
		if err != nil {
			return err
		}
		if beside == "" {
			return work.NotYet("waiting for server %s to have a host", state.Beside)
		}
		bound = append(bound, beside)
	}
	if v.Group != "" {
		group, err := allGroups.show(ctx, s, Viewer{Admin: true}, v.Group)
		if err != nil {
			return err
		}
		bound = append(bound, group.Host)
	}
	if v.Host != "" {
		bound = append(bound, v.Host)
	}
	for _, host := range bound {
		if host != bound[0] {
			return errs.New(errs.Internal, "No valid backend was found. The volume has to be on all of these hosts: %s.", strings.Join(bound, ", ")).Typed(noBackend)
		}
	}
	state.Host = v.Host
	if v.Host == "" {
		w := wish{SizeGB: v.SizeGB, Types: []string{v.Type}}
		if len(bound) > 0 {
			w.Only = bound[0]
		}
		state.Host, err = s.choose(ctx, w)
	}
	return err
}

func (s *Service) wantCreated(ctx context.Context, tx *db.Tx, state *volumeState) error {
	v, err := getVolume(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	generation := v.Generation
	v.Host = state.Host
	err = updateRow(ctx, tx, &v, v.ID, generation, "host")
	if err != nil {
		return err
	}
	return s.want(ctx, tx, v)
}

// undoCreated removes what is there of the bytes. The host does so whenever it
// can; nobody waits for it.
func (s *Service) undoCreated(ctx context.Context, tx *db.Tx, state *volumeState) error {
	return s.forget(ctx, tx, state.Volume)
}

func (s *Service) waitBytes(ctx context.Context, state *volumeState) error {
	return s.wait(ctx, state.Host, state.Volume)
}

func (s *Service) finishCreate(ctx context.Context, tx *db.Tx, state *volumeState) error {
	err := setStatus(ctx, tx, state.Volume, Creating, Available)
	if err == nil {
		err = s.giveBack(ctx, tx, state.Backup, true)
	}
	if err != nil {
		return err
	}
	return s.emit(ctx, tx, "volume.create.end", state.Volume)
}

// row reads a volume for a plan. One that is gone ends the plan.
func (s *Service) row(ctx context.Context, id string) (Volume, error) {
	var v Volume
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		v, err = getVolume(ctx, tx, id)
		return err
	})
	return v, err
}

// setStatus moves a volume on, unless somebody else has moved it meanwhile.
func setStatus(ctx context.Context, tx *db.Tx, id, from, to string) error {
	_, err := tx.Exec(ctx, `
		UPDATE volumes SET status = ?, generation = generation + 1, updated_at = ? WHERE id = ? AND status = ?`,
		to, db.At(tx.Now()), id, from)
	return unexpected("set status of volume "+id, err)
}

// DeleteVolume begins to delete a volume that the viewer may see. Force takes
// one in any state.
func (s *Service) DeleteVolume(ctx context.Context, who Viewer, id string, cascade, force bool) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if v.Status == Deleting && !force {
			return nil
		}
		if v.Group != "" {
			return notDeletable
		}
		err = s.deletable(ctx, tx, v, cascade, force)
		if err != nil {
			return err
		}
		if cascade {
			err = s.deleteSnapshotsOf(ctx, tx, who, v.ID)
			if err != nil {
				return err
			}
		}
		return s.startDelete(ctx, tx, who, v)
	})
	return unexpected("delete volume "+id, err)
}

var notDeletable = errs.BadRequestf("Invalid volume: Volume status must be available or error or error_restoring or error_extending or " +
	"error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be " +
	"disassociated from snapshots after volume transfer.")

// deletable refuses volumes that something depends on.
func (s *Service) deletable(ctx context.Context, tx *db.Tx, v Volume, cascade, force bool) error {
	var attached, snapshots int
	err := tx.Get(ctx, &attached, "SELECT COUNT(*) FROM volume_attachments WHERE volume = ?", v.ID)
	if err != nil {
		return err
	}
	err = tx.Get(ctx, &snapshots, "SELECT COUNT(*) FROM snapshots WHERE volume = ? AND status <> ?", v.ID, Deleting)
	if err != nil {
		return err
	}
	ended := slices.Contains([]string{Available, Failed, ErrorExtending, ErrorDeleting, ErrorRestoring, ErrorManaging, ErrorUnmanaging}, v.Status)
	if attached > 0 || snapshots > 0 && !cascade || !ended && !force {
		return notDeletable
	}
	return copying(ctx, tx, v.ID, "volume")
}

// startDelete cancels what is under way and begins to delete.
func (s *Service) startDelete(ctx context.Context, tx *db.Tx, who Viewer, v Volume) error {
	_, err := tx.Exec(ctx, "UPDATE volumes SET status = ?, generation = generation + 1, updated_at = ? WHERE id = ?",
		Deleting, db.At(tx.Now()), v.ID)
	if err != nil {
		return err
	}
	err = s.emit(ctx, tx, "volume.delete.start", v.ID)
	if err != nil {
		return err
	}
	err = work.Cancel(ctx, tx, v.ID)
	if err != nil {
		return err
	}
	_, err = work.Start(ctx, tx, s.deletePlan(), v.ID, volumeState{Volume: v.ID, Host: v.Host}, who.options(v.Project)...)
	return err
}

// deletePlan goes only forward.
func (s *Service) deletePlan() work.Plan[volumeState] {
	return work.Plan[volumeState]{
		Name: "volume.delete", Action: "delete", Deadline: copyDeadline,
		Steps: []work.Step[volumeState]{
			{Name: "remove the bytes", NoReturn: true, Tx: func(ctx context.Context, tx *db.Tx, state *volumeState) error {
				return s.forget(ctx, tx, state.Volume)
			}},
			{Name: "wait until they are gone", Do: func(ctx context.Context, state *volumeState) error {
				return s.waitGone(ctx, state.Host, state.Volume)
			}},
			{Name: "finish", Tx: s.finishDelete},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *volumeState, _ error) error {
			return setStatus(ctx, tx, state.Volume, Deleting, ErrorDeleting)
		},
	}
}

func (s *Service) finishDelete(ctx context.Context, tx *db.Tx, state *volumeState) error {
	return s.removeVolumeRow(ctx, tx, state.Volume, "volume.delete.end")
}

// removeVolumeRow ends a volume: its row, what it takes from quotas, and the event
// that tells of it. A missing one is a success.
func (s *Service) removeVolumeRow(ctx context.Context, tx *db.Tx, id, event string) error {
	v, err := getVolume(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.emit(ctx, tx, event, v.ID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM volumes WHERE id = ?", v.ID)
	if err != nil {
		return fmt.Errorf("delete volume %s: %w", v.ID, err)
	}
	return release(ctx, tx, v.Project, volumeItems(v.Type, v.SizeGB))
}
