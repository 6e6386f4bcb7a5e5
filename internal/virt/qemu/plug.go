package qemu

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// found is what a guest has: the fields of that name.
type found struct {
	ports   map[place]string
	aliases map[string]string
	pc      bool
}

// inventory asks a guest which device sits where. A volume's device is named by the
// volume that it has now, and among the aliases when QEMU has another name for it.
// (query-pci doesn't help: it sees nothing behind a port until the firmware has numbered
// the buses.)
func inventory(ctx context.Context, client *qmp.Client, disks []virt.Disk) (found, error) {
	has := found{map[place]string{}, map[string]string{}, true}
	var devices []struct{ Name string }
	err := client.Execute(ctx, "qom-list", options{"path": peripheral}, &devices)
	if err != nil {
		return has, err
	}
	nodes, err := deviceNodes(ctx, client)
	if err != nil {
		return has, err
	}
	for _, d := range devices {
		port, ok := portNumber(d.Name)
		if ok {
			has.ports[place{unit: port}], has.pc = "", false
		}
	}
	for port := range pcPorts {
		if has.pc {
			has.ports[place{unit: port}] = ""
		}
	}
	for _, d := range devices {
		if d.Name != nodeapi.RootDisk && d.Name != configName && d.Name != rescueName && !blankName.MatchString(d.Name) && !strings.HasPrefix(d.Name, diskPrefix) && !strings.HasPrefix(d.Name, nicPrefix) {
			continue
		}
		at, ours, err := findPlace(ctx, client, d.Name, has.pc)
		if err != nil {
			return has, err
		}
		if !ours {
			continue
		}
		name := deviceName(d.Name, nodes[d.Name].node, disks)
		has.ports[at] = name
		if name != d.Name {
			has.aliases[name] = d.Name
		}
	}
	return has, nil
}

func portNumber(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, "port")
	n, err := strconv.Atoi(number)
	return n, ok && err == nil
}

// replug makes a running guest have the volumes and cards of its definition.
// What goes, goes first: it makes room.
func (h *Host) replug(ctx context.Context, m *machine, g *guest) error {
	client, err := h.monitor(ctx, m, g)
	if err == nil {
		err = h.finishSwaps(ctx, m, g, client)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	want := m.record.Machine
	have := map[string]bool{}
	for _, device := range g.ports {
		have[device] = true
	}
	h.mu.Unlock()

	wanted := map[string]bool{}
	for _, d := range want.Disks {
		wanted[diskPrefix+d.ID] = true
	}
	for _, n := range want.NICs {
		wanted[nicPrefix+n.ID] = true
	}
	for device := range have {
		if wanted[device] {
			continue
		}
		if strings.HasPrefix(device, diskPrefix) || strings.HasPrefix(device, nicPrefix) {
			err = h.unplug(ctx, client, g, device)
			if err != nil {
				return err
			}
		}
	}
	err = h.endSwaps(ctx, client, g, want.Disks)
	if err == nil {
		err = sweepNodes(ctx, client, want.Disks)
	}
	if err != nil {
		return err
	}
	for _, d := range want.Disks {
		if have[diskPrefix+d.ID] {
			err = h.showSize(ctx, client, g, d)
		} else {
			err = h.plugDisk(ctx, client, g, d)
		}
		if err == nil {
			err = h.limit(ctx, client, g, d, false)
		}
		if err != nil {
			return fmt.Errorf("plug volume %s: %w", d.ID, err)
		}
	}
	err = h.limitLocal(ctx, client, m)
	if err == nil {
		err = h.swapVolumes(ctx, m)
	}
	if err != nil {
		return err
	}
	for _, n := range want.NICs {
		if !have[nicPrefix+n.ID] {
			err = h.plugNIC(ctx, client, g, n, want.Hardware.NIC)
			if err != nil {
				return fmt.Errorf("plug port %s: %w", n.ID, err)
			}
		}
	}
	return nil
}

// unplug asks the guest to let a device go and waits until it has. What stood
// behind the device is removed after that: QEMU refuses it before.
func (h *Host) unplug(ctx context.Context, client *qmp.Client, g *guest, device string) error {
	h.mu.Lock()
	for at, has := range g.ports {
		if has == device && !nodeapi.HotPlugs(at.bus) {
			h.mu.Unlock()
			return errs.Conflictf("disk bus '%s' cannot be hotplugged", at.bus)
		}
	}
	device = g.real(device)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.options.UnplugTimeout)
	defer cancel()
	wait := client.Expect(func(e qmp.Event) bool {
		var data struct{ Device string }
		if e.Name != "DEVICE_DELETED" {
			return false
		}
		err := json.Unmarshal(e.Data, &data)
		return err == nil && data.Device == device
	})
	err := client.Execute(ctx, "device_del", options{"id": device}, nil)
	switch {
	case qmp.IsClass(err, "DeviceNotFound"): // it went by itself
		done, stop := context.WithCancel(ctx)
		stop()
		wait(done)
	case err != nil && !qmp.Says(err, "in the process of unplug"):
		done, stop := context.WithCancel(ctx)
		stop()
		wait(done)
		return fmt.Errorf("unplug %s: %w", device, err)
	default:
		_, err = wait(ctx)
		if err != nil {
			return fmt.Errorf("unplug %s: the guest does not let it go: %w", device, err)
		}
	}
	if strings.HasPrefix(device, nicPrefix) {
		err = client.Execute(ctx, "netdev_del", options{"id": device}, nil)
		if err != nil && !qmp.IsClass(err, "DeviceNotFound") {
			return fmt.Errorf("unplug %s: %w", device, err)
		}
	}
	return nil // block nodes are swept
}

