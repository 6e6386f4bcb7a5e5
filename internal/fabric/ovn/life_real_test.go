package ovn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nacre/internal/fabric"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/fabric/ovn"
	"nacre/internal/fabric/ovn/ovsdb"
)

// pair is two guests on one network, and their addresses.
type pair struct {
	topology fabric.Topology
	a, b     *fabrictest.Guest
}

const (
	addressA = "10.7.0.5"
	addressB = "10.7.0.6"
)

// startPair brings up two guests; b serves port 80.
func startPair(t *testing.T, system *ovn.System) pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	network := fabric.Network{ID: "11111111-1111-4111-8111-111111111111", MTU: 1400,
		Subnets: []fabric.Subnet{{ID: "s", CIDR: "10.7.0.0/24", Gateway: "10.7.0.1", DHCP: true}}}
	group := fabric.Group{ID: "22222222-2222-4222-8222-222222222222", Rules: []fabric.Rule{
		{ID: "out", Egress: true, PortMin: -1, PortMax: -1},
		{ID: "in", Protocol: "tcp", PortMin: 80, PortMax: 80},
	}}
	port := func(digit, ip string) fabric.Port {
		return fabric.Port{
			ID: strings.Repeat(digit, 8) + "-3333-4333-8333-333333333333", Network: network.ID, MAC: "fa:16:3e:33:33:3" + digit,
			IPs: []string{ip}, Groups: []string{group.ID}, PortSecurity: true, Enabled: true, Host: chassis,
		}
	}
	p := pair{topology: fabric.Topology{
		Networks: []fabric.Network{network}, Groups: []fabric.Group{group},
		Ports: []fabric.Port{port("1", addressA), port("2", addressB)},
		Routers: []fabric.Router{{
			ID: "r", Enabled: true,
			Ports: []fabric.RouterPort{{ID: "inner", Network: network.ID, MAC: "fa:16:3e:44:44:41", CIDRs: []string{"10.7.0.1/24"}}},
		}},
	}}
	err := system.Cluster.Ensure(ctx, p.topology)
	if err != nil {
		t.Fatal(err)
	}
	guests := []**fabrictest.Guest{&p.a, &p.b}
	for i, port := range p.topology.Ports {
		tap, err := system.Host.Plug(ctx, fabric.Plug{Port: port.ID, Network: network.ID, MAC: port.MAC, MTU: network.MTU})
		if err != nil {
			t.Fatal(err)
		}
		g := fabrictest.NewGuest(t, tap, port.MAC)
		g.Address(port.IPs[0] + "/24")
		g.Route("0.0.0.0/0", "10.7.0.1")
		*guests[i] = g
	}
	p.b.Serve(80)
	return p
}

// pids are the daemons of the folder by the names of their pidfiles.
func pids(t *testing.T, dir string) map[string]int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.pid"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".pid")], err = strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// When we go away and come back, daemons, objects and connections are as before.
func TestAdopt(t *testing.T) {
	dir := folder(t)
	system := start(t, dir)
	guests := startPair(t, system)
	guests.a.Reaches(addressB+":80", addressA)
	before := pids(t, dir)
	system.Close()

	guests.a.Reaches(addressB+":80", addressA) // nobody of us is there
	again := start(t, dir)
	if diff := cmp.Diff(before, pids(t, dir)); diff != "" {
		t.Errorf("daemons changed (-before +after):\n%s", diff)
	}
	refs, err := again.Cluster.List(context.Background())
	if err != nil || len(refs) != 5 {
		t.Errorf("list: %d objects, %v, want 5", len(refs), err)
	}
	ports, err := again.Host.Plugged(context.Background())
	if err != nil || len(ports) != 2 {
		t.Errorf("plugged: %v, %v, want 2", ports, err)
	}
	guests.a.Reaches(addressB+":80", addressA)
}

