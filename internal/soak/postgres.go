package soak

import (
	"database/sql"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"nacre/internal/await"
	"nacre/internal/db/dbtest"
)

// Postgres is a PostgreSQL server that tests break, with a database nacre.
type Postgres struct {
	*Process
	Folder string // that it listens in
	SQL    *sql.DB
}

// NewPostgres starts one in a folder that another account can enter.
func NewPostgres(t testing.TB, folder string) *Postgres {
	t.Helper()
	run, err := dbtest.Prepare(folder, "off")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{Process: NewProcess(t, "PostgreSQL", run), Folder: folder}
	p.Start()
	p.SQL, err = sql.Open("pgx", "postgres://postgres@/postgres?host="+folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.SQL.Close() })
	p.Revive()
	_, err = p.SQL.Exec("CREATE DATABASE nacre")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Revive waits until it answers. It refuses to start while children of its former
// life are still there, and ends when its disk is full.
func (p *Postgres) Revive() {
	p.t.Helper()
	await.Until(p.t, "PostgreSQL to answer", time.Minute, func() bool {
		if p.Died() {
			p.Start()
		}
		return p.SQL.Ping() == nil
	})
}
