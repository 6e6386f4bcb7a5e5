package ovn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A door is a network namespace with one end of a veth pair in it; the other end
// is the network's metadata port. The namespace has no way to anywhere else, and
// only the socket that listens in it belongs to us. Which doors there are is
// also kept as files, because a namespace says nothing about its owner.

// metadataIP is where guests look for metadata, on every network.
const (
	metadataIP  = "169.254.169.254"
	metadataIP6 = "fe80::a9fe:a9fe"
)

// inside is the name of the veth's end in the namespace.
const inside = "eth0"

func doorsDir(dir string) string           { return filepath.Join(dir, "doors") }
func doorNamespace(network string) string  { return "nacre-md-" + network }
func namespaceFile(name string) string     { return filepath.Join("/run/netns", name) }
func doorDevice(network string) string     { return "md" + network[:min(11, len(network))] }
func doorMark(dir, network string) string  { return filepath.Join(doorsDir(dir), network) }
func doorAlias(dir, network string) string { return aliasPrefix(dir) + "door " + network }

// OpenMetadata implements fabric.Host.
func (h *Host) OpenMetadata(ctx context.Context, m fabric.Metadata) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := os.MkdirAll(doorsDir(h.dir), 0o700)
	if err != nil {
		return nil, err
	}
	// The mark comes first: a namespace without one would never be removed.
	err = os.WriteFile(doorMark(h.dir, m.Network), nil, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mark metadata door: %w", err)
	}
	space, err := ensureNamespace(doorNamespace(m.Network))
	if err != nil {
		return nil, fmt.Errorf("make namespace of metadata door %s: %w", m.Network, err)
	}
	defer space.Close()
	fresh, err := h.wire(space, m)
	if err != nil {
		return nil, fmt.Errorf("wire metadata door %s: %w", m.Network, err)
	}
	err = h.connect(ctx, "door "+m.Network, doorDevice(m.Network), fresh, ovsdb.Map{
		"iface-id": m.Port,
		keyDoor:    m.Network,
	})
	if err != nil {
		return nil, fmt.Errorf("connect metadata door %s: %w", m.Network, err)
	}
	var listener net.Listener
	err = within(space, func() error {
		var err error
		listener, err = listenInside()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in metadata door %s: %w", m.Network, err)
	}
	return listener, nil
}

// listenInside listens on the metadata addresses. It runs in the namespace.
func listenInside() (net.Listener, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(metadataIP, "80"))
	if err != nil || !speaksIPv6() {
		return listener, err
	}
	link, err := netlink.LinkByName(inside)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	// The device is told by number: names are those of the namespace that this
	// process began in.
	zone := strconv.Itoa(link.Attrs().Index)
	second, err := net.Listen("tcp6", net.JoinHostPort(metadataIP6+"%"+zone, "80"))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return join(listener, second), nil
}

// speaksIPv6 says whether this machine's kernel has IPv6 turned on.
func speaksIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// CloseMetadata implements fabric.Host.
func (h *Host) CloseMetadata(ctx context.Context, network string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.disconnect(ctx, "door "+network)
	if err != nil {
		return fmt.Errorf("disconnect metadata door %s: %w", network, err)
	}
	return removeDoor(h.dir, network)
}

// MAC implements fabric.Host.
func (h *Host) MAC(ctx context.Context, network, ip string) (string, error) {
	ip, _, _ = strings.Cut(ip, "%")
	wanted := net.ParseIP(ip)
	space, err := netns.GetFromName(doorNamespace(network))
	if err != nil {
		return "", fmt.Errorf("find metadata door of network %s: %w", network, err)
	}
	defer space.Close()
	handle, err := netlink.NewHandleAt(space, unix.NETLINK_ROUTE)
	if err != nil {
		return "", fmt.Errorf("enter metadata door of network %s: %w", network, err)
	}
	defer handle.Close()
	neighbours, err := handle.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return "", fmt.Errorf("list neighbours of metadata door %s: %w", network, err)
	}
	for _, n := range neighbours {
		if n.IP.Equal(wanted) && len(n.HardwareAddr) == 6 && n.State&unix.NUD_FAILED == 0 {
			return n.HardwareAddr.String(), nil
		}
	}
	return "", fmt.Errorf("nobody on network %s has address %s", network, ip)
}

