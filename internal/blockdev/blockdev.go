// Package blockdev keeps the bytes of volumes on a node.
//
// A volume is ensured, exported to at most one epoch at a time, and removed.
// The epoch fences: whoever holds an older one has lost the volume, whatever it
// believes. The drivers are the folders beside this file: file keeps qcow2 files
// and serves them by NBD, simulated keeps nothing and can fail on request.
// blockdevtest holds the suite that each of them passes.
package blockdev

import "context"

// Volume is one volume as it should be.
type Volume struct {
	ID     string
	SizeGB int
	Source Source // what it starts from; ignored once the volume exists
}

// Source is where a new volume's bytes come from. At most one field is set.
type Source struct {
	Image  string // an image id
	Volume string // another volume of this host
}

// Export is a volume offered to a machine.
type Export struct {
	Volume string
	Epoch  int64 // grows with each attachment; a lower one than recorded is refused
}

// Address is where an export is reached.
type Address struct {
	Socket string // unix socket of the NBD server
	Name   string // NBD export name
}

// State is what a driver sees of one volume.
type State struct {
	ID       string
	SizeGB   int
	Exported bool
	Epoch    int64
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
	// creation starts again from its source. A grown volume keeps its bytes.
	Ensure(ctx context.Context, v Volume) error

	// Remove makes the volume not exist and ends its export. A missing volume
	// is a success.
	Remove(ctx context.Context, id string) error

	// Export serves the volume until Unexport, also after a restart of this
	// process. An epoch lower than one seen before is an error; a higher one
	// disconnects the former user first.
	Export(ctx context.Context, e Export) (Address, error)

	// Unexport ends the export. A missing one is a success.
	Unexport(ctx context.Context, volume string) error

	// List returns all volumes of this host, also those nobody asked for.
	List(ctx context.Context) ([]State, error)

	// Usage returns the room of the store.
	Usage(ctx context.Context) (Usage, error)
}

// Images is what a driver needs from the node's image cache.
type Images interface {
	// Path returns a local file with the image's bytes and its format ("raw"
	// or "qcow2"). The file was inspected; it is never written to.
	Path(ctx context.Context, image string) (path, format string, err error)
}
