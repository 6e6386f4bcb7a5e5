package lite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// mostKept bounds the statements that a connection keeps.
const mostKept = 2000

// Read runs a query on one of the pool's connections and visits its rows as they
// are, past database/sql. A row is valid until visit returns. The text is kept
// with the connection, parsed, for the next time.
func Read(ctx context.Context, pool *sql.DB, text string, args []any, visit func(row *sqlite.Stmt) error) error {
	taken, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer taken.Close()
	return ReadOn(ctx, taken, text, args, visit)
}

// ReadOn is Read on one connection. What visits the rows must not use it.
func ReadOn(ctx context.Context, taken *sql.Conn, text string, args []any, visit func(row *sqlite.Stmt) error) error {
	return taken.Raw(func(of any) error {
		c := of.(*conn)
		return c.told(ctx, c.read(ctx, text, args, visit))
	})
}

// Exec runs a statement on a connection, which keeps it, and tells how many rows
// that has changed.
func Exec(ctx context.Context, taken *sql.Conn, text string, args []any) (changed int64, err error) {
	err = taken.Raw(func(of any) error {
		c := of.(*conn)
		err := c.read(ctx, text, args, func(*sqlite.Stmt) error { return nil })
		changed = int64(c.lite.Changes())
		return c.told(ctx, err)
	})
	return changed, err
}

func (c *conn) read(ctx context.Context, text string, args []any, visit func(row *sqlite.Stmt) error) (err error) {
	s, err := c.keep(text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.release(text, s)) }()
	if len(args) != s.BindParamCount() {
		return fmt.Errorf("%d values for %d parameters: %s", len(args), s.BindParamCount(), text)
	}
	for i, a := range args {
		valuer, ok := a.(driver.Valuer)
		if ok {
			a, err = valuer.Value()
			if err != nil {
				return err
			}
		}
		err = bind(s, i+1, a)
		if err != nil {
			return err
		}
	}
	defer c.heed(ctx)()
	for {
		more, err := s.Step()
		if err != nil || !more {
			return err
		}
		err = visit(s)
		if err != nil {
			return err
		}
	}
}

func (c *conn) keep(text string) (*sqlite.Stmt, error) {
	s := c.kept[text]
	if s != nil {
		return s, nil
	}
	made, err := c.Prepare(text)
	if err != nil {
		return nil, err
	}
	s = made.(*stmt).lite
	if len(c.kept) < mostKept {
		if c.kept == nil {
			c.kept = map[string]*sqlite.Stmt{}
		}
		c.kept[text] = s
	}
	return s, nil
}

func (c *conn) release(text string, s *sqlite.Stmt) error {
	if c.kept[text] != s {
		return s.Finalize()
	}
	return s.Reset()
}
