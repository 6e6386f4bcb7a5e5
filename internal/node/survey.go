package node

import (
	"context"
	"reflect"
	"slices"

	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// survey looks at everything: what no hint has told, what broke without a
// word, what nobody asked for.
func (n *Node) survey(ctx context.Context) {
	n.refreshInfo(ctx)
	n.lookAtMachines(ctx)
	n.lookAtVolumes(ctx)
	for _, nic := range n.networks() {
		err := n.openDoor(ctx, *nic)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("open metadata door", "network", nic.Network, "error", err)
		}
	}
	n.mu.Lock()
	complete := n.complete
	n.mu.Unlock()
	if complete {
		n.removeStrangers(ctx)
	}
	if n.o.Images != nil {
		n.ageImages(ctx)
	}
}

// lookAtMachines works on machines that are not as we last saw them, and
// makes anew those that are not there.
func (n *Node) lookAtMachines(ctx context.Context) {
	states, err := n.views.get(ctx)
	if err != nil {
		n.lament(ctx, "list machines", err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.docs {
		if d.key.kind != nodeapi.KindMachine || !d.settled() || d.busy {
			continue
		}
		state, found := states[d.key.id]
		seen := d.machineSeen
		if !found {
			d.ensured = 0
		}
		if !found || state.Running != seen.Running || state.Paused != seen.Paused || state.Crashed != seen.Crashed ||
			!sameSet(state.Disks, seen.Disks) || !sameSet(state.NICs, seen.NICs) || phase(state.Move) != phase((*virt.Move)(seen.Move)) {
			n.kick(d)
		}
	}
}

// phase is how far a machine on its way is.
func phase(move *virt.Move) string {
	if move == nil {
		return ""
	}
	return move.Name + " " + move.Phase
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// lookAtVolumes makes volumes anew whose export or bytes are not there.
func (n *Node) lookAtVolumes(ctx context.Context) {
	states, err := n.o.Block.List(ctx)
	if err != nil {
		n.lament(ctx, "list volumes", err)
		return
	}
	exported := map[string]bool{}
	present := map[string]bool{}
	for _, state := range states {
		present[state.ID] = true
		exported[state.ID] = state.Exported
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, d := range n.docs {
		if k.kind != nodeapi.KindVolume || !d.settled() || d.busy {
			continue
		}
		if d.volume.LetGo != "" {
			continue
		}
		if !present[k.id] || exported[k.id] != (d.volume.Export != nil) {
			d.ensured = 0
			n.kick(d)
		}
	}
}

// removeStrangers removes machines and cards, and ends exports, that no
// document names. The bytes of an unknown volume stay: they may be all that is
// left of it.
func (n *Node) removeStrangers(ctx context.Context) {
	states, err := n.views.get(ctx)
	if err != nil {
		n.lament(ctx, "list machines", err)
	} else {
		n.removeStrangeMachines(states)
	}
	ports, err := n.o.Fabric.Plugged(ctx)
	if err != nil {
		n.lament(ctx, "list plugged ports", err)
	}
	for _, port := range n.strangePorts(ports) {
		n.log.Warn("unplug a port that nobody asked for", "port", port)
		err = n.o.Fabric.Unplug(ctx, port)
		if err != nil {
			n.lament(ctx, "unplug port", err)
		}
	}
	volumes, err := n.o.Block.List(ctx)
	if err != nil {
		n.lament(ctx, "list volumes", err)
	}
	for _, volume := range volumes {
		if !volume.Exported || n.knows(key{nodeapi.KindVolume, volume.ID}) {
			continue
		}
		n.log.Warn("end an export that nobody asked for", "volume", volume.ID)
		err = n.o.Block.Unexport(ctx, volume.ID)
		if err != nil {
			n.lament(ctx, "end export", err)
		}
	}
}

// removeStrangeMachines makes a gone document of each, so that its worker
// removes it and nobody else touches it meanwhile.
func (n *Node) removeStrangeMachines(states map[string]virt.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range states {
		k := key{nodeapi.KindMachine, id}
		if n.docs[k] != nil || !validKey(k) {
			continue
		}
		n.log.Warn("remove a machine that nobody asked for", "machine", id)
		d := &doc{key: k, wake: make(chan struct{}, 1)}
		d.desired = nodeapi.Document{Kind: k.kind, ID: k.id, Generation: unknown, Gone: true}
		n.docs[k] = d
		n.kick(d)
	}
}

func (n *Node) strangePorts(ports []string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := map[string]bool{}
	for _, d := range n.docs {
		for port := range d.plugged {
			known[port] = true
		}
		for _, nic := range d.machine.NICs {
			known[nic.Port] = true
		}
	}
	return slices.DeleteFunc(ports, func(port string) bool { return known[port] })
}

func (n *Node) knows(k key) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.docs[k] != nil
}

// ageImages removes images that nothing uses. When we cannot see what disks are
// based on, none goes.
func (n *Node) ageImages(ctx context.Context) {
	states, err := n.views.get(ctx)
	if err != nil {
		n.lament(ctx, "list machines", err)
		return
	}
	used := n.imagesWanted()
	for _, state := range states {
		for _, image := range state.Images {
			used[image] = true
		}
	}
	n.o.Images.Age(used)
}

// imagesWanted are those that documents name.
func (n *Node) imagesWanted() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	used := map[string]bool{}
	for _, d := range n.docs {
		if d.machine.Root != nil {
			used[d.machine.Root.Image] = true
		}
		if d.machine.Rescue != nil {
			used[d.machine.Rescue.Image] = true
		}
		if d.key.kind == nodeapi.KindVolume && !d.volumeSeen.Present {
			used[d.volume.Image] = true
		}
	}
	return used
}

// refreshInfo asks the drivers what the host has, and tells the server when
// that changed.
func (n *Node) refreshInfo(ctx context.Context) {
	info := nodeapi.HostInfo{Node: nodeapi.Version, Address: n.o.Address, BootID: n.o.BootID, SharedExports: n.o.SharedExports}
	capacity, err := n.o.Virt.Capacity(ctx)
	info.Agents = append(info.Agents, agent("virt", err))
	info.VCPUs, info.MemoryMB, info.DiskGB = capacity.VCPUs, capacity.MemoryMB, capacity.DiskGB
	info.Traits, info.Type, info.Version = capacity.Traits, capacity.Type, capacity.Version
	info.CPUInfo, info.Emulated = capacity.CPUInfo, capacity.Emulated
	info.Cells = n.o.CPUs.divide(capacity.Cells)
	if hasThreads(info.Cells) {
		info.Traits = append(slices.Clone(info.Traits), "HW_CPU_HYPERTHREADING")
	}
	usage, err := n.o.Block.Usage(ctx)
	info.Agents = append(info.Agents, agent("blockdev", err))
	info.VolumesGB, info.FreeGB = float64(int(usage.TotalGB)), float64(int(usage.FreeGB)) // whole ones, so that small changes are none
	_, err = n.o.Fabric.Plugged(ctx)
	info.Agents = append(info.Agents, agent("fabric", err))
	n.mu.Lock()
	same := slices.Equal(info.Traits, n.info.Traits) && slices.Equal(info.Agents, n.info.Agents) && reflect.DeepEqual(info.Cells, n.info.Cells) &&
		info.VCPUs == n.info.VCPUs && info.MemoryMB == n.info.MemoryMB && info.DiskGB == n.info.DiskGB &&
		info.Version == n.info.Version && info.VolumesGB == n.info.VolumesGB && info.FreeGB == n.info.FreeGB
	n.info = info
	conn := n.conn
	n.mu.Unlock()
	if same || conn == nil {
		return
	}
	err = conn.SendInfo(ctx, info)
	if err != nil {
		n.log.Debug("send host info", "error", err) // the next hello carries it
	}
}

func agent(name string, err error) nodeapi.Agent {
	if err != nil {
		return nodeapi.Agent{Name: name, Problem: err.Error()}
	}
	return nodeapi.Agent{Name: name}
}

func (n *Node) lament(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		n.log.Warn(what, "error", err)
	}
}
