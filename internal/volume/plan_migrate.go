package volume

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// The states of a volume that changes hosts. It is locked meanwhile.
const (
	Maintenance = "maintenance"
	Retyping    = "retyping"
)

// migrateState is what the plan keeps that moves a volume.
type migrateState struct {
	Volume string
	From   string
	To     string // "" until it is chosen
	Type   string // that it has afterwards
	Locked string // its status meanwhile
}

// Migrate begins to move a volume to another host.
func (s *Service) Migrate(ctx context.Context, who Viewer, id, host string) error {
	_, known := s.knownHost(host)
	if !known {
		return errs.BadRequestf("Invalid input received: Service cinder-volume could not be found on host %s.", host)
	}
	_, err := allVolumes.edit(ctx, s, who, id, "migrate", func(tx *db.Tx, v *Volume) error {
		if v.Host == host {
			return errs.BadRequestf("Invalid input received: Destination host must be different than the current host.")
		}
		return s.startMigrate(ctx, tx, who, *v, migrateState{To: host, Type: v.Type, Locked: Maintenance})
	})
	return err
}

// startMigrate locks a volume that can be moved and starts the plan.
func (s *Service) startMigrate(ctx context.Context, tx *db.Tx, who Viewer, v Volume, state migrateState) error {
	var snapshots int
	err := tx.Get(ctx, &snapshots, "SELECT COUNT(*) FROM snapshots WHERE volume = ?", v.ID)
	if err != nil {
		return err
	}
	if v.Status != Available || v.Group != "" || snapshots > 0 {
		return errs.BadRequestf("Invalid volume: Volume %s status must be available, and it must not be migrating, attached, have snapshots, "+
			"be replicated or be part of a group, to be migrated. Its status is %s.", v.ID, v.Status)
	}
	err = copying(ctx, tx, v.ID, "volume")
	if err != nil {
		return err
	}
	err = s.setMigration(ctx, tx, v.ID, "migrating")
	if err != nil {
		return err
	}
	err = setStatus(ctx, tx, v.ID, Available, state.Locked)
	if err != nil {
		return err
	}
	state.Volume, state.From = v.ID, v.Host
	_, err = work.Start(ctx, tx, s.migratePlan(), v.ID, state, who.options(v.Project)...)
	return err
}

func (s *Service) setMigration(ctx context.Context, tx *db.Tx, id, status string) error {
	_, err := tx.Exec(ctx, "UPDATE volumes SET migration = ?, generation = generation + 1 WHERE id = ?", status, id)
	return unexpected("set migration status of volume "+id, err)
}

// migratePlan copies the bytes to a volume of the same id on the other host, and
// then makes that one the volume. Until the row names the other host nothing has
// happened to the volume.
func (s *Service) migratePlan() work.Plan[migrateState] {
	return work.Plan[migrateState]{
		Name: "volume.migrate", Action: "migrate", Deadline: bytesDeadline,
		Steps: []work.Step[migrateState]{
			{Name: "choose host", Do: s.chooseOtherHost},
			{Name: "wait until nobody has it", Do: func(ctx context.Context, state *migrateState) error {
				return s.wait(ctx, state.From, state.Volume)
			}},
			{Name: "want a volume there", Tx: s.wantThere, UndoTx: func(ctx context.Context, tx *db.Tx, state *migrateState) error {
				return s.hosts.Forget(ctx, tx, state.To, nodeapi.KindVolume, state.Volume)
			}},
			{Name: "wait for the host", Do: func(ctx context.Context, state *migrateState) error {
				return s.wait(ctx, state.To, state.Volume)
			}},
			{Name: "copy the bytes", Do: s.copyAcross},
			{Name: "move over", NoReturn: true, Tx: s.moveOver},
			{Name: "wait until the old bytes are gone", Do: func(ctx context.Context, state *migrateState) error {
				return s.waitGone(ctx, state.From, state.Volume)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *migrateState) error {
				return setStatus(ctx, tx, state.Volume, state.Locked, Available)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *migrateState, cause error) error {
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			err = s.tell(ctx, tx, v.message(actSchedule, whyUnknown), cause)
			if err == nil {
				err = s.setMigration(ctx, tx, state.Volume, "error")
			}
			if err != nil {
				return err
			}
			return setStatus(ctx, tx, state.Volume, state.Locked, Available)
		},
	}
}

func (s *Service) chooseOtherHost(ctx context.Context, state *migrateState) error {
	v, err := s.row(ctx, state.Volume)
	if err != nil {
		return err
	}
	state.To, err = s.choose(ctx, wish{SizeGB: v.SizeGB, Only: state.To, Except: state.From, Types: []string{state.Type}})
	return err
}

func (s *Service) wantThere(ctx context.Context, tx *db.Tx, state *migrateState) error {
	v, err := getVolume(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	_, err = s.hosts.Want(ctx, tx, state.To, nodeapi.KindVolume, v.ID, nodeapi.Volume{ID: v.ID, SizeGB: int(v.SizeGB), Encrypted: v.Key != ""})
	return err
}

// copyAcross copies what is not zero: the volume that it goes to is blank, or has
// got some of the same before.
func (s *Service) copyAcross(ctx context.Context, state *migrateState) error {
	from, err := s.openDisk(ctx, state.From, state.Volume, false)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := s.openDisk(ctx, state.To, state.Volume, true)
	if err != nil {
		return err
	}
	err = copyDisk(from, to)
	closeErr := to.Close()
	if err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("copy volume %s from host %s to host %s: %w", state.Volume, state.From, state.To, err)
	}
	return nil
}

func copyDisk(from, to disk) error {
	const window, piece = 1 << 30, 1 << 20
	buffer := make([]byte, piece)
	for start := int64(0); start < from.Size(); start += window {
		extents, err := from.Extents(start, min(window, from.Size()-start))
		if err != nil {
			return err
		}
		at := start
		for _, e := range extents {
			for end := at + e.Length; at < end; {
				part := buffer[:min(piece, end-at)]
				if e.Zero {
					at = end
					break
				}
				_, err = from.ReadAt(part, at)
				if err == nil {
					_, err = to.WriteAt(part, at)
				}
				if err != nil {
					return err
				}
				at += int64(len(part))
			}
		}
	}
	return to.Flush()
}

// moveOver makes the copy the volume, and forgets what the other host has.
func (s *Service) moveOver(ctx context.Context, tx *db.Tx, state *migrateState) error {
	v, err := getVolume(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	if state.Type != v.Type {
		err = s.swapType(ctx, tx, &v, state.Type)
		if err != nil {
			return err
		}
	}
	generation := v.Generation
	v.Host, v.Migration = state.To, "success"
	err = updateRow(ctx, tx, &v, v.ID, generation, "host", "migration", "type", "multiattach")
	if err != nil {
		return err
	}
	if state.Locked == Retyping {
		err = s.emit(ctx, tx, "volume.retype", v.ID)
		if err != nil {
			return err
		}
	}
	return s.hosts.Forget(ctx, tx, state.From, nodeapi.KindVolume, v.ID)
}

// swapType counts a volume for another type.
func (s *Service) swapType(ctx context.Context, tx *db.Tx, v *Volume, kind string) error {
	err := release(ctx, tx, v.Project, volumeItems(v.Type, v.SizeGB))
	if err != nil {
		return err
	}
	t, err := getType(ctx, tx, Viewer{Admin: true}, kind)
	if err != nil {
		return err
	}
	v.Type, v.Multiattach = kind, t.Multiattach()
	return reserve(ctx, tx, v.Project, volumeItems(v.Type, v.SizeGB))
}
