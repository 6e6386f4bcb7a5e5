// Package simulated is a hypervisor of the imagination.
//
// It keeps every promise of virt.Host and runs nothing: `nacre dev` and all
// tests without real guests stand on it. A guest boots at once, has a
// plausible console log, a screen that a VNC client can connect to and a serial
// line that says again what is typed there. The
// driver fails on request, takes as long as it is told to, and a test can make
// a guest crash or shut down.
//
// A host costs a map and, with a folder, one small JSON file that is replaced
// as a whole after each change. The file survives the death of the process; it
// isn't synced to the disk, since what it tells about never existed. There is
// no goroutine but those of open screens and of machines on their way.
package simulated

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
	"nacre/internal/virt/serial"
)

// Options describe a simulated host. The zero value works.
type Options struct {
	Capacity virt.Capacity // zero: 16 cores, 64 GiB, 1000 GB
	Latency  time.Duration // what Ensure and Remove take
	Dir      string        // keeps the state; empty: memory only
	Clock    clock.Clock   // nil: the real one
}

// The operations that can be made to fail.
const (
	OpEnsure   = "ensure"
	OpBoot     = "boot" // an Ensure that starts the guest
	OpRemove   = "remove"
	OpList     = "list"
	OpCapacity = "capacity"
	OpUptime   = "uptime"
	OpLog      = "log"
	OpVNC      = "vnc"
	OpSPICE    = "spice"
	OpSerial   = "serial"
	OpDisk     = "disk"
	OpDiagnose = "diagnose"
	OpPassword = "password"
	OpMove     = "move"
	OpFreeze   = "freeze"
	OpSwap     = "swap" // the copying of a volume to one that takes its place
)

// maxBoots is how many boots a console log goes back.
const maxBoots = 20

// Host is a simulated host.
type Host struct {
	options Options
	changed chan string
	booted  time.Time

	mu       sync.Mutex // guards what follows, and the state file
	machines map[string]*machine
	once     map[string][]error // failures to come, first first
	always   map[string]error
	trouble  Trouble
	closed   bool

	elsewhere virt.Elsewhere
	busy      bool
	moves     chan struct{}      // closed when machines on their way are to look again
	frozen    map[*frozen]string // machines whose file systems are
	freezes   int                // how often they were

	lines   map[string]*serial.Line // of machines whose serial line somebody is at
	screens sync.WaitGroup          // goroutines of open screens, and of machines on their way
	ends    map[io.Closer]struct{}
}

// machine is one machine as the state file keeps it.
type machine struct {
	Machine virt.Machine
	Running bool
	Crashed bool
	Boots   []boot             // what the console log is made from
	Move    *virt.Move         `json:",omitempty"`
	Cold    bool               `json:",omitempty"` // has gone, and cannot go on here: its memory is lost
	Swaps   []nodeapi.SwapSeen `json:",omitempty"`
	Frozen  bool               `json:",omitempty"` // for whoever reads the file

	typing string        // on the serial line, not ended yet
	moved  chan struct{} // closed when nobody takes it elsewhere any more; nil: nobody did
}

// boot is one start or reset of a guest.
type boot struct {
	At   time.Time
	Boot int    // counts from one over the machine's life
	Run  int    // grows when the power was off in between
	Said string `json:",omitempty"` // on the serial line since the prompt
}

