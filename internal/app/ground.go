package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"nacre/internal/blob/files"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/fabric"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/image"
	"nacre/internal/node"
	"nacre/internal/scenario"
	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
)

// ground is what the cloud stands on: the network of all hosts, and the hosts of
// this process.
type ground struct {
	fabric fabric.Cluster
	dns    []string                    // name servers that guests can reach
	run    []func(ctx context.Context) // the nodes, each until the context ends
}

// Simulated are the drivers of an imagined cloud. A test looks through them at
// what the hosts really have, and makes them fail.
type Simulated struct {
	Fabric   *fabricsim.Cluster
	Machines map[string]*virtsim.Host // by host
	Disks    map[string]*blocksim.Host
	Plugs    map[string]*fabricsim.Host
}

// ground makes the hosts: this machine, simulated ones, or none, since nodes join.
func (cloud *Cloud) ground(ctx context.Context, images *image.Service, blobs *files.Store) (ground, error) {
	switch {
	case cloud.Config.Server:
		return cloud.serverGround(ctx)
	case cloud.Config.Real:
		return cloud.realGround(ctx, images, blobs)
	}
	return cloud.simulatedGround()
}

// serverGround is the network of the nodes that join.
func (cloud *Cloud) serverGround(ctx context.Context) (ground, error) {
	c := cloud.Config
	switch {
	case c.Fabric != nil:
		return ground{fabric: c.Fabric}, nil
	case c.SimFabric != "":
		remote := fabricsim.Dial(c.SimFabric)
		cloud.closers = append(cloud.closers, remote.Close)
		return ground{fabric: remote}, nil
	case c.OVNNorth != "":
		return cloud.northGround(ctx)
	}
	return ground{}, errNoNetwork
}

func (cloud *Cloud) simulatedGround() (ground, error) {
	network := fabricsim.New()
	g := ground{fabric: network}
	cloud.Simulated = Simulated{
		Fabric: network, Machines: map[string]*virtsim.Host{}, Disks: map[string]*blocksim.Host{}, Plugs: map[string]*fabricsim.Host{},
	}
	if cloud.play != nil {
		g.run = append(g.run, cloud.play.run)
	}
	for i := range cloud.Config.Hosts {
		name := fmt.Sprintf("%s-%d", simulatedName, i+1)
		dir := filepath.Join(cloud.Config.DataDir, "hosts", name)
		var kind scenario.Host
		if cloud.play != nil {
			kind = cloud.play.of.Hosts[i]
		}
		machines, disks, err := simulatedHost(kind, name, dir, cloud.Config.Clock)
		if err != nil {
			return g, err
		}
		cloud.closers = append(cloud.closers, machines.Close)
		plugs := network.Host(name)
		cloud.Simulated.Machines[name], cloud.Simulated.Disks[name], cloud.Simulated.Plugs[name] = machines, disks, plugs
		d := drivers{machines: machines, network: plugs, disks: disks}
		if cloud.play != nil {
			o, err := cloud.nodeOptions(name, "", d)
			if err != nil {
				return g, err
			}
			h := cloud.play.newStage(kind, machines, disks, plugs, func(ctx context.Context) (io.ReadWriteCloser, error) {
				return cloud.serveHost(ctx, name), nil
			})
			cloud.closers = append(cloud.closers, h.link.Close)
			g.run = append(g.run, func(ctx context.Context) { h.run(ctx, o) })
			continue
		}
		err = cloud.addNode(&g, name, dir, d)
		if err != nil {
			return g, err
		}
	}
	return g, nil
}

// simulatedName is what the hosts are called that a cloud imagines, before their
// numbers.
const simulatedName = "node"

// serveHost is a connection of a simulated host with the cloud.
func (cloud *Cloud) serveHost(ctx context.Context, name string) io.ReadWriteCloser {
	ours, theirs := net.Pipe()
	go func() {
		err := cloud.Hosts.Serve(ctx, name, theirs)
		cloud.Config.Log.Info("connection of simulated host ended", "host", name, "error", err)
	}()
	return ours
}

// simulatedHost makes the drivers of an imagined host of a kind that remembers in a
// folder what it has.
func simulatedHost(kind scenario.Host, name, dir string, c clock.Clock) (*virtsim.Host, *blocksim.Host, error) {
	err := os.MkdirAll(dir, 0o755)
	if err != nil {
		return nil, nil, fmt.Errorf("make folder of host %s: %w", name, err)
	}
	machines, err := virtsim.New(virtsim.Options{
		Dir: dir, Clock: c, Capacity: virt.Capacity{VCPUs: kind.VCPUs, MemoryMB: kind.MemoryMB, DiskGB: kind.DiskGB},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("simulate host %s: %w", name, err)
	}
	disks, err := blocksim.New(blocksim.Options{State: filepath.Join(dir, "volumes.json"), TotalGB: float64(kind.DiskGB), Clock: c})
	if err != nil {
		return nil, nil, fmt.Errorf("simulate host %s: %w", name, err)
	}
	return machines, disks, nil
}

// addNode makes the agent of a host. While all is one process, its connection
// is a pipe that carries the same stream as a network would.
func (cloud *Cloud) addNode(g *ground, name, dir string, d drivers) error {
	state := "" // what is simulated needs no memory of its own: the servers tell it all at every start
	if cloud.Config.Real {
		state = filepath.Join(dir, "node")
	}
	o, err := cloud.nodeOptions(name, state, d)
	if err != nil {
		return err
	}
	o.Dial = func(ctx context.Context) (io.ReadWriteCloser, error) {
		ours, theirs := net.Pipe()
		go func() {
			err := cloud.Hosts.Serve(ctx, name, theirs)
			if ctx.Err() == nil {
				cloud.report("connection of host "+name, err)
			}
		}()
		return ours, nil
	}
	agent, err := node.New(o)
	if err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	g.run = append(g.run, func(ctx context.Context) { cloud.report("node "+name, agent.Run(ctx)) })
	return nil
}

// nodeOptions are those of a node of this process, but how it gets at the cloud.
func (cloud *Cloud) nodeOptions(name, state string, d drivers) (node.Options, error) {
	cpus, err := node.ParseCPUs(cloud.Config.CPUDedicatedSet, cloud.Config.CPUSharedSet, cloud.Config.ReservedHugePages)
	return node.Options{
		Name: name, Dir: state, Virt: d.machines, Fabric: d.network, Block: d.disks, Images: d.images, Keys: d.keys,
		SharedExports: !cloud.Config.Real, // an export of the imagination is as near everywhere
		Address:       "127.0.0.1", CPUs: cpus, Clock: cloud.Config.Clock, Log: cloud.Config.Log,
	}, err
}
