// Package qemu runs guests as QEMU processes, spoken to over QMP.
//
// A guest is one process in a session of its own. It has no tie to us but the
// files in its folder, so it lives on when we die and is found again by the
// next driver that opens the folder:
//
//	DIR/<id>/machine.json   what we were told and what we have done
//	DIR/<id>/root.qcow2     the root disk, an overlay on the image
//	DIR/<id>/rescue.qcow2   the disk of a rescue, for as long as it takes
//	DIR/<id>/memory.state   the memory of a guest that is suspended
//	DIR/<id>/config.iso     the config drive
//	DIR/<id>/console.log    what the guest said on its serial line
//	DIR/<id>/qemu.log       what QEMU itself has complained about
//	DIR/<id>/lock           locked (flock) from before the process exists until it is gone
//	DIR/<id>/run/           the process's own: pid, qmp.sock, vnc.sock, spice.sock, serial.sock, agent.sock
//
// Whether a process lives is asked of the kernel, not of a number in a file:
// QEMU holds a lock on its pid file for as long as it lives, and the kernel
// names the holder. A pid that was reused by somebody else holds no such lock.
//
// QEMU is told not to exit when the guest turns itself off. "The guest is off"
// thus stays a fact that can be asked for, also when nobody of ours was there
// to see it happen, and differs from a process that has vanished: a crash.
//
// Only run belongs to the guest's user. Logs are handed over as open files, and
// everything in run is treated as written by somebody hostile.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// Options describe a host. Dir and Images are needed.
type Options struct {
	Dir    string      // keeps the machines; made if missing
	Images virt.Images // where root disks start from; files must be readable for User

	// User is the unprivileged user that guests run as; empty: the user we are.
	// Another user needs root.
	User string

	StopTimeout   time.Duration // how long a guest may take to shut down that says nothing else; 0: 60 s
	UnplugTimeout time.Duration // how long a guest may take to let a device go; 0: 20 s
	LogLimit      int64         // bytes of console log that are kept; 0: 1 MiB
	Log           *slog.Logger  // nil: the default one
}

// Host is this machine as a hypervisor.
type Host struct {
	options Options
	accel   accelerator
	owner   *syscall.Credential // nil: run as we are
	version int
	groups  *cpuGroups // nil: the kernel has none
	changed chan string

	ctx      context.Context // ends with Close
	close    context.CancelFunc
	watchers sync.WaitGroup

	mu       sync.Mutex // guards the map and, in each machine, record and guest
	machines map[string]*machine

	elsewhere virt.Elsewhere // set before the first machine comes from there

	opening sync.Mutex // one serial line is opened at a time
}

var _ virt.Host = (*Host)(nil)

// machineID is what an id may look like, since it names a folder.
var machineID = regexp.MustCompile(`^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}$`)

// New opens the folder and adopts the guests that run.
func New(o Options) (*Host, error) {
	if o.StopTimeout == 0 {
		o.StopTimeout = time.Minute
	}
	if o.UnplugTimeout == 0 {
		o.UnplugTimeout = 20 * time.Second
	}
	if o.LogLimit == 0 {
		o.LogLimit = 1 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open guest folder: %w", err)
	}
	o.Dir = dir
	h := &Host{options: o, changed: make(chan string, 256), machines: map[string]*machine{}}
	h.ctx, h.close = context.WithCancel(context.Background())
	h.version, err = emulatorVersion(h.ctx)
	if err != nil {
		return nil, err
	}
	h.owner, err = credential(o.User)
	if err != nil {
		return nil, err
	}
	h.groups = findCPUGroups()
	h.accel = h.chooseAccelerator(h.ctx)
	err = os.MkdirAll(o.Dir, 0o711)
	if err != nil {
		return nil, fmt.Errorf("open guest folder: %w", err)
	}
	err = h.adoptAll()
	if err != nil {
		return nil, err
	}
	h.watchers.Go(h.boundLogs)
	return h, nil
}

// Close stops watching and ends open serial lines. The guests run on.
func (h *Host) Close() error {
	h.close()
	h.mu.Lock()
	var clients []*qmp.Client
	var lines []*line
	for _, m := range h.machines {
		if m.guest == nil {
			continue
		}
		m.guest.pidfd.Close()
		if m.guest.qmp != nil {
			clients = append(clients, m.guest.qmp)
		}
		if m.guest.line != nil {
			lines = append(lines, m.guest.line)
		}
	}
	h.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	for _, l := range lines {
		l.conn.Close()
	}
	h.watchers.Wait()
	return nil
}

