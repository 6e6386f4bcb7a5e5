package threehosts

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/fabric/ovn"
	"nacre/internal/node/uplink"
	"nacre/internal/soak"
)

// The addresses of the lab. The outer namespace has the servers and OVN's central
// part; the first host is the way to the external network.
const (
	outside  = "10.99.0.1"
	external = "172.24.4.0/24"
	gateway  = "node-1"
)

// lab is a cluster of two servers and some hosts.
type lab struct {
	t       *testing.T
	dir     string
	servers []*server
	hosts   []*host
}

type server struct {
	*soak.Process
	dir, url string
}

// host is a real host with its node.
type host struct {
	*soak.Host
	dir  string // the node's data folder
	node *soak.Process
}

// setting is what a lab stands on.
type setting struct {
	db, bus string // of the servers
	blobs   string // where they keep bytes; "" is a folder of the lab
	diskMB  int    // of each host, a disk of its own; 0: they share the machine's
}

func newLab(t *testing.T, hosts int, on setting) *lab {
	t.Helper()
	// A short path, since unix sockets are below it.
	dir, err := os.MkdirTemp("", "n")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if on.blobs == "" {
		on.blobs = filepath.Join(dir, "blobs")
	}
	l := &lab{t: t, dir: dir}
	t.Cleanup(func() {
		for _, program := range []string{"qemu-system", "qemu-storage-daemon", "ovsdb-server", "ovs-vswitchd", "ovn-"} {
			if left := running(t, program); left > 0 {
				t.Errorf("%d processes of %s are left behind", left, program)
			}
		}
		err := os.RemoveAll(dir)
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		err := ovn.Stop(context.Background(), l.central())
		if err != nil {
			t.Error(err)
		}
	})
	l.addSwitch("mgmt", outside+"/24")
	l.addSwitch("under", "")
	l.startCentral()
	for i := range 2 {
		l.addServer(i+1, on)
	}
	for i := range hosts {
		l.addHost(i+1, on.diskMB)
	}
	l.route(external, l.address(1))
	return l
}

func (l *lab) central() string { return filepath.Join(l.dir, "ovn") }

// startCentral starts what does not run of OVN's central part.
func (l *lab) startCentral() {
	l.t.Helper()
	l.must(ovn.StartCentral(context.Background(), l.central(), outside, slog.New(slog.DiscardHandler)))
}

// address is where a host is in the network that servers are in.
func (l *lab) address(host int) string { return fmt.Sprintf("10.99.0.%d", 10+host) }

// addSwitch makes a bridge that hosts' cables are plugged into.
func (l *lab) addSwitch(name, address string) {
	l.t.Helper()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	l.must(netlink.LinkAdd(bridge))
	l.t.Cleanup(func() { l.must(netlink.LinkDel(bridge)) })
	if address != "" {
		l.must(addAddress(bridge, address))
	}
	l.must(netlink.LinkSetUp(bridge))
}

// addCable connects a host to a switch; both ends have the switch's name.
func (l *lab) addCable(h *host, number int, to, address string) {
	l.t.Helper()
	bridge, err := netlink.LinkByName(to)
	l.must(err)
	name := fmt.Sprintf("%s-%d", to, number)
	l.must(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Attrs().Index},
		PeerName:  to, PeerNamespace: netlink.NsPid(h.PID),
	}))
	end, err := netlink.LinkByName(name)
	l.must(err)
	// With its host the cable would go some time later, and be in the next lab's way.
	l.t.Cleanup(func() { l.must(netlink.LinkDel(end)) })
	l.must(netlink.LinkSetUp(end))
	if address == "" {
		return
	}
	l.must(h.Inside(func(n *netlink.Handle) error {
		far, err := n.LinkByName(to)
		if err != nil {
			return err
		}
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		err = n.AddrAdd(far, parsed)
		if err != nil {
			return err
		}
		return n.LinkSetUp(far)
	}))
}

func addAddress(link netlink.Link, address string) error {
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, parsed)
}

