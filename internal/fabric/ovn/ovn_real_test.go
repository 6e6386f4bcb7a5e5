package ovn_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/fabric/ovn"
)

// The tests of this package run OVN in a network namespace of their own.
func TestMain(m *testing.M) { fabrictest.Main(m) }

const (
	chassis  = "node-1"
	physical = "public"
	outside  = "172.24.4.1"
	tapOwner = 65534
)

func options(dir string) ovn.Options {
	return ovn.Options{
		Dir:      dir,
		Chassis:  chassis,
		TapOwner: tapOwner,
		Bridges:  []ovn.Bridge{{Name: "br-ex", Physical: physical, CIDR: outside + "/24", Masquerade: true}},
	}
}

// folder is a folder whose path is short enough for unix sockets.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ovn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a network of the test's own, and stops it at the end.
func start(t *testing.T, dir string) *ovn.System {
	t.Helper()
	return startWith(t, options(dir))
}

func startWith(t *testing.T, options ovn.Options) *ovn.System {
	t.Helper()
	if missing := ovn.Missing(); len(missing) > 0 {
		t.Fatalf("this test runs OVN: apt-get install %s", strings.Join(missing, " "))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := ovn.Stop(ctx, options.Dir)
		if err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	began := time.Now()
	system, err := ovn.Start(ctx, options)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { system.Close() })
	t.Logf("network started in %v", time.Since(began))
	return system
}

// keepUp starts daemons again that have died, as nodes do: the connection tracking of Open
// vSwitch 3.1 in user space aborts now and then where addresses are translated.
func keepUp(t *testing.T, system *ovn.System) {
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() {
		for ctx.Err() == nil {
			err := system.Repair(ctx)
			if err != nil && ctx.Err() == nil {
				t.Logf("look after the network's daemons: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		keeping.Wait()
	})
}

func TestSuite(t *testing.T) {
	fabrictest.Run(t, func(t *testing.T) fabrictest.Rig {
		wire := fabrictest.NewCable(t, "lab0")
		o := options(folder(t))
		o.Bridges = append(o.Bridges, ovn.Bridge{Name: "br-lab", Physical: "lab", Device: "lab0"})
		system := startWith(t, o)
		keepUp(t, system)
		guests := map[string]*fabrictest.Guest{}
		return fabrictest.Rig{
			Cluster: system.Cluster,
			Host:    system.Host,
			Name:    chassis,
			Dial: func(t *testing.T, n fabric.Network, p fabric.Port, tap string) net.Conn {
				t.Helper()
				if guests[tap] == nil {
					g := fabrictest.NewGuest(t, tap, p.MAC)
					g.Address(p.IPs[0] + "/24")
					g.Route("169.254.169.254/32", n.Subnets[0].MetadataIP)
					guests[tap] = g
				}
				conn, err := guests[tap].Dial("169.254.169.254:80")
				if err != nil {
					t.Fatalf("dial: %v", err)
				}
				return conn
			},
			Packets: &fabrictest.Packets{Sync: system.Cluster.Sync, Physical: physical, Outside: outside, Wired: "lab", Wire: wire},
		}
	})
}

// A thousand ports in one call and in a thousand concurrent ones.
func TestManyPorts(t *testing.T) {
	system := start(t, folder(t))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	const count = 1000
	network := fabric.Network{ID: "6f1e2a52-0000-4000-8000-000000000000", Subnets: []fabric.Subnet{{ID: "s", CIDR: "10.1.0.0/16", Gateway: "10.1.0.1", DHCP: true}}}
	group := fabric.Group{ID: "6f1e2a52-0000-4000-8000-000000000001", Rules: []fabric.Rule{{ID: "r", Egress: true, PortMin: -1, PortMax: -1}}}
	topology := fabric.Topology{Networks: []fabric.Network{network}, Groups: []fabric.Group{group}}
	for i := range count {
		topology.Ports = append(topology.Ports, fabric.Port{
			ID: fmt.Sprintf("%08x-0000-4000-8000-000000000002", i), Network: network.ID,
			MAC: fmt.Sprintf("fa:16:3e:00:%02x:%02x", i/256, i%256), IPs: []string{fmt.Sprintf("10.1.%d.%d", 1+i/250, 1+i%250)},
			Groups: []string{group.ID}, PortSecurity: true, Enabled: true,
		})
	}
	began := time.Now()
	err := system.Cluster.Ensure(ctx, topology)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d ports in one call: %v", count, time.Since(began))

	began = time.Now()
	err = system.Cluster.Ensure(ctx, topology)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the same again, nothing to do: %v", time.Since(began))
	refs, err := system.Cluster.List(ctx)
	if err != nil || len(refs) != count+2 {
		t.Fatalf("list: %d objects, %v, want %d", len(refs), err, count+2)
	}

	errs := make(chan error, count)
	began = time.Now()
	for _, p := range topology.Ports {
		p.ID = "f" + p.ID[1:]
		p.IPs = []string{strings.Replace(p.IPs[0], "10.1.", "10.1.1", 1)}
		go func() { errs <- system.Cluster.Ensure(ctx, fabric.Topology{Ports: []fabric.Port{p}}) }()
	}
	for range count {
		err := <-errs
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d ports in as many concurrent calls: %v", count, time.Since(began))

	err = system.Cluster.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	group.Rules = append(group.Rules, fabric.Rule{ID: "r2", Protocol: "tcp", PortMin: 22, PortMax: 22})
	began = time.Now()
	err = system.Cluster.Ensure(ctx, fabric.Topology{Groups: []fabric.Group{group}})
	if err != nil {
		t.Fatal(err)
	}
	stored := time.Since(began)
	err = system.Cluster.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one more rule for %d ports: stored after %v, in force after %v", 2*count, stored, time.Since(began))
}
