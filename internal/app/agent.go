package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"nacre/internal/blockdev"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/fabric"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/node"
	"nacre/internal/node/uplink"
	"nacre/internal/scenario"
	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
)

// NodeConfig are the settings of a node that runs apart from the servers.
type NodeConfig struct {
	// Servers are the addresses of one or more servers: https://HOST:PORT.
	Servers []string
	// Join is a join token; not needed again after the first start.
	Join string
	// DataDir holds everything that must survive: certificate, documents, guests.
	DataDir string
	// Name of the host; "" is the machine's.
	Name string
	// Address is this host's end of the tunnels between hosts; "" is 127.0.0.1,
	// which is enough for one host. With a TunnelDevice it has a prefix length.
	Address string
	// TunnelDevice is a network card that carries tunnels and nothing else; ""
	// when Address is on some card already. Where the kernel has no openvswitch
	// module, packets in tunnels are not the kernel's: the card is taken into a
	// bridge, which gets the address.
	TunnelDevice string
	// External is the address that this host has in the external network, with the
	// prefix length, when it carries traffic there; "" for none.
	External string
	// PhysicalNetworks are further networks that this host is on, and the cards that
	// lead there, with commas: NAME:CARD.
	PhysicalNetworks string
	// CPUDedicatedSet, CPUSharedSet and ReservedHugePages divide the host's processors
	// and huge pages, as in Config.
	CPUDedicatedSet, CPUSharedSet, ReservedHugePages string
	// GuestUser is the account that guests run as; "" is nacre-guest.
	GuestUser string
	// UnusedImageAge is for how many seconds the host keeps an image that none of its
	// disks is based on; 0 is a day, -1 for ever.
	UnusedImageAge int
	// LogLevel is debug, info, warn or error; "" is info.
	LogLevel string

	// Simulated is how many hosts to imagine instead of being one: NAME-1 and so on.
	Simulated int
	// SimFabric is where their network is: the address of nacre sim-fabric.
	SimFabric string
	// Scenario is the YAML file with what happens to the simulated hosts; "" is nothing.
	Scenario string
	// Fabric makes the network's side of a simulated host, when a test has it.
	Fabric func(host string) fabric.Host `json:"-"`
	// Watch hears of the drivers of simulated hosts, when a test looks through them.
	Watch func(host string, machines *virtsim.Host, disks *blocksim.Host) `json:"-"`

	Clock clock.Clock  `json:"-"`
	Log   *slog.Logger `json:"-"`

	joining chan struct{} // holds one for each simulated host that is joining
	play    *play         // the scenario; nil for none
}

// joinsAtATime bounds how many simulated hosts of one process join at a time, as
// no thousand machines do.
const joinsAtATime = 8

func (c NodeConfig) complete() (NodeConfig, error) {
	if c.DataDir == "" {
		return c, errors.New("no data folder is set: use --data-dir")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("find data folder: %w", err)
	}
	c.DataDir = dir
	if c.Name == "" {
		c.Name, err = os.Hostname()
		if err != nil {
			return c, fmt.Errorf("find the name of this host: %w", err)
		}
	}
	if c.GuestUser == "" {
		c.GuestUser = "nacre-guest"
	}
	if c.Address == "" {
		c.Address = "127.0.0.1"
	}
	if c.TunnelDevice != "" {
		_, err = netip.ParsePrefix(c.Address)
		if err != nil {
			return c, fmt.Errorf("the tunnel address needs a prefix length, since it moves from %s to a bridge: %w", c.TunnelDevice, err)
		}
	}
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Log == nil {
		c.Log, _, err = logger(c.LogLevel)
	}
	return c, err
}

// tunnelIP is Address without its prefix length.
func (c NodeConfig) tunnelIP() string {
	ip, _, _ := strings.Cut(c.Address, "/")
	return ip
}

// drivers are what a node does its work with.
type drivers struct {
	machines virt.Host
	network  fabric.Host
	disks    blockdev.Host
	images   *node.Images // nil for simulated hosts, whose machines have no bytes
	keys     *node.Keys   // nil for simulated hosts, which encrypt nothing
	sockets  string       // by which machines reach volumes of other hosts
	owner    *node.Owner  // of the sockets
}

