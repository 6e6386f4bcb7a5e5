package fabrictest

import (
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// NewWorld makes a namespace that a cable joins to the one that the test runs in.
// Its ends are called world here and eth0 there; each gets the address that is
// given, and none a route.
func NewWorld(t *testing.T, here, there string) *Guest {
	t.Helper()
	g := &Guest{t: t}
	g.must(inNewNamespace(func(space netns.NsHandle) error {
		g.space = space
		return nil
	}))
	t.Cleanup(func() { g.space.Close() })
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "world"},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(int(g.space)),
	}
	g.must(netlink.LinkAdd(cable))
	t.Cleanup(func() { netlink.LinkDel(cable) })
	g.must(connectEnd("world", here))
	g.must(g.Do(func() error { return connectEnd("eth0", there) }))
	return g
}

func connectEnd(device, cidr string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	if cidr != "" {
		address, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		err = netlink.AddrAdd(link, address)
		if err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}
