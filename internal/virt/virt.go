// Package virt is the hypervisor as a node sees it: one interface, several
// drivers.
//
// A driver makes machines match definitions. It is told what should be, never
// what to do, so a call that is repeated after a crash does no harm. The
// drivers are the folders beside this file: qemu runs real guests, simulated
// runs guests of the imagination and can fail on request. virttest holds the
// suite that each of them passes.
package virt

import (
	"context"
	"io"

	"nacre/internal/nodeapi"
)

// Machine is one virtual machine as it should be.
type Machine struct {
	ID       string // the server's UUID
	Name     string // shown in the process list, nothing else
	Project  string
	VCPUs    int
	MemoryMB int

	// Topology is where its processors and memory lie. Which processors of the host
	// they are may change while it runs; all else comes with its next start. Without
	// one, it runs on the processors Float; none: on all.
	Topology *nodeapi.Topology `json:",omitempty"`
	Sockets  *nodeapi.Sockets  `json:",omitempty"`
	Float    []int             `json:",omitempty"`

	Running bool // powered on
	Paused  bool // while it runs: its processors stand still

	// Suspended keeps the memory of a machine that does not run, from which it
	// goes on. A driver that cannot do that refuses.
	Suspended bool

	Root        *Root   // nil: boots from the first of Disks
	Blanks      []Blank `json:",omitempty"`
	Disks       []Disk  // attached volumes, in boot order
	NICs        []NIC   // in guest order
	ConfigDrive []byte  // an ISO 9660 image labelled config-2; nil for none

	// Counters of one-off acts: a driver that has recorded a lower number
	// performs the act once and records this one. A machine that does not run
	// only records.
	SoftReboots int64
	HardReboots int64
	CrashDumps  int64 `json:",omitempty"` // each tells the guest to crash and leave a dump

	// Rescue is a disk that the machine boots from instead. It comes and goes
	// with a restart of a guest that runs.
	Rescue *Rescue `json:",omitempty"`
	Agent  bool    `json:",omitempty"` // it has a line to an agent in the guest

	Incoming *Incoming `json:",omitempty"` // it runs on another host and comes from there
	Outgoing *Outgoing `json:",omitempty"` // it goes to another host

	Hardware nodeapi.Hardware `json:",omitzero"` // other than usual
	Quotas   *nodeapi.Quotas  `json:",omitempty"`

	// Quiesce: while it runs, its disk is read only when its agent has frozen its
	// file systems. Of a machine that has an agent it is tried in any case.
	Quiesce bool `json:",omitempty"`

	// ShutdownSeconds is how long the guest may take to shut down, nil for as long as
	// the driver lets any.
	ShutdownSeconds *int `json:",omitempty"`
}

// Rescue is a disk made of an image for as long as it is wanted.
type Rescue struct {
	Image  string
	Device string // disk or cdrom, behind the machine's own disks; "": a disk before them
	Bus    string // as that of a root disk; "" of a cdrom is scsi
}

// Incoming is a machine that comes as it runs. The driver makes ready for it, and
// then waits for what Receive brings. The machine does not run before its former
// host has let go of it, or it is ensured without this.
type Incoming struct {
	Move   string // names the move; another one begins anew
	Layout string // State.Layout of the machine on its host
}

// Outgoing is a machine that goes to another host, where it is Incoming. Ensure
// begins the move and does not wait for its end, which State.Move tells. A move is
// tried once. A machine that has gone is there, and does not run, until it is
// removed, or ensured without this.
type Outgoing struct {
	Move  string
	Hasty bool // finish, however long the guest stands still for that
	Back  bool // stay, unless it has gone: Ensure waits until that is certain
}

// Move is how far a machine is on its way.
type Move struct {
	Name    string
	Phase   string // one of those below
	Problem string

	MemoryTotal, MemoryLeft int64 // bytes
	DiskTotal, DiskLeft     int64
	Downtime                int64 // ms that the guest stood still, as far as is known
}

// The phases of a move: where the machine comes, and where it leaves.
const (
	MoveReady   = "ready"   // Receive may be called
	MoveLoaded  = "loaded"  // all of it is here, and it does not run yet
	MoveArrived = "arrived" // it runs, unless it is paused
	MoveLost    = "lost"    // it will not arrive, and has never run

	MoveMoving = "moving"
	MoveGone   = "gone"  // all of it was sent; it does not run here
	MoveStays  = "stays" // it was not sent, and runs here unless it has ended
)

