package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// inventory asks a guest which device sits in which port. Free ports are in it
// with an empty name. (query-pci doesn't help: it sees nothing behind a port
// until the firmware has numbered the buses.)
func inventory(ctx context.Context, client *qmp.Client) (map[int]string, error) {
	const all = "/machine/peripheral"
	var devices []struct{ Name string }
	err := client.Execute(ctx, "qom-list", options{"path": all}, &devices)
	if err != nil {
		return nil, err
	}
	ports := map[int]string{}
	for _, d := range devices {
		port, ok := portNumber(d.Name)
		if ok && ports[port] == "" {
			ports[port] = ""
			continue
		}
		if d.Name != "root" && d.Name != rescueName && !blankName.MatchString(d.Name) && !strings.HasPrefix(d.Name, diskPrefix) && !strings.HasPrefix(d.Name, nicPrefix) {
			continue
		}
		var bus string
		err = client.Execute(ctx, "qom-get", options{"path": all + "/" + d.Name, "property": "parent_bus"}, &bus)
		if err != nil {
			return nil, err
		}
		port, ok = portNumber(path.Base(bus))
		if ok {
			ports[port] = d.Name
		}
	}
	return ports, nil
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
			err = h.unplug(ctx, client, device)
			if err != nil {
				return err
			}
		}
	}
	err = sweepNodes(ctx, client, want.Disks)
	if err != nil {
		return err
	}
	for _, d := range want.Disks {
		if have[diskPrefix+d.ID] {
			err = showSize(ctx, client, d)
		} else {
			err = h.plugDisk(ctx, client, g, d)
		}
		if err == nil {
			err = limit(ctx, client, d)
		}
		if err != nil {
			return fmt.Errorf("plug volume %s: %w", d.ID, err)
		}
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
func (h *Host) unplug(ctx context.Context, client *qmp.Client, device string) error {
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
	var nodes []struct {
		Name   string `json:"node-name"`
		Driver string `json:"drv"`
	}
	err := client.Execute(ctx, "query-named-block-nodes", options{"flat": true}, &nodes)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, d := range keep {
		wanted[diskNodeName(d.ID)] = true
	}
	for _, n := range nodes {
		if n.Driver != "nbd" || wanted[n.Name] {
			continue
		}
		err = client.Execute(ctx, "blockdev-del", options{"node-name": n.Name}, nil)
		if err != nil {
			return fmt.Errorf("close volume node: %w", err)
		}
	}
	return nil
}

func (h *Host) plugDisk(ctx context.Context, client *qmp.Client, g *guest, d virt.Disk) error {
	port, err := h.freePort(g)
	if err != nil {
		return err
	}
	// An interrupted plug may have left a node, perhaps to an older address.
	node := diskNode(d)
	err = client.Execute(ctx, "blockdev-del", options{"node-name": node["node-name"]}, nil)
	if err != nil && !qmp.IsClass(err, "GenericError") {
		return err
	}
	err = client.Execute(ctx, "blockdev-add", node, nil)
	if err != nil {
		return err
	}
	return h.addDevice(ctx, client, g, port, diskDevice(d))
}

// showSize tells the guest how large a volume has become. QEMU takes it once it
// has dialled the grown volume again, which it does when it next uses it: with a
// guest that does not, a read of ours makes it.
func showSize(ctx context.Context, client *qmp.Client, d virt.Disk) error {
	if d.SizeGB == 0 {
		return nil
	}
	node := diskNodeName(d.ID)
	resize := options{"node-name": node, "size": int64(d.SizeGB) << 30}
	err := client.Execute(ctx, "block_resize", resize, nil)
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
	port, err := h.freePort(g)
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

func (h *Host) addDevice(ctx context.Context, client *qmp.Client, g *guest, port int, device options) error {
	device["bus"] = portName(port)
	err := client.Execute(ctx, "device_add", device, nil)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g.ports[port] = device["id"].(string)
	h.mu.Unlock()
	return nil
}

// freePort returns the lowest port that has no device.
func (h *Host) freePort(g *guest) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := -1
	for port, device := range g.ports {
		if device == "" && (free < 0 || port < free) {
			free = port
		}
	}
	if free < 0 {
		return 0, errors.New("the guest has no free slot; it gets more when it is stopped and started")
	}
	return free, nil
}

// limitDisks limits the disks of a guest that has just been started with them.
// Should we end before, the next look at the guest does it.
func (h *Host) limitDisks(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g, disks := m.guest, m.record.Machine.Disks
	h.mu.Unlock()
	for _, d := range disks {
		if g == nil || len(d.Limits) == 0 {
			continue
		}
		client, err := h.monitor(ctx, m, g)
		if err == nil {
			err = limit(ctx, client, d)
		}
		if err != nil {
			return fmt.Errorf("limit volume %s: %w", d.ID, err)
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
func limit(ctx context.Context, client *qmp.Client, d virt.Disk) error {
	if len(d.Limits) == 0 {
		return nil
	}
	args := options{"id": "/machine/peripheral/" + diskPrefix + d.ID + "/virtio-backend"}
	for _, name := range []string{"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"} {
		args[name] = 0 // all of them have to be named
	}
	for name, value := range d.Limits {
		args[throttles[name]] = value
	}
	err := client.Execute(ctx, "block_set_io_throttle", args, nil)
	if qmp.IsClass(err, "GenericError") {
		return errs.BadRequestf("The limits %v of volume %s cannot be kept: %v", d.Limits, d.ID, err)
	}
	return err
}
