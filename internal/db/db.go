// Package db opens the database, runs transactions and knows the dialects.
//
// The database is the truth: whoever was answered finds the change there after
// a power cut. It is an SQLite file, which one process has open, or a
// PostgreSQL database, which any number of servers share. The services write
// what the two have in common; what differs lives here.
//
// Writes on SQLite are flushed to disk, and cheap all the same, since one writer
// commits many of them together (see group.go). Nobody else writes meanwhile.
// On PostgreSQL many write at once, each seeing what was committed before its
// statement (READ COMMITTED). A transaction that reads, decides and writes is
// right there for one of three reasons: the write names what was read (a
// generation, a phase) and nothing changes when that has passed; an index or a
// foreign key refuses what contradicts (the transaction then runs once more and
// sees why); or it reads what it decides about with Hold, or takes a Lock where
// there is no row yet, and so does everybody who changes the answer.
//
// Ids are text, times are Time (integer microseconds in UTC), truth values are
// the integers 0 and 1, structured columns are JSON. Text is compared and
// sorted by its bytes. Migrations stand in migrations/, numbered, forward only,
// in SQLite's words (see migrate.go).
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db/lite"
)

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	read  *bun.DB
	reads bun.IDB   // read, as the query builder uses it
	forms *prepared // the texts of the query builder, of read
	pool  *sql.DB   // SQLite's readers, see rows.go
	store store
	hub   hub
	clock clock.Clock
}

// store is what differs between the databases.
type store interface {
	write(ctx context.Context, do func(tx *Tx) error) error
	// lock holds the key until the transaction ends.
	lock(ctx context.Context, tx *Tx, key string) error
	// freeze fixes what the transaction sees.
	freeze(ctx context.Context, tx *Tx) error
	exclusive(ctx context.Context, name string, do func(ctx context.Context) error) error
	catalog() string  // a query for the names of our tables, in the order of their creation
	snapshot() string // begins a transaction that reads at one moment
	// filled follows up on rows that came with their numbers.
	filled(ctx context.Context, tx *Tx) error
	close() error
}

// Tx runs statements: inside a transaction when it comes from Write, each for
// itself when it comes from Read. It is valid until the function it was given
// to returns.
type Tx struct {
	bun.IDB
	home  *DB
	pool  *sql.DB   // SQLite's readers, for what goes past the query builder (rows.go)
	conn  *sql.Conn // its writer
	hold  string
	after []func()
}

// Open opens the database, a postgres:// URL or the path of an SQLite file,
// which is made if it is missing, and brings its schema up to date.
func Open(ctx context.Context, source string) (*DB, error) { return open(ctx, source, newest) }

// OpenAt is Open for a database that was copied from elsewhere: its schema is
// brought to a version and no further.
func OpenAt(ctx context.Context, source string, version int64) (*DB, error) {
	known, err := Newest()
	if err != nil {
		return nil, err
	}
	if version < 1 || version > known {
		return nil, fmt.Errorf("its schema has version %d, and this program knows up to %d: use the nacre that it comes from, or a newer one", version, known)
	}
	return open(ctx, source, version)
}

// Peek opens a database that is there already and leaves its schema as it is:
// to read what it has, also while a cloud runs on it.
func Peek(ctx context.Context, source string) (*DB, error) {
	if !IsPostgres(source) {
		_, err := os.Stat(source)
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
	}
	return open(ctx, source, untouched)
}

func open(ctx context.Context, source string, version int64) (*DB, error) {
	if IsPostgres(source) {
		return openPostgres(ctx, source, version)
	}
	return openSQLite(ctx, source, version)
}

// IsPostgres tells whether the source is a PostgreSQL database, not a file.
func IsPostgres(source string) bool {
	return strings.HasPrefix(source, "postgres://") || strings.HasPrefix(source, "postgresql://")
}

// Close waits for running transactions and closes the database.
func (d *DB) Close() error {
	d.forms.close()
	return errors.Join(d.store.close(), d.read.Close())
}

// Write runs the function in a transaction and returns when it is on disk. The
// function may run twice; it does SQL and computation, nothing else. Its error
// undoes it and is returned as it is.
func (d *DB) Write(ctx context.Context, do func(tx *Tx) error) error {
	return d.store.write(ctx, do)
}

// Read runs the function outside any transaction. It sees all that was
// committed before it began.
func (d *DB) Read(ctx context.Context, do func(tx *Tx) error) error {
	err := ctx.Err()
	if err != nil {
		return err
	}
	return refused(do(&Tx{IDB: d.reads, home: d, pool: d.pool}))
}

// Exclusive runs the function while no other caller runs one of the same name,
// in any process that has this database open. It waits for its turn until the
// context ends. It is no transaction: the function opens its own. Should the
// turn be lost, because the database or this process stood still for too long,
// the function's context ends.
func (d *DB) Exclusive(ctx context.Context, name string, do func(ctx context.Context) error) error {
	return d.store.exclusive(ctx, name, do)
}

