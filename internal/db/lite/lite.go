// Package lite is SQLite behind database/sql.
//
// SQLite itself is zombiezen.com/go/sqlite, which opens connections that take no
// lock of their own at each call: database/sql gives a connection to one caller at
// a time anyway. A column costs a fifth of what it does behind a lock. Where that
// is still too much, Read hands the rows out as they are, past database/sql.
//
// Values are int64, float64, string, []byte and nil, as SQLite keeps them; truth
// values are written as 0 and 1. Times have no form of their own here.
package lite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Connector opens connections to a database file.
type Connector struct {
	File    string // made if it is missing
	Pragmas []string
	Busy    time.Duration // how long a statement waits for another process' lock
	Setup   func(*sqlite.Conn) error
}

// Connect implements driver.Connector.
func (c Connector) Connect(context.Context) (driver.Conn, error) {
	lite, err := sqlite.OpenConn(c.File, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	lite.SetBusyTimeout(c.Busy)
	for _, pragma := range c.Pragmas {
		err = errors.Join(err, sqlitex.ExecuteTransient(lite, "PRAGMA "+pragma, nil))
	}
	if c.Setup != nil {
		err = errors.Join(err, c.Setup(lite))
	}
	if err != nil {
		return nil, errors.Join(err, lite.Close())
	}
	return &conn{lite: lite}, nil
}

// Driver implements driver.Connector. There are no names of data sources.
func (c Connector) Driver() driver.Driver { return c }

// Open implements driver.Driver.
func (c Connector) Open(string) (driver.Conn, error) { return c.Connect(context.Background()) }

// IsDuplicate tells whether a statement broke a unique index or a primary key.
func IsDuplicate(err error) bool {
	code := sqlite.ErrCode(err)
	return code == sqlite.ResultConstraintUnique || code == sqlite.ResultConstraintPrimaryKey
}

// IsFull tells whether there was no room on the disk.
func IsFull(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull }

type conn struct {
	lite  *sqlite.Conn
	kept  map[string]*sqlite.Stmt // for Read, by text
	alarm <-chan struct{}         // closed to interrupt it; nil until there is need
	ring  context.CancelFunc      // closes alarm
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	var err error
	for _, s := range c.kept {
		err = errors.Join(err, s.Finalize())
	}
	return errors.Join(err, c.lite.Close())
}

// Begin implements driver.Conn. What is begun here is to write.
func (c *conn) Begin() (driver.Tx, error) {
	err := sqlitex.ExecuteTransient(c.lite, "BEGIN IMMEDIATE", nil)
	return c, err
}

// Commit implements driver.Tx.
func (c *conn) Commit() error { return sqlitex.ExecuteTransient(c.lite, "COMMIT", nil) }

// Rollback implements driver.Tx.
func (c *conn) Rollback() error { return sqlitex.ExecuteTransient(c.lite, "ROLLBACK", nil) }

// Prepare implements driver.Conn: the text is one statement.
func (c *conn) Prepare(text string) (driver.Stmt, error) {
	lite, behind, err := c.lite.PrepareTransient(text)
	if err != nil {
		return nil, err
	}
	if next(text[len(text)-behind:]) != "" {
		return nil, errors.Join(errSeveral, lite.Finalize())
	}
	return &stmt{conn: c, lite: lite}, nil
}

// ExecContext implements driver.ExecerContext. A text without arguments may have
// several statements.
func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	var done driver.Result
	for text = next(text); text != ""; text = next(text) {
		lite, behind, err := c.lite.PrepareTransient(text)
		if err != nil {
			return nil, err
		}
		s := &stmt{conn: c, lite: lite}
		text = text[len(text)-behind:]
		if len(args) > 0 && next(text) != "" {
			return nil, errors.Join(errSeveral, s.Close())
		}
		done, err = s.ExecContext(ctx, args)
		err = errors.Join(err, s.Close())
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}

var errSeveral = errors.New("more than one statement")

// next is the text from its next statement on, behind space and comments.
func next(text string) string {
	for {
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "--") {
			return text
		}
		_, text, _ = strings.Cut(text, "\n")
	}
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.Prepare(text)
	if err != nil {
		return nil, err
	}
	got, err := s.(*stmt).QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	got.(*rows).once = true
	return got, nil
}