// New opens a simulated host, with the machines that its folder knows.
func New(o Options) (*Host, error) {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	c := &o.Capacity
	if c.VCPUs == 0 {
		c.VCPUs = 16
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = 64 << 10
	}
	if c.DiskGB == 0 {
		c.DiskGB = 1000
	}
	if c.Type == "" {
		c.Type, c.Version = "fake", 1000000
	}
	if c.CPUInfo == "" {
		c.CPUInfo = fmt.Sprintf(`{"arch":"x86_64","vendor":"Nacre","model":"simulated","features":[],"topology":{"sockets":1,"cores":%d,"threads":1}}`, c.VCPUs)
	}
	if c.Cells == nil {
		c.Cells = cells(c.VCPUs, c.MemoryMB)
	}
	if c.Traits == nil {
		c.Traits = []string{
			"COMPUTE_FIRMWARE_BIOS", "COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_UEFI_SECURE_BOOT", "HW_CPU_X86_SSE2",
			"COMPUTE_STORAGE_BUS_IDE", "COMPUTE_STORAGE_BUS_SATA", "COMPUTE_STORAGE_BUS_SCSI", "COMPUTE_STORAGE_BUS_USB", "COMPUTE_STORAGE_BUS_VIRTIO",
			"COMPUTE_NET_VIF_MODEL_E1000", "COMPUTE_NET_VIF_MODEL_E1000E", "COMPUTE_NET_VIF_MODEL_NE2K_PCI", "COMPUTE_NET_VIF_MODEL_PCNET",
			"COMPUTE_NET_VIF_MODEL_RTL8139", "COMPUTE_NET_VIF_MODEL_VIRTIO", "COMPUTE_NET_VIF_MODEL_VMXNET3",
		}
	}
	h := &Host{
		options:  o,
		changed:  make(chan string, 64),
		booted:   o.Clock.Now(),
		machines: map[string]*machine{},
		once:     map[string][]error{},
		always:   map[string]error{},
		ends:     map[io.Closer]struct{}{},
		frozen:   map[*frozen]string{},
		lines:    map[string]*serial.Line{},
		moves:    make(chan struct{}),
	}
	err := h.load()
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close ends open screens and serial lines, and waits for them. The machines
// stay as they are.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	for end := range h.ends {
		end.Close()
	}
	for _, line := range h.lines {
		line.HangUp()
	}
	h.mu.Unlock()
	h.screens.Wait()
	return nil
}

// FailNext makes the next call of an operation fail with the error, before it
// does anything. Several failures queue up.
func (h *Host) FailNext(op string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.once[op] = append(h.once[op], err)
}

// FailAlways makes an operation fail until it is called with nil.
func (h *Host) FailAlways(op string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.always, op)
		return
	}
	h.always[op] = err
}

