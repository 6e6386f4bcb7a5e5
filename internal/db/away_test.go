package db_test

import (
	"fmt"
	"net"
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// Only the database's own connections speak for it.
func TestIsAway(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:1" // where nobody listens, and no connection begins
	_, refused := net.Dial("tcp", address)
	if refused == nil || db.IsAway(fmt.Errorf("ask the other part: %w", refused)) {
		t.Errorf("%v of another part is taken for the database's", refused)
	}

	_, err := db.Open(t.Context(), "postgres://postgres@"+address+"/nacre?sslmode=disable")
	if !db.IsAway(err) {
		t.Errorf("a database that refuses connections is not away: %v", err)
	}

	d := dbtest.OpenFile(t, dbtest.PostgresSource(t))
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	if !db.IsAway(err) {
		t.Errorf("a connection that the database ended is not away: %v", err)
	}
}
