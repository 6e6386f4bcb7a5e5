package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"nacre/internal/nodeapi"
	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// A guest gets another volume in place of one by a mirror: QEMU copies the bytes, and
// from then on what the guest writes is on both before the guest hears that it is
// written. When it is to have the new one, it stands still for a moment. That both are
// the same, and on disk, is noted before QEMU goes over, and the guest goes on after
// it has: whoever finds the machine later, with a guest or without, knows which of the
// two it has.

// swapPrefix is before the id of the new volume in the name of its mirror.
const swapPrefix = "swap-"

// pivotTimeout bounds how long a guest may stand still while QEMU goes over.
const pivotTimeout = 2 * time.Minute

// want makes the definition what is wanted, with the volumes that the machine has
// already been given.
func (r *record) want(m virt.Machine) {
	done := map[string]string{}
	m.Disks = slices.Clone(m.Disks)
	for i, d := range m.Disks {
		if d.Swap != nil && r.Swapped[d.Swap.To.ID] == d.ID {
			done[d.Swap.To.ID] = d.ID
			m.Disks[i] = d.Swap.To
		}
	}
	r.Machine, r.Swapped = m, nil
	if len(done) > 0 {
		r.Swapped = done
	}
}

// swapped gives the machine the volume that takes the place of the disk's.
func (r *record) swapped(d virt.Disk) {
	to := d.Swap.To
	r.Swapped = maps.Clone(r.Swapped)
	if r.Swapped == nil {
		r.Swapped = map[string]string{}
	}
	r.Swapped[to.ID] = d.ID
	r.Machine.Disks = slices.Clone(r.Machine.Disks)
	for i := range r.Machine.Disks {
		if r.Machine.Disks[i].ID == d.ID {
			r.Machine.Disks[i] = to
		}
	}
	r.Kept = maps.Clone(r.Kept)
	for port, device := range r.Kept {
		if device == diskPrefix+d.ID {
			r.Kept[port] = diskPrefix + to.ID
		}
	}
}

// swaps is how far the swaps of a machine are that are not over. Those of one that does
// not run are copied when it is to have the new volume: nobody writes until then. The
// mutex is held.
func (m *machine) swaps() []nodeapi.SwapSeen {
	var all []nodeapi.SwapSeen
	for _, d := range m.record.Machine.Disks {
		if d.Swap == nil {
			continue
		}
		seen := nodeapi.SwapSeen{Same: true}
		if m.guest != nil && !m.guest.off {
			seen = m.guest.swaps[d.Swap.To.ID]
		}
		seen.Volume = d.Swap.To.ID
		all = append(all, seen)
	}
	return all
}

// swapEvent takes note of how far a mirror is. The mutex is held.
func (h *Host) swapEvent(m *machine, g *guest, job, event, problem string) {
	id, ours := strings.CutPrefix(job, swapPrefix)
	if !ours {
		return
	}
	seen := g.swaps[id]
	switch {
	case event != "BLOCK_JOB_READY":
		seen.Same, seen.Problem = false, problem
	case seen.Problem == "":
		seen.Same = true
	}
	g.swaps[id] = seen
	h.hint(m.id)
}

// swapVolumes brings the swaps of a guest that runs as far as they may go.
func (h *Host) swapVolumes(ctx context.Context, m *machine) error {
	h.mu.Lock()
	g, disks := m.guest, m.record.Machine.Disks
	h.mu.Unlock()
	for _, d := range disks {
		if d.Swap == nil || g == nil {
			continue
		}
		client, err := h.monitor(ctx, m, g)
		if err == nil {
			err = h.swap(ctx, m, g, client, d)
		}
		if err != nil {
			return fmt.Errorf("swap volume %s for volume %s: %w", d.ID, d.Swap.To.ID, err)
		}
	}
	return nil
}

func (h *Host) swap(ctx context.Context, m *machine, g *guest, client *qmp.Client, d virt.Disk) error {
	to := d.Swap.To
	job, err := swapJob(ctx, client, to.ID)
	if err != nil {
		return err
	}
	h.mu.Lock()
	failed := g.swaps[to.ID].Problem != ""
	h.mu.Unlock()
	if job == nil && failed && !d.Swap.Go {
		return nil // as its state tells
	}
	if job == nil {
		h.mu.Lock()
		g.swaps[to.ID] = nodeapi.SwapSeen{}
		h.mu.Unlock()
		err = h.startMirror(ctx, client, g, d.ID, to)
		if err == nil {
			job, err = swapJob(ctx, client, to.ID)
		}
		if err != nil {
			return err
		}
	}
	ready := job != nil && job.Ready
	if ready { // before we heard it, if we are new here
		h.mu.Lock()
		h.swapEvent(m, g, swapPrefix+to.ID, "BLOCK_JOB_READY", "")
		h.mu.Unlock()
	}
	switch {
	case !d.Swap.Go:
		return nil
	case !ready:
		return errors.New("it does not have the same bytes yet")
	}
	return h.pivot(ctx, m, g, client, d)
}

