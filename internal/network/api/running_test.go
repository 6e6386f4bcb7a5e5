package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/fabric"
	"nacre/internal/fabric/simulated"
	"nacre/internal/loop"
	"nacre/internal/network"
	"nacre/internal/work"
)

type waiting struct{ Port string }

// live is a network service whose loops run, with a network that has addresses.
type live struct {
	ctx     context.Context
	db      *db.DB
	net     *network.Service
	network string
	running sync.WaitGroup // ends with ctx
}

func goLive(t *testing.T, cluster fabric.Cluster) *live {
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	loops := loop.New(loop.Options{Log: log})
	l := &live{ctx: ctx, db: d, net: network.New(network.Options{DB: d, Log: log, Fabric: cluster, Nudge: loops.Nudge})}
	loops.Add(l.net.Loops()...)
	l.running.Go(func() { loops.Run(ctx) })
	l.running.Go(func() { l.net.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		l.running.Wait()
		l.net.Close()
		d.Close()
	})
	made, err := l.net.CreateNetworks(ctx, network.Scope{All: true}, network.NewNetwork{Project: demo, Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	l.network = made[0].ID
	_, err = l.net.CreateSubnets(ctx, network.Scope{All: true}, network.NewSubnet{Project: demo, Network: l.network, CIDR: "10.9.0.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// port is one of the server, bound to node-1; along runs in the transaction that binds it.
func (l *live) port(t *testing.T, server string, along func(tx *db.Tx, port string) error) network.Port {
	ports, err := l.net.CreatePorts(l.ctx, network.Scope{All: true}, network.NewPort{Project: demo, Network: l.network, Device: server, Owner: "compute:nova"})
	if err != nil {
		t.Fatal(err)
	}
	err = l.db.Write(l.ctx, func(tx *db.Tx) error {
		err := l.net.BindPort(l.ctx, tx, ports[0].ID, "node-1")
		if err != nil {
			return err
		}
		return along(tx, ports[0].ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

func plug(t *testing.T, cluster *simulated.Cluster, port network.Port) {
	_, err := cluster.Host("node-1").Plug(t.Context(), fabric.Plug{Port: port.ID, Network: port.Network, MAC: port.MAC})
	if err != nil {
		t.Fatal(err)
	}
}

// slow is a fabric that, once it is slow, is being told something until it is let go.
type slow struct {
	*simulated.Cluster
	slow        atomic.Bool
	told, letGo chan struct{}
}

func (s *slow) Ensure(ctx context.Context, top fabric.Topology) error {
	if s.slow.Load() {
		s.told <- struct{}{}
		<-s.letGo
	}
	return s.Cluster.Ensure(ctx, top)
}

// However long the fabric is told of changes, the status of ports follows meanwhile.
func TestStatusFollowsBesideChanges(t *testing.T) {
	cluster := &slow{Cluster: simulated.New(), told: make(chan struct{}, 9), letGo: make(chan struct{})}
	l := goLive(t, cluster)
	nothing := func(*db.Tx, string) error { return nil }
	port := l.port(t, "server", nothing)
	await.Until(t, "the fabric to know the port", 20*time.Second, func() bool {
		return slices.ContainsFunc(cluster.Topology().Ports, func(p fabric.Port) bool { return p.ID == port.ID && p.Host == "node-1" })
	})
	defer close(cluster.letGo)
	cluster.slow.Store(true)
	l.port(t, "another", nothing)
	<-cluster.told
	plug(t, cluster.Cluster, port)
	await.Until(t, "the port to be up", 20*time.Second, func() bool {
		p, _, err := l.net.Port(l.ctx, network.Scope{All: true}, port.ID)
		if err != nil {
			t.Fatal(err)
		}
		return p.Status == "ACTIVE"
	})
}

// A change reaches the fabric at once, and the port's way up wakes the plan that
// waits for it, without anybody's period having passed.
func TestChangesAndHintsTravelAtOnce(t *testing.T) {
	cluster := simulated.New()
	l := goLive(t, cluster)
	engine := work.New(work.Options{DB: l.db, Log: slog.New(slog.DiscardHandler)})
	up := make(chan time.Time, 1)
	plan := work.Plan[waiting]{Name: "wait", Steps: []work.Step[waiting]{{Name: "wait for the port", Do: func(ctx context.Context, w *waiting) error {
		p, _, err := l.net.Port(ctx, network.Scope{All: true}, w.Port)
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
	l.running.Go(func() {
		err := engine.Run(l.ctx)
		if err != nil {
			t.Error(err)
		}
	})
	best := time.Hour
	for i := range 5 {
		server := fmt.Sprint("server-", i)
		port := l.port(t, server, func(tx *db.Tx, port string) error {
			_, err := work.Start(l.ctx, tx, plan, server, waiting{port})
			return err
		})
		plug(t, cluster, port)
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
