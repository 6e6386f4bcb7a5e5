package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"nacre/internal/app"
)

// TestMain lets this test binary be what benchmarks measure: a cloud, or nodes.
func TestMain(m *testing.M) {
	dir, nodes := os.Getenv("NACRE_TEST_CLOUD"), os.Getenv("NACRE_TEST_NODES")
	var err error
	switch {
	case dir != "":
		err = app.Run(context.Background(), app.Config{
			DataDir: dir, DB: os.Getenv("NACRE_TEST_CLOUD_DB"), Listen: os.Getenv("NACRE_TEST_LISTEN"), Hosts: 3, LogLevel: "error",
		})
	case nodes != "":
		err = runNodes(nodes)
	default:
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, "cloud:", err)
	os.Exit(1)
}

func runNodes(text string) error {
	var c app.NodeConfig
	err := json.Unmarshal([]byte(text), &c)
	if err != nil {
		return err
	}
	return app.RunNode(context.Background(), c)
}
