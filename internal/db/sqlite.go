package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"nacre/internal/clock"
	"nacre/internal/db/lite"
)

// pragmas of every connection: LIKE tells a from A, as in PostgreSQL. The journal has
// its pages copied in time by the keeper, or inside of a commit when it is behind.
var pragmas = []string{
	"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "wal_autocheckpoint(16000)", "case_sensitive_like(1)", "temp_store(2)",
}

func openSQLite(ctx context.Context, file string, version int64) (*DB, error) {
	err := private(file)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	to := lite.Connector{File: file, Pragmas: pragmas, Busy: 5 * time.Second, Setup: giveRegexp}
	writer := sql.OpenDB(to)
	writer.SetMaxOpenConns(1)
	err = migrate(ctx, writer, goose.DialectSQLite3, sameWords, version)
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	to.Pragmas = append(slices.Clone(pragmas), "query_only(1)", "cache_size(-1000)")
	reader := sql.OpenDB(to)
	// Each has pages and parsed statements of its own, 6 MB in a large cloud, and
	// more of them than processors wait for each other.
	most := max(4, min(runtime.NumCPU(), 16))
	reader.SetMaxOpenConns(most)
	reader.SetMaxIdleConns(most)
	d := &DB{
		read: through(reader, sqlitedialect.New()), clock: clock.Real{},
		forms: &prepared{prepare: reader.PrepareContext}, pool: reader,
	}
	d.reads = built{d.read, d.forms}
	to.Pragmas = append(slices.Clone(pragmas), "cache_size(-100)") // it copies past that
	keeping := sql.OpenDB(to)
	d.store, err = startGroup(ctx, d, through(writer, sqlitedialect.New()), keeping)
	if err != nil {
		keeping.Close()
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
