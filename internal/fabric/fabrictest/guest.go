package fabrictest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Guest is a machine made of a network namespace. Its card eth0 is a tap device
// whose frames go to and fro the tap that the driver made, as QEMU would carry
// them. The namespace has no name, so nothing is left of it in the end.
type Guest struct {
	t     testing.TB
	space netns.NsHandle
}

// NewGuest makes a guest with this MAC on the driver's tap. It ends with the test.
func NewGuest(t testing.TB, tap, mac string) *Guest {
	t.Helper()
	return NewCable(t, tap).Guest(0, mac)
}

// NewGuest makes a guest whose host is this namespace.
func (g *Guest) NewGuest(tap, mac string) *Guest {
	g.t.Helper()
	var outer *os.File
	g.must(g.Do(func() error {
		var err error
		outer, err = openTap(tap)
		return err
	}))
	return newCable(g.t, outer).Guest(0, mac)
}

func (g *Guest) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("guest: %v", err)
	}
}

// furnish sets the guest's card up. It runs in the namespace.
func furnish(mac string) error {
	address, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "eth0" {
			err = netlink.LinkSetHardwareAddr(link, address)
			if err != nil {
				return err
			}
			err = netlink.LinkSetMTU(link, 1400)
			if err != nil {
				return err
			}
		}
		err = netlink.LinkSetUp(link)
		if err != nil {
			return err
		}
	}
	return nil
}

// Do calls f on a thread that is in the guest.
func (g *Guest) Do(f func() error) error {
	return within(g.space, f)
}

// Address gives the guest a further address, such as 10.0.0.5/24.
func (g *Guest) Address(cidr string) {
	g.t.Helper()
	g.must(g.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if address.IP.To4() == nil {
			address.Flags = unix.IFA_F_NODAD
		}
		return netlink.AddrAdd(link, address)
	}))
}

// Route gives the guest a route.
func (g *Guest) Route(destination, hop string) {
	g.t.Helper()
	g.must(g.Do(func() error {
		_, to, err := net.ParseCIDR(destination)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(hop)})
	}))
}

// Learns waits until the guest has made itself an address in the range, and a
// default route, from a router's advertisements.
func (g *Guest) Learns(cidr string) {
	g.t.Helper()
	g.must(g.Do(func() error {
		_, prefix, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		late, again := time.After(patience), time.NewTicker(50*time.Millisecond)
		defer again.Stop()
		for {
			addresses, err := netlink.AddrList(link, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			routes, err := netlink.RouteList(link, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			addressed := slices.ContainsFunc(addresses, func(a netlink.Addr) bool {
				return prefix.Contains(a.IP) && a.Flags&unix.IFA_F_PERMANENT == 0
			})
			routed := slices.ContainsFunc(routes, func(r netlink.Route) bool {
				return r.Gw != nil && r.Protocol == unix.RTPROT_RA
			})
			if addressed && routed {
				return nil
			}
			select {
			case <-again.C:
			case <-late:
				return fmt.Errorf("no address in %s (%v) or no default route (%v)", cidr, addresses, routes)
			}
		}
	}))
}

// linkMTU6 is how large the guest's IPv6 packets may be.
func (g *Guest) linkMTU6() (mtu int) {
	g.t.Helper()
	g.must(g.Do(func() error {
		text, err := os.ReadFile("/proc/sys/net/ipv6/conf/eth0/mtu")
		if err != nil {
			return err
		}
		mtu, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	}))
	return mtu
}

// Serve answers TCP connections to the port with the caller's address.
func (g *Guest) Serve(port int) {
	g.t.Helper()
	g.must(g.Do(func() error {
		return Serve(g.t, fmt.Sprintf(":%d", port))
	}))
}

// Serve answers TCP connections with the caller's address, where it is called.
func Serve(t testing.TB, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	var server sync.WaitGroup
	server.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			caller, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			io.WriteString(conn, caller)
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		server.Wait()
	})
	return nil
}

