package postgres_test

import (
	"log/slog"
	"testing"

	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/bus/postgres"
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
