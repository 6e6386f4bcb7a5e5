package ovn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Network devices of ours carry an alias that names the folder they belong to and
// the port they are for. So what a crash left behind is found again, and never
// taken for somebody else's.

func aliasPrefix(dir string) string { return "nacre " + dir + " " }

// ensureTap makes a persistent tap device and reports whether it is new.
func ensureTap(name, alias string, mtu, owner int) (fresh bool, err error) {
	_, err = netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		fresh = true
		err = netlink.LinkAdd(&netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: name},
			Mode:      netlink.TUNTAP_MODE_TAP,
			Flags:     netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR | netlink.TUNTAP_ONE_QUEUE,
			Owner:     uint32(owner),
		})
	}
	if err != nil {
		return false, fmt.Errorf("add device %s: %w", name, err)
	}
	return fresh, prepare(name, alias, mtu)
}

// prepare sets what both new and old devices must have.
func prepare(name, alias string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find device %s: %w", name, err)
	}
	err = netlink.LinkSetAlias(link, alias)
	if err != nil {
		return fmt.Errorf("mark device %s: %w", name, err)
	}
	if mtu > 0 {
		err = netlink.LinkSetMTU(link, mtu)
		if err != nil {
			return fmt.Errorf("set MTU %d of device %s: %w", mtu, name, err)
		}
	}
	// The host is no party on this wire: it must not speak IPv6 there.
	err = os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("silence device %s: %w", name, err)
	}
	err = netlink.LinkSetUp(link)
	if err != nil {
		return fmt.Errorf("bring device %s up: %w", name, err)
	}
	return nil
}

// aliases returns what follows the prefix in the aliases of all devices.
func aliases(prefix string) ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var rest []string
	for _, link := range links {
		name, ok := strings.CutPrefix(link.Attrs().Alias, prefix)
		if ok && !strings.Contains(name, " ") {
			rest = append(rest, name)
		}
	}
	return rest, nil
}

// removeAlias removes the devices with this alias.
func removeAlias(alias string) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, link := range links {
		if link.Attrs().Alias != alias {
			continue
		}
		err = netlink.LinkDel(link)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove device %s: %w", link.Attrs().Name, err)
		}
	}
	return nil
}

// removeTap removes the tap with this alias, and one that has the name but was not
// given its alias yet: we may have stopped in between.
func removeTap(name, alias string) error {
	link, err := netlink.LinkByName(name)
	if err == nil && link.Type() == "tuntap" && link.Attrs().Alias == "" {
		err = netlink.LinkSetAlias(link, alias)
		if err != nil {
			return fmt.Errorf("mark device %s: %w", name, err)
		}
	}
	return removeAlias(alias)
}

// removeDevices removes every device and door of the folder.
func removeDevices(dir string) error {
	doors, err := os.ReadDir(doorsDir(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("list metadata doors: %w", err)
	}
	for _, door := range doors {
		err = removeDoor(dir, door.Name())
		if err != nil {
			return err
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, link := range links {
		if !strings.HasPrefix(link.Attrs().Alias, aliasPrefix(dir)) {
			continue
		}
		err = removeAlias(link.Attrs().Alias)
		if err != nil {
			return err
		}
	}
	return nil
}
