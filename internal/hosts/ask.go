package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Ask asks a node, on whichever server. What the node refuses is a classified
// error; so is a node that is not connected.
func (s *Service) Ask(ctx context.Context, host, name string, payload any) (json.RawMessage, error) {
	l := s.link(host)
	if l == nil {
		return s.askPeer(ctx, host, name, payload)
	}
	reply, err := l.conn.Ask(ctx, name, payload)
	if err != nil {
		return nil, classified(host, err)
	}
	return reply, nil
}

// Log returns the last lines of a machine's console, all when lines < 0.
func (s *Service) Log(ctx context.Context, host, machine string, lines int) ([]byte, error) {
	reply, err := s.Ask(ctx, host, nodeapi.QueryLog, nodeapi.LogQuery{Machine: machine, Lines: lines})
	if err != nil {
		return nil, err
	}
	var log nodeapi.LogReply
	err = json.Unmarshal(reply, &log)
	if err != nil {
		return nil, fmt.Errorf("read log of machine %s: %w", machine, err)
	}
	return log.Log, nil
}

// Tunnel opens a stream of bytes to something on the host, such as the screen
// of a machine (nodeapi.StreamVNC, machine id). The caller closes it.
func (s *Service) Tunnel(ctx context.Context, host, kind, id string) (io.ReadWriteCloser, error) {
	l := s.link(host)
	if l == nil && s.peers != nil {
		server, err := s.holder(ctx, host)
		if err != nil {
			return nil, err
		}
		return s.peers.Tunnel(ctx, server, host, kind, id)
	}
	return s.Open(ctx, host, kind, id)
}

// Open is Tunnel to a host that this server holds.
func (s *Service) Open(ctx context.Context, host, kind, id string) (io.ReadWriteCloser, error) {
	l := s.link(host)
	if l == nil {
		return nil, notConnected(host)
	}
	stream, err := l.conn.Open(ctx, kind, id)
	if err != nil {
		return nil, classified(host, err)
	}
	return stream, nil
}

// classified keeps a node's refusal as the user's error. A node whose connection
// ends meanwhile is one that is not connected. A node's own fault stays a fault.
func classified(host string, err error) error {
	if errors.Is(err, nodeapi.ErrClosed) {
		return notConnected(host)
	}
	var remote *nodeapi.RemoteError
	if errors.As(err, &remote) && remote.Status != http.StatusInternalServerError {
		return errs.New(errs.Kind(remote.Status), "%s", remote.Message).Because(err)
	}
	return fmt.Errorf("host %s: %w", host, err)
}
