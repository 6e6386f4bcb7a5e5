// Package blockdev keeps the bytes of volumes on a node.
//
// A volume is ensured, exported under the epochs of its attachments, and removed.
// Epochs fence: one that was dropped never comes back, so whoever holds it has
// lost the volume, whatever it believes. A volume that nobody is attached to can
// be opened, to read or write its bytes from afar. The drivers are the folders beside this file: file keeps qcow2 files
// and serves them by NBD, simulated keeps nothing and can fail on request.
// blockdevtest holds the suite that each of them passes.
package blockdev

import (
	"context"
	"io"
)

// Volume is one volume as it should be.
type Volume struct {
	ID     string
	SizeGB int
	Source Source // what it starts from; ignored once the volume exists

	Encrypted bool // with the key that Keys has for it; a source that is a volume has the same one

	// Revision grows when the bytes are to be made anew from the source.
	Revision int64
}

// Source is where a new volume's bytes come from. At most one field is set.
type Source struct {
	Image  string // an image id
	Volume string // another volume of this host
	Stray  string // a stray, by its name: it is one no more
}

// Export is a volume offered to machines.
type Export struct {
	Volume string
	Shares []Share // by epoch, at least one
}

// Share is one attachment's part in an export.
type Share struct {
	Epoch    int64 // grows with each attachment; one that was dropped is refused
	ReadOnly bool  `json:",omitempty"`
}

// Address is where a share of an export is reached.
type Address struct {
	Epoch  int64
	Socket string // unix socket of the NBD server
	Name   string // NBD export name
}

// Opened is the NBD export name of a volume that was opened.
const Opened = "disk"

// State is what a driver sees of one volume.
type State struct {
	ID       string
	SizeGB   int
	Exported bool
	Epoch    int64 // the highest one seen
}

// Stray is something in the store that is no volume and could become one: a file
// that an operator has put there, or a volume that was let go.
type Stray struct {
	Name    string
	SizeGB  int
	Refused string // why it cannot become one; empty if it can
}

// Usage is the room of the whole store, in GiB.
type Usage struct {
	TotalGB float64
	FreeGB  float64
}

// Host keeps volumes. Its methods may be called concurrently and are
// idempotent: asking twice for the same thing is asking once.
type Host interface {
	// Ensure makes the volume exist with at least this size. An interrupted
	// creation starts again from its source. A grown volume keeps its bytes, also
	// while it is exported: its users reconnect and find it larger. The copy of
	// a volume that is in use is what a power cut would leave of it. A volume in
	// use is not made anew.
	Ensure(ctx context.Context, v Volume) error

	// Remove makes the volume not exist and ends its export. A missing volume
	// is a success.
	Remove(ctx context.Context, id string) error

	// Export serves the volume under these epochs and no others until Unexport,
	// also after a restart of this process. An epoch that is neither served
	// nor higher than all seen before is an error. Users whose epoch stays are
	// not disturbed, those whose epoch goes are disconnected first. The
	// addresses are in the order of the shares.
	Export(ctx context.Context, e Export) ([]Address, error)

	// Open connects to the NBD server of a volume that is not exported, under
	// the name Opened, to read its bytes or, with write, to change them. Who
	// opens it anew or exports it cuts off whoever had it before.
	Open(ctx context.Context, volume string, write bool) (io.ReadWriteCloser, error)

	// Unexport ends the export. A missing one is a success.
	Unexport(ctx context.Context, volume string) error

	// List returns all volumes of this host, also those nobody asked for.
	List(ctx context.Context) ([]State, error)

	// Strays returns what could become volumes of this host.
	Strays(ctx context.Context) ([]Stray, error)

	// Release makes the volume not exist and ends its export, but keeps its bytes
	// as a stray of that name. A missing volume is a success. A stray that has the
	// name already is an error.
	Release(ctx context.Context, id, name string) error

	// Usage returns the room of the store.
	Usage(ctx context.Context) (Usage, error)
}

// Keys is what a driver needs to keep encrypted volumes.
type Keys interface {
	// Key returns the key of a volume. It is a text, kept in memory only.
	Key(ctx context.Context, volume string) (string, error)
}

// Images is what a driver needs from the node's image cache.
type Images interface {
	// Path returns a local file with the image's bytes and its format ("raw"
	// or "qcow2"). The file was inspected; it is never written to.
	Path(ctx context.Context, image string) (path, format string, err error)
}
