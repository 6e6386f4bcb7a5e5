package volume

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// A volume of a type that says so may be attached several times. Each attachment
// has an epoch and an export of its own, which ends without the others noticing.
// The volume's status is that of its attachments together.

// Multiattach tells whether volumes of the type may be attached several times.
func (t Type) Multiattach() bool {
	return strings.EqualFold(strings.TrimSpace(t.ExtraSpecs.V["multiattach"]), "<is> true")
}

// MayShare refuses to attach a volume once more that a guest boots from, where
// policy does.
func (w Viewer) MayShare(v Volume) error {
	if v.Status != InUse || !v.Bootable {
		return nil
	}
	return w.allowed("volume:multiattach_bootable_volume", v.Project)
}

// mayMultiattach tells whether a volume that gets a type may be attached several
// times from then on.
func (w Viewer) mayMultiattach(v Volume, t Type) (bool, error) {
	if !t.Multiattach() {
		return false, nil
	}
	return true, w.allowed("volume:multiattach", v.Project)
}

// mayReserve refuses to promise a volume that is not free.
func mayReserve(ctx context.Context, tx *db.Tx, v Volume, a Attachment) error {
	if v.Status == Available {
		return nil
	}
	if !v.Multiattach || !slices.Contains([]string{Reserved, Attaching, InUse, Detaching}, v.Status) {
		return errs.BadRequestf("Invalid volume: Volume %s status must be available to reserve, but the current status is %s.", v.ID, v.Status)
	}
	var already int
	err := tx.Get(ctx, &already, "SELECT COUNT(*) FROM volume_attachments WHERE volume = ? AND server = ? AND server <> ''", v.ID, a.Server)
	if err == nil && already > 0 {
		return errs.BadRequestf("Invalid volume: Volume %s is attached to server %s already.", v.ID, a.Server)
	}
	return err
}

// standing is the status that its attachments give a volume. While one of several
// is ended it is detaching, so that whoever waits for that sees the end.
func standing(ctx context.Context, tx *db.Tx, volume string) (string, error) {
	var list []string
	err := tx.All(ctx, &list, "SELECT DISTINCT status FROM volume_attachments WHERE volume = ?", volume)
	if err != nil {
		return "", fmt.Errorf("read attachments of volume %s: %w", volume, err)
	}
	for _, state := range []struct{ attachment, volume string }{
		{Detaching, Detaching}, {Attached, InUse}, {Attaching, Attaching}, {Reserved, Reserved},
	} {
		if slices.Contains(list, state.attachment) {
			return state.volume, nil
		}
	}
	return Available, nil
}

// stand gives a volume the status of its attachments, unless something else is
// done with it meanwhile.
func stand(ctx context.Context, tx *db.Tx, v Volume) error {
	if !slices.Contains([]string{Available, Reserved, Attaching, InUse, Detaching}, v.Status) {
		return nil
	}
	to, err := standing(ctx, tx, v.ID)
	if err != nil || to == v.Status {
		return err
	}
	return setStatus(ctx, tx, v.ID, v.Status, to)
}