// Root is the disk that lives with the machine and dies with it.
type Root struct {
	Image  string // id of the image it starts from; empty: blank
	SizeGB int    // 0: as large as the image

	// Rebuilds counts: a driver that has recorded a lower number makes the disk
	// anew, whatever is on it, and records this one.
	Rebuilds int64

	// Arrives: where the disk is missing, it is a copy of the one that the machine
	// has on another host.
	Arrives bool `json:",omitempty"`

	Bus   string `json:",omitempty"` // virtio, scsi, sata, ide or usb; "" is virtio
	CDROM bool   `json:",omitempty"` // it is a CD, which is not written to
}

// Blank is a disk that is empty but for a file system, and lives with the machine
// and dies with it. The guest has them behind its first disk, in this order.
type Blank struct {
	Name     string // ephemeral0, ephemeral1 and so on, which its label is too, or swap
	SizeMB   int
	Format   string // ext2, ext3, ext4, xfs or swap; of nodeapi.Variables uefi or secure
	Rebuilds int64  // as that of a root disk
	Arrives  bool   `json:",omitempty"` // as that of a root disk
	Bus      string `json:",omitempty"` // as that of a root disk
}

// Disk is an attached volume, reached by NBD over a unix socket.
type Disk struct {
	ID     string // the volume's UUID; the guest sees its first 20 characters as serial
	Socket string // path of the NBD server's unix socket
	Export string // NBD export name
	Device string // what the API calls it: /dev/vdb

	SizeGB   int  `json:",omitempty"` // that the guest is to see, now that the volume has grown; 0: as it was plugged
	ReadOnly bool `json:",omitempty"`

	// Bus and CDROM are as those of a root disk. A running guest is given no disk that
	// is Fixed, nor does it lose one: that is a conflict.
	Bus   string `json:",omitempty"`
	CDROM bool   `json:",omitempty"`

	// Limits are what the guest may do with it in a second, by the names of QoS
	// specs: {total,read,write}_{bytes,iops}_sec, with _max for a burst, and
	// size_iops_sec. They do not change while the guest has the disk.
	Limits map[string]int64 `json:",omitempty"`

	Swap *Swap `json:",omitempty"` // what is to take its place
}

// Fixed tells whether the disk stays where it is as long as the guest runs.
func (d Disk) Fixed() bool { return !nodeapi.HotPlugs(d.Bus) }

// Swap is a volume that takes the place of another one under a guest. Ensure begins
// to copy the bytes and does not wait for that: State.Swaps tells how far it is. From
// then on what the guest writes is written to both. With Go Ensure waits until the
// guest has the new one, also when it does not run; it is not asked for both again.
type Swap struct {
	To Disk
	Go bool
}

// NIC is a network card on a tap device that the fabric has made.
type NIC struct {
	ID  string // the port's UUID
	MAC string
	Tap string // name of the tap device
	MTU int
}

// State is what a driver sees of one machine.
type State struct {
	ID          string
	Running     bool
	Paused      bool
	Crashed     bool               // it ran, and ended in a way nobody asked for
	Disks       []string           // ids of the volumes that the guest has
	NICs        []string           // ids of the ports that the guest has
	Swaps       []nodeapi.SwapSeen // those of the definition that are not over
	Images      []string           // that its disks are based on, whatever it is to have now
	SoftReboots int64
	HardReboots int64
	CrashDumps  int64

	// Addresses are where a guest that runs sees on PCI what sits there of its volumes,
	// ports and own disks, by their ids and names: 0000:01:00.0.
	Addresses map[string]string

	Layout string // how it is built, for the driver of the host that it goes to; "" when it does not run
	Move   *Move  // nil: it is not on its way
}

// Capacity is what a host offers before allocation ratios.
type Capacity struct {
	VCPUs    int
	MemoryMB int
	DiskGB   int
	Traits   []string // such as HW_CPU_X86_AVX2
	Type     string   // hypervisor type: "QEMU" or "fake"
	Version  int      // hypervisor version, as 7002000 for 7.2
	CPUInfo  string   // JSON, as os-hypervisors shows it
	Emulated bool     // the processors of its guests

	Cells []nodeapi.Cell // NUMA cells, with all processors shared
}