func (l *lab) route(to, via string) {
	l.t.Helper()
	_, network, err := net.ParseCIDR(to)
	l.must(err)
	l.must(netlink.RouteAdd(&netlink.Route{Dst: network, Gw: net.ParseIP(via)}))
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// addServer starts a server and waits until it answers, since the next one needs
// what the first settles: the key file.
func (l *lab) addServer(number int, on setting) {
	l.t.Helper()
	name := fmt.Sprintf("server-%d", number)
	listen := fmt.Sprintf("%s:%d", outside, 5000+10*number)
	s := &server{dir: filepath.Join(l.dir, name), url: "https://" + listen}
	part := soak.Part{Cloud: &app.Config{
		Server: true, Listen: listen, DataDir: s.dir, DB: on.db, Bus: on.bus, External: external, OVNGateways: gateway,
		OVNNorth: fmt.Sprintf("tcp:%s:%d", outside, ovn.NorthPort), OVNSouth: fmt.Sprintf("tcp:%s:%d", outside, ovn.SouthPort),
		Blobs: on.blobs, KeyFile: filepath.Join(l.dir, "keys"),
	}}
	s.Process = soak.Ours(l.t, name, func() soak.Part { return part })
	s.Again = true
	l.servers = append(l.servers, s)
	s.Start()
	s.Ready(s.url)
}

// addHost makes a host and starts its node, which joins.
func (l *lab) addHost(number, diskMB int) {
	l.t.Helper()
	name := fmt.Sprintf("node-%d", number)
	h := &host{dir: filepath.Join(l.dir, name)}
	room := soak.Room{}
	if diskMB > 0 {
		room = soak.Room{Disk: h.dir, DiskMB: diskMB}
		h.dir = filepath.Join(h.dir, "data")
	}
	h.Host = soak.NewHost(l.t, name, room)
	l.hosts = append(l.hosts, h)
	l.addCable(h, number, "mgmt", l.address(number)+"/24")
	l.addCable(h, number, "under", "")
	var token struct{ Token string }
	l.must(app.AskOwn(l.t.Context(), l.servers[0].dir, "POST", "/nacre/v1/join-tokens", map[string]any{}, &token))
	config := app.NodeConfig{
		Join: token.Token, DataDir: h.dir, Name: name, TunnelDevice: "under", Address: fmt.Sprintf("172.31.0.%d/24", number),
	}
	for _, s := range l.servers {
		config.Servers = append(config.Servers, s.url)
	}
	if name == gateway {
		config.External = "172.24.4.1/24"
	}
	h.node = soak.OursIn(l.t, name, h.Host, func() soak.Part {
		_, err := os.Stat(h.Path(filepath.Join(h.dir, "uplink", uplink.CertificateFile)))
		if err == nil {
			config.Join = "" // it is known by its certificate
		}
		return soak.Part{Node: &config}
	})
	l.t.Cleanup(func() {
		h.node.Kill()
		down := soak.OursIn(l.t, name+"-down", h.Host, func() soak.Part { return soak.Part{Down: h.dir} })
		down.Start()
		err := down.Finish()
		if err != nil {
			l.t.Errorf("take %s down: %v: %s", name, err, down.Tail(2000))
		}
	})
	h.node.Start()
}

type nodeRow struct {
	Name, Server string
	Up           bool
}

// nodes is what a server says of the nodes, by name.
func (l *lab) nodes(s *server) map[string]nodeRow {
	var reply struct{ Nodes []nodeRow }
	err := app.AskOwn(l.t.Context(), s.dir, "GET", "/nacre/v1/nodes", nil, &reply)
	if err != nil {
		l.t.Log(err)
	}
	out := map[string]nodeRow{}
	for _, n := range reply.Nodes {
		out[n.Name] = n
	}
	return out
}

// waitUp waits until all nodes are up. One that has given up, since its disk was
// full, is started again, as systemd does.
func (l *lab) waitUp(s *server) {
	l.t.Helper()
	await.Until(l.t, "all hosts to be up", 2*time.Minute, func() bool {
		for _, h := range l.hosts {
			if h.node.Died() {
				h.node.Start()
			}
		}
		up := 0
		for _, n := range l.nodes(s) {
			if n.Up {
				up++
			}
		}
		return up == len(l.hosts)
	})
}
