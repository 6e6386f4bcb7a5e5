package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// exported is where a machine reaches its volume, provided that the volume is
// exported at the epoch that the machine was given.
func (n *Node) exported(ctx context.Context, d *doc, disk nodeapi.Disk) (nodeapi.Address, error) {
	n.mu.Lock()
	v := n.docs[key{nodeapi.KindVolume, disk.Volume}]
	known, conn := d.exports[disk.Volume], n.conn
	address, ready := nodeapi.Address{}, false
	if v != nil && v.ensured == v.desired.Generation {
		address, ready = v.volumeSeen.At(disk.Epoch)
	}
	n.mu.Unlock()
	switch {
	case ready:
		return address, nil
	case v != nil:
		return address, waitFor("waiting for volume %s to be exported", disk.Volume)
	case known.Epoch == disk.Epoch:
		return n.reached(d, disk, known)
	case conn == nil:
		return address, waitFor("waiting for a server to tell where volume %s is", disk.Volume)
	}
	answer, err := conn.Ask(ctx, nodeapi.QueryExport, nodeapi.ExportQuery{Volume: disk.Volume, Epoch: disk.Epoch})
	var remote *nodeapi.RemoteError
	if errors.As(err, &remote) {
		if remote.Status == http.StatusConflict || remote.Status == http.StatusBadRequest {
			return address, errs.Conflictf("%s", remote.Message)
		}
		return address, waitFor("waiting for volume %s: %s", disk.Volume, remote.Message)
	}
	if err != nil {
		return address, fmt.Errorf("find volume %s: %w", disk.Volume, err)
	}
	err = json.Unmarshal(answer, &address)
	if err != nil {
		return address, fmt.Errorf("find volume %s: %w", disk.Volume, err)
	}
	n.mu.Lock()
	if d.exports == nil {
		d.exports = map[string]nodeapi.Address{}
	}
	d.exports[disk.Volume] = address // kept with what is observed next
	n.mu.Unlock()
	return n.reached(d, disk, address)
}

// reached is where the machine gets at an export of another host: by its address,
// or, when that has no socket, by a door of our own.
func (n *Node) reached(d *doc, disk nodeapi.Disk, address nodeapi.Address) (nodeapi.Address, error) {
	if address.Socket != "" {
		return address, nil
	}
	return n.openFar(d, disk, address)
}
