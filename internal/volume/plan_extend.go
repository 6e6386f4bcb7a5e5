package volume

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
	"nacre/internal/work"
)

// ExtendVolume begins to make a volume larger: with attached also one that is in
// use, whose servers are told.
func (s *Service) ExtendVolume(ctx context.Context, who Viewer, id string, size int64, attached bool) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if v.Status != Available && !(attached && v.Status == InUse) {
			may := "(available)"
			if attached {
				may = "('available', 'in-use')"
			}
			return errs.BadRequestf("Invalid volume: Volume %s status must be '%s' to extend, currently %s.", id, may, v.Status)
		}
		if v.Status == InUse {
			err = who.allowed("volume:extend_attached_volume", v.Project)
			if err != nil {
				return err
			}
		}
		if size <= v.SizeGB {
			return errs.BadRequestf("Invalid input received: New size for extend must be greater than current size. (current: %d, extended: %d).", v.SizeGB, size)
		}
		err = copying(ctx, tx, id, "volume")
		if err != nil {
			return err
		}
		err = checkSize(ctx, tx, v.Project, size)
		if err != nil {
			return err
		}
		err = reserve(ctx, tx, v.Project, sizeItems(v.Type, size-v.SizeGB))
		if err != nil {
			return err
		}
		err = setStatus(ctx, tx, id, v.Status, Extending)
		if err != nil {
			return err
		}
		err = s.emit(ctx, tx, "volume.resize.start", id)
		if err != nil {
			return err
		}
		state := volumeState{Volume: id, Host: v.Host, SizeGB: size, Before: v.Status}
		_, err = work.Start(ctx, tx, s.extendPlan(), id, state, who.options(v.Project)...)
		return err
	})
	return unexpected("extend volume "+id, err)
}

func (s *Service) extendPlan() work.Plan[volumeState] {
	return work.Plan[volumeState]{
		Name: "volume.extend", Action: "extend", Deadline: changeDeadline,
		Steps: []work.Step[volumeState]{
			{Name: "wait until nobody has it", Do: s.waitBytes},
			{Name: "want it larger", Tx: s.wantLarger, UndoTx: s.undoLarger},
			{Name: "wait for the host", Do: s.waitBytes},
			{Name: "finish", Tx: s.finishExtend},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *volumeState, cause error) error {
			v, err := getVolume(ctx, tx, state.Volume)
			if err != nil {
				return err
			}
			err = s.tell(ctx, tx, v.message(actExtend, whyExtendFailed), cause)
			if err != nil {
				return err
			}
			err = release(ctx, tx, v.Project, sizeItems(v.Type, state.SizeGB-v.SizeGB))
			if err != nil {
				return err
			}
			return setStatus(ctx, tx, state.Volume, Extending, ErrorExtending)
		},
	}
}

func (s *Service) wantLarger(ctx context.Context, tx *db.Tx, state *volumeState) error {
	v, err := getVolume(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	v.SizeGB = state.SizeGB
	return s.want(ctx, tx, v)
}

// undoLarger wants the size that the row still has. A host that has grown the
// volume leaves it so, which does no harm.
func (s *Service) undoLarger(ctx context.Context, tx *db.Tx, state *volumeState) error {
	v, err := getVolume(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, v)
}

func (s *Service) finishExtend(ctx context.Context, tx *db.Tx, state *volumeState) error {
	_, err := tx.Exec(ctx, "UPDATE volumes SET size = ? WHERE id = ?", state.SizeGB, state.Volume)
	if err == nil {
		err = freed(ctx, tx, state.Volume, Extending)
	}
	var users []string
	if err == nil {
		err = tx.All(ctx, &users, "SELECT DISTINCT server FROM volume_attachments WHERE volume = ? AND compute = 1 AND epoch > 0 ORDER BY server", state.Volume)
	}
	for _, server := range users {
		if err == nil {
			err = s.servers.Extended(ctx, tx, server, state.Volume, state.SizeGB)
		}
	}
	if err != nil {
		return err
	}
	return s.emit(ctx, tx, "volume.resize.end", state.Volume)
}

func release(ctx context.Context, tx *db.Tx, project string, items []quota.Item) error {
	return quota.Release(ctx, tx, project, items...)
}
