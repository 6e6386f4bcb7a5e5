package ovn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"nacre/internal/fabric/ovn/ovsdb"
)

// Options describe one machine's network. Only Dir and Chassis are needed.
type Options struct {
	Dir      string       // everything of ours is below; a short path, it holds unix sockets
	Chassis  string       // this host's name, as fabric.Port.Host has it
	EncapIP  string       // this host's end of the tunnels; default 127.0.0.1, which is enough for one host
	Datapath string       // "netdev", "system", or "auto": system where the kernel can
	Bridges  []Bridge     // ways out of the cloud, and to other hosts
	TapOwner int          // user id that may open the taps, 0 for root alone
	Remote   string       // southbound database of another machine; "" runs OVN's central part here
	Gateways []string     // chassis that carry traffic to external networks; default this one
	Log      *slog.Logger // nil for the default
}

// System is a running network on one machine.
type System struct {
	Cluster *Cluster // nil when the central part runs elsewhere
	Host    *Host

	options Options
	log     *slog.Logger

	// mu is held during Repair and guards what follows.
	mu          sync.Mutex
	masqueraded bool // our rules were written by this process
}

// Start makes the network run on this machine, or takes over the one that runs
// already, and connects to it.
func Start(ctx context.Context, options Options) (*System, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	s := &System{options: options, log: options.Log}
	err = s.Repair(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Repair starts what does not run any more, and changes nothing else.
func (s *System) Repair(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Remote == "" {
		err := startCentral(ctx, centralDir(s.options.Dir), "", s.log)
		if err != nil {
			return fmt.Errorf("start the network's central part: %w", err)
		}
		if s.Cluster == nil {
			s.Cluster, err = OpenCluster(ctx, ClusterOptions{
				Socket:   NorthSocket(s.options.Dir),
				Gateways: s.options.Gateways,
				Log:      s.log,
			})
			if err != nil {
				return err
			}
		}
	}
	return s.startChassis(ctx)
}

// ensureMasquerade writes our nftables rules when we start, and again when somebody
// has flushed them.
func (s *System) ensureMasquerade() error {
	if !slices.ContainsFunc(s.options.Bridges, func(b Bridge) bool { return b.Masquerade }) {
		return nil
	}
	if s.masqueraded {
		present, err := hasMasquerade()
		if err != nil || present {
			return err
		}
	}
	err := masquerade(s.options.Bridges)
	if err != nil {
		return err
	}
	s.masqueraded = true
	return nil
}

// Close lets go of the network. It goes on by itself.
func (s *System) Close() error {
	if s.Host != nil {
		s.Host.Close()
	}
	if s.Cluster != nil {
		s.Cluster.Close()
	}
	return nil
}

// Stop ends the network that was started with this folder, and removes all it has
// left behind on the machine, the folder included.
func Stop(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// Whoever reports to another goes first.
	daemons := slices.Concat(centralDaemons(centralDir(dir), ""), chassisDaemons(chassisDir(dir), ""))
	for _, d := range slices.Backward(daemons) {
		err = d.stop(ctx, slog.Default())
		if err != nil {
			return err
		}
	}
	err = removeDevices(dir)
	if err != nil {
		return err
	}
	err = removeMasquerade()
	if err != nil {
		return err
	}
	err = os.RemoveAll(dir)
	if err != nil {
		return fmt.Errorf("remove network folder: %w", err)
	}
	return nil
}

// NorthSocket is where the northbound database listens.
func NorthSocket(dir string) string { return filepath.Join(centralDir(dir), "nb.sock") }

// SouthRemote is what another chassis on this machine gives as Options.Remote.
func SouthRemote(dir string) string { return "unix:" + filepath.Join(centralDir(dir), "sb.sock") }

func centralDir(dir string) string { return filepath.Join(dir, "central") }
func chassisDir(dir string) string { return filepath.Join(dir, "chassis") }

// complete fills in defaults and refuses what cannot work.
func (o Options) complete() (Options, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if len(o.Gateways) == 0 {
		o.Gateways = []string{o.Chassis}
	}
	if o.EncapIP == "" {
		o.EncapIP = "127.0.0.1"
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, err
	}
	o.Dir = dir
	// The longest socket name is ovn-controller.4194304.ctl, the limit 107 bytes.
	const room = 107 - len("/chassis/ovn-controller.4194304.ctl")
	switch {
	case o.Chassis == "":
		return o, fmt.Errorf("start network: the host has no name")
	case len(o.Dir) > room:
		return o, fmt.Errorf("start network: folder %s has a longer path than unix sockets allow (%d bytes)", o.Dir, room)
	case len(Missing()) > 0:
		return o, fmt.Errorf("start network: install the packages %s", strings.Join(Missing(), ", "))
	}
	if o.Datapath == "" || o.Datapath == "auto" {
		o.Datapath = "netdev"
		_, err := netlink.GenlFamilyGet("ovs_datapath")
		if err == nil {
			o.Datapath = "system"
		}
	}
	return o, nil
}

// Ports of the two databases on a machine that other machines reach.
const (
	NorthPort = 6641
	SouthPort = 6642
)

// centralDaemons listen on unix sockets, and on an address of this machine when
// others are to reach them; "" for none.
func centralDaemons(dir, listen string) []daemon {
	database := func(name string, port int) daemon {
		args := []string{"--remote=punix:" + filepath.Join(dir, name+".sock")}
		if listen != "" {
			args = append(args, fmt.Sprintf("--remote=ptcp:%d:%s", port, listen))
		}
		return daemon{name: name, program: "ovsdb-server", dir: dir, exit: []string{"exit"}, args: append(args, filepath.Join(dir, name+".db"))}
	}
	return []daemon{
		database("nb", NorthPort),
		database("sb", SouthPort),
		{name: "northd", program: "ovn-northd", dir: dir, exit: []string{"exit"}, args: []string{
			"--ovnnb-db=unix:" + filepath.Join(dir, "nb.sock"),
			"--ovnsb-db=unix:" + filepath.Join(dir, "sb.sock"),
		}},
	}
}

// StartCentral makes OVN's central part run on this machine for servers and hosts
// that are elsewhere, or finds that it does. It goes on by itself. Stop ends it.
func StartCentral(ctx context.Context, dir, listen string, log *slog.Logger) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	err = startCentral(ctx, centralDir(dir), listen, log)
	if err != nil {
		return fmt.Errorf("start the network's central part: %w", err)
	}
	return nil
}

func startCentral(ctx context.Context, dir, listen string, log *slog.Logger) error {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}
	for name, schema := range map[string]string{
		"nb": "/usr/share/ovn/ovn-nb.ovsschema",
		"sb": "/usr/share/ovn/ovn-sb.ovsschema",
	} {
		err := ensureDatabase(ctx, dir, name, schema)
		if err != nil {
			return err
		}
	}
	for _, d := range centralDaemons(dir, listen) {
		err := d.start(ctx, log)
		if err != nil {
			return err
		}
	}
	return nil
}

