// Package nodeapi is the contract between servers and nodes: the documents
// they share and the stream that carries them. It imports nothing of ours, so
// that both sides stand on it and neither on the other.
//
// Servers and nodes exchange state, not commands. A desired document says how
// one machine or volume should be; the node makes it so and sends an observed
// document back, with the generation of the desired one that it answers. Both
// are whole: a late, repeated or reordered frame does no harm, since whoever
// gets it compares generations.
//
// A connection (see Conn) is a stream of frames over any byte stream; while
// server and node share a process, that is a pipe. The node dials and greets
// with Hello; the server answers with Welcome and sends everything it wants of
// the host, the last frame marked Complete; from then on
// changes follow as they happen. Besides documents, either side may ask the
// other a question (query and reply) and open byte streams (consoles, images),
// which have a window each, so that a slow reader holds up nobody else.
//
// The other side is not trusted to be well: frames have a size limit, so have
// the numbers of open questions and streams, and whatever breaks a rule ends
// the connection.
package nodeapi

import (
	"fmt"
	"strconv"
	"strings"
)

// Version grows by one whenever either side learns something new.
//
//   - 1: 2026-11-22: machines, volumes, metadata, image bytes, VNC
//   - 2: 2026-11-28: joining, the list of servers
//   - 3: 2026-11-28: serial lines
//   - 4: 2026-11-28: the bytes of volumes, shared and remote volumes
//   - 5: 2026-11-28: volumes are adopted and let go
//   - 6: 2026-11-28: paused and suspended machines, root disks made anew and read
//   - 7: 2026-11-28: encrypted volumes
//   - 8: 2026-11-28: limits of disks
//   - 9: 2026-11-28: root disks that come from another host
//   - 10: 2026-11-28: rescued machines, crash dumps, guest agents, diagnostics
//   - 11: 2026-11-28: ephemeral and swap disks
//   - 12: 2026-11-28: images fetched ahead
//   - 13: 2026-11-28: machines that go to another host while they run
//   - 14: 2026-11-28: frozen file systems
//   - 15: 2026-11-28: firmwares, hardware that is other than usual
//   - 16: 2026-11-28: NUMA cells of hosts and machines, pinned processors
//   - 17: 2026-11-28: how long hosts have been up
//   - 18: 2026-11-28: hosts that emulate processors
//   - 19: 2026-11-28: volumes that take the place of others
//   - 20: 2026-11-28: limits of a machine's own disks and processors
//   - 21: 2026-11-28: SPICE
//   - 22: 2026-11-29: buses of disks, machines of type pc, addresses of devices
const Version = 22

// Swaps is the first version of a node that knows of Disk.Swap.
const Swaps = 19

// Kinds of documents.
const (
	KindMachine = "machine" // desired Machine, observed MachineObserved
	KindVolume  = "volume"  // desired Volume, observed VolumeObserved
)

// Queries and streams. The comment names who answers.
const (
	QueryLog      = "log"      // node: LogQuery → LogReply
	QueryDiagnose = "diagnose" // node: MachineQuery → Diagnostics
	QueryPassword = "password" // node: PasswordQuery → nothing
	QueryUptime   = "uptime"   // node: nothing → Uptime
	QueryCache    = "cache"    // node: ImageQuery → CacheReply
	QueryStrays   = "strays"   // node: nothing → StraysReply
	QueryMetadata = "metadata" // server: MetadataQuery → MetadataReply
	QueryImage    = "image"    // server: ImageQuery → ImageReply
	QueryExport   = "export"   // server: ExportQuery → Address
	QueryKey      = "key"      // server: KeyQuery → KeyReply
	StreamVNC     = "vnc"      // node: a machine's screen in RFB, by machine id
	StreamSPICE   = "spice"    // node: a channel of a machine's screen in SPICE, by machine id
	StreamSerial  = "serial"   // node: a machine's serial line, by machine id
	StreamRoot    = "root"     // node: a disk of a machine as one qcow2 file, by DiskID; server: the same, of the host that it comes from
	StreamFreeze  = "freeze"   // node: has the file systems of a machine frozen while it is open, by machine id; answers each byte while they are
	StreamImage   = "image"    // server: the bytes of an image, by image id
	StreamExport  = "export"   // node: NBD of an export, by volume id and epoch; server: the same on another node
	StreamMove    = "move"     // node: takes in a machine that comes from another host, by MoveID; server: the same on the node where it goes
	StreamRead    = "read"     // node: NBD of a volume that is not exported, by volume id
	StreamWrite   = "write"    // node: the same, to write
)