// RunNode runs the node of this machine, or simulated ones, until the context
// ends. Guests go on without it.
func RunNode(ctx context.Context, c NodeConfig) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	release, err := lockFolder(c.DataDir)
	if err != nil {
		return err
	}
	defer release()
	if c.Scenario != "" {
		err = c.openScenario()
		if err != nil {
			return err
		}
	}
	if c.Simulated == 0 {
		return c.runReal(ctx)
	}
	var network *fabricsim.Remote
	if c.Fabric == nil {
		if c.SimFabric == "" {
			return errors.New("simulated hosts need --sim-fabric, where nacre sim-fabric listens")
		}
		network = fabricsim.Dial(c.SimFabric)
		defer network.Close()
		c.Fabric = func(host string) fabric.Host { return network.Host(host) }
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make([]error, c.Simulated)
	c.joining = make(chan struct{}, joinsAtATime)
	var running sync.WaitGroup
	if c.play != nil {
		running.Go(func() { c.play.run(ctx) })
	}
	for i := range c.Simulated {
		running.Go(func() {
			ended[i] = c.runSimulated(ctx, fmt.Sprintf("%s-%d", c.Name, i+1))
			cancel() // one that cannot go on is the end of all
		})
	}
	running.Wait()
	return errors.Join(ended...)
}

// runSimulated is one imagined host with a real way to the servers.
func (c NodeConfig) runSimulated(ctx context.Context, name string) error {
	dir := filepath.Join(c.DataDir, "hosts", name)
	c.joining <- struct{}{}
	link, err := c.connect(ctx, name, dir)
	<-c.joining
	if err != nil {
		return ended(ctx, err)
	}
	var kind scenario.Host
	if c.play != nil {
		kind, _ = c.play.of.Host(name)
	}
	machines, disks, err := simulatedHost(kind, name, dir, c.Clock)
	if err != nil {
		return err
	}
	defer machines.Close()
	if c.Watch != nil {
		c.Watch(name, machines, disks)
	}
	d := drivers{machines: machines, network: c.Fabric(name), disks: disks}
	if c.play == nil {
		return c.run(ctx, name, dir, link, d)
	}
	o, err := c.options(name, dir, link, d)
	if err != nil {
		return err
	}
	h := c.play.newStage(kind, machines, disks, d.network, link.Dial)
	defer h.link.Close()
	var running sync.WaitGroup
	running.Go(func() { link.Run(ctx) })
	notifyReady(c.Log)
	h.run(ctx, o)
	running.Wait()
	return nil
}

func (c NodeConfig) connect(ctx context.Context, name, dir string) (*uplink.Uplink, error) {
	return uplink.Open(ctx, uplink.Options{
		Dir: filepath.Join(dir, "uplink"), Host: name, Servers: c.Servers, Token: c.Join, Clock: c.Clock, Log: c.Log,
	})
}

// options are those of the agent of a host.
func (c NodeConfig) options(name, dir string, link *uplink.Uplink, d drivers) (node.Options, error) {
	state := filepath.Join(dir, "node")
	if c.Simulated > 0 {
		state = "" // what is simulated needs no memory of its own: the servers tell it all at every start
	}
	cpus, err := node.ParseCPUs(c.CPUDedicatedSet, c.CPUSharedSet, c.ReservedHugePages)
	return node.Options{
		Name: name, Dir: state, Virt: d.machines, Fabric: d.network, Block: d.disks, Images: d.images, Keys: d.keys,
		SharedExports: c.Simulated > 0, Address: c.tunnelIP(), Clock: c.Clock, Log: c.Log,
		CPUs: cpus, Dial: link.Dial, Learn: link.Learn, Sockets: d.sockets, SocketsOwner: d.owner,
	}, err
}

// run runs the agent of a host until the context ends.
func (c NodeConfig) run(ctx context.Context, name, dir string, link *uplink.Uplink, d drivers) error {
	o, err := c.options(name, dir, link, d)
	if err != nil {
		return err
	}
	agent, err := node.New(o)
	if err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	var running sync.WaitGroup
	running.Go(func() { link.Run(ctx) })
	notifyReady(c.Log) // guests are looked after from here on, with servers or without
	err = agent.Run(ctx)
	running.Wait()
	return ended(ctx, err)
}

// ended leaves out the error of whoever was asked to stop.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// RunSimFabric serves the network of simulated nodes to the servers and nodes
// of this machine until the context ends.
func RunSimFabric(ctx context.Context, address string) error {
	listener, err := fabricsim.Listen(address)
	if err != nil {
		return fmt.Errorf("serve the simulated network: %w", err)
	}
	return ended(ctx, fabricsim.Serve(ctx, fabricsim.New(), listener))
}