// startMirror begins to copy. QEMU copies between volumes of one size, so it sees a
// larger one through a window.
func (h *Host) startMirror(ctx context.Context, client *qmp.Client, g *guest, from string, to virt.Disk) error {
	client.Execute(ctx, "blockdev-del", options{"node-name": windowName(to.ID)}, nil) // an earlier attempt may have left it
	err := openNode(ctx, client, to)
	if err != nil {
		return err
	}
	devices, err := deviceNodes(ctx, client)
	if err != nil {
		return err
	}
	nodes, err := blockNodes(ctx, client)
	if err != nil {
		return err
	}
	h.mu.Lock()
	source := devices[g.real(diskPrefix+from)].node
	h.mu.Unlock()
	target, size := diskNodeName(to.ID), nodes[source].Image.Size
	if nodes[target].Image.Size > size {
		target = windowName(to.ID)
		window := windowNode(to.ID)
		window["size"] = size
		err = client.Execute(ctx, "blockdev-add", window, nil)
		if err != nil {
			return err
		}
	}
	return client.Execute(ctx, "blockdev-mirror", options{
		"job-id": swapPrefix + to.ID, "device": source, "target": target, "sync": "full", "copy-mode": "write-blocking",
	}, nil)
}

// windowName names the block node by which a guest sees the beginning of a volume.
func windowName(id string) string { return "w" + diskNodeName(id)[1:] }

// windowNode is such a node once it is as large as the volume.
func windowNode(id string) options {
	return options{"driver": "raw", "node-name": windowName(id), "file": diskNodeName(id)}
}

// showsVolume tells whether a block node is a volume, or a window to it.
func showsVolume(node, id string) bool { return node == diskNodeName(id) || node == windowName(id) }

// swapJob is the mirror to a volume, nil if there is none.
func swapJob(ctx context.Context, client *qmp.Client, volume string) (*blockJob, error) {
	jobs, err := blockJobs(ctx, client)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(jobs, func(j blockJob) bool { return j.Device == swapPrefix+volume })
	if i < 0 {
		return nil, nil
	}
	return &jobs[i], nil
}

// pivot stops the guest, by which all that it has written is flushed to both volumes,
// notes that it has the new one, and lets it go on with that.
func (h *Host) pivot(ctx context.Context, m *machine, g *guest, client *qmp.Client, d virt.Disk) error {
	// However this ends, the guest goes on: also when the caller has gone.
	ctx, cancel := h.within(context.WithoutCancel(ctx))
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, pivotTimeout)
	defer stop()
	h.mu.Lock()
	paused := m.record.Machine.Paused
	h.mu.Unlock()
	err := h.ensurePaused(ctx, m, true)
	if err != nil {
		return err
	}
	job, err := swapJob(ctx, client, d.Swap.To.ID)
	if err == nil && (job == nil || !job.Ready) {
		err = errors.New("it does not have the same bytes any more")
	}
	if err == nil {
		err = h.note(m, func(r *record) { r.swapped(d) })
	}
	if err != nil {
		return errors.Join(err, h.ensurePaused(ctx, m, paused))
	}
	return h.finishSwap(ctx, m, g, client, d.ID, d.Swap.To)
}

