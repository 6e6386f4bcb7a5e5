package ovn_test

import (
	"context"
	"testing"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/fabric/ovn"
)

// Two hosts, one of them with the central part: guests on both share a network
// through a tunnel, and a port moves from one host to the other.
func TestTwoChassis(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	host := fabrictest.NewWorld(t, "", "") // the second host; its cable is called eth0
	dir := folder(t)
	near := options(dir)
	near.EncapIP = "172.31.0.1"
	near.Bridges = append(near.Bridges, ovn.Bridge{Name: "br-under", Device: "world", CIDR: "172.31.0.1/24"})
	first := startWith(t, near)

	far := ovn.Options{
		Dir: folder(t), Chassis: "node-2", EncapIP: "172.31.0.2", Remote: ovn.SouthRemote(dir),
		Bridges: []ovn.Bridge{{Name: "br-under", Device: "eth0", CIDR: "172.31.0.2/24"}},
	}
	var second *ovn.System
	inside := func(f func() error) {
		t.Helper()
		err := host.Do(f)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { inside(func() error { return ovn.Stop(context.Background(), far.Dir) }) })
	inside(func() (err error) {
		second, err = ovn.Start(ctx, far)
		return err
	})
	t.Cleanup(func() { second.Close() })
	if second.Cluster != nil {
		t.Errorf("the second host has a central part of its own")
	}

	guests := startPair(t, first)
	port := guests.topology.Ports[0]
	port.ID, port.Host = "99999999-3333-4333-8333-333333333333", "node-2"
	port.MAC, port.IPs = "fa:16:3e:99:99:99", []string{"10.7.0.9"}
	move := func(to string) {
		t.Helper()
		port.Host = to
		err := first.Cluster.Ensure(ctx, fabric.Topology{Ports: []fabric.Port{port}})
		if err != nil {
			t.Fatal(err)
		}
	}
	plug := fabric.Plug{Port: port.ID, Network: port.Network, MAC: port.MAC, MTU: 1400}
	move("node-2")
	var tap string
	inside(func() (err error) {
		tap, err = second.Host.Plug(ctx, plug)
		return err
	})
	remote := host.NewGuest(tap, port.MAC)
	remote.Address("10.7.0.9/24")
	remote.Serve(80)
	guests.a.Reaches("10.7.0.9:80", addressA)
	remote.Reaches(addressB+":80", "10.7.0.9")

	move(chassis)
	tap, err := first.Host.Plug(ctx, plug)
	if err != nil {
		t.Fatal(err)
	}
	local := fabrictest.NewGuest(t, tap, port.MAC)
	local.Address("10.7.0.9/24")
	local.Serve(80)
	guests.a.Reaches("10.7.0.9:80", addressA)
	err = first.Cluster.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	remote.Misses(addressB+":80", "") // it is no longer its host's port

	// It is made ready on the other host before it moves there.
	port.NextHost = "node-2"
	move(chassis)
	err = first.Cluster.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	guests.a.Reaches("10.7.0.9:80", addressA)
	port.NextHost = chassis
	move("node-2")
	err = first.Host.Unplug(ctx, port.ID)
	if err != nil {
		t.Fatal(err)
	}
	remote.Reaches(addressB+":80", "10.7.0.9")
	guests.a.Reaches("10.7.0.9:80", addressA)
}
