package rabbit_test

import (
	"log/slog"
	"os"
	"testing"

	"nacre/internal/bus"
	"nacre/internal/bus/bustest"
	"nacre/internal/bus/rabbit"
	"nacre/internal/bus/rabbit/rabbittest"
)

func TestMain(m *testing.M) {
	rabbittest.Begin()
	code := m.Run()
	rabbittest.End()
	os.Exit(code)
}

// open is a process on the bus.
func open(t *testing.T, url, name string) *rabbit.Bus {
	t.Helper()
	b, err := rabbit.Open(rabbit.Options{URL: url, Name: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	bustest.Run(t, func(t *testing.T) (here, there bus.Bus) {
		url := rabbittest.URL(t)
		here, there = open(t, url, "here"), open(t, url, "there")
		bustest.Connect(t, here, there)
		return here, there
	})
}