// Machine is a server as its host should have it.
type Machine struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Project   string    `json:"project"`
	VCPUs     int       `json:"vcpus"`
	MemoryMB  int       `json:"memory_mb"`
	Topology  *Topology `json:"topology,omitempty"` // nil: it floats over the host's shared processors
	Sockets   *Sockets  `json:"sockets,omitempty"`
	Running   bool      `json:"running"`
	Paused    bool      `json:"paused,omitempty"`    // while it runs: its processors stand still
	Suspended bool      `json:"suspended,omitempty"` // while it does not: its memory is kept

	Root        *Root   `json:"root,omitempty"` // nil: boots from the first of Disks
	Blanks      []Blank `json:"blanks,omitempty"`
	Disks       []Disk  `json:"disks,omitempty"`
	NICs        []NIC   `json:"nics,omitempty"`
	ConfigDrive []byte  `json:"config_drive,omitempty"` // ISO 9660 image labelled config-2

	// Counters of one-off acts: raising one performs the act once.
	SoftReboots int64 `json:"soft_reboots,omitempty"`
	HardReboots int64 `json:"hard_reboots,omitempty"`
	CrashDumps  int64 `json:"crash_dumps"`

	Rescue *Rescue `json:"rescue,omitempty"` // what it boots from, beside its own disks
	Agent  bool    `json:"agent,omitempty"`  // it has a line to a guest agent

	Incoming *Incoming `json:"incoming,omitempty"` // it runs elsewhere and comes from there
	Outgoing *Outgoing `json:"outgoing,omitempty"` // it goes elsewhere

	Hardware *Hardware `json:"hardware,omitempty"` // other than usual
	Quotas   *Quotas   `json:"quotas,omitempty"`

	Quiesce         bool `json:"quiesce,omitempty"`          // its disk is read only when its agent has frozen its file systems
	ShutdownSeconds *int `json:"shutdown_seconds,omitempty"` // that it may take to shut down; nil: the host's usual ones
}

// Rescue is a disk made of an image that a machine boots from for a while.
type Rescue struct {
	Image  string `json:"image"`
	Device string `json:"device,omitempty"` // disk or cdrom, behind its own disks; "": a disk before them
	Bus    string `json:"bus,omitempty"`    // virtio, scsi, sata, ide or usb
}

// Incoming is a machine that runs on another host and is to arrive here as it runs.
// Until then it only waits.
type Incoming struct {
	Move   string `json:"move"`             // names the move
	Layout string `json:"layout,omitempty"` // what the other host observes of it
}

// Outgoing is a machine that is to go to the host on which it is incoming by the
// same move. A move is tried once; what came of it is observed. Nobody but the
// servers lets a guest run again that has gone.
type Outgoing struct {
	Move  string `json:"move"`
	Hasty bool   `json:"hasty,omitempty"` // however long it stands still for that
	Back  bool   `json:"back,omitempty"`  // it is to stay, unless it has gone
}

// Move is how far a machine is on its way.
type Move struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Problem string `json:"why,omitempty"`

	MemoryTotal int64 `json:"memory_total,omitempty"` // bytes
	MemoryLeft  int64 `json:"memory_left,omitempty"`
	DiskTotal   int64 `json:"disk_total,omitempty"`
	DiskLeft    int64 `json:"disk_left,omitempty"`
	Downtime    int64 `json:"downtime,omitempty"` // ms that it stood still, as its host has measured
}

// The phases of a move, first where the machine goes, then where it comes from.
const (
	MoveReady   = "ready"   // it may come
	MoveLoaded  = "loaded"  // all of it is here; it does not run until the other host says that it has gone there
	MoveArrived = "arrived" // it runs here
	MoveLost    = "lost"    // it does not arrive, and has never run here

	MoveMoving = "moving"
	MoveGone   = "gone"  // it does not run here, and all of it was sent
	MoveStays  = "stays" // it runs here, or has ended, and was not let run there
)

