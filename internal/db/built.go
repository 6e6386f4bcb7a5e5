package db

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
)

// built is a connection to SQLite for statements that the query builder spells,
// values and all. The values are lifted out again, so that SQLite parses each
// form of a statement once.
type built struct {
	bun.IDB
	texts *prepared
}

// statement finds the prepared form of a text and its values, or nil: then the
// text goes to SQLite as it is.
func (c built) statement(ctx context.Context, query string, args []any) (*sql.Stmt, []any, error) {
	if len(args) > 0 {
		return nil, nil, nil
	}
	form, values, ok := lift(query)
	if !ok {
		return nil, nil, nil
	}
	stmt, err := c.texts.find(ctx, form)
	return stmt, values, err
}

// ExecContext implements bun.IDB.
func (c built) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = c.texts.steadied(ctx)
	stmt, values, err := c.statement(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.ExecContext(ctx, values...)
	}
	return c.IDB.ExecContext(ctx, query, args...)
}

// QueryContext implements bun.IDB.
func (c built) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = c.texts.steadied(ctx)
	stmt, values, err := c.statement(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.QueryContext(ctx, values...)
	}
	return c.IDB.QueryContext(ctx, query, args...)
}

// QueryRowContext implements bun.IDB.
func (c built) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.IDB.QueryRowContext(c.texts.steadied(ctx), query, args...)
}

// NewSelect implements bun.IDB.
func (c built) NewSelect() *bun.SelectQuery { return c.IDB.NewSelect().Conn(c) }

// NewInsert implements bun.IDB.
func (c built) NewInsert() *bun.InsertQuery { return c.IDB.NewInsert().Conn(c) }

// NewUpdate implements bun.IDB.
func (c built) NewUpdate() *bun.UpdateQuery { return c.IDB.NewUpdate().Conn(c) }

// NewDelete implements bun.IDB.
func (c built) NewDelete() *bun.DeleteQuery { return c.IDB.NewDelete().Conn(c) }

// NewRaw implements bun.IDB.
func (c built) NewRaw(query string, args ...any) *bun.RawQuery {
	return c.IDB.NewRaw(query, args...).Conn(c)
}