// credential finds the user that guests run as.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("user for guests: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("user for guests: %w", err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("user for guests: %w", err)
	}
	if uid == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("user for guests: only root can run guests as %s", name)
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	info, err := os.Stat(kvmDevice)
	if err == nil {
		group := info.Sys().(*syscall.Stat_t).Gid
		if group != 0 { // no guest gets what belongs to root's group
			c.Groups = []uint32{group}
		}
	}
	return c, nil
}

// adoptAll loads what the folder knows. Guests are adopted side by side, since
// one that hangs takes its time to be given up on.
func (h *Host) adoptAll() error {
	entries, err := os.ReadDir(h.options.Dir)
	if err != nil {
		return fmt.Errorf("open guest folder: %w", err)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	failed := make([]error, len(entries))
	for i, entry := range entries {
		id := entry.Name()
		if !entry.IsDir() || !machineID.MatchString(id) {
			continue
		}
		m := h.newMachine(id)
		h.machines[id] = m
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			failed[i] = h.load(m)
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

func (h *Host) load(m *machine) error {
	// Without a record we were stopped while the machine was made or removed.
	// With a broken one, the other machines of this host shall go on all the
	// same; the next Ensure writes a new one.
	rec, err := readRecord(m.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.options.Log.Error("machine record is unreadable", "server_id", m.id, "error", err)
	}
	h.mu.Lock()
	m.record, m.recorded = rec, err == nil
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, 15*time.Second)
	defer cancel()
	err = h.adopt(ctx, m)
	if err != nil {
		return err
	}
	h.mu.Lock()
	g := m.guest
	h.mu.Unlock()
	if g == nil {
		return nil
	}
	if rec.Frozen {
		h.thaw(m)
	}
	_, err = h.monitor(ctx, m, g)
	if err != nil {
		// It is still ours to end, and asked again by the next Ensure.
		h.options.Log.Warn("guest does not answer", "server_id", m.id, "pid", g.pid, "error", err)
	}
	return nil
}

// List implements virt.Host.
func (h *Host) List(ctx context.Context) ([]virt.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]virt.State, 0, len(h.machines))
	for id, m := range h.machines {
		if m.removed || !m.exists {
			continue
		}
		st := virt.State{ID: id, SoftReboots: m.record.SoftReboots, HardReboots: m.record.HardReboots, CrashDumps: m.record.CrashDumps, Layout: h.layoutOf(m)}
		if m.record.Base != "" {
			st.Images = append(st.Images, m.record.Base)
		}
		if r := m.record.Rescue; r != nil {
			st.Images = append(st.Images, r.Image)
		}
		g := m.guest
		st.Move = m.arriving()
		if st.Move == nil {
			st.Move = m.leaving()
		}
		if st.Move != nil && st.Move.Phase != virt.MoveArrived && st.Move.Phase != virt.MoveMoving && st.Move.Phase != virt.MoveStays {
			all = append(all, st) // its process is there, and no guest runs
			continue
		}
		st.Swaps = m.swaps()
		switch {
		case g == nil:
			st.Crashed = m.record.Started && !m.wentOff
		case !g.off:
			st.Running = true
			st.Paused = g.paused
			st.Addresses = map[string]string{}
			for at, device := range g.ports {
				name, isDisk := strings.CutPrefix(device, diskPrefix)
				if isDisk {
					st.Disks = append(st.Disks, name)
				}
				name, isNIC := strings.CutPrefix(name, nicPrefix)
				if isNIC {
					st.NICs = append(st.NICs, name)
				}
				if address := at.address(g.pc); address != "" && name != "" {
					st.Addresses[name] = address
				}
			}
			slices.Sort(st.Disks)
			slices.Sort(st.NICs)
		}
		all = append(all, st)
	}
	return all, nil
}

// Reach implements virt.Host.
func (h *Host) Reach(e virt.Elsewhere) { h.elsewhere = e }

// Changed implements virt.Host.
func (h *Host) Changed() <-chan string { return h.changed }

// hint tells that a machine changed by itself. A full channel has hints enough.
func (h *Host) hint(id string) {
	select {
	case h.changed <- id:
	default:
	}
}