// MoveID names what is sent of a machine on its way in a stream's opening.
func MoveID(machine, move, channel string) string { return machine + "." + move + "." + channel }

// ParseMoveID is the way back.
func ParseMoveID(id string) (machine, move, channel string, ok bool) {
	machine, rest, _ := strings.Cut(id, ".")
	move, channel, ok = strings.Cut(rest, ".")
	return machine, move, channel, ok
}

// Root is the disk that lives and dies with the machine.
type Root struct {
	Image  string `json:"image,omitempty"` // empty: blank
	SizeGB int    `json:"size_gb"`         // 0: as large as the image

	// Rebuilds counts: raising it makes the disk anew.
	Rebuilds int64 `json:"rebuilds"`

	From string `json:"from,omitempty"` // host whose disk it starts as a copy of

	Bus   string `json:"bus,omitempty"`   // virtio, scsi, sata, ide or usb; "" is virtio
	CDROM bool   `json:"cdrom,omitempty"` // it is a CD
}

// Blank is a disk that is empty but for a file system, and lives and dies with the
// machine.
type Blank struct {
	Name     string `json:"name"` // ephemeral0, ephemeral1 and so on, which its label is too, or swap
	SizeMB   int    `json:"size_mb"`
	Format   string `json:"format"`   // ext2, ext3, ext4, xfs or swap; of Variables: uefi, or secure for secure boot
	Rebuilds int64  `json:"rebuilds"` // raising it makes the disk anew

	From string `json:"from,omitempty"` // host whose disk it starts as a copy of
	Bus  string `json:"bus,omitempty"`  // as that of a root disk
}

// Variables is the name of the blank disk that a UEFI firmware keeps its variables
// on. A machine that has one boots by such a firmware, and not by the BIOS; the guest
// does not see it as a disk.
const Variables = "nvram"

// Hardware is what a machine has other than usual. It comes with the next start.
type Hardware struct {
	MachineType string `json:"machine_type,omitempty"` // q35 or pc, or a version of it
	BootMenu    bool   `json:"boot_menu,omitempty"`
	Video       string `json:"video,omitempty"` // vga, cirrus, qxl, virtio, bochs or none
	VideoMB     int    `json:"video_mb,omitempty"`
	Watchdog    string `json:"watchdog,omitempty"` // what it does: reset, poweroff, pause or none; "": there is none
	NoRNG       bool   `json:"no_rng,omitempty"`
	RNGBytes    int    `json:"rng_bytes,omitempty"`  // that it gives in a period
	RNGPeriod   int    `json:"rng_period,omitempty"` // ms; 0 is 1000
	NIC         string `json:"nic,omitempty"`        // virtio, e1000, e1000e, ne2k_pci, pcnet, rtl8139 or vmxnet3
	DiskBus     string `json:"disk_bus,omitempty"`   // of disks that come while it runs
	SCSI        string `json:"scsi,omitempty"`       // model of its SCSI controller: virtio-scsi, lsilogic, lsisas1068, lsisas1078 or vmpvscsi
	CDROMBus    string `json:"cdrom_bus,omitempty"`  // of its config drive; "" is scsi
	Tablet      bool   `json:"tablet,omitempty"`     // a pointer that knows where it is
}

// HotPlugs tells whether a guest that runs may be given a disk on the bus, or lose one:
// SATA and IDE are looked at only when it starts.
func HotPlugs(bus string) bool { return bus != "sata" && bus != "ide" }

// DiskPrefix is how the names begin that guests give to the disks of a bus.
func DiskPrefix(bus string) string {
	switch bus {
	case "", "virtio":
		return "vd"
	case "ide":
		return "hd"
	}
	return "sd"
}

// SPICE tells whether the machine has its screen in SPICE as well as in RFB: one of
// the model that was made for it. The others need no server for that.
func (h Hardware) SPICE() bool { return h.Video == "qxl" }

// Quotas are what a machine may take of its host.
type Quotas struct {
	// Disks are what it may do in a second with each disk that lives with it, by the
	// names of QoS specs.
	Disks map[string]int64 `json:"disks,omitempty"`

	// What its processors get: a part by which they share with others, 0 for the usual
	// one; and how long each may run in a period, in µs, 0 for as long as it can.
	CPUShares int64 `json:"cpu_shares,omitempty"`
	CPUQuota  int64 `json:"cpu_quota,omitempty"`
	CPUPeriod int64 `json:"cpu_period,omitempty"`
}

