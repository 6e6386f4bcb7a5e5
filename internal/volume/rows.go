package volume

import (
	"context"
	"database/sql"
	"errors"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Most of what a project has here is kept, listed, counted and found the same
// way. A kind says what differs.

// kind is one kind of resource, kept as rows of the type T.
type kind[T any] struct {
	table string
	noun  string                   // what users call one: Group
	owner func(T) (project string) // nil: it is nobody's
}

// list reads a page of rows.
func (k kind[T]) list(ctx context.Context, s *Service, q Query, page db.Page) (list []T, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		err := k.there(ctx, tx, page.Marker)
		if err != nil {
			return err
		}
		var rows []T
		err = page.Cut(narrow(tx.NewSelect().Model(&rows), k.table, q), k.table, "id").Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		list, more = db.Trim(page, rows)
		return nil
	})
	return list, more, unexpected("list "+k.table, err)
}

// there refuses a page that begins behind what does not exist.
func (k kind[T]) there(ctx context.Context, tx *db.Tx, marker string) error {
	if marker == "" {
		return nil
	}
	_, err := k.get(ctx, tx, marker)
	return err
}

// count counts what list would read without pages.
func (k kind[T]) count(ctx context.Context, s *Service, q Query) (number int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return narrow(tx.NewSelect().Model((*T)(nil)), k.table, q).ColumnExpr("COUNT(*)").Scan(ctx, &number)
	})
	return number, unexpected("count "+k.table, err)
}

// get reads one row, whoever's it is.
func (k kind[T]) get(ctx context.Context, tx *db.Tx, id string) (T, error) {
	var row T
	err := tx.Get(ctx, &row, "SELECT * FROM "+k.table+" WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return row, k.missing(id)
	}
	return row, unexpected("read "+k.noun+" "+id, err)
}

// find reads a row that the viewer may see.
func (k kind[T]) find(ctx context.Context, tx *db.Tx, who Viewer, id string) (T, error) {
	row, err := k.get(ctx, tx, id)
	if err == nil && k.owner != nil && !who.Admin && k.owner(row) != who.Project {
		var none T
		return none, k.missing(id)
	}
	return row, err
}

func (k kind[T]) missing(id string) error {
	return errs.NotFoundf("%s %s could not be found.", k.noun, id)
}

// show is find in a transaction of its own.
func (k kind[T]) show(ctx context.Context, s *Service, who Viewer, id string) (row T, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		row, err = k.find(ctx, tx, who, id)
		return err
	})
	return row, err
}

// edit reads a row that the viewer may see and lets a function work on it, in one
// transaction.
func (k kind[T]) edit(ctx context.Context, s *Service, who Viewer, id, what string, do func(tx *db.Tx, row *T) error) (T, error) {
	var row T
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		found, err := k.find(ctx, tx, who, id)
		if err != nil {
			return err
		}
		err = do(tx, &found)
		row = found
		return err
	})
	return row, unexpected(what+" "+k.noun+" "+id, err)
}