// wire makes the veth pair, unless it is there, and sets both ends up.
func (h *Host) wire(space netns.NsHandle, m fabric.Metadata) (fresh bool, err error) {
	outside := doorDevice(m.Network)
	_, err = netlink.LinkByName(outside)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		fresh = true
		err = netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: outside},
			PeerName:      inside,
			PeerNamespace: netlink.NsFd(int(space)),
		})
	}
	if err != nil {
		return false, fmt.Errorf("add device %s: %w", outside, err)
	}
	err = prepare(outside, doorAlias(h.dir, m.Network), m.MTU)
	if err != nil {
		return false, err
	}
	err = within(space, func() error { return furnish(m) })
	return fresh, err
}

// furnish gives the inner end its addresses. It runs in the namespace.
func furnish(m fabric.Metadata) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	err = netlink.LinkSetUp(loopback)
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	link, err := netlink.LinkByName(inside)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(m.MAC)
	if err != nil {
		return err
	}
	err = netlink.LinkSetHardwareAddr(link, mac)
	if err != nil {
		return fmt.Errorf("set MAC %s: %w", mac, err)
	}
	if m.MTU > 0 {
		err = netlink.LinkSetMTU(link, m.MTU)
		if err != nil {
			return fmt.Errorf("set MTU %d: %w", m.MTU, err)
		}
	}
	// Packets leave for a switch that forwards them as they are: a checksum left
	// to hardware would never be computed.
	err = checksumInSoftware(inside)
	if err != nil {
		return fmt.Errorf("turn checksum offload off: %w", err)
	}
	err = netlink.LinkSetUp(link)
	if err != nil {
		return fmt.Errorf("bring %s up: %w", inside, err)
	}
	own := []string{metadataIP + "/32"}
	if speaksIPv6() {
		own = append(own, metadataIP6+"/64")
	}
	return setAddresses(link, append(own, m.CIDRs...))
}

// setAddresses makes the link have these addresses and, link-local IPv6 apart, no
// others.
func setAddresses(link netlink.Link, cidrs []string) error {
	wanted := map[string]bool{}
	for _, cidr := range cidrs {
		address, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if address.IP.To4() == nil {
			address.Flags = unix.IFA_F_NODAD
		}
		wanted[address.IPNet.String()] = true
		err = netlink.AddrReplace(link, address)
		if err != nil {
			return fmt.Errorf("add address %s: %w", cidr, err)
		}
	}
	present, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, address := range present {
		if wanted[address.IPNet.String()] || address.Scope == unix.RT_SCOPE_LINK {
			continue
		}
		err = netlink.AddrDel(link, &address)
		if err != nil {
			return fmt.Errorf("remove address %s: %w", address.IPNet, err)
		}
	}
	return nil
}

// removeDoor removes the namespace, and the veth pair with it.
func removeDoor(dir, network string) error {
	err := removeAlias(doorAlias(dir, network))
	if err != nil {
		return err
	}
	name := doorNamespace(network)
	err = netns.DeleteNamed(name)
	if errors.Is(err, unix.EINVAL) { // nothing is mounted on the file
		err = os.Remove(namespaceFile(name))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	err = os.Remove(doorMark(dir, network))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget metadata door %s: %w", network, err)
	}
	return nil
}

// ensureNamespace opens the named namespace and makes it when it is missing.
func ensureNamespace(name string) (netns.NsHandle, error) {
	space, err := netns.GetFromName(name)
	if err == nil {
		var about unix.Statfs_t
		err = unix.Fstatfs(int(space), &about)
		if err == nil && about.Type == unix.NSFS_MAGIC {
			return space, nil
		}
		// A file that is no namespace is what stays when we stop between making
		// the file and mounting on it.
		space.Close()
		err = os.Remove(namespaceFile(name))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return netns.None(), err
	}
	type result struct {
		space netns.NsHandle
		err   error
	}
	made := make(chan result)
	go func() {
		// The thread is in the new namespace afterwards. It stays locked, so it
		// ends with this goroutine.
		runtime.LockOSThread()
		space, err := netns.NewNamed(name)
		made <- result{space, err}
	}()
	r := <-made
	return r.space, r.err
}

// within calls f on a thread that is in the namespace.
func within(space netns.NsHandle, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(space)
		if err != nil {
			done <- fmt.Errorf("enter namespace: %w", err)
			return // locked: the thread ends with us
		}
		done <- f()
	}()
	return <-done
}