// sweepNodes closes volumes that no device uses: those just unplugged, and what
// an interrupted plug or unplug has left.
func sweepNodes(ctx context.Context, client *qmp.Client, keep []virt.Disk) error {
	nodes, err := blockNodes(ctx, client)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, d := range keep {
		wanted[diskNodeName(d.ID)], wanted[windowName(d.ID)] = true, true
		if d.Swap != nil {
			wanted[diskNodeName(d.Swap.To.ID)], wanted[windowName(d.Swap.To.ID)] = true, true
		}
	}
	for _, driver := range []string{"raw", "nbd"} { // windows before what they lead to
		for name, n := range nodes {
			if n.Driver != driver || wanted[name] || driver == "raw" && !isWindow.MatchString(name) {
				continue
			}
			err = client.Execute(ctx, "blockdev-del", options{"node-name": name}, nil)
			if err != nil {
				return fmt.Errorf("close volume node: %w", err)
			}
		}
	}
	return nil
}

var isWindow = regexp.MustCompile("^w[0-9a-f]{30}$")

type blockNode struct {
	Name   string `json:"node-name"`
	Driver string `json:"drv"`
	Image  struct {
		Size int64 `json:"virtual-size"`
	}
}

// blockNodes are QEMU's block nodes by their names.
func blockNodes(ctx context.Context, client *qmp.Client) (map[string]blockNode, error) {
	var list []blockNode
	err := client.Execute(ctx, "query-named-block-nodes", options{"flat": true}, &list)
	if err != nil {
		return nil, err
	}
	nodes := make(map[string]blockNode, len(list))
	for _, n := range list {
		nodes[n.Name] = n
	}
	return nodes, nil
}

func (h *Host) plugDisk(ctx context.Context, client *qmp.Client, g *guest, d virt.Disk) error {
	at, err := h.vacancy(g, cmp.Or(d.Bus, busVirtio))
	if err != nil {
		return err
	}
	err = openNode(ctx, client, d)
	if err != nil {
		return err
	}
	device := diskDevice(d)
	at.disk(device, d.CDROM)
	return h.addDevice(ctx, client, g, at, device)
}

// openNode connects to a volume. An interrupted attempt may have left a node, perhaps
// to an older address.
func openNode(ctx context.Context, client *qmp.Client, d virt.Disk) error {
	node := diskNode(d)
	err := client.Execute(ctx, "blockdev-del", options{"node-name": node["node-name"]}, nil)
	if err != nil && !qmp.IsClass(err, "GenericError") {
		return err
	}
	return client.Execute(ctx, "blockdev-add", node, nil)
}

// showSize tells the guest how large a volume has become. QEMU takes it once it
// has dialled the grown volume again, which it does when it next uses it: with a
// guest that does not, a read of ours makes it.
func (h *Host) showSize(ctx context.Context, client *qmp.Client, g *guest, d virt.Disk) error {
	if d.SizeGB == 0 {
		return nil
	}
	nodes, err := deviceNodes(ctx, client)
	if err != nil {
		return err
	}
	h.mu.Lock()
	node := nodes[g.real(diskPrefix+d.ID)].node
	h.mu.Unlock()
	if node == windowName(d.ID) {
		err = client.Execute(ctx, "blockdev-reopen", options{"options": []options{windowNode(d.ID)}}, nil)
		if err != nil {
			return err
		}
	}
	resize := options{"node-name": node, "size": int64(d.SizeGB) << 30}
	err = client.Execute(ctx, "block_resize", resize, nil)
	if !qmp.Says(err, "Cannot grow NBD nodes") {
		return err
	}
	err = client.Execute(ctx, "human-monitor-command", options{"command-line": "qemu-io " + node + ` "read 0 512"`}, nil)
	if err != nil {
		return err
	}
	return client.Execute(ctx, "block_resize", resize, nil)
}

