package volume

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Retype gives a volume another type. When its host lacks what that type asks for,
// the volume moves to one that has it, if it may.
func (s *Service) Retype(ctx context.Context, who Viewer, id, kind string, move bool) error {
	able, err := s.BackendsFor(ctx, kind)
	if err != nil {
		return err
	}
	_, err = allVolumes.edit(ctx, s, who, id, "retype", func(tx *db.Tx, v *Volume) error {
		if v.Status != Available && v.Status != InUse {
			return errs.BadRequestf("Invalid volume: Unable to retype %s while its status is %s.", v.ID, v.Status)
		}
		t, err := typeByName(ctx, tx, who, kind)
		if err != nil {
			return err
		}
		if t.ID == v.Type {
			return errs.BadRequestf("Invalid input received: Volume %s is already of type %s.", v.ID, t.Name)
		}
		_, err = findEncryption(ctx, tx, t.ID)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if (err == nil) != (v.Key != "") {
			return errs.BadRequestf("Invalid input received: Volume %s cannot be retyped: one of the types is encrypted and the other not.", v.ID)
		}
		shared, err := who.mayMultiattach(*v, t)
		if err != nil {
			return err
		}
		if shared != v.Multiattach && v.Status != Available {
			return errs.BadRequestf("Invalid input received: Volume %s is %s: whether it may be attached several times can be changed while it is available.", v.ID, v.Status)
		}
		for _, b := range able {
			if b.Host.Name == v.Host {
				return s.retypeHere(ctx, tx, *v, t.ID)
			}
		}
		if !move {
			return errs.BadRequestf("Invalid volume: Retype requires migration but is not allowed: host %s lacks what type %s asks for.", v.Host, t.Name)
		}
		return s.startMigrate(ctx, tx, who, *v, migrateState{Type: t.ID, Locked: Retyping})
	})
	return err
}

func (s *Service) retypeHere(ctx context.Context, tx *db.Tx, v Volume, kind string) error {
	generation := v.Generation
	err := s.swapType(ctx, tx, &v, kind)
	if err != nil {
		return err
	}
	err = updateRow(ctx, tx, &v, v.ID, generation, "type", "multiattach")
	if err != nil {
		return err
	}
	return s.emit(ctx, tx, "volume.retype", v.ID)
}
