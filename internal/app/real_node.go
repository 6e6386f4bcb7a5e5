//go:build linux

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/fabric/ovn"
	"nacre/internal/node"
)

// northGround is the network of real nodes that join, by its northbound database.
func (cloud *Cloud) northGround(ctx context.Context) (ground, error) {
	c := cloud.Config
	network, err := ovn.OpenCluster(ctx, ovn.ClusterOptions{
		Socket: c.OVNNorth, Gateways: list(c.OVNGateways), Log: c.Log,
	})
	if err != nil {
		return ground{}, fmt.Errorf("connect to the network: %w", err)
	}
	cloud.closers = append(cloud.closers, func() error { network.Close(); return nil })
	return ground{fabric: network, dns: nameServers()}, nil
}

// runReal is this machine as a host.
func (c NodeConfig) runReal(ctx context.Context) error {
	err := requirements()
	if err != nil {
		return err
	}
	account, err := guestAccount(ctx, c.GuestUser)
	if err != nil {
		return err
	}
	link, err := c.connect(ctx, c.Name, c.DataDir)
	if err != nil {
		return ended(ctx, err)
	}
	if link.Southbound() == "" {
		return errors.New("the servers have no network for real hosts: set ovn_north and ovn_south on them")
	}
	wires, err := physicalNetworks(c.PhysicalNetworks)
	if err != nil {
		return err
	}
	options := ovn.Options{
		Dir: filepath.Join(c.DataDir, "ovn"), Chassis: c.Name, EncapIP: c.tunnelIP(), Remote: link.Southbound(),
		TapOwner: account.UID, Log: c.Log, Bridges: wires.bridges(),
	}
	if c.TunnelDevice != "" {
		options.Bridges = append(options.Bridges, ovn.Bridge{Name: "br-tun", Device: c.TunnelDevice, CIDR: c.Address})
	}
	if c.External != "" {
		options.Bridges = append(options.Bridges, ovn.Bridge{Name: "br-ex", Physical: externalPhysical, CIDR: c.External, Masquerade: true})
	}
	system, err := ovn.Start(ctx, options)
	if err != nil {
		return fmt.Errorf("start the network: %w", err)
	}
	defer system.Close()
	cache, err := node.NewImages(node.ImagesOptions{
		Dir: filepath.Join(c.DataDir, "images"), Group: account.GID, MaxAge: time.Duration(c.UnusedImageAge) * time.Second, Clock: c.Clock, Log: c.Log,
	})
	if err != nil {
		return err
	}
	paths := Config{DataDir: c.DataDir, GuestUser: c.GuestUser, Log: c.Log}
	machines, err := openMachines(paths, cache)
	if err != nil {
		return err
	}
	defer machines.Close()
	keys := &node.Keys{}
	disks, err := openDisks(paths, cache, keys, account)
	if err != nil {
		return err
	}
	var repairing sync.WaitGroup
	defer repairing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	repairing.Go(func() { c.repair(ctx, system) })
	return c.run(ctx, c.Name, c.DataDir, link, drivers{
		machines: machines, network: system.Host, disks: disks, images: cache, keys: keys,
		sockets: filepath.Join(c.DataDir, "nbd"), owner: &node.Owner{UID: account.UID, GID: account.GID},
	})
}

// repair starts daemons of the network that have died.
func (c NodeConfig) repair(ctx context.Context, system *ovn.System) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.Clock.After(daemonLook):
		}
		err := system.Repair(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.Error("look after the network's daemons", "error", err)
		}
	}
}

// RunCentral runs the central part of OVN on this machine until the context ends:
// it starts what does not run, again and again. The daemons outlive it.
func RunCentral(ctx context.Context, dataDir, listen string, out io.Writer) error {
	missing := ovn.Missing()
	if len(missing) > 0 {
		return fmt.Errorf("packages are missing: apt-get install %s", strings.Join(missing, " "))
	}
	c := Config{DataDir: dataDir}
	log, _, err := logger("")
	if err != nil {
		return err
	}
	release, err := lockFolder(dataDir)
	if err != nil {
		return err
	}
	defer release()
	err = ovn.StartCentral(ctx, ovnDir(c), listen, log)
	if err != nil {
		return err
	}
	north, south := "unix:"+ovn.NorthSocket(ovnDir(c)), ovn.SouthRemote(ovnDir(c))
	if listen != "" {
		north, south = fmt.Sprintf("tcp:%s:%d", listen, ovn.NorthPort), fmt.Sprintf("tcp:%s:%d", listen, ovn.SouthPort)
	}
	fmt.Fprintf(out, "ready: nacre server --ovn-north %s --ovn-south %s\n", north, south)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-(clock.Real{}).After(daemonLook):
		}
		err = ovn.StartCentral(ctx, ovnDir(c), listen, log)
		if err != nil && ctx.Err() == nil {
			log.Error("look after the network's daemons", "error", err)
		}
	}
}
