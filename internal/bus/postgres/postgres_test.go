package postgres_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/bus/postgres"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// open is a process on the bus.
func open(t *testing.T, url string) *postgres.Bus {
	t.Helper()
	b, err := postgres.Open(postgres.Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := b.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestSuite(t *testing.T) {
	bustest.Run(t, func(t *testing.T) (here, there bus.Bus) {
		url := dbtest.PostgresSource(t)
		here, there = open(t, url), open(t, url)
		bustest.Connect(t, here, there)
		return here, there
	})
}

// What a transaction on one server announces wakes listeners on the other, also
// after the connections were lost.
func TestHintsReachTheOtherServer(t *testing.T) {
	url := dbtest.PostgresSource(t)
	server := func() (*db.DB, *postgres.Bus) {
		d, err := db.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		var carrying sync.WaitGroup
		carrying.Go(func() { bus.NewHints(d, b, slog.New(slog.DiscardHandler)).Run(ctx) })
		t.Cleanup(func() {
			cancel()
			carrying.Wait()
			err := d.Close()
			if err != nil {
				t.Error(err)
			}
		})
		return d, b
	}
	here, hereBus := server()
	there, thereBus := server()
	var heard atomic.Int64
	there.Listen("plans", func(key string) {
		if key == "p 1" {
			heard.Add(1)
		}
	})
	announced := func(what string) {
		t.Helper()
		before := heard.Load()
		await.Until(t, "a hint to reach the other server "+what, time.Minute, func() bool {
			err := here.Write(t.Context(), func(tx *db.Tx) error {
				tx.Notify("plans", "p 1")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return heard.Load() > before
		})
	}
	bustest.Connect(t, hereBus, thereBus)
	announced("at first")
	bustest.Answer(t, hereBus, thereBus, "echo", func(_ context.Context, q json.RawMessage) (json.RawMessage, error) { return q, nil })

	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	_, err = admin.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'`)
	if err != nil {
		t.Fatal(err)
	}
	bustest.Connect(t, hereBus, thereBus)
	announced("after the connections were lost")
	await.Until(t, "questions to be answered again", time.Minute, func() bool {
		reply, err := hereBus.Request(t.Context(), "echo", json.RawMessage("1"))
		return err == nil && string(reply) == "1"
	})
}
