package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"nacre/internal/fabric"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// turnMachine makes one machine be as desired.
func (n *Node) turnMachine(ctx context.Context, d *doc) error {
	n.mu.Lock()
	generation, gone, machine := d.desired.Generation, d.desired.Gone, d.machine
	fenced := n.fenced && machine.Running
	done := generation != 0 && (d.ensured == generation || d.stopped == generation)
	plugged := maps.Clone(d.plugged)
	n.mu.Unlock()
	if gone {
		return n.removeMachine(ctx, d, generation, plugged)
	}
	if done {
		err := n.observeMachine(ctx, d, generation, nil)
		if err != nil || !n.lacks(d, generation) {
			return err
		}
	}
	ended, err := n.endedByItself(ctx, d, machine)
	if fenced {
		err = waitFor("waiting for a server to say that it still belongs here, since the host has started anew")
	}
	if err == nil && !ended {
		err = n.makeMachine(ctx, d, machine, plugged)
	}
	if err == nil && !ended {
		n.mu.Lock()
		d.ensured = generation
		n.mu.Unlock()
	}
	problem := err
	err = n.observeMachine(ctx, d, generation, problem)
	if problem != nil {
		return problem
	}
	return err
}

// lacks tells whether a machine that runs has lost a volume or card that it is to have: a
// guest may let one go long after it was asked, when it is to keep it.
func (n *Node) lacks(d *doc, generation int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := d.machineSeen
	if d.desired.Generation != generation || !d.machine.Running || !seen.Running || seen.Move != nil {
		return false
	}
	return slices.ContainsFunc(d.machine.Disks, func(disk nodeapi.Disk) bool { return !slices.Contains(seen.Disks, disk.Volume) }) ||
		slices.ContainsFunc(d.machine.NICs, func(nic nodeapi.NIC) bool { return !slices.Contains(seen.NICs, nic.Port) })
}

// endedByItself tells whether the guest stopped while this node was away,
// having run at the same generation: then nobody asked for a new start. A host
// that has rebooted forgets what was answered, so there machines start.
func (n *Node) endedByItself(ctx context.Context, d *doc, machine nodeapi.Machine) (bool, error) {
	n.mu.Lock()
	ran := d.settled() && d.machineSeen.Running && machine.Running
	n.mu.Unlock()
	if !ran {
		return false, nil
	}
	states, err := n.views.get(ctx)
	if err != nil {
		return false, fmt.Errorf("list machines: %w", err)
	}
	state, found := states[machine.ID]
	return found && !state.Running, nil
}

// makeMachine puts the machine together: volumes, cards, doors, machine.
// Cards it no longer has are unplugged last.
func (n *Node) makeMachine(ctx context.Context, d *doc, machine nodeapi.Machine, plugged map[string]string) error {
	want := virt.Machine{
		ID:          machine.ID,
		Name:        machine.Name,
		Project:     machine.Project,
		VCPUs:       machine.VCPUs,
		MemoryMB:    machine.MemoryMB,
		Topology:    machine.Topology,
		Sockets:     machine.Sockets,
		Quotas:      machine.Quotas,
		Running:     machine.Running,
		Paused:      machine.Paused,
		Suspended:   machine.Suspended,
		ConfigDrive: machine.ConfigDrive,
		SoftReboots: machine.SoftReboots,
		HardReboots: machine.HardReboots,
		CrashDumps:  machine.CrashDumps,
		Agent:       machine.Agent,
		Incoming:    (*virt.Incoming)(machine.Incoming),
		Outgoing:    (*virt.Outgoing)(machine.Outgoing),
		Quiesce:     machine.Quiesce,

		ShutdownSeconds: machine.ShutdownSeconds,
	}
	if machine.Hardware != nil {
		want.Hardware = *machine.Hardware
	}
	if machine.Topology == nil {
		want.Float = n.sharedCPUs()
	}
	if r := machine.Rescue; r != nil {
		want.Rescue = &virt.Rescue{Image: r.Image, Device: r.Device, Bus: r.Bus}
	}
	if machine.Root != nil {
		want.Root = &virt.Root{Image: machine.Root.Image, SizeGB: machine.Root.SizeGB, Rebuilds: machine.Root.Rebuilds, Arrives: machine.Root.From != "", Bus: machine.Root.Bus, CDROM: machine.Root.CDROM}
	}
	for _, b := range machine.Blanks {
		want.Blanks = append(want.Blanks, virt.Blank{Name: b.Name, SizeMB: b.SizeMB, Format: b.Format, Rebuilds: b.Rebuilds, Arrives: b.From != "", Bus: b.Bus})
	}
	for _, disk := range machine.Disks {
		export, err := n.exported(ctx, d, disk)
		if err != nil {
			return err
		}
		wanted := diskOf(disk, export)
		if swap := disk.Swap; swap != nil {
			to := nodeapi.Disk{Volume: swap.Volume, Device: disk.Device, Epoch: swap.Epoch, SizeGB: swap.SizeGB, Limits: swap.Limits, Bus: disk.Bus, CDROM: disk.CDROM}
			export, err = n.exported(ctx, d, to)
			if err != nil {
				return err
			}
			wanted.Swap = &virt.Swap{To: diskOf(to, export), Go: swap.Go}
		}
		want.Disks = append(want.Disks, wanted)
	}
	// Write the cards down before plugging, so that a stop in between leaves
	// none that we would not unplug.
	n.remember(d, machine.NICs)
	for _, nic := range machine.NICs {
		tap, err := n.o.Fabric.Plug(ctx, fabric.Plug{Port: nic.Port, Network: nic.Network, MAC: nic.MAC, MTU: nic.MTU})
		if err != nil {
			return fmt.Errorf("plug port %s: %w", nic.Port, err)
		}
		want.NICs = append(want.NICs, virt.NIC{ID: nic.Port, MAC: nic.MAC, Tap: tap, MTU: nic.MTU})
	}
	err := n.openDoors(ctx, machine.NICs)
	if err != nil {
		return err
	}
	err = n.o.Virt.Ensure(ctx, want)
	if err != nil {
		return fmt.Errorf("ensure machine: %w", err)
	}
	n.closeFar(d, machine.Disks)
	for _, nic := range machine.NICs {
		delete(plugged, nic.Port)
	}
	return n.unplug(ctx, d, plugged)
}

