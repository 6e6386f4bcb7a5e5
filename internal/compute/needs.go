package compute

import (
	"context"
	"io"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/vif"
)

// Stock is what a provider offers and has given away, by resource class.
type Stock = struct {
	Total, Reserved, Used, MaxUnit map[string]int64
	Ratio                          map[string]float64
}

// ResourceRequest is what a server takes that one provider cannot give, by groups
// as flavors name them: "" for what may come from several providers, the others from
// one each.
type ResourceRequest = struct {
	Groups   map[string]ResourceGroup
	Isolate  bool       // groups with names have providers of their own
	Together [][]string // of groups: one's provider has those of the others below it
}

// ResourceGroup is a part of a ResourceRequest.
type ResourceGroup = struct {
	Resources           map[string]int64
	Required, Forbidden []string // traits
}

// placements is what compute needs from placement.
type placements interface {
	// Claim takes amounts by resource class for a server from one provider, or
	// nothing. A full provider is a conflict. Claiming again is a success.
	Claim(ctx context.Context, tx *db.Tx, server, project, user, provider string, want map[string]int64) error
	// ClaimRequest is Claim of what several providers of a host give together.
	ClaimRequest(ctx context.Context, tx *db.Tx, server, project, user, host string, r ResourceRequest) error
	// Rehearse tells which hosts could serve the request now. Take lets one of them
	// serve it in memory alone, until it is full.
	Rehearse(ctx context.Context, tx *db.Tx, r ResourceRequest) (able map[string]bool, take func(host string) bool, err error)
	// Release frees all that the server has. Freeing nothing is a success.
	Release(ctx context.Context, tx *db.Tx, server string) error
	// Move gives all that one consumer has to another, of the type MIGRATION or
	// INSTANCE. Moving nothing is a success.
	Move(ctx context.Context, tx *db.Tx, from, to, kind string) error
	// ReportHost says what a host has. The provider is made if it is missing.
	ReportHost(ctx context.Context, id, name string, total, reserved map[string]int64, ratio map[string]float64, traits []string) error
	// WatchHosts tells what each provider offers and has given away, now and
	// after each change, which raises the revision; traits are nil when they did not
	// change.
	WatchHosts(ctx context.Context, changed func(id, name string, revision int64, stock Stock, traits []string), removed func(id, name string)) error
	// RemoveHost removes the provider of a host, and those below it, which have given
	// nothing away. A missing one is a success.
	RemoveHost(ctx context.Context, tx *db.Tx, id string) error
	// SetHostAggregates says which aggregates the provider is in, by UUID.
	SetHostAggregates(ctx context.Context, id string, aggregates []string) error
	// SetHostTrait gives a host a trait, or takes it away. A missing provider is a
	// success.
	SetHostTrait(ctx context.Context, tx *db.Tx, id, trait string, has bool) error
	// StandardTrait tells whether every cloud knows the trait.
	StandardTrait(name string) bool
	// StandardClass tells whether every cloud knows the resource class.
	StandardClass(name string) bool
}

// Image is what compute needs to know of an image.
type Image struct {
	ID         string
	Name       string
	Status     string // active
	MinDiskGB  int64
	MinRAMMB   int64
	SizeBytes  int64 // of the virtual disk
	Properties map[string]string
	ISO        bool // its disk format is that of a CD
	// Bootable is why the bytes may not be booted from, nil when they may: what
	// the inspector found differs from what the image claims to be.
	Bootable error
}

// images is what compute needs from the image service.
type images interface {
	// Image returns an image that the caller may use.
	Image(ctx context.Context, caller auth.Caller, id string) (Image, error)
	// CreateImage makes an image without bytes, in qcow2, that is the caller's alone.
	CreateImage(ctx context.Context, caller auth.Caller, in NewImage) error
	// UploadImage gives a queued image its bytes, or leaves it queued.
	UploadImage(ctx context.Context, id string, bytes io.Reader) error
	// ImageStatus tells how far an image is: queued, saving, active …
	ImageStatus(ctx context.Context, id string) (string, error)
	DeleteImage(ctx context.Context, id string) error
	// Backups are the images that are backups of the server of that kind, oldest first.
	Backups(ctx context.Context, project, server, kind string) ([]string, error)
}

// Network is a network that a server may have a card on.
type Network struct {
	ID   string
	Name string
}