// enter takes the time an operation takes, and its planned failure.
func (h *Host) enter(ctx context.Context, op string, takes time.Duration) error {
	err := ctx.Err()
	if err == nil {
		err = clock.Wait(ctx, h.options.Clock, takes)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if queue := h.once[op]; len(queue) > 0 {
		h.once[op] = queue[1:]
		return queue[0]
	}
	return h.always[op]
}

// Ensure implements virt.Host.
func (h *Host) Ensure(ctx context.Context, want virt.Machine) error {
	err := h.enter(ctx, OpEnsure, h.options.Latency)
	if err != nil {
		return err
	}
	if want.ID == "" {
		return errors.New("ensure machine: no id")
	}
	err = h.fetchDisks(ctx, want)
	if err != nil {
		return err
	}
	err = h.suffer(ctx, h.opOf(want))
	if err != nil {
		return err
	}
	want.ConfigDrive = nil // nothing here reads it
	want.Blanks, want.Disks, want.NICs = slices.Clone(want.Blanks), slices.Clone(want.Disks), slices.Clone(want.NICs)
	swaps := h.swap(ctx, &want)

	h.mu.Lock()
	if want.Outgoing != nil {
		wait, err := h.ensureOutgoing(want)
		h.mu.Unlock()
		if wait != nil {
			<-wait // it was called back, which ends it
		}
		return err
	}
	defer h.mu.Unlock()
	if want.Incoming != nil {
		return h.ensureIncoming(want)
	}
	before, known := h.machines[want.ID]
	next := machine{Machine: want, Running: want.Running}
	if known {
		next.Boots = slices.Clone(before.Boots)
	}
	switch {
	case !want.Running:
	case known && before.paused():
		next.typing = before.typing // it goes on where it was
	case before.resumes(want):
		next.typing = before.typing // it goes on where it was
	case before.boots(want):
		next.start(h.options.Clock.Now(), true)
	case want.HardReboots > before.Machine.HardReboots || want.SoftReboots > before.Machine.SoftReboots:
		next.start(h.options.Clock.Now(), false)
	default:
		err := plugs(before.Machine.Disks, want.Disks)
		if err != nil {
			return err
		}
		next.typing = before.typing
	}
	next.Swaps = swaps
	return h.put(&next)
}

// plugs refuses to give a guest that runs a disk that is fixed, or to take one from it.
// One whose volume is another one now has not gone.
func plugs(before, want []virt.Disk) error {
	missing := func(from, in []virt.Disk) error {
		for _, d := range from {
			has := slices.ContainsFunc(in, func(other virt.Disk) bool {
				return other.ID == d.ID || d.Swap != nil && other.ID == d.Swap.To.ID || other.Swap != nil && other.Swap.To.ID == d.ID
			})
			if d.Fixed() && !has {
				return errs.Conflictf("disk bus '%s' cannot be hotplugged", d.Bus)
			}
		}
		return nil
	}
	return cmp.Or(missing(want, before), missing(before, want))
}

// paused tells whether the machine does not run because it was on its way, and can
// go on.
func (m *machine) paused() bool {
	return m.Move != nil && (m.Move.Phase == virt.MoveLoaded || m.Move.Phase == virt.MoveGone && !m.Cold)
}

// rebuilt tells whether a disk is to be made anew.
func rebuilt(before, want virt.Machine) bool {
	root := before.Root != nil && want.Root != nil && want.Root.Rebuilds > before.Root.Rebuilds
	return root || slices.ContainsFunc(want.Blanks, func(b virt.Blank) bool {
		return slices.ContainsFunc(before.Blanks, func(old virt.Blank) bool { return old.Name == b.Name && old.Rebuilds < b.Rebuilds })
	})
}

// start adds a boot, on a new power cycle or on the one that runs.
func (m *machine) start(now time.Time, cold bool) {
	next := boot{At: now, Boot: 1, Run: 1}
	if n := len(m.Boots); n > 0 {
		next.Boot, next.Run = m.Boots[n-1].Boot+1, m.Boots[n-1].Run
		if cold {
			next.Run++
		}
	}
	m.Boots = append(m.Boots, next)
	if len(m.Boots) > maxBoots {
		m.Boots = m.Boots[len(m.Boots)-maxBoots:]
	}
}

// Remove implements virt.Host.
func (h *Host) Remove(ctx context.Context, id string) error {
	err := h.enter(ctx, OpRemove, h.options.Latency)
	if err == nil {
		err = h.suffer(ctx, OpRemove)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.machines[id]
	if !known {
		return nil
	}
	delete(h.machines, id)
	err = h.save()
	if err != nil {
		h.machines[id] = before
		return err
	}
	h.hangUp(id)
	return nil
}

// List implements virt.Host.
func (h *Host) List(ctx context.Context) ([]virt.State, error) {
	err := h.enter(ctx, OpList, 0)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]virt.State, 0, len(h.machines))
	for id, m := range h.machines {
		st := virt.State{
			ID: id, Running: m.Running, Paused: m.Running && m.Machine.Paused, Crashed: m.Crashed,
			SoftReboots: m.Machine.SoftReboots, HardReboots: m.Machine.HardReboots, CrashDumps: m.Machine.CrashDumps, Move: m.Move,
		}
		if r := m.Machine.Root; r != nil && r.Image != "" && !r.Arrives {
			st.Images = append(st.Images, r.Image)
		}
		if m.Machine.Rescue != nil {
			st.Images = append(st.Images, m.Machine.Rescue.Image)
		}
		st.Swaps = m.Swaps
		if m.Running {
			st.Addresses = map[string]string{}
			sits := func(name, bus string) {
				if nodeapi.DiskPrefix(bus) == "vd" {
					st.Addresses[name] = fmt.Sprintf("0000:%02x:00.0", len(st.Addresses)+1)
				}
			}
			for _, b := range m.Machine.Blanks {
				sits(b.Name, b.Bus)
			}
			for _, d := range m.Machine.Disks {
				st.Disks = append(st.Disks, d.ID)
				sits(d.ID, d.Bus)
			}
			for _, n := range m.Machine.NICs {
				st.NICs = append(st.NICs, n.ID)
				sits(n.ID, "")
			}
		}
		all = append(all, st)
	}
	return all, nil
}

