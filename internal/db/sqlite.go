package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"nacre/internal/clock"
)

// pragmas: LIKE tells a from A, as in PostgreSQL.
const pragmas = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(4000)" +
	"&_pragma=case_sensitive_like(1)&_pragma=temp_store(2)"

func openSQLite(ctx context.Context, file string, version int64) (*DB, error) {
	giveRegexp()
	err := private(file)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	writer, err := sql.Open("sqlite", uri(file))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	writer.SetMaxOpenConns(1)
	err = migrate(ctx, writer, goose.DialectSQLite3, sameWords, version)
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	reader, err := sql.Open("sqlite", uri(file)+"&_pragma=query_only(1)")
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	reader.SetMaxOpenConns(4 * runtime.NumCPU())
	reader.SetMaxIdleConns(4 * runtime.NumCPU())
	d := &DB{
		read: through(reader, sqlitedialect.New()), clock: clock.Real{},
		texts: &prepared{prepare: reader.PrepareContext}, forms: &prepared{prepare: reader.PrepareContext},
	}
	d.reads = built{d.read, d.forms}
	d.store, err = startGroup(ctx, d, through(writer, sqlitedialect.New()))
	if err != nil {
		reader.Close()
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	return d, nil
}

// uri makes the file part of a URI, where some bytes have a meaning.
func uri(file string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(file) + pragmas
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
