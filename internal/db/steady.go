package db

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
)

// steady is the writing connection as transactions see it: a statement that has
// begun runs to its end, also when its caller goes away. SQLite answers an
// interrupted write by rolling back the whole transaction, and that is everybody's
// in the group. Statements are short; whoever is gone is refused before its turn.
type steady struct{ bun.Conn }

// ExecContext implements bun.IDB.
func (c steady) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.Conn.ExecContext(context.WithoutCancel(ctx), query, args...)
}

// QueryContext implements bun.IDB.
func (c steady) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.Conn.QueryContext(context.WithoutCancel(ctx), query, args...)
}

// QueryRowContext implements bun.IDB.
func (c steady) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.Conn.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}

// NewSelect implements bun.IDB.
func (c steady) NewSelect() *bun.SelectQuery { return c.Conn.NewSelect().Conn(c) }

// NewInsert implements bun.IDB.
func (c steady) NewInsert() *bun.InsertQuery { return c.Conn.NewInsert().Conn(c) }

// NewUpdate implements bun.IDB.
func (c steady) NewUpdate() *bun.UpdateQuery { return c.Conn.NewUpdate().Conn(c) }

// NewDelete implements bun.IDB.
func (c steady) NewDelete() *bun.DeleteQuery { return c.Conn.NewDelete().Conn(c) }

// NewRaw implements bun.IDB.
func (c steady) NewRaw(query string, args ...any) *bun.RawQuery {
	return c.Conn.NewRaw(query, args...).Conn(c)
}
