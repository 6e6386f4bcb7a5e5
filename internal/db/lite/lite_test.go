package lite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"nacre/internal/db/lite"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	pool := sql.OpenDB(lite.Connector{File: filepath.Join(t.TempDir(), "test.db"), Pragmas: []string{"journal_mode(WAL)"}, Busy: time.Second})
	t.Cleanup(func() { pool.Close() })
	_, err := pool.Exec("-- two statements, and words about them\nCREATE TABLE a (id INTEGER PRIMARY KEY, of TEXT UNIQUE);\n-- and\nCREATE TABLE b (v);\n-- done")
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestValues(t *testing.T) {
	pool := open(t)
	for _, want := range []any{nil, int64(-7), 1.5, "", "text with a ' and a \x00", []byte{}, []byte{0, 1}} {
		_, err := pool.Exec("INSERT INTO b VALUES (?)", want)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		err = pool.QueryRow("DELETE FROM b RETURNING v").Scan(&got)
		if err != nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) {
			t.Errorf("%#v came back as %#v, %v", want, got, err)
		}
	}
	_, err := pool.Exec("INSERT INTO b VALUES (?)", time.Now())
	if err == nil {
		t.Error("a time was written, which SQLite does not have")
	}
	_, err = pool.Exec("INSERT INTO b VALUES (?); DELETE FROM b", 1)
	if err == nil {
		t.Error("arguments went into the first of two statements")
	}
}

func TestErrors(t *testing.T) {
	pool := open(t)
	_, err := pool.Exec("INSERT INTO a VALUES (1, 'x')")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"INSERT INTO a VALUES (1, 'y')", "INSERT INTO a VALUES (2, 'x')"} {
		_, err = pool.Exec(text)
		if !lite.IsDuplicate(err) || lite.IsFull(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err = pool.Exec("INSERT INTO a VALUES")
	if err == nil || lite.IsDuplicate(err) {
		t.Errorf("half a statement: %v", err)
	}
	_, err = pool.Exec("PRAGMA max_page_count = 5; CREATE TABLE c (v)")
	if err == nil {
		_, err = pool.Exec("INSERT INTO b VALUES (zeroblob(100000))")
	}
	if !lite.IsFull(err) {
		t.Errorf("a full database: %v", err)
	}
}

// A query that nobody waits for any more ends, and its connection is good for more.
func TestContext(t *testing.T) {
	pool := open(t)
	pool.SetMaxOpenConns(1)
	endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
	for name, run := range map[string]func(ctx context.Context) error{
		"database/sql": func(ctx context.Context) error { var n int; return pool.QueryRowContext(ctx, endless).Scan(&n) },
		"Read": func(ctx context.Context) error {
			return lite.Read(ctx, pool, endless, nil, func(*sqlite.Stmt) error { return nil })
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := run(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var one int
	err := pool.QueryRow("SELECT 1").Scan(&one)
	if err != nil || one != 1 {
		t.Errorf("the connection afterwards: %d, %v", one, err)
	}
}

// A context that ends just then ends its own statement, if any, and none behind it.
func TestContextThatEndsMeanwhile(t *testing.T) {
	pool := open(t)
	pool.SetMaxOpenConns(1)
	count := func(ctx context.Context, n int64) error {
		text := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT COUNT(*) FROM n"
		return lite.Read(ctx, pool, text, []any{n}, func(*sqlite.Stmt) error { return nil })
	}
	patient, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		err := count(ctx, int64(i))
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("the statement whose context ends: %v", err)
		}
		err = count(patient, 10)
		if err != nil {
			t.Fatalf("the statement behind it: %v", err)
		}
		<-ctx.Done()
	}
}

// Rows that nobody reads to their end leave the statement as it was.
func TestRead(t *testing.T) {
	pool := open(t)
	pool.SetMaxOpenConns(1)
	_, err := pool.Exec("INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')")
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	for want := int64(1); want <= 3; want++ {
		var got int64
		err := lite.Read(t.Context(), pool, "SELECT id FROM a WHERE id >= ? ORDER BY id", []any{want}, func(row *sqlite.Stmt) error {
			got = row.ColumnInt64(0)
			return enough
		})
		if !errors.Is(err, enough) || got != want {
			t.Errorf("the first from %d on is %d, %v", want, got, err)
		}
	}
	err = lite.Read(t.Context(), pool, "SELECT id FROM a WHERE id = ?", nil, func(*sqlite.Stmt) error { return nil })
	if err == nil {
		t.Error("a parameter without a value was taken for NULL")
	}
}