// Host runs machines. Its methods may be called concurrently and are
// idempotent: asking twice for the same thing is asking once.
type Host interface {
	// Ensure makes the machine exist with this definition and power state,
	// including which volumes and cards a running guest has (hot-plug). When it
	// returns nil, the change survives a reboot of the host. A soft stop gives
	// the guest some time to shut down before its power is cut.
	Ensure(ctx context.Context, m Machine) error

	// Remove makes the machine and its root disk not exist. A missing machine
	// is a success.
	Remove(ctx context.Context, id string) error

	// List returns all machines of this host, also those nobody asked for.
	List(ctx context.Context) ([]State, error)

	// Capacity returns what the host has.
	Capacity(ctx context.Context) (Capacity, error)

	// Uptime tells how long the host has been up.
	Uptime(ctx context.Context) (nodeapi.Uptime, error)

	// Log returns the last lines of the serial console, all when lines < 0.
	// A machine that never ran has an empty log.
	Log(ctx context.Context, id string, lines int) ([]byte, error)

	// VNC connects to the machine's screen in RFB. The caller closes it.
	VNC(ctx context.Context, id string) (io.ReadWriteCloser, error)

	// SPICE connects to the screen of a machine whose hardware has one for it
	// (nodeapi.Hardware.SPICE) by one of the channels of that protocol. A machine
	// without is a conflict. The caller closes it.
	SPICE(ctx context.Context, id string) (io.ReadWriteCloser, error)

	// Serial connects to the machine's serial line, as it goes on from now.
	// Several may be connected: each sees what the guest writes, and what any
	// of them types goes to the guest. A guest is not held up by whoever reads
	// slowly, who loses a part instead. The connection ends when the machine
	// stops. The caller closes it.
	Serial(ctx context.Context, id string) (io.ReadWriteCloser, error)

	// Disk reads one of the disks that live with the machine, nodeapi.RootDisk or a
	// blank one's name, as it is at one moment, as a qcow2 file that stands alone. A
	// running guest stands still meanwhile. The caller closes it.
	Disk(ctx context.Context, id, disk string) (io.ReadCloser, error)

	// Receive takes what the driver of the host that an Incoming machine comes from
	// sends: by a channel that both know. The caller closes it.
	Receive(ctx context.Context, id, move, channel string) (io.ReadWriteCloser, error)

	// Freeze asks the agent in the guest to write out its file systems and to freeze
	// them, until the caller closes what it gets, or this program ends: a guest that is
	// found frozen is thawed. A guest without an agent that does it is a conflict.
	Freeze(ctx context.Context, id string) (io.Closer, error)

	// Reach tells the driver how it gets at its machines on other hosts, before
	// the first of them comes.
	Reach(e Elsewhere)

	// Diagnose tells what was counted about a machine that runs.
	Diagnose(ctx context.Context, id string) (nodeapi.Diagnostics, error)

	// SetPassword asks the agent in the guest to change the password of an
	// account there. A guest without one, or whose agent does not do it, is a
	// conflict.
	SetPassword(ctx context.Context, id, user, password string) error

	// Changed carries ids of machines whose power state changed by themselves
	// (the guest shut down, crashed). It is a hint: List has the facts.
	Changed() <-chan string
}

// Elsewhere is how a driver gets at a machine on another host.
type Elsewhere interface {
	// Disk reads a disk of the machine there, as its driver's Disk gives it. The
	// caller closes it.
	Disk(ctx context.Context, machine, disk string) (io.ReadCloser, error)

	// Send connects to the host that an Outgoing machine goes to: what its driver's
	// Receive gives. The caller closes it.
	Send(ctx context.Context, machine, move, channel string) (io.ReadWriteCloser, error)
}

// Images is what a driver needs from the node's image cache.
type Images interface {
	// Path returns a local file with the image's bytes, fetching it if it is
	// not there, and its format ("raw" or "qcow2"). The file was inspected:
	// it has no backing file, no data file. It is never written to.
	Path(ctx context.Context, image string) (path, format string, err error)
}