// NewPort is a port to be made for a server.
type NewPort struct {
	ID      string
	Project string
	Network string
	FixedIP string   // "" for any
	Groups  []string // security group ids; nil for the project's default
	Server  string
	Zone    string
	DNSName string
	Host    string // where it is made ready, "" for nowhere yet
}

// networks is what compute needs from the network service.
type networks interface {
	// Network returns the network that a card is to be on, if the caller may have it there:
	// it has a subnet, and the card's address is free.
	Network(ctx context.Context, caller auth.Caller, card NewCard) (Network, error)
	// Available returns the networks that the project's servers may use without
	// naming one: its own and shared ones that have a subnet, no external ones.
	Available(ctx context.Context, caller auth.Caller) ([]Network, error)
	// AllocateTopology finds or makes the network of a project that leads out of
	// the cloud, and returns its id.
	AllocateTopology(ctx context.Context, project string) (network string, err error)
	// FreePort returns a port of the project that no device has.
	FreePort(ctx context.Context, caller auth.Caller, id string) (vif.Port, error)
	// SecurityGroups finds the project's groups by name or id.
	SecurityGroups(ctx context.Context, caller auth.Caller, names []string) ([]string, error)

	// CreatePort makes a port that belongs to a server. Making it again is a success.
	CreatePort(ctx context.Context, tx *db.Tx, p NewPort) error
	// TakePort gives an existing free port to a server.
	TakePort(ctx context.Context, tx *db.Tx, port, server, zone string) error
	// BindPort makes the port ready on the host, and on none that it was bound to
	// before. Binding again is a success.
	BindPort(ctx context.Context, tx *db.Tx, port, host string) error
	// LimitPort has the port let pass no more than that, whatever else limits it, until
	// it is returned. A missing port is a success.
	LimitPort(ctx context.Context, tx *db.Tx, port string, limits PortLimits) error
	// UnbindPort takes a port from its host and leaves it the server's. A missing
	// port is a success.
	UnbindPort(ctx context.Context, tx *db.Tx, port string) error
	// PreparePort makes the port ready on a further host, to which its machine is
	// about to move. Preparing it again is a success.
	PreparePort(ctx context.Context, tx *db.Tx, port, host string) error
	// UnpreparePort forgets a host that the port was made ready on. Nothing to
	// forget is a success.
	UnpreparePort(ctx context.Context, tx *db.Tx, port, host string) error
	// ReturnPort takes a port from its server and leaves it free and unbound.
	// A missing port is a success.
	ReturnPort(ctx context.Context, tx *db.Tx, port string) error
	// DeletePort removes the port. A missing one is a success.
	DeletePort(ctx context.Context, tx *db.Tx, port string) error

	// PortsOf returns the ports of the servers, by server, each in the order of
	// creation. Of their subnets they have the ids, and no metadata port.
	PortsOf(ctx context.Context, tx *db.Tx, servers ...string) (map[string][]vif.Port, error)
	// ByAddress narrows a query of servers to those of whose addresses, or of the
	// floating ones that lead there, one contains the text.
	ByAddress(servers *bun.SelectQuery, text string) *bun.SelectQuery
	// NetworkInfo returns the ports of a server with all that its guest is told.
	NetworkInfo(ctx context.Context, tx *db.Tx, server string) ([]vif.Port, error)
	// PortDown finds a port of the server that the network does not report up, ""
	// for none.
	PortDown(ctx context.Context, tx *db.Tx, server string) (port string, err error)
	// Caller finds the server whose card has the address on the network: its
	// id, or not found.
	ServerAt(ctx context.Context, network, ip, mac string) (string, error)
}

// Volume is what compute needs to know of a volume.
type Volume struct {
	ID              string
	Name            string
	Status          string
	SizeGB          int64
	Bootable        bool
	Shared          bool // several servers may have it
	Zone            string
	ImageProperties map[string]string
}

// VolumeSnapshot is what compute needs to know of a snapshot of a volume.
type VolumeSnapshot struct {
	Volume string // what it was taken of
	Status string
	SizeGB int64
}

// NewVolume is a volume to be made for a server.
type NewVolume struct {
	ID          string
	Name        string
	Description string
	Metadata    map[string]string
	SizeGB      int64
	Image       string // what it starts from: one of these, or nothing
	Source      string // a volume
	Snapshot    string
	Type        string
	Zone        string
}