// Capacity implements virt.Host.
func (h *Host) Capacity(ctx context.Context) (virt.Capacity, error) {
	err := h.enter(ctx, OpCapacity, 0)
	if err != nil {
		return virt.Capacity{}, err
	}
	return h.options.Capacity, nil
}

// Log implements virt.Host. The text is made when somebody asks for it.
func (h *Host) Log(ctx context.Context, id string, lines int) ([]byte, error) {
	err := h.enter(ctx, OpLog, 0)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	m, known := h.machines[id]
	var copied machine
	if known {
		copied = *m
	}
	h.mu.Unlock()
	if !known {
		return nil, nil
	}
	return lastLines(copied.console(), lines), nil
}

func lastLines(text []byte, lines int) []byte {
	if lines < 0 {
		return text
	}
	at := len(bytes.TrimSuffix(text, []byte("\n")))
	for range lines {
		if at < 0 {
			break
		}
		at = bytes.LastIndexByte(text[:at], '\n')
	}
	if lines == 0 {
		return nil
	}
	return text[at+1:]
}

// VNC implements virt.Host.
func (h *Host) VNC(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return h.openScreen(ctx, OpVNC, id, func(m *machine) (func(net.Conn), error) {
		s := m.screen()
		return func(conn net.Conn) {
			s.conn = conn
			s.serve()
		}, nil
	})
}

// screen is what the machine shows when somebody looks.
func (m *machine) screen() *screen {
	return &screen{title: m.hostname(), text: string(m.console()), format: nativeFormat}
}

// SPICE implements virt.Host.
func (h *Host) SPICE(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return h.openScreen(ctx, OpSPICE, id, func(m *machine) (func(net.Conn), error) {
		if !m.Machine.Hardware.SPICE() {
			return nil, errs.Conflictf("Instance %s has no screen for SPICE.", id)
		}
		s := &spice{picture: m.screen().paint()}
		return func(conn net.Conn) {
			s.conn = conn
			s.serve()
		}, nil
	})
}

// openScreen connects to a machine's screen, by what is to serve it.
func (h *Host) openScreen(ctx context.Context, op, id string, of func(*machine) (func(net.Conn), error)) (io.ReadWriteCloser, error) {
	err := h.enter(ctx, op, 0)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m, err := h.onScreen(id)
	if err != nil {
		return nil, err
	}
	serve, err := of(m)
	if err != nil {
		return nil, err
	}
	return h.serve(serve), nil
}

// onScreen is a machine that runs. The caller holds mu.
func (h *Host) onScreen(id string) (*machine, error) {
	m, known := h.machines[id]
	if !known {
		return nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	if !m.Running || h.closed {
		return nil, errs.Conflictf("Instance %s is not running.", id)
	}
	return m, nil
}

// Changed implements virt.Host.
func (h *Host) Changed() <-chan string { return h.changed }

// PowerOff makes a guest shut down by itself.
func (h *Host) PowerOff(id string) error { return h.end(id, false) }

// Crash makes a machine end as nobody asked for.
func (h *Host) Crash(id string) error { return h.end(id, true) }

// LetGo has the guest lose its volumes and cards by itself.
func (h *Host) LetGo(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known {
		return fmt.Errorf("machine %s is not there", id)
	}
	m.Machine.Disks, m.Machine.NICs = nil, nil
	h.hint(id)
	return h.save()
}

// hint says that a machine has changed. One may be lost.
func (h *Host) hint(id string) {
	select {
	case h.changed <- id:
	default:
	}
}

// Machine is a machine as it was last ensured.
func (h *Host) Machine(id string) (m virt.Machine, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, known := h.machines[id]
	if known {
		m = found.Machine
	}
	return m, known
}

// Run identifies the machine's current power cycle; 0 when it is off.
func (h *Host) Run(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known || !m.Running {
		return 0
	}
	return m.Boots[len(m.Boots)-1].Run
}

func (h *Host) end(id string, crashed bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known || !m.Running {
		return fmt.Errorf("machine %s does not run", id)
	}
	m.Running, m.Crashed = false, crashed
	err := h.save()
	h.hangUp(id)
	h.hint(id)
	return err
}
