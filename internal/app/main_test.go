package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	_ "net/http/pprof" // for whoever measures what is below
	"os"
	"os/exec"
	"testing"

	"nacre/internal/app"
)

// TestMain lets this test binary be what benchmarks measure: a cloud, or nodes.
// Each serves its profiles where NACRE_TEST_CLOUD_PPROF or NACRE_TEST_NODES_PPROF
// says.
func TestMain(m *testing.M) {
	cloud, nodes := os.Getenv(asCloud), os.Getenv(asNodes)
	var err error
	switch {
	case cloud != "":
		err = runAs(asCloud, cloud, app.Run)
	case nodes != "":
		err = runAs(asNodes, nodes, app.RunNode)
	default:
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, "cloud:", err)
	os.Exit(1)
}

// What a child is, by the variable that has its settings.
const asCloud, asNodes = "NACRE_TEST_CLOUD", "NACRE_TEST_NODES"

func runAs[C any](variable, text string, run func(ctx context.Context, config C) error) error {
	var config C
	err := json.Unmarshal([]byte(text), &config)
	if err != nil {
		return err
	}
	address := os.Getenv(variable + "_PPROF")
	if address != "" {
		go func() { fmt.Fprintln(os.Stderr, http.ListenAndServe(address, nil)) }()
	}
	return run(context.Background(), config)
}

// child runs this binary as a cloud or as nodes until the test ends.
func child(t testing.TB, variable string, config any) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	cmd.Stderr = os.Stderr
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