// volumes is what compute needs from the volume service.
type volumes interface {
	// Volume returns a volume of the caller's project.
	Volume(ctx context.Context, caller auth.Caller, id string) (Volume, error)
	// Snapshot returns a snapshot of the caller's project.
	Snapshot(ctx context.Context, caller auth.Caller, id string) (VolumeSnapshot, error)
	// TakeSnapshot begins to copy a volume, also one in use, into a snapshot with
	// the id. Taking it again is a success.
	TakeSnapshot(ctx context.Context, tx *db.Tx, caller auth.Caller, id, volume, name string) error
	// DeleteSnapshot begins to delete a snapshot. A missing one is a success.
	DeleteSnapshot(ctx context.Context, caller auth.Caller, id string) error
	// TypeExists tells whether the caller may have volumes of the type, of that name or id.
	TypeExists(ctx context.Context, caller auth.Caller, name string) error
	// CreateVolume begins to make a volume. Making it again is a success.
	CreateVolume(ctx context.Context, caller auth.Caller, v NewVolume) error
	// Status tells how far a volume is: creating, available, error …
	Status(ctx context.Context, tx *db.Tx, volume string) (string, error)
	// Revision grows each time that a volume is to get other bytes.
	Revision(ctx context.Context, tx *db.Tx, volume string) (int64, error)
	// Size is how large a volume is, in GiB.
	Size(ctx context.Context, tx *db.Tx, volume string) (int64, error)
	// ReadOnly tells whether nobody may write to a volume.
	ReadOnly(ctx context.Context, tx *db.Tx, volume string) (bool, error)
	// Writers is how many attachments of a volume may write to it.
	Writers(ctx context.Context, tx *db.Tx, volume string) (int, error)
	// Reserve promises an available volume to the server. The attachment's id
	// names the promise from then on. Reserving again is a success.
	Reserve(ctx context.Context, tx *db.Tx, attachment, volume, server string) error
	// Connect wants the volume exported for the attachment to the host, and to none
	// that it was exported to before, and returns the export's epoch and what its type limits the guest to, by the
	// names of QoS specs. Connecting again gives the same.
	Connect(ctx context.Context, tx *db.Tx, attachment, host, device string) (epoch int64, limits map[string]int64, err error)
	// Disconnect ends the export of an attachment, which stays as a promise: the
	// volume is reserved. Disconnecting again is a success.
	Disconnect(ctx context.Context, tx *db.Tx, attachment string) error
	// Reimage begins to give a reserved volume, which no host has, the bytes of an
	// image. It is reserved again when it has them, or in error.
	Reimage(ctx context.Context, caller auth.Caller, volume, image string) error
	// Prepare exports the volume once more, to the host that the attachment's machine
	// is about to move to, and returns that export's epoch. Preparing again gives the
	// same.
	Prepare(ctx context.Context, tx *db.Tx, attachment, host string) (epoch int64, err error)
	// Moved ends the export to the host where the machine is not, and returns the
	// epoch of the other one. Nothing to end is a success.
	Moved(ctx context.Context, tx *db.Tx, attachment, host string) (epoch int64, err error)
	// Complete says that the server has the volume: it is in use.
	Complete(ctx context.Context, tx *db.Tx, attachment string) error
	// Detaching says that the server is about to lose the volume.
	Detaching(ctx context.Context, tx *db.Tx, attachment string) error
	// Detach ends the attachment and its export: the volume is available
	// again. A missing attachment is a success.
	Detach(ctx context.Context, tx *db.Tx, attachment string) error
	// DeleteVolume begins to delete a volume that is attached to nothing. A
	// missing one is a success.
	DeleteVolume(ctx context.Context, tx *db.Tx, volume string) error
}

// consoles makes addresses under which a guest's consoles are reached. Kinds are
// those of the node's streams.
type consoles interface {
	New(ctx context.Context, kind, server string) (url string, expires time.Time, err error)
	// Revoke forgets the addresses of a server that were not opened yet.
	Revoke(ctx context.Context, tx *db.Tx, server string) error
	// Find tells which server the token of an address is for, and where it is
	// to be opened.
	Find(ctx context.Context, token string) (server, host string, port int, err error)
}
