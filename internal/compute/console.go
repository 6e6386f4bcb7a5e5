package compute

import (
	"context"
	"io"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// ConsoleLog returns the last lines of a server's console, all when lines < 0.
func (s *Service) ConsoleLog(ctx context.Context, server Server, lines int) ([]byte, error) {
	if server.Host == "" {
		return nil, errs.Conflictf("Instance %s is not ready", server.ID)
	}
	return s.hosts.Log(ctx, server.Host, server.ID, lines)
}

// Console makes an address under which a browser shows the server's screen.
func (s *Service) Console(ctx context.Context, server Server, kind string) (string, error) {
	if kind != "novnc" {
		return "", errs.BadRequestf("Unavailable console type %s.", kind)
	}
	if server.Host == "" || server.VMState == Building {
		return "", errs.Conflictf("Instance %s is not ready", server.ID)
	}
	if s.consoles == nil {
		return "", errs.BadRequestf("Unavailable console type %s.", kind)
	}
	url, _, err := s.consoles.New(ctx, "vnc", server.ID, func(ctx context.Context) (io.ReadWriteCloser, error) {
		return s.hosts.Tunnel(ctx, server.Host, nodeapi.StreamVNC, server.ID)
	})
	return url, err
}