// Each daemon may be killed: Repair starts it, and all goes on.
func TestRepair(t *testing.T) {
	dir := folder(t)
	system := start(t, dir)
	guests := startPair(t, system)
	guests.a.Reaches(addressB+":80", addressA)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for name, pid := range pids(t, dir) {
		kill(t, pid)
		err := system.Repair(ctx)
		if err != nil {
			t.Fatalf("repair after %s: %v", name, err)
		}
		now := pids(t, dir)
		if now[name] == pid {
			t.Errorf("%s has not been started anew", name)
		}
		ctl := filepath.Join(dir, "chassis", fmt.Sprintf("ovs-vswitchd.%d.ctl", now["vswitchd"]))
		checks, err := ovsdb.Call(ctx, ctl, "dpctl/ct-get-tcp-seq-chk")
		if err != nil || !strings.Contains(checks, "disabled") {
			t.Errorf("after %s: %q, %v; TCP connections would not survive a live migration and the way back", name, checks, err)
		}
		extra := guests.topology.Ports[0]
		extra.ID, extra.IPs, extra.MAC = "77777777-"+name, nil, "fa:16:3e:77:77:77"
		err = system.Cluster.Ensure(ctx, fabric.Topology{Ports: []fabric.Port{extra}})
		if err != nil {
			t.Errorf("ensure after %s: %v", name, err)
		}
		err = system.Cluster.Sync(ctx)
		if err != nil {
			t.Errorf("sync after %s: %v", name, err)
		}
		guests.a.Reaches(addressB+":80", addressA)
	}
	err := fabrictest.Serve(t, outside+":8099") // the host's own address came back
	if err != nil {
		t.Error(err)
	}
}

// kill ends a process and waits for its end.
func kill(t *testing.T, pid int) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("open process %d: %v", pid, err)
	}
	defer unix.Close(process)
	err = unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
	if err != nil {
		t.Fatalf("kill process %d: %v", pid, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, 10_000)
		if n == 1 {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatalf("process %d does not end: %v", pid, err)
		}
	}
}

// Guests reach what lies behind the host, under the host's address.
func TestMasquerade(t *testing.T) {
	system := start(t, folder(t))
	guests := startPair(t, system)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	public := fabric.Network{ID: "public", Physical: physical, MTU: 1500}
	router := guests.topology.Routers[0]
	router.Gateway = &fabric.Gateway{
		RouterPort: fabric.RouterPort{ID: "outer", Network: "public", MAC: "fa:16:3e:44:44:42", CIDRs: []string{"172.24.4.9/24"}},
		NextHops:   []string{outside}, SNAT: true,
	}
	err := system.Cluster.Ensure(ctx, fabric.Topology{Networks: []fabric.Network{public}, Routers: []fabric.Router{router}})
	if err != nil {
		t.Fatal(err)
	}

	// The world is a namespace that knows no way back to 172.24.4.0/24.
	world := fabrictest.NewWorld(t, "198.18.0.1/24", "198.18.0.2/24")
	world.Serve(80)
	guests.a.Reaches("198.18.0.2:80", "198.18.0.1")

	// Somebody flushes the host's rules.
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	conn.FlushRuleset()
	err = conn.Flush()
	if err != nil {
		t.Fatal(err)
	}
	err = system.Repair(ctx)
	if err != nil {
		t.Fatal(err)
	}
	guests.a.Reaches("198.18.0.2:80", "198.18.0.1")
}

