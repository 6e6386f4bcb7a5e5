// Package blob stores byte streams: images and objects.
//
// A blob is written once, whole, and then only read or removed; a torn write is
// never visible, an acknowledged one survives power loss. The drivers are the
// folders beside this file. blobtest holds the suite that each of them passes.
package blob

import (
	"context"
	"io"
)

// Store keeps blobs by key. Keys are made by the services (ids, never user
// input) and match [a-z0-9-/]+.
type Store interface {
	// Put stores what r gives until EOF and returns its size in bytes. When r
	// fails, or ctx ends, nothing is stored and an earlier blob stays as it was.
	// When it returns nil, the blob survives power loss.
	Put(ctx context.Context, key string, r io.Reader) (size int64, err error)

	// Open reads a blob. A missing one is fs.ErrNotExist. The reader may seek.
	Open(ctx context.Context, key string) (Reader, error)

	// Remove forgets a blob. A missing one is a success.
	Remove(ctx context.Context, key string) error

	// List calls each for every key with the prefix, in no order, until it
	// returns an error.
	List(ctx context.Context, prefix string, each func(key string) error) error
}

// Reader reads a blob, at any offset.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Size is the blob's length in bytes.
	Size() int64
}
