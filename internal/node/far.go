package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// A machine reaches a volume of another host by a socket of this node, which
// carries what comes through it over the servers to the volume's node. When a
// server or this node goes away, the machine dials again for a while; the epoch
// in the export's name keeps out whoever has lost the volume meanwhile.

// far is the door to a volume of another host.
type far struct {
	epoch    int64
	listener *net.UnixListener
	path     string
}

// openFar makes the door exist and returns where it is.
func (n *Node) openFar(d *doc, disk nodeapi.Disk, address nodeapi.Address) (nodeapi.Address, error) {
	if n.o.Sockets == "" {
		return address, errs.Conflictf("Host %s cannot reach volumes of other hosts.", n.o.Name)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	door := d.far[disk.Volume]
	if door != nil && door.epoch == disk.Epoch {
		address.Socket = door.path
		return address, nil
	}
	if door != nil {
		door.listener.Close()
		delete(d.far, disk.Volume)
	}
	door, err := n.listenFar(disk)
	if err != nil {
		return address, fmt.Errorf("open the way to volume %s: %w", disk.Volume, err)
	}
	if d.far == nil {
		d.far = map[string]*far{}
	}
	d.far[disk.Volume] = door
	n.start(func(ctx context.Context) { n.serveFar(ctx, door.listener, nodeapi.ExportID(disk.Volume, disk.Epoch)) })
	address.Socket = door.path
	return address, nil
}

// listenFar makes the socket, for the guests' processes alone. A machine of this
// host has a volume once, so its name is the volume's.
func (n *Node) listenFar(disk nodeapi.Disk) (*far, error) {
	err := os.MkdirAll(n.o.Sockets, 0o711)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(n.o.Sockets, disk.Volume+".far")
	err = os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// Between the two nobody else can reach it: we alone may connect so far.
	err = os.Chmod(path, 0o600)
	if err == nil && n.o.SocketsOwner != nil {
		err = os.Chown(path, n.o.SocketsOwner.UID, n.o.SocketsOwner.GID)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &far{disk.Epoch, listener, path}, nil
}

func (n *Node) serveFar(ctx context.Context, listener net.Listener, export string) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		near, err := listener.Accept()
		if err != nil {
			return // closed: the machine no longer has the volume, or we end
		}
		n.mu.Lock()
		conn := n.conn
		if conn == nil || ctx.Err() != nil {
			near.Close() // whoever dials tries again
		} else {
			n.start(func(ctx context.Context) { n.carry(ctx, conn, near, export) })
		}
		n.mu.Unlock()
	}
}

// carry connects a machine with its volume until either lets go.
func (n *Node) carry(ctx context.Context, conn *nodeapi.Conn, near net.Conn, export string) {
	stop := context.AfterFunc(ctx, func() { near.Close() })
	defer stop()
	opening, cancel := context.WithTimeout(ctx, greeting)
	stream, err := conn.Open(opening, nodeapi.StreamExport, export)
	cancel()
	if err != nil {
		n.log.Warn("a volume of another host is out of reach", "export", export, "error", err)
		near.Close()
		return
	}
	nodeapi.Splice(near, nodeapi.Resetting{Stream: stream}) // whoever sees the end dials again
}

// closeFar closes the doors to volumes that the machine does not have.
func (n *Node) closeFar(d *doc, keep []nodeapi.Disk) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := map[string]bool{}
	for _, disk := range keep {
		wanted[disk.Volume] = true
		if disk.Swap != nil {
			wanted[disk.Swap.Volume] = true
		}
	}
	for volume, door := range d.far {
		if !wanted[volume] {
			door.listener.Close()
			delete(d.far, volume)
		}
	}
}

// openExport connects to an export of this host, for a machine of another one.
func (n *Node) openExport(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	volume, epoch, ok := nodeapi.ParseExportID(id)
	if !ok {
		return nil, errs.BadRequestf("%q names no export.", id)
	}
	n.mu.Lock()
	d := n.docs[key{nodeapi.KindVolume, volume}]
	address, exported := nodeapi.Address{}, false
	if d != nil {
		address, exported = d.volumeSeen.At(epoch)
	}
	n.mu.Unlock()
	if !exported {
		return nil, errs.NotFoundf("Volume %s is not exported at epoch %d.", volume, epoch)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", address.Socket)
}