// RootDisk is the name of a machine's root disk beside those of its blank ones.
const RootDisk = "root"

// DiskID names a disk that lives with a machine in a stream's opening.
func DiskID(machine, disk string) string {
	if disk == RootDisk {
		return machine
	}
	return machine + "/" + disk
}

// ParseDiskID is the way back.
func ParseDiskID(id string) (machine, disk string) {
	machine, disk, named := strings.Cut(id, "/")
	if !named {
		return machine, RootDisk
	}
	return machine, disk
}

// Disk is an attached volume. The volume's own document exports it; the
// machine gets it when that export has this epoch. The node finds the export
// of a volume on another host by QueryExport.
type Disk struct {
	Volume     string `json:"volume"`
	Device     string `json:"device"` // what the API calls it: /dev/vdb
	Attachment string `json:"attachment,omitempty"`
	Epoch      int64  `json:"epoch"`
	SizeGB     int    `json:"size_gb,omitempty"` // that the guest is to see; 0: whatever it was plugged with
	Bus        string `json:"bus,omitempty"`     // as that of a root disk
	CDROM      bool   `json:"cdrom,omitempty"`   // it is a CD

	// Limits are what the guest may do with it in a second, by the names of QoS
	// specs: total_iops_sec, read_bytes_sec …
	Limits map[string]int64 `json:"limits,omitempty"`

	Swap *Swap `json:"swap,omitempty"` // what is to take its place
}

// Swap is a volume that takes the place of another one. It gets the bytes of that
// one first, and what the guest writes meanwhile; with Go, which is not taken back,
// the guest has it instead.
type Swap struct {
	Volume string           `json:"volume"`
	Epoch  int64            `json:"epoch"`
	SizeGB int              `json:"size_gb"` // that the guest is to see from then on
	Limits map[string]int64 `json:"limits,omitempty"`
	Go     bool             `json:"go,omitempty"`
}

// SwapSeen is how far a volume is that is to take the place of another one.
type SwapSeen struct {
	Volume  string `json:"volume"`
	Same    bool   `json:"same,omitempty"` // it has the same bytes, and goes on getting what is written
	Problem string `json:"why,omitempty"`  // it does not get them
}

// NIC is a network card.
type NIC struct {
	Port     string    `json:"port"`
	Network  string    `json:"network"`
	MAC      string    `json:"mac"`
	MTU      int       `json:"mtu"`
	Metadata *Metadata `json:"metadata,omitempty"` // nil: this network has no metadata door
}

// Metadata is the door to the metadata service that a card's network has on
// each host with a machine on it.
type Metadata struct {
	Port  string   `json:"port"`
	MAC   string   `json:"mac"`
	CIDRs []string `json:"cidrs"`
}

// MachineObserved is what the node made of one Machine.
type MachineObserved struct {
	Running     bool       `json:"running"`
	Paused      bool       `json:"paused,omitempty"`
	Crashed     bool       `json:"crashed,omitempty"`
	Disks       []string   `json:"disks,omitempty"` // ids of the volumes that the guest has
	NICs        []string   `json:"nics,omitempty"`  // ids of the ports that the guest has
	Swaps       []SwapSeen `json:"swaps,omitempty"` // those that are not over
	SoftReboots int64      `json:"soft_reboots,omitempty"`
	HardReboots int64      `json:"hard_reboots,omitempty"`
	CrashDumps  int64      `json:"crash_dumps,omitempty"`
	Move        *Move      `json:"move,omitempty"`
	Layout      string     `json:"layout,omitempty"` // how the guest's machine is built, for the host that it goes to

	Addresses map[string]string `json:"addresses,omitempty"` // on PCI, by the ids of volumes and ports and the names of other disks

	Problem string `json:"problem,omitempty"` // empty when all is as desired
	Refused bool   `json:"refused,omitempty"` // the problem will not go away by itself
}

