package volume

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// want makes the volume's document what the rows say: so large, from that
// source, exported at the epochs of its attachments. Only the plans that make
// bytes anew name a revision (plan_remake.go).
func (s *Service) want(ctx context.Context, tx *db.Tx, v Volume) error {
	document := nodeapi.Volume{ID: v.ID, SizeGB: int(v.SizeGB), Image: v.Image, Source: v.Source + v.Snapshot, Encrypted: v.Key != ""}
	return s.wantDocument(ctx, tx, v, document)
}

// wantDocument adds to a volume's document who may use it.
func (s *Service) wantDocument(ctx context.Context, tx *db.Tx, v Volume, document nodeapi.Volume) error {
	var shares []nodeapi.Share
	err := tx.All(ctx, &shares, `
		SELECT epoch, (mode = 'ro') AS read_only FROM volume_attachments WHERE volume = ? AND epoch > 0
		UNION ALL
		SELECT next_epoch AS epoch, (mode = 'ro') AS read_only FROM volume_attachments WHERE volume = ? AND next_epoch > 0
		ORDER BY epoch DESC`, v.ID, v.ID)
	if err != nil {
		return fmt.Errorf("read attachments of volume %s: %w", v.ID, err)
	}
	if len(shares) > 0 {
		document.Export = &nodeapi.Export{Epoch: shares[0].Epoch, ReadOnly: shares[0].ReadOnly, Others: shares[1:]}
	}
	_, err = s.hosts.Want(ctx, tx, v.Host, nodeapi.KindVolume, v.ID, document)
	return err
}

// wantSnapshot is want for the copy that a snapshot is.
func (s *Service) wantSnapshot(ctx context.Context, tx *db.Tx, snapshot Snapshot) error {
	document := nodeapi.Volume{ID: snapshot.ID, SizeGB: int(snapshot.SizeGB), Source: snapshot.Volume, Encrypted: snapshot.Key != ""}
	_, err := s.hosts.Want(ctx, tx, snapshot.Host, nodeapi.KindVolume, snapshot.ID, document)
	return err
}

// copying refuses to touch a volume or snapshot while something is being
// copied from it.
func copying(ctx context.Context, tx *db.Tx, id, what string) error {
	var copies int
	err := tx.Get(ctx, &copies, `
		SELECT (SELECT COUNT(*) FROM volumes WHERE (source = ? OR snapshot = ? AND snapshot <> '') AND status = ?) +
			(SELECT COUNT(*) FROM snapshots WHERE volume = ? AND status = ?)`, id, id, Creating, id, Creating)
	if err != nil {
		return fmt.Errorf("look for copies of %s: %w", id, err)
	}
	if copies > 0 {
		return errs.BadRequestf("Invalid %s: %s %s is being copied. Please try again when the copy is made.", what, what, id)
	}
	return nil
}