// ensureDatabase makes the file, or brings it to the schema that is installed now.
func ensureDatabase(ctx context.Context, dir, name, schema string) error {
	file := filepath.Join(dir, name+".db")
	server := daemon{name: name, program: "ovsdb-server", dir: dir}
	if server.pid() != 0 {
		return nil
	}
	_, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		// Under another name first: half a database would stop every later start.
		err = os.RemoveAll(file + ".new")
		if err != nil {
			return err
		}
		err = run(ctx, dir, "ovsdb-tool", "create", file+".new", schema)
		if err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	if err != nil {
		return err
	}
	old, err := output(ctx, dir, "ovsdb-tool", "needs-conversion", file, schema)
	if err != nil {
		return err
	}
	if strings.TrimSpace(old) == "yes" {
		return run(ctx, dir, "ovsdb-tool", "convert", file, schema)
	}
	return nil
}

func chassisDaemons(dir, datapath string) []daemon {
	socket := "unix:" + filepath.Join(dir, "conf.sock")
	vswitchd := daemon{name: "vswitchd", program: "ovs-vswitchd", dir: dir, exit: []string{"exit", "--cleanup"}, args: []string{socket}}
	if datapath == "netdev" {
		vswitchd.args = append(vswitchd.args, "--disable-system")
	}
	return []daemon{
		{name: "conf", program: "ovsdb-server", dir: dir, exit: []string{"exit"}, args: []string{
			"--remote=punix:" + filepath.Join(dir, "conf.sock"),
			filepath.Join(dir, "conf.db"),
		}},
		vswitchd,
		{name: "controller", program: "ovn-controller", dir: dir, exit: []string{"exit"}, args: []string{socket}},
	}
}

func (s *System) startChassis(ctx context.Context) error {
	dir := chassisDir(s.options.Dir)
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}
	err = ensureDatabase(ctx, dir, "conf", "/usr/share/openvswitch/vswitch.ovsschema")
	if err != nil {
		return err
	}
	daemons := chassisDaemons(dir, s.options.Datapath)
	err = daemons[0].start(ctx, s.log)
	if err != nil {
		return err
	}
	if s.Host == nil {
		s.Host, err = OpenHost(ctx, HostOptions{Dir: s.options.Dir, TapOwner: s.options.TapOwner, Log: s.log})
		if err != nil {
			return err
		}
	}
	err = s.Host.configure(ctx, s.options)
	if err != nil {
		return fmt.Errorf("configure the switch: %w", err)
	}
	err = daemons[1].start(ctx, s.log)
	if err != nil {
		return err
	}
	err = s.Host.settled(ctx)
	if err != nil {
		return err
	}
	for _, b := range s.options.Bridges {
		err = b.furnish(ctx)
		if err != nil {
			return fmt.Errorf("connect the host to bridge %s: %w", b.Name, err)
		}
	}
	err = s.ensureMasquerade()
	if err != nil {
		return fmt.Errorf("make the way out: %w", err)
	}
	err = daemons[2].start(ctx, s.log)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = s.Host.db.Await(wait, func(tables ovsdb.Tables) bool { return bridgeID(tables, integration) != "" })
	if err != nil {
		return fmt.Errorf("wait for ovn-controller to make bridge %s: %w", integration, err)
	}
	err = s.Host.settled(ctx)
	if err == nil && s.options.Datapath == "netdev" {
		err = beLiberal(ctx, daemons[1])
	}
	return err
}

// beLiberal has the switch take TCP segments out of the window that it knows of, as the
// kernel's does. A guest that comes back to a host after a live migration goes on with
// connections of which the host has seen nothing, or one side, for a while; they would
// never get through again.
func beLiberal(ctx context.Context, vswitchd daemon) error {
	_, err := ovsdb.Call(ctx, vswitchd.control(vswitchd.pid()), "dpctl/ct-disable-tcp-seq-chk")
	if err != nil {
		return fmt.Errorf("turn off the check of TCP windows: %w", err)
	}
	return nil
}
