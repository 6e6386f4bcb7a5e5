package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Most resources of this service are one row each, found by its id, changed by
// a function and told of. What they share stands here; a resource adds its type
// and what is special about it.

// find reads a row by its id.
func find[T any](ctx context.Context, tx *db.Tx, kind, id string) (T, error) {
	var row T
	err := tx.Held(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, errs.NotFoundf("Could not find %s: %s.", kind, id)
	}
	if err != nil {
		return row, fmt.Errorf("read %s %s: %w", kind, id, err)
	}
	return row, nil
}

// get is find in a transaction of its own.
func get[T any](ctx context.Context, s *Service, kind, id string) (T, error) {
	var row T
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = find[T](ctx, tx, kind, id)
		return err
	})
	return row, err
}

// list reads the rows that narrow leaves, in its order.
func list[T any](ctx context.Context, s *Service, kind string, narrow func(q *bun.SelectQuery) *bun.SelectQuery) ([]T, error) {
	var rows []T
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return narrow(tx.NewSelect().Model(&rows)).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	return rows, nil
}

// everything narrows nothing.
func everything(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("id") }

// insert adds a row, once first has completed it and found nothing against it.
func insert[T any](ctx context.Context, s *Service, kind, id string, in T, first func(tx *db.Tx, row *T) error) (T, error) {
	row := in
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row = in
		err := first(tx, &row)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil && db.IsDuplicate(err) {
			return errs.Conflictf("Conflict occurred attempting to store %s - Duplicate ID, %s.", kind, id)
		}
		if err != nil {
			return err
		}
		return tell(ctx, tx, kind, created, id)
	})
	if err != nil {
		return row, fmt.Errorf("create %s: %w", kind, err)
	}
	return row, nil
}

// update changes the named columns of a row by the function.
func update[T any](ctx context.Context, s *Service, kind, id string, change func(tx *db.Tx, row *T) error, columns ...string) (T, error) {
	var row T
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		row, err = find[T](ctx, tx, kind, id)
		if err != nil {
			return err
		}
		err = change(tx, &row)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &row, columns...)
		if err != nil && db.IsDuplicate(err) {
			return errs.Conflictf("Conflict occurred attempting to store %s - another one has what %s was to get.", kind, id)
		}
		if err != nil {
			return err
		}
		return tell(ctx, tx, kind, updated, id)
	})
	if err != nil {
		return row, fmt.Errorf("update %s %s: %w", kind, id, err)
	}
	return row, nil
}

// remove deletes a row, after what before does about it.
func remove[T any](ctx context.Context, s *Service, kind, id string, before func(tx *db.Tx) error) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := find[T](ctx, tx, kind, id)
		if err != nil {
			return err
		}
		err = before(tx)
		if err != nil {
			return err
		}
		_, err = tx.NewDelete().Model(&row).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		return tell(ctx, tx, kind, deleted, id)
	})
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", kind, id, err)
	}
	return nil
}

// complete is for rows that are complete.
func complete[T any](*db.Tx, *T) error { return nil }

// nothing is what comes first where nothing does.
func nothing(*db.Tx) error { return nil }

// stale makes what is kept in memory stale.
func (s *Service) stale(ctx context.Context) func(tx *db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := s.bump(ctx, tx)
		return err
	}
}

// thenStale changes a row and makes what is kept in memory stale.
func thenStale[T any](ctx context.Context, s *Service, change func(row *T) error) func(tx *db.Tx, row *T) error {
	return func(tx *db.Tx, row *T) error {
		err := change(row)
		if err != nil {
			return err
		}
		return s.stale(ctx)(tx)
	}
}

// unchanged is the change that is none.
func unchanged[T any](*T) error { return nil }

// eventNames are the names that notifications have for some kinds; "" for those
// that Keystone tells nothing of.
var eventNames = map[string]string{
	trustKind:           "OS-TRUST:trust",
	consumerKind:        "OS-OAUTH1:consumer",
	requestTokenKind:    "OS-OAUTH1:request_token",
	accessTokenKind:     "OS-OAUTH1:access_token",
	endpointGroupKind:   "",
	registeredLimitKind: "",
	limitKind:           "",
	idpKind:             "",
	mappingKind:         "",
	"protocol":          "",
	serviceProviderKind: "",
}

// eventName is the name that notifications have for a kind.
func eventName(kind string) string {
	name, special := eventNames[kind]
	if special {
		return name
	}
	return strings.ReplaceAll(kind, " ", "_")
}
