package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"nacre/internal/nodeapi"
)

// elsewhere is how this host's driver gets at its machines on other hosts: by
// streams through the servers, which know where that is. It implements
// virt.Elsewhere.
type elsewhere struct{ n *Node }

// Disk implements virt.Elsewhere.
func (e elsewhere) Disk(ctx context.Context, machine, disk string) (io.ReadCloser, error) {
	return e.open(ctx, nodeapi.StreamRoot, nodeapi.DiskID(machine, disk))
}

// Send implements virt.Elsewhere.
func (e elsewhere) Send(ctx context.Context, machine, move, channel string) (io.ReadWriteCloser, error) {
	return e.open(ctx, nodeapi.StreamMove, nodeapi.MoveID(machine, move, channel))
}

func (e elsewhere) open(ctx context.Context, kind, id string) (io.ReadWriteCloser, error) {
	conn := e.n.connection()
	if conn == nil {
		return nil, errors.New("no server is connected")
	}
	stream, err := conn.Open(ctx, kind, id)
	if err != nil {
		return nil, fmt.Errorf("reach %s of %s on another host: %w", kind, id, kept(err))
	}
	return nodeapi.Resetting{Stream: stream}, nil
}
