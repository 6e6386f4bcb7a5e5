package soak

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/await"
)

// Servers of neighbouring builds serve one cloud, also while the newer one's
// migrations are there already. A program that its database has outgrown goes on
// as long as it runs, and then says why it does not start.
func TestNeighbouringBuilds(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	older := r.servers[0]
	newer := r.addServer()
	newer.Kill()
	newer.part.Version = "neighbour of " + app.Version
	newer.Start()
	newer.Ready(newer.url)
	made := 0
	serve := func(when string) {
		t.Helper()
		for i, m := range []*member{older, newer} {
			other := []*member{newer, older}[i]
			made++
			status, body, err := r.user(m, "demo").Do("POST", "/network/v2.0/networks", map[string]any{"network": map[string]any{"name": fmt.Sprint("net-", made)}})
			if err != nil || status != 201 {
				t.Fatalf("%s makes a network %s: %d %s %v", m.Name, when, status, body, err)
			}
			id := idOf(body, "network")
			status, body, err = r.user(other, "demo").Do("GET", "/network/v2.0/networks/"+id, nil)
			if err != nil || status != 200 {
				t.Errorf("%s does not know the network of %s %s: %d %s %v", other.Name, m.Name, when, status, body, err)
			}
		}
		demo := r.user(newer, "demo")
		before := statuses(demo)["ACTIVE"]
		bootSome(t, r.user(older, "demo"), 2)
		await.Until(t, "servers to be ACTIVE "+when, time.Minute, func() bool { return statuses(demo)["ACTIVE"] == before+2 })
	}
	r.up(older, 1)
	serve("side by side")

	database, err := sql.Open("pgx", r.db)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	migrate := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			_, err := database.Exec(s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	migrate(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (900, 1 = 1)`, `ALTER TABLE servers ADD COLUMN later TEXT`,
		`ALTER TABLE networks ADD COLUMN later TEXT`, `CREATE TABLE later_things (id TEXT PRIMARY KEY)`)
	serve("with tables and columns that both do not know")
	older.Kill()
	older.Start() // an upgrade is rolled back
	older.Ready(older.url)
	serve("after the older one was started again")

	migrate(`UPDATE schema_floor SET version = 899`)
	serve("while they run on a database that has outgrown them")
	older.Kill()
	older.Start()
	err = older.Finish()
	const want = "a newer Nacre has brought the database to schema 900, which needs a program that knows schema 899"
	if err == nil || !strings.Contains(older.Tail(2000), want) {
		t.Errorf("the older server ends with %v and says %q, want %q", err, older.Tail(2000), want)
	}
}