func (h *Host) plugNIC(ctx context.Context, client *qmp.Client, g *guest, n virt.NIC, model string) error {
	port, err := h.vacancy(g, busVirtio)
	if err != nil {
		return err
	}
	name := nicPrefix + n.ID
	err = client.Execute(ctx, "netdev_del", options{"id": name}, nil)
	if err != nil && !qmp.IsClass(err, "DeviceNotFound") && !qmp.IsClass(err, "GenericError") {
		return err
	}
	tap, err := openTap(n.Tap)
	if err != nil {
		return err
	}
	defer tap.Close()
	err = client.ExecuteFD(ctx, "getfd", options{"fdname": name}, int(tap.Fd()))
	if err != nil {
		return err
	}
	err = client.Execute(ctx, "netdev_add", options{"type": "tap", "id": name, "fd": name}, nil)
	if err != nil {
		return err
	}
	return h.addDevice(ctx, client, g, port, nicDevice(n, model))
}

func (h *Host) addDevice(ctx context.Context, client *qmp.Client, g *guest, at place, device options) error {
	name := device["id"].(string)
	h.mu.Lock()
	at.at(device, g.pc)
	device["id"] = g.freeName(name)
	h.mu.Unlock()
	err := client.Execute(ctx, "device_add", device, nil)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g.ports[at] = name
	if device["id"] != name {
		g.aliases[name] = device["id"].(string)
	}
	h.mu.Unlock()
	return nil
}

// limitDisks limits the disks of a guest that has just been started with them.
// Should we end before, the next look at the guest does it.
func (h *Host) limitDisks(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g, want := m.guest, m.record.Machine
	h.mu.Unlock()
	if g == nil || want.Quotas == nil && !slices.ContainsFunc(want.Disks, func(d virt.Disk) bool { return len(d.Limits) > 0 }) {
		return nil
	}
	client, err := h.monitor(ctx, m, g)
	if err == nil {
		err = h.limitLocal(ctx, client, m)
	}
	for _, d := range want.Disks {
		if err == nil {
			err = h.limit(ctx, client, g, d, false)
		}
	}
	if err != nil {
		return fmt.Errorf("limit disks: %w", err)
	}
	return nil
}

// limitLocal limits the disks that live with a guest, by its quotas.
func (h *Host) limitLocal(ctx context.Context, client *qmp.Client, m *machine) error {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	if rec.Machine.Quotas == nil || len(rec.Machine.Quotas.Disks) == 0 {
		return nil
	}
	for _, name := range rec.localDisks() {
		if name == nodeapi.Variables {
			continue // the firmware's, which is no disk of the guest
		}
		err := throttle(ctx, client, name, name+" disk", rec.Machine.Quotas.Disks)
		if err != nil {
			return err
		}
	}
	return nil
}

// throttles are QEMU's names of a disk's limits.
var throttles = map[string]string{
	"total_bytes_sec": "bps", "read_bytes_sec": "bps_rd", "write_bytes_sec": "bps_wr",
	"total_iops_sec": "iops", "read_iops_sec": "iops_rd", "write_iops_sec": "iops_wr",
	"total_bytes_sec_max": "bps_max", "read_bytes_sec_max": "bps_rd_max", "write_bytes_sec_max": "bps_wr_max",
	"total_iops_sec_max": "iops_max", "read_iops_sec_max": "iops_rd_max", "write_iops_sec_max": "iops_wr_max",
	"size_iops_sec": "iops_size",
}

// limit makes a guest's disk as slow as it is to be. QEMU knows which limits
// contradict each other: a total and one of its parts, a burst without a limit.
// One that has no limits may have had some.
func (h *Host) limit(ctx context.Context, client *qmp.Client, g *guest, d virt.Disk, had bool) error {
	if len(d.Limits) == 0 && !had {
		return nil
	}
	h.mu.Lock()
	device := g.real(diskPrefix + d.ID)
	h.mu.Unlock()
	return throttle(ctx, client, device, "volume "+d.ID, d.Limits)
}

// throttle makes a device as slow as it is to be.
func throttle(ctx context.Context, client *qmp.Client, device, what string, limits map[string]int64) error {
	drives, err := deviceNodes(ctx, client)
	if err != nil {
		return err
	}
	args := options{"id": drives[device].path}
	for _, name := range []string{"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"} {
		args[name] = 0 // all of them have to be named
	}
	for name, value := range limits {
		args[throttles[name]] = value
	}
	err = client.Execute(ctx, "block_set_io_throttle", args, nil)
	if qmp.IsClass(err, "GenericError") {
		return errs.BadRequestf("The limits %v of %s cannot be kept: %v", limits, what, err)
	}
	return err
}
