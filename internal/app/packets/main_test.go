package packets

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/fabric"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/fabric/ovn"
	"nacre/internal/testcloud"
)

func TestMain(m *testing.M) { fabrictest.Main(m) }

const (
	chassis = "node-1"
	outside = "172.24.4.1" // this namespace's own address on the external network
)

// lab is a cloud on a real network without machines.
type lab struct {
	*testcloud.Cloud
	dir    string // OVN's
	system *ovn.System
	wire   *fabrictest.Cable // what is beyond the card of the physical network lab
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if missing := ovn.Missing(); len(missing) > 0 {
		t.Fatalf("this test runs OVN: apt-get install %s", strings.Join(missing, " "))
	}
	dir, err := os.MkdirTemp("", "ovn") // short, since unix sockets are below it
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := ovn.Stop(ctx, dir)
		if err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	l := &lab{dir: dir, wire: fabrictest.NewCable(t, "lab0")}
	l.system, err = ovn.Start(ctx, ovn.Options{Dir: dir, Chassis: chassis, Bridges: []ovn.Bridge{
		{Name: "br-ex", Physical: "public", CIDR: outside + "/24"},
		{Name: "br-lab", Physical: "lab", Device: "lab0"},
	}})
	if err != nil {
		t.Fatalf("start the network: %v", err)
	}
	t.Cleanup(func() { l.system.Close() })
	l.Cloud = testcloud.Start(t, testcloud.Network(l.system.Cluster, "lab"))
	return l
}

// object is a resource as the API shows it.
type object map[string]any

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

// make posts a resource of the network service and returns it.
func (l *lab) make(t testing.TB, u testcloud.User, path, name string, attributes object) object {
	t.Helper()
	var reply map[string]object
	u.Must(t, 201, "POST", "/network/v2.0/"+path, map[string]object{name: attributes}).JSON(t, &reply)
	return reply[name]
}

// change puts attributes of a resource of the network service.
func (l *lab) change(t testing.TB, u testcloud.User, path, name string, attributes object) object {
	t.Helper()
	var reply map[string]object
	u.Must(t, 200, "PUT", "/network/v2.0/"+path, map[string]object{name: attributes}).JSON(t, &reply)
	return reply[name]
}

// lan makes a network of project demo with one IPv4 subnet.
func (l *lab) lan(t testing.TB, cidr string) (network, subnet string) {
	t.Helper()
	network = l.make(t, l.Demo(), "networks", "network", object{"name": "lan"}).text("id")
	return network, l.make(t, l.Demo(), "subnets", "subnet", object{"network_id": network, "ip_version": 4, "cidr": cidr}).text("id")
}

// group makes a security group that lets TCP in to port 80, and returns its id.
func (l *lab) group(t testing.TB) string {
	t.Helper()
	id := l.make(t, l.Demo(), "security-groups", "security_group", object{"name": "g"}).text("id")
	for _, ethertype := range []string{"IPv4", "IPv6"} {
		l.allow(t, id, object{"ethertype": ethertype, "protocol": "tcp", "port_range_min": 80, "port_range_max": 80})
	}
	return id
}

// allow lets something in to a group.
func (l *lab) allow(t testing.TB, group string, attributes object) string {
	t.Helper()
	attributes["security_group_id"], attributes["direction"] = group, "ingress"
	return l.make(t, l.Demo(), "security-group-rules", "security_group_rule", attributes).text("id")
}

// card is a port that is bound and plugged in.
type card struct {
	id, mac string
	ips     []string
	tap     string
}

// card makes a port, binds it here and plugs it in.
func (l *lab) card(t testing.TB, network string, attributes object) card {
	t.Helper()
	attributes["network_id"] = network
	made := l.make(t, l.Demo(), "ports", "port", attributes)
	c := card{id: made.text("id"), mac: made.text("mac_address")}
	for _, f := range made["fixed_ips"].([]any) {
		c.ips = append(c.ips, f.(map[string]any)["ip_address"].(string))
	}
	l.change(t, l.Admin(), "ports/"+c.id, "port", object{"binding:host_id": chassis})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	c.tap, err = l.system.Host.Plug(ctx, fabric.Plug{Port: c.id, Network: network, MAC: c.mac, MTU: 1400})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := l.system.Host.Unplug(context.Background(), c.id)
		if err != nil {
			t.Error(err)
		}
	})
	l.active(t, c.id)
	return c
}

// active waits until a port is ACTIVE.
func (l *lab) active(t testing.TB, port string) {
	t.Helper()
	await.Until(t, "port "+port+" to be ACTIVE", time.Minute, func() bool {
		var reply map[string]object
		l.Demo().Must(t, 200, "GET", "/network/v2.0/ports/"+port, nil).JSON(t, &reply)
		return reply["port"].text("status") == "ACTIVE"
	})
}

// guest is a machine with the card, which has the card's first address.
func (c card) guest(t testing.TB) *fabrictest.Guest {
	t.Helper()
	g := fabrictest.NewGuest(t, c.tap, c.mac)
	g.Address(c.ips[0] + "/24")
	g.Route("0.0.0.0/0", c.ips[0][:strings.LastIndex(c.ips[0], ".")]+".1")
	return g
}

// edge makes a router between the external network and a subnet.
func (l *lab) edge(t testing.TB, subnets ...string) string {
	t.Helper()
	router := l.make(t, l.Demo(), "routers", "router", object{"external_gateway_info": object{"network_id": l.Demo().Network(t, "public")}}).text("id")
	for _, s := range subnets {
		l.Demo().Must(t, 200, "PUT", "/network/v2.0/routers/"+router+"/add_router_interface", object{"subnet_id": s})
	}
	return router
}

// reaches waits until we get through from the outside.
func reaches(t testing.TB, address, caller string) {
	t.Helper()
	await.Until(t, address+" to answer", time.Minute, func() bool {
		got, err := fabrictest.Reach(address, "", 2*time.Second)
		return err == nil && got == caller
	})
}

// silent waits until nobody answers.
func silent(t testing.TB, address string) {
	t.Helper()
	await.Until(t, address+" to be silent", time.Minute, func() bool {
		_, err := fabrictest.Reach(address, "", time.Second)
		return err != nil
	})
}

func at(ip string, port int) string {
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return fmt.Sprint(ip, ":", port)
}
