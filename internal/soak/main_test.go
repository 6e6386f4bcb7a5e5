package soak

import (
	"os"
	"testing"

	"nacre/internal/bus/rabbit/rabbittest"
)

// TestMain lets this binary be the processes that the tests start and kill.
func TestMain(m *testing.M) {
	Main()
	code := m.Run()
	rabbittest.End()
	os.Exit(code)
}
