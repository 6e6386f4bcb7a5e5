package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"nacre/internal/app"
	"nacre/internal/bus/rabbit/rabbittest"
)

// process is what this test binary runs as when a test starts it again, to kill
// it: a cloud in one process, a server, or nodes.
type process struct {
	Server *app.Config
	Node   *app.NodeConfig
}

// TestMain lets this test binary be the processes that tests kill.
func TestMain(m *testing.M) {
	dir, text := os.Getenv("NACRE_TEST_CLOUD"), os.Getenv("NACRE_TEST_PROCESS")
	var err error
	switch {
	case dir != "":
		err = app.Run(context.Background(), app.Config{DataDir: dir, DB: os.Getenv("NACRE_TEST_CLOUD_DB"), Listen: os.Getenv("NACRE_TEST_LISTEN"), Hosts: 3, LogLevel: "error"})
	case text != "":
		err = runProcess(text)
	default:
		code := m.Run()
		rabbittest.End()
		os.Exit(code)
	}
	fmt.Fprintln(os.Stderr, "cloud:", err)
	os.Exit(1)
}

func runProcess(text string) error {
	var p process
	err := json.Unmarshal([]byte(text), &p)
	if err != nil {
		return err
	}
	if p.Node != nil {
		return app.RunNode(context.Background(), *p.Node)
	}
	return app.Run(context.Background(), *p.Server)
}