// Reach connects to what Serve answers, and returns who it took us for.
func Reach(address, source string, patience time.Duration) (caller string, err error) {
	dialer := net.Dialer{Timeout: patience}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	err = conn.SetDeadline(time.Now().Add(patience))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// Reaches checks that the guest gets through and is taken for caller. Flows may
// still be on their way, so it tries until a deadline.
func (g *Guest) Reaches(address, caller string) {
	g.t.Helper()
	g.must(g.Do(func() error { return reaches(address, caller) }))
}

func reaches(address, caller string) error {
	late, again := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		got, err := Reach(address, "", 2*time.Second)
		if err == nil && got == caller {
			return nil
		}
		select {
		case <-again.C:
		case <-late:
			return fmt.Errorf("reach %s: answer %q, %v, want %q", address, got, err, caller)
		}
	}
}

// ReachesFrom checks that the guest gets through from one of its addresses.
func (g *Guest) ReachesFrom(address, source string) {
	g.t.Helper()
	g.must(g.Do(func() error {
		caller, err := Reach(address, source, patience)
		if err == nil && caller != source {
			err = fmt.Errorf("taken for %s", caller)
		}
		return err
	}))
}

// ReachesSoon tries every few milliseconds until the guest gets through.
func (g *Guest) ReachesSoon(address string) {
	g.t.Helper()
	g.must(g.Do(func() error {
		late := time.Now().Add(patience)
		for {
			_, err := Reach(address, "", 10*time.Millisecond)
			if err == nil || time.Now().After(late) {
				return err
			}
		}
	}))
}

// silence is how long nothing must come before it counts as dropped. It holds one
// repetition of a lost SYN.
const silence = 1500 * time.Millisecond

// Misses checks that the guest does not get through, from the given source
// address or its own. A switch goes on for a moment with what it has worked out
// before a change, so it may take a few attempts until there is silence. Nobody
// answering for an address is silence too.
func (g *Guest) Misses(address, source string) {
	g.t.Helper()
	g.must(g.Do(func() error { return misses(address, source) }))
}

func misses(address, source string) error {
	late, again := time.After(5*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		got, err := Reach(address, source, silence)
		timeout, ok := err.(net.Error)
		switch {
		case ok && timeout.Timeout(), errors.Is(err, unix.EHOSTUNREACH):
			return nil
		case err != nil:
			return fmt.Errorf("reach %s: %w, want silence", address, err)
		}
		select {
		case <-again.C:
		case <-late:
			return fmt.Errorf("reached %s and was taken for %q, want silence", address, got)
		}
	}
}

// Pings says whether an echo request is answered within the time.
func (g *Guest) Pings(address string, patience time.Duration) bool {
	g.t.Helper()
	answered := false
	g.must(g.Do(func() error {
		conn, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		if err != nil {
			return err
		}
		defer conn.Close()
		echo := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 7, Seq: 1, Data: []byte("nacre")}}
		data, err := echo.Marshal(nil)
		if err != nil {
			return err
		}
		deadline := time.Now().Add(patience)
		buffer := make([]byte, 1500)
		for time.Now().Before(deadline) && !answered {
			_, err = conn.WriteTo(data, &net.IPAddr{IP: net.ParseIP(address)})
			if err != nil {
				return err
			}
			conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				continue
			}
			reply, err := icmp.ParseMessage(1, buffer[:n])
			answered = err == nil && reply.Type == ipv4.ICMPTypeEchoReply
		}
		return nil
	}))
	return answered
}

// Dial connects from inside the guest.
func (g *Guest) Dial(address string) (net.Conn, error) {
	var conn net.Conn
	err := g.Do(func() error {
		var err error
		conn, err = net.DialTimeout("tcp", address, patience)
		return err
	})
	return conn, err
}

// openTap opens a tap device for its frames, and makes it if it is missing.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attach to tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func inNewNamespace(f func(netns.NsHandle) error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		space, err := netns.New()
		if err == nil {
			err = f(space)
		}
		done <- err
	}()
	return <-done
}

func within(space netns.NsHandle, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(space)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Lease is what a DHCP server answered.
type Lease struct {
	IP, Server, Router netip.Addr
	Bits               int
	MTU                int
	DNS                []netip.Addr
	Routes             map[string]string // destination: next hop
}

// DHCP asks for an address, accepts it, and lets it be.
func (g *Guest) DHCP(ctx context.Context, mac string) (Lease, error) {
	var lease Lease
	err := g.Do(func() error {
		var err error
		lease, err = exchange(ctx, mac)
		return err
	})
	return lease, err
}
