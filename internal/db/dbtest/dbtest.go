// Package dbtest gives every test a database of its own: an SQLite file, or,
// with NACRE_TEST_DB=postgres, a database of a PostgreSQL server that the
// package's tests share. So the same tests run on both.
//
// The server is started by the first test that wants it: in a temporary folder,
// as an unprivileged user, on a unix socket, and waits for the disk only under
// benchmarks. It belongs to a keeper process, which ends it and removes the
// folder when the tests are over, however they end.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"nacre/internal/db"
)

// Postgres tells whether tests run on PostgreSQL.
func Postgres() bool { return os.Getenv("NACRE_TEST_DB") == "postgres" }

// Open opens a fresh database, which is closed when the test ends.
func Open(t testing.TB) *db.DB {
	t.Helper()
	return OpenFile(t, Source(t))
}

// OpenFile opens the database that the test names, an SQLite file whatever tests
// run on, when it is about that. It is closed when the test ends.
func OpenFile(t testing.TB, source string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := d.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return d
}

// Source names a fresh database for db.Open. It has its tables: tests that start a
// thousand times would make them for most of their time.
func Source(t testing.TB) string {
	t.Helper()
	if Postgres() {
		return PostgresSource(t)
	}
	content, err := file()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "nacre.db")
	err = os.WriteFile(path, content, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// file is the SQLite file that those of this test binary are copies of.
var file = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "nacre-dbtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "nacre.db")
	d, err := db.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	err = d.Close() // which leaves nothing in a journal
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// homes are the databases of the folders that SourceIn was asked for.
var homes sync.Map

// SourceIn names the database of a data folder, each time the same.
func SourceIn(t testing.TB, folder string) string {
	t.Helper()
	if !Postgres() {
		return filepath.Join(folder, "nacre.db")
	}
	source, found := homes.Load(folder)
	if !found {
		source = PostgresSource(t)
		homes.Store(folder, source)
	}
	return source.(string)
}

// server is the PostgreSQL server of this test binary.
var server = sync.OnceValues(startServer)

var made atomic.Int64

// PostgresSource names a fresh database on PostgreSQL whatever tests run on.
// It is dropped when the test ends.
func PostgresSource(t testing.TB) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("test_%d", made.Add(1))
	err = s.do("CREATE DATABASE " + name + " TEMPLATE " + template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := s.do("DROP DATABASE " + name + " WITH (FORCE)")
		if err != nil {
			t.Error(err)
		}
	})
	return s.source(name)
}

// EmptyPostgres names a database on PostgreSQL that has no tables yet.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	source := PostgresSource(t)
	conn, err := sql.Open("pgx", source)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	if err != nil {
		t.Fatal(err)
	}
	return source
}
