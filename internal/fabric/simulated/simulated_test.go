package simulated_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/fabric/simulated"
)

func TestSuite(t *testing.T) {
	fabrictest.Run(t, func(t *testing.T) fabrictest.Rig {
		cluster := simulated.New()
		host := cluster.Host("node-1")
		return fabrictest.Rig{
			Cluster: cluster,
			Host:    host,
			Name:    "node-1",
			Dial: func(t *testing.T, n fabric.Network, p fabric.Port, _ string) net.Conn {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				conn, err := host.Dial(ctx, n.ID, p.IPs[0])
				if err != nil {
					t.Fatalf("dial: %v", err)
				}
				return conn
			},
		}
	})
}

// A cluster in another process, reached by its socket, keeps the same promises.
func TestRemoteSuite(t *testing.T) {
	fabrictest.Run(t, func(t *testing.T) fabrictest.Rig {
		listener, err := simulated.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			simulated.Serve(ctx, simulated.New(), listener)
		}()
		remote := simulated.Dial(listener.Addr().String())
		t.Cleanup(func() {
			remote.Close()
			stop()
			<-ended
		})
		host := remote.Host("node-1")
		return fabrictest.Rig{
			Cluster: remote,
			Host:    host,
			Name:    "node-1",
			Dial: func(t *testing.T, n fabric.Network, p fabric.Port, _ string) net.Conn {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				conn, err := host.Dial(ctx, n.ID, p.IPs[0])
				if err != nil {
					t.Fatalf("dial: %v", err)
				}
				return conn
			},
		}
	})
}

// A call that fails on request has no effect.
func TestFail(t *testing.T) {
	ctx := context.Background()
	cluster := simulated.New()
	host := cluster.Host("node-1")
	broken := errors.New("broken")
	var asked []string
	cluster.Fail(func(call, id string) error {
		asked = append(asked, call+" "+id)
		return broken
	})
	err := cluster.Ensure(ctx, fabric.Topology{Networks: []fabric.Network{{ID: "n"}}})
	if !errors.Is(err, broken) {
		t.Errorf("ensure: %v, want %v", err, broken)
	}
	_, err = host.Plug(ctx, fabric.Plug{Port: "p"})
	if !errors.Is(err, broken) {
		t.Errorf("plug: %v, want %v", err, broken)
	}
	if got, want := fmt.Sprint(asked), "[Ensure  Plug p]"; got != want {
		t.Errorf("asked about %s, want %s", got, want)
	}

	cluster.Fail(nil)
	refs, err := cluster.List(ctx)
	if err != nil || len(refs) != 0 {
		t.Errorf("list: %v, %v, want nothing", refs, err)
	}
	ports, err := host.Plugged(ctx)
	if err != nil || len(ports) != 0 {
		t.Errorf("plugged: %v, %v, want nothing", ports, err)
	}
}
