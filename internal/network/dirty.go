package network

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/fabric"
)

const dirtyChannel = "network.dirty"

// dirty notes that objects of the fabric are no longer what the rows say, in
// the transaction that changes the rows.
func dirty(ctx context.Context, tx *db.Tx, kind fabric.Kind, ids ...string) error {
	for _, id := range ids {
		if id == "" {
			continue
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO network_dirty (kind, id) VALUES (?, ?)
			ON CONFLICT (kind, id) DO UPDATE SET generation = network_dirty.generation + 1`, kind, id)
		if err != nil {
			return fmt.Errorf("note changed %s %s: %w", kind, id, err)
		}
	}
	tx.Notify(dirtyChannel, "")
	return nil
}

type dirtyRow struct {
	Kind       fabric.Kind `bun:"kind"`
	ID         string      `bun:"id"`
	Generation int64       `bun:"generation"`
}

// nextDirty reads the oldest changes.
func nextDirty(ctx context.Context, tx *db.Tx, limit int) ([]dirtyRow, error) {
	var rows []dirtyRow
	err := tx.All(ctx, &rows, `SELECT kind, id, generation FROM network_dirty ORDER BY seq LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return rows, nil
}

// clean forgets changes that the fabric has, unless there was another since.
func clean(ctx context.Context, tx *db.Tx, rows []dirtyRow) error {
	byGeneration := map[string][]string{}
	for _, r := range rows {
		key := fmt.Sprint(r.Kind, " ", r.Generation)
		byGeneration[key] = append(byGeneration[key], r.ID)
	}
	for _, r := range rows {
		key := fmt.Sprint(r.Kind, " ", r.Generation)
		ids := byGeneration[key]
		if ids == nil {
			continue
		}
		delete(byGeneration, key)
		_, err := tx.Exec(ctx, `DELETE FROM network_dirty WHERE kind = ? AND generation = ? AND id IN (?)`,
			r.Kind, r.Generation, db.In(ids))
		if err != nil {
			return fmt.Errorf("forget changes: %w", err)
		}
	}
	return nil
}