// finishSwap has QEMU go over to the volume that is noted as the guest's. The guest
// stands still until it has, so that both stay the same: should the mirror have ended,
// another one takes its place.
func (h *Host) finishSwap(ctx context.Context, m *machine, g *guest, client *qmp.Client, from string, to virt.Disk) error {
	h.mu.Lock()
	device, paused := g.real(diskPrefix+from), m.record.Machine.Paused
	h.mu.Unlock()
	err := h.ensurePaused(ctx, m, true)
	if err == nil {
		err = h.goOver(ctx, client, g, device, from, to)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	for port, name := range g.ports {
		if name == diskPrefix+from {
			g.ports[port] = diskPrefix + to.ID
		}
	}
	delete(g.aliases, diskPrefix+from)
	if device != diskPrefix+to.ID {
		g.aliases[diskPrefix+to.ID] = device
	}
	delete(g.swaps, to.ID)
	h.mu.Unlock()
	// Let go of the old volume while it can still be reached: once it cannot, QEMU
	// waits for it, and the guest with it.
	for _, node := range []string{windowName(from), diskNodeName(from)} {
		client.Execute(ctx, "blockdev-del", options{"node-name": node}, nil) // what is left is swept
	}
	err = h.limit(ctx, client, g, to, true)
	if err == nil {
		err = h.showSize(ctx, client, g, to)
	}
	return errors.Join(err, h.ensurePaused(ctx, m, paused))
}

// goOver waits until the device has the volume, and there is no mirror to it any more.
func (h *Host) goOver(ctx context.Context, client *qmp.Client, g *guest, device, from string, to virt.Disk) error {
	for {
		job, err := swapJob(ctx, client, to.ID)
		if err != nil {
			return err
		}
		nodes, err := deviceNodes(ctx, client)
		if err != nil {
			return err
		}
		switch {
		case job == nil && showsVolume(nodes[device].node, to.ID):
			return nil
		case job == nil:
			err = h.startMirror(ctx, client, g, from, to)
		case job.Ready && showsVolume(nodes[device].node, from):
			client.Execute(ctx, "block-job-complete", options{"device": job.Device}, nil) // it may have heard it before
		}
		if err == nil {
			err = g.pause(ctx, 5*time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
}

// finishSwaps finishes what a former life of this program has noted and not seen done.
func (h *Host) finishSwaps(ctx context.Context, m *machine, g *guest, client *qmp.Client) error {
	h.mu.Lock()
	rec, have := m.record, map[string]bool{}
	for _, device := range g.ports {
		have[device] = true
	}
	h.mu.Unlock()
	for _, d := range rec.Machine.Disks {
		from, noted := rec.Swapped[d.ID]
		if !noted || !have[diskPrefix+from] || have[diskPrefix+d.ID] {
			continue
		}
		ctx, stop := context.WithTimeout(ctx, pivotTimeout)
		err := h.finishSwap(ctx, m, g, client, from, d)
		stop()
		if err != nil {
			return fmt.Errorf("swap volume %s for volume %s: %w", from, d.ID, err)
		}
	}
	return nil
}

// endSwaps ends the mirrors that are not wanted any more.
func (h *Host) endSwaps(ctx context.Context, client *qmp.Client, g *guest, disks []virt.Disk) error {
	wanted := map[string]bool{}
	for _, d := range disks {
		if d.Swap != nil {
			wanted[d.Swap.To.ID] = true
		}
	}
	for left := true; left; {
		jobs, err := blockJobs(ctx, client)
		if err != nil {
			return err
		}
		left = false
		for _, j := range jobs {
			id, ours := strings.CutPrefix(j.Device, swapPrefix)
			if ours && !wanted[id] {
				left = true
				client.Execute(ctx, "block-job-cancel", options{"device": j.Device, "force": true}, nil) // it may have just ended
			}
		}
		if left {
			err = g.pause(ctx, 20*time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(g.swaps, func(id string, _ nodeapi.SwapSeen) bool { return !wanted[id] })
	return nil
}

// copyVolumes copies the volumes that are to take the place of others under a machine
// that does not run, and gives them to it.
func (h *Host) copyVolumes(ctx context.Context, m *machine) error {
	h.mu.Lock()
	disks := m.record.Machine.Disks
	h.mu.Unlock()
	for _, d := range disks {
		if d.Swap == nil || !d.Swap.Go {
			continue
		}
		err := h.imageTool(ctx, m, "convert", "-n", "-t", "writeback", "-f", "raw", "-O", "raw", address(d), address(d.Swap.To))
		if err == nil {
			err = h.note(m, func(r *record) { r.swapped(d) })
		}
		if err != nil {
			return fmt.Errorf("swap volume %s for volume %s: %w", d.ID, d.Swap.To.ID, err)
		}
	}
	return nil
}

// address is where a volume is reached, as QEMU's tools want it.
func address(d virt.Disk) string {
	return "nbd+unix:///" + url.PathEscape(d.Export) + "?socket=" + url.QueryEscape(d.Socket)
}

// peripheral is where QEMU keeps the devices that have names.
const peripheral = "/machine/peripheral/"

// drive is where QEMU has the disk of a device, which is behind the device or a part
// of it, and the block node that it shows.
type drive struct{ path, node string }

// deviceNodes is which drive each device has.
func deviceNodes(ctx context.Context, client *qmp.Client) (map[string]drive, error) {
	var all []struct {
		Qdev     string
		Inserted struct {
			Node string `json:"node-name"`
		}
	}
	err := client.Execute(ctx, "query-block", nil, &all)
	if err != nil {
		return nil, err
	}
	nodes := map[string]drive{}
	for _, b := range all {
		name, named := strings.CutPrefix(b.Qdev, peripheral)
		name, _, _ = strings.Cut(name, "/")
		if named {
			nodes[name] = drive{b.Qdev, b.Inserted.Node}
		}
	}
	return nodes, nil
}

// deviceName is the name of a device by the volume that it has. One that has none of
// the machine's gets a name that nobody wants.
func deviceName(name, node string, disks []virt.Disk) string {
	id, isDisk := strings.CutPrefix(name, diskPrefix)
	if !isDisk || node == "" {
		return name
	}
	for _, d := range disks {
		if showsVolume(node, d.ID) {
			return diskPrefix + d.ID
		}
		if d.Swap != nil && showsVolume(node, d.Swap.To.ID) {
			return diskPrefix + d.Swap.To.ID
		}
	}
	if node == diskNodeName(id) {
		return name
	}
	return name + "@" + node
}

// real is what QEMU calls a device. The mutex is held.
func (g *guest) real(device string) string {
	name, renamed := g.aliases[device]
	if renamed {
		return name
	}
	return device
}

// freeName is a name for a new device: another one has kept the name of a volume that
// it does not have any more. The mutex is held.
func (g *guest) freeName(name string) string {
	for slices.Contains(slices.Collect(maps.Values(g.aliases)), name) {
		name += "x"
	}
	return name
}
