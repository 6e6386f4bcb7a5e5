package volume

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// AwaitingTransfer is the state of a volume that is offered to another project.
const AwaitingTransfer = "awaiting-transfer"

// Transfer offers a volume to whoever knows its id and key.
type Transfer struct {
	bun.BaseModel `bun:"table:volume_transfers,alias:volume_transfers"`

	ID        string `bun:",pk"`
	Volume    string
	Project   string
	Name      string
	Salt      string
	KeyHash   string // keys are long and random, so that a plain hash hides them
	Snapshots bool   // whether they go along
	CreatedAt db.Time
}

var allTransfers = kind[Transfer]{table: "volume_transfers", noun: "Transfer", owner: func(t Transfer) string { return t.Project }}

// Transfers lists offers that nobody has accepted.
func (s *Service) Transfers(ctx context.Context, q Query, page db.Page) ([]Transfer, bool, error) {
	return allTransfers.list(ctx, s, q, page)
}

// Transfer returns an offer of the viewer's project.
func (s *Service) Transfer(ctx context.Context, who Viewer, id string) (Transfer, error) {
	return allTransfers.show(ctx, s, who, id)
}

// CreateTransfer offers a volume and returns the key, which is told once only.
func (s *Service) CreateTransfer(ctx context.Context, who Viewer, volume, name string, snapshots bool) (t Transfer, key string, err error) {
	secret := make([]byte, 12)
	_, err = rand.Read(secret)
	if err != nil {
		return Transfer{}, "", fmt.Errorf("make a key: %w", err)
	}
	salt, key := hex.EncodeToString(secret[:4]), hex.EncodeToString(secret[4:])
	t = Transfer{ID: s.newID(), Volume: volume, Name: name, Salt: salt, KeyHash: keyHash(salt, key), Snapshots: snapshots}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		v, err := findVolume(ctx, tx, who, volume)
		if err != nil {
			return err
		}
		if v.Status != Available {
			return errs.BadRequestf("Invalid volume: status must be available")
		}
		if v.Group != "" {
			return errs.BadRequestf("Invalid volume: Volume %s is in group %s and cannot be transferred.", v.ID, v.Group)
		}
		err = copying(ctx, tx, v.ID, "volume")
		if err != nil {
			return err
		}
		err = s.emit(ctx, tx, "transfer.create.start", v.ID)
		if err != nil {
			return err
		}
		err = setStatus(ctx, tx, v.ID, Available, AwaitingTransfer)
		if err != nil {
			return err
		}
		t.Project, t.CreatedAt = v.Project, db.At(tx.Now())
		err = tx.Insert(ctx, &t)
		if err != nil {
			return err
		}
		return s.emit(ctx, tx, "transfer.create.end", v.ID)
	})
	return t, key, unexpected("offer volume "+volume, err)
}

func keyHash(salt, key string) string {
	sum := sha256.Sum256([]byte(salt + key))
	return hex.EncodeToString(sum[:])
}

// DeleteTransfer takes an offer back.
func (s *Service) DeleteTransfer(ctx context.Context, who Viewer, id string) error {
	_, err := allTransfers.edit(ctx, s, who, id, "delete", func(tx *db.Tx, t *Transfer) error {
		err := s.emit(ctx, tx, "transfer.delete.start", t.Volume)
		if err != nil {
			return err
		}
		err = s.endTransfer(ctx, tx, *t)
		if err != nil {
			return err
		}
		return s.emit(ctx, tx, "transfer.delete.end", t.Volume)
	})
	return err
}

func (s *Service) endTransfer(ctx context.Context, tx *db.Tx, t Transfer) error {
	_, err := tx.Exec(ctx, "DELETE FROM volume_transfers WHERE id = ?", t.ID)
	if err != nil {
		return err
	}
	return setStatus(ctx, tx, t.Volume, AwaitingTransfer, Available)
}

// AcceptTransfer gives the volume to the viewer's project, and counts it there.
// Whoever knows the key sees the offer, and nobody else does.
func (s *Service) AcceptTransfer(ctx context.Context, who Viewer, id, key string) (Transfer, error) {
	anybody := who
	anybody.Admin = true
	return allTransfers.edit(ctx, s, anybody, id, "accept", func(tx *db.Tx, t *Transfer) error {
		if subtle.ConstantTimeCompare([]byte(t.KeyHash), []byte(keyHash(t.Salt, key))) != 1 {
			return errs.BadRequestf("Invalid auth key: Attempt to transfer %s with invalid auth key.", id)
		}
		v, err := getVolume(ctx, tx, t.Volume)
		if err != nil {
			return err
		}
		if v.Status != AwaitingTransfer {
			return errs.BadRequestf("Invalid volume: Transfer %s: Volume id %s expected in awaiting-transfer state.", id, v.ID)
		}
		_, err = getType(ctx, tx, who, v.Type)
		if err != nil {
			return errs.BadRequestf("Invalid volume: The type of volume %s is not one that project %s may use.", v.ID, who.Project)
		}
		err = s.emit(ctx, tx, "transfer.accept.start", v.ID)
		if err != nil {
			return err
		}
		err = s.give(ctx, tx, who, v, t.Snapshots)
		if err != nil {
			return err
		}
		err = s.endTransfer(ctx, tx, *t)
		if err != nil {
			return err
		}
		return s.emit(ctx, tx, "transfer.accept.end", v.ID)
	})
}

// give makes a volume the viewer's, with its snapshots or without. What it takes
// from quotas moves along.
func (s *Service) give(ctx context.Context, tx *db.Tx, who Viewer, v Volume, snapshots bool) error {
	items := volumeItems(v.Type, v.SizeGB)
	var list []Snapshot
	if snapshots {
		err := tx.All(ctx, &list, "SELECT * FROM snapshots WHERE volume = ?"+tx.Hold(), v.ID)
		if err != nil {
			return err
		}
	}
	for _, snapshot := range list {
		items = append(items, snapshotItems(snapshot.Type, snapshot.SizeGB)...)
		_, err := tx.Exec(ctx, "UPDATE snapshots SET project = ?, user_id = ?, generation = generation + 1 WHERE id = ?",
			who.Project, who.User, snapshot.ID)
		if err != nil {
			return err
		}
	}
	err := quota.Release(ctx, tx, v.Project, items...)
	if err != nil {
		return err
	}
	err = reserve(ctx, tx, who.Project, items)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE volumes SET project = ?, user_id = ?, generation = generation + 1, updated_at = ? WHERE id = ?",
		who.Project, who.User, db.At(tx.Now()), v.ID)
	return err
}