func (c *conn) done() driver.Result {
	return result{c.lite.LastInsertRowID(), int64(c.lite.Changes())}
}

// heed has what runs end with its context, until the function it returns is called. SQLite
// watches one alarm until that has rung: to have it watch the context of each statement
// takes a goroutine, and waits for that one twice.
func (c *conn) heed(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	if c.alarm == nil {
		rung, ring := context.WithCancel(context.Background())
		c.alarm, c.ring = rung.Done(), ring
		c.lite.SetInterrupt(c.alarm)
	}
	alarm := c.alarm
	unhook := context.AfterFunc(ctx, c.ring)
	return func() {
		if unhook() {
			return
		}
		<-alarm
		if c.alarm == alarm {
			c.alarm = nil
			c.lite.SetInterrupt(nil)
		}
	}
}

// told is the error of what was interrupted in the words of its context.
func (c *conn) told(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt {
		return ctx.Err()
	}
	return err
}

type result struct{ id, changed int64 }

// LastInsertId implements driver.Result.
func (r result) LastInsertId() (int64, error) { return r.id, nil }

// RowsAffected implements driver.Result.
func (r result) RowsAffected() (int64, error) { return r.changed, nil }

type stmt struct {
	conn *conn
	lite *sqlite.Stmt
}

// Close implements driver.Stmt.
func (s *stmt) Close() error { return s.lite.Finalize() }

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int { return s.lite.BindParamCount() }

// Exec implements driver.Stmt.
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }

// Query implements driver.Stmt.
func (s *stmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	err := s.bind(args)
	if err != nil {
		return nil, err
	}
	defer s.conn.heed(ctx)()
	for more := true; more && err == nil; {
		more, err = s.lite.Step()
	}
	if err != nil {
		return nil, s.conn.told(ctx, err)
	}
	done := s.conn.done()
	return done, s.lite.Reset()
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	err := s.bind(args)
	if err != nil {
		return nil, err
	}
	return &rows{stmt: s, ctx: ctx, stop: s.conn.heed(ctx)}, nil
}

func (s *stmt) bind(args []driver.NamedValue) error {
	for _, a := range args {
		err := bind(s.lite, a.Ordinal, a.Value)
		if err != nil {
			return err
		}
	}
	return nil
}

func bind(s *sqlite.Stmt, at int, value any) error {
	switch v := value.(type) {
	case nil:
		s.BindNull(at)
	case int64:
		s.BindInt64(at, v)
	case bool:
		s.BindBool(at, v)
	case float64:
		s.BindFloat(at, v)
	case string:
		s.BindText(at, v)
	case []byte:
		s.BindBytes(at, v)
	default:
		return fmt.Errorf("SQLite keeps no %T", v)
	}
	return nil
}

type rows struct {
	stmt *stmt
	ctx  context.Context
	stop func()
	once bool // the statement ends with its rows
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string {
	names := make([]string, r.stmt.lite.ColumnCount())
	for i := range names {
		names[i] = r.stmt.lite.ColumnName(i)
	}
	return names
}

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	more, err := r.stmt.lite.Step()
	if err != nil {
		return r.stmt.conn.told(r.ctx, err)
	}
	if !more {
		return io.EOF
	}
	for i := range dest {
		dest[i] = Value(r.stmt.lite, i)
	}
	return nil
}

// Value is a column of the row where the statement is.
func Value(s *sqlite.Stmt, column int) any {
	switch s.ColumnType(column) {
	case sqlite.TypeInteger:
		return s.ColumnInt64(column)
	case sqlite.TypeFloat:
		return s.ColumnFloat(column)
	case sqlite.TypeText:
		return s.ColumnText(column)
	case sqlite.TypeBlob:
		b := make([]byte, s.ColumnLen(column))
		s.ColumnBytes(column, b)
		return b
	}
	return nil
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	r.stop()
	if r.once {
		return r.stmt.lite.Finalize()
	}
	return r.stmt.lite.Reset()
}
