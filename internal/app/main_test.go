package app_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"nacre/internal/app"
)

// TestMain lets this test binary be the cloud that tests kill.
func TestMain(m *testing.M) {
	dir := os.Getenv("NACRE_TEST_CLOUD")
	if dir == "" {
		os.Exit(m.Run())
	}
	err := app.Run(context.Background(), app.Config{DataDir: dir, DB: os.Getenv("NACRE_TEST_CLOUD_DB"), Listen: os.Getenv("NACRE_TEST_LISTEN"), Hosts: 3, LogLevel: "error"})
	fmt.Fprintln(os.Stderr, "cloud:", err)
	os.Exit(1)
}