// diskOf is a volume that is reached by the export.
func diskOf(disk nodeapi.Disk, export nodeapi.Address) virt.Disk {
	return virt.Disk{
		ID: disk.Volume, Socket: export.Socket, Export: export.Name, Device: disk.Device, SizeGB: disk.SizeGB, ReadOnly: export.ReadOnly, Limits: disk.Limits,
		Bus: disk.Bus, CDROM: disk.CDROM,
	}
}

// remember writes down which ports are plugged for a machine.
func (n *Node) remember(d *doc, nics []nodeapi.NIC) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := false
	for _, nic := range nics {
		if _, known := d.plugged[nic.Port]; known {
			continue
		}
		if d.plugged == nil {
			d.plugged = map[string]string{}
		}
		d.plugged[nic.Port] = nic.Network
		changed = true
	}
	if !changed {
		return
	}
	err := n.save(d)
	if err != nil {
		n.log.Error("keep document", "kind", d.key.kind, "id", d.key.id, "error", err)
	}
}

// unplug removes cards that the machine no longer has, unless another machine
// wants them now, and closes doors that nobody needs.
func (n *Node) unplug(ctx context.Context, d *doc, ports map[string]string) error {
	for port, network := range ports {
		if !n.wantedElsewhere(d, port) {
			err := n.o.Fabric.Unplug(ctx, port)
			if err != nil {
				return fmt.Errorf("unplug port %s: %w", port, err)
			}
		}
		err := n.closeDoor(ctx, network)
		if err != nil {
			return err
		}
		n.mu.Lock()
		delete(d.plugged, port)
		n.mu.Unlock()
	}
	return nil
}

// wantedElsewhere tells whether a machine other than this one has the port.
func (n *Node) wantedElsewhere(d *doc, port string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range n.docs {
		if other == d || other.desired.Gone {
			continue
		}
		for _, nic := range other.machine.NICs {
			if nic.Port == port {
				return true
			}
		}
	}
	return false
}

// removeMachine takes the machine apart.
func (n *Node) removeMachine(ctx context.Context, d *doc, generation int64, plugged map[string]string) error {
	err := n.o.Virt.Remove(ctx, d.key.id)
	if err == nil {
		n.closeFar(d, nil)
		err = n.unplug(ctx, d, plugged)
	}
	if err != nil {
		err = fmt.Errorf("remove machine: %w", err)
		n.observe(d, generation, err, nil)
		return err
	}
	n.drop(d, generation)
	return nil
}

// observeMachine looks at the machine and writes down how it is.
func (n *Node) observeMachine(ctx context.Context, d *doc, generation int64, problem error) error {
	states, err := n.views.get(ctx)
	if err != nil {
		err = fmt.Errorf("list machines: %w", err)
		if problem == nil {
			problem = err
		}
		n.observe(d, generation, problem, nil)
		return err
	}
	state := states[d.key.id]
	n.observe(d, generation, problem, func() {
		d.machineSeen = nodeapi.MachineObserved{
			Running:     state.Running,
			Paused:      state.Paused,
			Crashed:     state.Crashed,
			Disks:       state.Disks,
			NICs:        state.NICs,
			Swaps:       state.Swaps,
			SoftReboots: state.SoftReboots,
			HardReboots: state.HardReboots,
			CrashDumps:  state.CrashDumps,
			Layout:      state.Layout,
			Addresses:   state.Addresses,
			Move:        (*nodeapi.Move)(state.Move),
		}
		d.stopped = 0
		if problem == nil && d.machine.Running && !state.Running {
			d.stopped = generation
		}
	})
	return nil
}

// views shares looks at all machines: whoever asks while one is under way
// gets the next, since the present one may have begun too early.
type views struct {
	list func(ctx context.Context) ([]virt.State, error)

	mu      sync.Mutex // guards current and next
	current *view
	next    *view
}

type view struct {
	done   chan struct{}
	states map[string]virt.State
	err    error
}

// get returns the machines as they were at a moment after the call.
func (v *views) get(ctx context.Context) (map[string]virt.State, error) {
	v.mu.Lock()
	mine := v.next
	switch {
	case v.current == nil:
		mine = &view{done: make(chan struct{})}
		v.current = mine
		v.mu.Unlock()
		v.look(ctx, mine)
		return mine.states, mine.err
	case mine == nil:
		mine = &view{done: make(chan struct{})}
		v.next = mine
		turn := v.current.done
		v.mu.Unlock()
		<-turn // a look ends with the node's context at the latest
		v.look(ctx, mine)
		return mine.states, mine.err
	}
	v.mu.Unlock()
	<-mine.done
	return mine.states, mine.err
}

// look looks, and makes way for the next.
func (v *views) look(ctx context.Context, mine *view) {
	states, err := v.list(ctx)
	mine.states, mine.err = make(map[string]virt.State, len(states)), err
	for _, state := range states {
		mine.states[state.ID] = state
	}
	v.mu.Lock()
	v.current, v.next = v.next, nil
	v.mu.Unlock()
	close(mine.done)
}
