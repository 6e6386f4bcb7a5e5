package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/fabric"
	"nacre/internal/fabric/simulated"
	"nacre/internal/loop"
	"nacre/internal/network"
	"nacre/internal/work"
)

type waiting struct{ Port string }

// A change reaches the fabric at once, and the port's way up wakes the plan that
// waits for it, without anybody's period having passed.
func TestChangesAndHintsTravelAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	cluster, loops := simulated.New(), loop.New(loop.Options{Log: log})
	s := network.New(network.Options{DB: d, Log: log, Fabric: cluster, Nudge: loops.Nudge})
	loops.Add(s.Loops()...)
	engine := work.New(work.Options{DB: d, Log: log})
	up := make(chan time.Time, 1)
	scope := network.Scope{All: true}
	plan := work.Plan[waiting]{Name: "wait", Steps: []work.Step[waiting]{{Name: "wait for the port", Do: func(ctx context.Context, w *waiting) error {
		p, _, err := s.Port(ctx, scope, w.Port)
		if err != nil {
			return err
		}
		if p.Status != "ACTIVE" {
			return work.NotYet("waiting for port %s", p.ID)
		}
		up <- time.Now()
		return nil
	}}}}
	work.Register(engine, plan)
	var running sync.WaitGroup
	running.Go(func() { loops.Run(ctx) })
	running.Go(func() { s.Run(ctx) })
	running.Go(func() {
		err := engine.Run(ctx)
		if err != nil {
			t.Error(err)
		}
	})
	defer d.Close()
	defer s.Close()
	defer running.Wait()
	defer cancel()

	made, err := s.CreateNetworks(ctx, network.Scope{All: true}, network.NewNetwork{Project: demo, Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateSubnets(ctx, network.Scope{All: true}, network.NewSubnet{Project: demo, Network: made[0].ID, CIDR: "10.9.0.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for i := range 5 {
		server := fmt.Sprint("server-", i)
		ports, err := s.CreatePorts(ctx, scope, network.NewPort{Project: demo, Network: made[0].ID, Device: server, Owner: "compute:nova"})
		if err != nil {
			t.Fatal(err)
		}
		port := ports[0]
		err = d.Write(ctx, func(tx *db.Tx) error {
			err := s.BindPort(ctx, tx, port.ID, "node-1")
			if err != nil {
				return err
			}
			_, err = work.Start(ctx, tx, plan, server, waiting{port.ID})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = cluster.Host("node-1").Plug(ctx, fabric.Plug{Port: port.ID, Network: port.Network, MAC: port.MAC})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		select {
		case at := <-up:
			best = min(best, at.Sub(began))
		case <-time.After(20 * time.Second):
			t.Fatalf("port %s never woke its server's plan", port.ID)
		}
	}
	t.Logf("from plugged to awake: %v", best)
	if best > 500*time.Millisecond {
		t.Errorf("it took %v from plugged to awake, want less than 100 ms on an idle machine", best)
	}
}