// After Stop there is nothing left: no process, device, namespace, table or file.
func TestStop(t *testing.T) {
	before := traces(t)
	dir := folder(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	system := start(t, dir)
	network := "55555555-5555-4555-8555-555555555555"
	port := "66666666-6666-4666-8666-666666666666"
	err := system.Cluster.Ensure(ctx, fabric.Topology{
		Networks: []fabric.Network{{ID: network}},
		Ports:    []fabric.Port{{ID: port, Network: network, MAC: "fa:16:3e:00:00:01", Metadata: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tap, err := system.Host.Plug(ctx, fabric.Plug{Port: "88888888-8888-4888-8888-888888888888", Network: network, MTU: 1400})
	if err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName(tap)
	if err != nil {
		t.Fatal(err)
	}
	tun, ok := link.(*netlink.Tuntap)
	if !ok || tun.Owner != tapOwner || tun.MTU != 1400 {
		t.Errorf("tap is %+v, want owner %d and MTU 1400", link, tapOwner)
	}
	door, err := system.Host.OpenMetadata(ctx, fabric.Metadata{Network: network, Port: port, MAC: "fa:16:3e:00:00:01", CIDRs: []string{"10.8.0.2/24"}})
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	if slices.Equal(before, traces(t)) {
		t.Fatal("a running network leaves no trace: this test looks in the wrong places")
	}
	system.Close()
	for range 2 { // the second time there is nothing to stop
		err = ovn.Stop(ctx, dir)
		if err != nil {
			t.Fatalf("stop: %v", err)
		}
		if diff := cmp.Diff(before, traces(t)); diff != "" {
			t.Errorf("left behind (-before +after):\n%s", diff)
		}
		_, err = os.Stat(dir)
		if !os.IsNotExist(err) {
			t.Errorf("folder is still there: %v", err)
		}
	}
}

// What a crash leaves of a half-made door or tap is no obstacle, and is removed.
func TestHalfMade(t *testing.T) {
	before := traces(t)
	dir := folder(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	system := start(t, dir)
	network := "55555555-5555-4555-8555-555555555555"
	for _, folder := range []string{"/run/netns", filepath.Join(dir, "doors")} {
		err := os.MkdirAll(folder, 0o755)
		if err != nil {
			t.Fatal(err)
		}
	}
	file := "/run/netns/nacre-md-" + network
	half := func() {
		t.Helper()
		for _, name := range []string{file, filepath.Join(dir, "doors", network)} {
			err := os.WriteFile(name, nil, 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	half()
	err := system.Host.CloseMetadata(ctx, network)
	if err != nil {
		t.Errorf("close a half-made door: %v", err)
	}
	half()
	door, err := system.Host.OpenMetadata(ctx, fabric.Metadata{Network: network, Port: "p", MAC: "fa:16:3e:00:00:01", CIDRs: []string{"10.8.0.2/24"}})
	if err != nil {
		t.Fatalf("open a half-made door: %v", err)
	}
	door.Close()

	// A tap whose port the switch never heard of.
	port := "88888888-8888-4888-8888-888888888888"
	err = netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap88888888-88"}, Mode: netlink.TUNTAP_MODE_TAP})
	if err != nil {
		t.Fatal(err)
	}
	tap, err := netlink.LinkByName("tap88888888-88")
	if err != nil {
		t.Fatal(err)
	}
	err = netlink.LinkSetAlias(tap, "nacre "+dir+" "+port)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := system.Host.Plugged(ctx)
	if err != nil || !slices.Equal(ports, []string{port}) {
		t.Errorf("plugged: %v, %v, want %s", ports, err, port)
	}
	err = system.Host.Unplug(ctx, port)
	if err != nil {
		t.Errorf("unplug: %v", err)
	}
	gone := func() {
		t.Helper()
		_, err = netlink.LinkByName("tap88888888-88")
		if err == nil {
			t.Errorf("the tap is still there")
		}
	}
	gone()
	err = netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap88888888-88"}, Mode: netlink.TUNTAP_MODE_TAP})
	if err != nil {
		t.Fatal(err)
	}
	err = system.Host.Unplug(ctx, port) // it has no alias yet
	if err != nil {
		t.Errorf("unplug: %v", err)
	}
	gone()
	system.Close()
	err = ovn.Stop(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

// traces are the devices, named namespaces, nftables tables and processes there are.
func traces(t *testing.T) []string {
	t.Helper()
	var found []string
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		found = append(found, "device "+link.Attrs().Name)
	}
	spaces, err := os.ReadDir("/run/netns")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, space := range spaces {
		found = append(found, "namespace "+space.Name())
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		found = append(found, "table "+table.Name)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		exe, err := os.Readlink(process)
		if err == nil {
			found = append(found, "process "+exe)
		}
	}
	slices.Sort(found)
	return found
}
