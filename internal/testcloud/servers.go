package testcloud

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"nacre/internal/app"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/cluster"
	"nacre/internal/db/dbtest"
	"nacre/internal/fabric"
	fabricsim "nacre/internal/fabric/simulated"
	virtsim "nacre/internal/virt/simulated"
)

// startCluster runs several servers, and the nodes that join them.
func (c *Cloud) startCluster(t testing.TB, set options) {
	t.Helper()
	network := fabricsim.New()
	sim := app.Simulated{
		Fabric: network, Machines: map[string]*virtsim.Host{}, Disks: map[string]*blocksim.Host{}, Plugs: map[string]*fabricsim.Host{},
	}
	source := dbtest.PostgresSource(t)
	var addresses []string
	for i := range set.servers {
		config := set.Config
		config.Server, config.DB, config.Fabric = true, source, network.View()
		config.Scenario = "" // is of the nodes
		config.DataDir = filepath.Join(set.DataDir, "server-"+strconv.Itoa(i+1))
		config.Blobs, config.KeyFile = filepath.Join(set.DataDir, "blobs"), filepath.Join(set.DataDir, "keys")
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		config.Advertise = "https://" + listener.Addr().String()
		addresses = append(addresses, config.Advertise)
		server := c.startServer(t, config)
		server.Simulated = sim
		c.serveNodes(t, server, listener)
	}
	c.joinNodes(t, set, sim, addresses)
}

// serveNodes serves nodes and other servers, which want TLS, until the test ends.
func (c *Cloud) serveNodes(t testing.TB, server *app.Cloud, listener net.Listener) {
	secure := &http.Server{Handler: server.Handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var running sync.WaitGroup
	running.Go(func() { _ = secure.Serve(tls.NewListener(listener, server.Cluster.ListenerTLS())) })
	t.Cleanup(func() {
		secure.Close()
		running.Wait()
	})
}

// joinNodes runs the nodes until the test ends. They end before the servers do.
func (c *Cloud) joinNodes(t testing.TB, set options, sim app.Simulated, addresses []string) {
	t.Helper()
	token, _, err := c.Servers[0].Cluster.NewToken(context.Background(), cluster.JoinToken{Uses: set.Hosts})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards the maps of sim
	var ready sync.WaitGroup
	ready.Add(set.Hosts)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- app.RunNode(ctx, app.NodeConfig{
			Servers: addresses, Join: token, DataDir: filepath.Join(set.DataDir, "nodes"), Name: "node", Simulated: set.Hosts, Scenario: set.Scenario,
			Fabric: func(host string) fabric.Host { return sim.Plugs[host] },
			Watch: func(host string, machines *virtsim.Host, disks *blocksim.Host) {
				mu.Lock()
				defer mu.Unlock()
				sim.Machines[host], sim.Disks[host], sim.Plugs[host] = machines, disks, sim.Fabric.Host(host)
				ready.Done()
			},
			CPUDedicatedSet: set.CPUDedicatedSet, CPUSharedSet: set.CPUSharedSet, ReservedHugePages: set.ReservedHugePages,
			Clock: set.Clock, Log: set.Log,
		})
	}()
	t.Cleanup(func() {
		stop()
		err := <-ended
		if err != nil {
			t.Errorf("nodes: %v", err)
		}
	})
	ready.Wait()
}
