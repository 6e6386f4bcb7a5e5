package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Tunnel opens a byte stream to something on a host that another server holds.
// The caller closes it. It implements hosts.Peers.
func (c *Cluster) Tunnel(ctx context.Context, server, host, kind, id string) (io.ReadWriteCloser, error) {
	base, err := c.url(ctx, server)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return nil, errs.Unavailablef("The server that host %s is connected to is away.", host)
	}
	dialing, cancel := context.WithTimeout(ctx, tunnelTime)
	defer cancel()
	address := base + nodeapi.PathTunnel + "?" + url.Values{"host": {host}, "kind": {kind}, "id": {id}}.Encode()
	transport := &http.Transport{TLSClientConfig: c.towardsServers()}
	socket, reply, err := websocket.Dial(dialing, address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		if reply != nil && reply.Body != nil {
			var refusal nodeapi.Refusal
			if json.NewDecoder(reply.Body).Decode(&refusal) == nil && refusal.Error != "" {
				return nil, errs.New(errs.Kind(reply.StatusCode), "%s", refusal.Error).Because(err)
			}
		}
		return nil, fmt.Errorf("reach host %s through server %s: %w", host, base, err)
	}
	// The stream outlives the dialling, as one of a host of our own does.
	return websocket.NetConn(context.WithoutCancel(ctx), socket, websocket.MessageBinary), nil
}
