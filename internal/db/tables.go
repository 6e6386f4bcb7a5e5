package db

import (
	"context"
	"fmt"
)

// Tables lists the tables that migrations made, by name.
func (d *DB) Tables(ctx context.Context) ([]string, error) {
	var names []string
	err := d.Read(ctx, func(tx *Tx) error {
		return tx.All(ctx, &names, d.store.catalog()+" ORDER BY 1")
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
}
