// Package db opens the database, runs transactions and knows the dialect.
//
// The database is the truth: whoever was answered finds the change there after
// a power cut. Writes on SQLite are therefore flushed to disk, and cheap all
// the same, since one writer commits many of them together (see group.go). The
// services write what SQLite and PostgreSQL have in common; what is SQLite's
// alone, the one database so far, lives here.
//
// Ids are text, times are Time (integer microseconds in UTC), structured
// columns are JSON. Migrations stand in migrations/, numbered, forward only.
package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"nacre/internal/clock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	read  *bun.DB
	group *group
	write *bun.DB
	hub   hub
	turns turns
	clock clock.Clock
}

// Tx runs statements: inside a transaction when it comes from Write, each for
// itself when it comes from Read. It is valid until the function it was given
// to returns.
type Tx struct {
	bun.IDB
	home  *DB
	after []func()
}

// Open opens the SQLite database in the file, makes it if it is missing, and
// brings its schema up to date.
func Open(ctx context.Context, file string) (*DB, error) {
	err := private(file)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	const pragmas = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(4000)"
	// The file is part of a URI, where these have a meaning.
	source := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(file) + pragmas
	writer, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	writer.SetMaxOpenConns(1)
	err = migrate(ctx, writer)
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	reader, err := sql.Open("sqlite", source+"&_pragma=query_only(1)")
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	reader.SetMaxOpenConns(4 * runtime.NumCPU())
	reader.SetMaxIdleConns(4 * runtime.NumCPU())
	d := &DB{
		read:  bun.NewDB(reader, sqlitedialect.New()),
		write: bun.NewDB(writer, sqlitedialect.New()),
		clock: clock.Real{},
	}
	d.group, err = startGroup(ctx, d)
	if err != nil {
		reader.Close()
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	return d, nil
}

// private makes the file its owner's alone before SQLite opens it: it holds
// password hashes and what users tell their guests. The journals beside it get
// the mode of the file; those that are there already are mended, too.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o600), f.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		chmodErr := os.Chmod(file+suffix, 0o600)
		if !errors.Is(chmodErr, fs.ErrNotExist) {
			err = errors.Join(err, chmodErr)
		}
	}
	return err
}

func migrate(ctx context.Context, conn *sql.DB) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("find migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, conn, folder)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Close waits for running transactions and closes the database.
func (d *DB) Close() error {
	d.group.stop()
	return errors.Join(d.write.Close(), d.read.Close())
}

// Write runs the function in a transaction and returns when it is on disk. The
// function may run twice; it does SQL and computation, nothing else. Its error
// undoes it and is returned as it is.
func (d *DB) Write(ctx context.Context, do func(tx *Tx) error) error {
	return d.group.write(ctx, do)
}

// Read runs the function outside any transaction. It sees all that was
// committed before it began.
func (d *DB) Read(ctx context.Context, do func(tx *Tx) error) error {
	err := ctx.Err()
	if err != nil {
		return err
	}
	return do(&Tx{IDB: d.read, home: d})
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := tx.IDB.NewRaw(query, args...).Exec(ctx)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Get scans one row into dest, a pointer to a row struct or to a value. None
// is sql.ErrNoRows.
func (tx *Tx) Get(ctx context.Context, dest any, query string, args ...any) error {
	return tx.IDB.NewRaw(query, args...).Scan(ctx, dest)
}

// All scans every row into dest, a pointer to a slice of row structs or of
// values. None is an empty slice.
func (tx *Tx) All(ctx context.Context, dest any, query string, args ...any) error {
	err := tx.IDB.NewRaw(query, args...).Scan(ctx, dest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// Insert adds a row (a pointer to a struct) or rows (a pointer to a slice, not
// empty).
func (tx *Tx) Insert(ctx context.Context, rows any) error {
	_, err := tx.IDB.NewInsert().Model(rows).Exec(ctx)
	return err
}

// Update writes the named columns of the row with the same primary key and
// returns how many rows that were, 0 or 1.
func (tx *Tx) Update(ctx context.Context, row any, columns ...string) (int64, error) {
	result, err := tx.IDB.NewUpdate().Model(row).Column(columns...).WherePK().Exec(ctx)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// After runs the function once the transaction is on disk, in order, before
// Write returns. It must be quick: hints, wake-ups.
func (tx *Tx) After(do func()) { tx.after = append(tx.after, do) }

// In makes an argument for "x IN (?)". Nothing is in an empty list.
func In[T any](list []T) any { return bun.List(list) }

// IsDuplicate tells whether a statement broke a unique index or primary key.
func IsDuplicate(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// Like makes the pattern for "x LIKE ? ESCAPE '\'" that finds the text anywhere.
func Like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}