// Volume is a volume as its host should have it.
type Volume struct {
	ID     string  `json:"id"`
	SizeGB int     `json:"size_gb"`
	Image  string  `json:"image,omitempty"`  // starts with the bytes of this image
	Source string  `json:"source,omitempty"` // or of this volume of the same host
	Stray  string  `json:"stray,omitempty"`  // or is this file of the host, which is a volume from then on
	Export *Export `json:"export,omitempty"` // nil: nobody may use it

	Encrypted bool `json:"encrypted,omitempty"` // by the key that QueryKey gives

	// Revision grows when the bytes are to be made anew from image or source.
	Revision int64  `json:"revision,omitempty"`
	LetGo    string `json:"let_go,omitempty"` // be no volume any more, but a file of this name
}

// Export asks that an attachment can reach the volume. Whoever had another
// epoch is cut off, unless it is among the others.
type Export struct {
	Epoch    int64   `json:"epoch"`
	ReadOnly bool    `json:"read_only,omitempty"`
	Others   []Share `json:"others,omitempty"` // attachments beside this one
}

// Share is another attachment that can reach the volume.
type Share struct {
	Epoch    int64 `json:"epoch"`
	ReadOnly bool  `json:"read_only,omitempty"`
}

// VolumeObserved is what the node made of one Volume.
type VolumeObserved struct {
	Present bool     `json:"present"`
	SizeGB  int      `json:"size_gb,omitempty"`
	Export  *Address `json:"export,omitempty"`

	Others []Address `json:"others,omitempty"` // where the others of the export are reached

	Problem string `json:"problem,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// At is where the share with the epoch is reached.
func (v VolumeObserved) At(epoch int64) (Address, bool) {
	if v.Export != nil && v.Export.Epoch == epoch {
		return *v.Export, true
	}
	for _, other := range v.Others {
		if other.Epoch == epoch {
			return other, true
		}
	}
	return Address{}, false
}

// Address is where an export is reached.
type Address struct {
	Epoch  int64  `json:"epoch"`
	Socket string `json:"socket"` // unix socket on the volume's host
	Name   string `json:"name"`   // NBD export name

	ReadOnly bool `json:"read_only,omitempty"`
}

// HostInfo is what a host is and has.
type HostInfo struct {
	VCPUs         int      `json:"vcpus"`
	MemoryMB      int      `json:"memory_mb"`
	DiskGB        int      `json:"disk_gb"`
	Traits        []string `json:"traits,omitempty"`
	Type          string   `json:"type"`    // hypervisor type
	Version       int      `json:"version"` // hypervisor version, as 7002000 for 7.2
	CPUInfo       string   `json:"cpu_info,omitempty"`
	Address       string   `json:"address,omitempty"`        // the host's own address
	VolumesGB     float64  `json:"volumes_gb"`               // room for volumes
	FreeGB        float64  `json:"free_gb"`                  // what of it is free
	SharedExports bool     `json:"shared_exports,omitempty"` // other hosts reach its exports
	Agents        []Agent  `json:"agents,omitempty"`         // the parts of the node
	Node          int      `json:"node_api_version"`         // nodeapi.Version of the node
	BootID        string   `json:"boot_id,omitempty"`        // changes when the host reboots
	Cells         []Cell   `json:"cells,omitempty"`          // NUMA cells
	Emulated      bool     `json:"emulated,omitempty"`       // the processors of its guests
}

// ExportID names an export in a stream's opening.
func ExportID(volume string, epoch int64) string { return fmt.Sprintf("%s.%d", volume, epoch) }

// ParseExportID is the way back.
func ParseExportID(id string) (volume string, epoch int64, ok bool) {
	volume, number, _ := strings.Cut(id, ".")
	epoch, err := strconv.ParseInt(number, 10, 64)
	return volume, epoch, err == nil && volume != "" && epoch > 0
}

// KeyQuery asks for the key of an encrypted volume that the host has.
type KeyQuery struct {
	Volume string `json:"volume"`
}

// KeyReply is the key, to be kept in memory only.
type KeyReply struct {
	Key string `json:"key"`
}

// ExportQuery asks where a volume of another host is reached.
type ExportQuery struct {
	Volume string `json:"volume"`
	Epoch  int64  `json:"epoch"`
}

// Agent is one part of a node and whether it works.
type Agent struct {
	Name    string `json:"name"` // virt, fabric, blockdev
	Problem string `json:"problem,omitempty"`
}

// LogQuery asks for a machine's console log.
type LogQuery struct {
	Machine string `json:"machine"`
	Lines   int    `json:"lines"` // the last ones; negative for all
}

// MachineQuery asks about a machine.
type MachineQuery struct {
	Machine string `json:"machine"`
}

// PasswordQuery asks for the password of an account of the guest to be changed.
type PasswordQuery struct {
	Machine  string `json:"machine"`
	User     string `json:"user"`
	Password string `json:"password"`
}

// Uptime is how long a host has been up and how busy it is.
type Uptime struct {
	Now     int64      `json:"now"` // by the host's clock, as Unix counts
	Seconds int64      `json:"seconds"`
	Users   int        `json:"users"` // who are logged in
	Load    [3]float64 `json:"load"`  // of the last 1, 5 and 15 minutes
}

// Diagnostics is what a hypervisor counts about a machine that runs.
type Diagnostics struct {
	Paused   bool          `json:"paused,omitempty"`
	Uptime   int64         `json:"uptime"` // seconds
	CPUs     []CPUUse      `json:"cpus,omitempty"`
	Disks    []DiskTraffic `json:"disks,omitempty"`
	NICs     []NICTraffic  `json:"nics,omitempty"`
	MemoryMB int64         `json:"memory_mb"`
	UsedMB   *int64        `json:"used_mb,omitempty"` // nil: the guest does not tell
	RSSKB    *int64        `json:"rss_kb,omitempty"`  // of the host's memory
}

// CPUUse is how long a processor has worked, in nanoseconds.
type CPUUse struct {
	ID   int   `json:"id"`
	Time int64 `json:"time"`
}

// DiskTraffic is what went through a disk.
type DiskTraffic struct {
	Name          string `json:"name"` // vda
	ReadBytes     int64  `json:"read_bytes"`
	ReadRequests  int64  `json:"read_requests"`
	WriteBytes    int64  `json:"write_bytes"`
	WriteRequests int64  `json:"write_requests"`
	Errors        int64  `json:"errors"`
}

// NICTraffic is what went through a card, as the guest sees it.
type NICTraffic struct {
	MAC       string `json:"mac"`
	RxBytes   int64  `json:"rx_bytes"`
	RxErrors  int64  `json:"rx_errors"`
	RxDrops   int64  `json:"rx_drops"`
	RxPackets int64  `json:"rx_packets"`
	TxBytes   int64  `json:"tx_bytes"`
	TxErrors  int64  `json:"tx_errors"`
	TxDrops   int64  `json:"tx_drops"`
	TxPackets int64  `json:"tx_packets"`
}

// LogReply is the log, cut at its beginning when it is longer than MaxLog.
type LogReply struct {
	Log []byte `json:"log"`
}

// MaxLog is how much of a console log a reply carries.
const MaxLog = 1 << 20

// Stray is what a host has in its store of volumes that is none and could become
// one.
type Stray struct {
	Name    string `json:"name"`
	SizeGB  int    `json:"size_gb"`
	Refused string `json:"refused,omitempty"` // why it cannot
}

// MaxStrays is how many a reply has.
const MaxStrays = 1000

// StraysReply is what could become volumes of a host.
type StraysReply struct {
	Strays []Stray `json:"strays"`
}

// MetadataQuery is a guest's request to the metadata service. Who is asking is
// told by network, address and MAC, which the node has seen itself.
type MetadataQuery struct {
	Network string `json:"network"`
	IP      string `json:"ip"`
	MAC     string `json:"mac"`
	Method  string `json:"method"`
	Path    string `json:"path"` // with the query, undecoded
	Body    []byte `json:"body,omitempty"`
}

// MetadataReply is the answer for the guest.
type MetadataReply struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// ImageQuery asks how to get an image.
type ImageQuery struct {
	Image string `json:"image"`
}

// CacheReply says how far an image is on its way into a node's cache: neither
// means that it is being fetched.
type CacheReply struct {
	Here    bool   `json:"here,omitempty"`
	Problem string `json:"problem,omitempty"` // why it did not come; asked again, the node tries again
}

// ImageReply describes an image whose bytes were inspected and found harmless.
type ImageReply struct {
	Format string `json:"format"` // raw, iso or qcow2
	Size   int64  `json:"size"`   // bytes of the file
	SHA512 string `json:"sha512"` // hex, "" when unknown
}