// Hold ends a SELECT of rows that the transaction decides about or changes: they
// stay as they were read until it ends, since others that would hold or change
// them wait. In Read it does nothing.
func (tx *Tx) Hold() string { return tx.hold }

// Held is Hold for a query of the builder.
func (tx *Tx) Held(q *bun.SelectQuery) *bun.SelectQuery {
	if tx.hold == "" {
		return q
	}
	return q.For("NO KEY UPDATE")
}

// Freeze, as the first statement of a transaction, has all of them see the
// database as it is now, and what others changed since refuse to be changed:
// for counting what is, to compare it with what was recorded.
func (tx *Tx) Freeze(ctx context.Context) error { return tx.home.store.freeze(ctx, tx) }

// Again marks the error of a transaction that another one got in the way of: it
// is worth another try, and the error is for when that doesn't help.
func Again(err error) error { return again{err} }

type again struct{ error }

func (e again) Unwrap() error { return e.error }

// Lock makes other transactions that lock the same key wait until this one has
// ended. Statements behind it see what they did. Who takes several, takes them
// in the order of their keys, or risks running twice.
func (tx *Tx) Lock(ctx context.Context, key string) error {
	return tx.home.store.lock(ctx, tx, key)
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if tx.conn != nil {
		text, values, ok := bind(query, args)
		if ok {
			return tx.exec(ctx, text, values)
		}
	}
	return affected(tx.IDB.NewRaw(query, args...).Exec(ctx))
}

// Get scans one row into dest, a pointer to a row struct or to a value. None
// is sql.ErrNoRows.
func (tx *Tx) Get(ctx context.Context, dest any, query string, args ...any) error {
	return tx.scan(ctx, dest, query, args)
}

// All scans every row into dest, a pointer to a slice of row structs or of
// values. None is an empty slice. Rows that dest has are left alone; an empty one with
// room for rows may keep that.
func (tx *Tx) All(ctx context.Context, dest any, query string, args ...any) error {
	err := tx.scan(ctx, dest, query, args)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func (tx *Tx) scan(ctx context.Context, dest any, query string, args []any) error {
	if tx.pool != nil || tx.conn != nil {
		text, values, ok := bind(query, args)
		if ok {
			return tx.read(ctx, dest, text, values)
		}
	}
	forget(dest)
	return tx.IDB.NewRaw(query, args...).Scan(ctx, dest)
}

// forget empties a slice: the builder would write over the rows of before, which
// somebody may have.
func forget(dest any) {
	into := reflect.ValueOf(dest).Elem()
	if into.Kind() == reflect.Slice {
		into.SetZero()
	}
}

// Insert adds a row (a pointer to a struct) or rows (a pointer to a slice, not
// empty). When it fails, some of the rows may be there: the transaction is to be given
// up.
func (tx *Tx) Insert(ctx context.Context, rows any) error {
	done, err := tx.insertRows(ctx, reflect.ValueOf(rows).Elem())
	if done {
		return err
	}
	_, err = tx.IDB.NewInsert().Model(rows).Exec(ctx)
	return err
}

// Update writes the named columns of the row with the same primary key and
// returns how many rows that were, 0 or 1.
func (tx *Tx) Update(ctx context.Context, row any, columns ...string) (int64, error) {
	changed, done, err := tx.updateRow(ctx, row, columns)
	if done {
		return changed, err
	}
	return affected(tx.IDB.NewUpdate().Model(row).Column(columns...).WherePK().Exec(ctx))
}

// UpdateAt is Update, provided that the row in the database has that generation.
func (tx *Tx) UpdateAt(ctx context.Context, row any, generation int64, columns ...string) (int64, error) {
	changed, done, err := tx.updateRow(ctx, row, columns, generation)
	if done {
		return changed, err
	}
	return affected(tx.IDB.NewUpdate().Model(row).Column(columns...).WherePK().Where("generation = ?", generation).Exec(ctx))
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// After runs the function once the transaction is on disk, in order, before
// Write returns. It must be quick: hints, wake-ups.
func (tx *Tx) After(do func()) { tx.after = append(tx.after, do) }

// IsDuplicate tells whether a statement broke a unique index or primary key.
func IsDuplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgDuplicate
	}
	return lite.IsDuplicate(err)
}

// Like makes the pattern for "x LIKE ? ESCAPE '\'" that finds the text anywhere.
func Like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// AnyCase makes a pattern for "LOWER(x) LIKE ? ESCAPE '\'": LIKE tells a from A,
// and LOWER knows the letters of ASCII.
func AnyCase(pattern string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, pattern)
}
