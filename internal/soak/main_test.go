package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/bus/rabbit/rabbittest"
)

// part is what this test binary is when it is not the tests: one process of a
// cloud, which they kill.
type part struct {
	Cloud  *app.Config `json:",omitempty"` // nacre dev, or nacre server
	Node   *nodePart   `json:",omitempty"`
	Fabric string      `json:",omitempty"` // where the simulated network is served
}

// nodePart are hosts that are simulated apart from the servers.
type nodePart struct {
	Servers       []string
	Join, DataDir string
	Name, Fabric  string
	Hosts         int
}

const partVariable = "NACRE_SOAK_PART"

func (p part) run() error {
	ctx := context.Background()
	switch {
	case p.Cloud != nil:
		return app.Run(ctx, *p.Cloud)
	case p.Node != nil:
		return app.RunNode(ctx, app.NodeConfig{
			Servers: p.Node.Servers, Join: p.Node.Join, DataDir: p.Node.DataDir, Name: p.Node.Name,
			Simulated: p.Node.Hosts, SimFabric: p.Node.Fabric, LogLevel: "error",
		})
	}
	return app.RunSimFabric(ctx, p.Fabric)
}

func TestMain(m *testing.M) {
	text := os.Getenv(partVariable)
	if text == "" {
		code := m.Run()
		rabbittest.End()
		os.Exit(code)
	}
	var p part
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.run()
	}
	fmt.Fprintln(os.Stderr, "ended:", err)
	os.Exit(1)
}

// seeded gives a run's seed, and says how to repeat it.
func seeded(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	text := os.Getenv("NACRE_TEST_SEED")
	if text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: NACRE_TEST_SEED=%d repeats the run's choices", seed, seed)
	return seed
}

// dice are the choices of one actor of a run.
func dice(seed, actor uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, actor)) }
